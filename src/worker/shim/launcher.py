"""The launcher at the other end of the socket, and this process: its messages, streams and end.

One part of the programs that `worker` and `call` give to Python; `main.py` is the last of each.
"""

import array
import ctypes
import json
import os
import signal
import socket
import struct
import sys

WORD = struct.Struct("=ii")
DONE = WORD.pack(STEP, 0), WORD.pack(STEP, 1)
# Some libraries replace these in `json` by faster ones that return bytes or refuse what these accept.
loads, dumps = json.loads, json.JSONEncoder(allow_nan=False).encode


class Launcher:
    """The other end of the socket pair."""

    def __init__(self, connection):
        self.connection = connection

    def receive(self, count):
        data = self.connection.recv(count, socket.MSG_WAITALL)
        while len(data) < count:
            # Interrupted by a signal, or the end.
            part = self.connection.recv(count - len(data), socket.MSG_WAITALL)
            if not part:
                exit_now()
            data += part
        return data

    def receive_order(self):
        """The first message: what to load, and the shared file."""
        word, (descriptor,) = self.receive_files(WORD.size, 1)
        return loads(self.receive(WORD.unpack(word)[1]).decode()), descriptor

    def receive_files(self, count, files):
        """A few bytes and the descriptors that came with them."""
        size = array.array("i").itemsize * files
        data, control, _, _ = self.connection.recvmsg(count, socket.CMSG_SPACE(size))
        return data + self.receive(count - len(data)), array.array("i", control[0][2][:size])

    def next(self):
        kind, value = WORD.unpack(self.receive(WORD.size))
        return (kind, loads(self.receive(value).decode())) if kind == TEXT else (kind, value)

    def done(self, stress, more):
        self.connection.sendall(WORD.pack(STEP, 2 * len(more) + stress) + more if more else DONE[stress])

    def ready(self, text):
        self.connection.sendall(WORD.pack(TEXT, len(text)) + text)

    def answer(self, parts):
        head, *rest = parts
        self.connection.sendall(WORD.pack(TEXT, sum(map(len, parts))) + head)
        for part in rest:
            self.connection.sendall(part)

    def error(self, report):
        text = encode_report(report)
        self.connection.sendall(WORD.pack(ERROR, len(text)) + text)


def exit_now(code=0):
    """Ends at once, without Python's finalisation, in which some libraries hang or crash."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def log(text):
    """Prints to the launcher, even if a library has replaced `sys.stderr`."""
    try:
        os.write(2, (text + "\n").encode("utf-8", "backslashreplace"))
    except OSError:
        pass


def take_connection(connection):
    """Moves the socket away from standard input."""
    launcher = connection.dup()
    connection.detach()
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    return Launcher(launcher)


def keep_streams_apart(connection):
    """Moves the socket away from standard input, and sends standard output to standard error."""
    launcher = take_connection(connection)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)
    return launcher


def die_with(launcher):
    """Has Linux kill this process when the launcher ends."""
    try:
        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)
    except (OSError, AttributeError):
        pass  # Then the closed socket ends it, after the current step.
    if os.getppid() != launcher:
        exit_now()
