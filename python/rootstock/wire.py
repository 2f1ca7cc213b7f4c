"""What calculator and worker say to each other: i-PI's messages, each step in one write and its answer in one read.

Starts nothing and knows no ASE. Two kinds of worker are spoken to. Ours counts in ångström and electronvolt, so that its
numbers are those of an in-process calculator to the last bit, and sends the stress. A worker of the Python rootstock 1.x,
frozen in an environment that was built with it, counts in bohr and hartree and sends the virial.

A step is `POSDATA GETFORCE`, after an INIT when species, periodicity or info differ from what was said last, and is
answered by FORCEREADY. All numbers are in the machine's byte order, integers of 4 bytes, floats of 8:

    INIT        i32 0, i32 length, JSON text
    POSDATA     f64[9] cell, vectors as columns, f64[9] unused, i32 atoms, f64[atoms, 3] positions
    GETFORCE
    FORCEREADY  f64 energy, i32 atoms, f64[atoms, 3] forces, f64[9] stress or virial, i32 length, JSON text
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_HEADER = 12
_CELL = _HEADER
_ATOMS = _CELL + 2 * 72
_GETFORCE = b"GETFORCE".ljust(_HEADER)
_FORCEREADY = b"FORCEREADY".ljust(_HEADER)
_LENGTHS = struct.Struct("=ii")
_TENSOR = struct.Struct("=9d")
_RESULT = struct.Struct(f"={_HEADER}sdi")


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


class Connection:
    """One end of a stream socket, and the buffers of a conversation about one system at a time."""

    def __init__(self, connection: socket.socket, dialect: Dialect) -> None:
        self.socket = connection
        self.dialect = dialect
        self._said: bytes | None = None
        self._resize(0)

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
        length, energy = self.dialect.length, self.dialect.energy
        if len(positions) != self._count:
            self._resize(len(positions))
        self._cell[...] = cell
        if length != 1.0:
            self._cell /= length
            positions = positions / length
        sending, receiving = self._sizes
        if system is not self._said and system != self._said:
            self.socket.sendall(b"INIT".ljust(_HEADER) + _LENGTHS.pack(0, len(system)) + system, socket.MSG_NOSIGNAL)
        _send(self.socket, [self._request, positions, _GETFORCE], sending)
        self._said = system

        forces = np.empty((self._count, 3))
        _receive(self.socket, [self._head, forces, self._tail], receiving)
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


def system(dialect: Dialect, numbers: list[int], pbc: list[bool], info: dict[str, Any]) -> bytes:
    """The text of an INIT: which atoms these are."""
    text: dict[str, Any] = {"numbers": numbers, "pbc": pbc, "info": info}
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
