//! `access`: who may use a root is decided by its policy, not by the umask of who happened to build it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use crate::sandbox::person::{Person, can_be_others};
use crate::sandbox::{Output, Sandbox};

/// Runs rootstock with this umask.
fn run(sandbox: &Sandbox, umask: &str, arguments: &[&str]) -> Output {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
    shell.arg(env!("CARGO_BIN_EXE_rootstock")).args(arguments);
    sandbox.set_up(&mut shell);
    Output::from(shell.output().unwrap())
}

/// Everything in a directory, itself included, with its mode and group; links have neither.
fn modes(directory: &Path) -> BTreeMap<String, (u32, u32)> {
    let mut found = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_symlink() {
            continue;
        }
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            pending.extend(entries.map(|entry| entry.unwrap().path()));
        }
        let below = path.strip_prefix(directory).unwrap().display().to_string();
        let mode = metadata.permissions().mode() & 0o7777;
        found.insert(below, (mode, metadata.gid()));
    }
    found
}

/// Sets the policy of the manifest's own root.
fn policy(sandbox: &Sandbox, access: &str) {
    let manifest = sandbox.read("rootstock.toml");
    let table = format!("[rootstock]\naccess = \"{access}\"\n");
    sandbox.write(
        "rootstock.toml",
        &manifest.replacen("[rootstock]\n", &table, 1),
    );
}

/// Every mode is one of the policy's.
fn assert_follows(modes: &BTreeMap<String, (u32, u32)>, open: u32, closed: u32, file: u32) {
    for (path, (mode, _)) in modes {
        let read = file & 0o444;
        let allowed = [open, closed, read, read | read >> 2, read | 0o200];
        assert!(allowed.contains(mode), "{path}: {mode:04o}");
        let published = path.starts_with("generations/")
            && path
                .split('/')
                .nth(2)
                .is_some_and(|id| !id.starts_with('.'));
        assert!(!published || mode & 0o222 == 0, "{path}: {mode:04o}");
    }
}

#[test]
fn trees_and_modes_are_the_same_whatever_the_umask() {
    let ours = Command::new("id").arg("-gn").output().unwrap().stdout;
    let ours = format!("world:{}", String::from_utf8(ours).unwrap().trim());
    for (access, open, closed, file) in [
        ("world", 0o755, 0o555, 0o444),
        (ours.as_str(), 0o2775, 0o2555, 0o444),
        ("owner", 0o700, 0o500, 0o400),
    ] {
        let sandbox = Sandbox::shared().with_weights();
        policy(&sandbox, access);
        run(&sandbox, "022", &["sync", "-j", "1"]).expect(0);
        run(
            &sandbox,
            "077",
            &["sync", "-j", "4", "--root", "a/deeper/root"],
        )
        .expect(0);
        let (first, second) = (
            modes(&sandbox.path("root")),
            modes(&sandbox.path("a/deeper/root")),
        );
        assert_eq!(first, second, "{access}");
        assert!(first.contains_key("cache/potentials/p.bin"));
        assert_follows(&first, open, closed, file);
        for environment in ["one", "two"] {
            let tree = |root| sandbox.stamp(root, environment, "tree");
            assert_eq!(tree("root"), tree("a/deeper/root"));
        }
        for root in ["root", "a/deeper/root"] {
            run(&sandbox, "027", &["sync", "--check", "--root", root]).expect(0);
            let result = run(&sandbox, "027", &["doctor", "--deep", "--root", root]);
            let findings = result.stdout.contains("file-mode");
            assert!(!findings, "{}", result.stdout);
        }
    }
}

/// What everybody sees does not depend on who may see it.
#[test]
fn a_tree_is_the_same_under_every_policy() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    let tree = sandbox.stamp("root", "one", "tree");
    policy(&sandbox, "owner");
    sandbox.sync(&["--root", "private"]);
    assert_eq!(sandbox.stamp("private", "one", "tree"), tree);
}

#[test]
fn a_policy_is_applied_to_what_is_there_and_then_stays_with_the_root() {
    let sandbox = Sandbox::shared().with_weights();
    run(&sandbox, "077", &["sync", "one"]).expect(0);
    let before = modes(&sandbox.path("root"));
    assert_eq!(before[""].0, 0o700);
    let manifest = sandbox.read("rootstock.toml");
    policy(&sandbox, "world");
    sandbox.run(&["lock", "--check"]).expect(0);
    let output = run(&sandbox, "077", &["sync", "one", "--check"]);
    output.expect(3);
    assert!(
        output.stdout.contains("access: world (not set before)"),
        "{}",
        output.stdout
    );
    assert_eq!(modes(&sandbox.path("root")), before, "--check");
    run(&sandbox, "077", &["sync", "one"]).expect(0);
    assert_follows(&modes(&sandbox.path("root")), 0o755, 0o555, 0o444);
    let output = run(&sandbox, "077", &["sync", "one"]);
    assert!(output.stdout.starts_with("up to date"), "{}", output.stdout);

    // A manifest that says nothing leaves it as it is.
    sandbox.write("rootstock.toml", &manifest);
    run(&sandbox, "077", &["sync"]).expect(0);
    let modes = modes(&sandbox.path("root"));
    assert!(
        modes
            .keys()
            .any(|path| path.starts_with("generations/two/"))
    );
    assert_follows(&modes, 0o755, 0o555, 0o444);
    let layout = sandbox.read("root/layout.json");
    assert_eq!(layout, "{\"schema\":1,\"access\":\"world\"}\n");
}

#[test]
fn changed_modes_are_repaired() {
    let sandbox = Sandbox::single();
    policy(&sandbox, "world");
    sandbox.sync(&[]);
    let before = modes(&sandbox.path("root"));
    let generation = sandbox.generation("root", "one");
    for (path, mode) in [
        (generation.join("env_source.py"), 0o400),
        (generation.join("bin"), 0o700),
        (sandbox.path("root/store"), 0o700),
        (sandbox.path("root/models.json"), 0o600),
    ] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let output = sandbox.sync(&["--repair"]);
    assert!(output.stdout.starts_with("up to date"), "{}", output.stdout);
    assert_eq!(modes(&sandbox.path("root")), before);
}

#[test]
fn what_is_no_policy_or_no_group_is_refused() {
    let sandbox = Sandbox::single();
    let good = sandbox.read("rootstock.toml");
    for (access, help) in [
        ("word", "did you mean `world`?"),
        ("mlip", "a group that uses the root is written `group:mlip`"),
        ("group: mlip", "is written `group:mlip`"),
        (
            "world: mlip",
            "one that maintains it for everybody `world:mlip`",
        ),
    ] {
        policy(&sandbox, access);
        let output = sandbox.run(&["sync"]);
        output.expect(2);
        assert!(output.message().contains(help), "{}", output.stderr);
        assert!(
            output.stderr.contains("does not say who may use the root"),
            "{}",
            output.stderr
        );
        sandbox.write("rootstock.toml", &good);
    }
    policy(&sandbox, "group:no-such-group");
    let output = sandbox.run(&["sync"]);
    output.expect(2);
    assert!(
        output
            .stderr
            .contains("this machine knows no group `no-such-group`"),
        "{}",
        output.stderr
    );
    assert!(!sandbox.path("root").exists());
}

/// A project that everybody can read, with everything that a sync needs in a bundle.
fn carried(access: &str) -> Sandbox {
    let sandbox = Sandbox::shared().with_weights();
    policy(&sandbox, access);
    sandbox.run(&["bundle", "-o", "bundle"]).expect(0);
    for path in modes(&sandbox.path("")).keys() {
        let path = sandbox.path(path);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o555)).unwrap();
    }
    let shared = sandbox.path("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(shared, fs::Permissions::from_mode(0o1777)).unwrap();
    sandbox
}

const SYNC: [&str; 6] = [
    "sync",
    "--offline",
    "--bundle",
    "bundle",
    "--root",
    "shared/root",
];

/// Groups 100 (`users`) and 60 (`games`) are those of every Debian.
const ALICE: Person = Person {
    user: 61001,
    groups: "100",
};
const BOB: Person = Person {
    user: 61002,
    groups: "100",
};
const EVE: Person = Person {
    user: 61003,
    groups: "60",
};

#[test]
fn maintainers_of_one_group_sync_one_root_after_each_other() {
    if !can_be_others() {
        return;
    }
    let sandbox = carried("group:users");
    // Only members of a group give files to it.
    let output = EVE.run(&sandbox, "022", &SYNC);
    output.expect(1);
    let message = output.message();
    assert!(
        message.contains("cannot give to its group") && message.contains("only members of a group"),
        "{message}"
    );
    fs::remove_dir(sandbox.path("shared/root")).unwrap();

    ALICE
        .run(&sandbox, "077", &[&SYNC[..], &["one"]].concat())
        .expect(0);
    let root = sandbox.path("shared/root");
    assert_follows(&modes(&root), 0o2770, 0o2550, 0o440);
    let first = sandbox.generation("shared/root", "one");

    // Another one goes on with it: shares what there is, switches what has changed, repairs what is broken.
    BOB.run(&sandbox, "022", &SYNC).expect(0);
    sandbox.write_source("one", &["shared", "first"], "# edited\n");
    sandbox.lock();
    BOB.run(&sandbox, "002", &SYNC).expect(0);
    let second = sandbox.generation("shared/root", "one");
    assert_ne!(first, second);
    assert_eq!(fs::metadata(&second).unwrap().uid(), BOB.user);
    for (path, (mode, group)) in modes(&root) {
        assert_eq!(group, 100, "{path}");
        assert_eq!(mode & 0o007, 0, "{path}: {mode:04o}");
    }
    assert_follows(&modes(&root), 0o2770, 0o2550, 0o440);

    // The generation that Alice has built is damaged, and Bob needs it again.
    let source = first.join("env_source.py");
    fs::set_permissions(&source, fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(&source, "import evil\n").unwrap();
    sandbox.write_source("one", &["shared", "first"], "");
    sandbox.lock();
    BOB.run(&sandbox, "022", &SYNC).expect(0);
    assert_eq!(sandbox.generation("shared/root", "one"), first);
    assert_eq!(fs::metadata(&first).unwrap().uid(), BOB.user);
    BOB.run(&sandbox, "022", &[&SYNC[..], &["--check"]].concat())
        .expect(0);
    ALICE
        .run(&sandbox, "022", &[&SYNC[..], &["--check"]].concat())
        .expect(0);
}

/// A root that everybody uses and a group maintains.
#[test]
fn a_group_maintains_what_everybody_uses() {
    if !can_be_others() {
        return;
    }
    let sandbox = carried("world:users");
    ALICE.run(&sandbox, "077", &SYNC).expect(0);
    let first = sandbox.generation("shared/root", "one");
    sandbox.write_source("one", &["shared", "first"], "# edited\n");
    sandbox.lock();
    BOB.run(&sandbox, "077", &SYNC).expect(0);
    assert_ne!(sandbox.generation("shared/root", "one"), first);
    let modes = modes(&sandbox.path("shared/root"));
    assert_follows(&modes, 0o2775, 0o2555, 0o444);
    assert!(modes.values().all(|(_, group)| *group == 100), "{modes:?}");
    assert_eq!(audit(&sandbox, "shared/root", &["--deep"]), []);

    // Users outside the group can read it and change nothing.
    let code = "import first; print(first.VERSION)";
    let run = [
        "run",
        "--root",
        "shared/root",
        "one",
        "--",
        "python",
        "-c",
        code,
    ];
    assert_eq!(EVE.run(&sandbox, "022", &run).expect(0).stdout, "1.0\n");
    sandbox.write_source("one", &["shared", "first"], "# again\n");
    sandbox.lock();
    let output = EVE.run(&sandbox, "022", &SYNC);
    output.expect(1);
    assert!(
        output.message().contains("you may not write there"),
        "{}",
        output.stderr
    );
}

#[test]
fn what_belongs_to_others_is_named_with_its_owner() {
    if !can_be_others() {
        return;
    }
    let sandbox = carried("group:users");
    ALICE.run(&sandbox, "022", &SYNC).expect(0);
    let manifest = sandbox.read("rootstock.toml");
    sandbox.write("rootstock.toml", &manifest.replace("group:users", "world"));
    let output = BOB.run(&sandbox, "022", &SYNC);
    output.expect(1);
    assert!(
        output.stderr.contains("belong to others"),
        "{}",
        output.stderr
    );
    assert!(
        output.stderr.contains("have 61001 run"),
        "{}",
        output.stderr
    );
    let layout = sandbox.read("shared/root/layout.json");
    assert!(layout.contains("group:users"), "{layout}");
    ALICE.run(&sandbox, "022", &SYNC).expect(0);
    assert_follows(&modes(&sandbox.path("shared/root")), 0o755, 0o555, 0o444);
}

/// What doctor finds about access below a project's directory: code, path below it, fix.
fn audit(sandbox: &Sandbox, root: &str, arguments: &[&str]) -> Vec<(String, String, String)> {
    let here = sandbox.path("").canonicalize().unwrap();
    let output = sandbox.run(&[&["doctor", "--json", "--root", root], arguments].concat());
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let answer = output.json();
    let findings = answer["findings"].as_array().unwrap();
    findings
        .iter()
        .filter_map(|finding| {
            let path = text(&finding["path"]);
            // Directories above the project are not ours to change.
            let below = Path::new(&path).strip_prefix(&here).ok()?;
            let below = below.display().to_string();
            Some((text(&finding["code"]), below, text(&finding["fix"])))
        })
        .collect()
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The owner may do everything in all of these cases, and still each is found; the printed fix repairs it.
#[test]
fn doctor_finds_what_others_would_meet_and_its_fixes_work() {
    let sandbox = Sandbox::single().with_weights();
    policy(&sandbox, "world");
    chmod(&sandbox.path(""), 0o755);
    let root = "group/our root";
    fs::create_dir(sandbox.path("group")).unwrap();
    chmod(&sandbox.path("group"), 0o700);
    run(&sandbox, "077", &["sync", "--root", root]).expect(0);
    let path = |below: &str| sandbox.path(root).join(below);
    // The classic: the root is as it should be, and the directory above it is private.
    let found = audit(&sandbox, root, &[]);
    let message: Vec<(&str, &str)> = found.iter().map(|f| (f.0.as_str(), f.1.as_str())).collect();
    assert_eq!(message, [("access-ancestor", "group")]);
    let output = sandbox.run(&["doctor", "--root", root]);
    let line = output
        .stdout
        .lines()
        .find(|line| line.starts_with("access: "));
    assert!(
        line.unwrap().contains("world, but not through `"),
        "{line:?}"
    );

    let generation = sandbox.generation(root, "one");
    chmod(&generation.join("bin"), 0o500);
    chmod(&path("models.json"), 0o600);
    chmod(&path("cache/potentials"), 0o777);
    chmod(&path("cache/potentials/p.bin"), 0o400);
    chmod(&path("envs"), 0o2775);
    let id = generation.file_name().unwrap().to_str().unwrap();
    let wheel = &sandbox.names(&format!("{root}/store/wheels-2"))[0];
    chmod(&path(&format!("store/wheels-2/{wheel}/tree")), 0o700);
    let bin = format!("{root}/generations/one/{id}/bin");
    let mut expected: Vec<(String, String)> = [
        ("access-ancestor", "group"),
        ("access-mode", &bin),
        ("access-mode", &format!("{root}/cache/potentials")),
        ("access-mode", &format!("{root}/cache/potentials/p.bin")),
        ("access-mode", &format!("{root}/envs")),
        ("access-mode", &format!("{root}/models.json")),
    ]
    .map(|(code, path)| (code.to_owned(), path.to_owned()))
    .to_vec();
    expected.sort();
    let named = |found: Vec<(String, String, String)>| -> Vec<(String, String)> {
        let mut named: Vec<_> = found
            .into_iter()
            .map(|(code, path, _)| (code, path))
            .collect();
        named.sort();
        named
    };
    assert_eq!(named(audit(&sandbox, root, &[])), expected);
    let deep = format!("{root}/store/wheels-2/{wheel}/tree");
    expected.push(("access-mode".to_owned(), deep));
    expected.sort();
    assert_eq!(named(audit(&sandbox, root, &["--deep"])), expected);

    for (_, _, fix) in audit(&sandbox, root, &["--deep"]) {
        let done = Command::new("/bin/sh").args(["-ec", &fix]).status();
        assert!(done.unwrap().success(), "{fix}");
    }
    assert_eq!(audit(&sandbox, root, &["--deep"]), []);
}

#[test]
fn doctor_reports_access_without_a_policy() {
    let sandbox = Sandbox::single();
    run(&sandbox, "077", &["sync"]).expect(0);
    assert_eq!(audit(&sandbox, "root", &["--deep"]), []);
    let output = sandbox.run(&["doctor"]);
    output.expect(0);
    let message = "access: no policy (`access` in the manifest); others cannot pass ";
    assert!(output.stdout.contains(message), "{}", output.stdout);
    // What everybody can change decides what runs in everybody's name, whatever the policy is.
    chmod(&sandbox.path("root/envs"), 0o777);
    chmod(&sandbox.path(""), 0o777);
    let found = audit(&sandbox, "root", &[]);
    let message: Vec<(&str, &str)> = found.iter().map(|f| (f.0.as_str(), f.1.as_str())).collect();
    assert_eq!(
        message,
        [("access-writable", ""), ("access-writable", "root/envs")]
    );
}

#[test]
fn what_belongs_to_another_group_is_found() {
    if !can_be_others() {
        return;
    }
    let sandbox = carried("group:users");
    ALICE.run(&sandbox, "022", &SYNC).expect(0);
    assert_eq!(audit(&sandbox, "shared/root", &["--deep"]), []);
    std::os::unix::fs::chown(sandbox.path("shared/root/envs"), None, Some(60)).unwrap();
    let found = audit(&sandbox, "shared/root", &[]);
    let envs = sandbox.path("shared/root/envs").canonicalize().unwrap();
    let fix = format!("chgrp users {0} && chmod 2770 {0}", envs.display());
    let expected = ("access-group".into(), "shared/root/envs".into(), fix);
    assert_eq!(found, [expected]);
}
