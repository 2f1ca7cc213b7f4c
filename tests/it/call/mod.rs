//! `rootstock call`: one line of JSON for each request, whatever the function does.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::sandbox::{Output, Sandbox};

mod classes;
mod environments;
mod failures;
mod hostile;
mod lines;
mod pythons;
mod requests;
mod streams;
mod values;

/// The functions that the tests call.
const FUNCTIONS: &str = include_str!("functions.py");

/// The project with one environment, built, and the tests' functions in `f.py`.
fn built() -> Sandbox {
    let sandbox = Sandbox::single();
    sandbox.write_source(
        "one",
        &["single"],
        "\n\ndef add(a, b=0):\n    return a + b\n",
    );
    sandbox.lock();
    sandbox.sync(&[]);
    sandbox.write("f.py", FUNCTIONS);
    sandbox
}

/// The response to a call of a function in `f.py`, and how the program ended.
fn call(sandbox: &Sandbox, function: &str, arguments: &[&str]) -> (Value, Output) {
    let function = format!("f.py:{function}");
    let output = sandbox.run(&[&["call", "one", &function], arguments].concat());
    (response(&output), output)
}

/// The one line on standard output.
#[track_caller]
fn response(output: &Output) -> Value {
    assert_eq!(output.stdout.lines().count(), 1, "{output:?}");
    assert!(output.stdout.ends_with('\n'), "{output:?}");
    output.json()
}

/// Runs the program with this on standard input.
fn fed(sandbox: &Sandbox, arguments: &[&str], input: &str) -> Output {
    let mut command = sandbox.command(&[&["call", "one"], arguments].concat());
    feed(&mut command, input)
}

fn feed(command: &mut Command, input: &str) -> Output {
    feed_bytes(command, input.as_bytes())
}

fn feed_bytes(command: &mut Command, input: &[u8]) -> Output {
    let streams = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = streams.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // The program may end without reading everything.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap().into()
    })
}

/// The response to one request, and how the program ended.
fn request(sandbox: &Sandbox, options: &[&str], request: &Value) -> (Value, Output) {
    let output = fed(sandbox, options, &request.to_string());
    (response(&output), output)
}

/// The responses to a stream of requests, in the order of their ids, and how the program ended.
fn stream(sandbox: &Sandbox, options: &[&str], requests: &[Value]) -> (Vec<Value>, Output) {
    let mut lines = String::new();
    for request in requests {
        writeln!(lines, "{request}").unwrap();
    }
    let output = fed(sandbox, &[&["--stream"], options].concat(), &lines);
    let responses = output.stdout.lines();
    let mut responses: Vec<Value> = responses
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    responses.sort_by_key(|response| response["id"].as_u64());
    (responses, output)
}

/// The kind of a failure, with its exit code and whether another try may succeed; these must agree with the response.
#[track_caller]
fn failed(response: &Value) -> (&str, u64, bool) {
    assert_eq!(response["success"], json!(false), "{response}");
    let fatal = &response["_fatal_error"];
    assert_eq!(response["error"], fatal["message"]);
    assert_eq!(response["error_type"], fatal["type"]);
    assert_eq!(response["traceback"], fatal["traceback"]);
    (
        fatal["kind"].as_str().unwrap(),
        fatal["code"].as_u64().unwrap(),
        fatal["retryable"].as_bool().unwrap(),
    )
}

#[test]
fn a_function_is_called_by_reference() {
    let sandbox = built();
    let output = sandbox.run(&["call", "one", "env_source:add", "2", "-3"]);
    let response = response(&output);
    assert_eq!(response["success"], json!(true));
    assert_eq!(response["result"], json!(-1));
    assert_eq!(response["id"], json!(null));
    let generation = sandbox.generation("root", "one");
    let python = &response["python"];
    assert_eq!(python["prefix"], json!(generation));
    assert_eq!(
        python["version"],
        sandbox.stamp("root", "one", "python")["identity"]["version"]
    );
    let environment = &response["environment"];
    assert_eq!(environment["name"], json!("one"));
    assert_eq!(environment["id"], sandbox.stamp("root", "one", "id"));
    assert_eq!(
        environment["digest"],
        sandbox.stamp("root", "one", "digest")
    );
    output.expect(0);

    let (response, output) = call(&sandbox, "add", &["--kwargs", "{\"b\": 4}", "1"]);
    output.expect(0);
    assert_eq!(response["result"], json!(5));
    assert_eq!(response["code"]["path"], json!(sandbox.path("f.py")));
    let digest = rootstock::digest::Digest::of(FUNCTIONS).to_string();
    assert_eq!(response["code"]["sha256"], json!(digest));
}

#[test]
fn whatever_is_printed_the_response_is_one_line() {
    let sandbox = built();
    let (response, output) = call(&sandbox, "prints", &[]);
    output.expect(0);
    assert_eq!(response["result"], json!(null));
    assert_eq!(response["stdout"], json!("python\nprogram\nraw\nC\n"));
    assert_eq!(response["stderr"], json!("error é\n"));
    assert_eq!(response["truncated"], json!(false));
    // Passed on while it runs, too.
    for line in ["python", "program", "raw", "C", "error"] {
        assert!(output.stderr.contains(line), "{line}: {output:?}");
    }
}
