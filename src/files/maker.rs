//! Who made a staging directory, written into its name, so that what a killed run leaves can be distinguished from what a
//! running one still needs. An optimisation: nothing is ever wrong because staging was left, it only takes space.
//!
//! A name reads `<boot>-<namespace>-<process>-<start>`. Only where all of machine, boot and process namespace are our
//! own can we see whether the process lives, and its start time distinguishes it from another one that was given its number
//! since. In every other case, a second host or a container on one root, the maker may live and its staging stays;
//! removing that is for a person who knows (`gc`).

use super::proc::{self, boot, namespace};

/// The name of this process, unique among all that ever wrote to a shared filesystem.
pub fn this_process() -> String {
    let process = std::process::id();
    format!(
        "{}-{}-{process}-{}",
        boot(),
        namespace(),
        start(process).unwrap_or_default()
    )
}

/// The name of this host, for people.
pub fn host() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

/// Whether the process of this name is certain to be gone.
pub fn is_gone(name: &str) -> bool {
    lives(name) == Some(false)
}

/// Whether the process of this name is certain to live.
pub fn is_here(name: &str) -> bool {
    lives(name) == Some(true)
}

/// Whether the process of this name lives; `None` where that cannot be seen.
fn lives(name: &str) -> Option<bool> {
    let mut parts = name.split('-');
    let (made_at, made_in) = (parts.next()?, parts.next()?);
    let (process, started) = (parts.next()?.parse().ok()?, parts.next()?);
    // Where the system does not identify itself, nothing is certain.
    if made_at.is_empty() || made_at != boot() || made_in.is_empty() || made_in != namespace() {
        return None;
    }
    Some(start(process).is_some_and(|start| start == started))
}

/// The part of a name that identifies a process, and what follows it: `staging-<maker>-xyz`, `my-env-<maker>`.
pub fn in_name(name: &str) -> Option<&str> {
    let number = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let after = name.match_indices('-').map(|(at, _)| &name[at + 1..]);
    [name].into_iter().chain(after).find(|rest| {
        let mut parts = rest.splitn(5, '-');
        let boot = parts.next().unwrap_or_default();
        boot.len() == 12
            && boot.bytes().all(|b| b.is_ascii_hexdigit())
            && parts.take(3).filter(number).count() == 3
    })
}

/// When a process started, in ticks since boot; `None` if there is no such process, or it has ended and its parent has
/// yet to ask how.
fn start(process: u32) -> Option<String> {
    let stat = proc::stat(process)?;
    (!stat.ended).then_some(stat.started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_live_and_who_was_before_us_is_gone() {
        let us = this_process();
        assert!(is_here(&us) && !is_gone(&us), "{us}");
        for name in [&us, &format!("staging-{us}-x1"), &format!("my-env-1-{us}")] {
            assert!(in_name(name).is_some_and(is_here), "{name}");
        }
        assert_eq!(in_name("staging-1-2-3-4"), None);
        let mut parts: Vec<&str> = us.split('-').collect();
        let before = "1".to_owned();
        parts[3] = &before;
        assert!(is_gone(&parts.join("-")), "a number that was given again");

        let mut child = std::process::Command::new("true").spawn().unwrap();
        let number = child.id().to_string();
        child.wait().unwrap();
        parts[2] = &number;
        assert!(is_gone(&parts.join("-")));

        // Killed, and still listed until its parent asks: it does nothing any more.
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let started = start(child.id()).unwrap();
        let name = format!("{}-{}-{}-{started}", parts[0], parts[1], child.id());
        assert!(is_here(&name), "{name}");
        child.kill().unwrap();
        while start(child.id()).is_some() {
            std::thread::yield_now();
        }
        assert!(is_gone(&name));
        child.wait().unwrap();
    }

    #[test]
    fn of_other_machines_and_containers_nothing_is_known() {
        let us = this_process();
        let parts: Vec<&str> = us.split('-').collect();
        let [boot, namespace, _, _] = parts[..] else {
            panic!("{us}")
        };
        for name in [
            format!("000000000000-{namespace}-4194305-1"),
            format!("{boot}-1-4194305-1"),
            format!("{boot}-{namespace}-x-1"),
            "rubbish".to_owned(),
            String::new(),
        ] {
            assert!(!is_gone(&name) && !is_here(&name), "{name}");
        }
    }
}
