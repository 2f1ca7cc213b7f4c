"""Workers that get a signal end in order, whatever they are in the middle of, and end their Python."""

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

    def stop(self, number=signal.SIGTERM, name="SIGTERM"):
        """Sends the signal: the server sees an end, no reset, and nothing that was not there before."""
        (python,) = map(watch, children(self.worker.process.pid))
        self.worker.process.send_signal(number)
        assert self.connection.recv(1000) == b""
        self.connection.close()
        self.worker.fails(128 + number, "ended by %s" % name)
        assert gone(python, within=0)


def while_loading():
    worker = harness.Worker("odd-sleeps", "nobody", *SPECIES)
    worker.await_output("going to sleep")
    (python,) = map(watch, children(worker.process.pid))
    worker.process.terminate()
    worker.fails(143, "ended by SIGTERM")
    assert gone(python, within=0)


def while_connecting():
    worker = harness.Worker("odd-zero", harness.name(), *SPECIES)
    worker.await_output("model loaded")
    (python,) = map(watch, children(worker.process.pid))
    worker.process.terminate()
    worker.fails(143, "ended by SIGTERM")
    assert gone(python, within=0)


def while_idle():
    for number, name in [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT"), (signal.SIGHUP, "SIGHUP")]:
        server = Server("odd-zero")
        assert server.step()[:12] == b"FORCEREADY  "
        server.stop(number, name)


def while_computing():
    """The server's own next message lies unread in the worker's socket, as i-PI's does."""
    server = Server("odd-mortal-hangs")
    server.step()
    server.step()
    server.connection.sendall(STEP)
    server.worker.await_output("hanging")
    server.connection.sendall(b"GETFORCE    ")
    server.stop()


def while_the_server_speaks():
    server = Server("odd-zero")
    server.step()
    server.connection.sendall(STEP[:100])
    server.stop()


def while_the_server_does_not_listen():
    """The answer does not fit into the socket, and the server does not read it; then it does."""
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
    # It ends after seconds, although the rest was not read.
    worker.fails(143, "ended by SIGTERM")
    assert gone(python, within=0)


def ignored():
    """A worker started with `nohup` outlives the terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    server = Server("odd-zero")
    signal.signal(signal.SIGHUP, before)
    server.step()
    server.worker.process.send_signal(signal.SIGHUP)
    assert server.step()[:12] == b"FORCEREADY  "
    server.stop()


for case in sys.argv[3:]:
    globals()[case]()
