"""Where the program `rootstock` is. Needs neither ASE nor NumPy; Python 3.8 or later."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from functools import lru_cache
from importlib import metadata
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


def version() -> str:
    """The version of this package; in a checkout that is not installed, that of the program, or `0+unknown`."""
    try:
        return metadata.version("rootstock-rs")
    except metadata.PackageNotFoundError:
        pass
    try:
        command = [program(), "--version"]
        answer = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, universal_newlines=True, check=True)
    except (OSError, RootstockError, subprocess.CalledProcessError):
        return "0+unknown"
    return answer.stdout.split()[-1]


@lru_cache(maxsize=16)
def _asked(command: tuple[str, ...], _: tuple[str | None, ...]) -> str | None:
    answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
    if answer.returncode != 0:
        return None
    return str(json.loads(answer.stdout)["root"])


def located(name: str | None = None, cluster: str | None = None, manifest: str | None = None) -> str | None:
    """The root that the program would use here; None if nothing names one. The program alone knows the order of options, variables,
    manifests and configurations.

    Args:
        name: The program, if not the one that came with this package.
        cluster: A cluster of the manifest or of a configuration.
        manifest: The manifest, if not the one that is found here.
    """
    options = [word for option, value in (("--cluster", cluster), ("--manifest", manifest)) if value for word in (option, value)]
    variables = ("ROOTSTOCK_ROOT", "ROOTSTOCK_CLUSTER", "ROOTSTOCK_CONFIG", "HOME", "XDG_CONFIG_HOME")
    here = (os.getcwd(), *(os.environ.get(variable) for variable in variables))
    return _asked((name or program(), "resolve", "--json", *options), here)


def _scripts() -> list[Path]:
    """Where this Python and its user install programs."""
    preferred = getattr(sysconfig, "get_preferred_scheme", None)
    user = preferred("user") if preferred is not None else "posix_user"  # Python 3.8 and 3.9 have no such function.
    return [Path(sysconfig.get_path("scripts")), Path(sysconfig.get_path("scripts", user))]
