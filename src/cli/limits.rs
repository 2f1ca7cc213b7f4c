//! Limits of this process that may have caused a failure: programs that it starts (uv, Python) hit them too, and do not
//! always report that.

use rustix::process::{Resource, getrlimit};

use crate::report::bytes;

/// A limit, the words in which systems and programs say that it is reached, and what is little.
struct Limit {
    resource: Resource,
    what: &'static str,
    option: &'static str,
    words: &'static [&'static str],
    little: u64,
    is_size: bool,
}

const LIMITS: [Limit; 4] = [
    Limit {
        resource: Resource::Nproc,
        what: "processes and threads of this user",
        option: "-u",
        words: &[
            "(os error 11)",
            "Resource temporarily unavailable",
            "cannot start a thread",
        ],
        little: 64,
        is_size: false,
    },
    Limit {
        resource: Resource::Nofile,
        what: "open files",
        option: "-n",
        words: &["(os error 24)", "Too many open files"],
        little: 64,
        is_size: false,
    },
    Limit {
        resource: Resource::As,
        what: "of memory",
        option: "-v",
        words: &[
            "(os error 11)",
            "(os error 12)",
            "Cannot allocate memory",
            "memory allocation of",
            "MemoryError",
        ],
        little: 2_000_000_000,
        is_size: true,
    },
    Limit {
        resource: Resource::Fsize,
        what: "in one file",
        option: "-f",
        words: &["(os error 27)", "File too large", "signal 25"],
        little: 1_000_000_000,
        is_size: true,
    },
];

/// The limits that may have caused this failure: those it speaks of, and those that are little.
pub(super) fn behind(failure: &str) -> Vec<String> {
    let mut found = Vec::new();
    for limit in &LIMITS {
        let is_named = limit.words.iter().any(|words| failure.contains(words));
        if let Some(most) = getrlimit(limit.resource).current
            && (is_named || most < limit.little)
        {
            let most = if limit.is_size {
                bytes(most)
            } else {
                most.to_string()
            };
            let Limit { what, option, .. } = limit;
            found.push(format!("{most} {what} (`ulimit {option}`)"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_only_begins_like_that_of_a_limit_is_another_error() {
        let named = |failure: &str| {
            let limits = LIMITS.iter();
            let named =
                limits.filter(|limit| limit.words.iter().any(|words| failure.contains(words)));
            named.map(|limit| limit.option).collect::<Vec<_>>()
        };
        assert_eq!(named("cannot run `x`: (os error 11)"), ["-u", "-v"]);
        assert_eq!(named("Too many open files (os error 24)"), ["-n"]);
        for other in [
            "Connection refused (os error 111)",
            "Disk quota exceeded (os error 122)",
            "os error 1",
        ] {
            assert_eq!(named(other), [""; 0], "{other}");
        }
    }
}
