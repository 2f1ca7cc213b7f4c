"""Structures and results as bytes, for `rootstock evaluate --stream`. Starts nothing.

A structure: the number of atoms and the length of a text (two u32), the numbers (int64), positions and cell (float64), three bytes of
periodicity, and the text, which has everything else that a model may read (`encoding.inputs`).

Results: the length of a head (u32), the head, JSON of names, types and shapes, and the bytes of the arrays one after another.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from ase import Atoms

from .encoding import inputs

_LENGTH = struct.Struct("<I")
_COUNTS = struct.Struct("<II")
_LEFT_OUT = ("numbers", "positions")


def pack(atoms: Atoms) -> bytes:
    """Everything of a structure that a model may read.

    Raises:
        Unsendable: An array, or a key of `info`, cannot be sent.
    """
    text = inputs(atoms, _LEFT_OUT).encode()
    return b"".join(
        (
            b"S",
            _COUNTS.pack(len(atoms), len(text)),
            np.ascontiguousarray(atoms.numbers, "<i8").tobytes(),
            np.ascontiguousarray(atoms.positions, "<f8").tobytes(),
            np.ascontiguousarray(atoms.cell.array, "<f8").tobytes(),
            bytes(map(bool, atoms.pbc)),
            text,
        )
    )


def message(head: dict[str, Any], more: bytes) -> bytes:
    """A message with this head."""
    text = json.dumps(head).encode()
    length = _LENGTH.size + len(text) + len(more)
    return b"".join((_LENGTH.pack(length), _LENGTH.pack(len(text)), text, more))


class Messages:
    """Cuts what was received into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, part: bytes) -> None:
        self._buffer += part

    def next(self) -> tuple[dict[str, Any], bytes] | None:
        """The head of the next message and what follows it, if all of it was received."""
        buffer = self._buffer
        if len(buffer) < 2 * _LENGTH.size:
            return None
        (length,), (head,) = _LENGTH.unpack_from(buffer), _LENGTH.unpack_from(buffer, _LENGTH.size)
        end = _LENGTH.size + length
        if len(buffer) < end:
            return None
        begin = 2 * _LENGTH.size
        found = json.loads(buffer[begin : begin + head]), bytes(buffer[begin + head : end])
        del buffer[:end]
        return found


def results(packed: bytes) -> dict[str, Any]:
    """Results by their names: floats, and arrays that can be written to."""
    (length,) = _LENGTH.unpack_from(packed)
    place = _LENGTH.size + length
    found: dict[str, Any] = {}
    for name, kind, shape in json.loads(packed[_LENGTH.size : place]):
        array = np.frombuffer(packed, kind, int(np.prod(shape)), place)
        place += array.nbytes
        found[name] = array.reshape(shape).copy() if shape else array.item()
    return found
