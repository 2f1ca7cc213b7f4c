"""A calculator whose energy is a checksum of everything it can read of its atoms, types and bits included."""

import zlib

import numpy as np
from ase.calculators.calculator import Calculator, all_changes


def text(value):
    """A value with its class; arrays with every bit."""
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        return "objects%s%s" % (value.shape, [text(item) for item in value.ravel()])
    if isinstance(value, (np.ndarray, np.generic)):
        return "%s%s%s%s" % (type(value).__name__, value.dtype.str, value.shape, value.tobytes().hex())
    if isinstance(value, dict):
        return "{%s}" % ", ".join("%s: %s" % (text(key), text(item)) for key, item in value.items())
    if isinstance(value, (set, frozenset)):
        return "%s(%s)" % (type(value).__name__, sorted(text(item) for item in value))
    if isinstance(value, (list, tuple)):
        return "%s(%s)" % (type(value).__name__, [text(item) for item in value])
    return "%s %r" % (type(value).__name__, value)


def read(atoms):
    """All but positions, cell and momenta."""
    arrays = {name: array for name, array in atoms.arrays.items() if name not in ("positions", "momenta")}
    texts = [text(dict(sorted(arrays.items()))), text(atoms.pbc), text(atoms.get_celldisp())]
    return float(zlib.crc32("|".join([*texts, text(atoms.info)]).encode("utf-8", "surrogatepass")))


class Reader(Calculator):
    """`way` names an array whose sum is the energy; the checksum of everything if it does not."""

    implemented_properties = ["energy", "forces", "stress"]

    def __init__(self, way=""):
        super().__init__()
        self.way = way

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if self.way == "uses":
            energy = float(atoms.info["odd"])
        elif self.way == "momenta":
            energy = float(np.abs(atoms.get_momenta()).sum())
        else:
            energy = read(atoms)
        self.results = {"energy": energy, "forces": np.zeros((len(atoms), 3)), "stress": np.zeros(6)}


def setup(way):
    return Reader(way)
