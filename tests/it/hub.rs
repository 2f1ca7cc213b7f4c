//! Weights on the Hugging Face Hub: pinned to a commit, fetched to where its own library finds them, tokens kept secret.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use snapbox::str;

use crate::sandbox::remote::Remote;
use crate::sandbox::{Output, Sandbox};

const FIRST: &str = "1111111111111111111111111111111111111111";
const SECOND: &str = "2222222222222222222222222222222222222222";
const CACHE: &str = "root/cache/huggingface/hub/models--org--name";

/// A project of one model with these weights, and the hub they are on.
fn project(weights: &str) -> (Sandbox, Remote) {
    let (sandbox, hub) = (Sandbox::single(), Remote::start());
    let manifest = sandbox.read("rootstock.toml");
    let model = format!("{manifest}\n[models.m]\nenvironment = \"one\"\nweights = [{weights}]\n");
    sandbox.write("rootstock.toml", &model);
    hub.commit("org/name", FIRST, &["main", "v1"], ("a/b.ckpt", b"numbers"));
    hub.commit("org/name", FIRST, &[], ("config.json", b"{}"));
    (sandbox, hub)
}

fn run(sandbox: &Sandbox, hub: &Remote, token: Option<&str>, arguments: &[&str]) -> Output {
    let mut command = sandbox.command(arguments);
    command
        .env("HF_ENDPOINT", hub.url())
        .env("NO_PROXY", "127.0.0.1,localhost")
        .env_remove("HF_TOKEN");
    if let Some(token) = token {
        command.env("HF_TOKEN", token);
    }
    Output::from(command.output().unwrap())
}

#[test]
fn a_branch_is_locked_to_its_commit_and_stays_there() {
    let (sandbox, hub) = project("{ url = \"hf://org/name@main/a/b.ckpt\" }");
    run(&sandbox, &hub, None, &["lock"]).expect(0);
    // The digest comes from the hub: nothing is downloaded.
    assert_eq!(
        hub.asked(),
        ["/api/models/org/name/revision/main?blobs=true"]
    );
    let lock = sandbox.read("rootstock.lock");
    let file = format!(
        "{{ url = \"hf://org/name@main/a/b.ckpt\", commit = \"{FIRST}\", \
         path = \"huggingface/hub/models--org--name/snapshots/{FIRST}/a/b.ckpt\", size = 7, sha256 = \"f3c7807d"
    );
    assert!(lock.contains(&file), "{lock}");
    hub.commit(
        "org/name",
        SECOND,
        &["main"],
        ("a/b.ckpt", b"other numbers"),
    );
    run(&sandbox, &hub, None, &["lock"]).expect(0);
    sandbox.run(&["lock", "--check"]).expect(0);
    assert_eq!(sandbox.read("rootstock.lock"), lock);
    assert_eq!(hub.asked(), [""; 0]);
    let output = run(&sandbox, &hub, None, &["lock", "--upgrade-env=one"]);
    output.expect(0);
    assert!(sandbox.read("rootstock.lock").contains(SECOND));
    assert!(output.stdout.contains("model m"), "{}", output.stdout);
    // A commit that the manifest names is compared without a request.
    let manifest = sandbox.read("rootstock.toml");
    sandbox.write(
        "rootstock.toml",
        &manifest.replace("@main/", &format!("@{FIRST}/")),
    );
    let output = sandbox.run(&["lock", "--check"]);
    output.expect(3);
    output.stderr_is(&sandbox, str![[r#"
`rootstock.lock` does not answer `rootstock.toml`:
  model m: its weight file `hf://org/name@1111111111111111111111111111111111111111/a/b.ckpt` is not in the lock [weights-changed]
  model m: its weight file `huggingface/hub/models--org--name/snapshots/2222222222222222222222222222222222222222/a/b.ckpt` is no longer in the manifest [weights-changed]
run `rootstock lock`, look at the difference, and commit it
"#]]);
}

#[test]
fn files_lie_where_the_library_looks() {
    let (sandbox, hub) = project(
        "{ url = \"hf://org/name@v1/a/b.ckpt\" }, { url = \"hf://org/name@main/config.json\" }, \
         { url = \"hf://org/name@main/a/b.ckpt\", path = \"plain/b\" }",
    );
    run(&sandbox, &hub, None, &["lock"]).expect(0);
    let output = run(&sandbox, &hub, None, &["sync"]);
    output.expect(0);
    assert!(
        output.stdout.contains("fetched 3 weight files"),
        "{}",
        output.stdout
    );
    let link = fs::read_link(
        sandbox
            .path(CACHE)
            .join(format!("snapshots/{FIRST}/a/b.ckpt")),
    );
    let blob = link
        .unwrap()
        .to_str()
        .unwrap()
        .strip_prefix("../../../")
        .unwrap()
        .to_owned();
    assert!(blob.starts_with("blobs/f3c7807d"), "{blob}");
    assert_eq!(sandbox.read(&format!("{CACHE}/{blob}")), "numbers");
    assert_eq!(
        sandbox.read(&format!("{CACHE}/snapshots/{FIRST}/config.json")),
        "{}"
    );
    assert_eq!(sandbox.read(&format!("{CACHE}/refs/main")), FIRST);
    assert_eq!(sandbox.read(&format!("{CACHE}/refs/v1")), FIRST);
    let plain = sandbox.path("root/cache/plain/b");
    assert!(fs::symlink_metadata(plain).unwrap().is_file());
    let again = run(&sandbox, &hub, None, &["sync"]);
    assert!(again.stdout.starts_with("up to date"), "{}", again.stdout);
    // A bundle carries them in the same layout, to where there is no hub.
    run(&sandbox, &hub, None, &["bundle", "-o", "carried"]).expect(0);
    sandbox.sync_carried("there");
    let there = CACHE.replacen("root/", "there/", 1);
    for name in [
        &*format!("snapshots/{FIRST}/a/b.ckpt"),
        "refs/main",
        "refs/v1",
    ] {
        let [here, there] = [CACHE, &there].map(|cache| sandbox.read(&format!("{cache}/{name}")));
        assert_eq!(here, there);
    }
    assert!(
        fs::read_link(
            sandbox
                .path(&there)
                .join(format!("snapshots/{FIRST}/a/b.ckpt"))
        )
        .is_ok()
    );

    // What was purged or changed is seen and repaired.
    hub.asked();
    fs::remove_file(sandbox.path(CACHE).join(&blob)).unwrap();
    let status = sandbox.run(&["status", "--json"]).json();
    assert_eq!(status["models"][0]["state"], "missing");
    fs::write(sandbox.path(CACHE).join("refs/main"), SECOND).unwrap();
    let output = sandbox.run(&["sync", "--check"]);
    output.expect(3);
    assert!(
        output.stdout.contains("it is not there") && output.stdout.contains("refs/main: update"),
        "{}",
        output.stdout
    );
    run(&sandbox, &hub, None, &["sync"]).expect(0);
    assert_eq!(sandbox.read(&format!("{CACHE}/refs/main")), FIRST);
    sandbox.run(&["sync", "--check"]).expect(0);
    // Only the file that was gone: the hub says where it lies, and there it is fetched.
    assert_eq!(hub.asked().len(), 2);
}

/// A process number is given on every host: a name made of it alone may be in use on another one.
#[test]
fn a_link_that_another_host_is_about_to_rename_stays() {
    let (sandbox, hub) = project("{ url = \"hf://org/name@main/a/b.ckpt\" }");
    run(&sandbox, &hub, None, &["lock"]).expect(0);
    let directory = sandbox.path(&format!("{CACHE}/snapshots/{FIRST}/a"));
    fs::create_dir_all(&directory).unwrap();
    // The shell's number is that of the program which it becomes.
    let mut shell = Command::new("/bin/sh");
    shell
        .args([
            "-c",
            "command -p ln -s theirs \"$0/.b.ckpt.$$\" && exec \"$@\"",
        ])
        .arg(&directory)
        .args([env!("CARGO_BIN_EXE_rootstock"), "sync"]);
    sandbox.set_up(&mut shell);
    shell.env("HF_ENDPOINT", hub.url()).env_remove("HF_TOKEN");
    Output::from(shell.output().unwrap()).expect(0);
    let names: Vec<PathBuf> = fs::read_dir(&directory)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    let theirs = names
        .iter()
        .find(|path| path.file_name().unwrap() != "b.ckpt");
    assert_eq!(fs::read_link(theirs.unwrap()).unwrap(), Path::new("theirs"));
    assert_eq!(names.len(), 2);
}

#[test]
fn several_commits_leave_no_doubt_what_main_is() {
    let pinned = |commit: &str| format!("{{ url = \"hf://org/name@{commit}/a/b.ckpt\" }}");
    let (sandbox, hub) = project(&format!("{}, {}", pinned(FIRST), pinned(SECOND)));
    hub.commit("org/name", SECOND, &[], ("a/b.ckpt", b"other numbers"));
    run(&sandbox, &hub, None, &["lock"]).expect(0);
    run(&sandbox, &hub, None, &["sync"]).expect(0);
    for (commit, text) in [(FIRST, "numbers"), (SECOND, "other numbers")] {
        assert_eq!(
            sandbox.read(&format!("{CACHE}/snapshots/{commit}/a/b.ckpt")),
            text
        );
    }
    assert!(!sandbox.path(CACHE).join("refs").exists());
    // One commit is what a library that asks for none gets.
    let manifest = sandbox.read("rootstock.toml");
    sandbox.write(
        "rootstock.toml",
        &manifest.replace(&format!(", {}", pinned(SECOND)), ""),
    );
    run(&sandbox, &hub, None, &["lock"]).expect(0);
    run(&sandbox, &hub, None, &["sync"]).expect(0);
    assert_eq!(sandbox.read(&format!("{CACHE}/refs/main")), FIRST);
}

#[test]
fn a_token_opens_what_is_gated_and_is_found_nowhere() {
    let (sandbox, hub) = project("{ url = \"hf://org/name@main/a/b.ckpt\" }");
    hub.gate("org/name", "hf_secret");
    let result = run(&sandbox, &hub, None, &["lock"]);
    result.expect(1);
    assert!(
        result
            .message()
            .contains("the hub does not show `org/name` (status 401)"),
        "{}",
        result.stderr
    );
    result.stderr_is(&sandbox, str![[r#"
  × one model could not be locked
Error:
  × the weights of model `m` cannot be locked: the hub does not show `org/name` (status 401) is the name right? A gated or private repository requires a token: accept its terms on its page, and set HF_TOKEN
  help: write its `sha256` (and the commit, if it is a file of the hub) into the manifest, and it need not be reached to be locked
not in the lock: model m
"#]]);
    run(&sandbox, &hub, Some("hf_secret"), &["lock"]).expect(0);
    let result = run(&sandbox, &hub, None, &["sync"]);
    result.expect(1);
    assert!(
        result.message().contains("set HF_TOKEN"),
        "{}",
        result.stderr
    );
    hub.asked();
    let result = run(&sandbox, &hub, Some("hf_secret"), &["sync"]);
    result.expect(0);
    assert!(!result.stdout.contains("hf_secret") && !result.stderr.contains("hf_secret"));
    let found = Command::new("grep")
        .args(["-r", "hf_secret", "."])
        .current_dir(sandbox.path(""))
        .output();
    assert_eq!(String::from_utf8(found.unwrap().stdout).unwrap(), "");
    let asked = hub.asked();
    let resolved = format!("/org/name/resolve/{FIRST}/a/b.ckpt authorization=Bearer hf_secret");
    assert_eq!(asked[0], resolved);
    // The hub redirects to another server, which gets no credentials.
    assert!(
        asked[1].starts_with("/cdn/f3c7807d") && !asked[1].contains("authorization"),
        "{asked:?}"
    );
}

#[test]
fn what_the_hub_does_not_have_is_reported() {
    for (url, message) in [
        (
            "hf://org/name@v9/a/b.ckpt",
            "the hub has no revision `v9` of `org/name`",
        ),
        (
            "hf://org/name@main/c.ckpt",
            "`org/name` has no file `c.ckpt` at its revision `main`",
        ),
    ] {
        let (sandbox, hub) = project(&format!("{{ url = \"{url}\" }}"));
        let before = sandbox.read("rootstock.lock");
        let output = run(&sandbox, &hub, None, &["lock"]);
        output.expect(1);
        assert!(output.message().contains(message), "{}", output.stderr);
        assert_eq!(sandbox.read("rootstock.lock"), before);
    }
    let (sandbox, hub) = project("{ url = \"hf://org/name/a/b.ckpt\" }");
    let output = run(&sandbox, &hub, None, &["lock"]);
    output.expect(2);
    output.stderr_is(
        &sandbox,
        str![[r#"
  × one thing is wrong with the manifest
Error:
  × `hf://org/name/a/b.ckpt` is not a file of the Hugging Face Hub
    ╭─[rootstock.toml:11:20]
 10 │ environment = "one"
 11 │ weights = [{ url = "hf://org/name/a/b.ckpt" }]
    ·                    ────────────┬───────────
    ·                                ╰── it has no revision
    ╰────
  help: write `hf://organisation/name@revision/file`: the revision is a commit, a tag or a branch
"#]],
    );
}

/// The hub's own library, from the package index, without the network.
#[test]
fn the_real_library_finds_them_offline() {
    let (sandbox, hub) = project(
        "{ url = \"hf://org/name@main/a/b.ckpt\" }, { url = \"hf://org/name@v1/config.json\" }",
    );
    run(&sandbox, &hub, None, &["lock"]).expect(0);
    run(&sandbox, &hub, None, &["sync", "--only", "models"]).expect(0);
    let python = library(&sandbox.path("library"));
    let code = format!(
        "from huggingface_hub import hf_hub_download as get, snapshot_download\n\
         for revision in (None, 'main', 'v1', '{FIRST}'):\n    \
             print(open(get('org/name', 'a/b.ckpt', revision=revision)).read(), end=' ')\n\
         print(open(get('org/name', 'config.json')).read(), end=' ')\n\
         print(sorted(p.name for p in __import__('pathlib').Path(snapshot_download('org/name')).iterdir()))\n"
    );
    let output = Command::new(python)
        .args(["-I", "-c", &code])
        .env_clear()
        .env("XDG_CACHE_HOME", sandbox.path("root/cache"))
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap();
    let result = Output::from(output);
    result.expect(0);
    assert_eq!(
        result.stdout,
        "numbers numbers numbers numbers {} ['a', 'config.json']\n"
    );
}

/// A Python that has the hub's library.
fn library(directory: &Path) -> PathBuf {
    let venv = Command::new("python3.11")
        .args(["-m", "venv"])
        .arg(directory)
        .status();
    assert!(venv.unwrap().success());
    let python = directory.join("bin/python");
    let pip = Command::new(&python)
        .args([
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "huggingface_hub==2.4.0",
        ])
        .output()
        .unwrap();
    assert!(
        pip.status.success(),
        "{}",
        String::from_utf8_lossy(&pip.stderr)
    );
    python
}

#[test]
fn nothing_is_written_through_a_link_that_leads_out_of_the_cache() {
    let (sandbox, hub) = project("{ url = \"hf://org/name@main/a/b.ckpt\" }");
    run(&sandbox, &hub, None, &["lock"]).expect(0);
    fs::create_dir(sandbox.path("outside")).unwrap();
    let snapshot = format!("{CACHE}/snapshots/{FIRST}");
    for planted in [
        "root/cache/huggingface",
        CACHE,
        &format!("{CACHE}/blobs"),
        &format!("{CACHE}/snapshots"),
        &snapshot,
        &format!("{snapshot}/a"),
        &format!("{CACHE}/refs"),
    ] {
        let link = sandbox.path(planted);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(sandbox.path("outside"), &link).unwrap();
        let output = run(&sandbox, &hub, None, &["sync"]);
        output.expect(1);
        let message = output.message();
        assert!(
            message.contains("a link on the way leads out of"),
            "{planted}: {message}"
        );
        assert!(message.contains("remove the link"), "{planted}: {message}");
        assert_eq!(sandbox.names("outside"), [""; 0], "{planted}");
        fs::remove_dir_all(sandbox.path("root/cache")).unwrap();
    }
    run(&sandbox, &hub, None, &["sync"]).expect(0);
    assert_eq!(sandbox.read(&format!("{snapshot}/a/b.ckpt")), "numbers");
}
