//! Streams: many requests, processes that die among them, ends in the middle.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use super::{built, failed, fed, stream};
use crate::sandbox::events::Lifeline;
use crate::sandbox::{Output, Sandbox, send, setting};

/// Every fourth request kills its process. The memory of `rootstock` does not grow with what was answered.
#[test]
fn every_request_is_answered_though_processes_die_and_memory_stays_small() {
    let complete = std::env::var("ROOTSTOCK_TEST_COMPLETE").is_ok_and(|set| !set.is_empty());
    let count = setting("ROOTSTOCK_TEST_CALLS", if complete { 10_000 } else { 200 });
    let sandbox = built();
    let mut requests = String::new();
    for n in 0..count {
        let request = match n % 4 {
            3 => json!({"id": n, "function": "f.py:kills", "args": [9]}),
            _ => json!({"id": n, "function": "f.py:add", "args": [n, 1]}),
        };
        requests.push_str(&request.to_string());
        requests.push('\n');
    }
    let (mut responses, peak, code) = measured(&sandbox, requests);
    assert_eq!(code, Some(1));
    assert_eq!(responses.len(), usize::try_from(count).unwrap());
    responses.sort_by_key(|response| response["id"].as_u64());
    for (n, response) in responses.iter().enumerate() {
        assert_eq!(response["id"], json!(n));
        match n % 4 {
            3 => assert_eq!(failed(response), ("killed", 137, false)),
            _ => assert_eq!(response["result"], json!(n + 1)),
        }
    }
    assert!(peak < 64 << 10, "{peak} KiB");
}

/// The responses of two processes to these requests, the largest memory of `rootstock` in KiB, and its exit code.
fn measured(sandbox: &Sandbox, requests: String) -> (Vec<Value>, u64, Option<i32>) {
    let mut child = sandbox.start_fed(&["call", "one", "--stream", "-j", "2"]);
    let mut stdin = child.stdin.take().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let mut stderr = child.stderr.take().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let (mut peak, mut responses) = (0, Vec::new());
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(requests.as_bytes()).unwrap());
        scope.spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()).unwrap());
        for line in stdout.lines() {
            responses.push(serde_json::from_str(&line.unwrap()).unwrap());
            if responses.len() % 100 == 0 {
                let status = std::fs::read_to_string(&status).unwrap_or_default();
                let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
                let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
                peak = peak.max(kib.unwrap_or(0_u64));
            }
        }
    });
    (responses, peak, child.wait().unwrap().code())
}

#[test]
fn half_a_line_at_the_end_is_refused_and_a_whole_one_is_answered() {
    let sandbox = built();
    let whole = "\n{\"id\": 1, \"function\": \"f.py:add\", \"args\": [1]}\n \n{\"id\": 2, \"function\": \"f.py:add\", \"args\": [2]}";
    let output = fed(&sandbox, &["--stream"], whole);
    assert_eq!(output.expect(0).stdout.lines().count(), 2);
    let output = fed(&sandbox, &["--stream"], &whole[..whole.len() - 3]);
    let lines: Vec<Value> = output
        .expect(1)
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    let refused = lines
        .iter()
        .find(|line| line["success"] == json!(false))
        .unwrap();
    assert_eq!(failed(refused), ("bad-request", 2, false));
    assert!(
        refused["_fatal_error"]["hint"]
            .as_str()
            .unwrap()
            .contains("in the middle of a request")
    );
    let output = fed(&sandbox, &["--stream"], "");
    assert_eq!(output.expect(0).stdout, "");
}

#[test]
fn processes_are_replaced_as_often_as_allowed() {
    let sandbox = built();
    let requests: Vec<Value> = (0..4)
        .map(|n| json!({"id": n, "function": "f.py:exits"}))
        .collect();
    let (responses, output) = stream(&sandbox, &["--restarts", "2"], &requests);
    output.expect(1);
    for response in &responses {
        assert_eq!(failed(response), ("no-result", 1, false));
    }
    for response in &responses[..3] {
        assert!(
            response["error"]
                .as_str()
                .unwrap()
                .starts_with("Python ended"),
            "{response}"
        );
    }
    assert!(
        responses[3]["error"]
            .as_str()
            .unwrap()
            .starts_with("not tried"),
        "{}",
        responses[3]
    );
}

#[test]
fn processes_stay_warm_or_are_fresh() {
    let sandbox = built();
    let requests: Vec<Value> = (0..3)
        .map(|n| json!({"id": n, "function": "f.py:pid"}))
        .collect();
    let processes = |options: &[&str]| {
        let (responses, output) = stream(&sandbox, options, &requests);
        output.expect(0);
        let mut pids: Vec<u64> = responses
            .iter()
            .map(|response| response["result"].as_u64().unwrap())
            .collect();
        pids.dedup();
        pids.len()
    };
    assert_eq!(processes(&[]), 1);
    assert_eq!(processes(&["--fresh"]), 3);
    // So are their caches, which are gone afterwards.
    let caches =
        ["TRITON_CACHE_DIR"; 3].map(|name| json!({"function": "os:getenv", "args": [name]}));
    for (options, count) in [(&[][..], 1), (&["--fresh", "-j", "2"], 3)] {
        let (responses, output) = stream(&sandbox, options, &caches);
        output.expect(0);
        let mut caches: Vec<&str> = responses
            .iter()
            .map(|response| response["result"].as_str().unwrap())
            .collect();
        caches.sort_unstable();
        caches.dedup();
        assert_eq!(caches.len(), count, "{caches:?}");
        assert!(count == 1 || caches.iter().all(|path| !Path::new(path).exists()));
    }
}

#[test]
fn a_signal_answers_every_request_of_a_stream_that_was_taken_in() {
    let sandbox = built();
    let path = sandbox.path("lifeline");
    let lifeline = Lifeline::at(path.clone());
    let mut child = sandbox.start_fed(&["call", "one", "--stream"]);
    let mut stdin = child.stdin.take().unwrap();
    for (id, function) in ["f.py:holds", "f.py:add"].into_iter().enumerate() {
        let request = json!({"id": id, "function": function, "args": [path]});
        writeln!(stdin, "{request}").unwrap();
    }
    let running = lifeline.wait_for_start();
    send("INT", child.id());
    let output = Output::from(child.wait_with_output().unwrap());
    drop(stdin);
    running.wait_for_end();
    let lines = output.expect(130).stdout.lines();
    let mut ids = Vec::new();
    for line in lines {
        let response: Value = serde_json::from_str(line).unwrap();
        assert_eq!(failed(&response), ("interrupted", 130, true));
        ids.push(response["id"].as_u64().unwrap());
    }
    // Whether the second one was read before the signal is chance.
    assert!(ids == [0, 1] || ids == [0], "{ids:?}");
}

/// A reader that takes one line and goes ends the run, though the stream goes on.
#[test]
fn a_reader_that_has_gone_ends_the_run() {
    let sandbox = built();
    let mut child = sandbox.start_fed(&["call", "one", "--stream"]);
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{{\"function\": \"f.py:pid\"}}").unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    drop(stdout);
    writeln!(stdin, "{{\"function\": \"f.py:pid\"}}").unwrap();
    // The stream is still open.
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(stdin);
}

/// Responses wait for a reader that takes none; requests are still ended in time, and a signal ends the run.
#[test]
fn a_reader_that_takes_nothing_blocks_no_signal() {
    let sandbox = built();
    let path = sandbox.path("lifeline");
    let lifeline = Lifeline::at(path.clone());
    let mut child = sandbox.start_fed(&["call", "one", "--stream"]);
    let mut stdin = child.stdin.take().unwrap();
    let large = json!({"function": "f.py:large", "args": [200_000]});
    writeln!(
        stdin,
        "{large}\n{}",
        json!({"function": "f.py:holds", "args": [path]})
    )
    .unwrap();
    let running = lifeline.wait_for_start();
    send("TERM", child.id());
    running.wait_for_end();
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn memory_does_not_grow_with_the_size_of_all_results() {
    let sandbox = built();
    let requests = "{\"function\": \"f.py:large\", \"args\": [1000]}\n".repeat(2000);
    let (responses, peak, code) = measured(&sandbox, requests);
    assert_eq!((responses.len(), code), (2000, Some(0)));
    assert!(peak < 64 << 10, "{peak} KiB");
}

#[test]
fn a_process_that_waits_too_long_ends_unless_it_has_instances() {
    let sandbox = built();
    let mut child = sandbox.start_fed(&["call", "one", "--stream", "--idle-timeout", "0.2"]);
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut ask = |request: Value| {
        writeln!(stdin, "{request}").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let response: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(response["success"], json!(true), "{response}");
        (
            response["python"]["pid"].clone(),
            response["result"].clone(),
        )
    };
    let (first, _) = ask(json!({"function": "f.py:pid"}));
    let gone = |pid: &Value| !std::path::Path::new(&format!("/proc/{pid}")).exists();
    while !gone(&first) {
        std::thread::yield_now();
    }
    let (second, _) =
        ask(json!({"class": "f.py:Counter", "instance_id": "x", "method_name": "add"}));
    assert_ne!(first, second);
    // Longer than the limit, in a process that has an instance.
    ask(json!({"function": "time:sleep", "args": [0.5]}));
    let (third, count) = ask(json!({"instance_id": "x", "method_name": "add"}));
    assert_eq!((third, count), (second, json!(2)));
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
