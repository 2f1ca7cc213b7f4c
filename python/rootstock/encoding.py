"""Plain data and NumPy arrays as JSON without rounding: a client's atoms, a worker's results.

Client and worker both run this file, the worker as the first part of its Python's program. It imports NumPy only where there
is something to encode or decode; Python 3.8 or later.

JSON values stand for themselves. Everything else is an object with one key, the type:

    {"npy": …}      an array as the base64 text of a `.npy` file; {"scalar": …} a NumPy scalar in the same way
    {"objects": …}  the shape and the items of an array of Python objects
    {"dict": …}     a list of keys and values; {"tuple": …}, {"set": …}, {"frozenset": …} lists of items
    {"float": …}    `nan`, `inf` or `-inf`; {"complex": …} two floats; {"bytes": …} base64
    {"unsent": …}   the class of something that cannot be sent
"""

from __future__ import annotations

import base64
import io
import json
import math
from typing import Any

# Some libraries replace these in `json` by faster ones that return bytes or refuse what these accept.
to_text, from_text = json.JSONEncoder(allow_nan=False).encode, json.loads


class Unsendable(TypeError):
    """Something that cannot be sent to another process."""

    def __init__(self, name: str, where: str = "this") -> None:
        self.name, self.where = name, where
        super().__init__(
            "%s cannot be sent to another process, because it is or holds an object of class %s; "
            "text, numbers, lists, dictionaries and NumPy arrays can" % (where, name)
        )

    def __reduce__(self) -> Any:
        return type(self), (self.name, self.where)


class Unsent:
    """A placeholder for a value of `atoms.info` or of a model's results that was not sent. Using it is an error."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return "<%s, not sent>" % self._name

    def __copy__(self) -> Unsent:
        return self

    def __deepcopy__(self, memo: Any) -> Unsent:
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._refuse()

    def _refuse(self, *arguments: Any, **more: Any) -> Any:
        raise TypeError(
            "something is used that was not sent to this process, because it is of class %s; "
            "text, numbers, lists, dictionaries and NumPy arrays are sent" % self._name
        )

    __str__ = __bool__ = __eq__ = __ne__ = __hash__ = __float__ = __int__ = __index__ = __complex__ = _refuse
    __len__ = __iter__ = __getitem__ = __contains__ = __call__ = __array__ = __format__ = _refuse


def encode(value: Any) -> Any:
    """Encode a value as JSON.

    Raises:
        Unsendable: It is of a class that cannot be sent.
    """
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if kind is list:
        return [encode(item) for item in value]
    if kind in (tuple, set, frozenset):
        return {kind.__name__: [encode(item) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[encode(key), encode(item)] for key, item in value.items()]}
    if kind is complex:
        return {"complex": [encode(value.real), encode(value.imag)]}
    if kind is bytes:
        return {"bytes": base64.b64encode(value).decode()}
    return _encode_array(value)


def _encode_array(value: Any) -> Any:
    import numpy as np

    if isinstance(value, np.generic):
        return {"scalar": _npy(np.asarray(value))}
    if type(value) is not np.ndarray:
        for plain in (bool, int, float, str):
            # A subclass, such as an enumeration, is sent as its base class.
            if isinstance(value, plain):
                return encode(plain(value))
        raise Unsendable(type(value).__name__)
    if value.dtype.hasobject:
        if value.dtype.kind != "O":
            raise Unsendable(str(value.dtype))
        return {"objects": [list(value.shape), [encode(item) for item in value.ravel().tolist()]]}
    return {"npy": _npy(value)}


def _npy(array: Any) -> str:
    import numpy as np

    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return base64.b64encode(file.getvalue()).decode()


def decode(value: Any) -> Any:
    """The value that :func:`encode` was given."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "dict":
        return _decode_dict(content)
    if kind in ("tuple", "set", "frozenset"):
        return {"tuple": tuple, "set": set, "frozenset": frozenset}[kind](map(decode, content))
    if kind == "float":
        return float(content)
    if kind == "complex":
        return complex(*map(decode, content))
    if kind == "bytes":
        return base64.b64decode(content)
    if kind == "unsent":
        return Unsent(content)
    return _decode_array(kind, content)


def _decode_dict(content: Any) -> Any:
    found: dict[Any, Any] = {}
    for key, item in content:
        key = decode(key)
        if key in found:
            raise ValueError("the key %r occurs twice" % (key,))
        found[key] = decode(item)
    return found


def _decode_array(kind: str, content: Any) -> Any:
    import numpy as np

    if kind == "objects":
        shape, items = content
        array = np.empty(len(items), object)
        for place, item in enumerate(items):
            array[place] = decode(item)
        return array.reshape(shape)
    array = np.load(io.BytesIO(base64.b64decode(content)), allow_pickle=False)
    if kind == "scalar":
        return array[()]
    if kind == "npy":
        return array
    raise ValueError("unknown type `%s`" % kind)


def encode_info(info: Any) -> Any:
    """Encode an `atoms.info`, with marks for values that cannot be sent."""
    pairs = []
    for key, value in info.items():
        try:
            encoded = encode(value)
        except Unsendable as error:
            encoded = {"unsent": error.name}
        except RecursionError:
            encoded = {"unsent": type(value).__name__}
        pairs.append([_encode(key, "the key %r of `atoms.info`" % (key,)), encoded])
    return {"dict": pairs}


def _encode(value: Any, where: str) -> Any:
    try:
        return encode(value)
    except Unsendable as error:
        raise Unsendable(error.name, where) from None


def inputs(atoms: Any, left_out: Any) -> str:
    """Encode everything that a calculator may read of ASE's atoms, except numbers, positions, cell and periodicity; empty if
    there is nothing. Constraints are left out: ASE applies them itself.

    Args:
        atoms: The atoms.
        left_out: Names of arrays to leave out.

    Raises:
        Unsendable: An array, or a key of `info`, cannot be sent. A value of `info` that cannot is an error where it is used.
    """
    found: dict[str, Any] = {}
    arrays = [(name, array) for name, array in atoms.arrays.items() if name not in left_out]
    if arrays:
        found["arrays"] = {"dict": [[name, _encode(array, "`atoms.arrays[%r]`" % name)] for name, array in arrays]}
    if atoms.info:
        found["info"] = encode_info(atoms.info)
    if atoms.get_celldisp().any():
        found["celldisp"] = encode(atoms.get_celldisp())
    return to_text(found) if found else ""
