//! What depends on the patch version of a system's Python, or on the kernel, is refused with its name, never decided for
//! one machine.

use snapbox::str;

use crate::sandbox::{Sandbox, Wheel, python_version as here};

/// An environment on the system's `3.11`, with `bar` and `baz` in the index.
fn project(dependencies: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new(&[("one", dependencies)]);
    for name in ["bar", "baz"] {
        sandbox.index.add(&Wheel::simple(name, "1.0"));
    }
    sandbox
}

/// The lock is refused and asks for this machine's exact version.
#[track_caller]
fn refused(sandbox: &Sandbox) -> String {
    let output = sandbox.run(&["lock"]);
    output.expect(1);
    let message = output.message();
    assert!(
        message.contains("environment `one` is asked for on Python 3.11, but what it needs depends on the patch version"),
        "{message}"
    );
    assert!(
        message.contains(&format!("`python = \"{}\"`", here())),
        "{message}"
    );
    message
}

/// Does as it is advised.
fn pin(sandbox: &Sandbox) {
    let manifest = sandbox.read("rootstock.toml");
    let exact = format!("python = \"{}\"", here());
    sandbox.write(
        "rootstock.toml",
        &manifest.replace("python = \"3.11\"", &exact),
    );
}

const MARKED: [&str; 2] = [
    "bar; python_full_version >= '3.11.3'",
    "baz; python_full_version < '3.11.3'",
];

#[test]
fn a_dependency_by_patch_version_asks_for_the_exact_one() {
    let sandbox = project(&MARKED);
    let message = refused(&sandbox);
    assert!(
        message.contains("with 3.11.0 `baz 1.0`") && message.contains("`bar 1.0`"),
        "{message}"
    );
    pin(&sandbox);
    sandbox.lock();
    sandbox.run(&["lock", "--check"]).expect(0);
    sandbox.sync(&[]);
    let patch: u64 = here().rsplit('.').next().unwrap().parse().unwrap();
    let (there, gone) = if patch >= 3 {
        ("bar", "baz")
    } else {
        ("baz", "bar")
    };
    let code = format!(
        "import importlib.util as u; print(bool(u.find_spec('{there}')), bool(u.find_spec('{gone}')))"
    );
    assert_eq!(sandbox.python("one", &code), "True False\n");
}

#[test]
fn a_dependency_of_a_dependency_does_so_too() {
    let sandbox = project(&["foo"]);
    let foo = Wheel::simple("foo", "1.0")
        .requires(MARKED[0])
        .requires(MARKED[1]);
    sandbox.index.add(&foo);
    refused(&sandbox);
    pin(&sandbox);
    sandbox.lock();
}

#[test]
fn every_marker_and_requirement_that_patch_versions_differ_in_is_seen() {
    let dependencies: [&[&str]; 5] = [
        &["bar; python_full_version != '3.11.2'"],
        &["bar; python_full_version == '3.11.5'"],
        &["bar; implementation_version >= '3.11.4'"],
        &["bar; python_full_version >= '3.11.4' and python_full_version < '3.11.6'"],
        &["bar<2; python_full_version < '3.11.50'"],
    ];
    for dependencies in dependencies {
        refused(&project(dependencies));
    }
    // A version that is for some of them alone.
    let sandbox = project(&["bar"]);
    let newer = Wheel::simple("bar", "2.0").requires_python(">=3.11.3");
    sandbox.index.add(&newer);
    let message = refused(&sandbox);
    assert!(
        message.contains("`bar 1.0`") && message.contains("`bar 2.0`"),
        "{message}"
    );
    let sandbox = project(&["bar"]);
    let foo = Wheel::simple("foo", "1.0").requires("baz; python_full_version != '3.11.2'");
    sandbox.index.add(&foo);
    sandbox.write_source("one", &["foo"], "");
    let message = refused(&sandbox);
    assert!(message.contains("3.11.2 without that"), "{message}");
}

#[test]
fn a_narrower_requires_python_is_the_other_way_out_and_sync_keeps_to_it() {
    let sandbox = project(&MARKED);
    let source = |specifiers: &str| {
        let text = sandbox.read("environments/one.py");
        let line = text
            .lines()
            .find(|line| line.contains("requires-python"))
            .unwrap()
            .to_owned();
        let new = format!("# requires-python = \"{specifiers}\"");
        sandbox.write("environments/one.py", &text.replace(&line, &new));
    };
    source(">=3.11.3");
    sandbox.lock();
    let lock = sandbox.read("rootstock.lock");
    assert!(
        lock.contains("bar 1.0") && !lock.contains("baz 1.0"),
        "{lock}"
    );
    sandbox.run(&["lock", "--check"]).expect(0);
    source("<3.11.3");
    sandbox.lock();
    let lock = sandbox.read("rootstock.lock");
    assert!(
        lock.contains("baz 1.0") && !lock.contains("bar 1.0"),
        "{lock}"
    );
    // No interpreter of this machine is below that.
    source("==3.11.90");
    sandbox.lock();
    let output = sandbox.run(&["sync"]);
    output.expect(1);
    assert!(
        output
            .message()
            .contains("is not allowed by `requires-python = \"==3.11.90\"`"),
        "{output:?}"
    );
}

#[test]
fn what_no_patch_version_differs_in_needs_none() {
    let sandbox = project(&[
        "bar; python_version >= '3.11'",
        "baz; python_full_version < '3.11.0a7'",
    ]);
    sandbox.lock();
    let lock = sandbox.read("rootstock.lock");
    assert!(
        lock.contains("bar 1.0") && !lock.contains("baz 1.0"),
        "{lock}"
    );
    sandbox.run(&["lock", "--check"]).expect(0);
}

#[test]
fn a_lock_knows_no_kernel() {
    let lock = |marker: &str| {
        let sandbox = project(&[&format!("bar; {marker}")]);
        let output = sandbox.run(&["lock"]);
        output.expect(1);
        (sandbox, output)
    };
    let (sandbox, output) = lock("platform_release >= '5'");
    output.stderr_is(&sandbox, str![[r#"
resolving one …
  × one environment could not be locked
Error:
  × environment `one`: whether `bar` is needed depends on the machine's kernel: bar ; platform_release >= '5'
  help: decide it for all machines, under [environments.one]: `overrides = ["bar"]` to have it, `exclude = ["bar"]` not to; a dependency of your own you can write without that marker
"#]]);
    let (sandbox, output) = lock("platform_version != 'x'");
    output.stderr_is(&sandbox, str![[r#"
resolving one …
  × one environment could not be locked
Error:
  × environment `one`: whether `bar` is needed depends on the machine's kernel: bar ; platform_version != 'x'
  help: decide it for all machines, under [environments.one]: `overrides = ["bar"]` to have it, `exclude = ["bar"]` not to; a dependency of your own you can write without that marker
"#]]);
    let sandbox = project(&["bar; sys_platform == 'darwin' and platform_release >= '20'"]);
    sandbox.lock();
    assert!(!sandbox.read("rootstock.lock").contains("bar 1.0"));
}

#[test]
fn markers_that_depend_on_the_machine_are_evaluated_before_the_build() {
    let here = here();
    for (wheel, message) in [
        (
            Wheel::simple("foo", "1.0").requires_python(&format!(">=3.11,!={here}")),
            format!("`foo 1.0` requires Python >=3.11,!={here}, and this is Python {here}"),
        ),
        (
            Wheel::simple("foo", "1.0").requires("baz; platform_release >= '1'"),
            "`foo 1.0` requires `baz; platform_release >= '1'` on this machine".to_owned(),
        ),
    ] {
        let sandbox = project(&["foo"]);
        sandbox.index.add(&wheel);
        sandbox.lock();
        let text = sandbox.run(&["sync"]).expect(1).message();
        assert!(text.contains(&message), "{text}");
        assert_eq!(sandbox.names("root/envs"), [""; 0]);
        // The advice can be followed, where it is about a package.
        if message.contains("baz") {
            sandbox.write_source("one", &["foo", "baz"], "");
            sandbox.lock();
            sandbox.sync(&[]);
        }
    }
    // What is left out on purpose is not missed.
    let sandbox = project(&["foo"]);
    let needing = Wheel::simple("foo", "1.0").requires("baz; platform_release >= '1'");
    sandbox.index.add(&needing);
    sandbox.more("exclude = [\"baz\"]");
    sandbox.lock();
    sandbox.sync(&[]);
}
