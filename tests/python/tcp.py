"""Workers over TCP: as good as over a Unix socket, and nearly as fast, with servers that know nothing of it."""

import sys
import time

import harness
import numpy as np
from ase.calculators.emt import EMT
from ase.calculators.socketio import SocketIOCalculator


def worker_of(model, address, *arguments):
    return harness.Worker(model, address, *arguments, option="--tcp")


COPPER = ("--species", "Cu32", "--pbc", "TTT")


def ase():
    """Energies, forces and stresses of a stock server; the worker may come before it."""
    port = harness.free_port()
    worker = worker_of("odd-emt", "localhost:%d" % port, *COPPER)
    atoms = harness.copper()
    with SocketIOCalculator(port=port) as calculator:
        for _ in range(3):
            atoms.rattle(0.02)
            atoms.calc = calculator
            energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
            atoms.calc = EMT()
            harness.close(energy, atoms.get_potential_energy(), 1e-10, "energy")
            harness.close(forces, atoms.get_forces(), 1e-10, "forces")
            harness.close(stress, atoms.get_stress(), 1e-10, "stress")
    output = worker.succeeds()
    assert output.count("warning: i-PI has no authentication") == 1, output


def latency():
    """Microseconds for each step of a stock server, printed: for people, nothing is asserted."""
    port = harness.free_port()
    worker = worker_of("odd-zero", "127.0.0.1:%d" % port, *COPPER)
    atoms = harness.copper()
    with SocketIOCalculator(port=port) as calculator:
        atoms.calc = calculator
        times = []
        for _ in range(60):
            atoms.rattle(0.02)
            start = time.perf_counter()
            atoms.get_forces()
            times.append(time.perf_counter() - start)
    worker.succeeds()
    print("median of 60 steps: %.2f ms" % (1e3 * np.median(times)))


def nothing_listens():
    port = harness.free_port()
    address = "127.0.0.1:%d" % port
    worker_of("odd-zero", address, *COPPER, "--connect-timeout", 0).fails(1, "no server listens on `%s`" % address, "<port>")
    worker_of("odd-zero", "nowhere.invalid:1", *COPPER).fails(1, "cannot connect to `nowhere.invalid:1`")
    for wrong in ["localhost", "localhost:", ":1", "localhost:70000", "localhost:0"]:
        worker_of("odd-zero", wrong, *COPPER).fails(2, "not a HOST:PORT")


for case in sys.argv[3:]:
    globals()[case]()
