//! Digests that an address or an index gives of a file are compared with its bytes, whatever their algorithm.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;
use snapbox::str;

use crate::sandbox::{Index, Sandbox, Sdist, Wheel};

const ALGORITHMS: [&str; 7] = [
    "md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b",
];

/// The digest of these bytes as Python computes it.
fn hashlib(algorithm: &str, bytes: &[u8]) -> String {
    let code =
        "import hashlib, sys; print(hashlib.new(sys.argv[1], sys.stdin.buffer.read()).hexdigest())";
    let mut python = Command::new("python3.11")
        .args(["-I", "-c", code, algorithm])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn zeros(algorithm: &str) -> String {
    "0".repeat(hashlib(algorithm, b"").len())
}

/// Whether a message has these words; a long one is broken where it is drawn.
fn has_sentence(message: &str, sentence: &str) -> bool {
    let joined = |text: &str| text.split_whitespace().collect::<String>();
    joined(message).contains(&joined(sentence))
}

/// The line of the lock with this file.
fn line(sandbox: &Sandbox, file: &str) -> String {
    let lock = sandbox.read("rootstock.lock");
    let named = format!("file = \"{file}\"");
    let found = lock.lines().find(|line| line.contains(&named));
    found.unwrap_or_else(|| panic!("{file}: {lock}")).to_owned()
}

#[test]
fn a_digest_in_an_address_is_compared_in_every_algorithm() {
    let elsewhere = Index::start();
    let wheel = Wheel::simple("demo", "1.0");
    elsewhere.add(&wheel);
    let address = elsewhere.address(&wheel.file_name());
    let sandbox = Sandbox::new(&[("one", &[])]);
    let ask = |fragment: &str| {
        sandbox.write_source("one", &[&format!("demo @ {address}#{fragment}")], "");
    };
    for algorithm in ALGORITHMS {
        let zeros = zeros(algorithm);
        for fragment in [
            format!("{algorithm}={zeros}"),
            format!("egg=demo&{algorithm}={zeros}"),
            format!("md5={}&{algorithm}={zeros}", hashlib("md5", &wheel.bytes())),
        ] {
            ask(&fragment);
            let output = sandbox.run(&["lock"]);
            // Two values of one algorithm contradict each other, whatever the file has.
            let twice = fragment.matches("md5=").count() == 2;
            output.expect(if twice { 2 } else { 1 });
            let sentence = format!(
                "`{address}` has the {algorithm} {}, but {zeros} is expected",
                hashlib(algorithm, &wheel.bytes())
            );
            assert!(
                twice || has_sentence(&output.message(), &sentence),
                "{}",
                output.message()
            );
        }
        assert!(!sandbox.path("rootstock.lock").exists(), "{algorithm}");
    }
    let all: Vec<String> = ALGORITHMS
        .iter()
        .map(|algorithm| format!("{algorithm}={}", hashlib(algorithm, &wheel.bytes())))
        .collect();
    ask(&all.join("&").to_uppercase());
    sandbox.lock();
    ask(&all.join("&"));
    let output = sandbox.run(&["lock", "--check"]);
    assert!(
        !output.message().contains("requirement-changed"),
        "{}",
        output.message()
    );
    sandbox.lock();
    sandbox.run(&["lock", "--check"]).expect(0);
    sandbox.sync(&[]);
    assert_eq!(
        sandbox.python("one", "import demo; print(demo.VERSION)"),
        "1.0\n"
    );
    // Each of them is part of the question.
    for algorithm in ALGORITHMS {
        let right = hashlib(algorithm, &wheel.bytes());
        ask(&all.join("&").replace(&right, &zeros(algorithm)));
        sandbox.run(&["lock", "--check"]).expect(3);
        sandbox.run(&["sync"]).expect(3);
        sandbox.run(&["lock"]).expect(1);
    }
}

#[test]
fn a_forged_lock_does_not_answer_a_digest_in_an_address() {
    let elsewhere = Index::start();
    let (right, wrong) = (
        Wheel::simple("demo", "1.0"),
        Wheel::simple("demo", "1.0").file("demo/more.py", "x = 1\n"),
    );
    elsewhere.add(&wrong);
    let address = elsewhere.address(&right.file_name());
    let sandbox = Sandbox::new(&[("one", &[&format!("demo @ {address}")])]);
    sandbox.lock();
    let sha256 = hashlib("sha256", &right.bytes());
    sandbox.write_source("one", &[&format!("demo @ {address}#sha256={sha256}")], "");
    let output = sandbox.run(&["lock", "--check", "--json"]);
    output.expect(3);
    let findings = output.json()["findings"].to_string();
    assert!(
        findings.contains("version-violates-manifest") && findings.contains("requirement-changed"),
        "{findings}"
    );
}

#[test]
fn a_digest_that_another_package_gives_is_compared() {
    let elsewhere = Index::start();
    let wheel = Wheel::simple("demo", "1.0");
    elsewhere.add(&wheel);
    let address = elsewhere.address(&wheel.file_name());
    for algorithm in ["sha256", "sha512"] {
        let (right, wrong) = (hashlib(algorithm, &wheel.bytes()), zeros(algorithm));
        for (digest, code) in [(right, 0), (wrong, 1)] {
            let requirement = format!("demo @ {address}#{algorithm}={digest}");
            let other = Wheel::simple("other", "1.0").requires(&requirement);
            let other = elsewhere.put("other-1.0-py3-none-any.whl", &other.bytes());
            let sandbox = Sandbox::new(&[("one", &[&format!("other @ {other}")])]);
            let output = sandbox.run(&["lock"]);
            output.expect(code);
            let found = output.message().contains(&format!("has the {algorithm} "));
            assert_eq!(found, code == 1, "{}", output.message());
        }
    }
    // So is one among the build requirements of a source distribution.
    for (digest, code) in [(hashlib("sha1", &wheel.bytes()), 0), (zeros("sha1"), 1)] {
        let sandbox = Sandbox::new(&[("one", &["built"])]);
        sandbox.more("sdists = [\"built\"]");
        let built = Sdist::new("built", "1.0").requires(&format!("demo @ {address}#sha1={digest}"));
        sandbox.index.add_sdist(&built);
        sandbox.run(&["lock"]).expect(code);
    }
}

#[test]
fn a_digest_of_a_file_beside_the_manifest_is_compared() {
    let sandbox = Sandbox::new(&[("one", &[])]);
    let wheel = Wheel::simple("demo", "1.0");
    sandbox.write("libs/README", "");
    let name = wheel.file_name();
    std::fs::write(sandbox.path("libs").join(&name), wheel.bytes()).unwrap();
    for reference in [format!("./libs/{name}"), format!("file:libs/{name}")] {
        for algorithm in ALGORITHMS {
            let right = hashlib(algorithm, &wheel.bytes());
            let ask = |digest: &str| {
                let requirement = format!("demo @ {reference}#{algorithm}={digest}");
                sandbox.write_source("one", &[&requirement], "");
            };
            ask(&right);
            sandbox.lock();
            sandbox.run(&["lock", "--check"]).expect(0);
            ask(&zeros(algorithm));
            for command in [&["lock"][..], &["lock", "--check"], &["sync"]] {
                let output = sandbox.run(command);
                output.expect(2);
                let sentence = format!("it has the {algorithm} {right}, but {}", zeros(algorithm));
                assert!(
                    has_sentence(&output.message(), &sentence),
                    "{}",
                    output.message()
                );
            }
        }
    }
}

#[test]
fn a_digest_that_cannot_be_compared_is_refused() {
    let sandbox = Sandbox::new(&[("one", &[])]);
    Sdist::new("tree", "1.0").write(&sandbox.path("libs/tree"));
    let check = |reference: &str| {
        sandbox.write_source("one", &[&format!("tree @ {reference}")], "");
        let output = sandbox.run(&["lock", "--check"]);
        output.expect(2);
        output
    };
    let archive = "https://example.org/tree-1.0.zip";
    check(&format!("{archive}#sha256=0000")).stderr_is(&sandbox, str![[r#"
  × one thing is wrong with the manifest
Error:
  × this reference cannot be used
   ╭─[environments/one.py:3:19]
 2 │ # requires-python = ">=3.11"
 3 │ # dependencies = ["tree @ https://example.org/tree-1.0.zip#sha256=0000"]
   ·                   ──────────────────────────┬──────────────────────────
   ·                                             ╰── its sha256 is not one: a sha256 has 64 hexadecimal digits
 4 │ # ///
   ╰────
  help: write the whole digest, as its publisher or `sha256sum FILE` prints it
"#]]);
    check(&format!("{archive}#sha3_256=00")).stderr_is(&sandbox, str![[r#"
  × one thing is wrong with the manifest
Error:
  × this reference cannot be used
   ╭─[environments/one.py:3:19]
 2 │ # requires-python = ">=3.11"
 3 │ # dependencies = ["tree @ https://example.org/tree-1.0.zip#sha3_256=00"]
   ·                   ──────────────────────────┬──────────────────────────
   ·                                             ╰── `sha3_256` is not understood behind `#`
 4 │ # ///
   ╰────
  help: an address may end in `#` and `sha256=…` (or md5, sha1, sha224, sha384, sha512, blake2b), `subdirectory=DIR` and `egg=NAME`, with `&` between them
"#]]);
    let md5 = zeros("md5");
    check(&format!("git+https://example.org/tree@v1#md5={md5}")).stderr_is(&sandbox, str![[r#"
  × one thing is wrong with the manifest
Error:
  × this reference cannot be used
   ╭─[environments/one.py:3:19]
 2 │ # requires-python = ">=3.11"
 3 │ # dependencies = ["tree @ git+https://example.org/tree@v1#md5=00000000000000000000000000000000"]
   ·                   ──────────────────────────────────────┬──────────────────────────────────────
   ·                                                         ╰── a repository has no md5
 4 │ # ///
   ╰────
  help: name the commit: `git+https://…@COMMIT` is always the same files
"#]]);
    check(&format!("./libs/tree#md5={md5}")).stderr_is(
        &sandbox,
        str![[r#"
  × one thing is wrong with the manifest
Error:
  × `./libs/tree` cannot be installed
   ╭─[environments/one.py:3:19]
 2 │ # requires-python = ">=3.11"
 3 │ # dependencies = ["tree @ ./libs/tree#md5=00000000000000000000000000000000"]
   ·                   ────────────────────────────┬────────────────────────────
   ·                                               ╰── a directory has no md5
 4 │ # ///
   ╰────
  help: remove the digest: the lock has one of the directory's files
"#]],
    );
}

#[test]
fn a_digest_in_the_address_of_weights_is_compared() {
    let sandbox = Sandbox::single();
    sandbox.write("remote/weights.bin", "numbers");
    let manifest = sandbox.read("rootstock.toml");
    let url = format!("file://{}", sandbox.path("remote/weights.bin").display());
    let ask = |fragment: &str, more: &str| {
        let model = format!(
            "\n[models.potential]\nenvironment = \"one\"\nweights = [{{ url = \"{url}#{fragment}\", path = \"p.bin\"{more} }}]\n"
        );
        sandbox.write("rootstock.toml", &format!("{manifest}{model}"));
    };
    let right = hashlib("sha256", b"numbers");
    ask(&format!("sha256={right}"), "");
    sandbox.lock();
    sandbox.run(&["lock", "--check"]).expect(0);
    sandbox.sync(&[]);
    let wrong = zeros("sha256");
    ask(&format!("sha256={wrong}"), "");
    sandbox.run(&["lock", "--check"]).expect(3);
    sandbox.lock();
    let output = sandbox.run(&["sync"]);
    output.expect(1);
    assert!(output.message().contains(&right), "{}", output.message());
    ask(
        &format!("sha256={wrong}"),
        &format!(", sha256 = \"{right}\""),
    );
    sandbox.run(&["lock"]).expect(2);
    ask(&format!("md5={}", hashlib("md5", b"numbers")), "");
    let output = sandbox.run(&["lock"]);
    output.expect(2);
    for part in [
        "`#md5=ee5c35ce3d081da90622a10d2272ed5e` is not a digest that can be compared with a weight file",
        "help: write `sha256 = \"…\"` beside `url`, and the address without `#`",
    ] {
        assert!(output.message().contains(part), "{}", output.message());
    }
}

#[test]
fn an_index_without_sha256_is_locked_by_what_is_downloaded() {
    let wheel = Wheel::simple("demo", "1.0");
    let file = wheel.file_name();
    let (md5, sha512) = (
        hashlib("md5", &wheel.bytes()),
        hashlib("sha512", &wheel.bytes()),
    );
    for claim in [
        json!({}),
        json!({ "md5": md5 }),
        json!({ "sha512": sha512 }),
        json!({ "md5": md5, "sha512": sha512 }),
    ] {
        let sandbox = Sandbox::new(&[("one", &["demo"])]);
        sandbox.index.add(&wheel);
        // One that fits less must not be taken for want of a digest.
        sandbox.index.add_sdist(&Sdist::new("demo", "1.0"));
        sandbox.index.claim(&file, claim.clone());
        sandbox.lock();
        let sha256 = format!("sha256 = \"{}\"", hashlib("sha256", &wheel.bytes()));
        assert!(line(&sandbox, &file).contains(&sha256), "{claim}");
        sandbox.run(&["lock", "--check"]).expect(0);
        sandbox.sync(&[]);
        assert_eq!(
            sandbox.python("one", "import demo; print(demo.VERSION)"),
            "1.0\n"
        );
        sandbox
            .run(&["export", "one", "--format", "pylock"])
            .expect(0);
        // What is locked of it stays, and another file in its place is an error.
        let other = Wheel::simple("demo", "1.0").file("demo/more.py", "x = 1\n");
        sandbox.index.replace(&file, &other.bytes());
        sandbox.index.add(&Wheel::simple("more", "1.0"));
        sandbox.write_source("one", &["demo", "more"], "");
        let output = sandbox.run(&["lock"]);
        let lock = sandbox.read("rootstock.lock");
        assert!(line(&sandbox, &file).contains(&sha256), "{claim}: {lock}");
        if claim == json!({}) {
            // uv reads the file itself, as it is now.
            output.expect(1);
            let now = hashlib("sha256", &other.bytes());
            let sentence = format!("`{file}` (the default index) has changed: its sha256 is {now}");
            assert!(
                has_sentence(&output.message(), &sentence),
                "{}",
                output.message()
            );
            assert!(output.message().contains("rootstock lock --upgrade=demo"));
            sandbox.run(&["lock", "--upgrade=demo"]).expect(0);
            assert!(line(&sandbox, &file).contains(&now));
            continue;
        }
        output.expect(0);
        sandbox.run(&["sync", "--root", "other"]).expect(1);
    }
}

#[test]
fn a_file_that_has_changed_where_it_comes_from_is_not_locked_again() {
    let elsewhere = Index::start();
    let (wheel, other) = (
        Wheel::simple("demo", "1.0"),
        Wheel::simple("demo", "1.0").file("demo/more.py", "x = 1\n"),
    );
    elsewhere.add(&wheel);
    let address = elsewhere.address(&wheel.file_name());
    // From the index, which gives the new digest as if nothing were wrong, and from an address.
    for requirement in ["demo".to_owned(), format!("demo @ {address}")] {
        for environments in [&["one"][..], &["one", "two"]] {
            let sandbox = Sandbox::new(&[("one", &[&requirement]), ("two", &[])]);
            sandbox.index.add(&Wheel::simple("more", "1.0"));
            sandbox.index.add(&wheel);
            sandbox.lock();
            let whole = sandbox.read("rootstock.lock");
            sandbox.index.remove("demo");
            sandbox.index.add(&other);
            elsewhere.replace(&wheel.file_name(), &other.bytes());
            std::fs::remove_dir_all(sandbox.path("uv-cache")).unwrap();
            let changed = environments.last().unwrap();
            sandbox.write_source(changed, &[&requirement, "more"], "");
            let output = sandbox.run(&["lock"]);
            output.expect(1);
            let sentence = format!(
                "has changed: its sha256 is {}",
                hashlib("sha256", &other.bytes())
            );
            assert!(
                has_sentence(&output.message(), &sentence),
                "{}",
                output.message()
            );
            assert!(
                output.message().contains("demo-1.0-py3-none-any.whl"),
                "{}",
                output.message()
            );
            assert_eq!(sandbox.read("rootstock.lock"), whole);
            sandbox.run(&["lock", "--upgrade=demo"]).expect(0);
            elsewhere.restore(&wheel.file_name());
        }
    }
    // Who writes the new digest into the manifest knows that it has changed.
    let sandbox = Sandbox::new(&[("one", &[&format!("demo @ {address}")])]);
    sandbox.lock();
    elsewhere.replace(&wheel.file_name(), &other.bytes());
    std::fs::remove_dir_all(sandbox.path("uv-cache")).unwrap();
    let now = hashlib("sha256", &other.bytes());
    sandbox.write_source("one", &[&format!("demo @ {address}#sha256={now}")], "");
    sandbox.lock();
    assert!(line(&sandbox, &wheel.file_name()).contains(&now));
}

#[test]
fn each_package_s_digest_of_an_address_is_compared() {
    let elsewhere = Index::start();
    let wheel = Wheel::simple("demo", "1.0");
    elsewhere.add(&wheel);
    let address = elsewhere.address(&wheel.file_name());
    let sandbox = Sandbox::new(&[("one", &[])]);
    let asking = |name: &str, digest: &str| {
        let other = Wheel::simple(name, "1.0").requires(&format!("demo @ {address}#{digest}"));
        let file = format!("{name}-1.0-py3-none-any.whl");
        format!("{name} @ {}", elsewhere.put(&file, &other.bytes()))
    };
    let digest = |algorithm: &str| format!("{algorithm}={}", hashlib(algorithm, &wheel.bytes()));
    for algorithm in ALGORITHMS {
        let wrong = format!("egg=demo&{algorithm}={}", zeros(algorithm));
        let (right, wrong) = (asking("right", &digest("md5")), asking("wrong", &wrong));
        let plain = format!("demo @ {address}");
        for dependencies in [
            &[wrong.as_str()][..],
            &[&wrong, &right],
            &[&wrong, &plain],
            &[&wrong, &right, &plain],
        ] {
            sandbox.write_source("one", dependencies, "");
            let output = sandbox.run(&["lock"]);
            output.expect(1);
            let sentence = format!("has the {algorithm} {}", hashlib(algorithm, &wheel.bytes()));
            assert!(
                has_sentence(&output.message(), &sentence),
                "{}",
                output.message()
            );
        }
    }
    let (one, two) = (
        asking("right", &digest("sha224")),
        asking("other", &digest("sha1")),
    );
    sandbox.write_source("one", &[&one, &two], "");
    sandbox.lock();
    sandbox.run(&["lock", "--check"]).expect(0);
    // What cannot be compared is refused.
    for (fragment, reason) in [
        (
            format!("sha3_256={}", zeros("sha256")),
            "digests of `sha3_256` cannot be compared",
        ),
        ("sha1=00".to_owned(), "its sha1 is not one"),
    ] {
        sandbox.write_source("one", &[&asking("wrong", &fragment)], "");
        let output = sandbox.run(&["lock"]);
        output.expect(1);
        assert!(
            has_sentence(&output.message(), reason),
            "{}",
            output.message()
        );
    }
}

#[test]
fn a_digest_of_an_index_is_compared_when_it_is_locked() {
    for algorithm in ["md5", "sha384", "sha512"] {
        let wheel = Wheel::simple("demo", "1.0");
        let sandbox = Sandbox::new(&[("one", &["demo"])]);
        sandbox.index.add(&wheel);
        let zeros = zeros(algorithm);
        sandbox
            .index
            .claim(&wheel.file_name(), json!({ algorithm: zeros }));
        let output = sandbox.run(&["lock"]);
        output.expect(1);
        let sentence = format!(
            "has the {algorithm} {}, but {zeros} is expected",
            hashlib(algorithm, &wheel.bytes())
        );
        assert!(
            has_sentence(&output.message(), &sentence),
            "{}",
            output.message()
        );
    }
}
