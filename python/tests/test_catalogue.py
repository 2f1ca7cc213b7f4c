"""The models of a root, as Python sees them."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import PROGRAM

import rootstock


def test_the_models_of_a_root(root: Path) -> None:
    found = {model.id: model for model in rootstock.models(root, program=PROGRAM)}
    emt = found["odd-emt"]
    assert (emt.environment, emt.argument, emt.built, emt.conservative) == ("odd", "emt", True, True)
    assert emt.elements == [] and emt.licence is None and emt.reference is None and emt.verified == []


def test_a_root_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(rootstock.RootstockError, match="nothing is built in the root"):
        rootstock.models(tmp_path, program=PROGRAM)
