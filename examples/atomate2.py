"""A relaxation as an atomate2 job, with a rootstock model as its force field.

    pip install atomate2 torch . && export ROOTSTOCK_ROOT=/path/to/root
    python examples/atomate2.py

atomate2 takes a force field as the name of any ASE calculator's class, and `calculator_kwargs` as its arguments. Any model will do:
set ROOTSTOCK_MODEL to its id.
"""

import os
import sys

# This file has the name of the package, which it must not hide.
sys.path = [path for path in sys.path if os.path.realpath(path) != os.path.dirname(os.path.realpath(__file__))]

from atomate2.forcefields.jobs import ForceFieldRelaxMaker
from jobflow import run_locally
from pymatgen.core import Lattice, Structure

crystal = Structure(Lattice.cubic(3.7), ["Cu"] * 4, [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
maker = ForceFieldRelaxMaker(
    force_field_name={"@module": "rootstock", "@callable": "RootstockCalculator"},
    calculator_kwargs={"model": os.environ.get("ROOTSTOCK_MODEL", "emt")},
    relax_cell=True,
    steps=50,
    relax_kwargs={"fmax": 0.01},
)
job = maker.make(crystal)
outputs = run_locally(job, ensure_success=True)
output = outputs[job.uuid][1].output
print("a = %.3f Å relaxes to %.3f Å, %.4f eV" % (crystal.lattice.a, output.structure.lattice.a, output.output.energy))
