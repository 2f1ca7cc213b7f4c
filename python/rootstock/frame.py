"""The atoms that were computed last, and what differs from them. Knows no worker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms

from . import wire


class Frame:
    """A copy of atoms, kept from step to step: positions and cell move in place, anything else needs a new one."""

    def __init__(self, atoms: Atoms) -> None:
        # A bytearray compares itself with any contiguous memory at the speed of memory, and makes no array of truth
        # values for it. So the last frame lies in some, and its atoms are a view of them.
        self._numbers = bytearray(np.ascontiguousarray(atoms.numbers))
        self._pbc = bytearray(np.ascontiguousarray(atoms.pbc))
        self._positions = bytearray(np.ascontiguousarray(atoms.positions))
        self._cell = bytearray(np.ascontiguousarray(atoms.cell.array))
        self._info = _text(atoms.info)
        self._said: dict[int | None, bytes] = {}
        self.positions: wire.Array = np.frombuffer(self._positions).reshape(-1, 3)
        """In Å, shape (atoms, 3)."""
        self.cell: wire.Array = np.frombuffer(self._cell).reshape(3, 3)
        """Vectors as rows, in Å, shape (3, 3)."""
        self.atoms: Atoms = atoms.copy()  # type: ignore[no-untyped-call]
        self.atoms.arrays["positions"] = self.positions
        self.atoms.cell.array = self.cell

    def changes(self, atoms: Atoms) -> list[str]:
        """What differs in any bit, in ASE's words, and `info`."""
        changes = []
        if self._positions != np.ascontiguousarray(atoms.positions):
            changes.append("positions")
        if self._numbers != np.ascontiguousarray(atoms.numbers):
            changes.append("numbers")
        if self._cell != np.ascontiguousarray(atoms.cell.array):
            changes.append("cell")
        if self._pbc != np.ascontiguousarray(atoms.pbc):
            changes.append("pbc")
        if (atoms.info or self._info != "{}") and _text(atoms.info) != self._info:
            changes.append("info")
        return changes

    def move(self, atoms: Atoms) -> None:
        """Take positions and cell of atoms that differ in nothing else."""
        self.positions[...] = atoms.positions
        self.cell[...] = atoms.cell.array

    def text(self, dialect: wire.Dialect) -> bytes:
        """Which atoms these are, as a worker is told."""
        if dialect.version not in self._said:
            numbers, pbc = self.atoms.numbers.tolist(), self.atoms.pbc.tolist()
            self._said[dialect.version] = wire.system(dialect, numbers, pbc, json.loads(self._info))
        return self._said[dialect.version]


def _text(info: Mapping[Any, Any]) -> str:
    """What of an `atoms.info` JSON can say."""
    if not info:
        return "{}"
    plain = {key: _plain(value) for key, value in info.items() if isinstance(key, str)}
    return json.dumps({key: value for key, value in plain.items() if _can_be_said(value)})


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _can_be_said(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True
