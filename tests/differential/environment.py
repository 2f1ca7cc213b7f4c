"""The source of every environment here: what they are compared for is their packages, which the manifest names."""

# /// script
# requires-python = ">=3.10"
# dependencies = ["ase"]
# ///


def setup(model, device):
    """Return an ASE calculator that every environment has."""
    from ase.calculators.lj import LennardJones

    return LennardJones()
