//! What schedulers and MPI launchers say about this task: its rank on the node, and how many processors it has. Reads no variable
//! of this process; they come as an argument.

use std::ffi::OsStr;

use super::Variables;

/// Variables in which launchers put the rank of a task on its node.
const LOCAL_RANKS: &[&str] = &[
    "SLURM_LOCALID",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID",
    "PALS_LOCAL_RANKID",
    "PMI_LOCAL_RANK",
    "MV2_COMM_WORLD_LOCAL_RANK",
    "FLUX_TASK_LOCAL_ID",
    "JSM_NAMESPACE_LOCAL_RANK",
    "LOCAL_RANK",
];

/// Variables in which they put how many tasks there are on it.
const LOCAL_SIZES: &[&str] = &[
    "OMPI_COMM_WORLD_LOCAL_SIZE",
    "MPI_LOCALNRANKS",
    "PALS_LOCAL_SIZE",
    "PMI_LOCAL_SIZE",
    "MV2_COMM_WORLD_LOCAL_SIZE",
    "JSM_NAMESPACE_LOCAL_SIZE",
    "LOCAL_WORLD_SIZE",
];

/// How many processors a task has: Slurm's `--cpus-per-task`, `--depth` of PALS and ALPS.
const PER_TASK: &[&str] = &["SLURM_CPUS_PER_TASK", "PALS_DEPTH", "ALPS_APP_DEPTH"];

/// How many processors a job has on this node: PBS, Torque, Grid Engine.
const PER_NODE: &[(&str, &str)] = &[
    ("PBS_JOBID", "NCPUS"),
    ("PBS_JOBID", "PBS_NUM_PPN"),
    ("JOB_ID", "NSLOTS"),
];

/// The rank of this task on its node: the first of [`LOCAL_RANKS`] that is a number, or 0.
pub(crate) fn local_rank(inherited: &Variables) -> u32 {
    first(LOCAL_RANKS, inherited).unwrap_or(0)
}

/// How many threads this task should have, by its scheduler's variables: its processors, or its share of those that the job has on
/// this node.
pub(crate) fn threads(inherited: &Variables) -> Option<u32> {
    if let Some(threads) = first(PER_TASK, inherited).filter(|threads| *threads > 0) {
        return Some(threads);
    }
    let tasks = match first(LOCAL_SIZES, inherited) {
        Some(tasks) => tasks,
        None if first(LOCAL_RANKS, inherited).is_none() => 1,
        None => return None,
    };
    let in_job = |(job, name): &(&str, &str)| {
        inherited.get(OsStr::new(job))?;
        number(name, inherited)
    };
    let processors = PER_NODE.iter().find_map(in_job);
    let processors = processors.or_else(|| slots_of_lsf(inherited))?;
    (tasks > 0 && processors > 0).then(|| (processors / tasks).max(1))
}

/// The slots of an LSF job on its only host, from `LSB_MCPU_HOSTS`: host and slots, and so on.
fn slots_of_lsf(inherited: &Variables) -> Option<u32> {
    let hosts = inherited.get(OsStr::new("LSB_MCPU_HOSTS"))?.to_str()?;
    let mut words = hosts.split_whitespace();
    let (_, slots) = (words.next()?, words.next()?);
    words.next().is_none().then(|| slots.parse().ok())?
}

fn first(names: &[&str], inherited: &Variables) -> Option<u32> {
    names.iter().find_map(|name| number(name, inherited))
}

fn number(name: &str, inherited: &Variables) -> Option<u32> {
    inherited.get(OsStr::new(name))?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(n, v)| (n.into(), v.into())).collect()
    }

    #[test]
    fn the_local_rank_comes_from_the_scheduler() {
        let rank = |pairs: &[(&str, &str)]| local_rank(&variables(pairs));
        assert_eq!(rank(&[]), 0);
        assert_eq!(rank(&[("OMPI_COMM_WORLD_LOCAL_RANK", "3")]), 3);
        assert_eq!(rank(&[("LOCAL_RANK", "5"), ("SLURM_LOCALID", "2")]), 2);
        assert_eq!(
            rank(&[("SLURM_LOCALID", ""), ("PALS_LOCAL_RANKID", "1")]),
            1
        );
    }

    #[test]
    fn the_number_of_threads_comes_from_the_scheduler() {
        type Pairs<'a> = &'a [(&'a str, &'a str)];
        let cases: &[(Pairs<'_>, Option<u32>)] = &[
            (&[], None),
            (&[("SLURM_CPUS_PER_TASK", "4")], Some(4)),
            (&[("SLURM_CPUS_PER_TASK", "x")], None),
            (&[("SLURM_CPUS_PER_TASK", "0")], None),
            (&[("SLURM_JOB_ID", "1"), ("SLURM_LOCALID", "0")], None),
            (&[("PALS_DEPTH", "8"), ("PALS_LOCAL_RANKID", "1")], Some(8)),
            (&[("PBS_JOBID", "1"), ("NCPUS", "16")], Some(16)),
            // Another program's variable of this name.
            (&[("NCPUS", "16")], None),
            (
                &[
                    ("PBS_JOBID", "1"),
                    ("NCPUS", "16"),
                    ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
                    ("OMPI_COMM_WORLD_LOCAL_SIZE", "4"),
                ],
                Some(4),
            ),
            // More tasks than processors.
            (
                &[
                    ("PBS_JOBID", "1"),
                    ("PBS_NUM_PPN", "2"),
                    ("MPI_LOCALNRANKS", "4"),
                ],
                Some(1),
            ),
            // Several tasks, and it is not known how many.
            (
                &[("PBS_JOBID", "1"), ("NCPUS", "16"), ("PMI_LOCAL_RANK", "0")],
                None,
            ),
            (&[("JOB_ID", "1"), ("NSLOTS", "3")], Some(3)),
            (&[("LSB_MCPU_HOSTS", "node1 12")], Some(12)),
            (&[("LSB_MCPU_HOSTS", "node1 12 node2 12")], None),
        ];
        for (pairs, expected) in cases {
            assert_eq!(threads(&variables(pairs)), *expected, "{pairs:?}");
        }
    }
}
