//! `also-python`: one environment for several series of Python, each with a lock, a generation and a name of its own.

use serde_json::Value;
use snapbox::str;

use crate::sandbox::{Sandbox, Wheel};

/// The manifest with this key in the environment's table.
fn also(sandbox: &Sandbox, series: &str) {
    sandbox.more(&format!("also-python = {series}"));
}

/// One environment on the newest Python that the sandbox has, which is 3.11, and the same by the name of its series: what
/// a machine with one Python can build.
fn twice() -> Sandbox {
    let sandbox = Sandbox::new(&[("one", &["single"])]);
    sandbox.index.add(&Wheel::simple("single", "1.0"));
    let manifest = sandbox.read("rootstock.toml");
    sandbox.write(
        "rootstock.toml",
        &manifest.replace("python = \"3.11\"", "also-python = [\"3.11\"]"),
    );
    sandbox.lock();
    sandbox
}

#[test]
fn every_mistake_is_named_with_its_place() {
    let sandbox = Sandbox::new(&[("one", &[])]);
    also(
        &sandbox,
        "[\"3.11\", \"3.12\", \"3.12\", \"3.12.1\", \"2.7\", \"3.10\", \"later\"]",
    );
    sandbox.more("\n[environments.\"one@3.13\"]\nsource = \"environments/one.py\"");
    let output = sandbox.run(&["lock", "--check"]);
    output.expect(2);
    output.stderr_is(&sandbox, str![[r#"
  × 7 things are wrong with the manifest
Error:
  × Python 3.11 is the environment's own
   ╭─[rootstock.toml:8:16]
 7 │ python = "3.11"
 8 │ also-python = ["3.11", "3.12", "3.12", "3.12.1", "2.7", "3.10", "later"]
   ·                ───┬──
   ·                   ╰── `python` names this series
 9 │
   ╰────
  help: remove it: `also-python` names further ones
Error:
  × Python 3.12 is named twice
   ╭─[rootstock.toml:8:32]
 7 │ python = "3.11"
 8 │ also-python = ["3.11", "3.12", "3.12", "3.12.1", "2.7", "3.10", "later"]
   ·                                ───┬──
   ·                                   ╰── here
 9 │
   ╰────
  help: remove one of the two
Error:
  × `also-python` names series of Python, and 3.12.1 is one version
   ╭─[rootstock.toml:8:40]
 7 │ python = "3.11"
 8 │ also-python = ["3.11", "3.12", "3.12", "3.12.1", "2.7", "3.10", "later"]
   ·                                        ────┬───
   ·                                            ╰── here
 9 │
   ╰────
  help: write `3.12`
Error:
  × `2.7` is not a series of Python that rootstock can use
   ╭─[rootstock.toml:8:50]
 7 │ python = "3.11"
 8 │ also-python = ["3.11", "3.12", "3.12", "3.12.1", "2.7", "3.10", "later"]
   ·                                                  ──┬──
   ·                                                    ╰── here
 9 │
   ╰────
  help: write a series of CPython from 3.8 on: `3.12`
Error:
  × Python 3.10 is not what `environments/one.py` requires
   ╭─[rootstock.toml:8:57]
 7 │ python = "3.11"
 8 │ also-python = ["3.11", "3.12", "3.12", "3.12.1", "2.7", "3.10", "later"]
   ·                                                         ───┬──
   ·                                                            ╰── `requires-python = ">=3.11"` there
 9 │
   ╰────
  help: make the two agree
Error:
  × `later` is not a series of Python that rootstock can use
   ╭─[rootstock.toml:8:65]
 7 │ python = "3.11"
 8 │ also-python = ["3.11", "3.12", "3.12", "3.12.1", "2.7", "3.10", "later"]
   ·                                                                 ───┬───
   ·                                                                    ╰── here
 9 │
   ╰────
  help: write a series of CPython from 3.8 on: `3.12`
Error:
  × `one@3.13` cannot be declared as a table of its own
    ╭─[rootstock.toml:10:15]
  9 │
 10 │ [environments."one@3.13"]
    ·               ─────┬────
    ·                    ╰── here
 11 │ source = "environments/one.py"
    ╰────
  help: write `also-python = ["3.13"]` into `[environments.one]`
"#]]);
    let sandbox = Sandbox::new(&[("one", &[])]);
    also(&sandbox, "\"3.12\"");
    let output = sandbox.run(&["lock", "--check"]);
    output.expect(2);
    assert!(
        output.message().contains("a list of texts"),
        "{}",
        output.message()
    );
}

#[test]
fn each_series_is_locked_by_itself() {
    let sandbox = Sandbox::new(&[("one", &["compiled"]), ("two", &[])]);
    let machine = std::env::consts::ARCH;
    for series in ["311", "312"] {
        let tag = format!("cp{series}-cp{series}-manylinux_2_17_{machine}");
        sandbox
            .index
            .add(&Wheel::new("compiled", "1.0").tagged(&tag));
    }
    sandbox.lock();
    let before = sandbox.read("rootstock.lock");
    let manifest = sandbox.read("rootstock.toml");
    let own = "[environments.one]\n";
    sandbox.write(
        "rootstock.toml",
        &manifest.replace(own, &format!("{own}also-python = [\"3.12\"]\n")),
    );
    let output = sandbox.run(&["lock", "--check"]);
    output.expect(3);
    assert!(
        output.stderr.contains("one@3.12") && output.stderr.contains("[series-added]"),
        "{}",
        output.stderr
    );
    // The environment itself stays as it is, line by line.
    let output = sandbox.run(&["lock"]);
    output.expect(0);
    assert!(
        !output.stderr.contains("resolving one …"),
        "{}",
        output.stderr
    );
    assert!(
        output.stderr.contains("resolving one@3.12 …"),
        "{}",
        output.stderr
    );
    sandbox.run(&["lock", "--check"]).expect(0);
    let lock =
        rootstock::lock::file::read("rootstock.lock", &sandbox.read("rootstock.lock")).unwrap();
    let names: Vec<&str> = lock.environments.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["one", "one@3.12", "two"]);
    let [one, other] = [0, 1].map(|at| &lock.environments[at].targets[0]);
    assert_eq!(
        one.packages[0].file,
        format!("compiled-1.0-cp311-cp311-manylinux_2_17_{machine}.whl")
    );
    assert_eq!(
        other.packages[0].file,
        format!("compiled-1.0-cp312-cp312-manylinux_2_17_{machine}.whl")
    );
    assert_eq!(
        other.python.soabi,
        format!("cpython-312-{machine}-linux-gnu")
    );
    assert_ne!(one.digest, other.digest);
    // Without the key the lock is what it was.
    sandbox.write("rootstock.toml", &manifest);
    let output = sandbox.run(&["lock", "--check"]);
    output.expect(3);
    assert!(
        output.stderr.contains("[series-removed]"),
        "{}",
        output.stderr
    );
    sandbox.lock();
    assert_eq!(sandbox.read("rootstock.lock"), before);
}

#[test]
fn a_series_without_a_solution_is_named_and_the_others_are_locked() {
    let sandbox = Sandbox::new(&[("one", &["compiled"])]);
    let tag = format!("cp311-cp311-manylinux_2_17_{}", std::env::consts::ARCH);
    sandbox
        .index
        .add(&Wheel::new("compiled", "1.0").tagged(&tag));
    also(&sandbox, "[\"3.12\"]");
    let output = sandbox.run(&["lock"]);
    output.expect(1);
    assert!(
        output.message().contains("`one@3.12`"),
        "{}",
        output.message()
    );
    let output = sandbox.run(&["lock", "--check"]);
    output.expect(3);
    assert!(
        output.stderr.contains("[series-added]"),
        "{}",
        output.stderr
    );
    sandbox.run(&["lock", "--check", "one"]).expect(0);
    sandbox.sync(&["one"]);
}

fn states(sandbox: &Sandbox) -> Vec<String> {
    let status = sandbox.run(&["status", "--json"]).json();
    let environments = status["environments"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    environments
        .iter()
        .map(|e| format!("{} {}", text(&e["name"]), text(&e["state"])))
        .collect()
}

#[test]
fn each_series_is_built_by_its_name_and_known_to_every_command() {
    let sandbox = twice();
    sandbox.sync(&["one@3.11"]);
    assert_eq!(states(&sandbox), ["one missing", "one@3.11 fresh"]);
    sandbox.sync(&["one"]);
    assert_eq!(states(&sandbox), ["one fresh", "one@3.11 fresh"]);
    assert!(sandbox.sync(&[]).stdout.starts_with("up to date"));
    assert_eq!(sandbox.names("root/envs"), ["one", "one@3.11"]);
    let code = "import single, sys; print(sys.prefix)";
    let output = sandbox.run(&["run", "one@3.11", "--", "python", "-c", code]);
    let generation = sandbox.generation("root", "one@3.11");
    assert_eq!(output.expect(0).stdout.trim(), generation.to_str().unwrap());
    sandbox.run(&["doctor"]).expect(0);
    sandbox.run(&["doctor", "--deep", "--import"]).expect(0);
    sandbox
        .run(&["export", "one@3.11", "--format", "requirements"])
        .expect(0);
    sandbox
        .run(&["worker", "one@3.12", "--unix", "x"])
        .expect(2);
    // A bundle has both, and another root can be filled from it.
    sandbox.run(&["bundle", "-o", "carried"]).expect(0);
    sandbox.sync_carried("elsewhere");
    assert_eq!(sandbox.names("elsewhere/envs"), ["one", "one@3.11"]);
}

#[test]
fn gc_keeps_a_series_until_the_manifest_has_it_no_more() {
    let sandbox = twice();
    sandbox.sync(&[]);
    let all = ["gc", "--keep", "0", "--older-than", "0s"];
    sandbox.run(&all).expect(0);
    assert_eq!(states(&sandbox), ["one fresh", "one@3.11 fresh"]);
    let id = sandbox.stamp("root", "one@3.11", "id");
    let id = id.as_str().unwrap();
    let pinned = format!("one@3.11@{id}");
    sandbox.run(&["gc", "--pin", "one@3.11"]).expect(0);
    assert_eq!(sandbox.names("root/pins"), [pinned.as_str()]);
    let manifest = sandbox.read("rootstock.toml");
    sandbox.write(
        "rootstock.toml",
        &manifest.replace("also-python = [\"3.11\"]\n", ""),
    );
    sandbox.lock();
    sandbox.sync(&[]);
    sandbox.run(&all).expect(0);
    let there = sandbox.path(&format!("root/generations/one@3.11/{id}"));
    assert!(there.exists());
    sandbox.run(&["gc", "--unpin", &pinned[..14]]).expect(0);
    sandbox.run(&all).expect(0);
    assert!(!there.exists());
    assert_eq!(sandbox.names("root/envs"), ["one"]);
}

#[test]
fn doctor_finds_a_library_for_another_python() {
    let sandbox = Sandbox::new(&[("one", &["compiled"])]);
    let machine = std::env::consts::ARCH;
    let name = |series: &str| format!("compiled/_c.cpython-{series}-{machine}-linux-gnu.so");
    let wheel = Wheel::new("compiled", "1.0").file("compiled/_c.abi3.so", "");
    let wheel = wheel.file("compiled/libc.so", "").file(&name("311"), "");
    sandbox.index.add(&wheel);
    sandbox.lock();
    sandbox.sync(&[]);
    sandbox.run(&["doctor"]).expect(0);
    let sandbox = Sandbox::new(&[("one", &["compiled"])]);
    sandbox.index.add(&wheel.file(&name("39"), ""));
    sandbox.lock();
    sandbox.sync(&[]);
    let output = sandbox.run(&["doctor", "--json"]);
    output.expect(1);
    let findings = output.json()["findings"].clone();
    let [finding] = findings.as_array().unwrap().as_slice() else {
        panic!("{findings}")
    };
    assert_eq!(finding["code"], "extension-foreign");
    assert!(
        finding["path"].as_str().unwrap().ends_with(&name("39")),
        "{finding}"
    );
}
