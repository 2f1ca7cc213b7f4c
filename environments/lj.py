"""Lennard-Jones potential of ASE, with Rahman's parameters for argon: noble gases, tests of methods, teaching.

A. Rahman, Phys. Rev. 136, A405 (1964). Licence: LGPL-2.1-or-later (ASE).
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0"]
# ///

# epsilon / k_B = 119.8 K and sigma = 3.405 Å; the cutoff is 2.5 sigma, where the energy goes smoothly to zero.
ARGON = {"epsilon": 0.0103236, "sigma": 3.405, "rc": 8.5125, "smooth": True}


def setup(model, device, **kwargs):
    """Return ASE's Lennard-Jones calculator; `model` must be empty or `argon`, `device` is ignored.

    Other substances by keyword: `epsilon=` in eV, `sigma=`, `rc=` and `ro=` in Å, `smooth=`.
    """
    from ase.calculators.lj import LennardJones

    if model not in ("", "argon"):
        raise ValueError(f"the environment `lj` has the model `argon`, not {model!r}; give epsilon and sigma by keyword")
    return LennardJones(**{**ARGON, **kwargs})
