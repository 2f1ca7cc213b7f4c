//! Functions that do what they should not: the answers are the same as for others, nothing hangs, nothing is left, and the next
//! request is answered.

use serde_json::{Value, json};

use super::{built, call, failed, stream};
use crate::sandbox::Sandbox;
use crate::sandbox::events::Lifeline;

/// The response to one request of a stream in which the next one must be answered, too.
#[track_caller]
fn in_stream(sandbox: &Sandbox, function: &str, argument: &Value) -> Value {
    let arguments = if argument.is_null() {
        json!([])
    } else {
        json!([argument])
    };
    let requests = [
        json!({"id": 0, "function": format!("f.py:{function}"), "args": arguments, "timeout": 20}),
        json!({"id": 1, "function": "f.py:prints"}),
        json!({"id": 2, "function": "f.py:where"}),
    ];
    let (mut responses, _) = stream(sandbox, &[], &requests);
    assert_eq!(responses.len(), 3, "{function}");
    assert_eq!(
        responses[1]["success"],
        json!(true),
        "{function}: {}",
        responses[1]
    );
    let printed = responses[1]["stdout"].as_str().unwrap();
    assert!(
        printed.contains("python\nprogram\nraw\nC\n"),
        "{function}: {printed}"
    );
    assert_eq!(responses[2]["result"][1], json!([]), "{function}");
    responses.swap_remove(0)
}

#[test]
fn functions_that_take_the_streams_away_harm_only_themselves() {
    let sandbox = built();
    for function in [
        "closes_everything",
        "closes_everything_and_sleeps",
        "writes_to_the_socket",
    ] {
        let response = in_stream(&sandbox, function, &json!(null));
        assert_eq!(failed(&response), ("no-result", 1, false), "{function}");
    }
    for function in ["closes_outputs", "replaces_outputs", "closes_input"] {
        let response = in_stream(&sandbox, function, &json!(null));
        assert_eq!(response["result"], json!(1), "{function}");
    }
    let (response, output) = call(&sandbox, "reads", &[]);
    output.expect(0);
    assert_eq!(response["result"], json!(""));
}

#[test]
fn functions_that_leave_or_remove_their_directory_harm_only_themselves() {
    let sandbox = built();
    std::fs::create_dir(sandbox.path("tmp")).unwrap();
    let run = |function: &str| {
        let mut command = sandbox.command(&["call", "one", "--stream"]);
        let requests = format!(
            "{{\"id\":0,\"function\":\"f.py:{function}\"}}\n{{\"id\":1,\"function\":\"f.py:where\"}}\n"
        );
        let output = super::feed(command.env("TMPDIR", sandbox.path("tmp")), &requests);
        output.expect(0);
        let lines: Vec<Value> = output
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines[1]["result"][1], json!([]), "{function}");
        assert_eq!(sandbox.names("tmp"), [""; 0], "{function}");
        lines
    };
    for function in [
        "leaves_its_directory",
        "deletes_its_directory",
        "fills_its_directory",
        "where",
    ] {
        let responses = run(function);
        assert_eq!(responses[0]["success"], json!(true), "{function}");
    }
}

#[test]
fn processes_of_a_function_end_with_it() {
    let sandbox = built();
    for function in ["fork_that_goes_on", "daemon"] {
        let path = sandbox.path(function);
        let lifeline = Lifeline::at(path.clone());
        let argument = json!(path).to_string();
        let child = sandbox.start(&["call", "one", &format!("f.py:{function}"), &argument]);
        let running = lifeline.wait_for_start();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        running.wait_for_end();
    }
    // Both processes that come back from `fork` would answer.
    let response = in_stream(&sandbox, "forks", &json!(null));
    assert_eq!(response["result"], json!("parent"));
    // What it prints goes into the responses that follow.
    let requests = ["thread_that_goes_on", "pid", "pid"]
        .map(|name| json!({"function": format!("f.py:{name}")}));
    let (responses, answer) = stream(&sandbox, &["--capture", "100"], &requests);
    assert_eq!(answer.expect(0).stdout.lines().count(), 3);
    assert_eq!(responses[0]["result"], json!(1));
    let (response, answer) = call(&sandbox, "thread_that_goes_on", &[]);
    answer.expect(0);
    assert_eq!(response["result"], json!(1));
}

/// What it leaves is the private directory, until the next call; what is kept, or belongs to others, stays.
#[test]
fn a_python_dies_with_its_parent_and_the_next_call_removes_what_that_left() {
    let sandbox = built();
    let temporary = sandbox.path("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let path = sandbox.path("lifeline");
    let lifeline = Lifeline::at(path.clone());
    let argument = json!(path).to_string();
    let command = |arguments: &[&str]| {
        let mut command = sandbox.command(&[&["call", "one"], arguments].concat());
        command.env("TMPDIR", &temporary);
        command
    };
    let mut child = command(&["f.py:holds", &argument]).spawn().unwrap();
    let running = lifeline.wait_for_start();
    child.kill().unwrap();
    child.wait().unwrap();
    running.wait_for_end();
    assert_eq!(sandbox.names("tmp").len(), 1);
    let kept = command(&["--keep", "f.py:pid"]).output().unwrap();
    assert!(kept.status.success(), "{kept:?}");
    let kept = sandbox.names("tmp");
    assert_eq!(kept.len(), 1, "{kept:?}");
    // A link, and a file, of such a name.
    let gone = crate::sandbox::maker_like(4_194_303);
    let mut left = kept.clone();
    for name in ["a", "b"] {
        let name = format!("rootstock-call-{gone}-{name}");
        let planted = temporary.join(&name);
        if name.ends_with('a') {
            std::os::unix::fs::symlink(sandbox.path("root"), planted).unwrap();
        } else {
            std::fs::write(planted, "").unwrap();
        }
        left.push(name);
    }
    let ended = command(&["f.py:pid"]).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    left.sort();
    assert_eq!(sandbox.names("tmp"), left);
    assert!(sandbox.path("root/envs").is_dir());
}

/// Daemons of several processes end with the run, whichever of them ends last.
#[test]
fn daemons_of_several_processes_end_with_the_run() {
    let sandbox = built();
    let paths: Vec<_> = (0..3)
        .map(|n| sandbox.path(&format!("daemon-{n}")))
        .collect();
    let lifelines: Vec<_> = paths
        .iter()
        .map(|path| Lifeline::at(path.clone()))
        .collect();
    let mut child = sandbox.start_fed(&["call", "one", "--stream", "-j", "3"]);
    let mut stdin = child.stdin.take().unwrap();
    for path in &paths {
        let request = json!({"function": "f.py:daemon", "args": [path]});
        std::io::Write::write_all(&mut stdin, format!("{request}\n").as_bytes()).unwrap();
    }
    let running: Vec<_> = lifelines.iter().map(Lifeline::wait_for_start).collect();
    drop(stdin);
    let output = crate::sandbox::Output::from(child.wait_with_output().unwrap());
    assert_eq!(output.expect(0).stdout.lines().count(), 3);
    for running in running {
        running.wait_for_end();
    }
}

#[test]
fn what_is_printed_without_end_is_cut_and_blocks_nothing() {
    let sandbox = built();
    let size = 100 << 20;
    let (response, output) = call(&sandbox, "floods", &["--capture", "1kB", &size.to_string()]);
    assert_eq!(response["result"], json!(size));
    assert_eq!(response["truncated"], json!(true));
    for (stream, end) in [("stdout", "end of stdout\n"), ("stderr", "end of stderr\n")] {
        let text = response[stream].as_str().unwrap();
        assert!(text.len() <= 1000 && text.ends_with(end), "{}", text.len());
    }
    assert!(output.stderr.len() > 2 * size);
}

#[test]
fn a_standard_error_that_is_not_read_blocks_nothing() {
    let sandbox = built();
    let mut child = sandbox.start(&["call", "one", "f.py:floods", "3000000"]);
    let stderr = child.stderr.take().unwrap();
    let ended = crate::sandbox::Output::from(child.wait_with_output().unwrap());
    let response = super::response(ended.expect(0));
    assert_eq!(response["result"], json!(3_000_000));
    assert!(
        response["stdout"]
            .as_str()
            .unwrap()
            .ends_with("end of stdout\n")
    );
    drop(stderr);
}
