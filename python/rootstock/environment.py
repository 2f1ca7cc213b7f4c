"""Functions and classes of an environment, called from any Python: the client of `rootstock call`.

Standard library only, Python 3.8 or later.
"""

from __future__ import annotations

import collections
import json
import os
import subprocess
import threading
from types import TracebackType
from typing import Any, Iterable, Iterator, Mapping, Sequence

from .errors import RemoteError, RootstockError, failure
from .program import program as installed
from .stream import Stream
from .values import Unserialisable, decode_value, encode_value


class Environment:
    """A built environment, or a model with its environment, whose functions can be called from this process.

    Functions run in a process of the environment's own Python. It is started by the first call and kept: later calls find modules
    imported and models loaded. A function is named `module:name`: `env_source:add` in the environment's source, `ase.build:bulk` in
    its packages, `relax:main` or `relax.py:main` in a directory of `paths`.

        with rootstock.Environment("toy", root="/shared/rootstock") as env:
            env.call("env_source:add", 2, 3)
            for total in env.map("env_source:total", lists, workers=4):
                ...
            with env.session() as session:
                counter = session.new("env_source:Counter", start=1)
                counter.inc()

    Arguments and results are what JSON has, and bytes, paths, NumPy arrays and ASE's `Atoms`; tuples arrive as lists. Where this Python
    has no NumPy, arrays of results arrive as nested lists. Units are those of the functions; ASE's are eV, Å and eV/Å³.

    From its first call on an `Environment` uses the same generation, whatever `rootstock sync` builds meanwhile. It can be pickled: a
    worker on another node uses the same generation, or its first call raises :class:`RemoteError` of kind `environment-missing`.
    Several threads may use it. A forked child starts processes of its own.

    Args:
        name: An environment or a model of the root. With a model, functions get the keyword `calculator`.
        root: The root. Without this and `cluster`: `ROOTSTOCK_ROOT`, or the root in `manifest`.
        cluster: Use the root of this cluster of the manifest.
        manifest: The `rootstock.toml`; by default the one in the working directory.
        paths: Directories with Python code of your own.
        device: The device of a model: `cpu`, `cuda`, `cuda:1`.
        variables: Environment variables of the process beside those that a worker gets.
        workers: Processes for `call`, for several threads.
        startup_timeout: Seconds that a process may take to start, with the model loaded; None for the program's default.
        program: The `rootstock` to run; by default the one that came with this package.
    """

    def __init__(
        self,
        name: str,
        *,
        root: str | os.PathLike[str] | None = None,
        cluster: str | None = None,
        manifest: str | os.PathLike[str] | None = None,
        paths: Sequence[str | os.PathLike[str]] = (),
        device: str | None = None,
        variables: Mapping[str, str] | None = None,
        workers: int = 1,
        startup_timeout: float | None = None,
        program: str | os.PathLike[str] | None = None,
    ) -> None:
        if isinstance(paths, (str, os.PathLike)):
            raise TypeError("`paths` is a list of directories, not one")
        self.name = name
        self._place = _options({"--root": root, "--cluster": cluster, "--manifest": manifest})
        options = {"--device": device, "--startup-timeout": startup_timeout}
        self._options = _options(options)
        self._options += [f"--path={os.path.abspath(os.fspath(path))}" for path in paths]
        self._options += [f"--env={key}={value}" for key, value in (variables or {}).items()]
        self._workers = _positive(workers)
        self._program = None if program is None else os.fspath(program)
        self._generation: str | None = None
        self._lock = threading.Lock()
        self._stream: Stream | None = None

    @property
    def generation(self) -> str:
        """The id of the generation that this object uses.

        Raises:
            RemoteError: The environment is not built.
        """
        if self._generation is None:
            self._generation = self._listing([])["environment"]["id"]
        return self._generation

    def call(self, function: str, /, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Call a function and return its result.

        Args:
            function: `module:name`.
            args: Its arguments.
            timeout: Seconds that it may take; None for no limit. For a function that has an argument of this name: `request`.
            kwargs: Its keyword arguments.

        Raises:
            RemoteError: The function raised an exception (`kind` is `raised`), took too long (`timeout`), its process ended (`killed`,
                `no-result`), or it does not exist (`not-found`).
            Unserialisable: An argument cannot be sent.
        """
        return self.request(_function(function, args, kwargs, timeout))

    def request(self, request: Mapping[str, Any]) -> Any:
        """Send a request of `rootstock call` as it is, with `function`, `class`, `entrypoint` or `target_entrypoint`.

        Returns:
            The result of a function or method; of other requests, the response.

        Raises:
            RemoteError: As for `call`.
        """
        stream = self._open()
        try:
            return self._result(stream.receive(stream.send(dict(request))))
        except RemoteError:
            raise
        except BaseException:
            # What the process computes is not wanted any more.
            stream.close(at_once=True)
            raise

    def map(
        self,
        function: str,
        items: Iterable[Any],
        /,
        *,
        workers: int = 4,
        timeout: float | None = None,
        errors: str = "raise",
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Call a function with each item, in several processes; yields the results in the order of the items.

        Items are taken only as needed: at most `2 * workers` calls are under way or wait to be yielded.

        Args:
            function: `module:name`.
            items: The first argument of each call.
            workers: Processes; each takes one item at a time.
            timeout: Seconds that each call may take.
            errors: `raise` the error of a call in its turn, or `return` it in place of the result and go on.
            kwargs: Keyword arguments of all calls.

        Raises:
            RemoteError: As for `call`.
        """
        if errors not in ("raise", "return"):
            raise ValueError("`errors` is `raise` or `return`")
        _positive(workers)
        request = _function(function, (), kwargs, timeout)
        return self._map(request, items, workers, errors)

    def _map(self, request: dict[str, Any], items: Iterable[Any], workers: int, errors: str) -> Iterator[Any]:
        with self.session(workers) as session:
            yield from session._map(request, items, 2 * workers, errors)

    def session(self, workers: int = 1) -> Session:
        """Processes of their own, in which instances live on; they end with the `with` block."""
        return Session(self, _positive(workers))

    def functions(self, *references: str) -> list[dict[str, Any]]:
        """What can be called, as `rootstock call --list` reads it from the sources: `reference`, `kind`, `signature`, `summary`,
        `file`, `line`; for each of these references, or for what the manifest lists, or all that is public in the source.

        Raises:
            RemoteError: The environment is not built.
        """
        found: list[dict[str, Any]] = self._listing(references)["functions"]
        return found

    def close(self) -> None:
        """End the process. The next call starts another."""
        with self._lock:
            stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def __enter__(self) -> Environment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<rootstock.Environment {self._named()}>"

    def __getstate__(self) -> dict[str, Any]:
        if self._generation is None or not self._place[:1] or not self._place[0].startswith("--root="):
            listing = self._listing([])
            self._generation = listing["environment"]["id"]
            self._place = ["--root=" + listing["root"]]
        kept = ("name", "_place", "_options", "_workers", "_program", "_generation")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock(), _stream=None)

    def _named(self) -> str:
        return self.name if self._generation is None else f"{self.name}@{self._generation}"

    def _command(self, *more: str) -> list[str]:
        return [self._program or installed(), "call", self._named(), *self._place, *self._options, *more]

    def _listing(self, references: Sequence[str]) -> Any:
        command = self._command("--list", "--json", *references)
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            raise RootstockError(f"cannot start `{command[0]}`: {error.strerror}") from error
        try:
            listing = json.loads(done.stdout)
        except ValueError:
            listing = {}
        if "functions" in listing:
            return listing
        if "_fatal_error" in listing:
            raise RemoteError(listing)
        kind = {2: "bad-request", 4: "environment-missing"}.get(done.returncode, "no-result")
        raise failure(kind, done.stderr.decode(errors="replace").strip())

    def _start(self, workers: int) -> Stream:
        return Stream(self._command("--stream", "-j", str(workers)))

    def _open(self) -> Stream:
        with self._lock:
            if self._stream is None or not self._stream.alive:
                if self._stream is not None:
                    self._stream.close()
                self._stream = self._start(self._workers)
            return self._stream

    def _result(self, response: dict[str, Any]) -> Any:
        """The result in a response.

        Raises:
            RemoteError: It is that of a failure.
        """
        environment = response.get("environment") or {}
        if self._generation is None and environment.get("id"):
            self._generation = environment["id"]
        if not response.get("success"):
            raise RemoteError(response)
        return decode_value(response["result"]) if "result" in response else response


class Session:
    """Processes in which instances of classes live on from call to call, made by :meth:`Environment.session`.

    Use it in a `with` block, in the process that has opened it.
    """

    def __init__(self, environment: Environment, workers: int) -> None:
        self._environment, self._workers = environment, workers
        self._stream: Stream | None = None

    def __enter__(self) -> Session:
        self._stream = self._environment._start(self._workers)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes, and with them all instances."""
        if self._stream is not None:
            self._stream.close()

    def call(self, function: str, /, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """As :meth:`Environment.call`."""
        return self.request(_function(function, args, kwargs, timeout))

    def request(self, request: Mapping[str, Any]) -> Any:
        """As :meth:`Environment.request`."""
        return self._environment._result(self._exchange(request))

    def map(
        self, function: str, items: Iterable[Any], /, *, timeout: float | None = None, errors: str = "raise", **kwargs: Any
    ) -> Iterator[Any]:
        """As :meth:`Environment.map`, in the processes of this session."""
        if errors not in ("raise", "return"):
            raise ValueError("`errors` is `raise` or `return`")
        return self._map(_function(function, (), kwargs, timeout), items, 2 * self._workers, errors)

    def new(self, cls: str, /, *args: Any, **kwargs: Any) -> Instance:
        """Make an instance of a class, `module:name`. Its methods are called through what this returns.

        Raises:
            RemoteError: As for `call`.
        """
        made = {"class": cls, "method_name": None, "constructor_args": _all(args), "constructor_kwargs": _named(kwargs)}
        response = self._exchange(made)
        self._environment._result(response)
        return Instance(self, cls, response["instance_id"])

    def _exchange(self, request: Mapping[str, Any]) -> dict[str, Any]:
        stream = self._open()
        try:
            return stream.receive(stream.send(dict(request)))
        except RemoteError:
            raise
        except BaseException:
            stream.close(at_once=True)
            raise

    def _open(self) -> Stream:
        if self._stream is None:
            raise RootstockError("use the session in a `with` block: `with env.session() as session:`")
        return self._stream

    def _map(self, request: dict[str, Any], items: Iterable[Any], window: int, errors: str) -> Iterator[Any]:
        stream, iterator = self._open(), iter(items)
        waiting: collections.deque[int] = collections.deque()
        arguments, position = request["args"], 0
        try:
            while True:
                while len(waiting) < window:
                    try:
                        item = next(iterator)
                    except StopIteration:
                        break
                    encoded = encode_value(item, f"item {position}")
                    position += 1
                    waiting.append(stream.send({**request, "args": [encoded, *arguments]}))
                if not waiting:
                    return
                response = stream.receive(waiting.popleft())
                try:
                    result = self._environment._result(response)
                except RemoteError as error:
                    if errors == "raise":
                        raise
                    result = error
                yield result
        finally:
            stream.forget(waiting)


class Instance:
    """An instance of a class in a process of a session: `instance.method(…)` calls a method, with a `timeout` in seconds if need be.

    Attributes are read by `instance.call("__getattribute__", name)`.
    """

    def __init__(self, session: Session, cls: str, number: str) -> None:
        self._session, self._class, self._id = session, cls, number

    def call(self, method: str, /, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Call a method.

        Raises:
            RemoteError: As for :meth:`Environment.call`; of kind `not-found` if the process of the instance has ended.
        """
        request: dict[str, Any] = {"instance_id": self._id, "method_name": method}
        request.update(args=_all(args), kwargs=_named(kwargs))
        if timeout is not None:
            request["timeout"] = timeout
        return self._session.request(request)

    def close(self) -> None:
        """Drop the instance."""
        self._session.request({"instance_id": self._id, "close": True})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.call("__call__", *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def method(*args: Any, **kwargs: Any) -> Any:
            return self.call(name, *args, **kwargs)

        method.__name__ = name
        return method

    def __repr__(self) -> str:
        return f"<{self._class} {self._id} in {self._session._environment!r}>"


def _function(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any], timeout: float | None) -> dict[str, Any]:
    if not isinstance(function, str):
        raise TypeError("a function is named by text, `module:name`: it runs in another Python, with its own modules")
    request: dict[str, Any] = {"function": function, "args": _all(args), "kwargs": _named(kwargs)}
    if timeout is not None:
        request["timeout"] = timeout
    return request


def _all(args: Sequence[Any]) -> list[Any]:
    return [encode_value(value, f"args[{at}]") for at, value in enumerate(args)]


def _named(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: encode_value(value, f"kwargs[{name!r}]") for name, value in kwargs.items()}


def _options(options: Mapping[str, Any]) -> list[str]:
    """Arguments of the program; paths are absolute, because the working directory may change."""
    made = []
    for name, value in options.items():
        if value is not None:
            path = name in ("--root", "--manifest")
            made.append(f"{name}={os.path.abspath(os.fspath(value)) if path else value}")
    return made


def _positive(workers: int) -> int:
    if workers < 1:
        raise ValueError("`workers` is the number of processes, 1 or more")
    return workers


__all__ = ["Environment", "Instance", "Session", "Unserialisable"]
