"""Everything that a model may read of its atoms reaches it: from a template, and from servers that speak JSON."""

import json
import os
import signal
import socket
import struct
import sys
from pathlib import Path

import harness
import numpy as np
from ase import io

SCRIPT = Path(__file__).parent / "calculators" / "reader.py"
sys.path.insert(0, str(SCRIPT.parent))
import reader  # noqa: E402

ARGUMENTS = ("--setup", json.dumps({"script": str(SCRIPT)}))
BOHR, HARTREE = 0.52917721067, 27.211386245988


def full():
    """Atoms with one of everything that an extended XYZ file can say."""
    atoms = harness.copper()
    count = len(atoms)
    atoms.set_initial_charges(np.linspace(-1, 1, count))
    atoms.set_initial_magnetic_moments(np.arange(3.0 * count).reshape(-1, 3) / 7)
    atoms.set_tags(np.arange(count) % 3)
    atoms.set_masses(np.linspace(60, 64, count))
    atoms.set_array("label", np.array(["a", "bc"] * (count // 2)))
    atoms.set_array("flag", np.arange(count) % 2 == 0)
    atoms.info.update(charge=1, spin=2, text="some words", field=np.array([0.1, 0.2, 0.3]), yes=True, nothing=float("nan"))
    return atoms


def template():
    for suffix in ("extxyz", "traj", "json"):
        path = harness.SCRATCH / ("template." + suffix)
        full().write(path)
        atoms = io.read(path)
        name = harness.name()
        from ase.calculators.socketio import SocketIOCalculator

        with SocketIOCalculator(unixsocket=name) as atoms.calc:
            worker = harness.Worker("odd", name, *ARGUMENTS, "--template", path)
            for step in range(3):
                if step == 2:
                    # Another Python is given the same, though the file is another one by now.
                    harness.copper().write(path)
                    (python,) = harness.children(worker.process.pid)
                    os.kill(python, signal.SIGKILL)
                atoms.positions += 0.01
                assert round(atoms.get_potential_energy()) == reader.read(atoms), (suffix, step)
        worker.succeeds()


def options_go_before_the_template():
    atoms = full()
    with harness.served("odd", *ARGUMENTS, "--charge", "5", "--spin", "7", atoms=atoms) as (atoms, worker):
        expected = io.read(worker.process.args[-1])
        expected.info.update(charge=5, spin=7)
        assert round(atoms.get_potential_energy()) == reader.read(expected)
    worker.succeeds()


class Server:
    """As rootstock 1.x has it."""

    def __init__(self, *arguments):
        path = str(harness.SCRATCH / harness.name())
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        self.worker = harness.Worker("odd", path, *ARGUMENTS, *arguments)
        self.connection, _ = listener.accept()

    def receive(self, count):
        return self.connection.recv(count, socket.MSG_WAITALL)

    def step(self, atoms, **system):
        """Energy and extras; nothing if the worker has left."""
        system = {"numbers": atoms.numbers.tolist(), "pbc": atoms.pbc.tolist(), "info": {}, **system}
        text = json.dumps(system).encode()
        message = b"INIT        " + struct.pack("<ii", 0, len(text)) + text
        message += b"POSDATA     " + (atoms.cell.array.T / BOHR).tobytes() + bytes(72)
        message += struct.pack("<i", len(atoms)) + (atoms.positions / BOHR).tobytes() + b"GETFORCE    "
        self.connection.sendall(message)
        if self.receive(12) != b"FORCEREADY  ":
            return None
        energy, count = struct.unpack("<di", self.receive(12))
        self.receive(24 * count + 72)
        return energy * HARTREE, json.loads(self.receive(struct.unpack("<i", self.receive(4))[0]))

    def end(self):
        self.connection.sendall(b"EXIT        ")
        return self.worker.succeeds()


def arrays():
    """All that JSON can carry is sent, of atoms that change."""
    return {
        "initial_charges": [0.1, -0.1] * 16,
        "initial_magmoms": [[0.0, 0.1, 2.0]] * 32,
        "tags": list(range(32)),
        "masses": [1.5] * 32,
        "label": ["x", "yz"] * 16,
    }


def json_server():
    server = Server("--species-from-server", "--charge", "3")
    atoms = harness.copper()
    for sent in [{}, arrays(), {**arrays(), "tags": [0] * 32}, {"tags": [1] * 32}, {}]:
        expected = harness.copper()
        for name, value in sent.items():
            expected.arrays[name] = np.array(value)
        expected.info.update(spin=2, charge=3)
        energy, extras = server.step(atoms, info={"spin": 2}, arrays=sent)
        assert extras == {} and round(energy) == reader.read(expected), (sent, extras)
    for wrong, reason in [
        ({"tags": [1]}, "the array `tags` has shape (1,), and there are 32 atoms"),
        ({"tags": 1}, "the array `tags` has shape (), and there are 32 atoms"),
        ({"tags": [[1], [2, 3]] * 16}, "inhomogeneous"),
        ({"tags": [None] * 32}, "the array `tags` holds neither numbers"),
        ({"numbers": [1] * 32}, "`numbers` does not belong into `arrays`"),
    ]:
        energy, extras = server.step(atoms, arrays=wrong)
        assert np.isnan(energy) and reason in extras["error"], extras
    server.end()


def what_is_not_known_is_refused():
    for key, value in [("initial_charges", [1] * 32), ("magmoms", [1] * 32), ("charge", 1), ("cell", [[1]])]:
        server = Server("--species-from-server")
        assert server.step(harness.copper(), **{key: value}) is None
        server.worker.fails(1, "unknown key `%s` in the INIT" % key)
    server = Server("--species-from-server")
    assert server.step(harness.copper(), charge=0, cell=[], more=None)[1] == {}
    server.end()


def a_server_and_a_template():
    """What the server says goes before what the template says, of the same atoms."""
    path = harness.SCRATCH / "template.traj"
    full().write(path)
    server = Server("--template", str(path))
    expected = io.read(path)
    expected.set_tags(7)
    expected.info["charge"] = 4
    energy, extras = server.step(harness.copper(), info={"charge": 4}, arrays={"tags": [7] * 32})
    assert extras == {} and round(energy) == reader.read(expected), extras
    other = harness.copper()
    other.symbols[:] = "Ag"
    energy, extras = server.step(other)
    assert "the server's atoms are not those that the worker was started with" in extras["error"]
    server.end()


for case in sys.argv[3:]:
    globals()[case]()
