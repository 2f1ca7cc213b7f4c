# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "ipi==3.3.1"]
# ///
"""Calculators for the tests of workers: EMT, one that costs nothing, and many that go wrong in their own way."""

import importlib.util
import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones


class Odd(Calculator):
    """Zero forces, and from the third step on whatever its name says."""

    implemented_properties = ["energy", "forces", "stress"]

    def __init__(self, way):
        super().__init__()
        self.way, self.steps = way, 0
        if way == "nostress":
            self.implemented_properties = ["energy", "forces"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.steps += 1
        count = len(self.atoms)
        self.results = {"energy": 0.0, "forces": np.zeros((count, 3)), "stress": np.zeros(6)}
        if self.way == "nostress":
            del self.results["stress"]
        if self.way == "info":
            charge, spin = (float(self.atoms.info.get(key, 0)) for key in ("charge", "spin"))
            self.results["energy"] = charge + 100 * spin
        if self.steps >= 3:
            getattr(self, "go_" + self.way, lambda: None)()

    def go_raises(self):
        raise RuntimeError("out of memory on device %d" % self.steps)

    def go_nan(self):
        self.results["forces"][1, 2] = np.nan

    def go_shape(self):
        self.results["forces"] = np.zeros((1, 3))

    def go_exits(self):
        print("these are my last words", flush=True)
        os._exit(7)

    def go_killed(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def go_forks(self):
        if os.fork() == 0:
            time.sleep(1000)
            os._exit(0)

    def go_chatters(self):
        for _ in range(3000):
            print("x" * 100)


class Given(Odd):
    """Zero forces, and the energy that `setup` was given."""

    def __init__(self, energy):
        super().__init__("given")
        self.energy = energy

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] = self.energy


class Single(Calculator):
    """EMT rounded to single precision, with a full stress tensor, through a results dictionary that is always new."""

    implemented_properties = ["energy", "forces", "stress"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.atoms.calc = EMT()
        self.results = {
            "energy": np.float32(self.atoms.get_potential_energy()),
            "forces": self.atoms.get_forces().astype(np.float32),
            "stress": self.atoms.get_stress(voigt=False).astype(np.float32),
        }


class Mortal(EMT):
    """EMT that dies at its third step, and always where an atom has gone too far.

    ASE's EMT keeps its list of neighbours from step to step, and the order of a sum is in its last bit; this one begins
    anew each time, so that its numbers depend on the frame alone.
    """

    def __init__(self, way):
        super().__init__()
        self.way, self.steps = way, 0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        self.steps += 1
        if self.way != "never" and (self.steps == 3 or atoms.positions[0, 0] > 100):
            self.die()
        super().calculate(atoms, properties, all_changes)

    def die(self):
        if self.way == "exits":
            os._exit(3)
        if self.way == "hangs":
            print("hanging")
            while True:
                signal.pause()
        os.kill(os.getpid(), {"killed": signal.SIGKILL, "crashes": signal.SIGSEGV}[self.way])


class Batched(EMT):
    """EMT that computes several structures at once, and says how many; with the calculator's own method or without."""

    def calculate_batch(self, structures, properties):
        print("a batch of %d" % len(structures))
        results = []
        for atoms in structures:
            self.calculate(atoms, properties, all_changes)
            results.append(dict(self.results))
        return results


class Short(EMT):
    """EMT whose batches lack a structure."""

    def calculate_batch(self, structures, properties):
        return []


def setup_batch(calculator):
    if not isinstance(calculator, Single):
        return None

    def calculate(structures, properties):
        print("setup_batch: %d" % len(structures))
        results = []
        for atoms in structures:
            calculator.calculate(atoms, properties, all_changes)
            results.append(calculator.results)
        return results

    return calculate


WAYS = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "crashes": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "exits": lambda: os._exit(3),
    "hangs": lambda: time.sleep(1000),
}


class Soaked(EMT):
    """EMT whose numbers depend on the frame alone, and which dies as the files in the directory ODD_SOAK say: `plan.json`
    has the calls that end it, by their number in the whole run, and the moment and the way; `calls` has a byte for each
    call so far, whichever process made it.
    """

    def __init__(self, directory):
        super().__init__()
        self.place = Path(directory)
        self.plan = json.loads((self.place / "plan.json").read_text())
        loading = self.place / "dies-while-loading"
        if loading.exists():
            loading.unlink()
            WAYS["killed"]()

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        with open(self.place / "calls", "ab") as calls:
            calls.write(b".")
            call = calls.tell()
        moment, way = self.plan.get(str(call), ("never", "killed"))
        die = WAYS[way]
        if moment == "before":
            die()
        if moment == "before, and while loading":
            (self.place / "dies-while-loading").touch()
            die()
        super().calculate(atoms, properties, all_changes)
        if moment == "between its results":
            self.results["forces"] = Fatal(die)
        if moment == "some time later":
            # While its results are taken, between two steps, or in the next call.
            threading.Timer(random.Random(call).uniform(0, 0.005), die).start()


class Liar(EMT):
    """EMT that gives its stress in GPa, or half of its forces; or another factor of them. It may refuse an element."""

    def __init__(self, about, factor, refuses):
        super().__init__()
        self.about, self.refuses = about, refuses
        self.factor = {"stress": 160.21766, "forces": 0.5}[about] if factor is None else np.array(factor)

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        if self.refuses in atoms.get_chemical_symbols():
            raise NotImplementedError("no parameters for " + self.refuses)
        super().calculate(atoms, properties, all_changes)
        self.results[self.about] = self.results[self.about] * self.factor


class Torch:
    """As much of torch as says which devices there are: as many as ODD_DEVICES says."""

    def __init__(self, count):
        self.cuda, self.count = self, count

    def is_available(self):
        return self.count > 0

    def device_count(self):
        return self.count


if "ODD_DEVICES" in os.environ:
    sys.modules["torch"] = Torch(int(os.environ["ODD_DEVICES"]))


def look_around():
    """How this Python was started, and what it compiles of the environment."""
    compiled = []

    def audit(event, arguments):
        if event == "compile" and str(arguments[1]).startswith(sys.prefix):
            compiled.append(arguments[1])

    sys.addaudithook(audit)
    import ase.build, ase.io, ase.optimize, scipy.optimize, matplotlib.pyplot  # noqa: E401, F401

    flags = sys.flags
    raise ValueError(
        "isolated %d, bytecode written %d, compiled %s, prefix below %s, evil %s"
        % (flags.isolated, not flags.dont_write_bytecode, compiled, sys.prefix.split("/generations/")[0], "/evil" in str(os.environ))
    )


def wait_for(path):
    while not Path(path).exists():
        time.sleep(0.01)
    raise ValueError("waited long enough")


class Fatal:
    """An array whose access ends the process."""

    def __init__(self, die):
        self.die = die

    def __array__(self, dtype=None, copy=None):
        self.die()


def from_script(script, way):
    """A calculator of a test's own: what `setup(way)` of a Python file returns."""
    where = importlib.util.spec_from_file_location("script", script)
    module = importlib.util.module_from_spec(where)
    where.loader.exec_module(module)
    return module.setup(way)


def setup(model, device, energy=0.0, script=None, way="", factor=None, refuses=None):
    if script is not None:
        return from_script(script, way)
    if model == "looks":
        look_around()
    if model == "waits":
        wait_for(os.environ["ODD_WAITS"])
    if model.startswith("lies-"):
        return Liar(model.split("-")[1], factor, refuses)
    if model == "soaked":
        return Soaked(os.environ["ODD_SOAK"])
    if model == "batched":
        return Batched()
    if model == "short":
        return Short()
    if model == "pairs":
        return LennardJones(sigma=2.3, epsilon=0.4, rc=6.0)
    if model == "sleeps":
        print("going to sleep")
        time.sleep(1000)
    if model == "given":
        return Given(energy)
    if model.startswith("mortal-"):
        return Mortal(model.split("-")[1])
    if model == "fails":
        raise ValueError("there is no model for the device %r" % device)
    if model == "leaves":
        raise SystemExit("goodbye")
    if model == "emt":
        print("loading EMT")
        return EMT()
    if model == "single":
        return Single()
    return Odd(model)


def setup_from_path(path, device, energy=0.0):
    with open(path) as weights:
        return Given(float(weights.read()) + energy)
