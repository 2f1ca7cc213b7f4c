//! Questions that change nothing: `tree`, `lock --dry-run`, `lock --diff`, completion, the manual, `--quiet` and `--verbose`.

use std::fs;
use std::process::Command;

use snapbox::str;

use crate::direct::with_git;
use crate::sandbox::{Index, Output, Sandbox, Wheel, lacking, traces};

#[test]
fn a_tree_shows_who_asks_for_what() {
    let own = Index::start();
    own.add(&Wheel::simple("low", "2.0"));
    let sandbox = Sandbox::new(&[("one", &["top>=1", "other"])]);
    sandbox.more(&format!(
        "indexes = {{ low = \"own\" }}\n\n[indexes.own]\nurl = \"{}\"",
        own.url()
    ));
    let top = Wheel::simple("top", "1.0")
        .requires("middle[x]<9")
        .requires("low>=1");
    sandbox
        .index
        .add(&top.requires("gone; python_version < '3'"));
    sandbox.index.add(
        &Wheel::simple("middle", "3.1")
            .requires("low; extra == 'x'")
            .requires("other; extra == 'y'"),
    );
    sandbox
        .index
        .add(&Wheel::simple("other", "1.0").requires("middle"));
    sandbox.lock();
    let missing = sandbox.run(&["tree", "one"]);
    assert!(
        missing.expect(4).message().contains("rootstock sync"),
        "{}",
        missing.stderr
    );
    sandbox.sync(&[]);
    let before = traces(&sandbox.path("root"));
    let tree = sandbox.run(&["tree", "one"]);
    snapbox::Assert::new()
        .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
        .eq(
            tree.expect(0).stdout.clone(),
            str![[r#"
one
├── other 1.0
│   └── middle 3.1
│       └── low 2.0 from index own
└── top 1.0 (>=1)
    ├── low 2.0 (>=1) from index own
    └── middle[x] 3.1 (<9) (*)
(*) shown above

"#]],
        );
    let inverted = sandbox.run(&["tree", "one", "--invert", "LOW"]);
    snapbox::Assert::new()
        .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
        .eq(
            inverted.expect(0).stdout.clone(),
            str![[r#"
low 2.0 from index own
├── middle 3.1 asks for any version
│   ├── other 1.0 asks for any version
│   │   └── environment one asks for any version
│   └── top 1.0 asks for <9
│       └── environment one asks for >=1
└── top 1.0 asks for >=1 (*)
(*) shown above

"#]],
        );
    let json = sandbox
        .run(&["tree", "one", "--invert", "low", "--json"])
        .json();
    assert_eq!(
        (&json["version"], &json["origin"]),
        (&"2.0".into(), &"index own".into())
    );
    assert_eq!(json["required_by"].as_array().unwrap().len(), 2, "{json}");
    let unknown = sandbox.run(&["tree", "one", "--invert", "loww"]);
    assert!(
        unknown.expect(2).message().contains("did you mean `low`?"),
        "{}",
        unknown.stderr
    );
    // From the root alone.
    let root = sandbox.path("root").display().to_string();
    let mut alone = sandbox.command(&["tree", "one", "--root", &root]);
    let alone = Output::from(alone.current_dir("/").output().unwrap());
    assert!(
        alone.expect(0).stdout.starts_with("one\n├── "),
        "{}",
        alone.stdout
    );
    assert_eq!(traces(&sandbox.path("root")), before);
}

#[test]
fn what_would_change_is_shown_and_not_written() {
    let sandbox = Sandbox::single();
    sandbox.index.add(&Wheel::simple("single", "2.0"));
    let lock = sandbox.read("rootstock.lock");
    let output = sandbox.run(&["lock", "--upgrade", "--dry-run"]);
    let stdout = &output.expect(0).stdout;
    assert!(
        stdout.contains("one    single  1.0  2.0\n") && stdout.contains("would be written"),
        "{stdout}"
    );
    let json = sandbox
        .run(&["lock", "--upgrade", "--dry-run", "--json"])
        .json();
    assert_eq!(
        (&json["written"], &json["changes"][0]["now"]),
        (&false.into(), &"2.0".into())
    );
    assert_eq!(sandbox.read("rootstock.lock"), lock);
    // Nor is a first one.
    fs::remove_file(sandbox.path("rootstock.lock")).unwrap();
    sandbox.run(&["lock", "--dry-run"]).expect(0);
    assert!(!sandbox.path("rootstock.lock").exists());
}

#[test]
fn a_lock_is_compared_with_a_file_or_a_revision() {
    let sandbox = Sandbox::single();
    fs::copy(sandbox.path("rootstock.lock"), sandbox.path("old.lock")).unwrap();
    let same = sandbox.run(&["lock", "--diff=old.lock"]);
    assert_eq!(same.expect(0).stdout, "nothing has changed\n");
    sandbox.index.add(&Wheel::simple("single", "2.0"));
    sandbox.run(&["lock", "--upgrade"]).expect(0);
    let table = "where  what    was  now\none    single  1.0  2.0\n";
    assert_eq!(
        sandbox.run(&["lock", "--diff=old.lock"]).expect(0).stdout,
        table
    );
    let json = sandbox.run(&["lock", "--diff=old.lock", "--json"]).json();
    assert_eq!(json["changes"][0]["was"], "1.0");
    for (from, message) in [
        ("--diff=-x", "no name of a revision"),
        ("--diff=HEAD:x", "no name of a revision"),
        ("--diff", "no git on PATH"),
    ] {
        let output = sandbox.run(&["lock", from]);
        assert!(
            output.expect(2).message().contains(message),
            "{from}: {}",
            output.stderr
        );
    }
    let there = Command::new("git").arg("--version").output();
    if !lacking::unless(there.is_ok_and(|output| output.status.success()), "git") {
        return;
    }
    let refused = with_git(&sandbox, &["lock", "--diff"]);
    assert!(
        refused
            .expect(2)
            .message()
            .contains("neither a file nor a revision"),
        "{}",
        refused.stderr
    );
    let now = sandbox.read("rootstock.lock");
    fs::copy(sandbox.path("old.lock"), sandbox.path("rootstock.lock")).unwrap();
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "rootstock.lock"],
        &["commit", "--quiet", "--message=x"],
    ] {
        let mut git = Command::new("git");
        git.args([
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@example.org",
            "-c",
            "commit.gpgsign=false",
        ]);
        assert!(
            git.args(arguments)
                .current_dir(sandbox.path(""))
                .status()
                .unwrap()
                .success()
        );
    }
    sandbox.write("rootstock.lock", &now);
    assert_eq!(
        with_git(&sandbox, &["lock", "--diff"]).expect(0).stdout,
        table
    );
    let mut below = sandbox.command(&["-C", "environments", "lock", "--diff=HEAD"]);
    let path = format!(
        "{}:{}",
        sandbox.path("bin").display(),
        std::env::var("PATH").unwrap()
    );
    assert_eq!(
        Output::from(below.env("PATH", path).output().unwrap())
            .expect(0)
            .stdout,
        table
    );
    let unknown = with_git(&sandbox, &["lock", "--diff=gone"]);
    assert!(
        unknown
            .expect(2)
            .message()
            .contains("neither a file nor a revision"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn quiet_leaves_results_warnings_and_errors() {
    let sandbox = Sandbox::single();
    let output = sandbox.run(&["-q", "sync"]);
    assert!(
        output.expect(0).stdout.starts_with("built one"),
        "{}",
        output.stdout
    );
    assert_eq!(output.stderr, "");
    let output = sandbox.run(&["sync", "--quiet", "gone"]);
    assert!(
        output.expect(2).message().contains("`gone`"),
        "{}",
        output.stderr
    );
    let output = sandbox.run(&["status", "--verbose"]);
    let lines = format!(
        "manifest: rootstock.toml\nroot: {} (rootstock.toml)\n",
        sandbox.path("root").display()
    );
    assert_eq!(output.expect(0).stderr, lines);
    sandbox.run(&["-q", "-v", "status"]).expect(2);
}

#[test]
fn shells_complete_commands_and_names() {
    let sandbox = Sandbox::single();
    sandbox.more("models = [\"small\"]");
    let names = sandbox.run(&["names"]);
    assert_eq!(names.expect(0).stdout, "one\none-small\n");
    let catalogue = sandbox.run(&["names", "--catalogue"]);
    assert!(
        catalogue.stdout.lines().any(|line| line == "emt"),
        "{}",
        catalogue.stdout
    );
    // A shell shows no error while it completes.
    sandbox.write("rootstock.toml", "[");
    let broken = sandbox.run(&["names"]);
    assert_eq!(
        (broken.expect(0).stdout.as_str(), broken.stderr.as_str()),
        ("", "")
    );
    for shell in ["bash", "zsh", "fish"] {
        let script = sandbox.run(&["completions", shell]);
        script.expect(0);
        for part in ["rootstock names", "--manifest", "worker", "tree"] {
            let part = if shell == "fish" {
                part.trim_start_matches("--")
            } else {
                part
            };
            assert!(script.stdout.contains(part), "{shell}: {part}");
        }
    }
    let script = sandbox.run(&["completions", "bash"]).stdout;
    sandbox.write("complete.bash", &script);
    sandbox.program(
        "bin/rootstock",
        "#!/bin/sh\necho emt\necho mace-small\necho mace-large\n",
    );
    for (words, expected) in [
        ("rootstock worker mace", "mace-large mace-small"),
        ("rootstock -q worker --device cpu em", "emt"),
        ("rootstock add m", "mace-large mace-small"),
        ("rootstock comp", "completions"),
        ("rootstock run emt -- mace", ""),
    ] {
        let test = format!(
            "source ./complete.bash; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _rootstock_names rootstock \"${{COMP_WORDS[-1]}}\" x; printf '%s\\n' \"${{COMPREPLY[@]}}\" | LC_ALL=C sort -u | tr '\\n' ' '"
        );
        let path = format!("{}:/usr/bin:/bin", sandbox.path("bin").display());
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", &test])
            .current_dir(sandbox.path(""))
            .env("PATH", path);
        let output = Output::from(bash.output().unwrap());
        assert_eq!(output.stdout.trim(), expected, "{words}: {}", output.stderr);
    }
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let sandbox = Sandbox::new(&[]);
    sandbox.run(&["man", "man1"]).expect(0);
    let help = sandbox.run(&["--help"]).expect(0).stdout.clone();
    let pages = sandbox.names("man1");
    assert!(
        pages.len() > 15 && pages.contains(&"rootstock.1".to_owned()),
        "{pages:?}"
    );
    for page in &pages {
        let text = sandbox.read(&format!("man1/{page}"));
        assert!(
            text.contains(".SH SYNOPSIS") && text.contains(".SH NAME"),
            "{page}"
        );
        if let Some(name) = page.strip_prefix("rootstock-") {
            let name = name.trim_end_matches(".1");
            assert!(help.contains(&format!("\n  {name} ")), "{name}: {help}");
        }
    }
}

#[test]
fn the_help_groups_commands_and_fits_a_terminal() {
    let sandbox = Sandbox::new(&[]);
    for columns in ["80", "120"] {
        let mut command = sandbox.command(&["--help"]);
        let help = Output::from(command.env("COLUMNS", columns).output().unwrap()).stdout;
        let mut at = 0;
        for title in [
            "Usage:",
            "\nDeclare:\n  init ",
            "\nBuild:\n  sync ",
            "\nUse:\n",
            "\nLook after:\n  status ",
            "\nOptions:\n",
        ] {
            at += help[at..]
                .find(title)
                .unwrap_or_else(|| panic!("{title}: {help}"));
        }
        let width: usize = columns.parse().unwrap();
        let long = help
            .lines()
            .find(|line| line.chars().count() > width.min(100));
        assert_eq!(long, None, "{help}");
    }
}
