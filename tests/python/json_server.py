"""A server as rootstock 1.x has it: species as JSON in INIT before every step, errors in the extras of a NaN answer.

Its protocol was written anew from its description; its units are the mixed ones that it has frozen.
"""

import json
import socket
import struct
import sys

import harness
import numpy as np
from ase.calculators.emt import EMT

BOHR, HARTREE = 0.52917721067, 27.211386245988


class Server:
    def __init__(self, model):
        path = str(harness.SCRATCH / harness.name())
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        self.worker = harness.Worker(model, path, "--species-from-server")
        self.connection, _ = listener.accept()

    def receive(self, count):
        return self.connection.recv(count, socket.MSG_WAITALL)

    def say(self, word):
        self.connection.sendall(word.encode().ljust(12))

    def status(self):
        self.say("STATUS")
        return self.receive(12).decode().strip()

    def calculate(self, atoms):
        assert self.status() == "NEEDINIT"
        info = {key: value.tolist() if hasattr(value, "tolist") else value for key, value in atoms.info.items()}
        text = json.dumps({"numbers": atoms.numbers.tolist(), "pbc": atoms.pbc.tolist(), "info": info}).encode()
        self.say("INIT")
        self.connection.sendall(struct.pack("<ii", 0, len(text)) + text)
        assert self.status() == "READY"
        self.say("POSDATA")
        self.connection.sendall((atoms.cell.array.T / BOHR).tobytes())
        self.connection.sendall(np.linalg.pinv(atoms.cell.array).T.tobytes())
        self.connection.sendall(struct.pack("<i", len(atoms)) + (atoms.positions / BOHR).tobytes())
        assert self.status() == "HAVEDATA"
        self.say("GETFORCE")
        assert self.receive(12) == b"FORCEREADY  "
        energy, count = struct.unpack("<di", self.receive(12))
        forces = np.frombuffer(self.receive(24 * count)).reshape(-1, 3)
        virial = np.frombuffer(self.receive(72)).reshape(3, 3).T
        extras = json.loads(self.receive(struct.unpack("<i", self.receive(4))[0]))
        return energy * HARTREE, forces * HARTREE / BOHR, virial * HARTREE, extras

    def goodbye(self):
        self.say("EXIT")
        self.connection.close()
        return self.worker.succeeds()


def equal():
    """Other species, other numbers of atoms and other periodicity in one run; energies as in process."""
    server = Server("odd-emt")
    silver = harness.copper()
    silver.symbols[:] = "Ag"
    open_copper = harness.copper()
    open_copper.pbc = (True, True, False)
    for atoms in [harness.copper(), silver, harness.triclinic(), harness.copper().repeat(2), open_copper, harness.copper()]:
        for _ in range(2):
            atoms.rattle(0.02)
            energy, forces, virial, extras = server.calculate(atoms)
            atoms.calc = EMT()
            harness.close(energy, atoms.get_potential_energy(), 1e-10, "energy")
            harness.close(forces, atoms.get_forces(), 1e-10, "forces")
            harness.close(-virial / atoms.get_volume(), atoms.get_stress(voigt=False), 1e-10, "stress")
            assert extras == {}, extras
    server.goodbye()


def errors():
    """An exception is reported, as NaN and as text, and the next step is computed."""
    server = Server("odd-raises")
    atoms = harness.copper()
    for step in range(5):
        energy, forces, virial, extras = server.calculate(atoms)
        if step < 2:
            assert energy == 0 and not forces.any() and extras == {}
        else:
            assert np.isnan(energy) and np.isnan(forces).all() and np.isnan(virial).all()
            assert forces.shape == (32, 3)
            assert extras["kind"] == "RuntimeError" and extras["retryable"] is False, extras
            assert "out of memory on device %d" % (step + 1) in extras["error"], extras
    assert "the calculation failed; the server was sent this error" in server.goodbye()


def info():
    server = Server("odd-info")
    atoms = harness.copper()
    for charge, spin in [(0, 1), (2, 1), (2, 3)]:
        atoms.info = {"charge": charge, "spin": spin, "vector": np.arange(3.0)}
        harness.close(server.calculate(atoms)[0], charge + 100 * spin, 1e-9, "info")
    server.goodbye()


def missing_stress():
    server = Server("odd-nostress")
    energy, forces, virial, _ = server.calculate(harness.copper())
    assert energy == 0 and not forces.any() and np.isnan(virial).all()
    assert "the model computes no stress" in server.goodbye()


for case in sys.argv[3:]:
    globals()[case]()
