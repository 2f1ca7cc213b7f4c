"""A calculator's results: energy, forces and stress at once, all others when they are accessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


class Results(dict[str, Any]):
    """A dictionary that fetches further results when one of them, or all, are accessed.

    After the next calculation it has the results that were fetched before.
    """

    __slots__ = ("_fetch",)

    # Set after construction: one is made at each step, and a constructor costs more.
    _fetch: Callable[[Results], None]

    def __missing__(self, name: str) -> Any:
        self._fetch(self)
        if super().__contains__(name):
            return super().__getitem__(name)
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        if not super().__contains__(name):
            self._fetch(self)
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default

    def __iter__(self) -> Iterator[str]:
        self._fetch(self)
        return super().__iter__()

    def __len__(self) -> int:
        self._fetch(self)
        return super().__len__()

    def keys(self) -> Any:
        self._fetch(self)
        return super().keys()

    def values(self) -> Any:
        self._fetch(self)
        return super().values()

    def items(self) -> Any:
        self._fetch(self)
        return super().items()

    def __eq__(self, other: object) -> bool:
        self._fetch(self)
        return super().__eq__(other)

    def __repr__(self) -> str:
        self._fetch(self)
        return super().__repr__()

    def copy(self) -> dict[str, Any]:
        return dict(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return dict, (dict(self),)

    __hash__ = None
