//! Who may use what is built in a root: a policy, and the permission bits that follow from it. Touches no file.
//!
//! What is built is the same under every policy: a file of an environment is read-only, and a program or not. A policy
//! decides for whom. Directories in which maintainers make and replace things are *open*, those of what is published are
//! *closed*: no user writes there.
//!
//! | policy | who reads | who maintains | open | closed | files | programs |
//! |---|---|---|---|---|---|---|
//! | `world` | everybody | the owner | 0755 | 0555 | 0444 | 0555 |
//! | `world:NAME` | everybody | the group | 2775 | 2555 | 0444 | 0555 |
//! | `group:NAME` | the group | the group | 2770 | 2550 | 0440 | 0550 |
//! | `owner` | the owner | the owner | 0700 | 0500 | 0400 | 0500 |
//!
//! Without a policy, what is published has the modes of `world`, and the umask decides about the rest.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Who may use what is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Access {
    /// Everybody.
    World,
    /// Everybody; the members of this group maintain it.
    WorldBy(String),
    /// The members of this group, who maintain it too.
    Group(String),
    /// Who has built it.
    Owner,
}

/// A text is not a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not say who may use a root")]
pub struct Invalid(String);

/// The bit by which new files of a directory get its group.
const SET_GROUP: u32 = 0o2000;

impl Access {
    /// The permission bits that anything may have at all.
    fn reach(&self) -> u32 {
        match self {
            Access::World | Access::WorldBy(_) => 0o777,
            Access::Group(_) => 0o770,
            Access::Owner => 0o700,
        }
    }

    /// The group that maintains it.
    pub fn group(&self) -> Option<&str> {
        match self {
            Access::WorldBy(name) | Access::Group(name) => Some(name),
            Access::World | Access::Owner => None,
        }
    }

    /// What new files and directories do not get.
    pub fn umask(&self) -> u32 {
        match self {
            Access::World => 0o022,
            Access::WorldBy(_) => 0o002,
            Access::Group(_) => 0o007,
            Access::Owner => 0o077,
        }
    }

    /// The mode of a directory in which maintainers make and replace things.
    pub fn open(&self) -> u32 {
        match self.group() {
            Some(_) => SET_GROUP | 0o775 & self.reach(),
            None => 0o755 & self.reach(),
        }
    }

    /// The mode of a directory of what is published.
    pub fn closed(&self) -> u32 {
        let bits = 0o555 & self.reach();
        match self.group() {
            Some(_) => SET_GROUP | bits,
            None => bits,
        }
    }

    /// The mode of a published file.
    pub fn published(&self, executable: bool) -> u32 {
        let bits = if executable { 0o555 } else { 0o444 };
        bits & self.reach()
    }

    /// The mode of another file, whose owner's permissions are those of this mode.
    pub fn shared(&self, mode: u32) -> u32 {
        self.published(mode & 0o100 != 0) | mode & 0o200
    }
}

/// The mode of a published file under a policy, or under none.
pub fn published(access: Option<&Access>, executable: bool) -> u32 {
    access.unwrap_or(&Access::World).published(executable)
}

impl FromStr for Access {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_name = |name: &str| {
            !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == ':')
        };
        match text.split_once(':') {
            None if text == "world" => Some(Access::World),
            None if text == "owner" => Some(Access::Owner),
            Some(("world", name)) if is_name(name) => Some(Access::WorldBy(name.to_owned())),
            Some(("group", name)) if is_name(name) => Some(Access::Group(name.to_owned())),
            _ => None,
        }
        .ok_or_else(|| Invalid(text.to_owned()))
    }
}

impl TryFrom<String> for Access {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Access> for String {
    fn from(access: Access) -> Self {
        access.to_string()
    }
}

impl fmt::Display for Access {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Access::World => out.write_str("world"),
            Access::WorldBy(name) => write!(out, "world:{name}"),
            Access::Group(name) => write!(out, "group:{name}"),
            Access::Owner => out.write_str("owner"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_reads_back_as_itself_and_anything_else_is_refused() {
        for text in [
            "world",
            "owner",
            "world:mlip",
            "group:mlip",
            "group:DOMAIN\\staff",
        ] {
            assert_eq!(text.parse::<Access>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "World",
            "world:",
            "owner:me",
            "group",
            "group:",
            "group:a b",
            "mlip",
        ] {
            assert!(text.parse::<Access>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_table_above_is_what_is_done() {
        let rows: Vec<String> = ["world", "world:NAME", "group:NAME", "owner"]
            .iter()
            .map(|text| {
                let access: Access = text.parse().unwrap();
                let (file, program) = (access.published(false), access.published(true));
                let (open, closed) = (access.open(), access.closed());
                format!("`{text}` {open:04o} {closed:04o} {file:04o} {program:04o}")
            })
            .collect();
        assert_eq!(
            rows,
            [
                "`world` 0755 0555 0444 0555",
                "`world:NAME` 2775 2555 0444 0555",
                "`group:NAME` 2770 2550 0440 0550",
                "`owner` 0700 0500 0400 0500"
            ]
        );
        let group: Access = "group:x".parse().unwrap();
        assert_eq!(group.shared(0o600), 0o640);
        assert_eq!(Access::World.shared(0o600), 0o644);
        assert_eq!(Access::Owner.shared(0o744), 0o700);
    }
}
