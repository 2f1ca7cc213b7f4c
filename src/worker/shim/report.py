"""Reports of exceptions: texts that fit into a message and can be printed anywhere, whatever the exception is.

One part of the programs that `worker` and `call` give to Python; `main.py` is the last of each.
"""

from json.encoder import encode_basestring as quoted
from traceback import TracebackException

# The longest traceback and the longest line of it that are passed on, and the longest that fits into a client's memory.
LONGEST, LONGEST_LINE, FITTING = 100_000, 2_000, 12_000
# Characters that control a terminal or reverse text: controls except tab and newline, and marks of direction.
UNSAFE = {code: "\\x%02x" % code for code in [*range(9), *range(11, 32), *range(127, 160)]}
UNSAFE.update((code, "\\u%04x" % code) for code in [0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)])


class NotFinite(ValueError):
    """A result that is infinite or NaN."""


def cut(text, longest):
    """The beginning and the end of a text that is too long."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return "%s [... %d characters left out ...] %s" % (text[:half], len(text) - 2 * half, text[-half:])


def plain(text, longest):
    """A text that fits into a message and can be printed anywhere."""
    return cut(text, longest).encode("utf-8", "backslashreplace").decode().translate(UNSAFE)


def shorten(found):
    """Shortens the texts of an exception and of its causes before they are joined."""
    waiting, seen = [found], set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        for name in ("_str", "text", "msg"):
            text = getattr(one, name, None)
            if isinstance(text, str):
                setattr(one, name, cut(text, LONGEST_LINE))
        notes = getattr(one, "__notes__", None)
        if isinstance(notes, (list, tuple)):
            one.__notes__ = [cut(note, LONGEST_LINE) if isinstance(note, str) else note for note in notes[:20]]
        waiting += [one.__cause__, one.__context__, *(getattr(one, "exceptions", None) or ())]


def report(error, longest=LONGEST):
    """An exception's last line, class and traceback."""
    kind = type(error).__name__
    try:
        found = TracebackException.from_exception(error)
        shorten(found)
        trace = "".join(found.format())
        found.__notes__ = None
        last = list(found.format_exception_only())[-1].strip()
    except BaseException as failure:
        last = "%s, whose text cannot be read: %s" % (kind, type(failure).__name__)
        trace = last
    return {
        "error": plain(last, LONGEST_LINE),
        "kind": plain(kind, LONGEST_LINE // 10),
        # Raised by the checks here: a traceback does not help.
        "traceback": "" if isinstance(error, NotFinite) else plain(trace, longest),
    }


def encode_report(report):
    """JSON, made without anything that a library could have replaced."""
    return ("{%s}" % ",".join("%s:%s" % (quoted(name), quoted(text)) for name, text in report.items())).encode()
