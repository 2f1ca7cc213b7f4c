"""A step depends on its frame alone, whatever the calculator did to its atoms at the step before."""

import json
import socket
import struct
import sys
from pathlib import Path

import harness
import numpy as np
from ase.calculators.emt import EMT

SCRIPT = Path(__file__).parent / "calculators" / "clumsy.py"
ARGUMENTS = ("--setup", json.dumps({"script": str(SCRIPT)}))
# A calculator that computes several structures by itself is given copies; one that does not computes on the same atoms.
ONE_BY_ONE = ("--setup", json.dumps({"script": str(SCRIPT), "way": "one-by-one"}))
# Twice as many as there are ways.
STEPS = 2 * SCRIPT.read_text().count("    def do_")


def frames():
    """Positions and cell change, each at every other step."""
    atoms = harness.copper()
    for step in range(STEPS):
        atoms = atoms.copy()
        if step % 2:
            atoms.rattle(0.02, seed=step)
        if step % 3 == 0:
            atoms.set_cell(atoms.cell.array * (1.01 if step % 2 else 0.99), scale_atoms=True)
        yield atoms


def expected(atoms):
    atoms = atoms.copy()
    atoms.calc = EMT()
    return atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False)


def equal(step, results, atoms, charge=0):
    energy, forces, stress = expected(atoms)
    harness.close(results[0], energy + charge, 1e-10, "energy of step %d" % step)
    harness.close(results[1], forces, 1e-10, "forces of step %d" % step)
    harness.close(results[2], stress, 1e-10, "stress of step %d" % step)


def stock():
    with harness.served("odd", *ARGUMENTS) as (server, worker):
        for step, atoms in enumerate(frames()):
            server.set_cell(atoms.cell)
            server.positions = atoms.positions
            results = server.get_potential_energy(), server.get_forces(), server.get_stress(voigt=False)
            equal(step, results, atoms)
    worker.succeeds()


class Raw:
    """A server that writes its messages itself."""

    def __init__(self, *arguments, template=None, setup=ARGUMENTS):
        path = str(harness.SCRATCH / harness.name())
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        self.worker = harness.Worker("odd", path, *setup, *arguments, template=template)
        self.connection, _ = listener.accept()

    def init(self, text):
        self.connection.sendall(b"INIT        " + struct.pack("<ii", 0, len(text)) + text)

    def receive(self, count):
        data = self.connection.recv(count, socket.MSG_WAITALL)
        assert len(data) == count, self.worker.wait()
        return data

    def end(self):
        self.connection.sendall(b"EXIT        ")
        self.worker.succeeds()


def own():
    """Our own dialect, with an `info` that can be changed in place."""
    server = Raw("--species-from-server")
    for step, atoms in enumerate(frames()):
        if step == 0:
            system = {"numbers": atoms.numbers.tolist(), "pbc": [True] * 3, "info": {"charge": 2, "list": [1, 2]}}
            server.init(json.dumps({"rs": 2, **system}).encode())
        message = b"POSDATA     " + atoms.cell.array.T.tobytes() + bytes(72) + struct.pack("<i", len(atoms))
        server.connection.sendall(message + atoms.positions.tobytes() + b"GETFORCE    ")
        assert server.receive(12) == b"FORCEREADY  "
        energy, count = struct.unpack("<di", server.receive(12))
        forces = np.frombuffer(server.receive(24 * count)).reshape(-1, 3)
        stress = np.frombuffer(server.receive(72)).reshape(3, 3)
        extras = server.receive(struct.unpack("<i", server.receive(4))[0])
        assert b"error" not in extras, extras.decode()
        equal(step, (energy, forces, stress), atoms, charge=2)
    server.end()


def batch():
    """Structures at once, each of which the calculator changes."""
    batches(ARGUMENTS)


def batch_one_after_another():
    batches(ONE_BY_ONE)


def batches(setup):
    """Batches of three, in i-PI's units."""
    bohr, hartree = 0.529177217798918, 27.211383414215543
    server = Raw(template=harness.copper(), setup=setup)
    server.init(b"  batch_size:3")
    structures = list(frames())
    for begin in range(0, len(structures) - 2, 3):
        part = structures[begin : begin + 3]
        message = b"POSDATA     " + struct.pack("<i", len(part[0]))
        message += b"".join((atoms.cell.array.T / bohr).tobytes() + bytes(72) for atoms in part)
        message += b"".join((atoms.positions / bohr).tobytes() for atoms in part)
        server.connection.sendall(message + b"GETFORCE    ")
        assert server.receive(12) == b"FORCEREADY  "
        energies = np.frombuffer(server.receive(24)) * hartree
        (count,) = struct.unpack("<i", server.receive(4))
        forces = np.frombuffer(server.receive(3 * 24 * count)).reshape(3, -1, 3) * hartree / bohr
        virials = np.frombuffer(server.receive(3 * 72)).reshape(3, 3, 3) * hartree
        for _ in part:
            server.receive(struct.unpack("<i", server.receive(4))[0])
        for place, atoms in enumerate(part):
            stress = -virials[place].T / atoms.get_volume()
            equal(begin + place, (energies[place], forces[place], stress), atoms)
    server.end()


for case in sys.argv[3:]:
    globals()[case]()
