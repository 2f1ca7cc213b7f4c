//! JSON of a root, of a bundle and of a command line in which an object repeats a key: two programs would read two values, so
//! it is refused, at any depth, or counts as damaged.

use std::fs;

use crate::sandbox::Sandbox;

/// Puts a key before the first one of the object that begins after this text.
fn repeat(text: &str, after: &str, key: &str) -> String {
    let (before, object) = text.split_once(after).expect("it has that");
    let (between, rest) = object.split_once('{').expect("an object follows");
    assert!(rest.contains(&format!("\"{key}\"")), "{rest}");
    format!("{before}{after}{between}{{\"{key}\": null, {rest}")
}

fn project() -> Sandbox {
    let sandbox = Sandbox::single();
    sandbox.more("prefetch = false\nmodels = [\"a\"]");
    sandbox.lock();
    sandbox.sync(&[]);
    sandbox
}

/// Files that everything else is found by: nothing goes on without them.
#[test]
fn in_what_a_root_or_a_bundle_says_of_itself_are_errors() {
    let sandbox = project();
    sandbox.run(&["bundle", "-o", "carried"]).expect(0);
    for (path, after, key, command) in [
        (
            "root/models.json",
            "",
            "schema",
            &["run", "one", "--", "python", "-c", ""][..],
        ),
        (
            "root/models.json",
            "\"models\"",
            "one-a",
            &["worker", "one-a", "--unix", "x", "--species-from-server"],
        ),
        (
            "root/models.json",
            "\"one-a\"",
            "environment",
            &["worker", "one-a", "--unix", "x", "--species-from-server"],
        ),
        ("root/layout.json", "", "schema", &["sync"]),
        (
            "carried/rootstock-bundle.json",
            "",
            "schema",
            &[
                "sync",
                "--offline",
                "--bundle",
                "carried",
                "--root",
                "fresh",
            ],
        ),
    ] {
        let text = sandbox.read(path);
        sandbox.write(path, &repeat(&text, after, key));
        let output = sandbox.run(command);
        let message = format!("{} {}", output.stdout, output.message());
        assert!(
            !matches!(output.code, Some(0 | 101)),
            "{path}, {command:?}: {message}"
        );
        assert!(
            message.contains(&format!("the key `{key}` occurs twice")),
            "{path}, {command:?}: {message}"
        );
        sandbox.write(path, &text);
    }
}

/// A generation whose stamp is damaged is built anew.
#[test]
fn in_a_stamp_make_it_none() {
    let sandbox = project();
    let generations = fs::read_dir(sandbox.path("root/generations/one")).unwrap();
    let generation = generations
        .map(|entry| entry.unwrap().path())
        .next()
        .unwrap();
    let path = generation.join("rootstock-stamp.json");
    let text = fs::read_to_string(&path).unwrap();
    let mut writable = fs::metadata(&generation).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut writable, 0o755);
    fs::set_permissions(&generation, writable).unwrap();
    for key in ["schema", "id", "seal"] {
        fs::remove_file(&path).unwrap();
        fs::write(&path, repeat(&text, "", key)).unwrap();
        sandbox
            .run(&["run", "one", "--", "python", "-c", ""])
            .expect(4);
        sandbox.run(&["sync"]).expect(0);
        sandbox
            .run(&["run", "one", "--", "python", "-c", ""])
            .expect(0);
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "{key}");
    }
}

#[test]
fn in_arguments_are_errors() {
    let sandbox = project();
    {
        let option = "--setup";
        for text in [
            r#"{"charge": 1, "charge": 2}"#,
            r#"{"a": [{"charge": 1, "charge": 2}]}"#,
        ] {
            let output = sandbox.run(&[
                "worker",
                "one-a",
                "--unix",
                "x",
                "--species-from-server",
                option,
                text,
            ]);
            assert_eq!(
                output.code,
                Some(2),
                "{option} {text}: {}",
                output.message()
            );
            let message = format!("{} {}", output.stdout, output.message());
            assert!(
                message.contains("the key `charge` occurs twice"),
                "{option} {text}: {message}"
            );
        }
    }
}
