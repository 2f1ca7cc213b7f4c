"""Large arrays and bytes in messages: their base64 text is neither copied into the message's JSON nor read out of it as text, which
would copy it several times.

Client and the Python of an environment both run this file, the latter as the first part of its program. Python 3.8 or later.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import os
import sys
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Importing it takes milliseconds.
    from typing import Any

#: Shorter texts are part of the JSON.
LONG_TEXT = 1 << 16
#: What stands for a long text in JSON: this and sixteen digits.
MARK = "large-" + os.urandom(16).hex() + "-"
#: Bytes of base64 that are decoded at once.
DECODED = 1 << 20
#: How far behind its beginning the text of an array begins.
NEAR = 400

_numbers = itertools.count()
_held: Any = weakref.WeakValueDictionary()


class Held(str):
    """What stands for a long text, as long as the JSON is not written."""

    data = b""


def base64_text(data: Any) -> str:
    """The base64 text of bytes; of many, something that stands for it in what :func:`message_parts` is given."""
    if memoryview(data).nbytes < LONG_TEXT:
        return base64.b64encode(data).decode()
    key = "%s%016d" % (MARK, next(_numbers))
    held = Held(key)
    held.data = binascii.b2a_base64(data, newline=False)
    _held[key] = held
    return held


def message_parts(text: bytes) -> list[bytes]:
    """The parts of a message whose JSON was written with such texts. The values must still be there."""
    mark, parts, at = MARK.encode(), [], 0
    while True:
        place = text.find(mark, at)
        if place < 0:
            parts.append(text[at:] if at else text)
            return parts
        end = place + len(mark) + 16
        parts += [text[at:place], _held[text[place:end].decode()].data]
        at = end


def read_message(text: bytes, is_wanted: bool = True) -> Any:
    """The JSON in a message. With `is_wanted`, the long texts of arrays and bytes are views of the message."""
    if not is_wanted or len(text) < LONG_TEXT:
        return json.loads(text)
    parts: list[bytes] = []
    views: dict[str, memoryview] = {}
    at, place = 0, text.find(b'{"$')
    while place >= 0:
        begin, end = _text_of(text, place)
        if end - begin >= LONG_TEXT:
            key = "%s%d" % (MARK, len(views))
            views[key] = memoryview(text)[begin:end]
            parts += [text[at:begin], key.encode()]
            at = end
        place = text.find(b'{"$', max(end, place + 3))
    if not views:
        return json.loads(text)

    def put(found: dict[str, Any]) -> dict[str, Any]:
        for name in ("data", "$bytes"):
            if type(found.get(name)) is str:
                found[name] = views.get(found[name], found[name])
        return found

    return json.loads(b"".join([*parts, text[at:]]), object_hook=put)


def _text_of(text: bytes, place: int) -> tuple[int, int]:
    """Where the text of the array or the bytes that begin here begins and ends; an empty range if something else is here.

    In a JSON text a quotation mark that no backslash precedes always begins or ends a string, so these bytes are what they seem.
    """
    if text.startswith(b'{"$bytes":"', place):
        begin, closing = place + len(b'{"$bytes":"'), b'"}'
    elif text.startswith(b'{"$ndarray":{', place):
        begin, closing = text.find(b'"data":"', place, place + NEAR) + len(b'"data":"'), b'"}}'
        if begin < place or text.find(b"}", place, begin) >= 0:
            return 0, 0
    else:
        return 0, 0
    end = text.find(b'"', begin)
    whole = end >= 0 and text.startswith(closing, end) and text.find(b"\\", begin, end) < 0
    return (begin, end) if whole else (0, 0)


def base64_bytes(text: Any) -> bytearray:
    """The bytes of a base64 text or of a view of one.

    Raises:
        ValueError: It is no base64.
    """
    if not isinstance(text, memoryview):
        return bytearray(base64.b64decode(text, validate=True))
    made, at = bytearray(len(text) // 4 * 3), 0
    # Decoded in pieces, without another large buffer.
    for begin in range(0, len(text), DECODED):
        piece = _decoded(text[begin : begin + DECODED])
        if begin + DECODED < len(text) and len(piece) != DECODED // 4 * 3:
            raise binascii.Error("data after the end")
        made[at : at + len(piece)] = piece
        at += len(piece)
    del made[at:]
    return made


def _decoded(text: memoryview) -> bytes:
    if sys.version_info >= (3, 11):
        return binascii.a2b_base64(text, strict_mode=True)
    return base64.b64decode(bytes(text), validate=True)
