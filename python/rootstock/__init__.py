"""Machine-learning interatomic potentials, each in its own reproducible environment, as ASE calculators.

The environments are built by the program of the same name, which comes with this package.
"""

from .calculator import ModelError, RootstockCalculator
from .worker import RootstockError, WorkerDiedError

__all__ = ["ModelError", "RootstockCalculator", "RootstockError", "WorkerDiedError"]
