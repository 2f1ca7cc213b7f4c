//! What a user sees when something is wrong with a file or a machine: the whole message, and the exit code.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use snapbox::assert_data_eq;
use snapbox::str;

const SOURCE: &str = "# /// script\n# requires-python = \">=3.8\"\n# dependencies = []\n# ///\n\ndef setup(model, device):\n    ...\n";

/// Runs `rootstock` over these files in an empty directory; the cache is its own, so that nothing is left over.
fn rootstock(files: &[(&str, &str)], arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    Command::new(env!("CARGO_BIN_EXE_rootstock"))
        .args(arguments)
        .current_dir(directory.path())
        .env_remove("ROOTSTOCK_ROOT")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_missing_manifest_is_reported_with_the_next_step() {
    let output = rootstock(&[], &["lock"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert_data_eq!(
        stderr(&output),
        str![[r#"
  × there is no manifest `rootstock.toml`
  help: run rootstock in the directory of your `rootstock.toml`, or name the file with `--manifest FILE`


"#]]
    );
}

#[test]
fn broken_toml_has_a_caret() {
    let output = rootstock(
        &[("rootstock.toml", "[rootstock]\nroot = \n")],
        &["lock"],
        &[],
    );
    assert_eq!(output.status.code(), Some(2));
    assert_data_eq!(
        stderr(&output),
        str![[r#"
  × one thing is wrong with the manifest

Error: 
  × this is not TOML
   ╭─[rootstock.toml:2:8]
 1 │ [rootstock]
 2 │ root = 
   ·        ▲
   ·        ╰── string values must be quoted, expected literal string
   ╰────


"#]]
    );
}

#[test]
fn all_errors_are_reported_at_once_with_what_to_write() {
    let manifest = r#"[rootstock]
python-sorce = "system"

[environments.Emt]
source = "environments/emt.py"
python-source = "system"
dependencies = ["ase >>= 3"]

[models.cu]
environment = "emd"
"#;
    let source = SOURCE
        .replace("dependencies = []", "dependencies = [\"numpy=1\"]")
        .replace("def setup", "def setupp");
    let files = [
        ("rootstock.toml", manifest),
        ("environments/emt.py", source.as_str()),
    ];
    let output = rootstock(&files, &["lock"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert_data_eq!(
        stderr(&output),
        str![[r#"
  × 6 things are wrong with the manifest

Error: 
  × unknown key `python-sorce` in `[rootstock]`
   ╭─[rootstock.toml:2:1]
 1 │ [rootstock]
 2 │ python-sorce = "system"
   · ──────┬─────
   ·       ╰── not known here
 3 │ 
   ╰────
  help: did you mean `python-source`?

Error: 
  × `Emt` is not an environment name
   ╭─[rootstock.toml:4:15]
 3 │ 
 4 │ [environments.Emt]
   ·               ─┬─
   ·                ╰── `E` may not be part of it; lower-case letters, digits, `-`, `_` and `.` may
 5 │ source = "environments/emt.py"
   ╰────
  help: write `emt`

Error: 
  × `ase >>= 3` is not a requirement
   ╭─[rootstock.toml:7:22]
 6 │ python-source = "system"
 7 │ dependencies = ["ase >>= 3"]
   ·                      ──┬──
   ·                        ╰── no such comparison operator ">>=", must be one of ~= == != <= >= < > ===
 8 │ 
   ╰────
  help: write it as PEP 508 does: `name>=1.2,<2` or `name[extra]==1.2; python_version < "3.12"`

Error: 
  × there is no environment `emd`
    ╭─[rootstock.toml:10:15]
  9 │ [models.cu]
 10 │ environment = "emd"
    ·               ──┬──
    ·                 ╰── not declared
    ╰────
  help: did you mean `Emt`?

Error: 
  × `environments/emt.py` has no `setup()`
   ╭─[environments/emt.py:1:1]
 1 │ # /// script
   · ──────┬─────
   ·       ╰── in this file
 2 │ # requires-python = ">=3.8"
   ╰────
  help: add `def setup(model, device, **kwargs):` that returns an ASE calculator

Error: 
  × `numpy=1` is not a requirement
   ╭─[environments/emt.py:3:25]
 2 │ # requires-python = ">=3.8"
 3 │ # dependencies = ["numpy=1"]
   ·                         ─┬
   ·                          ╰── no such comparison operator "=", must be one of ~= == != <= >= < > ===
 4 │ # ///
   ╰────
  help: write it as PEP 508 does: `name>=1.2,<2` or `name[extra]==1.2; python_version < "3.12"`


"#]]
    );
}

#[test]
fn a_source_without_metadata_shows_what_to_begin_with() {
    let manifest =
        "[rootstock]\npython-source = \"system\"\n[environments.emt]\nsource = \"emt.py\"\n";
    let missing = rootstock(
        &[
            ("rootstock.toml", manifest),
            ("emt.py", "def setup(model, device): ...\n"),
        ],
        &["lock"],
        &[],
    );
    assert_eq!(missing.status.code(), Some(2));
    assert_data_eq!(
        stderr(&missing),
        str![[r#"
  × one thing is wrong with the manifest

Error: 
  × `emt.py` has no PEP 723 `script` block
   ╭─[emt.py:1:1]
 1 │ def setup(model, device): ...
   · ──────────────┬──────────────
   ·               ╰── expected near the top
   ╰────
  help: begin the file with
          # /// script
          # requires-python = ">=3.11"
          # dependencies = ["ase==3.29.0"]
          # ///


"#]]
    );
    let open = "# /// script\n# dependencies = []\ndef setup(model, device): ...\n";
    let open = rootstock(
        &[("rootstock.toml", manifest), ("emt.py", open)],
        &["lock"],
        &[],
    );
    assert_eq!(open.status.code(), Some(2));
    assert_data_eq!(
        stderr(&open),
        str![[r#"
  × one thing is wrong with the manifest

Error: 
  × the `script` block of `emt.py` is not closed
   ╭─[emt.py:1:1]
 1 │ # /// script
   · ──────┬─────
   ·       ╰── opened here
 2 │ # dependencies = []
   ╰────
  help: close it with a line `# ///` before `def setup(model, device): ...`; every line of it begins with `#
        `


"#]]
    );
}

/// Writes a program. The file is copied by a process of its own: a test beside us that starts a program at this moment
/// would inherit our open file, and Linux refuses to run a file that is open for writing.
fn program(path: &Path, text: &str) -> String {
    let draft = path.with_extension("draft");
    fs::write(&draft, text).unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
    let copied = Command::new("cp")
        .arg("-p")
        .arg(&draft)
        .arg(path)
        .status()
        .unwrap();
    assert!(copied.success());
    path.to_str().unwrap().to_owned()
}

/// A directory for PATH with one program, which says it is a Python of this version.
fn path_with_python(directory: &Path, version: &str) -> String {
    let answer = format!(
        r#"{{"executable":"/usr/bin/python","identity":{{"implementation":"cpython","version":"{version}","soabi":"","platform":"linux-x86_64"}},"glibc":"2.36"}}"#
    );
    program(
        &directory.join("python3"),
        &format!("#!/bin/sh\necho '{answer}'\n"),
    );
    directory.to_str().unwrap().to_owned()
}

/// A program that says it is the uv of a version we support.
fn uv(directory: &Path, script: &str) -> String {
    let version = "if [ \"$1\" = --version ]; then echo 'uv 0.13.9'; exit 0; fi";
    program(
        &directory.join("uv-for-tests"),
        &format!("#!/bin/sh\n{version}\n{script}\n"),
    )
}

#[test]
fn no_fitting_interpreter_lists_those_that_were_found() {
    let manifest =
        "[rootstock]\npython-source = \"system\"\n[environments.emt]\nsource = \"emt.py\"\n";
    let source = SOURCE.replace(">=3.8", ">=3.14");
    let tools = tempfile::tempdir().unwrap();
    let (path, uv) = (
        path_with_python(tools.path(), "3.9.1"),
        uv(tools.path(), "exit 1"),
    );
    let files = [("rootstock.toml", manifest), ("emt.py", source.as_str())];
    let output = rootstock(
        &files,
        &["lock", "--uv", &uv],
        &[("PATH", &format!("{path}:/bin"))],
    );
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(
        message.contains(
            "no Python on PATH satisfies `requires-python = \">=3.14\"` of environment `emt`"
        ),
        "{message}"
    );
    assert!(
        message.contains("found cpython 3.9.1 (linux-x86_64) at /usr/bin/python"),
        "{message}"
    );
}

#[test]
fn an_unsupported_uv_is_refused_by_name() {
    let manifest = "[rootstock]\npython-source = \"system\"\n[environments.emt]\nsource = \"emt.py\"\npython = \"3.11\"\n";
    let tools = tempfile::tempdir().unwrap();
    let old = program(
        &tools.path().join("uv-old"),
        "#!/bin/sh
echo 'uv 0.4.1'
",
    );
    let output = rootstock(
        &[("rootstock.toml", manifest), ("emt.py", SOURCE)],
        &["lock", "--uv", &old],
        &[],
    );
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(
        message.contains("cannot be used: its version is 0.4.1"),
        "{message}"
    );
    assert!(message.contains("name a uv >=0.13, <0.14"), "{message}");
}

#[test]
fn contradicting_requirements_carry_the_resolver_s_explanation() {
    let manifest = "[rootstock]\npython-source = \"system\"\n[environments.emt]\nsource = \"emt.py\"\npython = \"3.11\"\n";
    let tools = tempfile::tempdir().unwrap();
    let script = "printf 'error: No solution found when resolving dependencies\\n  cause: Because a needs b.\\n' >&2; exit 1";
    let uv = uv(tools.path(), script);
    let output = rootstock(
        &[("rootstock.toml", manifest), ("emt.py", SOURCE)],
        &["lock", "--uv", &uv],
        &[],
    );
    assert_eq!(output.status.code(), Some(1));
    assert_data_eq!(
        stderr(&output),
        str![[r#"
resolving emt …
  × one environment could not be locked

Error: 
  × environment `emt` has no solution for linux-x86_64 (glibc 2.28) with Python 3.11:
  │ Because a needs b.
  help: change its requirements, in `emt.py` or in the manifest, so that one version of each package fits
        all


"#]]
    );
}

#[test]
fn a_proxy_that_is_not_supported_is_named() {
    let manifest = "[rootstock]\nroot = \"root\"\n[environments.one]\nsource = \"one.py\"\npython = \"3.11\"\n";
    let source = "# /// script\n# dependencies = []\n# ///\ndef setup(device):\n    pass\n";
    for (variable, value) in [
        ("ALL_PROXY", "socks5h://me:s3cr3t@127.0.0.1:9"),
        ("all_proxy", "socks5://127.0.0.1:9"),
        ("HTTPS_PROXY", "socks4://127.0.0.1:9"),
        ("http_proxy", "socks4a://127.0.0.1:9"),
        ("https_proxy", "gopher://127.0.0.1:9"),
    ] {
        let files = [("rootstock.toml", manifest), ("one.py", source)];
        let output = rootstock(&files, &["lock"], &[(variable, value)]);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{value}: {message}");
        let words = message.split_whitespace().filter(|word| *word != "│");
        let message = words.collect::<Vec<_>>().join(" ");
        let expected =
            format!("the value of the variable `{variable}` is not the address of an HTTP proxy");
        assert!(message.contains(&expected), "{message}");
        assert!(
            message.contains("SOCKS proxies are not supported") && !message.contains("s3cr3t"),
            "{message}"
        );
    }
}

#[test]
fn an_empty_variable_of_ours_counts_as_unset() {
    let manifest = "[rootstock]\nroot = \"root\"\n";
    let empty = [
        ("ROOTSTOCK_ROOT", ""),
        ("ROOTSTOCK_UV", ""),
        ("ROOTSTOCK_PYTHON_MIRROR", ""),
        ("NO_COLOR", ""),
    ];
    for arguments in [
        &["lock"][..],
        &["sync"],
        &["status"],
        &["gc"],
        &["doctor", "--json"],
        &["run", "one", "--", "true"],
        &["worker", "one", "--unix", "x", "--species-from-server"],
    ] {
        let outputs = [&[][..], &empty].map(|variables| {
            let output = rootstock(&[("rootstock.toml", manifest)], arguments, variables);
            (output.status.code(), stderr(&output))
        });
        assert_eq!(outputs[0].0, outputs[1].0, "{arguments:?} {outputs:?}");
        assert!(!outputs[1].1.contains("value is required"), "{outputs:?}");
    }
    // An empty argument is a mistake.
    let output = rootstock(
        &[("rootstock.toml", manifest)],
        &["status", "--root", ""],
        &[],
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn suggestions_name_only_what_a_person_would_type() {
    for word in ["interupted", "interrupted", "interrupt"] {
        let output = rootstock(&[], &[word], &[]);
        assert_eq!(output.status.code(), Some(2), "{word}");
        assert!(stderr(&output).contains("unrecognized subcommand"));
        assert!(!stderr(&output).contains("similar"), "{}", stderr(&output));
    }
    let output = rootstock(&[], &["worke"], &[]);
    assert!(stderr(&output).contains("'worker'"), "{}", stderr(&output));
}

#[test]
fn a_misspelt_path_of_the_manifest_gets_a_suggestion() {
    let files = |source: &str, dependency: &str| {
        let manifest = format!(
            "[environments.mace]\nsource = \"{source}\"\npython = \"3.11\"\ndependencies = [\"demo @ {dependency}\"]\n"
        );
        let files = [
            ("rootstock.toml", manifest.as_str()),
            ("environments/mace.py", SOURCE),
            ("environments/chgnet.py", SOURCE),
            ("libs/demo/pyproject.toml", ""),
        ];
        stderr(&rootstock(&files, &["lock", "--check"], &[]))
    };
    for (source, words) in [
        (
            "environments/mcae.py",
            "did you mean `environments/mace.py`?",
        ),
        (
            "environment/mace.py",
            "did you mean `environments/mace.py`?",
        ),
        (
            "./environments/chgnet.yp",
            "did you mean `./environments/chgnet.py`?",
        ),
        (
            "environments/zzz",
            "write the file, with its `setup()`, or correct the path",
        ),
    ] {
        let message = files(source, "./libs/demo");
        assert!(message.contains(words), "{source}: {message}");
    }
    for dependency in ["./libs/dmeo", "./lib/demo"] {
        let message = files("environments/mace.py", dependency);
        assert!(message.contains("did you mean `./libs/demo`?"), "{message}");
    }
}

#[test]
fn long_lines_and_many_complaints_can_be_drawn() {
    let long = "y".repeat(70_000);
    let spaces = " ".repeat(70_000);
    for (manifest, words) in [
        (
            format!("[rootstock]\nroot = \"r\"\nx = \"{long}\", z = 1\n"),
            vec!["rootstock.toml:3:", "(column 70007)", "this is not TOML"],
        ),
        (
            format!("[environments]\na = {{ {spaces} sourcee = \"é\" }}\n"),
            vec!["rootstock.toml:2:", "did you mean `source`?"],
        ),
        (
            format!("# {long}\nrout = 1\n# {long}\n"),
            vec!["rootstock.toml:2:", "rout"],
        ),
        (
            format!("rout = \"{long}\"\n"),
            vec!["rootstock.toml:1:", "(column 1)"],
        ),
        (
            (0..100_000).fold("[environments.a]\n".to_owned(), |all, n| {
                all + &format!("k{n} = 1\n")
            }),
            vec![
                "things are wrong with the manifest; the first 100 are",
                "k5",
            ],
        ),
    ] {
        let output = rootstock(&[("rootstock.toml", &manifest)], &["lock", "--check"], &[]);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.len() < 100_000, "{}", message.len());
        for words in words {
            assert!(message.contains(words), "{words}: {message}");
        }
    }
    let lock = format!("version = 1\nx = \"{long}\", z = 1\n");
    let files = [
        ("rootstock.toml", "[rootstock]\nroot = \"r\"\n"),
        ("rootstock.lock", lock.as_str()),
    ];
    let output = rootstock(&files, &["lock", "--check"], &[]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("rootstock.lock:2:"));
}
