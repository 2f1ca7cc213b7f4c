//! `rootstock status`: what is there, without touching it.

use serde_json::{Value, json};

use rootstock::store::Stamp;
use rootstock::store::stamp::Found;

use crate::sandbox::{Sandbox, traces};

fn states(sandbox: &Sandbox) -> Vec<Value> {
    let output = sandbox.run(&["status", "--json"]);
    let status = output.expect(0).json();
    let environments = status["environments"].as_array().unwrap();
    environments.iter().map(|e| e["state"].clone()).collect()
}

#[test]
fn the_state_of_every_environment_and_model_is_reported() {
    let sandbox = Sandbox::shared();
    let manifest = sandbox.read("rootstock.toml") + "models = [\"small\"]\n";
    sandbox.write("rootstock.toml", &manifest);
    assert_eq!(states(&sandbox), ["missing", "missing"]);
    assert!(!sandbox.path("root").exists());
    sandbox.lock();
    sandbox.sync(&["one"]);

    let output = sandbox.run(&["status", "--json", "--sizes"]);
    let status = output.expect(0).json();
    assert_eq!(status["drifted"], false);
    let [one, two] = status["environments"].as_array().unwrap().as_slice() else {
        panic!("{status}")
    };
    let generation = sandbox.generation("root", "one");
    assert_eq!(one["name"], "one");
    assert_eq!(one["state"], "fresh");
    assert_eq!(one["packages"], 2);
    assert_eq!(one["path"], json!(generation));
    assert_eq!(one["id"], sandbox.stamp("root", "one", "id"));
    assert_eq!(one["python"]["identity"]["implementation"], "cpython");
    assert_eq!(
        (&two["state"], &two["path"]),
        (&json!("missing"), &Value::Null)
    );
    let small = json!({ "id": "two-small", "environment": "two", "argument": "small", "state": "missing", "reason": null });
    assert!(
        status["models"].as_array().unwrap().contains(&small),
        "{status}"
    );
    assert!(status["bytes"]["store"].as_u64().unwrap() > 0);
}

#[test]
fn a_drifted_lock_is_reported_and_is_no_error() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    assert_eq!(states(&sandbox), ["fresh"]);
    sandbox.write_source("one", &["single"], "# edited\n");
    let output = sandbox.run(&["status"]);
    output.expect(0);
    assert!(
        output
            .stderr
            .contains("the lock does not answer the manifest"),
        "{}",
        output.stderr
    );
    sandbox.lock();
    assert_eq!(states(&sandbox), ["stale"]);
}

#[test]
fn what_is_broken_is_reported_with_its_reason() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    let link = sandbox.path("root/envs/one");
    let generation = sandbox.generation("root", "one");
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("../generations/one/gone", &link).unwrap();
    assert_eq!(states(&sandbox), ["incomplete"]);
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/", &link).unwrap();
    let output = sandbox.run(&["status"]);
    output.expect(0);
    let message = "one: its link leads to `/`, which is not one of its generations\n";
    assert!(output.stdout.contains(message), "{}", output.stdout);
    // The generation is there still: a sync only has to lead to it again.
    assert!(sandbox.sync(&[]).stdout.starts_with("switched one ("));
    assert_eq!(sandbox.generation("root", "one"), generation);
}

#[test]
fn status_reads_only() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    let before = traces(&sandbox.path("root"));
    let output = sandbox
        .command(&["status", "--sizes"])
        .env("PATH", "")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(traces(&sandbox.path("root")), before);
}

#[test]
fn what_an_older_rootstock_built_in_another_format_is_stale() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    let current = sandbox.generation("root", "one");
    let id = current.file_name().unwrap().to_str().unwrap().to_owned();
    // As a rootstock of the format before this one has left it: everything is whole, under the name of that format.
    let stamp = current.join("rootstock-stamp.json");
    let Found::Stamp(mut old) = Stamp::read(&current).unwrap() else {
        panic!("it has a stamp")
    };
    old.id = "0".repeat(32);
    std::fs::remove_file(&stamp).unwrap();
    std::fs::write(&stamp, old.text()).unwrap();
    let other = current.with_file_name(&old.id);
    std::fs::rename(&current, &other).unwrap();
    let link = sandbox.path("root/envs/one");
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(format!("../generations/one/{}", old.id), &link).unwrap();

    let because = format!("rootstock {} built it in another format", old.rootstock);
    let output = sandbox.run(&["status", "--json"]);
    let environment = &output.json()["environments"][0];
    assert_eq!(environment["state"], "stale", "{}", output.stdout);
    assert!(output.stdout.contains(&because), "{}", output.stdout);
    let output = sandbox.run(&["sync", "--check"]);
    output.expect(3);
    assert!(
        format!("{}{}", output.stdout, output.message()).contains(&because),
        "{}\n{}",
        output.stdout,
        output.stderr
    );
    // It can be used until it is rebuilt.
    sandbox
        .run(&["run", "one", "--", "python", "-c", "0"])
        .expect(0);
    sandbox.sync(&[]);
    assert_eq!(sandbox.stamp("root", "one", "id"), id.as_str());
    sandbox.run(&["sync", "--check"]).expect(0);
}
