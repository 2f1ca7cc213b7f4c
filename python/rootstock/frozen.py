"""Workers of the Python rootstock 1.x, which are frozen into the environments of its roots: finding and starting them.

Such a worker is the environment's Python alone: only the calculator restarts it, and a step that takes too long ends it.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import select
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from . import wire
from .worker import RootstockError, Worker, spawn

#: The program of the environment's Python. Runs isolated from modules loaded on a cluster.
PROGRAM = """\
import json, sys
order = json.loads(sys.argv[1])
sys.path.insert(0, order["environment"])
import env_source
from rootstock.worker import run_worker
weights = order["weights"]
run_worker(
    setup_fn=env_source.setup_from_path if weights else env_source.setup,
    checkpoint=weights or order["model"],
    device=order["device"],
    socket_path=order["socket"],
    setup_kwargs=order["setup"],
)
"""

#: The supported layout of roots.
LAYOUT = 1

_USERS = {
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
    "TORCH_EXTENSIONS_DIR": "torch_extensions",
    "CUDA_CACHE_PATH": "nv/ComputeCache",
    "WARP_CACHE_PATH": "warp",
    "CACHED_PATH_CACHE_ROOT": "cached_path",
    "XDG_CONFIG_HOME": "config",
    "MPLCONFIGDIR": "matplotlib",
}


def built(root: str) -> bool:
    """Whether the Python rootstock 1.x has built this root."""
    place = Path(root)
    return not (place / "models.json").exists() and any(place.glob("envs/*/env_source.py"))


def start(
    root: str,
    *,
    model: str,
    device: str,
    setup: dict[str, Any],
    weights: str | None,
    startup_timeout: float,
    step_timeout: float | None,
) -> Worker:
    """Start a worker and wait until it has loaded its model.

    Raises:
        RootstockError: No environment has this model, or the worker could not be started or did not connect.
    """
    place = Path(os.path.abspath(root))
    layout = _layout(place)
    environment = _host(place, model)
    cache = Path(layout.get("cache_root") or place)
    order = {
        "environment": str(environment),
        "model": model,
        "device": device,
        "setup": setup,
        "weights": weights,
    }
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="rootstock-"))
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        path = os.path.join(directory, "worker")
        listener.bind(path)
        listener.listen(1)
        process, tail = spawn(
            model,
            [str(environment / "bin" / "python"), "-I", "-B", "-c", PROGRAM, json.dumps({**order, "socket": path})],
            variables=_variables(environment, cache),
            directory=str(environment),
        )
        # An unconnected socket, until the worker connects.
        worker = Worker(model, process, wire.Connection(socket.socket(socket.AF_UNIX), wire.FROZEN), tail)
        deadline = time.monotonic() + startup_timeout
        try:
            while not select.select([listener], [], [], 0.05)[0]:
                if process.poll() is not None:
                    raise worker.died()
                if time.monotonic() > deadline:
                    raise RootstockError(f"the model {model} is not loaded after {startup_timeout:g} s")
            connection, _ = listener.accept()
        except BaseException:
            worker.kill()
            raise
    connection.settimeout(step_timeout)
    worker.connection.close()
    worker.connection = wire.Connection(connection, wire.FROZEN)
    return worker


def _layout(root: Path) -> dict[str, Any]:
    try:
        layout = json.loads((root / "layout.json").read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RootstockError(f"cannot read `{root / 'layout.json'}`: {error}") from error
    version = layout.get("layout_version", LAYOUT)
    if version > LAYOUT:
        raise RootstockError(f"the root `{root}` has layout {version} of rootstock 1.x; only {LAYOUT} is supported")
    return dict(layout)


def _host(root: Path, model: str) -> Path:
    """The environment with this model."""
    models = {source.parent: _models(source) for source in sorted(root.glob("envs/*/env_source.py"))}
    hosts = [environment for environment, known in models.items() if model in known]
    if not hosts:
        every = sorted(model for known in models.values() for model in known)
        raise RootstockError(f"the root `{root}` has no model `{model}`; it has {', '.join(every) or 'none'}")
    if len(hosts) > 1:
        names = ", ".join(host.name for host in hosts)
        raise RootstockError(f"the root `{root}` has the model `{model}` in several environments: {names}")
    return hosts[0]


def _models(source: Path) -> list[str]:
    """The keys of `CHECKPOINTS`; none if it is not a dictionary of constants."""
    try:
        tree = ast.parse(source.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    for node in tree.body:
        names = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        if any(isinstance(name, ast.Name) and name.id == "CHECKPOINTS" for name in names):
            assert isinstance(node, (ast.Assign, ast.AnnAssign))
            if isinstance(node.value, ast.Dict):
                return [str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)]
    return []


def _variables(environment: Path, cache: Path) -> dict[str, str]:
    """The variables of rootstock 1.x's workers: shared caches for weights, the user's own for compiled code."""
    home = os.environ.get("ROOTSTOCK_USER_CACHE_DIR") or os.path.join(os.path.expanduser("~"), ".cache", "rootstock")
    users = {name: os.environ.get(name) or os.path.join(home, below) for name, below in _USERS.items()}
    libraries = [str(environment / "lib"), os.environ.get("LD_LIBRARY_PATH", "")]
    return {
        **os.environ,
        **users,
        "HOME": str(cache / "home"),
        "XDG_CACHE_HOME": str(cache / "cache"),
        "HF_HOME": str(cache / "cache" / "huggingface"),
        "HF_HUB_CACHE": str(cache / "cache" / "huggingface" / "hub"),
        "HF_HUB_OFFLINE": "1",
        "LD_LIBRARY_PATH": ":".join(path for path in libraries if path),
    }
