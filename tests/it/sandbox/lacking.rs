//! What a test needs of the machine and does not find: the test says that it is skipped, and fails where
//! `ROOTSTOCK_TEST_COMPLETE` is set, unless `ROOTSTOCK_TEST_MAY_LACK` names the thing (with spaces between several).

use std::io::Write as _;

/// Whether the machine has this; says that the test is skipped, or fails, if not.
#[track_caller]
pub(crate) fn unless(has: bool, what: &str) -> bool {
    if !has {
        let set = |name| std::env::var(name).unwrap_or_default();
        let may_lack = set("ROOTSTOCK_TEST_MAY_LACK");
        let complete = !set("ROOTSTOCK_TEST_COMPLETE").is_empty();
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        assert!(
            !complete || may_lack.split_whitespace().any(|word| word == what),
            "{test} needs {what}, which this machine lacks, and ROOTSTOCK_TEST_COMPLETE is set"
        );
        // Past the test's own capture, so that it is seen.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: this machine lacks {what}"
        );
    }
    has
}
