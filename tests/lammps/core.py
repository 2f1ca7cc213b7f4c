"""Does what `driver.cpp` does with the core of LAMMPS' styles, without a compiler: the same commands, the same messages."""

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile

BOHR, HARTREE = 0.52917721067, 27.211386245988
#: A peer that has gone ends LAMMPS, too.
signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def error(text):
    print("ERROR: pair_style rootstock: " + text, file=sys.stderr)
    sys.exit(1)


class Core:
    def __init__(self, atoms):
        self.atoms = atoms
        self.worker = self.connection = self.directory = None

    def start(self, cluster, model, device):
        found = subprocess.run(["rootstock", "resolve", "--cluster", cluster, "--json"], stdout=subprocess.PIPE, text=True)
        if found.returncode != 0:
            error("'rootstock resolve' failed")
        # It looks for this text, and knows no JSON.
        root = found.stdout.split('"root": "')[1].split('"')[0]
        self.directory = tempfile.mkdtemp(prefix="rootstock.", dir="/tmp")
        self.path = os.path.join(self.directory, "ipi_test.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen(1)
        listener.settimeout(600)
        command = ["rootstock", "serve", model, "--root", root, "--socket", self.path, "--device", device]
        self.worker = subprocess.Popen(command)
        try:
            self.connection, _ = listener.accept()
        except TimeoutError:
            error("no worker connected")
        self.connection.settimeout(None)
        self.expect("STATUS", "NEEDINIT")
        self.init()
        self.expect("STATUS", "READY")

    def send(self, text):
        self.connection.sendall(text.encode().ljust(12))

    def receive(self, count):
        data = b""
        while len(data) < count:
            piece = self.connection.recv(count - len(data))
            if not piece:
                error("recv failed (connection closed?)")
            data += piece
        return data

    def expect(self, ask, answer):
        self.send(ask)
        found = self.receive(12).decode().strip()
        if found != answer:
            error("expected %s, got %s" % (answer, found))

    def init(self):
        text = json.dumps({"numbers": [29] * self.atoms, "pbc": [True] * 3}).encode()
        self.send("INIT")
        self.connection.sendall(struct.pack("<ii", 0, len(text)) + text)

    def exchange(self, cell, places):
        self.send("STATUS")
        status = self.receive(12).decode().strip()
        if status == "NEEDINIT":
            self.init()
            self.expect("STATUS", "READY")
        elif status != "READY":
            error("expected READY, got " + status)
        self.send("POSDATA")
        columns = [cell[3 * row + column] / BOHR for column in range(3) for row in range(3)]
        numbers = [*columns, *[0.0] * 9]
        self.connection.sendall(struct.pack("<18di", *numbers, self.atoms))
        self.connection.sendall(struct.pack("<%dd" % len(places), *[x / BOHR for x in places]))
        self.expect("STATUS", "HAVEDATA")
        self.expect("GETFORCE", "FORCEREADY")
        count = 3 * self.atoms
        answer = struct.unpack("<di%dd9di" % count, self.receive(8 + 4 + 8 * count + 72 + 4))
        # The extras, which say what is wrong, are not read.
        self.receive(answer[-1])
        forces = [force * HARTREE / BOHR for force in answer[2 : 2 + count]]
        virial = [answer[2 + count + place] * HARTREE for place in (0, 4, 8, 1, 2, 5)]
        return [answer[0] * HARTREE, *forces, *virial]

    def close(self):
        if self.worker is not None:
            if self.connection is not None:
                signal.signal(signal.SIGPIPE, signal.SIG_IGN)
                with contextlib.suppress(OSError):
                    self.send("EXIT")
                self.connection.close()
            self.worker.terminate()
            self.worker.wait()
        if self.directory is not None:
            os.unlink(self.path)
            os.rmdir(self.directory)


def main():
    cluster, model, device, atoms = sys.argv[1:]
    core = Core(int(atoms))
    try:
        core.start(cluster, model, device)
        for line in sys.stdin:
            numbers = [float(word) for word in line.split()]
            print(*map(repr, core.exchange(numbers[:9], numbers[9:])), flush=True)
    finally:
        core.close()


main()
