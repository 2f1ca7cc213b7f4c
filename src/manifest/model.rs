//! Models: the short form of an environment's `models`, the long form `[models.ID]`, and their weight files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::about::{self, Declared};
use super::complaint::{Text, nearest};
use super::environment::Environments;
use super::reader::{self, Section};
use super::{Fragment, Model, RecordedNumbers, Weight, value};
use crate::digest::Digest;
use crate::files;
use crate::hub;
use crate::name::{EnvironmentName, ModelId};

const KEYS: [&str; 4] = ["environment", "argument", "setup", "weights"];

/// A model and where it is declared.
pub(super) struct Placed {
    span: std::ops::Range<usize>,
    model: Model,
    reference: Option<reader::Placed<String>>,
}

/// `models = ["small"]` of an environment: ids `<environment>-<word>`, the word as argument.
pub(super) fn short_forms(
    text: &mut Text,
    environment: &reader::Placed<String>,
    section: &Section,
    declared: &Declared,
) -> Vec<Placed> {
    let mut models = Vec::new();
    for word in section.strings(text, "models") {
        let id = format!("{}-{}", environment.value, word.value);
        let id = reader::Placed {
            value: id,
            span: word.span.clone(),
        };
        if let Err(invalid) = id.value.parse::<ModelId>() {
            let help = format!(
                "give it an id of its own: `[models.ID]` with `environment = \"{}\"` and `argument = \"{}\"`",
                environment.value, word.value
            );
            let message = format!("`{}` makes no model id", word.value);
            // One that is too long, or begins with no letter, may be no fault of the word.
            text.complain(word.span, message, invalid.reason, Some(help));
            continue;
        }
        if let (Some(id), Ok(environment)) = (value::name(text, &id), environment.value.parse()) {
            let model = Model {
                id,
                environment,
                argument: word.value,
                setup: serde_json::Map::new(),
                weights: Vec::new(),
                about: declared.about.clone(),
                reference: None,
            };
            models.push(Placed {
                span: word.span,
                reference: declared.reference(&model.id),
                model,
            });
        }
    }
    models
}

/// Every `[models.ID]`.
pub(super) fn long_forms(
    text: &mut Text,
    here: &Path,
    top: &Section,
    environments: &Environments,
    declared: &BTreeMap<String, Declared>,
) -> Vec<Placed> {
    let mut models = Vec::new();
    for (name, section) in top.tables(text, "models", "a model") {
        section.check_keys(text, &[&KEYS[..], &about::KEYS].concat());
        let argument = section
            .string(text, "argument")
            .map_or_else(String::new, |argument| argument.value);
        let setup = setup(text, &section);
        let weights = weights(text, &section);
        let Some(environment) = section.string(text, "environment") else {
            if !section.has("environment") {
                let help = "add `environment = \"…\"`: where its `setup()` is".to_owned();
                text.complain(
                    section.span,
                    format!("model `{}` has no environment", name.value),
                    "here",
                    Some(help),
                );
            }
            continue;
        };
        let environment = known_environment(text, &environment, environments);
        let name_of = environment.as_ref().map_or("", EnvironmentName::declared);
        let none = Declared::default();
        let others = declared.get(name_of).unwrap_or(&none);
        let declared = about::read(text, here, &section, others);
        if let (Some(id), Some(environment)) = (value::name::<ModelId>(text, &name), environment) {
            let model = Model {
                id,
                environment,
                argument,
                setup,
                weights,
                about: declared.about.clone(),
                reference: None,
            };
            models.push(Placed {
                span: name.span,
                reference: declared.reference(&model.id),
                model,
            });
        }
    }
    models
}

fn setup(text: &mut Text, section: &Section) -> serde_json::Map<String, serde_json::Value> {
    let setup = section.json(text, "setup");
    for reserved in ["model", "device"] {
        if setup.contains_key(reserved) {
            let help = format!("`{reserved}` is passed to `setup` by rootstock itself");
            let message = format!("`setup` may not set `{reserved}`");
            text.complain(
                section.key_span("setup"),
                message,
                "in this table",
                Some(help),
            );
        }
    }
    setup
}

/// `weights = [{ url = "https://…", path = "mace/…", sha256 = "…", size = 1 }, { url = "hf://org/name@main/file" }]`.
fn weights(text: &mut Text, section: &Section) -> Vec<Weight> {
    let mut weights: Vec<Weight> = Vec::new();
    for file in section.table_list(text, "weights", "a weight file") {
        file.check_keys(text, &["url", "path", "sha256", "size"]);
        let (url, path) = (file.string(text, "url"), file.string(text, "path"));
        let of_the_hub = url
            .as_ref()
            .is_some_and(|url| url.value.starts_with(hub::SCHEME));
        for (key, value) in [("url", &url), ("path", &path)] {
            if value.is_none() && !file.has(key) && !(key == "path" && of_the_hub) {
                let help = "write `{ url = \"https://…\", path = \"mace/medium.model\" }`: where it is, and where it \
                            goes below the cache";
                text.complain(
                    file.span.clone(),
                    format!("a weight file needs `{key}`"),
                    "here",
                    Some(help.into()),
                );
            }
        }
        let sha256 = file.string(text, "sha256");
        let sha256 = sha256.map(|placed| value::digest(text, &placed));
        let size = file.count(text, "size");
        let (url, named) = url.map_or((None, None), |url| named_sha256(text, url));
        let url = url.filter(|url| value::weight_url(text, url));
        if let (Some(Some(written)), Some(named)) = (sha256, named)
            && written != named
        {
            text.complain(
                file.key_span("sha256"),
                "this is not the sha256 that the address names",
                format!("`#sha256={named}` there"),
                Some("keep the one of the file that you trust".into()),
            );
        }
        let sha256 = sha256.or(named.map(Some));
        let path = path.filter(|path| check_path(text, path));
        let has_place = path.is_some() || (of_the_hub && !file.has("path"));
        if let (Some(url), true, None | Some(Some(_))) = (url, has_place, sha256) {
            let sha256 = sha256.flatten();
            weights.push(Weight {
                url: url.value,
                path: path.map(|path| path.value),
                sha256,
                size,
            });
        }
    }
    weights
}

/// The address without its fragment, and the sha256 that this names; `None` if it is anything else.
fn named_sha256(
    text: &mut Text,
    url: reader::Placed<String>,
) -> (Option<reader::Placed<String>>, Option<Digest>) {
    let Some((address, fragment)) = url.value.split_once('#') else {
        return (Some(url), None);
    };
    let parsed = Fragment::parse(fragment);
    let sha256 = match &parsed {
        Ok(Fragment {
            subdirectory: None,
            checksums,
        }) => match checksums.as_slice() {
            [one] => one.sha256(),
            _ => None,
        },
        _ => None,
    };
    if sha256.is_none() {
        let label = match parsed {
            Ok(_) => "a weight file is locked by its sha256".to_owned(),
            Err(invalid) => invalid.reason,
        };
        text.complain(
            url.span,
            format!("`#{fragment}` is not a digest that can be compared with a weight file"),
            label,
            Some("write `sha256 = \"…\"` beside `url`, and the address without `#`".into()),
        );
        return (None, None);
    }
    let address = reader::Placed {
        value: address.to_owned(),
        span: url.span,
    };
    (Some(address), sha256)
}

/// The path lies below the cache, whatever the cache is, and can be typed, listed and shown as it is.
fn check_path(text: &mut Text, path: &reader::Placed<String>) -> bool {
    let shown = path.value.escape_debug();
    let inside = |part: &str| !matches!(part, "" | "." | "..");
    let (message, help) = if !path.value.split('/').all(inside) {
        (
            format!("`{shown}` is not a path below the cache"),
            "write a relative path without `..`, `.` or `//`: `mace/medium.model`",
        )
    } else if path.value.chars().any(is_odd) {
        (
            format!(
                "`{shown}` has a character that a terminal or a shell gives a meaning of its own"
            ),
            "write the path with letters, digits and `-_.+=@,:~%^()[]` or spaces: `mace/medium.model`",
        )
    } else if path.value.len() > 1000 || path.value.split('/').any(|part| part.len() > 255) {
        (
            "the path is longer than filesystems take".to_owned(),
            "write a shorter one: `mace/medium.model`",
        )
    } else {
        return true;
    };
    text.complain(path.span.clone(), message, "here", Some(help.to_owned()));
    false
}

/// Control characters, those that turn the direction of what follows, and shell syntax.
fn is_odd(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || "\\;&|<>$`\"'*?{}!#".contains(character)
}

fn known_environment(
    text: &mut Text,
    name: &reader::Placed<String>,
    environments: &Environments,
) -> Option<EnvironmentName> {
    let known: Vec<&str> = environments
        .iter()
        .map(|(name, _)| name.value.as_str())
        .collect();
    if known.contains(&name.value.as_str()) {
        return name.value.parse().ok();
    }
    let help = nearest(&name.value, known.iter().copied()).map_or_else(
        || format!("the environments are: {}", known.join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    text.complain(
        name.span.clone(),
        format!("there is no environment `{}`", name.value),
        "not declared",
        Some(help),
    );
    None
}

/// The file with the numbers of a model, which no other model has.
fn recorded(
    text: &mut Text,
    here: &Path,
    path: reader::Placed<String>,
    others: &mut BTreeSet<String>,
) -> Option<RecordedNumbers> {
    if !others.insert(path.value.clone()) {
        let help = "write another path, or `{model}` in it, which stands for the model's id";
        let message = format!("`{}` is the file of two models", path.value);
        text.complain(path.span, message, "the second one", Some(help.into()));
        return None;
    }
    let sha256 = match files::read_of_project(here, Path::new(&path.value)) {
        Ok(bytes) => Some(Digest::of(bytes)),
        // `rootstock probe --record` writes it.
        Err(error) if error.is_missing() => None,
        Err(error) => {
            let message = format!("cannot read `{}`", path.value);
            text.complain(path.span, message, error.source.to_string(), None);
            return None;
        }
    };
    Some(RecordedNumbers {
        path: path.value,
        sha256,
    })
}

/// Sorted by id; an id given twice is complained about where it is given again, and so is one that differs from another
/// only in its capitals: people and some filesystems do not distinguish them.
pub(super) fn unique(text: &mut Text, here: &Path, models: Vec<Placed>) -> Vec<Model> {
    let (mut seen, mut files) = (BTreeSet::new(), BTreeSet::new());
    let mut kept = Vec::new();
    for Placed {
        span,
        mut model,
        reference,
    } in models
    {
        model.reference = reference.and_then(|path| recorded(text, here, path, &mut files));
        let plain = model.id.as_str().to_ascii_lowercase();
        let known: Option<&Model> = kept
            .iter()
            .find(|known: &&Model| known.id.as_str().eq_ignore_ascii_case(&plain));
        if seen.insert(plain) {
            kept.push(model);
        } else if let Some(known) = known.filter(|known| known.id != model.id) {
            text.complain(
                span,
                format!(
                    "the models `{}` and `{}` differ only in capital letters",
                    known.id, model.id
                ),
                "the second one",
                Some("rename one of them".into()),
            );
        } else {
            let help =
                "rename one of them: short forms are called `<environment>-<word>`".to_owned();
            text.complain(
                span,
                format!("there are two models `{}`", model.id),
                "the second one",
                Some(help),
            );
        }
    }
    kept.sort_by(|a, b| a.id.cmp(&b.id));
    kept
}
