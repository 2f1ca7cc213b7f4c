//! How many processes compute, on which devices, with how many threads each.

use std::ffi::OsStr;

use crate::runtime::Variables;

/// The memory that a process with a model is assumed to need at least.
const MEMORY: u64 = 2 << 30;

/// Variables that limit the threads of numerical libraries.
const THREADS: [&str; 4] = [
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
];

/// Variables in which schedulers say how many processors a task has.
const CPUS: [&str; 3] = ["SLURM_CPUS_PER_TASK", "PBS_NCPUS", "NCPUS"];

/// The processors of this task: those that the system allows, or fewer if the scheduler's variables limit it.
pub(crate) fn processors(allowed: usize, inherited: &Variables) -> usize {
    let number = |name: &&str| -> Option<usize> {
        let value = inherited.get(OsStr::new(name))?.to_str()?;
        value.parse().ok().filter(|count| *count > 0)
    };
    CPUS.iter()
        .find_map(number)
        .map_or(allowed, |count| count.min(allowed))
        .max(1)
}

/// How many processes with models these processors and this memory are enough for.
pub(crate) fn most(processors: usize, memory: Option<u64>) -> usize {
    let fitting = memory.map_or(usize::MAX, |memory| {
        usize::try_from(memory / MEMORY).unwrap_or(usize::MAX)
    });
    processors.min(fitting).max(1)
}

/// Divides the processors among so many processes, unless the user has set a number of threads.
pub(crate) fn divide(
    variables: &mut Variables,
    processors: usize,
    workers: usize,
) -> Option<usize> {
    let is_set = |name: &str| {
        variables
            .get(OsStr::new(name))
            .is_some_and(|value| !value.is_empty())
    };
    if THREADS.iter().any(|name| is_set(name)) {
        return None;
    }
    let each = (processors / workers).max(1);
    for name in THREADS {
        variables.insert(name.into(), each.to_string().into());
    }
    Some(each)
}

/// The devices of the workers.
#[derive(Debug)]
pub(super) struct Devices {
    names: Vec<String>,
    is_known: bool,
}

impl Devices {
    /// These, or those that Python will say.
    pub(super) fn new(given: Option<&[String]>) -> Self {
        Self {
            names: given.unwrap_or_default().to_vec(),
            is_known: given.is_some(),
        }
    }

    pub(super) fn are_known(&self) -> bool {
        self.is_known
    }

    /// Python sees these; a task that shares its node with others takes the one of its rank.
    pub(super) fn learn(&mut self, names: Vec<String>, rank: Option<u32>) {
        self.is_known = true;
        self.names = match rank.and_then(|rank| usize::try_from(rank).ok()) {
            Some(rank) if !names.is_empty() => vec![names[rank % names.len()].clone()],
            _ => names,
        };
    }

    /// The device of the worker of this number.
    pub(super) fn of(&self, worker: usize) -> &str {
        let count = self.names.len().max(1);
        self.names.get(worker % count).map_or("cpu", String::as_str)
    }

    /// How many workers there are by default: one on each device, or so many on processors.
    pub(super) fn workers(&self, most: usize) -> usize {
        if self.names.iter().all(|name| name == "cpu") {
            most
        } else {
            self.names.len()
        }
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    #[test]
    fn a_task_has_no_more_processors_than_the_scheduler_gives_it() {
        assert_eq!(processors(64, &variables(&[])), 64);
        assert_eq!(
            processors(64, &variables(&[("SLURM_CPUS_PER_TASK", "8")])),
            8
        );
        assert_eq!(
            processors(4, &variables(&[("SLURM_CPUS_PER_TASK", "8")])),
            4
        );
        assert_eq!(
            processors(64, &variables(&[("SLURM_CPUS_PER_TASK", "many")])),
            64
        );
        assert_eq!(most(64, Some(9 << 30)), 4);
        assert_eq!(most(2, None), 2);
        assert_eq!(most(2, Some(1 << 30)), 1);
    }

    #[test]
    fn processors_are_divided_unless_the_user_has_set_a_number() {
        let mut divided = variables(&[]);
        assert_eq!(divide(&mut divided, 8, 3), Some(2));
        assert_eq!(divided.get(OsStr::new("OMP_NUM_THREADS")).unwrap(), "2");
        let mut given = variables(&[("MKL_NUM_THREADS", "5")]);
        assert_eq!(divide(&mut given, 8, 3), None);
        assert_eq!(given.len(), 1);
    }

    #[test]
    fn each_device_has_a_worker_and_each_task_a_device() {
        let two = || vec!["cuda:0".to_owned(), "cuda:1".to_owned()];
        let mut devices = Devices::new(None);
        devices.learn(two(), None);
        assert_eq!(
            (devices.workers(16), devices.of(0), devices.of(3)),
            (2, "cuda:0", "cuda:1")
        );
        let mut devices = Devices::new(None);
        devices.learn(two(), Some(3));
        assert_eq!((devices.workers(16), devices.of(0)), (1, "cuda:1"));
        assert_eq!(Devices::new(Some(&["cpu".to_owned()])).workers(16), 16);
    }
}
