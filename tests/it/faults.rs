//! What fails in the system under a sync: told with its place and what to do, or worked around; never half done.
//!
//! strace makes system calls fail; where it may not be used there is nothing to test here.

use crate::sandbox::{Said, Sandbox, trace};

/// A sync in which these system calls fail like this; `None` if this machine cannot do that.
fn sync_with(sandbox: &Sandbox, calls: &str, fault: &str, arguments: &[&str]) -> Option<Said> {
    if !trace::is_possible() {
        return None;
    }
    let inject = format!("inject={calls}:{fault}");
    let mut command = trace::command(sandbox, &[&format!("trace={calls}"), &inject]);
    let output = command.args(["sync", "-j", "1"]).args(arguments).output();
    Some(Said::from(output.unwrap()))
}

#[test]
fn a_filesystem_that_refuses_links_gets_copies_and_the_same_tree() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    // From the first one on, and in the middle (a file that has too many names already).
    for (root, fault) in [
        ("never", "error=EXDEV"),
        ("sometimes", "error=EMLINK:when=3+"),
        ("forbidden", "error=EPERM"),
    ] {
        let Some(said) = sync_with(&sandbox, "link,linkat", fault, &["--root", root]) else {
            return;
        };
        said.expect(0);
        let tree = |root| sandbox.stamp(root, "one", "tree");
        assert_eq!(tree(root), tree("root"));
        sandbox.run(&["sync", "--root", root, "--force"]).expect(0);
        assert_eq!(
            sandbox.names(&format!("{root}/trash")),
            [""; 0],
            "all was whole"
        );
    }
}

#[test]
fn a_full_disk_is_told_and_the_old_environment_still_served() {
    for (error, told) in [
        ("ENOSPC", "the filesystem is full"),
        ("EDQUOT", "your quota of bytes or files is used up"),
        ("EROFS", "it is mounted read-only here"),
    ] {
        let sandbox = Sandbox::single();
        sandbox.sync(&[]);
        let before = sandbox.generation("root", "one");
        sandbox.write_source("one", &["single"], "# edited\n");
        sandbox.lock();
        let fault = format!("error={error}");
        let Some(said) = sync_with(&sandbox, "mkdir,mkdirat", &fault, &[]) else {
            return;
        };
        said.expect(1);
        assert!(said.stderr.contains(told), "{}", said.stderr);
        assert!(said.stderr.contains("cannot create"), "{}", said.stderr);
        assert_eq!(sandbox.generation("root", "one"), before);
        sandbox.sync(&[]);
        assert_ne!(sandbox.generation("root", "one"), before);
    }
}

#[test]
fn a_disk_that_does_not_take_the_bytes_is_told_before_anything_is_published() {
    let sandbox = Sandbox::single();
    let Some(said) = sync_with(&sandbox, "syncfs", "error=EIO", &[]) else {
        return;
    };
    said.expect(1);
    assert!(said.stderr.contains("cannot flush"), "{}", said.stderr);
    assert_eq!(sandbox.names("root/envs"), [""; 0]);
    sandbox.sync(&[]);
}

#[test]
fn no_lock_is_ever_asked_for() {
    let sandbox = Sandbox::shared();
    sandbox.sync(&[]);
    for error in ["ENOLCK", "ENOSYS"] {
        let fault = format!("error={error}");
        // Offline: uv does lock its cache, which lies with the user and not in the root.
        let arguments = ["--force", "--offline"];
        let Some(said) = sync_with(&sandbox, "flock", &fault, &arguments) else {
            return;
        };
        said.expect(0);
    }
}

#[test]
fn a_catalogue_that_cannot_be_written_hides_no_environment() {
    let sandbox = Sandbox::shared();
    if !trace::is_possible() {
        return;
    }
    // Of `two` a file is wrong, `one` is well, and then the disk is full for `models.json` alone.
    sandbox
        .index
        .replace("second-1.0-py3-none-any.whl", b"something else");
    let models = sandbox.path("root/models.json");
    let fault = "inject=rename,renameat,renameat2:error=ENOSPC";
    let mut command = trace::on_path(
        &sandbox,
        &models,
        &["trace=rename,renameat,renameat2", fault],
    );
    let said = Said::from(command.args(["sync", "-j", "1"]).output().unwrap());
    said.expect(1);
    assert!(
        said.stdout
            .starts_with("built one; failed two; failed to write models.json"),
        "{}",
        said.stdout
    );
    assert!(said.stderr.contains("two failed:"), "{}", said.stderr);
    assert!(
        said.stderr.contains("the filesystem is full"),
        "{}",
        said.stderr
    );
    assert!(!models.exists());
    sandbox.index.restore("second-1.0-py3-none-any.whl");
    let said = sandbox.sync(&[]);
    assert!(
        said.stdout.starts_with("built two; kept one"),
        "{}",
        said.stdout
    );
    assert!(models.exists());
}
