//! How far numbers may be from the recorded ones: by precision and device, about ten times what was measured.

use std::fmt;

use super::Entry;
use crate::about::{Dtype, Tolerance};

/// Where numbers are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device {
    /// A processor, whatever its instructions and its number of threads.
    Cpu,
    /// An accelerator that computes in the precision that is asked for.
    Gpu,
    /// One that multiplies matrices of single precision with the mantissa of half precision.
    GpuWithTf32,
}

impl fmt::Display for Device {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Device::Cpu => "cpu",
            Device::Gpu => "gpu",
            Device::GpuWithTf32 => "gpu with TF32",
        })
    }
}

/// Allowed differences.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Allowed {
    /// Of the energy, in eV for each atom.
    energy: f64,
    /// Further units in the last place of the energy, in its precision.
    ulps: f64,
    /// Of a component of a force, in eV/Å.
    pub(crate) forces: f64,
    /// Of a component of the stress, in eV/Å³.
    pub(crate) stress: f64,
    /// Whether the numbers follow from measurements; the others are guesses.
    pub(crate) is_measured: bool,
    /// Why they are not those of the class.
    pub(crate) reason: Option<String>,
}

/// Precision, device, energy, units in the last place, forces, stress, measured. The tolerances on processors are about ten
/// times the largest difference between numbers of threads, instruction sets and BLAS kernels, over 9 models of 4 to 108
/// atoms; `docs/numbers.md` has the measurements.
type Class = (Dtype, Device, f64, f64, f64, f64, bool);

const CLASSES: [Class; 6] = [
    (Dtype::Float64, Device::Cpu, 1e-9, 0.0, 1e-8, 1e-9, true),
    (Dtype::Float32, Device::Cpu, 1e-5, 4.0, 1e-4, 2e-6, true),
    (Dtype::Float64, Device::Gpu, 1e-9, 0.0, 1e-8, 1e-9, false),
    (Dtype::Float32, Device::Gpu, 1e-5, 4.0, 1e-4, 2e-6, false),
    (
        Dtype::Float64,
        Device::GpuWithTf32,
        1e-9,
        0.0,
        1e-8,
        1e-9,
        false,
    ),
    (
        Dtype::Float32,
        Device::GpuWithTf32,
        1e-3,
        4.0,
        2e-2,
        2e-4,
        false,
    ),
];

impl Allowed {
    /// The differences that are allowed in this precision on this device, but for those that a model declares.
    pub(crate) fn new(dtype: Dtype, device: Device, own: Option<&Tolerance>) -> Self {
        let class = CLASSES
            .iter()
            .find(|class| (class.0, class.1) == (dtype, device));
        let (_, _, energy, ulps, forces, stress, is_measured) =
            *class.expect("every precision has a class on every device");
        Self {
            energy: own.and_then(|own| own.energy).unwrap_or(energy),
            ulps,
            forces: own.and_then(|own| own.forces).unwrap_or(forces),
            stress: own.and_then(|own| own.stress).unwrap_or(stress),
            is_measured,
            reason: own.map(|own| own.reason.clone()),
        }
    }

    /// Of the energy of this structure, in eV for each atom. Its last places are those of single precision, where that is
    /// the precision.
    pub(crate) fn energy(&self, entry: &Entry) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "there are few atoms")]
        let atoms = entry.numbers.len() as f64;
        let ulp = entry.energy.abs() * f64::from(f32::EPSILON);
        self.energy + self.ulps * ulp / atoms
    }
}
