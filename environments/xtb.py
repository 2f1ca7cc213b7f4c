"""Extended tight binding (xTB) by the library of the program `xtb`: GFN2-xTB and GFN1-xTB for elements up to radon.

C. Bannwarth et al., WIREs Comput. Mol. Sci. 11, e1493 (2021). Licence: LGPL-3.0-or-later. For new work prefer `tblite`,
which is maintained and has wheels for Python 3.12 and later; this one has solvation (`solvent=`) and periodic GFN1-xTB.
"""

# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["ase==3.29.0", "xtb==22.1"]
# ///


def setup(model, device, **kwargs):
    """Return xtb's ASE calculator for `model` (`GFN2-xTB` if empty); runs on the CPU whatever `device` says.

    The charge is the sum of the atoms' initial charges. Keywords: `accuracy=`, `electronic_temperature=` in K,
    `max_iterations=`, `solvent=`.
    """
    from xtb.ase.calculator import XTB

    return XTB(method=model or "GFN2-xTB", **kwargs)
