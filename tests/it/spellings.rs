//! How people spell things: ids of models with capitals, quotes of word processors, tables that are there twice.

use snapbox::str;

use crate::sandbox::{Output, Sandbox};

#[test]
fn a_model_is_called_as_its_authors_call_it() {
    let sandbox = Sandbox::single();
    sandbox.more("prefetch = false\nmodels = [\"GFN2-xTB\", \"MACE-MP-0a\"]");
    sandbox.more("\n[models.CHGNet]\nenvironment = \"one\"");
    sandbox.lock();
    let lock = sandbox.read("rootstock.lock");
    for line in [
        "one-GFN2-xTB = { environment = \"one\", argument = \"GFN2-xTB\" }",
        "CHGNet = { environment = \"one\"",
    ] {
        assert!(lock.contains(line), "{lock}");
    }
    sandbox.run(&["lock", "--check"]).expect(0);
    sandbox.sync(&[]);
    let status = sandbox.run(&["status", "--json"]);
    status.expect(0);
    assert!(status.stdout.contains("one-GFN2-xTB"), "{}", status.stdout);
    // It is found by its own name; one that is spelled otherwise is suggested.
    let output = sandbox.run(&[
        "worker",
        "one-gfn2-xtb",
        "--unix",
        "x",
        "--species-from-server",
    ]);
    assert_ne!(output.code, Some(0));
    output.stderr_is(&sandbox, str![[r#"
  × the root has no model `one-gfn2-xtb`
  help: did you mean `one-GFN2-xTB`? it has the models CHGNet, one-GFN2-xTB, one-MACE-MP-0a, and the environments one
"#]]);
}

#[test]
fn ids_that_differ_only_in_capitals_are_refused() {
    for more in [
        "models = [\"GFN2-xTB\", \"gfn2-xtb\"]",
        "models = [\"a\"]\n[models.One-A]\nenvironment = \"one\"",
    ] {
        let sandbox = Sandbox::new(&[("one", &[])]);
        sandbox.more(more);
        let output = sandbox.run(&["lock", "--check"]);
        output.expect(2);
        assert!(
            output.message().contains("differ only in capital letters"),
            "{}",
            output.message()
        );
    }
}

#[test]
fn a_word_that_makes_no_id_gets_advice_that_can_be_followed() {
    let sandbox = Sandbox::new(&[("one", &[])]);
    sandbox.more("models = [\"MACE/medium\"]");
    let output = sandbox.run(&["lock", "--check"]);
    output.expect(2);
    output.stderr_is(&sandbox, str![[r#"
  × one thing is wrong with the manifest
Error:
  × `MACE/medium` makes no model id
   ╭─[rootstock.toml:8:11]
 7 │ python = "3.11"
 8 │ models = ["MACE/medium"]
   ·           ──────┬──────
   ·                 ╰── `/` may not be part of it; letters, digits, `-`, `_` and `.` may
   ╰────
  help: give it an id of its own: `[models.ID]` with `environment = "one"` and `argument = "MACE/medium"`
"#]]);
    let manifest = sandbox.read("rootstock.toml");
    let followed = manifest.replace(
        "models = [\"MACE/medium\"]",
        "[models.mace]\nenvironment = \"one\"\nargument = \"MACE/medium\"",
    );
    sandbox.write("rootstock.toml", &followed);
    sandbox.lock();
}

/// A project with this manifest, and its message.
fn complaint(manifest: &str) -> (Sandbox, Output) {
    let sandbox = Sandbox::new(&[("one", &[])]);
    sandbox.write("rootstock.toml", manifest);
    let output = sandbox.run(&["lock", "--check"]);
    output.expect(2);
    (sandbox, output)
}

#[test]
fn quotes_of_a_word_processor_are_named() {
    let (sandbox, output) = complaint("[rootstock]\nroot = “root”\n");
    output.stderr_is(
        &sandbox,
        str![[r#"
  × one thing is wrong with the manifest
Error:
  × a text is written in straight quotes
   ╭─[rootstock.toml:2:8]
 1 │ [rootstock]
 2 │ root = “root”
   ·        ┬    ┬
   ·        │    ╰── and this
   ·        ╰── this is a typographic quote
   ╰────
  help: write `"…"`: some editors and word processors replace them
"#]],
    );
    for value in ["‘root’", "„root“"] {
        let (_, other) = complaint(&format!("[rootstock]\nroot = {value}\n"));
        assert_eq!(other.stderr.replace(value, "“root”"), output.stderr);
    }
    // In a text they are letters.
    let sandbox = Sandbox::new(&[("one", &[])]);
    sandbox.more("variables = { A = \"“x”\" }");
    sandbox.lock();
}

#[test]
fn what_is_there_twice_is_shown_in_both_places() {
    let environment = "source = \"environments/one.py\"\npython = \"3.11\"\n";
    for (manifest, what, lines) in [
        (
            format!("[environments.one]\n{environment}\n[environments.one]\n{environment}"),
            "the table `one` occurs twice",
            [1, 5],
        ),
        (
            format!("[environments]\none = {{ }}\n\n[environments.one]\n{environment}"),
            "the table `one` occurs twice",
            [2, 4],
        ),
        (
            format!("[environments.one]\n{environment}python = \"3.12\"\n"),
            "the key `python` occurs twice",
            [3, 4],
        ),
        (
            "[rootstock]\nroot = \"a\"\n\n[rootstock]\nroot = \"b\"\n".to_owned(),
            "the table `rootstock` occurs twice",
            [1, 4],
        ),
    ] {
        let output = complaint(&manifest).1.stderr;
        assert!(output.contains(what), "{output}");
        assert!(
            output.contains("the first one") && output.contains("the second one"),
            "{output}"
        );
        for line in lines {
            let text = manifest.lines().nth(line - 1).unwrap();
            let shown = output.lines().any(|shown| {
                shown.trim_start().starts_with(&format!("{line} ")) && shown.contains(text)
            });
            assert!(shown, "{line}: {output}");
        }
    }
    let twice = "[rootstock]\nroot = \"a\"\n\n[rootstock]\nroot = \"b\"\n";
    let (sandbox, output) = complaint(twice);
    output.stderr_is(
        &sandbox,
        str![[r#"
  × 2 things are wrong with the manifest
Error:
  × the table `rootstock` occurs twice
   ╭─[rootstock.toml:1:2]
 1 │ [rootstock]
   ·  ────┬────
   ·      ╰── the first one
 2 │ root = "a"
 3 │
 4 │ [rootstock]
   ·  ────┬────
   ·      ╰── the second one
 5 │ root = "b"
   ╰────
  help: keep one of them: TOML has each table once
Error:
  × the key `root` occurs twice
   ╭─[rootstock.toml:2:1]
 1 │ [rootstock]
 2 │ root = "a"
   · ──┬─
   ·   ╰── the first one
 3 │
 4 │ [rootstock]
 5 │ root = "b"
   · ──┬─
   ·   ╰── the second one
   ╰────
  help: keep one of them: TOML has each key once
"#]],
    );
}

/// Characters of more than one byte behind a marker: a parser once panicked at them.
#[test]
fn a_marker_with_other_characters_than_ascii_is_refused() {
    for wrong in ["demo; os_name == 'x' é", "demo>1; os_name == 'x'é"] {
        let sandbox = Sandbox::new(&[("one", &[wrong])]);
        sandbox.more(&format!("constraints = [\"{wrong}\"]"));
        let output = sandbox.run(&["lock", "--check"]);
        output.expect(2);
        let complaint = format!("`{wrong}` is not a requirement");
        assert_eq!(
            output.message().matches(&complaint).count(),
            2,
            "{}",
            output.message()
        );
    }
}

/// Names that end in `.`, `-` or `_`, of a package or of an extra: a parser once panicked at them.
#[test]
fn a_name_that_does_not_end_is_refused_wherever_a_requirement_stands() {
    const WRONG: [&str; 6] = [
        "demo.==1",
        "demo-; os_name == 'x'",
        "demo_[x]",
        "demo[x.]",
        "demo[x. y]",
        "demo[x, y-]>1",
    ];
    for wrong in WRONG {
        for key in [
            format!("dependencies = [\"{wrong}\"]"),
            format!("constraints = [\"{wrong}\"]"),
            format!("overrides = [\"{wrong}\"]"),
            format!("build-constraints = [\"{wrong}\"]"),
            format!("build-dependencies = {{ demo = [\"{wrong}\"] }}"),
        ] {
            let sandbox = Sandbox::new(&[("one", &[])]);
            sandbox.more(&key);
            let output = sandbox.run(&["lock", "--check"]);
            output.expect(2);
            let complaint = format!("`{wrong}` is not a requirement");
            assert!(
                output.message().contains(&complaint),
                "{key}: {}",
                output.message()
            );
        }
        let sandbox = Sandbox::new(&[("one", &[wrong])]);
        let output = sandbox.run(&["lock", "--check"]);
        output.expect(2);
        assert!(
            output
                .message()
                .contains("a name must end with a letter or a digit"),
            "{}",
            output.message()
        );
    }
}
