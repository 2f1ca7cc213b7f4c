//! `docs/reference` is complete: commands and codes are generated from the program (`SNAPSHOTS=overwrite cargo test --test it --
//! reference::`), and each key of the manifest and each variable that the code reads is in its page.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rootstock::doctor;
use rootstock::lock::drift;
use snapbox::assert_data_eq;

use crate::sandbox::Output;
use crate::worker::{ROOTSTOCK, here};

/// All files below a directory, sorted.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_none_or(|end| end != "pyc"))
        .collect();
    found.sort();
    found
}

/// What `--help` prints on a terminal of 80 columns.
fn help(command: &[&str]) -> String {
    let mut program = Command::new(ROOTSTOCK);
    program.args(command).arg("--help");
    for variable in ["ROOTSTOCK_ROOT", "ROOTSTOCK_UV", "NO_COLOR"] {
        program.env_remove(variable);
    }
    let output = Output::from(program.env("COLUMNS", "80").output().unwrap());
    output.expect(0);
    output.stdout
}

/// The names in the lists of commands of a help text.
fn commands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| !line.starts_with("Usage:"));
    let lines = lines
        .skip(1)
        .take_while(|line| !line.starts_with("Options:"));
    let names = lines.filter_map(|line| {
        let name = line.strip_prefix("  ")?.split_whitespace().next()?;
        (!line.starts_with("   ") && name != "help").then(|| name.to_owned())
    });
    names.collect()
}

#[test]
fn every_command_is_in_the_reference() {
    let whole = help(&[]);
    let names = commands(&whole);
    assert!(names.len() > 10, "{names:?}");
    let mut page = "# Commands\n\nWhat `rootstock --help` and `rootstock COMMAND --help` print. Generated; do not edit.\n".to_owned();
    let mut add = |title: &str, text: &str| {
        write!(page, "\n## {title}\n\n```text\n{}\n```\n", text.trim_end()).unwrap();
    };
    add("rootstock", &whole);
    for name in &names {
        add(&format!("rootstock {name}"), &help(&[name]));
    }
    assert_data_eq!(
        page,
        snapbox::Data::read_from(&here().join("docs/reference/commands.md"), None).raw()
    );
}

#[test]
fn every_code_is_in_the_reference() {
    let mut page = "# Codes\n\nNames that scripts can rely on: none is ever renamed. Generated; do not edit.\n".to_owned();
    let mut add = |title: &str, codes: Vec<(&str, &str)>| {
        write!(page, "\n## {title}\n\n| code | meaning |\n|---|---|\n").unwrap();
        for (name, meaning) in codes {
            writeln!(page, "| `{name}` | {meaning} |").unwrap();
        }
    };
    let drifts = drift::Code::ALL.iter();
    add(
        "Drift: `rootstock lock --check`",
        drifts.map(|code| (code.name(), code.meaning())).collect(),
    );
    let findings = doctor::Code::ALL.iter();
    add(
        "Findings: `rootstock doctor`",
        findings.map(|code| (code.name(), code.meaning())).collect(),
    );
    assert_data_eq!(
        page,
        snapbox::Data::read_from(&here().join("docs/reference/codes.md"), None).raw()
    );
}

/// The texts in quotes that follow each `start` in the sources below a directory, up to `end`.
fn quoted(directory: &str, start: &str, end: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in files(&here().join(directory)) {
        let text = fs::read_to_string(file).unwrap();
        for part in text.split(start).skip(1) {
            let list = part.split(end).next().unwrap();
            found.extend(list.split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

#[track_caller]
fn all_in(page: &str, names: &BTreeSet<String>, least: usize) {
    assert!(names.len() >= least, "{names:?}");
    let text = fs::read_to_string(here().join("docs/reference").join(page)).unwrap();
    let missing: Vec<&String> = names
        .iter()
        .filter(|name| {
            let forms = [
                format!("`{name}`"),
                format!("`[{name}]`"),
                format!("`[{name}."),
            ];
            !forms.iter().any(|form| text.contains(form))
        })
        .collect();
    assert!(
        missing.is_empty(),
        "not in docs/reference/{page}: {missing:?}"
    );
}

#[test]
fn every_finding_has_a_cure() {
    let page = fs::read_to_string(here().join("docs/troubleshooting.md")).unwrap();
    for code in doctor::Code::ALL {
        assert!(page.contains(&format!("`{code}`")), "{code}");
    }
}

#[test]
fn every_key_of_the_manifest_is_in_the_reference() {
    let mut keys = quoted("src/manifest", "check_keys(", ")");
    keys.extend(quoted("src/manifest", "const KEYS: [", ";\n"));
    all_in("manifest.md", &keys, 40);
}

#[test]
fn every_variable_is_in_the_reference() {
    let mut names = BTreeSet::new();
    for directory in ["src", "python/rootstock"] {
        for file in files(&here().join(directory)) {
            let text = fs::read_to_string(file).unwrap();
            let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
            let ours = words.filter(|word| word.starts_with("ROOTSTOCK_") && !word.ends_with('_'));
            names.extend(ours.map(str::to_owned));
        }
    }
    all_in("variables.md", &names, 10);
}

#[test]
fn every_link_of_the_documentation_leads_to_a_file() {
    let mut pages = vec![
        "README.md",
        "CONTRIBUTING.md",
        "ARCHITECTURE.md",
        "SECURITY.md",
    ]
    .into_iter()
    .map(|name| here().join(name))
    .collect::<Vec<_>>();
    pages.extend(files(&here().join("docs")));
    let mut seen = 0;
    for page in pages
        .iter()
        .filter(|page| page.extension().is_some_and(|end| end == "md"))
    {
        let text = fs::read_to_string(page).unwrap();
        for target in text.split("](").skip(1) {
            let target = target.split(')').next().unwrap();
            let file = target.split('#').next().unwrap();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let at: &Path = page.parent().unwrap();
            assert!(at.join(file).exists(), "{}: {target}", page.display());
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}
