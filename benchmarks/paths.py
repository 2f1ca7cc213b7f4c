"""The ways to a force that `ipc.py` compares: each is a process that gets a number of steps and prints how long each took.

    python benchmarks/paths.py PATH ATOMS SETTINGS

SETTINGS is the JSON that `ipc.py` makes. The calculator is the same everywhere: `tests/project/environments/odd.py`, which
computes nothing, or a model's own. Started with `--fd` in its arguments, this is a worker in pure Python: as little as can be
between a socket and a calculator, and nothing that would survive anything.
"""

import importlib.util
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from ase import Atoms

ODD = Path(__file__).parents[1] / "tests" / "project" / "environments" / "odd.py"
PROPERTIES = ["energy", "forces", "stress"]
#: Set before a worker is ended: one that ends by itself is an error.
CLOSING = threading.Event()


def calculator(source=ODD, argument="zero"):
    where = importlib.util.spec_from_file_location("env_source", source)
    module = importlib.util.module_from_spec(where)
    where.loader.exec_module(module)
    return module.setup(argument, "cpu")


def system(count, settings):
    """Copper: anywhere for the calculator that does not look, in its places for one that does."""
    if settings.get("crystal"):
        from ase.build import bulk

        edge = round((count / 4) ** (1 / 3)) + 1
        atoms = bulk("Cu", cubic=True).repeat(edge)[:count] if count % 4 else cells(count)
        atoms.rattle(0.05, seed=1)
        return atoms
    side = 3.0 * count ** (1 / 3)
    positions = np.random.default_rng(0).random((count, 3)) * side
    return Atoms(numbers=[29] * count, positions=positions, cell=[side] * 3, pbc=True)


def cells(count):
    """Whole cells, in a box as near to a cube as they fit."""
    from ase.build import bulk

    number = count // 4
    a = next(n for n in range(round(number ** (1 / 3)), 0, -1) if number % n == 0)
    b = next(n for n in range(round((number // a) ** 0.5), 0, -1) if number // a % n == 0)
    return bulk("Cu", cubic=True).repeat((a, b, number // a // b))


class Getters:
    """ASE's interface as its users use it: energy, forces and stress of atoms that have moved."""

    def __init__(self, atoms, settings):
        self.atoms, self.settings = atoms, settings
        self.atoms.calc = self.make()

    def make(self):
        return calculator(*self.settings.get("source", ()))

    def step(self):
        self.atoms.positions += 1e-9
        self.atoms.get_potential_energy()
        self.atoms.get_forces()
        self.atoms.get_stress()

    def close(self):
        pass


class Direct(Getters):
    """The calculator's own function, once: what a worker's Python does, too."""

    def step(self):
        self.atoms.positions += 1e-9
        self.atoms.calc.calculate(self.atoms, PROPERTIES, ["positions"])


class Ours(Getters):
    def make(self):
        from rootstock import RootstockCalculator

        settings = self.settings
        return RootstockCalculator(settings["model"], root=settings["root"], program=settings["program"])

    def close(self):
        self.atoms.calc.close()


class OursInPython(Ours):
    """Our calculator with a worker in pure Python."""

    def make(self):
        from rootstock import RootstockCalculator, wire

        # It knows no memory.
        wire.Connection.shares = False
        return RootstockCalculator("zero", root="/", program=self.settings["pure"])


class Theirs(Ours):
    """The Python rootstock 1.x; run by a Python that has it."""

    def make(self):
        from rootstock import RootstockCalculator

        return RootstockCalculator("zero", root=self.settings["old"], device="cpu")


class Pair:
    """The least a client can do: buffers kept, one write, one read, no Atoms; with a worker in pure Python."""

    def __init__(self, atoms, settings):
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [*self.command(settings), "--fd", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stderr=subprocess.DEVNULL,
            )
        self.connection = ours
        text = json.dumps({"rs": 2, "numbers": atoms.numbers.tolist(), "pbc": [True] * 3, "info": {}}).encode()
        ours.sendall(b"INIT        " + struct.pack("<ii", 0, len(text)) + text)
        count = len(atoms)
        self.message = bytearray(12 + 148 + 24 * count + 12)
        self.message[:12] = b"POSDATA     "
        np.frombuffer(self.message, np.float64, 9, 12)[:] = atoms.cell.array.T.ravel()
        self.message[156:160] = struct.pack("<i", count)
        self.positions = np.frombuffer(self.message, np.float64, 3 * count, 160)
        self.positions[:] = atoms.positions.ravel()
        self.message[-12:] = b"GETFORCE    "
        # The text that ends an answer is an empty object.
        self.answer = bytearray(12 + 12 + 24 * count + 72 + 4 + 2)

    def command(self, settings):
        return [settings["pure"]]

    def step(self):
        self.positions += 1e-9
        self.connection.sendall(self.message)
        have = self.connection.recv_into(self.answer, 0, socket.MSG_WAITALL)
        assert have == len(self.answer)

    def close(self):
        self.connection.close()
        self.process.wait()


class PairOurs(Pair):
    """The same client with our worker."""

    def command(self, settings):
        return [settings["program"], "worker", settings["model"], "--root", settings["root"], "--species-from-server"]


class Memory(PairOurs):
    """What our calculator has in place of such a client: steps asked for in memory; no Atoms."""

    def __init__(self, atoms, settings):
        from rootstock import wire, worker

        command = [*self.command(settings)]
        self.worker = worker.start("zero", command)
        numbers = atoms.numbers.tolist()
        self.system = wire.system(wire.OURS, numbers, [True] * 3, {})
        self.cell, self.positions = atoms.cell.array, atoms.positions

    def step(self):
        self.positions += 1e-9
        self.worker.connection.step(self.system, self.cell, self.positions)

    def close(self):
        self.worker.close()


class Floor(Pair):
    """The same bytes both ways, and nothing done with them."""

    def __init__(self, atoms, settings):
        super().__init__(atoms, {"pure": settings["echo"]})


class AseServer(Getters):
    """ASE's server: its whole calculator interface over i-PI."""

    def make(self):
        from ase.calculators.socketio import SocketIOCalculator

        name = "rs-ipc-%d" % os.getpid()
        server = SocketIOCalculator(unixsocket=name)
        self.process = start(self.client, name, self.atoms, self.settings)
        return server

    def client(self, name, template, settings):
        return [sys.executable, __file__, "ase-client", name, template]

    def close(self):
        CLOSING.set()
        self.atoms.calc.close()
        self.process.wait()


class AseOurs(AseServer):
    def client(self, name, template, settings):
        return ours(name, template, settings)


class Ipi:
    """i-PI's force field as its integrators use it, with the driver in Python that comes with it."""

    def __init__(self, atoms, settings):
        from ipi.engine.atoms import Atoms as IpiAtoms
        from ipi.engine.cell import Cell
        from ipi.engine.forcefields import FFSocket
        from ipi.interfaces.sockets import InterfaceSocket

        name = "rs-ipc-%d" % os.getpid()
        self.field = FFSocket(interface=InterfaceSocket(address=name, mode="unix"), dopbc=False)
        self.field.start()
        self.process = start(self.client, name, atoms, settings)
        self.atoms = IpiAtoms(len(atoms))
        self.atoms.q[:] = atoms.positions.ravel() / 0.529177
        self.cell = Cell(h=atoms.cell.array.T / 0.529177)

    def client(self, name, template, settings):
        return [settings["ipi_driver"], "-u", "-a", name, "-m", "dummy"]

    def step(self):
        self.atoms.q[:] += 1e-9
        request = self.field.queue(self.atoms, self.cell)
        while request["status"] != "Done":
            # As i-PI's own force fields wait for an answer: they look at the status that its thread for sockets sets, and
            # sleep in between. It is part of what is measured.
            time.sleep(self.field.latency)
        self.field.release(request)

    def close(self):
        CLOSING.set()
        self.field.stop()
        self.process.kill()
        self.process.wait()


class IpiOurs(Ipi):
    def client(self, name, template, settings):
        return ours(name, template, settings)


def start(command, name, atoms, settings):
    template = os.path.join(tempfile.gettempdir(), name + ".traj")
    atoms.write(template)
    messages = tempfile.TemporaryFile()
    process = subprocess.Popen(command(name, template, settings), stdout=subprocess.DEVNULL, stderr=messages)
    threading.Thread(target=watch, args=(process, messages), daemon=True).start()
    return process


def watch(process, messages):
    """Ends this process if its worker ends by itself: a server would wait for another one for ever."""
    code = process.wait()
    if not CLOSING.is_set():
        messages.seek(0)
        end = messages.read()[-2000:].decode(errors="replace")
        print(f"`{' '.join(process.args)}` ended with exit code {code}:\n{end}", file=sys.stderr, flush=True)
        os._exit(1)


def ours(name, template, settings):
    program, model, root = (settings[key] for key in ("program", "model", "root"))
    return [program, "worker", model, "--root", root, "--unix", name, "--template", template]


def ase_client(name, template):
    from ase.calculators.socketio import SocketClient
    from ase.io import read

    atoms = read(template)
    os.unlink(template)
    atoms.calc = calculator()
    SocketClient(unixsocket=name).run(atoms, use_stress=True)


def pure_worker(connection):
    """INIT once, then frames: read in one piece, computed where they lie, answered in one piece."""
    computing = calculator()
    connection.recv(12, socket.MSG_WAITALL)
    (size,) = struct.unpack("<4xi", connection.recv(8, socket.MSG_WAITALL))
    system = json.loads(connection.recv(size, socket.MSG_WAITALL))
    count = len(system["numbers"])
    request = bytearray(12 + 148 + 24 * count + 12)
    cell = np.frombuffer(request, np.float64, 9, 12).reshape(3, 3).T
    positions = np.frombuffer(request, np.float64, 3 * count, 160).reshape(-1, 3)
    answer = bytearray(12 + 12 + 24 * count + 72 + 4 + 2)
    answer[:12], answer[20:24], answer[-6:] = b"FORCEREADY  ", struct.pack("<i", count), struct.pack("<i", 2) + b"{}"
    energy = np.frombuffer(answer, np.float64, 1, 12)
    forces = np.frombuffer(answer, np.float64, 3 * count, 24).reshape(-1, 3)
    stress = np.frombuffer(answer, np.float64, 9, 24 + 24 * count).reshape(3, 3)
    atoms = Atoms(numbers=system["numbers"], pbc=system["pbc"])
    while connection.recv_into(request, 0, socket.MSG_WAITALL) == len(request):
        atoms.arrays["positions"][...] = positions
        atoms.cell.array[...] = cell
        computing.reset()
        computing.calculate(atoms, PROPERTIES, ["positions"])
        energy[0] = computing.results["energy"]
        forces[...] = computing.results["forces"]
        xx, yy, zz, yz, xz, xy = computing.results["stress"]
        stress[...] = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]
        connection.sendall(answer)


def echo(connection):
    """Reads what a worker reads and sends as much as one sends."""
    head = connection.recv(20, socket.MSG_WAITALL)
    request = json.loads(connection.recv(struct.unpack("<i", head[16:])[0], socket.MSG_WAITALL))
    count = len(request["numbers"])
    request, answer = bytearray(12 + 148 + 24 * count + 12), bytearray(12 + 12 + 24 * count + 72 + 4 + 2)
    while connection.recv_into(request, 0, socket.MSG_WAITALL) == len(request):
        connection.sendall(answer)


PATHS = {
    "floor": Floor,
    "direct": Direct,
    "getters": Getters,
    "pair": Pair,
    "pair-ours": PairOurs,
    "pair-memory": Memory,
    "calculator-pair": OursInPython,
    "calculator": Ours,
    "rootstock-1": Theirs,
    "ase-ase": AseServer,
    "ase-ours": AseOurs,
    "ipi-py": Ipi,
    "ipi-ours": IpiOurs,
}


def first(kind, atoms, settings):
    """Seconds from a calculator that is made to its first energy."""
    begin = time.perf_counter()
    path = kind(atoms, settings)
    atoms.get_potential_energy()
    seconds = time.perf_counter() - begin
    path.close()
    return [seconds]


def main(name, count, settings):
    settings = json.loads(settings)
    kind, atoms = PATHS[name], system(int(count), settings)
    channel = os.fdopen(os.dup(1), "w")
    # i-PI talks.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    path = None
    for line in sys.stdin:
        if line.strip() == "first":
            times = first(kind, atoms, settings)
        else:
            path = path or kind(atoms, settings)
            times = []
            for _ in range(int(line)):
                begin = time.perf_counter()
                path.step()
                times.append(time.perf_counter() - begin)
        print(json.dumps(times), file=channel, flush=True)
    if path is not None:
        path.close()


if "--fd" in sys.argv:
    end = socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1]))
    (echo if sys.argv[1] == "echo" else pure_worker)(end)
elif sys.argv[1] == "ase-client":
    ase_client(*sys.argv[2:])
else:
    main(*sys.argv[1:])
