//! `rootstock doctor`: what is wrong in a root, in words or as JSON.

use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::progress::{self, bytes};
use super::{Shared, place, show};
use crate::doctor::{self, Ability, Examination, Filesystem, Finding};
use crate::store::Root;

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
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let root = place::built(shared)?;
    let reading = progress::Reading::new();
    let examined = doctor::examine(&root, arguments.deep, &|bytes| reading.heard(bytes));
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
        print_json(&root, &examination);
    } else {
        print_text(&root, &examination);
    }
    Ok(if examination.findings.is_empty() {
        Exit::Ok
    } else {
        Exit::Failed
    })
}

fn print_text(root: &Root, examination: &Examination) {
    let Examination {
        filesystem,
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

fn print_json(root: &Root, examination: &Examination) {
    let Examination {
        filesystem: Filesystem { space, abilities },
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
        "read": { "files": files, "bytes": size },
        "findings": findings,
    }));
}
