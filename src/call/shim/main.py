"""The Python side of `rootstock call`: answers one request after another.

The parent carries this program, in parts, and hands it over when Python starts; it is never installed into an environment.
`src/call/mod.rs` specifies the messages. Standard library only, Python 3.8 or later.
"""

import json
import os
import signal
import sys
from importlib.machinery import EXTENSION_SUFFIXES

# As short as possible.
dumps = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
# The traceback of an exception begins behind the frames of this program.
HERE = (lambda: 0).__code__.co_filename


def soabi():
    """The ABI of extension modules, from `.cpython-311-x86_64-linux-gnu.so`: importing `sysconfig` takes milliseconds."""
    suffix = EXTENSION_SUFFIXES[0]
    return suffix[1:-3] if suffix.count(".") == 2 else ""


def identify():
    return {
        "implementation": sys.implementation.name,
        "version": "%d.%d.%d" % sys.version_info[:3] + {"final": "", "candidate": "rc%d" % sys.version_info[4],
                   "beta": "b%d" % sys.version_info[4], "alpha": "a%d" % sys.version_info[4]}[sys.version_info[3]],
        "soabi": soabi(),
        "executable": sys.executable,
        "prefix": sys.prefix,
        "pid": os.getpid(),
    }


def failed(kind, error, hint=""):
    """The fields of an answer to a request that failed. A traceback is only of use where the user's code raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == HERE:
        trace = trace.tb_next
    found = report(error.with_traceback(trace))
    failure = {"kind": kind, "type": found["kind"], "message": found["error"], "traceback": found["traceback"], "hint": plain(hint, LONGEST_LINE)}
    if kind != "raised":
        # The message alone: its class is ours.
        failure.update(type=kind, message=plain(str(error), LONGEST_LINE), traceback="")
    elif isinstance(error, SystemExit):
        code = error.code
        failure["exit"] = code if isinstance(code, int) and 0 < code < 256 else 1
    return {"failure": failure}


def perform(runner, request):
    """The fields of the answer; never raises."""
    kinds = [(NotFound, "not-found"), (BadValue, "bad-request"), (Unserialisable, "unserialisable"), (PythonMismatch, "python-mismatch"), (BadOutput, "bad-output")]
    try:
        os.chdir(request["workdir"])
        answer = KINDS[request["kind"]](runner, request)
        if "result" in answer:
            answer["result"] = dump(answer["result"], "result") if request["want"] == "pickle" else encode(answer["result"], "result")
        return answer
    except BaseException as error:
        for made, kind in kinds:
            if type(error) is made:
                return failed(kind, error, getattr(error, "hint", ""))
        return failed("raised", error)


def answered(runner, request, streams):
    """The parts of the answer."""
    answer = perform(runner, request)
    always = {"n": request["n"]}
    if not streams.restore():
        # The outputs of the next request would be lost.
        always["worn"] = True
    try:
        parts = message_parts(dumps(dict(answer, **always)).encode())
    except BaseException as error:
        error = Unserialisable("result: %s: %s" % (type(error).__name__, error))
        parts = [dumps(dict(failed("unserialisable", error), **always)).encode()]
    length = sum(map(len, parts))
    if length > runner.order["max_output"]:
        error = TooLarge("the result takes %d bytes, more than the %d of `--max-output`" % (length, runner.order["max_output"]))
        parts = [dumps(dict(failed("too-large", error), **always)).encode()]
    return parts


class TooLarge(Exception):
    """A result that is longer than the user wants."""


def serve(launcher, runner, streams, watchdog):
    this = os.getpid()
    while True:
        _, length = WORD.unpack(launcher.receive(WORD.size))
        text = launcher.receive(length)
        # Their arguments are all decoded.
        request = read_message(text, text.startswith((b'{"kind":"function"', b'{"kind":"class"')))
        watchdog.set(request["timeout"])
        parts = answered(runner, request, streams)
        if os.getpid() != this:
            # A copy of this process, which the function has made with `fork` and which has come back from it.
            exit_now()
        watchdog.unset()
        launcher.answer(parts)


def main(connection):
    # The parent blocks these signals; this process and programs that it starts should get them.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGXFSZ])
    launcher = take_connection(connection)
    order, trace = launcher.receive_order()
    die_with(order["launcher"])
    streams, watchdog = Streams(), Watchdog(trace)
    watchdog.set(order["startup_timeout"])
    CALLER["directory"] = order["directory"]
    sys.path[:0] = order["paths"]
    runner = Runner(order)
    try:
        runner.load()
        ready = dumps(identify()).encode()
    except BaseException as error:
        answer = dumps(failed("raised", error)).encode()
        streams.restore()
        launcher.connection.sendall(WORD.pack(ERROR, len(answer)) + answer)
        exit_now(1)
    watchdog.unset()
    streams.restore()
    launcher.ready(ready)
    serve(launcher, runner, streams, watchdog)


main(connection)
