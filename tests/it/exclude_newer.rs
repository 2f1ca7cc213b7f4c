//! `exclude-newer`: a cut-off for all packages, and another one, or none, for an index.

use snapbox::str;

use crate::sandbox::{Index, Sandbox, Wheel};

/// A project with a cut-off, whose package `foo` comes from an index of its own with these keys.
fn project(own: &Index, keys: &str) -> Sandbox {
    let sandbox = Sandbox::new(&[("one", &["foo", "bar"])]);
    sandbox.index.add(&Wheel::simple("bar", "1.0"));
    own.add(&Wheel::simple("foo", "1.0"));
    let manifest = sandbox.read("rootstock.toml");
    let manifest = manifest.replace(
        "[rootstock]\n",
        "[rootstock]\nexclude-newer = \"2026-06-01T00:00:00Z\"\n",
    );
    sandbox.write("rootstock.toml", &manifest);
    let url = own.url();
    sandbox.more(&format!(
        "indexes = {{ foo = \"own\" }}\n\n[indexes.own]\nurl = \"{url}\"\n{keys}"
    ));
    sandbox
}

#[test]
fn an_index_without_upload_times_can_be_excepted() {
    let own = Index::start();
    own.speak_html();
    let sandbox = project(&own, "");
    let output = sandbox.run(&["lock"]);
    output.expect(1).stderr_is(&sandbox, str![[r#"
resolving one …
  × one environment could not be locked
Error:
  × environment `one` has no solution for [MACHINE] (glibc 2.28) with Python 3.11: Because there are no versions of foo and rootstock-question depends on foo, we can conclude that your requirements are unsatisfiable. hint: `foo` was filtered by `exclude-newer` to only include packages uploaded before 2026-06-01T00:00:00Z. The latest version satisfying the requirement is v1.0. For an index that gives no upload times, or to take later files from it, write `exclude-newer = false`, or a moment, into the index's table
  help: change its requirements, in `environments/one.py` or in the manifest, so that one version of each package fits all
"#]]);
    let sandbox = project(&own, "exclude-newer = false\n");
    sandbox.lock();
    sandbox.sync(&[]);
    sandbox.run(&["lock", "--check"]).expect(0);
}

#[test]
fn an_index_can_have_a_cut_off_of_its_own() {
    let own = Index::start();
    // Everything of it is of 2026-01-01.
    let before = "exclude-newer = \"2025-01-01\"\n";
    let sandbox = project(&own, before);
    sandbox.run(&["lock"]).expect(1);
    let after = "exclude-newer = \"2026-02-01\"\n";
    let manifest = sandbox.read("rootstock.toml").replace(before, after);
    sandbox.write("rootstock.toml", &manifest);
    sandbox.lock();
    // It is part of the question, for the environments that use the index.
    let manifest = manifest.replace(after, "exclude-newer = false\n");
    sandbox.write("rootstock.toml", &manifest);
    let output = sandbox.run(&["lock", "--check", "--json"]);
    assert_eq!(
        output.expect(3).json()["findings"][0]["code"],
        "index-changed"
    );
}

#[test]
fn an_environment_can_have_a_cut_off_of_its_own() {
    // Everything in the index is of 2026-01-01.
    let sandbox = Sandbox::new(&[("one", &["bar"]), ("two", &["bar"])]);
    sandbox.index.add(&Wheel::simple("bar", "1.0"));
    let before = "exclude-newer = \"2025-01-01\"";
    sandbox.more(before);
    let output = sandbox.run(&["lock"]);
    assert!(
        output
            .expect(1)
            .message()
            .contains("environment `two` has no solution"),
        "{}",
        output.stderr
    );
    let manifest = sandbox.read("rootstock.toml");
    // It is another than the manifest's, for packages and for what builds them.
    let manifest = manifest
        .replace(before, "exclude-newer = \"2026-06-01\"")
        .replace("[rootstock]\n", &format!("[rootstock]\n{before}\n"));
    sandbox.write("rootstock.toml", &manifest);
    sandbox.run(&["lock", "two"]).expect(0);
    let output = sandbox.run(&["lock"]);
    assert!(
        output
            .expect(1)
            .message()
            .contains("environment `one` has no solution"),
        "{}",
        output.stderr
    );
    // And part of the question.
    let manifest = manifest.replace(before, "exclude-newer = \"2026-03-01\"");
    sandbox.write("rootstock.toml", &manifest);
    sandbox.lock();
    sandbox.write(
        "rootstock.toml",
        &manifest.replace("2026-06-01", "2026-07-01"),
    );
    let findings = sandbox.run(&["lock", "--check", "--json"]).expect(3).json();
    let findings = findings["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].to_string().contains("two"), "{findings:?}");
}

#[test]
fn what_is_neither_a_moment_nor_false_is_refused_in_its_place() {
    let own = Index::start();
    let lock = |value: &str| {
        let sandbox = project(&own, &format!("exclude-newer = {value}\n"));
        let output = sandbox.run(&["lock"]);
        output.expect(2);
        (sandbox, output)
    };
    let (sandbox, output) = lock("true");
    output.stderr_is(
        &sandbox,
        str![[r#"
  × one thing is wrong with the manifest
Error:
  × `exclude-newer = true` names no moment
    ╭─[rootstock.toml:13:1]
 12 │ url = "http://127.0.0.1:[PORT]/simple/"
 13 │ exclude-newer = true
    · ──────┬──────
    ·       ╰── here
 14 │
    ╰────
  help: leave it out to have that of `[rootstock]`, or write a moment, or `false` for none
"#]],
    );
    let (sandbox, output) = lock("\"never\"");
    output.stderr_is(
        &sandbox,
        str![[r#"
  × one thing is wrong with the manifest
Error:
  × `never` is not a moment
    ╭─[rootstock.toml:13:17]
 12 │ url = "http://127.0.0.1:[PORT]/simple/"
 13 │ exclude-newer = "never"
    ·                 ───┬───
    ·                    ╰── here
 14 │
    ╰────
  help: write it as RFC 3339 does, with a time zone: `2026-11-01T00:00:00Z`, or a date: `2026-11-01`
"#]],
    );
    let (sandbox, output) = lock("3");
    output.stderr_is(
        &sandbox,
        str![[r#"
  × one thing is wrong with the manifest
Error:
  × `exclude-newer` has the wrong type
    ╭─[rootstock.toml:13:17]
 12 │ url = "http://127.0.0.1:[PORT]/simple/"
 13 │ exclude-newer = 3
    ·                 ┬
    ·                 ╰── this is an integer
 14 │
    ╰────
  help: write text in quotes: `"…"`
"#]],
    );
}
