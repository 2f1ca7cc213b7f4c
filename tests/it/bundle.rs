//! `rootstock bundle`: one directory with everything that a sync takes, and a sync from it without a network.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use snapbox::str;

use crate::sandbox::{Interpreters, Output, Sandbox, Sdist, Wheel, lacking};

/// Two environments that share a package, one of them with a model and its weights; locked.
fn project() -> Sandbox {
    Sandbox::shared().with_weights()
}

fn index(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&sandbox.read("carried/rootstock-bundle.json")).unwrap()
}

/// The files of an index, by name.
fn listed(sandbox: &Sandbox) -> Vec<String> {
    let index = index(sandbox);
    let files = index["files"].as_array().unwrap().iter();
    let mut names: Vec<String> = files
        .map(|file| file["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// A sync where nothing answers: neither the index nor a proxy, and no uv is to be had.
fn cut_off(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.command(arguments);
    for (name, value) in [
        ("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple/"),
        ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("HTTPS_PROXY", "http://127.0.0.1:9"),
        ("ROOTSTOCK_UV", "/nowhere/uv"),
    ] {
        command.env(name, value);
    }
    command
}

/// The archive of a package in a bundle.
fn archive(sandbox: &Sandbox, name: &str) -> std::path::PathBuf {
    let index = index(sandbox);
    let mut files = index["files"].as_array().unwrap().iter();
    let file = files.find(|file| file["name"] == name).unwrap();
    sandbox.path("carried").join(file["path"].as_str().unwrap())
}

fn damage(path: &std::path::Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    let mut bytes = fs::read(path).unwrap();
    bytes[0] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_sync_from_a_bundle_needs_no_network_and_builds_the_same() {
    let sandbox = project();
    let _interpreters = Interpreters::new(&sandbox);
    sandbox.lock();
    sandbox.run(&["bundle", "-o", "carried"]).expect(0);
    let interpreter = format!("cpython {}+20200101", Interpreters::version());
    assert_eq!(
        listed(&sandbox),
        [
            &interpreter,
            "first-1.0-py3-none-any.whl",
            "second-1.0-py3-none-any.whl",
            "shared-1.0-py3-none-any.whl",
            "weights of potential"
        ]
    );
    // It is carried away, and all there was before is gone.
    let names = ["one", "two"];
    sandbox.sync(&["--root", "here"]);
    let expected = names.map(|name| ["id", "tree"].map(|field| sandbox.stamp("here", name, field)));
    fs::rename(sandbox.path("carried"), sandbox.path("brought")).unwrap();
    for name in ["rootstock.toml", "rootstock.lock", "remote/weights.bin"] {
        fs::remove_file(sandbox.path(name)).unwrap();
    }
    let arguments = [
        "--manifest",
        "brought/rootstock.toml",
        "--root",
        "there",
        "sync",
        "--offline",
        "--bundle",
        "brought",
    ];
    let result = Output::from(cut_off(&sandbox, &arguments).output().unwrap());
    result.expect(0);
    let built = names.map(|name| ["id", "tree"].map(|field| sandbox.stamp("there", name, field)));
    assert_eq!(built, expected);
    assert_eq!(sandbox.read("there/cache/potentials/p.bin"), "numbers");
    // Where the kernel lets us have a network of our own, with nothing in it: the same again, truly cut off.
    let alone = Command::new("unshare").args(["-rn", "true"]).output();
    if lacking::unless(
        alone.is_ok_and(|output| output.status.success()),
        "namespaces",
    ) {
        let mut command = Command::new("unshare");
        command.args(["-rn", env!("CARGO_BIN_EXE_rootstock")]);
        command.args(arguments.map(|word| if word == "there" { "alone" } else { word }));
        sandbox.set_up(&mut command);
        let path = format!("{}:/usr/bin:/bin", sandbox.path("bin").display());
        Output::from(command.env("PATH", path).output().unwrap()).expect(0);
        let built =
            names.map(|name| ["id", "tree"].map(|field| sandbox.stamp("alone", name, field)));
        assert_eq!(built, expected);
    }
}

#[test]
fn offline_lists_all_that_is_missing_at_once() {
    let sandbox = project();
    let result = sandbox.run(&["sync", "--offline"]);
    result.expect(1);
    let message = result.message();
    for part in [
        "3 files are neither in the root's store nor in a bundle, and `--offline` forbids to download:",
        "first-1.0-py3-none-any.whl",
        "second-1.0-py3-none-any.whl",
        "weights `potentials/p.bin` of potential: it is neither in the cache nor in a bundle",
        "--bundle DIR",
    ] {
        assert!(message.contains(part), "{part}: {}", result.stderr);
    }
    assert_eq!(
        message.matches("3 files are").count(),
        1,
        "{}",
        result.stderr
    );
    // What an earlier sync has left in the store needs no network.
    sandbox.sync(&[]);
    fs::remove_dir_all(sandbox.path("root/envs")).unwrap();
    let result = Output::from(
        cut_off(&sandbox, &["sync", "--offline", "--force"])
            .output()
            .unwrap(),
    );
    result.expect(0);
}

#[test]
fn a_damaged_bundle_is_refused_by_name_and_put_right() {
    let sandbox = project();
    sandbox.run(&["bundle", "-o", "carried"]).expect(0);
    let first = archive(&sandbox, "first-1.0-py3-none-any.whl");
    damage(&first);
    damage(&sandbox.path("carried/cache/potentials/p.bin"));
    let arguments = ["sync", "--offline", "--bundle", "carried"];
    let result = Output::from(cut_off(&sandbox, &arguments).output().unwrap());
    result.expect(1);
    let message = result.message();
    for part in [
        "one failed: the bundle's copy of `first-1.0-py3-none-any.whl` cannot be used",
        "weights `potentials/p.bin` of potential",
        "has the sha256",
    ] {
        assert!(message.contains(part), "{part}: {}", result.stderr);
    }
    assert_eq!(sandbox.names("root/envs"), ["two"]);
    let before = sandbox.index.asked();
    sandbox.run(&["bundle", "-o", "carried"]).expect(0);
    let mut after = sandbox.index.asked();
    after.retain(|file| file == "first-1.0-py3-none-any.whl" || !before.contains(file));
    assert_eq!(sandbox.index.asked().len(), before.len() + 1);
    assert_eq!(after.len(), 2, "{after:?}");
    let result = Output::from(cut_off(&sandbox, &arguments).output().unwrap());
    result.expect(0);
}

#[test]
fn a_bundle_that_was_not_finished_is_none() {
    let sandbox = project();
    sandbox
        .index
        .replace("second-1.0-py3-none-any.whl", b"something else");
    let output = sandbox.run(&["bundle", "-o", "carried"]);
    output.expect(1);
    assert!(
        output
            .stderr
            .contains("`second-1.0-py3-none-any.whl` cannot be downloaded"),
        "{}",
        output.stderr
    );
    let output = sandbox.run(&["sync", "--bundle", "carried"]);
    output.expect(2);
    output.stderr_is(&sandbox, str![[r#"
  × `[PROJECT]/carried` is not a bundle: it has no `rootstock-bundle.json`
  help: make one with `rootstock bundle -o DIR`; it writes that file last, when everything else is there
"#]]);
    sandbox.index.restore("second-1.0-py3-none-any.whl");
    let before = sandbox.index.asked().len();
    sandbox.run(&["bundle", "-o", "carried"]).expect(0);
    assert_eq!(
        sandbox.index.asked().len(),
        before + 1,
        "only what was missing"
    );
    // What a later bundle does not name is removed, and nothing else.
    sandbox.write("carried/README", "mine");
    sandbox.run(&["bundle", "-o", "carried", "two"]).expect(0);
    assert_eq!(sandbox.names("carried/store/archives").len(), 2);
    assert_eq!(sandbox.read("carried/README"), "mine");
    let newer = sandbox
        .read("carried/rootstock-bundle.json")
        .replace("\"schema\": 1", "\"schema\": 9");
    sandbox.write("carried/rootstock-bundle.json", &newer);
    let output = sandbox.run(&["sync", "--bundle", "carried"]);
    output.expect(2);
    output.stderr_is(
        &sandbox,
        str![[r#"
  × `[PROJECT]/carried` was made by a newer rootstock (schema 9, this one knows 1)
  help: use the rootstock that made it or a newer one
"#]],
    );
}

#[test]
fn a_bundle_is_for_the_machine_that_is_named() {
    let sandbox = project();
    let manifest = sandbox.read("rootstock.toml").replace(
        "[rootstock]\n",
        "[rootstock]\ntargets = [\"linux-x86_64\", \"linux-aarch64\"]\n",
    );
    sandbox.write("rootstock.toml", &manifest);
    sandbox.run(&["bundle", "-o", "carried"]).expect(3);
    assert!(sandbox.names("carried").is_empty());
    sandbox.lock();
    let output = sandbox.run(&[
        "bundle",
        "-o",
        "carried",
        "--target",
        "linux-aarch64",
        "--target",
        "linux-x86_64",
        "--json",
    ]);
    output.expect(0);
    assert_eq!(
        index(&sandbox)["targets"],
        serde_json::json!(["linux-aarch64", "linux-x86_64"])
    );
    assert_eq!(output.json()["files"], index(&sandbox)["files"]);
    let output = sandbox.run(&["bundle", "-o", "other", "--target", "linux-riscv64"]);
    output.expect(2);
    assert!(
        output.stderr.contains("`linux-aarch64`, `linux-x86_64`"),
        "{}",
        output.stderr
    );
}

#[test]
fn what_is_built_from_source_and_what_lies_beside_the_manifest_is_carried_too() {
    let needs = [
        "demo",
        "tree @ ./libs/tree",
        "wheel @ ./libs/wheel-1.0-py3-none-any.whl",
    ];
    let sandbox = Sandbox::new(&[("one", &needs)]);
    sandbox.more("sdists = [\"demo\", \"tree\"]");
    let demo = Sdist::new("demo", "1.0")
        .requires("helper")
        .makes("import helper\nreturn 'BUILT = %r\\n' % helper.VERSION");
    sandbox.index.add_sdist(&demo);
    sandbox.index.add(&Wheel::simple("helper", "1.0"));
    Sdist::new("tree", "1.0").write(&sandbox.path("libs/tree"));
    sandbox.write("libs/tree/.git/HEAD", "not of the project");
    let wheel = Wheel::simple("wheel", "1.0");
    fs::write(sandbox.path("libs").join(wheel.file_name()), wheel.bytes()).unwrap();
    sandbox.lock();
    sandbox.run(&["bundle", "-o", "carried"]).expect(0);
    assert_eq!(
        listed(&sandbox),
        [
            "demo-1.0.tar.gz",
            "helper-1.0-py3-none-any.whl",
            "tree-1.0.tar",
            "wheel-1.0-py3-none-any.whl"
        ]
    );
    sandbox.sync(&["--root", "here"]);
    fs::rename(sandbox.path("libs"), sandbox.path("gone")).unwrap();
    let arguments = [
        "--manifest",
        "carried/rootstock.toml",
        "--root",
        "there",
        "sync",
        "--offline",
        "--bundle",
        "carried",
    ];
    Output::from(cut_off(&sandbox, &arguments).output().unwrap()).expect(0);
    for field in ["id", "tree"] {
        let [here, there] = ["here", "there"].map(|root| sandbox.stamp(root, "one", field));
        assert_eq!(here, there, "{field}");
    }
    assert!(
        sandbox
            .names("carried/libs/tree")
            .iter()
            .all(|name| name != ".git")
    );
    // Made again, over what is there.
    fs::rename(sandbox.path("gone"), sandbox.path("libs")).unwrap();
    sandbox.run(&["bundle", "-o", "carried"]).expect(0);
}

#[test]
fn a_bundle_is_not_made_where_it_would_destroy_something() {
    let sandbox = Sandbox::new(&[("one", &["tree @ ./libs/tree"])]);
    sandbox.more("sdists = [\"tree\"]");
    Sdist::new("tree", "1.0").write(&sandbox.path("libs/tree"));
    sandbox.lock();
    for place in [".", "libs/..", "libs/tree", "libs/tree/carried"] {
        let output = sandbox.run(&["bundle", "-o", place]);
        output.expect(2);
        assert!(
            output.stderr.contains("name another"),
            "{place}: {}",
            output.stderr
        );
    }
    assert!(sandbox.path("libs/tree/pyproject.toml").is_file());
    assert!(!sandbox.path("rootstock-bundle.json").exists());
}
