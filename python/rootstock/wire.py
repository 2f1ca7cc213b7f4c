"""Messages between calculator and worker: i-PI's, each step in one write and its answer in one read.

Starts nothing and needs no ASE. There are two kinds of workers. Ours use ångström and electronvolt, so that numbers are those
of an in-process calculator to the last bit, and send the stress. Workers of the Python rootstock 1.x, frozen into the
environments that it has built, use bohr and hartree and send the virial.

A step is `POSDATA GETFORCE`, after an INIT if anything but positions and cell has changed, and is answered by FORCEREADY. From
the second step of the same atoms on, our workers are asked in shared memory, offered with the message MEMORY (see
:class:`Memory`). All numbers are in the machine's byte order, integers of 4 bytes, floats of 8:

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
# How often memory is polled before waiting for the bell; after polling in vain it is polled again at the next multiple of so
# many steps, as by the worker's Python (`memory.py` has the reason).
_POLLS, _TOGETHER = 8000, 64


class Dialect(NamedTuple):
    """The units of a kind of worker."""

    version: int | None
    """The `"rs"` of INIT; None for workers without it."""
    length: float
    """Ångström in the worker's unit of length."""
    energy: float
    """Electronvolt in the worker's unit of energy."""
    least: int
    """The length of the shortest text at the end of an answer: reading more at once could block forever."""


OURS = Dialect(version=2, length=1.0, energy=1.0, least=2)
FROZEN = Dialect(version=None, length=0.52917721067, energy=27.211386245988, least=1)


class Answer(NamedTuple):
    """A worker's answer."""

    energy: float
    """In eV."""
    forces: Array
    """In eV/Å, shape (atoms, 3)."""
    tensor: tuple[float, ...]
    """Nine numbers, row by row. From our worker the stress in eV/Å³, NaN if there is none; from a frozen one the virial in eV."""
    more: dict[str, Any]
    """Further results, or `error`."""


class Garbled(Exception):
    """The worker's answer is invalid."""


class Memory:
    """Memory shared with a worker's Python, in which steps of the same system are requested and answered.

    `layout.py` describes it. The side that requests or answers a step sends a byte over the bell, a
    socket pair; it means only: look at the memory.
    """

    def __init__(self, connection: socket.socket, atoms: int) -> None:
        """Offer memory for this many atoms to the worker at the other end."""
        positions = STATE + 8 * CELL
        self._results = positions + 24 * atoms
        forces = self._results + 8 * HEAD
        self._text = STATE + 8 * frame_size(atoms)
        file = os.memfd_create("rootstock-step", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(file, self._text + TEXT_ROOM)
            # Truncating it would crash the other process.
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
        self._returned = np.empty_like(self._forces)
        self._step = self._resume = 0
        self._polls = range(_POLLS if len(os.sched_getaffinity(0)) > 1 else 0)

    @property
    def accepted(self) -> bool:
        """Whether the worker's Python polls it."""
        return self._state[POLLED] == 1

    def step(self, cell: Array, positions: Array) -> Answer | None:
        """Have one frame computed; None if the worker answers with a message instead."""
        state, bell = self._state, self._bell
        self._cell[...] = cell
        self._positions[...] = positions
        self._step = state[REQUESTED] = step = self._step + 1
        bell.send(b"?", socket.MSG_NOSIGNAL)
        self._poll()
        while state[ANSWERED] != step:
            if not bell.recv(4096) and state[ANSWERED] != step:
                return None
        energy, *tensor = _NUMBERS.unpack_from(self._memory, self._results)
        flags, length = state[FLAGS], state[LENGTH]
        if flags != HAS_STRESS:
            tensor = [math.nan] * 9
        more = json.loads(self._memory[self._text : self._text + length]) if length else {}
        # An array without other references is reused: large ones are expensive to allocate.
        if sys.getrefcount(self._returned) > 2:
            self._returned = np.empty_like(self._forces)
        self._returned[...] = self._forces
        return Answer(energy, self._returned, tuple(tensor), more)

    def _poll(self) -> None:
        """Poll for about 200 µs, which is faster than sleeping and waking up, unless that was in vain lately."""
        state, step = self._state, self._step
        if step < self._resume:
            return
        for _ in self._polls:
            if state[ANSWERED] == step:
                return
        self._resume = step + _TOGETHER - step % _TOGETHER

    def close(self) -> None:
        self._bell.close()


class Connection:
    """One end of a stream socket, with buffers for one system at a time."""

    shares = True
    """Whether to offer shared memory."""

    def __init__(self, connection: socket.socket, dialect: Dialect) -> None:
        self.socket = connection
        self.dialect = dialect
        self._last_init: bytes | None = None
        self._memory: Memory | None = None
        # Memory is for workers of ours on this machine.
        self._may_share = self.shares and dialect is OURS and connection.family == socket.AF_UNIX
        self._resize(0)

    def close(self) -> None:
        """Close the connection, which ends the worker."""
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
            system: The INIT text that :func:`system` writes.
            cell: Vectors as rows in Å, shape (3, 3).
            positions: In Å, shape (atoms, 3), C-contiguous.

        Raises:
            OSError: The worker has ended.
            Garbled: The answer is invalid; the worker cannot be used any more.
        """
        known = system is self._last_init or system == self._last_init
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
            # The second step of the same atoms: more will follow.
            offered = Memory(self.socket, self._count)
        _send(self.socket, [self._request, positions, _GETFORCE], sending)
        self._last_init = system
        answer = self._receive()
        if offered is not None:
            self._may_share = offered.accepted
            if offered.accepted:
                self._memory = offered
            else:
                offered.close()
        return answer

    def ask(self, request: str, name: str | None = None) -> dict[str, Any]:
        """Send a request between two steps: `GETRESULTS`, for all further results of the last step, with the name of one to
        compute if necessary; or `GETORIGIN`.

        Raises:
            OSError: The worker has ended.
            Garbled: The answer is invalid; the worker cannot be used any more.
        """
        message = request.encode().ljust(_HEADER)
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
            raise Garbled(f"{answer!r} in answer to {request}")
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
            # A frozen worker ends its answer with a meaningless byte.
            return {}
        return more if isinstance(more, dict) else {}


def system(
    dialect: Dialect, numbers: list[int], pbc: list[bool], info: dict[str, Any] | None = None, inputs: str = ""
) -> bytes:
    """The text of an INIT, which describes the atoms.

    Args:
        dialect: The worker's.
        numbers: Atomic numbers.
        pbc: Which cell vectors are periodic.
        info: `Atoms.info`, as plain JSON.
        inputs: Everything else, and `info` beyond JSON, as :func:`rootstock.encoding.inputs` writes it.
    """
    text: dict[str, Any] = {"numbers": numbers, "pbc": pbc, "info": info or {}}
    if inputs:
        text["inputs"] = inputs
    if dialect.version is not None:
        text = {"rs": dialect.version, **text}
    return json.dumps(text, allow_nan=False).encode()


def _send(connection: socket.socket, parts: list[Any], size: int) -> None:
    # No signal: programs that embed Python may not ignore SIGPIPE.
    sent = connection.sendmsg(parts, (), socket.MSG_NOSIGNAL)
    if sent < size:
        connection.sendall(b"".join(bytes(part) for part in parts)[sent:], socket.MSG_NOSIGNAL)


def _receive(connection: socket.socket, parts: list[Any], size: int) -> None:
    count = connection.recvmsg_into(parts, 0, socket.MSG_WAITALL)[0]
    if count == size:
        return
    # Less only if a signal or the end interrupted it.
    views = [memoryview(part).cast("B") for part in parts if memoryview(part).nbytes]
    while True:
        if not count:
            raise ConnectionResetError("the connection was closed instead of an answer")
        while views and count >= views[0].nbytes:
            count -= views.pop(0).nbytes
        if not views:
            return
        views[0] = views[0][count:]
        count = connection.recvmsg_into(views, 0, socket.MSG_WAITALL)[0]
