"""Machine-learning interatomic potentials, each in its own reproducible environment, as ASE calculators.

The program `rootstock`, which comes with this package, builds the environments.
"""

from .calculator import RootstockCalculator, shared
from .worker import ModelError, RootstockError, WorkerDiedError

__all__ = ["ModelError", "RootstockCalculator", "RootstockError", "WorkerDiedError", "shared"]
