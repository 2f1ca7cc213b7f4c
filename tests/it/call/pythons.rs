//! The Python side under every Python of this machine, and with the real cloudpickle.

use std::process::Command;

use serde_json::json;

use super::{built, failed, request};

/// Runs a program of Python and returns what it prints.
#[track_caller]
fn python(arguments: &[&str], path: &std::path::Path) -> String {
    let output = Command::new("python3.11")
        .args(arguments)
        .env("PYTHONPATH", path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[expect(clippy::print_stdout, reason = "it says which Pythons were found")]
fn the_same_answers_come_from_every_python() {
    let here = env!("CARGO_MANIFEST_DIR");
    let script = format!("{here}/tests/python/shim_versions.py");
    print!("{}", python(&["-I", "-B", &script, here], "".as_ref()));
}

/// Needs a package index.
#[test]
fn functions_travel_by_the_real_cloudpickle() {
    if !crate::sandbox::lacking::unless(
        std::env::var("ROOTSTOCK_TEST_COMPLETE").is_ok_and(|set| !set.is_empty()),
        "ROOTSTOCK_TEST_COMPLETE",
    ) {
        return;
    }
    let sandbox = built();
    let path = sandbox.path("packages");
    let target = path.to_str().unwrap();
    python(
        &[
            "-m",
            "pip",
            "install",
            "--quiet",
            "--target",
            target,
            "cloudpickle==3.1.2",
        ],
        &path,
    );
    let code = "import base64, cloudpickle\nk = 3\n\
        made = (lambda a: (lambda x: x * a * k)), 7\n\
        print(base64.b64encode(cloudpickle.dumps(made, protocol=4)).decode())";
    let pickled = python(&["-c", code], &path);
    let mut asked = json!({"function": "operator:call", "args": pickled.trim(), "python": "3.11"});
    let (response, output) = request(&sandbox, &["--pickle", "--path", "packages"], &asked);
    output.expect(0);
    let code = "import base64, pickle, sys; print(pickle.loads(base64.b64decode(sys.argv[1]))(2))";
    let result = response["result"].as_str().unwrap();
    assert_eq!(python(&["-c", code, result], &path).trim(), "42");
    // The environment itself has none.
    let (response, _) = request(&sandbox, &["--pickle"], &asked);
    assert_eq!(failed(&response), ("bad-request", 2, false));
    asked["python"] = json!("3.8");
    let (response, _) = request(&sandbox, &["--pickle", "--path", "packages"], &asked);
    assert_eq!(failed(&response), ("python-mismatch", 1, false));
}
