"""graph-pes: potentials of your own (PaiNN, SchNet, NequIP, MACE, EDDP, …) trained with one library; any system they were trained on.

J. Gardner, graph-pes (2025). Licence: MIT.
There are no weights in the package: `graph-pes:custom` with the path of a `model.pt` that `graph-pes-train` has saved.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "graph-pes==1.0.2", "torch==2.15.0"]
# ///


def setup(model, device, **kwargs):
    """Refuse: there is no model with a name."""
    raise ValueError("the environment `graph-pes` has no model of its own: `graph-pes:custom` takes the path of a `model.pt`")


def setup_from_path(path, device, **kwargs):
    """Return the ASE calculator of a saved model, in the precision it was trained in; `skin=` of its neighbour list in Å."""
    from graph_pes.models import load_model

    return load_model(path).to(device).ase_calculator(**kwargs)
