//! Codes of findings: names that other programs rely on, with what they mean.

use std::fmt::Write as _;

/// An enum of codes, in the order of their names, which is that of `--help`.
macro_rules! codes {
    ($(#[$about:meta])* $($variant:ident = $name:literal, $meaning:literal;)*) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// Its name in JSON and messages.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Code::$variant => $name,)*
                }
            }

            /// What is found.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Code::$variant => $meaning,)*
                }
            }
        }

        impl std::fmt::Display for Code {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.pad(self.name())
            }
        }

        impl serde::Serialize for Code {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }
    };
}

pub(crate) use codes;

/// Codes and what they mean, below a title, for `--help`.
pub(crate) fn listed(
    title: &str,
    codes: impl Iterator<Item = (&'static str, &'static str)> + Clone,
) -> String {
    let width = codes.clone().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = title.to_owned();
    for (name, meaning) in codes {
        let _ = write!(text, "\n  {name:width$}  {meaning}");
    }
    text
}
