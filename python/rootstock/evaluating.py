"""Many structures at once: `evaluate`, an iterator over structures with their results."""

from __future__ import annotations

import collections
import os
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from . import frozen, packing
from .encoding import Unsendable
from .errors import RootstockError
from .order import Order
from .pipe import Pipe, Plan
from .worker import ModelError, WorkerDiedError

#: How many structures, and how many bytes of them, are on their way at most.
MOST, MOST_BYTES = 4096, 32 << 20
#: How many structures are taken from the caller before results are looked for.
TAKEN = 32
#: How often a program that was killed is started again.
RESTARTS = 3


class EvaluationError(ModelError):
    """A structure could not be evaluated.

    Attributes:
        index: Its number, counted from 0.
        kind: The class of the exception in the model; or `killed`, `exited`, `timeout`.
        message: What is wrong.
        traceback: The traceback in the worker, or what its process has printed last; may be empty.
    """

    def __init__(self, index: int, kind: str, message: str, traceback: str) -> None:
        self.index, self.message = index, message
        super().__init__(kind, traceback)
        self.args = (f"structure {index}: {message}" + (f"\n\n{traceback.rstrip()}" if traceback else ""),)

    def __reduce__(self) -> Any:
        return type(self), (self.index, self.kind, self.message, self.traceback)


class Evaluated(SinglePointCalculator):
    """The results of a structure and their origin: model, device, environment, generation, sha256 of each weight file."""

    name = "rootstock"

    def __init__(self, atoms: Atoms, results: Mapping[str, Any], origin: Mapping[str, Any]) -> None:
        super().__init__(atoms)  # type: ignore[no-untyped-call]
        self.results = dict(results)
        self.parameters.update(origin)

    def todict(self, skip_default: bool = True) -> dict[str, Any]:
        """What ASE stores beside the numbers."""
        return dict(self.parameters)


def evaluate(
    images: Iterable[Atoms],
    model: str,
    *,
    workers: int | None = None,
    devices: str | Sequence[str] | None = None,
    properties: Sequence[str] | None = None,
    batch: int | str = "auto",
    on_error: str = "raise",
    executor: Executor | None = None,
    progress: bool | Callable[[int], None] = False,
    root: str | os.PathLike[str] | None = None,
    cluster: str | None = None,
    manifest: str | os.PathLike[str] | None = None,
    setup_kwargs: Mapping[str, Any] | None = None,
    weights: str | os.PathLike[str] | None = None,
    startup_timeout: float = 600.0,
    step_timeout: float | None = None,
    program: str | os.PathLike[str] | None = None,
) -> Iterator[Any]:
    """Evaluate structures with a model, in several processes; yields copies of them, in their order, that carry their results.

        for atoms in rootstock.evaluate(structures, "mace-mp-0-small", root="/shared/rootstock"):
            atoms.get_potential_energy()

    Structures are taken from the iterable only as needed, at most 4096 or 32 MiB of them before their results are yielded, so that a
    generator of a million needs little memory. A process that dies is replaced, and its structures are given to another one; a
    structure with which two have died is an error. Constraints are kept, and forces are those of the model, as `get_forces(apply_constraint=
    False)` returns them.

    Args:
        images: The structures: a list, or anything that yields them.
        model: A model of the root, or one of its environments; `ENVIRONMENT:custom` with `weights`.
        workers: Processes; by default one for each device or, without a GPU, for each processor of this task (its affinity, its
            control group, `SLURM_CPUS_PER_TASK`), among which the threads are divided.
        devices: `cpu`, `cuda`, or a list such as `["cuda:0", "cuda:1"]`, which the workers get in turn. By default all that torch
            sees in the environment; with an `executor`, `cpu`.
        properties: Names of results; by default energy, forces and, where there is one, stress.
        batch: How many structures are computed at once, where the environment has `setup_batch`; `auto` for as many as pay. Numbers may
            differ in their last digits with the size.
        on_error: `raise` the :class:`EvaluationError` of a structure in its turn, or `return` it in place of the structure and go on.
        executor: Any executor of `concurrent.futures`: a process pool, Dask's `client.get_executor()`, Parsl's, mpi4py's,
            executorlib's. Each of its processes gets one worker, which stays until the process ends.
        progress: True prints how many are done to standard error; a function is called with this number.
        root: As of :class:`RootstockCalculator`, and so the others.

    Yields:
        Atoms; their calculator has the results, and their origin (`atoms.calc.todict()`).

    Raises:
        EvaluationError: A structure could not be evaluated.
        WorkerDiedError: The program could not load the model, or has ended.
        TypeError: Arguments that contradict each other.
    """
    if on_error not in ("raise", "return"):
        raise ValueError("`on_error` is `raise` or `return`")
    if workers is not None and (not isinstance(workers, int) or workers < 1):
        raise ValueError("`workers` is a number from 1 on")
    if batch != "auto" and (not isinstance(batch, int) or batch < 1):
        raise ValueError("`batch` is a number from 1 on, or `auto`")
    if isinstance(images, Atoms):
        raise TypeError("`images` is an iterable of Atoms, not one: write `[atoms]`")
    if executor is not None and workers is not None:
        raise TypeError("an `executor` has its own processes: leave `workers` out")
    device = devices if isinstance(devices, str) else ",".join(devices or ())
    arguments = {
        "model": model,
        "checkpoint": None,
        "root": root,
        "cluster": cluster,
        "manifest": manifest,
        "device": device or "auto",
        "setup_kwargs": setup_kwargs,
        "weights": weights,
        "startup_timeout": startup_timeout,
        "step_timeout": step_timeout,
        "restarts": 0,
        "timeout": None,
        "program": program,
    }
    order = Order.of(arguments).elsewhere()
    if order.root and frozen.built(order.root):
        raise RootstockError("the root was built by the Python rootstock 1.x: use `RootstockCalculator`, or build it with `rootstock sync`")
    plan = Plan(
        order=order,
        workers=workers,
        device=device or ("cpu" if executor is not None else "auto"),
        batch=str(batch),
        properties=None if properties is None else tuple(properties),
    )
    if executor is None:
        done = _here(images, plan)
    else:
        from . import tasks

        done = tasks.spread(images, plan, executor)
    return _yielded(done, model, on_error, _watcher(progress))


#: A structure, the answer to it, its bytes, and the origin of these.
Done = tuple[int, Atoms, dict[str, Any], bytes, dict[str, Any]]


def _yielded(done: Iterator[Done], model: str, on_error: str, watch: Callable[[int], None]) -> Iterator[Any]:
    try:
        for number, atoms, head, packed, origin in done:
            failure = head.get("failure")
            if failure is None:
                atoms.calc = Evaluated(atoms, packing.results(packed), {"model": model, **origin})
                result: Any = atoms
            else:
                text = failure["message"] + (f" ({failure['hint']})" if failure.get("hint") else "")
                result = EvaluationError(number, failure["type"], text, failure["traceback"])
                if on_error == "raise":
                    raise result
            yield result
            watch(number + 1)
    finally:
        done.close()  # type: ignore[attr-defined]


class Window:
    """The structures that are on their way, in their order."""

    def __init__(self, images: Iterable[Atoms]) -> None:
        self._images = iter(images)
        self._waiting: collections.deque[tuple[int, Atoms, int]] = collections.deque()
        self._answers: dict[int, tuple[dict[str, Any], bytes, dict[str, Any]]] = {}
        self._bytes = 0
        self._number = 0
        self.has_ended = False

    @property
    def has_room(self) -> bool:
        return not self.has_ended and len(self._waiting) < MOST and self._bytes < MOST_BYTES

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    @property
    def is_ready(self) -> bool:
        """Whether the next structure has its answer."""
        return bool(self._waiting) and self._waiting[0][0] in self._answers

    def take(self) -> tuple[int, Atoms, bytes] | None:
        """The next structure, packed; None if there is none, or it cannot be sent."""
        try:
            atoms = next(self._images)
        except StopIteration:
            self.has_ended = True
            return None
        if not isinstance(atoms, Atoms):
            raise TypeError(f"structure {self._number} is of class {type(atoms).__name__}, not Atoms")
        number, self._number = self._number, self._number + 1
        # The caller may change the same atoms and yield them again.
        copy = atoms.copy()  # type: ignore[no-untyped-call]
        try:
            packed = packing.pack(copy)
        except Unsendable as error:
            self._waiting.append((number, copy, 0))
            self.answer({"index": number, "failure": {"type": "Unsendable", "message": str(error), "traceback": ""}}, b"", {})
            return None
        self._waiting.append((number, copy, len(packed)))
        self._bytes += len(packed)
        return number, copy, packed

    def answer(self, head: dict[str, Any], packed: bytes, origin: dict[str, Any]) -> None:
        self._answers[head["index"]] = head, packed, origin

    def first(self) -> Done:
        """The next structure and its answer."""
        number, atoms, size = self._waiting.popleft()
        self._bytes -= size
        return number, atoms, *self._answers.pop(number)

    def unanswered(self) -> Iterator[tuple[int, Atoms, bytes]]:
        """All structures without an answer."""
        for number, atoms, _ in self._waiting:
            if number not in self._answers:
                yield number, atoms, packing.pack(atoms)


def _here(images: Iterable[Atoms], plan: Plan) -> Iterator[Done]:
    """Evaluate in processes of this machine."""
    window, restarts = Window(images), 0
    pipe: Pipe | None = None
    try:
        while True:
            while window.is_ready:
                yield window.first()
            if window.is_empty and window.has_ended:
                return
            if pipe is None:
                pipe = Pipe(plan)
                _pipes.add(pipe)
                for number, atoms, packed in window.unanswered():
                    pipe.send(number, len(atoms), packed)
            for _ in range(TAKEN):
                if not window.has_room or pipe.is_full:
                    break
                if (taken := window.take()) is not None:
                    number, atoms, packed = taken
                    pipe.send(number, len(atoms), packed)
            if window.is_ready or (window.is_empty and window.has_ended):
                continue
            try:
                answers = pipe.exchange(wait=pipe.is_full or not window.has_room)
            except WorkerDiedError as died:
                pipe = None
                restarts += 1
                if not died.killed or restarts > RESTARTS:
                    raise
                continue
            for head, packed in answers:
                window.answer(head, packed, pipe.origin)
                restarts = 0
    finally:
        if pipe is not None:
            pipe.close()


def _watcher(progress: bool | Callable[[int], None]) -> Callable[[int], None]:
    if callable(progress):
        return progress
    if not progress:
        return lambda done: None
    begun, printed = time.monotonic(), [0.0]
    every = 0.5 if sys.stderr.isatty() else 60.0

    def show(done: int) -> None:
        seconds = time.monotonic() - begun
        if seconds - printed[0] >= every:
            printed[0] = seconds
            end = "\r" if sys.stderr.isatty() else "\n"
            print(f"{done} structures, {done / seconds:.1f}/s", end=end, file=sys.stderr, flush=True)

    return show


_pipes: weakref.WeakSet[Pipe] = weakref.WeakSet()


def _forked() -> None:
    for pipe in list(_pipes):
        pipe.abandon()


os.register_at_fork(after_in_child=_forked)
