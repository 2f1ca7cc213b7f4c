"""Stored results name their origin: what the worker was started with."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from ase.db import connect
from ase.io import read, write
from conftest import Make, pid, processes, script

from rootstock import RootstockError


def generation(root: Path) -> str:
    return (root / "envs" / "odd").resolve().name


def test_stored_results_name_their_origin(calculator: Make, copper: Atoms, root: Path, tmp_path: Path) -> None:
    copper.calc = calculator("odd-emt", device="cpu:0")
    assert copper.calc.todict() == {"model": "odd-emt", "device": "cpu:0"}
    copper.get_potential_energy()
    origin = {"model": "odd-emt", "device": "cpu:0", "environment": "odd", "generation": generation(root)}
    assert copper.calc.todict() == origin
    copper.calc.close()
    assert copper.calc.todict() == origin, "it is about the numbers, not about the worker"
    write(tmp_path / "a.traj", copper)
    assert read(tmp_path / "a.traj").calc.parameters == origin
    with connect(tmp_path / "a.db") as database:
        database.write(copper)
        assert database.get(id=1).calculator_parameters == origin
    # A user's change of it changes no worker, and so no record.
    copper.calc.parameters["device"] = "cuda"
    assert copper.calc.todict() == origin


def test_own_weights_are_stored_with_their_digest(calculator: Make, copper: Atoms, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.write_text("-4.5")
    copper.calc = calculator("odd:custom", weights=weights)
    assert copper.get_potential_energy() == -4.5
    digest = hashlib.sha256(b"-4.5").hexdigest()
    assert copper.calc.todict()["weights_sha256"] == {str(weights): digest}


def test_a_change_of_arguments_starts_another_worker(calculator: Make, copper: Atoms, tmp_path: Path) -> None:
    copper.calc = through = calculator(**script("device", "first"))
    assert (copper.get_potential_energy(), through.todict()["device"]) == (len("cpu first"), "cpu")
    first = pid(through)
    watched = processes(first)
    assert through.set(device="cuda:11") == {"device": "cuda:11"}
    assert through.results == {} and through.parameters["device"] == "cuda:11"
    assert not any(Path(f"/proc/{process}").exists() for process in watched[:1])
    assert (copper.get_potential_energy(), through.todict()["device"]) == (len("cuda:11 first"), "cuda:11")
    second = pid(through)
    assert second != first
    # What is no change changes nothing.
    assert through.set(device="cuda:11") == {} and through.set() == {}
    assert through.results["energy"] == len("cuda:11 first") and pid(through) == second
    arguments = {**script("device")["setup_kwargs"], "way": "another"}
    through.set(setup_kwargs=arguments)
    assert copper.get_potential_energy() == len("cuda:11 another")
    assert through.todict()["setup_kwargs"] == arguments
    weights = tmp_path / "weights"
    weights.write_text("7")
    for changes, energy in [
        ({"model": "odd:custom", "weights": weights, "setup_kwargs": None}, 7.0),
        ({"model": "odd-zero", "weights": None}, 0.0),
        ({"checkpoint": "odd-nostress", "momenta": True}, 0.0),
        ({"step_timeout": 30.0, "restarts": 1}, 0.0),
    ]:
        before = pid(through)
        through.set(**changes)
        assert copper.get_potential_energy() == energy
        assert pid(through) != before


@pytest.mark.parametrize("changes, message", [
    ({"devise": "cuda"}, "has no arguments .'devise'."),
    ({"label": "x"}, "has no arguments .'label'."),
    ({"cluster": "della"}, "both name the root"),
    ({"model": "odd:custom"}, "both or neither"),
    ({"model": "a", "checkpoint": "b"}, "name one model"),
    ({"setup_kwargs": {"device": "cuda"}}, "arguments of their own"),
    ({"setup_kwargs": {"x": object()}}, "must be JSON"),
])
def test_what_cannot_be_changed_changes_nothing(calculator: Make, copper: Atoms, changes: dict[str, Any], message: str) -> None:
    copper.calc = calculator("odd-zero")
    copper.get_potential_energy()
    worker, origin = pid(copper.calc), copper.calc.todict()
    with pytest.raises(TypeError, match=message):
        copper.calc.set(**changes)
    assert pid(copper.calc) == worker and copper.calc.todict() == origin and copper.calc.results["energy"] == 0.0


def test_another_root_is_another_origin(calculator: Make, copper: Atoms, tmp_path: Path) -> None:
    copper.calc = calculator("odd-zero")
    copper.get_potential_energy()
    copper.calc.set(root=tmp_path)
    assert "generation" not in copper.calc.todict()
    with pytest.raises(RootstockError, match="nothing is built in the root"):
        copper.get_potential_energy()
