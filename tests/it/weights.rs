//! Weights of models: locked by digest, fetched whole into the cache, noticed when they change.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use snapbox::str;

use crate::sandbox::remote::Remote;
use crate::sandbox::{Output, Sandbox};

/// A sandbox with one model whose weights are the file `remote/weights.bin`.
fn sandbox() -> Sandbox {
    Sandbox::single().with_weights()
}

fn cached(sandbox: &Sandbox) -> String {
    sandbox.read("root/cache/potentials/p.bin")
}

fn replace(sandbox: &Sandbox, text: &str) {
    let path = sandbox.path("root/cache/potentials/p.bin");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn weights_are_locked_with_the_digest_of_what_is_there() {
    let lock = sandbox().read("rootstock.lock");
    // sha256 of `numbers`
    assert!(
        lock.contains("size = 7, sha256 = \"f3c7807d475073ba009bf4801b2d934e"),
        "{lock}"
    );
}

#[test]
fn weights_are_fetched_once_and_are_read_only() {
    let sandbox = sandbox();
    let output = sandbox.sync(&[]);
    assert!(
        output.stdout.contains("fetched 1 weight file"),
        "{}",
        output.stdout
    );
    assert_eq!(cached(&sandbox), "numbers");
    let mode = fs::metadata(sandbox.path("root/cache/potentials/p.bin"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o444);
    fs::remove_file(sandbox.path("remote/weights.bin")).unwrap();
    assert!(sandbox.sync(&[]).stdout.starts_with("up to date"));
    sandbox.run(&["sync", "--check"]).expect(0);
}

#[test]
fn weights_that_are_gone_or_changed_are_seen_and_fetched_again() {
    let sandbox = sandbox();
    sandbox.sync(&[]);
    fs::remove_file(sandbox.path("root/cache/potentials/p.bin")).unwrap();
    let check: Output = sandbox.run(&["sync", "--check"]);
    check.expect(3);
    assert!(
        check
            .stdout
            .contains("potential: fetch `potentials/p.bin`: it is not there"),
        "{}",
        check.stdout
    );
    sandbox.sync(&[]);
    // The same size: only the digest differs, and `--check` computes it.
    replace(&sandbox, "numbres");
    let check = sandbox.run(&["sync", "--check"]);
    check.expect(3);
    assert!(
        check.stdout.contains("it is not the locked file"),
        "{}",
        check.stdout
    );
    replace(&sandbox, "other size");
    sandbox.sync(&[]);
    assert_eq!(cached(&sandbox), "numbers");
}

#[test]
fn another_remote_file_is_an_error_and_not_a_new_digest() {
    let sandbox = sandbox();
    sandbox.write("remote/weights.bin", "numbres");
    let output = sandbox.run(&["sync"]);
    output.expect(1);
    output.stderr_is(&sandbox, str![[r#"
preparing 1 package
downloading 1 file, [SIZE]
linking one
downloading 1 file, [SIZE]
  × weights `potentials/p.bin` of potential: `file://[PROJECT]/remote/weights.bin` has the sha256 4796a1c73705349111106459a1aef36f69951d3b631aa4a683e1014417ed9101, but f3c7807d475073ba009bf4801b2d934e9f0126cb96dd19a27dbffcae23a7f5a3 is expected
  help: the download was removed and nothing of it is installed. A mirror or a proxy may serve another file; if the publisher replaced it, `rootstock lock --upgrade` decides anew
"#]]);
    assert!(!sandbox.path("root/cache/potentials/p.bin").exists());
    // The environment is none the worse for it.
    assert!(output.stdout.starts_with("built "), "{}", output.stdout);
    let before = sandbox.read("rootstock.lock");
    sandbox.lock();
    assert_eq!(
        sandbox.read("rootstock.lock"),
        before,
        "a lock stays with what it has"
    );
    sandbox.run(&["lock", "--upgrade"]).expect(0);
    assert_ne!(sandbox.read("rootstock.lock"), before);
    sandbox.sync(&[]);
    assert_eq!(cached(&sandbox), "numbres");
}

#[test]
fn a_part_of_the_work_can_be_asked_for() {
    let sandbox = sandbox();
    let output = sandbox.sync(&["--only", "models"]);
    assert!(
        output.stdout.starts_with("fetched 1 weight file"),
        "{}",
        output.stdout
    );
    assert!(sandbox.names("root/envs").is_empty());
    let output = sandbox.sync(&["--only", "envs"]);
    assert!(output.stdout.starts_with("built "), "{}", output.stdout);
}

#[test]
fn without_the_network_missing_weights_are_named() {
    let sandbox = sandbox();
    sandbox.sync(&["--only", "envs"]);
    let output = sandbox.run(&["sync", "--offline"]);
    output.expect(1);
    output.stderr_is(&sandbox, str![[r#"
  × weights `potentials/p.bin` of potential: it is neither in the cache nor in a bundle, and `--offline` forbids to download it
  help: run it once without `--offline`, or name a bundle that has it with `--bundle DIR`
"#]]);
}

#[test]
fn status_reports_a_model_without_its_weights() {
    let sandbox = sandbox();
    sandbox.sync(&["--only", "envs"]);
    let model = |sandbox: &Sandbox| sandbox.run(&["status", "--json"]).json()["models"][0].clone();
    assert_eq!(model(&sandbox)["state"], "missing");
    assert_eq!(
        model(&sandbox)["reason"],
        "its weights `potentials/p.bin` are not fetched"
    );
    sandbox.sync(&[]);
    assert_eq!(model(&sandbox)["state"], "fresh");
}

#[test]
fn a_worker_does_not_start_without_its_weights() {
    let sandbox = sandbox();
    sandbox.sync(&["--only", "envs"]);
    let output = sandbox.run(&[
        "worker",
        "potential",
        "--unix",
        "nobody",
        "--species",
        "Cu",
        "--pbc",
        "FFF",
    ]);
    output.expect(4);
    output.stderr_is(
        &sandbox,
        str![[r#"
  × a weight file of `potential` is missing: `[PROJECT]/root/cache/potentials/p.bin`
  help: fetch it with `rootstock sync potential`
"#]],
    );
}

/// A project of two models with a weight file each, on a server that obeys the test; locked.
fn served() -> (Sandbox, Remote) {
    let (sandbox, remote) = (Sandbox::single(), Remote::start());
    let manifest = sandbox.read("rootstock.toml");
    let model = |name: &str| {
        remote.add(
            &format!("/{name}.bin"),
            format!("numbers of {name}").as_bytes(),
        );
        let url = remote.url();
        format!(
            "\n[models.{name}]\nenvironment = \"one\"\nweights = [{{ url = \"{url}/{name}.bin\", path = \"{name}\" }}]\n"
        )
    };
    let models = [model("a"), model("b")].concat();
    sandbox.write("rootstock.toml", &format!("{manifest}{models}"));
    sandbox.lock();
    remote.asked();
    (sandbox, remote)
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_stopped() {
    let (sandbox, remote) = served();
    remote.cut("/a.bin", 8);
    sandbox.sync(&["--only", "models"]);
    assert_eq!(sandbox.read("root/cache/a"), "numbers of a");
    let mut asked = remote.asked();
    asked.sort();
    assert_eq!(asked, ["/a.bin", "/a.bin range=bytes=8-", "/b.bin"]);
    assert_eq!(sandbox.names("root/cache"), ["a", "b"]);
}

#[test]
fn a_slow_download_holds_up_no_other() {
    let (sandbox, remote) = served();
    remote.hold("/a.bin");
    let mut sync = sandbox
        .command(&["sync", "--only", "models"])
        .spawn()
        .unwrap();
    // Both were asked for while none of the first had come.
    remote.wait_for("/a.bin");
    remote.wait_for("/b.bin");
    assert!(!sandbox.path("root/cache/a").exists());
    remote.release();
    assert!(sync.wait().unwrap().success());
    assert_eq!(sandbox.read("root/cache/a"), "numbers of a");
}

#[test]
fn changed_contents_cost_only_their_own_model() {
    let (sandbox, remote) = served();
    // As long as the locked file, so that only the digest differs.
    remote.add("/a.bin", b"numbers of x");
    let output = sandbox.run(&["sync"]);
    output.expect(1);
    output.stderr_is(&sandbox, str![[r#"
preparing 1 package
downloading 1 file, [SIZE]
linking one
downloading 2 files, [SIZE]
  × weights `a` of a: `http://127.0.0.1:[PORT]/a.bin` has the sha256 a0e652bcdf19265513ec845824977fdcb27eb8971ab9fe84187e4359aa30a078, but 329267f335fb61197be0e45dc3772498808bb3ac08d3b80627060e356cef1b4e is expected
  help: the download was removed and nothing of it is installed. A mirror or a proxy may serve another file; if the publisher replaced it, `rootstock lock --upgrade` decides anew
"#]]);
    assert!(
        output.stdout.contains("fetched 1 weight file"),
        "{}",
        output.stdout
    );
    assert_eq!(sandbox.names("root/cache"), ["b"]);
    sandbox.run(&["lock"]).expect(0);
    sandbox.run(&["sync"]).expect(1);
    sandbox.run(&["lock", "--upgrade-env=one"]).expect(0);
    sandbox.sync(&[]);
    assert_eq!(sandbox.read("root/cache/a"), "numbers of x");
}

#[test]
fn nothing_is_written_through_a_link_that_leads_out_of_the_cache() {
    let sandbox = sandbox();
    let outside = sandbox.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("p.bin"), "mine").unwrap();
    fs::create_dir_all(sandbox.path("root/cache")).unwrap();
    let link = sandbox.path("root/cache/potentials");
    // The second leads to what could be made.
    for target in [outside.clone(), outside.join("missing")] {
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let output = sandbox.run(&["sync"]);
        output.expect(1);
        let message = output.message();
        assert!(
            message.contains("a link on the way leads out of"),
            "{message}"
        );
        assert!(message.contains("remove the link"), "{message}");
        assert_eq!(sandbox.names("outside"), ["p.bin"]);
        assert_eq!(sandbox.read("outside/p.bin"), "mine");
        fs::remove_file(&link).unwrap();
    }
    // What is linked in the cache itself is no harm, and neither is a cache that is a link.
    fs::create_dir(sandbox.path("root/cache/other")).unwrap();
    std::os::unix::fs::symlink("other", &link).unwrap();
    fs::rename(sandbox.path("root/cache"), sandbox.path("scratch")).unwrap();
    std::os::unix::fs::symlink("../scratch", sandbox.path("root/cache")).unwrap();
    sandbox.sync(&[]);
    assert_eq!(sandbox.read("scratch/other/p.bin"), "numbers");
}

#[test]
fn a_download_that_goes_on_is_not_one_that_others_have_linked() {
    let sandbox = sandbox();
    fs::create_dir_all(sandbox.path("root/cache/potentials")).unwrap();
    let part = sandbox.path("root/cache/potentials/p.bin.part");
    sandbox.write("mine", "num");
    let mine = sandbox.path("mine");
    for hard in [false, true] {
        let linked = if hard {
            fs::hard_link(&mine, &part)
        } else {
            std::os::unix::fs::symlink(&mine, &part)
        };
        linked.unwrap();
        sandbox.sync(&[]);
        assert_eq!(cached(&sandbox), "numbers");
        assert_eq!(sandbox.read("mine"), "num");
        let mode = fs::metadata(&mine).unwrap().permissions().mode();
        assert_eq!(mode & 0o200, 0o200);
        fs::remove_file(&part).unwrap();
        fs::remove_file(sandbox.path("root/cache/potentials/p.bin")).unwrap();
    }
}
