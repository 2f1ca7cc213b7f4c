"""The models of a root. Needs neither ASE nor NumPy; Python 3.8 or later."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Union

from .errors import RootstockError
from .program import program as find_program


@dataclass(frozen=True)
class Model:
    """A model of a root: what it is for, and whether its numbers were verified there."""

    id: str
    environment: str
    argument: str
    #: The first line of its source: what it is.
    summary: Optional[str]
    #: Whether its environment is built.
    built: bool
    #: Symbols of the elements it knows; empty if that was not declared.
    elements: List[str] = field(default_factory=list)
    licence: Optional[str] = None
    weights_licence: Optional[str] = None
    citation: Optional[str] = None
    #: Whether forces and stress are derivatives of the energy.
    conservative: bool = True
    dtype: Optional[str] = None
    #: What its environment needs of a machine: glibc, NVIDIA driver.
    needs: Optional[Dict[str, Any]] = None
    weights: List[Dict[str, Any]] = field(default_factory=list)
    #: To what its recorded numbers belong, and the numbers.
    reference: Optional[Dict[str, Any]] = None
    numbers: List[Dict[str, Any]] = field(default_factory=list)
    #: Comparisons of its current generation with its recorded numbers, one for each kind of device.
    verified: List[Dict[str, Any]] = field(default_factory=list)


def models(root: Union[str, "os.PathLike[str]", None] = None, program: Optional[str] = None) -> List[Model]:
    """The models of a root, sorted by id.

    Args:
        root: The root; if not given, `ROOTSTOCK_ROOT`, or that of the `rootstock.toml` in this directory.
        program: The program `rootstock`; if not given, the one that came with this package or is on PATH.

    Raises:
        RootstockError: There is no such root, or it cannot be read.
    """
    command = [program or find_program(), "models", "--json"]
    if root is not None:
        command += ["--root", os.fspath(root)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise RootstockError(done.stderr.decode(errors="replace").strip())
    known = Model.__dataclass_fields__
    # A later program may report more.
    return [
        Model(**{key: value for key, value in model.items() if key in known}) for model in json.loads(done.stdout)["models"]
    ]
