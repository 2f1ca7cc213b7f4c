"""The calculator: ASE's interface to a worker. Decides when a step is computed, and by which worker."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes

from . import idle, wire
from .encoding import decode
from .frame import Frame
from .order import Order
from .results import Results
from .worker import ModelError, RootstockError, Worker, WorkerDiedError

#: What may change from step to step of the same system.
_IN_PLACE = frozenset(("positions", "cell"))


class RootstockCalculator(Calculator):
    """Energies, forces and stress of a model that runs in its own environment and its own process.

    The first calculation starts the worker; :meth:`close`, the end of a `with` block, or the end of the calculator ends it. If the
    model is deterministic, all numbers equal those of the same calculator in this process, to the last bit. Some models are not, with
    several threads or on a GPU.

        with RootstockCalculator("mace-mp-0-small", root="/shared/rootstock", device="cuda") as calculator:
            atoms.calc = calculator
            atoms.get_potential_energy()

    Results:
        energy: float, in eV.
        free_energy: float, in eV; the energy if the model has no other.
        forces: shape (atoms, 3), in eV/Å.
        stress: shape (6,), xx, yy, zz, yz, xz, xy in eV/Å³, positive under tension; absent, as in ASE, if there is no volume or
            the model has no stress.
        All other results of the model under its own names: magmoms, charges, dipole, energies, its own arrays. They are fetched
            from the worker when they are accessed, at no cost for the step; a property that the model computes only on request
            is computed then.

    The model gets everything that it may read of the atoms, once and whenever it changes: species, periodicity, initial charges
    and magnetic moments, tags, masses, other arrays of any type, and `atoms.info`: text, numbers, NumPy arrays, lists and
    dictionaries. Any other value of `info` is an error when the model uses it; an array of other objects is an error at once.
    Momenta change in each step of dynamics and are sent only with `momenta=True`. `check_state` reports changes of what ASE's
    calculators compare, and of `info`; a property is computed again whenever the model would get something else.

    A worker outlives its Python and restarts it (`restarts`). If the worker itself is killed, a new one is started and the same
    frame computed again, once. If it ends otherwise, that is an error, and the next calculation starts a new one.

    Several threads may use one calculator, one at a time; several calculators work in parallel. A forked child starts a worker
    of its own.

    A pickle or copy of a calculator has its arguments with absolute paths, its root, its last results, and the generation of the
    environment that computed them, but no worker. It computes with that generation only: if the root has another one, the next
    calculation is an error. In a process, calculators from pickles of the same calculator share one worker and take turns; threads
    that compute at the same time have one each.
    :func:`rootstock.shared` has a calculator that stays.

    Args:
        model: A model of the root, or one of its environments; `ENVIRONMENT:custom` with `weights`.
        root: The root that contains the environments. Without this and `cluster`: `ROOTSTOCK_ROOT`, or the root in `manifest`.
            May have been built by the Python rootstock 1.x.
        cluster: Use root and cache of this cluster of the manifest.
        manifest: The `rootstock.toml` with the clusters; by default the one in the working directory.
        device: The device passed to the environment's `setup()`: `cpu`, `cuda`, `cuda:1`.
        setup_kwargs: More arguments of `setup()`. Must be JSON.
        weights: A file with weights of your own, for `ENVIRONMENT:custom`.
        startup_timeout: Seconds that the model may take to load.
        step_timeout: Seconds that a calculation may take before Python is restarted; None for no limit.
        restarts: How often a worker restarts its Python before it gives up.
        momenta: Send momenta, too, for models that read them; this makes each step of dynamics slower.
        timeout: `startup_timeout` and `step_timeout` at once, as in rootstock 1.x.
        checkpoint: The model, as in rootstock 1.x.
        program: The `rootstock` to run; by default the one that came with this package.

    Raises:
        TypeError: Arguments that contradict each other.
        FileNotFoundError: The weights file is missing.
        ModelNotFoundError: The root has no such model. Where the root is not known before a worker starts, the first calculation
            raises :class:`SetupError`.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]

    def __init__(
        self,
        model: str | None = None,
        *,
        root: str | os.PathLike[str] | None = None,
        cluster: str | None = None,
        manifest: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        setup_kwargs: Mapping[str, Any] | None = None,
        weights: str | os.PathLike[str] | None = None,
        startup_timeout: float = 600.0,
        step_timeout: float | None = None,
        restarts: int = 10,
        momenta: bool = False,
        timeout: float | None = None,
        checkpoint: str | None = None,
        program: str | os.PathLike[str] | None = None,
    ) -> None:
        self._set_up()
        self._take_arguments(
            {
                "model": model,
                "root": root,
                "cluster": cluster,
                "manifest": manifest,
                "device": device,
                "setup_kwargs": setup_kwargs,
                "weights": weights,
                "startup_timeout": startup_timeout,
                "step_timeout": step_timeout,
                "restarts": restarts,
                "momenta": momenta,
                "timeout": timeout,
                "checkpoint": checkpoint,
                "program": program,
            }
        )
        self._order.check()
        self._own = frozenset(vars(self)) | {"_own"}

    def __repr__(self) -> str:
        shown = {name: value for name, value in self._arguments.items() if value is not None and name not in ("model", "checkpoint")}
        defaults = {"device": "cpu", "startup_timeout": 600.0, "restarts": 10, "momenta": False}
        given = [f"{name}={value!r}" for name, value in shown.items() if defaults.get(name) != value]
        return f"{type(self).__name__}({', '.join([repr(self.model), *given])})"

    def _set_up(self) -> None:
        """All but the arguments."""
        Calculator.__init__(self)  # type: ignore[no-untyped-call]
        # ASE stores this bound method: a reference cycle that would keep the worker alive until garbage collection.
        vars(self).pop("get_spin_polarized", None)
        self._arguments: dict[str, Any] = {}
        self._origin: dict[str, Any] = {}
        # Of a pickle: the generation that computed its results, and the key by which its workers are kept.
        self._generation: str | None = None
        self._key: str | None = None
        self._worker: Worker | None = None
        self._has_origin = False
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._frame: Frame | None = None
        self._computed = False
        # Further results that were fetched: all that exist (""), and those computed on request.
        self._fetched: set[str] = set()
        self._fetch_results = _fetcher(weakref.ref(self))
        self._lock = threading.RLock()
        _calculators.add(self)

    # ASE's interface.

    def get_property(self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True) -> Any:
        """One result for these atoms, computed if necessary.

        Raises:
            PropertyNotImplementedError: The model, or this system, has no such property.
            ModelError: The model raised an exception.
            WorkerDiedError: The worker ended.
        """
        with self._lock:
            changes = [] if atoms is None else self.check_state(atoms)
            # Changes that ASE does not compare do not discard results that are only written: these may just have been stored
            # in an array of the same atoms.
            if changes or not self._computed or (allow_calculation and atoms is not None and self._frame.further_changes):  # type: ignore[union-attr]
                if not allow_calculation:
                    return None
                self._calculate(atoms, changes)
            results = self.results
            if not dict.__contains__(results, name):
                # Energy, forces and stress are sent with each step, or do not exist.
                if name not in ("energy", "forces", "stress"):
                    self._fetch(name if allow_calculation else "")
                    results = self.results
                if not dict.__contains__(results, name):
                    raise PropertyNotImplementedError(f"there is no {name} for this system in the model {self.model}")
            result = results[name]
            return result.copy() if isinstance(result, np.ndarray) else result

    def check_state(self, atoms: Atoms, tol: float = 0.0) -> list[str]:
        """What differs, in any bit, from the atoms computed last: as ASE's `compare_atoms`, and `info`."""
        return list(all_changes) if self._frame is None else self._frame.changes(atoms)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy", "forces", "stress"),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute these atoms: all results at once, regardless of `properties`.

        Raises:
            ModelError: The model raised an exception.
            WorkerDiedError: The worker ended.
            RootstockError: The worker could not be started.
        """
        with self._lock:
            self._calculate(atoms, [] if atoms is None else self.check_state(atoms))

    def set(self, **arguments: Any) -> dict[str, Any]:
        """Change arguments of the constructor, such as `device`. The next calculation starts a worker with them.

        Returns:
            The arguments that have changed.

        Raises:
            TypeError: Unknown arguments, or arguments that contradict each other.
        """
        # ASE's constructor calls this, too.
        if not arguments:
            return {}
        with self._lock:
            if unknown := arguments.keys() - self._arguments.keys():
                raise TypeError(f"a RootstockCalculator has no arguments {sorted(unknown)}; it has {sorted(self._arguments)}")
            changed = {name: value for name, value in arguments.items() if value != self._arguments[name]}
            if changed:
                # `model` and `checkpoint` are the same argument.
                other = {"model": "checkpoint", "checkpoint": "model"}
                renamed = {other[name]: None for name in changed if name in other and changed[name] is not None}
                self._take_arguments({**self._arguments, **renamed, **changed})
                self.reset()
                self.close()
                self._origin, self._generation, self._key = {}, None, None
            return changed

    def todict(self, skip_default: bool = True) -> dict[str, Any]:
        """What ASE stores beside the numbers in trajectories and databases: model, device and arguments, and the last worker's
        environment, generation and sha256 of each weight file.
        """
        with self._lock:
            return {**self._described, **self._origin}

    def reset(self) -> None:
        """Discard the last results; the worker goes on."""
        with self._lock:
            super().reset()  # type: ignore[no-untyped-call]
            self._frame, self._computed = None, False

    # The worker.

    def close(self) -> None:
        """End the worker. The next calculation starts another."""
        with self._lock:
            self._fetch_all()
            if self._worker is not None:
                self._detach().close()

    def __enter__(self) -> RootstockCalculator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def __reduce_ex__(self, protocol: Any) -> Any:
        with self._lock:
            self._fetch_all()
            frame = self._frame
            state = {
                "more": {name: value for name, value in vars(self).items() if name not in self._own},
                "order": self._order.elsewhere(),
                "arguments": self._arguments,
                "origin": self._origin,
                "atoms": None if frame is None else frame.atoms.copy(),  # type: ignore[no-untyped-call]
                "results": dict(dict.items(self.results)) if self._computed else None,
                "fetched": self._fetched,
            }
        return _restored, (type(self), state)

    def _restore(self, state: dict[str, Any]) -> None:
        """Take over what `__reduce_ex__` returned."""
        self._set_up()
        self._take_arguments({**state["arguments"], **state["order"].paths()}, state["order"])
        self._own = frozenset(vars(self)) | {"_own"}
        # Attributes of a subclass.
        vars(self).update(state["more"])
        self._origin = state["origin"]
        self._generation = self._origin.get("generation")
        self._key = repr((self._order, self._generation))
        if state["atoms"] is not None:
            self._take(state["atoms"], [])
        if state["results"] is not None:
            self._set_results(state["results"])
            self._fetched = state["fetched"]

    def _fetch_all(self) -> None:
        """Fetch all results, which are gone with the worker."""
        if self._worker is not None:
            with contextlib.suppress(OSError, RootstockError):
                self._fetch("", again=False)

    def _take_arguments(self, arguments: dict[str, Any], checked: Order | None = None) -> None:
        """Check arguments and use them for the next worker; changes nothing if they are wrong."""
        self._order = order = checked or Order.of(arguments)
        self.model, self._momenta, self._arguments = order.model, arguments["momenta"], arguments
        self._described = order.described()
        self.parameters.clear()
        self.parameters.update(self._described)

    def _fetch_origin(self) -> None:
        """Ask a new worker for the origin of its numbers."""
        assert self._worker is not None
        self._origin = {}
        if self._worker.connection.dialect is wire.OURS:
            self._origin = self._ask("GETORIGIN")
            self._raise_error_text(self._origin)
        self._has_origin = True
        generation = self._origin.get("generation")
        if self._generation is not None and generation != self._generation:
            self._origin = {}
            raise RootstockError(
                f"the environment of {self.model} is of another generation, {generation}, than the one that computed the results of "
                f"this calculator before it was pickled or copied, {self._generation}: numbers of both would be mixed. "
                "Make a new calculator to compute with the environment as it is now"
            )

    def _calculate(self, atoms: Atoms | None, changes: list[str]) -> None:
        self.results, self._computed = {}, False
        frame = self._take(atoms, changes)
        answer = self._compute(frame)
        if answer.more:
            self._raise_error(answer)
        known = {"energy": answer.energy, "free_energy": answer.energy, "forces": answer.forces}
        stress = self._stress(frame, answer)
        if stress is not None:
            known["stress"] = stress
        if answer.more:
            for name, value in answer.more.items():
                known[name] = np.array(value) if isinstance(value, list) else value
            if known["free_energy"] is None:
                # The model computes it on request.
                del known["free_energy"]
        self._set_results(known)

    def _set_results(self, known: dict[str, Any]) -> None:
        self.results = results = Results(known)
        results._fetch = self._fetch_results
        self._computed, self._fetched = True, set()

    def _fetch(self, name: str, again: bool = True) -> None:
        """Fetch all further results, with the one of this name computed if necessary.

        Args:
            name: The name of a result; empty for those that exist.
            again: Compute the frame again if the Python that computed it has ended.
        """
        if not self._computed or name in self._fetched or (self._worker is None and not (name and again)):
            return
        assert self._frame is not None
        for _ in range(3):
            if self._worker is None:
                self._raise_error(self._compute(self._frame))
            assert self._worker is not None
            if self._worker.connection.dialect is not wire.OURS:
                return
            try:
                fetched = self._ask("GETRESULTS", name)
            except WorkerDiedError as death:
                if not again:
                    return
                if not death.killed:
                    raise
                continue
            if not fetched.get("gone"):
                break
            if not again:
                return
            self._raise_error(self._compute(self._frame))
        else:
            raise RootstockError(f"the worker of {self.model} dies whenever it is asked for {name or 'further results'}")
        if fetched.get("kind") in ("PropertyNotImplementedError", "NotImplementedError"):
            # The same as a model without it.
            self._fetched.add(name)
            return
        self._raise_error_text(fetched)
        for key, value in decode(fetched["results"]).items():
            if not dict.__contains__(self.results, key):
                self.results[key] = value
        self._fetched |= {"", name}

    def _ask(self, request: str, name: str | None = None) -> dict[str, Any]:
        """Send the worker a request between two steps."""
        using = self._worker
        assert using is not None
        try:
            return using.connection.ask(request, name)
        except OSError as error:
            raise self._lost() from error
        except BaseException as error:
            self._detach()
            using.kill()
            if isinstance(error, wire.Garbled):
                raise RootstockError(f"the worker of {self.model} does not answer as a worker: {error}") from error
            raise

    def _raise_error(self, answer: wire.Answer) -> None:
        self._raise_error_text(answer.more)

    def _raise_error_text(self, answer: Mapping[str, Any]) -> None:
        if "error" not in answer:
            return
        if answer.get("kind") == "WorkerDied":
            raise self._lost()
        raise ModelError(str(answer.get("kind", "Exception")), str(answer["error"]))

    def _take(self, atoms: Atoms | None, changes: list[str]) -> Frame:
        """Make these the atoms for `check_state` to compare with."""
        if atoms is not None:
            if self._frame is not None and _IN_PLACE.issuperset(changes) and not self._frame.further_changes:
                self._frame.move(atoms)
            else:
                self._frame = None
                self._frame = Frame(atoms, self._momenta)
                self.atoms = self._frame.atoms
        if self._frame is None:
            raise RootstockError("there are no atoms to compute")
        return self._frame

    def _compute(self, frame: Frame) -> wire.Answer:
        """Have a frame computed, by a second worker if the first was killed."""
        for last in (False, True):
            if self._worker is None:
                self._start()
            using = self._worker
            assert using is not None
            using.is_busy = True
            try:
                text = frame.text(using.connection.dialect)
                answer = using.connection.step(text, frame.cell, frame.positions)
                # A worker that cannot start sends the reason in place of an answer.
                using.has_answered = using.has_answered or answer.more.get("kind") != "WorkerDied"
                if not self._has_origin and "error" not in answer.more:
                    self._fetch_origin()
                return answer
            except OSError as error:
                death = self._lost()
                if last or not death.killed:
                    raise death from error
            except BaseException as error:
                # Interrupted: its next message would be taken for the answer to another request.
                self._detach()
                using.kill()
                if isinstance(error, wire.Garbled):
                    raise RootstockError(f"the worker of {self.model} does not answer as a worker: {error}") from error
                raise
            finally:
                using.is_busy = False
        raise AssertionError("the second try ends one way or the other")

    def _start(self) -> None:
        """Start a worker, or take over one that a calculator from the same pickle does not need now."""
        key, worker = self._key, None
        if key is not None:
            worker = idle.take(key)
            idle.hold(key, self)
        self._worker, self._has_origin = worker or self._order.start(), False
        # Ends the worker with its calculator, or with the interpreter.
        if key is None:
            self._finalizer = weakref.finalize(self, self._worker.close)
        else:
            self._finalizer = weakref.finalize(self, idle.put, key, self._worker)

    def hand_over(self) -> Worker | None:
        """Give the worker to another calculator from the same pickle, unless it is computing; all results are fetched first."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if self._worker is not None and not self._worker.is_busy:
                self._fetch_all()
            return None if self._worker is None or self._worker.is_busy else self._detach()
        finally:
            self._lock.release()

    def _stress(self, frame: Frame, answer: wire.Answer) -> wire.Array | None:
        tensor = answer.tensor
        assert self._worker is not None
        if self._worker.connection.dialect is wire.FROZEN:
            # It sends zero if it has none, and it has none without a volume.
            if frame.atoms.cell.rank < 3 or not frame.atoms.pbc.any():
                return None
            volume = frame.atoms.cell.volume
            tensor = tuple(value / -volume for value in tensor)
        xx, xy, xz, _, yy, yz, _, _, zz = tensor
        return None if math.isnan(xx) else np.array((xx, yy, zz, yz, xz, xy))

    def _detach(self) -> Worker:
        """Give up the worker; the next calculation starts another."""
        assert self._worker is not None and self._finalizer is not None
        idle.release(self)
        worker, self._worker = self._worker, None
        self._finalizer.detach()
        return worker

    def _lost(self) -> WorkerDiedError:
        return self._detach().died()

    def _forked(self) -> None:
        # Another thread of the parent may have held it.
        self._lock = threading.RLock()
        if self._worker is not None:
            self._detach().abandon()


def _restored(kind: type[RootstockCalculator], state: dict[str, Any]) -> RootstockCalculator:
    """A calculator from a pickle."""
    calculator = kind.__new__(kind)
    calculator._restore(state)
    return calculator


def _fetcher(calculator: weakref.ref[RootstockCalculator]) -> Callable[[Results], None]:
    """Fetches further results while they are this calculator's last; they do not keep it alive."""

    def fetch(results: Results) -> None:
        owner = calculator()
        if owner is not None and results is owner.results:
            with owner._lock:
                owner._fetch("")

    return fetch


_calculators: weakref.WeakSet[RootstockCalculator] = weakref.WeakSet()


def _abandon_workers() -> None:
    for calculator in list(_calculators):
        calculator._forked()


os.register_at_fork(after_in_child=_abandon_workers)
