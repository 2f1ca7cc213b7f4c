"""The Python side of `rootstock evaluate`: reads structures, or loads a model and computes them.

The parent carries this program, in parts, and hands it over when Python starts; it is never installed into an environment.
`src/evaluate/mod.rs` specifies the messages. Standard library, NumPy and ASE only, Python 3.8 or later.
"""

import os
import signal
import struct
import sys

# As short as possible.
dumps = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


class Process:
    """One process: what it was asked to be."""

    def __init__(self, order):
        self.order = order
        self.computer = self.reader = None

    def read(self, request, blob):
        if self.reader is None:
            self.reader = Reader(self.order["input"])
        items, parts, ended = self.reader.read(request["most"], request["bytes"], request["from"])
        return {"items": items, "ended": ended}, parts

    def load(self, request, blob):
        order = dict(self.order["model"], source=self.order["source"], device=request["device"])
        function = self.order["function"]
        if function is not None:
            # First: a mistake in it is found before a model is loaded.
            found = Finder(self.order["source"]).find(function, "function")[0]
        calculator, source = load_calculator(order)
        self.computer = Computer(calculator, dict(self.order, device=order["device"]), source)
        if function is not None:
            self.computer.function = found
        # Counted after loading: a source may decide what torch sees before it imports it.
        found = devices_like(order["device"]) if "chosen" in order else []
        return {"device": order["device"], "devices": found, "batch": self.computer.batch is not None and function is None}, ()

    def compute(self, request, blob):
        answers, largest = self.computer.answer(request, blob)
        items, parts = [], []
        for answer in answers:
            if isinstance(answer, BaseException):
                items.append({"failure": failed(answer)})
            else:
                items.append({"length": len(answer)})
                parts.append(answer)
        return {"items": items, "largest": largest}, parts


def devices_like(device):
    """All devices of the kind of this one, which torch has chosen."""
    kind = device.partition(":")[0]
    backend = getattr(sys.modules.get("torch"), kind, None)
    return ["cpu"] if kind == "cpu" else ["%s:%d" % (kind, number) for number in range(backend.device_count())]


def failed(error):
    """What a failure says. A traceback is only of use where the user's code or the model raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == HERE:
        trace = trace.tb_next
    is_ours = trace is None or isinstance(error, (NotFound, NoStructures))
    found = report(error.with_traceback(trace))
    message = found["error"]
    if is_ours:
        message = plain(str(error), LONGEST_LINE)
    hint = plain(getattr(error, "hint", ""), LONGEST_LINE) if isinstance(error, NotFound) else ""
    return {"type": found["kind"], "message": message, "traceback": "" if is_ours else found["traceback"], "hint": hint}


# The traceback of an exception begins behind the frames of this program.
HERE = (lambda: 0).__code__.co_filename


def answered(process, request, blob):
    """The answer as bytes."""
    try:
        answer, parts = getattr(process, request["do"])(request, blob)
    except BaseException as error:
        answer, parts = {"failure": failed(error)}, ()
    answer["n"] = request["n"]
    head = dumps(answer).encode()
    return b"".join([struct.pack("<I", len(head)), head, *parts])


def receive(launcher):
    """A message: its head and what follows."""
    _, length = WORD.unpack(launcher.receive(WORD.size))
    message = launcher.receive(length)
    size = struct.unpack_from("<I", message)[0]
    return loads(message[4 : 4 + size].decode()), message[4 + size :]


def serve(launcher, process, streams, watchdog):
    this = os.getpid()
    while True:
        request, blob = receive(launcher)
        watchdog.set(request["timeout"])
        message = answered(process, request, blob)
        if os.getpid() != this:
            # A copy of this process, which a function has made with `fork` and which has come back from it.
            exit_now()
        watchdog.unset()
        streams.restore()
        launcher.ready(message)


def main(connection):
    # The parent blocks these signals; this process and programs that it starts should get them.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGXFSZ])
    # Ctrl-C on a terminal reaches all processes; the parent ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    launcher = take_connection(connection)
    order, trace = launcher.receive_order()
    die_with(order["launcher"])
    streams, watchdog = Streams(), Watchdog(trace)
    sys.path[:0] = order["paths"]
    launcher.ready(b"{}")
    serve(launcher, Process(order), streams, watchdog)


main(connection)
