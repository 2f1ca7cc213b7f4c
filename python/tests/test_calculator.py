"""What ASE's users see: the numbers of an in-process calculator, whatever changes from one calculation to the next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.io import read, write
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from conftest import PROGRAM, Make, pid, same

from rootstock import ModelError, ModelNotFoundError, RootstockCalculator, RootstockError, SetupError


def triclinic() -> Atoms:
    atoms = bulk("Cu", "fcc", a=3.6).repeat(3)
    cell = atoms.cell.array + [[0.1, 0.3, -0.2], [0.0, -0.1, 0.4], [0.2, 0.05, 0.1]]
    atoms.set_cell(cell, scale_atoms=True)
    atoms.symbols[::3] = "Au"
    atoms.rattle(0.05, seed=2)
    return atoms


def has_stress(atoms: Atoms) -> bool:
    return atoms.cell.rank == 3 and bool(atoms.pbc.any())


def test_numbers_are_those_of_the_same_calculator_in_this_process(calculator: Make, copper: Atoms) -> None:
    """Other species, numbers of atoms, cells and periodicity through one worker."""
    through = calculator()
    silver = copper.copy()
    silver.symbols[:] = "Ag"
    slab = fcc111("Al", (2, 2, 3), vacuum=5.0)
    slab.rattle(0.05, seed=3)
    systems = [copper, silver, triclinic(), copper.repeat(2), slab, molecule("H2O"), copper]
    workers = set()
    for atoms in systems:
        within = EMT()
        for step in range(3):
            atoms.rattle(0.02, seed=step)
            atoms.calc = through
            energy, forces = atoms.get_potential_energy(), atoms.get_forces()
            consistent = atoms.get_potential_energy(force_consistent=True)
            stress = atoms.get_stress() if has_stress(atoms) else None
            atoms.calc = within
            same(energy, atoms.get_potential_energy())
            same(consistent, atoms.get_potential_energy(force_consistent=True))
            same(forces, atoms.get_forces())
            if stress is not None:
                same(stress, atoms.get_stress())
        workers.add(pid(through))
    assert len(workers) == 1


def test_steps_of_the_same_atoms_use_memory_and_belong_to_their_atoms(calculator: Make, copper: Atoms) -> None:
    through = calculator("odd-mortal-never")
    silver = copper.copy()
    silver.symbols[:] = "Ag"
    kept = []
    for atoms in (copper, silver, copper):
        within = EMT()
        for step in range(5):
            atoms.rattle(0.02, seed=step)
            atoms.set_cell(atoms.cell.array * 1.001)
            through.calculate(atoms)
            within.calculate(atoms, ["energy", "forces", "stress"])
            kept.append((through.results["forces"], within.results["forces"].copy()))
            same(through.results["energy"], within.results["energy"])
            same(through.results["stress"], within.results["stress"])
            assert through._worker is not None
            # There is no third step of most systems.
            assert (through._worker.connection._memory is not None) == (step >= 1)
    for there, here in kept:
        same(there, here)


def test_without_a_volume_there_is_no_stress(calculator: Make) -> None:
    water = molecule("H2O")
    water.calc = calculator()
    water.get_potential_energy()
    with pytest.raises(PropertyNotImplementedError, match="no stress"):
        water.get_stress()


def test_a_model_without_stress_has_none(calculator: Make, copper: Atoms) -> None:
    copper.calc = calculator("odd-nostress")
    assert copper.get_potential_energy() == 0.0
    with pytest.raises(PropertyNotImplementedError, match="no stress"):
        copper.get_stress()


def test_single_precision_is_not_rounded_again(calculator: Make, copper: Atoms) -> None:
    copper.calc = calculator("odd-single")
    forces = copper.get_forces()
    same(forces, forces.astype(np.float32))
    same(copper.get_stress(), copper.get_stress().astype(np.float32))


def test_what_is_known_is_not_computed_again(calculator: Make, copper: Atoms) -> None:
    through = calculator("odd-raises")
    copper.calc = through
    for _ in range(10):
        # It raises at its third calculation.
        copper.get_potential_energy(), copper.get_forces(), copper.get_stress()
    assert not through.calculation_required(copper, ["energy", "stress"])
    copper.positions[3, 1] += 1e-15
    assert through.check_state(copper) == ["positions"]
    assert through.get_property("energy", copper, allow_calculation=False) is None


def test_results_belong_to_their_atoms(calculator: Make, copper: Atoms) -> None:
    copper.calc = calculator()
    forces = copper.get_forces()
    expected = forces.copy()
    kept = copper.calc.results["forces"]
    forces[:] = 0.0
    same(copper.get_forces(), expected)
    copper.rattle(0.1)
    copper.get_forces()
    same(kept, expected)


def test_info_reaches_the_model_and_a_change_means_a_new_calculation(calculator: Make, copper: Atoms) -> None:
    through = calculator("odd-info")
    copper.calc = through
    for charge, spin in [(0, 1), (2, 1), (np.int64(2), np.float64(3.5)), (0.1 + 0.2, 1e-300)]:
        copper.info = {"charge": charge, "spin": spin, "unused": object(), "field": np.arange(3.0), 7: "no text"}
        assert copper.get_potential_energy() == charge + 100 * spin
    copper.info["unused"] = object()
    assert through.check_state(copper) == []
    copper.info["charge"] = 5
    assert through.check_state(copper) == ["info"]


def test_arguments_of_setup_and_own_weights(calculator: Make, copper: Atoms, tmp_path: Path) -> None:
    copper.calc = calculator("odd-given", setup_kwargs={"energy": 1.25})
    assert copper.get_potential_energy() == 1.25
    weights = tmp_path / "my weights"
    weights.write_text("-4.5")
    copper.calc = calculator("odd:custom", weights=weights, setup_kwargs={"energy": 0.5}, device="cuda:1")
    assert copper.get_potential_energy() == -4.0
    assert copper.calc.todict()["weights"] == str(weights)


def test_arguments_that_contradict_each_other() -> None:
    for message, arguments in [
        ("one model", {}),
        ("one model", {"model": "emt", "checkpoint": "emt"}),
        ("both name the root", {"model": "emt", "root": "/r", "cluster": "della"}),
        ("both or neither", {"model": "emt", "weights": "w"}),
        ("both or neither", {"model": "emt:custom"}),
        ("arguments of their own", {"model": "emt", "setup_kwargs": {"device": "cpu"}}),
        ("must be JSON", {"model": "emt", "setup_kwargs": {"x": object()}}),
        ("setup_kwarg", {"model": "emt", "setup_kwarg": {}}),
    ]:
        with pytest.raises(TypeError, match=message):
            RootstockCalculator(**arguments)
    with pytest.raises(FileNotFoundError, match="no weights file"):
        RootstockCalculator("emt:custom", weights="/there/is/none")


def test_an_exception_of_the_model_comes_with_its_traceback(calculator: Make, copper: Atoms) -> None:
    copper.calc = calculator("odd-raises")
    for _ in range(2):
        copper.rattle(0.01)
        copper.get_forces()
    worker = pid(copper.calc)
    copper.rattle(0.01)
    with pytest.raises(ModelError, match="out of memory on device 3") as caught:
        copper.get_forces()
    assert caught.value.kind == "RuntimeError"
    assert "in go_raises" in caught.value.traceback
    with pytest.raises(ModelError, match="out of memory on device 4"):
        copper.get_forces()
    assert pid(copper.calc) == worker


def test_what_is_no_number_is_no_result(calculator: Make, copper: Atoms) -> None:
    copper.calc = calculator("odd-nan")
    for _ in range(2):
        copper.rattle(0.01)
        copper.get_forces()
    copper.rattle(0.01)
    with pytest.raises(ModelError, match="not finite, first that on atom 1"):
        copper.get_forces()
    assert copper.calc.results == {}


def test_a_model_that_does_not_load_reports_the_reason(calculator: Make, copper: Atoms) -> None:
    copper.calc = calculator("odd-fails", device="tpu")
    with pytest.raises(SetupError, match="there is no model for the device 'tpu'"):
        copper.get_potential_energy()
    with pytest.raises(ModelNotFoundError, match="has no model or environment `nothing`"):
        calculator("nothing")


def test_relaxation_and_dynamics_go_the_same_way(calculator: Make, copper: Atoms, tmp_path: Path) -> None:
    ends = []
    for make in (calculator, EMT):
        atoms = copper.copy()
        atoms.calc = make()
        BFGS(atoms, logfile=None).run(fmax=0.05)
        VelocityVerlet(atoms, 5 * units.fs).run(20)
        write(tmp_path / "end.traj", atoms)
        ends.append(read(tmp_path / "end.traj"))
    same(ends[0].positions, ends[1].positions)
    same(ends[0].get_forces(), ends[1].get_forces())
    same(ends[0].get_potential_energy(), ends[1].get_potential_energy())


def test_no_atoms_are_atoms_too(calculator: Make) -> None:
    nothing = Atoms(cell=[1, 1, 1], pbc=True, calculator=calculator("odd-zero"))
    assert nothing.get_potential_energy() == 0.0
    assert nothing.get_forces().shape == (0, 3)


def test_many_atoms_take_more_than_one_write(calculator: Make) -> None:
    atoms = Atoms(numbers=np.full(50_000, 29), positions=np.random.default_rng(1).random((50_000, 3)) * 100)
    atoms.set_cell([100, 100, 100])
    atoms.pbc = True
    atoms.calc = calculator("odd-zero")
    for _ in range(3):
        atoms.positions += 0.001
        assert not atoms.get_forces().any()


def test_the_program_is_found_or_missed_with_its_name(copper: Atoms) -> None:
    copper.calc = RootstockCalculator("emt", program="/there/is/no/rootstock")
    with pytest.raises(RootstockError, match="cannot start `/there/is/no/rootstock`"):
        copper.get_potential_energy()


def test_the_root_is_that_of_the_environment(root: Path, copper: Atoms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOTSTOCK_ROOT", str(root))
    with RootstockCalculator("odd-zero", program=PROGRAM) as copper.calc:
        assert copper.get_potential_energy() == 0.0


def test_a_cluster_is_one_of_the_manifests(root: Path, copper: Atoms, tmp_path: Path) -> None:
    manifest = tmp_path / "rootstock.toml"
    manifest.write_text(f'[rootstock]\nroot = "elsewhere"\n\n[clusters.della]\nroot = "{root}"\n')
    with RootstockCalculator("odd-zero", cluster="della", manifest=manifest, program=PROGRAM) as copper.calc:
        assert copper.get_potential_energy() == 0.0
