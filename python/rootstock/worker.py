"""A worker process: starting it, reading its output, ending it.

The program is `rootstock worker`, which starts and outlives the environment's Python. It inherits one end of a socket pair,
so there is no address that others could find, and it ends when the other end is closed.
"""

from __future__ import annotations

import collections
import logging
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from ase.calculators.calculator import CalculationFailed

from . import wire
from .errors import RootstockError
from .program import program

__all__ = ["ModelError", "RootstockError", "SetupError", "Worker", "WorkerDiedError", "program", "spawn", "start"]

log = logging.getLogger("rootstock")

#: Seconds that a worker may take to end before it is killed.
GRACE = 5.0
#: Lines of a worker's output that are kept for error messages.
LINES = 100


class ModelError(RootstockError, CalculationFailed):
    """The model raised an exception or computed an invalid result. The worker goes on.

    Attributes:
        kind: The name of the exception's class in the worker.
        traceback: The worker's traceback, as text.
    """

    def __init__(self, kind: str, traceback: str) -> None:
        self.kind, self.traceback = kind, traceback
        super().__init__(f"{kind} in the worker:\n\n{traceback.rstrip()}")

    def __reduce__(self) -> Any:
        return type(self), (self.kind, self.traceback)


class WorkerDiedError(RootstockError):
    """A worker ended instead of answering.

    Attributes:
        returncode: Its exit code, or minus the signal that killed it; None if it would not end.
        output: The end of its output and its Python's.
    """

    def __init__(self, name: str, returncode: int | None, output: str) -> None:
        self._name, self.returncode, self.output = name, returncode, output
        printed = f"; its output:\n\n{output}" if output else ", without output"
        super().__init__(f"the worker of {name} {_how(returncode)}{printed}")

    def __reduce__(self) -> Any:
        return type(self), (self._name, self.returncode, self.output)

    @property
    def killed(self) -> bool:
        """Whether it was killed."""
        return self.returncode is None or self.returncode <= 0


class SetupError(WorkerDiedError):
    """A model could not be used at all: it is not built, its `setup()` failed, or the program was given something wrong. No
    calculation was begun.

    Attributes:
        returncode: The exit code of `rootstock worker`.
        output: What it printed: why, and what to do.
    """

    def __init__(self, name: str, returncode: int | None, output: str) -> None:
        self._name, self.returncode, self.output = name, returncode, output
        printed = f":\n\n{output}" if output else f": `rootstock worker` {_how(returncode)}, without output"
        RootstockError.__init__(self, f"{name} cannot be used{printed}")


def _how(returncode: int | None) -> str:
    if returncode is None:
        return "closed its connection but is still running"
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


class Worker:
    """A running worker and the connection to it. Belongs to one calculator, and is used by one thread at a time."""

    def __init__(
        self,
        name: str,
        process: subprocess.Popen[bytes],
        connection: wire.Connection,
        tail: _Tail,
    ) -> None:
        self.name, self.process, self.connection, self._tail = name, process, connection, tail
        self.is_busy = False
        self.has_answered = False

    def close(self) -> None:
        """End it and wait for its end."""
        self.connection.close()
        self._wait(GRACE)
        if self.process.returncode is None:
            self.kill()
        self._tail.finish()

    def kill(self) -> None:
        """End it in the middle of a step, with its Python."""
        self.connection.close()
        for end in (self.process.terminate, self.process.kill):
            if self.process.returncode is None:
                end()
                self._wait(GRACE)

    def died(self) -> WorkerDiedError:
        """The error of a worker whose connection broke."""
        self.connection.close()
        self._wait(GRACE)
        self._tail.finish()
        returncode = self.process.returncode
        if returncode is None:
            self.kill()
        refused = returncode is not None and returncode > 0 and not self.has_answered
        kind = SetupError if refused and self.connection.dialect is wire.OURS else WorkerDiedError
        return kind(self.name, returncode, self._tail.text())

    def abandon(self) -> None:
        """In a forked child: close what belongs to the parent, without ending the worker."""
        self.connection.close()
        self._tail.abandon()
        # It is not this process's child: nothing to wait for.
        self.process.returncode = 0

    def _wait(self, seconds: float) -> None:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass


class _Tail:
    """Reads a worker's output, so that a full pipe never blocks it; logs it line by line and keeps the end."""

    def __init__(self, name: str, stream: int) -> None:
        self._lines: collections.deque[str] = collections.deque(maxlen=LINES)
        self._stream = stream
        self._name = name
        self._thread = threading.Thread(target=self._read, name=f"rootstock {name}", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        rest = b""
        while True:
            try:
                part = os.read(self._stream, 1 << 16)
            except OSError:
                part = b""
            *lines, rest = (rest + part).split(b"\n")
            if not part and rest:
                lines.append(rest)
            for line in lines:
                text = line.decode(errors="replace")
                self._lines.append(text)
                log.info("%s: %s", self._name, text)
            if not part:
                os.close(self._stream)
                self._stream = -1
                return

    def text(self) -> str:
        return "\n".join(self._lines).strip("\n")

    def finish(self) -> None:
        # A grandchild may keep the pipe open; its output is not waited for.
        self._thread.join(1.0)

    def abandon(self) -> None:
        # The thread exists only in the parent.
        if self._stream >= 0:
            os.close(self._stream)


def start(
    name: str,
    command: Sequence[str],
    *,
    variables: Mapping[str, str] | None = None,
) -> Worker:
    """Start `rootstock worker …` with one end of a socket pair, without waiting for it.

    Args:
        name: Its name in messages.
        command: The program and its arguments, without `--fd N`.
        variables: Its environment; that of this process if None.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process, tail = spawn(name, [*command, "--fd", str(theirs.fileno())], [theirs.fileno()], variables)
    return Worker(name, process, wire.Connection(ours, wire.OURS), tail)


def spawn(
    name: str,
    command: Sequence[str],
    inherit: Sequence[int] = (),
    variables: Mapping[str, str] | None = None,
    directory: str | None = None,
) -> tuple[subprocess.Popen[bytes], _Tail]:
    """Start a program and read its output to the end."""
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            pass_fds=inherit,
            env=variables,
            cwd=directory,
            # Ctrl-C is for this process, which then ends its workers.
            start_new_session=True,
        )
    except OSError as error:
        os.close(reading)
        raise RootstockError(f"cannot start `{command[0]}`: {error.strerror}") from error
    finally:
        os.close(writing)
    return process, _Tail(name, reading)
