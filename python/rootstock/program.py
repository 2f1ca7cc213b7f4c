"""Where the program `rootstock` is. Needs neither ASE nor NumPy; Python 3.8 or later."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

from .errors import RootstockError


def program() -> str:
    """The `rootstock` that came with this package or, as in a checkout, the one on PATH.

    Raises:
        RootstockError: It is not installed.
    """
    for place in [*_scripts(), Path(__file__).parents[1] / "bin"]:
        path = place / "rootstock"
        if os.access(path, os.X_OK):
            return str(path)
    found = shutil.which("rootstock")
    if found is None:
        raise RootstockError(
            "the program `rootstock` is neither beside this package nor on PATH: install `rootstock-rs` again, "
            "or name the program with `program=`"
        )
    return found


def _scripts() -> list[Path]:
    """Where this Python and its user install programs."""
    preferred = getattr(sysconfig, "get_preferred_scheme", None)
    user = preferred("user") if preferred is not None else "posix_user"  # Python 3.8 and 3.9 have no such function.
    return [Path(sysconfig.get_path("scripts")), Path(sysconfig.get_path("scripts", user))]
