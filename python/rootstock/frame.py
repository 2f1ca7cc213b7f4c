"""The atoms that were computed last, and what differs from them. Needs no worker."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses

from . import wire
from .encoding import encode_info, inputs, to_text

#: What ASE's calculators compare beside positions, numbers, cell and periodicity.
_FOLLOWED = ("initial_charges", "initial_magmoms")
#: Classes of `info` values that cannot be changed in place.
_PLAIN = (bool, int, float, str, type(None))
_ABSENT = object()


class Frame:
    """A copy of atoms, kept from step to step: positions and cell move in place, anything else needs a new one."""

    def __init__(self, atoms: Atoms, momenta: bool = False) -> None:
        # A bytearray compares itself with any contiguous memory at memory speed, without an array of booleans. So the last
        # frame is in bytearrays, and its atoms are views of them.
        self._numbers = bytearray(np.ascontiguousarray(atoms.numbers))
        self._pbc = bytearray(np.ascontiguousarray(atoms.pbc))
        self._positions = bytearray(np.ascontiguousarray(atoms.positions))
        self._cell = bytearray(np.ascontiguousarray(atoms.cell.array))
        self._celldisp = bytearray(np.ascontiguousarray(atoms._celldisp))
        self._left_out = {"numbers", "positions"} if momenta else {"numbers", "positions", "momenta"}
        self._arrays = {name: _Kept(array) for name, array in atoms.arrays.items() if name not in self._left_out}
        self._info = _text(atoms.info)
        plain = all(type(value) in _PLAIN or isinstance(value, np.generic) for value in atoms.info.values())
        self._plain_info = dict(atoms.info) if plain else None
        self._texts: dict[int | None, bytes] = {}
        self.positions: wire.Array = np.frombuffer(self._positions).reshape(-1, 3)
        """In Å, shape (atoms, 3)."""
        self.cell: wire.Array = np.frombuffer(self._cell).reshape(3, 3)
        """Vectors as rows, in Å, shape (3, 3)."""
        self.further_changes = False
        """Whether the atoms that were compared last differ in something else that a model may read: masses, tags, other arrays."""
        self._inputs = inputs(atoms, self._left_out)
        self.atoms: Atoms = atoms.copy()  # type: ignore[no-untyped-call]
        self.atoms.arrays["positions"] = self.positions
        self.atoms.cell.array = self.cell

    def changes(self, atoms: Atoms) -> list[str]:
        """What differs in any bit of what ASE's calculators compare, in ASE's names, and `info`; sets `further_changes`."""
        changes = []
        arrays = atoms.arrays
        if self._positions != np.ascontiguousarray(arrays["positions"]):
            changes.append("positions")
        if self._numbers != np.ascontiguousarray(arrays["numbers"]):
            changes.append("numbers")
        if self._cell != np.ascontiguousarray(atoms.cell.array):
            changes.append("cell")
        if self._pbc != np.ascontiguousarray(atoms.pbc):
            changes.append("pbc")
        self.further_changes = self._celldisp != atoms._celldisp
        if self._arrays or len(arrays) > 2:
            changes += [name for name in _FOLLOWED if self._differs(name, arrays)]
            names = (self._arrays.keys() | arrays.keys()) - self._left_out
            self.further_changes |= any(self._differs(name, arrays) for name in names)
        if (atoms.info or self._info) and not self._has_info(atoms.info):
            changes.append("info")
        return changes

    def move(self, atoms: Atoms) -> None:
        """Copy positions and cell of atoms that differ in nothing else."""
        self.positions[...] = atoms.positions
        self.cell[...] = atoms.cell.array

    def text(self, dialect: wire.Dialect) -> bytes:
        """The text of an INIT that describes these atoms to a worker.

        Raises:
            ValueError: Workers of this kind cannot be sent everything.
        """
        if dialect.version not in self._texts:
            numbers, pbc = self.atoms.numbers.tolist(), self.atoms.pbc.tolist()
            if dialect.version is None:
                self._texts[None] = wire.system(dialect, numbers, pbc, info=self._only_info())
            else:
                self._texts[dialect.version] = wire.system(dialect, numbers, pbc, inputs=self._inputs)
        return self._texts[dialect.version]

    def _differs(self, name: str, arrays: dict[str, Any]) -> bool:
        known, array = self._arrays.get(name), arrays.get(name)
        if known is None or array is None:
            return not (known is None and array is None)
        return not known.equals(array)

    def _has_info(self, info: dict[Any, Any]) -> bool:
        known = self._plain_info
        if known is not None and len(known) == len(info):
            for key, value in info.items():
                before = known.get(key, _ABSENT)
                if type(before) is not type(value) or before != value:
                    break
            else:
                return True
        return _text(info) == self._info

    def _only_info(self) -> dict[str, Any]:
        """The `info` of atoms that have no other inputs than the defaults."""
        odd = [f"`atoms.arrays[{name!r}]`" for name, kept in self._arrays.items() if not self._is_usual(name, kept.array)]
        if any(self._celldisp):
            odd.append("`atoms.get_celldisp()`")
        info = {key: _plain(value) for key, value in self.atoms.info.items()}
        odd += [f"`atoms.info[{key!r}]`" for key, value in info.items() if not isinstance(key, str) or not _is_json(value)]
        if odd:
            raise ValueError(
                f"the worker is one of rootstock 1.x, which cannot be sent {', '.join(odd)}: "
                "remove what the model does not need from the atoms, or use a root that `rootstock sync` has built"
            )
        return info

    def _is_usual(self, name: str, array: wire.Array) -> bool:
        if name == "masses":
            return np.array_equal(array, atomic_masses[self.atoms.numbers])
        return array.dtype.kind in "biufc" and not array.any()


class _Kept:
    """A copy of an array."""

    def __init__(self, array: Any) -> None:
        self.array = np.array(array, order="C")
        self._bytes = None if self.array.dtype.hasobject else bytearray(_memory(self.array))

    def equals(self, array: Any) -> bool:
        if array.dtype != self.array.dtype or array.shape != self.array.shape:
            return False
        if self._bytes is None:
            return bool(array.tolist() == self.array.tolist())
        return bool(self._bytes == _memory(np.ascontiguousarray(array)))


def _memory(array: Any) -> Any:
    # Some dtypes do not support the buffer protocol.
    return array.reshape(-1).view(np.uint8)


def _text(info: dict[Any, Any]) -> str:
    """The text by which `atoms.info` is compared; values that cannot be sent make no difference."""
    return to_text(encode_info(info)) if info else ""


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True
