"""Values as JSON with tags, in both directions.

One part of the program that the parent gives to Python; `main.py` is the last of them.

JSON values stand for themselves. A dictionary whose only key begins with `$` is something else:

    {"$ndarray": {"dtype", "shape", "data"}}   a NumPy array; `data` is base64 of its bytes, or nested lists
    {"$bytes": base64}    {"$path": text}      relative paths begin where the parent was started
    {"$float": "nan"}                          or "inf", "-inf": bare ones are no JSON
    {"$atoms": {...}}                          `Atoms.todict()` of ASE, itself with tags
"""

import math
import os
import sys

NUMBERS = {int, float, bool, type(None)}


class Unserialisable(Exception):
    """A value that JSON cannot carry, and its place."""


class BadValue(Exception):
    """A value of the request that cannot be read, and its place."""


def encode(value, where, parents=()):
    """The value as a tree that `json` writes."""
    kind = type(value)
    if value is None or kind is bool or kind is int:
        return value
    if kind is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    if kind is str:
        return text(value, where)
    if len(parents) > 200:
        raise Unserialisable("%s: nested more than 200 deep" % where)
    if isinstance(value, (list, tuple, dict)):
        if any(value is parent for parent in parents):
            raise Unserialisable("%s: contains itself" % where)
        parents = (*parents, value)
        if isinstance(value, dict):
            return encode_dict(value, where, parents)
        return encode_list(value, where, parents)
    return encode_other(value, where, parents)


def text(value, where):
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unserialisable("%s: text that is not Unicode: %s" % (where, ascii(value)[:60])) from None
    return str.__str__(value)


def encode_list(value, where, parents):
    kinds = set(map(type, value))
    if kinds <= NUMBERS and (float not in kinds or all(item is None or math.isfinite(item) for item in value)):
        return list(value)
    return [encode(item, "%s[%d]" % (where, place), parents) for place, item in enumerate(value)]


def encode_dict(value, where, parents):
    tree = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise Unserialisable("%s: the key %.60r is of class %s; JSON has only text" % (where, key, type(key).__name__))
        name = text(key, where)
        if name in tree:
            raise Unserialisable("%s: two keys are %s" % (where, ascii(name)[:80]))
        tree[name] = encode(item, "%s[%s]" % (where, ascii(key)[:80]), parents)
    if len(tree) == 1 and next(iter(tree)).startswith("$"):
        raise Unserialisable("%s: its only key, %r, looks like a tag" % (where, next(iter(tree))))
    return tree


def encode_other(value, where, parents):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$bytes": base64_text(value)}
    if isinstance(value, os.PathLike) and is_path(value):
        return {"$path": text(os.path.abspath(str(value)), where)}
    for plain, exact in ((bool, bool), (int, int.__int__), (float, float.__float__), (str, str.__str__)):
        if isinstance(value, plain):
            # An enumeration, or another subclass: what it is, not how it is shown.
            return encode(exact(value), where, parents)
    # Nothing of these classes exists where their module was not imported.
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if isinstance(value, numpy.ndarray):
            return encode_array(numpy, value, where)
        if isinstance(value, numpy.bool_):
            return bool(value)
        if isinstance(value, (numpy.integer, numpy.floating)):
            return encode(value.item(), where, parents)
    ase = sys.modules.get("ase.atoms")
    if ase is not None and isinstance(value, ase.Atoms):
        tree = value.todict()
        if value.constraints:
            tree["constraints"] = [constraint.todict() for constraint in value.constraints]
        return {"$atoms": encode_dict(tree, where, (*parents, value))}
    raise Unserialisable(
        "%s: an object of class %s; return numbers, text, lists, dictionaries, bytes, paths, NumPy arrays or Atoms"
        % (where, type(value).__name__)
    )


def is_path(value):
    import pathlib

    return isinstance(value, pathlib.PurePath)


def encode_array(numpy, array, where):
    if array.dtype.kind not in "biufcSUmM":
        raise Unserialisable("%s: an array of %s" % (where, array.dtype))
    data = numpy.ascontiguousarray(array)
    content = data.data.cast("B") if data.dtype.kind in "biufc" and data.size else data.tobytes()
    content = {"dtype": array.dtype.str, "shape": list(array.shape), "data": base64_text(content)}
    return {"$ndarray": content}


def decode(value, where):
    """The value that such a tree describes."""
    if isinstance(value, list):
        if set(map(type, value)) <= NUMBERS:
            return value
        return [decode(item, "%s[%d]" % (where, place)) for place, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((tag, content),) = value.items()
        if tag.startswith("$"):
            if tag not in DECODERS:
                raise BadValue("%s: unknown tag `%s`; there are %s" % (where, tag, ", ".join(sorted(DECODERS))))
            try:
                return DECODERS[tag](content, where)
            except BadValue:
                raise
            except ModuleNotFoundError as error:
                raise BadValue("%s: `%s` needs %s, which this environment lacks" % (where, tag, error.name)) from None
            except Exception as error:
                raise BadValue("%s: `%s`: %s" % (where, tag, str(error) or type(error).__name__)) from None
    return {key: decode(item, "%s[%s]" % (where, ascii(key)[:80])) for key, item in value.items()}


def decode_array(content, where):
    import numpy

    unknown = set(content) - {"dtype", "shape", "data"}
    if unknown or "data" not in content:
        raise BadValue("%s: `$ndarray` has the keys dtype, shape and data" % where)
    dtype = numpy.dtype(content.get("dtype", "float64"))
    if dtype.hasobject:
        raise BadValue("%s: `$ndarray` of Python objects" % where)
    data = content["data"]
    if isinstance(data, (str, memoryview)):
        array = numpy.frombuffer(base64_bytes(data), dtype)
    else:
        array = numpy.array(data, dtype)
    return array.reshape(content["shape"]) if "shape" in content else array


def decode_atoms(content, where):
    import ase
    import numpy

    tree = {key: decode(item, "%s[%r]" % (where, key)) for key, item in content.items()}
    for key, item in tree.items():
        if isinstance(item, list) and key != "constraints":
            tree[key] = numpy.array(item)
    tree.setdefault("cell", numpy.zeros((3, 3)))
    tree.setdefault("pbc", numpy.zeros(3, bool))
    return ase.Atoms.fromdict(tree)


def decode_float(content, where):
    if content not in ("nan", "inf", "-inf"):
        raise BadValue('%s: `$float` is "nan", "inf" or "-inf"' % where)
    return float(content)


def decode_path(content, where):
    import pathlib

    return pathlib.Path(CALLER["directory"], content)


# Where the parent was started.
CALLER = {"directory": os.sep}
DECODERS = {
    "$ndarray": decode_array,
    "$bytes": lambda content, where: bytes(base64_bytes(content)),
    "$path": decode_path,
    "$float": decode_float,
    "$atoms": decode_atoms,
}
