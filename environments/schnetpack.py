"""SchNetPack: SchNet, PaiNN and SO3net potentials of your own; molecules and materials they were trained on.

K. T. Schütt et al., J. Chem. Phys. 158, 144801 (2023). Licence: MIT.
There are no weights in the package: `schnetpack:custom` with the path of a `best_inference_model` that `spktrain` has saved.
"""

# /// script
# requires-python = ">=3.12"
# dependencies = ["ase==3.29.0", "schnetpack==2.2.0", "torch==2.15.0"]
# ///


def setup(model, device, **kwargs):
    """Refuse: there is no model with a name."""
    raise ValueError("the environment `schnetpack` has no model of its own: `schnetpack:custom` takes the path of a saved model")


def setup_from_path(path, device, cutoff=5.0, **kwargs):
    """Return SchNetPack's ASE calculator for a model in eV and Å, or in the units of `energy_unit=` and `position_unit=`.

    `cutoff` in Å must be that of the training. A model without stresses needs `stress_key=None`.
    """
    from schnetpack.interfaces.ase_interface import SpkCalculator
    from schnetpack.transform import MatScipyNeighborList

    # Without `stress_key` the calculator has no stress, whatever the model computes.
    units = {"energy_unit": "eV", "position_unit": "Ang", "stress_key": "stress"}
    neighbors = MatScipyNeighborList(cutoff=cutoff)
    return SpkCalculator(model=path, neighbor_list=neighbors, device=device, **{**units, **kwargs})
