"""Molecular dynamics that goes on where it was: every start reads the last frame of `md.traj`; SIGTERM ends it after its step.

    STEPS=1000 python md.py

Exit code 0: all steps are done. 143: it was asked to end, and another start goes on.
"""

import os
import signal
import sys

from ase import units
from ase.build import bulk
from ase.io import read
from ase.io.trajectory import Trajectory
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet

import rootstock

STEPS = int(os.environ.get("STEPS", 1000))
EVERY = 10

ending = []
signal.signal(signal.SIGTERM, lambda *_: ending.append(True))

if os.path.exists("md.traj") and os.path.getsize("md.traj"):
    atoms = read("md.traj")
    done = EVERY * (len(read("md.traj", ":")) - 1)
    print("going on from step", done, flush=True)
else:
    atoms, done = bulk("Cu", cubic=True).repeat(3), 0
    MaxwellBoltzmannDistribution(atoms, temperature_K=300)
    print("starting", flush=True)

atoms.calc = rootstock.shared(os.environ.get("ROOTSTOCK_MODEL", "emt"), device=os.environ.get("DEVICE", "cpu"))
dynamics = VelocityVerlet(atoms, timestep=2 * units.fs)
with Trajectory("md.traj", "a", atoms) as trajectory:
    if done == 0:
        atoms.get_forces()
        trajectory.write()
    while done < STEPS and not ending:
        dynamics.run(EVERY)
        done += EVERY
        trajectory.write()
if ending:
    print("asked to end at step", done)
    sys.exit(143)
print("done")
