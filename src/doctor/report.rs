//! What an examination of a root found, for programs (`Serialize`) and for people (`Display`).

use std::collections::BTreeMap;
use std::fmt::{self, Formatter};
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use crate::name::EnvironmentName;
use crate::report::{bytes, line};

use super::{Ability, Filesystem, Finding, Import, Machine, Needs, ProbeResult, Quota, Reach};

/// What an examination found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The root.
    pub root: PathBuf,
    /// Its filesystem: kind, free space, abilities.
    pub filesystem: Filesystem,
    /// Who can use the root.
    pub access: Reach,
    /// The machine that the environments' needs were compared with.
    pub machine: Machine,
    /// What the environments need of a machine.
    pub needs: Vec<Needs>,
    /// The imports that were asked for.
    #[serde(serialize_with = "imports")]
    pub imports: Option<BTreeMap<EnvironmentName, Import>>,
    /// The files that were read completely.
    pub read: Read,
    /// Everything that is wrong, by path.
    pub findings: Vec<Finding>,
}

/// Files that were read completely.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Read {
    /// Their number.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
}

/// The import of one environment.
#[derive(Serialize)]
struct ImportEntry<'a> {
    environment: &'a EnvironmentName,
    /// `None` where it was not tried.
    imported: Option<bool>,
    reason: Option<String>,
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn imports<S: Serializer>(
    imports: &Option<BTreeMap<EnvironmentName, Import>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let entry = |(environment, import)| {
        let (imported, reason) = match import {
            &Import::Done => (Some(true), None),
            Import::Failed(failure) => (Some(false), Some(failure.to_string())),
            Import::Unusable(error) => (None, Some(error.to_string())),
        };
        ImportEntry {
            environment,
            imported,
            reason,
        }
    };
    let entries = imports.as_ref().map(|imports| imports.iter().map(entry));
    entries
        .map(Iterator::collect::<Vec<_>>)
        .serialize(serializer)
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        line(out, format_args!("root: {}", self.root.display()))?;
        write_filesystem(out, &self.filesystem)?;
        line(out, format_args!("access: {}", self.access))?;
        line(out, format_args!("machine: {}", self.machine))?;
        for needs in self.needs.iter().filter(|needs| !needs.is_nothing()) {
            line(out, format_args!("  {needs}"))?;
        }
        if let Some(imports) = &self.imports {
            write_imports(out, imports)?;
        }
        let Read { files, bytes: size } = self.read;
        if files > 0 {
            line(out, format_args!("read: {files} files, {}", bytes(size)))?;
        }
        for finding in &self.findings {
            write_finding(out, finding)?;
        }
        writeln!(out)?;
        match self.findings.len() {
            0 => line(out, "no problems found"),
            1 => line(out, "1 finding"),
            number => line(out, format_args!("{number} findings")),
        }
    }
}

fn write_filesystem(out: &mut Formatter<'_>, filesystem: &Filesystem) -> fmt::Result {
    let space = &filesystem.space;
    let network = if space.network { ", on a network" } else { "" };
    let inodes = if space.inodes == 0 {
        String::new()
    } else {
        format!(", {} of {} files free", space.inodes_free, space.inodes)
    };
    line(
        out,
        format_args!(
            "filesystem: {}{network}, {} of {} free{inodes}",
            space.kind,
            bytes(space.bytes_free),
            bytes(space.bytes)
        ),
    )?;
    for quota in &filesystem.quotas {
        line(out, format_args!("  {quota}"))?;
    }
    match &filesystem.abilities {
        ProbeResult::All(abilities) => abilities.iter().try_for_each(|ability| {
            let Ability { name, meaning, .. } = ability;
            let works = if ability.works { "yes" } else { "no" };
            line(out, format_args!("  {name:16}  {works:3}  {meaning}"))
        }),
        ProbeResult::MayNot => line(out, "  no write permission: filesystem not probed"),
        ProbeResult::NoRoom(reason) => line(out, format_args!("  {reason}: filesystem not probed")),
    }
}

/// Which environments can be imported, and which were skipped because they cannot run here; failures are findings.
fn write_imports(
    out: &mut Formatter<'_>,
    imports: &BTreeMap<EnvironmentName, Import>,
) -> fmt::Result {
    let done = imports.iter().filter(|(_, i)| matches!(i, Import::Done));
    let done: Vec<&str> = done.map(|(name, _)| name.as_str()).collect();
    let names = if done.is_empty() {
        "none".to_owned()
    } else {
        done.join(", ")
    };
    line(out, format_args!("can be imported: {names}"))?;
    for import in imports.values() {
        if let Import::Unusable(error) = import {
            line(out, format_args!("  skipped: {error}"))?;
        }
    }
    Ok(())
}

fn write_finding(out: &mut Formatter<'_>, finding: &Finding) -> fmt::Result {
    let Finding {
        code,
        path,
        message,
        fix,
    } = finding;
    let (message, more) = message.split_once('\n').unwrap_or((message, ""));
    writeln!(out)?;
    line(out, format_args!("{}: {message} [{code}]", path.display()))?;
    for text in more.lines() {
        line(out, format_args!("    {text}"))?;
    }
    line(out, format_args!("  fix: {fix}"))
}

impl fmt::Display for Reach {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let closed = self.closed.iter();
        let closed: Vec<String> = closed.map(|path| format!("`{}`", path.display())).collect();
        let closed = closed.join(", ");
        match (&self.policy, closed.is_empty()) {
            (Some(policy), true) => write!(out, "{policy}"),
            (Some(policy), false) => write!(out, "{policy}, but not through {closed}"),
            (None, true) => write!(
                out,
                "no policy (`access` in the manifest); reachable by everyone"
            ),
            (None, false) => write!(
                out,
                "no policy (`access` in the manifest); others cannot pass {closed}"
            ),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match &self.glibc {
            Some(glibc) => write!(out, "glibc {glibc}, ")?,
            None => write!(out, "no known glibc, ")?,
        }
        match &self.driver {
            Some(driver) => write!(out, "NVIDIA driver {driver}"),
            None => write!(out, "no NVIDIA driver"),
        }
    }
}

/// `mace needs glibc 2.28 (torch 2.9.1), NVIDIA driver 525.60.13 (…)`.
impl fmt::Display for Needs {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let glibc = self.glibc.iter();
        let glibc = glibc.map(|need| format!("glibc {} ({})", need.floor, need.package));
        let driver = self.driver.iter();
        let driver = driver.map(|need| format!("NVIDIA driver {} ({})", need.floor, need.package));
        let all: Vec<String> = glibc.chain(driver).collect();
        write!(out, "{} needs {}", self.environment, all.join(", "))
    }
}

/// `quota of user 1000: 102.1 GB, 495047 files left`.
impl fmt::Display for Quota {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let size = self.bytes.left().map(bytes);
        let inodes = self.inodes.left().map(|left| format!("{left} files"));
        let left: Vec<String> = size.into_iter().chain(inodes).collect();
        write!(out, "quota of {}: {} left", self.whose, left.join(", "))
    }
}
