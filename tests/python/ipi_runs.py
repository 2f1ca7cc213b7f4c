"""Stock i-PI runs molecular dynamics on a worker, with one message a step and with three."""

import ast
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import harness
import numpy as np
from ase import io, units
from ase.calculators.emt import EMT
from ase.md.verlet import VelocityVerlet

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ipi"
VELOCITIES = "<trajectory stride='1000' filename='vel' format='xyz'> velocities{ase} </trajectory>\n  </output>"


class Ipi:
    """A run of i-PI with the example's input, in a directory of its own."""

    def __init__(self, settings="", steps=100, port=None, more=(), host="127.0.0.1"):
        self.directory = harness.SCRATCH / harness.name()
        self.directory.mkdir()
        self.prefix = str(self.directory) + "/"
        self.port, self.host = port, host
        text = (EXAMPLE / "input.xml").read_text()
        for old, new in [
            ("</address>", "</address>" + settings),
            ("<total_steps>100<", "<total_steps>%d<" % steps),
            ("stride='10'", "stride='1'"),
            ("</output>", VELOCITIES),
            ("<motion mode='dynamics'>", "<motion mode='dynamics'><fixcom>False</fixcom>"),
            *more,
        ]:
            assert old in text, old
            text = text.replace(old, new)
        if port is not None:
            text = text.replace("mode='unix'", "mode='inet'").replace("rootstock-example", host)
            text = text.replace("</address>", "</address><port>%d</port>" % port)
        (self.directory / "input.xml").write_text(text)
        (self.directory / "init.xyz").write_text((EXAMPLE / "init.xyz").read_text())
        self.start("input.xml")

    def start(self, name):
        """Starts i-PI with this input."""
        self.log = open(self.directory / "log", "w+")
        program = os.path.join(os.path.dirname(sys.executable), "i-pi")
        command = [sys.executable, program, "-S", self.prefix, name]
        self.process = subprocess.Popen(command, cwd=self.directory, stdout=self.log, stderr=self.log)

    def worker(self, model, *arguments):
        if self.port is not None:
            arguments += ("--template", EXAMPLE / "init.xyz")
            return harness.Worker(model, "%s:%d" % (self.host, self.port), *arguments, option="--tcp")
        arguments += ("--unix-prefix", self.prefix, "--template", EXAMPLE / "init.xyz")
        return harness.Worker(model, "rootstock-example", *arguments)

    def rows(self, timeout=harness.PATIENCE):
        code = self.process.wait(timeout=timeout)
        self.log.seek(0)
        assert code == 0, self.log.read()
        return np.loadtxt(self.directory / "nve.out")


def nve(settings=""):
    run = Ipi(settings)
    worker = run.worker("odd-emt")
    rows = run.rows()
    assert len(rows) == 101
    assert "the server sent EXIT after 101 steps" in worker.succeeds()

    atoms = io.read(EXAMPLE / "init.xyz")
    atoms.calc = EMT()
    velocities = io.read(run.directory / "nve.vel_0.xyz", index=0).positions
    atoms.set_velocities(velocities)
    dynamics = VelocityVerlet(atoms, timestep=2 * units.fs)
    energies = []
    for _ in range(101):
        energies.append((atoms.get_potential_energy(), atoms.get_total_energy()))
        dynamics.run(1)
    potential, conserved = np.transpose(energies)
    # The same trajectory, up to the last digits of two sets of units; so it conserves energy as well, too.
    harness.close(rows[:, 3], potential, 1e-4, "potential energy")
    harness.close(np.ptp(rows[:, 2]), np.ptp(conserved), 1e-5, "fluctuation of the conserved quantity")
    assert np.ptp(conserved) > 1e-3, "the comparison would not see a difference"


def fused():
    nve()


def unfused():
    nve("<consolidate_messages>False</consolidate_messages>")


def beads(run, worker, steps):
    """A run of path integrals, whose beads come at once; its forces are those of EMT."""
    rows = run.rows()
    assert len(rows) == steps + 1
    output = worker.succeeds()
    for bead in range(4):
        frames = [io.read(run.directory / ("nve.%s_%d.xyz" % (name, bead)), index=":") for name in ("at", "force")]
        for frame, forces in zip(*frames):
            atoms = io.read(EXAMPLE / "init.xyz")
            atoms.positions = frame.positions
            atoms.calc = EMT()
            harness.close(forces.positions, atoms.get_forces(), 1e-4, "forces of bead %d" % bead)
    return output


BEADS = [
    ("nbeads='1'", "nbeads='4'"),
    ("</motion>", "</motion><ensemble><temperature units='kelvin'>300</temperature></ensemble>"),
    ("</output>", "<trajectory filename='at' format='xyz' cell_units='angstrom'> positions{angstrom} </trajectory></output>"),
    ("</output>", "<trajectory filename='force' format='xyz'> forces{ev/ang} </trajectory></output>"),
]


def batch():
    """Up to three of four beads at once, filled up with copies; how many is i-PI's choice, and changes from run to run."""
    run = Ipi("<batch_size>3</batch_size>", steps=5, more=BEADS)
    output = beads(run, run.worker("odd-batched"), 5)
    assert "a batch of" in output and "a batch of 4" not in output, output


def batch_by_setup_batch():
    run = Ipi("<batch_size>4</batch_size>", steps=5, more=BEADS)
    assert "setup_batch: " in beads(run, run.worker("odd-single"), 5)


def batch_one_after_another():
    run = Ipi("<batch_size>4</batch_size>", steps=5, more=BEADS)
    assert "batch" not in beads(run, run.worker("odd-emt"), 5)


def batch_that_is_short():
    run = Ipi("<batch_size>4</batch_size>", steps=5, more=BEADS)
    run.worker("odd-short").fails(1, "structures was answered with 0 results")
    run.worker("odd-batched").succeeds()


SHM = [("mode='unix'", "mode='shm'")]


def shared_memory():
    """Alone and in batches, with one message a step and with three; nothing is left of it."""
    for settings in ["", "<batch_size>3</batch_size>", "<consolidate_messages>False</consolidate_messages>"]:
        run = Ipi(settings, steps=5, more=BEADS + SHM)
        beads(run, run.worker("odd-emt", "--shm"), 5)
    assert not list(Path("/dev/shm").glob("ipi_shm_%d_*" % run.process.pid))


def everything():
    """All that a model computes is in i-PI's extra strings, one by one and in batches."""
    script = Path(__file__).parent / "calculators" / "rich.py"
    extras = "<trajectory filename='extra' stride='1' bead='0' format='xyz'> extras </trajectory></output>"
    for settings in ("", "<batch_size>3</batch_size>"):
        run = Ipi(settings, steps=3, more=BEADS + [("</output>", extras)])
        worker = run.worker("odd", "--setup", json.dumps({"script": str(script)}))
        assert len(run.rows()) == 4
        worker.succeeds()
        (name,) = [path for path in run.directory.iterdir() if path.name.startswith("nve.extra")]
        # i-PI writes what it has made of them, beads in lists, and beside that what it was sent.
        records = [ast.literal_eval(line) for line in name.read_text().splitlines() if line.startswith("{")]
        assert all(line["dipole"][0] == json.loads(line["raw"][0])["dipole"] for line in records)
        records = [json.loads(line["raw"][0]) for line in records]
        frames = io.read(run.directory / "nve.at_0.xyz", index=":")
        assert len(records) == len(frames) == 4
        for extra, atoms in zip(records, frames):
            harness.close(extra["magmoms"], atoms.positions * 2, 1e-4, "magmoms")
            harness.close(extra["dipole"], atoms.positions[0] / 3, 1e-4, "dipole")
            harness.close(extra["free_energy"], atoms.positions[0, 0] - 1, 1e-4, "free energy")
            assert extra["holes"] == [1.0, None, None] and extra["text"] == "words" and extra["flag"] is True
            assert not extra.keys() & {"raw", "opaque", "energy", "forces", "stress", "nothing"}


def missing_stress():
    """NaN pressure is where it belongs, and a run that does not use it is undisturbed."""
    run = Ipi(steps=5)
    worker = run.worker("odd-nostress")
    assert len(run.rows()) == 6
    output = worker.succeeds()
    assert output.count("the model computes no stress: the virial is sent as NaN") == 1, output


def another_worker_takes_over():
    """A worker whose model fails leaves i-PI in a state in which the next worker finishes the run."""
    run = Ipi(steps=10)
    run.worker("odd-raises").fails(1, "RuntimeError: out of memory on device 3")
    worker = run.worker("odd-zero")
    assert len(run.rows()) == 11
    worker.succeeds()


def takes_over_from_one_that_was_stopped(run):
    """i-PI waits for an answer while its worker gets a signal; it sees an end, no reset, and asks the next worker."""
    worker = run.worker("odd-mortal-hangs")
    worker.await_output("hanging")
    worker.process.terminate()
    worker.fails(143, "ended by SIGTERM")
    worker = run.worker("odd-zero")
    assert len(run.rows()) == 11
    worker.succeeds()


def another_worker_takes_over_from_one_that_was_stopped():
    takes_over_from_one_that_was_stopped(Ipi(steps=10))


def another_worker_takes_over_over_tcp():
    takes_over_from_one_that_was_stopped(Ipi(steps=10, port=harness.free_port()))


def await_rows(run, count):
    """Waits until i-PI has done so many steps."""
    end = time.monotonic() + harness.PATIENCE
    path = run.directory / "nve.out"
    while not path.exists() or len(path.read_text().splitlines()) < count:
        assert time.monotonic() < end and run.process.poll() is None, run.directory
        time.sleep(0.01)


def preempted():
    """i-PI gets SIGTERM, as from a scheduler that preempts it, and then SIGKILL; each time it starts again from its last
    checkpoint and finds the worker, which has loaded its model once."""
    checkpoint = "<checkpoint stride='10' filename='chk' overwrite='False'/></output>"
    run = Ipi(steps=1000000, more=[("</output>", checkpoint)])
    worker = run.worker("odd-emt", "--reconnect", "900")
    for signum, name in [(signal.SIGTERM, "RESTART"), (signal.SIGKILL, "nve.chk*")]:
        await_rows(run, 30)
        run.process.send_signal(signum)
        run.process.wait()
        # A killed one leaves its socket behind, which i-PI takes for a running one.
        Path(run.prefix + "rootstock-example").unlink(missing_ok=True)
        # The last one that is whole.
        texts = [path.read_text() for path in sorted(run.directory.glob(name), key=os.path.getmtime)]
        text = [text for text in texts if "</simulation>" in text][-1]
        step = int(text.split("<step>")[1].split("<")[0]) if "<step>" in text else 0
        last = step + 1000000 if signum == signal.SIGTERM else step + 20
        before, after = text.split("<total_steps>")[0], text.split("</total_steps>")[1]
        (run.directory / "again.xml").write_text("%s<total_steps>%d</total_steps>%s" % (before, last, after))
        (run.directory / "nve.out").rename(run.directory / ("before-%d" % signum))
        run.start("again.xml")
    rows = run.rows()
    assert rows[-1, 0] >= last - 1, rows[-1]
    worker.await_output("waiting 900 s for the next one")
    worker.process.terminate()
    output = worker.fails(143)
    assert output.count("loading EMT") == 1 and output.count("waiting 900 s for the next one") == 3, output
    # Energy is conserved over both interruptions.
    parts = [np.loadtxt(run.directory / name) for name in ("before-15", "before-9")] + [rows]
    conserved = np.concatenate([np.atleast_2d(part)[:, 2] for part in parts])
    assert np.ptp(conserved) < 0.05, np.ptp(conserved)


def several(run, count, model="odd", arguments=()):
    """Workers each of which waits, at its first step, until all have one."""
    script = Path(__file__).parent / "calculators" / "together.py"
    meeting = run.directory / "meeting"
    meeting.mkdir()
    setup = json.dumps({"script": str(script), "way": "%d %s" % (count, meeting)})
    return [run.worker(model, "--setup", setup, *arguments) for _ in range(count)]


def steps_of(workers):
    steps = []
    for worker in workers:
        (line,) = [line for line in worker.succeeds().splitlines() if "the server sent EXIT after" in line]
        steps.append(int(line.split()[-2]))
    assert min(steps) > 0, steps
    return sum(steps)


def many_beads():
    """Path integrals with 32 beads over three workers, over TCP to another address of this machine."""
    beads = [("nbeads='1'", "nbeads='32'"), *BEADS[1:]]
    run = Ipi(steps=3, more=beads, port=harness.free_port(), host="127.0.0.2")
    workers = several(run, 3)
    assert len(run.rows()) == 4
    assert steps_of(workers) == 4 * 32
    for bead in range(0, 32, 5):
        frames = [io.read(run.directory / ("nve.%s_%02d.xyz" % (name, bead)), index=":") for name in ("at", "force")]
        for frame, forces in zip(*frames):
            atoms = io.read(EXAMPLE / "init.xyz")
            atoms.positions = frame.positions
            atoms.calc = EMT()
            harness.close(forces.positions, atoms.get_forces(), 1e-4, "forces of bead %d" % bead)


def replica_exchange():
    """Three temperatures over two workers; replicas are exchanged."""
    run = Ipi(steps=8, more=REPLICAS)
    workers = several(run, 2)
    code = run.process.wait(timeout=harness.PATIENCE)
    run.log.seek(0)
    assert code == 0, run.log.read()
    rows = [np.loadtxt(run.directory / ("r%d_nve.out" % number)) for number in range(3)]
    assert all(len(row) == 9 and np.isfinite(row).all() for row in rows)
    steps_of(workers)
    (indices,) = run.directory.glob("*remd_idx*")
    assert len(np.atleast_2d(np.loadtxt(indices))) > 0


REPLICAS = [
    ("<system>", "<system_template><template><system prefix='NAME'>"),
    ("<velocities mode='thermal' units='kelvin'>300</velocities>", "<velocities mode='thermal' units='kelvin'>TEMP</velocities>"),
    ("<motion mode='dynamics'>", "<ensemble><temperature units='kelvin'>TEMP</temperature></ensemble><motion mode='dynamics'>"),
    ("<dynamics mode='nve'>", "<dynamics mode='nvt'><thermostat mode='svr'><tau units='femtosecond'>100</tau></thermostat>"),
    (
        "</system>",
        "</system></template><labels>[NAME, TEMP]</labels><instance>[r0, 300]</instance><instance>[r1, 320]</instance>"
        "<instance>[r2, 340]</instance></system_template><smotion mode='remd'><remd><stride>2</stride></remd></smotion>",
    ),
]


for case in sys.argv[3:]:
    globals()[case]()
