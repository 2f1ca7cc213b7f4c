"""All results of a model arrive, as they are in process, and only when they are accessed."""

from __future__ import annotations

import copy
import gc
import os
import signal
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io import read, write
from conftest import PROGRAM, Make, processes, same, script, within

from rootstock import ModelError, RootstockCalculator, RootstockError, wire

FETCHED = (
    "magmoms", "magmom", "dipole", "energies", "stresses", "single", "number", "flag", "text", "texts", "holes", "nested",
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is asked between steps."""
    found: list[Any] = []
    ask = wire.Connection.ask

    def listen(connection: Any, question: str, name: str | None = None) -> Any:
        if question == "GETRESULTS":
            found.append(name)
        return ask(connection, question, name)

    monkeypatch.setattr(wire.Connection, "ask", listen)
    return found


def equal(found: Any, expected: Any) -> None:
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            equal(found[key], value)
        return
    if isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype and found.shape == expected.shape
        assert found.tobytes() == expected.tobytes()
        return
    assert found == expected


def expected(atoms: Atoms, properties: tuple[str, ...] = ("energy", "forces", "stress")) -> dict[str, Any]:
    rich = within("rich")
    rich.calculate(atoms.copy(), properties)
    return dict(rich.results)


def test_all_results_arrive_when_they_are_looked_for(calculator: Make, copper: Atoms, asked: list[Any]) -> None:
    copper.calc = through = calculator(**script("rich"))
    for step in range(4):
        copper.rattle(0.01, seed=step)
        want = expected(copper)
        same(copper.get_potential_energy(), want["energy"])
        same(copper.get_potential_energy(force_consistent=True), want["free_energy"])
        same(copper.get_forces(), want["forces"])
        same(copper.get_stress(), want["stress"])
        assert asked == [""] * step, "energy, forces and stress are all that a step brings"
        for name in FETCHED:
            equal(through.results[name], want[name])
        same(copper.get_magnetic_moments(), want["magmoms"])
        same(copper.get_dipole_moment(), want["dipole"])
        same(copper.get_potential_energies(), want["energies"])
        same(copper.get_stresses(), want["stresses"])
        same(through.results["node_features"], copper.positions[:, :2])
        assert asked == [""] * (step + 1), "they are sent once"
        assert "nothing" not in through.results
        with pytest.raises(TypeError, match="class Opaque"):
            float(through.results["opaque"])


@pytest.mark.parametrize("look", [
    lambda results: results.get("magmoms"),
    lambda results: dict(results)["magmoms"],
    lambda results: dict(**results)["magmoms"],
    lambda results: {**results}["magmoms"],
    lambda results: dict(results.items())["magmoms"],
    lambda results: [value for name, value in zip(results, results.values()) if name == "magmoms"][0],
    lambda results: results.copy()["magmoms"],
    lambda results: copy.deepcopy(results)["magmoms"],
    lambda results: results["magmoms"] if "magmoms" in results.keys() else None,
    lambda results: results["magmoms"] if "magmoms" in results else None,
    lambda results: (results | {})["magmoms"],
])
def test_results_are_a_dictionary_in_every_way(calculator: Make, copper: Atoms, look: Any) -> None:
    copper.calc = calculator(**script("rich"))
    copper.get_potential_energy()
    same(look(copper.calc.results), expected(copper)["magmoms"])


def test_a_property_that_the_model_must_be_asked_for_is_computed_then(calculator: Make, copper: Atoms) -> None:
    through = calculator(**script("rich"))
    copper.calc = through
    same(copper.get_charges(), copper.positions[:, 1] + 2)
    assert through.results["calls"] == 1
    same(through.get_property("charges", copper), copper.positions[:, 1] + 2)
    same(copper.get_magnetic_moments(), copper.positions * 2)
    copper.rattle(0.01)
    # Writing to a file computes nothing.
    assert through.get_property("charges", copper, allow_calculation=False) is None
    copper.get_forces()
    with pytest.raises(PropertyNotImplementedError):
        through.get_property("charges", copper, allow_calculation=False)
    same(copper.get_charges(), copper.positions[:, 1] + 4)


def test_what_a_model_does_not_have_is_not_there(calculator: Make, copper: Atoms) -> None:
    copper.calc = calculator(**script("rich", "bare"))
    for name in ("magmoms", "charges", "dipole", "of no model"):
        with pytest.raises(PropertyNotImplementedError, match=f"there is no {name} for this system"):
            copper.calc.get_property(name, copper)
    assert sorted(copper.calc.results) == ["energy", "forces", "free_energy", "stress"]
    copper.calc = calculator(**script("rich", "raises"))
    with pytest.raises(ModelError, match="there are no charges of this"):
        copper.get_charges()
    same(copper.get_magnetic_moments(), copper.positions * 2)


def test_the_free_energy_is_the_models(calculator: Make, copper: Atoms) -> None:
    for way in ("", "array", "asked"):
        copper.calc = calculator(**script("rich", way))
        for _ in range(3):
            copper.rattle(0.01)
            same(copper.get_potential_energy(), copper.positions[0, 0])
            same(copper.get_potential_energy(force_consistent=True), copper.positions[0, 0] - 1)
    copper.calc = calculator(**script("rich", "bare"))
    same(copper.get_potential_energy(force_consistent=True), copper.positions[0, 0])
    copper.calc = calculator(**script("rich", "nan"))
    with pytest.raises(ModelError, match="computed a free_energy of nan eV"):
        copper.get_potential_energy()


def test_written_atoms_have_all_known_results(calculator: Make, copper: Atoms, tmp_path: Path) -> None:
    frames = []
    for make in (calculator, None):
        atoms = copper.copy()
        atoms.calc = calculator("odd-emt") if make else EMT()
        atoms.get_forces()
        atoms.get_stress()
        write(tmp_path / "a.traj", atoms)
        write(tmp_path / "a.extxyz", atoms)
        with connect(tmp_path / f"{make is None}.db") as database:
            database.write(atoms)
            row = database.get(id=1)
        single = SinglePointCalculator(atoms, **{key: atoms.calc.results[key] for key in ("energy", "energies", "forces")})
        frames.append((read(tmp_path / "a.traj").calc.results, read(tmp_path / "a.extxyz").calc.results, row.data, single.results))
    for ours, theirs in zip(*frames):
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            np.testing.assert_allclose(ours[name], value, rtol=1e-12, err_msg=name)
    assert "energies" in frames[0][0]


def test_results_outlive_their_worker_and_not_their_frame(calculator: Make, copper: Atoms) -> None:
    with calculator(**script("rich")) as copper.calc:
        copper.get_potential_energy()
    assert copper.calc._worker is None
    same(copper.get_magnetic_moments(), copper.positions * 2)
    kept, want = copper.calc.results, expected(copper)
    same(kept["magmoms"], want["magmoms"])
    copper.get_potential_energy()
    assert copper.calc._worker is None, "nothing was to be computed"
    copper.rattle(0.01)
    copper.get_potential_energy()
    early = copper.calc.results
    copper.rattle(0.01)
    copper.get_potential_energy()
    same(kept["magmoms"], want["magmoms"])
    assert "magmoms" not in early, "they are of another frame by now"


def test_a_python_that_has_gone_computes_the_frame_again(calculator: Make, copper: Atoms) -> None:
    for steps in (1, 3):
        copper.calc = calculator(**script("rich"))
        for _ in range(steps):
            copper.rattle(0.01)
            copper.get_potential_energy()
        launcher, python = processes(copper.calc._worker.process.pid)
        watched = os.pidfd_open(python)
        os.kill(python, signal.SIGKILL)
        os.close(watched)
        same(copper.get_magnetic_moments(), copper.positions * 2)
        os.kill(launcher, signal.SIGKILL)
        same(copper.get_charges(), copper.positions[:, 1] + 2)
    copper.calc = calculator(**script("rich", "deadly"))
    copper.get_potential_energy()
    with pytest.raises(RootstockError, match="dies whenever it is asked for charges"):
        copper.get_charges()


def test_results_keep_no_worker_alive(root: Path, copper: Atoms) -> None:
    gc.disable()
    try:
        copper.calc = RootstockCalculator(root=root, program=PROGRAM, **script("rich"))
        copper.get_magnetic_moments()
        results, there = copper.calc.results, weakref.ref(copper.calc)
        copper.calc = None
        assert there() is None
        same(results["magmoms"], copper.positions * 2)
    finally:
        gc.enable()
