"""A calculator travels as arguments, generation and results; in each process one worker serves the calculators that arrive."""

from __future__ import annotations

import concurrent.futures
import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from conftest import PROGRAM, Make, await_end, pid, processes, same

import rootstock
from rootstock import RootstockCalculator, RootstockError, idle
from rootstock.encoding import Unsendable
from rootstock.values import Unserialisable

COPIES: list[Callable[[Any], Any]] = [lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy, copy.copy]


@pytest.fixture(autouse=True)
def none_idle() -> Any:
    yield
    while idle._idle:
        idle._idle.pop()[1].close()


def expected(atoms: Atoms) -> tuple[float, Any]:
    atoms = atoms.copy()  # type: ignore[no-untyped-call]
    atoms.calc = EMT()
    return atoms.get_potential_energy(), atoms.get_forces()


def near(actual: Any, wanted: Any) -> None:
    """Equal but for EMT's neighbour list, whose order depends on the frames before."""
    assert abs(actual - wanted).max() < 1e-10


def test_errors_travel_back_from_other_processes(calculator: Make, copper: Atoms) -> None:
    """An engine that cannot read an error waits for ever, or reports that its pool is broken."""
    errors: list[BaseException] = []
    for model, steps in [("odd-raises", 3), ("odd-exits", 3), ("odd-fails", 1), ("no-such-model", 1)]:
        with pytest.raises(RootstockError) as raised:
            copper.calc = calculator(model, restarts=0)
            for _ in range(steps):
                copper.rattle(0.01)
                copper.get_potential_energy()
        errors.append(raised.value)
    assert {type(error).__name__ for error in errors} == {"ModelError", "WorkerDiedError", "SetupError", "ModelNotFoundError"}
    errors += [Unsendable("socket", "info"), Unserialisable("args[0]", "is a socket")]
    for error in errors:
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and str(again) == str(error) and vars(again) == vars(error)


@pytest.mark.parametrize("again", COPIES)
def test_results_travel_and_a_worker_is_started_only_for_other_atoms(
    calculator: Make, copper: Atoms, again: Callable[[Any], Any]
) -> None:
    copper.calc = calculator("odd-emt")
    energy, forces = copper.get_potential_energy(), copper.get_forces()
    energies = copper.calc.results["energies"]
    other = again(copper) if again is not copy.copy else copper.copy()
    if again is copy.copy:
        other.calc = copy.copy(copper.calc)
    assert type(other.calc) is RootstockCalculator and other.calc._worker is None
    assert other.calc.todict() == copper.calc.todict() and "generation" in other.calc.todict()
    assert other.calc.check_state(other) == []
    same(other.get_potential_energy(), energy)
    same(other.get_forces(), forces)
    same(other.calc.results["energies"], energies)
    assert set(other.calc.results) == set(copper.calc.results)
    assert other.calc._worker is None, "the results are there without a worker"
    other.rattle(0.1, seed=3)
    same(other.get_forces(), expected(other)[1])
    assert pid(other.calc) != pid(copper.calc)
    # Neither knows of the other's atoms.
    same(copper.get_potential_energy(), energy)
    other.calc.close()


def test_one_that_has_computed_nothing_travels(calculator: Make, copper: Atoms, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("ROOTSTOCK_ROOT", str(calculator()._order.root))
    pickled = pickle.dumps(RootstockCalculator("odd-emt", program=PROGRAM, momenta=True, step_timeout=30.0))
    # Another node has another working directory and other variables.
    monkeypatch.delenv("ROOTSTOCK_ROOT")
    monkeypatch.chdir(tmp_path)
    copper.calc = pickle.loads(pickled)
    same(copper.get_potential_energy(), expected(copper)[0])
    assert copper.calc._order.step_timeout == 30.0 and copper.calc._momenta
    copper.calc.close()


def test_weights_are_needed_only_for_a_worker(calculator: Make, copper: Atoms, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.write_text("-4.5")
    copper.calc = calculator("odd:custom", weights=weights)
    copper.get_potential_energy()
    weights.unlink()
    other = pickle.loads(pickle.dumps(copper))
    assert other.get_potential_energy() == -4.5
    assert other.calc.todict()["weights_sha256"] == copper.calc.todict()["weights_sha256"]
    other.rattle(0.1)
    with pytest.raises(RootstockError, match="there is no weights file"):
        other.get_potential_energy()


def test_a_subclass_keeps_what_it_has(calculator: Make, root: Path) -> None:
    made = Named("odd-emt", root=root, program=PROGRAM)
    made.called = "a"
    other = pickle.loads(pickle.dumps(made))
    assert type(other) is Named and other.called == "a"


class Named(RootstockCalculator):
    called = ""


def test_another_generation_is_an_error(calculator: Make, copper: Atoms) -> None:
    copper.calc = calculator("odd-emt")
    copper.get_potential_energy()
    there = copper.calc._origin["generation"]
    copper.calc._origin["generation"] = "0" * 64
    other = pickle.loads(pickle.dumps(copper))
    copper.calc._origin["generation"] = there
    assert isinstance(other.get_potential_energy(), float), "the numbers it has are still those of that generation"
    other.rattle(0.1)
    for _ in range(2):
        with pytest.raises(RootstockError, match=f"another generation, {there}, than the one .*, {'0' * 64}: "):
            other.get_potential_energy()
        assert dict(other.calc.results) == {} and other.calc._worker is None
    # Arguments that are changed are another calculator.
    other.calc.set(step_timeout=600.0)
    same(other.get_potential_energy(), expected(other)[0])
    other.calc.close()


def test_calculators_from_pickles_use_one_worker_after_the_other(calculator: Make, copper: Atoms) -> None:
    copper.calc = calculator("odd-emt")
    copper.get_potential_energy()
    pickled = pickle.dumps(copper)
    workers = set()
    for seed in range(4):
        atoms = pickle.loads(pickled)
        # The last has other species, which the worker must not compute with the atoms before.
        if seed == 3:
            atoms.numbers[:] = 47
        atoms.rattle(0.05, seed=seed)
        near(atoms.get_forces(), expected(atoms)[1])
        workers.add(pid(atoms.calc))
        atoms.calc = None
    assert len(workers) == 1 and workers != {pid(copper.calc)}
    # One that stays alive, as engines keep what tasks were sent, gives its worker up and keeps its results.
    alive = [pickle.loads(pickled) for _ in range(4)]
    for seed, atoms in enumerate(alive):
        atoms.rattle(0.05, seed=seed)
        near(atoms.get_forces(), expected(atoms)[1])
        assert {pid(atoms.calc)} == workers
    assert [atoms.calc._worker is None for atoms in alive] == [True, True, True, False]
    for atoms in alive:
        near(atoms.get_forces(), expected(atoms)[1])
        near(atoms.calc.results["energies"].sum(), expected(atoms)[0])
    assert {pid(alive[3].calc)} == workers, "nothing was computed again"
    # A worker that was closed, or killed while it waited, is not used again.
    alive[3].calc.close()
    alive[0].rattle(0.1)
    alive[0].get_forces()
    killed = pid(alive[0].calc)
    assert {killed} != workers
    watched = [os.pidfd_open(killed)]
    os.kill(killed, 9)
    await_end(watched)
    alive[0].calc = None
    near(alive[1].get_forces(), expected(alive[1])[1])
    alive[1].rattle(0.2)
    near(alive[1].get_forces(), expected(alive[1])[1])
    assert pid(alive[1].calc) != killed
    alive[1].calc.close()


def test_threads_that_compute_at_the_same_time_have_a_worker_each(calculator: Make, copper: Atoms) -> None:
    copper.calc = calculator("odd-emt")
    pickled = pickle.dumps(copper)
    one, other = pickle.loads(pickled), pickle.loads(pickled)
    one.get_potential_energy()
    with one.calc._lock:
        # In the middle of a step.
        done = threading.Thread(target=other.get_potential_energy)
        done.start()
        done.join()
    assert pid(one.calc) != pid(other.calc)
    for atoms in (one, other):
        same(atoms.get_potential_energy(), expected(copper)[0])
        atoms.calc.close()


def test_no_more_workers_wait_than_a_few(calculator: Make, copper: Atoms) -> None:
    pickled = [
        pickle.dumps(calculator("odd-zero", step_timeout=timeout)) for timeout in range(100, 102 + idle.KEPT)
    ]
    watched = []
    for one in pickled:
        copper.calc = pickle.loads(one)
        copper.get_potential_energy()
        watched.append(os.pidfd_open(pid(copper.calc)))
        copper.calc = None
    assert len(idle._idle) == idle.KEPT + 1
    await_end(watched[:1])
    for descriptor in watched[1:]:
        os.close(descriptor)


def test_shared_is_one_for_a_process_and_its_arguments(root: Path, copper: Atoms) -> None:
    def one(**arguments: Any) -> RootstockCalculator:
        return rootstock.shared("odd-emt", root=root, program=PROGRAM, **arguments)

    first = one()
    found: list[RootstockCalculator] = []
    threads = [threading.Thread(target=lambda: found.append(one())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(each is first for each in found)
    assert one(step_timeout=60.0) is not first and one(momenta=True) is not first
    with pytest.raises(TypeError, match="name one model"):
        rootstock.shared("a", checkpoint="b")
    wrong: list[Any] = []

    def compute(seed: int) -> None:
        atoms = copper.copy()  # type: ignore[no-untyped-call]
        for step in range(5):
            atoms.rattle(0.02, seed=100 * seed + step)
            atoms.calc = one()
            energy = atoms.get_potential_energy()
            if abs(energy - expected(atoms)[0]) > 1e-10:
                wrong.append((seed, step, energy))

    threads = [threading.Thread(target=compute, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    worker = pid(first)
    # A forked child has one of its own.
    child = os.fork()
    if child == 0:
        try:
            atoms = copper.copy()  # type: ignore[no-untyped-call]
            atoms.calc = one()
            right = atoms.get_potential_energy() == expected(atoms)[0] and pid(atoms.calc) != worker
            atoms.calc.close()
            os._exit(0 if right else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    first.close()


ENDS = """\
import pickle, sys
from ase.build import bulk
import rootstock
copper = bulk("Cu", cubic=True)
copper.calc = rootstock.shared("odd-zero", root=sys.argv[1], program=sys.argv[2])
copper.get_potential_energy()
pids = [copper.calc._worker.process.pid]
other = pickle.loads(pickle.dumps(copper))
other.rattle(0.1)
other.get_potential_energy()
pids.append(other.calc._worker.process.pid)
del other
print(*pids, flush=True)
input()
"""


def test_shared_and_idle_workers_end_with_the_process(root: Path) -> None:
    command = [sys.executable, "-c", ENDS, str(root), PROGRAM]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout
    workers = [int(word) for word in process.stdout.readline().split()]
    assert len(workers) == 2
    watched = [os.pidfd_open(one) for worker in workers for one in processes(worker)]
    process.communicate("\n")
    assert process.returncode == 0
    await_end(watched)


def task(atoms: Atoms) -> tuple[float, int, int, Atoms]:
    energy = atoms.get_potential_energy()
    return energy, os.getpid(), pid(atoms.calc), atoms


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_of_processes_has_a_worker_in_each(calculator: Make, copper: Atoms, method: str) -> None:
    copper.calc = calculator("odd-emt")
    copper.get_potential_energy()
    frames = []
    for seed in range(12):
        frames.append(copper.copy())  # type: ignore[no-untyped-call]
        frames[-1].rattle(0.05, seed=seed)
        frames[-1].calc = copper.calc
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        done = list(pool.map(task, frames))
    for frame, (energy, _, _, atoms) in zip(frames, done):
        assert abs(energy - expected(frame)[0]) < 1e-10
        assert atoms.calc._worker is None
        same(atoms.get_potential_energy(), energy)
    assert len({process for _, process, _, _ in done}) == len({worker for _, _, worker, _ in done})
