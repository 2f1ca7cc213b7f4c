//! What a job changes: threads of its task, generations that it pins, caches where the home directory cannot be written, and what
//! `resolve` says of a root.

use std::process::Command;

use snapbox::str;

use crate::sandbox::{Output, Sandbox};

fn built() -> Sandbox {
    let sandbox = Sandbox::single();
    sandbox.lock();
    sandbox.sync(&[]);
    sandbox
}

/// Runs the program with these variables.
fn run(sandbox: &Sandbox, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command: Command = sandbox.command(arguments);
    command
        .env_remove("OMP_NUM_THREADS")
        .envs(variables.iter().copied());
    Output::from(command.output().unwrap())
}

#[test]
fn threads_are_those_of_the_task() {
    let sandbox = built();
    let print = "import os; print(os.environ.get('OMP_NUM_THREADS'))";
    let command = ["run", "one", "--", "python", "-c", print];
    let clean = ["run", "one", "--clean", "--", "python", "-c", print];
    for (variables, expected) in [
        (&[][..], "None"),
        (&[("SLURM_CPUS_PER_TASK", "4")], "4"),
        (
            &[("SLURM_CPUS_PER_TASK", "4"), ("OMP_NUM_THREADS", "2")],
            "2",
        ),
        (
            &[("SLURM_CPUS_PER_TASK", "4"), ("OMP_NUM_THREADS", "")],
            "4",
        ),
        (&[("PBS_JOBID", "1"), ("NCPUS", "8")], "8"),
        (&[("PALS_DEPTH", "3")], "3"),
    ] {
        for command in [&command[..], &clean] {
            let printed = run(&sandbox, variables, command);
            assert_eq!(printed.expect(0).stdout.trim(), expected, "{variables:?}");
        }
        let called = run(
            &sandbox,
            variables,
            &["call", "one", "os:getenv", "\"OMP_NUM_THREADS\""],
        );
        let answer: serde_json::Value = serde_json::from_str(&called.expect(0).stdout).unwrap();
        let found = answer["result"].as_str().unwrap_or("None");
        assert_eq!(found, expected, "{variables:?}");
    }
}

#[test]
fn a_generation_is_pinned_for_all_tasks() {
    let sandbox = built();
    let pinned = sandbox.run(&["run", "one", "--print", "generation"]);
    let pinned = pinned.expect(0).stdout.trim().to_owned();
    let first = sandbox.generation("root", "one");
    sandbox.write_source("one", &["single"], "# edited\n");
    sandbox.lock();
    sandbox.sync(&[]);
    let second = sandbox.generation("root", "one");
    assert_ne!(first, second);
    let id = pinned.split_once('@').unwrap().1;
    assert!(first.ends_with(id), "{pinned}");
    let print = ["run", "one", "--print", "python"];
    let others = format!("two@00000000000000000000000000000000, {pinned}");
    for (value, generation) in [
        ("", &second),
        (&pinned, &first),
        (id, &first),
        (&others, &first),
    ] {
        let python = run(&sandbox, &[("ROOTSTOCK_GENERATION", value)], &print);
        assert!(
            python
                .expect(0)
                .stdout
                .starts_with(generation.to_str().unwrap()),
            "{value}"
        );
    }
    // What names a generation itself comes before it.
    let current = format!("one@{}", second.file_name().unwrap().to_str().unwrap());
    let python = run(
        &sandbox,
        &[("ROOTSTOCK_GENERATION", &pinned)],
        &["run", &current, "--print", "python"],
    );
    assert!(
        python
            .expect(0)
            .stdout
            .starts_with(second.to_str().unwrap())
    );
    let missing = [(
        "ROOTSTOCK_GENERATION",
        "one@00000000000000000000000000000000",
    )];
    run(&sandbox, &missing, &print)
        .expect(4)
        .stderr_is(&sandbox, str![[r#"
  × the root has no generation `00000000000000000000000000000000` of environment `one`, which ROOTSTOCK_GENERATION names
  help: it was built in another root, or `rootstock gc` has removed it: sync the lock that it was built from, `rootstock sync one`
"#]]);
    for wrong in [
        "one",
        "one@1",
        "@00000000000000000000000000000000",
        "one@x,one@y",
    ] {
        let refused = run(&sandbox, &[("ROOTSTOCK_GENERATION", wrong)], &print);
        let word = wrong.split(',').next().unwrap();
        let words = format!("ROOTSTOCK_GENERATION names `{word}`, which is not a generation");
        assert!(refused.expect(2).message().contains(&words), "{refused:?}");
    }
}

#[test]
fn caches_are_the_jobs_where_the_home_directory_cannot_be_written() {
    let sandbox = built();
    std::fs::create_dir(sandbox.path("job")).unwrap();
    let job = sandbox.path("job");
    let job = job.to_str().unwrap();
    let print = [
        "run",
        "one",
        "--",
        "python",
        "-c",
        "import os; print(os.environ['TRITON_CACHE_DIR'])",
    ];
    // A directory that cannot be made, for root, too.
    let home = ("HOME", "/proc/1/no-home");
    for (variables, expected) in [
        (&[home, ("SLURM_TMPDIR", job), ("TMPDIR", "/tmp")][..], job),
        (
            &[home, ("SLURM_TMPDIR", "/proc/1/nowhere"), ("TMPDIR", job)],
            job,
        ),
    ] {
        let mut command = sandbox.command(&print);
        command
            .env_remove("XDG_CACHE_HOME")
            .envs(variables.iter().copied());
        let ended = Output::from(command.output().unwrap());
        let cache = ended.expect(0).stdout.trim();
        assert!(
            cache.starts_with(&format!("{expected}/rootstock-")),
            "{cache}"
        );
        assert!(cache.ends_with("/cache/rootstock/triton"), "{cache}");
        let words = "`/proc/1/no-home/.cache/rootstock` cannot be written: caches of compiled code are in `";
        assert_eq!(ended.stderr.matches(words).count(), 1, "{}", ended.stderr);
    }
    let plain = sandbox.run(&print);
    assert!(
        !plain.expect(0).stderr.contains("cannot be written"),
        "{}",
        plain.stderr
    );
}

#[test]
fn a_root_is_resolved_as_lammps_reads_it() {
    let sandbox = built();
    sandbox.more("[clusters.here]\nroot = \"root\"\n[clusters.there]\nroot = \"elsewhere\"\n");
    let root = sandbox.path("root");
    let text = format!("\"root\": \"{}\"", root.display());
    for arguments in [
        &["resolve", "--cluster", "here", "--json"][..],
        &["resolve", "--root", "root", "--json"],
        &["resolve", "--json"],
    ] {
        let resolved = sandbox.run(arguments);
        // It looks for this text.
        assert!(resolved.expect(0).stdout.contains(&text), "{resolved:?}");
    }
    let resolved = sandbox.run(&["resolve", "--cluster", "here", "--model", "one", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&resolved.expect(0).stdout).unwrap();
    let generation = sandbox.generation("root", "one");
    assert_eq!(value["cluster"], "here");
    assert_eq!(value["environment"], "one");
    assert_eq!(
        value["generation"],
        generation.file_name().unwrap().to_str().unwrap()
    );
    sandbox.run(&["resolve", "--model", "one"]).expect(0);
    sandbox.run(&["resolve", "--cluster", "there"]).expect(0);
    let missing = ["resolve", "--cluster", "there", "--model", "one"];
    sandbox.run(&missing).expect(4);
    sandbox.run(&["resolve", "--cluster", "nowhere"]).expect(2);
    sandbox.run(&["resolve", "--model", "two"]).expect(2);
}
