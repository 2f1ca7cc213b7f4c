//! `rootstock lock --check` sees every difference between manifest and lock, names it, and starts nothing.
//!
//! The subject is this repository's own manifest and lock, copied and then changed.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// A copy of the repository's manifest and lock, and of the files that they name.
struct Copy(tempfile::TempDir);

impl Copy {
    fn new() -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        for directory in ["environments", "references"] {
            fs::create_dir(copy.path(directory)).unwrap();
            for entry in fs::read_dir(repository.join(directory)).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    let to = copy.path(directory).join(entry.file_name());
                    fs::copy(entry.path(), to).unwrap();
                }
            }
        }
        for name in ["rootstock.toml", "rootstock.lock"] {
            fs::copy(repository.join(name), copy.path(name)).unwrap();
        }
        copy
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// Replaces one text in a file; it must be there.
    fn edit(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(from), "`{from}` is not in {file}");
        fs::write(self.path(file), text.replacen(from, to, 1)).unwrap();
    }

    fn check(&self, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_rootstock"))
            .args(["lock", "--check"])
            .args(more)
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }

    /// The findings, as `code subject`.
    fn findings(&self) -> Vec<String> {
        let output = self.check(&["--json"]);
        assert_eq!(
            output.status.code(),
            Some(3),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let finding = |f: &serde_json::Value| {
            format!(
                "{} {}",
                f["code"].as_str().unwrap(),
                f["subject"].as_str().unwrap()
            )
        };
        answer["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(finding)
            .collect()
    }
}

#[test]
fn the_committed_lock_answers_the_committed_manifest() {
    let output = Copy::new().check(&[]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "`rootstock.lock` answers `rootstock.toml`\n"
    );
}

#[test]
fn every_change_of_the_manifest_is_named_with_its_cause() {
    let emt = "source = \"environments/emt.py\"";
    let cases: &[(&str, &str, &str, &[&str])] = &[
        (
            "rootstock.toml",
            emt,
            &format!("{emt}\ndependencies = [\"numpy\"]"),
            &["requirement-changed environment emt"],
        ),
        (
            "environments/chgnet.py",
            ", \"chgnet==0.4.2\"",
            "",
            &[
                "source-changed environment chgnet",
                "requirement-changed environment chgnet",
            ],
        ),
        (
            "environments/emt.py",
            "ase==3.29.0",
            "ase>3.29.0",
            &[
                "source-changed environment emt",
                "requirement-changed environment emt",
                "version-violates-manifest environment emt",
            ],
        ),
        (
            "rootstock.toml",
            &format!("{emt}\npython = \"3.11\""),
            &format!("{emt}\npython = \"3.12\""),
            &[
                "python-changed environment emt",
                "version-violates-manifest environment emt",
            ],
        ),
        (
            "rootstock.toml",
            "[environments.nep]",
            "[environments.other]",
            &[
                "environment-added environment other",
                "environment-removed environment nep",
            ],
        ),
        (
            "rootstock.toml",
            "[models.gfn1-xtb]",
            "[models.gfn-one]",
            &["model-added model gfn-one", "model-removed model gfn1-xtb"],
        ),
        (
            "rootstock.toml",
            "argument = \"GFN1-xTB\"",
            "argument = \"GFN0-xTB\"",
            &["model-changed model gfn1-xtb"],
        ),
        (
            "rootstock.toml",
            "modal = \"PBE\"",
            "modal = \"R2SCAN\"",
            &["model-changed model 7net-mf-0-pbe"],
        ),
        (
            "rootstock.toml",
            "OMP_NUM_THREADS = \"1\"",
            "OMP_NUM_THREADS = \"2\"",
            &["variables-changed environment tblite"],
        ),
        (
            "environments/emt.py",
            "fcc metals",
            "Fcc metals",
            &["source-changed environment emt"],
        ),
    ];
    for (file, from, to, expected) in cases {
        let copy = Copy::new();
        copy.edit(file, from, to);
        assert_eq!(copy.findings(), *expected, "{file}: {from} -> {to}");
    }
}

#[test]
fn every_edit_of_the_lock_is_named_with_its_environment() {
    // The reference stands in the lists of all environments; its entry in `[files]` comes after them.
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("rootstock.lock")).unwrap();
    let entry = text
        .lines()
        .find(|line| line.starts_with("\"tblite "))
        .unwrap();
    let sha256 = entry
        .split("sha256 = \"")
        .nth(1)
        .unwrap()
        .trim_end_matches("\" }");
    let flipped = if sha256.ends_with('0') { "1" } else { "0" };
    let forged = entry.replace(sha256, &format!("{}{flipped}", &sha256[..63]));

    let copy = Copy::new();
    copy.edit("rootstock.lock", entry, &forged);
    assert_eq!(
        copy.findings(),
        ["lock-edited environment tblite"],
        "a sha256"
    );

    let copy = Copy::new();
    copy.edit("rootstock.lock", "\"tblite 0.8.0 ", "\"tblite 0.8.1 ");
    assert_eq!(
        copy.findings(),
        ["lock-edited environment tblite"],
        "a version"
    );

    let copy = Copy::new();
    let tblite = text.split("name = \"tblite\"").nth(1).unwrap();
    let digest = tblite
        .split("\ndigest = \"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    copy.edit("rootstock.lock", digest, &"0".repeat(64));
    assert_eq!(
        copy.findings(),
        ["lock-edited environment tblite"],
        "a digest"
    );
}

#[test]
fn order_comments_and_spelling_are_no_drift() {
    let copy = Copy::new();
    let text = fs::read_to_string(copy.path("rootstock.toml")).unwrap();
    let (head, tail) = text.split_once("[environments.emt]").unwrap();
    let (emt, rest) = tail.split_once("[environments.tblite]").unwrap();
    let reordered =
        format!("{head}\n# moved\n[environments.tblite]{rest}\n[environments.emt]   # last{emt}");
    fs::write(
        copy.path("rootstock.toml"),
        reordered.replace("\"nvidia-ml-py3\"", "\"NVIDIA_ml.py3\""),
    )
    .unwrap();
    let output = copy.check(&[]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_lock_that_is_missing_is_drift_and_one_that_is_no_lock_is_unreadable() {
    let copy = Copy::new();
    fs::remove_file(copy.path("rootstock.lock")).unwrap();
    assert_eq!(copy.findings(), ["lock-missing lock"]);
    let conflict = "<<<<<<< HEAD\nversion = 1\n=======\nversion = 1\n>>>>>>> other\n";
    for (text, message) in [
        (conflict, "cannot be read"),
        ("version = 2\n", "format version 2"),
        ("", "cannot be read"),
    ] {
        fs::write(copy.path("rootstock.lock"), text).unwrap();
        let output = copy.check(&[]);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(message),
            "{text}"
        );
    }
}

/// What is wrong with a damaged lock, for exit codes that say so; anything else fails the test.
fn reason(copy: &Copy, damage: &str) -> String {
    let output = copy.check(&[]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        matches!(output.status.code(), Some(2 | 3)),
        "{damage}: exit {:?}: {message}",
        output.status.code()
    );
    assert!(
        message.contains("rootstock.lock") && !message.contains("panicked"),
        "{damage}: {message}"
    );
    message
}

/// 300 places and bytes by a generator with a fixed seed (Knuth's MMIX constants), the same in every run.
#[test]
fn no_damage_of_a_single_byte_goes_unseen() {
    let copy = Copy::new();
    let whole = fs::read(copy.path("rootstock.lock")).unwrap();
    let mut state: u64 = 20_261_122;
    let mut draw = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for _ in 0..300 {
        let at = draw(whole.len());
        // Never the byte that stands there.
        let byte = whole[at] ^ u8::try_from(1 + draw(255)).unwrap();
        let mut damaged = whole.clone();
        damaged[at] = byte;
        fs::write(copy.path("rootstock.lock"), damaged).unwrap();
        reason(&copy, &format!("byte {at} is {byte:#04x}"));
    }
}

#[test]
fn a_lock_that_was_cut_off_or_merged_badly_is_never_taken_for_whole() {
    let copy = Copy::new();
    let whole = fs::read_to_string(copy.path("rootstock.lock")).unwrap();
    for percent in 0..100 {
        let end = whole.len() * percent / 100;
        fs::write(copy.path("rootstock.lock"), &whole[..end]).unwrap();
        reason(&copy, &format!("cut off after {end} bytes"));
    }
    // The markers that git leaves, around an environment's digest.
    let line = whole.lines().find(|l| l.starts_with("digest = ")).unwrap();
    let conflict = format!("<<<<<<< HEAD\n{line}\n=======\n{line}\n>>>>>>> other");
    fs::write(
        copy.path("rootstock.lock"),
        whole.replacen(line, &conflict, 1),
    )
    .unwrap();
    let output = reason(&copy, "conflict");
    assert!(output.contains("<<<<<<< HEAD"), "{output}");
}

#[test]
fn a_difference_becomes_an_annotation_where_ci_shows_them() {
    let copy = Copy::new();
    copy.edit("environments/emt.py", "fcc metals", "Fcc metals");
    let output = copy.check(&["--github"]);
    assert_eq!(output.status.code(), Some(3));
    let expected = "::error file=environments/emt.py,line=1,title=rootstock source-changed::environment emt: `environments/emt.py` has changed\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

/// Traced where the machine has strace; elsewhere the absence of PATH and HOME must be enough.
#[test]
fn the_check_starts_no_program_and_opens_no_socket() {
    let copy = Copy::new();
    let log = copy.path("trace");
    let traced = Command::new("strace")
        .args(["-f", "-e", "trace=execve,socket,connect,openat", "-o"])
        .arg(&log)
        .arg(env!("CARGO_BIN_EXE_rootstock"))
        .args(["lock", "--check"])
        .current_dir(copy.0.path())
        .output();
    if let Ok(output) = traced {
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let trace = fs::read_to_string(&log).unwrap();
        assert_eq!(trace.matches("execve(").count(), 1, "only itself:\n{trace}");
        assert!(
            !trace.contains("socket(") && !trace.contains("connect("),
            "{trace}"
        );
        assert!(
            !trace.contains("O_WRONLY") && !trace.contains("O_RDWR|O_CREAT"),
            "nothing is written:\n{trace}"
        );
    }
    let bare = Command::new(env!("CARGO_BIN_EXE_rootstock"))
        .args(["lock", "--check"])
        .env_clear()
        .current_dir(copy.0.path())
        .output()
        .unwrap();
    assert_eq!(
        bare.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&bare.stderr)
    );
}

/// A lock by another author, with digests that hold, whose question is no list of requirements.
#[test]
fn a_forged_question_with_a_name_that_does_not_end_is_drift() {
    let copy = Copy::new();
    let lock = fs::read_to_string(copy.path("rootstock.lock")).unwrap();
    let start = lock.find("name = \"emt\"").unwrap();
    let line = |key: &str| {
        let line = lock[start..].lines().find(|line| line.starts_with(key));
        line.unwrap().to_owned()
    };
    let (inputs, dependency) = (line("inputs = "), line("dependency = "));
    let forged = "ase.==3.29.0";
    let mut asked = format!(
        "rootstock question 1\n{}\n",
        line("resolver = ").replace(" = ", " ")
    );
    let question = [
        format!("dependency {forged}"),
        line("exclude-newer = "),
        line("python = "),
        line("python-source = "),
        line("requires-python = "),
    ];
    for entry in question {
        asked += &(entry.replacen(" = ", " ", 1) + "\n");
    }
    let asked = asked.replace(['"', '[', ']'], "");
    let (before, emt) = lock.split_at(start);
    let emt = emt
        .replacen(
            &inputs,
            &format!("inputs = \"{}\"", rootstock::digest::Digest::of(&asked)),
            1,
        )
        .replacen(&dependency, &format!("dependency = [\"{forged}\"]"), 1);
    fs::write(copy.path("rootstock.lock"), format!("{before}{emt}")).unwrap();
    let found = copy.findings();
    assert_eq!(found, ["requirement-changed environment emt"; 2]);
}
