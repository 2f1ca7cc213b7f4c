//! What a manifest says of a model reaches the lock and the root, and rebuilds nothing.

use serde_json::json;

use crate::sandbox::{Sandbox, Wheel};

fn project(lines: &str) -> Sandbox {
    let sandbox = Sandbox::new(&[("one", &["single"])]);
    sandbox.index.add(&Wheel::simple("single", "1.0"));
    sandbox.more(lines);
    sandbox
}

const ENVIRONMENT: &str = r#"
models = ["small", "large"]
elements = ["H-He", "Cu", "Ni"]
licence = "MIT"
weights-licence = "ASL, \"gated\""
citation = "Ono, J. Ex. 1 (2020)"
conservative = false
dtype = "float32"
probe = ["Cu", "NaCl  rocksalt 5.64", "structures/a b.cif"]
reference = "references/{model}.extxyz"
tolerance = { forces = 1e-3, reason = "tensor cores" }

[models.other]
environment = "one"
elements = ["O"]
conservative = true
reference = "numbers/other.extxyz"
"#;

#[test]
fn what_a_model_is_for_goes_through_the_lock_into_the_root() {
    let sandbox = project(ENVIRONMENT);
    sandbox.write("structures/a b.cif", "");
    sandbox.lock();
    let lock = sandbox.read("rootstock.lock");
    let about = "about = { elements = [\"H\", \"He\", \"Ni\", \"Cu\"], licence = \"MIT\", \
                 weights-licence = \"ASL, \\\"gated\\\"\"";
    assert!(lock.contains(about), "{lock}");
    sandbox.sync(&[]);
    let catalogue: serde_json::Value =
        serde_json::from_str(&sandbox.read("root/models.json")).unwrap();
    let models = &catalogue["models"];
    assert_eq!(models["one-small"]["about"], models["one-large"]["about"]);
    assert_eq!(
        models["one-small"]["about"],
        json!({
            "elements": ["H", "He", "Ni", "Cu"], "licence": "MIT", "weights_licence": "ASL, \"gated\"",
            "citation": "Ono, J. Ex. 1 (2020)", "conservative": false, "dtype": "float32",
            "probe": ["Cu", "NaCl rocksalt 5.64", "structures/a b.cif"],
            "tolerance": {"forces": 1e-3, "reason": "tensor cores"},
        })
    );
    // What a model says itself is in place of what its environment says.
    let other = &models["other"]["about"];
    assert_eq!(other["elements"], json!(["O"]));
    assert_eq!(other["conservative"], json!(null), "as nearly all are");
    assert_eq!(other["licence"], json!("MIT"));

    // A correction is drift until it is locked, and builds nothing anew.
    let id = sandbox.stamp("root", "one", "id");
    let manifest = sandbox
        .read("rootstock.toml")
        .replace("\"MIT\"", "\"BSD-3-Clause\"");
    sandbox.write("rootstock.toml", &manifest);
    let found = sandbox.run(&["lock", "--check", "--json"]);
    let findings = found.expect(3).json()["findings"].clone();
    let findings = findings.as_array().unwrap();
    let changed = findings.iter().filter(|f| f["code"] == "about-changed");
    assert_eq!(changed.count(), 3, "{findings:?}");
    sandbox.lock();
    sandbox.sync(&[]);
    assert_eq!(sandbox.stamp("root", "one", "id"), id);
    let catalogue = sandbox.read("root/models.json");
    assert!(catalogue.contains("BSD-3-Clause"), "{catalogue}");
}

#[test]
fn structures_and_numbers_are_carried_along() {
    let sandbox = project(ENVIRONMENT);
    sandbox.write("structures/a b.cif", "data");
    sandbox.write("references/one-small.extxyz", "1\n\nH 0 0 0\n");
    sandbox.lock();
    sandbox.run(&["bundle", "-o", "carried"]).expect(0);
    assert_eq!(sandbox.read("carried/structures/a b.cif"), "data");
    assert!(sandbox.path("carried/references/one-small.extxyz").exists());
}

#[test]
fn each_wrong_declaration_is_named_with_what_to_write() {
    for (line, fragment) in [
        (
            "elements = [\"Qq\"]",
            "`Qq` is neither an element nor a range",
        ),
        ("elements = [\"He-H\"]", "`He-H` is neither"),
        ("elements = \"H\"", "a list of texts"),
        ("licence = \"\"", "`licence` is a text in one line"),
        ("license = \"MIT\"", "did you mean `licence`?"),
        ("citation = \"a\\nb\"", "`citation` is a text in one line"),
        ("conservative = \"no\"", "`true` or `false`"),
        ("dtype = \"double\"", "write `float32` or `float64`"),
        ("probe = [\"NaCl salt 5\"]", "the crystal structures are"),
        (
            "probe = [\"no/such.cif\"]",
            "write the path of a file below the manifest",
        ),
        ("probe = [\"../x.cif\"]", "`../x.cif` is not a structure"),
        ("tolerance = { forces = 1e-3 }", "the reason for it"),
        (
            "tolerance = { reason = \"x\" }",
            "has a number and the reason",
        ),
        (
            "tolerance = { forces = -1, reason = \"x\" }",
            "greater than zero",
        ),
        (
            "tolerance = { forces = nan, reason = \"x\" }",
            "greater than zero",
        ),
        (
            "tolerance = { force = 1, reason = \"x\" }",
            "did you mean `forces`?",
        ),
        (
            "reference = \"a.extxyz\"",
            "one file of recorded numbers for each model",
        ),
        ("reference = \"/a/{model}.extxyz\"", "write a relative path"),
        (
            "reference = \"a/../{model}.extxyz\"",
            "write a relative path",
        ),
        ("reference = \"{model}.xyz\"", "ends in `.extxyz`"),
    ] {
        let sandbox = project(&format!("models = [\"small\"]\n{line}"));
        let output = sandbox.run(&["lock", "--check"]);
        let message = output.expect(2).message();
        assert!(message.contains(fragment), "{line}: {message}");
    }
    let twice = "\n[models.a]\nenvironment = \"one\"\nreference = \"r.extxyz\"\n\
                 [models.b]\nenvironment = \"one\"\nreference = \"r.extxyz\"";
    let output = project(twice).run(&["lock", "--check"]);
    let message = output.expect(2).message();
    assert!(
        message.contains("`r.extxyz` is the file of two models"),
        "{message}"
    );
    // A file of numbers is read as every file that a manifest names: it is regular, and in the project.
    let sandbox = project("\n[models.a]\nenvironment = \"one\"\nreference = \"r.extxyz\"");
    std::os::unix::fs::symlink("/etc/hostname", sandbox.path("r.extxyz")).unwrap();
    let output = sandbox.run(&["lock", "--check"]);
    let message = output.expect(2).message();
    assert!(message.contains("cannot read `r.extxyz`"), "{message}");
}
