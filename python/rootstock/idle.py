"""Workers that calculators from the same pickle share in a process: idle ones, and those of a calculator that is not computing.

Only for calculators that came here by pickle, of which a workflow engine makes one for each task. Starts no worker.
"""

from __future__ import annotations

import atexit
import os
import weakref
from typing import Protocol

from .worker import Worker


class Holder(Protocol):
    """A calculator that has a worker."""

    def hand_over(self) -> Worker | None:
        """Its worker, unless it is computing."""


#: Workers that are kept; the one that has waited longest is ended first. Each holds a model in memory.
KEPT = 4

# Dictionaries and lists are changed by single operations: a garbage collection in any thread may call `put`.
_idle: list[tuple[str, Worker]] = []
_holders: dict[int, tuple[str, weakref.ref[Holder]]] = {}
_ended = False


def put(key: str, worker: Worker) -> None:
    """Keep a worker for the next calculator; called when its calculator has gone."""
    if _ended:
        worker.close()
    else:
        _idle.append((key, worker))


def take(key: str) -> Worker | None:
    """The worker with this key that was kept last, or that a calculator does not need now; None if there is none."""
    found = None
    for entry in reversed(_idle.copy()):
        if entry[0] == key and found is None and _remove(entry):
            if entry[1].process.poll() is None:
                found = entry[1]
            else:
                entry[1].close()
    while len(_idle) > KEPT:
        _idle.pop(0)[1].close()
    return found or _from_holder(key)


def hold(key: str, holder: Holder) -> None:
    """This calculator has a worker with this key."""
    _holders[id(holder)] = key, weakref.ref(holder)


def release(holder: Holder) -> None:
    """It has none any more."""
    _holders.pop(id(holder), None)


def _from_holder(key: str) -> Worker | None:
    for place, (its_key, reference) in list(_holders.items()):
        holder = reference()
        if holder is None:
            _holders.pop(place, None)
        elif its_key == key:
            worker = holder.hand_over()
            if worker is not None:
                return worker
    return None


def _remove(entry: tuple[str, Worker]) -> bool:
    """Whether it was there: another thread may have taken it."""
    try:
        _idle.remove(entry)
    except ValueError:
        return False
    return True


def _end() -> None:
    global _ended
    _ended = True
    while _idle:
        _idle.pop()[1].close()


def _abandon() -> None:
    while _idle:
        _idle.pop()[1].abandon()


atexit.register(_end)
os.register_at_fork(after_in_child=_abandon)
