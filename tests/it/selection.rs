//! A model or an environment that cannot be used: what is not built comes with the command that builds it, what is misspelt with
//! what was probably meant, and an environment is not called a model.

use super::sandbox::{Sandbox, Wheel};

/// `one` and `opt`, the latter optional and with a model of its own.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new(&[("one", &["single"]), ("opt", &["single"])]);
    sandbox.index.add(&Wheel::simple("single", "1.0"));
    sandbox.more("optional = true\nmodels = [\"x\"]\n[models.potential]\nenvironment = \"one\"\nargument = \"p\"");
    sandbox.lock();
    sandbox
}

/// Every command that takes a model or an environment by its name.
fn commands<'a>(environment: &'a str, model: &'a str) -> Vec<Vec<&'a str>> {
    let server = ["--unix", "nobody", "--species-from-server"];
    vec![
        [&["worker", model], &server[..]].concat(),
        [&["worker", environment], &server[..]].concat(),
        vec!["probe", model],
        vec!["probe", environment],
        vec!["run", environment, "--", "python"],
        vec!["run", environment, "--print", "json"],
    ]
}

fn words(text: &str) -> String {
    let words: Vec<&str> = text
        .split_whitespace()
        .filter(|word| *word != "│")
        .collect();
    words.join(" ")
}

#[test]
fn what_is_not_built_comes_with_the_command_that_builds_it() {
    let sandbox = sandbox();
    let refused = |commands: &[Vec<&str>]| {
        for command in commands {
            let said = sandbox.run(command);
            let told = words(&said.expect(4).stderr);
            assert!(
                told.contains("environment `opt` is not built"),
                "{command:?}: {told}"
            );
            assert!(
                told.contains("build it with `rootstock sync opt`"),
                "{command:?}: {told}"
            );
            assert!(!told.contains("model `opt`"), "{command:?}: {told}");
        }
    };
    // Before anything is built, and where the root has others.
    refused(&commands("opt", "opt-x"));
    sandbox.sync(&[]);
    refused(&commands("opt", "opt-x"));
    refused(&[vec!["doctor", "--import", "opt"]]);
    // The advice can be followed to its letter, elsewhere too.
    let elsewhere = sandbox.path("elsewhere").display().to_string();
    let said = sandbox.run(&[
        "run", "opt", "--root", &elsewhere, "--", "python", "-c", "0",
    ]);
    let advice = format!("`rootstock sync opt --root {elsewhere}`");
    assert!(
        words(&said.expect(4).stderr).contains(&advice),
        "{}",
        said.stderr
    );
    sandbox.sync(&["opt", "--root", &elsewhere]);
    sandbox
        .run(&[
            "run", "opt", "--root", &elsewhere, "--", "python", "-c", "0",
        ])
        .expect(0);
    sandbox.sync(&["opt"]);
    sandbox
        .run(&["run", "opt", "--", "python", "-c", "0"])
        .expect(0);
    // Without a manifest the root says what it knows.
    std::fs::remove_file(sandbox.path("root/envs/opt")).unwrap();
    std::fs::remove_file(sandbox.path("rootstock.toml")).unwrap();
    let said = sandbox.run(&["run", "opt", "--root", "root", "--", "python"]);
    assert!(
        words(&said.expect(4).stderr).contains("`rootstock sync opt"),
        "{}",
        said.stderr
    );
}

#[test]
fn what_is_misspelt_comes_with_what_was_probably_meant() {
    let sandbox = sandbox();
    sandbox.sync(&[]);
    for command in commands("onee", "potentail") {
        let said = sandbox.run(&command);
        let told = words(&said.expect(2).stderr);
        let meant = if command.contains(&"onee") {
            "one"
        } else {
            "potential"
        };
        assert!(
            told.contains(&format!("did you mean `{meant}`?")),
            "{command:?}: {told}"
        );
        let is_about_environments = command[0] == "run";
        let unknown = if is_about_environments {
            "the root has no environment `onee`"
        } else {
            "the root has no model `"
        };
        assert!(told.contains(unknown), "{command:?}: {told}");
    }
    let said = sandbox.run(&["doctor", "--import", "onee"]);
    let told = words(&said.expect(2).stderr);
    assert!(
        told.contains("the root has no environment `onee`") && told.contains("did you mean `one`?"),
        "{told}"
    );
    // What is not built yet may be meant as well, and what resembles nothing is no suggestion.
    let said = sandbox.run(&["probe", "opt-y"]);
    assert!(
        words(&said.expect(2).stderr).contains("did you mean `opt-x`?"),
        "{}",
        said.stderr
    );
    let said = sandbox.run(&["probe", "qqq"]);
    assert!(
        !said.expect(2).stderr.contains("did you mean"),
        "{}",
        said.stderr
    );
}

#[test]
fn a_worker_on_a_python_that_is_gone_does_not_start() {
    let sandbox = sandbox();
    sandbox.sync(&[]);
    let python = sandbox.generation("root", "one").join("bin/python");
    std::fs::remove_file(&python).unwrap();
    for target in [None, Some("/nowhere/python3.11")] {
        if let Some(target) = target {
            std::os::unix::fs::symlink(target, &python).unwrap();
        }
        for command in commands("one", "potential") {
            let said = sandbox.run(&command);
            let told = words(&said.expect(4).stderr);
            assert!(
                told.contains("rootstock sync --repair one"),
                "{command:?}: {told}"
            );
        }
    }
}
