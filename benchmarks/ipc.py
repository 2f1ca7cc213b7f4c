"""What a force call costs beside the model: microseconds per call with a calculator that computes nothing.

    python benchmarks/ipc.py ROOTSTOCK ROOT [MODEL] [ATOMS ...]

Run it with the Python of an environment that has ASE, and give it a model that returns zeros (`odd-zero` of
`tests/project`). All paths are measured in the same run, interleaved, because a shared machine changes its mind between
runs; ratios are worth more than numbers. Medians; the table names who serves and who computes.
"""

import atexit
import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.socketio import SocketIOCalculator

ROOTSTOCK, ROOT = sys.argv[1:3]
MODEL = sys.argv[3] if len(sys.argv) > 3 else "odd-zero"
SIZES = [int(size) for size in sys.argv[4:]] or [100, 1000, 10_000]
SCRATCH = tempfile.mkdtemp(prefix="rootstock-ipc-")
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)
ROUNDS = 5


class Zero(Calculator):
    """Returns zeros, as the worker's model does."""

    implemented_properties = ["energy", "forces", "stress"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0, "forces": np.zeros((len(self.atoms), 3)), "stress": np.zeros(6)}


def system(count):
    rng = np.random.default_rng(0)
    side = 3.0 * count ** (1 / 3)
    return Atoms(numbers=[29] * count, positions=rng.random((count, 3)) * side, cell=[side] * 3, pbc=True)


class InProcess:
    """ASE's interface, in one process."""

    name = "in process, ASE's getters"

    def __init__(self, atoms):
        self.atoms = atoms.copy()
        self.atoms.calc = Zero()

    def step(self):
        self.atoms.positions += 1e-9
        self.atoms.get_potential_energy()
        self.atoms.get_forces()
        self.atoms.get_stress()

    def close(self):
        pass


class Direct(InProcess):
    """The calculator's own function, once: what a worker's Python does."""

    name = "in process, one calculate()"

    def step(self):
        self.atoms.positions += 1e-9
        self.atoms.calc.calculate(self.atoms, ["energy", "forces", "stress"], ["positions"])


class Ase:
    """ASE's server: its whole calculator interface over i-PI."""

    def __init__(self, atoms, client):
        socket_name = "rs-ipc-%d-%d" % (os.getpid(), id(self))
        self.atoms = atoms.copy()
        self.atoms.calc = SocketIOCalculator(unixsocket=socket_name)
        self.finish = client(socket_name, atoms)

    def step(self):
        self.atoms.positions += 1e-9
        self.atoms.get_potential_energy()
        self.atoms.get_forces()
        self.atoms.get_stress()

    def close(self):
        self.atoms.calc.close()
        self.finish()


class AseRootstock(Ase):
    name = "stock ASE, rootstock worker"

    def __init__(self, atoms):
        super().__init__(atoms, worker)


class AseAse(Ase):
    name = "stock ASE, ASE's SocketClient"

    def __init__(self, atoms):
        super().__init__(atoms, ase_client)


class Fused:
    """A careful client: species once, positions and the request in one write, buffers kept."""

    name = "fused client, rootstock worker"

    def __init__(self, atoms):
        path = os.path.join(SCRATCH, str(id(self)))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        self.finish = worker(path, atoms, "--species-from-server")
        self.connection, _ = listener.accept()
        text = json.dumps({"numbers": atoms.numbers.tolist(), "pbc": [True] * 3}).encode()
        self.connection.sendall(b"INIT        " + struct.pack("<ii", 0, len(text)) + text)
        count = len(atoms)
        self.message = bytearray(12 + 148 + 24 * count + 12)
        self.message[:12] = b"POSDATA     "
        np.frombuffer(self.message, np.float64, 9, 12)[:] = atoms.cell.array.T.ravel()
        self.message[156:160] = struct.pack("<i", count)
        self.positions = np.frombuffer(self.message, np.float64, 3 * count, 160)
        self.message[-12:] = b"GETFORCE    "
        # The extras of an answer that is no error are the two bytes of an empty object.
        self.answer = memoryview(bytearray(12 + 12 + 24 * count + 72 + 4 + 2))
        self.source = atoms.positions.ravel().copy()

    def step(self):
        self.source += 1e-9
        np.multiply(self.source, 1 / 0.52917721067, out=self.positions)
        self.connection.sendall(self.message)
        have = 0
        while have < len(self.answer):
            have += self.connection.recv_into(self.answer[have:])
        np.frombuffer(self.answer, np.float64, len(self.source), 24) * (27.211386245988 / 0.52917721067)

    def close(self):
        self.connection.sendall(b"EXIT        ")
        self.connection.close()
        self.finish()


def worker(socket_name, atoms, *species):
    if not species:
        path = os.path.join(SCRATCH, "%d.traj" % len(atoms))
        atoms.write(path)
        species = ("--template", path)
    command = [ROOTSTOCK, "worker", MODEL, "--root", ROOT, "--unix", socket_name, *species]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def finish():
        assert process.wait() == 0

    return finish


CLIENT = """
import sys
from ase.io import read
from ase.calculators.socketio import SocketClient
exec(sys.argv[3])
atoms = read(sys.argv[2])
atoms.calc = Zero()
SocketClient(unixsocket=sys.argv[1]).run(atoms, use_stress=True)
"""


def ase_client(socket_name, atoms):
    import inspect

    imports = "import numpy as np\nfrom ase.calculators.calculator import Calculator, all_changes\n"
    path = os.path.join(SCRATCH, "%d.traj" % len(atoms))
    atoms.write(path)
    process = subprocess.Popen([sys.executable, "-c", CLIENT, socket_name, path, imports + inspect.getsource(Zero)])
    return process.wait


def measure(count):
    atoms = system(count)
    steps = max(20, min(1000, 200_000 // count))
    paths = [kind(atoms) for kind in (InProcess, Direct, Fused, AseRootstock, AseAse)]
    times = {path.name: [] for path in paths}
    for path in paths:
        for _ in range(5):
            path.step()
    for _ in range(ROUNDS):
        for path in paths:
            for _ in range(steps):
                begin = time.perf_counter()
                path.step()
                times[path.name].append(time.perf_counter() - begin)
    for path in paths:
        path.close()
    return {name: 1e6 * statistics.median(values) for name, values in times.items()}


def first_energy():
    """Seconds from nothing to the first energy, with and without a worker around the same Python."""
    atoms = system(4)
    python = os.path.join(ROOT, "envs", MODEL.split("-")[0], "bin", "python")
    template = os.path.join(SCRATCH, "first.traj")
    atoms.write(template)
    bare = [python, "-I", "-B", "-c", "import ase.io; from ase.calculators.emt import EMT\n"
            "a = ase.io.read(%r); a.calc = EMT(); a.get_potential_energy()" % template]
    rounds = {"rootstock worker": [], "bare python": []}
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        subprocess.run(bare, check=True)
        rounds["bare python"].append(time.perf_counter() - begin)
        begin = time.perf_counter()
        path = Ase(atoms, worker)
        path.step()
        rounds["rootstock worker"].append(time.perf_counter() - begin)
        path.close()
    return {name: statistics.median(values) for name, values in rounds.items()}


def main():
    results = {count: measure(count) for count in SIZES}
    names = list(results[SIZES[0]])
    print("microseconds per force call".ljust(36) + "".join("%10d" % count for count in SIZES) + "  atoms")
    for name in names:
        print(name.ljust(36) + "".join("%10.0f" % results[count][name] for count in SIZES))
    direct = "in process, one calculate()"
    print("\nfused client: cost beside calculate()".ljust(37)
          + "".join("%10.0f" % (results[count][Fused.name] - results[count][direct]) for count in SIZES))
    print("ratio, ASE server: ours to ASE's client".ljust(36)
          + "".join("%10.2f" % (results[count][AseRootstock.name] / results[count][AseAse.name]) for count in SIZES))
    seconds = first_energy()
    print("\nseconds from spawn to first energy: " + ", ".join("%s %.2f" % pair for pair in seconds.items()))


main()
