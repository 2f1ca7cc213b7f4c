//! Models that answer with what is no result, or whose exceptions say what no message was made for. What is compared
//! stands in `tests/python/hostile_models.py`.

use super::sandbox::{Output, Sandbox, Wheel};
use super::worker::{here, run};

macro_rules! cases {
    ($($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                run("hostile_models.py", &[stringify!($case)]);
            }
        )*
    };
}

cases!(
    stress_that_is_not_finite results_of_another_type numbers_of_other_types
    exceptions_arrive_whatever_they_say exceptions_of_any_text
    exceptions_arrive_where_libraries_replaced_what_carries_them
    exceptions_that_cannot_say_what_they_are
    a_model_that_hangs
);

#[test]
fn exceptions_arrive_in_memory() {
    let package = here().join("python");
    let package = package.to_str().unwrap();
    run(
        "hostile_models.py",
        &["exceptions_arrive_in_memory", package],
    );
}

/// What `sync` loads once and what `doctor` imports is reported in the same way.
#[test]
fn exceptions_arrive_at_a_sync_and_a_doctor() {
    let raises = "raise ValueError('begins caf\\udce9 \\x1b[31m' + 'x' * (100 << 20) + 'ends')";
    let replaced = "import json, sys, traceback\njson.dumps = json.dump = traceback.TracebackException = None\nsys.stderr = None\n";
    let sandbox = Sandbox::new(&[("loads", &["single"]), ("imports", &["single"])]);
    sandbox.index.add(&Wheel::simple("single", "1.0"));
    let setup = format!("{replaced}def setup(model, device):\n    {raises}\n");
    sandbox.write_source("loads", &["single"], &setup);
    sandbox.write_source("imports", &["single"], &format!("{replaced}{raises}\n"));
    sandbox.more("\n[models.a]\nenvironment = \"loads\"\nargument = \"a\"");
    sandbox.lock();
    let arrives = |output: &Output| {
        let message = format!("{}{}", output.expect(1).stdout, output.message());
        assert!(
            message.len() < 20_000 && !message.contains('\u{1b}'),
            "{} bytes",
            message.len()
        );
        for fragment in [
            "ValueError: begins caf\\udce9 \\x1b[31m",
            "left out",
            "ends",
        ] {
            assert!(message.contains(fragment), "{message}");
        }
    };
    arrives(&sandbox.run(&["sync"]));
    arrives(&sandbox.run(&["doctor", "--import"]));
}
