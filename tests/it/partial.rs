//! One environment that cannot be locked does not stop the others, and each can be locked and synced by its name.

use snapbox::str;

use crate::sandbox::{Output, Sandbox, Wheel};

/// `one` and `two`, of which `two` has no solution, and a model in each.
fn project() -> Sandbox {
    let sandbox = Sandbox::new(&[("one", &["first"]), ("two", &["missing"])]);
    sandbox.index.add(&Wheel::simple("first", "1.0"));
    sandbox.more(
        "[models.a]\nenvironment = \"one\"\nargument = \"a\"\n\n\
         [models.b]\nenvironment = \"two\"\nargument = \"b\"\n",
    );
    sandbox.write(
        "rootstock.toml",
        &sandbox
            .read("rootstock.toml")
            .replace("python = \"3.11\"", "python = \"3.11\"\nprefetch = false"),
    );
    sandbox
}

fn names(sandbox: &Sandbox) -> Vec<String> {
    let lock = sandbox.read("rootstock.lock");
    let mut lines = lock.lines();
    let mut names = Vec::new();
    while lines.by_ref().any(|line| line == "[[environment]]") {
        names.push(lines.next().unwrap().to_owned());
    }
    names
}

fn codes(output: &Output) -> Vec<String> {
    let json = output.json();
    let findings = json["findings"].as_array().unwrap().iter();
    findings
        .map(|finding| {
            format!(
                "{} {}",
                finding["subject"].as_str().unwrap(),
                finding["code"].as_str().unwrap()
            )
        })
        .collect()
}

#[test]
fn what_can_be_locked_is_written_and_the_rest_is_named() {
    let sandbox = project();
    let output = sandbox.run(&["lock"]);
    output.expect(1);
    output.stderr_is(&sandbox, str![[r#"
resolving one …
resolving two …
  × one environment could not be locked
Error:
  × environment `two` has no solution for [MACHINE] (glibc 2.28) with Python 3.11: Because missing was not found in the package registry and you require missing, we can conclude that your requirements are unsatisfiable.
  help: change its requirements, in `environments/two.py` or in the manifest, so that one version of each package fits all
not in the lock: environment two
"#]]);
    assert_eq!(names(&sandbox), ["name = \"one\""]);
    assert!(
        output.stdout.contains("written: 1 environment, 1 model"),
        "{output:?}"
    );
    // A lock in which an environment is missing answers for the others.
    let output = sandbox.run(&["lock", "--check", "--json"]);
    output.expect(3);
    assert_eq!(
        codes(&output),
        ["environment two environment-added", "model b model-added"]
    );
    sandbox.run(&["lock", "--check", "one"]).expect(0);
    sandbox.run(&["lock", "--check", "a"]).expect(0);
    sandbox.run(&["lock", "--check", "b"]).expect(3);
    let output = sandbox.run(&["sync"]);
    output.expect(3).stderr_is(
        &sandbox,
        str![[r#"
`rootstock.lock` does not answer `rootstock.toml`:
  environment two: is in the manifest, but not in the lock [environment-added]
  model b: is in the manifest, but not in the lock [model-added]
run `rootstock lock`, look at the difference, and commit it
or sync what it answers: `rootstock sync one`
"#]],
    );
    sandbox.sync(&["one"]);
    sandbox.run(&["sync", "one", "--check"]).expect(0);
    sandbox.run(&["sync", "two"]).expect(3);
    sandbox
        .run(&["export", "one", "--format", "requirements"])
        .expect(0);
    sandbox
        .run(&["export", "two", "--format", "requirements"])
        .expect(3);
    sandbox.run(&["bundle", "one", "-o", "carried"]).expect(0);
    sandbox.run(&["lock", "one", "--record"]).expect(0);
    // The way out.
    sandbox.index.add(&Wheel::simple("missing", "1.0"));
    sandbox.lock();
    sandbox.sync(&[]);
    assert_eq!(names(&sandbox).len(), 2);
}

#[test]
fn what_fails_stays_in_the_lock_as_it_was() {
    let sandbox = project();
    sandbox.index.add(&Wheel::simple("missing", "1.0"));
    sandbox.lock();
    let before = sandbox.read("rootstock.lock");
    sandbox.write_source("two", &["missing>=2"], "");
    sandbox.index.add(&Wheel::simple("first", "2.0"));
    let output = sandbox.run(&["lock", "--upgrade", "--json"]);
    output.expect(1);
    let json = output.json();
    assert_eq!(json["failed"][0]["subject"], "environment two");
    assert_eq!(json["written"], true);
    assert_eq!(json["changes"].as_array().unwrap().len(), 1, "{json}");
    output.stderr_is(&sandbox, str![[r#"
resolving one …
resolving two …
  × one environment could not be locked
Error:
  × environment `two` has no solution for [MACHINE] (glibc 2.28) with Python 3.11: Because only missing==1.0 is available and you require missing>=2, we can conclude that your requirements are unsatisfiable.
  help: change its requirements, in `environments/two.py` or in the manifest, so that one version of each package fits all
as before in the lock: environment two
"#]]);
    let lock = sandbox.read("rootstock.lock");
    assert!(
        lock.contains("first 2.0") && lock.contains("missing 1.0"),
        "{lock}"
    );
    let section = |text: &str| {
        let at = text.find("name = \"two\"").unwrap();
        text[at..text.find("[models]").unwrap()].to_owned()
    };
    assert_eq!(section(&lock), section(&before));
    // Nothing more can be locked: the file is not touched, and the exit code says so again.
    let output = sandbox.run(&["lock"]);
    output.expect(1);
    assert!(
        output.stdout.contains("rootstock.lock is as it was"),
        "{output:?}"
    );
    assert_eq!(sandbox.read("rootstock.lock"), lock);
}

#[test]
fn where_nothing_can_be_locked_no_lock_is_begun() {
    let sandbox = Sandbox::new(&[("one", &["missing"]), ("two", &["missing"])]);
    let output = sandbox.run(&["lock"]);
    output.expect(1).stderr_is(&sandbox, str![[r#"
resolving one …
resolving two …
  × 2 environments could not be locked
Error:
  × environment `one` has no solution for [MACHINE] (glibc 2.28) with Python 3.11: Because missing was not found in the package registry and you require missing, we can conclude that your requirements are unsatisfiable.
  help: change its requirements, in `environments/one.py` or in the manifest, so that one version of each package fits all
Error:
  × environment `two` has no solution for [MACHINE] (glibc 2.28) with Python 3.11: Because missing was not found in the package registry and you require missing, we can conclude that your requirements are unsatisfiable.
  help: change its requirements, in `environments/two.py` or in the manifest, so that one version of each package fits all
"#]]);
    assert!(!sandbox.path("rootstock.lock").exists());
}

#[test]
fn weights_that_cannot_be_had_stop_their_model_alone() {
    let sandbox = project();
    sandbox.index.add(&Wheel::simple("missing", "1.0"));
    sandbox.more("weights = [{ url = \"file:///nowhere/w.bin\", path = \"w.bin\" }]");
    let output = sandbox.run(&["lock"]);
    output.expect(1);
    output.stderr_is(&sandbox, str![[r#"
resolving one …
resolving two …
downloading file:///nowhere/w.bin to learn its sha256 …
  × one model could not be locked
Error:
  × the weights of model `b` cannot be locked: cannot open `/nowhere/w.bin`: No such file or directory (os error 2)
  help: write its `sha256` (and the commit, if it is a file of the hub) into the manifest, and it need not be reached to be locked
not in the lock: model b
"#]]);
    sandbox.sync(&["one"]);
    sandbox.run(&["sync", "two"]).expect(3);
    sandbox.run(&["sync"]).expect(3);
}

#[test]
fn one_environment_is_locked_and_every_line_of_the_others_stays() {
    let sandbox = project();
    sandbox.index.add(&Wheel::simple("missing", "1.0"));
    sandbox.lock();
    let before = sandbox.read("rootstock.lock");
    for name in ["first", "missing"] {
        sandbox.index.add(&Wheel::simple(name, "2.0"));
    }
    sandbox.write_source("one", &["first>=2"], "");
    sandbox.write_source("two", &["missing>=2"], "");
    let output = sandbox.run(&["lock", "one"]);
    output.expect(0).stderr_is(
        &sandbox,
        str![[r#"
resolving one …
not asked for, and `rootstock.lock` does not answer the manifest for: two
"#]],
    );
    let lock = sandbox.read("rootstock.lock");
    assert!(
        lock.contains("first 2.0") && lock.contains("missing 1.0"),
        "{lock}"
    );
    let mut gone = before.lines().filter(|line| !lock.contains(line));
    assert!(gone.all(|line| !line.contains("missing")), "{lock}");
    sandbox.run(&["lock", "--check", "one"]).expect(0);
    sandbox.run(&["lock", "--check"]).expect(3);
    // By the name of a model; and moving on there alone.
    sandbox.run(&["lock", "b"]).expect(0);
    sandbox.run(&["lock", "--check"]).expect(0);
    for name in ["first", "missing"] {
        sandbox.index.add(&Wheel::simple(name, "3.0"));
    }
    sandbox.run(&["lock", "one", "--upgrade"]).expect(0);
    let lock = sandbox.read("rootstock.lock");
    assert!(
        lock.contains("first 3.0") && lock.contains("missing 2.0"),
        "{lock}"
    );
    // Only in one that has it.
    sandbox.run(&["lock", "nope"]).expect(2);
    sandbox.run(&["lock", "one", "--upgrade-env=two"]).expect(2);
    sandbox.write("rootstock.lock", &lock.replace("first 3.0", "first 3.1"));
    let output = sandbox.run(&["lock", "one"]);
    output.expect(3).stderr_is(
        &sandbox,
        str![[r#"
  × `rootstock.lock` was changed by hand
  help: `rootstock lock` without names resolves everything anew
"#]],
    );
}

#[test]
fn syncing_by_name_keeps_the_entries_of_other_environments() {
    let sandbox = project();
    sandbox.index.add(&Wheel::simple("missing", "1.0"));
    sandbox.lock();
    sandbox.sync(&[]);
    let models = sandbox.read("root/models.json");
    // The manifest calls the model with something else, and does not say it to the lock yet.
    let manifest = sandbox.read("rootstock.toml");
    sandbox.write(
        "rootstock.toml",
        &manifest.replace("argument = \"b\"", "argument = \"c\""),
    );
    sandbox.run(&["sync", "two"]).expect(3);
    sandbox.sync(&["one"]);
    assert_eq!(sandbox.read("root/models.json"), models);
    // An environment that is in no lock any more keeps what the root has of it.
    sandbox.write("rootstock.toml", &manifest);
    std::fs::remove_file(sandbox.path("rootstock.lock")).unwrap();
    sandbox.run(&["lock", "one"]).expect(0);
    assert_eq!(names(&sandbox), ["name = \"one\""]);
    sandbox.sync(&["one"]);
    assert_eq!(sandbox.read("root/models.json"), models);
}

#[test]
fn a_removed_environment_goes_with_a_lock_of_all_and_stays_with_a_lock_of_one() {
    let sandbox = project();
    sandbox.index.add(&Wheel::simple("missing", "1.0"));
    sandbox.lock();
    let manifest = sandbox.read("rootstock.toml");
    let at = manifest.find("\n[environments.two]").unwrap();
    let a = "\n[models.a]\nenvironment = \"one\"\nargument = \"a\"\n";
    sandbox.write("rootstock.toml", &(manifest[..at].to_owned() + a));
    sandbox.run(&["lock", "one"]).expect(0);
    assert_eq!(names(&sandbox).len(), 2);
    sandbox.lock();
    assert_eq!(names(&sandbox), ["name = \"one\""]);
    assert!(!sandbox.read("rootstock.lock").contains("\"b\""));
}
