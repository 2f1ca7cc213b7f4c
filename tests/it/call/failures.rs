//! Every kind of failure, with its exit code and whether another try may succeed.

use serde_json::{Value, json};

use super::{built, call, failed, fed, request, response};
use crate::sandbox::{Output, Sandbox, send};

/// The failure of a call, which must be this one.
#[track_caller]
fn fails(
    sandbox: &Sandbox,
    function: &str,
    arguments: &[&str],
    expected: (&str, u64, bool),
) -> (Value, Output) {
    let (response, output) = call(sandbox, function, arguments);
    assert_eq!(failed(&response), expected, "{function}");
    output.expect(i32::try_from(expected.1).unwrap());
    (response["_fatal_error"].clone(), output)
}

#[test]
fn an_exception_is_reported_with_its_traceback() {
    let sandbox = built();
    let (fatal, output) = fails(&sandbox, "raises", &["\"oh\""], ("raised", 1, false));
    assert_eq!(fatal["type"], json!("ValueError"));
    assert_eq!(fatal["message"], json!("ValueError: oh"));
    let traceback = fatal["traceback"].as_str().unwrap();
    let lines: Vec<&str> = traceback.lines().collect();
    assert_eq!(lines[0], "Traceback (most recent call last):");
    assert!(
        lines[1].contains("f.py\", line ") && lines[1].ends_with(", in raises"),
        "{traceback}"
    );
    assert!(output.stderr.contains("ValueError: oh"), "{output:?}");
    // A module that the function needs is not the one that was asked for.
    let (fatal, _) = fails(&sandbox, "imports_missing", &[], ("raised", 1, false));
    assert_eq!(fatal["type"], json!("ModuleNotFoundError"));
    // Wrong arguments, too.
    let (fatal, _) = fails(&sandbox, "add", &[], ("raised", 1, false));
    assert_eq!(fatal["type"], json!("TypeError"));
}

#[test]
fn an_exit_of_the_function_is_the_exit_code() {
    let sandbox = built();
    for (argument, code) in [
        ("3", 3),
        ("0", 1),
        ("null", 1),
        ("\"text\"", 1),
        ("255", 255),
        ("300", 1),
        ("-1", 1),
    ] {
        fails(&sandbox, "leaves", &[argument], ("raised", code, false));
    }
    let (fatal, _) = fails(&sandbox, "exits", &["0"], ("no-result", 1, false));
    assert_eq!(
        fatal["message"],
        json!("Python ended with exit code 0, without a result")
    );
    fails(&sandbox, "exits", &["9"], ("no-result", 1, false));
}

#[test]
fn a_death_by_a_signal_is_reported() {
    let sandbox = built();
    let (fatal, _) = fails(&sandbox, "kills", &["9"], ("killed", 137, false));
    assert!(fatal["hint"].as_str().unwrap().contains("out of memory?"));
    fails(&sandbox, "kills", &["15"], ("killed", 143, true));
    let (fatal, output) = fails(&sandbox, "crashes", &[], ("killed", 139, true));
    let traceback = fatal["traceback"].as_str().unwrap();
    assert!(
        traceback.starts_with("Fatal Python error: Segmentation fault"),
        "{traceback}"
    );
    assert!(
        traceback.contains("f.py\", line ") && traceback.contains(" in crashes"),
        "{traceback}"
    );
    assert!(!traceback.contains("\"rootstock\""), "{traceback}");
    assert!(output.stderr.contains("Segmentation fault"));
}

#[test]
fn what_takes_too_long_is_ended_where_it_is() {
    let sandbox = built();
    for function in ["sleeps", "blocks_in_c", "ignores_everything"] {
        let (fatal, _) = fails(
            &sandbox,
            function,
            &["--timeout", "0.3"],
            ("timeout", 124, true),
        );
        assert_eq!(fatal["message"], json!("no result after 0.3 s"));
        let hint = fatal["hint"].as_str().unwrap();
        assert!(
            hint.contains("f.py:") && hint.contains("sleep(1000)`"),
            "{function}: {hint}"
        );
    }
    // A request has a time of its own; SIGTERM alone does not end this one.
    let asked = json!({"id": 1, "function": "f.py:ignores_sigterm", "timeout": 0.2});
    let (response, output) = request(&sandbox, &["--timeout", "1000"], &asked);
    output.expect(124);
    assert_eq!(failed(&response), ("timeout", 124, true));

    sandbox.write(
        "slow.py",
        "import time\ntime.sleep(1000)\n\ndef f():\n    pass\n",
    );
    let output = sandbox.run(&["call", "one", "slow.py:f", "--timeout", "0.2"]);
    let slow = super::response(output.expect(124));
    let hint = slow["_fatal_error"]["hint"].as_str().unwrap();
    assert!(
        hint.contains("slow.py:2, in <module>: `time.sleep(1000)`"),
        "{hint}"
    );
}

#[test]
fn what_is_not_there_is_named_with_what_is() {
    let sandbox = built();
    let cases = [
        (
            "f.py:ad",
            "`f.py` has no function `ad`",
            "did you mean `add`?",
        ),
        (
            "f.py:Counter.ad",
            "`f.py` has no function `Counter.ad`",
            "did you mean `add`?",
        ),
        (
            "g.py:add",
            "there is no file `g.py`",
            "did you mean `f.py`?",
        ),
        (
            "jsom:dumps",
            "there is no module `jsom`",
            "did you mean `json`",
        ),
        ("json.nothing:x", "there is no module `json.nothing`", ""),
        (
            "env_source:ad",
            "`env_source` has no function `ad`",
            "did you mean `add`?",
        ),
        ("sys:version", "is no function", ""),
    ];
    for (function, message, hint) in cases {
        let output = sandbox.run(&["call", "one", function]);
        let response = response(output.expect(1));
        assert_eq!(failed(&response), ("not-found", 1, false), "{function}");
        let fatal = &response["_fatal_error"];
        assert!(
            fatal["message"].as_str().unwrap().contains(message),
            "{response}"
        );
        assert!(fatal["hint"].as_str().unwrap().contains(hint), "{response}");
    }
}

#[test]
fn source_text_is_run_only_where_that_is_allowed() {
    let sandbox = built();
    let code = "import math\n\ndef area(r):\n    return round(math.pi * r**2, 3)\n\ndef other():\n    1 / 0\n";
    let named = json!({"function_name": "area", "function_code": code, "args": [2]});
    let (response, output) = request(&sandbox, &[], &named);
    output.expect(2);
    assert_eq!(failed(&response), ("code-not-allowed", 2, false));
    let (response, output) = request(&sandbox, &["--allow-code"], &named);
    output.expect(0);
    assert_eq!(response["result"], json!(12.566));
    let digest = rootstock::digest::Digest::of(code).to_string();
    assert_eq!(response["code"], json!({"path": null, "sha256": digest}));
    let (response, _) = request(&sandbox, &["--allow-code"], &json!({"function_code": code}));
    assert_eq!(failed(&response), ("bad-request", 2, false));
    // The traceback has the text's lines.
    let raises = json!({"function_name": "other", "function_code": code});
    let (response, _) = request(&sandbox, &["--allow-code"], &raises);
    assert!(
        response["traceback"]
            .as_str()
            .unwrap()
            .contains("    1 / 0"),
        "{response}"
    );

    let class = "class Twice:\n    def __init__(self, n):\n        self.n = n\n    def __call__(self):\n        return 2 * self.n\n";
    let made = json!({"class_code": class, "constructor_args": [4]});
    let (response, _) = request(&sandbox, &[], &made);
    assert_eq!(failed(&response), ("code-not-allowed", 2, false));
    let (response, _) = request(&sandbox, &["--allow-code"], &made);
    assert_eq!(response["result"], json!(8));
    let broken = json!({"function_code": "def f(:\n", "function_name": "f"});
    let (response, _) = request(&sandbox, &["--allow-code"], &broken);
    assert_eq!(failed(&response), ("raised", 1, false));
    assert_eq!(response["error_type"], json!("SyntaxError"));
}

#[test]
fn requirements_are_compared_and_never_installed() {
    let sandbox = built();
    let ask = |texts: &[&str]| {
        let asked = json!({"function": "f.py:add", "args": [1], "dependencies": texts, "system_dependencies": ["libx"]});
        request(&sandbox, &[], &asked)
    };
    let (response, output) = ask(&["single", "Single>=1.0,<2", "other; python_version < '3'"]);
    output.expect(0);
    assert_eq!(response["result"], json!(1));
    assert!(
        output
            .stderr
            .contains("`system_dependencies` of the request are ignored: libx"),
        "{output:?}"
    );
    let (response, output) = ask(&["single>=2", "sCiPy[all]", "single"]);
    output.expect(4);
    assert_eq!(failed(&response), ("requirements-unmet", 4, false));
    let message = response["error"].as_str().unwrap();
    assert!(
        message.contains("`single>=2` (1.0 is installed)"),
        "{message}"
    );
    assert!(
        message.contains("`scipy[all]` (not installed)"),
        "{message}"
    );
    let hint = response["_fatal_error"]["hint"].as_str().unwrap();
    assert!(
        hint.contains("rootstock.toml") && hint.contains("rootstock lock && rootstock sync one"),
        "{hint}"
    );
    let (response, _) = ask(&["single >"]);
    assert_eq!(failed(&response), ("bad-request", 2, false));
}

#[test]
fn a_result_that_is_too_long_is_refused() {
    let sandbox = built();
    let (response, answer) = call(&sandbox, "large", &["--max-output", "2kB", "1500"]);
    answer.expect(0);
    assert_eq!(response["result"].as_str().unwrap().len(), 1500);
    let (fatal, _) = fails(
        &sandbox,
        "large",
        &["--max-output", "2kB", "5000"],
        ("too-large", 1, false),
    );
    assert!(
        fatal["message"].as_str().unwrap().contains("--max-output"),
        "{fatal}"
    );
}

#[test]
fn a_signal_answers_what_was_taken_in() {
    let sandbox = built();
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let lifeline = sandbox.path(&format!("lifeline-{signal}"));
        let started = crate::sandbox::events::Lifeline::at(lifeline.clone());
        let argument = json!(lifeline).to_string();
        let child = sandbox.start(&["call", "one", "f.py:holds", &argument]);
        let running = started.wait_for_start();
        send(signal, child.id());
        let output = Output::from(child.wait_with_output().unwrap());
        let response = response(output.expect(code));
        assert_eq!(
            failed(&response),
            ("interrupted", u64::try_from(code).unwrap(), true)
        );
        running.wait_for_end();
    }
}

#[test]
fn what_the_environment_is_decides_before_anything_starts() {
    let sandbox = Sandbox::single();
    let missing = |sandbox: &Sandbox, name: &str| {
        let output = sandbox.run(&["call", name, "math:sqrt", "2"]);
        let response = response(output.expect(4));
        assert_eq!(response["environment"]["name"], json!(name));
        response
    };
    let response = missing(&sandbox, "one");
    assert_eq!(failed(&response), ("environment-missing", 4, false));
    sandbox.sync(&[]);
    let response = missing(&sandbox, "on");
    assert_eq!(failed(&response), ("environment-missing", 4, false));
    assert!(
        response["_fatal_error"]["hint"]
            .as_str()
            .unwrap()
            .contains("did you mean `one`?"),
        "{response}"
    );

    let output = fed(
        &sandbox,
        &["--stream"],
        "{\"id\": 1, \"function\": \"math:sqrt\", \"args\": [4]}\n",
    );
    assert_eq!(super::response(output.expect(0))["result"], json!(2.0));

    let stamp = sandbox
        .generation("root", "one")
        .join("rootstock-stamp.json");
    let python = sandbox.generation("root", "one").join("bin/python");
    let target = std::fs::read_link(&python).unwrap();
    for directory in [python.parent().unwrap(), stamp.parent().unwrap()] {
        let writable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory, writable).unwrap();
    }
    std::fs::remove_file(&python).unwrap();
    let response = missing(&sandbox, "one");
    assert_eq!(failed(&response), ("environment-broken", 4, false));
    assert!(
        response["_fatal_error"]["hint"]
            .as_str()
            .unwrap()
            .contains("rootstock sync --repair one")
    );
    std::os::unix::fs::symlink(target, &python).unwrap();
    std::fs::remove_file(&stamp).unwrap();
    std::fs::write(&stamp, "{\"schema\": 99}").unwrap();
    let response = missing(&sandbox, "one");
    assert_eq!(failed(&response), ("environment-foreign", 4, false));
}

#[test]
fn a_model_that_cannot_be_loaded_is_the_failure_of_the_request() {
    let sandbox = Sandbox::single();
    sandbox.more("models = [\"slow\", \"broken\"]\nprefetch = false");
    let setup = "\n\nimport time\n\n\ndef setup(model, device):\n    if model == 'slow':\n        time.sleep(1000)\n    \
                 raise OSError('no weights')\n";
    sandbox.write_source("one", &["single"], setup);
    sandbox.lock();
    sandbox.sync(&[]);
    let call = |model: &str, options: &[&str]| {
        let ended = sandbox.run(&[&["call", model, "math:sqrt", "2"], options].concat());
        (response(&ended), ended)
    };
    let (slow, ended) = call("one-slow", &["--startup-timeout", "1.5"]);
    ended.expect(124);
    assert_eq!(failed(&slow), ("startup-timeout", 124, true));
    let hint = slow["_fatal_error"]["hint"].as_str().unwrap();
    assert!(hint.contains("in setup: `time.sleep(1000)`"), "{hint}");
    let (broken, ended) = call("one-broken", &[]);
    ended.expect(1);
    assert_eq!(failed(&broken), ("raised", 1, false));
    assert_eq!(broken["error"], json!("OSError: no weights"));
    assert!(
        broken["traceback"].as_str().unwrap().contains(", in setup"),
        "{broken}"
    );
}
