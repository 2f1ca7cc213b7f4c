"""A worker process as its owner sees it: started, listened to, ended. What is computed is not known here.

The program is `rootstock worker`, which starts and outlives the environment's Python; it inherits one end of a socket
pair, so there is no address that others could find, and it ends when the other end is closed, however that happens.
"""

from __future__ import annotations

import collections
import logging
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import wire

log = logging.getLogger("rootstock")

#: Seconds that a worker which was told to end may take, before it is made to.
GRACE = 5.0
#: How many lines of what a worker said are kept for the report of its death.
LINES = 100


class RootstockError(RuntimeError):
    """Something that `rootstock` cannot do, or a worker that did not do it."""


class WorkerDiedError(RootstockError):
    """A worker ended when it should have computed.

    Attributes:
        returncode: Its exit code, or minus the signal that killed it; None if it would not end.
        output: The last of what it and its Python printed.
    """

    def __init__(self, name: str, returncode: int | None, output: str) -> None:
        self.returncode, self.output = returncode, output
        said = f"; it said:\n\n{output}" if output else ", and said nothing"
        super().__init__(f"the worker of {name} {_how(returncode)}{said}")

    @property
    def killed(self) -> bool:
        """Whether it ended without having decided to."""
        return self.returncode is None or self.returncode <= 0


def _how(returncode: int | None) -> str:
    if returncode is None:
        return "closed its connection and runs on"
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

    def close(self) -> None:
        """End it and wait until it has gone."""
        self.connection.close()
        self._wait(GRACE)
        if self.process.returncode is None:
            self.kill()
        self._tail.finish()

    def kill(self) -> None:
        """End it in the middle of a step. Its Python dies with it."""
        self.connection.close()
        for end in (self.process.terminate, self.process.kill):
            if self.process.returncode is None:
                end()
                self._wait(GRACE)

    def died(self) -> WorkerDiedError:
        """What is known of the end of one whose connection broke."""
        self.connection.close()
        self._wait(GRACE)
        self._tail.finish()
        returncode = self.process.returncode
        if returncode is None:
            self.kill()
        return WorkerDiedError(self.name, returncode, self._tail.text())

    def forget(self) -> None:
        """In a forked child: let go of what is the parent's, and leave it alone."""
        self.connection.close()
        self._tail.forget()
        # Nobody waits for a process that is not a child of his.
        self.process.returncode = 0

    def _wait(self, seconds: float) -> None:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass


class _Tail:
    """Reads what a worker prints, so that it never waits for a reader; keeps the end, and logs it line by line."""

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
        # A grandchild may keep the pipe open; what it says is not waited for.
        self._thread.join(1.0)

    def forget(self) -> None:
        # The thread is the parent's, too.
        if self._stream >= 0:
            os.close(self._stream)


def start(
    name: str,
    command: Sequence[str],
    *,
    variables: Mapping[str, str] | None = None,
) -> Worker:
    """Start `rootstock worker …` with one end of a socket pair; it is not waited for.

    Args:
        name: What to call it in messages.
        command: The program and its arguments, less `--fd N`.
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
    """Start a program whose output is read to its end."""
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
            # Ctrl-C is for this process, which then decides what becomes of its workers.
            start_new_session=True,
        )
    except OSError as error:
        os.close(reading)
        raise RootstockError(f"cannot start `{command[0]}`: {error.strerror}") from error
    finally:
        os.close(writing)
    return process, _Tail(name, reading)


def program() -> str:
    """The `rootstock` that came with this package; where it did not, as in a checkout, that of PATH.

    Raises:
        RootstockError: There is none.
    """
    beside = [Path(sysconfig.get_path("scripts", scheme)) for scheme in _schemes()]
    for place in [*beside, Path(__file__).parents[1] / "bin"]:
        path = place / "rootstock"
        if os.access(path, os.X_OK):
            return str(path)
    found = shutil.which("rootstock")
    if found is None:
        raise RootstockError(
            "the program `rootstock` is neither beside this package nor on PATH: install `rootstock-rs` again, "
            "or name the program with `program=`"
        )
    return found


def _schemes() -> list[str]:
    return [sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user")]
