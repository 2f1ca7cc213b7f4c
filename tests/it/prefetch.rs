//! Models without `weights`: `sync` calls their `setup()` once, and what it left is looked after ever after.

use std::fs;

use serde_json::{Value, json};

use snapbox::str;

use crate::sandbox::remote::Remote;
use crate::sandbox::{Output, Sandbox, trace};

/// Models of one environment whose `setup()` downloads from a server, or does something else.
const SOURCE: &str = r#"
    import os, pathlib, urllib.request
    cache = pathlib.Path(os.environ["XDG_CACHE_HOME"])
    with open(os.environ["CALLS"], "a") as calls:
        calls.write(model + " " + os.environ.get("HF_HUB_OFFLINE", "online") + "\n")
    print("libraries print")
    if model == "fails":
        raise OSError("no route to " + os.environ["REMOTE"])
    if model in ("large", "same"):
        file = cache / "library" / "large.bin"
        if not file.exists():
            file.parent.mkdir(mode=0o700, exist_ok=True)
            data = urllib.request.urlopen(os.environ["REMOTE"] + "/large.bin").read()
            (file.parent / "large.lock").write_text("pid")
            file.write_bytes(data)
            file.chmod(0o600)
        return open(file).read()
    if model == "linked":
        (cache / "hub" / "blobs").mkdir(parents=True)
        (cache / "hub" / "blobs" / "b").write_text("contents")
        (cache / "hub" / "m").symlink_to("blobs/b")
    return None
"#;

fn project(models: &[&str]) -> (Sandbox, Remote) {
    let (sandbox, remote) = (Sandbox::single(), Remote::start());
    remote.add("/large.bin", b"numbers");
    let source = sandbox.read("environments/one.py");
    sandbox.write(
        "environments/one.py",
        &source.replace("    return None\n", SOURCE),
    );
    let manifest = sandbox.read("rootstock.toml");
    let keys = format!("keep = [\"REMOTE\", \"CALLS\"]\nmodels = {models:?}\n");
    sandbox.write("rootstock.toml", &format!("{manifest}{keys}"));
    sandbox.lock();
    (sandbox, remote)
}

fn sync(sandbox: &Sandbox, remote: &Remote, arguments: &[&str]) -> Output {
    let mut command = sandbox.command(&[&["sync"], arguments].concat());
    command.env("REMOTE", remote.url());
    command.env("CALLS", sandbox.path("calls"));
    Output::from(command.output().unwrap())
}

/// Which models were called, and whether they might use the network; forgotten afterwards.
fn calls(sandbox: &Sandbox) -> Vec<String> {
    let text = fs::read_to_string(sandbox.path("calls")).unwrap_or_default();
    let _ = fs::remove_file(sandbox.path("calls"));
    text.lines().map(str::to_owned).collect()
}

fn record(sandbox: &Sandbox, model: &str) -> Value {
    let text = sandbox.read(&format!("root/prefetched/{model}.json"));
    serde_json::from_str::<Value>(&text).unwrap()["files"].clone()
}

#[test]
fn a_model_is_called_once_and_what_it_left_is_on_record() {
    let (sandbox, remote) = project(&["large", "same", "none"]);
    let output = sync(&sandbox, &remote, &[]);
    output.expect(0);
    assert!(
        output
            .stdout
            .contains("provided 3 models (2 files in the cache)"),
        "{}",
        output.stdout
    );
    assert_eq!(
        calls(&sandbox),
        ["large online", "none online", "same online"]
    );
    assert_eq!(remote.asked(), ["/large.bin"]);
    // Two models that need one file both have it on record; one that needs none has that on record.
    let sha256 = rootstock::digest::Digest::of("numbers").to_string();
    let file = json!([{ "path": "library/large.bin", "size": 7, "sha256": sha256 }]);
    assert_eq!(record(&sandbox, "one-large"), file);
    assert_eq!(record(&sandbox, "one-same"), file);
    assert_eq!(record(&sandbox, "one-none"), json!([]));
    // Other users can read it.
    let mode = |path: &str| {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(sandbox.path(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o555
    };
    assert_eq!(
        (
            mode("root/cache/library"),
            mode("root/cache/library/large.bin")
        ),
        (0o555, 0o444)
    );
    assert!(
        sync(&sandbox, &remote, &[])
            .stdout
            .starts_with("up to date")
    );
    sync(&sandbox, &remote, &["--check"]).expect(0);
    assert_eq!(calls(&sandbox), [""; 0]);
    // Another environment is another question.
    let source = sandbox.read("environments/one.py");
    sandbox.write("environments/one.py", &format!("{source}# edited\n"));
    sandbox.lock();
    sync(&sandbox, &remote, &[]).expect(0);
    assert_eq!(calls(&sandbox).len(), 3);
    assert_eq!(record(&sandbox, "one-large"), file);
    assert_eq!(remote.asked(), [""; 0]);
}

/// Traced where the machine has strace.
#[test]
fn nothing_to_do_starts_no_process() {
    let (sandbox, remote) = project(&["large", "none"]);
    sync(&sandbox, &remote, &[]).expect(0);
    if !trace::is_possible() {
        return;
    }
    let seen = sandbox.path("seen");
    let mut command = trace::writing_to(&sandbox, &seen, &["trace=execve"]);
    assert!(command.arg("sync").output().unwrap().status.success());
    let seen = fs::read_to_string(seen).unwrap();
    assert_eq!(seen.matches("execve(").count(), 1, "{seen}");
}

#[test]
fn an_environment_without_models_is_loaded_once() {
    let sandbox = Sandbox::single();
    let source = sandbox.read("environments/one.py");
    let lacking = source.replace("    return None\n", "    import nonexist\n");
    sandbox.write("environments/one.py", &lacking);
    sandbox.lock();
    for _ in 0..2 {
        let output = sandbox.run(&["sync"]);
        let message = output.expect(1).message();
        for fragment in [
            "environment one: its `setup()` failed",
            "No module named 'nonexist'",
        ] {
            assert!(message.contains(fragment), "{message}");
        }
    }
    sandbox.run(&["sync", "--check"]).expect(3);
    // What it leaves in the cache is on record like a model's, and nothing is counted where it leaves nothing.
    let leaving = source.replace(
        "    return None\n",
        "    import os, pathlib\n    (pathlib.Path(os.environ['XDG_CACHE_HOME']) / 'weights').write_text('w')\n",
    );
    sandbox.write("environments/one.py", &leaving);
    sandbox.lock();
    let output = sandbox.sync(&[]);
    assert!(
        output
            .stdout
            .starts_with("built one; provided 1 model (1 file in the cache)"),
        "{}",
        output.stdout
    );
    assert_eq!(record(&sandbox, "one")[0]["path"], "weights");
    assert!(sandbox.sync(&[]).stdout.starts_with("up to date"));
    fs::remove_file(sandbox.path("root/cache/weights")).unwrap();
    sandbox.run(&["doctor"]).expect(1);
    sandbox.sync(&[]);
    sandbox.run(&["doctor"]).expect(0);
    // `prefetch = false` forbids it.
    sandbox.write("environments/one.py", &lacking);
    sandbox.more("prefetch = false");
    sandbox.lock();
    sandbox.sync(&[]);
}

#[test]
fn a_file_that_is_gone_or_changed_is_seen_and_made_anew() {
    let (sandbox, remote) = project(&["large"]);
    sync(&sandbox, &remote, &[]).expect(0);
    let file = sandbox.path("root/cache/library/large.bin");
    fs::remove_file(&file).unwrap();
    let output = sync(&sandbox, &remote, &["--check"]);
    output.expect(3);
    assert!(
        output
            .stdout
            .contains("one-large: load once: `library/large.bin` is not there any more"),
        "{}",
        output.stdout
    );
    let status = sandbox.run(&["status", "--json"]).json();
    assert_eq!(status["models"][0]["state"], "missing");
    sync(&sandbox, &remote, &[]).expect(0);
    assert_eq!(fs::read_to_string(&file).unwrap(), "numbers");
    // In its old size only a check sees it; `setup()` alone would take it for whole.
    fs::write(&file, "numbres").unwrap();
    let output = sync(&sandbox, &remote, &["--check"]);
    output.expect(3);
    assert!(
        output.stdout.contains("`library/large.bin` has changed"),
        "{}",
        output.stdout
    );
    let output = sandbox.run(&["doctor", "--deep", "--json"]);
    output.expect(1);
    assert!(
        output.stdout.contains("\"weight-changed\""),
        "{}",
        output.stdout
    );
    fs::write(&file, "more numbers").unwrap();
    sync(&sandbox, &remote, &[]).expect(0);
    assert_eq!(fs::read_to_string(&file).unwrap(), "numbers");
    // A file that its publisher has replaced is reported, and the new one is not taken for the old one.
    fs::remove_file(&file).unwrap();
    remote.add("/large.bin", b"numbres");
    let before = record(&sandbox, "one-large");
    let output = sync(&sandbox, &remote, &[]);
    output.expect(1);
    output.stderr_is(&sandbox, str![[r#"
loading one-large once: `library/large.bin` is not there any more
  × model one-large: `library/large.bin` was recorded with the sha256 f3c7807d475073ba009bf4801b2d934e9f0126cb96dd19a27dbffcae23a7f5a3, and now `setup()` leaves one with 4796a1c73705349111106459a1aef36f69951d3b631aa4a683e1014417ed9101
  help: the publisher has replaced it: to accept what is there now, remove the record (`prefetched/` in the root) and run `rootstock sync` again
"#]]);
    assert!(!file.exists());
    assert_eq!(record(&sandbox, "one-large"), before);
    fs::remove_file(sandbox.path("root/prefetched/one-large.json")).unwrap();
    sync(&sandbox, &remote, &[]).expect(0);
    assert_eq!(fs::read_to_string(&file).unwrap(), "numbres");
}

#[test]
fn a_failure_is_reported_and_the_environment_stays() {
    let (sandbox, remote) = project(&["fails", "none"]);
    let output = sync(&sandbox, &remote, &[]);
    output.expect(1);
    let message = output.message();
    assert!(
        message.contains("model one-fails: its `setup()` failed: OSError: no route to"),
        "{message}"
    );
    assert!(
        message.contains("OSError: no route to http://127.0.0.1"),
        "{message}"
    );
    assert!(message.contains("write `prefetch = false`"), "{message}");
    assert!(
        output.stdout.starts_with("built one; provided 1 model"),
        "{}",
        output.stdout
    );
    assert_eq!(sandbox.names("root/envs"), ["one"]);
    assert_eq!(sandbox.names("root/prefetched"), ["one-none.json"]);
    // It is tried again, until the manifest says not to.
    calls(&sandbox);
    sync(&sandbox, &remote, &[]).expect(1);
    assert_eq!(calls(&sandbox), ["fails online"]);
    let manifest = sandbox.read("rootstock.toml");
    sandbox.write("rootstock.toml", &format!("{manifest}prefetch = false\n"));
    sandbox.run(&["lock", "--check"]).expect(0);
    assert!(
        sync(&sandbox, &remote, &[])
            .stdout
            .starts_with("up to date")
    );
}

#[test]
fn offline_nothing_is_called_and_the_missing_is_named() {
    let (sandbox, remote) = project(&["large"]);
    sync(&sandbox, &remote, &["--only", "envs"]).expect(0);
    // Whether it needs anything is not known.
    let output = sync(&sandbox, &remote, &["--offline"]);
    output.expect(0);
    output.stderr_is(
        &sandbox,
        str![
            "`--offline` forbids to load models once to fetch what they need; not loaded: one-large"
        ],
    );
    assert_eq!(calls(&sandbox), [""; 0]);
    sync(&sandbox, &remote, &["--check"]).expect(3);
    sync(&sandbox, &remote, &["--only", "models"]).expect(0);
    let output = sync(&sandbox, &remote, &["--offline"]);
    assert!(
        output.stdout.starts_with("up to date") && output.stderr.is_empty(),
        "{output:?}"
    );
    assert_eq!(calls(&sandbox), ["large online"]);
    // What is on record and gone is missing.
    fs::remove_file(sandbox.path("root/cache/library/large.bin")).unwrap();
    let output = sync(&sandbox, &remote, &["--offline"]);
    output.expect(1);
    output.stderr_is(&sandbox, str![[r#"
  × model one-large: files it needs are gone or changed, and `--offline` forbids to have them fetched again
  help: run it once without `--offline`, or name a bundle that has them with `--bundle DIR`
"#]]);
    assert_eq!(calls(&sandbox), [""; 0]);
}

/// A cache that nothing was put into need not be there.
#[test]
fn a_bundle_carries_the_record_of_a_model_that_left_nothing() {
    let (sandbox, remote) = project(&["none"]);
    let models =
        |root: &str| sandbox.run(&["--root", root, "status", "--json"]).json()["models"].clone();
    sync(&sandbox, &remote, &["--only", "envs"]).expect(0);
    let loaded = models("root");
    assert_eq!(loaded[0]["state"], "missing", "{loaded}");
    let reason = "its `setup()` was not called yet; `rootstock sync` does that";
    assert_eq!(loaded[0]["reason"], reason);
    sync(&sandbox, &remote, &[]).expect(0);
    assert_eq!(models("root")[0]["state"], "fresh");
    sandbox.run(&["bundle", "-o", "carried"]).expect(0);
    calls(&sandbox);
    let there = ["--root", "there", "--offline", "--bundle", "carried"];
    sync(&sandbox, &remote, &there).expect(0);
    assert_eq!(calls(&sandbox), [""; 0]);
    assert_eq!(models("there")[0]["state"], "fresh");
    let [here, there] =
        ["root", "there"].map(|root| sandbox.read(&format!("{root}/prefetched/one-none.json")));
    assert_eq!(here, there);
}

#[test]
fn nothing_is_removed_or_copied_through_a_link_that_leads_out_of_the_cache() {
    let (sandbox, remote) = project(&["large"]);
    sync(&sandbox, &remote, &[]).expect(0);
    sandbox.run(&["bundle", "-o", "carried"]).expect(0);
    let library = sandbox.path("root/cache/library");
    fs::remove_dir_all(&library).unwrap();
    sandbox.write("outside/large.bin", "mine");
    fs::create_dir_all(sandbox.path("there/cache")).unwrap();
    for link in [&library, &sandbox.path("there/cache/library")] {
        std::os::unix::fs::symlink(sandbox.path("outside"), link).unwrap();
    }
    for arguments in [
        &[][..],
        &["--root", "there", "--offline", "--bundle", "carried"],
    ] {
        let output = sync(&sandbox, &remote, arguments);
        output.expect(1);
        let message = output.message();
        assert!(
            message.contains("a link on the way leads out of"),
            "{message}"
        );
        assert_eq!(sandbox.names("outside"), ["large.bin"]);
        assert_eq!(sandbox.read("outside/large.bin"), "mine");
    }
}

#[test]
fn a_bundle_writes_nothing_outside_the_cache() {
    let (sandbox, remote) = project(&["large"]);
    sync(&sandbox, &remote, &[]).expect(0);
    sandbox.run(&["bundle", "-o", "carried"]).expect(0);
    let record = "carried/prefetched/one-large.json";
    let honest = sandbox.read(record);
    // Each of them is in the bundle, so that it could be copied.
    let here = sandbox.path("carried/cache").display().to_string();
    for (path, file) in [
        ("../../canary", "canary"),
        ("library/../../canary", "carried/canary"),
        (&format!("{here}/canary"), "carried/cache/canary"),
        ("a\\u001b", "carried/cache/a\u{1b}"),
    ] {
        sandbox.write(record, &honest.replace("library/large.bin", path));
        sandbox.write(file, "numbers");
        let there = ["--root", "there", "--offline", "--bundle", "carried"];
        let output = sync(&sandbox, &remote, &there);
        let message = output.message();
        assert!(message.contains("the record names"), "{path}: {message}");
        output.expect(1);
        assert!(!output.stderr.contains('\u{1b}'), "{message}");
        assert!(!sandbox.path("there/canary").exists());
        assert_eq!(sandbox.names("there/cache"), [""; 0]);
    }
}

#[test]
fn a_bundle_carries_what_models_have_fetched() {
    let (sandbox, remote) = project(&["large", "none", "linked"]);
    // What they need is unknown before they were loaded once.
    let output = sandbox.run(&["bundle", "-o", "early"]);
    output.expect(0);
    assert!(
        output
            .stderr
            .contains("has loaded them yet: one-large, one-linked, one-none"),
        "{}",
        output.stderr
    );
    sync(&sandbox, &remote, &[]).expect(0);
    let output = sandbox.run(&["bundle", "-o", "carried"]);
    output.expect(0);
    assert!(
        !output.stderr.contains("not in the bundle"),
        "{}",
        output.stderr
    );
    let index: Value =
        serde_json::from_str(&sandbox.read("carried/rootstock-bundle.json")).unwrap();
    let files = index["files"].as_array().unwrap();
    let left: Vec<&str> = files
        .iter()
        .filter(|file| file["name"].as_str().unwrap().starts_with("left by "))
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        left,
        [
            "cache/hub/blobs/b",
            "cache/hub/m",
            "cache/library/large.bin"
        ]
    );
    // Elsewhere nothing is called, and it is looked after as if it had been.
    calls(&sandbox);
    let there = ["--root", "there", "--offline", "--bundle", "carried"];
    let output = sync(&sandbox, &remote, &there);
    output.expect(0);
    assert_eq!(calls(&sandbox), [""; 0]);
    assert_eq!(sandbox.read("there/cache/library/large.bin"), "numbers");
    let link = fs::read_link(sandbox.path("there/cache/hub/m")).unwrap();
    assert_eq!(link.to_str(), Some("blobs/b"));
    for model in ["one-large", "one-none", "one-linked"] {
        let name = format!("prefetched/{model}.json");
        let [here, there] = ["root", "there"].map(|root| sandbox.read(&format!("{root}/{name}")));
        assert_eq!(here, there);
    }
    let check = ["--root", "there", "--check"];
    sync(&sandbox, &remote, &check).expect(0);
    // What the bundle has wrong is refused by name, and goes nowhere.
    let carried = sandbox.path("carried/cache/library/large.bin");
    fs::remove_file(&carried).unwrap();
    fs::write(&carried, "numbars").unwrap();
    let other = ["--root", "other", "--offline", "--bundle", "carried"];
    let output = sync(&sandbox, &remote, &other);
    output.expect(1);
    assert!(
        output.stderr.contains("model one-large") && output.stderr.contains("`library/large.bin`"),
        "{}",
        output.stderr
    );
    assert!(!sandbox.path("other/cache/library/large.bin").exists());
    // Made again, it is whole again.
    sandbox.run(&["bundle", "-o", "carried"]).expect(0);
    sync(&sandbox, &remote, &other).expect(0);
}
