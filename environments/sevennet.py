"""SevenNet: equivariant universal potential, 89 elements. `7net-0`, `7net-l3i5` and `7net-mf-0` come in the package.

Y. Park et al., J. Chem. Theory Comput. 20, 4857 (2024). Licence: MIT.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "sevenn==0.13.0", "torch==2.15.0"]
# ///


def setup(model, device, **kwargs):
    """Return SevenNet's ASE calculator; `model` is `7net-0` if empty; multi-fidelity models need `modal=`."""
    from sevenn.calculator import SevenNetCalculator

    return SevenNetCalculator(model=model or "7net-0", device=device, **kwargs)


def setup_from_path(path, device, **kwargs):
    """Return the calculator of a checkpoint that SevenNet's trainer has saved."""
    from sevenn.calculator import SevenNetCalculator

    return SevenNetCalculator(model=path, device=device, **kwargs)


def setup_batch(calculator):
    """Return a function that computes several structures in one evaluation of the network."""
    import torch
    from sevenn import _keys as key
    from sevenn.atom_graph_data import AtomGraphData
    from sevenn.train.dataload import unlabeled_atoms_to_graph
    from sevenn.util import to_atom_graph_list
    from torch_geometric.data import Batch

    def graph(atoms):
        data = AtomGraphData.from_numpy_dict(unlabeled_atoms_to_graph(atoms, calculator.cutoff, with_shift=False))
        data[key.INFO] = {}  # what the atoms carry in `info` may differ from structure to structure
        if calculator.modal:
            data[key.DATA_MODALITY] = calculator.modal
        return data

    def compute(structures, properties):
        batch = Batch.from_data_list([graph(atoms) for atoms in structures]).to(calculator.device)
        calculator.model.set_is_batch_data(True)
        try:
            outputs = to_atom_graph_list(calculator.model(batch))
        finally:
            calculator.model.set_is_batch_data(False)
        return [results(output) for output in outputs]

    def results(output):
        output[key.PRED_STRESS] = torch.squeeze(output[key.PRED_STRESS], 0)
        return calculator.output_to_results(output)

    return compute
