"""AIMNet2: neural network potential for neutral and charged molecules of H B C N O F Si P S Cl As Se Br I (also Pd; open shells).

D. M. Anstine, R. Zubatyuk, O. Isayev, Chem. Sci. 16, 10228 (2025). Licence of code and weights: MIT.
Weights come from the authors' storage when a model is loaded first; the package knows their sha256.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "aimnet[ase]==0.2.6", "torch==2.15.0"]
# ///


def setup(model, device, charge=0, mult=1, **kwargs):
    """Return AIMNet2's ASE calculator (single precision); `model` is `aimnet2` (ωB97M-D3) if empty.

    Others: `aimnet2-b973c`, `aimnet2-2025`, `aimnet2-nse` (open shells), `aimnet2-pd`, `aimnet2-rxn`. Charge and multiplicity by
    keyword, or in `atoms.info["charge"]` and `["mult"]`.
    """
    return setup_from_path(model or "aimnet2", device, charge, mult, **kwargs)


def setup_from_path(path, device, charge=0, mult=1, **kwargs):
    """Return the calculator of a model file (`.pt`, `.jpt`)."""
    from aimnet.calculators import AIMNet2ASE, AIMNet2Calculator

    return AIMNet2ASE(AIMNet2Calculator(path, device=device, **kwargs), charge=charge, mult=mult)
