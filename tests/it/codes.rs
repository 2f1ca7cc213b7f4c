//! Every way in which a lock can fail to answer its manifest has a code, in every output format.

use std::collections::BTreeSet;

use rootstock::doctor;
use rootstock::lock::drift::Code;
use serde_json::Value;

use crate::sandbox::{Index, Sandbox, Sdist, Wheel};

/// A project that uses all that a manifest can say, locked; with the index that one package comes from.
fn project() -> (Sandbox, Index) {
    let sandbox = Sandbox::new(&[("one", &["first", "shared", "tree @ ./libs/tree"])]);
    Sdist::new("tree", "1.0").write(&sandbox.path("libs/tree"));
    let own = Index::start();
    for (name, version) in [("first", "1.0"), ("second", "1.0"), ("shared", "1.0")] {
        sandbox.index.add(&Wheel::simple(name, version));
    }
    own.add(&Wheel::simple("first", "1.0"));
    let rest = sandbox.read("rootstock.toml").replace(
        "[rootstock]\n",
        "[rootstock]\ntargets = [\"linux-x86_64\"]\nexclude-newer = \"2026-06-01T00:00:00Z\"\n",
    );
    sandbox.write(
        "rootstock.toml",
        &format!(
            "{rest}constraints = [\"shared<9\"]\noverrides = [\"second==1.0\"]\nexclude = [\"unwanted\"]\n\
             indexes = {{ first = \"own\" }}\nsdists = [\"second\", \"tree\"]\nvariables = {{ A = \"1\" }}\nkeep = [\"MY_SITE\"]\nfunctions = [\"env_source:setup\"]\nmodels = [\"short\"]\n\n\
             [models.long]\nenvironment = \"one\"\nargument = \"a\"\n\
             weights = [{{ url = \"https://example.com/w\", path = \"w\", sha256 = \"{}\" }}]\n\n\
             [indexes.own]\nurl = \"{}\"\n",
            "1".repeat(64),
            own.url()
        ),
    );
    sandbox.lock();
    (sandbox, own)
}

/// What is edited: file, text, what becomes of it; and the findings, as `code line`.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const CASES: &[Case] = &[
    (
        "rootstock.toml",
        "constraints = [\"shared<9\"]",
        "constraints = [\"shared<8\"]",
        &["constraint-changed rootstock.toml:10"],
    ),
    (
        "rootstock.toml",
        "exclude = [\"unwanted\"]",
        "exclude = [\"other\"]",
        &[
            "exclude-changed rootstock.toml:12",
            "exclude-changed rootstock.toml:12",
        ],
    ),
    (
        "rootstock.toml",
        "2026-06-01",
        "2026-06-02",
        &["exclude-newer-changed rootstock.toml:3"],
    ),
    (
        "rootstock.toml",
        "indexes = { first = \"own\" }",
        "indexes = {}",
        &[
            "index-changed rootstock.toml:13",
            "version-violates-manifest rootstock.toml:7",
        ],
    ),
    (
        "rootstock.toml",
        "overrides = [\"second==1.0\"]",
        "overrides = []",
        &["override-changed rootstock.toml:11"],
    ),
    (
        "rootstock.toml",
        "python = \"3.11\"",
        "",
        &["python-changed rootstock.toml:7"],
    ),
    (
        "rootstock.toml",
        "python = \"3.11\"",
        "python = \"3.11\"\nalso-python = [\"3.12\"]",
        &["series-added rootstock.toml:10"],
    ),
    (
        "rootstock.toml",
        "python = \"3.11\"",
        "python = \"3.11\"\nbytecode = \"all\"",
        &["bytecode-changed rootstock.toml:10"],
    ),
    (
        "rootstock.toml",
        "\"second\", ",
        "",
        &["sdists-changed rootstock.toml:14"],
    ),
    (
        "rootstock.toml",
        "A = \"1\"",
        "A = \"2\"",
        &["variables-changed rootstock.toml:15"],
    ),
    (
        "rootstock.toml",
        "\"MY_SITE\"",
        "\"MY_SITES\"",
        &["keep-changed rootstock.toml:16"],
    ),
    (
        "rootstock.toml",
        "[\"env_source:setup\"]",
        "[]",
        &["functions-changed rootstock.toml:17"],
    ),
    (
        "rootstock.toml",
        "[\"linux-x86_64\"]",
        "[\"linux-aarch64\"]",
        &[
            "target-missing rootstock.toml:2",
            "target-removed rootstock.toml:2",
        ],
    ),
    (
        "rootstock.toml",
        "[indexes.own]",
        "[targets.linux-x86_64]\nglibc = \"2.35\"\n[indexes.own]",
        &["target-changed rootstock.toml:2"],
    ),
    (
        "rootstock.toml",
        "argument = \"a\"",
        "argument = \"b\"",
        &["model-changed rootstock.toml:20"],
    ),
    (
        "rootstock.toml",
        "[\"short\"]",
        "[]",
        &["model-removed rootstock.toml:1"],
    ),
    (
        "rootstock.toml",
        "example.com/w",
        "example.com/v",
        &["weights-changed rootstock.toml:23"],
    ),
    (
        "environments/one.py",
        "return None",
        "return  None",
        &["source-changed environments/one.py:1"],
    ),
    (
        "environments/one.py",
        "\"first\", ",
        "\"first\", \"second\", ",
        &[
            "requirement-changed rootstock.toml:7",
            "source-changed environments/one.py:1",
            "version-violates-manifest rootstock.toml:7",
        ],
    ),
    (
        "rootstock.lock",
        "\"shared 1.0",
        "\"shared 1.1",
        &["lock-edited rootstock.lock:1"],
    ),
    (
        "rootstock.lock",
        "version = 1\n",
        "version = 1 \n",
        &["lock-edited rootstock.lock:2"],
    ),
];

fn edit(sandbox: &Sandbox, file: &str, from: &str, to: &str) {
    let text = sandbox.read(file);
    assert!(text.contains(from), "`{from}` is not in {file}: {text}");
    sandbox.write(file, &text.replacen(from, to, 1));
}

/// The findings of a check, as `code file:line`, sorted; equal in all formats.
fn found(sandbox: &Sandbox) -> Vec<String> {
    let output = sandbox.run(&["lock", "--check", "--json"]);
    output.expect(3);
    let plain = output.json()["findings"].as_array().unwrap().clone();
    let output = sandbox.run(&["lock", "--check", "--sarif"]);
    output.expect(3);
    let log = output.json();
    let results = log["runs"][0]["results"].as_array().unwrap();
    let output = sandbox.run(&["lock", "--check", "--github", "--sarif", "log.sarif"]);
    output.expect(3);
    assert_eq!(
        serde_json::from_str::<Value>(&sandbox.read("log.sarif")).unwrap(),
        log
    );
    let annotations: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(
        (plain.len(), annotations.len()),
        (results.len(), results.len())
    );
    let mut found = Vec::new();
    for ((result, finding), annotation) in results.iter().zip(&plain).zip(annotations) {
        let code = finding["code"].as_str().unwrap();
        let place = sarif_place(&log, result);
        assert_eq!(result["ruleId"], code);
        let (file, line) = place.rsplit_once(':').unwrap();
        let start = format!("::error file={file},line={line},title=rootstock {code}::");
        assert!(annotation.starts_with(&start), "{annotation}, not {start}");
        assert!(
            output.stderr.contains(&format!("[{code}]")),
            "{}",
            output.stderr
        );
        found.push(format!("{code} {place}"));
    }
    found.sort();
    found
}

/// The place of a result, after what SARIF 2.1.0 requires of it was looked at.
fn sarif_place(log: &Value, result: &Value) -> String {
    assert_eq!(log["version"], "2.1.0");
    let driver = &log["runs"][0]["tool"]["driver"];
    assert_eq!(driver["name"], "rootstock");
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(driver["rules"][index]["id"], result["ruleId"]);
    assert!(!result["message"]["text"].as_str().unwrap().is_empty());
    let place = &result["locations"][0]["physicalLocation"];
    let line = place["region"]["startLine"].as_u64().unwrap();
    let column = |key: &str| {
        place["region"]
            .get(key)
            .map(|column| column.as_u64().unwrap())
    };
    assert!(line > 0 && column("startColumn") <= column("endColumn"));
    assert_eq!(place["artifactLocation"]["uriBaseId"], "%SRCROOT%");
    format!(
        "{}:{line}",
        place["artifactLocation"]["uri"].as_str().unwrap()
    )
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of edits")]
fn every_code_can_be_provoked_and_points_to_its_line() {
    let (sandbox, _own) = project();
    sandbox.write(
        "environments/moved.py",
        &sandbox.read("environments/one.py"),
    );
    let mut seen = BTreeSet::new();
    let mut expect = |expected: &[&str], what: &str| {
        let found = found(&sandbox);
        assert_eq!(found, expected, "{what}");
        seen.extend(
            found
                .iter()
                .map(|finding| finding.split(' ').next().unwrap().to_owned()),
        );
    };
    for (file, from, to, expected) in CASES {
        let before = sandbox.read(file);
        edit(&sandbox, file, from, to);
        expect(expected, &format!("{file}: {from} -> {to}"));
        sandbox.write(file, &before);
    }
    let before = sandbox.read("rootstock.toml");
    edit(
        &sandbox,
        "rootstock.toml",
        "environments/one.py",
        "environments/moved.py",
    );
    expect(&["source-moved rootstock.toml:8"], "another path");
    let renamed = before
        .replace("[environments.one]", "[environments.uno]")
        .replace("environment = \"one\"", "environment = \"uno\"");
    sandbox.write("rootstock.toml", &renamed);
    expect(
        &[
            "environment-added rootstock.toml:7",
            "environment-removed rootstock.toml:1",
            "model-added rootstock.toml:18",
            "model-changed rootstock.toml:20",
            "model-removed rootstock.toml:1",
        ],
        "another environment",
    );
    let licensed = before.replace(
        "argument = \"a\"\n",
        "argument = \"a\"\nlicence = \"MIT\"\n",
    );
    sandbox.write("rootstock.toml", &licensed);
    expect(&["about-changed rootstock.toml:20"], "a licence");
    let recorded = before.replace(
        "argument = \"a\"",
        "argument = \"a\"\nreference = \"r.extxyz\"",
    );
    sandbox.write("rootstock.toml", &recorded);
    expect(&["reference-missing rootstock.toml:23"], "no numbers");
    let mut stale =
        rootstock::lock::file::read("rootstock.lock", &sandbox.read("rootstock.lock")).unwrap();
    let nothing = rootstock::digest::Digest::of("");
    stale.models[0].reference = Some(rootstock::numbers::Record {
        path: "r.extxyz".to_owned(),
        sha256: nothing,
        target: "linux-x86_64".to_owned(),
        answer: nothing,
        generation: String::new(),
        model: nothing,
        weights: nothing,
        dtype: rootstock::about::Dtype::Float64,
        conditions: rootstock::numbers::Conditions::new(),
    });
    let unrecorded = sandbox.read("rootstock.lock");
    sandbox.write("rootstock.lock", &rootstock::lock::file::text(&stale));
    expect(
        &[
            "reference-changed rootstock.toml:23",
            "reference-stale rootstock.toml:23",
        ],
        "numbers of another model",
    );
    sandbox.write("rootstock.lock", &unrecorded);
    sandbox.write("rootstock.toml", &before);
    sandbox.run(&["lock", "--check"]).expect(0);
    let lock = sandbox.read("rootstock.lock");
    sandbox.write("libs/tree/new", "");
    expect(&["local-changed rootstock.toml:7"], "another file");
    std::fs::remove_file(sandbox.path("libs/tree/new")).unwrap();
    let mut unpinned = rootstock::lock::file::read("rootstock.lock", &lock).unwrap();
    let environment = &mut unpinned.environments[0];
    environment.targets[0].builds.clear();
    let answer = environment.answer(&environment.targets[0]);
    environment.targets[0].digest = rootstock::digest::Digest::of(answer);
    sandbox.write("rootstock.lock", &rootstock::lock::file::text(&unpinned));
    expect(
        &["build-unpinned rootstock.toml:14"],
        "a lock from elsewhere",
    );
    let mut more = rootstock::lock::file::read("rootstock.lock", &lock).unwrap();
    let mut series = more.environments[0].clone();
    series.name = series.name.on((3, 12));
    more.environments.push(series);
    sandbox.write("rootstock.lock", &rootstock::lock::file::text(&more));
    expect(&["series-removed rootstock.toml:7"], "one series less");
    std::fs::remove_file(sandbox.path("rootstock.lock")).unwrap();
    expect(&["lock-missing rootstock.toml:1"], "no lock");
    let listed: BTreeSet<String> = Code::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(seen, listed);
    let help = sandbox.run(&["lock", "--help"]).stdout;
    for code in Code::ALL {
        assert!(
            help.contains(&format!("\n  {code} ")),
            "{code} is not in: {help}"
        );
    }
}

/// `lock --help` has them too, see above.
#[test]
fn the_help_of_doctor_lists_the_codes_of_its_findings() {
    let help = Sandbox::shared().run(&["doctor", "--help"]).stdout;
    let mut names: Vec<String> = doctor::Code::ALL.iter().map(ToString::to_string).collect();
    for name in &names {
        assert!(
            help.contains(&format!("\n  {name} ")),
            "{name} is not in: {help}"
        );
    }
    assert!(
        names.iter().any(|name| name == "access-mode") && names.is_sorted(),
        "{names:?}"
    );
    names.dedup();
    assert_eq!(names.len(), doctor::Code::ALL.len());
}

#[test]
fn nothing_found_is_a_log_without_results() {
    let (sandbox, _own) = project();
    let output = sandbox.run(&["lock", "--check", "--sarif"]);
    output.expect(0);
    let run = &output.json()["runs"][0];
    assert_eq!(run["results"], Value::Array(Vec::new()));
    assert_eq!(
        run["tool"]["driver"]["rules"].as_array().unwrap().len(),
        Code::ALL.len()
    );
    // Two answers do not fit on one standard output.
    sandbox
        .run(&["lock", "--check", "--sarif", "--json"])
        .expect(2);
}

/// 3 is drift, 1 is what cannot be solved, 2 is what cannot be read; never one for the other, and never 0.
#[test]
fn drift_unsatisfiable_and_unreadable_have_exit_codes_of_their_own() {
    let (sandbox, _own) = project();
    let lock = sandbox.read("rootstock.lock");
    let middle = lock.find("[environment.question]").unwrap();
    for (text, code, why) in [
        (
            format!("<<<<<<< HEAD\n{lock}=======\n{lock}>>>>>>> theirs\n"),
            2,
            "a merge conflict",
        ),
        (lock[..middle + 12].to_owned(), 2, "truncated within a line"),
        (
            lock[..lock.find("inputs = ").unwrap()].to_owned(),
            2,
            "truncated between lines",
        ),
        (
            lock[..lock.find("\n[files]").unwrap()].to_owned(),
            3,
            "truncated between tables",
        ),
        (
            lock.replace("version = 1\n", "version = 7\nnews = 1\n"),
            2,
            "a future format",
        ),
        (String::new(), 2, "an empty file"),
        (
            lock.replace("1111", "1112"),
            3,
            "a forged sha256 of weights",
        ),
    ] {
        assert_ne!(text, lock, "{why}");
        sandbox.write("rootstock.lock", &text);
        let output = sandbox.run(&["lock", "--check", "--sarif", "never.sarif"]);
        assert_eq!(output.code, Some(code), "{why}: {}", output.stderr);
        assert_eq!(sandbox.path("never.sarif").exists(), code == 3, "{why}");
        let _ = std::fs::remove_file(sandbox.path("never.sarif"));
        sandbox.run(&["sync"]).expect(code);
    }
    sandbox.write("rootstock.lock", &lock);
    edit(
        &sandbox,
        "environments/one.py",
        "\"shared\"",
        "\"shared>1\"",
    );
    sandbox.run(&["lock", "--check"]).expect(3);
    sandbox.run(&["lock"]).expect(1);
    assert_eq!(sandbox.read("rootstock.lock"), lock);
    sandbox.write("rootstock.toml", "[rootstock\n");
    sandbox.run(&["lock", "--check"]).expect(2);
}
