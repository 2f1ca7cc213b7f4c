"""Molecular dynamics of copper with ASE, its forces computed by a rootstock worker.

ASE is the server and runs in your own environment; the model runs in its own, wherever rootstock has built that:

    export ROOTSTOCK_ROOT=/path/to/root
    python examples/ase_md.py

Needs ASE 3.22 or later here, and `rootstock` on PATH. Any model will do: set ROOTSTOCK_MODEL to its id.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
import threading

import numpy as np
from ase import units
from ase.build import bulk
from ase.calculators.socketio import SocketIOCalculator
from ase.md.verlet import VelocityVerlet

model = os.environ.get("ROOTSTOCK_MODEL", "emt")
socket = "rootstock-example-%d" % os.getpid()

atoms = bulk("Cu", "fcc", a=3.61, cubic=True).repeat(3)
spread = np.sqrt(atoms.get_masses()[:, None] * units.kB * 300)  # Maxwell and Boltzmann's momenta at 300 K
atoms.set_momenta(spread * np.random.default_rng(1).normal(size=(len(atoms), 3)))

with SocketIOCalculator(unixsocket=socket) as calculator, tempfile.TemporaryDirectory() as directory:
    # ASE sends no atomic numbers to a client, so the worker is given the structure.
    template = os.path.join(directory, "start.traj")
    atoms.write(template)
    worker = subprocess.Popen(["rootstock", "worker", model, "--unix", socket, "--template", template])

    def watch():
        """ASE waits for its client for ever, so a worker that cannot start interrupts it."""
        if worker.wait() != 0:
            os.kill(os.getpid(), signal.SIGINT)

    atoms.calc = calculator
    dynamics = VelocityVerlet(atoms, timestep=2 * units.fs)

    def report():
        potential, kinetic = atoms.get_potential_energy(), atoms.get_kinetic_energy()
        line = "step {:4d}  potential {:8.4f}  kinetic {:7.4f}  total {:8.4f} eV"
        print(line.format(dynamics.nsteps, potential, kinetic, potential + kinetic))

    dynamics.attach(report, interval=10)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Thread(target=watch, daemon=True).start()
        dynamics.run(100)

# The worker ends when ASE closes the connection. If it ended before, it has printed why.
raise SystemExit(worker.wait())
