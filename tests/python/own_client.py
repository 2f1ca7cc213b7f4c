"""A client of our own dialect over an inherited socket: one write and one answer a step, numbers as in process.

What is compared is compared to the last bit, because nothing is converted on the way.
"""

import json
import os
import socket
import struct
import subprocess
import sys

import harness
import numpy as np
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT


class Client:
    """The other end of a worker's socket."""

    def __init__(self, model, *arguments):
        self.socket, theirs = socket.socketpair()
        self.log = open(harness.SCRATCH / harness.name(), "w+")
        command = [harness.ROOTSTOCK, "worker", model, "--root", harness.ROOT, "--fd", str(theirs.fileno())]
        command += ["--species-from-server", *arguments]
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=self.log)
        theirs.close()
        self.sent = None

    def step(self, atoms, **more):
        """Energy, forces, stress and extras of a frame."""
        text = {"rs": 2, "numbers": atoms.numbers.tolist(), "pbc": atoms.pbc.tolist(), "info": atoms.info, **more}
        message = b""
        if text != self.sent:
            encoded = json.dumps(text).encode()
            message += b"INIT        " + struct.pack("<ii", 0, len(encoded)) + encoded
            self.sent = text
        message += b"POSDATA     " + atoms.cell.array.T.tobytes() + bytes(72)
        message += struct.pack("<i", len(atoms)) + atoms.positions.tobytes() + b"GETFORCE    "
        self.socket.sendall(message)
        assert self.receive(12) == b"FORCEREADY  "
        energy, count = struct.unpack("<di", self.receive(12))
        forces = np.frombuffer(self.receive(24 * count)).reshape(-1, 3)
        stress = np.frombuffer(self.receive(72)).reshape(3, 3)
        extras = json.loads(self.receive(struct.unpack("<i", self.receive(4))[0]))
        return energy, forces, stress, extras

    def receive(self, count):
        data = self.socket.recv(count, socket.MSG_WAITALL)
        assert len(data) == count, "the worker has gone: " + self.output()
        return data

    def output(self):
        self.log.seek(0)
        return self.log.read()

    def goodbye(self, message=b"EXIT        "):
        self.socket.sendall(message)
        self.socket.close()
        assert self.process.wait(timeout=harness.PATIENCE) == 0, self.output()
        return self.output()


def equal():
    """Species, numbers of atoms, cells and periodicity change in one run; everything is as in process, to the last bit."""
    client = Client("odd-mortal-never")
    silver = harness.copper()
    silver.symbols[:] = "Ag"
    open_copper = harness.copper()
    open_copper.pbc = (True, True, False)
    systems = [harness.copper(), silver, harness.triclinic(), harness.copper().repeat(2), open_copper]
    systems += [harness.water(), harness.boxed(), harness.slab(), harness.copper()]
    for atoms in systems:
        atoms.info = {}
        for _ in range(2):
            atoms.rattle(0.02)
            energy, forces, stress, extras = client.step(atoms)
            calculator = EMT()
            wanted = ["energy", "forces"] + ["stress"] * bool(atoms.cell.rank == 3)
            calculator.calculate(atoms, wanted, all_changes)
            results = calculator.results
            assert energy == results["energy"], (atoms, energy, results["energy"])
            assert (forces == results["forces"]).all(), atoms
            assert extras == {"free_energy": results["free_energy"]}, extras
            if "stress" in results:
                xx, yy, zz, yz, xz, xy = results["stress"]
                assert (stress == [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]).all(), atoms
            else:
                assert np.isnan(stress).all(), atoms
    client.goodbye()


def full_stress_tensor():
    client = Client("odd-single")
    atoms = harness.triclinic()
    _, _, stress, extras = client.step(atoms)
    atoms.calc = EMT()
    assert (stress == atoms.get_stress(voigt=False).astype(np.float32)).all()
    assert extras == {}
    client.goodbye()


def errors():
    """An exception, unknown atoms, an empty INIT: each is reported, and the next step is computed."""
    client = Client("odd-raises")
    atoms = harness.copper()

    def fails(kind, fragment, **more):
        energy, forces, stress, extras = client.step(atoms, **more)
        assert np.isnan(energy) and np.isnan(forces).all() and np.isnan(stress).all()
        assert forces.shape == atoms.positions.shape
        assert extras["kind"] == kind and extras["retryable"] is False and fragment in extras["error"], extras

    def works():
        energy, forces, _, _ = client.step(atoms)
        assert energy == 0 and not forces.any()

    works()
    fails("InitError", "expected an array of length 3", pbc=[True])
    fails("InitError", "this worker supports", rs=7)
    fails("ValueError", "positions of 32 atoms, but this worker's system has 31", numbers=[29] * 31)
    works()
    fails("RuntimeError", "out of memory on device 3")
    fails("RuntimeError", "in go_raises")
    assert client.goodbye(b"").count("the server was sent this error") == 5


def failed_start():
    """A client that waits for an answer gets the reason why there is no worker; another one sees an end, not a reset."""
    for model, code, reason in [
        ("odd-fails", 1, "there is no model for the device 'cpu'"),
        ("nonsense", 2, "the root has no model `nonsense`"),
    ]:
        client = Client(model)
        energy, forces, stress, extras = client.step(harness.copper())
        assert np.isnan(energy) and np.isnan(forces).all() and np.isnan(stress).all()
        assert extras["kind"] == "WorkerDied" and reason in extras["error"], extras
        assert client.socket.recv(1) == b""
        assert client.process.wait(timeout=harness.PATIENCE) == code, client.output()
        assert reason in client.output()
        client = Client(model)
        client.socket.sendall(b"POSDATA     " + bytes(100))
        assert client.socket.recv(1) == b""
        assert client.process.wait(timeout=harness.PATIENCE) == code, client.output()


def refused():
    """Numbers that are not those of a connected stream socket are refused before anything is started."""
    here, there = socket.socketpair(type=socket.SOCK_SEQPACKET)
    datagrams, _ = socket.socketpair(type=socket.SOCK_DGRAM)
    reading, writing = os.pipe()
    alone = socket.socket()
    listening = socket.socket()
    listening.listen()
    closed = os.dup(writing)
    os.close(closed)
    for number, wrong in [
        (here.fileno(), "this socket is not a stream socket"),
        (datagrams.fileno(), "this socket is not a stream socket"),
        (writing, "this descriptor is not a socket"),
        (alone.fileno(), "this socket is not connected"),
        (listening.fileno(), "this socket is not connected"),
        (closed, "no such descriptor is open in this process"),
        (4294967295, "no such descriptor is open in this process"),
    ]:
        command = [harness.ROOTSTOCK, "worker", "odd-zero", "--root", harness.ROOT, "--fd", str(number)]
        command += ["--species-from-server"]
        kept = [number] if number not in (closed, 4294967295) else []
        ended = subprocess.run(command, pass_fds=kept, capture_output=True, text=True)
        assert ended.returncode == 2, ended
        assert "`--fd %d`: %s" % (number, wrong) in ended.stderr, ended.stderr


def standard_input():
    """The socket may be the worker's standard input; and nothing that the worker starts has it."""
    here, there = socket.socketpair()
    command = [harness.ROOTSTOCK, "worker", "odd-zero", "--root", harness.ROOT, "--fd", "0", "--species-from-server"]
    process = subprocess.Popen(command, stdin=there, stderr=subprocess.DEVNULL)
    there.close()
    client = Client.__new__(Client)
    client.socket, client.process, client.sent = here, process, None
    client.step(harness.copper())
    (python,) = harness.children(process.pid)
    ours = {os.readlink("/proc/%d/fd/%s" % (process.pid, number)) for number in os.listdir("/proc/%d/fd" % process.pid)}
    theirs = {os.readlink("/proc/%d/fd/%s" % (python, number)) for number in os.listdir("/proc/%d/fd" % python)}
    assert any(name.startswith("socket:") for name in ours)
    assert not {name for name in ours & theirs if name.startswith("socket:")}, (ours, theirs)
    here.close()
    assert process.wait(timeout=harness.PATIENCE) == 0


for case in sys.argv[3:]:
    globals()[case]()
