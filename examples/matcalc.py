"""Elastic constants of many crystals with MatCalc, two at a time, each process with a worker of its own.

    pip install matcalc . && export ROOTSTOCK_ROOT=/path/to/root
    python examples/matcalc.py

Any model will do: set ROOTSTOCK_MODEL to its id. `PESCalculator.load_universal` is not needed: MatCalc takes any ASE calculator.
"""

import os
import sys

# This file has the name of the package, which it must not hide.
sys.path = [path for path in sys.path if os.path.realpath(path) != os.path.dirname(os.path.realpath(__file__))]

import matcalc
import numpy as np
from pymatgen.core import Lattice, Structure

import rootstock


def main(count=4):
    crystals = [Structure(Lattice.cubic(a), ["Cu"] * 4, [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]) for a in np.linspace(3.5, 3.7, count)]
    # It is pickled for each process, and takes its worker from those that wait there.
    calculator = rootstock.RootstockCalculator(os.environ.get("ROOTSTOCK_MODEL", "emt"))
    relaxation = matcalc.RelaxCalc(calculator, fmax=0.01)
    results = list(relaxation.calc_many(crystals, n_jobs=2))
    for crystal, result in zip(crystals, results):
        print("a = %.3f Å relaxes to %.3f Å, %.4f eV" % (crystal.lattice.a, result["a"], result["energy"]))
    return results


if __name__ == "__main__":
    main(int(os.environ.get("CRYSTALS", 4)))
