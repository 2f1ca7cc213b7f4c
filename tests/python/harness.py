"""What the tests of workers share: starting one, and looking at how it ended.

Every script is run as `python SCRIPT ROOTSTOCK ROOT [CASE]` with the Python of the environment under test, which has
ASE and i-PI; it fails by an exception.
"""

import atexit
import contextlib
import itertools
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from ase.build import bulk, molecule

ROOTSTOCK, ROOT = sys.argv[1:3]
COUNTER = itertools.count()
# Ends a test that hangs, and no other: longer than the busiest machine takes.
PATIENCE = 900
SCRATCH = Path(tempfile.mkdtemp(prefix="rootstock-test-"))
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)


def name():
    """A socket name that is not in use."""
    return "rs-%d-%d" % (os.getpid(), next(COUNTER))


def free_port():
    """A free TCP port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Worker:
    """A worker process; its standard error is collected in a file, so that it can never block."""

    def __init__(self, model, server, *arguments, template=None, option="--unix"):
        self.log = open(SCRATCH / (name() + ".log"), "w+")
        command = [ROOTSTOCK, "worker", model, "--root", ROOT, option, server, *map(str, arguments)]
        if template is not None:
            path = SCRATCH / (name() + ".extxyz")
            template.write(path)
            command += ["--template", str(path)]
        self.process = subprocess.Popen(command, stderr=self.log, stdout=self.log)

    def wait(self):
        """Exit code and output."""
        code = self.process.wait(timeout=PATIENCE)
        self.log.seek(0)
        return code, self.log.read()

    def await_output(self, words):
        """Waits until it has printed this."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with open(self.log.name) as log:
                if words in log.read():
                    return
            time.sleep(0.01)
        raise AssertionError("it never printed %r" % words)

    def succeeds(self):
        code, output = self.wait()
        assert code == 0, output
        return output

    def fails(self, code, *fragments):
        actual, output = self.wait()
        assert actual == code, (actual, output)
        # Errors are broken into lines for people.
        words = " ".join(output.replace("│", " ").split())
        for fragment in fragments:
            assert fragment in words, (fragment, output)
        return output


@contextlib.contextmanager
def served(model, *arguments, atoms=None, template=True):
    """Atoms whose calculator is stock ASE's server, and the worker that serves it."""
    from ase.calculators.socketio import SocketIOCalculator

    server, atoms = name(), copper() if atoms is None else atoms
    with SocketIOCalculator(unixsocket=server) as calculator:
        worker = Worker(model, server, *arguments, template=atoms if template else None)
        atoms.calc = calculator
        yield atoms, worker


def no_answer(atoms):
    """The server gets an end and no number."""
    try:
        forces = atoms.get_forces()
    except OSError:
        return
    raise AssertionError("the server was given %r" % forces)


def children(process):
    """Processes below one, and below those."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name before the last parenthesis may hold anything.
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    below = {process}
    for _ in parents:
        below |= {pid for pid, parent in parents.items() if parent in below}
    return below - {process}


def watch(process):
    """A descriptor of this process: its number may be given to another one once it has ended."""
    return os.pidfd_open(process)


def gone(watched, within=PATIENCE):
    """Whether a watched process ends within so many seconds; as a zombie of a container without a reaper it has ended."""
    try:
        return bool(select.select([watched], [], [], within)[0])
    finally:
        os.close(watched)


def close(actual, expected, tolerance, what):
    difference = np.abs(np.asarray(actual) - np.asarray(expected)).max()
    assert difference <= tolerance, (what, difference)


def copper():
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True).repeat(2)
    atoms.rattle(0.05, seed=1)
    return atoms


def triclinic():
    atoms = bulk("Cu", "fcc", a=3.6).repeat(3)
    cell = atoms.cell.array.copy()
    cell += [[0.1, 0.3, -0.2], [0.0, -0.1, 0.4], [0.2, 0.05, 0.1]]
    atoms.set_cell(cell, scale_atoms=True)
    atoms.symbols[::3] = "Au"
    atoms.rattle(0.05, seed=2)
    return atoms


def water():
    """A molecule without a cell."""
    return molecule("H2O")


def boxed():
    """A molecule in a box that is not periodic."""
    return molecule("H2O", vacuum=4.0)


def slab():
    """Periodic in two directions, with no cell vector in the third."""
    from ase.build import fcc111

    atoms = fcc111("Al", (2, 2, 3))
    atoms.rattle(0.05, seed=3)
    return atoms
