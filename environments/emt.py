"""Effective medium theory (EMT) of ASE: fcc metals Al, Cu, Ag, Au, Ni, Pd, Pt and H, C, N, O.

Fast and qualitative; K. W. Jacobsen, P. Stoltze, J. K. Norskov, Surf. Sci. 366, 394 (1996). Licence: LGPL-2.1-or-later (ASE).
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0"]
# ///


def setup(model, device, **kwargs):
    """Return ASE's EMT calculator (energies in eV, forces in eV/Å); `model` must be empty, `device` is ignored."""
    from ase.calculators.emt import EMT

    if model:
        raise ValueError(f"the environment `emt` has one model without a name, not {model!r}")
    return EMT(**kwargs)
