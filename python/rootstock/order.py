"""What a worker is to be, and how such a one is started. Starts nothing before it is told to."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from typing import Any

from . import frozen, worker
from .worker import Worker


@dataclass(frozen=True)
class Order:
    """The arguments of a calculator, checked, with paths that hold in every working directory."""

    model: str
    root: str | None
    cluster: str | None
    manifest: str | None
    device: str
    setup: dict[str, Any]
    weights: str | None
    startup_timeout: float
    step_timeout: float | None
    restarts: int
    program: str | None

    def start(self) -> Worker:
        """Start a worker; of the kind that the root has.

        Raises:
            RootstockError: It cannot be started.
        """
        root = self.root
        if root is None and self.cluster is None and self.manifest is None:
            root = os.environ.get("ROOTSTOCK_ROOT")
        if root and frozen.built(root):
            return frozen.start(
                root,
                model=self.model,
                device=self.device,
                setup=self.setup,
                weights=self.weights,
                startup_timeout=self.startup_timeout,
                step_timeout=self.step_timeout,
            )
        return worker.start(self.model, self._command())

    def _command(self) -> list[str]:
        options: list[tuple[str, str | None]] = [
            ("--root", self.root),
            ("--cluster", self.cluster),
            ("--manifest", self.manifest),
            ("--device", self.device),
            ("--setup", json.dumps(self.setup) if self.setup else None),
            ("--weights", self.weights),
            ("--startup-timeout", str(math.ceil(self.startup_timeout))),
            ("--step-timeout", None if self.step_timeout is None else str(self.step_timeout)),
            ("--restarts", str(self.restarts)),
        ]
        given = [word for name, value in options if value is not None for word in (name, value)]
        return [self.program or worker.program(), "worker", self.model, "--species-from-server", *given]
