//! Requests: by the command line, on standard input, in a file, in a stream; and wrong ones.

use serde_json::{Value, json};

use super::{built, failed, fed, request, response, stream};

#[test]
fn requests_of_a_stream_are_answered_by_id() {
    let sandbox = built();
    let mut requests: Vec<Value> = (0..20)
        .map(|n| json!({"id": n, "function": "f.py:add", "args": [n, 1]}))
        .collect();
    requests[7]["function"] = json!("f.py:exits");
    requests[7]["args"] = json!([0]);
    let (responses, output) = stream(&sandbox, &["-j", "2"], &requests);
    output.expect(1);
    assert_eq!(responses.len(), 20);
    for (n, response) in responses.iter().enumerate() {
        assert_eq!(response["id"], json!(n));
        if n == 7 {
            assert_eq!(failed(response), ("no-result", 1, false));
        } else {
            assert_eq!(response["result"], json!(n + 1));
        }
    }
}

#[test]
fn a_request_comes_from_standard_input_or_a_file() {
    let sandbox = built();
    let wanted = json!({"id": {"any": ["thing"]}, "function": "math:hypot", "args": [3, 4]});
    let (answer, output) = request(&sandbox, &[], &wanted);
    output.expect(0);
    assert_eq!(answer["result"], json!(5.0));
    assert_eq!(answer["id"], wanted["id"]);
    sandbox.write("request.json", &format!("{wanted:#}\n"));
    let output = sandbox.run(&["call", "one", "--request", "request.json"]);
    assert_eq!(response(output.expect(0))["result"], json!(5.0));
}

#[test]
fn an_argument_that_is_no_json_is_refused_with_what_to_write() {
    let sandbox = built();
    let ended = sandbox.run(&["call", "one", "f.py:echo", "a b"]);
    let response = response(ended.expect(2));
    assert_eq!(failed(&response), ("bad-request", 2, false));
    assert_eq!(
        response["error"],
        serde_json::json!("the argument `a b` is not JSON")
    );
    assert_eq!(
        response["_fatal_error"]["hint"],
        serde_json::json!("text needs quotes of its own: '\"a b\"'")
    );
    let ended = sandbox.run(&["call", "one", "f.py:echo", "--kwargs", "{"]);
    assert_eq!(failed(&super::response(ended.expect(2))).0, "bad-request");
}

#[test]
fn what_is_no_request_is_refused() {
    let sandbox = built();
    let cases = [
        ("", "the request is empty", ""),
        ("[1]", "the request cannot be read", ""),
        ("{\"function\"", "the request cannot be read", ""),
        (
            "{\"function\": \"f.py:add\", \"args\": [NaN]}",
            "the request cannot be read",
            "",
        ),
        ("{\"id\": 1, \"id\": 2}", "the key `id` occurs twice", ""),
        (
            "{\"functoin\": \"f.py:add\"}",
            "unknown key `functoin`",
            "did you mean `function`?",
        ),
        (
            "{\"id\": 1}",
            "does not name what to call",
            "env_source:add",
        ),
        (
            "{\"function\": \"f.py:add\", \"class\": \"f.py:Counter\"}",
            "asks for two things",
            "send two requests",
        ),
        (
            "{\"function\": \"add\"}",
            "`add` does not say where it is",
            "`env_source:add`",
        ),
        (
            "{\"function\": \"f.py:add\", \"args\": {}}",
            "`args` is not a list",
            "",
        ),
        (
            "{\"function\": \"f.py:add\", \"kwargs\": []}",
            "`kwargs` is not an object",
            "",
        ),
        (
            "{\"function\": \"f.py:add\", \"timeout\": 0}",
            "`timeout` is not a positive number",
            "",
        ),
        (
            "{\"function\": \"f.py:add\", \"args\": [{\"$nd\": 1}]}",
            "args[0]: unknown tag `$nd`",
            "",
        ),
        (
            "{\"function\": \"f.py:add\", \"want\": \"pickle\"}",
            "`want` asks for a pickle",
            "pickle",
        ),
        (
            "{\"function\": \"f.py:add\", \"workdir\": \"none\"}",
            "is no directory",
            "",
        ),
    ];
    for (text, message, hint) in cases {
        let output = fed(&sandbox, &[], text);
        let response = response(output.expect(2));
        assert_eq!(failed(&response), ("bad-request", 2, false), "{text}");
        let fatal = &response["_fatal_error"];
        assert!(
            fatal["message"].as_str().unwrap().contains(message),
            "{text}: {response}"
        );
        assert!(
            fatal["hint"].as_str().unwrap().contains(hint),
            "{text}: {response}"
        );
    }
}
