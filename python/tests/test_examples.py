"""The examples run as they are written."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest
from conftest import PROGRAM, REPOSITORY


def test_dynamics_with_the_calculator_conserve_energy(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROOTSTOCK_ROOT", str(root))
    monkeypatch.setenv("ROOTSTOCK_MODEL", "odd-emt")
    monkeypatch.setenv("PATH", f"{Path(PROGRAM).parent}{os.pathsep}{os.environ['PATH']}")
    runpy.run_path(str(REPOSITORY / "examples" / "calculator_md.py"))
    totals = [float(line.split("total")[1].split()[0]) for line in capsys.readouterr().out.splitlines()]
    assert len(totals) == 11
    assert max(totals) - min(totals) < 0.02
