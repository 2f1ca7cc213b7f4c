//! Recorded numbers of a model: computed for the first time, or computed again and compared.

use std::os::unix::net::UnixStream;

use super::report::Refusal;
use super::server::{AskError, Server};
use super::structure::Structure;
use super::{Error, with_worker};
use crate::about::{About, Dtype};
use crate::numbers::compare::{Compared, Differs, compare, differing};
use crate::numbers::tolerance::{Allowed, Device};
use crate::numbers::{Conditions, Entry, Record, dtype_of};
use crate::process::Command;

/// Which structures must be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of them.
    All,
    /// The first that the model accepts, this many.
    First(usize),
}

/// What a model computed.
#[derive(Debug)]
pub(crate) struct Computed {
    /// The structures with their numbers.
    pub entries: Vec<Entry>,
    /// Under which conditions.
    pub conditions: Conditions,
    /// Those it did not accept.
    pub refused: Vec<Refusal>,
}

/// Has a worker compute structures; its output comes back beside the numbers.
pub(crate) fn compute(
    command: Command,
    model: &str,
    structures: &[Structure],
    wanted: Wanted,
) -> Result<(Computed, String), Error> {
    let asked = with_worker(command, |server| ask_all(server, structures, wanted))?;
    let (computed, output) = asked;
    if computed.entries.is_empty() || wanted == Wanted::All && !computed.refused.is_empty() {
        return Err(Error::NoStructure {
            model: model.to_owned(),
            refused: computed.refused,
        });
    }
    Ok((computed, output))
}

fn ask_all(
    server: &mut Server<UnixStream>,
    structures: &[Structure],
    wanted: Wanted,
) -> Result<Computed, AskError> {
    let mut computed = Computed {
        entries: Vec::new(),
        conditions: Conditions::new(),
        refused: Vec::new(),
    };
    for structure in structures {
        match server.ask(structure) {
            Ok(answer) => {
                computed
                    .conditions
                    .extend(answer.conditions.unwrap_or_default());
                let has_stress = answer.stress.iter().all(|number| number.is_finite());
                computed.entries.push(Entry {
                    energy: answer.energy,
                    forces: answer.forces.iter().collect(),
                    stress: has_stress.then_some(answer.stress),
                    ..structure.without_numbers()
                });
            }
            Err(AskError::Refused(traceback)) => computed.refused.push(Refusal {
                structure: structure.name.clone(),
                traceback,
            }),
            Err(error) => return Err(error),
        }
        if wanted == Wanted::First(computed.entries.len()) {
            break;
        }
    }
    Ok(computed)
}

impl Computed {
    /// The precision: as declared, or that of the model's parameters, or what the numbers show.
    pub(crate) fn dtype(&self, about: &About) -> Dtype {
        let parameters = self.conditions.get("dtype");
        let parameters = parameters.and_then(|name| Dtype::named(name));
        let declared = about.dtype.or(parameters);
        declared
            .or_else(|| dtype_of(&self.entries))
            .unwrap_or(Dtype::Float64)
    }

    /// The conditions with this precision.
    pub(crate) fn conditions(&self, dtype: Dtype) -> Conditions {
        let mut conditions = self.conditions.clone();
        conditions.insert("dtype".to_owned(), dtype.as_str().to_owned());
        conditions
    }

    /// The structure with an atom that has no force, and which atom.
    pub(crate) fn without_force(&self) -> Option<(&str, usize)> {
        self.entries.iter().find_map(|entry| {
            let forces = entry.forces.chunks(3);
            let atom = forces
                .into_iter()
                .position(|force| force.iter().all(|x| x.abs() < 1e-8));
            atom.map(|atom| (entry.name.as_str(), atom))
        })
    }
}

/// The numbers of a model beside those that were recorded.
#[derive(Debug)]
pub(crate) struct Numbers {
    /// The structures.
    pub structures: Vec<Compared>,
    /// The precision that decides what is allowed: that of the recording.
    pub dtype: Dtype,
    /// The device that does.
    pub device: Device,
    /// What is allowed.
    pub allowed: Allowed,
    /// The conditions of the comparison.
    pub conditions: Conditions,
    /// Those that differ from the recording.
    pub differs: Vec<Differs>,
}

/// Compares what was computed with what was recorded. `device` is what the worker was given.
pub(crate) fn compare_with(
    record: &Record,
    recorded: &[Entry],
    computed: &Computed,
    about: &About,
    device: &str,
) -> Numbers {
    let dtype = computed.dtype(about);
    let conditions = computed.conditions(dtype);
    let kind = conditions.get("device").map_or(device, String::as_str);
    let tf32 = conditions.get("tf32").is_some_and(|tf32| tf32 == "on");
    let device = match kind {
        "cpu" => Device::Cpu,
        _ if tf32 && record.dtype == Dtype::Float32 => Device::GpuWithTf32,
        _ => Device::Gpu,
    };
    let allowed = Allowed::new(record.dtype, device, about.tolerance.as_ref());
    let pairs = recorded.iter().zip(&computed.entries);
    Numbers {
        structures: pairs
            .map(|(was, now)| compare(was, now, &allowed))
            .collect(),
        dtype: record.dtype,
        device,
        allowed,
        differs: differing(&record.conditions, &conditions),
        conditions,
    }
}
