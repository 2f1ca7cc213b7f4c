"""The Python side of `rootstock call` under every Python from 3.8 on that this machine has: the same answers to the same requests.

Plays the parent (`src/call/mod.rs` specifies the messages). Argument: the repository. Prints which Pythons were found.
"""

import array
import base64
import json
import os
import pathlib
import pickle
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

HEAD = struct.Struct("=ii")
TEXT = 2
SERIES = ["3.%d" % minor for minor in range(8, 16)]
CODE = '''
import asyncio, os, pathlib, sys

def echo(*args, **kwargs):
    """Returns what it gets."""
    return [list(args), kwargs]

def raises(text):
    raise ValueError(text)

async def later(value):
    await asyncio.sleep(0)
    return value

class Counter:
    def __init__(self, n=0):
        self.n = n
    def add(self, by):
        self.n += by
        return self.n

def fine():
    return {"f": [1.5, float("nan")], "b": b"hi", "p": pathlib.Path("/x"), "t": (1, None), "i": 10 ** 30}

def bad():
    return {"a": [{1, 2}]}

def large():
    return "x" * 3000000

def leaves():
    sys.exit(7)

def closes():
    os.close(1)
    sys.stdout = None
    return 1

def wire(entrypoint, params, seed):
    return {"raw": b"ok-%d" % seed, "text": "e", "json": {"b": 1, "a": 2}}

def loss(returns, target_data=None):
    return {"loss": len(returns), "diagnostics": target_data}
'''


def found(series):
    """The program of this series, if there is one."""
    candidates = [shutil.which("python" + series)]
    candidates += sorted(pathlib.Path.home().glob(".pyenv/versions/%s.*/bin/python%s" % (series, series)))
    for program in filter(None, candidates):
        ask = [str(program), "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"]
        answer = subprocess.run(ask, capture_output=True, text=True, check=False)
        if answer.returncode == 0 and answer.stdout.startswith(series + " "):
            return answer.stdout.split(" ", 1)[1].strip()
    return None


def program(repository):
    """The text that the parent sends, and the line that receives it."""
    here = repository / "src/call"
    listed = re.search(r"const PROGRAM: &str = concat!\((.*?)\n\);", (here / "mod.rs").read_text(), re.S).group(1)
    parts = re.findall(r'include_str!\("([^"]+)"\)|"((?:\\n)+)"', listed)
    text = "".join((here / path).read_text() if path else "\n" * breaks.count("\\n") for path, breaks in parts)
    rust = (repository / "src/pool/python.rs").read_text()
    first = re.search(r'const FIRST_LINE: &str = "(.*?)";', rust, re.S).group(1)
    return text, first.replace("\\\n", "")


class Python:
    def __init__(self, executable, texts, directory):
        text, first = texts
        self.socket, theirs = socket.socketpair()
        command = [executable, "-I", "-B", "-X", "faulthandler", "-c", first, str(len(text.encode())), "toy"]
        self.process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.DEVNULL, cwd=directory, start_new_session=True)
        theirs.close()
        self.socket.sendall(text.encode())
        order = json.dumps({
            "launcher": os.getpid(), "source": str(directory / "env_source.py"), "directory": str(directory), "paths": [str(directory)],
            "model": {"argument": "", "setup": {}, "weights": None, "device": "cpu", "rank": 0}, "eager": False, "digest": "0" * 64,
            "entry_points": {"rootstock.task": {"execute": "functions:wire"}}, "max_output": 2000000, "startup_timeout": 600.0,
        }).encode()
        with tempfile.TemporaryFile() as trace:
            files = array.array("i", [trace.fileno()])
            self.socket.sendmsg([HEAD.pack(TEXT, len(order))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
        self.socket.sendall(order)
        self.number, self.directory = 0, directory
        self.identity = self.receive()

    def receive(self):
        kind, length = HEAD.unpack(self.exactly(HEAD.size))
        assert kind == TEXT, kind
        return json.loads(self.exactly(length))

    def exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            assert part, "it has ended with %r" % self.process.wait()
            data += part
        return data

    def ask(self, **request):
        self.number += 1
        request = dict({"timeout": None, "want": "json", "workdir": str(self.directory), "n": self.number}, **request)
        text = json.dumps(request).encode()
        self.socket.sendall(HEAD.pack(TEXT, len(text)) + text)
        answer = self.receive()
        assert answer["n"] == self.number
        return answer

    def function(self, name, *args, **more):
        return self.ask(kind="function", module="functions", function_name=name, args=list(args), **more)

    def end(self):
        self.socket.close()
        assert self.process.wait() == 0


def check(python, series):
    assert python.identity["version"].startswith(series + "."), python.identity
    assert python.function("echo", {"$bytes": "aGk="}, {"$path": "x"}, {"$float": "inf"}, kwargs={"a": 1})["result"] == [
        [{"$bytes": "aGk="}, {"$path": str(python.directory / "x")}, {"$float": "inf"}], {"a": 1}]
    assert python.function("fine")["result"] == {
        "f": [1.5, {"$float": "nan"}], "b": {"$bytes": "aGk="}, "p": {"$path": "/x"}, "t": [1, None], "i": 10**30}
    assert python.function("later", 5)["result"] == 5
    raised = python.function("raises", "a\x1b\u202e\ud800")["failure"]
    assert (raised["kind"], raised["type"], raised["message"]) == ("raised", "ValueError", "ValueError: a\\x1b\\u202e\\ud800"), raised
    assert "in raises" in raised["traceback"], raised
    kinds = {"bad": "unserialisable", "large": "too-large", "no_such": "not-found", "leaves": "raised"}
    for name, kind in kinds.items():
        failure = python.function(name)["failure"]
        assert failure["kind"] == kind, failure
    assert python.function("leaves")["failure"]["exit"] == 7
    assert python.function("closes")["result"] == 1
    assert python.ask(kind="function", module="no.such", function_name="f")["failure"]["kind"] == "not-found"
    path = str(python.directory / "functions.py")
    assert python.ask(kind="function", module=path, function_name="echo")["code"]["path"] == path
    assert python.ask(kind="function", module="env_source", function_name="two")["result"] == 2
    code = "def f(x):\n    return x * 2\n"
    assert python.ask(kind="function", function_code=code, function_name=None, args=[21])["result"] == 42
    made = dict(kind="class", module="functions", class_name="Counter", constructor_args=[3], create_new_instance=True)
    made = python.ask(method_name="add", args=[4], instance_id="c", close=False, **made)
    assert (made["result"], made["instance_id"], made["instance_info"]["method_calls"]) == (7, "c", 1), made
    again = dict(kind="class", create_new_instance=False, instance_id="c", method_name="add", args=[1])
    assert python.ask(close=True, **again)["result"] == 8
    assert python.ask(close=False, **again)["failure"]["kind"] == "not-found"
    # With the one entry point that there is, and by name.
    task = python.ask(kind="task", entrypoint="main", params={"k": 1}, seed=7)
    assert base64.b64decode(task["outputs"]["raw"]["inline"]) == b"ok-7", task
    assert base64.b64decode(task["outputs"]["json"]["inline"]) == b'{"a":2,"b":1}', task
    returns = [{"task_id": "t", "outputs": task["outputs"]}]
    loss = python.ask(kind="aggregate", module="functions", function_name="loss", sim_returns=returns, target_data=5)
    assert (loss["loss"], loss["diagnostics"], loss["n_replicates"]) == (1.0, 5, 1), loss
    pickled = base64.b64encode(pickle.dumps(({1}, {2}), 4)).decode()
    union = python.ask(kind="function", module="operator", function_name="or_", args=pickled, want="pickle")
    assert pickle.loads(base64.b64decode(union["result"])) == {1, 2}
    return task["task_id"]


def listed(executable, repository, directory):
    """What `--list` reads from the source."""
    order = json.dumps({"references": ["functions"], "source": str(directory / "env_source.py"), "paths": [str(directory)]})
    command = [executable, "-I", "-S", str(repository / "src/call/shim/list.py"), order]
    entries = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return [(entry["reference"], entry["kind"], entry["signature"], entry["summary"]) for entry in entries]


def main():
    repository = pathlib.Path(sys.argv[1])
    texts = program(repository)
    ids, lists, missing = {}, {}, []
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory).resolve()
        (directory / "functions.py").write_text(CODE)
        (directory / "env_source.py").write_text("def two():\n    return 2\n")
        for series in SERIES:
            executable = found(series)
            if executable is None:
                missing.append(series)
                continue
            python = Python(executable, texts, directory)
            try:
                ids[series] = check(python, series)
            except BaseException:
                print("Python", series)
                raise
            python.end()
            lists[series] = listed(executable, repository, directory)
    assert "3.11" in ids
    # The same task has the same id, and the same source the same list, whichever Python it is.
    assert len(set(ids.values())) == 1, ids
    assert all(found == lists["3.11"] for found in lists.values()), lists
    print("%d Pythons: %s; not found: %s" % (len(ids), ", ".join(ids), ", ".join(missing) or "none"))


main()
