//! Credentials go to the server they are for and to no other; no other setting of a user changes an answer.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use snapbox::str;

use crate::sandbox::{Index, Output, Sandbox, Wheel};

const SECRET: &str = "s3cr3t-w0rd";

/// A project with `demo` from a guarded index of its own, and a uv that writes down how it is called.
fn project() -> (Sandbox, Index) {
    let sandbox = Sandbox::new(&[("one", &["demo", "other"])]);
    let own = Index::start();
    own.add(&Wheel::simple("demo", "1.0"));
    own.guard("me", SECRET);
    sandbox.index.add(&Wheel::simple("other", "1.0"));
    // Higher, and never asked for.
    sandbox.index.add(&Wheel::simple("demo", "99.0"));
    let url = own.url();
    sandbox.more(&format!(
        "indexes = {{ demo = \"our-own\" }}\n\n[indexes.our-own]\nurl = \"{url}\"\n"
    ));
    (sandbox, own)
}

/// The uv that the program has fetched, behind a script that writes down its arguments.
fn recording_uv(sandbox: &Sandbox) -> PathBuf {
    let plain = Sandbox::single();
    drop(plain);
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"),
        PathBuf::from,
    );
    let entries = fs::read_dir(cache.join("rootstock/uv")).unwrap();
    let real = entries
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("uv-")
        })
        .expect("the program has fetched it for the project above");
    let script = sandbox.path("recording-uv");
    let text = format!(
        "#!/bin/sh\necho \"$0 $@\" >> {}\nexec {} \"$@\"\n",
        sandbox.path("arguments").display(),
        real.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

/// Locks and syncs with these variables, and looks for the password everywhere.
fn works(variables: &[(&str, &str)], path: Option<&str>) {
    let (sandbox, _own) = project();
    let uv = recording_uv(&sandbox);
    let run = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        command.env("ROOTSTOCK_UV", &uv).env("NETRC", "/nowhere");
        for (name, value) in variables {
            command.env(
                name,
                value.replace("HERE", sandbox.path("").to_str().unwrap()),
            );
        }
        if let Some(script) = path {
            let keyring = sandbox.path("bin/keyring");
            fs::write(&keyring, script).unwrap();
            fs::set_permissions(&keyring, fs::Permissions::from_mode(0o755)).unwrap();
        }
        sandbox.write(
            "netrc",
            &format!("machine 127.0.0.1 login me password {SECRET}\n"),
        );
        Output::from(command.output().unwrap())
    };
    for arguments in [&["lock"][..], &["sync"], &["sync", "--json"]] {
        let result = run(arguments);
        result.expect(0);
        assert!(!result.stdout.contains(SECRET) && !result.stderr.contains(SECRET));
    }
    assert_eq!(
        sandbox.python("one", "import demo; print(demo.VERSION)"),
        "1.0\n"
    );
    let arguments = sandbox.read("arguments");
    assert!(arguments.contains("pip compile"), "{arguments}");
    let message: Vec<String> = ["rootstock.lock", "arguments"]
        .map(|name| sandbox.read(name))
        .into();
    for text in &message {
        assert!(!text.contains(SECRET), "{text}");
    }
    let mut pending = vec![sandbox.path("root")];
    while let Some(path) = pending.pop() {
        if path.is_dir() && !path.is_symlink() {
            pending.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if let Ok(bytes) = fs::read(&path) {
            let found = bytes
                .windows(SECRET.len())
                .any(|window| window == SECRET.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}

#[test]
fn an_index_gets_the_credentials_in_its_variables() {
    let variables = [
        ("UV_INDEX_OUR_OWN_USERNAME", "me"),
        ("UV_INDEX_OUR_OWN_PASSWORD", SECRET),
    ];
    works(&variables, None);
}

#[test]
fn an_index_gets_the_credentials_in_netrc() {
    works(&[("NETRC", "HEREnetrc")], None);
}

#[test]
fn an_index_gets_the_credentials_in_the_keyring() {
    let script = format!("#!/bin/sh\n[ \"$3\" = me ] && echo {SECRET}\n");
    let variables = [
        ("UV_KEYRING_PROVIDER", "subprocess"),
        ("UV_INDEX_OUR_OWN_USERNAME", "me"),
    ];
    works(&variables, Some(&script));
}

#[test]
fn a_wrong_password_is_refused_and_not_repeated() {
    let (sandbox, own) = project();
    let run = |arguments: &[&str], password: &str| {
        let mut command = sandbox.command(arguments);
        command
            .env("NETRC", "/nowhere")
            .env("UV_INDEX_OUR_OWN_USERNAME", "me")
            .env("UV_INDEX_OUR_OWN_PASSWORD", password);
        Output::from(command.output().unwrap())
    };
    let result = run(&["lock"], "wr0ng");
    result.expect(1);
    assert!(!result.stderr.contains("wr0ng"), "{}", result.stderr);
    run(&["lock"], SECRET).expect(0);
    own.guard("me", "another");
    let result = run(&["sync"], "wr0ng");
    result.expect(1);
    assert!(!result.stderr.contains("wr0ng"), "{}", result.stderr);
}

#[test]
fn links_in_a_directory_serve_what_is_routed_there_and_nothing_else() {
    let sandbox = Sandbox::new(&[("one", &["demo", "other"])]);
    sandbox.index.add(&Wheel::simple("demo", "1.0"));
    sandbox.index.add(&Wheel::simple("other", "1.0"));
    fs::create_dir(sandbox.path("wheels")).unwrap();
    for wheel in [Wheel::simple("demo", "2.0"), Wheel::simple("other", "99.0")] {
        let path = sandbox.path("wheels").join(wheel.file_name());
        fs::write(path, wheel.bytes()).unwrap();
    }
    sandbox.more("indexes = { demo = \"here\" }\n\n[indexes.here]\nfind-links = \"wheels\"\n");
    sandbox.lock();
    let lock = sandbox.read("rootstock.lock");
    assert!(
        lock.contains("{ index = \"here\", file = \"demo-2.0-py3-none-any.whl\"")
            && lock.contains("\"other 1.0 "),
        "{lock}"
    );
    assert!(!lock.contains(sandbox.path("").to_str().unwrap()), "{lock}");
    sandbox.run(&["lock", "--check"]).expect(0);
    sandbox.sync(&[]);
    assert_eq!(
        sandbox.python("one", "import demo; print(demo.VERSION)"),
        "2.0\n"
    );
    let manifest = sandbox.read("rootstock.toml");
    sandbox.write(
        "rootstock.toml",
        &format!("{manifest}url = \"https://example.org\"\n"),
    );
    let output = sandbox.run(&["lock", "--check"]);
    output.expect(2);
    output.stderr_is(&sandbox, str![[r#"
  × 2 things are wrong with the manifest
Error:
  × there is no index `here`
   ╭─[rootstock.toml:8:20]
 7 │ python = "3.11"
 8 │ indexes = { demo = "here" }
   ·                    ───┬──
   ·                       ╰── not declared
 9 │
   ╰────
  help: declare it: `[indexes.here]` with its `url`
Error:
  × index `here` has both `url` and `find-links`
    ╭─[rootstock.toml:10:10]
  9 │
 10 │ [indexes.here]
    ·          ──┬─
    ·            ╰── here
 11 │ find-links = "wheels"
    ╰────
  help: write one of `url = "https://…"`: where its simple API is, and `find-links`: a page with links to files, or a directory of files
"#]]);
}

#[test]
fn links_on_a_page_are_found() {
    let sandbox = Sandbox::new(&[("one", &["demo"])]);
    let page = Index::start();
    page.add(&Wheel::simple("demo", "2.0"));
    let file = page.address("demo-2.0-py3-none-any.whl");
    let html = format!("<!DOCTYPE html><html><body><a href=\"{file}\">demo</a></body></html>");
    let address = page.put("links.html", html.as_bytes());
    sandbox.index.add(&Wheel::simple("demo", "99.0"));
    sandbox.more(&format!(
        "indexes = {{ demo = \"page\" }}\n\n[indexes.page]\nfind-links = \"{address}\"\n"
    ));
    sandbox.lock();
    assert!(sandbox.read("rootstock.lock").contains("\"demo 2.0 "));
    sandbox.sync(&[]);
}

#[test]
fn no_other_setting_of_a_user_changes_an_answer() {
    let sandbox = Sandbox::new(&[("one", &["demo"])]);
    let evil = Index::start();
    for version in ["1.0", "2.0", "3.0a1"] {
        sandbox.index.add(&Wheel::simple("demo", version));
    }
    evil.add(&Wheel::simple("demo", "99.0"));
    sandbox.lock();
    let lock = sandbox.read("rootstock.lock");
    assert!(lock.contains("\"demo 2.0 "), "{lock}");
    let url = evil.url();
    let settings = format!(
        "resolution = \"lowest\"\nprerelease = \"allow\"\nexclude-newer = \"2000-01-01\"\n\
         [[index]]\nurl = \"{url}\"\ndefault = true\n"
    );
    sandbox.write("config/uv/uv.toml", &settings);
    sandbox.write(
        "config/pip/pip.conf",
        &format!("[global]\nextra-index-url = {url}\n"),
    );
    sandbox.write("uv.toml", &settings);
    sandbox.write("constraints.txt", "demo<2\n");
    fs::remove_file(sandbox.path("rootstock.lock")).unwrap();
    let mut command = sandbox.command(&["lock"]);
    let constraints = sandbox.path("constraints.txt");
    command
        .env("XDG_CONFIG_HOME", sandbox.path("config"))
        .env("XDG_CONFIG_DIRS", sandbox.path("config"))
        .env("UV_CONFIG_FILE", sandbox.path("uv.toml"));
    for name in [
        "UV_INDEX",
        "UV_EXTRA_INDEX_URL",
        "UV_FIND_LINKS",
        "PIP_INDEX_URL",
        "PIP_EXTRA_INDEX_URL",
    ] {
        command.env(name, &url);
    }
    for (name, value) in [
        ("UV_RESOLUTION", "lowest"),
        ("UV_PRERELEASE", "allow"),
        ("UV_EXCLUDE_NEWER", "2000-01-01"),
        ("UV_INDEX_STRATEGY", "unsafe-best-match"),
        ("UV_NO_BINARY", "1"),
        ("UV_NO_BUILD", "1"),
        ("UV_FORK_STRATEGY", "requires-python"),
        ("UV_FROZEN", "1"),
        ("UV_OFFLINE", "0"),
        ("UV_PYTHON", "/nowhere"),
    ] {
        command.env(name, value);
    }
    for name in [
        "UV_CONSTRAINT",
        "UV_OVERRIDE",
        "UV_BUILD_CONSTRAINT",
        "PIP_CONSTRAINT",
    ] {
        command.env(name, &constraints);
    }
    Output::from(command.output().unwrap()).expect(0);
    assert_eq!(sandbox.read("rootstock.lock"), lock);
    assert_eq!(evil.asked(), [""; 0]);
}
