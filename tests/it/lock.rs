//! `rootstock lock`: the same manifest, the same bytes; what is locked stays until it is upgraded.

use snapbox::str;

use crate::sandbox::{Index, Sandbox, Wheel};

/// Two environments with dependencies that have dependencies, not locked yet.
fn project() -> Sandbox {
    let sandbox = Sandbox::new(&[("one", &["first"]), ("two", &["second>=1"])]);
    sandbox
        .index
        .add(&Wheel::simple("first", "1.0").requires("shared>=1"));
    sandbox
        .index
        .add(&Wheel::simple("second", "1.0").requires("shared"));
    sandbox.index.add(&Wheel::simple("shared", "1.0"));
    sandbox
}

#[test]
fn the_same_manifest_gives_the_same_bytes_everywhere() {
    let (here, elsewhere) = (project(), project());
    here.lock();
    let lock = here.read("rootstock.lock");
    here.lock();
    assert_eq!(here.read("rootstock.lock"), lock, "again");
    elsewhere.lock();
    assert_eq!(
        elsewhere.read("rootstock.lock"),
        lock,
        "another directory, another index"
    );
    for absent in ["http", "127.0.0.1", "/tmp", here.path("").to_str().unwrap()] {
        assert!(!lock.contains(absent), "{absent}");
    }
}

#[test]
fn what_is_locked_stays_until_it_is_upgraded() {
    let sandbox = project();
    sandbox.lock();
    let before = sandbox.read("rootstock.lock");
    for name in ["first", "second", "shared"] {
        sandbox.index.add(&Wheel::simple(name, "2.0"));
    }
    sandbox.lock();
    assert_eq!(sandbox.read("rootstock.lock"), before);
    // A new dependency leaves the versions of the others alone.
    sandbox.write_source("one", &["first", "second"], "");
    sandbox.lock();
    let lock = sandbox.read("rootstock.lock");
    assert!(
        lock.contains("\"first 1.0 ") && !lock.contains("\"first 2.0 "),
        "{lock}"
    );
    let output = sandbox.run(&["lock", "--upgrade=shared"]);
    output.expect(0);
    assert_eq!(
        output
            .stdout
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()[..3],
        [
            "where what was now",
            "one shared 1.0 2.0",
            "two shared 1.0 2.0"
        ]
    );
    sandbox.run(&["lock", "--upgrade"]).expect(0);
    assert!(!sandbox.read("rootstock.lock").contains(" 1.0 "));
}

#[test]
fn a_package_comes_from_its_own_index_and_nothing_else_does() {
    let sandbox = Sandbox::new(&[("one", &["first"])]);
    let own = Index::start();
    sandbox
        .index
        .add(&Wheel::simple("first", "1.0").requires("shared"));
    sandbox.index.add(&Wheel::simple("shared", "3.0"));
    own.add(&Wheel::simple("shared", "2.0"));
    // `first` is not routed to this index: its version is never chosen, however high.
    own.add(&Wheel::simple("first", "99.0"));
    let manifest = sandbox.read("rootstock.toml");
    let indexes = format!(
        "{manifest}indexes = {{ shared = \"own\" }}\n\n[indexes.own]\nurl = \"{}\"\n",
        own.url()
    );
    sandbox.write("rootstock.toml", &indexes);
    sandbox.lock();
    let lock = sandbox.read("rootstock.lock");
    assert!(
        lock.contains("\"first 1.0 ") && lock.contains("\"shared 2.0 "),
        "{lock}"
    );
    assert!(
        lock.contains("{ index = \"own\", file = \"shared-2.0") && !lock.contains(&own.url()),
        "{lock}"
    );
    sandbox.sync(&[]);
    assert_eq!(own.asked(), ["shared-2.0-py3-none-any.whl"]);
    assert_eq!(
        sandbox.python("one", "import shared; print(shared.VERSION)"),
        "2.0\n"
    );
    // A mirror of the index is the same index; another route is drift.
    sandbox.write(
        "rootstock.toml",
        &indexes.replace(&own.url(), "https://mirror.example.com/simple"),
    );
    sandbox.run(&["lock", "--check"]).expect(0);
    sandbox.write("rootstock.toml", &manifest);
    sandbox.run(&["lock", "--check"]).expect(3);
}

#[test]
fn constraints_overrides_and_exclusions_are_obeyed() {
    let sandbox = Sandbox::new(&[("one", &["first"])]);
    sandbox.index.add(
        &Wheel::simple("first", "1.0")
            .requires("shared<2")
            .requires("unwanted")
            .requires("second"),
    );
    for (name, version) in [
        ("shared", "1.0"),
        ("shared", "2.0"),
        ("second", "1.0"),
        ("second", "2.0"),
        ("unwanted", "1.0"),
    ] {
        sandbox.index.add(&Wheel::simple(name, version));
    }
    let manifest = sandbox.read("rootstock.toml");
    let more =
        "constraints = [\"second<2\"]\noverrides = [\"shared==2.0\"]\nexclude = [\"unwanted\"]\n";
    sandbox.write("rootstock.toml", &format!("{manifest}{more}"));
    sandbox.lock();
    let lock = sandbox.read("rootstock.lock");
    assert!(
        lock.contains("\"second 1.0 ")
            && lock.contains("\"shared 2.0 ")
            && !lock.contains("\"unwanted 1.0"),
        "{lock}"
    );
    sandbox.run(&["lock", "--check"]).expect(0);
}

#[test]
fn one_lock_covers_several_targets() {
    let sandbox = project();
    let manifest = sandbox.read("rootstock.toml");
    let targets = "[rootstock]\ntargets = [\"linux-aarch64\", \"linux-x86_64\"]\n";
    let floor = "\n[targets.linux-aarch64]\nglibc = \"2.34\"\n";
    sandbox.write(
        "rootstock.toml",
        &format!("{}{floor}", manifest.replace("[rootstock]\n", targets)),
    );
    sandbox.lock();
    let lock = sandbox.read("rootstock.lock");
    assert_eq!(
        lock.matches("name = \"linux-aarch64\"\nglibc = \"2.34\"")
            .count(),
        2,
        "{lock}"
    );
    assert_eq!(
        lock.matches("name = \"linux-x86_64\"\nglibc = \"2.28\"")
            .count(),
        2,
        "{lock}"
    );
    assert_eq!(
        lock.matches("cpython-311-aarch64-linux-gnu").count(),
        2,
        "{lock}"
    );
}

#[test]
fn what_cannot_be_resolved_is_explained_by_environment() {
    let sandbox = Sandbox::new(&[("one", &["first", "second"]), ("two", &["first"])]);
    sandbox
        .index
        .add(&Wheel::simple("first", "1.0").requires("shared==1"));
    sandbox
        .index
        .add(&Wheel::simple("second", "1.0").requires("shared==2"));
    sandbox.index.add(&Wheel::simple("shared", "1"));
    sandbox.index.add(&Wheel::simple("shared", "2"));
    let output = sandbox.run(&["lock"]);
    output.expect(1);
    output.stderr_is(&sandbox, str![[r#"
resolving one …
resolving two …
  × one environment could not be locked
Error:
  × environment `one` has no solution for [MACHINE] (glibc 2.28) with Python 3.11: Because all versions of second depend on shared==2 and all versions of first depend on shared==1, we can conclude that all versions of first and all versions of second are incompatible. And because you require first and second, we can conclude that your requirements are unsatisfiable.
  help: change its requirements, in `environments/one.py` or in the manifest, so that one version of each package fits all
not in the lock: environment one
"#]]);
    let lock = sandbox.read("rootstock.lock");
    assert!(
        lock.contains("name = \"two\"") && !lock.contains("name = \"one\""),
        "what has a solution is locked: {lock}"
    );
}

#[test]
fn without_the_index_the_old_lock_is_kept_and_the_way_out_is_named() {
    let sandbox = project();
    sandbox.lock();
    let before = sandbox.read("rootstock.lock");
    sandbox.write_source("one", &["first", "second"], "");
    let mut command = sandbox.command(&["lock"]);
    command
        .env("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
        .env("UV_HTTP_RETRIES", "0");
    command.env("UV_CACHE_DIR", sandbox.path("empty-cache"));
    let output = command.output().unwrap();
    let result = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{result}");
    assert!(
        result.contains("environment `one` could not be resolved")
            && result.contains("UV_DEFAULT_INDEX"),
        "{result}"
    );
    assert_eq!(sandbox.read("rootstock.lock"), before);
}
