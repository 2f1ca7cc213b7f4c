//! What a function runs with: its code, variables, working directory; and what is checked of its environment.

use serde_json::{Value, json};

use super::{FUNCTIONS, built, call, failed, fed, request, response};
use crate::sandbox::{Output, Sandbox, trace, traces};

#[test]
fn code_of_the_user_comes_first_and_files_hide_nothing() {
    let sandbox = built();
    sandbox.write("mine/helper.py", "def f():\n    return 'helper'\n");
    sandbox.write("mine/src/package/__init__.py", "");
    sandbox.write(
        "mine/src/package/deep.py",
        "from helper import f\n\nclass A:\n    @staticmethod\n    def g():\n        return f()\n",
    );
    sandbox.write("mine/single.py", "def f():\n    return 'mine'\n");
    let run = |arguments: &[&str]| {
        let output = sandbox.run(&[&["call", "one"], arguments].concat());
        response(&output)
    };
    let answer = run(&["--path", "mine", "package.deep:A.g"]);
    assert_eq!(answer["result"], json!("helper"));
    let deep = sandbox.path("mine/src/package/deep.py");
    assert_eq!(answer["code"]["path"], json!(deep));
    assert_eq!(
        run(&["--path", "mine", "single:f"])["result"],
        json!("mine")
    );
    assert_eq!(
        run(&["--path", "mine", "helper.py:f"])["result"],
        json!("helper")
    );
    assert_eq!(failed(&run(&["helper:f"])), ("not-found", 1, false));
    assert_eq!(
        failed(&run(&["--path", "nowhere", "helper:f"])),
        ("bad-request", 2, false)
    );
    // A file finds those beside it, but does not replace what the environment has.
    sandbox.write(
        "mine/json.py",
        "def f():\n    import json, helper\n    return [json.dumps(1), helper.f()]\n",
    );
    assert_eq!(run(&["mine/json.py:f"])["result"], json!(["1", "helper"]));
}

#[test]
fn variables_are_those_of_a_worker_and_those_that_are_kept() {
    let sandbox = built();
    let run = |options: &[&str]| {
        let mut command = sandbox.command(&[&["call", "one", "f.py:variables"], options].concat());
        let answer = Output::from(
            command
                .envs([
                    ("SECRET", "1"),
                    ("PYTHONPATH", "/evil"),
                    ("LD_LIBRARY_PATH", "/evil"),
                    ("OMP_NUM_THREADS", "3"),
                ])
                .output()
                .unwrap(),
        );
        response(&answer)["result"].clone()
    };
    let plain = run(&[]);
    assert_eq!(plain["OMP_NUM_THREADS"], json!("3"));
    assert_eq!(plain["HF_HUB_OFFLINE"], json!("1"));
    for absent in ["SECRET", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV"] {
        assert_eq!(plain[absent], json!(null), "{absent}");
    }
    let kept = run(&["--keep-variable", "SEC*", "--env", "SEED=7"]);
    assert_eq!((&kept["SECRET"], &kept["SEED"]), (&json!("1"), &json!("7")));
}

#[test]
fn a_function_works_in_a_directory_of_its_own_or_in_a_given_one() {
    let sandbox = built();
    std::fs::create_dir(sandbox.path("tmp")).unwrap();
    std::fs::create_dir(sandbox.path("mine")).unwrap();
    let run = |function: &str, options: &[&str]| {
        let function = format!("f.py:{function}");
        let mut command = sandbox.command(&[&["call", "one", &function], options].concat());
        Output::from(command.env("TMPDIR", sandbox.path("tmp")).output().unwrap())
    };
    let result = |answer: &Output| response(answer)["result"].clone();
    let place = result(run("fills_its_directory", &[]).expect(0));
    assert!(
        place.as_str().unwrap().contains("/tmp/rootstock-call-"),
        "{place}"
    );
    assert_eq!(sandbox.names("tmp"), [""; 0]);
    let answer = run("fills_its_directory", &["--keep"]);
    let kept = result(answer.expect(0)).as_str().unwrap().to_owned();
    assert!(
        answer.stderr.contains(&format!("kept `{kept}`")),
        "{answer:?}"
    );
    assert_eq!(
        std::fs::read_to_string(format!("{kept}/file")).unwrap(),
        "text"
    );
    let given = result(run("fills_its_directory", &["--workdir", "mine"]).expect(0));
    assert_eq!(given, json!(sandbox.path("mine").canonicalize().unwrap()));
    assert_eq!(sandbox.names("mine"), ["closed", "file"]);
    let asked = json!({"function": "f.py:where", "workdir": "mine"});
    let (response, _) = request(&sandbox, &[], &asked);
    assert_eq!(response["result"][1], json!(["closed", "file"]));
}

#[test]
fn a_fresh_call_verifies_every_file_and_begins_with_empty_caches() {
    let sandbox = built();
    let (response, output) = call(&sandbox, "variables", &["--fresh"]);
    output.expect(0);
    let cache = response["result"]["NUMBA_CACHE_DIR"].as_str().unwrap();
    assert!(cache.contains("rootstock-call-"), "{cache}");
    assert!(!std::path::Path::new(cache).exists());
    let package = sandbox
        .generation("root", "one")
        .join("lib/python3.11/site-packages/single/__init__.py");
    let writable = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(&package, writable(0o644)).unwrap();
    let before = std::fs::read(&package).unwrap();
    std::fs::write(&package, [&before[..], b"\n"].concat()).unwrap();
    std::fs::set_permissions(&package, writable(0o444)).unwrap();
    let (response, output) = call(&sandbox, "add", &["--fresh", "1"]);
    output.expect(4);
    assert_eq!(failed(&response), ("environment-broken", 4, false));
    assert_eq!(call(&sandbox, "add", &["1"]).0["result"], json!(1));
}

#[test]
fn a_python_that_is_another_one_is_refused() {
    let sandbox = built();
    let generation = sandbox.generation("root", "one");
    let configuration = generation.join("pyvenv.cfg");
    // Without this file, `bin/python` runs outside of the environment.
    let writable = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(&generation, writable(0o755)).unwrap();
    std::fs::remove_file(configuration).unwrap();
    let (response, output) = call(&sandbox, "add", &["1"]);
    output.expect(4);
    assert_eq!(failed(&response), ("identity-mismatch", 4, false));
}

#[test]
fn each_process_is_recorded() {
    let sandbox = built();
    sandbox.write("record.jsonl", "{}\n");
    let requests = "{\"function\": \"f.py:exits\"}\n{\"function\": \"f.py:pid\"}\n{\"function\": \"f.py:pid\"}\n";
    let output = fed(
        &sandbox,
        &["--stream", "--record", "record.jsonl"],
        requests,
    );
    let last: Value = serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap();
    let text = sandbox.read("record.jsonl");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2]["env"], json!("one"));
    assert_eq!(lines[2]["generation"], sandbox.stamp("root", "one", "id"));
    assert_eq!(lines[2]["python"]["pid"], last["result"]);
}

#[test]
fn pickles_are_accepted_where_that_is_allowed() {
    let sandbox = built();
    let dumped = |code: &str| {
        sandbox.python(
            "one",
            &format!(
                "import base64, pickle\nprint(base64.b64encode(pickle.dumps({code}, 4)).decode())"
            ),
        )
    };
    let (args, kwargs) = (dumped("({1, 2},)"), dumped("{'b': {3}}"));
    let asked = json!({"function": "operator:or_", "args": dumped("({1}, {3})").trim()});
    let (response, _) = request(&sandbox, &[], &asked);
    assert_eq!(failed(&response), ("bad-request", 2, false));
    let (response, output) = request(&sandbox, &["--pickle"], &asked);
    output.expect(0);
    assert_eq!(
        response["result"].as_str().unwrap(),
        dumped("{1, 3}").trim()
    );
    let asked = json!({"function": "f.py:add", "args": args.trim(), "kwargs": kwargs.trim(), "want": "json"});
    let (response, _) = request(&sandbox, &["--pickle"], &asked);
    assert_eq!(failed(&response), ("raised", 1, false));
    for (text, kind) in [
        ("*", "bad-request"),
        ("AAAA", "bad-request"),
        (&dumped("5"), "bad-request"),
    ] {
        let asked = json!({"function": "f.py:add", "args": text.trim()});
        let (response, _) = request(&sandbox, &["--pickle"], &asked);
        assert_eq!(failed(&response).0, kind, "{text}: {response}");
    }
    // As cloudpickle writes it: a code object, whose form belongs to one minor version.
    let by_value = "gASVMQAAAAAAAACMBXR5cGVzlIwIQ29kZVR5cGWUk5RLAUsAhZRSlIWULg==";
    let asked = json!({"function": "f.py:echo", "args": by_value, "python": "3.8"});
    let (response, output) = request(&sandbox, &["--pickle"], &asked);
    output.expect(1);
    assert_eq!(
        failed(&response),
        ("python-mismatch", 1, false),
        "{response}"
    );
}

#[test]
fn nothing_is_written_below_the_root() {
    let sandbox = built();
    let before = traces(&sandbox.path("root"));
    for options in [&[][..], &["--fresh"], &["--keep"]] {
        call(&sandbox, "prints", options).1.expect(0);
    }
    call(&sandbox, "kills", &["9"]).1.expect(137);
    assert_eq!(traces(&sandbox.path("root")), before);
}

#[test]
fn no_python_is_started_for_a_file_that_is_not_there() {
    if !trace::is_possible() {
        return;
    }
    let sandbox = built();
    let started = |function: &str| {
        let seen = sandbox.path("seen");
        let mut command = trace::writing_to(&sandbox, &seen, &["trace=execve"]);
        let result = Output::from(command.args(["call", "one", function]).output().unwrap());
        let calls = std::fs::read_to_string(seen).unwrap();
        (
            response(&result),
            calls
                .lines()
                .filter(|line| line.contains("execve("))
                .count(),
        )
    };
    let (response, count) = started("g.py:add");
    assert_eq!(failed(&response), ("not-found", 1, false));
    assert_eq!(count, 1);
    assert!(started("f.py:pid").1 > 1);
    assert!(FUNCTIONS.contains("def pid"));
}

/// Sandboxes of other tests have their own.
#[test]
fn an_environment_is_used_as_it_was_when_the_run_began() {
    let sandbox: Sandbox = built();
    let (response, _) = call(&sandbox, "add", &["1"]);
    let generation = sandbox.generation("root", "one");
    let link = sandbox.path("root/envs/one");
    std::fs::remove_file(&link).unwrap();
    let (missing, output) = call(&sandbox, "add", &["1"]);
    output.expect(4);
    assert_eq!(failed(&missing), ("environment-missing", 4, false));
    assert_eq!(response["python"]["prefix"], json!(generation));
}
