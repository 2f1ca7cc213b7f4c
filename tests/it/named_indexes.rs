//! A package of a named index comes from there alone, whatever requires it, also while uv builds another one to read its
//! metadata (dependency confusion).

use crate::sandbox::{Index, Sandbox, Sdist, Wheel};

/// A project whose package `library` comes from the index `own`.
fn project(dependencies: &[&str], own: &Index, keys: &str) -> Sandbox {
    let sandbox = Sandbox::new(&[("one", dependencies)]);
    sandbox.more(&format!(
        "{keys}indexes = {{ library = \"own\" }}\n\n[indexes.own]\nurl = \"{}\"\n",
        own.url()
    ));
    sandbox
}

/// A project whose backend imports `library` when it is asked for metadata, and writes down which.
fn importing(sandbox: &Sandbox, name: &str) -> Sdist {
    let marks = sandbox.path("marks").display().to_string();
    Sdist::new(name, "1.0").dynamic().asks(&format!(
        "import library\nopen('{marks}', 'a').write(library.VERSION + '\\n')\nreturn []"
    ))
}

#[test]
fn a_build_that_reads_metadata_takes_a_package_from_its_own_index() {
    for declared in [true, false] {
        let own = Index::start();
        own.add(&Wheel::simple("library", "1.0").requires("below"));
        own.add(&Wheel::simple("library", "3.0"));
        let more = if declared {
            "sdists = [\"demo\"]\nbuild-dependencies = { demo = [\"library<2\"] }\n"
        } else {
            "sdists = [\"demo\"]\n"
        };
        let sandbox = project(&["demo"], &own, more);
        let demo = importing(&sandbox, "demo");
        // An attacker who can publish to the default index, with a version that is never too low.
        sandbox.index.add(&Wheel::simple("library", "1.9"));
        sandbox.index.add(&Wheel::simple("library", "99.0"));
        sandbox.index.add(&Wheel::simple("below", "1.0"));
        sandbox.index.add_sdist(&if declared {
            demo
        } else {
            demo.requires("library<2")
        });
        sandbox.lock();
        let marks = sandbox.read("marks");
        assert!(marks.lines().all(|version| version == "1.0"), "{marks}");
        let lock = sandbox.read("rootstock.lock");
        assert!(lock.contains("\"library 1.0 "), "{lock}");
        let asked = sandbox.index.asked();
        assert!(
            !asked.iter().any(|file| file.starts_with("library")),
            "{asked:?}"
        );
        sandbox.run(&["lock", "--check"]).expect(0);
        sandbox.sync(&[]);
    }
}

#[test]
fn a_build_that_reads_metadata_is_refused_what_its_own_index_does_not_have() {
    let own = Index::start();
    own.add(&Wheel::simple("other", "1.0"));
    let sandbox = project(&["demo"], &own, "sdists = [\"demo\"]\n");
    let demo = importing(&sandbox, "demo");
    sandbox.index.add(&Wheel::simple("library", "99.0"));
    // Also where something between them asks for it.
    sandbox
        .index
        .add(&Wheel::simple("between", "1.0").requires("library"));
    for requires in ["library", "between"] {
        sandbox.index.remove("demo");
        sandbox.index.add_sdist(&demo.clone().requires(requires));
        let _ = std::fs::remove_dir_all(sandbox.path("uv-cache"));
        let output = sandbox.run(&["lock"]);
        output.expect(1);
        let message = output.message();
        assert!(
            message.contains("needs a build with `library` of index `own`"),
            "{message}"
        );
        assert!(!sandbox.path("marks").exists());
    }
}

#[test]
fn a_package_that_another_one_asks_for_is_never_looked_for_elsewhere() {
    let own = Index::start();
    own.add(&Wheel::simple("library", "2.0"));
    let sandbox = project(&["first"], &own, "sdists = [\"library\"]\n");
    let marks = sandbox.path("marks").display().to_string();
    // Its code must not run.
    let foreign = Sdist::new("library", "99.0")
        .dynamic()
        .asks(&format!("open('{marks}', 'a').write('foreign')\nreturn []"));
    sandbox.index.add_sdist(&foreign);
    // An index without it, or with old versions of it alone, does not decide that `first` is taken in an old version.
    sandbox.index.add(&Wheel::simple("library", "1.0"));
    sandbox.index.add(&Wheel::simple("first", "1.0"));
    sandbox
        .index
        .add(&Wheel::simple("first", "2.0").requires("library>=2,<3"));
    sandbox.lock();
    let lock = sandbox.read("rootstock.lock");
    assert!(
        lock.contains("\"first 2.0 ") && lock.contains("\"library 2.0 "),
        "{lock}"
    );
    assert!(!sandbox.path("marks").exists());
}

#[test]
fn a_package_of_a_named_index_that_nothing_asks_for_is_not_locked() {
    let own = Index::start();
    own.add(&Wheel::simple("library", "2.0").requires("below<2"));
    let sandbox = project(&["first"], &own, "");
    sandbox
        .index
        .add(&Wheel::simple("first", "1.0").requires("below"));
    for version in ["1.0", "2.0"] {
        sandbox.index.add(&Wheel::simple("below", version));
    }
    for _ in 0..2 {
        sandbox.lock();
        let lock = sandbox.read("rootstock.lock");
        assert!(
            lock.contains("\"below 2.0 ") && !lock.contains("library 2.0"),
            "{lock}"
        );
        // Nor need its index have it.
        own.remove("library");
        std::fs::remove_file(sandbox.path("rootstock.lock")).unwrap();
        std::fs::remove_dir_all(sandbox.path("uv-cache")).unwrap();
    }
}
