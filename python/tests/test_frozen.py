"""The Python rootstock 1.x and we understand each other: our calculator drives the workers that it froze in its environments,
and its client drives ours, neither of them changed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.emt import EMT
from conftest import PROGRAM, await_end, pid, processes

from rootstock import ModelError, RootstockCalculator, RootstockError, WorkerDiedError

VERSION = "1.6.4"

SOURCE = '''
import os
from ase.calculators.emt import EMT

CHECKPOINTS = {"emt-old": "all there is", "emt:custom": None, "deadly": "one that dies"}


class Odd(EMT):
    def calculate(self, atoms, *arguments, **more):
        if atoms.positions[0, 0] > 300:
            os._exit(7)
        if atoms.positions[0, 0] > 200:
            raise ValueError("too far on %s" % self.device)
        super().calculate(atoms, *arguments, **more)
        self.results["energy"] += atoms.info.get("charge", 0) + self.shift


def setup(checkpoint, device, shift=0.0):
    if checkpoint == "deadly":
        print("these are my last words", flush=True)
        os._exit(9)
    calculator = Odd()
    calculator.device, calculator.shift = device, shift
    return calculator


def setup_from_path(path, device):
    return setup(path, device, float(open(path).read()))
'''

THEIRS = '''
import subprocess, sys
from ase.build import bulk
from ase.calculators.emt import EMT
from rootstock import __version__
from rootstock.server import RootstockServer
assert __version__ == %r, __version__

class Ours(RootstockServer):
    def _start_worker(self):
        command = [sys.argv[1], "worker", "odd-emt", "--root", sys.argv[2], "--unix", self.socket_path]
        self._process = subprocess.Popen([*command, "--species-from-server"])
        return self._process

with Ours(env_name="none", checkpoint="none", root=sys.argv[2], usage_client=None) as server:
    atoms = bulk("Cu", cubic=True).repeat(2)
    for symbol in ("Cu", "Ag", "Cu"):
        atoms.symbols[:] = symbol
        for seed in range(3):
            atoms.rattle(0.05, seed=seed)
            energy, forces, virial = server.calculate(
                atoms.positions, atoms.cell.array, atoms.numbers, list(atoms.pbc), {}
            )
            atoms.calc = EMT()
            assert abs(energy - atoms.get_potential_energy()) < 1e-10
            assert abs(forces - atoms.get_forces()).max() < 1e-10
            assert abs(virial / -atoms.get_volume() - atoms.get_stress(voigt=False)).max() < 1e-10
    process = server._process
# It sends EXIT and then SIGTERM, which may arrive first.
assert process.wait() in (0, 143), process.returncode
''' % VERSION


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root as 1.x lays it out. Its environment takes ASE and NumPy from the one that the tests run in."""
    root = tmp_path_factory.mktemp("old")
    environment = root / "envs" / "emt"
    venv.create(environment, symlinks=True)
    packages = root / "packages"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", packages]
    subprocess.run([*install, f"rootstock=={VERSION}", "packaging", "tomli-w"], check=True)
    (site,) = environment.glob("lib/python3*/site-packages")
    (site / "borrowed.pth").write_text(f"{packages}\n{sysconfig.get_path('purelib')}\n")
    (environment / "env_source.py").write_text(SOURCE)
    (root / "layout.json").write_text('{"layout_version": 1}')
    for name in ("home", "cache"):
        (root / name).mkdir()
    return root


def near(atoms: Atoms, shift: float = 0.0) -> None:
    """Its units are not exactly ours, so its numbers are not to the last bit."""
    within = atoms.copy()
    within.calc = EMT()
    assert abs(atoms.get_potential_energy() - shift - within.get_potential_energy()) < 1e-10
    assert abs(atoms.get_forces() - within.get_forces()).max() < 1e-10
    if atoms.pbc.all():
        assert abs(atoms.get_stress() - within.get_stress()).max() < 1e-10


def test_a_frozen_worker_is_driven_unchanged(old: Path, copper: Atoms, tmp_path: Path) -> None:
    silver = copper.copy()
    silver.symbols[:] = "Ag"
    with RootstockCalculator("emt-old", root=old, device="cuda:3", setup_kwargs={"shift": 1.5}) as through:
        for atoms in (copper, silver, copper.repeat(2), molecule("H2O"), copper):
            atoms.calc = through
            for seed in range(2):
                atoms.rattle(0.01, seed=seed)
                near(atoms, 1.5)
        worker = pid(through)
        copper.info["charge"] = 2
        near(copper, 3.5)
        water = molecule("H2O")
        water.calc = through
        with pytest.raises(PropertyNotImplementedError):
            water.get_stress()
        far = copper.copy()
        far.calc = through
        far.positions[0, 0] = 250
        with pytest.raises(ModelError, match="too far on cuda:3"):
            far.get_forces()
        near(copper, 3.5)
        assert pid(through) == worker
        watched = [os.pidfd_open(process) for process in processes(worker)]
    await_end(watched)


def test_it_refuses_atoms_that_it_cannot_represent(old: Path, copper: Atoms) -> None:
    with RootstockCalculator("emt-old", root=old) as copper.calc:
        copper.set_tags(0)
        copper.set_initial_charges([0.0] * len(copper))
        copper.set_masses("defaults")
        copper.set_momenta([[1.0, 0.0, 0.0]] * len(copper))
        near(copper)
        for change, name in [
            (lambda atoms: atoms.set_initial_charges([1.0] * len(atoms)), r"`atoms.arrays\['initial_charges'\]`"),
            (lambda atoms: atoms.set_initial_magnetic_moments([1.0] * len(atoms)), r"`atoms.arrays\['initial_magmoms'\]`"),
            (lambda atoms: atoms.set_tags(range(len(atoms))), r"`atoms.arrays\['tags'\]`"),
            (lambda atoms: atoms.set_masses([1.0] * len(atoms)), r"`atoms.arrays\['masses'\]`"),
            (lambda atoms: atoms.set_array("mine", atoms.numbers), r"`atoms.arrays\['mine'\]`"),
            (lambda atoms: atoms.info.update(mine=object()), r"`atoms.info\['mine'\]`"),
            (lambda atoms: atoms.info.update({7: "x"}), r"`atoms.info\[7\]`"),
        ]:
            atoms = copper.copy()
            atoms.calc = copper.calc
            change(atoms)
            with pytest.raises(ValueError, match=f"cannot be sent {name}"):
                atoms.get_potential_energy()
        near(copper)


def test_its_weights_are_loaded_by_its_own_hook(old: Path, copper: Atoms, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.write_text("0.25")
    with RootstockCalculator("emt:custom", root=old, weights=weights) as copper.calc:
        near(copper, 0.25)


def test_its_death_is_reported_and_the_next_calculation_starts_again(old: Path, copper: Atoms) -> None:
    with RootstockCalculator(checkpoint="emt-old", root=old) as copper.calc:
        near(copper)
        deadly = copper.copy()
        deadly.calc = copper.calc
        deadly.positions[0, 0] = 400
        with pytest.raises(WorkerDiedError, match="exit code 7"):
            deadly.get_forces()
        near(copper)
    copper.calc = RootstockCalculator("deadly", root=old)
    with pytest.raises(WorkerDiedError, match="exit code 9; its output:\\s+these are my last words"):
        copper.get_forces()
    copper.calc = RootstockCalculator("mace", root=old)
    with pytest.raises(RootstockError, match="has no model `mace`; it has deadly, emt-old, emt:custom"):
        copper.get_forces()


def test_its_client_drives_our_worker(old: Path, root: Path) -> None:
    python = old / "envs" / "emt" / "bin" / "python"
    subprocess.run([python, "-I", "-c", THEIRS, PROGRAM, root], check=True)


def test_a_later_layout_is_refused(old: Path, tmp_path: Path) -> None:
    (tmp_path / "envs").symlink_to(old / "envs")
    (tmp_path / "layout.json").write_text('{"layout_version": 2}')
    atoms = bulk("Cu")
    atoms.calc = RootstockCalculator("emt-old", root=tmp_path)
    with pytest.raises(RootstockError, match="layout 2"):
        atoms.get_forces()
