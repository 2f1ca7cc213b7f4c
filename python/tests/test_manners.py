"""What people expect of any Python package: a version, `python -m`, errors with names, a readable `repr`."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from ase import Atoms
from conftest import PROGRAM

import rootstock
from rootstock import ModelNotFoundError, RootstockCalculator, RootstockError, SetupError


def test_version_is_that_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(PROGRAM).parent}:{os.environ['PATH']}")
    printed = subprocess.run([PROGRAM, "--version"], check=True, capture_output=True, text=True).stdout
    assert printed == f"rootstock {rootstock.__version__}\n"


def test_python_m_is_the_program(tmp_path: Path) -> None:
    variables = {**os.environ, "PATH": f"{Path(PROGRAM).parent}:{os.environ['PATH']}"}
    run = subprocess.run([sys.executable, "-m", "rootstock", "lock"], cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert run.returncode == 2 and "there is no manifest" in run.stderr


def test_a_model_that_the_root_does_not_have_is_an_error_at_once(root: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="did you mean `odd-zero`") as caught:
        RootstockCalculator("odd-zreo", root=root, program=PROGRAM)
    assert isinstance(caught.value, (RootstockError, LookupError))
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.model, str(copy)) == ("odd-zreo", str(caught.value))
    with pytest.raises(ModelNotFoundError):
        RootstockCalculator("odd-zero:custom", root=root, weights=__file__, program=PROGRAM)
    for model in ("odd-zero", "odd"):
        RootstockCalculator(model, root=root, program=PROGRAM)


def test_what_cannot_be_set_up_is_no_dead_worker(copper: Atoms, tmp_path: Path) -> None:
    # The root is empty, so it cannot tell.
    copper.calc = RootstockCalculator("emt", root=tmp_path / "empty", program=PROGRAM)
    with pytest.raises(SetupError, match="emt cannot be used:") as caught:
        copper.get_potential_energy()
    assert "the worker of" not in str(caught.value) and caught.value.returncode in (1, 2, 4)


def test_repr_shows_how_to_make_it(root: Path) -> None:
    calculator = RootstockCalculator("odd-zero", root=str(root), program=PROGRAM, restarts=3)
    expected = f"RootstockCalculator('odd-zero', root={str(root)!r}, restarts=3, program={PROGRAM!r})"
    assert repr(calculator) == expected


def test_the_root_of_a_configuration_is_found(root: Path, copper: Atoms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = tmp_path / "config.toml"
    configuration.write_text(f'[clusters.here]\nroot = "{root}"\nhosts = ["*"]\n')
    monkeypatch.setenv("ROOTSTOCK_CONFIG", str(configuration))
    monkeypatch.delenv("ROOTSTOCK_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    calculator = RootstockCalculator("odd-zero", program=PROGRAM)
    with calculator as copper.calc:
        assert copper.get_potential_energy() == 0.0
    carried = pickle.loads(pickle.dumps(calculator))
    assert carried._order.root == str(root)
    with RootstockCalculator("odd-zero", cluster="here", program=PROGRAM) as copper.calc:
        copper.rattle(0.01)
        assert copper.get_potential_energy() == 0.0
