//! What the commands do is in the library: a program makes a root match a lock without starting one.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rootstock::build::Context;
use rootstock::build::progress::{Event, Progress};
use rootstock::build::supply::Supply;
use rootstock::files::link;
use rootstock::lock::{beside, file};
use rootstock::manifest::Manifest;
use rootstock::name::EnvironmentName;
use rootstock::plan::Request;
use rootstock::store::Root;
use rootstock::store::bundle::Bundle;
use rootstock::sync::{self, Depth, Parts, record};
use rootstock::target::Target;

use crate::sandbox::Sandbox;

/// Keeps what it is called with.
struct Events(Arc<Mutex<Vec<Event>>>);

impl Progress for Events {
    fn on_event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// The variables that a command of the sandbox gets.
fn variables(sandbox: &Sandbox) -> BTreeMap<OsString, OsString> {
    let command = sandbox.command(&[]);
    let given = command.get_envs();
    let given = given.filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(("PATH".into(), path))
        .chain(given)
        .collect()
}

#[test]
fn a_program_syncs_a_root_from_a_bundle_and_is_called_with_events() {
    let sandbox = Sandbox::shared();
    sandbox.run(&["bundle", "-o", "carry"]).expect(0);
    let lock = file::read("rootstock.lock", &sandbox.read("rootstock.lock")).unwrap();
    let root = Root::at(&sandbox.path("by-library"), None);
    let environments = lock.environments.iter();
    let environments: Vec<EnvironmentName> = environments.map(|e| e.name.clone()).collect();
    let request = Request {
        target: Target::here().unwrap().name(),
        environments: &environments,
        drifted: BTreeSet::new(),
        prefetch: &[],
        force: false,
        cache: None,
        access: None,
    };
    let plan = |depth| sync::plan(&root, &lock, &request, depth, Parts::All, &|_| {}).unwrap();
    let (project, variables) = (sandbox.path("carry"), variables(&sandbox));
    let events = Arc::new(Mutex::new(Vec::new()));
    let context = Context {
        root: &root,
        supply: Supply {
            bundle: Some(Bundle::open(&project).unwrap()),
            network: None,
            variables: variables.clone(),
        },
        project: &project,
        path: variables[&OsString::from("PATH")].clone(),
        variables: variables.clone(),
        uv: Box::new(|| unreachable!("the bundle has every file: no address is asked for")),
        link: link::Mode::Auto,
        jobs: 2,
        progress: Box::new(Events(Arc::clone(&events))),
    };

    let outcome = sync::carry_out(plan(Depth::Quick), &context, &variables).unwrap();
    assert!(outcome.written.is_ok(), "{outcome:?}");
    let built = outcome.environments.iter();
    let built: Vec<_> = built
        .map(|of| (&of.environment, of.result.is_ok()))
        .collect();
    let expected: Vec<_> = environments.iter().map(|name| (name, true)).collect();
    assert_eq!(built, expected, "{outcome:?}");
    let events = events.lock().unwrap();
    for name in &environments {
        let finished = Event::Finished(name.clone(), true);
        assert!(events.contains(&finished), "{events:?}");
    }

    // The report of the command is a value.
    let report = outcome.report(&root, Duration::from_secs(1));
    assert_eq!(report.to_string(), "built one, two (1.0 s)\n");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["environments"][1]["result"], "built");
    assert_eq!((&json["seconds"], report.problems.len()), (&1.0.into(), 0));

    assert!(plan(Depth::Repair).is_nothing());
    let skipped = |name: &EnvironmentName, why: &str| panic!("{name}: {why}");
    let recorded = record::record(&root, &lock, None, request.target, &skipped).unwrap();
    let trees = recorded.environments.iter();
    let trees = trees.map(|e| e.target(request.target).unwrap().trees.len());
    assert_eq!(trees.collect::<Vec<_>>(), vec![1; environments.len()]);
    // The commands see the same root.
    let root = ["--root", "by-library"];
    sandbox
        .run(&[&root[..], &["sync", "--check", "--only", "envs"]].concat())
        .expect(0);
}

#[test]
fn a_program_compares_a_lock_with_its_manifest() {
    let sandbox = Sandbox::shared();
    let load = || Manifest::load(&sandbox.path("rootstock.toml"), Path::new("")).unwrap();
    let current = beside::current(&load(), None).unwrap();
    assert_eq!(
        (current.lock.environments.len(), current.drifted.len()),
        (2, 0)
    );
    sandbox.write_source("two", &["shared", "second"], "# edited\n");
    let Err(beside::Error::Drifted(report)) = beside::current(&load(), None) else {
        panic!("the lock has another source");
    };
    let found: Vec<_> = report.findings.iter().map(|one| one.code.name()).collect();
    assert_eq!(found, ["source-changed"]);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["findings"][0]["subject"], "environment two");
    assert!(
        report.to_string().ends_with(
            "  environment two: `environments/two.py` has changed [source-changed]\n\
             run `rootstock lock`, look at the difference, and commit it\n"
        ),
        "{report}"
    );
    // What was not asked for does not count, and is named.
    let only = ["one".parse().unwrap()];
    let current = beside::current(&load(), Some(&only)).unwrap();
    let drifted: Vec<_> = current
        .drifted
        .iter()
        .map(EnvironmentName::as_str)
        .collect();
    assert_eq!(drifted, ["two"]);
}
