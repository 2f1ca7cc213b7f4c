//! Which module may use which, and what is absent where: the architecture as a table and a test.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every module with those it may use, in reading order: a module uses only what stands above it.
const LAYERS: &[(&str, &[&str])] = &[
    ("name", &[]),
    ("digest", &[]),
    ("target", &[]),
    ("access", &[]),
    ("report", &[]),
    // Crates of their own, in `crates/`; the compiler sees to it that they use nothing of ours.
    ("strict_json", &[]),
    ("ipi_client", &["strict_json"]),
    ("about", &["ipi_client"]),
    ("numbers", &["digest", "about", "ipi_client"]),
    ("percent", &[]),
    ("files", &["report"]),
    ("process", &["files"]),
    ("python", &["strict_json", "digest", "files", "process"]),
    ("fetch", &["digest", "percent", "files", "process"]),
    ("hub", &["strict_json", "digest", "percent", "fetch"]),
    ("archive", &["report", "files"]),
    (
        "project",
        &["strict_json", "digest", "files", "process", "archive"],
    ),
    (
        "manifest",
        &[
            "name", "digest", "access", "about", "report", "files", "fetch", "hub", "target",
            "project",
        ],
    ),
    (
        "declare",
        &["name", "report", "files", "fetch", "target", "manifest"],
    ),
    (
        "lock",
        &[
            "numbers", "name", "digest", "about", "percent", "report", "files", "hub", "target",
            "manifest",
        ],
    ),
    ("export", &["digest", "percent", "lock"]),
    (
        "uv",
        &[
            "strict_json",
            "name",
            "digest",
            "percent",
            "report",
            "files",
            "lock",
            "manifest",
            "process",
            "python",
            "target",
        ],
    ),
    (
        "resolve",
        &[
            "strict_json",
            "name",
            "digest",
            "report",
            "files",
            "fetch",
            "hub",
            "lock",
            "manifest",
            "process",
            "project",
            "python",
            "target",
            "uv",
        ],
    ),
    (
        "store",
        &[
            "numbers",
            "strict_json",
            "name",
            "digest",
            "access",
            "about",
            "files",
            "python",
        ],
    ),
    (
        "wheel",
        &[
            "name", "digest", "archive", "files", "lock", "python", "store",
        ],
    ),
    (
        "plan",
        &[
            "numbers", "name", "digest", "access", "about", "hub", "lock", "python", "store",
        ],
    ),
    (
        "build",
        &[
            "strict_json",
            "name",
            "digest",
            "archive",
            "report",
            "files",
            "fetch",
            "hub",
            "lock",
            "plan",
            "process",
            "project",
            "python",
            "store",
            "target",
            "uv",
            "wheel",
        ],
    ),
    ("gc", &["name", "digest", "report", "files", "store"]),
    (
        "runtime",
        &[
            "name", "about", "files", "manifest", "process", "store", "target",
        ],
    ),
    ("pool", &["files", "process", "runtime", "store"]),
    (
        "worker",
        &[
            "strict_json",
            "ipi_client",
            "report",
            "files",
            "process",
            "runtime",
            "store",
            "pool",
        ],
    ),
    (
        "call",
        &[
            "strict_json",
            "name",
            "digest",
            "target",
            "report",
            "files",
            "process",
            "python",
            "manifest",
            "store",
            "runtime",
            "pool",
        ],
    ),
    (
        "evaluate",
        &[
            "strict_json",
            "digest",
            "report",
            "files",
            "process",
            "store",
            "runtime",
            "pool",
            "worker",
        ],
    ),
    (
        "doctor",
        &[
            "name", "digest", "target", "access", "report", "files", "process", "store", "runtime",
            "worker",
        ],
    ),
    (
        "models",
        &[
            "manifest", "about", "numbers", "digest", "name", "report", "files", "lock", "store",
            "doctor",
        ],
    ),
    (
        "overlay",
        &[
            "strict_json",
            "name",
            "digest",
            "target",
            "report",
            "files",
            "process",
            "python",
            "store",
            "doctor",
        ],
    ),
    (
        "tree",
        &[
            "name", "target", "report", "files", "manifest", "lock", "overlay",
        ],
    ),
    (
        "probe",
        &[
            "about",
            "numbers",
            "strict_json",
            "ipi_client",
            "report",
            "process",
            "runtime",
            "store",
            "worker",
        ],
    ),
    (
        "image",
        &[
            "strict_json",
            "name",
            "digest",
            "access",
            "report",
            "files",
            "process",
            "python",
            "hub",
            "archive",
            "store",
            "build",
            "runtime",
        ],
    ),
    (
        "stage",
        &[
            "strict_json",
            "name",
            "digest",
            "target",
            "access",
            "report",
            "files",
            "process",
            "python",
            "store",
            "build",
            "image",
        ],
    ),
    (
        "status",
        &[
            "about", "name", "digest", "report", "files", "lock", "manifest", "plan", "python",
            "store",
        ],
    ),
    (
        "sync",
        &[
            "name", "digest", "report", "files", "process", "fetch", "archive", "project",
            "manifest", "lock", "store", "plan", "build", "runtime", "worker", "doctor", "python",
        ],
    ),
    (
        "foreign",
        &[
            "name", "report", "files", "process", "python", "target", "manifest", "lock", "store",
            "plan", "build", "runtime", "pool", "overlay", "sync",
        ],
    ),
    (
        "project_env",
        &[
            "call", "digest", "files", "lock", "manifest", "name", "plan", "python", "report",
            "resolve", "runtime", "store", "sync", "build",
        ],
    ),
    (
        "cli",
        &[
            "models",
            "about",
            "numbers",
            "name",
            "digest",
            "access",
            "percent",
            "report",
            "strict_json",
            "ipi_client",
            "files",
            "fetch",
            "foreign",
            "project_env",
            "hub",
            "declare",
            "lock",
            "manifest",
            "overlay",
            "plan",
            "process",
            "python",
            "resolve",
            "store",
            "target",
            "uv",
            "build",
            "doctor",
            "gc",
            "runtime",
            "pool",
            "worker",
            "call",
            "evaluate",
            "probe",
            "image",
            "stage",
            "status",
            "tree",
            "sync",
            "export",
        ],
    ),
    // Of tests and of the targets in `fuzz/`.
    (
        "fuzzing",
        &[
            "archive",
            "files",
            "project",
            "manifest",
            "wheel",
            "lock",
            "export",
            "uv",
            "build",
            "ipi_client",
        ],
    ),
];

/// What only some modules may name, and why it is asked.
const ONLY: &[(&str, &[&str], &str)] = &[
    (
        "std::fs",
        &["files"],
        "every file operation says what was tried on which path",
    ),
    (
        "std::process::Command",
        &["process"],
        "what a program sees is what the code says",
    ),
    ("ureq", &["fetch"], "one place reaches the network"),
    (
        "env::var",
        &["cli"],
        "nothing below the border depends on how it was started",
    ),
    (
        "env::temp_dir",
        &["cli"],
        "nothing below the border depends on how it was started",
    ),
    (
        "env::current_dir",
        &["cli"],
        "nothing below the border depends on how it was started",
    ),
    (
        "print!",
        &[],
        "it panics where the reader has gone: `cli::show` prints",
    ),
    (
        "println!",
        &[],
        "it panics where the reader has gone: `cli::show` prints",
    ),
    ("clap::", &["cli"], "arguments end at the border"),
    ("process::exit", &[], "every command returns its exit code"),
    (
        "scope.spawn(",
        &["process"],
        "it panics where no thread can be started: `process::threads` says so",
    ),
    (
        ".parse::<Requirement",
        &["name"],
        "it panics at some texts: `name::requirement` does not",
    ),
    (
        "MarkerTree::from_str",
        &["name"],
        "it panics at some texts: `name::marker` does not",
    ),
    (
        "serde_json::from_",
        &["strict_json", "ipi_client", "call"],
        "it keeps the last value of a repeated key: `strict_json` refuses it",
    ),
    ("static mut", &[], "there is no global state"),
    ("\"envs\"", &["store"], ROOT),
    ("join(\"generations\")", &["store"], ROOT),
    ("join(\"archives\")", &["store", "resolve"], ROOT),
    ("join(\"wheels-", &["store"], ROOT),
    ("join(\"pythons\")", &["store"], ROOT),
    ("\".making-", &["store"], ROOT),
    ("tokio", &[], "there is no async runtime"),
    ("SystemTime::now", &[], "no clock takes part in a decision"),
];

const ROOT: &str = "only `store` knows what lies where in a root";

/// A source file without its tests. Its module is the first directory below `src`, or a crate in `crates`.
struct Source {
    path: String,
    module: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pending = vec![root.join("src")];
    pending.extend(members().iter().map(|member| root.join(member).join("src")));
    let mut found = Vec::new();
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "tests" {
                    pending.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "rs") && name != "tests.rs" {
                found.push(source(root, &path));
            }
        }
    }
    assert!(found.len() > 30, "the sources were not found");
    found
}

/// The workspace's crates beside the program, as they are named in Cargo.toml.
fn members() -> Vec<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    let mut members: Vec<String> = fs::read_dir(crates)
        .unwrap()
        .map(|entry| format!("crates/{}", entry.unwrap().file_name().to_string_lossy()))
        .collect();
    members.sort();
    members
}

fn source(root: &Path, path: &Path) -> Source {
    let below = path.strip_prefix(root).unwrap();
    let mut components = below.iter().map(|name| name.to_string_lossy());
    let (top, first) = (components.next().unwrap(), components.next().unwrap());
    let text = fs::read_to_string(path).unwrap();
    // Tests stand at the end of a file; they may do what they like.
    let text = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap()
        .to_owned();
    Source {
        path: below.display().to_string(),
        module: match &*top {
            "crates" => first.replace('-', "_"),
            _ => first.trim_end_matches(".rs").to_owned(),
        },
        text,
    }
}

/// The lines that are code.
fn code(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    source
        .text
        .lines()
        .enumerate()
        .map(|(n, line)| (n + 1, line))
        .filter(|(_, line)| !line.trim().starts_with("//"))
}

/// Every module that a line names after `crate::`, and every crate of ours.
fn named(line: &str) -> Vec<String> {
    let mut names: Vec<String> = members()
        .iter()
        .map(|member| member["crates/".len()..].replace('-', "_"))
        .filter(|name| line.contains(&format!("{name}::")))
        .collect();
    for rest in line.split("crate::").skip(1) {
        let group = rest
            .strip_prefix('{')
            .map(|group| group.split('}').next().unwrap_or(group));
        for word in group.map_or_else(|| vec![rest], |group| group.split(',').collect()) {
            let name: String = word
                .trim()
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                .collect();
            names.push(name);
        }
    }
    names
}

#[test]
fn the_table_is_a_ladder() {
    let mut above: Vec<&str> = Vec::new();
    for (module, uses) in LAYERS {
        for used in *uses {
            assert!(
                above.contains(used),
                "{module} uses {used}, which does not stand above it"
            );
        }
        above.push(module);
    }
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let table: BTreeMap<_, _> = LAYERS.iter().copied().collect();
    let mut wrong = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| !matches!(source.module.as_str(), "lib" | "main"))
    {
        let allowed = table.get(source.module.as_str());
        let allowed = allowed
            .unwrap_or_else(|| panic!("{} is in no layer: add it to the table", source.path));
        for (number, line) in code(source) {
            for name in named(line) {
                if table.contains_key(name.as_str())
                    && name != source.module
                    && !allowed.contains(&name.as_str())
                {
                    wrong.push(format!(
                        "{}:{number}: {} may not use {name}",
                        source.path, source.module
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_absent_is_absent() {
    let mut wrong = Vec::new();
    for source in &sources() {
        for (word, modules, reason) in ONLY {
            if modules.contains(&source.module.as_str()) {
                continue;
            }
            for (number, line) in code(source).filter(|(_, line)| line.contains(word)) {
                wrong.push(format!(
                    "{}:{number}: `{word}` ({reason}): {}",
                    source.path,
                    line.trim()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_states_what_it_is() {
    for source in &sources() {
        assert!(
            source.text.starts_with("//! "),
            "{} does not begin with `//!`",
            source.path
        );
        let name = source.path.rsplit('/').next().unwrap();
        assert!(
            !["util.rs", "utils.rs", "common.rs", "error.rs", "prelude.rs"].contains(&name),
            "{}",
            source.path
        );
    }
}

#[test]
fn files_and_functions_are_short() {
    let mut long = Vec::new();
    for source in &sources() {
        let lines: Vec<&str> = source.text.lines().collect();
        if lines.len() > 450 {
            long.push(format!("{}: {} lines", source.path, lines.len()));
        }
        for (start, line) in lines.iter().enumerate() {
            let indent = &line[..line.len() - line.trim_start().len()];
            let is_function = line.trim_start().split('(').next().unwrap().contains("fn ")
                && !line.ends_with(';');
            let end = format!("{indent}}}");
            let rest = lines[start..].iter().position(|line| *line == end);
            if let (true, false, Some(more @ 70..)) = (is_function, line.contains("//"), rest) {
                long.push(format!("{}:{}: {} lines", source.path, start + 1, more + 1));
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

/// Words that this project once had meanings of its own for, and where one of them is meant literally.
const WORDS: &[(&str, &[&str])] = &[
    ("told", &[]),
    ("tells", &[]),
    ("said", &[]),
    ("heard", &[]),
    ("hears", &[]),
    ("somebody", &[]),
    ("anybody", &[]),
    ("whoever", &[]),
    ("mend", &[]),
    ("mends", &[]),
    ("mended", &[]),
    ("foretell", &[]),
    ("foresee", &[]),
    ("standing", &[]),
    ("excuse", &[]),
    ("wish", &[]),
    ("wishes", &[]),
    // The name of a user, of a socket that does not exist, and of a host.
    ("nobody", &["SECURITY.md", "tests/"]),
    // The first line of a file on disk.
    ("shelf", &["src/store/wheels"]),
];

#[test]
fn the_words_are_those_of_the_field() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pending: Vec<PathBuf> = [
        "src",
        "crates",
        "python",
        "tests",
        "benchmarks",
        "examples",
        "environments",
        "docs",
    ]
    .map(|name| root.join(name))
    .into();
    let mut wrong = Vec::new();
    let documents = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    pending.extend(documents.filter(|path| {
        path.extension().is_some_and(|e| e == "md") && !path.ends_with("THIRD-PARTY.md")
    }));
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        let below = path.strip_prefix(root).unwrap().display().to_string();
        let is_text = ["rs", "py", "md", "toml"]
            .iter()
            .any(|kind| below.ends_with(&format!(".{kind}")));
        if !is_text || below == "tests/it/tidy.rs" {
            continue;
        }
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            let words = line.split(|c: char| !c.is_alphanumeric());
            for word in words.map(str::to_lowercase) {
                let known = WORDS.iter().find(|(known, _)| *known == word);
                if known
                    .is_some_and(|(_, meant)| !meant.iter().any(|place| below.starts_with(place)))
                {
                    wrong.push(format!("{below}:{}: {word}: {}", number + 1, line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// `cargo test` in the root of a workspace tests its default members.
#[test]
fn the_commands_of_the_readme_cover_all_crates() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest: toml::Table = fs::read_to_string(manifest).unwrap().parse().unwrap();
    let default: Vec<&str> = manifest["workspace"]["default-members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member.as_str().unwrap())
        .collect();
    let members = members();
    let mut expected = vec!["."];
    expected.extend(members.iter().map(String::as_str));
    assert_eq!(default, expected);
}

#[test]
fn plan_does_no_input_or_output() {
    for source in sources().iter().filter(|source| source.module == "plan") {
        for (number, line) in code(source) {
            let io = [
                "files::",
                "std::io",
                "std::env",
                "process::",
                "python::on_path",
            ];
            assert!(
                !io.iter().any(|word| line.contains(word)),
                "{}:{number}: {line}",
                source.path
            );
        }
    }
}

/// How many pairs of files use each other. It may only fall; the aim is none.
const CYCLES: usize = 56;

#[test]
fn no_more_files_use_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = std::process::Command::new("python3.11")
        .arg(root.join("tests/python/cycles.py"))
        .arg(root.join("src"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let pairs = String::from_utf8(output.stdout).unwrap();
    let count = pairs.lines().count();
    assert!(count > 0 || CYCLES == 0, "the sources were not found");
    assert!(
        count <= CYCLES,
        "{count} pairs of files use each other, and {CYCLES} did: move what both need into a file of its own\n{pairs}"
    );
}
