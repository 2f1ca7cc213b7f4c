"""The atoms that a calculator gets: as described, whatever the calculator did to them in the step before.

One part of the program that the launcher gives to Python; `main.py` is the last of them.
"""

import copy
import math

# What vectors of length one span at least where they are linearly independent; rounding alone gives 1e-16.
SMALLEST_SPAN = 1e-10


def describe(system, base, info):
    """ASE's atoms for a system, without positions and cell.

    Args:
        system: Numbers and periodicity; `info` and `arrays` in plain JSON, `inputs` as `encoding.py` writes them.
        base: Atoms with the arrays and `info` that the system does not have, or None.
        info: Replaces the system's own.
    """
    import numpy
    from ase import Atoms

    check_numbers(system["numbers"])
    if base is None:
        atoms = Atoms(numbers=system["numbers"])
    elif system["numbers"] == base.numbers.tolist():
        atoms = base.copy()
    else:
        raise ValueError("the server's atoms are not those that the worker was started with")
    atoms.pbc = system["pbc"]
    for name, value in system.get("arrays", {}).items():
        if name in ("numbers", "positions"):
            raise ValueError("`%s` does not belong into `arrays`" % name)
        array = numpy.array(value)
        if array.dtype.hasobject:
            raise ValueError("the array `%s` holds neither numbers nor texts" % name)
        add_array(atoms, name, array)
    further = from_text(system.get("inputs") or "{}")
    for name, value in decode(further.get("arrays", {"dict": []})).items():
        refuse_second("array", name, system.get("arrays", {}))
        add_array(atoms, name, value)
    for key, value in system["info"].items():
        is_array = isinstance(value, list) and all(isinstance(item, (int, float)) for item in value)
        atoms.info[key] = numpy.array(value) if is_array and value else value
    for key, value in decode(further.get("info", {"dict": []})).items():
        refuse_second("key of `info`", key, system["info"])
        atoms.info[key] = value
    atoms.info.update(info)
    if "celldisp" in further:
        atoms.set_celldisp(decode(further["celldisp"]))
    return atoms


def refuse_second(what, name, first):
    if name in first:
        raise ValueError("the %s %r occurs twice, the second time in `inputs`" % (what, name))


def check_numbers(numbers):
    """Refuses what ASE has no symbol and no mass for. 0 is its `X`, which is no element; some models know it."""
    import numpy

    numbers = numpy.asarray(numbers)
    wrong = numpy.flatnonzero((numbers < 0) | (numbers > 118))
    if len(wrong):
        raise ValueError(
            "atom %d (counted from 0) has the atomic number %d; atomic numbers are 0 (ASE's `X`) to 118"
            % (wrong[0], numbers[wrong[0]])
        )


def check_cell(cell, periodic):
    """Refuses a cell whose periodic vectors span no length, area or volume: atoms would lie on their own images."""
    vectors = []
    for axis in periodic:
        largest = max(map(abs, cell[axis]))
        if not largest:
            raise ValueError(
                "the system is periodic along the cell vector %d, which is zero: set a cell, or the right periodicity "
                "(`pbc`, or `--pbc` of the worker); the cell is %s" % (axis + 1, cell)
            )
        # Divided twice: the square of a very large or a very small number is none.
        vector = [number / largest for number in cell[axis]]
        length = math.sqrt(sum(number * number for number in vector))
        vectors.append([number / length for number in vector])
    if len(vectors) == 1:
        return
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = vectors[0], vectors[1], vectors[-1]
    nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    if len(vectors) == 2:
        spanned = math.sqrt(nx * nx + ny * ny + nz * nz)
    else:
        spanned = abs(nx * cx + ny * cy + nz * cz)
    if not spanned > SMALLEST_SPAN:
        raise ValueError(
            "the cell vectors along which the system is periodic (%s) are not linearly independent; the cell is %s"
            % (", ".join(str(axis + 1) for axis in periodic), cell)
        )


def add_array(atoms, name, array):
    if array.ndim == 0 or len(array) != len(atoms):
        raise ValueError("the array `%s` has shape %s, and there are %d atoms" % (name, array.shape, len(atoms)))
    atoms.arrays[name] = array


class Original:
    """Makes atoms from a description: once, and again whenever a calculator has changed them.

    The caller writes positions and cell of each step.
    """

    #: Classes of `info` values that cannot be changed in place.
    PLAIN = (bool, int, float, complex, str, bytes, type(None))

    def __init__(self, atoms):
        import numpy

        self.numpy = numpy
        self.description = atoms
        self.info_is_plain = all(isinstance(value, self.PLAIN) for value in atoms.info.values())
        self.make()

    def make(self):
        """Makes new atoms and remembers what identifies them as unchanged."""
        self.atoms = atoms = self.description.copy()
        namespace = vars(atoms)
        self.arrays = atoms.arrays
        for name, array in self.arrays.items():
            self.arrays[name] = copy.deepcopy(array) if array.dtype.hasobject else self.numpy.array(array, order="C")
        self.cell, self.cell_array = atoms.cell, atoms.cell.array
        fixed = [array for name, array in self.arrays.items() if name != "positions"]
        fixed += [value for value in namespace.values() if isinstance(value, self.numpy.ndarray)]
        # Arrays of objects cannot be compared: new atoms are made for each step.
        self.can_be_compared = not any(array.dtype.hasobject for array in fixed)
        if self.can_be_compared:
            self.lay_together(fixed)
        self.known_arrays = [(name, array, array.shape, array.dtype) for name, array in self.arrays.items()]
        # Lists, such as constraints, can change in place.
        self.attributes = {name: list(value) if isinstance(value, list) else value for name, value in namespace.items()}
        self.restore_info()
        return atoms

    def lay_together(self, arrays):
        """Moves arrays into one piece of memory, to compare all of them at once. A bytearray compares at memory speed."""
        places, size = [], 0
        for array in arrays:
            places.append(size)
            size += -(-array.nbytes // 16) * 16
        self.memory = memory = self.numpy.zeros(size, dtype=self.numpy.uint8)
        moved = {}
        for place, array in zip(places, arrays):
            moved[id(array)] = there = self.numpy.ndarray(array.shape, array.dtype, memory, place)
            there[...] = array
        for holder in (self.arrays, vars(self.atoms)):
            for name, value in holder.items():
                holder[name] = moved.get(id(value), value)
        self.content = bytearray(memory)

    def is_unchanged(self):
        """Whether the atoms are unchanged, except for the contents of `info`, positions and cell."""
        atoms, cell_array = self.atoms, self.cell_array
        try:
            # Compares by identity first; an array that was replaced has no truth value.
            if not self.can_be_compared or vars(atoms) != self.attributes:
                return False
        except Exception:
            return False
        arrays = self.arrays
        if (
            atoms.arrays is not arrays
            or atoms.cell is not self.cell
            or self.cell.array is not cell_array
            or not cell_array.flags.writeable
            or len(arrays) != len(self.known_arrays)
        ):
            return False
        for name, array, shape, dtype in self.known_arrays:
            if (
                arrays.get(name) is not array
                or array.shape != shape
                or array.dtype is not dtype
                or not array.flags.writeable
            ):
                return False
        return self.content == self.memory

    def restore_info(self):
        info = self.description.info
        namespace = vars(self.atoms)
        if info or namespace.get("info") != {}:
            namespace["info"] = dict(info) if self.info_is_plain else copy.deepcopy(info)
        self.attributes["info"] = namespace["info"]
