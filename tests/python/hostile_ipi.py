"""i-PI servers that send anything: one line a case, each with what the worker answers, its exit code and what it says.

Whatever a server sends, the worker ends by itself with an exit code of its own, or reports that it waits; it never
answers with a number that was not computed, and it takes no memory to speak of. Each table prints how many it tried.
"""

import json
import os
import random
import socket
import struct
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import harness

# Launcher and Python together; Python with ASE takes about 100 MiB of it.
MEMORY = 300 << 20

CELL = (9.0, 0, 0, 0, 9.0, 0, 0, 0, 9.0)
INVERSE = (1 / 9, 0, 0, 0, 1 / 9, 0, 0, 0, 1 / 9)
PLACES = (0.0, 0, 0, 4.0, 4.0, 4.0)
NAN, INF = float("nan"), float("inf")


def word(text):
    return text.encode().ljust(12)


def ints(*numbers):
    return struct.pack("<%di" % len(numbers), *numbers)


def doubles(*numbers):
    return struct.pack("<%dd" % len(numbers), *numbers)


def init(text="\0", announced=None):
    text = text.encode() if isinstance(text, str) else text
    return word("INIT") + ints(0, len(text) if announced is None else announced) + text


def positions(atoms=2, places=PLACES, cell=CELL, inverse=INVERSE):
    return word("POSDATA") + doubles(*cell, *inverse) + ints(atoms) + doubles(*places)


def batch(structures, atoms=2):
    cells = doubles(*CELL, *INVERSE) * structures
    return word("POSDATA") + ints(atoms) + cells + doubles(*PLACES) * structures


def cell(*rows):
    """A step in a cell of these vectors, one after another; columns on the wire."""
    return positions(cell=[rows[3 * (place % 3) + place // 3] for place in range(9)]) + FORCE


def flat_batch():
    cells = doubles(*CELL, *INVERSE) + doubles(*[0.0] * 18)
    return word("POSDATA") + ints(2) + cells + doubles(*PLACES) * 2 + FORCE


def random_bytes(seed):
    return random.Random(seed).randbytes(4096)


STATUS, FORCE, EXIT = word("STATUS"), word("GETFORCE"), word("EXIT")
STEP = positions() + FORCE
WHOLE = STATUS + init() + STATUS + STEP + EXIT

UNKNOWN = "which is not an i-PI message"
IN_INIT, IN_POSITIONS = "ended in the middle of an INIT message", "ended in the middle of a POSDATA message"
ORDER = "the server asked for forces before it sent positions"
OTHER = "but this worker's system has 2"
NO_NUMBER = "positions that are not finite, first that of atom 1 (counted from 0)"
NO_CELL = "a cell that is not finite"
FLAT = "the cell vectors along which the system is periodic (%s) are not linearly independent"

# What it is, what the server sends, what is answered, the exit code, and what the worker says.
STOCK = [
    ("a whole conversation beside all these", WHOLE, "NEEDINIT READY FORCEREADY", 0, "after 1 steps"),
    # Headers.
    ("nothing", b"", "", 0, "closed the connection after 0 steps"),
    ("half a header", b"STAT", "", 1, "ended in the middle of a header"),
    ("a header of 11 bytes", b"STATUS     " + STATUS, "", 1, "the server sent `STATUS S`, " + UNKNOWN),
    ("a header of 13 bytes", b"STATUS       " + STATUS, "NEEDINIT", 1, "the server sent ` STATUS`, " + UNKNOWN),
    ("lower case", word("status"), "", 1, "the server sent `status`, " + UNKNOWN),
    ("an unknown word", STATUS + word("HELLO"), "NEEDINIT", 1, "the server sent `HELLO`, " + UNKNOWN),
    ("a client's words", word("FORCEREADY") + doubles(1), "", 1, "the server sent `FORCEREADY`, " + UNKNOWN),
    ("words of rootstock's own clients", init() + word("GETORIGIN"), "", 1, "the server sent `GETORIGIN`, " + UNKNOWN),
    ("an offer of memory", init() + word("MEMORY") + ints(2), "", 1, "the server sent `MEMORY`, " + UNKNOWN),
    ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", 1, "the server sent `GET / HTTP/1`, " + UNKNOWN),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40), "", 1, r"`\x16\x03\x01\x02\x00\x01"),
    ("NUL", bytes(64), "", 1, r"`\x00\x00"),
    ("terminal sequences", b"\x1b[2J\x1b]0;x\x07\r\n", "", 1, r"`\x1b[2J\x1b]0;x\x07`"),
    ("not UTF-8", b"\xff\xfe" * 6, "", 1, r"`\xff\xfe"),
    ("random bytes", random_bytes(1), "", 1, UNKNOWN),
    ("random bytes after an INIT", init() + random_bytes(2), "", 1, UNKNOWN),
    # INIT.
    ("INIT twice", init() + init() + STEP + EXIT, "FORCEREADY", 0, "after 1 steps"),
    ("INIT after positions", init() + positions() + init() + FORCE + EXIT, "FORCEREADY", 0, "after 1 steps"),
    ("another INIT in mid-run", init() + STEP + init(" a : b ") + STEP + EXIT, "FORCEREADY FORCEREADY", 0, "2 steps"),
    ("no INIT", STEP + EXIT, "FORCEREADY", 0, "after 1 steps"),
    ("INIT of 2 GB", init("x", (1 << 31) - 1), "", 1, "announced an INIT text of 2147483647"),
    ("INIT of -1 bytes", init("x", -1), "", 1, "announced an INIT text of -1"),
    ("INIT of 256 MiB that are not sent", init("x", 256 << 20), "", 1, "announced an INIT text of 268435456"),
    ("INIT of 64 MiB", init("x" * (64 << 20)), "", 1, "announced an INIT text of 67108864"),
    ("INIT that ends early", init("xyz", 4), "", 1, IN_INIT),
    ("INIT without its lengths", word("INIT") + ints(0), "", 1, IN_INIT),
    ("INIT longer than it says", init("abc" + "x" * 12, 3), "", 1, "the server sent `xxxxxxxxxxxx`, " + UNKNOWN),
    ("INIT that is not UTF-8", init(b"\xff\xfe") + STEP + EXIT, "FORCEREADY", 0, "after 1 steps"),
    ("no structures at once", init("  batch_size:0"), "", 1, "`batch_size` is `0`; expected 1 to 10000"),
    ("too many structures at once", init("  batch_size:10001"), "", 1, "`batch_size` is `10001`"),
    ("a count of structures that is none", init("  batch_size:\x1b[2J"), "", 1, r"`batch_size` is `\u{1b}[2J`"),
    ("a batch of 10000 that is not sent", init("  batch_size:10000") + batch(2), "", 1, IN_POSITIONS),
    ("a batch that ends early", init("  batch_size:3") + batch(2), "", 1, IN_POSITIONS),
    # POSDATA.
    ("no atoms", positions(0, ()), "", 1, "positions of 0 atoms, " + OTHER),
    ("-1 atoms", positions(-1), "", 1, "announced a number of atoms of -1"),
    ("-2^31 atoms", positions(-(1 << 31)), "", 1, "announced a number of atoms of -2147483648"),
    ("2^31-1 atoms", positions((1 << 31) - 1), "", 1, "announced a number of atoms of 2147483647"),
    ("eighty million atoms", positions(80_000_000), "", 1, "positions of 80000000 atoms, " + OTHER),
    ("an atom too many", positions(3, PLACES + (1, 1, 1)), "", 1, "positions of 3 atoms, " + OTHER),
    ("an atom too few", positions(1, PLACES[:3]), "", 1, "positions of 1 atoms, " + OTHER),
    ("fewer positions than announced", positions(2, PLACES[:5]), "", 1, IN_POSITIONS),
    ("more positions than announced", positions(2, PLACES + (1.0, 1.0)) + FORCE, "", 1, UNKNOWN),
    ("a position that is NaN", positions(places=PLACES[:4] + (NAN, 0)) + FORCE, "", 1, NO_NUMBER),
    ("a position that is infinite", positions(places=PLACES[:5] + (-INF,)) + FORCE, "", 1, NO_NUMBER),
    ("a position beyond all bounds", positions(places=PLACES[:5] + (1e308,)) + FORCE, "FORCEREADY", 0, "after 1 steps"),
    ("a cell that is NaN", positions(cell=CELL[:8] + (NAN,)) + FORCE, "", 1, NO_CELL),
    ("a cell that is infinite", positions(cell=(INF,) + CELL[1:]) + FORCE, "", 1, NO_CELL),
    ("no cell", positions(cell=(0.0,) * 9) + FORCE, "", 1, "along the cell vector 1, which is zero"),
    ("two vectors that are one", cell(1, 1, 0, 1, 1, 0, 0, 0, 9), "", 1, FLAT % "1, 2, 3"),
    ("two opposite vectors", cell(1, 2, 3, -2, -4, -6, 0, 0, 9), "", 1, FLAT % "1, 2, 3"),
    ("vectors in a plane", cell(1, 0, 0, 0, 1, 0, 0.3, 0.7, 0), "", 1, FLAT % "1, 2, 3"),
    ("vectors in a plane, but for rounding", cell(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9), "", 1, FLAT % "1, 2, 3"),
    ("vectors in a plane, tiny", cell(*[n * 1e-200 for n in (1, 0, 0, 0, 1, 0, 1, 1, 0)]), "", 1, FLAT % "1, 2, 3"),
    ("vectors in a plane, huge", cell(*[n * 1e200 for n in (1, 0, 0, 0, 1, 0, 1, 1, 0)]), "", 1, FLAT % "1, 2, 3"),
    ("a very flat cell", cell(9, 0, 0, 0, 9, 0, 4, 4, 1e-6), "FORCEREADY", 0, "after 1 steps"),
    ("a tiny cell", cell(1e-120, 0, 0, 0, 1e-120, 0, 0, 0, 1e-120), "FORCEREADY", 0, "after 1 steps"),
    ("a huge cell", cell(1e120, 0, 0, 0, 1e120, 0, 0, 0, 1e120), "FORCEREADY", 0, "after 1 steps"),
    ("a left-handed cell", cell(0, 9, 0, 9, 0, 0, 0, 0, 9), "FORCEREADY", 0, "after 1 steps"),
    ("a second cell without volume", STEP + positions(cell=(0.0,) * 9) + FORCE, "FORCEREADY", 1, "which is zero"),
    ("a batch with a cell without volume", init("  batch_size:2") + flat_batch(), "", 1, "which is zero"),
    ("another inverse", positions(inverse=CELL) + FORCE + EXIT, "FORCEREADY", 0, "after 1 steps"),
    ("an inverse that is NaN", positions(inverse=(NAN,) * 9) + FORCE + EXIT, "FORCEREADY", 0, "after 1 steps"),
    ("positions twice", positions() + STEP + EXIT, "FORCEREADY", 0, "after 2 steps"),
    # Order.
    ("GETFORCE first", FORCE, "", 1, ORDER),
    ("GETFORCE after INIT", init() + FORCE, "", 1, ORDER),
    ("GETFORCE twice", STEP + FORCE, "FORCEREADY", 1, ORDER),
    ("GETSTRESSES first", word("GETSTRESSES"), "", 1, ORDER),
    ("stresses before their step", word("STRESSES_ON") + STEP + EXIT, "FORCEREADY", 0, "after 1 steps"),
    ("EXIT first", EXIT, "", 0, "sent EXIT after 0 steps"),
    ("EXIT in INIT", word("INIT") + ints(0) + EXIT, "", 1, "announced an INIT text of 1414092869"),
    ("EXIT in positions", positions()[:-20] + EXIT, "", 1, IN_POSITIONS),
    ("EXIT twice, and more", EXIT + EXIT + random_bytes(3), "", 0, "sent EXIT after 0 steps"),
    ("a flood of STATUS", STATUS * 100_000 + EXIT, "NEEDINIT " * 100_000, 0, "sent EXIT after 0 steps"),
]

TWO = '{"numbers": [29, 29], "pbc": [true, true, true]%s}'
OURS = '{"rs": 2, "numbers": [29, 29], "pbc": [true, true, true]%s}'
NO_ELEMENT = "is not an atomic number, which is 0 (ASE's `X`) to 118"
MANY = "more than 2097152 values"
LOOKS = "the server's INIT is not a valid JSON object"
NO_SPECIES = "the server does not say which atoms its positions belong to"
DEEP = ', "info": {"a": %s}' % ("[" * 100_000)


def refused(text):
    """The answer to a step after an INIT that cannot be met: NaN, and the reason in the extras."""
    return "FORCEREADY NaN " + text



def inputs(text):
    """The field of an INIT for what plain JSON cannot express."""
    return ', "inputs": %s' % json.dumps(text)


def along(pbc):
    return json.dumps({"numbers": [29, 29], "pbc": [letter == "T" for letter in pbc]})


TAGS = inputs('{"arrays": {"dict": [["tags", [1, 1]]]}}')

JSON = [
    ("a whole conversation beside all these", init(TWO % "") + STEP + STATUS + EXIT, "FORCEREADY NEEDINIT", 0, "1 steps"),
    ("one of ours beside all these", init(OURS % "") + STEP + STATUS + EXIT, "FORCEREADY READY", 0, "after 1 steps"),
    ("a stock server", STATUS + init() + STATUS, "NEEDINIT", 1, NO_SPECIES),
    ("no INIT", STEP, "", 1, NO_SPECIES),
    ("half an object", init("{"), "", 1, LOOKS),
    ("an empty object", init("{}"), "", 1, "missing field `numbers`"),
    ("an array", init("[29, 29]"), "", 1, NO_SPECIES),
    ("a BOM", init("\ufeff" + TWO % ""), "", 1, NO_SPECIES),
    ("not UTF-8", init((TWO % ', "info": {"a": "x"}').encode().replace(b"x", b"\xe9")), "", 1, LOOKS),
    ("something behind it", init(TWO % "" + " x"), "", 1, "trailing characters"),
    ("an unknown field", init(TWO % ', "cell": [1]'), "", 1, "unknown key `cell` in the INIT"),
    ("an unknown field that acts", init(TWO % ', "\\u001b[2J": 1'), "", 1, r"unknown key `\u{1b}[2J` in the INIT"),
    ("deep nesting", init(TWO % DEEP), "", 1, LOOKS),
    ("deep nesting of what is not known", init(TWO % (', "a": ' + "[" * 100_000)), "", 1, "recursion limit exceeded"),
    ("deep nesting that is closed", init('{"a":' * 50_000 + "1" + "}" * 50_000), "", 1, "recursion limit exceeded"),
    ("numbers that are a text", init(TWO.replace("[29, 29]", '"CuCu"') % ""), "", 1, "invalid type: string"),
    ("numbers that are texts", init(TWO.replace("29,", '"Cu",') % ""), "", 1, "invalid type: string"),
    ("a number beyond a byte", init(TWO.replace("29,", "300,") % ""), "", 1, "300 " + NO_ELEMENT),
    ("the largest byte", init(TWO.replace("29,", "255,") % ""), "", 1, "255 " + NO_ELEMENT),
    ("a number beyond the elements", init(TWO.replace("29,", "119,") % ""), "", 1, "119 " + NO_ELEMENT),
    ("a negative number", init(TWO.replace("29,", "-1,") % ""), "", 1, "-1 " + NO_ELEMENT),
    ("the last element", init(TWO.replace("29,", "118,") % "") + STEP + EXIT, "FORCEREADY", 0, "after 1 steps"),
    ("ASE's X", init(TWO.replace("29,", "0,") % "") + STEP + EXIT, "FORCEREADY", 0, "after 1 steps"),
    ("ours with a number beyond the elements", init(OURS.replace("29,", "200,") % "") + STEP + EXIT, refused("200 " + NO_ELEMENT), 0, ""),
    ("a number that is no integer", init(TWO.replace("29,", "29.0,") % ""), "", 1, "invalid type: floating point"),
    ("a huge number", init(TWO.replace("29,", "1e999,") % ""), "", 1, "number out of range"),
    ("a huge number of digits", init(TWO.replace("29,", "1" * 1000 + ",") % ""), "", 1, "number out of range"),
    ("a huge number in info", init(TWO % ', "info": {"charge": -1e999}'), "", 1, "number out of range"),
    ("NaN", init(TWO % ', "info": {"charge": NaN}'), "", 1, LOOKS),
    ("pbc of two", init(TWO.replace(", true]", "]") % ""), "", 1, "invalid length 2"),
    ("pbc of four", init(TWO.replace("[true", "[true, true") % ""), "", 1, "trailing characters"),
    ("pbc of numbers", init(TWO.replace("[true", "[1") % ""), "", 1, "invalid type: integer `1`"),
    ("info that is a list", init(TWO % ', "info": [1]'), "", 1, "invalid type: sequence"),
    ("numbers twice", init(TWO % ', "numbers": [1]'), "", 1, "the key `numbers` occurs twice"),
    ("an unknown key twice, the last one empty", init(TWO % ', "x": 1, "x": 0'), "", 1, "the key `x` occurs twice"),
    ("a key of info twice", init(TWO % ', "info": {"charge": 1, "charge": 2}'), "", 1, "the key `charge` occurs twice"),
    ("the same, escaped", init(TWO % ', "info": {"spin": 1, "\\u0073pin": 1}'), "", 1, "the key `spin` occurs twice"),
    ("deep in info", init(TWO % ', "info": {"a": [[{"b": 1, "b": 2}]]}'), "", 1, "the key `b` occurs twice"),
    ("an array twice", init(TWO % ', "arrays": {"tags": [1, 1], "tags": [2, 2]}'), "", 1, "the key `tags` occurs twice"),
    ("ours, in info", init(OURS % ', "info": {"a": 1, "a": 2}') + STEP + EXIT, refused("the key `a` occurs twice"), 0, ""),
    ("ours, in inputs", init(OURS % inputs('{"info": 1, "info": 1}')) + STEP + EXIT, refused("the key `info` occurs twice"), 0, ""),
    ("inputs that are not UTF-8", init(OURS % inputs('{"info": {"dict": [["\\udce9", "\\uDCE9"]]}}')) + STEP + EXIT, "FORCEREADY", 0, ""),
    ("ours, in a dict of inputs", init(OURS % inputs('{"info": {"dict": [["a", 1], ["a", 2]]}}')) + STEP + EXIT, refused("twice"), 0, ""),
    ("info and inputs", init(OURS % (inputs('{"info": {"dict": [["a", 1]]}}') + ', "info": {"a": 2}')) + STEP + EXIT, refused("twice"), 0, ""),
    ("arrays and inputs", init(TWO % (TAGS + ', "arrays": {"tags": [1, 1]}')) + STEP + EXIT, refused("twice"), 0, ""),
    ("three million values", init(TWO % ', "arrays": {"a": [%s]}' % ("0," * 3_000_000 + "0")), "", 1, MANY),
    ("three million lists", init(TWO % ', "info": {"a": [%s]}' % ("[]," * 3_000_000 + "0")), "", 1, MANY),
    ("three million unknown values", init(TWO % ', "a": [%s]' % ("0," * 3_000_000 + "0")), "", 1, MANY),
    ("a million keys", init(TWO % ', "info": {%s}' % ",".join('"%d":0' % key for key in range(1_000_000))), "", 1, MANY),
    ("three million values in inputs", init(TWO % inputs('{"info": [%s]}' % ("0," * 3_000_000 + "0"))), "", 1, MANY),
    ("a million numbers", init(TWO.replace("29, 29", "29," * 1_000_000 + "1") % "") + EXIT, "", 0, "after 0 steps"),
    ("no cell", init(TWO % "") + positions(cell=(0.0,) * 9) + FORCE + EXIT, refused("along the cell vector 1, which is zero"), 0, ""),
    ("no cell, ours", init(OURS % "") + positions(cell=(0.0,) * 9) + FORCE + STEP + EXIT, refused("which is zero"), 0, ""),
    ("no cell of a molecule", init(along("FFF")) + positions(cell=(0.0,) * 9) + FORCE + EXIT, "FORCEREADY", 0, "after 1 steps"),
    ("a flat cell of a molecule", init(along("FFF")) + cell(1, 1, 0, 1, 1, 0, 2, 2, 0) + EXIT, "FORCEREADY", 0, "after 1 steps"),
    ("a slab without the third vector", init(along("TTF")) + cell(9, 0, 0, 0, 9, 0, 0, 0, 0) + EXIT, "FORCEREADY", 0, "after 1 steps"),
    ("a slab without the second", init(along("TTF")) + cell(9, 0, 0, 0, 0, 0, 0, 0, 9) + EXIT, refused("cell vector 2, which is"), 0, ""),
    ("a slab whose vectors are one", init(along("TTF")) + cell(9, 0, 0, 9, 0, 0, 0, 0, 9) + EXIT, refused(FLAT % "1, 2"), 0, ""),
    ("a slab whose third is in its plane", init(along("TTF")) + cell(9, 0, 0, 0, 9, 0, 1, 0, 0) + EXIT, "FORCEREADY", 0, "1 steps"),
    ("a wire", init(along("FFT")) + cell(0, 0, 0, 0, 0, 0, 0, 3, 4) + EXIT, "FORCEREADY", 0, "after 1 steps"),
    ("a wire without its vector", init(along("FTF")) + cell(9, 0, 0, 0, 0, 0, 0, 0, 9) + EXIT, refused("cell vector 2, which is"), 0, ""),
    ("an endless text", init('{"info": "' + "a" * 9_000_000, 256 << 20), "", 1, IN_INIT),
    ("an object of 2 GB", init("{", (1 << 31) - 1), "", 1, "announced an INIT text of 2147483647"),
    ("another number of atoms", init(TWO % "") + positions(1, PLACES[:3]) + FORCE + EXIT, refused("positions of 1 atoms"), 0, ""),
    ("no atoms", init(TWO.replace("29, 29", "") % "") + positions(0, ()) + FORCE, "FORCEREADY", 0, "after 1 steps"),
    ("a position that is NaN", init(TWO % "") + positions(places=PLACES[:4] + (NAN, 0)) + FORCE + EXIT, refused(NO_NUMBER), 0, ""),
    ("a cell that is infinite", init(OURS % "") + positions(cell=(INF,) + CELL[1:]) + FORCE + EXIT, refused(NO_CELL), 0, ""),
    ("a client of tomorrow", init('{"rs": 3}') + STEP + EXIT, refused('3`; this worker supports'), 0, ""),
    ("a version that is a text", init('{"rs": "2"}') + STEP + EXIT, refused('`; this worker supports'), 0, ""),
    ("ours with an unknown field", init(OURS % ', "x": 1') + STEP + EXIT, refused("unknown key `x` in the client's INIT"), 0, ""),
    ("ours with wrong numbers", init('{"rs": 2, "numbers": 1}') + STEP + EXIT, refused("the client's INIT is not valid"), 0, ""),
    ("a result's name of -1", init(OURS % "") + STEP + word("GETRESULTS") + ints(-1), "FORCEREADY", 1, "name of a result of -1"),
    ("a result's name of 2 GB", init(OURS % "") + word("GETRESULTS") + ints((1 << 31) - 1), "", 1, "of 2147483647"),
    ("memory that does not come", init(OURS % "") + word("MEMORY") + ints(2) + STEP + EXIT, "FORCEREADY", 0, "1 steps"),
    ("memory for -1 atoms", init(OURS % "") + word("MEMORY") + ints(-1), "", 1, "announced a number of atoms of -1"),
    ("the origin before a step", init(OURS % "") + word("GETORIGIN") + EXIT, "RESULTS", 0, "after 0 steps"),
]


class Server:
    """Listens for one worker."""

    def __init__(self, *arguments, model="odd-zero"):
        path = str(harness.SCRATCH / harness.name())
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        self.worker = harness.Worker(model, path, *arguments)
        self.connection, _ = listener.accept()
        listener.close()

    def send(self, data):
        # A worker that has ended takes no more.
        try:
            self.connection.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def end(self):
        """Exit code, output, and how much memory the worker and its Python took at most."""
        process = self.worker.process
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        code, output = self.worker.wait()
        return code, output, usage.ru_maxrss << 10


def answers(data):
    """The words of what was answered, with NaN and the extras where there are no numbers."""
    words = []
    while data:
        kind, data = data[:12].decode().strip(), data[12:]
        words.append(kind)
        if kind == "FORCEREADY":
            energy, atoms = struct.unpack_from("<di", data)
            numbers = 12 + 24 * atoms + 72
            (extras,) = struct.unpack_from("<i", data, numbers)
            if energy != energy:
                words += ["NaN", data[numbers + 4 : numbers + 4 + extras].decode()]
            data = data[numbers + 4 + extras :]
        if kind == "RESULTS":
            data = data[4 + struct.unpack_from("<i", data)[0] :]
    return " ".join(words)


def tried(case, arguments):
    """How a worker takes what a server sends before it closes its side; what is wrong with that, or nothing."""
    what, sent, expected, code, fragment = case
    server = Server(*arguments)
    sender = threading.Thread(target=lambda: (server.send(sent), shut(server.connection)))
    sender.start()
    received = b""
    while True:
        try:
            piece = server.connection.recv(1 << 16)
        except ConnectionResetError:
            return "%s: the connection was reset" % what
        if not piece:
            break
        received += piece
    sender.join()
    actual, output, memory = server.end()
    answered = answers(received)
    words = " ".join(output.replace("│", " ").split())
    as_expected = answered == expected.strip() or "NaN" in expected and "NaN" in answered
    as_expected = as_expected and all(part in answered for part in expected.split(" NaN ")[1:])
    if as_expected and actual == code and fragment in words and memory <= MEMORY:
        return None
    return "%s: exit code %s, %d MiB, %r\n%s" % (what, actual, memory >> 20, answered[:300], output[:2000])


def shut(connection):
    try:
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def try_all(table, *arguments):
    with ThreadPoolExecutor(4) as pool:
        wrong = [text for text in pool.map(lambda case: tried(case, arguments), table) if text]
    print("%d servers tried" % len(table))
    assert not wrong, "\n\n".join(wrong)


def stock():
    try_all(STOCK, "--species", "Cu2", "--pbc", "TTT")


def in_json():
    try_all(JSON, "--species-from-server")


def closing():
    """A server that closes between two messages ends in order, and one that closes in a message does not: at each point."""
    parts = [STATUS, init("Initializing"), STATUS, positions(), FORCE, EXIT[:0]]
    table, before = [], b""
    words = ["NEEDINIT", "", "READY", "", "FORCEREADY", ""]
    for number, part in enumerate(parts):
        answered = " ".join(filter(None, words[:number]))
        steps = int(number > 3)
        table.append(("before message %d" % number, before, answered, 0, "closed the connection after %d steps" % steps))
        name = {1: IN_INIT, 3: IN_POSITIONS}.get(number, "")
        for cut in [1, 11, 13, 16, 19, 20, 21, 83, 84, 155, 156, 159, 160, 167, len(part) - 1]:
            if 0 < cut < len(part):
                where = "ended in the middle of a header" if cut < 12 else name
                table.append(("in message %d, at byte %d" % (number, cut), before + part[:cut], answered, 1, where))
        before += part
    try_all(table, "--species", "Cu2", "--pbc", "TTT")


def gone_before_it_was_answered():
    server = Server("--species", "Cu2", "--pbc", "TTT")
    server.send(STATUS * 2 + STEP)
    server.connection.close()
    code, output, _ = server.end()
    assert code == 0 and "closed the connection before it read an answer" in output, (code, output)


def silent():
    """Nothing after connecting: the worker waits, says so, and answers all the same."""
    server = Server("--species", "Cu2", "--pbc", "TTT", "--heartbeat", "0.05")
    server.worker.await_output("rootstock: waited 0.1 s for the server")
    server.send(STATUS + EXIT)
    code, output, _ = server.end()
    assert code == 0 and "sent EXIT after 0 steps" in output, (code, output)


def a_byte_at_a_time():
    """A message that never becomes whole is no sign of life."""
    server = Server("--species", "Cu2", "--pbc", "TTT", "--heartbeat", "0.05")
    for byte, waited in zip(STATUS, ["0.05", "0.1", "0.2", "0.4"]):
        server.send(bytes([byte]))
        server.worker.await_output("rootstock: waited %s s for the server" % waited)
    server.connection.close()
    code, output, _ = server.end()
    assert code == 1 and "ended in the middle of a header" in output, (code, output)


if __name__ == "__main__":
    for case in sys.argv[3:]:
        globals()[case]()
