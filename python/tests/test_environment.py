"""Functions and classes of an environment, called from this Python."""

from __future__ import annotations

import math
import os
import pathlib
import pickle
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.constraints import FixAtoms
from conftest import PROGRAM, REPOSITORY, await_end, processes

import rootstock
from rootstock.values import Unserialisable, decode_value, encode_value

FUNCTIONS = REPOSITORY / "tests" / "python" / "functions"


@pytest.fixture
def environment(root: Path) -> Iterator[rootstock.Environment]:
    with rootstock.Environment("odd", root=root, program=PROGRAM, paths=[FUNCTIONS]) as environment:
        yield environment


def error(call: Any, *args: Any, **kwargs: Any) -> rootstock.RemoteError:
    with pytest.raises(rootstock.RemoteError) as raised:
        call(*args, **kwargs)
    return raised.value


def test_a_function_is_called_with_its_arguments_in_one_warm_process(environment: rootstock.Environment) -> None:
    assert environment.call("calls:add", 2, 3) == 5
    assert environment.call("calls:add", 1, b=2, timeout=60) == 3
    assert environment.call("calls:both", 1, "a", c=[None, True]) == [[1, "a"], {"c": [None, True]}]
    assert environment.call("calls:process") == environment.call("calls:process") != os.getpid()
    assert environment.request({"function": "calls:both", "kwargs": {"timeout": 1}}) == [[], {"timeout": 1}]


VALUES: list[Any] = [
    None,
    [True, False, 0, -1, 2**70, -(2**63) - 1],
    [0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, 1e22, 123456789.123456789],
    ["", "ä\u2028\U0001f600\0\n", "$", "\\"],
    {"a": {"b": [{}]}, "$float": 1},
    {"": []},
    b"\0\xff",
    # Long ones pass beside the JSON.
    bytes(range(256)) * 1000,
    [b"x" * 100_000, {"$bytes": "A" * 100_000, "b": 1}, {"data": "A" * 100_000}, {"data": ["}", "\\" * 70_000, b"y" * 70_000]}],
    ['{"$bytes":"' + "A" * 100_000 + '"}', "A" * 100_000],
    [math.inf, -math.inf],
    pathlib.Path("/a b/c"),
]


@pytest.mark.parametrize("value", VALUES, ids=[str(at) for at in range(len(VALUES))])
def test_values_come_back_as_they_are(environment: rootstock.Environment, value: Any) -> None:
    found = environment.call("calls:same", value)
    assert repr(found) == repr(value)


def test_arrays_of_every_kind_come_back_bit_by_bit(environment: rootstock.Environment) -> None:
    random = np.random.default_rng(1)
    matrix = random.normal(size=(5, 4))
    arrays = [
        matrix,
        matrix.T,
        matrix[::2, 1:],
        np.asfortranarray(matrix),
        np.array(1.5),
        np.zeros((0, 3)),
        np.array([np.nan, np.inf, -0.0]),
        np.arange(4, dtype=np.int8),
        np.arange(4, dtype=">u2"),
        np.array([True, False]),
        np.array(["a", "äö"]),
        np.array([1 + 2j]),
        np.array(["2026-11-28"], dtype="datetime64[D]"),
        matrix.astype(np.float32),
        random.normal(size=(40_000, 3)),
        random.normal(size=(40_000, 3)).T,
        random.normal(size=(100, 700))[:, ::2],
        np.arange(70_000, dtype=">i4"),
        np.array(["a" * 70_000]),
        np.zeros(90_000, "complex64"),
        np.arange(100_000).astype("datetime64[s]"),
    ]
    for array, found in zip(arrays, environment.call("calls:same", arrays), strict=True):
        assert found.dtype == array.dtype and found.shape == array.shape
        assert found.tobytes() == array.tobytes()
        assert found.flags.writeable
    assert environment.call("calls:kind", np.zeros(2)) == "numpy.ndarray"
    assert environment.call("calls:same", [np.float64(0.1), np.int32(7), np.bool_(True)]) == [0.1, 7, True]
    assert environment.call("calls:squares", 4).tolist() == [0, 1, 4, 9]
    large = random.integers(0, 256, size=5_000_000, dtype=np.uint8)
    assert environment.call("calls:same", large).tobytes() == large.tobytes()


def test_atoms_go_both_ways(environment: rootstock.Environment, copper: Atoms) -> None:
    copper.set_initial_magnetic_moments(np.linspace(0, 1, len(copper)))  # type: ignore[no-untyped-call]
    copper.set_constraint(FixAtoms([0, 1]))  # type: ignore[no-untyped-call]
    copper.info["charge"] = -1
    found = environment.call("calls:doubled", copper)
    expected = copper.repeat((2, 1, 1))  # type: ignore[no-untyped-call]
    assert found.constraints[0].get_indices().tolist() == expected.constraints[0].get_indices().tolist()
    assert isinstance(found, Atoms) and found == expected
    assert found.arrays["initial_magmoms"].tobytes() == expected.arrays["initial_magmoms"].tobytes()
    assert found.info == copper.info


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, {"a": {1: 2}}], r"args\[0\]\[1\]\['a'\] has the key 1"),
        ({"x": [object()]}, r"args\[0\]\['x'\]\[0\] is of class `object`"),
        (np.array([object()]), r"args\[0\] is an array of object"),
        ({1, 2}, "is of class `set`"),
        ("\udc80", "not UTF-8"),
        ({"$bytes": "eA=="}, "would be read as a tag"),
        (np.longdouble(1) / 3, "numpy.longdouble"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_place(
    environment: rootstock.Environment, value: Any, message: str
) -> None:
    with pytest.raises(Unserialisable, match=message):
        environment.call("calls:same", value)
    assert environment.call("calls:add", 1) == 11


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(Unserialisable, match="contains itself"):
        encode_value(value)
    assert encode_value([[]] * 3) == [[], [], []]
    with pytest.raises(ValueError, match=r"\$float"):
        decode_value([{"$float": "1.5"}])


def test_an_exception_arrives_with_traceback_and_output(environment: rootstock.Environment) -> None:
    found = error(environment.call, "calls:fails", "no such luck")
    assert (found.kind, found.type, found.message) == ("raised", "ValueError", "no such luck")
    assert "in fails" in found.traceback and "in fails" in str(found)
    assert (found.stdout, found.stderr) == ("before it fails\n", "a warning\n")
    assert not found.retryable
    copy = pickle.loads(pickle.dumps(found))
    assert (str(copy), copy.kind, copy.traceback) == (str(found), found.kind, found.traceback)
    assert isinstance(found, rootstock.RootstockError)


def test_every_end_of_a_process_has_its_kind_and_the_next_call_succeeds(environment: rootstock.Environment) -> None:
    for arguments, kind, retryable in [
        (("calls:ends", "exit"), "no-result", False),
        (("calls:ends", "SIGKILL"), "killed", False),
        (("calls:nothing",), "not-found", False),
        (("nowhere:f",), "not-found", False),
    ]:
        found = error(environment.call, *arguments)
        assert (found.kind, found.retryable) == (kind, retryable), found
        assert environment.call("calls:add", 1) == 11
    found = error(environment.call, "calls:sleeps", 1000, timeout=0.2)
    assert (found.kind, found.retryable) == ("timeout", True)
    assert environment.call("calls:add", 1) == 11


def test_map_keeps_the_order_and_takes_items_as_needed(environment: rootstock.Environment) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1_000_000):
            taken.append(item)
            yield item

    results = environment.map("calls:add", items(), workers=2, b=1)
    assert [next(results) for _ in range(20)] == list(range(1, 21))
    assert len(taken) <= 24
    results.close()  # type: ignore[attr-defined]
    assert list(environment.map("calls:add", [], workers=2)) == []


def test_map_uses_all_its_processes(environment: rootstock.Environment, tmp_path: Path) -> None:
    found = list(environment.map("calls:waits", [str(tmp_path)] * 3, workers=3, others=3))
    assert len(set(found)) == 3


def test_map_raises_in_turn_or_returns_errors(environment: rootstock.Environment) -> None:
    results = environment.map("calls:fails", ["a", "b"], workers=1)
    assert error(next, results).message == "a"
    found = list(environment.map("calls:same", [1, 2], workers=2, errors="return"))
    assert found == [1, 2]
    kinds = [result.kind for result in environment.map("calls:fails", ["a", "b"], errors="return")]
    assert kinds == ["raised", "raised"]
    with pytest.raises(Unserialisable, match="item 1 is"):
        list(environment.map("calls:same", [1, object()]))
    with pytest.raises(ValueError, match="errors"):
        environment.map("calls:same", [1], errors="ignore")


def test_instances_live_on_in_a_session(environment: rootstock.Environment) -> None:
    with environment.session(workers=2) as session:
        counters = [session.new("calls:Counter", start=10 * at) for at in range(4)]
        assert [counter.inc() for counter in counters] == [1, 11, 21, 31]
        assert [counter.inc(by=2) for counter in counters] == [3, 13, 23, 33]
        assert counters[1](2) == 26
        assert counters[0].call("__getattribute__", "count") == 3
        assert session.call("calls:add", 1) == 11
        assert list(session.map("calls:add", range(5))) == list(range(10, 15))
        counters[0].close()
        assert error(counters[0].inc).kind == "not-found"
        assert error(counters[1].dies).kind == "killed"
        assert error(counters[1].inc).kind == "not-found"
        assert error(session.new, "calls:Nothing").kind == "not-found"
    assert error(session.call, "calls:add", 1).kind == "interrupted"


def test_threads_share_an_environment(root: Path) -> None:
    found: dict[int, Any] = {}
    with rootstock.Environment("odd", root=root, program=PROGRAM, paths=[FUNCTIONS], workers=3) as environment:

        def work(number: int) -> None:
            data = np.full(200_000, number, dtype=float)
            found[number] = [environment.call("calls:same", data).sum() for _ in range(5)]

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {number: [number * 200_000.0] * 5 for number in range(8)}


def test_a_forked_child_has_processes_of_its_own(environment: rootstock.Environment) -> None:
    ours = environment.call("calls:process")
    with environment.session() as session:
        counter = session.new("calls:Counter")
        child = os.fork()
        if child == 0:
            code = 1
            try:
                theirs = environment.call("calls:process")
                alone = error(counter.inc).kind == "interrupted"
                environment.close()
                code = 0 if theirs != ours and alone else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert counter.inc() == 1
    assert environment.call("calls:process") == ours


def test_a_pickle_uses_the_same_generation_or_says_that_it_is_missing(
    environment: rootstock.Environment, root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ROOTSTOCK_ROOT", str(root))
    monkeypatch.chdir(tmp_path)
    bare = rootstock.Environment("odd", program=PROGRAM, paths=[FUNCTIONS])
    data = pickle.dumps(bare)
    monkeypatch.delenv("ROOTSTOCK_ROOT")
    with pickle.loads(data) as copy:
        assert copy.generation == environment.generation == os.path.basename(os.path.realpath(root / "envs" / "odd"))
        assert copy.call("calls:add", 1) == 11
    with pickle.loads(data.replace(copy.generation.encode(), b"0" * len(copy.generation))) as other:
        found = error(other.call, "calls:add", 1)
    assert found.kind == "environment-missing" and "0" * 32 in str(found)


def test_what_is_wrong_with_the_environment_is_the_error_of_the_call(root: Path, tmp_path: Path) -> None:
    for name, place in [("od", root), ("odd", tmp_path)]:
        with rootstock.Environment(name, root=place, program=PROGRAM) as environment:
            assert error(environment.call, "calls:add", 1).kind == "environment-missing"
            assert error(lambda environment=environment: environment.generation).kind == "environment-missing"
    with pytest.raises(rootstock.RootstockError, match="cannot start"):
        rootstock.Environment("odd", root=root, program=tmp_path / "gone").call("calls:add")
    for arguments in [{"paths": "one"}, {"workers": 0}]:
        with pytest.raises((TypeError, ValueError)):
            rootstock.Environment("odd", **arguments)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="named by text"):
        rootstock.Environment("odd").call(print)  # type: ignore[arg-type]


def test_no_process_outlives_the_environment(environment: rootstock.Environment) -> None:
    environment.call("calls:add", 1)
    assert environment._stream is not None
    watched = [os.pidfd_open(process) for process in processes(environment._stream._process.pid)]
    assert len(watched) == 2, "the program and its Python"
    environment.close()
    await_end(watched)
    assert environment.call("calls:add", 1) == 11


def test_ctrl_c_ends_the_call(environment: rootstock.Environment, tmp_path: Path) -> None:
    environment.call("calls:add", 1)
    assert environment._stream is not None
    watched = [os.pidfd_open(process) for process in processes(environment._stream._process.pid)]

    def interrupt() -> None:
        while not os.listdir(tmp_path):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        environment.call("calls:waits", str(tmp_path), 1000)
    await_end(watched)
    assert environment.call("calls:add", 1) == 11


def test_what_can_be_called_is_listed(environment: rootstock.Environment) -> None:
    (found,) = environment.functions("calls:add")
    assert (found["kind"], found["signature"]) == ("function", "(a, b=10, *more)")
    assert "env_source:setup" in [entry["reference"] for entry in environment.functions()]


def test_output_is_passed_on(environment: rootstock.Environment, capfd: pytest.CaptureFixture[str]) -> None:
    assert environment.call("calls:chatters", 3) == 3
    environment.close()
    assert "line 0\nline 1\nline 2\n" in capfd.readouterr().err
