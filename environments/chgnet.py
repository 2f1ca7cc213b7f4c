"""CHGNet: charge-informed universal potential, trained on MPtrj. Weights come in the package.

B. Deng et al., Nat. Mach. Intell. 5, 1031 (2023). Licence of code and weights: modified BSD.
Elements up to curium; crystals only: a cell is required. Magnetic moments come with the forces.
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


def setup_batch(calculator):
    """Return a function that computes several structures in one evaluation of the network."""
    from pymatgen.io.ase import AseAtomsAdaptor

    network = calculator.model

    def compute(structures, properties):
        graphs = [network.graph_converter(AseAtomsAdaptor.get_structure(atoms)) for atoms in structures]
        task = "efsm" if "stress" in properties else "efm"
        predictions = network.predict_graph(graphs, task=task, batch_size=len(graphs))
        if len(graphs) == 1:
            predictions = [predictions]
        return [results(atoms, prediction) for atoms, prediction in zip(structures, predictions)]

    def results(atoms, prediction):
        energy = prediction["e"] * (len(atoms) if network.is_intensive else 1)
        found = {"energy": energy, "forces": prediction["f"], "magmoms": prediction["m"]}
        if "s" in prediction:
            found["stress"] = prediction["s"] * calculator.stress_weight
        return found

    return compute
