"""CHGNet: charge-informed universal potential, trained on MPtrj. Weights come in the package.

B. Deng et al., Nat. Mach. Intell. 5, 1031 (2023). Crystals only: a cell is required.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "chgnet==0.4.2", "torch==2.15.0"]
# ///


def setup(model, device, **kwargs):
    """Return CHGNet's ASE calculator; `model` is `0.3.0` (if empty), `0.2.0` or `r2scan`, `device` as torch names it."""
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    network = CHGNet.load(model_name=model or "0.3.0", use_device=device, verbose=False)
    return CHGNetCalculator(network, use_device=device, **kwargs)


def setup_from_path(path, device, **kwargs):
    """Return the calculator of a CHGNet that its trainer has saved, as a `.pth.tar`."""
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    return CHGNetCalculator(CHGNet.from_file(path), use_device=device, **kwargs)
