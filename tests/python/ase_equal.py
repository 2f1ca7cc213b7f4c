"""Stock ASE's `SocketIOCalculator` gets from a worker what the calculator gives in process, while atoms and cell move."""

import harness
import numpy as np
from ase.calculators.emt import EMT
from ase.calculators.socketio import SocketIOCalculator

CASES = [harness.copper, harness.triclinic, harness.water, harness.boxed, harness.slab]


def compare(model, atoms, tolerance):
    socket = harness.name()
    with SocketIOCalculator(unixsocket=socket) as calculator:
        worker = harness.Worker(model, socket, template=atoms)
        reference = atoms.copy()
        reference.calc = EMT()
        atoms.calc = calculator
        # Room for the error of the units of a sum: bohr and hartree, there and back.
        for step in range(6):
            if step == 3 and atoms.cell.rank == 3:
                strain = np.eye(3) + [[0.01, 0.03, 0.0], [0.0, -0.02, 0.01], [0.02, 0.0, 0.01]]
                atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            else:
                atoms.rattle(0.02, seed=step)
            reference.positions = atoms.positions
            reference.set_cell(atoms.cell)
            harness.close(atoms.get_potential_energy(), reference.get_potential_energy(), tolerance, "energy")
            harness.close(atoms.get_forces(), reference.get_forces(), tolerance, "forces")
            if atoms.cell.rank == 3 and atoms.pbc.any():
                harness.close(atoms.get_stress(), reference.get_stress(), tolerance, "stress")
    output = worker.succeeds()
    assert "closed the connection after 6 steps" in output, output


for case in CASES:
    compare("odd-emt", case(), 1e-10)
# A calculator that rounds to single precision and returns new arrays and a full tensor.
compare("odd-single", harness.copper(), 1e-5)
