"""A pytest plugin that lets the unchanged tests of i-PI and ASE meet our worker in place of their own clients.

Tests of i-PI that need a potential of its Fortran driver are deselected; those that need none of ours stay.
"""

import subprocess
from pathlib import Path

import pytest

OURS = ("harm3d", "harmonic", "gas")


def models(folder):
    """The driver models of a regression test; `dummy` where it does not say."""
    settings = Path(folder) / "test_settings.dat"
    if not settings.is_file():
        return ["dummy"]
    return [line.split()[1] for line in settings.read_text().splitlines() if "driver_model" in line]


def pytest_collection_modifyitems(config, items):
    kept = [item for item in items if "regtest" not in item.fixturenames or set(models(item.callspec.params["regtest"])) <= set(OURS)]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def pytest_configure(config):
    try:
        import ipi_tests.test_tools
    except ImportError:
        return
    # Seconds for a whole simulation; a loaded machine takes longer to start a Python.
    ipi_tests.test_tools.TIMEOUT = 120


def worker(atoms, port, unixsocket, *arguments):
    """Our worker in place of ASE's client."""
    import os
    import tempfile

    template = tempfile.NamedTemporaryFile(suffix=".traj")
    atoms.copy().write(template.name)
    server = ["--unix", unixsocket] if unixsocket else ["--tcp", "localhost:%d" % port]
    command = [os.environ["ROOTSTOCK"], "worker", "emt", "--root", os.environ["ROOTSTOCK_ROOT"], *server]
    process = subprocess.Popen([*command, "--template", template.name, *arguments])
    process.template = template  # Removed with it.
    return process


class Client:
    """In place of `ase.calculators.socketio.SocketClient`."""

    def __init__(self, port=None, unixsocket=None, **_):
        self.server = port, unixsocket

    def run(self, atoms, use_stress=False):
        arguments = [] if use_stress else ["--no-stress"]
        assert worker(atoms, *self.server, *arguments).wait() == 0


class Launcher:
    """In place of `ase.calculators.socketio.PySocketIOClient`; the calculator is EMT."""

    def __init__(self, calculator_factory):
        pass

    def __call__(self, atoms, properties=None, port=None, unixsocket=None):
        return worker(atoms, port, unixsocket)


@pytest.fixture(autouse=True)
def ours(request, monkeypatch):
    for name, replacement in [("SocketClient", Client), ("PySocketIOClient", Launcher)]:
        if hasattr(request.module, name):
            monkeypatch.setattr(request.module, name, replacement)
