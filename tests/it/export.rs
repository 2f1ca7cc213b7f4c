//! `rootstock export`: what other tools are given, they accept, and it gives what the lock says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use snapbox::str;

use crate::sandbox::{Index, Output, Sandbox, Wheel};

/// An environment with packages of two indexes and a model with weights, locked.
fn project() -> (Sandbox, Index) {
    let sandbox = Sandbox::new(&[("one", &["first", "second"])]);
    let own = Index::start();
    sandbox
        .index
        .add(&Wheel::simple("first", "1.0").requires("shared"));
    sandbox.index.add(&Wheel::simple("shared", "1.0"));
    own.add(&Wheel::simple("second", "2.0"));
    let manifest = sandbox.read("rootstock.toml");
    let sha256 = "1".repeat(64);
    sandbox.write(
        "rootstock.toml",
        &format!(
            "{manifest}indexes = {{ second = \"own\" }}\n\n[indexes.own]\nurl = \"{}\"\n\n[models.m]\nenvironment = \"one\"\n\
             weights = [{{ url = \"https://example.com/w\", path = \"m/w.bin\", sha256 = \"{sha256}\" }}]\n",
            own.url()
        ),
    );
    sandbox.lock();
    // What is newer now is not what is locked.
    sandbox.index.add(&Wheel::simple("shared", "9.0"));
    (sandbox, own)
}

/// A virtual environment with these packages of the package index.
fn venv(directory: &Path, packages: &[&str]) -> PathBuf {
    let made = Command::new("python3.11")
        .args(["-m", "venv"])
        .arg(directory)
        .status();
    assert!(made.unwrap().success());
    let python = directory.join("bin/python");
    if !packages.is_empty() {
        let pip = [
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "-U",
        ];
        let installed = Command::new(&python)
            .args(pip)
            .args(packages)
            .output()
            .unwrap();
        assert!(
            installed.status.success(),
            "{}",
            String::from_utf8_lossy(&installed.stderr)
        );
    }
    python
}

/// What of ours is installed there.
fn installed(python: &Path) -> String {
    let code = "import first, second, shared; print(first.VERSION, second.VERSION, shared.VERSION)";
    let output = Command::new(python)
        .args(["-I", "-c", code])
        .output()
        .unwrap();
    let result = Output::from(output);
    result.expect(0);
    result.stdout
}

/// Runs a program in the project with the project's index and without a proxy.
fn run(sandbox: &Sandbox, program: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    sandbox.set_up(command.args(arguments));
    Output::from(
        command
            .env("PIP_INDEX_URL", sandbox.index.url())
            .output()
            .unwrap(),
    )
}

#[test]
fn uv_and_pip_install_what_pylock_lists() {
    let (sandbox, _own) = project();
    let export = ["export", "one", "--format", "pylock"];
    sandbox
        .run(&[&export[..], &["-o", "pylock.one.toml"]].concat())
        .expect(0);
    let text = sandbox.read("pylock.one.toml");
    assert_eq!(sandbox.run(&export).stdout, text);
    let python = venv(&sandbox.path("venv"), &["pip==26.3", "uv==0.13.9"]);
    let uv = sandbox.path("venv/bin/uv");
    venv(&sandbox.path("by-uv"), &[]);
    let into = sandbox.path("by-uv/bin/python");
    let output = run(
        &sandbox,
        &uv,
        &[
            "--no-config",
            "pip",
            "sync",
            "--python",
            into.to_str().unwrap(),
            "pylock.one.toml",
        ],
    );
    output.expect(0);
    assert_eq!(installed(&into), "1.0 2.0 1.0\n");
    let pip = ["-m", "pip", "install", "-q", "-r", "pylock.one.toml"];
    run(&sandbox, &python, &pip).expect(0);
    assert_eq!(installed(&python), "1.0 2.0 1.0\n");
    // Both verify what they fetch.
    sandbox.index.replace(
        "first-1.0-py3-none-any.whl",
        &Wheel::simple("first", "1.0").requires("evil").bytes(),
    );
    let again = [
        &pip[..4],
        &["--force-reinstall", "--no-cache-dir"],
        &pip[4..],
    ]
    .concat();
    let output = run(&sandbox, &python, &again);
    output.expect(1);
    assert!(
        output.stderr.to_lowercase().contains("hash"),
        "{}",
        output.stderr
    );
    let output = sandbox.run(&[&export[..], &["-o", "locked.toml"]].concat());
    output.expect(2);
    assert!(
        output.stderr.contains("pylock.one.toml"),
        "{}",
        output.stderr
    );
}

#[test]
fn pip_installs_the_hashed_requirements() {
    let (sandbox, own) = project();
    let output = sandbox.run(&[
        "export",
        "one",
        "--format",
        "requirements",
        "-o",
        "requirements.txt",
    ]);
    output.expect(0);
    let text = sandbox.read("requirements.txt");
    assert!(
        text.contains("# from the index own:\nsecond==2.0 \\\n    --hash=sha256:"),
        "{text}"
    );
    let python = venv(&sandbox.path("venv"), &[]);
    let own = own.url();
    let pip = [
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--require-hashes",
        "--extra-index-url",
        &own,
        "-r",
        "requirements.txt",
    ];
    run(&sandbox, &python, &pip).expect(0);
    assert_eq!(installed(&python), "1.0 2.0 1.0\n");
}

#[test]
fn a_bill_of_materials_has_packages_interpreter_and_weights() {
    let (sandbox, _own) = project();
    let export = ["export", "one", "--format", "cyclonedx"];
    let output = sandbox.run(&export);
    output.expect(0);
    let bill = output.json();
    assert_eq!(
        sandbox.run(&export).stdout,
        output.stdout,
        "the same each time"
    );
    let named: Vec<String> = bill["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|component| {
            format!(
                "{} {}",
                component["type"].as_str().unwrap(),
                component["name"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        named,
        [
            "platform cpython",
            "library first",
            "library second",
            "library shared",
            "machine-learning-model m/w.bin"
        ]
    );
    let weights = &bill["components"][4];
    assert_eq!(weights["hashes"][0]["content"], "1".repeat(64));
    assert_eq!(
        weights["externalReferences"][0]["url"],
        "https://example.com/w"
    );
    let python = venv(
        &sandbox.path("venv"),
        &["cyclonedx-python-lib[json-validation]==11.12.0"],
    );
    sandbox.write("bill.json", &output.stdout);
    let code = "import sys; from cyclonedx.validation.json import JsonStrictValidator as V; \
                from cyclonedx.schema import SchemaVersion; \
                wrong = V(SchemaVersion.V1_6).validate_str(open('bill.json').read()); sys.exit(wrong and repr(wrong))";
    run(&sandbox, &python, &["-I", "-c", code]).expect(0);
    // A validator that finds nothing wrong with anything would prove nothing.
    let broken: Value =
        serde_json::from_str(&output.stdout.replace("\"platform\"", "\"platfrom\"")).unwrap();
    sandbox.write("bill.json", &broken.to_string());
    run(&sandbox, &python, &["-I", "-c", code]).expect(1);
}

#[test]
fn what_cannot_be_exported_is_an_error() {
    let (sandbox, _own) = project();
    let output = sandbox.run(&["export", "two", "--format", "requirements"]);
    output.expect(2);
    output.stderr_is(
        &sandbox,
        str![[r#"
  × there is no environment `two`
  help: the environments are: one
"#]],
    );
    let target = [
        "export",
        "one",
        "--format",
        "requirements",
        "--target",
        "linux-s390x",
    ];
    sandbox.run(&target).expect(2);
    sandbox.write_source("one", &["first"], "");
    sandbox
        .run(&["export", "one", "--format", "requirements"])
        .expect(3);
    sandbox.write_source("one", &["first", "second"], "");
    fs::remove_file(sandbox.path("rootstock.lock")).unwrap();
    sandbox
        .run(&["export", "one", "--format", "cyclonedx"])
        .expect(3);
}
