//! A build is announced by a claim, so that no work is done twice; correctness does not depend on claims.

use std::io::{BufRead, BufReader, Read};

use crate::sandbox::{Output, Sandbox};

const FILE: &str = "second-1.0-py3-none-any.whl";

#[test]
fn a_second_sync_takes_what_the_first_one_builds() {
    let sandbox = Sandbox::shared();
    sandbox.index.hold(FILE);
    let first = sandbox.start(&["sync"]);
    sandbox.index.wait_for(FILE);
    let answer = sandbox.run(&["status", "--json"]).json();
    for environment in answer["environments"].as_array().unwrap() {
        let building = &environment["building"][0];
        assert_eq!(building["process"], first.id());
        assert_eq!(building["builder"], "lives");
        assert!(
            building["since"].as_str().unwrap().ends_with('Z'),
            "{building}"
        );
    }
    let output = sandbox.run(&["status"]);
    let line = format!("(process {}) since", first.id());
    assert!(
        output.stdout.contains("one: being built by "),
        "{}",
        output.stdout
    );
    assert!(output.stdout.contains(&line), "{}", output.stdout);

    let mut second = sandbox.start(&["sync"]);
    let mut message = BufReader::new(second.stderr.take().unwrap());
    let mut line = String::new();
    message.read_line(&mut line).unwrap();
    assert!(line.starts_with("one is built by "), "{line}");
    assert!(
        line.contains(&format!("(process {})", first.id())),
        "{line}"
    );
    sandbox.index.release();
    message.read_to_string(&mut line).unwrap();
    let [first, second] =
        [first, second].map(|child| Output::from(child.wait_with_output().unwrap()));
    first.expect(0);
    assert!(
        first.stdout.starts_with("built one, two"),
        "{}",
        first.stdout
    );
    second.expect(0);
    assert!(
        second.stdout.starts_with("kept one, two"),
        "{}",
        second.stdout
    );
    let asked = sandbox.index.asked();
    assert_eq!(asked.iter().filter(|file| *file == FILE).count(), 1);
    assert_eq!(sandbox.names("root/claims"), [""; 0]);
}

#[test]
fn who_waits_builds_if_the_builder_dies() {
    let sandbox = Sandbox::shared();
    sandbox.index.hold(FILE);
    let mut first = sandbox.start(&["sync"]);
    sandbox.index.wait_for(FILE);
    let mut others: Vec<_> = (0..3).map(|_| sandbox.start(&["sync"])).collect();
    for other in &mut others {
        let mut line = String::new();
        let mut message = BufReader::new(other.stderr.as_mut().unwrap());
        message.read_line(&mut line).unwrap();
        assert!(
            line.contains(&format!("(process {})", first.id())),
            "{line}"
        );
    }
    // Its parent, this test, asks only later how it ended, as a shell or a scheduler may: until then it is listed.
    first.kill().unwrap();
    sandbox.index.release();
    for other in others {
        let status = other.wait_with_output().unwrap().status;
        assert_eq!(status.code(), Some(0));
    }
    sandbox.run(&["sync", "--check"]).expect(0);
    sandbox.run(&["doctor", "--deep"]).expect(0);
    assert_eq!(sandbox.names("root/claims"), [""; 0]);
    first.wait().unwrap();
}

#[test]
fn a_builder_that_was_killed_is_taken_over_at_once_with_its_staging() {
    let sandbox = Sandbox::shared();
    sandbox.index.hold(FILE);
    let mut first = sandbox.start(&["sync"]);
    sandbox.index.wait_for(FILE);
    let claims = sandbox.names("root/claims");
    let claim: serde_json::Value =
        serde_json::from_str(&sandbox.read(&format!("root/claims/{}", claims[0]))).unwrap();
    let maker = claim["maker"].as_str().unwrap();
    first.kill().unwrap();
    sandbox.index.release();
    // What it could have left anywhere, and what another host may still be making.
    let (ours, theirs) = (format!("{maker}-x"), "000000000000-1-7-1-x");
    for staging in ["generations/one/.staging-", "store/wheels-2/.making-"] {
        for maker in [&*ours, theirs] {
            sandbox.write(&format!("root/{staging}{maker}/file"), "half");
        }
    }
    for maker in [&*ours, theirs] {
        let link = sandbox.path(&format!("root/envs/.one-{maker}"));
        std::os::unix::fs::symlink("../generations/one/x", link).unwrap();
    }
    let output = sandbox.sync(&[]);
    assert!(!output.stderr.contains("is built by"), "{}", output.stderr);
    assert!(
        output.stdout.starts_with("built one, two"),
        "{}",
        output.stdout
    );
    let hidden = |directory: &str| {
        let mut names = sandbox.names(directory);
        names.retain(|name| name.starts_with('.') && !name.starts_with(".retired"));
        names
    };
    assert_eq!(
        hidden("root/generations/one"),
        [format!(".staging-{theirs}")]
    );
    assert_eq!(hidden("root/store/wheels-2"), [format!(".making-{theirs}")]);
    assert_eq!(hidden("root/envs"), [format!(".one-{theirs}")]);
    assert_eq!(sandbox.names("root/claims"), [""; 0]);
    first.wait().unwrap();
}

#[test]
fn damaged_or_unwritable_claims_block_no_build() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    let generation = sandbox.generation("root", "one");
    let id = generation.file_name().unwrap().to_str().unwrap();
    let claim = format!("root/claims/one@{id}.json");
    for (root, text) in [("damaged", "{"), ("empty", "")] {
        sandbox.write(&claim.replace("root/", &format!("{root}/")), text);
        sandbox.sync(&["--root", root]);
        assert_eq!(sandbox.names(&format!("{root}/claims")), [""; 0]);
    }
    sandbox.write("occupied/claims", "a file where the directory would be");
    let output = sandbox.sync(&["--root", "occupied"]);
    assert!(output.stdout.starts_with("built one"), "{}", output.stdout);
}
