# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "a @ ./libs/a"]
# ///


def setup(model, device, **kwargs):
    from ase.calculators.emt import EMT

    return EMT(**kwargs)
