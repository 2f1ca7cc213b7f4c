//! Lines of a stream that are no requests, or whose values two programs would read differently: each is answered, none is read
//! in one of two ways, and the process that answers stays the same.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{built, failed, feed_bytes};
use crate::sandbox::{Output, Sandbox};

/// The responses to these lines, and whether each request of `pid` between them was answered by one process.
#[track_caller]
fn answers(sandbox: &Sandbox, lines: &[Vec<u8>]) -> Vec<Value> {
    let mut input = Vec::new();
    for line in lines {
        input.extend_from_slice(line);
        input.extend_from_slice(b"\n{\"id\": \"pid\", \"function\": \"f.py:pid\"}\n");
    }
    let mut command = sandbox.command(&["call", "one", "--stream"]);
    let output = feed_bytes(&mut command, &input);
    assert!(
        output.stdout.is_ascii() && !output.stdout.contains('\r'),
        "{output:?}"
    );
    let all = output.stdout.lines();
    let all = all.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let (pids, others): (Vec<Value>, _) = all.partition(|response| response["id"] == "pid");
    assert_eq!((pids.len(), others.len()), (lines.len(), lines.len()));
    for pid in &pids {
        assert_eq!(pid["result"], pids[0]["result"], "the process stays");
    }
    others
}

#[test]
fn what_cannot_be_carried_is_refused_and_harms_no_other_request() {
    let sandbox = built();
    let deep = |depth: usize| format!("[{}{}]", "[".repeat(depth), "]".repeat(depth));
    let long = "9".repeat(5000);
    let texts: Vec<(String, &str)> = [
        ("[{\"a\": 1, \"a\": 2}]", "the key `a` occurs twice"),
        (
            "[[{\"b\": {\"a\": 1, \"\\u0061\": 1}}]]",
            "the key `a` occurs twice",
        ),
        (
            "[{\"$ndarray\": {\"data\": [1], \"data\": [2]}}]",
            "the key `data` occurs twice",
        ),
        ("[1e999]", "number out of range"),
        ("[-1e999]", "number out of range"),
        ("[\"\\ud800\"]", "hex escape"),
        ("[\"\\udc00\\ud800\"]", "hex escape"),
        ("[\"\\ud800\\u0041\"]", "hex escape"),
        ("[\"\u{0}\"]", "control character"),
        ("[\"\u{1b}\"]", "control character"),
        ("[NaN]", "expected value"),
        ("[Infinity]", "expected"),
        ("[01]", "invalid number"),
        ("[1.]", "invalid number"),
        ("[.5]", "expected value"),
        ("[+1]", "expected value"),
        ("['a']", "expected value"),
        ("[1,]", "expected value"),
        ("[1] x", "expected"),
    ]
    .map(|(text, message)| (text.to_owned(), message))
    .into_iter()
    .chain([
        (format!("[{long}]"), "number out of range"),
        (deep(200), "recursion limit exceeded"),
        (deep(100_000), "recursion limit exceeded"),
    ])
    .collect();
    let request = |key: &str, text: &str| {
        format!("{{\"id\": 1, \"function\": \"f.py:echo\", \"{key}\": {text}}}").into_bytes()
    };
    let mut cases: Vec<(Vec<u8>, &str)> = Vec::new();
    for (text, message) in &texts {
        cases.push((request("args", text), message));
        cases.push((
            request("kwargs", &format!("{{\"value\": {text}}}")),
            message,
        ));
        cases.push((request("id2", text), message));
    }
    let request = b"{\"id\": 1, \"function\": \"f.py:pid\"}";
    for (before, message) in [
        (&b"\xef\xbb\xbf"[..], "byte order mark"),
        (b"\x00", "expected value"),
        (b"\xff", "not UTF-8"),
        (b"\xff\xfe", "not UTF-8"),
        (b"\x1b[31m", "expected value"),
    ] {
        cases.push(([before, request].concat(), message));
        cases.push((
            [&request[..], before].concat(),
            if message == "not UTF-8" {
                message
            } else {
                "trailing characters"
            },
        ));
    }
    let lines: Vec<Vec<u8>> = cases.iter().map(|(line, _)| line.clone()).collect();
    for (response, (line, message)) in answers(&sandbox, &lines).iter().zip(&cases) {
        let line = String::from_utf8_lossy(&line[..line.len().min(200)]);
        assert_eq!(failed(response), ("bad-request", 2, false), "{line}");
        let error = response["error"].as_str().unwrap();
        assert!(
            error.contains(message) || error.contains("unknown key `id2`"),
            "{line}: {error}"
        );
        assert!(
            response["id"] == json!(1) || response["id"].is_null(),
            "{response}"
        );
    }
}

#[test]
fn answers_depend_on_the_request_alone() {
    let sandbox = built();
    an_id_comes_back_as_it_was_or_not_at_all(&sandbox);
    a_function_is_no_class_though_it_was_called_before(&sandbox);
    a_message_about_a_long_request_is_short(&sandbox);
    files_that_are_no_regular_files_are_refused(&sandbox);
}

/// An `id` is sent back only if every program reads it alike.
fn an_id_comes_back_as_it_was_or_not_at_all(sandbox: &Sandbox) {
    let cases = [
        ("{\"a\": [1.50, \"\\u00e9\"]}", true),
        ("123456789012345678901234567890", true),
        ("-0.0", true),
        ("{\"a\": 1, \"a\": 2}", false),
        ("1e999", false),
        ("\"\\ud800\"", false),
    ];
    let line = |id: &str| format!("{{\"id\": {id}, \"function\": \"f.py:pid\"}}").into_bytes();
    let lines: Vec<Vec<u8>> = cases.iter().map(|(id, _)| line(id)).collect();
    for (response, (id, is_carried)) in answers(sandbox, &lines).iter().zip(cases) {
        assert_eq!(response["success"], json!(is_carried), "{response}");
        let expected = if is_carried {
            serde_json::from_str(id).unwrap()
        } else {
            json!(null)
        };
        assert_eq!(response["id"], expected, "{id}");
    }
}

/// What a function is asked for first decides nothing about the next request.
fn a_function_is_no_class_though_it_was_called_before(sandbox: &Sandbox) {
    let lines = [
        "{\"id\": 1, \"function\": \"f.py:add\", \"args\": [1]}",
        "{\"id\": 2, \"class\": \"f.py:add\", \"constructor_args\": [1]}",
        "{\"id\": 3, \"class\": \"f.py:Counter\", \"method_name\": null}",
        "{\"id\": 4, \"function\": \"f.py:Counter.add\", \"args\": [{\"n\": 1}]}",
    ];
    let responses = answers(sandbox, &lines.map(|line| line.as_bytes().to_vec()));
    assert_eq!(responses[0]["result"], json!(1));
    assert_eq!(failed(&responses[1]), ("not-found", 1, false));
    let error = responses[1]["error"].as_str().unwrap();
    assert!(
        error.contains("is no class, but of class function"),
        "{error}"
    );
    assert_eq!(responses[2]["success"], json!(true), "{}", responses[2]);
    assert_eq!(failed(&responses[3]).0, "raised");
}

/// A message quotes the beginning and the end of what is wrong with a request, however long it is.
fn a_message_about_a_long_request_is_short(sandbox: &Sandbox) {
    let long = "x".repeat(1 << 20);
    let lines = [
        format!("{{\"function\": \"{long}:f\"}}"),
        format!("{{\"function\": \"f.py:{long}\"}}"),
        format!("{{\"function\": \"{long}\"}}"),
        format!("{{\"{long}\": 1}}"),
        format!("{{\"function\": \"f.py:pid\", \"dependencies\": [\"({long}\"]}}"),
        format!("{{\"function\": \"f.py:pid\", \"workdir\": \"{long}\"}}"),
        format!("{{\"instance_id\": \"{long}\"}}"),
        format!("{{\"function\": \"f.py:{long}.py\"}}"),
        format!("{{\"function\": \"{long}.py:f\"}}"),
    ];
    for response in answers(sandbox, &lines.map(String::into_bytes)) {
        assert_eq!(response["success"], json!(false));
        let length = response.to_string().len();
        assert!(length < 20_000, "{length}");
    }
}

/// Files of code and requests that are no files: an error at once, with the name.
fn files_that_are_no_regular_files_are_refused(sandbox: &Sandbox) {
    for (kind, message) in [
        ("fifo", "it is a FIFO, not a regular file"),
        ("zero", "it is a device, not a regular file"),
        ("socket", "it is a socket, not a regular file"),
        ("directory", "is a directory, not a file"),
        ("sparse", "it is larger than 64 MiB"),
        ("loop", "symbolic links"),
    ] {
        let path = sandbox.path(&format!("a_{kind}.py"));
        match kind {
            "fifo" => {
                let made = std::process::Command::new("mkfifo").arg(&path).status();
                assert!(made.unwrap().success());
            }
            "zero" => std::os::unix::fs::symlink("/dev/zero", &path).unwrap(),
            "socket" => drop(std::os::unix::net::UnixListener::bind(&path).unwrap()),
            "directory" => fs::create_dir(&path).unwrap(),
            "sparse" => fs::File::create(&path).unwrap().set_len(1 << 36).unwrap(),
            _ => std::os::unix::fs::symlink(&path, &path).unwrap(),
        }
        let name = format!("a_{kind}.py");
        for arguments in [
            &["call", "one", &format!("{name}:f")][..],
            &["call", "one", "--list", &name],
            &["call", "one", "--request", &name],
        ] {
            let mut shell = std::process::Command::new("/bin/sh");
            shell.args(["-c", "ulimit -v 2000000; exec \"$@\"", "sh"]);
            shell.arg(env!("CARGO_BIN_EXE_rootstock")).args(arguments);
            sandbox.set_up(&mut shell);
            let output = Output::from(shell.stdin(Stdio::null()).output().unwrap());
            let all = format!("{}{}", output.stdout, output.stderr);
            assert!(
                matches!(output.code, Some(1 | 2)),
                "{arguments:?}: {output:?}"
            );
            assert!(all.contains(kind) || arguments[2] == "--request", "{all}");
            if arguments.len() == 3 {
                output.expect(2);
                assert!(all.contains(message), "{arguments:?}: {all}");
            }
        }
    }
}

/// A request that there is no memory for is refused, and the next one is answered.
#[test]
fn a_line_without_an_end_is_refused_in_little_memory() {
    let sandbox = built();
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", "ulimit -v 200000; exec \"$@\"", "sh"]);
    shell.arg(env!("CARGO_BIN_EXE_rootstock"));
    shell.args(["call", "one", "--stream"]);
    sandbox.set_up(&mut shell);
    let mut input = vec![b'x'; 200 << 20];
    input.extend_from_slice(b"\n{\"id\": 2, \"function\": \"f.py:pid\"}\n");
    let output = feed_bytes(&mut shell, &input);
    let lines: Vec<Value> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{output:?}");
    assert_eq!(failed(&lines[0]), ("bad-request", 2, false));
    assert_eq!(lines[1]["success"], json!(true), "{}", lines[1]);
}
