"""Deaths at random moments of runs driven by ASE, by i-PI and by a client of our own: every run finishes, every number is
that of an undisturbed run to the last bit, and nothing is left behind.

usage: python soak.py ROOTSTOCK ROOT DRIVER DEATHS SEED

The seed decides the calls that Python does not survive, at which moment of the call, and how. Some more deaths come from
outside, whenever they come.
"""

import collections
import json
import logging
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

driver, deaths, seed = sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
# The scripts whose classes are borrowed run the cases that are named behind.
del sys.argv[3:]

sys.path.insert(0, str(Path(__file__).parents[2] / "python"))
import harness
from ase.calculators.socketio import SocketIOCalculator
from harness import Worker, children, copper
from ipi_runs import Ipi
from own_client import Client
from rootstock import RootstockCalculator

# Often enough for every run. Only where a Python will hang is it asked whether it does; a machine that has other things to do
# may look like it, which costs another restart and no number.
ARGUMENTS = ("--restarts", "100000")
HANGING = ("--step-timeout", "30")
MOMENTS = ["before", "before, and while loading", "between its results", "some time later"]
WAYS = ["killed"] * 8 + ["crashes"] * 8 + ["exits"] * 8 + ["hangs"]


class Plan:
    """What a run is in for. The directory is also the TMPDIR of all that run in it."""

    def __init__(self, deaths):
        self.directory = harness.SCRATCH / harness.name()
        (self.directory / "tmp").mkdir(parents=True)
        chance, call, calls = random.Random(seed), 1, {}
        for _ in range(deaths):
            # A step that is deadly twice ends a run, and what comes later may come in the next call.
            call += chance.randint(3, 6)
            moment = chance.choice(MOMENTS)
            way = chance.choice(WAYS)
            if moment == "some time later":
                # No test waits for a thread to hang; and an exit of a thread is one of the process only by `_exit`.
                way = "killed" if way == "hangs" else way
            calls[call] = (moment, way)
        self.steps = call + 5
        hangs = any(way == "hangs" for _, way in calls.values())
        self.arguments = ARGUMENTS + (HANGING if hangs else ())
        self.ways = collections.Counter(calls.values())
        (self.directory / "plan.json").write_text(json.dumps(calls))
        self.use()

    def use(self):
        os.environ.update(ODD_SOAK=str(self.directory), TMPDIR=str(self.directory / "tmp"))

    def calls(self):
        path = self.directory / "calls"
        return path.stat().st_size if path.exists() else 0


class Killer(threading.Thread):
    """Kills Pythons from outside, at any moment of their work, each time once the step after the last one is done."""

    def __init__(self, plan, launcher, times):
        super().__init__()
        self.plan, self.launcher, self.times, self.killed = plan, launcher, times, 0
        self.chance = random.Random(seed)

    def run(self):
        while self.killed < self.times:
            begun = self.plan.calls()
            # The call that is going on, and one that is whole: what a new Python computes is not deadly twice.
            while self.plan.calls() < begun + 3:
                if self.launcher.poll() is not None:
                    return
                time.sleep(0.0005)
            time.sleep(self.chance.uniform(0, 0.004))
            for python in children(self.launcher.pid):
                try:
                    os.kill(python, signal.SIGKILL)
                    self.killed += 1
                except ProcessLookupError:
                    pass


class Held:
    """What a launcher holds: the same after a thousand deaths as after none."""

    def __init__(self, process):
        self.process = process
        self.first = self.now()

    def now(self):
        at = Path("/proc/%d" % self.process)
        return {what: len(list((at / what).iterdir())) for what in ("fd", "task")}, len(children(self.process))

    def check(self):
        # A thread that reads the last words of a Python may still be on its way out.
        for _ in range(6000):
            if self.now() == self.first:
                return
            time.sleep(0.02)
        raise AssertionError((self.first, self.now()))


def frames(steps):
    atoms = copper()
    for step in range(steps):
        atoms.rattle(0.002, seed=step)
        yield atoms.positions.copy()


def ase(plan, kills=0):
    name, seen = harness.name(), []
    atoms = copper()
    with SocketIOCalculator(unixsocket=name) as calculator:
        worker = Worker("odd-soaked", name, *plan.arguments, template=atoms)
        atoms.calc = calculator
        for step, positions in enumerate(frames(plan.steps)):
            atoms.positions = positions
            seen.append((atoms.get_potential_energy(), atoms.get_forces().tobytes(), atoms.get_stress().tobytes()))
            if step == 0:
                held, killer = Held(worker.process.pid), Killer(plan, worker.process, kills)
                killer.start()
        if not kills:
            held.check()
    output = worker.succeeds()
    killer.join()
    assert not Path("/tmp/ipi_" + name).exists()
    return seen, output, killer.killed


def ipi(plan, kills=0):
    run = Ipi(steps=plan.steps)
    worker = run.worker("odd-soaked", *plan.arguments)
    killer = Killer(plan, worker.process, kills)
    killer.start()
    run.rows(timeout=harness.PATIENCE + 60 * (deaths + kills))
    output = worker.succeeds()
    killer.join()
    assert not [name for name in os.listdir(run.directory) if "rootstock-example" in name]
    return [(run.directory / name).read_text() for name in ("nve.out", "nve.vel_0.xyz")], output, killer.killed


def own(plan, kills=0):
    seen = []
    atoms = copper()
    client = Client("odd-soaked", *plan.arguments)
    for step, positions in enumerate(frames(plan.steps)):
        atoms.positions = positions
        energy, forces, stress, extras = client.step(atoms)
        assert "error" not in extras, extras
        seen.append((energy, forces.tobytes(), stress.tobytes()))
        if step == 0:
            held, killer = Held(client.process.pid), Killer(plan, client.process, kills)
            killer.start()
    if not kills:
        held.check()
    output = client.goodbye()
    killer.join()
    return seen, output, killer.killed


def calculator(plan, kills=0):
    """Of this one's steps all but the first two are asked for and answered in memory."""
    seen, output = [], []
    handler = logging.Handler()
    handler.emit = lambda record: output.append(record.getMessage())
    log = logging.getLogger("rootstock")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    atoms = copper()
    patience = float(HANGING[1]) if HANGING[0] in plan.arguments else None
    settings = {"root": harness.ROOT, "program": harness.ROOTSTOCK, "restarts": int(ARGUMENTS[1])}
    with RootstockCalculator("odd-soaked", step_timeout=patience, **settings) as atoms.calc:
        for step, positions in enumerate(frames(plan.steps)):
            atoms.positions = positions
            seen.append((atoms.get_potential_energy(), atoms.get_forces().tobytes(), atoms.get_stress().tobytes()))
            if step == 1:
                process = atoms.calc._worker.process
                held, killer = Held(process.pid), Killer(plan, process, kills)
                killer.start()
        assert atoms.calc._worker.process is process
        if not kills:
            held.check()
    log.removeHandler(handler)
    killer.join()
    return seen, "\n".join(output), killer.killed


def left_behind(plan):
    """Processes of this run, and what they left in its TMPDIR."""
    mark = b"ODD_SOAK=" + bytes(plan.directory)
    processes = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if int(environment.parent.name) != os.getpid() and mark in environment.read_bytes().split(b"\0"):
                processes.append(environment.parent.name)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            pass
    return processes + os.listdir(plan.directory / "tmp")


def equal(disturbed, undisturbed):
    assert len(disturbed) == len(undisturbed)
    for number, (there, here) in enumerate(zip(disturbed, undisturbed)):
        assert there == here, "step %d" % number


run = globals()[driver]
plan = Plan(deaths)
calm = Plan(0)
calm.steps = plan.steps
undisturbed, output, _ = run(calm)
assert "starting it again" not in output, output

plan.use()
disturbed, output, _ = run(plan)
equal(disturbed, undisturbed)
while_loading = sum(count for (moment, _), count in plan.ways.items() if "loading" in moment)
restarts = output.count("starting it again") - output.count("Python has not answered")
hangs = sum(count for (moment, way), count in plan.ways.items() if way == "hangs")
assert restarts == deaths + while_loading - hangs, output
assert output.count("Python has not answered") >= hangs, output
assert not left_behind(plan)

outside = Plan(0)
outside.steps = plan.steps
disturbed, output, killed = run(outside, kills=max(1, deaths // 4))
equal(disturbed, undisturbed)
# The last one may have come when all was done.
assert killed - 1 <= output.count("starting it again") <= killed, output
assert not left_behind(outside)
print("%s: %d steps, seed %d; %d deaths in calls, %d while loading, %d from outside" % (
    driver, plan.steps, seed, deaths, while_loading, killed))
for (moment, way), count in sorted(plan.ways.items()):
    print("  %-26s %-8s %d" % (moment, way, count))
