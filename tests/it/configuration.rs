//! Where the manifest and the root are found: in directories above, by `-C`, by clusters of a user's or a site's configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use rootstock::files::maker;

use crate::sandbox::person::can_be_others;
use crate::sandbox::{Output, Sandbox};

/// A command elsewhere, with these variables.
fn elsewhere(sandbox: &Sandbox, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let directory = sandbox.path("elsewhere/below");
    fs::create_dir_all(&directory).unwrap();
    let mut command = sandbox.command(arguments);
    command
        .current_dir(directory)
        .envs(variables.iter().copied());
    Output::from(command.output().unwrap())
}

/// A pattern for this host.
fn this_host() -> String {
    let host = maker::host();
    let short = host.split('.').next().unwrap();
    format!("{}*", &short[..short.len() - 1])
}

fn configuration(sandbox: &Sandbox, file: &str, clusters: &[(&str, &str)]) {
    let of = file.replace('/', "-");
    let tables = clusters.iter().map(|(name, hosts)| {
        format!("[clusters.{name}]\nroot = \"/{name}-of-{of}\"\nhosts = [\"{hosts}\"]\n")
    });
    let text = tables.collect::<Vec<_>>().concat();
    sandbox.write(file, &text);
}

/// Arguments, variables, the root, and where it comes from.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], String, String);

#[test]
#[expect(clippy::too_many_lines, reason = "a table of sources")]
fn the_first_that_names_the_root_decides() {
    let sandbox = Sandbox::new(&[]);
    fs::remove_file(sandbox.path("rootstock.toml")).unwrap();
    let here = this_host();
    let user = sandbox.path("home/.config/rootstock/config.toml");
    configuration(
        &sandbox,
        "home/.config/rootstock/config.toml",
        &[("here", &here), ("user", "nowhere")],
    );
    configuration(
        &sandbox,
        "named.toml",
        &[("named", "nowhere"), ("user", "nowhere")],
    );
    sandbox.write(
        "elsewhere/rootstock.toml",
        "[rootstock]\nroot = 'own'\n[clusters.declared]\nroot = '/declared'\ncache = '/weights'\n",
    );
    let home = sandbox.path("home").display().to_string();
    let named = sandbox.path("named.toml").display().to_string();
    let manifest = sandbox
        .path("elsewhere/rootstock.toml")
        .canonicalize()
        .unwrap();
    let own = manifest.with_file_name("own");
    let by_name = |name: &str, file: &str| format!("cluster {name} of {file}");
    let user = user.display().to_string();
    let manifest_text = manifest.display().to_string();
    let configurations: &[(&str, &str)] = &[("HOME", &home), ("ROOTSTOCK_CONFIG", &named)];
    let cases: Vec<Case> = vec![
        (
            &["--root", "/r", "--cluster", "declared"],
            &[("ROOTSTOCK_ROOT", "/v")],
            "/r".into(),
            "--root".into(),
        ),
        (
            &[],
            &[("ROOTSTOCK_ROOT", "/v"), ("ROOTSTOCK_CLUSTER", "gone")],
            "/v".into(),
            "ROOTSTOCK_ROOT".into(),
        ),
        (
            &["--cluster", "declared"],
            &[("ROOTSTOCK_CLUSTER", "user")],
            "/declared".into(),
            by_name("declared", &manifest_text),
        ),
        (
            &[],
            &[("ROOTSTOCK_CLUSTER", "declared")],
            "/declared".into(),
            by_name("declared", &manifest_text),
        ),
        (
            &["--cluster", "named"],
            &[],
            "/named-of-named.toml".into(),
            by_name("named", &named),
        ),
        (
            &["--cluster", "user"],
            &[],
            "/user-of-named.toml".into(),
            by_name("user", &named),
        ),
        (
            &["--cluster", "here"],
            &[],
            "/here-of-home-.config-rootstock-config.toml".into(),
            by_name("here", &user),
        ),
        (&[], &[], own.display().to_string(), manifest_text.clone()),
    ];
    for (arguments, variables, root, from) in cases {
        let variables = [configurations, variables].concat();
        let answer = elsewhere(&sandbox, &variables, &[&["resolve"], arguments].concat());
        let answer = answer.expect(0).json();
        assert_eq!(
            (answer["root"].as_str(), answer["from"].as_str()),
            (Some(&*root), Some(&*from)),
            "{arguments:?}"
        );
    }
    let answer = elsewhere(
        &sandbox,
        configurations,
        &["resolve", "--cluster", "declared"],
    )
    .json();
    assert_eq!(
        (&answer["cache"], &answer["cluster"]),
        (&"/weights".into(), &"declared".into())
    );
    let output = elsewhere(&sandbox, configurations, &["resolve", "--cluster", "gone"]);
    let message = "neither the manifest nor a configuration has a cluster `gone` help: there are: declared, here, named, user";
    assert!(
        output.expect(2).message().contains(message),
        "{}",
        output.stderr
    );
    // Without a manifest this host's cluster is the last that is asked.
    fs::remove_file(&manifest).unwrap();
    let answer = elsewhere(&sandbox, configurations, &["resolve"])
        .expect(0)
        .json();
    let from = format!("cluster here of {user}, for host {}", maker::host());
    assert_eq!(answer["from"], from);
    let variables = [("XDG_CONFIG_HOME", "/gone"), ("HOME", &*home)];
    let output = elsewhere(&sandbox, &variables, &["resolve"]);
    assert!(
        output.expect(2).message().contains("no root given"),
        "{}",
        output.stderr
    );
    // Two that could be meant.
    configuration(&sandbox, "named.toml", &[("one", &here), ("two", "*")]);
    let output = elsewhere(&sandbox, configurations, &["resolve"]);
    let message = "belongs to several clusters of";
    assert!(
        output.expect(2).message().contains(message),
        "{}",
        output.stderr
    );
}

#[test]
fn with_a_configuration_alone_environments_run_and_are_listed() {
    let sandbox = Sandbox::single();
    sandbox.more("models = [\"small\"]\nprefetch = false");
    sandbox.lock();
    sandbox.sync(&[]);
    let root = sandbox.path("root").display().to_string();
    let text = format!(
        "[clusters.this]\nroot = \"{root}\"\nhosts = [\"{}\"]\n",
        this_host()
    );
    sandbox.write("config.toml", &text);
    let file = sandbox.path("config.toml").display().to_string();
    // Nothing of the project is above.
    fs::rename(sandbox.path("rootstock.toml"), sandbox.path("gone.toml")).unwrap();
    let run = |arguments: &[&str]| elsewhere(&sandbox, &[("ROOTSTOCK_CONFIG", &file)], arguments);
    let output = run(&[
        "run",
        "one",
        "--",
        "python",
        "-c",
        "import single; print(single.__name__)",
    ]);
    assert_eq!(output.expect(0).stdout, "single\n");
    let status = run(&["status"]);
    let first = format!(
        "root: {root} (cluster this of {file}, for host {})\n",
        maker::host()
    );
    assert!(
        status.expect(0).stdout.starts_with(&first),
        "{}",
        status.stdout
    );
    assert!(
        status.stdout.contains("\none-small  built  one"),
        "{}",
        status.stdout
    );
    let json = run(&["status", "--json"]).json();
    assert_eq!(
        (&json["drifted"], &json["environments"][0]["state"]),
        (&serde_json::Value::Null, &"built".into())
    );
    let empty = run(&["status", "--root", "/nowhere"]);
    assert!(
        empty.expect(4).message().contains("nothing was built"),
        "{}",
        empty.stderr
    );
    run(&["status", "--manifest", "gone.toml"]).expect(2);
}

#[test]
fn the_manifest_is_found_above_and_by_directory() {
    let sandbox = Sandbox::single();
    let output = elsewhere(&sandbox, &[], &["lock", "--check"]);
    output.expect(0);
    elsewhere(&sandbox, &[], &["-C", "../..", "lock", "--check"]).expect(0);
    let project = sandbox.path("").display().to_string();
    let mut command = sandbox.command(&[
        "lock",
        "--check",
        "-C",
        &project,
        "--manifest",
        "rootstock.toml",
    ]);
    assert_eq!(
        command.current_dir("/").output().unwrap().status.code(),
        Some(0)
    );
    let output = elsewhere(&sandbox, &[], &["-C", "gone", "lock"]);
    assert!(
        output
            .expect(2)
            .message()
            .contains("cannot go to the directory `gone`"),
        "{}",
        output.stderr
    );
    // One that is nearer comes first.
    sandbox.write("elsewhere/rootstock.toml", "[rootstock]\nroot = 'near'\n");
    let answer = elsewhere(&sandbox, &[], &["resolve"]).expect(0).json();
    assert!(
        answer["root"].as_str().unwrap().ends_with("elsewhere/near"),
        "{answer}"
    );
}

#[test]
fn a_manifest_above_that_another_user_can_change_is_not_used() {
    let sandbox = Sandbox::single();
    let manifest = sandbox.path("rootstock.toml");
    fs::set_permissions(&manifest, fs::Permissions::from_mode(0o666)).unwrap();
    let output = elsewhere(&sandbox, &[], &["status"]);
    let message = output.expect(2).message();
    assert!(
        message.contains("is not used: everybody can write"),
        "{message}"
    );
    // In its own directory, and where it is named, it is the user's choice.
    sandbox.run(&["status"]).expect(0);
    elsewhere(
        &sandbox,
        &[],
        &["status", "--manifest", "../../rootstock.toml"],
    )
    .expect(0);
}

#[test]
fn a_configuration_that_others_can_change_or_that_is_wrong_is_an_error() {
    let sandbox = Sandbox::new(&[]);
    fs::remove_file(sandbox.path("rootstock.toml")).unwrap();
    let file = sandbox.path("config.toml");
    let name = file.display().to_string();
    let run = || elsewhere(&sandbox, &[("ROOTSTOCK_CONFIG", &name)], &["status"]);
    let refused = |message: &str| {
        let output = run();
        assert!(
            output.expect(2).message().contains(message),
            "{message}: {}",
            output.stderr
        );
    };
    refused("there is no configuration");
    for (text, message) in [
        (
            "[clusters.a]\nroot = \"relative\"\n",
            "`relative` is not an absolute path",
        ),
        (
            "[clusters.a]\nroot = \"/a\"\ncache = \"b\"\n",
            "`b` is not an absolute path",
        ),
        ("[clusters.a]\nhosts = [\"x\"]\n", "cluster `a` has no root"),
        (
            "[clusters.a]\nroot = \"/a\"\nhosts = \"x\"\n",
            "`hosts` has the wrong type",
        ),
        ("[clusters.A]\nroot = \"/a\"\n", "`A` is not a cluster name"),
        (
            "[environments.x]\n",
            "unknown key `environments` in a configuration",
        ),
        ("root = [\n", "this is not TOML"),
    ] {
        fs::write(&file, text).unwrap();
        refused(message);
    }
    fs::write(&file, vec![b' '; 9 << 20]).unwrap();
    refused("it is larger than 8 MiB");
    fs::write(&file, b"\xff").unwrap();
    refused("it is not UTF-8");
    fs::write(
        &file,
        format!("[clusters.a]\nroot = '/a'\nhosts = ['{}']\n", this_host()),
    )
    .unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o646)).unwrap();
    refused("is not read, because it decides which code runs: everybody can write");
    fs::remove_file(&file).unwrap();
    let made = Command::new("mkfifo").arg(&file).status().unwrap();
    assert!(made.success());
    refused("it is a FIFO");
    // A user's own has to be the user's.
    if can_be_others() {
        let home = sandbox.path("home");
        sandbox.write(
            "home/.config/rootstock/config.toml",
            "[clusters.a]\nroot = '/a'\nhosts = ['*']\n",
        );
        let path = home.join(".config/rootstock/config.toml");
        std::os::unix::fs::chown(&path, Some(4321), None).unwrap();
        let home = home.display().to_string();
        let output = elsewhere(&sandbox, &[("HOME", &home)], &["status"]);
        assert!(
            output.expect(2).message().contains("belongs to user 4321"),
            "{}",
            output.stderr
        );
    }
}
