"""SevenNet: equivariant universal potential. `7net-0`, `7net-l3i5` and `7net-mf-0` come in the package.

Y. Park et al., J. Chem. Theory Comput. 20, 4857 (2024).
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "sevenn==0.13.0", "torch==2.15.0"]
# ///


def setup(model, device, **kwargs):
    """Return SevenNet's ASE calculator; `model` is `7net-0` if empty; multi-fidelity models need `modal=`."""
    from sevenn.calculator import SevenNetCalculator

    return SevenNetCalculator(model=model or "7net-0", device=device, **kwargs)


def setup_from_path(path, device, **kwargs):
    """Return the calculator of a checkpoint that SevenNet's trainer has saved."""
    from sevenn.calculator import SevenNetCalculator

    return SevenNetCalculator(model=path, device=device, **kwargs)
