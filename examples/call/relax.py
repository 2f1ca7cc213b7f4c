"""Functions for `relax.sh` and `relax_all.py`. They run in the environment; `calculator` is its model, loaded once in each process."""

from ase.build import bulk
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS


def lattice(symbol, calculator, stretch=1.03, fmax=0.01):
    """Relax the unit cell of a metal, beginning with one that is too large.

    Returns the lattice constant in Å, the energy of an atom in eV, and the number of steps.
    """
    atoms = bulk(symbol, cubic=True)
    atoms.set_cell(atoms.cell * stretch, scale_atoms=True)
    atoms.calc = calculator
    with BFGS(FrechetCellFilter(atoms), logfile=None) as optimizer:
        converged = optimizer.run(fmax=fmax, steps=100)
    if not converged:
        raise RuntimeError(f"{symbol} is not relaxed after {optimizer.nsteps} steps")
    energy = atoms.get_potential_energy() / len(atoms)
    return {"symbol": symbol, "a": atoms.cell.lengths()[0], "energy": energy, "steps": optimizer.nsteps}
