//! The names people give to things: environments, models, indexes. Checked once here, trusted afterwards.
//!
//! Package names are not here: they are PEP 503 names and come from `pep508_rs`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

mod requirement;

pub(crate) use requirement::requirement;

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

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $capitals:literal) => {
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
                check(text, $what, $capitals)?;
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
    /// The name of an environment; also its directory's name below `envs/`.
    EnvironmentName,
    "an environment name",
    false
);
name!(
    /// What users type to get a model: `mace-mp-0-medium`.
    ModelId,
    "a model id",
    true
);
name!(
    /// The name of a package index declared in the manifest.
    IndexName,
    "an index name",
    false
);
name!(
    /// The name of a cluster in the manifest's registry.
    ClusterName,
    "a cluster name",
    false
);

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
