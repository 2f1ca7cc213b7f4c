//! `rootstock lock --record`: what was built once is what every other build must be, and no other lock changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use snapbox::str;

use crate::sandbox::Sandbox;

/// Changes a module of an unpacked wheel and every digest that the store has of it, as an attacker who knows the store would.
fn forge(sandbox: &Sandbox, root: &str) {
    let wheels = sandbox.path(root).join("store/wheels-2");
    let unpacked: PathBuf = fs::read_dir(&wheels)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let sum = |path: &Path| {
        let output = Command::new("sha256sum").arg(path).output().unwrap();
        String::from_utf8(output.stdout).unwrap()[..64].to_owned()
    };
    let module = unpacked.join("tree/site-packages/single/__init__.py");
    let old = (sum(&module), fs::metadata(&module).unwrap().len());
    fs::remove_file(&module).unwrap();
    fs::write(&module, "VERSION = \"evil\"\n").unwrap();
    let mut mode = fs::metadata(&module).unwrap().permissions();
    mode.set_readonly(true);
    fs::set_permissions(&module, mode).unwrap();
    let list = unpacked.join("files.txt");
    let text = fs::read_to_string(&list).unwrap();
    let line = |(sum, size): (String, u64)| format!("{sum} 0444 {size} ");
    let new = (sum(&module), fs::metadata(&module).unwrap().len());
    let forged = text.replace(&line(old), &line(new));
    assert_ne!(forged, text);
    fs::write(list, forged).unwrap();
}

fn remove(path: &Path) {
    let removed = Command::new("rm").arg("-rf").arg(path).status().unwrap();
    assert!(removed.success());
}

#[test]
fn what_is_recorded_stays_until_the_answer_changes() {
    let sandbox = Sandbox::shared();
    let without = sandbox.read("rootstock.lock");
    sandbox.sync(&["one"]);
    let output = sandbox.run(&["lock", "--record"]);
    output.expect(0);
    let rows: Vec<Vec<&str>> = output
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let tree = sandbox.stamp("root", "one", "tree");
    let tree = tree.as_str().unwrap();
    assert_eq!(rows[1][..2], ["one", "recorded"], "{}", output.stdout);
    assert_eq!(rows[1][3..], ["-", &tree[..12]], "{}", output.stdout);
    assert!(
        output
            .stderr
            .contains("two: nothing to record: it is not built"),
        "{}",
        output.stderr
    );
    let lock = sandbox.read("rootstock.lock");
    let id = sandbox.stamp("root", "one", "id");
    let line = format!("{} = {{ python = \"3.11.", id.as_str().unwrap());
    assert!(lock.contains(&line) && lock.contains(tree), "{lock}");

    // Nothing else has changed, and nothing changes it.
    let rest: Vec<&str> = lock.lines().filter(|line| !line.contains(tree)).collect();
    let rest = rest
        .join("\n")
        .replace("\n\n[environment.target.trees]", "");
    assert_eq!(rest, without.trim_end());
    for arguments in [&["lock", "--record"][..], &["lock"], &["lock", "--check"]] {
        sandbox.run(arguments).expect(0);
        assert_eq!(sandbox.read("rootstock.lock"), lock, "{arguments:?}");
    }
    let output = sandbox.sync(&["one"]);
    assert!(output.stdout.starts_with("up to date"), "{}", output.stdout);
    sandbox.sync(&["--root", "elsewhere", "one"]);
    assert_eq!(sandbox.stamp("elsewhere", "one", "tree"), tree);

    sandbox.write_source("one", &["shared", "first"], "# edited\n");
    let output = sandbox.run(&["lock"]);
    output.expect(0);
    assert!(output.stdout.contains(&tree[..12]), "{}", output.stdout);
    sandbox.write_source("one", &["shared", "first"], "");
    sandbox.lock();
    assert_eq!(sandbox.read("rootstock.lock"), without);
}

#[test]
fn a_build_that_is_another_one_is_refused_wherever_it_is_made() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    // Elsewhere the store was changed, and one environment is built from it already.
    for root in ["built", "new"] {
        sandbox.sync(&["--root", root]);
        remove(&sandbox.path(root).join("envs"));
        remove(&sandbox.path(root).join("generations"));
        forge(&sandbox, root);
    }
    sandbox.sync(&["--root", "built"]);
    sandbox.run(&["lock", "--record"]).expect(0);
    let (recorded, evil) = (
        sandbox.stamp("root", "one", "tree"),
        sandbox.stamp("built", "one", "tree"),
    );
    assert_ne!(recorded, evil);

    let output = sandbox.run(&["sync", "--root", "new"]);
    output.expect(1);
    let message = output.message();
    for part in [
        recorded.as_str().unwrap(),
        evil.as_str().unwrap(),
        "nothing was published",
        "something in the store was changed",
        "the system's Python 3.11.",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(sandbox.names("new/envs"), [""; 0]);
    assert_eq!(sandbox.names("new/generations/one"), [""; 0]);
    let kept = &sandbox.names("new/trash")[0];
    let list = sandbox.read(&format!("new/trash/{kept}/rootstock-tree.txt"));
    assert!(list.contains("single/__init__.py"), "{list}");

    // What is there already is seen by who compares, and made anew from what is as it should be.
    let check = sandbox.run(&["sync", "--check", "--root", "built"]);
    check.expect(3);
    assert!(
        check
            .stdout
            .contains("its files are not those that the lock records"),
        "{}",
        check.stdout
    );
    let status = sandbox.run(&["status", "--root", "built"]);
    assert!(status.stdout.contains("broken"), "{}", status.stdout);
    sandbox.run(&["sync", "--root", "built"]).expect(1);
    assert_eq!(sandbox.stamp("built", "one", "tree"), evil);
    let output = sandbox.run(&["lock", "--record", "--root", "built"]);
    output.expect(1);
    assert!(
        output.message().contains("nothing was recorded"),
        "{}",
        output.stderr
    );
    remove(&sandbox.path("built/store"));
    sandbox.sync(&["--root", "built"]);
    assert_eq!(sandbox.stamp("built", "one", "tree"), recorded);
    sandbox
        .run(&["sync", "--check", "--root", "built"])
        .expect(0);
}

/// As the help says, and no other way.
#[test]
fn a_record_is_forgotten_with_its_line_and_the_last_one_with_its_title() {
    let sandbox = Sandbox::single();
    let without = sandbox.read("rootstock.lock");
    sandbox.sync(&[]);
    sandbox.run(&["lock", "--record"]).expect(0);
    let tree = sandbox.stamp("root", "one", "tree");
    let lock = sandbox.read("rootstock.lock");
    let lines = lock.split_inclusive('\n');
    let of_nothing: String = lines
        .filter(|l| !l.contains(tree.as_str().unwrap()))
        .collect();
    sandbox.write("rootstock.lock", &of_nothing);
    let output = sandbox.run(&["lock", "--check"]);
    output.expect(3);
    assert!(
        output
            .message()
            .contains("`[environment.target.trees]` [lock-edited]"),
        "{output:?}"
    );
    let forgotten = of_nothing.replace("\n[environment.target.trees]\n", "");
    assert_eq!(forgotten, without);
    sandbox.write("rootstock.lock", &forgotten);
    sandbox.run(&["lock", "--check"]).expect(0);
}

#[test]
fn only_what_is_built_and_whole_is_recorded() {
    let sandbox = Sandbox::single();
    let lock = sandbox.read("rootstock.lock");
    let output = sandbox.run(&["lock", "--record"]);
    output.expect(4);
    output.stderr_is(
        &sandbox,
        str![[r#"
one: nothing to record: it is not built
  × nothing in `[PROJECT]/root` is built from this lock
  help: build it first, with `rootstock sync`, and record it then
"#]],
    );

    sandbox.sync(&[]);
    let module = sandbox
        .generation("root", "one")
        .join("lib/python3.11/site-packages/single/__init__.py");
    let mut writable = fs::metadata(&module).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut writable, 0o644);
    fs::set_permissions(&module, writable).unwrap();
    fs::write(&module, "VERSION = \"evil\"\n").unwrap();
    let output = sandbox.run(&["lock", "--record"]);
    output.expect(1);
    let message = output.message();
    assert!(message.contains("is not as it was built"), "{message}");
    assert_eq!(sandbox.read("rootstock.lock"), lock);

    sandbox.sync(&["--repair"]);
    sandbox.write_source("one", &["single"], "# edited\n");
    let output = sandbox.run(&["lock", "--record"]);
    output.expect(3);
    output.stderr_is(
        &sandbox,
        str![[r#"
`rootstock.lock` does not answer `rootstock.toml`:
  environment one: `environments/one.py` has changed [source-changed]
run `rootstock lock`, look at the difference, and commit it
"#]],
    );
    assert_eq!(sandbox.read("rootstock.lock"), lock);
}

#[test]
fn a_record_that_was_changed_by_hand_is_drift() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    sandbox.run(&["lock", "--record"]).expect(0);
    let lock = sandbox.read("rootstock.lock");
    let (tree, id) = (
        sandbox.stamp("root", "one", "tree"),
        sandbox.stamp("root", "one", "id"),
    );
    let (tree, id) = (tree.as_str().unwrap(), id.as_str().unwrap());
    for (from, to) in [
        (tree, "0".repeat(64)),
        (id, "0".repeat(32)),
        ("python = \"3.11.", "python = \"3.12.".to_owned()),
    ] {
        // The record stands behind all that the first environment says of Python.
        let (before, record) = lock.split_once("[environment.target.trees]").unwrap();
        let edited = format!(
            "{before}[environment.target.trees]{}",
            record.replacen(from, &to, 1)
        );
        assert_ne!(edited, lock);
        sandbox.write("rootstock.lock", &edited);
        let output = sandbox.run(&["lock", "--check"]);
        output.expect(3);
        assert!(output.stderr.contains("lock-edited"), "{}", output.stderr);
    }
}
