"""TorchANI: ANI-2x, ANI-1x, ANI-1ccx and their successors for organic molecules of H C N O (S F Cl).

X. Gao et al., J. Chem. Inf. Model. 60, 3408 (2020); C. Devereux et al., J. Chem. Theory Comput. 16, 4192 (2020) for ANI-2x.
Licence of code and weights: MIT. Weights come from the authors' releases when a model is loaded first.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "torchani==2.9.0"]
# ///


def setup(model, device, dtype="float64", **kwargs):
    """Return TorchANI's ASE calculator; `model` is `ANI2x` if empty, or another of `torchani.models`; `dtype` or `float32`."""
    import torch
    import torchani

    network = getattr(torchani.models, model or "ANI2x")(device=device, dtype=getattr(torch, dtype))
    return network.ase(**kwargs)


def setup_from_path(path, device, dtype="float64", **kwargs):
    """Return the calculator of a whole model (`torchani.arch.ANI`) that `torch.save` has written."""
    import torch
    import torchani  # noqa: F401 (the file names its classes)

    network = torch.load(path, map_location=device, weights_only=False)
    return network.to(device=device, dtype=getattr(torch, dtype)).ase(**kwargs)
