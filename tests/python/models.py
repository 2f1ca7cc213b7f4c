"""The models of this repository, driven by stock ASE, give what their calculators give in process and what is known.

usage: python models.py ROOTSTOCK ROOT MODEL...    with the Python of the models' environment

Reference energies (eV) of Cu (fcc, 4 atoms, a = 3.6 Å), Si (diamond, 8 atoms, a = 5.43 Å) and H2O were measured with
the packages as published, without rootstock.
"""

import importlib.util
import json
import sys
from pathlib import Path

import harness
import numpy
from ase import Atoms
from ase.build import bulk
from ase.calculators.socketio import SocketIOCalculator

SYSTEMS = {
    "Cu": lambda: bulk("Cu", "fcc", a=3.6, cubic=True),
    "Si": lambda: bulk("Si", "diamond", a=5.43, cubic=True),
    "H2O": lambda: Atoms("OH2", [(0, 0, 0.119262), (0, 0.763239, -0.477047), (0, -0.763239, -0.477047)]),
}

# model: tolerance in eV and eV/Å, then the known energies; models compute in double or in single precision.
KNOWN = {
    "emt": (1e-10, {"Cu": -0.026755}),
    "gfn2-xtb": (1e-10, {"H2O": -137.967776, "Si": -367.934923}),
    "chgnet-0.3.0": (1e-4, {"Cu": -16.328930, "Si": -42.497437}),
    "7net-0": (1e-4, {"Cu": -16.382555, "Si": -43.206638}),
}


def in_process(model):
    """The source of the model's environment, and the calculator that the worker has, made in this process."""
    meaning = json.loads(Path(harness.ROOT, "models.json").read_text())["models"].get(model, {"environment": model})
    source = Path(harness.ROOT, "envs", meaning["environment"], "env_source.py")
    where = importlib.util.spec_from_file_location("env_source", source)
    module = importlib.util.module_from_spec(where)
    where.loader.exec_module(module)
    return module, module.setup(meaning.get("argument", ""), "cpu", **meaning.get("setup", {}))


def compare(model, system, energy, tolerance, calculator):
    atoms = SYSTEMS[system]()
    reference = atoms.copy()
    reference.calc = calculator
    socket = harness.name()
    with SocketIOCalculator(unixsocket=socket) as server:
        worker = harness.Worker(model, socket, "--device", "cpu", template=atoms)
        atoms.calc = server
        for step in range(3):
            # ASE's server asks for everything at once; so do we, or a calculator would compute it three times.
            here = reference.get_potential_energy()
            harness.close(atoms.get_potential_energy(), here, max(tolerance, 1e-12 * abs(here)), (model, system, "energy"))
            if step == 0:
                print(f"{model:14} {system:4} {here:14.6f} eV", flush=True)
                harness.close(here, energy, max(tolerance, 2e-6), (model, system, "known energy"))
            harness.close(atoms.get_forces(), reference.get_forces(), tolerance, (model, system, "forces"))
            if atoms.cell.rank == 3:
                harness.close(atoms.get_stress(), reference.get_stress(), tolerance, (model, system, "stress"))
            atoms.rattle(0.02, seed=step)
            reference.positions = atoms.positions
    worker.succeeds()


def batch(model, systems, tolerance, calculator, compute):
    """Structures of different sizes in one evaluation give what they give one after another."""
    structures = [SYSTEMS[system]() for system in systems] * 2
    for seed, atoms in enumerate(structures):
        atoms.rattle(0.05, seed=seed)
    answers = compute(structures, ["energy", "forces", "stress"])
    assert len(answers) == len(structures), (model, len(answers))
    for atoms, answer in zip(structures, answers):
        atoms.calc = calculator
        stress = atoms.get_stress(voigt=numpy.shape(answer["stress"]) == (6,))
        harness.close(answer["energy"], atoms.get_potential_energy(), tolerance, (model, "batch", "energy"))
        harness.close(answer["forces"], atoms.get_forces(), tolerance, (model, "batch", "forces"))
        harness.close(answer["stress"], stress, tolerance, (model, "batch", "stress"))


for model in sys.argv[3:]:
    tolerance, energies = KNOWN[model]
    source, calculator = in_process(model)
    for system, energy in energies.items():
        compare(model, system, energy, tolerance, calculator)
    if hasattr(source, "setup_batch"):
        batch(model, energies, tolerance, calculator, source.setup_batch(calculator))
