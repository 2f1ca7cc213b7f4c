//! Tests that are too heavy for `cargo test`: they run where `ROOTSTOCK_TEST_COMPLETE` is set, as `.ci/run` does, and say that
//! they are skipped elsewhere.

use std::io::Write as _;

/// Whether all tests are wanted; says that this one is skipped if not.
pub(crate) fn is_wanted() -> bool {
    is_wanted_by("ROOTSTOCK_TEST_COMPLETE")
}

/// Whether what a site has is wanted: a Slurm of two nodes, workflow engines, containers. `.ci/run` does not set it.
pub(crate) fn sites_are_wanted() -> bool {
    is_wanted_by("ROOTSTOCK_TEST_SITES")
}

fn is_wanted_by(variable: &str) -> bool {
    let wanted = std::env::var_os(variable).is_some_and(|value| !value.is_empty());
    if !wanted {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        // Past the test's own capture, so that it is seen.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: it runs where {variable} is set"
        );
    }
    wanted
}
