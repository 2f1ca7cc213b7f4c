"""Orb: fast universal potentials trained on OMat24, MPtrj and Alexandria (`omat`, `mpa`) or on OMol25 (`omol`), 117 elements.

B. Rhodes et al., arXiv:2504.06231 (2025). Licence of code and weights: Apache-2.0. `conservative` models have forces that are
the gradient of the energy; `direct` ones predict them, are faster, and conserve no energy in molecular dynamics.
"""

# /// script
# requires-python = ">=3.12"
# dependencies = ["ase==3.29.0", "orb-models==0.7.0", "torch==2.15.0"]
# ///


def setup(model, device, precision="float32-highest", weights_path=None, **kwargs):
    """Return Orb's ASE calculator for a published model, `orb-v3-conservative-inf-omat` if empty.

    `precision` is `float32-high` for TF32 on a GPU, `float32-highest` or `float64`. OMol models read charge and spin
    multiplicity from `atoms.info["charge"]` and `["spin"]`.
    """
    import os

    from orb_models.forcefield import pretrained
    from orb_models.forcefield.inference.calculator import ORBCalculator

    model = model or "orb-v3-conservative-inf-omat"
    if weights_path is None:
        # Where this repository's manifest puts the file; else the library fetches it.
        fetched = os.path.join(os.environ.get("XDG_CACHE_HOME", ""), "orb", model + ".ckpt")
        weights_path = fetched if os.path.exists(fetched) else None
    options = {"weights_path": weights_path} if weights_path else {}
    load = pretrained.ORB_PRETRAINED_MODELS[model]
    network, adapter = load(device=device, precision=precision, compile=False, **options)
    return ORBCalculator(network, atoms_adapter=adapter, device=device, **kwargs)


def setup_from_path(path, device, architecture="orb-v3-conservative-inf-omat", **kwargs):
    """Return the calculator of a checkpoint, such as one of a fine-tuned model; `architecture` is the model it began with."""
    return setup(architecture, device, weights_path=path, **kwargs)


def setup_batch(calculator):
    """Return a function that computes several structures in one evaluation of the network."""
    import torch

    def compute(structures, properties):
        graphs = [graph(atoms) for atoms in structures]
        output = calculator.model.predict(graphs[0].batch(graphs).to(calculator.device), split=True)
        return [results(output, index) for index in range(len(structures))]

    def graph(atoms):
        if calculator.expects_charge_and_spin and not {"charge", "spin"} <= set(atoms.info):
            raise ValueError("atoms.info must contain both 'charge' and 'spin'")
        options = {"max_num_neighbors": calculator.max_num_neighbors, "edge_method": calculator.edge_method}
        options["half_supercell"] = calculator.half_supercell
        return calculator.adapter.from_ase_atoms(atoms=atoms, device=calculator.device, **options)

    def results(output, index):
        calculator._update_results({name: torch.as_tensor(values[index]) for name, values in output.items()})
        return calculator.results

    return compute
