"""DIEP: potential from the direct integration of electrons, trained on MatPES r2SCAN, 89 elements; for crystals. Weights in the package.

S. A. Tawfik et al., Digital Discovery (2024), doi:10.1039/D4DD00246F; A. D. Kaplan et al., arXiv:2503.04070 (2025) for MatPES.
Licence of code and weights: BSD-3-Clause.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "diep==2.0.0", "torch==2.15.0"]
# ///


def setup(model, device, **kwargs):
    """Return DIEP's ASE calculator (single precision); `model` is `diep_fold1` if empty, the one in the package."""
    if model not in ("", "diep_fold1"):
        raise ValueError(f"the environment `diep` has the model `diep_fold1`, not {model!r}")
    return setup_from_path(None, device, **kwargs)


def setup_from_path(path, device, **kwargs):
    """Return the calculator of a directory that `Potential.save` has written."""
    from diep.pretrained import DIEPCalculator, load_potential

    # Its own default is GPa, which ASE would take for eV/Å³.
    return DIEPCalculator(load_potential(path, device=device), **{"stress_unit": "eV/A3", **kwargs})
