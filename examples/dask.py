"""200 energies with Dask, in worker processes that keep their model: on this machine, or with `--slurm` in jobs of Slurm.

    pip install distributed dask-jobqueue . && export ROOTSTOCK_ROOT=/path/to/root
    python examples/dask.py [--slurm]

Any model will do: set ROOTSTOCK_MODEL to its id. Atoms that carry a calculator can be sent as they are, too.
"""

import os
import sys

# This file has the name of the package, which it must not hide.
sys.path = [path for path in sys.path if os.path.realpath(path) != os.path.dirname(os.path.realpath(__file__))]

import numpy as np
from ase.build import bulk


def energy(atoms, model):
    """Runs in a process of the engine, which keeps one worker for all its tasks."""
    import rootstock

    atoms.calc = rootstock.shared(model)
    return atoms.get_potential_energy(), os.getpid()


def cluster(slurm):
    if slurm:
        from dask_jobqueue import SLURMCluster

        prepare = ["export ROOTSTOCK_ROOT=%s" % os.environ["ROOTSTOCK_ROOT"]]
        # One process in each job, so that jobs and models are as many.
        cluster = SLURMCluster(cores=1, processes=1, memory="1GB", walltime="00:30:00", job_script_prologue=prepare)
        cluster.scale(jobs=2)
        return cluster
    from dask.distributed import LocalCluster

    # Threads would share one worker, one at a time.
    return LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)


def main():
    from dask.distributed import Client

    crystals = [bulk("Cu", a=a).repeat(2) for a in np.linspace(3.4, 3.8, 200)]
    with cluster("--slurm" in sys.argv) as running, Client(running) as client:
        client.wait_for_workers(2)
        model = os.environ.get("ROOTSTOCK_MODEL", "emt")
        results = client.gather(client.map(energy, crystals, model=model, batch_size=10))
    energies, processes = zip(*results)
    print("%d energies, the lowest %.4f eV, by %d processes" % (len(energies), min(energies), len(set(processes))))


if __name__ == "__main__":
    main()
