"""Stresses of single atoms, as FHI-vibes asks for them over a stock server's connection."""

import sys

import harness
import numpy as np
from ase import units
from ase.calculators.lj import LennardJones
from ase.calculators.socketio import SocketIOCalculator


def ask(calculator, atoms):
    """In eV/Å³; on the wire they are multiplied by the volume."""
    protocol = calculator.server.protocol
    protocol.sendmsg("GETSTRESSES")
    assert protocol.recvmsg() == "STRESSREADY"
    count = protocol.recv(1, np.int32).item()
    return protocol.recv((count, 3, 3), np.float64) * units.Hartree / atoms.get_volume()


def of_single_atoms():
    name = harness.name()
    atoms = harness.copper()
    with SocketIOCalculator(unixsocket=name) as calculator:
        worker = harness.Worker("odd-pairs", name, template=atoms)
        for step in range(3):
            atoms.rattle(0.02, seed=step)
            atoms.calc = calculator
            atoms.get_forces()
            if step == 1:
                calculator.server.protocol.sendmsg("STRESSES_ON")
            stresses = ask(calculator, atoms)
            atoms.calc = LennardJones(sigma=2.3, epsilon=0.4, rc=6.0)
            expected = atoms.get_stresses(voigt=False)
            assert np.abs(expected).max() > 1e-3
            harness.close(stresses, expected, 1e-12, "stresses")
            harness.close(stresses.sum(axis=0), atoms.get_stress(voigt=False), 1e-12, "their sum")
    worker.succeeds()


def missing():
    name = harness.name()
    atoms = harness.copper()
    with SocketIOCalculator(unixsocket=name) as calculator:
        worker = harness.Worker("odd-emt", name, template=atoms)
        atoms.calc = calculator
        atoms.get_forces()
        try:
            ask(calculator, atoms)
        except (OSError, EOFError):
            pass
        else:
            raise AssertionError("an answer arrived")
    worker.fails(1, "the model computes no stresses of single atoms")


for case in sys.argv[3:]:
    globals()[case]()
