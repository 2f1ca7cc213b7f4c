//! A file that is kept in Git LFS is fetched, or refused by its name: the pointer in its place is never installed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use snapbox::str;

use crate::direct::Repository;
use crate::sandbox::{Index, Output, Sandbox, Sdist};

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\n\
    oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

/// A project whose module holds the text of a file beside its `pyproject.toml`.
fn project() -> Sdist {
    Sdist::new("demo", "1.0").makes("return 'DATA = %r\\n' % open('data.bin').read()")
}

/// A directory with git and what its scripts need, and no git-lfs but this.
fn programs(place: &Path, lfs: Option<&str>) {
    let _ = fs::remove_dir_all(place);
    fs::create_dir_all(place).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    for name in ["git", "sh", "basename", "sed", "uname", "cat", "mv", "tr"] {
        let found = std::env::split_paths(&path).map(|directory| directory.join(name));
        if let Some(program) = found.into_iter().find(|program| program.exists()) {
            std::os::unix::fs::symlink(program, place.join(name)).unwrap();
        }
    }
    if let Some(script) = lfs {
        let program = place.join("git-lfs");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let path = format!(
        "{}:{}",
        sandbox.path("bin").display(),
        sandbox.path("programs").display()
    );
    // Repositories on this disk may be submodules of each other.
    sandbox.write("home/.gitconfig", "[protocol \"file\"]\nallow = always\n");
    let output = sandbox
        .command(arguments)
        .env("PATH", path)
        .env("HOME", sandbox.path("home"))
        .output();
    Output::from(output.unwrap())
}

#[test]
fn a_git_dependency_gets_its_files_or_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("python/data.bin");
    fs::create_dir_all(data.parent().unwrap()).unwrap();
    fs::write(&data, POINTER).unwrap();
    // One that is not the project's does no harm.
    fs::create_dir_all(place.path().join("docs")).unwrap();
    fs::write(place.path().join("docs/picture.png"), POINTER).unwrap();
    let Some(_) = Repository::new(place.path(), &project()) else {
        return;
    };
    let url = format!("file://{}", place.path().display());
    let sandbox = Sandbox::new(&[(
        "one",
        &[&format!("demo @ git+{url}@main#subdirectory=python")],
    )]);
    sandbox.more("sdists = [\"demo\"]");
    let refused = |arguments: &[&str]| {
        let output = run(&sandbox, arguments);
        output.expect(1);
        let message = output.message();
        assert!(
            message.contains("`python/data.bin`") && message.contains("install git-lfs"),
            "{message}"
        );
    };
    programs(&sandbox.path("programs"), None);
    refused(&["lock"]);
    programs(&sandbox.path("programs"), Some("exit 1"));
    refused(&["lock"]);
    // What it does not fetch stays a pointer.
    programs(&sandbox.path("programs"), Some("exit 0"));
    refused(&["lock"]);
    assert!(!sandbox.path("rootstock.lock").exists());

    let lfs = "case $1 in pull) printf contents > python/data.bin;; esac";
    programs(&sandbox.path("programs"), Some(lfs));
    run(&sandbox, &["lock"]).expect(0);
    run(&sandbox, &["sync"]).expect(0);
    assert_eq!(
        sandbox.python("one", "import demo; print(demo.DATA)"),
        "contents\n"
    );
    // A machine that cannot fetch it does not install the pointer.
    programs(&sandbox.path("programs"), None);
    refused(&["sync", "--root", "other"]);
}

#[test]
fn a_submodule_gets_its_files_or_is_refused() {
    let (place, below) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(below.path().join("data.bin"), POINTER).unwrap();
    let Some(_) = Repository::new(below.path(), &project()) else {
        return;
    };
    let demo =
        Sdist::new("demo", "1.0").makes("return 'DATA = %r\\n' % open('data/data.bin').read()");
    let repository = Repository::new(place.path(), &demo).unwrap();
    let submodule = format!("file://{}", below.path().display());
    let add = [
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        &submodule,
        "python/data",
    ];
    repository.git(&add);
    repository.git(&["commit", "--quiet", "--message=data"]);
    let url = format!("file://{}", place.path().display());
    let requirement = format!("demo @ git+{url}@main#subdirectory=python");
    let sandbox = Sandbox::new(&[("one", &[&requirement])]);
    sandbox.more("sdists = [\"demo\"]");
    programs(&sandbox.path("programs"), None);
    let output = run(&sandbox, &["lock"]);
    output.expect(1);
    assert!(
        output.message().contains("`python/data/data.bin`"),
        "{}",
        output.message()
    );
    let lfs = "case $1 in pull) printf contents > data.bin;; esac";
    programs(&sandbox.path("programs"), Some(lfs));
    run(&sandbox, &["lock"]).expect(0);
    run(&sandbox, &["sync"]).expect(0);
    assert_eq!(
        sandbox.python("one", "import demo; print(demo.DATA)"),
        "contents\n"
    );
}

#[test]
fn a_directory_or_an_archive_with_a_pointer_is_refused() {
    let elsewhere = Index::start();
    let demo = Sdist::new("demo", "1.0").file("package/data.bin", POINTER);
    let sandbox = Sandbox::new(&[("one", &[])]);
    sandbox.more("sdists = [\"demo\"]");
    demo.write(&sandbox.path("libs/demo"));
    fs::write(sandbox.path("libs/demo-1.0.tar.gz"), demo.bytes()).unwrap();
    let address = elsewhere.put("demo-1.0.tar.gz", &demo.bytes());
    for reference in ["./libs/demo", "./libs/demo-1.0.tar.gz", &address] {
        sandbox.write_source("one", &[&format!("demo @ {reference}")], "");
        let output = sandbox.run(&["lock"]);
        output.expect(1);
        let message = output.message();
        let advice = if reference == "./libs/demo" {
            "run `git lfs pull`"
        } else {
            "without Git LFS"
        };
        assert!(
            message.contains("`package/data.bin` in") && message.contains(advice),
            "{message}"
        );
    }
    sandbox.write_source("one", &["demo @ ./libs/demo"], "");
    let output = sandbox.run(&["lock"]);
    output.expect(1).stderr_is(&sandbox, str![[r#"
resolving one …
  × one environment could not be locked
Error:
  × environment `one`: the build requirements of `demo` cannot be locked: `package/data.bin` in `demo-1.0.tar` is a Git LFS pointer, not the file itself
  help: run `git lfs pull` in the project's directory
"#]]);
    // So is a source distribution of an index.
    sandbox.index.add_sdist(&demo);
    sandbox.write_source("one", &["demo"], "");
    let output = sandbox.run(&["lock"]);
    output.expect(1);
    output.stderr_is(&sandbox, str![[r#"
resolving one …
  × one environment could not be locked
Error:
  × environment `one`: the build requirements of `demo` cannot be locked: `package/data.bin` in `demo-1.0.tar.gz` is a Git LFS pointer, not the file itself
  help: its publisher made it without Git LFS: take a wheel, or the repository (`git+https://…@REVISION`), whose files are fetched
"#]]);
}

#[test]
fn weights_that_are_a_pointer_are_refused() {
    let sandbox = Sandbox::single();
    sandbox.write("remote/weights.bin", POINTER);
    let manifest = sandbox.read("rootstock.toml");
    let url = format!("file://{}", sandbox.path("remote/weights.bin").display());
    let model = |more: &str| {
        let model = format!(
            "{manifest}\n[models.potential]\nenvironment = \"one\"\nweights = [{{ url = \"{url}\", path = \"p.bin\"{more} }}]\n"
        );
        sandbox.write("rootstock.toml", &model);
    };
    let pointer = |output: &Output| {
        let message = output.message();
        assert!(message.contains("is a Git LFS pointer"), "{message}");
    };
    model("");
    pointer(sandbox.run(&["lock"]).expect(1));
    let digest = rootstock::digest::Digest::of(POINTER).to_string();
    model(&format!(", sha256 = \"{digest}\""));
    sandbox.lock();
    let output = sandbox.run(&["sync"]);
    output.expect(1).stderr_is(&sandbox, str![[r#"
preparing 1 package
downloading 1 file, [SIZE]
linking one
downloading 1 file, [SIZE]
  × weights `p.bin` of potential: `file://[PROJECT]/remote/weights.bin` is a Git LFS pointer, not the file itself
  help: write the address of the file itself: of a repository with Git LFS, the one that its page downloads from
"#]]);
    assert!(!sandbox.path("root/cache/p.bin").exists());
    let output = sandbox.run(&["probe", "one:custom", "--weights", "remote/weights.bin"]);
    output.expect(2).stderr_is(
        &sandbox,
        str![[r#"
  × `remote/weights.bin` is a Git LFS pointer, not the weights themselves
  help: run `git lfs pull` in its repository
"#]],
    );
}
