"""The atoms that a calculator is given: as they were described, whatever a calculator did to them at the step before.

One of the parts that the launcher puts together to the program its Python runs; `shim.py` is the last of them.
"""

import copy


class Original:
    """Describes atoms, and makes them: once, and again only where a calculator has changed what it was given.

    Positions and cell are those of the step, and written by whoever uses the atoms.
    """

    #: Values of `info` that nobody can change in place.
    PLAIN = (bool, int, float, complex, str, bytes, type(None))

    def __init__(self, atoms):
        import numpy

        self.numpy = numpy
        self.description = atoms
        self.info_is_plain = all(isinstance(value, self.PLAIN) for value in atoms.info.values())
        self.make()

    def make(self):
        """The atoms, anew, and what tells that they were changed."""
        self.atoms = atoms = self.description.copy()
        for name, array in atoms.arrays.items():
            atoms.arrays[name] = self.numpy.array(array, order="C")
        namespace = vars(atoms)
        self.count = len(namespace)
        self.attributes = [(name, value) for name, value in namespace.items() if name != "info"]
        self.lists = [value for _, value in self.attributes if isinstance(value, list)]
        self.arrays = [(name, array, array.shape) for name, array in atoms.arrays.items()]
        self.cell = atoms.cell
        self.cell_array = atoms.cell.array
        fixed = [array for name, array, _ in self.arrays if name != "positions"]
        fixed += [value for _, value in self.attributes if isinstance(value, self.numpy.ndarray)]
        # Some types of numbers do not lend their memory under their own name. A bytearray compares at the speed of memory.
        views = [array.reshape(-1).view(self.numpy.uint8) for array in fixed]
        self.contents = [(bytearray(view), view) for view in views]
        self.restore_info()
        return atoms

    def is_unchanged(self):
        """Whether the atoms are those that were made, but for `info`, positions and the numbers of the cell."""
        atoms = self.atoms
        namespace = vars(atoms)
        if len(namespace) != self.count or any(self.lists):
            return False
        for name, value in self.attributes:
            if namespace.get(name) is not value:
                return False
        arrays = atoms.arrays
        if len(arrays) != len(self.arrays) or self.cell.array is not self.cell_array:
            return False
        for name, array, shape in self.arrays:
            if arrays.get(name) is not array or array.shape != shape:
                return False
        for content, view in self.contents:
            if content != view:
                return False
        return True

    def restore_info(self):
        info = self.description.info
        if info or vars(self.atoms).get("info") != {}:
            vars(self.atoms)["info"] = dict(info) if self.info_is_plain else copy.deepcopy(info)
