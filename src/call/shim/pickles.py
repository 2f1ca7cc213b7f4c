"""Arguments and results as base64 of pickles, where the user has allowed that.

One part of the program that the parent gives to Python; `main.py` is the last of them.
"""

import base64
import sys


class PythonMismatch(Exception):
    """Code that was pickled by value in a Python of another minor version."""


def load(text, where, python):
    """The object in a pickle that came from this Python (`3.11`), if that is known."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise BadValue("%s: no base64: %s" % (where, error)) from None
    here = "%d.%d" % sys.version_info[:2]
    by_value = carries_code(data)
    if by_value and python is not None and python != here:
        raise PythonMismatch("%s: code that was pickled by value in Python %s; this is Python %s" % (where, python, here))
    import pickle

    try:
        return pickle.loads(data)
    except BaseException as error:
        if by_value and isinstance(error, (TypeError, ValueError, SystemError)):
            message = "%s: code that was pickled by value, perhaps in another Python than %s: %s" % (where, here, error)
            raise PythonMismatch(message) from None
        raise BadValue("%s: cannot be unpickled: %s: %s" % (where, type(error).__name__, error)) from None


def carries_code(data):
    """Whether a pickle builds functions from their bytecode, as cloudpickle does."""
    import pickletools

    try:
        words = {word for _, word, _ in pickletools.genops(data) if isinstance(word, str)}
    except Exception:
        return False
    return bool(words & {"CodeType", "_make_function", "_make_skel_func", "types CodeType", "cloudpickle.cloudpickle _make_function"})


def dump(value, where):
    try:
        import cloudpickle as pickler
    except ImportError:
        import pickle as pickler
    try:
        data = pickler.dumps(value, protocol=4)
    except BaseException as error:
        raise Unserialisable("%s: cannot be pickled: %s: %s" % (where, type(error).__name__, error)) from None
    return base64.b64encode(data).decode()
