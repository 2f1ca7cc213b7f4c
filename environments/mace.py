"""MACE foundation models trained on Materials Project data (MACE-MP-0, MACE-MPA-0).

I. Batatia et al., arXiv:2401.00096 (2023). Weights are files of the cache: the library looks for them in
`$XDG_CACHE_HOME/mace`; or give the path of a model file as `model`.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "mace-torch==0.3.16", "torch==2.15.0"]
# ///


def setup(model, device, default_dtype="float64", **kwargs):
    """Return MACE's ASE calculator for a named foundation model (`medium` if empty) or a model file.

    `default_dtype` is `float64` for geometry optimisation, `float32` for faster molecular dynamics.
    """
    import os

    from mace.calculators import MACECalculator, mace_mp

    if os.path.sep in model:
        return MACECalculator(model_paths=model, device=device, default_dtype=default_dtype, **kwargs)
    return mace_mp(model=model or "medium", device=device, default_dtype=default_dtype, **kwargs)


def setup_from_path(path, device, default_dtype="float64", **kwargs):
    """Return the calculator of a MACE model file."""
    from mace.calculators import MACECalculator

    return MACECalculator(model_paths=path, device=device, default_dtype=default_dtype, **kwargs)
