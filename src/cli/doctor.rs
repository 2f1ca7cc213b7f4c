//! `rootstock doctor`: what is wrong in a root, in words or as JSON.

use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::progress::{self, bytes};
use super::{Shared, place, show};
use crate::doctor::{
    self, Ability, Driver, Examination, Filesystem, Finding, Machine, Needs, Reach,
};
use crate::store::Root;
use crate::target::Glibc;

/// Arguments of `rootstock doctor`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Needs only the root. Exit 1 if anything is wrong; each finding names what mends it.\n\n\
                        Examples:\n  rootstock doctor                  in a moment: links, stamps, interpreters, filesystem\n  \
                        rootstock doctor --deep           read every byte of environments, store and weights\n  \
                        rootstock --root DIR doctor       without a manifest"
)]
pub(crate) struct Arguments {
    /// Read every file of every generation, of the store and of the weights, and compare it with its sha256.
    #[arg(long)]
    deep: bool,
    /// Compare what the environments need with this NVIDIA driver instead of this machine's: that of the compute nodes.
    #[arg(long, value_name = "VERSION")]
    driver: Option<Driver>,
    /// Compare what the environments need with this glibc instead of this machine's.
    #[arg(long, value_name = "VERSION", value_parser = glibc)]
    glibc: Option<Glibc>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

fn glibc(text: &str) -> Result<Glibc, String> {
    text.parse()
        .map_err(|()| "write it as `ldd --version` does: `2.28`".to_owned())
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let root = place::built(shared)?;
    let reading = progress::Reading::new();
    let here = Machine::here();
    let machine = Machine {
        glibc: arguments.glibc.or(here.glibc),
        driver: arguments.driver.clone().or(here.driver),
    };
    let examined = doctor::examine(&root, &machine, arguments.deep, &|bytes| {
        reading.heard(bytes);
    });
    reading.finish();
    let examination = examined.map_err(|error| {
        let exit = match error {
            doctor::Error::Nothing(_) => Exit::Usage,
            _ => Exit::Failed,
        };
        Failure {
            report: error.into(),
            exit,
        }
    })?;
    if arguments.json {
        print_json(&root, &machine, &examination);
    } else {
        print_text(&root, &machine, &examination);
    }
    Ok(if examination.findings.is_empty() {
        Exit::Ok
    } else {
        Exit::Failed
    })
}

fn print_text(root: &Root, machine: &Machine, examination: &Examination) {
    let Examination {
        filesystem,
        reach,
        needs,
        read: (files, size),
        findings,
    } = examination;
    show::line(&format!("root: {}", root.path().display()));
    show::line(&format!("filesystem: {}", describe(filesystem)));
    for Ability {
        name,
        works,
        meaning,
        ..
    } in filesystem.abilities.iter().flatten()
    {
        let works = if *works { "yes" } else { "no" };
        show::line(&format!("  {name:16}  {works:3}  {meaning}"));
    }
    if filesystem.abilities.is_none() {
        show::line("  we may not write there: nothing was tried");
    }
    show::line(&format!("access: {}", describe_reach(reach)));
    show::line(&format!("machine: {}", describe_machine(machine)));
    for line in needs.iter().filter_map(describe_needs) {
        show::line(&format!("  {line}"));
    }
    if *files > 0 {
        show::line(&format!("read: {files} files, {}", bytes(*size)));
    }
    for Finding {
        code,
        path,
        message,
        fix,
    } in findings
    {
        show::line("");
        show::line(&format!("{}: {message} [{code}]", path.display()));
        show::line(&format!("  to mend it: {fix}"));
    }
    show::line("");
    show::line(&match findings.len() {
        0 => "nothing is wrong".to_owned(),
        1 => "1 finding".to_owned(),
        n => format!("{n} findings"),
    });
}

fn describe_reach(Reach { policy, closed }: &Reach) -> String {
    let stop: Vec<String> = closed
        .iter()
        .map(|path| format!("`{}`", path.display()))
        .collect();
    match (policy, stop.is_empty()) {
        (Some(policy), true) => policy.to_string(),
        (Some(policy), false) => format!("{policy}, but not through {}", stop.join(", ")),
        (None, true) => {
            "nobody has said for whom (`access` in the manifest); others can come here".to_owned()
        }
        (None, false) => format!(
            "nobody has said for whom (`access` in the manifest); others cannot pass {}",
            stop.join(", ")
        ),
    }
}

fn describe_machine(Machine { glibc, driver }: &Machine) -> String {
    let glibc = glibc.map_or("no glibc that we know of".to_owned(), |g| {
        format!("glibc {g}")
    });
    let driver = driver.as_ref().map_or("no NVIDIA driver".to_owned(), |d| {
        format!("NVIDIA driver {d}")
    });
    format!("{glibc}, {driver}")
}

/// `mace needs glibc 2.28 (torch 2.9.1) and an NVIDIA driver 525.60.13 (…)`; nothing for what runs everywhere.
fn describe_needs(needs: &Needs) -> Option<String> {
    let glibc = needs.glibc.as_ref();
    let glibc = glibc.map(|(floor, package)| format!("glibc {floor} ({package})"));
    let driver = needs.driver.as_ref();
    let driver = driver.map(|(floor, package)| format!("NVIDIA driver {floor} ({package})"));
    let all: Vec<String> = glibc.into_iter().chain(driver).collect();
    (!all.is_empty()).then(|| format!("{} needs {}", needs.environment, all.join(", ")))
}

fn describe(filesystem: &Filesystem) -> String {
    let space = &filesystem.space;
    let place = if space.network { ", on a network" } else { "" };
    let inodes = if space.inodes == 0 {
        String::new()
    } else {
        format!(", {} of {} files free", space.inodes_free, space.inodes)
    };
    format!(
        "{}{place}, {} of {} free{inodes}",
        space.kind,
        bytes(space.bytes_free),
        bytes(space.bytes)
    )
}

fn print_json(root: &Root, machine: &Machine, examination: &Examination) {
    let Examination {
        filesystem: Filesystem { space, abilities },
        reach,
        needs,
        read: (files, size),
        findings,
    } = examination;
    let abilities = abilities.as_ref().map(|abilities| {
        let each = abilities
            .iter()
            .map(|ability| (ability.name.to_owned(), Value::Bool(ability.works)));
        Value::Object(each.collect())
    });
    let findings: Vec<Value> = findings
        .iter()
        .map(
            |Finding {
                 code,
                 path,
                 message,
                 fix,
             }| json!({ "code": code, "path": path, "message": message, "fix": fix }),
        )
        .collect();
    show::json(&json!({
        "root": root.path(),
        "filesystem": {
            "kind": space.kind,
            "network": space.network,
            "bytes-free": space.bytes_free,
            "bytes": space.bytes,
            "inodes-free": space.inodes_free,
            "inodes": space.inodes,
            "abilities": abilities,
        },
        "access": { "policy": reach.policy, "closed": reach.closed },
        "machine": {
            "glibc": machine.glibc.map(|glibc| glibc.to_string()),
            "driver": machine.driver.as_ref().map(ToString::to_string),
        },
        "needs": needs.iter().map(needs_json).collect::<Vec<_>>(),
        "read": { "files": files, "bytes": size },
        "findings": findings,
    }));
}

fn needs_json(needs: &Needs) -> Value {
    let floor = |floor: Option<(String, &String)>| {
        floor.map(|(floor, package)| json!({ "floor": floor, "package": package }))
    };
    let glibc = needs.glibc.as_ref();
    let driver = needs.driver.as_ref();
    json!({
        "environment": needs.environment,
        "glibc": floor(glibc.map(|(floor, package)| (floor.to_string(), package))),
        "driver": floor(driver.map(|(floor, package)| (floor.to_string(), package))),
    })
}
