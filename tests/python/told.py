"""Workers that are told to end leave in order, whatever they are in the middle of, and take their Python with them."""

import signal
import socket
import struct
import sys

import harness
from harness import PATIENCE, children, gone, watch

SPECIES = ("--species", "Cu", "--pbc", "TTT")
STEP = b"POSDATA     " + struct.pack("<9d", 8, 0, 0, 0, 8, 0, 0, 0, 8) + bytes(72) + struct.pack("<i", 1) + bytes(24)


class Server:
    """A socket on which a worker is awaited."""

    def __init__(self, model):
        path = str(harness.SCRATCH / harness.name())
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.worker = harness.Worker(model, path, *SPECIES)
        self.connection, _ = self.listener.accept()
        self.connection.settimeout(PATIENCE)

    def step(self):
        self.connection.sendall(STEP + b"GETFORCE    ")
        return self.connection.recv(12 + 88 + 24, socket.MSG_WAITALL)

    def told(self, number=signal.SIGTERM, name="SIGTERM"):
        """Tells the worker to end: the server sees an end, no reset, and nothing that was not there before."""
        (python,) = map(watch, children(self.worker.process.pid))
        self.worker.process.send_signal(number)
        assert self.connection.recv(1000) == b""
        self.connection.close()
        self.worker.fails(128 + number, "ended by %s" % name)
        assert gone(python, within=0)


def while_loading():
    worker = harness.Worker("odd-sleeps", "nobody", *SPECIES)
    worker.await_saying("going to sleep")
    (python,) = map(watch, children(worker.process.pid))
    worker.process.terminate()
    worker.fails(143, "ended by SIGTERM")
    assert gone(python, within=0)


def while_connecting():
    worker = harness.Worker("odd-zero", harness.name(), *SPECIES)
    worker.await_saying("model loaded")
    (python,) = map(watch, children(worker.process.pid))
    worker.process.terminate()
    worker.fails(143, "ended by SIGTERM")
    assert gone(python, within=0)


def while_idle():
    for number, name in [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT"), (signal.SIGHUP, "SIGHUP")]:
        server = Server("odd-zero")
        assert server.step()[:12] == b"FORCEREADY  "
        server.told(number, name)


def while_computing():
    """The server's own next message lies unread in the worker's socket, as i-PI's does."""
    server = Server("odd-mortal-hangs")
    server.step()
    server.step()
    server.connection.sendall(STEP)
    server.worker.await_saying("hanging")
    server.connection.sendall(b"GETFORCE    ")
    server.told()


def while_the_server_speaks():
    server = Server("odd-zero")
    server.step()
    server.connection.sendall(STEP[:100])
    server.told()


def while_the_server_does_not_listen():
    """The answer does not fit into the socket, and nobody takes it out; then somebody does."""
    path = str(harness.SCRATCH / harness.name())
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    atoms = 200_000
    worker = harness.Worker("odd-zero", path, "--species", "Cu%d" % atoms, "--pbc", "TTT")
    connection, _ = listener.accept()
    connection.sendall(STEP[:-28] + struct.pack("<i", atoms) + bytes(24 * atoms) + b"GETFORCE    ")
    connection.recv(1)
    (python,) = map(watch, children(worker.process.pid))
    worker.process.terminate()
    # It ends after seconds, though nobody has taken the rest.
    worker.fails(143, "ended by SIGTERM")
    assert gone(python, within=0)


def ignored():
    """Whoever starts a worker with `nohup` wants it to outlive the terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    server = Server("odd-zero")
    signal.signal(signal.SIGHUP, before)
    server.step()
    server.worker.process.send_signal(signal.SIGHUP)
    assert server.step()[:12] == b"FORCEREADY  "
    server.told()


for case in sys.argv[3:]:
    globals()[case]()
