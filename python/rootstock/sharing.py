"""One calculator for a process: what functions of a workflow engine use again and again. Starts no worker."""

from __future__ import annotations

import os
import threading
from typing import Any

from .calculator import RootstockCalculator

_shared: dict[str, RootstockCalculator] = {}
_lock = threading.Lock()


def shared(model: str, **arguments: Any) -> RootstockCalculator:
    """The calculator of this process for this model and these arguments, for functions that a workflow engine calls again and
    again: the model is loaded once in each process.

        def energy(atoms):
            atoms.calc = rootstock.shared("mace-mp-0-small", root="/shared/rootstock")
            return atoms.get_potential_energy()

    Its worker ends with the process, or by :meth:`RootstockCalculator.close`. Threads may use it, one at a time; a forked child
    starts a worker of its own.

    Args:
        model: As of :class:`RootstockCalculator`.
        arguments: As of :class:`RootstockCalculator`.

    Raises:
        TypeError: Arguments that contradict each other.
        FileNotFoundError: The weights file is missing.
    """
    made = RootstockCalculator(model, **arguments)
    key = repr((made._order.elsewhere(), made._momenta))
    with _lock:
        return _shared.setdefault(key, made)


def _forked() -> None:
    global _lock
    # Another thread of the parent may have held it.
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forked)
