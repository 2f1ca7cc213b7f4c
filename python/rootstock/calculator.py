"""The calculator: ASE's interface to a worker. Decides when something has to be computed, and by which worker."""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import (
    CalculationFailed,
    Calculator,
    PropertyNotImplementedError,
    all_changes,
)

from . import wire
from .encoding import decode
from .frame import Frame
from .order import Order
from .results import Results
from .worker import RootstockError, Worker, WorkerDiedError

#: What may differ from step to step of the same system.
_IN_PLACE = frozenset(("positions", "cell"))


class ModelError(RootstockError, CalculationFailed):
    """The model raised an exception, or computed what is no result. Its worker is as good as before.

    Attributes:
        kind: The name of the exception's class in the worker.
        traceback: The worker's traceback, as text.
    """

    def __init__(self, kind: str, traceback: str) -> None:
        self.kind, self.traceback = kind, traceback
        super().__init__(f"{kind} in the worker:\n\n{traceback.rstrip()}")


class RootstockCalculator(Calculator):
    """Energies, forces and stress of a model that runs in its own environment, in a process of its own.

    The worker is started by the first calculation, and ended by :meth:`close`, by the end of a `with` block, or with the
    calculator. Numbers are those of the same calculator in this process, to the last bit if the model is deterministic; one that is
    not, as some are with several threads or on a GPU, differs as it does from itself.

        with RootstockCalculator("mace-mp-0-small", root="/shared/rootstock", device="cuda") as calculator:
            atoms.calc = calculator
            atoms.get_potential_energy()

    Results:
        energy: float, in eV.
        free_energy: float, in eV; the energy where the model has no other.
        forces: shape (atoms, 3), in eV/Å.
        stress: shape (6,), xx, yy, zz, yz, xz, xy in eV/Å³, positive under tension; absent, as ASE has it, where there is no
            volume or the model has no stress.
        Everything else that the model computes, under the names that it uses: magmoms, charges, dipole, energies, arrays of its own.
            It is fetched from the worker when somebody looks for it, so that a step costs no more for it; a property that the model
            only computes when it is asked for is computed then.

    Everything that a model may read of its atoms is sent to it, once and again where it changes: species, periodicity, initial
    charges and magnetic moments, tags, masses, other arrays of any type, and `atoms.info`: text, numbers, NumPy arrays, lists and
    dictionaries. Another value of `info` is an error where the model uses it; an array of other objects is one at once. Momenta
    change with each step of dynamics and are only sent if `momenta` says so. What ASE's calculators follow, and `info`, counts as a
    change for `check_state`; a property that is asked for is computed anew wherever the model would be sent something else.

    A worker outlives its Python, and starts it again (`restarts`). If the worker itself is killed, a new one is started and
    the same frame computed again, once. Otherwise its death is an error, and the next calculation starts a new one.

    One calculator may be used by several threads, one at a time; several calculators work side by side. A forked child starts
    a worker of its own. A calculator cannot be pickled.

    Args:
        model: A model of the root, or one of its environments; `ENVIRONMENT:custom` with `weights`.
        root: Where the environments are. If neither this nor `cluster` is given: `ROOTSTOCK_ROOT`, or what `manifest` says.
            May be one that the Python rootstock 1.x has built.
        cluster: Use root and cache of this cluster of the manifest.
        manifest: The `rootstock.toml` that names the clusters; the one in the working directory if not given.
        device: What the environment's `setup()` is told: `cpu`, `cuda`, `cuda:1`.
        setup_kwargs: More arguments of `setup()`. Must be JSON.
        weights: A file with weights of your own, with `ENVIRONMENT:custom`.
        startup_timeout: Seconds that the model may take to load.
        step_timeout: Seconds that a calculation may take, before Python counts as hanging and is started again; None for ever.
        restarts: How often a worker starts its Python again before it gives up.
        momenta: Send momenta, too, for models that read them: a message with all that was changed at each step of dynamics.
        timeout: `startup_timeout` and `step_timeout` at once, as in rootstock 1.x.
        checkpoint: The model, as in rootstock 1.x.
        program: The `rootstock` to run; the one that came with this package if not given.

    Raises:
        TypeError: Arguments that contradict each other.
        FileNotFoundError: There is no such weights file.
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
        super().__init__()  # type: ignore[no-untyped-call]
        # ASE binds this method to its object, which would then, and with it a worker, wait for the garbage collector.
        vars(self).pop("get_spin_polarized", None)
        self._arguments: dict[str, Any] = {}
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
        self._origin: dict[str, Any] = {}
        self._worker: Worker | None = None
        self._has_origin = False
        self._last_will: weakref.finalize[Any, Any] | None = None
        self._frame: Frame | None = None
        self._computed = False
        # What further results were fetched: all there are (""), and those that had to be computed.
        self._fetched: set[str] = set()
        self._fetch_results = _fetcher(weakref.ref(self))
        self._lock = threading.RLock()
        _calculators.add(self)

    # What ASE asks.

    def get_property(self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True) -> Any:
        """One result for these atoms, computed if it is not known.

        Raises:
            PropertyNotImplementedError: The model, or this system, has no such property.
            ModelError: The model raised an exception.
            WorkerDiedError: The worker ended.
        """
        with self._lock:
            changes = [] if atoms is None else self.check_state(atoms)
            # What ASE does not follow is no reason to lose results for those who only write them down: they may just have been
            # stored in an array of the same atoms.
            if changes or not self._computed or (allow_calculation and atoms is not None and self._frame.further_changes):  # type: ignore[union-attr]
                if not allow_calculation:
                    return None
                self._calculate(atoms, changes)
            results = self.results
            if not dict.__contains__(results, name):
                # Energy, forces and stress come with each step, or not at all.
                if name not in ("energy", "forces", "stress"):
                    self._fetch(name if allow_calculation else "")
                    results = self.results
                if not dict.__contains__(results, name):
                    raise PropertyNotImplementedError(f"there is no {name} for this system in the model {self.model}")
            result = results[name]
            return result.copy() if isinstance(result, np.ndarray) else result

    def check_state(self, atoms: Atoms, tol: float = 0.0) -> list[str]:
        """What differs, in any bit, from the atoms that were computed last, as ASE's `compare_atoms` counts it, and `info`."""
        return list(all_changes) if self._frame is None else self._frame.changes(atoms)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy", "forces", "stress"),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute these atoms. Everything the model has is computed at once, whatever `properties` asks for.

        Raises:
            ModelError: The model raised an exception.
            WorkerDiedError: The worker ended.
            RootstockError: The worker could not be started.
        """
        with self._lock:
            self._calculate(atoms, [] if atoms is None else self.check_state(atoms))

    def set(self, **arguments: Any) -> dict[str, Any]:
        """Change arguments that this was made with, `device` for one. The next calculation starts a worker for them.

        Returns:
            Those that are other ones than before.

        Raises:
            TypeError: An argument that there is not, or arguments that contradict each other.
        """
        # ASE's own constructor calls this, too.
        if not arguments:
            return {}
        with self._lock:
            if unknown := arguments.keys() - self._arguments.keys():
                raise TypeError(f"a RootstockCalculator has no arguments {sorted(unknown)}; it has {sorted(self._arguments)}")
            changed = {name: value for name, value in arguments.items() if value != self._arguments[name]}
            if changed:
                # The old and the new name of the model are one argument.
                other = {"model": "checkpoint", "checkpoint": "model"}
                renamed = {other[name]: None for name in changed if name in other and changed[name] is not None}
                self._take_arguments({**self._arguments, **renamed, **changed})
                self.reset()
                self.close()
                self._origin = {}
            return changed

    def todict(self, skip_default: bool = True) -> dict[str, Any]:
        """What ASE stores beside the numbers in trajectories and databases: model, device and arguments; and of the worker that
        computed last its environment, the generation's id and the sha256 of each weight file.
        """
        with self._lock:
            return {**self._described, **self._origin}

    def reset(self) -> None:
        """Forget the last results; the worker stays."""
        with self._lock:
            super().reset()  # type: ignore[no-untyped-call]
            self._frame, self._computed = None, False

    # The worker's life.

    def close(self) -> None:
        """End the worker, if there is one. The next calculation starts another."""
        with self._lock:
            if self._worker is not None:
                # Who looks at results after the end of the worker finds all of them.
                with contextlib.suppress(OSError, RootstockError):
                    self._fetch("", again=False)
            if self._worker is not None:
                self._leave().close()

    def __enter__(self) -> RootstockCalculator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            "a RootstockCalculator owns a worker process and cannot be pickled or copied: "
            "make one from the same arguments where it is needed"
        )

    def _take_arguments(self, arguments: dict[str, Any]) -> None:
        """Check arguments, and have the next worker started with them; nothing is changed if they are wrong."""
        model, checkpoint, weights = (arguments[name] for name in ("model", "checkpoint", "weights"))
        if (model is None) == (checkpoint is None):
            raise TypeError("name one model, as `model` or `checkpoint`")
        if arguments["root"] is not None and arguments["cluster"] is not None:
            raise TypeError("`root` and `cluster` both say where the environments are: give one of them")
        model = str(model or checkpoint)
        if (weights is not None) != model.endswith(":custom"):
            raise TypeError("weights of your own need a model `ENVIRONMENT:custom` and `weights`, both or neither")
        if weights is not None:
            weights = os.path.abspath(weights)
            if not os.path.isfile(weights):
                raise FileNotFoundError(f"there is no weights file `{weights}`")
        setup = dict(arguments["setup_kwargs"] or {})
        try:
            setup = json.loads(json.dumps(setup))
        except (TypeError, ValueError) as error:
            raise TypeError(f"`setup_kwargs` must be JSON: {error}") from None
        if reserved := {"model", "checkpoint", "device"} & setup.keys():
            raise TypeError(f"`setup_kwargs` cannot hold {sorted(reserved)}: they have arguments of their own")
        root, manifest, program, timeout = (arguments[name] for name in ("root", "manifest", "program", "timeout"))
        device = arguments["device"]
        self._order = Order(
            model=model,
            root=None if root is None else os.path.abspath(root),
            cluster=arguments["cluster"],
            manifest=None if manifest is None else os.path.abspath(manifest),
            device=device,
            setup=setup,
            weights=weights,
            startup_timeout=arguments["startup_timeout"] if timeout is None else timeout,
            step_timeout=arguments["step_timeout"] if timeout is None else timeout,
            restarts=arguments["restarts"],
            program=None if program is None else os.fspath(program),
        )
        self.model, self._momenta, self._arguments = model, arguments["momenta"], arguments
        more = {"setup_kwargs": setup, "weights": weights}
        self._described = {"model": model, "device": device, **{name: value for name, value in more.items() if value}}
        self.parameters.clear()
        self.parameters.update(self._described)

    def _learn_origin(self) -> None:
        """Where the numbers of a new worker come from."""
        assert self._worker is not None
        self._origin = {}
        if self._worker.connection.dialect is wire.OURS:
            self._origin = self._ask("GETORIGIN")
            self._raise_error_text(self._origin)
        self._has_origin = True

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
                # The model has one that it must be asked for.
                del known["free_energy"]
        self.results = results = Results(known)
        results._fetch = self._fetch_results
        self._computed, self._fetched = True, set()

    def _fetch(self, name: str, again: bool = True) -> None:
        """Have all further results sent; and the one of this name computed, if the model has to be asked for it.

        Args:
            name: The name of a result; empty for those that are there.
            again: Compute the frame again, if the Python that has computed it is gone.
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
                said = self._ask("GETRESULTS", name)
            except WorkerDiedError as death:
                if not again:
                    return
                if not death.killed:
                    raise
                continue
            if not said.get("gone"):
                break
            if not again:
                return
            self._raise_error(self._compute(self._frame))
        else:
            raise RootstockError(f"the worker of {self.model} dies whenever it is asked for {name or 'further results'}")
        if said.get("kind") in ("PropertyNotImplementedError", "NotImplementedError"):
            # As good as a model that does not have it.
            self._fetched.add(name)
            return
        self._raise_error_text(said)
        for key, value in decode(said["results"]).items():
            if not dict.__contains__(self.results, key):
                self.results[key] = value
        self._fetched |= {"", name}

    def _ask(self, question: str, name: str | None = None) -> dict[str, Any]:
        """Ask the worker something between two steps."""
        using = self._worker
        assert using is not None
        try:
            return using.connection.ask(question, name)
        except OSError as error:
            raise self._lost() from error
        except BaseException as error:
            self._leave()
            using.kill()
            if isinstance(error, wire.Garbled):
                raise RootstockError(f"the worker of {self.model} does not answer as a worker: {error}") from error
            raise

    def _raise_error(self, answer: wire.Answer) -> None:
        self._raise_error_text(answer.more)

    def _raise_error_text(self, said: Mapping[str, Any]) -> None:
        if "error" not in said:
            return
        if said.get("kind") == "WorkerDied":
            raise self._lost()
        raise ModelError(str(said.get("kind", "Exception")), str(said["error"]))

    def _take(self, atoms: Atoms | None, changes: list[str]) -> Frame:
        """Make these the atoms that `check_state` compares with."""
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
        """Have a frame computed; by a second worker, if the first was killed."""
        for last in (False, True):
            if self._worker is None:
                self._worker, self._has_origin = self._order.start(), False
                # It ends with its calculator, or with the interpreter.
                self._last_will = weakref.finalize(self, self._worker.close)
            using = self._worker
            try:
                text = frame.text(using.connection.dialect)
                answer = using.connection.step(text, frame.cell, frame.positions)
                if not self._has_origin and "error" not in answer.more:
                    self._learn_origin()
                return answer
            except OSError as error:
                death = self._lost()
                if last or not death.killed:
                    raise death from error
            except BaseException as error:
                # Interrupted, or lost: what it says next would be taken for the answer to another question.
                self._leave()
                using.kill()
                if isinstance(error, wire.Garbled):
                    raise RootstockError(f"the worker of {self.model} does not answer as a worker: {error}") from error
                raise
        raise AssertionError("the second try ends one way or the other")

    def _stress(self, frame: Frame, answer: wire.Answer) -> wire.Array | None:
        tensor = answer.tensor
        assert self._worker is not None
        if self._worker.connection.dialect is wire.FROZEN:
            # It says zero where it has none, and it has none where there is no volume.
            if frame.atoms.cell.rank < 3 or not frame.atoms.pbc.any():
                return None
            volume = frame.atoms.cell.volume
            tensor = tuple(value / -volume for value in tensor)
        xx, xy, xz, _, yy, yz, _, _, zz = tensor
        return None if math.isnan(xx) else np.array((xx, yy, zz, yz, xz, xy))

    def _leave(self) -> Worker:
        """Part with the worker; the next calculation starts another."""
        assert self._worker is not None and self._last_will is not None
        left, self._worker = self._worker, None
        self._last_will.detach()
        return left

    def _lost(self) -> WorkerDiedError:
        return self._leave().died()

    def _forked(self) -> None:
        # Another thread may have held it.
        self._lock = threading.RLock()
        if self._worker is not None:
            self._leave().forget()


def _fetcher(calculator: weakref.ref[RootstockCalculator]) -> Callable[[Results], None]:
    """Fetches what is further known of results, if they still are those of this calculator, which is not kept alive by them."""

    def fetch(results: Results) -> None:
        owner = calculator()
        if owner is not None and results is owner.results:
            with owner._lock:
                owner._fetch("")

    return fetch


_calculators: weakref.WeakSet[RootstockCalculator] = weakref.WeakSet()


def _forget_workers() -> None:
    for calculator in list(_calculators):
        calculator._forked()


os.register_at_fork(after_in_child=_forget_workers)
