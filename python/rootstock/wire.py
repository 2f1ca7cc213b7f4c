"""What calculator and worker say to each other: i-PI's messages, each step in one write and its answer in one read.

Starts nothing and knows no ASE. Two kinds of worker are spoken to. Ours counts in ångström and electronvolt, so that its
numbers are those of an in-process calculator to the last bit, and sends the stress. A worker of the Python rootstock 1.x,
frozen in an environment that was built with it, counts in bohr and hartree and sends the virial.

A step is `POSDATA GETFORCE`, after an INIT when anything but positions and cell differs from what was said last, and is
answered by FORCEREADY. From the second step of the same atoms on our worker is asked in memory instead, which it is given
with the message MEMORY (see :class:`Memory`). All numbers are in the machine's byte order, integers of 4 bytes, floats of 8:

    INIT        i32 0, i32 length, JSON text
    POSDATA     f64[9] cell, vectors as columns, f64[9] unused, i32 atoms, f64[atoms, 3] positions
    GETFORCE
    MEMORY      i32 atoms; with it two descriptors, of the memory and of a bell
    GETRESULTS  i32 length, name of a result; GETORIGIN nothing; both between two steps
    RESULTS     i32 length, JSON text
    FORCEREADY  f64 energy, i32 atoms, f64[atoms, 3] forces, f64[9] stress or virial, i32 length, JSON text
"""

from __future__ import annotations

import fcntl
import json
import math
import mmap
import os
import socket
import struct
import sys
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .layout import ANSWERED, CELL, FLAGS, HAS_STRESS, HEAD, LENGTH, POLLED, REQUESTED, STATE, TEXT_ROOM, frame_size

Array = NDArray[np.float64]

_HEADER = 12
_CELL = _HEADER
_ATOMS = _CELL + 2 * 72
_GETFORCE = b"GETFORCE".ljust(_HEADER)
_RESULTS = b"RESULTS".ljust(_HEADER)
_FORCEREADY = b"FORCEREADY".ljust(_HEADER)
_LENGTHS = struct.Struct("=ii")
_TENSOR = struct.Struct("=9d")
_RESULT = struct.Struct(f"={_HEADER}sdi")
_MEMORY = struct.Struct(f"={_HEADER}si")
_NUMBERS = struct.Struct("=10d")
# How often memory is looked at before one goes to sleep; who looked in vain does not do it again for so many steps.
_LOOKS, _REST = 1000, 100


class Dialect(NamedTuple):
    """How a kind of worker counts."""

    version: int | None
    """What INIT says in `"rs"`; nothing to workers that do not know it."""
    length: float
    """Ångström in the worker's unit of length."""
    energy: float
    """Electronvolt in the worker's unit of energy."""
    least: int
    """The length of the shortest text that ends an answer: reading more at once would wait for ever."""


OURS = Dialect(version=2, length=1.0, energy=1.0, least=2)
FROZEN = Dialect(version=None, length=0.52917721067, energy=27.211386245988, least=1)


class Answer(NamedTuple):
    """What a worker computed."""

    energy: float
    """In eV."""
    forces: Array
    """In eV/Å, shape (atoms, 3)."""
    tensor: tuple[float, ...]
    """Nine numbers, row by row. From our worker the stress in eV/Å³, NaN if there is none; from a frozen one the virial in eV."""
    more: dict[str, Any]
    """Further results, or `error`."""


class Garbled(Exception):
    """The worker said something that is no answer."""


class Memory:
    """Memory that is shared with a worker's Python: a step of the same system is asked for and answered there.

    `layout.py` describes it. Whoever requests or answers a step rings the bell, a socket pair, with a byte that means: look.
    """

    def __init__(self, connection: socket.socket, atoms: int) -> None:
        """Offer memory for so many atoms at the other end of a connection."""
        positions = STATE + 8 * CELL
        self._results = positions + 24 * atoms
        forces = self._results + 8 * HEAD
        self._text = STATE + 8 * frame_size(atoms)
        file = os.memfd_create("rootstock-step", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(file, self._text + TEXT_ROOM)
            # Nobody can pull it away under the other's feet.
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
            self._memory = mmap.mmap(file, self._text + TEXT_ROOM)
            self._bell, theirs = socket.socketpair()
            with theirs:
                message = _MEMORY.pack(b"MEMORY".ljust(_HEADER), atoms)
                socket.send_fds(connection, [message], [file, theirs.fileno()], socket.MSG_NOSIGNAL)
        finally:
            os.close(file)
        self._connection = connection
        self._state = memoryview(self._memory)[:STATE].cast("q")
        self._cell = np.frombuffer(self._memory, np.float64, CELL, STATE).reshape(3, 3)
        self._positions = np.frombuffer(self._memory, np.float64, 3 * atoms, positions).reshape(-1, 3)
        self._forces = np.frombuffer(self._memory, np.float64, 3 * atoms, forces).reshape(-1, 3)
        self._given = np.empty_like(self._forces)
        self._step = self._rest = 0
        self._looks = range(_LOOKS if len(os.sched_getaffinity(0)) > 1 else 0)

    @property
    def taken(self) -> bool:
        """Whether somebody looks."""
        return self._state[POLLED] == 1

    def step(self, cell: Array, positions: Array) -> Answer | None:
        """Have one frame computed; None if the worker has something else to say."""
        state, bell = self._state, self._bell
        self._cell[...] = cell
        self._positions[...] = positions
        self._step = state[REQUESTED] = step = self._step + 1
        bell.send(b"?", socket.MSG_NOSIGNAL)
        self._look()
        while state[ANSWERED] != step:
            if not bell.recv(4096) and state[ANSWERED] != step:
                return None
        energy, *tensor = _NUMBERS.unpack_from(self._memory, self._results)
        flags, length = state[FLAGS], state[LENGTH]
        if flags != HAS_STRESS:
            tensor = [math.nan] * 9
        more = json.loads(self._memory[self._text : self._text + length]) if length else {}
        # An array that nobody holds any more is used again: large ones are expensive to get.
        if sys.getrefcount(self._given) > 2:
            self._given = np.empty_like(self._forces)
        self._given[...] = self._forces
        return Answer(energy, self._given, tuple(tensor), more)

    def _look(self) -> None:
        """Look for an answer for some 50 µs, which is less than to sleep and be woken; but not where that was in vain lately."""
        if self._rest:
            self._rest -= 1
            return
        state, step = self._state, self._step
        for _ in self._looks:
            if state[ANSWERED] == step:
                return
        self._rest = _REST

    def close(self) -> None:
        self._bell.close()


class Connection:
    """One end of a stream socket, and the buffers of a conversation about one system at a time."""

    shares = True
    """Whether to offer memory to a worker that can use it."""

    def __init__(self, connection: socket.socket, dialect: Dialect) -> None:
        self.socket = connection
        self.dialect = dialect
        self._said: bytes | None = None
        self._memory: Memory | None = None
        # Memory is for who is on this machine and speaks our dialect.
        self._may_share = self.shares and dialect is OURS and connection.family == socket.AF_UNIX
        self._resize(0)

    def close(self) -> None:
        """Let go of the worker, which ends it."""
        self._leave_memory()
        self.socket.close()

    def _leave_memory(self) -> None:
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    def _resize(self, atoms: int) -> None:
        self._count = atoms
        self._request = bytearray(_ATOMS + 4)
        self._request[:_HEADER] = b"POSDATA".ljust(_HEADER)
        self._request[_ATOMS:] = struct.pack("=i", atoms)
        self._cell = np.frombuffer(self._request, np.float64, 9, _CELL).reshape(3, 3).T
        self._head = bytearray(_RESULT.size)
        self._tail = bytearray(72 + 4 + self.dialect.least)
        self._sizes = len(self._request) + 24 * atoms + len(_GETFORCE), len(self._head) + 24 * atoms + len(self._tail)

    def step(self, system: bytes, cell: Array, positions: Array) -> Answer:
        """Have one frame computed.

        Args:
            system: The atoms as :func:`system` writes them.
            cell: Vectors as rows in Å, shape (3, 3).
            positions: In Å, shape (atoms, 3), C-contiguous.

        Raises:
            OSError: The worker has gone.
            Garbled: The worker has lost its way; nothing more can be said to it.
        """
        known = system is self._said or system == self._said
        if known and self._memory is not None:
            answer = self._memory.step(cell, positions)
            return self._receive() if answer is None else answer
        length, energy = self.dialect.length, self.dialect.energy
        if len(positions) != self._count:
            self._resize(len(positions))
        self._cell[...] = cell
        if length != 1.0:
            self._cell /= length
            positions = positions / length
        sending = self._sizes[0]
        offered = None
        if not known:
            self._leave_memory()
            self.socket.sendall(b"INIT".ljust(_HEADER) + _LENGTHS.pack(0, len(system)) + system, socket.MSG_NOSIGNAL)
        elif self._may_share:
            # The second step of the same atoms: there will be more of them.
            offered = Memory(self.socket, self._count)
        _send(self.socket, [self._request, positions, _GETFORCE], sending)
        self._said = system
        answer = self._receive()
        if offered is not None:
            self._may_share = offered.taken
            if offered.taken:
                self._memory = offered
            else:
                offered.close()
        return answer

    def ask(self, question: str, name: str | None = None) -> dict[str, Any]:
        """Ask something between two steps: `GETRESULTS`, for all further results of the last one, with the name of one that may
        have to be computed; or `GETORIGIN`.

        Raises:
            OSError: The worker has gone.
            Garbled: The worker has lost its way; nothing more can be said to it.
        """
        message = question.encode().ljust(_HEADER)
        if name is not None:
            message += struct.pack("=i", len(name.encode())) + name.encode()
        self.socket.sendall(message, socket.MSG_NOSIGNAL)
        head = bytearray(_HEADER + 4)
        _receive(self.socket, [head], len(head))
        header, size = _MEMORY.unpack(head)
        if header != _RESULTS or size < 0:
            raise Garbled(f"{header!r} instead of {_RESULTS!r}")
        text = bytearray(size)
        if size:
            _receive(self.socket, [text], size)
        answer = json.loads(text)
        if not isinstance(answer, dict):
            raise Garbled(f"{answer!r} in answer to {question}")
        return answer

    def _receive(self) -> Answer:
        length, energy = self.dialect.length, self.dialect.energy
        forces = np.empty((self._count, 3))
        _receive(self.socket, [self._head, forces, self._tail], self._sizes[1])
        header, total, count = _RESULT.unpack(self._head)
        if header != _FORCEREADY or count != self._count:
            raise Garbled(f"{header!r} for {count} atoms instead of {_FORCEREADY!r} for {self._count}")
        tensor = _TENSOR.unpack_from(self._tail)
        if energy != 1.0:
            total, tensor = total * energy, tuple(value * energy for value in tensor)
            forces *= energy / length
        return Answer(total, forces, tensor, self._text())

    def _text(self) -> dict[str, Any]:
        (size,) = struct.unpack_from("=i", self._tail, 72)
        text = self._tail[76:]
        if size == 2 and text == b"{}":
            return {}
        if size < len(text):
            raise Garbled(f"a text of {size} bytes after the forces")
        rest = bytearray(size - len(text))
        if rest:
            _receive(self.socket, [rest], len(rest))
        try:
            more = json.loads(text + rest)
        except ValueError:
            # A frozen worker ends its answer with a byte that means nothing.
            return {}
        return more if isinstance(more, dict) else {}


def system(
    dialect: Dialect, numbers: list[int], pbc: list[bool], info: dict[str, Any] | None = None, inputs: str = ""
) -> bytes:
    """The text of an INIT: which atoms these are.

    Args:
        dialect: That of the worker.
        numbers: Atomic numbers.
        pbc: Which cell vectors are periodic.
        info: `Atoms.info`, as far as JSON can say it.
        inputs: Everything else, and `info` where that is more than JSON, as :func:`rootstock.encoding.inputs` writes it.
    """
    text: dict[str, Any] = {"numbers": numbers, "pbc": pbc, "info": info or {}}
    if inputs:
        text["inputs"] = inputs
    if dialect.version is not None:
        text = {"rs": dialect.version, **text}
    return json.dumps(text, allow_nan=False).encode()


def _send(connection: socket.socket, parts: list[Any], size: int) -> None:
    # No signal: programs that embed Python may not ignore SIGPIPE as Python does.
    sent = connection.sendmsg(parts, (), socket.MSG_NOSIGNAL)
    if sent < size:
        connection.sendall(b"".join(bytes(part) for part in parts)[sent:], socket.MSG_NOSIGNAL)


def _receive(connection: socket.socket, parts: list[Any], size: int) -> None:
    count = connection.recvmsg_into(parts, 0, socket.MSG_WAITALL)[0]
    if count == size:
        return
    # Less than everything only where a signal or an end came between.
    views = [memoryview(part).cast("B") for part in parts if memoryview(part).nbytes]
    while True:
        if not count:
            raise ConnectionResetError("the connection was closed in place of an answer")
        while views and count >= views[0].nbytes:
            count -= views.pop(0).nbytes
        if not views:
            return
        views[0] = views[0][count:]
        count = connection.recvmsg_into(views, 0, socket.MSG_WAITALL)[0]
