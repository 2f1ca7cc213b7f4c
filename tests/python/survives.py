"""A worker outlives its Python: whatever ends that, the run goes on, and every number is that of an undisturbed run."""

import os
import signal
import sys

from harness import children, copper, no_answer, served

STEPS = 7


def trajectory():
    """Frames of one run, always the same."""
    atoms = copper()
    for step in range(STEPS):
        atoms.rattle(0.02, seed=step)
        yield atoms.copy()


def run(model, *arguments, before=lambda worker, step: None):
    """Energies and forces of a whole run through one worker, and the worker's output."""
    seen = []
    with served(model, *arguments) as (atoms, worker):
        for step, frame in enumerate(trajectory()):
            atoms.positions = frame.positions
            before(worker, step)
            seen.append((atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()))
    output = worker.succeeds()
    assert "after %d steps" % STEPS in output, output
    return seen, output


def undisturbed():
    return run("odd-mortal-never")[0]


def equal(disturbed):
    for (energy, forces, stress), (energy_there, forces_there, stress_there) in zip(disturbed, undisturbed()):
        # To the last bit: the same positions, computed again.
        assert energy == energy_there
        assert (forces == forces_there).all() and (stress == stress_there).all()


def dies(way, cause, *arguments):
    """At steps 3, 5 and 7 of the run: each new Python computes the step that was lost, and dies two steps later."""
    disturbed, output = run("odd-mortal-" + way, *arguments)
    assert output.count(cause) >= 3 if "--step-timeout" in arguments else output.count(cause) == 3, output
    equal(disturbed)


def killed():
    dies("killed", "Python was killed by signal 9 (out of memory?); starting it again")


def crashed():
    dies("crashes", "Python was killed by signal 11 (segmentation fault); starting it again")


def exited():
    dies("exits", "Python ended with exit code 3; starting it again")


def hanging():
    dies("hangs", "Python has not answered for 6 s; starting it again", "--step-timeout", "6")


def killed_between_steps():
    """At every step but the first, while no server waits for it."""

    def kill(worker, step):
        if step > 0:
            (python,) = children(worker.process.pid)
            os.kill(python, signal.SIGKILL)

    disturbed, output = run("odd-mortal-never", before=kill)
    assert output.count("starting it again") == STEPS - 1, output
    equal(disturbed)


def the_same_step_twice():
    """Restarting does not help where the step itself is deadly."""
    with served("odd-mortal-killed") as (atoms, worker):
        atoms.get_forces()
        atoms.positions[0, 0] = 200
        no_answer(atoms)
    worker.fails(1, "Python was killed by signal 9 (out of memory?), twice at the same step")


def only_so_often():
    with served("odd-mortal-exits", "--restarts", "1") as (atoms, worker):
        for step in range(4):
            atoms.rattle(0.01, seed=step)
            atoms.get_forces()
        atoms.rattle(0.01, seed=9)
        no_answer(atoms)
    worker.fails(1, "Python ended with exit code 3")


if __name__ == "__main__":
    globals()[sys.argv[3]]()
