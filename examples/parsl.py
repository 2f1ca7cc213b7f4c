"""200 energies with Parsl, in worker processes that keep their model: on this machine, or with `--slurm` in blocks of a Slurm job.

    pip install parsl . && export ROOTSTOCK_ROOT=/path/to/root
    python examples/parsl.py [--slurm]

Any model will do: set ROOTSTOCK_MODEL to its id. On GPUs add `available_accelerators=4` to the executor, which gives each of its
processes a device.
"""

import os
import sys

# This file has the name of the package, which it must not hide.
sys.path = [path for path in sys.path if os.path.realpath(path) != os.path.dirname(os.path.realpath(__file__))]

import numpy as np
import parsl
from ase.build import bulk
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.launchers import SrunLauncher
from parsl.providers import LocalProvider, SlurmProvider


@parsl.python_app
def energy(atoms, model):
    """Runs in a process of the engine, which keeps one worker for all its tasks."""
    import os

    import rootstock

    atoms.calc = rootstock.shared(model)
    return atoms.get_potential_energy(), os.getpid()


def config(slurm):
    settings = dict(init_blocks=1, min_blocks=1, max_blocks=1)
    if slurm:
        # What the processes need to find, as a job script would set it.
        prepare = "export ROOTSTOCK_ROOT=%s" % os.environ["ROOTSTOCK_ROOT"]
        provider = SlurmProvider(
            nodes_per_block=2, exclusive=False, walltime="00:30:00", launcher=SrunLauncher(), worker_init=prepare, **settings
        )
    else:
        provider = LocalProvider(**settings)
    executor = HighThroughputExecutor(label="models", max_workers_per_node=2, provider=provider, address="127.0.0.1" if not slurm else None)
    return Config(executors=[executor], strategy="none", run_dir=os.environ.get("PARSL_RUN_DIR", "runinfo"))


def main():
    crystals = [bulk("Cu", a=a).repeat(2) for a in np.linspace(3.4, 3.8, 200)]
    with parsl.load(config("--slurm" in sys.argv)):
        results = [task.result() for task in [energy(atoms, os.environ.get("ROOTSTOCK_MODEL", "emt")) for atoms in crystals]]
    energies, processes = zip(*results)
    print("%d energies, the lowest %.4f eV, by %d processes" % (len(energies), min(energies), len(set(processes))))


if __name__ == "__main__":
    main()
