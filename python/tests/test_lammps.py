"""Stock LAMMPS runs molecular dynamics on a worker, as `examples/lammps/md.py` has it."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.units import bar
from conftest import REPOSITORY, Make

from rootstock import ModelError


@pytest.fixture(scope="module")
def example() -> ModuleType:
    where = importlib.util.spec_from_file_location("md", REPOSITORY / "examples" / "lammps" / "md.py")
    assert where and where.loader
    module = importlib.util.module_from_spec(where)
    where.loader.exec_module(module)
    return module


def in_order(lmp: Any, name: str) -> np.ndarray[Any, Any]:
    return np.array(lmp.gather_atoms(name, 1, 3)).reshape(-1, 3)


def test_forces_energy_and_pressure_are_ases_and_energy_is_conserved(example: ModuleType, calculator: Make) -> None:
    lmp = example.start()
    example.copper(lmp)
    through = calculator()
    driven = example.Driven(lmp, through, [29])
    atoms = driven.atoms
    totals = []
    for steps in (0, 20, 20, 20):
        driven.run(steps)
        totals.append(lmp.get_thermo("etotal"))
        within = atoms.copy()
        within.positions = in_order(lmp, "x")
        within.calc = EMT()
        assert abs(in_order(lmp, "f") - within.get_forces()).max() < 1e-10
        assert abs(lmp.get_thermo("pe") - within.get_potential_energy()) < 1e-9
        # What LAMMPS calls pressure is minus the stress and the motion of the atoms.
        motion = in_order(lmp, "v") / np.sqrt(1.0364269e-4) ** -1
        kinetic = (63.546 * motion[:, :, None] * motion[:, None, :]).sum(axis=0) / within.get_volume()
        pressure = kinetic - within.get_stress(voigt=False)
        computed = [lmp.get_thermo(name) * bar for name in ("pxx", "pyy", "pzz", "pxy", "pxz", "pyz")]
        expected = pressure[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
        assert abs(computed - expected).max() < 1e-6
    assert lmp.get_thermo("temp") < 400, "half of the motion has become potential energy"
    assert max(totals) - min(totals) < 1e-4 * len(atoms)
    lmp.close()


def test_an_exception_of_the_model_ends_the_run(example: ModuleType, calculator: Make) -> None:
    """LAMMPS would go on with the forces it has."""
    lmp = example.start()
    example.copper(lmp)
    driven = example.Driven(lmp, calculator("odd-raises"), [29])
    with pytest.raises(ModelError, match="out of memory on device 3"):
        driven.run(100)
    assert lmp.extract_global("ntimestep") < 5
    assert np.isnan(in_order(lmp, "f")).all()
    lmp.close()
