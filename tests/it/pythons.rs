//! Managed interpreters: locked to one archive, fetched once, the same at every root, noticed when they are damaged.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use snapbox::str;

use crate::sandbox::{Interpreters, Output, Sandbox, Sdist, Wheel, traces};

/// Two environments with one package each, not locked yet.
fn project() -> Sandbox {
    let sandbox = Sandbox::new(&[("one", &["first"]), ("two", &["second"])]);
    for name in ["first", "second"] {
        sandbox.index.add(&Wheel::simple(name, "1.0"));
    }
    sandbox
}

/// The one interpreter of a root.
fn home(sandbox: &Sandbox, root: &str) -> PathBuf {
    let pythons = format!("{root}/pythons");
    let names = sandbox.names(&pythons);
    assert_eq!(names.len(), 1, "{names:?}");
    sandbox.path(&pythons).join(&names[0])
}

/// How often archives were asked for.
fn downloads(sandbox: &Sandbox) -> usize {
    let asked = sandbox.index.asked();
    asked
        .iter()
        .filter(|path| path.ends_with(".tar.gz"))
        .count()
}

fn replace(path: &Path, bytes: &[u8]) {
    fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o555)).unwrap();
}

#[test]
fn environments_share_one_interpreter_that_is_fetched_once() {
    let sandbox = project();
    let _interpreters = Interpreters::new(&sandbox);
    sandbox.lock();
    let lock = sandbox.read("rootstock.lock");
    let version = Interpreters::version();
    assert_eq!(lock.matches("build = \"20200101\", url = ").count(), 1);
    assert_eq!(lock.matches(&format!("python = \"{version}\"")).count(), 2);
    sandbox.run(&["lock", "--check"]).expect(0);
    let before = downloads(&sandbox);

    let output = sandbox.sync(&[]);
    assert!(
        output.stdout.contains("built one, two"),
        "{}",
        output.stdout
    );
    assert_eq!(downloads(&sandbox) - before, 1);
    assert!(sandbox.names("root/store/archives").is_empty());
    let home = home(&sandbox, "root");
    for environment in ["one", "two"] {
        let python = sandbox.generation("root", environment).join("bin/python");
        let series: Vec<&str> = version.split('.').take(2).collect();
        let executable = home.join(format!("bin/python{}", series.join(".")));
        assert_eq!(
            fs::read_link(python).unwrap(),
            executable.canonicalize().unwrap()
        );
        let id = home.file_name().unwrap().to_str().unwrap();
        assert_eq!(sandbox.stamp("root", environment, "managed"), id);
    }
    let code =
        "import sys, json, first; print(sys.version.split()[0], json.__cached__, json.__file__)";
    let output = sandbox.python("one", code);
    let words: Vec<&str> = output.split_whitespace().collect();
    assert_eq!(words[0], version);
    // The standard library is that of the interpreter, and compiled: no user can write there.
    for path in &words[1..] {
        let path = Path::new(path).canonicalize().unwrap();
        assert!(path.starts_with(home.canonicalize().unwrap()), "{path:?}");
    }
    for (path, .., mode) in traces(&home) {
        let link = fs::symlink_metadata(&path).unwrap().is_symlink();
        assert!(link || mode & 0o222 == 0, "{} {mode:o}", path.display());
    }

    let before = traces(&sandbox.path("root"));
    assert!(sandbox.sync(&[]).stdout.starts_with("up to date"));
    assert_eq!(traces(&sandbox.path("root")), before);
}

#[test]
fn a_locked_interpreter_stays_until_it_is_upgraded() {
    let sandbox = project();
    let mut interpreters = Interpreters::new(&sandbox);
    sandbox.lock();
    let before = sandbox.read("rootstock.lock");
    let version = Interpreters::version();
    let newer = [Interpreters::bytes(), b"newer"].concat();
    interpreters.publish(version, "20210101", &newer);
    interpreters.publish("3.11.99", "20210101", b"not looked at");
    sandbox.lock();
    assert_eq!(sandbox.read("rootstock.lock"), before);
    // Neither does another dependency, nor another package that moves on.
    sandbox.write_source("one", &["first", "second"], "");
    sandbox.run(&["lock", "--upgrade=second"]).expect(0);
    assert!(sandbox.read("rootstock.lock").contains("20200101"));
    let output = sandbox.run(&["lock", "--upgrade"]);
    output.expect(0);
    let moved = format!("one python {version}+20200101 3.11.99+20210101");
    let lines: Vec<String> = output
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert!(lines.contains(&moved), "{lines:#?}");
    // What the manifest pins exactly moves to a newer build of that version only.
    let exact = sandbox
        .read("rootstock.toml")
        .replace("\"3.11\"", &format!("\"{version}\""));
    sandbox.write("rootstock.toml", &exact);
    sandbox.run(&["lock", "--check"]).expect(3);
    sandbox.lock();
    let lock = sandbox.read("rootstock.lock");
    assert!(lock.contains(&format!("python = \"{version}\"")), "{lock}");
    assert!(
        lock.contains("20210101") && !lock.contains("3.11.99"),
        "{lock}"
    );
}

#[test]
fn id_and_trees_are_the_same_at_every_root() {
    let sandbox = project();
    let _interpreters = Interpreters::new(&sandbox);
    sandbox.lock();
    sandbox.sync(&["one"]);
    sandbox.sync(&["one", "--root", "another place"]);
    for field in ["id", "tree", "managed"] {
        let [here, there] = ["root", "another place"].map(|root| sandbox.stamp(root, "one", field));
        assert_eq!(here, there, "{field}");
    }
    let trees = ["root", "another place"].map(|root| {
        let home = home(&sandbox, root);
        fs::read_to_string(home.join("rootstock-tree.txt")).unwrap()
    });
    assert!(trees[0] == trees[1] && trees[0].contains("__pycache__/os.cpython-3"));
}

#[test]
fn the_publishers_list_of_digests_spares_a_download() {
    let sandbox = project();
    let _interpreters = Interpreters::new(&sandbox);
    let file = Interpreters::file(Interpreters::version(), "20200101");
    let digest = rootstock::digest::Digest::of(Interpreters::bytes());
    let sums = format!("{}  other.tar.gz\n{digest}  {file}\n", "0".repeat(64));
    sandbox
        .index
        .put("pythons/20200101/SHA256SUMS", sums.as_bytes());
    sandbox.lock();
    assert_eq!(downloads(&sandbox), 0);
    assert!(sandbox.read("rootstock.lock").contains(&digest.to_string()));
    // A list that is wrong is found out when the archive comes.
    let wrong = format!("{}  {file}\n", "1".repeat(64));
    sandbox
        .index
        .put("pythons/20200101/SHA256SUMS", wrong.as_bytes());
    sandbox.run(&["lock", "--upgrade"]).expect(0);
    let output = sandbox.run(&["sync", "one"]);
    output.expect(1);
    assert!(
        output.stderr.contains(&format!(
            "the interpreter {}+20200101 cannot be downloaded",
            Interpreters::version()
        )),
        "{}",
        output.stderr
    );
    assert!(sandbox.names("root/pythons").is_empty());
    assert!(sandbox.names("root/envs").is_empty());
}

#[test]
fn a_mirror_needs_no_new_lock() {
    let sandbox = project();
    let _interpreters = Interpreters::new(&sandbox);
    sandbox.lock();
    let lock = sandbox.read("rootstock.lock");
    // The publisher cannot be reached any more: its port is closed.
    let list = sandbox.read("interpreters.json");
    let unreachable = |text: &str| {
        let at = text.find("http://127.0.0.1:").unwrap();
        let port = text[at + 17..].split('/').next().unwrap().to_owned();
        text.replace(&format!("127.0.0.1:{port}/pythons"), "127.0.0.1:9/pythons")
    };
    sandbox.write("interpreters.json", &unreachable(&list));
    sandbox.run(&["lock", "--upgrade"]).expect(1);
    assert_eq!(sandbox.read("rootstock.lock"), lock);

    let file = Interpreters::file(Interpreters::version(), "20200101");
    fs::create_dir_all(sandbox.path("mirror/20200101")).unwrap();
    fs::write(
        sandbox.path("mirror/20200101").join(&file),
        Interpreters::bytes(),
    )
    .unwrap();
    let manifest = sandbox.read("rootstock.toml");
    let mirrored = manifest.replace("[rootstock]\n", "[rootstock]\npython-mirror = \"mirror\"\n");
    sandbox.write("rootstock.toml", &mirrored);
    sandbox.run(&["lock", "--check"]).expect(0);
    sandbox.run(&["lock", "--upgrade"]).expect(0);
    assert!(
        sandbox
            .read("rootstock.lock")
            .contains("127.0.0.1:9/pythons/20200101/")
    );
    sandbox.sync(&["one"]);

    // The variable is stronger than the manifest; a directory may hold all archives in one place.
    fs::rename(
        sandbox.path("mirror/20200101").join(&file),
        sandbox.path(&file),
    )
    .unwrap();
    let mut command = sandbox.command(&["sync", "one", "--root", "other"]);
    let result = command
        .env("ROOTSTOCK_PYTHON_MIRROR", ".")
        .output()
        .unwrap();
    assert!(result.status.success(), "{result:?}");
    let result = sandbox.run(&["sync", "one", "--root", "third"]);
    result.expect(1);
    assert!(result.stderr.contains("cannot open"), "{}", result.stderr);
}

#[test]
fn a_damaged_interpreter_is_seen_and_made_anew() {
    let sandbox = project();
    let _interpreters = Interpreters::new(&sandbox);
    sandbox.lock();
    sandbox.sync(&["one"]);
    let id = sandbox.stamp("root", "one", "id");
    let home = home(&sandbox, "root");
    let series = fs::read_link(home.join("bin/python3")).unwrap();
    let program = home.join("bin").join(series);
    let bytes = fs::read(&program).unwrap();
    replace(&program, b"#!/bin/sh\nexit 0\n");
    let output = sandbox.run(&["sync", "--check", "one"]);
    output.expect(3);
    assert!(
        output.stdout.contains("its Python has changed"),
        "{}",
        output.stdout
    );
    sandbox.sync(&["one"]);
    assert_eq!(fs::read(&program).unwrap(), bytes);
    assert_eq!(sandbox.stamp("root", "one", "id"), id);
    sandbox.run(&["sync", "--check", "one"]).expect(0);

    // A file that a quick look does not see is seen before anything new is built on it.
    let module = fs::canonicalize(
        sandbox
            .python("one", "import this as m; print(m.__file__)")
            .lines()
            .last()
            .unwrap(),
    );
    let module = module.unwrap();
    let text = fs::read(&module).unwrap();
    replace(&module, b"print('evil')\n");
    sandbox.sync(&["two"]);
    assert_eq!(fs::read(&module).unwrap(), text);

    fs::rename(&home, sandbox.path("gone")).unwrap();
    let output = sandbox.run(&["sync", "--check", "one"]);
    output.expect(3);
    assert!(
        output.stdout.contains("its Python is gone"),
        "{}",
        output.stdout
    );
    sandbox.sync(&["one"]);
    sandbox.run(&["sync", "--check", "one"]).expect(0);
}

#[test]
fn what_does_not_exist_is_refused_with_what_does() {
    let sandbox = project();
    let _interpreters = Interpreters::new(&sandbox);
    let manifest = sandbox.read("rootstock.toml");
    sandbox.write(
        "rootstock.toml",
        &manifest.replace("\"3.11\"", "\"3.11.77\""),
    );
    let output = sandbox.run(&["lock"]);
    output.expect(1);
    let version = Interpreters::version();
    for part in [
        "there is no managed CPython 3.11.77 for linux-",
        &format!("there are {version}"),
        "python-source = \"system\"",
    ] {
        assert!(output.message().contains(part), "{part}: {}", output.stderr);
    }
    for other in ["pypy3.11", "3.13t"] {
        sandbox.write(
            "rootstock.toml",
            &manifest.replace("\"3.11\"", &format!("\"{other}\"")),
        );
        let output = sandbox.run(&["lock"]);
        output.expect(2);
        assert!(
            output.stderr.contains("exact version of CPython"),
            "{}",
            output.stderr
        );
    }
}

#[test]
fn an_archive_that_holds_something_else_is_refused() {
    let sandbox = project();
    let mut interpreters = Interpreters::new(&sandbox);
    interpreters.publish("3.11.98", "20210101", Interpreters::bytes());
    interpreters.publish("3.11.99", "20210101", b"<html>sign in</html>");
    sandbox.lock();
    let output = sandbox.run(&["sync", "one"]);
    output.expect(1);
    output.stderr_is(&sandbox, str![[r#"
downloading 1 file, [SIZE]
  × one failed: the archive of the interpreter 3.11.99+20210101 cannot be unpacked: it is not a gzipped tar archive: invalid gzip header
"#]]);
    let manifest = sandbox.read("rootstock.toml");
    sandbox.write(
        "rootstock.toml",
        &manifest.replace("\"3.11\"", "\"3.11.98\""),
    );
    sandbox.lock();
    let output = sandbox.run(&["sync", "one"]);
    output.expect(1);
    let holds = format!("holds cpython {}", Interpreters::version());
    assert!(output.stderr.contains(&holds), "{}", output.stderr);
    assert!(sandbox.names("root/pythons").is_empty());
}

#[test]
fn offline_names_the_interpreter_that_is_missing() {
    let sandbox = project();
    let _interpreters = Interpreters::new(&sandbox);
    sandbox.lock();
    let output = sandbox.run(&["sync", "--offline", "one"]);
    output.expect(1);
    let name = format!(
        "the interpreter {}+20200101 is neither",
        Interpreters::version()
    );
    assert!(output.stderr.contains(&name), "{}", output.stderr);
    let output = sandbox.run(&["sync", "--dry-run", "one"]);
    output.expect(0);
    assert!(
        output.stdout.contains("to download: 2 files"),
        "{}",
        output.stdout
    );
}

#[test]
fn a_build_backend_is_asked_by_the_managed_interpreter_where_there_is_no_other() {
    let sandbox = Sandbox::new(&[("one", &["demo"])]);
    sandbox.more("sdists = [\"demo\"]");
    let _interpreters = Interpreters::new(&sandbox);
    let demo = Sdist::new("demo", "1.0").asks("return ['helper']");
    sandbox.index.add_sdist(&demo);
    sandbox.index.add(&Wheel::simple("helper", "1.0"));
    sandbox.lock();
    let locked = sandbox.read("rootstock.lock");
    assert!(locked.contains("demo = [\"helper 1.0"), "{locked}");
    // A machine without any Python: uv is there, and the archives are.
    fs::remove_file(sandbox.path("rootstock.lock")).unwrap();
    fs::create_dir(sandbox.path("empty")).unwrap();
    let given = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache =
        given.unwrap_or_else(|| Path::new(&std::env::var_os("HOME").unwrap()).join(".cache"));
    fs::create_dir_all(sandbox.path("cache/rootstock")).unwrap();
    std::os::unix::fs::symlink(
        cache.join("rootstock/uv"),
        sandbox.path("cache/rootstock/uv"),
    )
    .unwrap();
    let lock = || {
        let mut command = sandbox.command(&["lock"]);
        command.env("PATH", sandbox.path("empty"));
        command.env("XDG_CACHE_HOME", sandbox.path("cache"));
        Output::from(command.output().unwrap())
    };
    let result = lock();
    result.expect(0);
    let providing = format!("providing Python {}+20200101", Interpreters::version());
    assert!(result.stderr.contains(&providing), "{}", result.stderr);
    assert_eq!(sandbox.read("rootstock.lock"), locked);
    // It is kept for the next time.
    fs::remove_file(sandbox.path("rootstock.lock")).unwrap();
    let fetched = || {
        let asked = sandbox.index.asked();
        asked
            .iter()
            .filter(|path| path.starts_with("pythons/") && path.ends_with(".tar.gz"))
            .count()
    };
    let before = fetched();
    lock().expect(0);
    // The sha256 is learnt again, by a download; that is all.
    assert_eq!(fetched(), before + 1);
    assert_eq!(sandbox.names("cache/rootstock/pythons").len(), 1);
}

#[test]
fn the_newest_series_with_a_solution_is_locked_and_named() {
    let sandbox = Sandbox::new(&[("one", &["only"])]);
    let mut interpreters = Interpreters::new(&sandbox);
    interpreters.publish("3.14.1", "20200101", b"not looked at");
    interpreters.publish("3.15.0", "20200101", b"not looked at");
    let manifest = sandbox.read("rootstock.toml");
    sandbox.write(
        "rootstock.toml",
        &manifest.replace("python = \"3.11\"\n", ""),
    );
    // Wheels for one series; a source distribution that may not be built is no way out.
    sandbox
        .index
        .add(&Wheel::simple("only", "1.0").tagged("cp311-none-any"));
    sandbox.index.add_sdist(&Sdist::new("only", "1.0"));
    let message = sandbox.run(&["lock"]).expect(0).message();
    for fragment in [
        "environment `one` is locked for Python 3.11, because it has no solution for 3.15, 3.14",
        "write `python = \"3.11\"` into its table",
    ] {
        assert!(message.contains(fragment), "{message}");
    }
    let lock = sandbox.read("rootstock.lock");
    let locked = format!("python = \"{}\"", Interpreters::version());
    assert!(lock.contains(&locked), "{lock}");
    sandbox.run(&["lock", "--check"]).expect(0);
    sandbox.lock();
    assert_eq!(sandbox.read("rootstock.lock"), lock);
    sandbox.sync(&[]);
    // Where no series has one, the locked one is explained; where the series is asked for, no other is tried.
    sandbox.write_source("one", &["only>=2"], "");
    let message = sandbox.run(&["lock"]).expect(1).message();
    assert!(
        message.contains("no solution for") && message.contains("with Python 3.11"),
        "{message}"
    );
    sandbox.write_source("one", &["only"], "");
    sandbox.write(
        "rootstock.toml",
        &manifest.replace("python = \"3.11\"", "python = \"3.14\""),
    );
    sandbox.run(&["lock"]).expect(1);
}
