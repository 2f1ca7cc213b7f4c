"""DeePMD-kit: the pretrained DPA models for materials and molecules, and Deep Potentials of your own (torch backend).

J. Zeng et al., J. Chem. Theory Comput. 21, 4375 (2025); D. Zhang et al., arXiv:2506.01686 (2025) for DPA-3. Licence of the code: LGPL-3.0-or-later.
Weights come from the Hugging Face Hub when a model is loaded first; the package knows their sha256.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "deepmd-kit[torch]==3.2.0"]
# ///


def setup(model, device, **kwargs):
    """Return DeePMD's ASE calculator; `model` is `DPA-3.1-3M` if empty; a model with several heads needs `head=`.

    DeePMD takes the first GPU that it sees, or none where `device` is `cpu`.
    """
    return setup_from_path(model or "DPA-3.1-3M", device, **kwargs)


def setup_from_path(path, device, **kwargs):
    """Return the calculator of a frozen model (`.pth`, `.pt2`) or of a checkpoint (`.pt`)."""
    import os

    # Read once, when the backend is imported.
    os.environ.setdefault("DEVICE", "cpu" if device == "cpu" else "cuda")
    from deepmd.calculator import DP

    return DP(model=path, **kwargs)
