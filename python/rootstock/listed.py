"""The models of a root, as `rootstock sync` has listed them. Starts nothing."""

from __future__ import annotations

import json
import os
import re

from .errors import ModelNotFoundError

#: Behind a name: a generation of its environment.
_GENERATION = re.compile(r"@[0-9a-f]{32}$")
_CUSTOM = ":custom"


def check(root: str, model: str) -> None:
    """Make sure that a root has a model, if it says which it has.

    Raises:
        ModelNotFoundError: It has not.
    """
    try:
        with open(os.path.join(root, "models.json"), encoding="utf-8") as file:
            listed = json.load(file)
        environments, models = set(listed["environments"]), set(listed["models"])
    except (OSError, ValueError, TypeError, KeyError):
        # Nothing was synced there yet, or by a newer rootstock: the program's error has the reason.
        return
    name = _GENERATION.sub("", model)
    if name.endswith(_CUSTOM):
        known, name = environments, name[: -len(_CUSTOM)]
    else:
        known = environments | models
    if name not in known:
        raise ModelNotFoundError(model, root, sorted(known))
