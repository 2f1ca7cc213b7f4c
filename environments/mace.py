"""MACE foundation models: MACE-MP-0, MACE-MPA-0 and others for 89 elements, MACE-OFF23 for organic molecules; and models of your own.

I. Batatia et al., arXiv:2401.00096 (2023); D. P. Kovács et al., J. Am. Chem. Soc. 147, 17598 (2025) for MACE-OFF.
Licence: MIT, for the weights of MP and MPA too; those of OMAT, MATPES and OFF are under the Academic Software Licence (no
commercial use). The library looks for weights in `$XDG_CACHE_HOME/mace`.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "mace-torch==0.3.16", "torch==2.15.0"]
# ///


def setup(model, device, default_dtype="float64", **kwargs):
    """Return MACE's ASE calculator for a named foundation model (`medium` if empty) or a model file.

    `off23-small`, `off23-medium` and `off23-large` are MACE-OFF; others are names of `mace_mp`. `default_dtype` is `float64`
    for geometry optimisation, `float32` for faster molecular dynamics.
    """
    import os

    from mace.calculators import MACECalculator, mace_mp, mace_off

    if model.startswith("off23-"):
        return mace_off(model=model.removeprefix("off23-"), device=device, default_dtype=default_dtype, **kwargs)

    if os.path.sep in model:
        return MACECalculator(model_paths=model, device=device, default_dtype=default_dtype, **kwargs)
    return mace_mp(model=model or "medium", device=device, default_dtype=default_dtype, **kwargs)


def setup_from_path(path, device, default_dtype="float64", **kwargs):
    """Return the calculator of a MACE model file."""
    from mace.calculators import MACECalculator

    return MACECalculator(model_paths=path, device=device, default_dtype=default_dtype, **kwargs)


def setup_batch(calculator):
    """Return a function that computes several structures in one evaluation of the network; committees and compiled models have none."""
    import torch
    from mace import data
    from mace.tools import torch_geometric, torch_tools

    if calculator.num_models != 1 or calculator.use_compile or calculator.model_type != "MACE":
        return None
    network = calculator.models[0]
    dtype = next(network.parameters()).dtype

    def graph(atoms):
        keys = data.KeySpecification(info_keys=calculator.info_keys, arrays_keys=calculator.arrays_keys)
        with torch_tools.default_dtype(calculator.default_dtype):
            config = data.config_from_atoms(atoms, key_specification=keys, head_name=calculator.head)
            options = {"z_table": calculator.z_table, "cutoff": calculator.r_max, "heads": calculator.available_heads}
            return data.AtomicData.from_config(config, **options)

    def compute(structures, properties):
        batch = torch_geometric.Batch.from_data_list([graph(atoms) for atoms in structures]).to(calculator.device)
        for key in batch.keys:
            if torch.is_tensor(batch[key]) and torch.is_floating_point(batch[key]):
                batch[key] = batch[key].to(dtype=dtype)
        output = network(batch.to_dict(), compute_stress="stress" in properties)
        forces = torch.split(output["forces"], [len(atoms) for atoms in structures])
        return [results(output, forces[index], index) for index in range(len(structures))]

    def results(output, forces, index):
        energy, length = calculator.energy_units_to_eV, calculator.length_units_to_A
        found = {"energy": output["energy"][index].item() * energy}
        found["forces"] = forces.detach().cpu().numpy() * (energy / length)
        if output.get("stress") is not None:
            found["stress"] = output["stress"][index].detach().cpu().numpy() * (energy / length**3)
        return found

    return compute
