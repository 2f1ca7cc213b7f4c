"""What the tests of the package share: a root with the environment of `tests/project`, and calculators that use it.

`ROOTSTOCK_PROGRAM` names the program under test; the one that was installed with the package if it does not.
`ROOTSTOCK_ROOT` names a root that was synced from `tests/project`; it is synced here if not.
"""

from __future__ import annotations

import os
import runpy
import select
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from rootstock import RootstockCalculator
from rootstock.worker import program as installed

REPOSITORY = Path(__file__).parents[2]
PROGRAM = os.environ.get("ROOTSTOCK_PROGRAM") or installed()

Make = Callable[..., RootstockCalculator]


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = os.environ.pop("ROOTSTOCK_ROOT", None)
    if given:
        return Path(given)
    made = tmp_path_factory.mktemp("root")
    manifest = REPOSITORY / "tests" / "project" / "rootstock.toml"
    subprocess.run([PROGRAM, "sync", "--manifest", manifest, "--root", made], check=True)
    return made


@pytest.fixture
def calculator(root: Path) -> Iterator[Make]:
    """Makes calculators that are closed after the test."""
    made: list[RootstockCalculator] = []

    def make(model: str = "odd-emt", **arguments: Any) -> RootstockCalculator:
        arguments = {"root": root, "program": PROGRAM, **arguments}
        made.append(RootstockCalculator(model, **arguments))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def copper() -> Atoms:
    """32 atoms away from their places."""
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True).repeat(2)
    atoms.rattle(0.05, seed=1)
    return atoms


def script(name: str, way: str = "") -> dict[str, Any]:
    """The arguments of a calculator that is defined by a file of the tests."""
    path = REPOSITORY / "tests" / "python" / "calculators" / f"{name}.py"
    return {"model": "odd", "setup_kwargs": {"script": str(path), "way": way}}


def within(name: str, way: str = "") -> Any:
    """The same calculator in this process."""
    return runpy.run_path(script(name)["setup_kwargs"]["script"])["setup"](way)


def pid(calculator: RootstockCalculator) -> int:
    """The process of a calculator's worker."""
    assert calculator._worker is not None
    return calculator._worker.process.pid


def processes(parent: int) -> list[int]:
    """A process and those below it."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [parent, *(process for child in children for process in processes(int(child)))]


def await_end(watched: list[int], seconds: float = 900.0) -> None:
    """Wait until processes, opened by `os.pidfd_open`, have ended."""
    for process in watched:
        assert select.select([process], [], [], seconds)[0], "a process stays behind"
        os.close(process)


def same(actual: Any, expected: Any) -> None:
    """Equal to the last bit."""
    assert np.asarray(actual, dtype=np.float64).tobytes() == np.asarray(expected, dtype=np.float64).tobytes()
