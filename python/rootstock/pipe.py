"""A running `rootstock evaluate --stream`: structures go in, results come out, by their numbers and in any order."""

from __future__ import annotations

import json
import math
import os
import select
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import packing, worker
from .errors import RootstockError
from .order import Order
from .worker import WorkerDiedError

#: How much is read and written at once.
PART = 1 << 20


@dataclass(frozen=True)
class Plan:
    """What an evaluation is started with; can be pickled."""

    order: Order
    workers: int | None
    device: str
    batch: str
    properties: tuple[str, ...] | None
    variables: Mapping[str, str] = field(default_factory=dict)

    def command(self) -> list[str]:
        order = self.order
        options: list[tuple[str, str | None]] = [
            ("--root", order.root),
            ("--cluster", order.cluster),
            ("--manifest", order.manifest),
            ("--device", self.device),
            ("--batch", self.batch),
            ("--workers", None if self.workers is None else str(self.workers)),
            ("--properties", None if self.properties is None else ",".join(self.properties)),
            ("--setup", json.dumps(order.setup) if order.setup else None),
            ("--weights", order.weights),
            ("--startup-timeout", str(math.ceil(order.startup_timeout))),
            ("--step-timeout", None if order.step_timeout is None else str(order.step_timeout)),
        ]
        given = [word for name, value in options if value is not None for word in (name, value)]
        return [order.program or worker.program(), "evaluate", order.model, "--stream", *given]


class Pipe:
    """The program and both ends of its pipes. Used by one thread at a time."""

    def __init__(self, plan: Plan) -> None:
        self._name = plan.order.model
        self.origin: dict[str, Any] = {}
        command = plan.command()
        reading, errors = os.pipe()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **plan.variables},
                # Ctrl-C is for this process, which then ends it.
                start_new_session=True,
            )
        except OSError as error:
            os.close(reading)
            raise RootstockError(f"cannot start `{command[0]}`: {error.strerror}") from error
        finally:
            os.close(errors)
        self._tail = worker._Tail(self._name, reading)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        self._waiting = bytearray()
        self._messages = packing.Messages()

    @property
    def is_full(self) -> bool:
        """Whether no more should be sent for now."""
        return len(self._waiting) > PART

    def send(self, number: int, atoms: int, packed: bytes) -> None:
        """Put a structure into the queue."""
        self._waiting += packing.message({"index": number, "atoms": atoms, "length": len(packed)}, packed)

    def exchange(self, wait: bool) -> list[tuple[dict[str, Any], bytes]]:
        """Send what fits, and receive what is there; wait for something to happen if there is nothing to do.

        Raises:
            WorkerDiedError: The program has ended.
        """
        readable, writable, _ = select.select([self._out], [self._in] if self._waiting else [], [], None if wait else 0)
        if writable:
            try:
                count = os.write(self._in, memoryview(self._waiting)[:PART])
                del self._waiting[:count]
            except BlockingIOError:
                pass
            except BrokenPipeError:
                raise self._died() from None
        if not readable:
            return []
        part = os.read(self._out, PART)
        if not part:
            raise self._died()
        self._messages.feed(part)
        found = []
        while (message := self._messages.next()) is not None:
            if "origin" in message[0]:
                self.origin = {**message[0]["origin"], "device": message[0]["device"]}
            else:
                found.append(message)
        return found

    def close(self) -> None:
        """End the program; what it computes is lost."""
        for end in (self._process.stdin, self._process.stdout):
            assert end is not None
            end.close()
        for stop in (self._process.terminate, self._process.kill):
            if self._process.poll() is None:
                stop()
                try:
                    self._process.wait(worker.GRACE)
                except subprocess.TimeoutExpired:
                    pass
        self._tail.finish()

    def abandon(self) -> None:
        """In a forked child: close what belongs to the parent, without ending the program."""
        for end in (self._process.stdin, self._process.stdout):
            assert end is not None
            end.close()
        self._tail.abandon()
        self._process.returncode = 0

    def _died(self) -> WorkerDiedError:
        try:
            self._process.wait(worker.GRACE)
        except subprocess.TimeoutExpired:
            pass
        self._tail.finish()
        returncode, output = self._process.returncode, self._tail.text()
        self.close()
        return WorkerDiedError(self._name, returncode, output)
