"""Nequix: small E(3)-equivariant universal potentials in JAX, trained on MPtrj, OMat24, sAlex and phonons, 89 elements; for crystals.

T. Koker, M. Kotak, T. Smidt, arXiv:2508.16067 (2025). Licence of code and weights: MIT.
Weights come from the authors' repository, at a fixed commit, when a model is loaded first. This environment has JAX for the CPU.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "nequix==0.4.5"]
# ///


def setup(model, device, **kwargs):
    """Return Nequix's ASE calculator (single precision); `model` is `nequix-mp-1` if empty."""
    use(device)
    from nequix.calculator import NequixCalculator

    return NequixCalculator(model or "nequix-mp-1", **{"use_kernel": False, **kwargs})


def setup_from_path(path, device, **kwargs):
    """Return the calculator of a model (`.nqx`) that Nequix' trainer has saved."""
    use(device)
    from nequix.calculator import NequixCalculator

    return NequixCalculator(model_path=path, **{"use_kernel": False, **kwargs})


def use(device):
    if device == "cpu":
        import jax

        jax.config.update("jax_platforms", "cpu")


def setup_batch(calculator):
    """Return a function that computes several structures in one evaluation of the network."""
    import equinox
    import jraph
    import numpy
    from nequix.data import dict_to_graphstuple, preprocess_graph

    if calculator.backend != "jax":
        return None

    def compute(structures, properties):
        graphs = [dict_to_graphstuple(preprocess_graph(atoms, calculator.atom_indices, calculator.cutoff, False)) for atoms in structures]
        # Padded, as the calculator does, so that similar batches need no new compilation.
        batch = jraph.batch_np(graphs)
        nodes, edges = (int(sum(counts)) for counts in (batch.n_node, batch.n_edge))
        batch = jraph.pad_with_graphs(batch, n_node=(nodes + 8) // 8 * 8, n_edge=(edges + 64) // 64 * 64, n_graph=len(graphs) + 1)
        energies, forces, stresses = (numpy.array(part) for part in equinox.filter_jit(calculator.model)(batch))
        ends = numpy.cumsum([len(atoms) for atoms in structures])
        parts = zip(energies, numpy.split(forces[: ends[-1]], ends[:-1]), stresses)
        return [{"energy": float(energy), "forces": force, "stress": stress} for energy, force, stress in parts]

    return compute
