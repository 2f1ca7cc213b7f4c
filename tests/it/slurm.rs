//! Jobs of a real Slurm with two nodes, which `tests/slurm/cluster` starts from the system's packages without installing
//! anything. What users write in job scripts is what runs here.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::sandbox::{Output, complete, lacking};
use crate::worker::{ROOTSTOCK, here, root};

/// A running cluster and a directory for its jobs; both end with it.
struct Cluster {
    daemons: PathBuf,
    jobs: tempfile::TempDir,
}

impl Cluster {
    /// Nothing where the packages cannot be had.
    fn start() -> Option<Self> {
        let packages = Path::new(env!("CARGO_TARGET_TMPDIR")).join("slurm");
        let fetched = control("fetch", &packages);
        if !lacking::unless(fetched.code == Some(0), "slurm") {
            return None;
        }
        // Below `/tmp`: a user of slurmd's steps has to get there, and the sockets' paths have to be short.
        let jobs = tempfile::Builder::new()
            .prefix("rs-slurm-")
            .tempdir_in("/tmp");
        let cluster = Self {
            daemons: packages,
            jobs: jobs.unwrap(),
        };
        control("up", &cluster.daemons).expect(0);
        Some(cluster)
    }

    /// Runs a script in the directory of the jobs, as a user of the cluster.
    fn script(&self, text: &str) -> Output {
        let setup = format!(
            "set -eu\n. {}/env.sh\nexport ROOTSTOCK_ROOT={} PATH={}:$PATH DIR={}\ncd \"$DIR\"\n",
            self.daemons.display(),
            root().display(),
            Path::new(ROOTSTOCK).parent().unwrap().display(),
            self.jobs.path().display(),
        );
        let output = Command::new("bash")
            .args(["-c", &(setup + text)])
            .env("HERE", here())
            .stdin(Stdio::null())
            .output();
        Output::from(output.unwrap())
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.jobs.path().join(name)).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        control("down", &self.daemons);
    }
}

fn control(what: &str, directory: &Path) -> Output {
    let output = Command::new(here().join("tests/slurm/cluster"))
        .arg(what)
        .arg(directory)
        .stdin(Stdio::null())
        .output();
    Output::from(output.unwrap())
}

/// What workers and stages leave where all users can see it, and processes of the root.
fn traces() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for directory in ["/tmp", "/dev/shm"] {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if ["ipi_", "rootstock", "rs-"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
            {
                found.insert(entry.path().display().to_string());
            }
        }
    }
    found
}

/// Processes whose command names this text.
fn processes(text: &str) -> Vec<String> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| {
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        command.contains(text).then_some(command)
    })
    .collect()
}

#[test]
fn jobs_on_two_nodes() {
    if !complete::sites_are_wanted() {
        return;
    }
    // Built before it is looked what is there.
    root();
    let before = traces();
    let Some(cluster) = Cluster::start() else {
        return;
    };
    tasks_of_a_node_stage_once(&cluster);
    threads_are_those_of_the_task(&cluster);
    ranks_are_those_of_slurm(&cluster);
    a_pinned_generation_is_that_of_all_tasks(&cluster);
    molecular_dynamics_goes_on_after_a_preemption(&cluster);
    a_cancelled_job_leaves_nothing(&cluster);
    an_array_evaluates_everything_once(&cluster);
    engines_in_jobs(&cluster);
    ipi_and_its_workers(&cluster);
    recipes(&cluster);
    let jobs = cluster.jobs.path().display().to_string();
    assert_eq!(processes(&jobs), Vec::<String>::new());
    drop(cluster);
    assert_eq!(traces(), before);
}

/// 16 tasks: one unpacks on each node, the others wait for it, all get the same root.
fn tasks_of_a_node_stage_once(cluster: &Cluster) {
    let result = cluster.script(
        "rootstock image odd --with-python -o odd.tar.zst >/dev/null
         cat > task <<'END'
#!/bin/sh
export SLURM_TMPDIR=$DIR/$SLURMD_NODENAME
mkdir -p $SLURM_TMPDIR
rootstock stage odd.tar.zst --json > staged.$SLURM_PROCID
echo $? $SLURMD_NODENAME
END
         chmod +x task
         srun -N2 --ntasks-per-node=8 ./task",
    );
    let mut lines: Vec<&str> = result.expect(0).stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, [["0 n1"; 8], ["0 n2"; 8]].concat(), "{result:?}");
    let mut roots = BTreeSet::new();
    let mut made = 0;
    for task in 0..16 {
        let staged: serde_json::Value =
            serde_json::from_str(&cluster.read(&format!("staged.{task}"))).unwrap();
        made += usize::from(staged["new"] == true);
        roots.insert(staged["root"].as_str().unwrap().to_owned());
    }
    assert_eq!((made, roots.len()), (2, 2), "{roots:?}");
    let result = cluster.script(
        "srun -N2 --ntasks-per-node=2 sh -c 'SLURM_TMPDIR=$DIR/$SLURMD_NODENAME; export SLURM_TMPDIR; \
         ROOTSTOCK_ROOT=$(rootstock stage odd.tar.zst) rootstock run odd -- python -c \"import ase, sys; print(sys.prefix)\"'",
    );
    for line in result.expect(0).stdout.lines() {
        assert!(roots.iter().any(|root| line.starts_with(root)), "{line}");
    }
}

fn threads_are_those_of_the_task(cluster: &Cluster) {
    let print = "python -c \"import os; print(os.environ.get('OMP_NUM_THREADS'))\"";
    let run = |options: &str, before: &str| {
        let result = cluster.script(&format!(
            "unset OMP_NUM_THREADS; {before} srun -n1 {options} rootstock run odd -- {print}"
        ));
        result.expect(0).stdout.trim().to_owned()
    };
    assert_eq!(run("-c4", ""), "4");
    assert_eq!(run("-c4", "OMP_NUM_THREADS=3"), "3");
    assert_eq!(run("", ""), "None");
    let called = cluster.script(
        "unset OMP_NUM_THREADS; srun -n1 -c6 rootstock call odd os:getenv '\"OMP_NUM_THREADS\"'",
    );
    assert!(called.expect(0).stdout.contains("\"6\""), "{called:?}");
}

fn ranks_are_those_of_slurm(cluster: &Cluster) {
    let result = cluster.script(
        "srun -N2 --ntasks-per-node=2 rootstock run odd -- python -c \
         'import os; print(os.environ[\"SLURM_PROCID\"], os.environ[\"SLURM_LOCALID\"])'",
    );
    let mut lines: Vec<&str> = result.expect(0).stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["0 0", "1 1", "2 0", "3 1"]);
    let mpi = crate::mpi::built();
    let result = cluster.script(&format!(
        "export ROOTSTOCK_ROOT={}\nsrun --mpi=pmi2 -N2 --ntasks-per-node=2 rootstock run mpi -- python -c '{}'",
        mpi.display(),
        crate::mpi::PROGRAM.replace('\'', "\""),
    ));
    let mut lines: Vec<&str> = result.expect(0).stdout.lines().collect();
    lines.sort_unstable();
    let expected = (0..4).map(|rank| format!("rank {rank} of 4 sum 6"));
    assert_eq!(lines, expected.collect::<Vec<_>>(), "{result:?}");
}

fn a_pinned_generation_is_that_of_all_tasks(cluster: &Cluster) {
    let result = cluster.script(
        "export ROOTSTOCK_GENERATION=$(rootstock run odd --print generation)
         echo $ROOTSTOCK_GENERATION
         sbatch -W --array=0-3 -o array.%a --wrap 'rootstock run odd -- python -c \"import sys; print(sys.prefix)\"' >/dev/null
         cat array.0 array.1 array.2 array.3
         ROOTSTOCK_GENERATION=odd@00000000000000000000000000000000 rootstock run odd --print python || echo $?",
    );
    let lines: Vec<&str> = result.expect(0).stdout.lines().collect();
    let (environment, id) = lines[0].split_once('@').unwrap();
    assert_eq!((environment, lines.len()), ("odd", 6), "{result:?}");
    assert!(
        lines[1..5].iter().all(|line| line.ends_with(id)),
        "{lines:?}"
    );
    assert_eq!(lines[5], "4");
    let words =
        "the root has no generation `00000000000000000000000000000000` of environment `odd`, which";
    assert!(
        result.stderr.replace("│ ", "").contains(words),
        "{result:?}"
    );
}

/// A job that another one displaces starts again and goes on where it was.
fn molecular_dynamics_goes_on_after_a_preemption(cluster: &Cluster) {
    let result = cluster.script(
        "cp $HERE/examples/slurm/requeue.sh $HERE/examples/slurm/md.py .
         export PATH=$ROOTSTOCK_ROOT/envs/odd/bin:$PATH PYTHONPATH=$HERE/python ROOTSTOCK_MODEL=odd-emt STEPS=1000000
         job=$(sbatch --parsable -N2 --exclusive requeue.sh)
         state() { squeue -h -j $job -o %t 2>/dev/null || true; }
         until [ -s md.traj ]; do [ -n \"$(state)\" ] || { cat requeue.out >&2; exit 1; }; sleep 0.1; done
         sbatch -W -p high -N2 --exclusive -o high.out --wrap true >/dev/null
         until [ \"$(state)\" = PD ]; do [ -n \"$(state)\" ] || { cat requeue.out >&2; exit 1; }; sleep 0.1; done
         # Enough for today, and it need not wait for two minutes.
         sed -i 's/^STEPS = .*/STEPS = 0/' md.py
         scontrol update jobid=$job StartTime=now
         while [ -n \"$(state)\" ]; do sleep 0.1; done
         cat requeue.out",
    );
    let output = &result.expect(0).stdout;
    assert!(output.contains("starting"), "{output}");
    assert!(output.contains("going on from step"), "{output}");
    assert!(output.trim_end().ends_with("done"), "{output}");
}

/// Neither worker nor Python outlives a job, whatever was going on.
fn a_cancelled_job_leaves_nothing(cluster: &Cluster) {
    let result = cluster.script(
        "export ODD_WAITS=$DIR/never
         job=$(sbatch --parsable -N2 -o cancelled.out --wrap 'srun -N2 --ntasks-per-node=2 rootstock worker odd-waits \
            --unix $DIR/nobody --species Cu --pbc TTT')
         until [ \"$(pgrep -fc \"odd-waits --unix $DIR\")\" -ge 4 ]; do sleep 0.1; done
         scancel $job
         until [ -z \"$(squeue -h -j $job -o %t)\" ]; do sleep 0.1; done",
    );
    result.expect(0);
    let jobs = cluster.jobs.path().join("nobody").display().to_string();
    assert_eq!(processes(&jobs), Vec::<String>::new());
}

/// Parsl's and Dask's own submission to Slurm.
fn engines_in_jobs(cluster: &Cluster) {
    let bin = crate::engines::python()
        .parent()
        .unwrap()
        .display()
        .to_string();
    for example in ["parsl", "dask"] {
        let result = cluster.script(&format!(
            "export PATH={bin}:$PATH ROOTSTOCK_MODEL=odd-emt PYTHONPATH=$HERE/python PARSL_RUN_DIR=$DIR/parsl
             python -B $HERE/examples/{example}.py --slurm"
        ));
        let printed = &result.expect(0).stdout;
        assert!(
            printed.contains("200 energies, the lowest "),
            "{example}: {result:?}"
        );
    }
}

/// Real i-PI on the first node, a worker for each of four tasks.
fn ipi_and_its_workers(cluster: &Cluster) {
    let result = cluster.script(
        "mkdir ipi && cd ipi
         cp $HERE/examples/ipi/init.xyz $HERE/examples/slurm/ipi.sh .
         sed \"s|mode='unix'|mode='inet'|; s|</address>|</address><port>0</port>|; s|nbeads='1'|nbeads='8'|; s|>100<|>5<|\" \
            $HERE/examples/ipi/input.xml > input.xml
         export PATH=$ROOTSTOCK_ROOT/envs/odd/bin:$PATH ROOTSTOCK_MODEL=odd-emt IPI_HOST=127.0.0.2
         sbatch -W ipi.sh input.xml init.xyz
         tail -n 1 nve.out
         cat ipi.out",
    );
    let printed = &result.expect(0).stdout;
    assert!(printed.contains("  5.00000000e+00"), "{printed}");
    assert_eq!(
        printed.matches("the server sent EXIT after").count(),
        4,
        "{printed}"
    );
}

/// The other recipes, as users start them.
fn recipes(cluster: &Cluster) {
    let result = cluster.script(
        "mkdir recipes && cd recipes
         cp $HERE/examples/slurm/* .
         unset OMP_NUM_THREADS
         ENVIRONMENT=odd sbatch -W gpus.sh odd-emt && cat gpus.out
         SLURM_TMPDIR=$DIR/local && mkdir $SLURM_TMPDIR && export SLURM_TMPDIR
         sbatch -W stage.sh $DIR/odd.tar.zst odd && cat stage.out
         find $SLURM_TMPDIR -mindepth 3 -maxdepth 3",
    );
    let printed = &result.expect(0).stdout;
    let lines = printed.lines().filter(|line| line.starts_with('{'));
    let mut devices = Vec::new();
    let mut structures = 0;
    for line in lines {
        let answer: serde_json::Value = serde_json::from_str(line).unwrap();
        let task = &answer["result"]["task"];
        assert_eq!(task["OMP_NUM_THREADS"], "4", "{line}");
        let text = |name: &str| task[name].as_str().unwrap_or_default().to_owned();
        devices.push((text("SLURMD_NODENAME"), text("CUDA_VISIBLE_DEVICES")));
        structures += answer["result"]["energies"].as_object().unwrap().len();
    }
    devices.sort_unstable();
    let all = [("n1", "0"), ("n1", "1"), ("n2", "0"), ("n2", "1")];
    assert_eq!(
        devices,
        all.map(|(node, gpu)| (node.to_owned(), gpu.to_owned())),
        "{printed}"
    );
    assert_eq!(structures, 21);
    let staged = printed
        .lines()
        .filter(|line| line.contains("/stages/") && line.contains("/generations/odd/"));
    assert_eq!(staged.count(), 4, "{printed}");
}

/// 200 structures in four tasks; then the same, cancelled in the middle and started again: what was computed stays.
fn an_array_evaluates_everything_once(cluster: &Cluster) {
    let result = cluster.script(
        "mkdir array && cd array && cp $HERE/examples/slurm/array.sh .
         rootstock run odd -- python -c 'import numpy as np
from ase.build import bulk
from ase.io import write
write(\"in.xyz\", [bulk(\"Cu\", a=a).repeat(2) for a in np.linspace(3.4, 3.8, 200)])'
         sbatch -W --array=0-3 array.sh odd-emt in.xyz all >/dev/null
         rootstock run odd -- python -c 'from ase.io import read
for part in range(4): print(len(read(\"all.%d.xyz\" % part, \":\")))'
         cat all.?.xyz | grep -c energy=
         cat all.?.xyz | grep -o ' energy=[^ ]*' | sort -u | wc -l
         job=$(sbatch --parsable --array=0-3 array.sh odd-emt in.xyz some)
         until [ -s some.0.xyz.partial ] || [ -s some.0.xyz ]; do sleep 0.02; done
         scancel $job
         until [ -z \"$(squeue -h -j $job -o %t 2>/dev/null)\" ]; do sleep 0.1; done
         sbatch -W --array=0-3 array.sh odd-emt in.xyz some >/dev/null
         cat some.?.xyz | grep -c energy=
         ls | grep -c partial || true",
    );
    let lines: Vec<&str> = result.expect(0).stdout.lines().collect();
    assert_eq!(
        lines,
        ["50", "50", "50", "50", "200", "200", "200", "0"],
        "{result:?}"
    );
}
