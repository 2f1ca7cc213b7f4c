"""UPET: the universal PET potentials PET-MAD, PET-OMat, PET-OAM and PET-OMATPES for materials and molecules, PET-SPICE for molecules.

A. Mazitov et al., Nat. Commun. 16, 10653 (2025), for PET-MAD; F. Bigi et al., arXiv:2601.16195 (2026). Licence of code and weights:
BSD-3-Clause. Weights come from the Hugging Face Hub (lab-cosmo/upet) when a model is loaded first. Forces are the gradient of
the energy unless `non_conservative=True`.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "upet==0.3.1"]
# ///


def setup(model, device, version="latest", **kwargs):
    """Return UPET's ASE calculator; `model` is `pet-mad-s` if empty; `version=` pins it, as in `version="1.5.0"`."""
    from upet.ase import UPETCalculator

    return UPETCalculator(model=model or "pet-mad-s", version=version, device=device, **kwargs)


def setup_from_path(path, device, **kwargs):
    """Return the calculator of a checkpoint (`.ckpt`), or of a model that `mtt export` has written (`.pt`)."""
    if path.endswith(".pt"):
        from metatomic_ase import MetatomicCalculator

        return MetatomicCalculator(path, device=device, **kwargs)
    from upet.ase import UPETCalculator

    return UPETCalculator(checkpoint_path=path, device=device, **kwargs)
