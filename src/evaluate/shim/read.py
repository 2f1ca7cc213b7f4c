"""Reads structures one after another with ASE, and packs them for the processes that compute.

One part of the program that the parent gives to Python; `main.py` is the last of them.
"""

import hashlib
import os
import pickle


class NoStructures(ValueError):
    """A file without structures."""


class Reader:
    """The structures of a file that belong to one shard, with their numbers and digests."""

    def __init__(self, request):
        self.path, self.index = request["path"], request["index"]
        self.shard, self.shards = request["shard"]
        self.images = None
        self.position = 0

    def open(self):
        import ase.io

        size = os.path.getsize(self.path) if os.path.isfile(self.path) else None
        if size == 0:
            raise NoStructures("the file is empty")
        index = ":" if self.index is None else self.index
        self.images = ase.io.iread(self.path, index=index, do_not_split_by_at_sign=True)

    def read(self, most, most_bytes, first):
        """The next structures from this number on: their descriptions and pickles, and whether these were the last."""
        if self.images is None:
            self.open()
        items, parts, size = [], [], 0
        while len(items) < most and size < most_bytes:
            atoms = next(self.images, None)
            if atoms is None:
                if not self.position:
                    raise NoStructures("the file has no structures" if self.index is None else "there are no structures at `%s`" % self.index)
                return items, parts, True
            position, self.position = self.position, self.position + 1
            if position % self.shards != self.shard or position < first:
                continue
            part = pack(without_results(atoms))
            items.append({"index": position, "atoms": len(atoms), "digest": digest(atoms), "length": len(part)})
            parts.append(part)
            size += len(part)
        return items, parts, False


def pack(atoms):
    return b"P" + pickle.dumps(atoms, protocol=4)


def without_results(atoms):
    """The atoms without what the file says of their energies: some versions of ASE keep that among arrays and `info`, too."""
    if atoms.calc is not None:
        for name in getattr(atoms.calc, "results", ()):
            atoms.arrays.pop(name, None)
            atoms.info.pop(name, None)
        atoms.calc = None
    for name in [name for name in atoms.info if isinstance(name, str) and name.startswith(OURS)]:
        # What an earlier evaluation has noted.
        del atoms.info[name]
    return atoms


def digest(atoms):
    """What identifies a structure: everything of it that a model or a function may read."""
    made = hashlib.sha256()
    for name, array in sorted({**atoms.arrays, " cell": atoms.cell.array, " pbc": atoms.pbc, " origin": atoms.get_celldisp()}.items()):
        made.update(("%s %s %s " % (name, array.dtype.str, array.shape)).encode("utf-8", "surrogatepass"))
        made.update(repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes())
    for name, value in sorted(atoms.info.items(), key=repr):
        made.update(described_value(name).encode("utf-8", "surrogatepass"))
        made.update(described_value(value).encode("utf-8", "surrogatepass"))
    for constraint in atoms.constraints:
        try:
            text = described_value(constraint.todict())
        except Exception:
            text = type(constraint).__name__
        made.update(text.encode("utf-8", "surrogatepass"))
    return made.hexdigest()[:32]


def described_value(value):
    """A text that is the same in every process for equal values; of other objects only the class is known."""
    try:
        return to_text(encode(value))
    except Exception:
        return type(value).__name__
