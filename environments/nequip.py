"""NequIP and Allegro: equivariant potentials of your own, or foundation models from nequip.net; any system they were trained on.

S. Batzner et al., Nat. Commun. 13, 2453 (2022); A. Musaelian et al., Nat. Commun. 14, 579 (2023) for Allegro;
C. W. Tan et al., arXiv:2504.16068 (2025) for this version. Licence: MIT; weights have licences of their own.
There are no weights in the package: `nequip:custom` with the path of a model compiled by `nequip-compile --mode torchscript --target
ase` (or `aotinductor`, for one type of GPU), of a package (`.nequip.zip`), or of a checkpoint (`.ckpt`).
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "nequip==0.19.1", "nequip-allegro==0.8.3", "torch==2.15.0"]
# ///


def setup(model, device, **kwargs):
    """Refuse: there is no model with a name."""
    raise ValueError("the environment `nequip` has no model of its own: `nequip:custom` takes the path of a compiled or saved model")


def setup_from_path(path, device, **kwargs):
    """Return NequIP's ASE calculator in the precision the model was trained in.

    Names of the model's types that are no chemical symbols: `chemical_species_to_atom_type_map=`.
    """
    from nequip.ase import NequIPCalculator

    if path.endswith((".nequip.zip", ".ckpt")):
        return NequIPCalculator._from_saved_model(path, device=device, **kwargs)
    return NequIPCalculator.from_compiled_model(path, device=device, **kwargs)
