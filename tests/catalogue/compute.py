"""An environment's model computes: a worker against the calculator in process, slopes of the energy, a batch against single structures.

usage: python compute.py ROOTSTOCK ROOT ENVIRONMENT MODEL [PATH]    with the Python of the environment

MODEL is what `rootstock worker` takes; with PATH it is `ENVIRONMENT:custom`. Prints one line for the table of the catalogue.
"""

import importlib.util
import json
import sys
from pathlib import Path

import harness
import numpy
from ase.build import bulk, molecule
from ase.calculators.socketio import SocketIOCalculator

ENVIRONMENT, MODEL = sys.argv[3:5]
PATH = sys.argv[5] if len(sys.argv) > 5 else None


def water():
    return molecule("H2O")


def copper():
    return bulk("Cu", "fcc", a=3.6, cubic=True)


def silicon():
    return bulk("Si", "diamond", a=5.43, cubic=True)


def argon():
    return bulk("Ar", "fcc", a=5.26, cubic=True)


# What a model is for; others are for copper and silicon. In eV: how far a worker may be from the calculator in process.
SYSTEMS = {
    "lj": [argon], "xtb": [water], "tblite": [water, silicon], "quippy": [silicon], "nep": [copper], "pyscf": [water], "so3lr": [water],
    "aimnet": [water], "torchani": [water],
}
DOUBLE = {"emt", "lj", "xtb", "tblite", "dftd", "quippy", "nep", "pyscf", "so3lr", "mace", "nequip", "schnetpack", "torchani"}
TOLERANCE = 1e-9 if ENVIRONMENT in DOUBLE else 1e-5
# Slopes of a single-precision energy: its rounding over the step, and the curvature.
SLOPE = 2e-4 if ENVIRONMENT in DOUBLE else 2e-2


def load():
    """The environment's source, and the calculator that a worker has, made in this process."""
    source = Path(harness.ROOT, "envs", ENVIRONMENT, "env_source.py")
    where = importlib.util.spec_from_file_location("env_source", source)
    module = importlib.util.module_from_spec(where)
    where.loader.exec_module(module)
    if PATH:
        return module, module.setup_from_path(PATH, "cpu")
    meaning = json.loads(Path(harness.ROOT, "models.json").read_text())["models"].get(MODEL, {})
    return module, module.setup(meaning.get("argument", ""), "cpu", **meaning.get("setup", {}))


def structures():
    """Two of each system, rattled so that no force is zero, of different sizes."""
    found = []
    for make in SYSTEMS.get(ENVIRONMENT, [copper, silicon]):
        found += [make(), make() * (2, 1, 1) if make is not water else make()]
    for seed, atoms in enumerate(found):
        atoms.positions += 0.05 * numpy.random.RandomState(seed).standard_normal(atoms.positions.shape)
    return found


def single(calculator, atoms):
    """Energy, forces and, of a crystal whose stress the model has, stress."""
    atoms = atoms.copy()
    atoms.calc = calculator
    has_stress = atoms.cell.rank == 3 and "stress" in calculator.implemented_properties
    stress = numpy.array(atoms.get_stress()) if has_stress else None
    return atoms.get_potential_energy(), numpy.array(atoms.get_forces()), stress


def energy(calculator, atoms, change):
    atoms = atoms.copy()
    change(atoms)
    atoms.calc = calculator
    return atoms.get_potential_energy()


def slopes(calculator, atoms, forces, stress):
    """Forces and stress are slopes of the energy: finds a unit that is not eV, Å, and a sign."""
    step, (index, axis) = 5e-3, numpy.unravel_index(numpy.abs(forces).argmax(), forces.shape)

    def moved(by):
        def change(atoms):
            atoms.positions[index, axis] += by

        return energy(calculator, atoms, change)

    def strained(by):
        def change(atoms):
            atoms.set_cell(atoms.cell.array * (1 + by), scale_atoms=True)

        return energy(calculator, atoms, change)

    slope = -(moved(step) - moved(-step)) / (2 * step)
    assert abs(slope - forces[index, axis]) < SLOPE + 2e-2 * abs(slope), ("force", forces[index, axis], slope)
    if stress is not None:
        pressure = (strained(step) - strained(-step)) / (2 * step) / atoms.get_volume()
        trace = stress[:3].sum()
        allowed = SLOPE / atoms.get_volume() + 2e-2 * abs(pressure) + 1e-6
        assert abs(trace - pressure) < max(allowed, 1e-4), ("stress", trace, pressure)


def compare(worked, expected, what):
    """The greatest difference of energies, forces and stresses."""
    found = 0.0
    for quantity, one, other in zip(("energy", "forces", "stress"), worked, expected):
        if one is None or other is None:
            continue
        scale = max(1.0, numpy.abs(other).max() * (1e-6 if TOLERANCE > 1e-6 else 1e-3))
        harness.close(one, other, TOLERANCE * scale * max(1, numpy.size(other) // 3), (what, quantity))
        found = max(found, numpy.abs(numpy.asarray(one) - other).max())
    return found


def from_worker(systems):
    """What one worker answers for each system; a worker has one system, so there is one for each size."""
    for atoms in systems:
        socket = harness.name()
        with SocketIOCalculator(unixsocket=socket) as server:
            extra = ["--weights", PATH] if PATH else []
            worker = harness.Worker(MODEL, socket, "--device", "cpu", *extra, template=atoms)
            atoms = atoms.copy()
            atoms.calc = server
            answer = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress() if atoms.cell.rank == 3 else None
        worker.succeeds()
        yield answer


def in_batch(source, calculator, systems, expected):
    """The greatest difference between a batch and its structures one after another; a dash without batches."""
    compute = source.setup_batch(calculator) if hasattr(source, "setup_batch") else None
    if compute is None:
        return "-"
    wanted = ["energy", "forces"] + ["stress"] * (expected[0][2] is not None)
    answers = list(compute([atoms.copy() for atoms in systems], wanted))
    assert len(answers) == len(systems), len(answers)
    found = 0.0
    for answer, one in zip(answers, expected):
        stress = answer.get("stress")
        if stress is not None and numpy.shape(stress) == (3, 3):
            stress = numpy.asarray(stress).flat[[0, 4, 8, 5, 2, 1]]
        found = max(found, compare((answer["energy"], answer["forces"], stress), one, "batch"))
    return "%.0e" % found


source, calculator = load()
systems = structures()
expected = [single(calculator, atoms) for atoms in systems]
for atoms, (_, forces, stress) in list(zip(systems, expected))[:1]:
    slopes(calculator, atoms, forces, stress)
assert all(numpy.abs(forces).max() > 1e-6 for _, forces, _ in expected), "no forces"
worked = max(compare(*pair, "worker") for pair in zip(from_worker(systems[:1]), expected))
batch = in_batch(source, calculator, systems, expected)
energies = " / ".join("%.6f" % one[0] for one in expected[::2])
strongest = max(numpy.abs(one[1]).max() for one in expected)
print(f"| {ENVIRONMENT} | {'tiny or by path' if PATH else MODEL} | {energies} | {strongest:.4f} | {worked:.0e} | {batch} |")
