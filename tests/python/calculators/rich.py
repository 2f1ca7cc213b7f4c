"""A calculator with results of every kind; some of them only where it is asked for them."""

import os
import signal

import numpy as np
from ase.calculators.calculator import Calculator, all_changes


class Opaque:
    """Something that no process can send."""


class Tensor:
    """As much of a tensor as says that it must be detached."""

    def __init__(self, array):
        self.array = array

    def detach(self):
        return self

    def cpu(self):
        return self

    def numpy(self):
        return self.array


class Rich(Calculator):
    implemented_properties = [
        "energy", "forces", "stress", "free_energy", "magmoms", "magmom", "charges", "dipole", "energies", "stresses",
        "born_effective_charges", "dielectric_tensor",
    ]

    def __init__(self, way=""):
        super().__init__()
        self.way, self.calls = way, 0
        if way == "bare":
            self.implemented_properties = ["energy", "forces", "stress"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        if "charges" in properties and self.way == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        if "charges" in properties and self.way == "raises":
            raise ValueError("there are no charges of this")
        count, place = len(atoms), atoms.positions.copy()
        self.results.update(energy=place[0, 0], forces=np.full((count, 3), place[0, 1]), stress=np.arange(6.0))
        if self.way == "bare":
            return
        if self.way != "asked" or "free_energy" in properties:
            self.results["free_energy"] = {"nan": np.nan, "array": np.array([place[0, 0] - 1])}.get(self.way, place[0, 0] - 1)
        self.results.update(
            magmoms=place * 2, magmom=place[0, 2], dipole=place[0] / 3, energies=place[:, 0].astype(np.float32),
            stresses=np.arange(6.0 * count).reshape(-1, 6), calls=self.calls, single=np.float32(0.1), number=7, flag=True, text="words",
            texts=["a", "b"], nothing=None, holes=np.array([1.0, np.nan, np.inf]), node_features=Tensor(place[:, :2]),
            nested={"a": place[0]}, opaque=Opaque(), raw="i-PI keeps this name",
        )
        if "charges" in properties:
            self.results["charges"] = place[:, 1] + self.calls
        # What is done to the atoms is no part of the frame.
        atoms.positions[:] = 99.0


def setup(way):
    return Rich(way)
