"""The atoms that a calculator is given: as they were described, whatever a calculator did to them at the step before.

One of the parts that the launcher puts together to the program its Python runs; `shim.py` is the last of them.
"""

import copy


def describe(system, base, info):
    """ASE's atoms for a system as the launcher tells it, in no particular place.

    Args:
        system: Numbers and periodicity; `info` and `arrays` in plain JSON, `inputs` as `encoding.py` writes them.
        base: Atoms whose arrays and `info` hold where the system says nothing of them, or None.
        info: What goes before the system's own.
    """
    import numpy
    from ase import Atoms

    if base is None:
        atoms = Atoms(numbers=system["numbers"])
    elif system["numbers"] == base.numbers.tolist():
        atoms = base.copy()
    else:
        raise ValueError("the server's atoms are not those that the worker was started with")
    atoms.pbc = system["pbc"]
    for name, value in system.get("arrays", {}).items():
        if name in ("numbers", "positions"):
            raise ValueError("`%s` is not told among the `arrays`" % name)
        array = numpy.array(value)
        if array.dtype.hasobject:
            raise ValueError("the array `%s` holds no numbers, and no texts" % name)
        add_array(atoms, name, array)
    further = from_text(system.get("inputs") or "{}")
    for name, value in decode(further.get("arrays", {"dict": []})).items():
        add_array(atoms, name, value)
    for key, value in system["info"].items():
        is_array = isinstance(value, list) and all(isinstance(item, (int, float)) for item in value)
        atoms.info[key] = numpy.array(value) if is_array and value else value
    atoms.info.update(decode(further.get("info", {"dict": []})))
    atoms.info.update(info)
    if "celldisp" in further:
        atoms.set_celldisp(decode(further["celldisp"]))
    return atoms


def add_array(atoms, name, array):
    if array.ndim == 0 or len(array) != len(atoms):
        raise ValueError("the array `%s` has shape %s, and there are %d atoms" % (name, array.shape, len(atoms)))
    atoms.arrays[name] = array


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
            atoms.arrays[name] = copy.deepcopy(array) if array.dtype.hasobject else self.numpy.array(array, order="C")
        namespace = vars(atoms)
        self.count = len(namespace)
        # `info` is made anew for each step.
        self.attributes = [(name, value) for name, value in namespace.items() if name != "info"]
        self.lists = [value for _, value in self.attributes if isinstance(value, list)]
        self.arrays = [(name, array, array.shape) for name, array in atoms.arrays.items()]
        self.cell = atoms.cell
        self.cell_array = atoms.cell.array
        fixed = [array for name, array in atoms.arrays.items() if name != "positions"]
        fixed += [value for _, value in self.attributes if isinstance(value, self.numpy.ndarray)]
        # Some types of numbers do not lend their memory under their own name. A bytearray compares at the speed of memory.
        self.can_be_compared = not any(array.dtype.hasobject for array in fixed)
        views = [array.reshape(-1).view(self.numpy.uint8) for array in fixed if not array.dtype.hasobject]
        self.contents = [(bytearray(view), view) for view in views]
        self.restore_info()
        return atoms

    def is_unchanged(self):
        """Whether the atoms are those that were made, but for the contents of `info`, positions and cell."""
        attributes = vars(self.atoms)
        if len(attributes) != self.count or any(self.lists) or not self.can_be_compared:
            return False
        for name, value in self.attributes:
            if attributes.get(name) is not value:
                return False
        arrays = self.atoms.arrays
        if len(arrays) != len(self.arrays) or self.cell.array is not self.cell_array or not self.cell_array.flags.writeable:
            return False
        for name, array, shape in self.arrays:
            if arrays.get(name) is not array or array.shape != shape or not array.flags.writeable:
                return False
        for content, view in self.contents:
            if content != view:
                return False
        return True

    def restore_info(self):
        info = self.description.info
        if info or vars(self.atoms).get("info") != {}:
            fresh = dict(info) if self.info_is_plain else copy.deepcopy(info)
            vars(self.atoms)["info"] = fresh
