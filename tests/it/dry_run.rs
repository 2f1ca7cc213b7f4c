//! `sync --dry-run`: amounts for each environment, and how files are linked.

use std::os::unix::fs::MetadataExt;

use serde_json::Value;

use snapbox::str;

use crate::sandbox::{Output, Sandbox, retry_until, trace, traces};

fn dry(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let output = sandbox.run(&[&["sync", "--dry-run", "--json"], arguments].concat());
    output.expect(0);
    output.json()
}

#[test]
fn each_environment_is_listed_with_bytes_and_inodes() {
    let sandbox = Sandbox::shared();
    let answer = dry(&sandbox, &[]);
    for step in answer["environments"].as_array().unwrap() {
        assert_eq!(step["download"]["files"], 2);
        assert!(
            step["download"]["bytes"].as_u64().unwrap() > 1_000,
            "{step}"
        );
        assert_eq!(step["disk"]["estimated-packages"], 2);
    }
    // What both need is downloaded once.
    assert_eq!(answer["download"]["files"], 3);
    let output = sandbox.run(&["sync", "--dry-run"]);
    assert!(
        output.stdout.contains("  download 2 files, "),
        "{}",
        output.stdout
    );
    let estimated = "inodes (estimated for 2 packages that are not in the store)";
    assert!(output.stdout.contains(estimated), "{}", output.stdout);
    assert!(sandbox.names("root").is_empty());

    sandbox.sync(&["one"]);
    let steps = dry(&sandbox, &["two"]);
    let step = &steps["environments"][0];
    assert_eq!(
        (
            &step["download"]["files"],
            &step["disk"]["estimated-packages"]
        ),
        (&1.into(), &1.into())
    );

    // The size of an unpacked wheel is known exactly.
    let answer = dry(&sandbox, &["--force", "one"]);
    let step = &answer["environments"][0];
    assert_eq!(
        (
            &step["download"]["files"],
            &step["disk"]["estimated-packages"]
        ),
        (&0.into(), &0.into())
    );
    let there = traces(&sandbox.generation("root", "one")).len();
    assert_eq!(step["disk"]["inodes"], there);
    let source = sandbox.read("environments/one.py").len() as u64;
    let bytes = sandbox.stamp("root", "one", "bytes").as_u64().unwrap();
    assert_eq!(step["disk"]["bytes"], bytes - source);
    let kept = dry(&sandbox, &["one"]);
    assert_eq!(kept["environments"][0]["disk"], Value::Null);
}

/// As far as the filesystem and the programs that know of quotas say.
#[test]
fn what_may_not_fit_is_reported_before_it_is_tried() {
    let sandbox = Sandbox::single();
    let answer = dry(&sandbox, &[]);
    let room = &answer["room"][0];
    assert_eq!(
        (&room["of"], &room["enough"]),
        (&"filesystem".into(), &true.into())
    );
    assert_eq!(answer["room"].as_array().unwrap().len(), 1);
    // A root that is not there yet is asked about where it will be.
    let user = std::fs::metadata(sandbox.path("")).unwrap().uid();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *' -u '*) ;; *) exit 1;; esac\necho 'Disk quotas for user me (uid {user}):'\n\
         echo '/dev/x 0 0 1000000 0 9997 0 10000 0'\n"
    );
    sandbox.write("bin/quota", &script);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(sandbox.path("bin/quota"), executable).unwrap();
    let second = || dry(&sandbox, &[])["room"][1].clone();
    let room = retry_until(second, |room| !room.is_null());
    let expected = serde_json::json!({
        "of": format!("user {user}"), "bytes-left": 1_024_000_000, "inodes-left": 3, "enough": false,
    });
    assert_eq!(room, expected);
    let message = format!(
        "inodes if nothing is linked, and the quota of user {user} has 1.02 GB and 3 inodes left\n"
    );
    let text = || sandbox.run(&["sync", "--dry-run"]);
    let output = retry_until(text, |output| output.stdout.contains("this may not fit: "));
    assert!(output.stdout.contains(&message), "{}", output.stdout);
    sandbox.sync(&[]);
    let output = sandbox.run(&["sync", "--dry-run"]);
    assert!(
        !output.expect(0).stdout.contains("fit"),
        "{}",
        output.stdout
    );
}

#[test]
fn files_are_linked_as_was_asked_for() {
    let sandbox = Sandbox::single();
    let names = |root: &str| {
        let file = sandbox.generation(root, "one");
        let file = file.join("lib/python3.11/site-packages/single/__init__.py");
        std::fs::metadata(file).unwrap().nlink()
    };
    sandbox.sync(&["--root", "copied", "--link-mode", "copy"]);
    assert_eq!(names("copied"), 1);
    sandbox.sync(&["--root", "linked", "--link-mode", "hardlink"]);
    assert_eq!(names("linked"), 2);
    // A cluster before the manifest, an argument before both; the lock knows nothing of it.
    let manifest = sandbox.read("rootstock.toml");
    let manifest = manifest.replace("[rootstock]\n", "[rootstock]\nlink-mode = \"copy\"\n");
    let clusters = "\n[clusters.here]\nroot = \"of-the-cluster\"\nlink-mode = \"hardlink\"\n";
    sandbox.write("rootstock.toml", &format!("{manifest}{clusters}"));
    sandbox.run(&["lock", "--check"]).expect(0);
    sandbox.sync(&["--root", "by-manifest"]);
    assert_eq!(names("by-manifest"), 1);
    sandbox.sync(&["--cluster", "here"]);
    assert_eq!(names("of-the-cluster"), 2);
    let tree = |root| sandbox.stamp(root, "one", "tree");
    assert_eq!(tree("copied"), tree("linked"));

    sandbox.write(
        "rootstock.toml",
        &manifest.replace("\"copy\"", "\"hardlinks\""),
    );
    let output = sandbox.run(&["sync"]);
    output.expect(2);
    output.stderr_is(
        &sandbox,
        str![[r#"
  × one thing is wrong with the manifest
Error:
  × `hardlinks` is no way to link files
   ╭─[rootstock.toml:2:13]
 1 │ [rootstock]
 2 │ link-mode = "hardlinks"
   ·             ─────┬─────
   ·                  ╰── `auto`, `reflink`, `hardlink` or `copy`
 3 │ root = "root"
   ╰────
  help: did you mean `hardlink`?
"#]],
    );
    sandbox.run(&["sync", "--link-mode", "soft"]).expect(2);
}

#[test]
fn a_way_to_link_that_does_not_work_here_is_refused() {
    if !trace::is_possible() {
        return;
    }
    let sandbox = Sandbox::single();
    let refused = |result: &Output, what: &str| {
        result.expect(1);
        let refusal = format!("`link-mode` asks for {what}, which do not work here");
        assert!(result.message().contains(&refusal), "{}", result.stderr);
        assert!(result.stderr.contains("auto"), "{}", result.stderr);
        assert!(sandbox.names("root/envs").is_empty());
    };
    let fault = "inject=link,linkat:error=EOPNOTSUPP";
    let mut command = trace::command(&sandbox, &["trace=link,linkat", fault]);
    let result = command.args(["sync", "--link-mode", "hardlink"]).output();
    refused(&Output::from(result.unwrap()), "hard links");
    let result = sandbox.run(&["sync", "--link-mode", "reflink"]);
    let filesystem = sandbox.run(&["doctor", "--json"]).json();
    if filesystem["filesystem"]["abilities"]["reflink"] == false {
        refused(&result, "reflinks");
    } else {
        result.expect(0);
    }
    sandbox.sync(&[]);
}
