//! `exclude-newer`: a cut-off for all packages, and another one, or none, for an index.

use crate::sandbox::{Index, Sandbox, Wheel};

/// A project with a cut-off, whose package `foo` comes from an index of its own with these keys.
fn project(own: &Index, keys: &str) -> Sandbox {
    let sandbox = Sandbox::new(&[("one", &["foo", "bar"])]);
    sandbox.index.add(&Wheel::simple("bar", "1.0"));
    own.add(&Wheel::simple("foo", "1.0"));
    let manifest = sandbox.read("rootstock.toml");
    let manifest = manifest.replace(
        "[rootstock]\n",
        "[rootstock]\nexclude-newer = \"2026-06-01T00:00:00Z\"\n",
    );
    sandbox.write("rootstock.toml", &manifest);
    let url = own.url();
    sandbox.more(&format!(
        "indexes = {{ foo = \"own\" }}\n\n[indexes.own]\nurl = \"{url}\"\n{keys}"
    ));
    sandbox
}

#[test]
fn an_index_without_upload_times_can_be_excepted() {
    let own = Index::start();
    own.speak_html();
    let sandbox = project(&own, "");
    let said = sandbox.run(&["lock"]);
    let told = said.expect(1).told();
    assert!(told.contains("write `exclude-newer = false`"), "{told}");
    assert!(!told.contains("exclude-newer-package"), "{told}");
    let sandbox = project(&own, "exclude-newer = false\n");
    sandbox.lock();
    sandbox.sync(&[]);
    sandbox.run(&["lock", "--check"]).expect(0);
}

#[test]
fn an_index_can_have_a_cut_off_of_its_own() {
    let own = Index::start();
    // Everything of it is of 2026-01-01.
    let before = "exclude-newer = \"2025-01-01\"\n";
    let sandbox = project(&own, before);
    sandbox.run(&["lock"]).expect(1);
    let after = "exclude-newer = \"2026-02-01\"\n";
    let manifest = sandbox.read("rootstock.toml").replace(before, after);
    sandbox.write("rootstock.toml", &manifest);
    sandbox.lock();
    // It is part of the question, for the environments that use the index.
    let manifest = manifest.replace(after, "exclude-newer = false\n");
    sandbox.write("rootstock.toml", &manifest);
    let said = sandbox.run(&["lock", "--check", "--json"]);
    assert_eq!(
        said.expect(3).json()["findings"][0]["code"],
        "index-changed"
    );
}

#[test]
fn what_is_neither_a_moment_nor_false_is_refused_in_its_place() {
    let own = Index::start();
    for (keys, message) in [
        ("exclude-newer = true\n", "names no moment"),
        ("exclude-newer = \"never\"\n", "`never` is not a moment"),
        ("exclude-newer = 3\n", "exclude-newer"),
    ] {
        let sandbox = project(&own, keys);
        let told = sandbox.run(&["lock"]).expect(2).told();
        assert!(told.contains(message), "{told}");
    }
}
