//! What the system says of processes and of itself below `/proc`. Where that is not mounted or not shown, nothing is known.

use std::path::{Path, PathBuf};

use super::{link_target, names, read, read_text};

/// A process, as its parent sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Whether it has ended, and its parent has not yet asked how.
    pub ended: bool,
    /// The process that started it, or adopted it.
    pub parent: u32,
    /// When it started, in ticks since boot.
    pub started: String,
}

/// The processes of this host.
pub(crate) fn processes() -> Vec<u32> {
    let names = names(Path::new("/proc")).unwrap_or_default();
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

/// A process; `None` if there is no such process.
pub(crate) fn stat(process: u32) -> Option<Stat> {
    let text = read_text(&of(process).join("stat")).ok()?;
    // The second field is a name in parentheses that may hold anything; the state is the third, the parent the fourth,
    // `starttime` the 22nd.
    let (_, after) = text.rsplit_once(')')?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    Some(Stat {
        ended: matches!(*fields.first()?, "Z" | "X" | "x"),
        parent: fields.get(1)?.parse().ok()?,
        started: (*fields.get(19)?).to_owned(),
    })
}

/// Texts that name files which a process uses: arguments, variables, what it has mapped, its directory, its program.
pub(crate) fn texts(process: u32) -> Vec<String> {
    let directory = of(process);
    let files = ["cmdline", "environ", "maps"].map(|file| read(&directory.join(file)).ok());
    let files = files.into_iter().flatten();
    let links = ["cwd", "exe"].map(|link| link_target(&directory.join(link)).ok().flatten());
    let links = links.into_iter().flatten();
    files
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .chain(links.map(|target| target.to_string_lossy().into_owned()))
        .collect()
}

/// This boot of this machine: a number that the kernel draws at random.
pub(crate) fn boot() -> String {
    let id = read_text(Path::new("/proc/sys/kernel/random/boot_id")).unwrap_or_default();
    id.chars()
        .filter(char::is_ascii_hexdigit)
        .take(12)
        .collect()
}

/// The namespace in which our process number means something.
pub(crate) fn namespace() -> String {
    let link = link_target(Path::new("/proc/self/ns/pid"));
    let text = link.ok().flatten().unwrap_or_default();
    let text = text.to_string_lossy();
    text.chars().filter(char::is_ascii_digit).collect()
}

/// The signals that this process ignores, one bit each.
pub(crate) fn ignored_signals() -> u64 {
    let status = read_text(Path::new("/proc/self/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// The number that stands for all users whom our user namespace does not show, if there are any.
pub(crate) fn unmapped_user() -> Option<u32> {
    let map = read_text(Path::new("/proc/self/uid_map")).ok()?;
    let words: Vec<&str> = map.split_whitespace().collect();
    if matches!(words[..], ["0", _, "4294967295"]) {
        return None;
    }
    let number = read_text(Path::new("/proc/sys/kernel/overflowuid")).ok()?;
    number.trim().parse().ok()
}

/// What the NVIDIA driver says of itself, if there is one.
pub(crate) fn nvidia_driver() -> Option<String> {
    read_text(Path::new("/proc/driver/nvidia/version")).ok()
}

/// The memory that this process and those it starts may still use: the machine's, or less if its control group has a limit.
pub(crate) fn available_memory() -> Option<u64> {
    let text = read_text(Path::new("/proc/meminfo")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let machine = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10;
    Some(memory_of_group().map_or(machine, |group| machine.min(group)))
}

fn memory_of_group() -> Option<u64> {
    let text = read_text(Path::new("/proc/self/cgroup")).ok()?;
    let group = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let number = |name: &str| -> Option<u64> {
        let path = Path::new("/sys/fs/cgroup").join(group).join(name);
        read_text(&path).ok()?.trim().parse().ok()
    };
    Some(number("memory.max")?.saturating_sub(number("memory.current")?))
}

fn of(process: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{process}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_seen_with_its_parent_until_it_was_waited_for() {
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let there = stat(child.id()).unwrap();
        assert!(processes().contains(&child.id()));
        assert_eq!((there.ended, there.parent), (false, std::process::id()));
        assert!(!there.started.is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(stat(child.id()), None);
    }
}
