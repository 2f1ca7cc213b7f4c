"""Models that answer with what is no result: each is refused with its cause, by every kind of server, and never taken for a number."""

import json
import random
import socket
import struct
import subprocess
import sys

import harness
import numpy as np
from ase.calculators.socketio import SocketIOCalculator

HEAD = """
import numpy as np
from ase.calculators.calculator import Calculator, all_changes

class Given(Calculator):
    implemented_properties = ["energy", "forces", "stress"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        count = len(atoms)
        self.results = {"energy": -1.5, "forces": np.zeros((count, 3)), "stress": np.zeros(6)}
        self.change(count)

    def change(self, count):
        %s

def setup(device):
    return Given()
"""


def model(source):
    """A file with a model."""
    path = harness.SCRATCH / (harness.name() + ".py")
    path.write_text(source)
    return str(path)


def script(path):
    return "--setup", json.dumps({"script": path})


def given(change):
    return model(HEAD % change)


class Client:
    """Our own client's dialect, over a socket."""

    def __init__(self, path, *arguments, stderr=None):
        self.socket, theirs = socket.socketpair()
        self.log = open(harness.SCRATCH / harness.name(), "w+b")
        command = [harness.ROOTSTOCK, "worker", "odd-zero", *script(path), "--root", harness.ROOT]
        command += ["--fd", str(theirs.fileno()), "--species-from-server", *arguments]
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=stderr or self.log)
        theirs.close()

    def step(self, atoms):
        text = json.dumps({"rs": 2, "numbers": atoms.numbers.tolist(), "pbc": atoms.pbc.tolist()}).encode()
        message = b"INIT        " + struct.pack("<ii", 0, len(text)) + text
        message += b"POSDATA     " + atoms.cell.array.T.tobytes() + bytes(72)
        message += struct.pack("<i", len(atoms)) + atoms.positions.tobytes() + b"GETFORCE    "
        self.socket.sendall(message)
        assert self.receive(12) == b"FORCEREADY  "
        energy, count = struct.unpack("<di", self.receive(12))
        self.receive(24 * count)
        stress = np.frombuffer(self.receive(72))
        return energy, stress, json.loads(self.receive(struct.unpack("<i", self.receive(4))[0]))

    def receive(self, count):
        data = self.socket.recv(count, socket.MSG_WAITALL)
        assert len(data) == count, self.output()
        return data

    def output(self):
        self.log.seek(0)
        return self.log.read()

    def ends(self, code):
        self.socket.close()
        assert self.process.wait(timeout=120) == code, self.output()
        return self.output()


def refused_by_stock_ase(path, *fragments):
    atoms, server = harness.copper(), harness.name()
    with SocketIOCalculator(unixsocket=server) as calculator:
        worker = harness.Worker("odd-zero", server, *script(path), template=atoms)
        atoms.calc = calculator
        harness.no_answer(atoms)
        return worker.fails(1, *fragments)


def refused(client, atoms, kind, fragment):
    energy, stress, extras = client.step(atoms)
    assert np.isnan(energy) and np.isnan(stress).all()
    assert extras["kind"] == kind and fragment in extras["error"], extras


def stress_that_is_not_finite():
    for change, component in [
        ("self.results['stress'] = np.full(6, np.nan)", "xx"),
        ("self.results['stress'][3] = np.inf", "yz"),
        ("self.results['stress'] = np.diag([0, 0, -np.inf])", "zz"),
    ]:
        path = given(change)
        cause = "the model computed a stress that is not finite, first its " + component
        refused_by_stock_ase(path, cause)
        client = Client(path)
        refused(client, harness.copper(), "NotFinite", cause)
        # A molecule needs no stress, with a box or without: energy and forces are good.
        for atoms in (harness.boxed(), harness.water()):
            energy, stress, extras = client.step(atoms)
            assert energy == -1.5 and np.isnan(stress).all() and extras == {}, extras
        client.ends(0)


def results_of_another_type():
    """What is no real number is no result: texts, truth values, complex numbers, nothing, objects, masked numbers."""
    for change, cause in [
        ("self.results['energy'] = '-1.5'", "the model's energy: expected real numbers, got str"),
        ("self.results['energy'] = b'-1.5'", "the model's energy: expected real numbers, got bytes"),
        ("self.results['energy'] = True", "the model's energy: expected real numbers, got bool"),
        ("self.results['energy'] = np.bool_(True)", "the model's energy: expected real numbers, got bool"),
        ("self.results['energy'] = -1.5 + 0j", "the model's energy: expected real numbers, got complex"),
        ("self.results['energy'] = np.complex64(2)", "the model's energy: expected real numbers, got complex64"),
        ("self.results['energy'] = None", "the model's results have no energy"),
        ("del self.results['energy']", "the model's results have no energy"),
        ("self.results['energy'] = np.array(-1.5, object)", "the model's energy: expected real numbers, got ndarray (object)"),
        ("self.results['energy'] = np.datetime64(3, 's')", "the model's energy: expected real numbers, got datetime64"),
        ("self.results['energy'] = np.ones(2)", "the model's energy has shape (2,)"),
        ("self.results['energy'] = np.ma.masked", "the model's energy: some of the numbers are masked"),
        ("self.results['forces'] = None", "the model's results have no forces"),
        ("self.results['forces'] = self.results['forces'].astype(str)", "the model's forces: expected real numbers"),
        ("self.results['forces'] = self.results['forces'] > 0", "the model's forces: expected real numbers"),
        ("self.results['forces'] = self.results['forces'] * 1j", "the model's forces: expected real numbers"),
        ("self.results['forces'] = self.results['forces'].astype(object)", "the model's forces: expected real numbers"),
        ("self.results['forces'] = [['0', 0, 0]] * count", "the model's forces: expected real numbers, got list"),
        ("self.results['forces'] = np.ma.masked_equal(self.results['forces'], 0)", "the model's forces: some of the numbers"),
        ("self.results['stress'] = ['0'] * 6", "the model's stress: expected real numbers, got list"),
        ("self.results['stress'] = np.zeros(6, bool)", "the model's stress: expected real numbers"),
        ("self.results['stress'] = np.zeros(6, complex)", "the model's stress: expected real numbers"),
    ]:
        client = Client(given(change))
        kind = "ValueError" if "has shape" in cause else "TypeError"
        refused(client, harness.copper(), kind, cause)
        client.ends(0)
    refused_by_stock_ase(given("self.results['energy'] = '-1.5'"), "the model's energy: expected real numbers, got str")


def numbers_of_other_types():
    """Integers, single precision and arrays of one number are numbers."""
    for change in [
        "self.results['energy'] = -2",
        "self.results['energy'] = np.float32(-2)",
        "self.results['energy'] = np.array([-2.0])",
        "self.results.update(energy=np.array(-2), forces=[[0, 0, 0]] * count, stress=[0] * 6)",
    ]:
        client = Client(given(change))
        energy, stress, extras = client.step(harness.copper())
        assert energy == -2 and not stress.any() and extras == {}, (change, energy, stress, extras)
        client.ends(0)


# What an exception may say, as an expression, and what of it arrives.
TEXTS = [
    ("'x'", "x"),
    ("''", ""),
    ("'no file caf\\udce9.pt'", "no file caf\\udce9.pt"),
    ("'nul \\0, escape \\x1b[31m, bell \\x07, return \\r.'", "nul \\x00, escape \\x1b[31m, bell \\x07, return \\x0d."),
    ("'turned \\u202e around \\u2066, \\x9b31m'", "turned \\u202e around \\u2066, \\x9b31m"),
    ("'caf\\xe9 \\u6c34 \\U0001f4a7'", "café 水 💧"),
    ("'begins' + 'x' * (300 << 20) + 'ends'", "ends"),
    ("'begins' + '\\udce9' * (30 << 20) + 'ends'", "ends"),
    ("'\\U0001f4a7' * 100000 + 'ends'", "ends"),
    ("'\\n' * 100000 + 'ends'", "ends"),
    (r"""'quoted " and \\ and {braces}'""", r'quoted " and \ and {braces}'),
]

# A library that has replaced what the worker could use.
REPLACED = """
import io, json, sys, traceback
json.dumps = json.loads = json.JSONEncoder = lambda *_, **__: b"replaced"
traceback.format_exception = traceback.format_exception_only = traceback.TracebackException = None
sys.stderr = sys.stdout = io.TextIOWrapper(io.BytesIO(), "ascii")
sys.stderr.close()
sys.stdout.close()
"""


def raising(text, before=""):
    """A model that raises at a step, and one that does so while it loads."""
    in_a_step = before + HEAD % ("raise ValueError(%s)" % text)
    return model(in_a_step), model(before + "def setup(device):\n    raise ValueError(%s)\n" % text)


def while_loading(path, *fragments):
    """The cause, not contact with the server; nothing that a terminal acts on, and no more than a person reads."""
    worker = harness.Worker("odd-zero", "nobody", *script(path), "--species", "Cu", "--pbc", "TTT")
    code, output = worker.wait()
    assert code == 1 and "connecting" not in output and "starting it again" not in output, (code, output[-2000:])
    assert len(output) < 200_000 and not set(output) & set("\0\x1b\x07\r\u202e\x9b"), output[-2000:]
    words = "".join(output.replace("\u2502", "").split())
    assert "couldnotbeloaded" in words, output[-2000:]
    for fragment in fragments:
        assert "".join(fragment.split()) in words, (fragment, output[-2000:])


def exceptions_arrive_whatever_they_say():
    atoms = harness.copper()
    for text, arrives in TEXTS:
        in_a_step, in_setup = raising(text)
        while_loading(in_setup, "ValueError", arrives)
        client = Client(in_a_step)
        for _ in range(2):
            energy, _, extras = client.step(atoms)
            assert np.isnan(energy) and extras["kind"] == "ValueError" and arrives in extras["error"], (text, extras)
            assert "in change" in extras["error"] and len(extras["error"]) < 200_000, (text, extras)
        output = client.ends(0)
        assert b"starting it again" not in output and not set(output) & set(b"\0\x1b\x07\r"), output
    print("%d texts" % len(TEXTS))


# What random texts are made of.
PIECES = list("ab \n\t\0\x1b\x07\r\x7f\x80\x9b\"\\{}%é水💧\u202e\u2066\u200f\u2028\u061c\ufeff\uffff\ud800\udbff\udc00\udce9\udfff")
# As the worker cuts a line; marks of direction.
LONGEST_LINE, MARKS = 2000, {0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)}


def escaped(text):
    """The text as a terminal may have it."""

    def escape(character):
        code = ord(character)
        if character not in "\n\t" and (code < 32 or 127 <= code < 160):
            return "\\x%02x" % code
        return "\\u%04x" % code if code in MARKS or 0xD800 <= code < 0xE000 else character

    return "".join(map(escape, text))


def random_texts():
    dice = random.Random(12)
    lengths = [1] * 40 + [dice.randrange(2, 60) for _ in range(100)] + [dice.randrange(1900, 2100) for _ in range(20)]
    lengths += [10_000, 100_000, 1 << 20, LONGEST_LINE, LONGEST_LINE + 1]
    texts = ["".join(dice.choices(PIECES, k=length)) for length in lengths]
    # Two halves of a pair side by side are one character.
    return PIECES + [json.loads(json.dumps(text)) for text in texts]


def exceptions_of_any_text():
    """Whatever the text is made of, it arrives escaped, whole or with its beginning and end; the worker goes on."""
    texts = random_texts()
    path = harness.SCRATCH / "texts.json"
    path.write_text(json.dumps(texts))
    raises = "raise ValueError(TEXTS[atoms_seen() - 1])"
    client = Client(model("import json\nTEXTS = json.load(open(%r))\n" % str(path) + HEAD % raises + COUNTS))
    atoms = harness.copper()
    for text in texts:
        energy, _, extras = client.step(atoms)
        error = extras["error"]
        assert np.isnan(energy) and extras["kind"] == "ValueError", (text[:100], extras)
        assert escaped(error) == error and len(error) < 100_000, (text[:100], error)
        if len(text) <= LONGEST_LINE:
            assert error.endswith(escaped("ValueError: " + text).rstrip()), (text, error)
        else:
            head, tail = text[: LONGEST_LINE // 2], text[-LONGEST_LINE // 2 :]
            assert escaped(head) in error and error.endswith(escaped(tail).rstrip()), (text[:100], error)
    output = client.ends(0)
    assert b"starting it again" not in output and not set(output) & set(b"\0\x1b\x07\r\x7f"), output[-2000:]
    assert not set(output.decode()) & set("\u202e\u2066\x9b"), output[-2000:]
    # While it loads, each text takes a process.
    for text in texts[:: len(texts) // 8]:
        while_loading(raising(ascii(text))[1], "ValueError")
    print("%d texts" % len(texts))


def exceptions_arrive_in_memory():
    """Steps that are asked for in memory shared with the client have room for 64 KiB."""
    sys.path.insert(0, sys.argv[4])
    from rootstock import RootstockCalculator

    where = {"root": harness.ROOT, "program": harness.ROOTSTOCK}
    cases = [("raise ValueError(%s)" % text, "ValueError", arrives) for text, arrives in TEXTS]
    nan = "self.results['stress'][3] = np.nan"
    cases.append((nan, "NotFinite", "the model computed a stress that is not finite, first its yz"))
    cases.append(("self.results['energy'] = '-1.5'", "TypeError", "the model's energy: expected real numbers, got str"))
    for change, kind, arrives in cases:
        # The first step is asked for by a message; the third is the one that fails.
        later = model(HEAD % ("if atoms_seen() > 2: " + change) + COUNTS)
        atoms = harness.copper()
        with RootstockCalculator("odd-zero", setup_kwargs={"script": later}, **where) as atoms.calc:
            for _ in range(2):
                atoms.rattle(0.01)
                assert atoms.get_potential_energy() == -1.5
            atoms.rattle(0.01)
            try:
                atoms.get_potential_energy()
            except Exception as error:
                assert kind in str(error) and arrives in str(error), (change, str(error)[-2000:])
            else:
                raise AssertionError(change)


COUNTS = """
def atoms_seen(seen=[0]):
    seen[0] += 1
    return seen[0]
"""


def exceptions_arrive_where_libraries_replaced_what_carries_them():
    in_a_step, in_setup = raising("'the cause'", REPLACED)
    while_loading(in_setup, "ValueError: the cause")
    refused_by_stock_ase(in_a_step, "ValueError: the cause")
    client = Client(in_a_step)
    refused(client, harness.copper(), "ValueError", "the cause")
    client.ends(0)


def exceptions_that_cannot_say_what_they_are():
    """No text, a text that is itself an exception, a class with a strange name, notes, and causes."""
    for definition, raised, arrives in [
        ("class Mute(Exception):\n    def __str__(self): raise RuntimeError('no')\n", "Mute()", "Mute"),
        ("class Worse(Exception):\n    def __str__(self): raise SystemExit(3)\n", "Worse()", "Worse"),
        ("Strange = type('Str\\udce9nge\\x1b', (Exception,), {})\n", "Strange('text')", "Str\\udce9nge\\x1b"),
        ("def noted():\n    e = KeyError('k')\n    e.add_note('n' * (50 << 20))\n    return e\n", "noted()", "KeyError: 'k'"),
        ("", "SystemExit('goodbye')", "SystemExit: goodbye"),
        ("", "KeyboardInterrupt()", "KeyboardInterrupt"),
        ("", "MemoryError()", "MemoryError"),
        ("", "UnicodeDecodeError('utf-8', b'\\xff' * 9, 0, 1, 'bad \\udcff')", "bad \\udcff"),
        ("", "SyntaxError('s', ('f', 1, 1, 'y' * (20 << 20)))", "SyntaxError: s"),
        ("", "BaseExceptionGroup('g', [ValueError('z' * (50 << 20))] * 3)", "g (3 sub-exceptions)"),
    ]:
        while_loading(model(definition + "def setup(device):\n    raise " + raised), arrives)
    cause = "def setup(device):\n    raise ValueError('second') from KeyError('first\\udce9')\n"
    while_loading(model(cause), "ValueError: second", "KeyError: 'first\\udce9'")


STARTS_PROCESSES = """
import concurrent.futures
import multiprocessing

import env_source

def started(way, argument):
    context = multiprocessing.get_context(way)
    with context.Pool(1) as pool:
        first = pool.apply(env_source.from_script, (__file__, argument))
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return first + pool.submit(env_source.from_script, __file__, argument).result()

def setup(argument):
    if argument == "number":
        return -0.25
    found = sum(started(way, "number") for way in ("spawn", "forkserver"))
    return make(found)

def make(found):
"""


def processes_of_a_model():
    """Processes that a model starts while it loads and in a step find what is defined in its environment's source."""
    body = HEAD % "self.results['energy'] = found + started('spawn', 'number')"
    body = body[: body.index("def setup")].replace("\n", "\n    ") + "\n    return Given()\n"
    client = Client(model(STARTS_PROCESSES + body))
    for _ in range(2):
        energy, _, extras = client.step(harness.copper())
        assert energy == -1.5 and extras == {}, (energy, extras)
    assert b"No module named" not in client.ends(0)


def a_model_that_hangs():
    """It is waited for, and the worker reports for how long and what would end that; the server may close meanwhile."""
    hangs = given("import time; time.sleep(100000)")
    for arguments, advice in [
        ((), b"with `--step-timeout SECONDS` a Python that hangs is restarted"),
        (("--step-timeout", "1000"), b"Python is restarted after 1000 s (`--step-timeout`)"),
    ]:
        client = Client(hangs, "--heartbeat", "0.05", *arguments, stderr=subprocess.PIPE)
        atoms = harness.water()
        text = json.dumps({"rs": 2, "numbers": atoms.numbers.tolist(), "pbc": atoms.pbc.tolist()}).encode()
        message = b"INIT        " + struct.pack("<ii", 0, len(text)) + text
        message += b"POSDATA     " + bytes(144) + struct.pack("<i", len(atoms)) + atoms.positions.tobytes()
        client.socket.sendall(message + b"GETFORCE    ")
        lines = []
        while sum(b"still computing this step, for " in line for line in lines) < 2:
            lines.append(client.process.stderr.readline())
            assert lines[-1], b"".join(lines)
        client.socket.close()
        lines.append(client.process.communicate()[1])
        assert client.process.returncode == 0 and advice in b"".join(lines), b"".join(lines)


for case in sys.argv[3:4]:
    globals()[case]()
