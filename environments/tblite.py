"""Extended tight binding (xTB) by tblite: GFN2-xTB and GFN1-xTB for elements up to radon.

C. Bannwarth, S. Ehlert, S. Grimme, J. Chem. Theory Comput. 15, 1652 (2019). Licence: LGPL-3.0-or-later.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "tblite==0.8.0"]
# ///


def setup(model, device, **kwargs):
    """Return tblite's ASE calculator for `model` (`GFN2-xTB` if empty); runs on the CPU whatever `device` says.

    Charge and spin come from `atoms.info` or from keyword arguments (`charge=`, `multiplicity=`).
    """
    from tblite.ase import TBLite

    return TBLite(method=model or "GFN2-xTB", verbosity=0, **kwargs)
