"""The part of torch-scatter that HIENet uses, by the operators of torch itself: nothing to compile."""
import torch


def _expand(index, src, dim):
    dim = dim % src.dim()
    if index.dim() == 1:
        shape = [1] * src.dim()
        shape[dim] = -1
        index = index.view(shape)
    return index.expand_as(src), dim


def scatter(src, index, dim=-1, out=None, dim_size=None, reduce="sum"):
    index, dim = _expand(index, src, dim)
    if out is None:
        size = list(src.shape)
        size[dim] = dim_size if dim_size is not None else (int(index.max()) + 1 if index.numel() else 0)
        out = src.new_zeros(size)
    if reduce in ("sum", "add"):
        return out.scatter_add(dim, index, src)
    how = {"mean": "mean", "max": "amax", "min": "amin", "mul": "prod"}[reduce]
    return out.scatter_reduce(dim, index, src, how, include_self=False)


def scatter_add(src, index, dim=-1, out=None, dim_size=None):
    return scatter(src, index, dim, out, dim_size, "sum")


scatter_sum = scatter_add


def scatter_mean(src, index, dim=-1, out=None, dim_size=None):
    return scatter(src, index, dim, out, dim_size, "mean")
