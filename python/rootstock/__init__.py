"""Machine-learning interatomic potentials and other code, each in its own reproducible environment, from any Python.

`RootstockCalculator` is a model as a calculator of ASE; `evaluate` computes many structures in several processes. `Environment` calls functions of an environment; it needs neither ASE nor
NumPy, and Python 3.8 or later. The program `rootstock`, which comes with this package, builds the environments.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from .catalogue import Model, models
from .environment import Environment
from .errors import ModelNotFoundError, RemoteError, RootstockError

if TYPE_CHECKING:
    from .calculator import RootstockCalculator
    from .evaluating import EvaluationError, evaluate
    from .sharing import shared
    from .worker import ModelError, SetupError, WorkerDiedError

    __version__: str

__all__ = [
    "Environment",
    "EvaluationError",
    "Model",
    "ModelError",
    "ModelNotFoundError",
    "RemoteError",
    "RootstockCalculator",
    "RootstockError",
    "SetupError",
    "WorkerDiedError",
    "__version__",
    "evaluate",
    "models",
    "shared",
]

#: What needs ASE and NumPy is imported when it is used.
_LATER = {
    "EvaluationError": ".evaluating",
    "ModelError": ".worker",
    "RootstockCalculator": ".calculator",
    "SetupError": ".worker",
    "WorkerDiedError": ".worker",
    "evaluate": ".evaluating",
    "shared": ".sharing",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from .program import version

        return version()
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if sys.version_info < (3, 10):
        raise ImportError(f"`rootstock.{name}` needs Python 3.10 or later; `rootstock.Environment` needs 3.8")
    return getattr(importlib.import_module(_LATER[name], __name__), name)
