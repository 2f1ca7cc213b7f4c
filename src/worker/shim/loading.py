"""Loads what the order names: a structure file, an environment's source, a calculator.

One part of the programs that `worker` and `call` give to Python; `main.py` is the last of each.
"""

import importlib.util
import os
import sys


def read_template(path):
    """The system in a structure file: everything except positions and cell."""
    import ase.io

    atoms = ase.io.read(path)
    return {
        "numbers": [int(number) for number in atoms.numbers],
        "pbc": [bool(periodic) for periodic in atoms.pbc],
        "info": {},
        "inputs": inputs(atoms, ("numbers", "positions")),
    }


def choose_device(rank):
    """One of the devices that torch sees, by this task's rank on the node; `cpu` if there is none."""
    try:
        import torch
    except ImportError:
        return "cpu"
    for kind in ("cuda", "xpu"):
        backend = getattr(torch, kind, None)
        if backend is not None and backend.is_available():
            return "%s:%d" % (kind, rank % backend.device_count())
    return "cpu"


def import_source(path):
    """Imports the environment's source, which defines `setup()`."""
    where = importlib.util.spec_from_file_location("env_source", path)
    source = importlib.util.module_from_spec(where)
    if importlib.util.find_spec("env_source") is None:
        # Older generations have no link to it among their packages; processes that it starts import it by this name.
        sys.path.append(os.path.dirname(path))
    sys.modules["env_source"] = source
    where.loader.exec_module(source)
    return source


def load_calculator(order):
    """Calls the source's `setup()` or `setup_from_path()`; returns the calculator and the source."""
    source = import_source(order["source"])
    if order["device"] == "auto":
        order["device"] = order["chosen"] = choose_device(order["rank"])
    if order["weights"] is None:
        return source.setup(order["argument"], order["device"], **order["setup"]), source
    if not hasattr(source, "setup_from_path"):
        raise NotImplementedError("the environment has no `setup_from_path(path, device)`, which loads weights of your own")
    return source.setup_from_path(order["weights"], order["device"], **order["setup"]), source
