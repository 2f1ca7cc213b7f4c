"""One task's share of a screening: lattice constants of copper, their energies with the task's calculator."""

import os

import numpy as np
from ase.build import bulk


def share(task, tasks, calculator):
    """Energies of every `tasks`-th structure from number `task` on, and where they were computed."""
    energies = {}
    for number, a in list(enumerate(np.linspace(3.4, 3.8, 21)))[task::tasks]:
        atoms = bulk("Cu", a=a)
        atoms.calc = calculator
        energies[str(number)] = atoms.get_potential_energy()
    keep = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "SLURMD_NODENAME")
    return {"energies": energies, "task": {name: os.environ.get(name) for name in keep}}
