//! `rootstock doctor --import`: what was built can be imported, as a worker would do it; or the report names the environment that
//! cannot, where it failed, and the fix.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::sandbox::{Output, Sandbox, Wheel, traces};

/// Environments with these sources, all with the package `single`, built.
fn built(sources: &[(&str, &str)]) -> Sandbox {
    let environments: Vec<(&str, &[&str])> = sources
        .iter()
        .map(|(name, _)| (*name, &["single"][..]))
        .collect();
    let sandbox = Sandbox::new(&environments);
    sandbox.index.add(&Wheel::simple("single", "1.0"));
    for (name, source) in sources {
        sandbox.write_source(name, &["single"], source);
    }
    sandbox.lock();
    // Some cannot be loaded.
    sandbox.sync(&["--only", "envs"]);
    sandbox
}

/// Each finding as `code path`, the path below the root; with the whole of it.
fn findings(sandbox: &Sandbox, output: &Output) -> Vec<(String, Value)> {
    let root = sandbox.path("root").canonicalize().unwrap();
    let answer = output.json();
    let findings = answer["findings"].as_array().unwrap();
    let named = findings.iter().map(|finding| {
        let path = Path::new(finding["path"].as_str().unwrap());
        let below = path.strip_prefix(&root).unwrap_or(path).display();
        let code = finding["code"].as_str().unwrap();
        (format!("{code} {below}"), finding.clone())
    });
    named.collect()
}

/// Where the first line of what [`Sandbox::write_source`] appends stands.
const FIRST: usize = 8;

#[test]
fn broken_imports_are_reported() {
    // Its `setup()` would end it; the variables are a worker's.
    let fine = "import os, single\n\
        def setup(*_): os._exit(7)\n\
        assert os.environ['HF_HUB_OFFLINE'] == '1' and 'PYTHONPATH' not in os.environ\n\
        print('loading')\n";
    let sandbox = built(&[
        ("fine", fine),
        ("killed", "import os\nos.kill(os.getpid(), 9)\n"),
        ("lacking", "import single\nimport nothere\n"),
        ("leaving", "import sys\nprint('bye')\nsys.exit(3)\n"),
    ]);
    let before =
        ["envs", "generations", "store"].map(|name| traces(&sandbox.path("root").join(name)));
    let import = |arguments: &[&str]| {
        let mut command = sandbox.command(&[&["doctor", "--import"], arguments].concat());
        Output::from(command.env("PYTHONPATH", "/evil").output().unwrap())
    };
    let result = import(&["--json"]);
    result.expect(1);
    let imports = result.json()["imports"].clone();
    let expected = serde_json::json!([
        { "environment": "fine", "imported": true, "reason": null },
        { "environment": "killed", "imported": false, "reason": "Python was killed by signal 9 (out of memory?)" },
        { "environment": "lacking", "imported": false, "reason": "ModuleNotFoundError: No module named 'nothere'" },
        { "environment": "leaving", "imported": false, "reason": "SystemExit: 3" },
    ]);
    assert_eq!(imports, expected);
    let found = findings(&sandbox, &result);
    let codes: Vec<&str> = found.iter().map(|(code, _)| code.as_str()).collect();
    assert_eq!(
        codes,
        [
            "import-failed envs/killed",
            "import-failed envs/lacking",
            "import-failed envs/leaving"
        ]
    );
    let fix = found[1].1["fix"].as_str().unwrap();
    assert!(
        fix.contains("add what is missing to its `dependencies`"),
        "{fix}"
    );
    let fix = found[0].1["fix"].as_str().unwrap();
    assert!(fix.contains("look again where it is to run"), "{fix}");

    // The same for people, with the end of the traceback.
    let text = import(&[]);
    text.expect(1);
    assert!(
        text.stdout.contains("can be imported: fine\n"),
        "{}",
        text.stdout
    );
    let line = "/envs/lacking: `lacking` cannot be imported: ModuleNotFoundError: No module named 'nothere' [import-failed]\n";
    assert!(text.stdout.contains(line), "{}", text.stdout);
    let place = format!("env_source.py\", line {}, in <module>\n", FIRST + 1);
    assert!(text.stdout.contains(&place), "{}", text.stdout);
    assert!(text.stdout.ends_with("3 findings\n"), "{}", text.stdout);
    assert!(
        text.stderr.contains("importing 4 environments"),
        "{}",
        text.stderr
    );

    // No bytecode, no caches.
    let after =
        ["envs", "generations", "store"].map(|name| traces(&sandbox.path("root").join(name)));
    assert_eq!(before, after);
    // Nothing is imported unless it is asked for.
    let result = sandbox.run(&["doctor", "--json"]);
    assert_eq!(result.expect(0).json()["imports"], Value::Null);
    let result = sandbox.run(&["doctor", "--import", "fine", "--deep"]);
    assert!(result.expect(0).stdout.contains("can be imported: fine\n"));
}

#[test]
fn an_import_that_takes_too_long_is_ended_and_located() {
    let hanging = "import threading\nprint('waiting')\nthreading.Event().wait()\n";
    let sandbox = built(&[("hanging", hanging)]);
    // Where the machine is busy, Python may not have come as far within a second.
    let (seconds, output) = (0..10)
        .map(|doubled| {
            let seconds = (1 << doubled).to_string();
            let arguments = ["doctor", "--import", "--import-timeout", &seconds, "--json"];
            let output = sandbox.run(&arguments);
            (seconds, output)
        })
        .find(|(_, output)| output.stdout.contains("in wait"))
        .expect("it waits in `wait`");
    output.expect(1);
    let found = findings(&sandbox, &output);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "import-failed envs/hanging");
    let message = found[0].1["message"].as_str().unwrap();
    assert!(
        message.starts_with(&format!(
            "`hanging` cannot be imported: not finished after {seconds} s\nTimeout ("
        )),
        "{message}"
    );
    let place = format!("env_source.py\", line {} in <module>", FIRST + 2);
    assert!(message.contains(&place), "{message}");
    let fix = found[0].1["fix"].as_str().unwrap();
    assert!(fix.contains("--import-timeout"), "{fix}");
}

/// The files of an environment that cannot be imported are looked at without being asked for: they explain it better.
#[test]
fn damage_that_breaks_an_import_is_found_and_repaired() {
    let sandbox = built(&[("one", "from single import VERSION\n"), ("two", "")]);
    sandbox.run(&["doctor", "--import"]).expect(0);
    let packages = sandbox
        .generation("root", "one")
        .join("lib/python3.11/site-packages/single");
    fs::set_permissions(&packages, fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(packages.join("__init__.py")).unwrap();
    fs::set_permissions(&packages, fs::Permissions::from_mode(0o555)).unwrap();
    assert_eq!(findings(&sandbox, &sandbox.run(&["doctor", "--json"])), []);
    let output = sandbox.run(&["doctor", "--import", "--json"]);
    output.expect(1);
    let found = findings(&sandbox, &output);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0].0, "import-failed envs/one");
    assert!(
        found[1].0.starts_with("file-missing generations/one/"),
        "{found:?}"
    );
    let message = found[0].1["message"].as_str().unwrap();
    assert!(
        message.contains("cannot import name 'VERSION' from 'single'"),
        "{message}"
    );
    assert_eq!(
        found[0].1["fix"],
        "its files are not as they were built: `rootstock sync --repair one`"
    );
    sandbox.sync(&["--repair", "one"]);
    sandbox.run(&["doctor", "--import"]).expect(0);
}

#[test]
fn only_what_is_named_is_imported_and_must_be_there() {
    let sandbox = built(&[("broken", "1 / 0\n"), ("fine", "")]);
    sandbox.more("models = [\"short\"]\n\n[environments.later]\nsource = \"environments/later.py\"\npython = \"3.11\"\noptional = true");
    sandbox.write_source("later", &["single"], "");
    sandbox.lock();
    sandbox.sync(&["--only", "envs"]);
    let output = sandbox.run(&["doctor", "--import", "fine", "fine"]);
    assert!(output.expect(0).stdout.contains("can be imported: fine\n"));
    // What was never built lacks nothing.
    let output = sandbox.run(&["doctor", "--import", "--json"]);
    let imports = output.expect(1).json()["imports"].clone();
    let names: Vec<&str> = imports
        .as_array()
        .unwrap()
        .iter()
        .map(|import| import["environment"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["broken", "fine"]);
    for (name, code, message) in [
        ("nothing", 2, "the root has no environment `nothing`"),
        ("fine-short", 2, "`fine-short` is a model"),
        ("later", 4, "environment `later` is not built"),
    ] {
        let output = sandbox.run(&["doctor", "--import", name]);
        output.expect(code);
        assert!(output.stderr.contains(message), "{}", output.stderr);
    }
    // An environment that cannot run says so where it was not named.
    let python = sandbox
        .generation("root", "fine")
        .join("rootstock-stamp.json");
    fs::set_permissions(&python, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&python, "{}").unwrap();
    let output = sandbox.run(&["doctor", "--import"]);
    output.expect(1);
    assert!(
        output
            .stdout
            .contains("  skipped: environment `fine` is not built\n"),
        "{}",
        output.stdout
    );
    assert!(
        output.stdout.contains("[stamp-unreadable]"),
        "{}",
        output.stdout
    );
}
