"""Workers live no longer than they should, and die no death that their calculator does not know what to do about."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from conftest import PROGRAM, Make, await_end, pid, processes, same

from rootstock import RootstockCalculator, RootstockError, SetupError, WorkerDiedError

ZERO = """\
import sys
from ase.build import bulk
from rootstock import RootstockCalculator
copper = bulk("Cu", cubic=True)
copper.calc = RootstockCalculator("odd-zero", root=sys.argv[1], program=sys.argv[2])
copper.get_potential_energy()
print(copper.calc._worker.process.pid, flush=True)
"""


def energy(atoms: Atoms) -> float:
    atoms = atoms.copy()
    atoms.calc = EMT()
    return float(atoms.get_potential_energy())


def stub(path: Path, text: str) -> Path:
    """A program that is started in place of a worker."""
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
    return path


def test_a_worker_ends_with_the_block_and_a_calculator_begins_another(calculator: Make, copper: Atoms) -> None:
    with calculator("odd-mortal-never") as copper.calc:
        copper.get_potential_energy()
        watched = [os.pidfd_open(process) for process in processes(pid(copper.calc))]
    assert len(watched) == 2, "the launcher and its Python"
    await_end(watched)
    same(copper.get_potential_energy(), energy(copper))
    copper.rattle(0.1)
    same(copper.get_potential_energy(), energy(copper))


def test_a_worker_ends_with_its_calculator(calculator: Make, copper: Atoms, root: Path) -> None:
    copper.calc = RootstockCalculator("odd-zero", root=root, program=PROGRAM)
    copper.get_potential_energy()
    watched = [os.pidfd_open(process) for process in processes(pid(copper.calc))]
    copper.calc = None
    await_end(watched)


@pytest.mark.parametrize("end", ["", "sys.stdin.readline()", "raise SystemExit(3)", "import os; os._exit(0)"])
def test_no_worker_outlives_the_interpreter(root: Path, end: str) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", f"{ZERO}sys.stdin.readline()\n{end}", root, PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdin and owner.stdout
    watched = [os.pidfd_open(process) for process in processes(int(owner.stdout.readline()))]
    owner.stdin.write("end\n")
    owner.stdin.flush()
    if "stdin" in end:
        owner.kill()
    await_end(watched)
    owner.communicate()


def test_a_worker_that_was_killed_is_replaced_and_the_frame_computed(calculator: Make, copper: Atoms) -> None:
    copper.calc = calculator("odd-mortal-never")
    copper.get_potential_energy()
    first = copper.calc._worker
    os.kill(pid(copper.calc), signal.SIGKILL)
    first.process.wait()
    copper.rattle(0.1)
    same(copper.get_potential_energy(), energy(copper))
    assert copper.calc._worker is not first


def test_a_worker_that_is_killed_in_a_step_is_replaced(calculator: Make, copper: Atoms) -> None:
    """At its third step the model hangs; a new worker has its first one."""
    copper.calc = calculator("odd-mortal-hangs")
    for _ in range(2):
        copper.rattle(0.01)
        copper.get_potential_energy()
    killer = threading.Thread(target=os.kill, args=(pid(copper.calc), signal.SIGKILL))
    copper.rattle(0.01)
    killer.start()
    same(copper.get_potential_energy(), energy(copper))
    killer.join()


#: A model that kills its launcher at the third step, once, and prints until its output is closed.
PRINTS = """
import ctypes, os, signal
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT

class Orphan(EMT):
    steps = 0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        self.steps += 1
        if self.steps == 3 and not os.path.exists(MARK):
            open(MARK, "w").close()
            ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)  # Linux would end it with its launcher.
            os.kill(os.getppid(), signal.SIGKILL)
            while True:
                print("still here", flush=True)
        super().calculate(atoms, properties, all_changes)

def setup(way):
    return Orphan()
"""


def test_a_broken_pipe_of_a_killed_launcher_is_no_failed_model(calculator: Make, copper: Atoms, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"MARK = {str(tmp_path / 'mark')!r}\n{PRINTS}")
    copper.calc = calculator("odd-zero", setup_kwargs={"script": str(script)})
    for _ in range(4):
        copper.rattle(0.01)
        same(copper.get_potential_energy(), energy(copper))
    assert (tmp_path / "mark").exists()


def test_a_python_that_dies_is_restarted_by_the_launcher(calculator: Make, copper: Atoms) -> None:
    copper.calc = calculator("odd-mortal-killed")
    copper.get_potential_energy()
    worker = pid(copper.calc)
    for _ in range(4):
        copper.rattle(0.01)
        same(copper.get_potential_energy(), energy(copper))
    assert pid(copper.calc) == worker


def test_a_step_that_hangs_is_ended(calculator: Make, copper: Atoms) -> None:
    copper.calc = calculator("odd-mortal-hangs", step_timeout=6.0)
    for _ in range(4):
        copper.rattle(0.01)
        same(copper.get_potential_energy(), energy(copper))


def test_a_deadly_step_is_an_error_and_the_next_begins_anew(calculator: Make, copper: Atoms) -> None:
    copper.calc = calculator("odd-mortal-exits")
    copper.get_potential_energy()
    deadly = copper.copy()
    deadly.calc = copper.calc
    deadly.positions[0, 0] = 200.0
    with pytest.raises(WorkerDiedError, match="ended with exit code 1") as caught:
        deadly.get_potential_energy()
    assert caught.value.returncode == 1
    assert "ended with exit code 3, twice at the same step" in " ".join(caught.value.output.split())
    copper.rattle(0.01)
    same(copper.get_potential_energy(), energy(copper))


def test_a_program_that_is_killed_twice_is_an_error(copper: Atoms, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    program = stub(
        tmp_path / "dies",
        f"import os, sys; open({str(counter)!r}, 'a').write('x'); sys.stderr.write('last words\\n'); sys.stderr.flush()\n"
        "os.kill(os.getpid(), 9)",
    )
    copper.calc = RootstockCalculator("emt", program=program)
    with pytest.raises(WorkerDiedError, match=r"was killed by SIGKILL \(out of memory\?\); its output:\s+last words"):
        copper.get_potential_energy()
    assert counter.read_text() == "xx"


def test_a_program_that_gives_up_is_not_tried_again(copper: Atoms, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    program = stub(tmp_path / "gives-up", f"open({str(counter)!r}, 'a').write('x'); raise SystemExit('no such thing')")
    copper.calc = RootstockCalculator("emt", program=program)
    with pytest.raises(SetupError, match=r"emt cannot be used:\s+no such thing") as caught:
        copper.get_potential_energy()
    assert caught.value.returncode == 1
    assert counter.read_text() == "x"


@pytest.mark.parametrize("answer", ["b'STATUS'.ljust(12) * 100", "b'FORCEREADY  ' + bytes(1000)"])
def test_a_program_that_answers_otherwise_is_ended(copper: Atoms, tmp_path: Path, answer: str) -> None:
    program = stub(
        tmp_path / "stranger",
        "import socket, sys\n"
        "connection = socket.socket(fileno=int(sys.argv[sys.argv.index('--fd') + 1]))\n"
        f"connection.sendall({answer})\n"
        "while connection.recv(1 << 16): pass\n",
    )
    copper.calc = RootstockCalculator("emt", program=program)
    with pytest.raises(RootstockError, match="does not answer as a worker"):
        copper.get_potential_energy()


def test_an_interrupted_step_leaves_no_answer_behind(calculator: Make, copper: Atoms) -> None:
    copper.calc = calculator("odd-mortal-hangs")
    for _ in range(2):
        copper.rattle(0.01)
        copper.get_potential_energy()
    watched = [os.pidfd_open(process) for process in processes(pid(copper.calc))]

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    usual = signal.signal(signal.SIGALRM, interrupt)
    copper.rattle(0.01)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        with pytest.raises(KeyboardInterrupt):
            try:
                copper.get_potential_energy()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, usual)
    await_end(watched)
    same(copper.get_potential_energy(), energy(copper))


def test_a_forked_child_has_a_worker_of_its_own(calculator: Make, copper: Atoms) -> None:
    copper.calc = calculator("odd-mortal-never")
    copper.get_potential_energy()
    worker = pid(copper.calc)
    copper.rattle(0.1)
    expected = energy(copper)
    child = os.fork()
    if child == 0:
        try:
            right = copper.get_potential_energy() == expected and pid(copper.calc) != worker
            copper.calc.close()
            os._exit(0 if right else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    same(copper.get_potential_energy(), expected)
    assert pid(copper.calc) == worker


def test_a_forked_child_keeps_no_worker_alive(calculator: Make, copper: Atoms) -> None:
    """The worker ends when its parent closes it, though a child had the same connection."""
    copper.calc = calculator("odd-zero")
    copper.get_potential_energy()
    watched = [os.pidfd_open(process) for process in processes(pid(copper.calc))]
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    copper.calc.close()
    await_end(watched)
    os.close(writing)
    os.close(reading)
    os.waitpid(child, 0)


def test_several_at_once_and_each_from_several_threads(calculator: Make, copper: Atoms) -> None:
    """Everybody gets what he asked for, in whatever order."""
    calculators = [calculator(), calculator()]
    wrong: list[str] = []

    def ask(seed: int) -> None:
        atoms = copper.copy()
        for step in range(10):
            atoms.rattle(0.02, seed=100 * seed + step)
            atoms.calc = EMT()
            expected = atoms.get_potential_energy(), atoms.get_forces()
            atoms.calc = calculators[seed % 2]
            energy, forces = atoms.get_potential_energy(), atoms.get_forces()
            if abs(energy - expected[0]) > 1e-10 or abs(forces - expected[1]).max() > 1e-10:
                wrong.append(f"{seed} {step}")

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_a_worker_prints_is_logged(calculator: Make, copper: Atoms, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="rootstock")
    with calculator() as copper.calc:
        copper.get_potential_energy()
    assert "loading EMT" in caplog.text
