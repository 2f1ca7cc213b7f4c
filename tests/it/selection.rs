//! A model or an environment that cannot be used: what is not built comes with the command that builds it, what is misspelt with
//! what was probably meant, and an environment is not called a model.

use snapbox::str;

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
            let output = sandbox.run(command);
            let message = words(&output.expect(4).stderr);
            assert!(
                message.contains("environment `opt` is not built"),
                "{command:?}: {message}"
            );
            assert!(
                message.contains("build it with `rootstock sync opt`"),
                "{command:?}: {message}"
            );
            assert!(!message.contains("model `opt`"), "{command:?}: {message}");
        }
    };
    // Before anything is built, and where the root has others.
    refused(&commands("opt", "opt-x"));
    let output = sandbox.run(&["probe", "opt-x"]);
    output.stderr_is(
        &sandbox,
        str![[r#"
  × environment `opt` is not built in the root, and model `opt-x` needs it
  help: build it with `rootstock sync opt`
"#]],
    );
    sandbox.sync(&[]);
    let output = sandbox.run(&["run", "opt", "--", "python"]);
    output.stderr_is(
        &sandbox,
        str![[r#"
  × environment `opt` is not built
  help: build it with `rootstock sync opt`; built here: one
"#]],
    );
    refused(&commands("opt", "opt-x"));
    refused(&[vec!["doctor", "--import", "opt"]]);
    // The advice can be followed to its letter, elsewhere too.
    let elsewhere = sandbox.path("elsewhere").display().to_string();
    let output = sandbox.run(&[
        "run", "opt", "--root", &elsewhere, "--", "python", "-c", "0",
    ]);
    let advice = format!("`rootstock sync opt --root {elsewhere}`");
    assert!(
        words(&output.expect(4).stderr).contains(&advice),
        "{}",
        output.stderr
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
    let output = sandbox.run(&["run", "opt", "--root", "root", "--", "python"]);
    assert!(
        words(&output.expect(4).stderr).contains("`rootstock sync opt"),
        "{}",
        output.stderr
    );
}

#[test]
fn what_is_misspelt_comes_with_what_was_probably_meant() {
    let sandbox = sandbox();
    sandbox.sync(&[]);
    for command in commands("onee", "potentail") {
        let output = sandbox.run(&command);
        let message = words(&output.expect(2).stderr);
        let meant = if command.contains(&"onee") {
            "one"
        } else {
            "potential"
        };
        assert!(
            message.contains(&format!("did you mean `{meant}`?")),
            "{command:?}: {message}"
        );
        let is_about_environments = command[0] == "run";
        let unknown = if is_about_environments {
            "the root has no environment `onee`"
        } else {
            "the root has no model `"
        };
        assert!(message.contains(unknown), "{command:?}: {message}");
    }
    let output = sandbox.run(&["doctor", "--import", "onee"]);
    output.expect(2).stderr_is(
        &sandbox,
        str![[r#"
  × the root has no environment `onee`
  help: did you mean `one`? it has the environments one, opt
"#]],
    );
    let output = sandbox.run(&["probe", "potentail"]);
    output.expect(2).stderr_is(
        &sandbox,
        str![[r#"
  × the root has no model `potentail`
  help: did you mean `potential`? it has the models opt-x, potential, and the environments one, opt
"#]],
    );
    // What is not built yet may be meant as well, and what resembles nothing is no suggestion.
    let output = sandbox.run(&["probe", "opt-y"]);
    assert!(
        words(&output.expect(2).stderr).contains("did you mean `opt-x`?"),
        "{}",
        output.stderr
    );
    let output = sandbox.run(&["probe", "qqq"]);
    output.expect(2).stderr_is(
        &sandbox,
        str![[r#"
  × the root has no model `qqq`
  help: it has the models opt-x, potential, and the environments one, opt
"#]],
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
            let output = sandbox.run(&command);
            let message = words(&output.expect(4).stderr);
            assert!(
                message.contains("rootstock sync --repair one"),
                "{command:?}: {message}"
            );
        }
    }
}

#[test]
fn weights_of_one_s_own_name_an_environment() {
    let sandbox = sandbox();
    sandbox.sync(&[]);
    sandbox.write("mine/weights.pt", "numbers");
    let server = ["--unix", "nobody", "--species-from-server"];
    let weights = ["--weights", "mine/weights.pt"];
    for command in [
        [&["worker", "onee:custom"], &server[..], &weights].concat(),
        [&["worker", "onee:custom"], &server[..]].concat(),
        [&["probe", "onee:custom"], &weights[..]].concat(),
        vec!["probe", "onee:custom"],
    ] {
        let output = sandbox.run(&command);
        let message = words(&output.expect(2).stderr);
        assert!(
            message.contains("the root has no environment `onee`")
                && message.contains("did you mean `one:custom`?")
                && !message.contains("no model"),
            "{command:?}: {message}"
        );
    }
}

#[test]
fn a_misspelt_path_on_the_command_line_comes_with_what_was_probably_meant() {
    let sandbox = sandbox();
    sandbox.sync(&[]);
    for name in ["weights.pt", "start.xyz"] {
        sandbox.write(&format!("mine/{name}"), "1");
    }
    sandbox.run(&["bundle", "-o", "mine/carried"]).expect(0);
    let worker = ["worker", "one:custom", "--unix", "nobody"];
    let cases = [
        (
            [
                &worker[..],
                &["--species-from-server", "--weights", "mine/wieghts.pt"],
            ]
            .concat(),
            "mine/weights.pt",
        ),
        (
            vec!["probe", "one:custom", "--weights", "mien/weights.pt"],
            "mine/weights.pt",
        ),
        (
            vec![
                "worker",
                "one",
                "--unix",
                "nobody",
                "--template",
                "mine/strat.xyz",
            ],
            "mine/start.xyz",
        ),
        (
            vec!["probe", "one", "--structure", "mine/start.xzy"],
            "mine/start.xyz",
        ),
        (
            vec!["sync", "--offline", "--bundle", "mine/carreid"],
            "mine/carried",
        ),
        (
            vec!["lock", "--check", "--manifest", "rootstok.toml"],
            "rootstock.toml",
        ),
        (vec!["gc", "--root", "roto"], "root"),
    ];
    for (command, meant) in cases {
        let output = sandbox.run(&command);
        let message = words(&output.expect(2).stderr);
        assert!(message.contains("there is no "), "{command:?}: {message}");
        assert!(
            message.contains("did you mean `") && message.contains(&format!("{meant}`?")),
            "{command:?}: {message}"
        );
    }
    // Where nothing is near, the advice says so.
    let output = sandbox.run(&["probe", "one", "--structure", "elsewhere/zzz"]);
    let message = words(&output.expect(2).stderr);
    assert!(message.contains("correct the path"), "{message}");
}
