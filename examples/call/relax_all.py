"""Relaxes the unit cells of five metals from any Python, 3.8 or later; it needs neither ASE nor NumPy.

    pip install .            # from a checkout: the package with the program
    export ROOTSTOCK_ROOT=/path/to/root
    python examples/call/relax_all.py [MODEL]
"""

import pathlib
import sys

import rootstock

METALS = ["Al", "Cu", "Ag", "Au", "Ni"]


def main():
    model = sys.argv[1] if len(sys.argv) > 1 else "emt"
    here = pathlib.Path(__file__).parent
    env = rootstock.Environment(model, paths=[here])
    for found in env.map("relax:lattice", METALS, workers=2, timeout=600):
        print("{symbol}  a = {a:.3f} Å  energy = {energy:+.4f} eV per atom  {steps} steps".format(**found))


if __name__ == "__main__":
    main()
