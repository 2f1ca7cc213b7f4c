//! How people spell things: ids of models with capitals, quotes of word processors, tables that are there twice.

use crate::sandbox::Sandbox;

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
    let said = sandbox.run(&[
        "worker",
        "one-gfn2-xtb",
        "--unix",
        "x",
        "--species-from-server",
    ]);
    assert_ne!(said.code, Some(0));
    assert!(said.told().contains("one-GFN2-xTB"), "{}", said.told());
}

#[test]
fn ids_that_differ_only_in_capitals_are_refused() {
    for more in [
        "models = [\"GFN2-xTB\", \"gfn2-xtb\"]",
        "models = [\"a\"]\n[models.One-A]\nenvironment = \"one\"",
    ] {
        let sandbox = Sandbox::new(&[("one", &[])]);
        sandbox.more(more);
        let said = sandbox.run(&["lock", "--check"]);
        said.expect(2);
        assert!(
            said.told().contains("differ only in capital letters"),
            "{}",
            said.told()
        );
    }
}

#[test]
fn a_word_that_makes_no_id_gets_advice_that_can_be_followed() {
    let sandbox = Sandbox::new(&[("one", &[])]);
    sandbox.more("models = [\"MACE/medium\"]");
    let said = sandbox.run(&["lock", "--check"]);
    said.expect(2);
    let told = said.told();
    assert!(
        told.contains(
            "`[models.ID]` with `environment = \"one\"` and `argument = \"MACE/medium\"`"
        ) && !told.contains("write `one"),
        "{told}"
    );
    let manifest = sandbox.read("rootstock.toml");
    let followed = manifest.replace(
        "models = [\"MACE/medium\"]",
        "[models.mace]\nenvironment = \"one\"\nargument = \"MACE/medium\"",
    );
    sandbox.write("rootstock.toml", &followed);
    sandbox.lock();
}

/// What is said of a manifest, line by line.
fn complaint(manifest: &str) -> String {
    let sandbox = Sandbox::new(&[("one", &[])]);
    sandbox.write("rootstock.toml", manifest);
    let said = sandbox.run(&["lock", "--check"]);
    said.expect(2);
    said.stderr
}

#[test]
fn quotes_of_a_word_processor_are_named() {
    for value in ["“root”", "‘root’", "„root“"] {
        let said = complaint(&format!("[rootstock]\nroot = {value}\n"));
        for words in [
            "a text is written in straight quotes",
            "rootstock.toml:2:8",
            "this is a typographic quote",
            "and this",
            "write `\"…\"`",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
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
            "the table `one` is there twice",
            [1, 5],
        ),
        (
            format!("[environments]\none = {{ }}\n\n[environments.one]\n{environment}"),
            "the table `one` is there twice",
            [2, 4],
        ),
        (
            format!("[environments.one]\n{environment}python = \"3.12\"\n"),
            "the key `python` is there twice",
            [3, 4],
        ),
        (
            "[rootstock]\nroot = \"a\"\n\n[rootstock]\nroot = \"b\"\n".to_owned(),
            "the table `rootstock` is there twice",
            [1, 4],
        ),
    ] {
        let said = complaint(&manifest);
        assert!(said.contains(what), "{said}");
        assert!(
            said.contains("the first one") && said.contains("the second one"),
            "{said}"
        );
        for line in lines {
            let text = manifest.lines().nth(line - 1).unwrap();
            let shown = said.lines().any(|shown| {
                shown.trim_start().starts_with(&format!("{line} ")) && shown.contains(text)
            });
            assert!(shown, "{line}: {said}");
        }
    }
}
