"""What the tests of `rootstock call` call."""

import atexit
import ctypes
import os
import sys
import time


def add(a, b=0):
    return a + b


def echo(value):
    return value


def prints():
    print("python")
    os.system("echo program")
    os.write(1, b"raw\n")
    ctypes.CDLL(None).puts(b"C")
    print("error é", file=sys.stderr)
    atexit.register(print, "at exit")


def raises(text="bad"):
    raise ValueError(text)


def leaves(code=None):
    sys.exit(code)


def exits(code=0):
    os._exit(code)


def kills(number):
    os.kill(os.getpid(), number)


def crashes():
    ctypes.string_at(0)


def pid():
    return os.getpid()


class Counter:
    def __init__(self, start=0):
        self.count = start

    def add(self, by=1):
        self.count += by
        return self.count

    def __call__(self):
        return self.count

    def fails(self):
        raise RuntimeError("as asked")

    def exits(self):
        os._exit(3)

    def sleeps(self):
        time.sleep(1000)


class Plain:
    """Cannot be called itself."""

    def __init__(self, calculator=None):
        self.calculator = calculator


class Broken:
    def __init__(self):
        raise KeyError("no parts")


async def later(value):
    return value


def sleeps():
    while True:
        time.sleep(1000)


def ignores_sigterm():
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleeps()


def blocks_in_c():
    ctypes.PyDLL(None).sleep(1000)


def closes_everything():
    os.closerange(0, 10000)
    return 1


def closes_everything_and_sleeps():
    os.closerange(0, 10000)
    sleeps()


def closes_outputs():
    os.close(1)
    os.close(2)
    return 1


def closes_outputs_for_ever():
    os.closerange(3, 10000)
    os.close(1)


def replaces_outputs():
    sys.stdout = open(os.devnull, "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    print("unseen")
    return 1


def forks():
    """Both processes come back from this."""
    return "child" if os.fork() == 0 else "parent"


def fork_that_goes_on(lifeline):
    """A process of this group that holds a pipe and never ends."""
    begun, begin = os.pipe()
    if os.fork() == 0:
        hold(lifeline, begin)
    os.read(begun, 1)
    return 1


def daemon(lifeline):
    """A process of another session that holds a pipe and never ends."""
    begun, begin = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            hold(lifeline, begin)
        os._exit(0)
    os.wait()
    os.read(begun, 1)
    return 1


def hold(lifeline, begin=None):
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pipe = os.open(lifeline, os.O_WRONLY)
    os.write(pipe, b"started\n")
    if begin is not None:
        os.write(begin, b"1")
    sleeps()


def holds(lifeline):
    hold(lifeline)


def thread_that_goes_on():
    import threading

    def go_on():
        while True:
            os.write(1, b"x" * 4096)
            time.sleep(0.001)

    threading.Thread(target=go_on).start()
    return 1


def floods(size):
    """Fills both outputs at the same time."""
    part = b"x" * 63 + b"\n"
    for _ in range(size // 64 // 1024):
        os.write(1, part * 1024)
        os.write(2, part * 1024)
    print("end of stdout")
    print("end of stderr", file=sys.stderr)
    return size


def leaves_its_directory():
    os.chdir("/")
    return 1


def deletes_its_directory():
    import shutil

    here = os.getcwd()
    shutil.rmtree(here)
    return here


def fills_its_directory():
    with open("file", "w") as file:
        file.write("text")
    os.mkdir("closed", 0o555)
    return os.getcwd()


def where():
    return [os.getcwd(), sorted(os.listdir())]


def writes_to_the_socket():
    """Something else than an answer, to whatever sockets there are."""
    import stat

    for number in range(3, 100):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.write(number, b"y" * 100)
        except OSError:
            pass
    return 1


def closes_input():
    os.close(0)
    return 1


def reads():
    return sys.stdin.read()


def variables():
    return dict(os.environ)


def ignores_everything():
    try:
        sleeps()
    except BaseException:
        sleeps()


def cycle():
    inner = []
    inner.append(inner)
    return {"a": [0, inner]}


class Twin(str):
    """A text that equals no other one."""

    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other


def values(name):
    """Results that JSON cannot carry."""
    import decimal

    deep = []
    for _ in range(5000):
        deep = [deep]
    return {
        "set": {"a": [{1, 2}]},
        "object": [0, object()],
        "key": {"x": {1: 2}},
        "twins": {"x": {Twin("a"): 1, Twin("a"): 2}},
        "deep": deep,
        "surrogate": ["\ud800"],
        "decimal": decimal.Decimal(1),
        "complex": (1, 2j),
        "generator": (x for x in [1]),
        "tag": {"y": {"$bytes": "z"}},
        "function": values,
    }[name]


def fine_values():
    import enum
    import pathlib

    class Colour(enum.IntEnum):
        RED = 1

    class Name(str, enum.Enum):
        FIRST = "first"

    class Loud(str):
        def __str__(self):
            return "LOUD"

    class Half(float):
        def __float__(self):
            return 2.0

    return {
        "tuple": (1, "a", None, True),
        "floats": [1.5, float("inf"), -float("inf"), float("nan")],
        "bytes": b"hi",
        "path": pathlib.Path("/tmp/x"),
        "enum": Colour.RED,
        "names": [Name.FIRST, Loud("quiet"), {Loud("key"): Half(0.5)}],
        "large": 10**40,
        "text": "é\n\x1b水",
    }


def large(size):
    return "x" * size


def needs_calculator(atoms, calculator):
    atoms.calc = calculator
    return atoms.get_potential_energy()


def loaded(calculator):
    return id(calculator)


def imports_missing():
    import there_is_no_such_module
