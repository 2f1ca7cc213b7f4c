//! What a new lock keeps, what it upgrades, and how the changes are reported.

use std::collections::BTreeMap;

use serde_json::json;
use snapbox::str;

use crate::sandbox::{Sandbox, Wheel};

/// Three environments that share a package, one with weights, locked; then newer versions of everything.
fn project() -> Sandbox {
    let sandbox = Sandbox::new(&[
        ("one", &["first", "shared"]),
        ("three", &["shared"]),
        ("two", &["second", "shared"]),
    ]);
    for name in ["first", "second", "shared"] {
        sandbox.index.add(&Wheel::simple(name, "1.0"));
    }
    sandbox.write("remote/weights.bin", "numbers");
    let url = format!("file://{}", sandbox.path("remote/weights.bin").display());
    let manifest = sandbox.read("rootstock.toml");
    let model = |id: &str, environment: &str| {
        format!(
            "\n[models.{id}]\nenvironment = \"{environment}\"\nweights = [{{ url = \"{url}\", path = \"{id}.bin\" }}]\n"
        )
    };
    let models = [model("a", "one"), model("b", "two")].concat();
    sandbox.write("rootstock.toml", &format!("{manifest}{models}"));
    sandbox.lock();
    for name in ["first", "second", "shared"] {
        sandbox.index.add(&Wheel::simple(name, "2.0"));
    }
    sandbox.write("remote/weights.bin", "new numbers");
    sandbox
}

/// The lock's text in parts: each environment by its name, each line of models and files by its key.
fn parts(lock: &str) -> BTreeMap<String, String> {
    let (environments, rest) = lock.split_once("\n[models]\n").unwrap();
    let blocks = environments
        .split("\n[[environment]]\n")
        .skip(1)
        .map(|block| {
            let name = block.lines().next().unwrap();
            (name.to_owned(), block.to_owned())
        });
    let lines = rest.lines().filter_map(|line| line.split_once(" = "));
    let lines = lines.map(|(key, value)| (key.to_owned(), value.to_owned()));
    blocks.chain(lines).collect()
}

/// Everything of one lock that is not byte for byte in the other, by its key.
fn gone(before: &str, after: &str) -> Vec<String> {
    let after = parts(after);
    let changed = parts(before)
        .into_iter()
        .filter(|(key, text)| after.get(key) != Some(text));
    // Of a file's key, the digest says nothing to a reader.
    let name = |(key, _): (String, _)| match key.strip_prefix('"') {
        Some(reference) => reference.rsplit_once(' ').unwrap().0.to_owned(),
        None => key,
    };
    changed.map(name).collect()
}

#[test]
fn adding_an_environment_changes_no_other_byte() {
    let sandbox = project();
    let before = sandbox.read("rootstock.lock");
    sandbox
        .index
        .add(&Wheel::simple("new", "1.0").requires("shared"));
    sandbox.write_source("new", &["new"], "");
    let manifest = sandbox.read("rootstock.toml");
    let more = "\n[environments.new]\nsource = \"environments/new.py\"\npython = \"3.11\"\n";
    sandbox.write("rootstock.toml", &format!("{manifest}{more}"));
    let output = sandbox.run(&["lock"]);
    output.expect(0);
    // It has the newest of what the others have older: each environment is resolved by itself.
    assert!(
        output.stdout.contains("new    shared    -    2.0"),
        "{}",
        output.stdout
    );
    let after = sandbox.read("rootstock.lock");
    assert_eq!(gone(&before, &after), [""; 0]);
    sandbox.write("rootstock.toml", &manifest);
    sandbox.lock();
    assert_eq!(sandbox.read("rootstock.lock"), before, "and removing it");
}

#[test]
fn one_environment_moves_on_and_no_other() {
    let sandbox = project();
    let before = sandbox.read("rootstock.lock");
    let output = sandbox.run(&["lock", "--upgrade-env=one"]);
    output.expect(0);
    let after = sandbox.read("rootstock.lock");
    assert_eq!(gone(&before, &after), ["first 1.0", "a", "name = \"one\""]);
    let table: Vec<String> = output
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        table[..3],
        [
            "where what was now",
            "one first 1.0 2.0",
            "one shared 1.0 2.0"
        ]
    );
    assert!(
        table[3].starts_with("model a weights a.bin sha256 "),
        "{}",
        table[3]
    );
    assert_eq!(table.len(), 5, "{}", output.stdout);

    // Some packages of some environments.
    sandbox.write("rootstock.lock", &before);
    sandbox
        .run(&["lock", "--upgrade=shared", "--upgrade-env=one,three"])
        .expect(0);
    let after = sandbox.read("rootstock.lock");
    assert_eq!(
        gone(&before, &after),
        ["name = \"one\"", "name = \"three\""]
    );
    assert!(
        after.contains("\"first 1.0 ") && !after.contains("\"first 2.0 "),
        "{after}"
    );

    let output = sandbox.run(&["lock", "--upgrade-env=four"]);
    output.expect(2);
    output.stderr_is(
        &sandbox,
        str![[r#"
  × the manifest has no environment `four`
  help: it has one, three, two
"#]],
    );
}

#[test]
fn changes_are_reported_as_json() {
    let sandbox = project();
    let changes = |sandbox: &Sandbox, arguments: &[&str]| {
        let output = sandbox.run(&[&["lock", "--json"], arguments].concat());
        output.expect(0);
        output.json()["changes"].as_array().unwrap().clone()
    };
    assert_eq!(changes(&sandbox, &[]), [json!(null); 0]);
    let moved = changes(&sandbox, &["--upgrade-env=one"]);
    let target = moved[0]["target"].clone();
    assert_eq!(
        moved[0],
        json!({ "kind": "package", "environment": "one", "target": target, "name": "first", "was": "1.0", "now": "2.0" })
    );
    // sha256 of `numbers`
    assert_eq!(
        moved[2],
        json!({ "kind": "weights", "model": "a", "name": "a.bin", "was": "sha256 f3c7807d4750", "now": moved[2]["now"] })
    );
    // Another Python, and packages that come and go.
    let manifest = sandbox.read("rootstock.toml");
    sandbox.write(
        "rootstock.toml",
        &manifest.replacen("\"3.11\"", "\"3.12\"", 1),
    );
    sandbox.write_source("three", &["second"], "");
    let target = target.as_str().unwrap();
    assert_eq!(
        changes(&sandbox, &[]),
        [
            json!({ "kind": "python", "environment": "one", "target": target, "was": "3.11", "now": "3.12" }),
            json!({ "kind": "package", "environment": "three", "target": target, "name": "second", "was": null, "now": "2.0" }),
            json!({ "kind": "package", "environment": "three", "target": target, "name": "shared", "was": "1.0", "now": null }),
        ]
    );
}

#[test]
fn a_package_that_is_not_there_cannot_be_upgraded() {
    let sandbox = Sandbox::shared();
    let before = sandbox.read("rootstock.lock");
    for (arguments, words) in [
        (&["--upgrade=nope"][..], "no environment has it"),
        (&["--upgrade=shard"], "did you mean `shared`?"),
        (
            &["--upgrade=shared", "--upgrade=nope"],
            "there is no package `nope` to upgrade",
        ),
        (
            &["--upgrade=second", "--upgrade-env=one"],
            "`one` has not it",
        ),
        (&["--upgrade-env=onee"], "did you mean `one`?"),
    ] {
        let output = sandbox.run(&[&["lock"], arguments].concat());
        assert!(
            output.expect(2).message().contains(words),
            "{}",
            output.stderr
        );
        assert_eq!(sandbox.read("rootstock.lock"), before, "{arguments:?}");
    }
    let output = sandbox.run(&["lock", "--upgrade=shard"]);
    output.stderr_is(
        &sandbox,
        str![[r#"
  × there is no package `shard` to upgrade: no environment has it
  help: nothing was written; did you mean `shared`?
"#]],
    );
    let output = sandbox.run(&["lock", "--upgrade=second", "--upgrade-env=one"]);
    output.stderr_is(
        &sandbox,
        str![[r#"
  × there is no package `second` to upgrade: `one` has not it
  help: nothing was written; `--upgrade` alone upgrades all packages
"#]],
    );
    // Other spellings of a name that is there are the same name.
    sandbox.run(&["lock", "--upgrade=Shared"]).expect(0);
}
