//! What a model is for, and what is known of its numbers: a value of manifest, lock and catalogue. Computes nothing.

use std::collections::BTreeSet;

use ipi_client::species;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a user of a model wants to know of it before its first step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct About {
    /// The elements it knows; empty if that was not declared.
    #[serde(skip_serializing_if = "Elements::is_empty")]
    pub elements: Elements,
    /// The licence of its code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// The licence of its weights, if it is another.
    #[serde(alias = "weights-licence", skip_serializing_if = "Option::is_none")]
    pub weights_licence: Option<String>,
    /// What to cite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub citation: Option<String>,
    /// Whether forces and stress are derivatives of the energy.
    #[serde(skip_serializing_if = "is_true")]
    pub conservative: bool,
    /// The precision it computes in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dtype: Option<Dtype>,
    /// Structures that suit it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub probe: Vec<Structure>,
    /// How far its numbers may be from the recorded ones, where that is another than usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Tolerance>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_true(truth: &bool) -> bool {
    *truth
}

impl Default for About {
    fn default() -> Self {
        Self {
            elements: Elements::default(),
            licence: None,
            weights_licence: None,
            citation: None,
            conservative: true,
            dtype: None,
            probe: Vec::new(),
            tolerance: None,
        }
    }
}

impl About {
    /// Whether nothing was declared.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Single.
    Float32,
    /// Double.
    Float64,
}

impl Dtype {
    /// Its name in `NumPy`.
    pub fn as_str(self) -> &'static str {
        match self {
            Dtype::Float32 => "float32",
            Dtype::Float64 => "float64",
        }
    }

    /// The precision of this name.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Dtype::Float32, Dtype::Float64];
        all.into_iter().find(|dtype| dtype.as_str() == name)
    }
}

/// Allowed differences from recorded numbers, in place of those of the precision and the device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// Of the energy, in eV for each atom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy: Option<f64>,
    /// Of a component of a force, in eV/Å.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forces: Option<f64>,
    /// Of a component of the stress, in eV/Å³.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stress: Option<f64>,
    /// The reason, as a part of a sentence.
    pub reason: String,
}

// The manifest has only finite numbers.
impl Eq for Tolerance {}

/// Elements, as symbols or ranges of them by atomic number: `H`, `Li-Ne`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Elements(BTreeSet<u8>);

impl Elements {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the element with this atomic number is one of them.
    pub fn has(&self, number: u8) -> bool {
        self.0.contains(&number)
    }

    /// Adds an element or a range; `None` if the text is neither.
    pub fn add(&mut self, text: &str) -> Option<()> {
        let number = |symbol: &str| species::number(symbol).filter(|number| *number > 0);
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (number(first.trim())?, number(last.trim())?);
        self.0.extend(first..=last);
        (first <= last).then_some(())
    }

    /// The symbols, by atomic number.
    pub fn symbols(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().filter_map(|number| species::symbol(*number))
    }

    /// The same with three or more that follow each other as a range.
    pub fn ranges(&self) -> Vec<String> {
        let mut runs: Vec<(u8, u8)> = Vec::new();
        for number in &self.0 {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == *number => *last = *number,
                _ => runs.push((*number, *number)),
            }
        }
        let symbol = |number: u8| species::symbol(number).unwrap_or("X");
        let words = runs.into_iter().flat_map(|(first, last)| {
            if last - first > 1 {
                vec![format!("{}-{}", symbol(first), symbol(last))]
            } else {
                (first..=last)
                    .map(|number| symbol(number).to_owned())
                    .collect()
            }
        });
        words.collect()
    }
}

impl Serialize for Elements {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.ranges())
    }
}

impl<'de> Deserialize<'de> for Elements {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let mut elements = Self::default();
        for word in Vec::<String>::deserialize(reader)? {
            let added = elements.add(&word);
            added.ok_or_else(|| serde::de::Error::custom(format!("`{word}` is no element")))?;
        }
        Ok(elements)
    }
}

/// A structure as it is declared: an element or a compound as a crystal, a molecule, or a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Structure(String);

/// Crystal structures of `ase.build.bulk`, with the number of lattice constants that each takes.
const CRYSTALS: [(&str, usize); 10] = [
    ("sc", 1),
    ("fcc", 1),
    ("bcc", 1),
    ("hcp", 2),
    ("diamond", 1),
    ("zincblende", 1),
    ("rocksalt", 1),
    ("cesiumchloride", 1),
    ("fluorite", 1),
    ("wurtzite", 2),
];

impl Structure {
    /// The structure that a text declares, or what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let structure = Self(words.join(" "));
        match words.as_slice() {
            [] => Err("it is empty".to_owned()),
            _ if structure.file().is_some() => Ok(Self(text.to_owned())),
            [name] => {
                let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-+=".contains(c);
                if name.chars().all(is_plain) {
                    Ok(structure)
                } else {
                    Err("neither an element, a molecule nor a file".to_owned())
                }
            }
            [formula, crystal, constants @ ..] => {
                species::parse(formula).map_err(|error| error.to_string())?;
                let known = CRYSTALS.iter().find(|(name, _)| name == crystal);
                let Some((_, count)) = known else {
                    let names = CRYSTALS.map(|(name, _)| name).join(", ");
                    return Err(format!("the crystal structures are {names}"));
                };
                let is_length = |word: &&&str| {
                    let length: Option<f64> = word.parse().ok();
                    length.is_some_and(|length| length.is_finite() && length > 0.5)
                };
                let given = constants.iter().filter(is_length).count();
                if given == constants.len() && given == *count {
                    Ok(structure)
                } else {
                    let wanted = if *count == 1 { "`a`" } else { "`a` and `c`" };
                    Err(format!(
                        "{crystal} takes the lattice constant {wanted} in Å"
                    ))
                }
            }
        }
    }

    /// As it is declared.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of a file, relative to the manifest.
    pub fn file(&self) -> Option<&str> {
        let text = self.as_str();
        let first = text.split_whitespace().next().unwrap_or_default();
        (text.contains('/') || first.contains('.')).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_have_one_spelling() {
        let ranges = |words: &[&str]| {
            let mut elements = Elements::default();
            words.iter().try_for_each(|word| elements.add(word))?;
            Some(elements.ranges())
        };
        assert_eq!(ranges(&["He", "H-He", "Li", "O"]).unwrap(), ["H-Li", "O"]);
        assert_eq!(ranges(&["Cu", "Ni"]).unwrap(), ["Ni", "Cu"]);
        for wrong in ["X", "Qq", "cu", "Cu-H", "", "H-", "Cu-Qq"] {
            assert_eq!(ranges(&[wrong]), None, "{wrong}");
        }
    }

    #[test]
    fn structures_are_elements_compounds_molecules_or_files() {
        for right in [
            "Cu",
            "CH3CH2OH",
            "NaCl rocksalt 5.64",
            "ZnO wurtzite 3.25 5.2",
            "a/b.cif",
            "b.xyz",
        ] {
            assert_eq!(Structure::parse(right).unwrap().as_str(), right);
        }
        for wrong in [
            "",
            "NaCl rocksalt",
            "NaCl rocksalt a",
            "NaCl salt 5.6",
            "Qq fcc 3",
            "Cu;",
            "Cu fcc 3 4",
        ] {
            assert!(Structure::parse(wrong).is_err(), "{wrong}");
        }
    }
}
