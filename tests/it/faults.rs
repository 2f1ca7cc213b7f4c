//! System calls that fail under a sync: reported with the path and what to do, or worked around; never half done. A full
//! disk under `doctor`.
//!
//! The kernel refuses system calls by a filter, which works everywhere; one call among many, or on one path, fails by
//! strace, and where that may not be used those cases are left out.

use std::os::unix::fs::MetadataExt as _;

use crate::sandbox::{Output, Sandbox, refuse, trace};

/// A sync in which these system calls fail like this; `None` if this machine cannot do that.
fn sync_with(sandbox: &Sandbox, calls: &str, fault: &str, arguments: &[&str]) -> Option<Output> {
    let always = fault
        .strip_prefix("error=")
        .filter(|error| !error.contains(':'));
    let mut command = if let Some(error) = always {
        let calls: Vec<&str> = calls.split(',').collect();
        refuse::command(sandbox, &calls, error)?
    } else if trace::is_possible() {
        let inject = format!("inject={calls}:{fault}");
        trace::command(sandbox, &[&format!("trace={calls}"), &inject])
    } else {
        return None;
    };
    let output = command.args(["sync", "-j", "1"]).args(arguments).output();
    Some(Output::from(output.unwrap()))
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
        let Some(output) = sync_with(&sandbox, "link,linkat", fault, &["--root", root]) else {
            continue;
        };
        output.expect(0);
        let module = "lib/python3.11/site-packages/single/__init__.py";
        let there = std::fs::metadata(sandbox.generation(root, "one").join(module)).unwrap();
        // A copy, not a link to what is in the store.
        assert!(root == "sometimes" || there.nlink() == 1, "{root}");
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
fn a_full_disk_is_reported_and_the_old_environment_stays() {
    for (error, message) in [
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
        let Some(output) = sync_with(&sandbox, "mkdir,mkdirat", &fault, &[]) else {
            return;
        };
        output.expect(1);
        assert!(output.stderr.contains(message), "{}", output.stderr);
        assert!(output.stderr.contains("cannot create"), "{}", output.stderr);
        assert_eq!(sandbox.generation("root", "one"), before);
        sandbox.sync(&[]);
        assert_ne!(sandbox.generation("root", "one"), before);
    }
}

#[test]
fn a_failing_write_is_reported_before_anything_is_published() {
    let sandbox = Sandbox::single();
    let Some(output) = sync_with(&sandbox, "syncfs", "error=EIO", &[]) else {
        return;
    };
    output.expect(1);
    assert!(output.stderr.contains("cannot flush"), "{}", output.stderr);
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
        let Some(output) = sync_with(&sandbox, "flock,locks", &fault, &arguments) else {
            return;
        };
        output.expect(0);
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
    let result = Output::from(command.args(["sync", "-j", "1"]).output().unwrap());
    result.expect(1);
    assert!(
        result
            .stdout
            .starts_with("built one; failed two; failed to write models.json"),
        "{}",
        result.stdout
    );
    assert!(result.stderr.contains("two failed:"), "{}", result.stderr);
    assert!(
        result.stderr.contains("the filesystem is full"),
        "{}",
        result.stderr
    );
    assert!(!models.exists());
    sandbox.index.restore("second-1.0-py3-none-any.whl");
    let result = sandbox.sync(&[]);
    assert!(
        result.stdout.starts_with("built two; kept one"),
        "{}",
        result.stdout
    );
    assert!(models.exists());
}

/// Gives everything below a directory this time.
fn set_times(directory: &std::path::Path, time: std::time::SystemTime) {
    for (path, ..) in crate::sandbox::traces(directory) {
        if !path.is_symlink() {
            let file = std::fs::File::open(&path).unwrap();
            file.set_times(
                std::fs::FileTimes::new()
                    .set_modified(time)
                    .set_accessed(time),
            )
            .unwrap();
        }
    }
}

#[test]
fn a_clock_that_jumps_changes_nothing() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    let century = std::time::Duration::from_secs(100 * 365 * 86_400);
    for time in [
        std::time::SystemTime::UNIX_EPOCH,
        std::time::SystemTime::now() + century,
    ] {
        set_times(&sandbox.path("root"), time);
        let output = sandbox.sync(&[]);
        assert!(output.stdout.starts_with("up to date"), "{}", output.stdout);
        sandbox.run(&["doctor", "--deep"]).expect(0);
        sandbox.run(&["gc"]).expect(0);
        sandbox.sync(&["--force"]);
        sandbox.run(&["sync", "--check"]).expect(0);
    }
}

#[test]
fn an_exhausted_quota_of_files_is_reported_at_any_step_and_the_old_environment_stays() {
    // Links of the interpreter and of the environment; hard links; names given by rename.
    for calls in [
        "symlink,symlinkat",
        "link,linkat",
        "rename,renameat,renameat2",
    ] {
        let sandbox = Sandbox::single();
        sandbox.sync(&[]);
        let before = sandbox.generation("root", "one");
        sandbox.write_source("one", &["single"], "# edited\n");
        sandbox.lock();
        let Some(output) = sync_with(&sandbox, calls, "error=EDQUOT", &[]) else {
            return;
        };
        // Without hard links there are copies.
        if calls != "link,linkat" {
            output.expect(1);
            assert!(
                output
                    .stderr
                    .contains("your quota of bytes or files is used up"),
                "{output:?}"
            );
            assert_eq!(sandbox.generation("root", "one"), before);
        }
        sandbox.sync(&[]);
        assert_ne!(sandbox.generation("root", "one"), before);
        sandbox.run(&["doctor", "--deep"]).expect(0);
        let hidden = sandbox.names("root/generations/one");
        let staging = hidden.iter().filter(|name| name.starts_with(".staging"));
        assert_eq!(staging.count(), 0);
    }
}

#[test]
fn a_download_that_is_cut_off_is_begun_again_by_the_next_sync() {
    let sandbox = Sandbox::single();
    let file = "single-1.0-py3-none-any.whl";
    sandbox.index.cut(file);
    let output = sandbox.run(&["sync"]);
    output.expect(1);
    assert!(
        output
            .message()
            .contains("the download goes on where it broke off"),
        "{output:?}"
    );
    assert_eq!(sandbox.names("root/envs"), [""; 0]);
    let parts = sandbox.names("root/store/archives");
    assert_eq!(parts.len(), 1, "{parts:?}");
    // Given up, with no maker's name behind it.
    assert_eq!(parts[0].split_once('.').unwrap().1, "part", "{parts:?}");
    sandbox.index.release();
    sandbox.sync(&[]);
    assert_eq!(sandbox.names("root/store/archives"), [""; 0]);
    sandbox.run(&["doctor", "--deep"]).expect(0);
}

#[test]
fn no_call_that_some_filesystems_lack_is_needed() {
    let sandbox = Sandbox::single();
    // Renames with flags, copies in the kernel, links by descriptor.
    let calls = "renameat2,copy_file_range,sendfile";
    for error in ["ENOSYS", "EINVAL"] {
        let (root, fault) = (format!("root-{error}"), format!("error={error}"));
        let Some(output) = sync_with(&sandbox, calls, &fault, &["--root", &root]) else {
            return;
        };
        output.expect(0);
        let arguments = ["--root", &root, "--link-mode", "copy", "--force"];
        sync_with(&sandbox, calls, &fault, &arguments)
            .unwrap()
            .expect(0);
        sandbox
            .run(&["doctor", "--deep", "--root", &root])
            .expect(0);
    }
}

#[test]
fn doctor_on_a_full_disk_finds_that_it_is_full_and_not_that_it_is_unfit() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    for (calls, error, code) in [
        ("mkdir,mkdirat", "ENOSPC", "space-low"),
        ("rename,renameat,renameat2", "ENOSPC", "space-low"),
        ("symlink,symlinkat", "ENOSPC", "space-low"),
        ("mkdir,mkdirat", "EDQUOT", "space-low"),
        ("rename,renameat,renameat2", "EDQUOT", "space-low"),
        ("symlink,symlinkat", "EDQUOT", "space-low"),
        // A filesystem that cannot do it is still unfit.
        ("symlink,symlinkat", "EPERM", "filesystem-unfit"),
    ] {
        let calls: Vec<&str> = calls.split(',').collect();
        let doctor = |arguments: &[&str]| {
            let mut command = refuse::command(&sandbox, &calls, error)?;
            let output = command.arg("doctor").args(arguments).output();
            Some(Output::from(output.unwrap()))
        };
        let Some(result) = doctor(&["--json"]) else {
            return;
        };
        result.expect(1);
        let answer = result.json();
        let findings = answer["findings"].as_array().unwrap().iter();
        let about_it = |code: &str| code.starts_with("space-") || code.starts_with("filesystem-");
        let codes = findings.filter_map(|finding| finding["code"].as_str());
        let codes: Vec<&str> = codes.filter(|code| about_it(code)).collect();
        assert_eq!(codes, [code], "{calls:?} {error}: {answer:#}");
        if code == "space-low" {
            let message = doctor(&[]).unwrap().stdout;
            let reason = match error {
                "ENOSPC" => "the filesystem is full",
                _ => "a quota of bytes or files is used up",
            };
            assert!(
                message.contains(&format!("  {reason}: filesystem not probed\n")),
                "{message}"
            );
            assert!(
                message.contains(&format!("nothing can be written there: {reason}")),
                "{message}"
            );
            assert!(!message.contains("another filesystem"), "{message}");
            assert!(answer["filesystem"]["abilities"].is_null(), "{answer:#}");
        }
        assert!(
            sandbox
                .names("root")
                .iter()
                .all(|name| !name.starts_with(".doctor"))
        );
    }
}
