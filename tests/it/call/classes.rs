//! Classes: instances that live as long as their process, and requests that are bound to it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{built, failed, request, stream};

#[test]
fn an_instance_lives_on_in_its_process() {
    let sandbox = built();
    let mut requests = Vec::new();
    // Named before its process has answered.
    for name in ["a", "b", "c", "d"] {
        let made = json!({"class": "f.py:Counter", "instance_id": name, "constructor_args": [10], "method_name": "add"});
        let again = json!({"instance_id": name, "method_name": "add", "kwargs": {"by": 5}});
        let called =
            json!({"class": "f.py:Counter", "instance_id": name, "create_new_instance": false});
        let closed = json!({"instance_id": name, "close": true});
        let gone = json!({"instance_id": name});
        requests.extend([made, again, called, closed, gone]);
    }
    for (id, request) in requests.iter_mut().enumerate() {
        request["id"] = json!(id);
    }
    let (responses, output) = stream(&sandbox, &["-j", "3"], &requests);
    output.expect(1);
    for of_one in responses.chunks(5) {
        let results: Vec<&Value> = of_one[..4]
            .iter()
            .map(|response| &response["result"])
            .collect();
        assert_eq!(results, [&json!(11), &json!(16), &json!(16), &json!(null)]);
        let processes: BTreeSet<u64> = of_one[..4]
            .iter()
            .map(|response| response["python"]["pid"].as_u64().unwrap())
            .collect();
        assert_eq!(processes.len(), 1);
        let info = &of_one[2]["instance_info"];
        assert_eq!(info["class_name"], json!("Counter"));
        assert_eq!(info["method_calls"], json!(3));
        assert!(
            info["created_at"].as_str() < info["last_used"].as_str(),
            "{info}"
        );
        assert_eq!(of_one[1]["instance_id"], of_one[0]["instance_id"]);
        assert_eq!(failed(&of_one[4]), ("not-found", 1, false));
    }
}

#[test]
fn an_instance_gets_a_name_and_is_replaced_when_made_again() {
    let sandbox = built();
    let (response, output) = request(
        &sandbox,
        &[],
        &json!({"class": "f.py:Counter", "constructor_kwargs": {"start": 2}}),
    );
    output.expect(0);
    assert_eq!(response["result"], json!(2));
    let id = response["instance_id"].as_str().unwrap();
    let digits = id.strip_prefix("Counter_").unwrap();
    assert!(
        digits.len() == 8 && digits.chars().all(|c| c.is_ascii_hexdigit()),
        "{id}"
    );

    let requests = [
        json!({"id": 0, "class_name": "Counter", "module": "f.py", "instance_id": "x", "method_name": "add"}),
        json!({"id": 1, "class": "f.py:Counter", "instance_id": "x", "constructor_args": [100], "method_name": "add"}),
        // What cannot be made leaves what was there.
        json!({"id": 2, "class": "f.py:Broken", "instance_id": "x"}),
        json!({"id": 3, "instance_id": "x", "method_name": "fails"}),
        json!({"id": 4, "instance_id": "x", "method_name": "ad"}),
        json!({"id": 5, "instance_id": "x"}),
        // Made without a call: it has none.
        json!({"id": 6, "class": "f.py:Plain", "method_name": null, "instance_id": "p"}),
        json!({"id": 7, "class": "f.py:Plain", "instance_id": "q"}),
        json!({"id": 8, "instance_id": "q", "method_name": "x"}),
    ];
    let (responses, _) = stream(&sandbox, &[], &requests);
    let results = [0, 1, 5, 6].map(|id: usize| responses[id]["result"].clone());
    assert_eq!(results, [json!(1), json!(101), json!(101), json!(null)]);
    assert_eq!(failed(&responses[2]), ("raised", 1, false));
    assert_eq!(failed(&responses[3]), ("raised", 1, false));
    assert_eq!(responses[3]["error"], json!("RuntimeError: as asked"));
    for id in [4, 7, 8] {
        assert_eq!(failed(&responses[id]), ("not-found", 1, false), "{id}");
    }
    let hint = responses[4]["_fatal_error"]["hint"].as_str().unwrap();
    assert_eq!(hint, "did you mean `add`?");
}

#[test]
fn an_instance_is_lost_with_its_process() {
    let sandbox = built();
    let requests = [
        json!({"id": 0, "class": "f.py:Counter", "instance_id": "x"}),
        json!({"id": 1, "instance_id": "x", "method_name": "exits"}),
        json!({"id": 2, "instance_id": "x"}),
        json!({"id": 3, "function": "f.py:add", "args": [1]}),
    ];
    let (responses, output) = stream(&sandbox, &[], &requests);
    output.expect(1);
    assert_eq!(failed(&responses[1]), ("no-result", 1, false));
    assert_eq!(failed(&responses[2]), ("not-found", 1, false));
    let hint = responses[2]["_fatal_error"]["hint"].as_str().unwrap();
    assert!(
        hint.starts_with("it was lost with its process: Python ended with exit code 3"),
        "{hint}"
    );
    assert_eq!(responses[3]["result"], json!(1));
}

#[test]
fn what_is_no_request_for_an_instance_is_refused() {
    let sandbox = built();
    let cases = [
        (
            json!({"method_name": "add"}),
            "names neither a class nor an instance",
        ),
        (
            json!({"class": "f.py:Counter", "create_new_instance": false}),
            "names neither a class nor an instance",
        ),
        (
            json!({"instance_id": "x", "create_new_instance": true}),
            "names no class",
        ),
        (
            json!({"instance_id": "", "class": "f.py:Counter"}),
            "`instance_id` is empty",
        ),
        (
            json!({"instance_id": "x", "constructor_args": []}),
            "exclude each other",
        ),
        (
            json!({"class": "f.py:Counter", "class_name": "C"}),
            "exclude each other",
        ),
        (
            json!({"class": "f.py:Counter", "close": "yes"}),
            "`close` is not true or false",
        ),
        (
            json!({"class": "f.py:Counter", "constructor_args": {}}),
            "`constructor_args` is not a list",
        ),
    ];
    for (wrong, message) in cases {
        let (response, _) = request(&sandbox, &[], &wrong);
        assert_eq!(failed(&response), ("bad-request", 2, false), "{wrong}");
        assert!(
            response["error"].as_str().unwrap().contains(message),
            "{response}"
        );
    }
    let (response, _) = request(&sandbox, &[], &json!({"class": "f.py:add"}));
    assert_eq!(failed(&response), ("not-found", 1, false));
    assert!(
        response["error"]
            .as_str()
            .unwrap()
            .contains("is no class, but of class function")
    );
}
