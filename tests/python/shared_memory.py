"""Segments of shared memory that a worker does not touch: names that i-PI never gives, no files, and too small ones."""

import os
import socket
import struct
import sys

import harness


def refused():
    path = str(harness.SCRATCH / "server")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    prefix = "ipi_shm_%d_test_" % os.getpid()
    good, small, directory, link = (prefix + name for name in ("good", "small", "directory", "link"))
    elsewhere = harness.SCRATCH / "elsewhere"
    for name, size in [("/dev/shm/" + good, 72), ("/dev/shm/" + small, 71), (elsewhere, 72)]:
        with open(name, "wb") as file:
            file.truncate(size)
    os.mkdir("/dev/shm/" + directory)
    os.symlink(elsewhere, "/dev/shm/" + link)
    try:
        for bad, wrong in [
            ("../../etc/passwd", "named shared memory `../../etc/passwd`"),
            ("ipi_shm_", "named shared memory `ipi_shm_`"),
            (prefix + "missing", "cannot use the server's shared memory"),
            (directory, "cannot use the server's shared memory"),
            (link, "cannot use the server's shared memory"),
            (small, "has 71 bytes, and its structures need 72"),
            ("x" * 256, "announced the name of a segment of 256"),
        ]:
            worker = harness.Worker("odd-zero", path, "--species", "Cu3", "--pbc", "TTT", "--shm")
            connection, _ = listener.accept()
            connection.sendall(b"INIT        " + struct.pack("<ii", 0, 1) + b" " + b"POSDATA     " + struct.pack("<i", 3))
            for name in [bad, good, good, good, good, good]:
                connection.sendall(struct.pack("<i", len(name)) + name.encode())
            assert connection.recv(1) == b"", "an unsolicited answer"
            connection.close()
            worker.fails(1, wrong)
    finally:
        os.rmdir("/dev/shm/" + directory)
        for name in (good, small, link):
            os.unlink("/dev/shm/" + name)


for case in sys.argv[3:]:
    globals()[case]()
