"""A worker whose servers end and come back, as those of jobs do that are preempted; and servers that fall silent."""

import os
import signal
import socket
import struct
import sys
import time
from pathlib import Path

import harness
from hostile_ipi import CELL, EXIT, FORCE, INVERSE, STATUS, doubles, init, ints, positions, word

COPPER = ("--species", "Cu2", "--pbc", "TTT")
#: Longer than any test takes.
PATIENT = ("--reconnect", "900")
STEP = positions() + FORCE


class Address:
    """Where servers listen, one after another; each accepts one worker."""

    def __init__(self):
        self.path = "/tmp/ipi_" + harness.name()

    def worker(self, model, *arguments):
        return harness.Worker(model, self.path, *arguments)

    def accept(self):
        """The connection of the next worker; the server listens no longer."""
        with socket.socket(socket.AF_UNIX) as listener:
            if os.path.exists(self.path):
                os.unlink(self.path)
            listener.bind(self.path)
            listener.listen(1)
            listener.settimeout(harness.PATIENCE)
            connection, _ = listener.accept()
        connection.settimeout(harness.PATIENCE)
        return connection

    def leave(self):
        os.unlink(self.path)


def receive(connection, count):
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        assert piece, "the worker has closed the connection"
        data += piece
    return data


def energy(connection):
    """That of one step."""
    connection.sendall(STEP)
    answer = receive(connection, 12 + 8 + 4 + 48 + 72 + 4)
    assert answer[:12] == word("FORCEREADY"), answer[:12]
    receive(connection, struct.unpack("<i", answer[-4:])[0])
    return struct.unpack_from("<d", answer, 12)[0]


def reset(connection):
    """An end as a killed process leaves it over TCP."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def one_after_another():
    """However a server ends, the next one gets the same numbers from the same model, which was loaded once."""
    ends = [
        lambda c: c.sendall(EXIT) or c.close(),
        lambda c: c.close(),
        # In the middle of a message, before it has read the answer, and as a reset.
        lambda c: c.sendall(STEP[:100]) or c.close(),
        lambda c: c.sendall(STATUS + STEP) or c.close(),
        reset,
    ]
    address = Address()
    worker = address.worker("odd-emt", *COPPER, *PATIENT)
    energies = []
    for end in ends:
        connection = address.accept()
        energies.append(energy(connection))
        end(connection)
    connection = address.accept()
    energies.append(energy(connection))
    assert len(set(energies)) == 1 and energies[0] != 0, energies
    connection.sendall(EXIT)
    worker.await_output("the server sent EXIT after 1 steps; waiting 900 s for the next one at " + address.path)
    while Path(worker.log.name).read_text().count("waiting 900 s") < 6:
        time.sleep(0.01)
    address.leave()
    worker.process.send_signal(signal.SIGTERM)
    output = worker.fails(143, "ended by SIGTERM")
    assert output.count("loading EMT") == 1 and "the server broke the connection after 1 steps" in output, output


def none_comes():
    """The worker ends as its last server did."""
    address = Address()
    for end, code, words in [(EXIT, 0, "the server sent EXIT after 1 steps"), (STEP[:50], 1, "ended in the middle of a POSDATA")]:
        worker = address.worker("odd-zero", *COPPER, "--reconnect", "0.1")
        connection = address.accept()
        energy(connection)
        address.leave()
        connection.sendall(end)
        connection.close()
        output = worker.fails(code, words)
        assert "waiting 0.1 s for the next one" in output, output


def an_abandoned_step_hangs():
    """A step that the last server left behind is waited for, within its time limit, and is never the next one's answer."""
    address = Address()
    worker = address.worker("odd-mortal-hangs", *COPPER, *PATIENT, "--step-timeout", "0.5")
    connection = address.accept()
    first = energy(connection), energy(connection)
    connection.sendall(STEP)
    worker.await_output("hanging")
    connection.close()
    worker.await_output("Python has not answered for 0.5 s; starting it again")
    connection = address.accept()
    assert (energy(connection), energy(connection)) == first
    connection.close()
    worker.await_output("closed the connection after 2 steps")
    worker.process.send_signal(signal.SIGINT)
    worker.fails(130, "ended by SIGINT")
    address.leave()


def python_ends_between_two_servers():
    address = Address()
    worker = address.worker("odd-emt", *COPPER, *PATIENT)
    connection = address.accept()
    before = energy(connection)
    connection.sendall(EXIT)
    worker.await_output("waiting 900 s")
    (python,) = harness.children(worker.process.pid)
    watched = harness.watch(python)
    os.kill(python, signal.SIGKILL)
    harness.gone(watched)
    connection = address.accept()
    assert energy(connection) == before
    connection.sendall(EXIT)
    worker.await_output("starting it again (9 restarts left)")
    worker.process.terminate()
    worker.fails(143)
    address.leave()


def species_of_another_server():
    """What the last server sent is not taken for what the next one means."""
    address = Address()
    worker = address.worker("odd-emt", "--species-from-server", *PATIENT)
    connection = address.accept()
    connection.sendall(init('{"numbers": [29, 29], "pbc": [true, true, true]}'))
    energy(connection)
    connection.sendall(EXIT)
    connection = address.accept()
    connection.sendall(STATUS + init() + STEP)
    worker.fails(1, "the server does not say which atoms its positions belong to")
    address.leave()


def silent():
    """A server that sends nothing ends the worker, and pieces of a message are no sign of life."""
    for sent, more in [(b"", ()), (STATUS[:5], ()), (b"", PATIENT), (STATUS + init() + STEP[:30], ())]:
        address = Address()
        worker = address.worker("odd-zero", *COPPER, *more, "--idle-timeout", "0.2")
        connection = address.accept()
        connection.sendall(sent)
        worker.fails(124, "the server has sent nothing for 0.2 s")
        # It is an end, no reset.
        while connection.recv(100):
            pass
        address.leave()


def an_answer_that_is_not_read():
    atoms = 20000
    address = Address()
    worker = address.worker("odd-zero", "--species", "Cu%d" % atoms, "--pbc", "TTT", "--idle-timeout", "0.5")
    connection = address.accept()
    places = [float(number) for number in range(3 * atoms)]
    message = word("POSDATA") + doubles(*CELL, *INVERSE) + ints(atoms) + doubles(*places) + FORCE
    for _ in range(100):
        try:
            connection.setblocking(False)
            connection.sendall(message)
        except BlockingIOError:
            break
    worker.fails(124, "the server has sent nothing for 0.5 s")
    address.leave()


if __name__ == "__main__":
    for case in sys.argv[3:]:
        globals()[case]()
