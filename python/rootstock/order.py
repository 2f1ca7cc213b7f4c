"""The arguments of a calculator, checked, and the worker that is started from them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import frozen, listed, worker
from .program import located
from .worker import Worker


@dataclass(frozen=True)
class Order:
    """Checked arguments, with absolute paths."""

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

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Order:
        """Check the arguments of a calculator.

        Raises:
            TypeError: Arguments that contradict each other.
            FileNotFoundError: The weights file is missing.
        """
        model, checkpoint, weights = (arguments[name] for name in ("model", "checkpoint", "weights"))
        if (model is None) == (checkpoint is None):
            raise TypeError("name one model, as `model` or `checkpoint`")
        if arguments["root"] is not None and arguments["cluster"] is not None:
            raise TypeError("`root` and `cluster` both name the root: give one of them")
        model = str(model or checkpoint)
        if (weights is not None) != model.endswith(":custom"):
            raise TypeError("weights of your own need a model `ENVIRONMENT:custom` and `weights`, both or neither")
        if weights is not None and not os.path.isfile(weights):
            raise FileNotFoundError(f"there is no weights file `{os.path.abspath(weights)}`")
        timeout, program = arguments["timeout"], arguments["program"]
        return cls(
            model=model,
            root=_absolute(arguments["root"]),
            cluster=arguments["cluster"],
            manifest=_absolute(arguments["manifest"]),
            device=arguments["device"],
            setup=_setup(arguments["setup_kwargs"]),
            weights=_absolute(weights),
            startup_timeout=arguments["startup_timeout"] if timeout is None else timeout,
            step_timeout=arguments["step_timeout"] if timeout is None else timeout,
            restarts=arguments["restarts"],
            program=None if program is None else os.fspath(program),
        )

    def described(self) -> dict[str, Any]:
        """What ASE stores of the arguments beside the numbers."""
        more = {"setup_kwargs": self.setup, "weights": self.weights}
        return {"model": self.model, "device": self.device, **{name: value for name, value in more.items() if value}}

    def elsewhere(self) -> Order:
        """The same for another directory, process or machine, where ROOTSTOCK_ROOT and the working directory are others."""
        if self.root is not None or self.manifest is not None:
            return self
        root = self._located()
        return self if root is None else replace(self, root=root, cluster=None)

    def _located(self) -> str | None:
        """The root that the program would use here."""
        variable = os.environ.get("ROOTSTOCK_ROOT") if self.cluster is None else None
        return _absolute(variable) if variable else located(self.program, self.cluster)

    def check(self) -> None:
        """Look whether the root has the model, if the root is known here and was synced.

        Raises:
            ModelNotFoundError: It has not.
        """
        root = self.root
        if root is None and self.cluster is None and self.manifest is None:
            root = os.environ.get("ROOTSTOCK_ROOT")
        if root:
            listed.check(root, self.model)

    def paths(self) -> dict[str, str | None]:
        """The paths among a calculator's arguments, absolute."""
        return {"root": self.root, "manifest": self.manifest, "weights": self.weights}

    def start(self) -> Worker:
        """Start a worker of the kind that the root has.

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


def _absolute(path: Any) -> str | None:
    return None if path is None else os.path.abspath(path)


def _setup(arguments: Any) -> dict[str, Any]:
    """Keyword arguments of `setup()`, as JSON has them."""
    try:
        setup = dict(json.loads(json.dumps(dict(arguments or {}))))
    except (TypeError, ValueError) as error:
        raise TypeError(f"`setup_kwargs` must be JSON: {error}") from None
    if reserved := {"model", "checkpoint", "device"} & setup.keys():
        raise TypeError(f"`setup_kwargs` cannot hold {sorted(reserved)}: they have arguments of their own")
    return setup
