"""`rootstock.evaluate`: structures in, the same with results out, in their order."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from conftest import PROGRAM, same

import rootstock
from rootstock import EvaluationError, WorkerDiedError


def images(count: int) -> list[Atoms]:
    made = []
    for number in range(count):
        atoms = bulk("Cu", a=3.6, cubic=True)
        atoms.rattle(0.05, seed=number)
        atoms.info["number"] = number
        made.append(atoms)
    return made


@pytest.fixture
def evaluate(root: Path) -> Any:
    def run(given: Any, model: str = "odd-emt", **arguments: Any) -> Iterator[Any]:
        return rootstock.evaluate(given, model, root=root, program=PROGRAM, **arguments)

    return run


def is_emt(given: Atoms, found: Atoms) -> None:
    given = given.copy()
    constraints, given.constraints = given.constraints, []
    given.calc = EMT()
    same(found.get_potential_energy(), given.get_potential_energy())
    same(found.get_forces(apply_constraint=False), given.get_forces())
    same(found.get_stress(apply_constraint=False), given.get_stress())
    assert found.info == given.info and len(found.constraints) == len(constraints)


def test_results_are_those_of_a_calculator_in_process(evaluate: Any, root: Path) -> None:
    given = images(30)
    given[1].set_constraint(FixAtoms([0]))
    given[2].info = {"text": "a", "list": [1, 2.5], "array": np.arange(3)}
    given[2].set_tags([1, 2, 3, 4])
    found = list(evaluate(given, workers=2, devices="cpu"))
    for one, other in zip(given, found, strict=True):
        if one is not given[2]:
            is_emt(one, other)
    assert found[2].get_tags().tolist() == [1, 2, 3, 4] and found[2].info["array"].tolist() == [0, 1, 2]
    assert all(atoms.calc is None for atoms in given)
    generation = (root / "envs" / "odd").resolve().name
    assert found[0].calc.todict() == {"model": "odd-emt", "device": "cpu", "environment": "odd", "generation": generation}


def test_a_generator_is_taken_only_as_needed_and_may_yield_the_same_atoms(evaluate: Any) -> None:
    taken = []

    def walk() -> Iterator[Atoms]:
        atoms = bulk("Cu", a=3.6, cubic=True)
        for number in range(20000):
            atoms.positions[0, 0] = 0.01 * (number % 7)
            taken.append(number)
            yield atoms

    found = evaluate(walk(), workers=1)
    first = [next(found) for _ in range(3)]
    assert [atoms.positions[0, 0] for atoms in first] == [0.0, 0.01, 0.02]
    assert len(taken) < 10000
    found.close()


def test_a_failure_is_raised_in_its_turn_or_returned(evaluate: Any) -> None:
    given = images(4)
    given[2].symbols[0] = "U"
    found = list(evaluate(given, on_error="return"))
    error = found[2]
    assert isinstance(error, EvaluationError) and (error.index, error.kind) == (2, "NotImplementedError")
    assert "No EMT-potential for U" in error.message and "emt.py" in error.traceback
    for at in (0, 1, 3):
        is_emt(given[at], found[at])
    running = evaluate(given)
    assert [next(running).info["number"] for _ in range(2)] == [0, 1]
    with pytest.raises(EvaluationError, match="structure 2: .*No EMT-potential"):
        next(running)


def test_structures_of_a_process_that_dies_go_to_another(evaluate: Any) -> None:
    given = images(12)
    # Dies at each third calculation, and always at one structure. One process at a time: of several, two may be at their third.
    given[5].positions[0, 0] = 101.0
    found = list(evaluate(given, "odd-mortal-killed", workers=1, on_error="return"))
    assert isinstance(found[5], EvaluationError) and found[5].kind == "killed", found[5]
    for one, other in zip(given, found, strict=True):
        if one is not given[5]:
            is_emt(one, other)


def test_a_program_that_is_killed_is_started_again(evaluate: Any) -> None:
    given, found = images(300), []
    for atoms in evaluate(given, workers=1):
        found.append(atoms)
        if len(found) in (3, 40):
            from rootstock.evaluating import _pipes

            (pipe,) = (pipe for pipe in _pipes if pipe._process.returncode is None)
            os.kill(pipe._process.pid, signal.SIGKILL)
    for one, other in zip(given, found, strict=True):
        is_emt(one, other)


def test_a_model_that_cannot_be_loaded_is_an_error(evaluate: Any) -> None:
    with pytest.raises(WorkerDiedError, match="there is no model for the device 'cpu'"):
        list(evaluate(images(2), "odd-fails"))
    with pytest.raises(WorkerDiedError, match="odder"):
        list(evaluate(images(2), "odder"))


def test_arguments_are_checked_at_once(evaluate: Any) -> None:
    for arguments in ({"on_error": "ignore"}, {"workers": 0}, {"batch": 0}, {"batch": "many"}):
        with pytest.raises(ValueError):
            evaluate(images(1), **arguments)
    with pytest.raises(TypeError, match="not one"):
        evaluate(images(1)[0])
    with pytest.raises(TypeError, match="class str, not Atoms"):
        list(evaluate(["Cu"]))


def workers(_: int) -> int:
    from rootstock import tasks

    return len(tasks._pipes)


def test_any_executor_computes_with_one_worker_in_each_of_its_processes(evaluate: Any) -> None:
    given = images(60)
    given[7].symbols[0] = "U"
    for made in (ProcessPoolExecutor(2), ThreadPoolExecutor(3)):
        with made as executor:
            found = list(evaluate(given, executor=executor, on_error="return"))
            assert set(executor.map(workers, range(8))) <= {0, 1}
        assert isinstance(found[7], EvaluationError) and found[7].index == 7
        for one, other in zip(given, found, strict=True):
            if one is not given[7]:
                is_emt(one, other)
