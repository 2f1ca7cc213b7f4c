//! The names people give to things: environments, models, indexes. Checked once here, trusted afterwards.
//!
//! Package names are not here: they are PEP 503 names and come from `pep508_rs`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

mod requirement;

pub(crate) use requirement::{marker, requirement};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {reason}")]
pub struct Invalid {
    /// The text as written.
    pub text: String,
    /// Which kind of name was expected, with its article.
    pub what: &'static str,
    /// What is wrong with it.
    pub reason: String,
    /// Whether capital letters may be part of such a name.
    pub capitals: bool,
}

impl Invalid {
    /// A name that would have been valid, if one is close.
    pub fn suggestion(&self) -> Option<String> {
        let mut better = String::new();
        let text = if self.capitals {
            self.text.clone()
        } else {
            self.text.to_lowercase()
        };
        for character in text.chars() {
            match character {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '.' => better.push(character),
                _ if better.ends_with('-') || better.is_empty() => {}
                _ => better.push('-'),
            }
        }
        let better = better.trim_matches(|c| c == '-' || c == '.').to_owned();
        (!better.is_empty() && better != self.text).then_some(better)
    }
}

/// Letters (capitals only of models), digits, `-`, `_` and `.`; begins and ends with a letter or digit.
/// Such a name is a directory name, a TOML bare key (but for the dot) and a word in a shell.
fn check(text: &str, what: &'static str, capitals: bool) -> Result<(), Invalid> {
    let wrong = |reason: &str| Invalid {
        text: text.into(),
        what,
        reason: reason.into(),
        capitals,
    };
    if text.is_empty() {
        return Err(wrong("it is empty"));
    }
    if text.len() > 100 {
        return Err(wrong("it is longer than 100 characters"));
    }
    if let Some(bad) = text.chars().find(|c| {
        !(matches!(c, 'a'..='z' | '0'..='9' | '-' | '_' | '.')
            || capitals && c.is_ascii_uppercase())
    }) {
        let letters = if capitals {
            "letters"
        } else {
            "lower-case letters"
        };
        return Err(wrong(&format!(
            "`{}` may not be part of it; {letters}, digits, `-`, `_` and `.` may",
            bad.escape_default()
        )));
    }
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if !edge(text.chars().next()) || !edge(text.chars().last()) {
        return Err(wrong("it must begin and end with a letter or a digit"));
    }
    Ok(())
}

/// As [`check`], but `@3.12` may follow: the same environment for another Python.
fn check_environment(text: &str, what: &'static str, capitals: bool) -> Result<(), Invalid> {
    let Some((name, series)) = text.split_once('@') else {
        return check(text, what, capitals);
    };
    check(name, what, capitals)?;
    let minor = series.strip_prefix("3.").unwrap_or_default();
    let is_number = minor.parse::<u8>().is_ok_and(|n| n.to_string() == minor);
    is_number.then_some(()).ok_or_else(|| Invalid {
        text: text.into(),
        what,
        reason: "a series of Python follows `@`, as in `mace@3.12`".into(),
        capitals,
    })
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $capitals:literal, $check:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                $check(text, $what, $capitals)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $type {
            type Error = Invalid;
            fn try_from(text: String) -> Result<Self, Invalid> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.pad(&self.0)
            }
        }
    };
}

name!(
    /// The name of an environment; also its directory's name below `envs/`. `mace@3.12` is the environment `mace` for
    /// another Python (`also-python`).
    EnvironmentName,
    "an environment name",
    false,
    check_environment
);
name!(
    /// What users type to get a model: `mace-mp-0-medium`.
    ModelId,
    "a model id",
    true,
    check
);
name!(
    /// The name of a package index declared in the manifest.
    IndexName,
    "an index name",
    false,
    check
);
name!(
    /// The name of a cluster in the manifest's registry.
    ClusterName,
    "a cluster name",
    false,
    check
);

impl EnvironmentName {
    /// The name of the manifest's table: `mace` of `mace@3.12`.
    pub fn declared(&self) -> &str {
        self.0.split_once('@').map_or(&self.0, |(name, _)| name)
    }

    /// The series of Python of one for another Python: `3.12` of `mace@3.12`.
    pub fn series(&self) -> Option<&str> {
        self.0.split_once('@').map(|(_, series)| series)
    }

    /// The same environment for another series of Python.
    #[must_use]
    pub fn on(&self, (major, minor): (u64, u64)) -> Self {
        Self(format!("{}@{major}.{minor}", self.declared()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_directory_name_and_a_word() {
        for good in ["emt", "mace-mp-0", "7net-0", "chgnet-0.3.0", "a_b"] {
            assert_eq!(good.parse::<EnvironmentName>().unwrap().as_str(), good);
        }
        for bad in ["", "Mace", "a/b", "..", "-x", "x-", "a b", "ü", "a:b"] {
            assert!(bad.parse::<EnvironmentName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_environment_for_another_python_has_its_series_in_its_name() {
        let name: EnvironmentName = "mace@3.12".parse().unwrap();
        assert_eq!((name.declared(), name.series()), ("mace", Some("3.12")));
        let plain: EnvironmentName = "mace".parse().unwrap();
        assert_eq!((plain.declared(), plain.series()), ("mace", None));
        assert_eq!(plain.on((3, 12)), name);
        for bad in [
            "mace@",
            "@3.12",
            "mace@3",
            "mace@3.012",
            "mace@2.7",
            "mace@3.12.1",
            "mace@3.12@3.13",
            "mace@3.+1",
            "mace@../x",
        ] {
            assert!(bad.parse::<EnvironmentName>().is_err(), "{bad}");
        }
        assert!("mace@3.12".parse::<ModelId>().is_err());
    }

    #[test]
    fn a_bad_name_comes_with_a_better_one() {
        let better = |text: &str| text.parse::<ModelId>().unwrap_err().suggestion();
        assert_eq!(better("MACE MP 0").as_deref(), Some("MACE-MP-0"));
        assert_eq!(better("Mace/medium").as_deref(), Some("Mace-medium"));
        assert_eq!(better("//"), None);
        let invalid = "Mace MP".parse::<EnvironmentName>().unwrap_err();
        assert_eq!(invalid.suggestion().as_deref(), Some("mace-mp"));
        assert_eq!("GFN2-xTB".parse::<ModelId>().unwrap().as_str(), "GFN2-xTB");
    }
}
