"""A running `rootstock call --stream`: requests and responses as lines of JSON, for several threads.

There is no thread that reads responses: of the threads that wait for one, one reads for all. So a fork at any moment leaves
nothing half-read in the child, which only closes its copies of the pipes. Standard library only, Python 3.8 or later.
"""

from __future__ import annotations

import collections
import json
import os
import select
import subprocess
import sys
import threading
import weakref
from typing import Any, Iterable, Sequence

from .large import NEAR, message_parts, read_message
from .errors import RemoteError, RootstockError, failure

#: Seconds that the program may take to end before it is killed.
GRACE = 10.0
#: Bytes written at once, and the size of the pipes where the system allows it.
PIECE = 1 << 20
#: Bytes read at once, as long as responses are short: a larger buffer takes longer to allocate than a response to read.
SHORT = 1 << 14
#: Lines of the program's own messages that are kept for errors.
LINES = 100

_to_text = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


class Stream:
    """One process of `rootstock call --stream`."""

    def __init__(self, command: Sequence[str]) -> None:
        self.name = command[2]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # Ctrl-C is for this process, which then ends the program.
                start_new_session=True,
            )
        except OSError as error:
            raise RootstockError(f"cannot start `{command[0]}`: {error.strerror}") from error
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        for pipe in (self._to, self._from):
            os.set_blocking(pipe, False)
            _enlarge(pipe)
        self._woken, self._wake = os.pipe()
        self._poller = select.poll()
        for pipe in (self._from, self._woken):
            self._poller.register(pipe, select.POLLIN)
        self._messages = _Messages(self._process.stderr.fileno())
        self._make_locks()
        self._unsent: collections.deque[memoryview] = collections.deque()
        self._rest: list[bytes] = []
        self._responses: dict[int, dict[str, Any]] = {}
        self._expected: set[int] = set()
        self._forgotten: set[int] = set()
        self._count = 0
        self._end: RemoteError | None = None
        self._reading = False
        self._finalizer = weakref.finalize(self, _end, self._process, os.getpid())
        _streams.add(self)

    def _make_locks(self) -> None:
        self._changed = threading.Condition()

    @property
    def alive(self) -> bool:
        """Whether requests can be sent."""
        return self._end is None

    def send(self, request: dict[str, Any]) -> int:
        """Send a request without waiting for anything; returns its number.

        Raises:
            RemoteError: The program has ended.
        """
        with self._changed:
            self._count += 1
            number = self._count
            parts = message_parts(_to_text({**request, "id": number}).encode() + b"\n")
            if self._end is not None:
                raise self._end
            self._expected.add(number)
            self._unsent.extend(map(memoryview, parts))
            self._write()
            if self._unsent and self._reading:
                # The thread that reads also writes the rest.
                os.write(self._wake, b"\0")
        return number

    def receive(self, number: int) -> dict[str, Any]:
        """Wait for the response to a request.

        Raises:
            RemoteError: The program has ended without it.
        """
        lines: list[bytes] | None
        while True:
            with self._changed:
                while number not in self._responses and self._end is None and self._reading:
                    self._changed.wait()
                if number in self._responses:
                    return self._responses.pop(number)
                if self._end is not None:
                    raise self._end
                self._reading = True
            lines = []
            try:
                lines = self._exchange()
            finally:
                with self._changed:
                    self._reading = False
                    try:
                        self._take(lines)
                    finally:
                        self._changed.notify_all()

    def forget(self, numbers: Iterable[int]) -> None:
        """The responses to these requests are not wanted any more."""
        with self._changed:
            self._forgotten.update(numbers)
            for number in self._forgotten & self._responses.keys():
                del self._responses[number]

    def _exchange(self) -> list[bytes] | None:
        """Wait until something can be read or written; returns whole lines, or None at the end."""
        with self._changed:
            writing = [self._to] if self._unsent else []
        if writing:
            ready, writable, _ = select.select([self._from, self._woken], writing, [])
        else:
            ready, writable = [number for number, _ in self._poller.poll()], []
        if self._woken in ready:
            os.read(self._woken, PIECE)
        if writable:
            with self._changed:
                self._write()
        if self._from not in ready:
            return []
        try:
            piece = os.read(self._from, PIECE if self._rest else SHORT)
        except BlockingIOError:
            return []
        if not piece:
            return None
        *lines, rest = piece.split(b"\n")
        if lines and self._rest:
            lines[0] = b"".join([*self._rest, lines[0]])
            self._rest = []
        if rest:
            self._rest.append(rest)
        return lines

    def _write(self) -> None:
        while self._unsent:
            try:
                written = os.write(self._to, self._unsent[0][:PIECE])
            except BlockingIOError:
                return
            except BrokenPipeError:
                # It has ended; what it has answered is still read.
                self._unsent.clear()
                return
            if written == len(self._unsent[0]):
                self._unsent.popleft()
            else:
                self._unsent[0] = self._unsent[0][written:]

    def _take(self, lines: list[bytes] | None) -> None:
        if lines is None:
            self._end = self._end or self._ended()
            return
        for line in lines:
            try:
                # The result is decoded in any case; nothing else in a response is.
                response = read_message(line, b'"success":true,"result":' in line[:NEAR])
                number = response.get("id")
            except (ValueError, AttributeError):
                self._end = failure("bad-output", f"`rootstock call` printed a line that is no response: {line[:200]!r}")
                return
            if number in self._expected:
                self._expected.discard(number)
                if number not in self._forgotten:
                    self._responses[number] = response
            elif number is None and not response.get("success"):
                # What is wrong with all requests: the environment, an option.
                self._end = RemoteError(response)

    def _ended(self) -> RemoteError:
        """The error of requests that were not answered."""
        try:
            code: int | None = self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            code = None
        how = "closed its output" if code is None else f"ended with exit code {code}" if code >= 0 else f"was killed by signal {-code}"
        kind = {2: "bad-request", 4: "environment-missing"}.get(code or 0, "no-result" if code is None or code >= 0 else "killed")
        output = self._messages.text()
        return failure(kind, f"`rootstock call {self.name}` {how}" + (f":\n{output}" if output else ""))

    def close(self, at_once: bool = False) -> None:
        """End the program; at once if it computes something that is not wanted any more."""
        with self._changed:
            if self._end is None:
                self._end = failure("interrupted", f"the calls in `{self.name}` were ended", retryable=True)
            self._unsent.clear()
            self._changed.notify_all()
            if not self._finalizer.detach():
                return
            if self._reading:
                os.write(self._wake, b"\0")
                self._changed.wait_for(lambda: not self._reading, GRACE)
        _end(self._process, os.getpid(), at_once or bool(self._expected))
        self._messages.finish()
        self._close_wake()

    def abandon(self) -> None:
        """In a forked child: close what belongs to the parent, without ending the program."""
        if not self._finalizer.detach():
            return
        self._make_locks()
        self._end = failure("interrupted", f"the calls in `{self.name}` belong to the process that has forked", retryable=True)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            # Not flushed: nothing is buffered.
            assert pipe is not None
            pipe.close()
        self._messages.abandon()
        self._close_wake()
        # It is not this process's child: nothing to wait for.
        self._process.returncode = 0

    def _close_wake(self) -> None:
        os.close(self._wake)
        os.close(self._woken)


class _Messages:
    """Passes the program's standard error on to this process's, and keeps the end: a full pipe would block the program."""

    def __init__(self, pipe: int) -> None:
        self._lines: collections.deque[str] = collections.deque(maxlen=LINES)
        self._pipe = os.dup(pipe)
        self._thread = threading.Thread(target=self._read, name="rootstock call", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with open(self._pipe, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                self._lines.append(line)
                try:
                    sys.stderr.write(line)
                    sys.stderr.flush()
                except (OSError, ValueError, AttributeError):
                    pass  # Closed, or None in a program without a terminal.
        self._pipe = -1

    def text(self) -> str:
        self.finish()
        return "".join(list(self._lines)).strip()

    def finish(self) -> None:
        # A grandchild may keep the pipe open; its output is not waited for.
        self._thread.join(1.0)

    def abandon(self) -> None:
        # The thread exists only in the parent.
        if self._pipe >= 0:
            os.close(self._pipe)


def _enlarge(pipe: int) -> None:
    """Give a pipe room for large arrays."""
    try:
        import fcntl

        fcntl.fcntl(pipe, getattr(fcntl, "F_SETPIPE_SZ", 1031), PIECE)
    except (ImportError, OSError):
        pass  # Slower only.


def _end(process: subprocess.Popen[bytes], owner: int, at_once: bool = False) -> None:
    """End a program by closing its input, which ends it when it has answered; kill it if that takes too long."""
    if os.getpid() != owner:
        return
    assert process.stdin and process.stdout and process.stderr
    try:
        process.stdin.close()
    except OSError:
        pass
    # It may wait until its responses are read.
    process.stdout.close()
    for end in (None, process.terminate, process.kill) if not at_once else (process.terminate, process.kill):
        if end is not None:
            end()
        try:
            process.wait(GRACE)
            break
        except subprocess.TimeoutExpired:
            continue
    process.stderr.close()


_streams: weakref.WeakSet[Stream] = weakref.WeakSet()


def _abandon_all() -> None:
    for stream in list(_streams):
        stream.abandon()


os.register_at_fork(after_in_child=_abandon_all)
