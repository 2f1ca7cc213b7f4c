"""A calculator that leaves nothing as it was; what `odd`'s `setup()` loads with `{"script": …}`."""

import itertools

import numpy as np
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms


class Clumsy(EMT):
    """EMT that changes what it was given, in another way after each step; `charge` and `list` of `info` are added.

    Begins anew each time, so that its numbers depend on the frame alone.
    """

    def __init__(self):
        super().__init__()
        self.ways = itertools.cycle(name for name in dir(self) if name.startswith("do_"))
        self.way = None

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        assert not atoms.constraints and atoms.calc is None and not hasattr(atoms, "mark"), (self.way, vars(atoms))
        assert set(atoms.arrays) == {"numbers", "positions"}, (self.way, atoms.arrays)
        assert not atoms.get_celldisp().any(), self.way
        assert atoms.info.keys() <= {"charge", "list"} and list(atoms.info.get("list", [1, 2])) == [1, 2], (self.way, atoms.info)
        assert "left" not in self.results, self.way
        super().calculate(atoms, properties, all_changes)
        self.results["energy"] += atoms.info.get("charge", 0)
        self.results["left"] = 1.0
        self.way = next(self.ways)
        getattr(self, self.way)(atoms)

    def calculate_batch(self, structures, properties):
        results = []
        for atoms in structures:
            self.results = {}
            self.calculate(atoms, properties, all_changes)
            results.append(dict(self.results))
        return results

    def reset(self):
        if self.way != "do_keep_results":
            super().reset()

    def do_cell(self, atoms):
        atoms.set_cell(atoms.cell * 2)

    def do_cellarray(self, atoms):
        atoms.cell.array = atoms.cell.array * 2

    def do_cellobject(self, atoms):
        atoms.cell = atoms.cell.__class__(atoms.cell.array[::-1].copy())

    def do_pbc(self, atoms):
        atoms.pbc = False

    def do_onepbc(self, atoms):
        atoms.pbc[1] = False

    def do_numbers(self, atoms):
        atoms.numbers[:] = 47

    def do_symbols(self, atoms):
        atoms.symbols[0] = "Au"

    def do_positions(self, atoms):
        atoms.positions[:] = 0
        atoms.arrays["positions"] = np.zeros((len(atoms), 3), np.float32)

    def do_shape(self, atoms):
        atoms.arrays["positions"].shape = (-1,)

    def do_readonly(self, atoms):
        atoms.positions.flags.writeable = False
        atoms.cell.array.flags.writeable = False

    def do_fewer(self, atoms):
        del atoms[0]

    def do_more(self, atoms):
        atoms *= (2, 1, 1)

    def do_info(self, atoms):
        atoms.info["charge"] = 17
        atoms.info["mark"] = 1

    def do_info_in_place(self, atoms):
        atoms.info.get("list", [0, 0])[0] = 5

    def do_noinfo(self, atoms):
        del atoms.info

    def do_arrays(self, atoms):
        atoms.set_tags(1)
        atoms.set_momenta(atoms.positions)
        atoms.set_array("mark", atoms.numbers)

    def do_celldisp(self, atoms):
        atoms.set_celldisp([1, 2, 3])

    def do_constraints(self, atoms):
        atoms.set_constraint(FixAtoms([0]))

    def do_calculator(self, atoms):
        atoms.calc = self

    def do_attribute(self, atoms):
        atoms.mark = 1

    def do_keep_results(self, atoms):
        pass

    def do_nothing(self, atoms):
        pass


class OneByOne(Clumsy):
    """It cannot compute several structures at once."""

    calculate_batch = None


def setup(way):
    return OneByOne() if way == "one-by-one" else Clumsy()
