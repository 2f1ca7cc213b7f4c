"""Structures with their results as extended XYZ, to the last bit; what the format cannot carry is an error with its name.

One part of the program that the parent gives to Python; `main.py` is the last of them.
"""

import json

#: Begins the keys of the notes that every structure gets.
OURS = "rootstock_"
#: Keys of the comment line with a meaning of their own, and names of columns that ASE reads as something else.
RESERVED = {"Lattice", "Properties", "pbc", "comment", "virial"}
COLUMNS = {"species", "pos", "Z", "charge", "move_mask", "symbols"}
KINDS = {"f": "R", "i": "I", "u": "I", "b": "L", "U": "S"}


class NotCarried(ValueError):
    """Something of a structure that extended XYZ cannot carry."""


class Writer:
    """Writes structures; remembers what it has found about values that occur again and again."""

    def __init__(self):
        import numpy
        from ase.calculators.calculator import all_properties
        from ase.constraints import FixAtoms, FixCartesian
        from ase.data import chemical_symbols
        from ase.io.extxyz import key_val_str_to_dict

        self.numpy = numpy
        self.results = frozenset(all_properties)
        self.whole, self.partly = FixAtoms, FixCartesian
        self.symbols = chemical_symbols
        self.parse = key_val_str_to_dict
        self.known = {}

    def write(self, atoms, results, notes):
        """The text of a structure.

        Args:
            atoms: The structure.
            results: By name: numbers, or arrays with a row for each atom.
            notes: The end of the comment line.
        """
        count = len(atoms)
        names, columns = self.columns(atoms)
        line = []
        if atoms.cell.array.any():
            line.append('Lattice="%s"' % numbers(atoms.cell.array.ravel()))
        more = []
        for name, value in results.items():
            if name == "stress":
                more.append('stress="%s"' % numbers(value.ravel()))
            elif self.numpy.ndim(value) and len(value) == count and self.is_of_atoms(name, value):
                self.add(names, columns, name, value)
            else:
                more.append(self.item(name, value, True))
        line.append("Properties=" + ":".join(names))
        for key, value in atoms.info.items():
            line.append(self.item(key, value))
        line += more
        line.append('pbc="%s"' % " ".join("FT"[bool(periodic)] for periodic in atoms.pbc))
        rows = map(" ".join, zip(*columns))
        return "%d\n%s%s\n%s" % (count, " ".join(line), notes, "".join(row + "\n" for row in rows))

    def is_of_atoms(self, name, value):
        if name in self.results:
            return name in ("forces", "stresses", "charges", "magmoms", "energies")
        return True

    def columns(self, atoms):
        """The columns of species, positions, constraints and other arrays."""
        if atoms.get_celldisp().any():
            raise NotCarried("extended XYZ cannot carry the origin of a cell (`celldisp`)")
        names = ["species", "S", "1"]
        columns = [[self.symbols[number] for number in atoms.numbers.tolist()]]
        self.add(names, columns, "pos", atoms.positions)
        if atoms.constraints:
            self.add(names, columns, "move_mask", self.free(atoms))
        for name, array in atoms.arrays.items():
            if name in ("numbers", "positions"):
                continue
            if name in COLUMNS or name in self.results or not name or any(mark in name for mark in ' \t\n\r:="\'{}[]\\,'):
                raise NotCarried("extended XYZ cannot carry the array %r by this name: rename it" % name)
            self.add(names, columns, name, array)
        return names, columns

    def free(self, atoms):
        """Which atoms, or which coordinates of them, may move."""
        kinds = {type(constraint) for constraint in atoms.constraints}
        if kinds == {self.whole}:
            free = self.numpy.ones(len(atoms), bool)
            for constraint in atoms.constraints:
                free[constraint.index] = False
            return free
        if kinds <= {self.whole, self.partly}:
            free = self.numpy.ones((len(atoms), 3), bool)
            for constraint in atoms.constraints:
                free[constraint.index] = False if type(constraint) is self.whole else free[constraint.index] & ~constraint.mask
            return free
        others = sorted(kind.__name__ for kind in kinds - {self.whole, self.partly})
        raise NotCarried("extended XYZ cannot carry the constraint %s: remove it before, or set it in a function of `--with`" % ", ".join(others))

    def add(self, names, columns, name, array):
        array = self.numpy.asarray(array)
        kind = KINDS.get(array.dtype.kind)
        if kind is None or array.ndim not in (1, 2) or 0 in array.shape[1:]:
            raise NotCarried("extended XYZ cannot carry the array %r of type %s and shape %s" % (name, array.dtype, array.shape))
        names += [name, kind, str(array.shape[1] if array.ndim == 2 else 1)]
        for values in array.T.tolist() if array.ndim == 2 else [array.tolist()]:
            if kind == "S":
                wrong = [value for value in values if not value or value.split() != [value]]
                if wrong:
                    raise NotCarried("extended XYZ cannot carry the text %r in the array %r" % (wrong[0], name))
                columns.append(values)
            elif kind == "L":
                columns.append(["FT"[value] for value in values])
            else:
                columns.append(list(map(repr, values)))

    def item(self, key, value, ours=False):
        """A key and its value, as ASE reads them."""
        kind = type(value)
        simple = kind in (str, int, float, bool)
        if simple and (key, kind, value) in self.known:
            return self.known[key, kind, value]
        if not isinstance(key, str):
            raise NotCarried("extended XYZ cannot carry the key %r of `info`: it is no text" % (key,))
        if not ours and (key in RESERVED or key in self.results):
            raise NotCarried("extended XYZ keeps the key %r of `info` for itself: rename it" % key)
        for text in self.spellings(key, value):
            try:
                if "\n" not in text and "\r" not in text and self.is_same(self.parse(text), key, value):
                    break
            except Exception:
                pass
        else:
            raise NotCarried("extended XYZ cannot carry the value of `info[%r]`, of class %s: %s" % (key, kind.__name__, cut(ascii(value), 200)))
        if simple and value == value:
            if len(self.known) > 10000:
                self.known.clear()
            self.known[key, kind, value] = text
        return text

    def spellings(self, key, value):
        """Ways to write it, the plainest first."""
        name = key if key and not any(mark in key for mark in ' \t="\'{}[]\\,') else quoted_text(key)
        kind = type(value)
        array = self.numpy.asarray(value) if isinstance(value, (self.numpy.ndarray, self.numpy.generic)) else None
        if kind is bool or array is not None and array.ndim == 0 and array.dtype.kind == "b":
            yield "%s=%s" % (name, "FT"[bool(value)])
        elif array is not None and array.ndim == 0 and array.dtype.kind in "fiu" or kind in (int, float):
            yield "%s=%r" % (name, value if array is None else array.item())
        elif array is not None and array.ndim == 1 and array.dtype.kind in "fiub":
            yield "%s=%s" % (name, quoted_text(" ".join("FT"[item] if item is True or item is False else repr(item) for item in array.tolist())))
        elif kind is str or isinstance(value, str):
            if value and not any(mark in value for mark in ' \t\n\r="\'{}[]\\,'):
                yield "%s=%s" % (name, value)
            yield "%s=%s" % (name, quoted_text(value))
        try:
            yield "%s=%s" % (name, quoted_text("_JSON " + json.dumps(plain_json(value, self.numpy))))
        except (TypeError, ValueError):
            pass

    def is_same(self, found, key, value):
        return list(found) == [key] and equal(found[key], value, self.numpy)


def numbers(values):
    return " ".join(map(repr, values.tolist()))


def quoted_text(text):
    return '"%s"' % text.replace("\\", "\\\\").replace('"', '\\"')


def plain_json(value, numpy):
    if isinstance(value, (numpy.ndarray, numpy.generic)):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain_json(item, numpy) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(item, numpy) for item in value]
    return value


def equal(found, value, numpy):
    """Whether a value that was read is the one that was written; lists and arrays of equal numbers are the same."""
    if isinstance(value, dict):
        return isinstance(found, dict) and list(map(str, value)) == list(found) and all(
            isinstance(key, str) and equal(found[key], item, numpy) for key, item in value.items()
        )
    if isinstance(value, (numpy.ndarray, list, tuple)):
        if isinstance(found, (numpy.ndarray, list)):
            first, second = numpy.asarray(found), numpy.asarray(value)
            same_kind = first.dtype.kind == second.dtype.kind or {first.dtype.kind, second.dtype.kind} <= set("iu")
            if same_kind and first.shape == second.shape and first.dtype.kind in "fiubU":
                return bool(numpy.array_equal(first, second, equal_nan=first.dtype.kind == "f"))
            return len(found) == len(value) and all(equal(one, other, numpy) for one, other in zip(found, value))
        return False
    if isinstance(value, (bool, numpy.bool_)):
        return isinstance(found, (bool, numpy.bool_)) and bool(found) == bool(value)
    if isinstance(value, (int, float, numpy.number)):
        if isinstance(found, (bool, numpy.bool_)) or not isinstance(found, (int, float, numpy.number)):
            return False
        is_whole = isinstance(value, (int, numpy.integer))
        return is_whole == isinstance(found, (int, numpy.integer)) and (found == value or value != value and found != found)
    return type(found) is type(value) and found == value or isinstance(value, str) and isinstance(found, str) and str(value) == found
