//! Streams: many requests, processes that die among them, ends in the middle.

use serde_json::{Value, json};

use super::{built, failed, fed, stream};
use crate::sandbox::setting;

/// Every fourth request kills its process.
#[test]
fn every_request_is_answered_though_processes_die() {
    let complete = std::env::var("ROOTSTOCK_TEST_COMPLETE").is_ok_and(|set| !set.is_empty());
    let count = setting("ROOTSTOCK_TEST_CALLS", if complete { 10_000 } else { 200 });
    let sandbox = built();
    let requests: Vec<Value> = (0..count)
        .map(|n| match n % 4 {
            3 => json!({"id": n, "function": "f.py:kills", "args": [9]}),
            _ => json!({"id": n, "function": "f.py:add", "args": [n, 1]}),
        })
        .collect();
    let (responses, said) = stream(&sandbox, &["-j", "2"], &requests);
    said.expect(1);
    assert_eq!(responses.len(), requests.len());
    for (n, response) in responses.iter().enumerate() {
        assert_eq!(response["id"], json!(n));
        match n % 4 {
            3 => assert_eq!(failed(response), ("killed", 137, false)),
            _ => assert_eq!(response["result"], json!(n + 1)),
        }
    }
}

#[test]
fn half_a_line_at_the_end_is_refused_and_a_whole_one_is_answered() {
    let sandbox = built();
    let whole = "\n{\"id\": 1, \"function\": \"f.py:add\", \"args\": [1]}\n \n{\"id\": 2, \"function\": \"f.py:add\", \"args\": [2]}";
    let said = fed(&sandbox, &["--stream"], whole);
    assert_eq!(said.expect(0).stdout.lines().count(), 2);
    let said = fed(&sandbox, &["--stream"], &whole[..whole.len() - 3]);
    let lines: Vec<Value> = said
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
    let said = fed(&sandbox, &["--stream"], "");
    assert_eq!(said.expect(0).stdout, "");
}

#[test]
fn processes_are_replaced_as_often_as_allowed() {
    let sandbox = built();
    let requests: Vec<Value> = (0..4)
        .map(|n| json!({"id": n, "function": "f.py:exits"}))
        .collect();
    let (responses, said) = stream(&sandbox, &["--restarts", "2"], &requests);
    said.expect(1);
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
        let (responses, said) = stream(&sandbox, options, &requests);
        said.expect(0);
        let mut pids: Vec<u64> = responses
            .iter()
            .map(|response| response["result"].as_u64().unwrap())
            .collect();
        pids.dedup();
        pids.len()
    };
    assert_eq!(processes(&[]), 1);
    assert_eq!(processes(&["--fresh"]), 3);
}
