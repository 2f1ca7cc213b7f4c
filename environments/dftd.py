"""DFT-D3 and DFT-D4 dispersion corrections: elements up to actinium, to be added to a functional or to a potential.

S. Grimme et al., J. Chem. Phys. 132, 154104 (2010), and J. Comput. Chem. 32, 1456 (2011), for D3;
E. Caldeweyher et al., J. Chem. Phys. 150, 154122 (2019), for D4. Licence of simple-dftd3 and dftd4: LGPL-3.0-or-later.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "dftd3==1.7.0", "dftd4==4.3.1"]
# ///

DAMPINGS = ("d3bj", "d3zero", "d3bjm", "d3zerom", "d3op", "d3cso")


def setup(model, device, method="PBE", **kwargs):
    """Return the correction alone, for the functional `method`; `model` is a damping of D3 (`d3bj` if empty) or `d4` or `d4s`.

    It runs on the CPU whatever `device` says. Parameters of your own: `params_tweaks=`.
    """
    if model in ("d4", "d4s"):
        from dftd4.ase import DFTD4

        return DFTD4(method=method, model=model, **kwargs)
    if model and model not in DAMPINGS:
        raise ValueError(f"{model!r} is none of {', '.join(DAMPINGS)}, d4 and d4s")
    from dftd3.ase import DFTD3

    return DFTD3(method=method, damping=model or "d3bj", **kwargs)
