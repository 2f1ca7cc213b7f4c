//! The pages of `docs` and `examples/call` run as they are written, in the environment of `examples/minimal`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::python_client;
use crate::sandbox::Output;
use crate::worker::{ROOTSTOCK, here};

/// A root with the environment `emt`.
fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("minimal-root");
    let manifest = here().join("examples/minimal/rootstock.toml");
    let synced = Command::new(ROOTSTOCK)
        .arg("sync")
        .arg("--manifest")
        .arg(manifest)
        .arg("--root")
        .arg(&root)
        .output();
    Output::from(synced.unwrap()).expect(0);
    root
}

/// Runs a command with the program on PATH, the package, and the root.
fn run(command: &mut Command, directory: &Path) -> Output {
    run_without_root(command.env("ROOTSTOCK_ROOT", root()), directory)
}

/// Runs a command with the program on PATH and the package.
fn run_without_root(command: &mut Command, directory: &Path) -> Output {
    let program = Path::new(ROOTSTOCK).parent().unwrap();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", program.display());
    let output = command
        .current_dir(directory)
        .env("PATH", path)
        .env("PYTHONPATH", here().join("python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output();
    output.unwrap().into()
}

/// The blocks of code in a page: language and text.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let parts = page.split("\n```").skip(1).step_by(2);
    parts.map(|part| part.split_once('\n').unwrap()).collect()
}

/// Whether a text is as the page says: `…` stands for anything.
fn is_like(text: &str, expected: &str) -> bool {
    let parts: Vec<&str> = expected.split('…').collect();
    let mut rest = text.trim_end();
    for (at, part) in parts.iter().enumerate() {
        let found = if at == 0 {
            rest.starts_with(part).then_some(0)
        } else {
            rest.find(part)
        };
        match found {
            Some(begin) => rest = &rest[begin + part.len()..],
            None => return false,
        }
    }
    rest.is_empty() || parts.last() == Some(&"")
}

/// Runs the blocks of a page of `docs` in a directory, in order; how many ran. `sh` and `python` run and succeed; a `python` block that
/// begins with a file's name is that file; `text` is what the block before printed; `toml` is a manifest; `console` does not run.
fn run_page(name: &str, directory: &Path) -> usize {
    let page = std::fs::read_to_string(here().join("docs").join(name)).unwrap();
    let (mut last, mut run_blocks) = (String::new(), 0);
    for (language, text) in blocks(&page) {
        let file = text.lines().next().and_then(|line| line.strip_prefix("# "));
        let file = file.filter(|name| Path::new(name).extension().is_some_and(|end| end == "py"));
        let mut command = match (language, file) {
            ("python", Some(name)) => {
                let path = directory.join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
                continue;
            }
            ("python", None) => Command::new(python_client::python()),
            ("sh", _) => Command::new("/bin/sh"),
            ("text", _) => {
                assert!(is_like(&last, text.trim_end()), "{text}\nis not\n{last}");
                continue;
            }
            ("toml", _) => {
                check_manifest(text);
                continue;
            }
            ("console", _) => continue,
            other => panic!("{name}: what is a block of {other:?}?"),
        };
        command.arg("-c").arg(text);
        let output = match name {
            // It makes a root of its own.
            "quick-start.md" => run_without_root(&mut command, directory),
            _ => run(&mut command, directory),
        };
        assert_eq!(
            output.code,
            Some(0),
            "{name}: {text}\n{}\n{}",
            output.stdout,
            output.stderr
        );
        last = output.stdout;
        run_blocks += 1;
    }
    run_blocks
}

/// A manifest beside this repository's environments has no error: only its lock is missing.
fn check_manifest(text: &str) {
    let directory = tempfile::tempdir().unwrap();
    let environments = directory.path().join("environments");
    std::fs::create_dir(&environments).unwrap();
    for entry in std::fs::read_dir(here().join("environments")).unwrap() {
        let file = entry.unwrap();
        std::fs::copy(file.path(), environments.join(file.file_name())).unwrap();
    }
    std::fs::write(directory.path().join("rootstock.toml"), text).unwrap();
    let output = run(
        Command::new(ROOTSTOCK).args(["lock", "--check"]),
        directory.path(),
    );
    assert_eq!(output.code, Some(3), "{text}\n{}", output.stderr);
}

#[test]
fn every_snippet_of_the_page_about_functions_runs() {
    let directory = tempfile::tempdir().unwrap();
    assert!(run_page("functions.md", directory.path()) > 6);
    let energies = std::fs::read_to_string(directory.path().join("energies.jsonl")).unwrap();
    assert_eq!(energies.lines().count(), 3);
}

#[test]
fn every_snippet_of_the_guide_runs() {
    let mut run_blocks = 0;
    for name in [
        "administrators.md",
        "coming-from.md",
        "evaluate.md",
        "environments.md",
        "quick-start.md",
        "researchers.md",
        "troubleshooting.md",
    ] {
        let directory = tempfile::tempdir().unwrap();
        run_blocks += run_page(name, directory.path());
    }
    assert!(run_blocks > 0);
}

/// The five lattice constants of a run, in Å.
fn check(constants: &[(String, f64)]) {
    let mut constants = constants.to_vec();
    constants.sort_by(|one, other| one.0.cmp(&other.0));
    let expected = [
        ("Ag", 4.06),
        ("Al", 3.99),
        ("Au", 4.06),
        ("Cu", 3.59),
        ("Ni", 3.49),
    ];
    assert_eq!(constants.len(), expected.len(), "{constants:?}");
    for ((symbol, a), (name, about)) in constants.iter().zip(expected) {
        assert!(symbol == name && (a - about).abs() < 0.03, "{symbol} {a}");
    }
}

#[test]
fn a_shell_script_relaxes_five_structures() {
    let directory = tempfile::tempdir().unwrap();
    let script = here().join("examples/call/relax.sh");
    let output = run(&mut Command::new(script), directory.path());
    output.expect(0);
    let constants = output.stdout.lines().map(|line| {
        let response: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(response["id"], response["result"]["symbol"], "{response}");
        let symbol = response["id"].as_str().unwrap().to_owned();
        (symbol, response["result"]["a"].as_f64().unwrap())
    });
    check(&constants.collect::<Vec<_>>());
}

#[test]
fn a_foreign_python_relaxes_five_structures() {
    let directory = tempfile::tempdir().unwrap();
    let script = here().join("examples/call/relax_all.py");
    // One without ASE and NumPy.
    let mut command = Command::new(crate::sandbox::python());
    let output = run(command.arg("-S").arg(script), directory.path());
    output.expect(0);
    let constants = output.stdout.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[0].to_owned(), words[3].parse().unwrap())
    });
    let constants: Vec<(String, f64)> = constants.collect();
    let order: Vec<&str> = constants
        .iter()
        .map(|(symbol, _)| symbol.as_str())
        .collect();
    assert_eq!(order, ["Al", "Cu", "Ag", "Au", "Ni"]);
    check(&constants);
}
