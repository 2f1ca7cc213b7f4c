//! The generations that a user has chosen for a whole job, whatever the links of a root lead to meanwhile: `ENVIRONMENT@ID`, or an
//! id alone for every environment that is asked for.

use std::collections::BTreeMap;

use crate::name::EnvironmentName;

/// Generations by environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chosen {
    named: BTreeMap<EnvironmentName, String>,
    all: Option<String>,
}

/// A text that names no generation.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("ROOTSTOCK_GENERATION names `{0}`, which is not a generation")]
#[diagnostic(help(
    "write ENVIRONMENT@ID, several with commas between them; `rootstock run ENVIRONMENT --print generation` prints it"
))]
pub(crate) struct Malformed(String);

/// Whether this is the id of a generation.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Chosen {
    /// Reads a list with commas or spaces.
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let mut chosen = Self::default();
        let words = text.split([',', ' ']).filter(|word| !word.is_empty());
        for word in words {
            let malformed = || Malformed(word.to_owned());
            if is_id(word) {
                if chosen.all.replace(word.to_owned()).is_some() {
                    return Err(malformed());
                }
                continue;
            }
            let (name, id) = word.rsplit_once('@').ok_or_else(malformed)?;
            let name = name.parse().map_err(|_| malformed())?;
            if !is_id(id) || chosen.named.insert(name, id.to_owned()).is_some() {
                return Err(malformed());
            }
        }
        Ok(chosen)
    }

    /// The one for this environment.
    pub(crate) fn of(&self, environment: &EnvironmentName) -> Option<&str> {
        let named = self.named.get(environment).or(self.all.as_ref());
        named.map(String::as_str)
    }
}
