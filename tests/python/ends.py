"""How workers end when something goes wrong, driven by stock ASE: clearly, never with zeros, and leaving nothing behind."""

import os
import signal
import socket
import sys

import harness
from harness import Worker, children, copper, gone, no_answer, served, watch


NEVER_AGAIN = ["--restarts", "0"]


def fails_at_third_step(model, *fragments, arguments=()):
    with served(model, *arguments) as (atoms, worker):
        for _ in range(2):
            atoms.rattle(0.01)
            assert not atoms.get_forces().any()
        atoms.rattle(0.01)
        no_answer(atoms)
    return worker.fails(1, *fragments)


def exception():
    output = fails_at_third_step("odd-raises", "the calculation failed: RuntimeError: out of memory on device 3")
    assert "Traceback (most recent call last)" in output and "in go_raises" in output, output


def not_finite():
    fails_at_third_step("odd-nan", "forces that are not finite, first that on atom 1 (counted from 0)")


def wrong_shape():
    fails_at_third_step("odd-shape", "the model's forces have shape (1, 3), not (32, 3)")


def python_exits():
    fails_at_third_step("odd-exits", "Python ended with exit code 7", "these are my last words", arguments=NEVER_AGAIN)


def python_is_killed():
    fails_at_third_step("odd-killed", "Python was killed by signal 9 (out of memory?)", arguments=NEVER_AGAIN)


def python_is_killed_while_idle():
    with served("odd-zero", *NEVER_AGAIN) as (atoms, worker):
        atoms.get_forces()
        (python,) = children(worker.process.pid)
        os.kill(python, signal.SIGKILL)
        atoms.rattle(0.01)
        no_answer(atoms)
    worker.fails(1, "Python was killed by signal 9")


def launcher_is_killed():
    with served("odd-zero") as (atoms, worker):
        atoms.get_forces()
        (python,) = map(watch, children(worker.process.pid))
        worker.process.kill()
        worker.process.wait()
        assert gone(python)


def grandchildren_do_not_stay():
    with served("odd-forks") as (atoms, worker):
        for _ in range(3):
            atoms.rattle(0.01)
            atoms.get_forces()
        below = [watch(process) for process in children(worker.process.pid)]
        assert len(below) == 2, below
    worker.succeeds()
    assert all(gone(process) for process in below)


def chatter_does_not_block():
    with served("odd-chatters") as (atoms, worker):
        for _ in range(4):
            atoms.rattle(0.01)
            atoms.get_forces()
    assert worker.succeeds().count("x" * 100) == 6000


def no_stress():
    with served("odd-nostress") as (atoms, worker):
        no_answer(atoms)
    worker.fails(1, "the model computes no stress, which this server wants", "--no-stress")
    with served("odd-nostress", "--no-stress") as (atoms, worker):
        atoms.get_forces()
    worker.succeeds()


def other_atoms():
    with served("odd-zero", "--species", "Cu31", "--pbc", "TTT", template=False) as (atoms, worker):
        no_answer(atoms)
    worker.fails(1, "the server sent positions of 32 atoms, but this worker's system has 31")


def coinciding_atoms():
    atoms = copper()
    atoms.positions[5] = atoms.positions[2] + [0.1, 0.2, 0.1]
    with served("odd-zero", atoms=atoms) as (atoms, worker):
        for _ in range(3):
            atoms.positions += 0.1
            atoms.get_forces()
    output = worker.succeeds()
    assert output.count("atoms 2 and 5 (counted from 0) are 0.245 Å apart") == 1, output


def charge_and_spin():
    atoms = copper()
    atoms.info.update(charge=3, spin=2)
    for arguments, energy in [((), 203), (("--charge", "-1"), 199), (("--charge", 1, "--spin", 4), 401)]:
        with served("odd-info", *arguments, atoms=atoms) as (atoms, worker):
            harness.close(atoms.get_potential_energy(), energy, 1e-10, "charge and spin")
        worker.succeeds()


def setup_fails():
    Worker("odd-fails", "nobody", "--species", "Cu", "--pbc", "TTT", "--device", "abacus").fails(
        1,
        "the model could not be loaded in environment `odd`: ValueError: there is no model for the device 'abacus'",
        "env_source.py",
    )
    Worker("odd-leaves", "nobody", "--species", "Cu", "--pbc", "TTT").fails(1, "SystemExit: goodbye")


def broken_template():
    path = harness.SCRATCH / "broken.xyz"
    path.write_text("3\n\nCu 0 0\n")
    Worker("odd-zero", "nobody", "--template", path).fails(1, "could not be loaded", "Traceback")


def nothing_listens():
    name = harness.name()
    arguments = ("--species", "Cu", "--pbc", "TTT", "--connect-timeout", 0)
    Worker("odd-zero", name, *arguments).fails(1, "no server listens on `/tmp/ipi_%s`" % name)
    path = str(harness.SCRATCH / "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    Worker("odd-zero", path, *arguments).fails(1, "no server listens on `%s`" % path)
    Worker("odd-zero", "x" * 200, *arguments).fails(2, "too long for a socket")


def server_leaves_in_the_middle_of_a_step():
    """Python hangs, for ever if need be; no process waits for it any more."""
    for tcp in (False, True):
        where = str(harness.SCRATCH / "leaves")
        listener = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX)
        listener.bind(("127.0.0.1", 0) if tcp else where)
        listener.listen()
        if tcp:
            where = "127.0.0.1:%d" % listener.getsockname()[1]
        option = "--tcp" if tcp else "--unix"
        worker = Worker("odd-mortal-hangs", where, "--species", "Cu", "--pbc", "FFF", option=option)
        connection, _ = listener.accept()
        step = b"POSDATA     " + bytes(144) + (1).to_bytes(4, "little") + bytes(24) + b"GETFORCE    "
        for _ in range(2):
            connection.sendall(step)
            answer = 12 + 8 + 4 + 24 + 72 + 4
            assert len(connection.recv(answer, socket.MSG_WAITALL)) == answer
        (python,) = map(watch, children(worker.process.pid))
        connection.sendall(step)
        worker.await_output("hanging")
        connection.close()
        assert gone(python), "Python computes without a launcher"
        output = worker.succeeds()
        assert "closed the connection before it read an answer" in output and "starting it again" not in output, output


def server_comes_late_and_leaves_early():
    path = str(harness.SCRATCH / "late")
    worker = Worker("odd-zero", path, "--species", "Cu", "--pbc", "TTT")
    worker.await_output("model loaded")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    connection, _ = listener.accept()
    connection.sendall(b"STATUS      ")
    assert connection.recv(12) == b"NEEDINIT    "
    connection.sendall(b"POSDATA     " + bytes(20))
    connection.close()
    worker.fails(1, "the connection ended in the middle of a POSDATA message")


def strangers_are_refused():
    path = str(harness.SCRATCH / "stranger")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    for sent, reported in [
        (b"GET / HTTP/1.1\r\n\r\n", "the server sent `GET / HTTP/1`, which is not an i-PI message"),
        (b"INIT        " + bytes(4) + (16).to_bytes(4, "little") + b"  batch_size:-8 ", "`batch_size` is `-8`; expected 1 to 10000"),
    ]:
        worker = Worker("odd-zero", path, "--species", "Cu", "--pbc", "TTT")
        connection, _ = listener.accept()
        connection.sendall(sent)
        assert connection.recv(1) == b"", "an unsolicited answer"
        connection.close()
        worker.fails(1, reported)
    worker = Worker("odd-zero", path, "--species-from-server")
    connection, _ = listener.accept()
    connection.sendall(b"INIT        " + bytes(4) + (1).to_bytes(4, "little") + b"\0")
    assert connection.recv(1) == b""
    connection.close()
    worker.fails(1, "the server does not say which atoms its positions belong to", "--template FILE")


for case in sys.argv[3:]:
    globals()[case]()
