//! What an environment or a model declares about its models: elements, licence, citation, structures, recorded numbers.
//! What an environment declares holds for each of its models that does not declare it itself.

use std::path::{Component, Path};

use super::complaint::{Text, nearest_path};
use super::reader::{Placed, Section};
use crate::about::{About, Dtype, Elements, Structure, Tolerance};
use crate::files;
use crate::name::ModelId;

/// The keys, of an environment and of a model.
pub(super) const KEYS: [&str; 9] = [
    "elements",
    "licence",
    "weights-licence",
    "citation",
    "conservative",
    "dtype",
    "probe",
    "reference",
    "tolerance",
];

/// Stands for the model's id in the path of a reference.
const MODEL: &str = "{model}";

/// What a table declares, and the path of recorded numbers, in which `{model}` may stand.
#[derive(Debug, Clone, Default)]
pub(super) struct Declared {
    pub(super) about: About,
    reference: Option<Placed<String>>,
}

/// The declarations of an environment.
pub(super) fn of_environment(text: &mut Text, here: &Path, section: &Section) -> Declared {
    let declared = read(text, here, section, &Declared::default());
    if let Some(reference) = &declared.reference
        && !reference.value.contains(MODEL)
    {
        text.complain(
            reference.span.clone(),
            "an environment has one file of recorded numbers for each model",
            format!("without `{MODEL}`"),
            Some(format!("write `reference = \"references/{MODEL}.extxyz\"`")),
        );
    }
    declared
}

/// The declarations of a table over those that hold where it has none.
pub(super) fn read(text: &mut Text, here: &Path, section: &Section, others: &Declared) -> Declared {
    let mut line = |key: &str, other: &Option<String>| {
        let found = section.string(text, key);
        found.map_or_else(|| other.clone(), |found| one_line(text, key, &found))
    };
    let licence = line("licence", &others.about.licence);
    // Weights that are not under the environment's licence say so themselves.
    let weights_licence = line("weights-licence", &others.about.weights_licence);
    let citation = line("citation", &others.about.citation);
    let other = &others.about;
    let about = About {
        elements: elements(text, section).unwrap_or_else(|| other.elements.clone()),
        licence,
        weights_licence,
        citation,
        conservative: section
            .boolean(text, "conservative")
            .unwrap_or(other.conservative),
        dtype: dtype(text, section).or(other.dtype),
        probe: structures(text, here, section).unwrap_or_else(|| other.probe.clone()),
        tolerance: tolerance(text, section).or_else(|| other.tolerance.clone()),
    };
    let reference = section.string(text, "reference");
    let reference = reference.filter(|path| check_path(text, path));
    Declared {
        about,
        reference: reference.or_else(|| others.reference.clone()),
    }
}

impl Declared {
    /// The file with the recorded numbers of a model, and where it is declared.
    pub(super) fn reference(&self, model: &ModelId) -> Option<Placed<String>> {
        let declared = self.reference.as_ref()?;
        Some(Placed {
            value: declared.value.replace(MODEL, model.as_str()),
            span: declared.span.clone(),
        })
    }
}

fn one_line(text: &mut Text, key: &str, found: &Placed<String>) -> Option<String> {
    let value = found.value.trim();
    let is_line = !value.is_empty() && !value.chars().any(char::is_control);
    if !is_line {
        text.complain(
            found.span.clone(),
            format!("`{key}` is a text in one line"),
            "here",
            Some(format!("write it, or leave out `{key}`")),
        );
    }
    is_line.then(|| value.to_owned())
}

fn elements(text: &mut Text, section: &Section) -> Option<Elements> {
    section.has("elements").then(|| {
        let mut elements = Elements::default();
        for word in section.strings(text, "elements") {
            if elements.add(&word.value).is_none() {
                text.complain(
                    word.span,
                    format!("`{}` is neither an element nor a range of them", word.value),
                    "here",
                    Some("write symbols, or ranges by atomic number: `[\"H\", \"Li-Bi\"]`".into()),
                );
            }
        }
        elements
    })
}

fn dtype(text: &mut Text, section: &Section) -> Option<Dtype> {
    let word = section.string(text, "dtype")?;
    let dtype = Dtype::named(&word.value);
    if dtype.is_none() {
        text.complain(
            word.span,
            format!("`{}` is not a precision", word.value),
            "here",
            Some("write `float32` or `float64`".into()),
        );
    }
    dtype
}

fn structures(text: &mut Text, here: &Path, section: &Section) -> Option<Vec<Structure>> {
    section.has("probe").then(|| {
        let mut structures = Vec::new();
        for word in section.strings(text, "probe") {
            match structure(here, &word.value) {
                Ok(structure) => structures.push(structure),
                Err((label, help)) => text.complain(
                    word.span,
                    format!("`{}` is not a structure", word.value),
                    label,
                    Some(help),
                ),
            }
        }
        structures
    })
}

fn structure(here: &Path, word: &str) -> Result<Structure, (String, String)> {
    let help = "write an element (`Cu`), a molecule that ASE knows (`CH3OH`), a compound with its crystal structure and \
                lattice constants (`NaCl rocksalt 5.64`), or the path of a file";
    let structure = Structure::parse(word).map_err(|reason| (reason, help.to_owned()))?;
    let Some(file) = structure.file().map(Path::new) else {
        return Ok(structure);
    };
    match files::in_project(here, file) {
        Ok(_) => Ok(structure),
        Err(error) => {
            let near = nearest_path(here, file).filter(|_| error.is_missing());
            let help = near.map_or_else(
                || "write the path of a file below the manifest".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            Err((error.source.to_string(), help))
        }
    }
}

fn tolerance(text: &mut Text, section: &Section) -> Option<Tolerance> {
    let table = section.table(text, "tolerance", "`tolerance`")?;
    table.check_keys(text, &["energy", "forces", "stress", "reason"]);
    let mut number = |key| table.positive(text, key);
    let (energy, forces, stress) = (number("energy"), number("forces"), number("stress"));
    let reason = table.string(text, "reason");
    let is_whole = energy.or(forces).or(stress).is_some() && reason.is_some();
    let has_number = ["energy", "forces", "stress"]
        .iter()
        .any(|key| table.has(key));
    if !has_number || !table.has("reason") {
        text.complain(
            section.key_span("tolerance"),
            "a tolerance of its own has a number and the reason for it",
            "here",
            Some("write `{ forces = 1e-3, reason = \"…\" }`: energy in eV/atom, forces in eV/Å, stress in eV/Å³".into()),
        );
    }
    let reason = reason.and_then(|reason| one_line(text, "reason", &reason))?;
    is_whole.then_some(Tolerance {
        energy,
        forces,
        stress,
        reason,
    })
}

/// The file lies in the project, and ASE knows by its name what it is.
fn check_path(text: &mut Text, path: &Placed<String>) -> bool {
    let plain = Path::new(&path.value)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let is_extxyz = path.value.ends_with(".extxyz") && !path.value.chars().any(char::is_control);
    let is_right = plain && is_extxyz && path.value.len() < 1000;
    if !is_right {
        text.complain(
            path.span.clone(),
            format!("`{}` is not a path for recorded numbers", path.value.escape_debug()),
            "here",
            Some("write a relative path without `..` that ends in `.extxyz`: `references/mace.extxyz`".into()),
        );
    }
    is_right
}
