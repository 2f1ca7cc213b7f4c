//! A thousand deaths: whatever ends Python, at whichever moment of a run, the run finishes with the numbers of an
//! undisturbed one, and nothing stays behind. Some deaths always; as many as `ROOTSTOCK_TEST_DEATHS` says, for each driver,
//! where there is time for them. `ROOTSTOCK_TEST_SEED` decides which.

use super::worker::run;

/// What is driven, how often Python dies and from which seed is in the script; so is what is compared.
fn soak(driver: &str) {
    let setting =
        |name: &str, otherwise: &str| std::env::var(name).unwrap_or_else(|_| otherwise.to_owned());
    let deaths = setting("ROOTSTOCK_TEST_DEATHS", "5");
    let seed = setting("ROOTSTOCK_TEST_SEED", "1");
    run("soak.py", &[driver, &deaths, &seed]);
}

#[test]
fn runs_of_ase() {
    soak("ase");
}

#[test]
fn runs_of_ipi() {
    soak("ipi");
}

#[test]
fn runs_of_our_calculator() {
    soak("calculator");
}

#[test]
fn runs_of_a_client_of_our_own() {
    soak("own");
}
