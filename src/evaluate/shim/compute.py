"""Computes structures: one after another, several at once, or by a function of the user's.

One part of the program that the parent gives to Python; `main.py` is the last of them.
"""

import pickle
import struct

USUAL = ("energy", "forces", "stress")


class Computer(Model):
    """A calculator, the properties that are wanted of it, and what becomes of each structure."""

    def __init__(self, calculator, order, source):
        super().__init__(calculator, {"info": {}, "stress": True, "device": order["device"]}, source)
        if self.make_batch is not None:
            self.batch = self.make_batch(calculator) or self.batch
        # Of all results these are wanted; None for the usual ones, of which the stress is optional.
        self.wanted = order["properties"]
        self.notes = order["notes"]
        self.function = None
        self.writer = Writer() if order["write"] else None

    def structures(self, request, blob):
        """The structures of a request."""
        place, found = 0, []
        for item in request["items"]:
            found.append((item, blob[place : place + item["length"]]))
            place += item["length"]
        return found

    def answer(self, request, blob):
        """The answers to the structures of a request, and how many were computed at once."""
        given, answers = self.structures(request, blob), {}
        ready = []
        for place, (item, part) in enumerate(given):
            try:
                ready.append((place, item, self.prepare(unpack(part))))
            except BaseException as error:
                answers[place] = error
        largest = None
        if self.function is not None:
            for place, item, atoms in ready:
                answers[place] = self.guarded(self.by_function, item, atoms)
        elif self.batch is not None and len(ready) > 1:
            largest = self.at_once(ready, answers)
        else:
            for place, item, atoms in ready:
                answers[place] = self.guarded(self.single, item, atoms)
        return [answers[place] for place in range(len(given))], largest

    def guarded(self, compute, *arguments):
        try:
            return compute(*arguments)
        except BaseException as error:
            return error

    def prepare(self, atoms):
        """Refuses what no model can compute."""
        check_numbers(atoms.numbers)
        if not self.numpy.isfinite(atoms.positions).all() or not self.numpy.isfinite(atoms.cell.array).all():
            raise ValueError("positions or cell are not finite")
        periodic = [axis for axis in range(3) if atoms.pbc[axis]]
        if periodic:
            check_cell(atoms.cell.array.tolist(), periodic)
        if not len(atoms):
            raise ValueError("the structure has no atoms")
        return atoms

    def properties(self, atoms):
        """What to compute, and whether the stress may be missing."""
        if self.wanted is not None:
            return list(self.wanted), False
        with_stress = self.may_have_stress and bool(atoms.cell.rank == 3) and bool(atoms.pbc.any())
        return ["energy", "forces"] + ["stress"] * with_stress, not all(atoms.pbc)

    def compute(self, atoms):
        """All results of a structure, as the calculator has them."""
        properties, is_optional = self.properties(atoms)
        try:
            return self.calculated(atoms, properties), properties
        except Exception as error:
            refused = isinstance(error, (self.not_implemented, NotImplementedError))
            if "stress" not in properties or self.wanted is not None or not (refused or is_optional):
                raise
        # Not in the handler: an error would drag that of the stress along.
        properties = [name for name in properties if name != "stress"]
        return self.calculated(atoms, properties), properties

    def calculated(self, atoms, properties):
        calculator = self.calculator
        # As `get_property` does before each calculation: old results must not remain.
        given = atoms.copy()
        if self.reset is not None:
            self.reset()
        else:
            calculator.atoms = given.copy()
        calculator.results = {}
        calculator.calculate(given, properties, self.all_changes)
        return calculator.results

    def single(self, item, atoms):
        results, properties = self.compute(atoms)
        return self.output(item, [(atoms, self.checked(results, properties, len(atoms)))])

    def at_once(self, ready, answers):
        """Computes a batch, and the halves of one that fails; returns how many were computed at once, if that was too many."""
        if len(ready) == 1:
            ((place, item, atoms),) = ready
            answers[place] = self.guarded(self.single, item, atoms)
            return 1
        try:
            together = [self.properties(atoms)[0] for _, _, atoms in ready]
            wanted = [name for name in USUAL if any(name in names for names in together)] if self.wanted is None else list(self.wanted)
            found = list(self.batch([atoms.copy() for _, _, atoms in ready], wanted))
            if len(found) != len(ready):
                raise ValueError("the batch of %d structures was answered with %d results" % (len(ready), len(found)))
        except BaseException as error:
            is_full = is_out_of_memory(error)
            # Its frames hold what did not fit.
            del error
            free_memory()
            half = len(ready) // 2
            largest = [self.at_once(part, answers) for part in (ready[:half], ready[half:])]
            return min([half, *filter(None, largest)]) if is_full else next(filter(None, largest), None)
        for (place, item, atoms), results, names in zip(ready, found, together):
            answers[place] = self.guarded(self.taken, item, atoms, results, names)
        return None

    def taken(self, item, atoms, results, names):
        return self.output(item, [(atoms, self.checked(results, names, len(atoms)))])

    def checked(self, results, properties, count):
        """The results that are wanted, if they are real and finite numbers of the right shape."""
        found = {}
        for name in properties:
            value = results.get(name)
            if value is None and name == "stress" and self.wanted is None:
                continue
            value = self.real(name, detached(value))
            if name in ("energy", "free_energy"):
                if value.size != 1:
                    raise ValueError("the model's %s has shape %s, and is no single number" % (name, value.shape))
                value = value.item()
            elif name == "stress":
                value = self.square(value)
            elif name == "forces" and value.shape != (count, 3):
                raise ValueError("the model's forces have shape %s, not %s" % (value.shape, (count, 3)))
            if not self.numpy.isfinite(value).all():
                raise NotFinite("the model's %s %s not finite" % (name, "are" if name.endswith("s") and name != "stress" else "is"))
            found[name] = value
        return found

    def by_function(self, item, atoms):
        """What the user's function returns for atoms that carry the calculator."""
        if self.reset is not None:
            self.reset()
        atoms.calc = self.calculator
        returned = self.function(atoms)
        if isinstance(returned, dict):
            atoms.info.update(returned)
            return self.output(item, [(atoms, self.at_hand(atoms))])
        images = [atoms] if returned is None else list(returned) if isinstance(returned, (list, tuple)) else [returned]
        if not images or not all(hasattr(image, "get_positions") and hasattr(image, "info") for image in images):
            raise TypeError("the function returned an object of class %s, not Atoms, a list of Atoms or a dictionary" % type(returned).__name__)
        return self.output(item, [(image, self.final(image)) for image in images])

    def at_hand(self, atoms):
        """The results that the calculator has for these atoms, without another calculation."""
        calculator = self.calculator
        if not getattr(calculator, "results", None) or getattr(calculator, "check_state", lambda atoms: True)(atoms):
            return {}
        names = [name for name in (self.wanted or USUAL) if calculator.results.get(name) is not None]
        return self.checked(calculator.results, names, len(atoms))

    def final(self, atoms):
        """The results of a structure that a function has returned."""
        self.prepare(atoms)
        if atoms.calc is self.calculator:
            at_hand, (properties, _) = self.at_hand(atoms), self.properties(atoms)
            if all(name in at_hand or name == "stress" and self.wanted is None for name in properties):
                return at_hand
        elif getattr(atoms.calc, "results", None):
            names = [name for name in self.properties(atoms)[0] if atoms.calc.results.get(name) is not None]
            if names and not atoms.calc.check_state(atoms):
                return self.checked(atoms.calc.results, names, len(atoms))
        results, properties = self.compute(atoms)
        return self.checked(results, properties, len(atoms))

    def output(self, item, images):
        """The answer for a structure, as bytes."""
        if self.writer is None:
            ((_, results),) = images
            return pack_results(results, self.numpy)
        texts = []
        for place, (atoms, results) in enumerate(images):
            notes = "%s %sinput=%s %sindex=%d" % (self.notes, OURS, item["digest"], OURS, item["index"])
            if len(images) > 1:
                notes += " %simage=%d/%d" % (OURS, place, len(images))
            texts.append(self.writer.write(atoms, results, notes))
        return "".join(texts).encode()


def unpack(part):
    """The atoms of the file that this environment has read, or of a client."""
    if part[:1] == b"P":
        return pickle.loads(part[1:])
    return unpack_atoms(part[1:])


def unpack_atoms(part):
    """Atoms as `python/rootstock/packing.py` packs them."""
    import numpy
    from ase import Atoms

    count, more = struct.unpack_from("<II", part)
    place = 8
    numbers = numpy.frombuffer(part, "<i8", count, place)
    positions = numpy.frombuffer(part, "<f8", 3 * count, place + 8 * count).reshape(-1, 3)
    place += 32 * count
    cell = numpy.frombuffer(part, "<f8", 9, place).reshape(3, 3)
    pbc = [bool(byte) for byte in part[place + 72 : place + 75]]
    text = part[place + 75 : place + 75 + more].decode()
    if not text:
        return Atoms(numbers=numbers, positions=positions, cell=cell, pbc=pbc)
    atoms = describe({"numbers": numbers, "pbc": pbc, "info": {}, "inputs": text}, None, {})
    atoms.arrays["positions"][...] = positions
    atoms.cell.array[...] = cell
    return atoms


def pack_results(results, numpy):
    """Results for `python/rootstock/packing.py`: names, types and shapes, and the bytes of all arrays."""
    heads, parts = [], []
    for name, value in results.items():
        if name == "stress":
            value = value[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        array = numpy.ascontiguousarray(value)
        heads.append([name, array.dtype.str, list(numpy.shape(value))])
        parts.append(array.tobytes())
    head = dumps(heads).encode()
    return struct.pack("<I", len(head)) + head + b"".join(parts)


def is_out_of_memory(error):
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower() or "OutOfMemory" in type(error).__name__


def free_memory():
    """Gives memory of a device that is not used any more back to it."""
    import gc

    gc.collect()
    torch = sys.modules.get("torch")
    try:
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()
    except Exception:
        pass
