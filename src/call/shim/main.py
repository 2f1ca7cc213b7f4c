"""The Python side of `rootstock call`: answers one request after another.

The parent carries this program, in parts, and hands it over when Python starts; it is never installed into an environment.
`src/call/mod.rs` specifies the messages. Standard library only, Python 3.8 or later.
"""

import faulthandler
import json
import os
import signal
import sys
import sysconfig

# As short as possible.
dumps = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
# The traceback of an exception begins behind the frames of this program.
HERE = (lambda: 0).__code__.co_filename


class Streams:
    """Standard input, output and error as they were before any code of the user."""

    def __init__(self):
        self.texts = sys.stdout, sys.stderr
        self.files = [identity(number) for number in range(3)]
        self.copies = [os.dup(number) for number in range(3)]
        self.c_library = ctypes.CDLL(None)

    def restore(self):
        """Writes out what is buffered, and opens again what was closed or replaced; `False` if that is impossible."""
        for stream in {sys.stdout, sys.stderr, *self.texts}:
            try:
                stream.flush()
            except BaseException:
                pass
        try:
            self.c_library.fflush(None)
        except BaseException:
            pass
        sys.stdout, sys.stderr = self.texts
        for number, file in enumerate(self.files):
            if identity(number) != file:
                if identity(self.copies[number]) != file:
                    return False
                os.dup2(self.copies[number], number)
        return True


def identity(number):
    try:
        status = os.fstat(number)
    except OSError:
        return None
    return status.st_dev, status.st_ino


class Watchdog:
    """Has `faulthandler` write where this process is when it takes too long."""

    def __init__(self, file):
        self.file = file
        self.is_set = False

    def set(self, seconds):
        if seconds is not None:
            try:
                if os.lseek(self.file, 0, os.SEEK_CUR):
                    os.ftruncate(self.file, 0)
                    os.lseek(self.file, 0, os.SEEK_SET)
                faulthandler.dump_traceback_later(min(seconds, 1e6), file=self.file)
                self.is_set = True
            except (OSError, RuntimeError, ValueError):
                pass  # The parent stops this process without knowing where it is.

    def unset(self):
        if self.is_set:
            faulthandler.cancel_dump_traceback_later()
            self.is_set = False


def identify():
    return {
        "implementation": sys.implementation.name,
        "version": "%d.%d.%d" % sys.version_info[:3] + {"final": "", "candidate": "rc%d" % sys.version_info[4],
                   "beta": "b%d" % sys.version_info[4], "alpha": "a%d" % sys.version_info[4]}[sys.version_info[3]],
        "soabi": sysconfig.get_config_var("SOABI") or "",
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
    """The answer as bytes."""
    answer = perform(runner, request)
    always = {"n": request["n"]}
    if not streams.restore():
        # The outputs of the next request would be lost.
        always["worn"] = True
    try:
        text = dumps(dict(answer, **always)).encode()
    except BaseException as error:
        error = Unserialisable("result: %s: %s" % (type(error).__name__, error))
        text = dumps(dict(failed("unserialisable", error), **always)).encode()
    if len(text) > runner.order["max_output"]:
        error = TooLarge("the result takes %d bytes, more than the %d of `--max-output`" % (len(text), runner.order["max_output"]))
        text = dumps(dict(failed("too-large", error), **always)).encode()
    return text


class TooLarge(Exception):
    """A result that is longer than the user wants."""


def serve(launcher, runner, streams, watchdog):
    this = os.getpid()
    while True:
        _, request = launcher.next()
        watchdog.set(request["timeout"])
        text = answered(runner, request, streams)
        if os.getpid() != this:
            # A copy of this process, which the function has made with `fork` and which has come back from it.
            exit_now()
        watchdog.unset()
        launcher.ready(text)


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
