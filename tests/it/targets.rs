//! The machine at hand against the lock: architecture, glibc, interpreter. What does not fit is refused by name, before
//! anything is built.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use rootstock::store::Stamp;
use rootstock::store::stamp::Found;

use crate::sandbox::{Interpreters, Sandbox, Wheel};

/// A machine of another kind, as its interpreter reports it.
struct Machine<'a> {
    version: &'a str,
    soabi: &'a str,
    platform: &'a str,
    glibc: &'a str,
}

impl Machine<'_> {
    /// This machine with this version and glibc.
    fn here<'a>(version: &'a str, glibc: &'a str) -> Machine<'a> {
        let (soabi, platform) = match std::env::consts::ARCH {
            "aarch64" => ("cpython-311-aarch64-linux-gnu", "linux-aarch64"),
            _ => ("cpython-311-x86_64-linux-gnu", "linux-x86_64"),
        };
        Machine {
            version,
            soabi,
            platform,
            glibc,
        }
    }

    /// A program that answers as such an interpreter would.
    fn program(&self, executable: &str) -> String {
        let Machine {
            version,
            soabi,
            platform,
            glibc,
        } = self;
        let answer = serde_json::json!({
            "executable": executable,
            "identity": {
                "implementation": "cpython", "version": version, "soabi": soabi, "platform": platform,
            },
            "glibc": glibc,
        });
        format!("#!/bin/sh\necho '{answer}'\n")
    }
}

/// Replaces the Python on the project's PATH.
fn put_on_path(sandbox: &Sandbox, machine: &Machine) {
    let path = sandbox.path("bin/python3.11");
    fs::remove_file(&path).unwrap();
    fs::write(&path, machine.program(path.to_str().unwrap())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn with_targets(sandbox: &Sandbox, text: &str) {
    let manifest = sandbox.read("rootstock.toml");
    let changed = manifest.replace("[rootstock]\n", &format!("[rootstock]\n{text}\n"));
    sandbox.write("rootstock.toml", &changed);
}

fn this_and_other() -> (&'static str, &'static str) {
    match std::env::consts::ARCH {
        "aarch64" => ("linux-aarch64", "linux-x86_64"),
        _ => ("linux-x86_64", "linux-aarch64"),
    }
}

#[test]
fn a_machine_with_an_older_glibc_is_refused_with_both_versions() {
    let sandbox = Sandbox::single();
    let (here, _) = this_and_other();
    put_on_path(&sandbox, &Machine::here("3.11.4", "2.17"));
    let output = sandbox.run(&["sync"]);
    output.expect(1);
    let text = output.message();
    for part in [
        &format!(
            "one failed: the lock is for {here} (glibc 2.28) or newer, and this machine runs on glibc 2.17"
        ),
        "`glibc = \"2.17\"`",
        &format!("under `[targets.{here}]`"),
    ] {
        assert!(text.contains(part), "{part}: {}", output.stderr);
    }
    assert!(sandbox.names("root/generations").is_empty());

    // A lock for older machines is asked for as the message says, and needs no other wheels here.
    let manifest = sandbox.read("rootstock.toml");
    sandbox.write(
        "rootstock.toml",
        &format!("{manifest}\n[targets.{here}]\nglibc = \"2.17\"\n"),
    );
    sandbox.run(&["sync"]).expect(3);
    let real = Sandbox::new(&[]);
    fs::remove_file(sandbox.path("bin/python3.11")).unwrap();
    std::os::unix::fs::symlink(
        fs::canonicalize(real.path("bin/python3.11")).unwrap(),
        sandbox.path("bin/python3.11"),
    )
    .unwrap();
    sandbox.lock();
    assert!(sandbox.read("rootstock.lock").contains("glibc = \"2.17\""));
    sandbox.sync(&[]);
}

#[test]
fn a_managed_interpreter_on_an_old_machine_is_refused_the_same_way() {
    let sandbox = Sandbox::new(&[("one", &["single"])]);
    sandbox.index.add(&Wheel::simple("single", "1.0"));
    let mut interpreters = Interpreters::new(&sandbox);
    let machine = Machine::here("3.11.99", "2.17").program("/python/of/old");
    interpreters.publish("3.11.99", "20210101", &archive(&machine));
    sandbox.lock();
    let output = sandbox.run(&["sync"]);
    output.expect(1);
    let text = output.message();
    assert!(
        text.contains("(glibc 2.28) or newer, and this machine runs on glibc 2.17"),
        "{text}"
    );
    assert!(sandbox.names("root/generations").is_empty());
}

/// An archive with this program as its interpreter, and no library.
fn archive(program: &str) -> Vec<u8> {
    let packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(packed);
    for (path, kind, bytes) in [
        (
            "python/bin/python3.11",
            tar::EntryType::Regular,
            program.as_bytes(),
        ),
        ("python/lib/python3.11/", tar::EntryType::Directory, b""),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, path, bytes).unwrap();
    }
    let mut packed = builder.into_inner().unwrap();
    packed.flush().unwrap();
    packed.finish().unwrap()
}

#[test]
fn every_interpreter_that_does_not_fit_is_listed_with_the_way_out() {
    let sandbox = Sandbox::single();
    let (here, other) = this_and_other();
    for (machine, why) in [
        (Machine::here("3.12.1", "2.36"), "is 3.12.1"),
        (
            Machine {
                soabi: "cpython-311d-x",
                ..Machine::here("3.11.4", "2.36")
            },
            "has the ABI cpython-311d-x",
        ),
        (
            Machine {
                platform: other,
                ..Machine::here("3.11.4", "2.36")
            },
            &format!("is for {other}"),
        ),
    ] {
        put_on_path(&sandbox, &machine);
        let output = sandbox.run(&["sync"]);
        output.expect(1);
        let text = output.message();
        for part in [
            &format!(
                "no cpython 3.11 for {here} (glibc 2.28) is on PATH; found were cpython {}",
                machine.version
            ),
            why,
            "module load",
            "`python-source = \"managed\"`",
        ] {
            assert!(text.contains(part), "{part}: {}", output.stderr);
        }
    }
}

#[test]
fn a_version_is_checked_as_exactly_as_it_is_asked_for_and_stamped_exactly() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    let exact = sandbox.stamp("root", "one", "python")["identity"]["version"].clone();
    let exact = exact.as_str().unwrap().to_owned();
    assert!(exact.starts_with("3.11."), "{exact}");
    let series = sandbox.stamp("root", "one", "id");
    let manifest = sandbox.read("rootstock.toml");
    sandbox.write(
        "rootstock.toml",
        &manifest.replace("\"3.11\"", &format!("\"{exact}\"")),
    );
    sandbox.lock();
    sandbox.sync(&[]);
    assert_ne!(sandbox.stamp("root", "one", "id"), series);
    sandbox.write(
        "rootstock.toml",
        &manifest.replace("\"3.11\"", "\"3.11.99\""),
    );
    sandbox.lock();
    let output = sandbox.run(&["sync"]);
    output.expect(1);
    let text = output.message();
    assert!(text.contains("no cpython 3.11.99 for"), "{text}");
    assert!(text.contains(&format!(": is {exact}")), "{text}");
}

#[test]
fn a_lock_without_this_machine_type_is_foreign() {
    let sandbox = Sandbox::new(&[("one", &["single"])]);
    sandbox.index.add(&Wheel::simple("single", "1.0"));
    let (here, other) = this_and_other();
    with_targets(&sandbox, &format!("targets = [\"{other}\"]"));
    sandbox.lock();
    let none = format!("the lock has no `{here}` for the environment `one`; it has `{other}`");
    let output = sandbox.run(&["sync"]);
    output.expect(1);
    assert!(output.message().contains(&none), "{}", output.stderr);
    let output = sandbox.run(&["status", "--json"]);
    output.expect(0);
    let environment = output.json()["environments"][0].clone();
    assert_eq!(environment["state"], "foreign");
    assert_eq!(environment["reason"], none);
}

#[test]
fn what_was_built_for_another_machine_is_foreign_and_runs_no_worker() {
    let sandbox = Sandbox::single();
    let (here, other) = this_and_other();
    sandbox.sync(&[]);
    let generation = sandbox.generation("root", "one");
    let Ok(Found::Stamp(mut stamp)) = Stamp::read(&generation) else {
        panic!("it was just built")
    };
    assert_eq!(stamp.target, here);
    other.clone_into(&mut stamp.target);
    let path = generation.join("rootstock-stamp.json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, stamp.text()).unwrap();
    let environment = sandbox.run(&["status", "--json"]).json()["environments"][0].clone();
    assert_eq!(environment["state"], "foreign");
    assert_eq!(environment["reason"], format!("it was built for {other}"));
    let output = sandbox.run(&[
        "worker",
        "one",
        "--unix",
        "nobody",
        "--species-from-server",
        "--root",
        "root",
    ]);
    output.expect(4);
    let text = output.message();
    assert!(
        text.contains(&format!(
            "was built for {other}, and this machine is {here}"
        )),
        "{text}"
    );
}
