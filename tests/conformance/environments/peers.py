# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "ipi==3.3.1", "pytest", "scipy"]
# ///
"""The potentials that i-PI's own tests expect of a client: an ideal gas, and atoms on springs; and ASE's EMT."""

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT

# i-PI's atomic units: the tests give the springs' constant in them.
BOHR, HARTREE = 0.529177217798918, 27.211383414215543


class Springs(Calculator):
    """Each atom on a spring to the origin, of this constant in hartree/bohr²; without one, an ideal gas."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, constant):
        super().__init__()
        self.constant = constant * HARTREE / BOHR**2

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        positions = self.atoms.positions
        self.results = {
            "energy": 0.5 * self.constant * np.sum(positions**2),
            "forces": -self.constant * positions,
        }


def setup(model, device):
    if model == "emt":
        return EMT()
    return Springs(0.0 if model == "gas" else float(model))
