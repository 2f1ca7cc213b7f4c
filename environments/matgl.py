"""Materials Graph Library: M3GNet, TensorNet, CHGNet and QET potentials of the MatPES and MPtrj data sets, 89 elements; for crystals.

C. Chen, S. P. Ong, Nat. Comput. Sci. 2, 718 (2022), for M3GNet; G. Simeon, G. De Fabritiis, NeurIPS 2023, for TensorNet;
A. D. Kaplan et al., arXiv:2503.04070 (2025), for MatPES. Licence of code and weights: BSD-3-Clause.
Weights come from the Hugging Face Hub (organisation `materialyze`), three files for each model, when it is loaded first.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "matgl==4.1.2", "torch==2.15.0"]
# ///


def setup(model, device, **kwargs):
    """Return matgl's ASE calculator (single precision); `model` is `TensorNet-PES-MatPES-PBE-2025.2` if empty."""
    return setup_from_path(model or "TensorNet-PES-MatPES-PBE-2025.2", device, **kwargs)


def setup_from_path(path, device, **kwargs):
    """Return the calculator of a directory that `Potential.save` has written."""
    import matgl
    from matgl.ext.ase import PESCalculator

    # Its own default is GPa, which ASE would take for eV/Å³.
    return PESCalculator(matgl.load_model(path).to(device), **{"stress_unit": "eV/A3", **kwargs})


def setup_batch(calculator):
    """Return a function that computes several structures in one evaluation of the network; charged models have none."""
    import torch
    from torch_geometric.data import Batch

    if calculator.compute_charge:
        return None

    def compute(structures, properties):
        graphs, lattices, states = zip(*(calculator._atoms2graph.get_graph(atoms) for atoms in structures))
        lattices = torch.cat([lattice.reshape(1, 3, 3) for lattice in lattices])
        states = torch.stack([torch.as_tensor(state, dtype=lattices.dtype) for state in states])
        if calculator.state_attr is not None:
            states = calculator.state_attr
        # A calculator with one structure hands over no batch; the network expects one line of `states` for each.
        energies, forces, stresses, *_ = calculator.potential(Batch.from_data_list(list(graphs)), lattices, states)
        sizes = [len(atoms) for atoms in structures]
        energies, stresses = energies.reshape(-1), stresses.reshape(-1, 3, 3)
        parts = zip(energies, torch.split(forces, sizes), stresses if calculator.compute_stress else sizes)
        return [results(*part) for part in parts]

    def results(energy, forces, stress):
        found = {"energy": energy.item(), "forces": forces.detach().cpu().numpy()}
        if calculator.compute_stress:
            found["stress"] = stress.detach().cpu().numpy() * calculator.conversion_factor
        return found

    return compute
