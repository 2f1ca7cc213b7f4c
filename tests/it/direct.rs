//! Direct references: addresses, commits and paths are locked by what they hold, and what they hold is installed.

use std::path::Path;
use std::process::Command;

use snapbox::str;

use crate::sandbox::{Index, Output, Sandbox, Sdist, Wheel, lacking};

/// The codes of the findings of `lock --check`.
fn findings(sandbox: &Sandbox) -> Vec<String> {
    let output = sandbox.run(&["lock", "--check", "--json"]);
    let findings = output.json()["findings"].as_array().unwrap().clone();
    assert_eq!(output.code, Some(if findings.is_empty() { 0 } else { 3 }));
    let code = |finding: &serde_json::Value| finding["code"].as_str().unwrap().to_owned();
    findings.iter().map(code).collect()
}

/// A repository with one commit, or `None` where there is no git.
pub(crate) struct Repository<'a>(&'a Path);

impl<'a> Repository<'a> {
    pub(crate) fn new(directory: &'a Path, project: &Sdist) -> Option<Self> {
        let there = Command::new("git").arg("--version").output();
        if !lacking::unless(there.is_ok_and(|output| output.status.success()), "git") {
            return None;
        }
        std::fs::create_dir_all(directory).unwrap();
        let repository = Self(directory);
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository.commit(project);
        Some(repository)
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=x",
                "-c",
                "user.email=x@example.org",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(arguments)
            .current_dir(self.0)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits the project in the directory `python`; the commit.
    pub(crate) fn commit(&self, project: &Sdist) -> String {
        project.write(&self.0.join("python"));
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message=x"]);
        self.git(&["rev-parse", "HEAD"])
    }
}

/// The sandbox with the machine's git on its search path.
pub(crate) fn with_git(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", sandbox.path("bin").display());
    let output = sandbox.command(arguments).env("PATH", path).output();
    Output::from(output.unwrap())
}

#[test]
fn a_wheel_at_an_address_is_locked_by_its_bytes() {
    let elsewhere = Index::start();
    elsewhere.add(&Wheel::simple("demo", "1.0").requires("shared"));
    let address = elsewhere.address("demo-1.0-py3-none-any.whl");
    let sandbox = Sandbox::new(&[("one", &[&format!("demo @ {address}"), "other"])]);
    sandbox.index.add(&Wheel::simple("shared", "1.0"));
    // An index that has more of it is not asked for it, and one that asks for it gets this one.
    sandbox.index.add(&Wheel::simple("demo", "99.0"));
    sandbox
        .index
        .add(&Wheel::simple("other", "1.0").requires("demo>=1"));
    sandbox.lock();
    let lock = sandbox.read("rootstock.lock");
    assert!(
        lock.contains(&format!(
            "{{ url = \"{address}\", file = \"demo-1.0-py3-none-any.whl\""
        )),
        "{lock}"
    );
    assert!(!lock.contains("99.0"), "{lock}");
    assert_eq!(findings(&sandbox), [""; 0]);
    sandbox.sync(&[]);
    assert_eq!(
        sandbox.python("one", "import demo; print(demo.VERSION)"),
        "1.0\n"
    );

    // Other bytes at the address are no wheel of ours.
    elsewhere.replace(
        "demo-1.0-py3-none-any.whl",
        &Wheel::simple("demo", "1.0").bytes(),
    );
    let output = sandbox.run(&["sync", "--root", "other"]);
    output.expect(1);
    assert!(
        output.message().contains("has the sha256"),
        "{}",
        output.message()
    );

    // The same package from elsewhere is another question.
    sandbox.write_source("one", &["demo", "other"], "");
    assert!(findings(&sandbox).contains(&"requirement-changed".to_owned()));
}

#[test]
fn what_is_beside_the_manifest_is_locked_by_its_bytes() {
    let sandbox = Sandbox::new(&[(
        "one",
        &[
            "wheel @ ./libs/wheel-1.0-py3-none-any.whl",
            "packed @ file:libs/packed-1.0.tar.gz",
        ],
    )]);
    sandbox.more("dependencies = [\"tree @ libs/tree\"]\nsdists = [\"packed\", \"tree\"]");
    std::fs::create_dir(sandbox.path("libs")).unwrap();
    let wheel = sandbox.path("libs/wheel-1.0-py3-none-any.whl");
    std::fs::write(
        &wheel,
        Wheel::simple("wheel", "1.0").requires("shared").bytes(),
    )
    .unwrap();
    let packed = sandbox.path("libs/packed-1.0.tar.gz");
    std::fs::write(&packed, Sdist::new("packed", "1.0").bytes()).unwrap();
    Sdist::new("tree", "1.0")
        .depends("shared")
        .write(&sandbox.path("libs/tree"));
    sandbox.index.add(&Wheel::simple("shared", "1.0"));
    sandbox.index.add(&Wheel::simple("tree", "99.0"));
    sandbox.lock();
    let lock = sandbox.read("rootstock.lock");
    for line in [
        "{ path = \"./libs/packed-1.0.tar.gz\", file = \"packed-1.0.tar.gz\"",
        "{ path = \"./libs/tree\", file = \"tree-1.0.tar\"",
        "{ path = \"./libs/wheel-1.0-py3-none-any.whl\", file = \"wheel-1.0-py3-none-any.whl\"",
    ] {
        assert!(lock.contains(line), "{line}: {lock}");
    }
    assert!(!lock.contains(sandbox.path("").to_str().unwrap()), "{lock}");
    assert_eq!(findings(&sandbox), [""; 0]);
    sandbox.sync(&[]);
    let code = "import packed, tree, wheel; print(packed.VERSION, tree.VERSION, wheel.VERSION)";
    assert_eq!(sandbox.python("one", code), "1.0 1.0 1.0\n");

    // What is left behind by tools is not the project; what is in it is.
    sandbox.write("libs/tree/__pycache__/x.pyc", "x");
    sandbox.write("libs/tree/.git/HEAD", "x");
    assert_eq!(findings(&sandbox), [""; 0]);
    sandbox.write("libs/tree/more.txt", "x");
    assert_eq!(findings(&sandbox), ["local-changed"]);
    sandbox.lock();
    assert_eq!(findings(&sandbox), [""; 0]);
    std::fs::write(&wheel, Wheel::simple("wheel", "1.0").bytes()).unwrap();
    assert_eq!(findings(&sandbox), ["local-changed"]);
    // Nothing else moves when it is locked anew.
    sandbox.index.add(&Wheel::simple("shared", "2.0"));
    sandbox.lock();
    assert!(sandbox.read("rootstock.lock").contains("\"shared 1.0 "));
    std::fs::remove_file(&wheel).unwrap();
    sandbox.run(&["lock", "--check"]).expect(2);
}

#[test]
fn the_same_project_elsewhere_has_the_same_lock() {
    let lock = || {
        let sandbox = Sandbox::new(&[("one", &["tree @ ./libs/a b"])]);
        sandbox.more("sdists = [\"tree\"]");
        Sdist::new("tree", "1.0").write(&sandbox.path("libs/a b"));
        sandbox.lock();
        sandbox.read("rootstock.lock")
    };
    assert_eq!(lock(), lock());
}

#[test]
fn a_branch_is_locked_to_its_commit_until_it_moves_on() {
    let place = tempfile::tempdir().unwrap();
    let first = Sdist::new("demo", "1.0");
    let Some(repository) = Repository::new(place.path(), &first) else {
        return;
    };
    let commit = repository.git(&["rev-parse", "HEAD"]);
    let url = format!("file://{}", place.path().display());
    let requirement = format!("demo @ git+{url}@main#subdirectory=python");
    let sandbox = Sandbox::new(&[("one", &[&requirement])]);
    let refused = with_git(&sandbox, &["lock"]);
    refused.expect(1);
    assert!(
        refused
            .message()
            .contains("`demo 1.0` is asked for as source, which must be built")
            && refused.message().contains("sdists = [\"demo\"]"),
        "{}",
        refused.message()
    );
    sandbox.more("sdists = [\"demo\"]");
    with_git(&sandbox, &["lock"]).expect(0);
    let lock = sandbox.read("rootstock.lock");
    let line = format!(
        "{{ git = \"{url}\", commit = \"{commit}\", subdirectory = \"python\", file = \"demo-1.0.tar\""
    );
    assert!(lock.contains(&line), "{lock}");
    assert_eq!(findings(&sandbox), [""; 0]);

    let second = repository.commit(&Sdist::new("demo", "2.0"));
    assert_eq!(findings(&sandbox), [""; 0]);
    // Solved anew for another reason, it stays.
    sandbox.index.add(&Wheel::simple("other", "1.0"));
    sandbox.write_source("one", &[&requirement, "other"], "");
    with_git(&sandbox, &["lock"]).expect(0);
    assert!(sandbox.read("rootstock.lock").contains(&commit));
    with_git(&sandbox, &["sync"]).expect(0);
    assert_eq!(
        sandbox.python("one", "import demo; print(demo.VERSION)"),
        "1.0\n"
    );

    with_git(&sandbox, &["lock", "--upgrade=demo"]).expect(0);
    let lock = sandbox.read("rootstock.lock");
    assert!(
        lock.contains(&second) && lock.contains("\"demo 2.0 "),
        "{lock}"
    );
    // A bundle has the archive of the commit: where it is carried to needs neither git nor the repository.
    with_git(&sandbox, &["bundle", "-o", "carried"]).expect(0);
    sandbox.sync_carried("there");
    assert_eq!(sandbox.stamp("there", "one", "packages"), 2);
    // Without git, who needs it is named.
    let output = sandbox.run(&["sync"]);
    output.expect(1);
    for text in ["`git` is not on PATH", "install git, or load its module"] {
        assert!(output.message().contains(text), "{}", output.message());
    }
    with_git(&sandbox, &["sync"]).expect(0);
    assert_eq!(
        sandbox.python("one", "import demo; print(demo.VERSION)"),
        "2.0\n"
    );

    // Another commit by its name is another answer.
    sandbox.write_source(
        "one",
        &[
            &requirement.replace("@main", &format!("@{commit}")),
            "other",
        ],
        "",
    );
    let found = findings(&sandbox);
    assert!(
        found.contains(&"version-violates-manifest".to_owned()),
        "{found:?}"
    );
}

#[test]
fn references_that_cannot_be_locked_are_refused_without_their_passwords() {
    let refused = |requirement: &str| {
        let sandbox = Sandbox::new(&[("one", &[requirement])]);
        let output = sandbox.run(&["lock", "--check"]);
        output.expect(2);
        assert_eq!(output.stdout, "");
        output.message()
    };
    for requirement in [
        "demo @ https://me:secret@example.org/demo-1.0-py3-none-any.whl",
        "demo @ https://secret@example.org/demo-1.0-py3-none-any.whl",
        "demo @ git+https://secret@example.org/demo",
    ] {
        let output = refused(requirement);
        assert!(!output.contains("secret"), "{output}");
        assert!(
            output.contains("may not hold credentials") && output.contains("netrc"),
            "{output}"
        );
    }
    let output = refused("demo @ /somewhere/demo-1.0-py3-none-any.whl");
    assert!(
        output.contains("an absolute path is another one on every machine"),
        "{output}"
    );
    let output = refused("demo @ ./missing");
    assert!(
        output.contains("`./missing` cannot be installed") && output.contains("there is nothing"),
        "{output}"
    );
    let output = refused("demo @ .");
    assert!(output.contains("holds the manifest itself"), "{output}");
}

#[test]
fn checking_a_lock_with_references_starts_no_program_and_needs_no_network() {
    let sandbox = Sandbox::new(&[("one", &["tree @ ./libs/tree"])]);
    sandbox.more("sdists = [\"tree\"]");
    Sdist::new("tree", "1.0").write(&sandbox.path("libs/tree"));
    sandbox.lock();
    let before = crate::sandbox::traces(&sandbox.path(""));
    // No interpreter, no uv, no index.
    let output = sandbox
        .command(&["lock", "--check"])
        .env("PATH", "/nowhere")
        .env("HOME", "/nowhere")
        .env("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
        .output();
    Output::from(output.unwrap()).expect(0);
    assert_eq!(crate::sandbox::traces(&sandbox.path("")), before);
}

/// A source distribution that has the project in the directory `python`.
fn nested(project: &Sdist) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(gzip);
    for (path, text) in project.files() {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        let path = format!("repository-main/python/{path}");
        let appended = archive.append_data(&mut header, path, text.as_bytes());
        appended.unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

#[test]
fn a_subdirectory_of_an_archive_is_what_is_built() {
    let elsewhere = Index::start();
    let bytes = nested(&Sdist::new("demo", "1.0"));
    let address = elsewhere.put("archive/main.tar.gz", &bytes);
    for reference in [
        format!("{address}#subdirectory=python"),
        format!("{address}#egg=demo&subdirectory=./python/").replace("./python/", "/python/"),
        "./libs/main.tar.gz#subdirectory=python".to_owned(),
        "file:libs/tree#subdirectory=python".to_owned(),
    ] {
        let sandbox = Sandbox::new(&[("one", &[&format!("demo @ {reference}")])]);
        sandbox.more("sdists = [\"demo\"]");
        Sdist::new("demo", "1.0").write(&sandbox.path("libs/tree/python"));
        std::fs::write(sandbox.path("libs/main.tar.gz"), &bytes).unwrap();
        sandbox.lock();
        let lock = sandbox.read("rootstock.lock");
        assert!(lock.contains("subdirectory = \"python\""), "{lock}");
        assert_eq!(findings(&sandbox), [""; 0]);
        sandbox.sync(&[]);
        let version = "import demo; print(demo.VERSION)";
        assert_eq!(sandbox.python("one", version), "1.0\n", "{reference}");
        let exported = sandbox.run(&["export", "one", "--format", "pylock"]);
        exported.expect(0);
        assert!(exported.stdout.contains("subdirectory = \"python\""));

        // Another one, or none, is another question; one that is not there is named.
        let asked = reference
            .replace("=python", "=other")
            .replace("=/python/", "=other");
        sandbox.write_source("one", &[&format!("demo @ {asked}")], "");
        let code = if asked.contains("libs/tree") { 2 } else { 3 };
        sandbox.run(&["lock", "--check"]).expect(code);
        let output = sandbox.run(&["lock"]);
        assert!(matches!(output.code, Some(1 | 2)), "{}", output.message());
    }
}

#[test]
fn an_address_that_is_wrong_is_not_taken_for_a_failing_network() {
    let elsewhere = Index::start();
    elsewhere.add(&Wheel::simple("demo", "1.0"));
    let good = elsewhere.address("demo-1.0-py3-none-any.whl");
    for (requirement, word) in [
        (
            format!("demo @ {}", elsewhere.address("demo.whl")),
            "demo.whl",
        ),
        (format!("demo @ {}", good.replace("1.0", "2.0")), "404"),
        (format!("other @ {good}"), "`other`"),
    ] {
        let sandbox = Sandbox::new(&[("one", &[&requirement])]);
        let output = sandbox.run(&["lock"]);
        output.expect(1);
        let message = output.message();
        assert!(
            message.contains(word) && message.contains("correct the address"),
            "{message}"
        );
        assert!(!message.contains("reachable"), "{message}");
    }
    let sandbox = Sandbox::new(&[("one", &[&format!("demo @ {}", good.replace("1.0", "2.0"))])]);
    let output = sandbox.run(&["lock"]);
    output.expect(1).stderr_is(&sandbox, str![[r#"
resolving one …
  × one environment could not be locked
Error:
  × environment `one` could not be resolved: uv could not answer: Failed to download `demo @ http://127.0.0.1:[PORT]/files/demo-2.0-py3-none-any.whl` Failed to fetch: http://127.0.0.1:[PORT]/files/demo-2.0-py3-none-any.whl HTTP status client error (404 Not Found) for url (http://127.0.0.1:[PORT]/files/demo-2.0-py3-none-any.whl)
  help: correct the address or the name in the requirement: a file is called as it was published, and a wheel NAME-VERSION-PYTHON-ABI-PLATFORM.whl
"#]]);
    // Nor is one that is gone when it is synced a reason to upgrade.
    let sandbox = Sandbox::new(&[("one", &[&format!("demo @ {good}")])]);
    sandbox.lock();
    drop(elsewhere);
    let output = sandbox.run(&["sync"]);
    output.expect(1).stderr_is(&sandbox, str![[r#"
preparing 1 package
downloading 1 file, [SIZE]
  × one failed: `demo-1.0-py3-none-any.whl` cannot be downloaded: cannot reach `127.0.0.1:[PORT]` to download `demo-1.0-py3-none-any.whl`: io: Connection refused (os error 111)
  help: check the network and the variables HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE, or run the command on a node that has access
"#]]);
}
