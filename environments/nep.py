"""Neuroevolution potentials (NEP) by calorine: files `nep.txt` that GPUMD has trained, for any system they were trained on.

Z. Fan et al., Phys. Rev. B 104, 104309 (2021); E. Lindgren et al., J. Open Source Softw. 9, 6264 (2024).
Licence: MPL-2.0 (calorine). There are no weights in the package: `nep:custom` with the path of a file.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "calorine==4.1"]
# ///


def setup(model, device, **kwargs):
    """Refuse: there is no model with a name."""
    raise ValueError("the environment `nep` has no model of its own: `nep:custom` takes the path of a `nep.txt`")


def setup_from_path(path, device, **kwargs):
    """Return calorine's calculator of a `nep.txt`: in the process on the CPU, else by the program `gpumd` on PATH."""
    if device == "cpu":
        from calorine.calculators import CPUNEP

        return CPUNEP(path, **kwargs)
    from calorine.calculators import GPUNEP

    return GPUNEP(path, **kwargs)
