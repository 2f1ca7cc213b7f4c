"""The dynamics of `ase_md.py` with rootstock's own calculator, which starts its worker and sends it the atoms.

    pip install .            # from a checkout: the package with the program
    export ROOTSTOCK_ROOT=/path/to/root
    python examples/calculator_md.py

Any model will do: set ROOTSTOCK_MODEL to its id.
"""

import os

import numpy as np
from ase import units
from ase.build import bulk
from ase.md.verlet import VelocityVerlet

from rootstock import RootstockCalculator

atoms = bulk("Cu", "fcc", a=3.61, cubic=True).repeat(3)
spread = np.sqrt(atoms.get_masses()[:, None] * units.kB * 300)  # Maxwell and Boltzmann's momenta at 300 K
atoms.set_momenta(spread * np.random.default_rng(1).normal(size=(len(atoms), 3)))

with RootstockCalculator(os.environ.get("ROOTSTOCK_MODEL", "emt"), device="cpu") as atoms.calc:
    dynamics = VelocityVerlet(atoms, timestep=2 * units.fs)

    def report():
        potential, kinetic = atoms.get_potential_energy(), atoms.get_kinetic_energy()
        line = "step {:4d}  potential {:8.4f}  kinetic {:7.4f}  total {:8.4f} eV"
        print(line.format(dynamics.nsteps, potential, kinetic, potential + kinetic))

    dynamics.attach(report, interval=10)
    dynamics.run(100)
