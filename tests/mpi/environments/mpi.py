# /// script
# requires-python = ">=3.11"
# dependencies = ["mpi4py==4.1.2", "mpich==5.0.2"]
# ///
"""A model that says which of the launcher's tasks it is in, and then fails."""

import os


def setup(model, device):
    names = ("PMI_RANK", "PMI_SIZE")
    raise RuntimeError("a task of " + repr([os.environ.get(name) for name in names]))
