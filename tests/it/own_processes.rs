//! Processes that a model's source starts find what is defined in it, whichever command loads the source: Python's own
//! `multiprocessing` imports it there by its name.

use super::sandbox::{Sandbox, Wheel};
use super::worker::run;

/// A source that has a function called in processes of its own.
const SOURCE: &str = r#"
import multiprocessing, sys

def double(number):
    return 2 * number

def doubled(number):
    for way in ("spawn", "forkserver"):
        with multiprocessing.get_context(way).Pool(1) as pool:
            number, = pool.map(double, [number])
    return number

def setup(model, device):
    assert doubled(2) == 8
    print("doubled", doubled(3))
"#;

/// The same where it is imported already.
const AT_ONCE: &str = "
if multiprocessing.parent_process() is None:
    assert doubled(1) == 4
";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new(&[("at-once", &["single"]), ("one", &["single"])]);
    sandbox.index.add(&Wheel::simple("single", "1.0"));
    sandbox.write_source("one", &["single"], SOURCE);
    sandbox.write_source("at-once", &["single"], &format!("{SOURCE}{AT_ONCE}"));
    sandbox.more("\n[models.a]\nenvironment = \"one\"\nargument = \"a\"");
    sandbox.lock();
    sandbox
}

#[test]
fn of_a_worker() {
    run("hostile_models.py", &["processes_of_a_model"]);
}

#[test]
fn of_a_sync_a_doctor_and_a_command() {
    let sandbox = sandbox();
    let output = sandbox.sync(&[]);
    assert!(
        output.stdout.contains("provided 1 model"),
        "{}",
        output.message()
    );
    sandbox.run(&["doctor", "--import"]).expect(0);
    let call = "import env_source; env_source.setup('a', 'cpu')";
    for python in ["python", "python3", "python3.11"] {
        let output = sandbox.run(&["run", "one", "--", python, "-c", call]);
        assert!(
            output.expect(0).stdout.contains("doubled 12"),
            "{}",
            output.message()
        );
        let output = sandbox.run(&["run", "one", "--clean", "--", python, "-c", call]);
        assert!(
            output.expect(0).stdout.contains("doubled 12"),
            "{}",
            output.message()
        );
    }
    // Nothing of it is left in the root.
    sandbox.run(&["doctor", "--deep"]).expect(0);
}
