"""Arguments and results of calls as JSON, as `rootstock call` reads and writes them: what JSON has stands for itself, everything
else is an object with one key.

Python 3.8 or later; NumPy and ASE are imported only where there is something of theirs.

    {"$ndarray": {"dtype": "<f8", "shape": [2, 3], "data": base64 of the bytes in C order}}
    {"$atoms": …}   ASE's `Atoms.todict()`, its values encoded as here
    {"$bytes": base64}   {"$path": text}   {"$float": "nan", "inf" or "-inf"}

Tuples become lists, NumPy's scalars become numbers. Anything else is refused, with its place, and so is a dictionary whose only key
looks like one of these.
"""

from __future__ import annotations

import math
import os
import sys
from typing import Any

from .large import base64_bytes, base64_text


class Unserialisable(TypeError):
    """A value that cannot be sent to another process."""

    def __init__(self, place: str, reason: str) -> None:
        self.place, self.reason = place, reason
        super().__init__("%s %s" % (place, reason))

    def __reduce__(self) -> Any:
        return type(self), (self.place, self.reason)


def encode_value(value: Any, place: str = "the value", within: tuple[int, ...] = ()) -> Any:
    """The JSON of a value.

    Args:
        value: What is sent.
        place: What it is called in messages: `args[0]`.
        within: The ids of the containers it is in.

    Raises:
        Unserialisable: It is, or has in it, something that JSON and the tags above cannot hold.
    """
    kind = type(value)
    if value is None or kind in (bool, int):
        return value
    if kind is str:
        return _text(value, place)
    if kind is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, (list, tuple, dict)):
        if id(value) in within:
            raise Unserialisable(place, "contains itself")
        if len(within) > 200:
            raise Unserialisable(place, "is nested more than 200 levels deep")
        within += (id(value),)
        if isinstance(value, dict):
            return _dictionary(value, place, within)
        if all(type(item) is int or (type(item) is float and math.isfinite(item)) for item in value):
            return list(value)
        return [encode_value(item, "%s[%d]" % (place, at), within) for at, item in enumerate(value)]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$bytes": base64_text(value)}
    if isinstance(value, os.PathLike):
        return {"$path": _text(os.fsdecode(value), place)}
    return _foreign(value, place, within)


def _text(value: str, place: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unserialisable(place, "is text with bytes that are not UTF-8") from None
    return value


def _dictionary(value: dict[Any, Any], place: str, within: tuple[int, ...]) -> Any:
    made = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise Unserialisable(place, "has the key %r, and JSON has only texts as keys" % (key,))
        made[str(_text(key, place))] = encode_value(item, "%s[%r]" % (place, key), within)
    if len(made) == 1 and next(iter(made)).startswith("$"):
        raise Unserialisable(place, "has %r as its only key, which would be read as a tag" % next(iter(made)))
    return made


def _foreign(value: Any, place: str, within: tuple[int, ...]) -> Any:
    """Objects of NumPy and ASE, and of subclasses of the plain types."""
    numpy, ase = sys.modules.get("numpy"), sys.modules.get("ase")
    if numpy is not None and isinstance(value, numpy.ndarray):
        return {"$ndarray": _array(value, place)}
    if numpy is not None and isinstance(value, numpy.generic):
        plain_value = value.item()
        is_plain = isinstance(plain_value, (bool, int, float, str, bytes)) and not isinstance(plain_value, numpy.generic)
        return encode_value(plain_value, place, within) if is_plain else _refuse(value, place)
    if ase is not None and isinstance(value, ase.Atoms):
        described = {**value.todict(), "constraints": [constraint.todict() for constraint in value.constraints]}
        return {"$atoms": {name: encode_value(item, "%s.%s" % (place, name), within) for name, item in described.items()}}
    for plain in (bool, int, float, str):
        # An enumeration of numbers or texts.
        if isinstance(value, plain):
            return encode_value(plain(value) if plain is not str else str.__str__(value), place, within)
    return _refuse(value, place)


def _refuse(value: Any, place: str) -> Any:
    module = type(value).__module__
    name = type(value).__qualname__ if module == "builtins" else "%s.%s" % (module, type(value).__qualname__)
    raise Unserialisable(place, "is of class `%s`, which cannot be sent as JSON" % name)


def _array(array: Any, place: str) -> dict[str, Any]:
    if array.dtype.hasobject or array.dtype.names is not None:
        raise Unserialisable(place, "is an array of %s, which cannot be sent as JSON" % array.dtype)
    # Also an array that is not contiguous, and one of no dimension.
    plain = array.dtype.kind in "biufc" and array.flags.c_contiguous and array.size
    data = array.reshape(-1).view("u1").data if plain else array.tobytes()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": base64_text(data)}


def decode_value(value: Any) -> Any:
    """The value that :func:`encode_value` was given.

    Raises:
        ValueError: A tag holds something else than it should.
    """
    if isinstance(value, list):
        return [decode_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (tag, content), = value.items()
        decode = _TAGS.get(tag)
        if decode is not None:
            try:
                return decode(content)
            except (TypeError, ValueError, KeyError, AttributeError) as error:
                raise ValueError("`%s` holds what it cannot hold: %s" % (tag, error)) from None
    return {key: decode_value(item) for key, item in value.items()}


def _decode_array(content: Any) -> Any:
    data = base64_bytes(content["data"])
    shape, dtype = [int(length) for length in content["shape"]], content["dtype"]
    try:
        import numpy
    except ImportError:
        return _nested(data, dtype, shape)
    return numpy.frombuffer(data, dtype=numpy.dtype(dtype)).reshape(shape)


#: Formats of `memoryview` by kind and size of NumPy's types.
_FORMATS = {"b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q", "f4": "f", "f8": "d"}


def _nested(data: bytearray, dtype: str, shape: list[int]) -> Any:
    """Nested lists in place of an array, where there is no NumPy."""
    order = {"little": "<", "big": ">"}[sys.byteorder]
    if dtype[0] not in ("|", order) or dtype[1:] not in _FORMATS:
        raise ValueError("an array of `%s` needs NumPy, which is not installed here" % dtype)
    numbers = iter(memoryview(data).cast(_FORMATS[dtype[1:]]).tolist())  # type: ignore[call-overload]

    def nest(lengths: list[int]) -> Any:
        return [nest(lengths[1:]) for _ in range(lengths[0])] if lengths else next(numbers)

    return nest(shape)


def _decode_atoms(content: Any) -> Any:
    try:
        from ase import Atoms
    except ImportError:
        raise ValueError("atoms need ASE, which is not installed here") from None
    return Atoms.fromdict(decode_value(content))  # type: ignore[no-untyped-call]


def _decode_path(content: Any) -> Any:
    import pathlib

    return pathlib.Path(content)


def _decode_float(content: Any) -> float:
    if content not in ("nan", "inf", "-inf"):
        raise ValueError("%r is none of nan, inf and -inf" % (content,))
    return float(content)


_TAGS = {
    "$ndarray": _decode_array,
    "$atoms": _decode_atoms,
    "$bytes": lambda content: bytes(base64_bytes(content)),
    "$path": _decode_path,
    "$float": _decode_float,
}
