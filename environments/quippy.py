"""QUIP by quippy: Gaussian approximation potentials (GAP) of your own, Stillinger-Weber silicon, and QUIP's other potentials.

A. P. Bartók et al., Phys. Rev. Lett. 104, 136403 (2010); F. H. Stillinger, T. A. Weber, Phys. Rev. B 31, 5262 (1985).
Licence: QUIP is GPL-2.0-or-later, GAP is under the Academic Software Licence (no commercial use). A GAP is an XML file with further files
beside it: `quippy:custom` with its path.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "quippy-ase==0.10.3"]
# ///

SILICON = """<SW_params n_types="1" label="PRB_31_plus_H"><per_type_data type="1" atomic_num="14"/>
<per_pair_data atnum_i="14" atnum_j="14" AA="7.049556277" BB="0.6022245584" p="4" q="0" a="1.80" sigma="2.0951" eps="2.1675"/>
<per_triplet_data atnum_c="14" atnum_j="14" atnum_k="14" lambda="21.0" gamma="1.20" eps="2.1675"/></SW_params>"""


def setup(model, device, **kwargs):
    """Return QUIP's ASE calculator on the CPU; `model` is `sw` (silicon; if empty) or QUIP's own `init_args`, as in `IP LJ`.

    Potentials that need parameters take them as `param_str=`.
    """
    from quippy.potential import Potential

    if model in ("", "sw"):
        return Potential("IP SW", param_str=SILICON, **kwargs)
    return Potential(args_str=model, **kwargs)


def setup_from_path(path, device, **kwargs):
    """Return the calculator of an XML file of parameters, such as that of a GAP."""
    from quippy.potential import Potential

    return Potential(param_filename=path, **kwargs)
