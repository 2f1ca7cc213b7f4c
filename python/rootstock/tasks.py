"""Structures in the processes of an executor: what its tasks do, and how the structures are divided among them.

Each process has one worker for an evaluation's arguments, which is kept from task to task and ends with the process.
"""

from __future__ import annotations

import atexit
import collections
import os
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import replace
from typing import Any

from ase import Atoms

from .evaluating import RESTARTS, Done, Window
from .pipe import Pipe, Plan
from .worker import WorkerDiedError

#: Seconds that a task should take, and how many structures it has at most.
TASK, LONGEST = 0.25, 256
#: How many tasks are under way if an executor does not say how many processes it has.
TASKS = 64

#: What a task gets, and what it returns: heads and bytes, the origin, and how long it took.
Given = list[tuple[int, int, bytes]]
Returned = tuple[list[tuple[dict[str, Any], bytes]], dict[str, Any], float]


def spread(images: Iterable[Atoms], plan: Plan, executor: Executor) -> Iterator[Done]:
    """Evaluate in the processes of an executor."""
    window, running = Window(images), collections.deque[Future[Returned]]()
    processes = getattr(executor, "_max_workers", None)
    most = 2 * processes if isinstance(processes, int) else TASKS
    plan = replace(plan, workers=1, variables=_threads(processes))
    size = int(plan.batch) if plan.batch != "auto" else 1
    try:
        while True:
            while window.is_ready:
                yield window.first()
            if window.is_empty and window.has_ended:
                return
            while len(running) < most and window.has_room:
                if given := _given(window, size):
                    running.append(executor.submit(compute, plan, given))
            if not running:
                continue
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                running.remove(done)
                answers, origin, seconds = done.result()
                for head, packed in answers:
                    window.answer(head, packed, origin)
                if plan.batch == "auto" and answers:
                    size = max(1, min(LONGEST, 2 * size, round(TASK * len(answers) / max(seconds, 1e-6))))
    finally:
        for future in running:
            future.cancel()


def _given(window: Window, size: int) -> Given:
    given: Given = []
    while len(given) < size and window.has_room:
        if (taken := window.take()) is not None:
            number, atoms, packed = taken
            given.append((number, len(atoms), packed))
    return given


def _threads(processes: object) -> dict[str, str]:
    """The threads of each of so many processes of this machine, unless the user has set a number."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    if not isinstance(processes, int) or any(os.environ.get(name) for name in names):
        return {}
    threads = max(1, len(os.sched_getaffinity(0)) // processes)
    return {name: str(threads) for name in names}


def compute(plan: Plan, given: Given) -> Returned:
    """A task: evaluates structures with the worker of this process."""
    begun = time.monotonic()
    with _lock:
        for tries in range(RESTARTS + 1):
            pipe = _pipes.get(repr(plan)) or _opened(plan)
            try:
                answers = _answers(pipe, given)
                return answers, pipe.origin, time.monotonic() - begun
            except WorkerDiedError as died:
                _pipes.pop(repr(plan), None)
                if not died.killed or tries == RESTARTS:
                    raise
            except BaseException:
                # Its next answer would be taken for that to another task.
                _pipes.pop(repr(plan), None)
                pipe.close()
                raise
    raise AssertionError("the last try ends one way or the other")


def _answers(pipe: Pipe, given: Given) -> list[tuple[dict[str, Any], bytes]]:
    answers: list[tuple[dict[str, Any], bytes]] = []
    for number, atoms, packed in given:
        pipe.send(number, atoms, packed)
    while len(answers) < len(given):
        answers += pipe.exchange(wait=True)
    return answers


def _opened(plan: Plan) -> Pipe:
    pipe = _pipes[repr(plan)] = Pipe(plan)
    return pipe


_pipes: dict[str, Pipe] = {}
_lock = threading.Lock()


def _ended() -> None:
    for pipe in _pipes.values():
        pipe.close()
    _pipes.clear()


def _forked() -> None:
    global _lock
    # Another thread of the parent may have held it.
    _lock = threading.Lock()
    for pipe in _pipes.values():
        pipe.abandon()
    _pipes.clear()


atexit.register(_ended)
os.register_at_fork(after_in_child=_forked)
