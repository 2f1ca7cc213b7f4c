"""A calculator whose energy is the length of the device's name, and of its own."""

import inspect

import numpy as np
from ase.calculators.calculator import Calculator, all_changes


class Device(Calculator):
    implemented_properties = ["energy", "forces"]

    def __init__(self, text):
        super().__init__()
        self.text = text

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": float(len(self.text)), "forces": np.zeros((len(atoms), 3))}


def setup(way):
    # The caller's caller is `setup(model, device, …)` of the environment.
    device = inspect.currentframe().f_back.f_back.f_locals["device"]
    return Device("%s %s" % (device, way))
