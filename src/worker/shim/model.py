"""A calculator and the atoms it computes.

`setup_batch(calculator)` in an environment's source returns a function that computes several structures at once,
`f(structures, properties)`: a list of ASE `Atoms` in, a dictionary of results for each out. A calculator's
`calculate_batch` does the same. Without them structures are computed one after another.

One part of the program that the launcher gives to Python; `main.py` is the last of them.
"""

import math
import time

# Further results that are sent with each step although they are arrays; others are sent if they are single numbers.
SMALL = ("dipole", "polarization", "dielectric_tensor", "polarizability")


class Model:
    """A calculator and its atoms, which are moved in place from frame to frame."""

    def __init__(self, calculator, order, source=None):
        import numpy
        from ase.calculators import calculator as base

        self.numpy = numpy
        self.all_changes = list(base.all_changes)
        self.float64 = numpy.dtype(float)
        # Indices of the nine components of a stress in xx, yy, zz, yz, xz, xy.
        self.rows = numpy.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])
        self.not_implemented = base.PropertyNotImplementedError
        self.calculator, self.device = calculator, order["device"]
        # The template's atoms, whose arrays and `info` a server's system may lack; and `info` that precedes all other.
        self.base, self.info = None, order["info"]
        self.may_have_stress = order["stress"] and "stress" in getattr(calculator, "implemented_properties", ())
        self.implemented = getattr(calculator, "implemented_properties", ())
        self.reset = getattr(calculator, "reset", None)
        # Computes several structures at once: made by the source for the first batch, or the calculator's own.
        self.make_batch = getattr(source, "setup_batch", None)
        self.batch = getattr(calculator, "calculate_batch", None)

    def take(self, system):
        """Replaces the atoms by those of a system."""
        described = describe(system, self.base, self.info)
        self.original = Original(described)
        self.size = len(described)
        # ASE's own servers request the stress of periodic systems only.
        self.is_periodic = any(system["pbc"])
        self.periodic = [axis for axis in range(3) if system["pbc"][axis]]
        self.everything = system.get("everything", False)
        self.timings = system.get("timings", False)
        # Reported with the times of the first step.
        self.unreported = self.timings
        self.has_stress = self.may_have_stress
        self.fresh, self.computed = True, False

    def compute_all(self, frames, everything=None):
        """Computes frames; returns whether there is a stress. Appends the further results of each frame to a list, if given."""
        if len(frames) == 1:
            return self.compute_one(frames[0], everything)
        if self.make_batch is not None:
            self.batch = self.make_batch(self.calculator) or self.batch
            self.make_batch = None
        if self.batch is not None:
            return self.compute_batch(frames, everything)
        stresses = []
        for frame in frames:
            stresses.append(self.compute_one(frame, everything))
            self.clean_up()
        return all(stresses)

    def compute_one(self, frame, everything):
        stress = self.compute(frame)
        if everything is not None:
            everything.append(plain_results(self.calculator.results))
        return stress

    def compute_batch(self, frames, everything):
        structures = []
        for frame in frames:
            self.move(frame)
            structures.append(self.atoms.copy())
        # The calculator did not compute these atoms itself.
        self.fresh = True
        wanted = ["energy", "forces"] + ["stress"] * (self.wants_stress and self.has_stress)
        answers = list(self.batch(structures, wanted))
        if len(answers) != len(frames):
            raise ValueError("the batch of %d structures was answered with %d results" % (len(frames), len(answers)))
        stresses = [self.put(frame, results, wanted) for frame, results in zip(frames, answers)]
        if everything is not None:
            everything += map(plain_results, answers)
        return all(stresses)

    def stresses(self, into):
        """Writes the stresses of single atoms, 3x3, of the frame computed last."""
        found = self.calculator.results.get("stresses")
        if found is None:
            if "stresses" not in getattr(self.calculator, "implemented_properties", ()):
                raise NotImplementedError("the model computes no stresses of single atoms")
            self.calculate_further("stresses")
            found = self.calculator.results["stresses"]
        found = self.real("stresses", found)
        if len(found) != len(into):
            raise ValueError("the model's stresses are of %d atoms, not of %d" % (len(found), len(into)))
        for place, stress in enumerate(found):
            into[place] = self.square(stress)
        if not self.numpy.isfinite(into).all():
            raise NotFinite("the model computed stresses of single atoms that are not finite")

    def compute(self, shared):
        """Computes one frame; returns whether there is a stress."""
        self.last, self.computed = shared, False
        changes = self.move(shared)
        if self.wants_stress and self.has_stress:
            try:
                return self.calculate(shared, ["energy", "forces", "stress"], changes)
            except Exception as error:
                # The stress of a system that is not periodic is optional: if it fails, compute without it.
                if isinstance(error, (self.not_implemented, NotImplementedError)):
                    self.has_stress = False
                elif self.is_periodic:
                    raise
                self.fresh = True
                changes = self.move(shared)
        return self.calculate(shared, ["energy", "forces"], changes)

    def move(self, shared):
        """Moves the atoms to the frame; returns ASE's `system_changes`."""
        changes = ["positions"]
        if self.fresh:
            self.atoms = self.original.make()
            self.fresh, self.cell, changes = False, None, self.all_changes
        self.atoms.arrays["positions"][...] = shared.positions
        if self.cell != shared.cell_bytes:
            if self.periodic:
                check_cell(shared.cell.tolist(), self.periodic)
            self.atoms.cell.array[...] = shared.cell
            self.cell = bytearray(shared.cell_bytes)
            self.wants_stress = bool(self.atoms.cell.rank == 3) and (self.is_periodic or self.everything)
            changes = changes if changes is self.all_changes else ["positions", "cell"]
        return changes

    def clean_up(self):
        """Undoes what the calculator did to its atoms. Runs between two steps, when nothing waits for it."""
        if not self.fresh:
            original = self.original
            self.fresh = self.cell != original.cell_array or not original.is_unchanged()
            original.restore_info()

    def calculate(self, shared, properties, changes):
        # As `get_property` does before each calculation: old results must not remain.
        calculator = self.calculator
        if self.reset is not None:
            self.reset()
        else:
            calculator.atoms = self.atoms.copy()
        if self.reset is None or calculator.results:
            calculator.results = {}
        begin = time.perf_counter()
        calculator.calculate(self.atoms, properties, changes)
        self.seconds = time.perf_counter() - begin
        stress = self.put(shared, calculator.results, properties)
        self.computed = True
        return stress

    def put(self, shared, results, properties):
        """Writes results into the frame; returns whether there is a stress."""
        energy = results.get("energy")
        if type(energy) is not float:
            energy = self.real("energy", energy)
            if energy.size != 1:
                raise ValueError("the model's energy has shape %s, and is no single number" % (energy.shape,))
            energy = energy.item()
        shared.energy[0] = energy
        forces = self.real("forces", results.get("forces"))
        if forces.shape != shared.forces.shape:
            raise ValueError("the model's forces have shape %s, not %s" % (forces.shape, shared.forces.shape))
        shared.forces[...] = forces
        stress = results.get("stress") if "stress" in properties else None
        if stress is None:
            return False
        stress = self.square(self.real("stress", stress))
        if not self.is_periodic and not self.numpy.isfinite(stress).all():
            return False  # The stress of a system that is not periodic is optional.
        shared.stress[...] = stress
        return True

    def calculate_further(self, name):
        """Computes another property of the frame computed last, with fresh atoms."""
        self.fresh = True
        changes = self.move(self.last)
        before = dict(self.calculator.results)
        try:
            self.calculator.calculate(self.atoms, [name], changes)
        finally:
            self.calculator.results = {**before, **self.calculator.results}

    def further_results(self, name):
        """All results that were not sent with the step; the one of this name is computed if necessary."""
        if not self.computed:
            return b'{"gone": true}'
        if name and name not in self.calculator.results and name in self.implemented:
            self.calculate_further(name)
        return to_text({"results": further_results(self.calculator.results)}).encode()

    def real(self, what, value):
        """Converts to an array of real numbers; refuses texts, booleans, complex numbers, objects and masked numbers."""
        if type(value) is self.numpy.ndarray and value.dtype is self.float64:
            return value
        if value is None:
            raise TypeError("the model's results have no %s" % what)
        found = self.numpy.asanyarray(value)
        if found.dtype.kind not in "fiu":
            raise TypeError("the model's %s: expected real numbers, got %s (%s)" % (what, type(value).__name__, found.dtype))
        if type(found) is not self.numpy.ndarray and self.numpy.ma.is_masked(found):
            raise TypeError("the model's %s: some of the numbers are masked" % what)
        return self.numpy.asarray(found, dtype=self.numpy.float64)

    def square(self, stress):
        """A stress as 3x3, from that or from xx, yy, zz, yz, xz, xy."""
        if stress.shape == (3, 3):
            return stress
        if stress.shape == (6,):
            return stress.take(self.rows)
        raise ValueError("the model's stress has shape %s, not (6,) or (3, 3)" % (stress.shape,))

    def more(self):
        """Further results that do not grow with the atoms, as JSON in bytes; empty unless the client reads them."""
        if not self.everything:
            return b""
        found = {}
        results = self.calculator.results
        for name, value in results.items():
            if name in ("energy", "forces", "stress", "free_energy") or not isinstance(name, str):
                continue
            if self.numpy.ndim(value) and name not in SMALL:
                continue
            try:
                numbers = self.real(name, value)
            except Exception:
                continue  # Not numbers.
            # JSON has only finite numbers.
            if self.numpy.isfinite(numbers).all():
                found[name] = numbers.tolist()
        free_energy = results.get("free_energy")
        if free_energy is not None:
            found["free_energy"] = self.one("free_energy", free_energy)
        elif "free_energy" in self.implemented:
            found["free_energy"] = None
        if self.timings:
            found["timings"] = {"compute": self.seconds}
        if self.unreported:
            found["conditions"] = conditions(self.calculator, self.device)
            self.unreported = False
        return dumps(found).encode() if found else b""

    def one(self, what, value):
        number = self.real(what, value)
        if number.size != 1:
            raise ValueError("the model's %s has shape %s, and is no single number" % (what, number.shape))
        if not math.isfinite(number.item()):
            raise NotFinite("the model computed a %s of %s eV" % (what, number.item()))
        return number.item()
