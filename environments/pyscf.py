"""Quantum chemistry by PySCF: Hartree-Fock and density functionals for molecules, energies and analytical forces.

Q. Sun et al., J. Chem. Phys. 153, 024109 (2020). Licence: Apache-2.0. For small molecules, references and tests.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "pyscf==2.14.0"]
# ///


def setup(model, device, basis="def2-svp", charge=0, spin=None, conv_tol=1e-10, **kwargs):
    """Return an ASE calculator; `model` is `HF` (if empty) or a functional that libxc knows (`PBE`, `B3LYP`), CPU only.

    `spin` is the number of unpaired electrons, the lowest possible one if it is not given; `conv_tol` in Hartree.
    """
    from ase.calculators.calculator import Calculator, all_changes
    from ase.units import Bohr, Hartree
    from pyscf import dft, gto, scf

    class PySCF(Calculator):
        implemented_properties = ["energy", "forces"]

        def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            if self.atoms.pbc.any():
                raise ValueError("PySCF is set up for molecules: the system must not be periodic")
            field = self.field()
            energy = field.kernel()
            if not field.converged:
                raise RuntimeError("the self-consistent field did not converge")
            gradient = field.nuc_grad_method().kernel()
            self.results = {"energy": energy * Hartree, "forces": -gradient * Hartree / Bohr}

        def field(self):
            unpaired = (int(self.atoms.numbers.sum()) - charge) % 2 if spin is None else spin
            geometry = list(zip(self.atoms.symbols, self.atoms.positions))
            molecule = gto.M(atom=geometry, basis=basis, charge=charge, spin=unpaired, unit="Angstrom", verbose=0)
            if model in ("", "HF"):
                field = (scf.UHF if unpaired else scf.RHF)(molecule)
            else:
                field = (dft.UKS if unpaired else dft.RKS)(molecule)
                field.xc = model
            field.conv_tol = conv_tol
            return field

    return PySCF(**kwargs)
