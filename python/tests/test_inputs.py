"""Everything a model may read of its atoms reaches it with every bit, counts as a change, and is sent again only where it changed."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import fcc111, molecule
from ase.calculators.calculator import compare_atoms
from ase.constraints import FixAtoms
from ase.io import read, write
from ase.spacegroup import Spacegroup
from conftest import Make, script, within

from rootstock import ModelError


def array(name: str, values: Any) -> Callable[[Atoms], None]:
    return lambda atoms: atoms.arrays.__setitem__(name, np.asarray(values))


def info(key: Any, value: Any) -> Callable[[Atoms], None]:
    return lambda atoms: atoms.info.__setitem__(key, value)


COUNT = 32
NUMBERS = np.arange(COUNT)
CHANGES: list[Callable[[Atoms], None]] = [
    lambda atoms: None,
    lambda atoms: atoms.set_initial_charges(NUMBERS / 3 - 1),
    lambda atoms: atoms.set_initial_charges(NUMBERS / 3),
    lambda atoms: atoms.set_initial_magnetic_moments(NUMBERS / 7),
    array("initial_magmoms", np.arange(3.0 * COUNT).reshape(-1, 3)),
    lambda atoms: atoms.arrays.pop("initial_charges"),
    lambda atoms: atoms.set_tags(NUMBERS % 4),
    lambda atoms: atoms.set_tags(0),
    lambda atoms: atoms.set_masses(NUMBERS + 0.5),
    lambda atoms: atoms.set_celldisp([0.1, 0.2, 0.3]),
    array("single", np.linspace(0, 1, COUNT, dtype=np.float32)),
    array("half", np.linspace(0, 1, COUNT, dtype=np.float16)),
    array("flags", NUMBERS % 2 == 0),
    array("complex", NUMBERS + 1j * NUMBERS),
    array("texts", np.array(["a", "longer"] * (COUNT // 2))),
    array("bytes", np.array([b"a", b"longer"] * (COUNT // 2))),
    array("objects", np.array(["text", None] * (COUNT // 2), dtype=object)),
    array("tensors", np.arange(9.0 * COUNT).reshape(-1, 3, 3)),
    array("big", NUMBERS.astype(">i4")),
    array("times", NUMBERS.astype("M8[s]")),
    array("records", np.array([(1, 2.5)] * COUNT, dtype=[("a", "i4"), ("b", "f8")])),
    array("odd numbers", np.array([np.nan, np.inf, -0.0, 1e-310] * (COUNT // 4))),
    info("charge", -1),
    info("charge", np.int64(-1)),
    info("charge", -1.0),
    info("spin", np.float32(0.1)),
    info("field", np.arange(6.0).reshape(2, 3)),
    info("field", [0.0, 1.0]),
    info("field", (0.0, 1.0)),
    info("nested", {"a": [1, {"b": np.arange(3)}, None], 7: (True, "x")}),
    info(7, "a key that is no text"),
    info(("a", 1), "another"),
    info("odd numbers", [float("nan"), float("-inf"), -0.0, 1 << 80, 1j, b"bytes", "\udce9"]),
    info("sets", {1, 2}),
    lambda atoms: atoms.info.pop("field"),
    lambda atoms: atoms.info.clear(),
]


def test_it_reaches_the_model_and_a_change_means_a_new_calculation(calculator: Make, copper: Atoms) -> None:
    """One calculator, and atoms to which one thing after the other happens, which are not moved."""
    through, reader = calculator(**script("reader")), within("reader")
    copper.calc = through
    for number, change in enumerate(CHANGES):
        before = copper.copy()
        change(copper)
        if number:
            expected = set(compare_atoms(before, copper))
            assert set(through.check_state(copper)) - {"info"} == expected, number
        reader.calculate(copper)
        assert copper.get_potential_energy() == reader.results["energy"], number


def test_atoms_that_differ_in_nothing_else_are_not_taken_for_each_other(calculator: Make, copper: Atoms) -> None:
    through, reader = calculator(**script("reader")), within("reader")
    for change in CHANGES[:5] + CHANGES[6:9]:
        atoms = copper.copy()
        change(atoms)
        atoms.calc = through
        reader.calculate(atoms)
        assert atoms.get_potential_energy() == reader.results["energy"]


def test_what_has_not_changed_is_not_sent_again(calculator: Make) -> None:
    """Steps of the same atoms are asked for in memory, in which there are only positions and cell."""
    slab = fcc111("Al", (2, 2, 3), vacuum=5.0)
    slab.set_initial_magnetic_moments([1.0] * len(slab))
    slab.set_constraint(FixAtoms([0]))
    slab.info["charge"] = 1
    reader = within("reader")
    slab.calc = through = calculator(**script("reader"))
    sent = []
    for step in range(5):
        slab.rattle(0.01, seed=step)
        slab.set_momenta(np.full((len(slab), 3), float(step)))
        reader.calculate(slab)
        assert slab.get_potential_energy() == reader.results["energy"]
        assert through._worker is not None
        connection = through._worker.connection
        sent.append(connection._last_init)
        assert (connection._memory is not None) == (step > 0)
    assert all(text is sent[0] for text in sent)
    slab.set_initial_magnetic_moments([2.0] * len(slab))
    slab.rattle(0.01, seed=9)
    reader.calculate(slab)
    assert slab.get_potential_energy() == reader.results["energy"]


def test_momenta_are_sent_where_they_are_asked_for(calculator: Make, copper: Atoms) -> None:
    for asked in (True, False):
        atoms = copper.copy()
        atoms.calc = calculator(**script("reader", "momenta"), momenta=asked)
        for step in range(3):
            atoms.set_momenta(np.full((len(atoms), 3), 0.5 * step))
            assert not step or atoms.calc.check_state(atoms) == []
            assert atoms.get_potential_energy() == (48.0 * step if asked else 0.0)


def test_what_cannot_be_sent_is_an_error_where_it_is_used(calculator: Make, copper: Atoms) -> None:
    reader = calculator(**script("reader", "uses"))
    copper.calc = reader
    copper.info["odd"] = 1.5
    assert copper.get_potential_energy() == 1.5
    for value in (Decimal("1.5"), object(), Spacegroup(225), [Decimal(1)], {"a": {1: object()}}):
        copper.info["odd"] = value
        with pytest.raises(ModelError, match="that was not sent to this process, because it is of class"):
            copper.get_potential_energy()
    del copper.info["odd"]
    copper.calc = calculator(**script("reader"))
    # Programs that do not use it are not affected.
    copper.calc = calculator("odd-info")
    copper.info = {"charge": 1, "spacegroup": Spacegroup(225)}
    assert copper.get_potential_energy() == 1.0


def test_an_array_or_a_key_that_cannot_be_sent_is_refused_with_its_name(calculator: Make, copper: Atoms) -> None:
    copper.calc = calculator("odd-zero")
    copper.arrays["strange"] = np.array([Decimal(1)] * len(copper))
    with pytest.raises(TypeError, match=r"`atoms.arrays\['strange'\]` cannot be sent .* class Decimal"):
        copper.get_potential_energy()
    del copper.arrays["strange"]
    copper.info[Decimal(1)] = 1
    with pytest.raises(TypeError, match=r"the key Decimal\('1'\) of `atoms.info` cannot be sent"):
        copper.get_potential_energy()
    copper.info.clear()
    assert copper.get_potential_energy() == 0.0


def test_an_array_that_was_attached_afterwards_does_not_hide_results(calculator: Make, tmp_path: Any) -> None:
    """As many programs do it: results are kept in the atoms, which then are written."""
    water = molecule("H2O", vacuum=3.0)
    water.calc = calculator("odd-emt")
    water.arrays["model_forces"] = water.get_forces()
    write(tmp_path / "water.traj", water)
    assert (read(tmp_path / "water.traj").get_forces() == water.arrays["model_forces"]).all()
