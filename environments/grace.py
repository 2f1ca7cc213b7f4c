"""GRACE: graph atomic cluster expansion, foundation models of OMat24, sAlex and MPtrj, 89 elements; for materials; and models of your own.

A. Bochkarev, Y. Lysogorskiy, R. Drautz, Phys. Rev. X 14, 021036 (2024). Licence of code and weights: Academic Software License (no commercial use).
Weights are archives that the package fetches and unpacks when a model is loaded first.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "tensorpotential==0.6.2.1"]
# ///


def setup(model, device, **kwargs):
    """Return GRACE's ASE calculator; `model` is `GRACE-2L-OMAT-medium-ft-AM` if empty; TensorFlow chooses the GPU it sees."""
    use(device)
    from tensorpotential.calculator.foundation_models import grace_fm

    return grace_fm(model or "GRACE-2L-OMAT-medium-ft-AM", **kwargs)


def setup_from_path(path, device, **kwargs):
    """Return the calculator of a directory that `gracemaker -s` has exported (`saved_model`)."""
    use(device)
    from tensorpotential.calculator.asecalculator import TPCalculator

    return TPCalculator(model=path, **kwargs)


def use(device):
    if device == "cpu":
        import tensorflow

        tensorflow.config.set_visible_devices([], "GPU")
