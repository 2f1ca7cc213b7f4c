//! Values: what JSON carries, what tags carry, and what is refused with its place.

use std::process::Command;

use serde_json::{Value, json};

use super::{built, call, failed, feed, request, response};
use crate::worker;

/// The response to a request in the environment with ASE.
fn with_ase(options: &[&str], request: &Value) -> (Value, super::Output) {
    let mut command = Command::new(worker::ROOTSTOCK);
    command
        .args(["call", "--root"])
        .arg(worker::root())
        .args(options)
        .env_remove("ROOTSTOCK_ROOT")
        .current_dir(worker::here().join("tests/it/call"));
    let output = feed(&mut command, &request.to_string());
    (response(&output), output)
}

#[test]
fn json_goes_through_and_what_it_lacks_is_tagged() {
    let sandbox = built();
    let (response, output) = call(&sandbox, "fine_values", &[]);
    output.expect(0);
    let expected = json!({
        "tuple": [1, "a", null, true],
        "floats": [1.5, {"$float": "inf"}, {"$float": "-inf"}, {"$float": "nan"}],
        "bytes": {"$bytes": "aGk="},
        "path": {"$path": "/tmp/x"},
        "enum": 1,
        "names": ["first", "quiet", {"key": 0.5}],
        "large": response["result"]["large"],
        "text": "é\n\u{1b}水",
    });
    assert_eq!(response["result"], expected);
    assert!(
        output
            .stdout
            .contains(&format!("\"large\":1{}", "0".repeat(40))),
        "{}",
        output.stdout
    );
    assert!(!output.stdout.contains("NaN") && output.stdout.is_ascii());

    let value = json!([
        {"$bytes": "AAH/"}, {"$float": "nan"}, {"$path": "/a/b"}, {"a": {"$float": "-inf"}}, [], {}, "é", 1e300, -0.0,
        12_345_678_901_234_567_890_u64, [1, 2.5, null, true], {"$a": 1, "b": 2},
    ]);
    let (response, _) = request(
        &sandbox,
        &[],
        &json!({"function": "f.py:echo", "args": [value]}),
    );
    assert_eq!(response["result"], value);
    // A relative path begins where the caller is.
    let (response, _) = request(
        &sandbox,
        &[],
        &json!({"function": "f.py:echo", "args": [{"$path": "x/y"}]}),
    );
    let here = sandbox
        .path("x/y")
        .canonicalize()
        .unwrap_or(sandbox.path("x/y"));
    assert_eq!(response["result"]["$path"], json!(here));
}

#[test]
fn what_cannot_be_carried_is_refused_with_its_place() {
    let sandbox = built();
    let (response, output) = call(&sandbox, "cycle", &[]);
    output.expect(1);
    assert_eq!(failed(&response), ("unserialisable", 1, false));
    assert_eq!(
        response["error"],
        json!("result['a'][1][0]: contains itself")
    );
    for (name, message) in [
        ("set", "result['a'][0]: an object of class set"),
        ("object", "result[1]: an object of class object"),
        ("key", "result['x']: the key 1 is of class int"),
        ("twins", "result['x']: two keys are 'a'"),
        ("deep", "nested more than 200 deep"),
        ("surrogate", "result[0]: text that is not Unicode"),
        ("decimal", "result: an object of class Decimal"),
        ("complex", "result[1]: an object of class complex"),
        ("generator", "result: an object of class generator"),
        (
            "tag",
            "result['y']: its only key, '$bytes', looks like a tag",
        ),
        ("function", "result: an object of class function"),
    ] {
        let (response, _) = call(&sandbox, "values", &[&format!("\"{name}\"")]);
        assert_eq!(failed(&response), ("unserialisable", 1, false), "{name}");
        let error = response["error"].as_str().unwrap();
        assert!(error.contains(message), "{name}: {error}");
    }
    for (value, message) in [
        (
            json!({"$ndarray": {"data": [1]}}),
            "args[0]: `$ndarray` needs numpy, which this environment lacks",
        ),
        (json!([{"$float": 1}]), "args[0][0]: `$float` is"),
        (json!({"k": {"$bytes": "*"}}), "args[0]['k']: `$bytes`"),
    ] {
        let (response, _) = request(
            &sandbox,
            &[],
            &json!({"function": "f.py:echo", "args": [value]}),
        );
        assert_eq!(failed(&response), ("bad-request", 2, false));
        let error = response["error"].as_str().unwrap();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn coroutines_are_awaited() {
    let sandbox = built();
    let (response, _) = call(&sandbox, "later", &["[1, \"x\"]"]);
    assert_eq!(response["result"], json!([1, "x"]));
}

#[test]
fn arrays_and_atoms_go_through() {
    let array =
        json!({"$ndarray": {"dtype": "<f8", "shape": [2, 1], "data": "AAAAAAAA8D8AAAAAAADwfw=="}});
    let value = json!([
        array,
        {"$ndarray": {"dtype": "<i4", "shape": [0, 3], "data": ""}},
        {"$ndarray": {"dtype": "|b1", "shape": [2], "data": "AQA="}},
    ]);
    let (response, output) = with_ase(
        &["odd"],
        &json!({"function": "functions.py:echo", "args": [value]}),
    );
    output.expect(0);
    assert_eq!(response["result"], value);
    // Lists are read, too; dtypes of other byte orders are kept.
    let lists = json!({"$ndarray": {"dtype": ">f4", "shape": [1], "data": [1.5]}});
    let (response, _) = with_ase(
        &["odd"],
        &json!({"function": "functions.py:echo", "args": [lists]}),
    );
    assert_eq!(response["result"]["$ndarray"]["dtype"], json!(">f4"));
    assert_eq!(response["result"]["$ndarray"]["data"], json!("P8AAAA=="));

    let atoms = json!({"$atoms": {
        "numbers": [29, 29],
        "positions": [[0.0, 0.0, 0.0], [0.0, 0.0, 2.5]],
        "info": {"name": "pair", "x": {"$float": "nan"}},
    }});
    let (response, output) = with_ase(
        &["odd"],
        &json!({"function": "functions.py:echo", "args": [atoms]}),
    );
    output.expect(0);
    let returned = response["result"].clone();
    assert_eq!(returned["$atoms"]["info"], atoms["$atoms"]["info"]);
    assert_eq!(
        returned["$atoms"]["numbers"]["$ndarray"]["shape"],
        json!([2])
    );
    let (response, _) = with_ase(
        &["odd"],
        &json!({"function": "functions.py:echo", "args": [returned]}),
    );
    assert_eq!(response["result"], returned);
    for (value, message) in [
        (
            json!({"$ndarray": {"dtype": "O", "data": []}}),
            "`$ndarray` of Python objects",
        ),
        (
            json!({"$ndarray": {"dtype": "<f8", "shape": [3], "data": "AAAAAAAA8D8="}}),
            "cannot reshape",
        ),
        (
            json!({"$ndarray": {"type": "<f8", "data": ""}}),
            "has the keys dtype, shape and data",
        ),
        (json!({"$atoms": {"numbers": [1]}}), "`$atoms`: 'positions'"),
    ] {
        let (response, _) = with_ase(
            &["odd"],
            &json!({"function": "functions.py:echo", "args": [value]}),
        );
        assert_eq!(failed(&response), ("bad-request", 2, false));
        assert!(
            response["error"].as_str().unwrap().contains(message),
            "{response}"
        );
    }
}

#[test]
fn a_model_is_given_to_the_function_and_loaded_once_in_a_process() {
    let atoms = json!({"$atoms": {"numbers": [29, 29], "positions": [[0, 0, 0], [0, 0, 2.5]]}});
    let asked = json!({"function": "functions.py:needs_calculator", "args": [atoms]});
    let (response, output) = with_ase(&["odd-emt"], &asked);
    output.expect(0);
    let energy = response["result"].as_f64().unwrap();
    assert!(energy > 3.0 && energy < 7.0, "{energy}");
    assert_eq!(response["environment"]["name"], json!("odd"));
    let made = json!({"class": "functions.py:Plain", "method_name": null});
    let (response, output) = with_ase(&["odd-emt"], &made);
    output.expect(0);
    assert_eq!(response["result"], json!(null));

    let mut command = Command::new(worker::ROOTSTOCK);
    command
        .args(["call", "odd-emt", "--stream", "--root"])
        .arg(worker::root())
        .env_remove("ROOTSTOCK_ROOT")
        .current_dir(worker::here().join("tests/it/call"));
    let output = feed(
        &mut command,
        &"{\"function\": \"functions.py:loaded\"}\n".repeat(3),
    );
    let lines = output.expect(0).stdout.lines();
    let mut loaded: Vec<Value> = lines
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["result"].clone())
        .collect();
    loaded.dedup();
    assert_eq!(loaded.len(), 1);
}
