"""MatterSim: universal potential for elements, temperatures and pressures across the periodic table; for crystals.

H. Yang et al., arXiv:2405.04967 (2024). Licence of code and weights: MIT.
"""

# /// script
# requires-python = ">=3.12"
# dependencies = ["ase==3.29.0", "mattersim==1.2.5", "torch==2.15.0"]
# ///


def setup(model, device, **kwargs):
    """Return MatterSim's ASE calculator; `model` is `mattersim-v1.0.0-1M` if empty, or `mattersim-v1.0.0-5M`.

    Its files belong into `~/.local/mattersim/pretrained_models`, so the environment has a home directory of its own. In
    single precision; `dtype="float64"` for phonons.
    """
    return setup_from_path(model or "mattersim-v1.0.0-1M", device, **kwargs)


def setup_from_path(path, device, **kwargs):
    """Return the calculator of a checkpoint that MatterSim's trainer has saved, such as that of a fine-tuned model."""
    from mattersim.forcefield.potential import MatterSimCalculator, Potential

    potential = Potential.from_checkpoint(path, device=device, load_training_state=False)
    return MatterSimCalculator(potential=potential, device=device, **kwargs)
