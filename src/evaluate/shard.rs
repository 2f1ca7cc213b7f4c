//! Which part of the input a task of a job has: `I/N`, or what the scheduler's variables say. The structures of shard I are those whose
//! number leaves the remainder I when it is divided by N.

use std::ffi::OsStr;

use crate::runtime::Variables;

/// A rank and the number of tasks, as launchers name them.
const RANKS: [(&str, &str); 6] = [
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("PALS_RANKID", "PALS_SIZE"),
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
    ("FLUX_TASK_RANK", "FLUX_JOB_SIZE"),
    ("RANK", "WORLD_SIZE"),
];

/// Those of Slurm's `srun`. A batch script has a rank as well, although it runs once.
const STEP: &str = "SLURM_STEP_ID";
const SRUN: (&str, &str) = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS");

const ARRAY: [&str; 5] = [
    "SLURM_ARRAY_TASK_ID",
    "SLURM_ARRAY_TASK_MIN",
    "SLURM_ARRAY_TASK_MAX",
    "SLURM_ARRAY_TASK_STEP",
    "SLURM_ARRAY_TASK_COUNT",
];

/// Array indices of schedulers that do not say how many there are.
const UNCOUNTED: [&str; 3] = ["PBS_ARRAY_INDEX", "PBS_ARRAYID", "LSB_JOBINDEX"];

/// Number and count, and the variables that say so.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    number: u64,
    count: u64,
    source: String,
}

/// What `--shard` asks for.
pub(crate) fn parse(text: &str, inherited: &Variables) -> Result<(u64, u64), String> {
    if text == "auto" {
        return automatic(inherited);
    }
    let wrong = || {
        format!("`{text}` is no shard: write `I/N` with I from 0 to N-1, such as `0/4`, or `auto`")
    };
    let (number, count) = text.split_once('/').ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let count: u64 = count.parse().map_err(|_| wrong())?;
    if count == 0 || number >= count {
        return Err(wrong());
    }
    Ok((number, count))
}

/// The rank of this task, if a launcher has started several.
pub(crate) fn is_one_of_several(inherited: &Variables) -> bool {
    ranks(inherited).iter().any(|part| part.count > 1)
}

fn automatic(inherited: &Variables) -> Result<(u64, u64), String> {
    let mut parts = Vec::new();
    parts.extend(array(inherited)?);
    let ranks = ranks(inherited);
    if let Some(first) = ranks.iter().find(|part| part.count > 1) {
        if let Some(other) = ranks
            .iter()
            .find(|part| part.count > 1 && (part.number, part.count) != (first.number, first.count))
        {
            return Err(ambiguous(first, other));
        }
        parts.push(first.clone());
    }
    let several: Vec<&Part> = parts.iter().filter(|part| part.count > 1).collect();
    match (&several[..], parts.first().or(ranks.first())) {
        ([part], _) => Ok((part.number, part.count)),
        ([first, second, ..], _) => Err(ambiguous(first, second)),
        ([], Some(_)) => Ok((0, 1)),
        ([], None) => Err(format!(
            "`--shard auto`: no variable says which part of a job this is; looked for {}, {} in a step of srun, {}: write `--shard I/N`",
            ARRAY[0],
            SRUN.0,
            RANKS.map(|(rank, _)| rank).join(", ")
        )),
    }
}

fn ambiguous(first: &Part, second: &Part) -> String {
    format!(
        "`--shard auto` is ambiguous: {} say {}/{}, and {} say {}/{}: write `--shard I/N`",
        first.source, first.number, first.count, second.source, second.number, second.count
    )
}

/// The place in a job array.
fn array(inherited: &Variables) -> Result<Option<Part>, String> {
    if let Some(name) = UNCOUNTED.iter().find(|name| {
        number(inherited, name).is_some_and(|index| index > 0)
            || (**name != "LSB_JOBINDEX" && number(inherited, name).is_some())
    }) {
        return Err(format!(
            "`--shard auto`: {name} is set, but no variable says how many tasks the array has: write `--shard $(({name}-FIRST))/COUNT`, where \
             FIRST is the array's first index"
        ));
    }
    let [id, first, last, step, count] = ARRAY;
    let Some(id_number) = number(inherited, id) else {
        return Ok(None);
    };
    let known = (
        number(inherited, first),
        number(inherited, last),
        number(inherited, step),
        number(inherited, count),
    );
    let source = format!("{id}, {first}, {last}, {step} and {count}");
    let (Some(min), Some(max), Some(step), Some(count)) = known else {
        return Err(format!(
            "`--shard auto`: of {source} not all are numbers: write `--shard I/N`"
        ));
    };
    let is_regular = step > 0
        && min <= id_number
        && id_number <= max
        && (id_number - min) % step == 0
        && (max - min) / step + 1 == count;
    if !is_regular {
        return Err(format!(
            "`--shard auto`: {source} describe an array with gaps ({id_number}, {min}, {max}, {step}, {count}): write `--shard I/N`"
        ));
    }
    Ok(Some(Part {
        number: (id_number - min) / step,
        count,
        source,
    }))
}

/// The ranks that launchers have given.
fn ranks(inherited: &Variables) -> Vec<Part> {
    let is_step = number(inherited, STEP).is_some();
    let all = RANKS.into_iter().chain(is_step.then_some(SRUN));
    all.filter_map(|(rank, size)| {
        Some(Part {
            number: number(inherited, rank)?,
            count: number(inherited, size)?,
            source: format!("{rank} and {size}"),
        })
    })
    .filter(|part| part.number < part.count)
    .collect()
}

fn number(inherited: &Variables, name: &str) -> Option<u64> {
    inherited
        .get(OsStr::new(name))?
        .to_str()?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(pairs: &[(&str, &str)]) -> Result<(u64, u64), String> {
        let variables = pairs
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        parse("auto", &variables)
    }

    const ARRAY_OF_FOUR: [(&str, &str); 5] = [
        ("SLURM_ARRAY_TASK_ID", "7"),
        ("SLURM_ARRAY_TASK_MIN", "1"),
        ("SLURM_ARRAY_TASK_MAX", "10"),
        ("SLURM_ARRAY_TASK_STEP", "3"),
        ("SLURM_ARRAY_TASK_COUNT", "4"),
    ];

    #[test]
    fn a_shard_is_a_number_below_a_count() {
        let none = Variables::new();
        assert_eq!(parse("2/3", &none), Ok((2, 3)));
        for wrong in ["3/3", "-1/3", "1", "1/0", "a/b", "", "1/2/3", "0.5/2"] {
            assert!(parse(wrong, &none).is_err(), "{wrong}");
        }
    }

    #[test]
    fn arrays_and_ranks_are_shards() {
        assert_eq!(auto(&ARRAY_OF_FOUR), Ok((2, 4)));
        let srun = [
            ("SLURM_STEP_ID", "0"),
            ("SLURM_PROCID", "1"),
            ("SLURM_STEP_NUM_TASKS", "3"),
        ];
        assert_eq!(auto(&srun), Ok((1, 3)));
        assert_eq!(
            auto(&[("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_SIZE", "2")]),
            Ok((1, 2))
        );
        // Open MPI under Slurm, both of which say the same.
        let both = [&srun[..], &[("PMI_RANK", "1"), ("PMI_SIZE", "3")]].concat();
        assert_eq!(auto(&both), Ok((1, 3)));
        // An array's task of one process.
        let one = [
            &ARRAY_OF_FOUR[..],
            &[
                ("SLURM_STEP_ID", "0"),
                ("SLURM_PROCID", "0"),
                ("SLURM_STEP_NUM_TASKS", "1"),
            ],
        ]
        .concat();
        assert_eq!(auto(&one), Ok((2, 4)));
    }

    #[test]
    fn a_batch_script_is_one_task_whatever_it_may_start() {
        let script = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4")];
        assert!(auto(&script).unwrap_err().contains("write `--shard I/N`"));
    }

    #[test]
    fn what_is_ambiguous_is_an_error_that_names_the_variables() {
        let ranks = [("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_SIZE", "2")];
        let error = auto(&[&ARRAY_OF_FOUR[..], &ranks].concat()).unwrap_err();
        assert!(
            error.contains("SLURM_ARRAY_TASK_ID") && error.contains("OMPI_COMM_WORLD_RANK"),
            "{error}"
        );
        let error =
            auto(&[&ranks[..], &[("PMI_RANK", "0"), ("PMI_SIZE", "2")]].concat()).unwrap_err();
        assert!(
            error.contains("PMI_RANK") && error.contains("ambiguous"),
            "{error}"
        );
        let mut gaps = ARRAY_OF_FOUR;
        gaps[4].1 = "3";
        assert!(auto(&gaps).unwrap_err().contains("gaps"));
        assert!(
            auto(&[("PBS_ARRAY_INDEX", "3")])
                .unwrap_err()
                .contains("PBS_ARRAY_INDEX")
        );
    }
}
