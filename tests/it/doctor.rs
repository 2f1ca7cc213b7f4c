//! `rootstock doctor` finds every change in a root and names it; `rootstock sync --repair` repairs it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::sandbox::{Interpreters, Sandbox, Wheel, maker_like, retry_until};

/// A synced sandbox: environment `one` with package `single`, and a model with a weight file.
fn synced() -> Sandbox {
    let sandbox = Sandbox::single().with_weights();
    sandbox.sync(&[]);
    sandbox
}

/// The findings of an examination, as `code path`, the path below the root.
fn findings(sandbox: &Sandbox, arguments: &[&str]) -> Vec<String> {
    let output = sandbox.run(&[&["doctor", "--json"], arguments].concat());
    let answer = output.json();
    let found: Vec<String> = answer["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            let path = Path::new(finding["path"].as_str().unwrap());
            let root = sandbox.path("root").canonicalize().unwrap();
            let path = path.strip_prefix(&root).unwrap_or(path);
            assert!(!finding["fix"].as_str().unwrap().is_empty());
            format!("{} {}", finding["code"].as_str().unwrap(), path.display())
        })
        .collect();
    assert_eq!(
        output.code,
        Some(i32::from(!found.is_empty())),
        "{output:?}"
    );
    found
}

/// Changes one byte of a file, whatever its mode, without giving it another inode.
fn tamper(path: &Path) {
    let mode = fs::metadata(path).unwrap().permissions().mode();
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The first file below a directory whose path ends so.
fn file(directory: &Path, end: &str) -> PathBuf {
    let mut pending = vec![directory.to_owned()];
    while let Some(here) = pending.pop() {
        for entry in fs::read_dir(here).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                pending.push(entry.path());
            } else if entry.path().to_str().unwrap().ends_with(end) {
                return entry.path();
            }
        }
    }
    panic!("no {end} below {}", directory.display())
}

#[test]
fn one_changed_byte_anywhere_is_found_and_repaired() {
    let sandbox = synced();
    assert_eq!(findings(&sandbox, &["--deep"]), [""; 0]);
    let generation = sandbox.generation("root", "one");
    let store = sandbox.path("root/store");
    for (path, codes) in [
        (
            file(&generation, "single/__init__.py"),
            &["file-changed", "store-damaged"][..],
        ),
        (
            file(&generation, ".pyc"),
            &["file-changed", "store-damaged"],
        ),
        (
            generation.join("bin/single"),
            &["file-changed", "store-damaged"],
        ),
        (generation.join("env_source.py"), &["file-changed"]),
        (generation.join("pyvenv.cfg"), &["file-changed"]),
        (generation.join("rootstock-tree.txt"), &["tree-changed"]),
        (
            generation.join("rootstock-stamp.json"),
            &["stamp-unreadable"],
        ),
        (file(&store, "files.txt"), &["store-damaged"]),
        (
            sandbox.path("root/cache/potentials/p.bin"),
            &["weight-changed"],
        ),
    ] {
        tamper(&path);
        let found = findings(&sandbox, &["--deep"]);
        for code in codes {
            // Where the store and the environment share a file by copying, only one of the two has changed.
            let expected = *code != "store-damaged" || shares(&store, &path);
            assert_eq!(
                found.iter().any(|finding| finding.starts_with(code)),
                expected,
                "{}: {found:?}",
                path.display()
            );
        }
        // A changed list and a changed file look the same: the file is named.
        let named = match path.file_name().unwrap().to_str().unwrap() {
            "files.txt" => path.parent().unwrap(),
            _ => &path,
        };
        let below = named.strip_prefix(sandbox.path("root")).unwrap();
        assert!(
            found.iter().any(|f| f.contains(below.to_str().unwrap())),
            "{}: {found:?}",
            path.display()
        );
        sandbox.sync(&["--repair"]);
        assert_eq!(
            findings(&sandbox, &["--deep"]),
            [""; 0],
            "{}",
            path.display()
        );
    }
    assert_eq!(
        sandbox.python("one", "import single; print(single.VERSION)"),
        "1.0\n"
    );
}

/// Whether a file is the store's own, or has a second name there.
fn shares(store: &Path, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    path.starts_with(store) || fs::metadata(path).unwrap().nlink() > 1
}

/// What environments stand on is read to the end as well, and so is what the store has for environments to come.
#[test]
fn one_changed_byte_in_an_interpreter_or_in_the_store_alone_is_found_and_repaired() {
    let sandbox = Sandbox::new(&[("one", &["single"])]);
    sandbox.index.add(&Wheel::simple("single", "1.0"));
    let _interpreters = Interpreters::new(&sandbox);
    sandbox.lock();
    sandbox.sync(&[]);
    let root = sandbox.path("root");
    let home = root.join("pythons").join(&sandbox.names("root/pythons")[0]);
    let module = file(&root.join("store/wheels-2"), "single/__init__.py");
    // The store's own copy, which the environment does not share.
    let bytes = fs::read(&module).unwrap();
    fs::remove_file(&module).unwrap();
    fs::write(&module, bytes).unwrap();
    fs::set_permissions(&module, fs::Permissions::from_mode(0o444)).unwrap();
    let stamp = home.join("rootstock-stamp.json");
    for tampered in [
        &[
            module,
            file(&home, "/json/decoder.py"),
            file(&home.join("lib"), "__pycache__/os.cpython-311.pyc"),
            home.join("bin/python3.11").canonicalize().unwrap(),
        ][..],
        &[home.join("rootstock-tree.txt")],
        std::slice::from_ref(&stamp),
    ] {
        for path in tampered {
            if *path == stamp {
                let text = fs::read_to_string(path).unwrap();
                let files = text.replacen("\"files\": ", "\"files\": 1", 1);
                fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
                fs::write(path, files).unwrap();
            } else {
                tamper(path);
            }
        }
        let found = findings(&sandbox, &["--deep"]);
        for path in tampered {
            let real = path.canonicalize().unwrap();
            let below = real.strip_prefix(root.canonicalize().unwrap()).unwrap();
            let damaged = ["store-damaged", "python-damaged"];
            let named = damaged.map(|code| format!("{code} {}", below.display()));
            assert!(
                found.iter().any(|f| named.contains(f)),
                "{named:?}: {found:?}"
            );
        }
        sandbox.sync(&["--repair"]);
    }
    assert_eq!(findings(&sandbox, &["--deep"]), [""; 0]);
    assert_eq!(
        sandbox.python("one", "import single; print(single.VERSION)"),
        "1.0\n"
    );
}

#[test]
fn what_is_missing_or_does_not_belong_is_found_and_repaired() {
    let sandbox = synced();
    let generation = sandbox.generation("root", "one");
    let packages = generation.join("lib/python3.11/site-packages");
    for directory in [&packages, &packages.join("single")] {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(packages.join("extra.pth"), "import os\n").unwrap();
    fs::remove_file(packages.join("single/__init__.py")).unwrap();
    fs::remove_file(sandbox.path("root/cache/potentials/p.bin")).unwrap();
    let found = findings(&sandbox, &["--deep"]);
    let place = "lib/python3.11/site-packages";
    let generation = generation
        .strip_prefix(sandbox.path("root").canonicalize().unwrap())
        .unwrap()
        .display()
        .to_string();
    assert_eq!(
        found,
        [
            "weight-missing cache/potentials/p.bin".to_owned(),
            format!("file-extra {generation}/{place}/extra.pth"),
            format!("file-missing {generation}/{place}/single/__init__.py"),
        ]
    );
    sandbox.sync(&["--repair"]);
    assert_eq!(findings(&sandbox, &["--deep"]), [""; 0]);
}

/// A quick examination reads no packages, but what people edit by hand it does see.
#[test]
fn a_quick_look_sees_links_sources_interpreters_and_weights() {
    let sandbox = synced();
    tamper(&sandbox.generation("root", "one").join("env_source.py"));
    fs::remove_file(sandbox.path("root/cache/potentials/p.bin")).unwrap();
    fs::remove_file(sandbox.path("root/models.json")).unwrap();
    let found = findings(&sandbox, &[]);
    let codes: Vec<_> = found.iter().map(|f| f.split(' ').next().unwrap()).collect();
    assert_eq!(codes, ["file-changed", "catalogue-broken"]);

    fs::remove_file(sandbox.path("root/envs/one")).unwrap();
    std::os::unix::fs::symlink("../generations/one/none", sandbox.path("root/envs/one")).unwrap();
    let found = findings(&sandbox, &[]);
    assert!(
        found.contains(&"link-broken envs/one".to_owned()),
        "{found:?}"
    );
    sandbox.sync(&["--repair"]);
    assert_eq!(findings(&sandbox, &[]), [""; 0]);
}

#[test]
fn a_root_answers_for_itself_without_manifest_and_nothing_is_left_in_it() {
    let sandbox = synced();
    fs::remove_file(sandbox.path("rootstock.toml")).unwrap();
    let root = sandbox.path("root");
    let output = sandbox.run(&["--root", root.to_str().unwrap(), "doctor"]);
    output.expect(0);
    assert!(
        output.stdout.contains("rename-directory  yes"),
        "{}",
        output.stdout
    );
    assert!(
        output.stdout.ends_with("no problems found\n"),
        "{}",
        output.stdout
    );
    let left = sandbox.names("root");
    assert!(left.iter().all(|name| !name.starts_with('.')), "{left:?}");

    let nowhere = sandbox.run(&["--root", "nowhere", "doctor"]);
    nowhere.expect(2);
    assert!(
        nowhere.stderr.contains("there is no root at"),
        "{}",
        nowhere.stderr
    );
}

/// Six changes after which the Python rootstock 1.6.4 finds nothing to do; here each is found by the command that
/// people run for it.
#[test]
fn six_changes_that_others_do_not_see() {
    let drift = |sandbox: &Sandbox, arguments: &[&str], words: &[&str]| {
        let output = sandbox.run(arguments);
        output.expect(3);
        let message = format!("{}{}", output.stdout, output.stderr);
        for word in words {
            assert!(message.contains(word), "{arguments:?}: {message}");
        }
    };
    // 1. The environment's source in the repository is edited.
    let sandbox = synced();
    sandbox.write_source("one", &["single"], "# edited\n");
    drift(
        &sandbox,
        &["lock", "--check"],
        &["one.py", "source-changed"],
    );

    // 2. The lock is edited.
    let sandbox = synced();
    let lock = sandbox.read("rootstock.lock");
    sandbox.write(
        "rootstock.lock",
        &lock.replacen("single 1.0", "single 1.1", 1),
    );
    drift(&sandbox, &["lock", "--check"], &["one", "lock-edited"]);

    // 3. The lock is another one than the root was built from.
    let sandbox = synced();
    sandbox.write_source("one", &["single"], "# edited\n");
    sandbox.lock();
    drift(
        &sandbox,
        &["sync", "--check"],
        &["one: build: the lock has changed"],
    );

    // 4. A file in site-packages is changed.
    let sandbox = synced();
    let module = file(&sandbox.generation("root", "one"), "single/__init__.py");
    tamper(&module);
    let output = sandbox.run(&["doctor", "--deep"]);
    output.expect(1);
    let line = format!("{}: has changed [file-changed]", module.display());
    assert!(output.stdout.contains(&line), "{}", output.stdout);

    // 5. The source in the built environment is changed: what workers load.
    let sandbox = synced();
    tamper(&sandbox.generation("root", "one").join("env_source.py"));
    drift(
        &sandbox,
        &["sync", "--check"],
        &["one: build: `env_source.py` has changed"],
    );

    // 6. A weight file is changed, or deleted.
    let sandbox = synced();
    let weights = sandbox.path("root/cache/potentials/p.bin");
    tamper(&weights);
    drift(
        &sandbox,
        &["sync", "--check"],
        &["potentials/p.bin", "it is not the locked file"],
    );
    fs::remove_file(weights).unwrap();
    drift(
        &sandbox,
        &["sync", "--check"],
        &["potentials/p.bin", "it is not there"],
    );
}

/// The weights of an environment that was never built are no loss.
#[test]
fn what_was_never_built_lacks_nothing() {
    let sandbox = Sandbox::shared().with_weights();
    sandbox.sync(&["two"]);
    assert_eq!(findings(&sandbox, &["--deep"]), [""; 0]);
}

/// Where a login node has no driver, that of the compute nodes can be named.
#[test]
fn what_environments_need_of_the_machine_is_compared_with_it() {
    let sandbox = Sandbox::new(&[("one", &["torch"])]);
    let torch = Wheel::new("torch", "2.9.1+cu128").file("torch.py", "");
    let tag = format!("cp311-cp311-manylinux_2_17_{}", std::env::consts::ARCH);
    sandbox.index.add(&torch.tagged(&tag));
    sandbox.lock();
    sandbox.sync(&[]);
    assert_eq!(findings(&sandbox, &["--driver", "525.60.13"]), [""; 0]);
    let here = ["--driver", "520.61.05", "--glibc", "2.12"];
    assert_eq!(
        findings(&sandbox, &here),
        ["driver-old envs/one", "glibc-old envs/one"]
    );
    let output = sandbox.run(&[&["doctor"], &here[..]].concat());
    let needs =
        "one needs glibc 2.17 (torch 2.9.1+cu128), NVIDIA driver 525.60.13 (torch 2.9.1+cu128)";
    assert!(output.stdout.contains(needs), "{}", output.stdout);
    sandbox.run(&["doctor", "--driver", "new"]).expect(2);
    // What cannot be read may need more, and is repaired like any other damage.
    let wheel = file(&sandbox.generation("root", "one"), ".dist-info/WHEEL");
    let directory = wheel.parent().unwrap();
    let mode = fs::metadata(directory).unwrap().permissions();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(&wheel).unwrap();
    fs::create_dir(&wheel).unwrap();
    fs::set_permissions(directory, mode).unwrap();
    let wheel = wheel.strip_prefix(sandbox.path("root").canonicalize().unwrap());
    let unknown = format!("needs-unknown {}", wheel.unwrap().display());
    assert_eq!(findings(&sandbox, &[]), [unknown]);
    sandbox.sync(&["--repair"]);
    assert_eq!(findings(&sandbox, &["--deep"]), [""; 0]);
}

/// A name says who made it, so neither a clock nor an age is asked.
#[test]
fn what_killed_builds_have_left_is_found_wherever_it_lies() {
    let sandbox = synced();
    // No process has so high a number.
    let maker = maker_like(4_194_305);
    let (_, after_boot) = maker.split_once('-').unwrap();
    let (gone, elsewhere) = (
        format!("{maker}-abc"),
        format!("000000000000-{after_boot}-abc"),
    );
    let mut left = Vec::new();
    for place in [
        "generations/one/.staging-",
        "store/wheels-2/.making-",
        "store/bytecode-4/.making-",
        "pythons/.staging-",
        "envs/.one-",
        ".rootstock-",
        "claims/.rootstock-",
        "generations/.rootstock-",
        "pins/.rootstock-",
        "prefetched/.rootstock-",
        "store/.rootstock-",
        "store/archives/.packing-",
        "store/built-1/.making-",
    ] {
        fs::create_dir_all(sandbox.path(&format!("root/{place}{elsewhere}"))).unwrap();
        fs::create_dir_all(sandbox.path(&format!("root/{place}{gone}"))).unwrap();
        left.push(format!("staging-left {place}{gone}"));
    }
    // What was put aside is whole, and may be in use: it waits for `gc`, as what is in the trash.
    let aside = format!("root/generations/one/.trash-one-{gone}");
    fs::create_dir_all(sandbox.path(&aside)).unwrap();
    left.sort();
    let mut found = findings(&sandbox, &[]);
    found.sort();
    assert_eq!(found, left);
    // The fix that is named: the next sync that builds.
    sandbox.sync(&["--force", "one"]);
    assert_eq!(findings(&sandbox, &[]), [""; 0]);
    assert!(fs::exists(sandbox.path(&aside)).unwrap());
}

/// Programs that know of quotas are asked where they are there, and not waited for.
#[test]
fn quotas_are_reported_where_a_program_knows_them() {
    use std::os::unix::fs::MetadataExt;
    let sandbox = synced();
    let us = fs::metadata(sandbox.path("root")).unwrap();
    let quota = |script: &str| {
        sandbox.write("bin/quota", &format!("#!/bin/sh\n{script}\n"));
        let path = sandbox.path("bin/quota");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let quotas = || sandbox.run(&["doctor", "--json"]).json()["filesystem"]["quotas"].clone();
    let none = serde_json::json!([]);
    // In the form of quota(1) with -w, -p and -v, which the program is asked for.
    let table = |used: u32| {
        let (user, group) = (us.uid(), us.gid());
        format!(
            "case \"$*\" in '-w -p -v -u -f /'*) ;; '-w -p -v -g -f /'*) exit 1;; *) exit 2;; esac\ncat() {{ while read -r line; do echo \"$line\"; done; }}\n\
             cat <<end\nDisk quotas for user me (uid {user}): \n\
             Filesystem blocks quota limit grace files quota limit grace\n\
             server:/home 1024 0 10000000 0 {used} 100000 200000 0\n\
             Disk quotas for group none (gid {group}): none\nend\nexit 1"
        )
    };
    quota(&table(7));
    let message = retry_until(quotas, |message| *message != none);
    let expected = serde_json::json!([{
        "whose": format!("user {}", us.uid()),
        "bytes": { "used": 1_048_576, "soft": 0, "hard": 10_240_000_000_u64, "left": 10_238_951_424_u64 },
        "inodes": { "used": 7, "soft": 100_000, "hard": 200_000, "left": 99_993 },
    }]);
    assert_eq!(message, expected);
    assert_eq!(findings(&sandbox, &[]), [""; 0]);
    let text = || sandbox.run(&["doctor"]);
    let line = format!("  quota of user {}: 10.24 GB, 99993 files left\n", us.uid());
    let output = retry_until(text, |output| output.stdout.contains(&line));
    assert!(output.expect(0).stdout.contains(&line), "{}", output.stdout);

    for (used, message) in [
        (60_000, "leaves 40000 files"),
        (
            100_001,
            "is over the soft limit of its quota: 100001 files of 100000",
        ),
        (200_000, "is used up: 200000 files"),
    ] {
        quota(&table(used));
        let found = retry_until(|| findings(&sandbox, &[]), |found| !found.is_empty());
        assert_eq!(found, ["quota-low "]);
        let output = retry_until(text, |output| output.stdout.contains(message));
        assert!(
            output.expect(1).stdout.contains(message),
            "{}",
            output.stdout
        );
    }
    for silent in [
        "exec /bin/sleep 1000",
        "echo 'quota: no quota enabled.'; exit 1",
    ] {
        quota(silent);
        assert_eq!(quotas(), none);
        assert_eq!(findings(&sandbox, &[]), [""; 0]);
    }
}

/// An empty PATH is not the current directory, and neither is an empty part of it.
#[test]
fn no_program_of_the_current_directory_is_started() {
    let sandbox = synced();
    let program = format!(
        "#!/bin/sh\necho started >> {}\n",
        sandbox.path("canary").display()
    );
    sandbox.program("quota", &program);
    for path in ["", ":", ":/nowhere"] {
        let mut doctor = sandbox.command(&["doctor"]);
        let output = doctor.env("PATH", path).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(!sandbox.path("canary").exists(), "PATH={path}");
    }
}
