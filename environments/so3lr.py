"""SO3LR: potential with long-range interactions for molecules in gas and solution, H C N O F P S Cl. Weights in the package.

A. Kabylda et al., J. Am. Chem. Soc. (2025), doi:10.1021/jacs.5c09558. Licence of code and weights: MIT.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "so3krates-torch==0.2.1", "torch==2.15.0"]
# ///


def setup(model, device, **kwargs):
    """Return SO3LR's ASE calculator, in double precision unless `default_dtype="float32"`; `model` must be empty or `so3lr`.

    The charge comes from `atoms.info["charge"]`; `r_max_lr=` is the cutoff of the long-range part in Å.
    """
    from so3krates_torch.calculator.so3 import SO3LRCalculator

    if model not in ("", "so3lr"):
        raise ValueError(f"the environment `so3lr` has the model `so3lr`, not {model!r}")
    return SO3LRCalculator(device=device, **defaults(kwargs))


def setup_from_path(path, device, **kwargs):
    """Return the calculator of a SO3LR or So3krates model that its trainer has saved; for the latter `model_type="so3krates"`."""
    from so3krates_torch.calculator.so3 import TorchkratesCalculator

    return TorchkratesCalculator(model_paths=path, device=device, **defaults(kwargs))


def defaults(kwargs):
    return {"compute_stress": True, "default_dtype": "float64", **kwargs}
