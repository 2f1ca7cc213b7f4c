//! `rootstock call` for tasks, aggregations and bundles: outputs with size and checksum, and the shapes of a cold runner.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::sandbox::scripted::Scripted;
use crate::sandbox::{Output, Sandbox, Wheel};

const WIRE: &str = "
def wire(entrypoint, params, seed):
    print('some noise')
    return {'raw': b'ok-%d' % seed}
";

/// A plain project with one task.
fn bundle(sandbox: &Sandbox) {
    sandbox.write(
        "wire/pyproject.toml",
        "[project]\nname = \"mywire\"\nversion = \"0.1.0\"\nrequires-python = \">=3.8\"\ndependencies = []\n\n\
         [project.entry-points.\"modelops.wire\"]\nexecute = \"mywire.wire:wire\"\n",
    );
    sandbox.write("wire/src/mywire/__init__.py", "");
    sandbox.write("wire/src/mywire/wire.py", WIRE);
    sandbox.write(
        "wire/src/targets/agg.py",
        "def loss_one(sim_returns): return {\"loss\": 1.0}\n",
    );
}

/// Runs the program with this on standard input, and these variables.
fn call(sandbox: &Sandbox, arguments: &[&str], input: &str, variables: &[(&str, &str)]) -> Output {
    let scratch = sandbox.path("tmp");
    std::fs::create_dir_all(&scratch).unwrap();
    let mut command = sandbox.command(&[&["call"], arguments].concat());
    command
        .env("TMPDIR", &scratch)
        .env("XDG_CACHE_HOME", sandbox.path("user-cache"));
    command.envs(variables.iter().copied());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap().into()
}

/// The one line of standard output.
#[track_caller]
fn line(output: &Output, code: i32) -> Value {
    output.expect(code);
    assert_eq!(
        output.stdout.lines().count(),
        1,
        "{}\n{}",
        output.stdout,
        output.stderr
    );
    output.json()
}

const OK_7: &str = "b2stNw==";

/// The three smoke tests of a cold runner, word for word.
#[test]
fn a_plain_project_runs_as_in_a_cold_runner() {
    let sandbox = Sandbox::new(&[]);
    bundle(&sandbox);
    let before = crate::sandbox::traces(&sandbox.path("wire"));
    let bare = |more: &[&str], input: &str| {
        call(
            &sandbox,
            &[&["--bundle", "wire", "--bare"], more].concat(),
            input,
            &[],
        )
    };
    let made = line(
        &bare(&[], r#"{"entrypoint":"main","params":{},"seed":7}"#),
        0,
    );
    let keys: Vec<&String> = made.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["task_id", "outputs"]);
    let checksum = "8df833cdd564d9be3c9909b70cdeebe1933e85a3b3a7ffeabef24617bca64f09";
    let raw = &made["outputs"]["raw"];
    assert_eq!((&raw["size"], &raw["inline"]), (&json!(4), &json!(OK_7)));
    assert_eq!(raw["checksum"], checksum);

    let input = r#"{"target_entrypoint":"targets.agg:loss_one","sim_returns":[]}"#;
    let made = line(&bare(&["--aggregation"], input), 0);
    assert_eq!(made, json!({ "loss": 1.0, "n_replicates": 0 }));

    let output = bare(
        &[],
        r#"{"entrypoint":"does.not.exist:fn","params":{},"seed":1}"#,
    );
    let made = line(&output, 1);
    let keys: Vec<&String> = made.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["_fatal_error"]);
    assert_eq!(made["_fatal_error"]["kind"], "not-found");
    assert!(
        output.stderr.contains("there is no module `does`"),
        "{}",
        output.stderr
    );

    assert_eq!(crate::sandbox::traces(&sandbox.path("wire")), before);
    assert_eq!(sandbox.names("tmp"), Vec::<String>::new());
}

#[test]
fn a_project_s_environment_is_kept_where_that_is_wanted() {
    let sandbox = Sandbox::new(&[]);
    bundle(&sandbox);
    let input = r#"{"entrypoint":"main","params":{},"seed":7}"#;
    let run = |more: &[&str], variables: &[(&str, &str)]| {
        let output = call(
            &sandbox,
            &[&["--bundle", "wire"], more].concat(),
            input,
            variables,
        );
        let made = line(&output, 0);
        assert_eq!(made["outputs"]["raw"]["inline"], OK_7);
        (made, output)
    };
    let (first, output) = run(&[], &[("REUSE", "1")]);
    assert!(output.stderr.contains("resolving"), "{}", output.stderr);
    let (second, output) = run(&[], &[("REUSE", "1")]);
    assert!(!output.stderr.contains("resolving"), "{}", output.stderr);
    assert_eq!(first["environment"], second["environment"]);
    assert_eq!(first["task_id"], second["task_id"]);
    assert_eq!(sandbox.names("user-cache/rootstock/call").len(), 1);
    assert_eq!(sandbox.names("tmp"), Vec::<String>::new());
    // Another project file is another environment.
    let project = sandbox
        .read("wire/pyproject.toml")
        .replace("0.1.0", "0.1.1");
    sandbox.write("wire/pyproject.toml", &project);
    run(&[], &[("REUSE", "1")]);
    assert_eq!(sandbox.names("user-cache/rootstock/call").len(), 2);
    for (more, variables) in [(&[][..], &[("PRESERVE_TMP", "1")][..]), (&["--keep"], &[])] {
        let kept = sandbox.names("tmp").len();
        let (_, output) = run(more, variables);
        assert!(output.stderr.contains("kept: "), "{}", output.stderr);
        assert!(sandbox.names("tmp").len() > kept);
    }
    // In a root of its own choice, and what that has already stays.
    let (_, _) = run(&["--root", "root"], &[]);
    assert_eq!(sandbox.names("root/envs"), ["mywire"]);
}

#[test]
fn a_project_with_a_lock_is_synced_into_its_root_and_its_neighbours_stay() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    sandbox.write("locked/rootstock.toml", "[rootstock]\npython-source = \"system\"\n[environments.other]\nsource = \"other.py\"\npython = \"3.11\"\n");
    sandbox.write("locked/other.py", "# /// script\n# dependencies = [\"single\"]\n# ///\ndef setup(model, device): ...\ndef add(a, b): return a + b\n");
    let one = [
        "--bundle",
        "locked",
        "--root",
        "root",
        "env_source:add",
        "2",
        "3",
    ];
    let output = call(&sandbox, &one, "", &[]);
    let made = line(&output, 4);
    let failure = &made["_fatal_error"];
    assert_eq!(failure["kind"], "environment-missing");
    assert!(
        failure["hint"]
            .as_str()
            .unwrap()
            .contains("rootstock lock --manifest"),
        "{failure}"
    );
    sandbox
        .run(&["lock", "--manifest", "locked/rootstock.toml"])
        .expect(0);
    assert_eq!(line(&call(&sandbox, &one, "", &[]), 0)["result"], 5);
    assert_eq!(sandbox.names("root/envs"), ["one", "other"]);
    sandbox
        .run(&["run", "one", "--", "python", "-c", "import single"])
        .expect(0);
    sandbox
        .run(&["run", "other", "--", "python", "-c", "import single"])
        .expect(0);
    let ended = call(
        &sandbox,
        &["--bundle", "locked", "--stream", "env_source:add"],
        "",
        &[],
    );
    assert_eq!(line(&ended, 2)["_fatal_error"]["kind"], "bad-request");
    let before = sandbox.names("root/generations/other");
    // Again there is nothing to do; and in a root of its own it is made of the same store.
    assert_eq!(line(&call(&sandbox, &one, "", &[]), 0)["result"], 5);
    let fresh = [&one[..5], &["--fresh"], &one[5..]].concat();
    let fresh: Vec<&str> = fresh.into_iter().collect();
    assert_eq!(line(&call(&sandbox, &fresh, "", &[]), 0)["result"], 5);
    assert_eq!(sandbox.names("root/generations/other"), before);
    assert_eq!(sandbox.names("tmp"), Vec::<String>::new());
}

/// One environment and a directory with functions for tasks.
fn tasks(functions: &str) -> Sandbox {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    sandbox.write("mine/tasks.py", functions);
    sandbox
}

const TASKS: &str = "
import math
def many(entrypoint, params, seed):
    return {'text': 'äöü', 'json': {'b': [1.5, None], 'a': seed}, 'bytes': bytearray(b'x'), 'empty': b''}
def echo(entrypoint, params, seed):
    return {'seen': [entrypoint, params, seed]}
def no_dict(entrypoint, params, seed):
    return [1]
def no_json(entrypoint, params, seed):
    return {'x': {'y': object()}}
def large(entrypoint, params, seed):
    return {'big': b'x' * 3_000_000}
def loss(sim_returns, target_data=None):
    return {'loss': sum(len(r['outputs'][n]) for r in sim_returns for n in r['outputs']), 'diagnostics': target_data}
def plain(sim_returns):
    return 0.5
def nan(sim_returns):
    return {'loss': math.nan}
def none(sim_returns):
    return {}
def text(sim_returns):
    return {'loss': 'low'}
";

#[test]
fn outputs_have_size_and_checksum_and_a_task_its_id() {
    let sandbox = tasks(TASKS);
    let run = |request: Value, more: &[&str], code| {
        let result = call(
            &sandbox,
            &[&["one", "--path", "mine"], more].concat(),
            &request.to_string(),
            &[],
        );
        (line(&result, code), result.stderr)
    };
    let (made, _) = run(
        json!({ "entrypoint": "tasks:many", "params": {}, "seed": 3 }),
        &[],
        0,
    );
    let output = |name: &str| {
        let output = &made["outputs"][name];
        (
            output["size"].as_u64().unwrap(),
            output["inline"].as_str().unwrap(),
        )
    };
    assert_eq!(output("text"), (6, "w6TDtsO8"));
    assert_eq!(output("json"), (22, "eyJhIjozLCJiIjpbMS41LG51bGxdfQ=="));
    assert_eq!(output("bytes"), (1, "eA=="));
    assert_eq!(output("empty"), (0, ""));
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(made["outputs"]["empty"]["checksum"], empty);
    // The id: the same for the same, another one for anything else.
    let id = |request: Value| {
        let id = run(request, &[], 0).0["task_id"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(id.len(), 64);
        id
    };
    let ids = [
        json!({ "entrypoint": "tasks:echo", "params": {"a": 1, "b": 2.5}, "seed": 1 }),
        json!({ "entrypoint": "tasks:echo", "params": {"a": 2, "b": 2.5}, "seed": 1 }),
        json!({ "entrypoint": "tasks:echo", "params": {"a": 1, "b": 2.5}, "seed": 2 }),
        json!({ "entrypoint": "tasks:many", "params": {"a": 1, "b": 2.5}, "seed": 1 }),
    ]
    .map(id);
    let again = id(json!({ "seed": 1, "params": {"b": 2.5, "a": 1}, "entrypoint": "tasks:echo" }));
    assert_eq!(ids[0], again);
    let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
    for (name, message) in [
        ("no_dict", "the task returned an object of class list"),
        ("no_json", "outputs['x'] is neither bytes nor text nor JSON"),
    ] {
        let (made, _) = run(
            json!({ "entrypoint": format!("tasks:{name}"), "params": {}, "seed": 1 }),
            &[],
            1,
        );
        let failure = &made["_fatal_error"];
        assert_eq!(failure["kind"], "bad-output", "{failure}");
        assert!(
            failure["message"].as_str().unwrap().contains(message),
            "{failure}"
        );
    }
    // No entry point, and several.
    let (made, _) = run(
        json!({ "entrypoint": "main", "params": {}, "seed": 1 }),
        &[],
        1,
    );
    assert_eq!(made["_fatal_error"]["kind"], "not-found");
    let project = "[project]\nname = \"x\"\n[project.entry-points.\"rootstock.task\"]\na = \"tasks:many\"\nb = \"tasks:echo\"\n";
    sandbox.write("mine/pyproject.toml", project);
    let (made, _) = run(
        json!({ "entrypoint": "main", "params": {}, "seed": 1 }),
        &[],
        1,
    );
    let message = made["_fatal_error"]["message"].as_str().unwrap();
    assert!(
        message.contains("`rootstock.task.a = tasks:many`, `rootstock.task.b = tasks:echo`"),
        "{message}"
    );
    sandbox.write(
        "mine/pyproject.toml",
        &project.replace("a = \"tasks:many\"\n", ""),
    );
    let (made, _) = run(json!({ "params": {"k": 1}, "seed": 5 }), &[], 0);
    let inline = made["outputs"]["seen"]["inline"].as_str().unwrap();
    assert_eq!(inline, "WyJtYWluIix7ImsiOjF9LDVd");
}

#[test]
fn large_outputs_go_to_files_where_there_is_a_place_for_them() {
    let sandbox = tasks(TASKS);
    let request = json!({ "entrypoint": "tasks:large", "params": {}, "seed": 1 }).to_string();
    let output = call(&sandbox, &["one", "--path", "mine"], &request, &[]);
    assert_eq!(line(&output, 0)["outputs"]["big"]["size"], 3_000_000);
    assert!(output.stderr.contains("--spill"), "{}", output.stderr);
    let output = call(
        &sandbox,
        &["one", "--path", "mine", "--spill", "spilled"],
        &request,
        &[],
    );
    let made = line(&output, 0);
    let big = &made["outputs"]["big"];
    assert!(big.get("inline").is_none());
    let path = big["path"].as_str().unwrap();
    assert!(
        std::path::Path::new(path).starts_with(sandbox.path("spilled").canonicalize().unwrap()),
        "{path}"
    );
    assert_eq!(std::fs::read(path).unwrap(), vec![b'x'; 3_000_000]);
    assert!(!output.stderr.contains("--spill"), "{}", output.stderr);
    // What was put into a file is read from it.
    let request = json!({ "target_entrypoint": "tasks:loss", "sim_returns": [{ "task_id": "t", "outputs": made["outputs"] }] });
    let output = call(
        &sandbox,
        &["one", "--path", "mine", "--aggregate"],
        &request.to_string(),
        &[],
    );
    assert_eq!(line(&output, 0)["loss"], 3_000_000.0);
}

#[test]
fn an_aggregation_gets_verified_outputs_and_has_a_finite_loss() {
    let sandbox = tasks(TASKS);
    let run = |request: &Value, code| {
        let result = call(
            &sandbox,
            &["one", "--path", "mine", "--aggregate"],
            &request.to_string(),
            &[],
        );
        line(&result, code)
    };
    let abc = json!({
        "size": 3, "inline": "YWJj",
        "checksum": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    });
    let with = |key: &str, value: Value| {
        let mut output = abc.clone();
        output[key] = value;
        json!({ "target_entrypoint": "tasks:loss", "sim_returns": [{ "task_id": "t", "outputs": { "a": abc, "b": output } }] })
    };
    let mut right = with("size", json!(3));
    right["target_data"] = json!({ "energy": [1, 2] });
    let made = run(&right, 0);
    assert_eq!(made["loss"], 6.0);
    assert_eq!(made["n_replicates"], 1);
    assert_eq!(made["diagnostics"], json!({ "energy": [1, 2] }));
    for (key, value, kind) in [
        ("size", json!(4), "bad-output"),
        ("checksum", json!("0".repeat(64)), "bad-output"),
        ("checksum", Value::Null, "bad-output"),
        ("inline", json!("YWJk"), "bad-output"),
        ("inline", json!("!"), "bad-request"),
        ("path", json!("/nowhere"), "bad-request"),
    ] {
        let made = run(
            &with(key, value.clone()),
            if kind == "bad-request" { 2 } else { 1 },
        );
        assert_eq!(made["_fatal_error"]["kind"], kind, "{key}: {value}");
        let message = made["_fatal_error"]["message"].as_str().unwrap();
        assert!(message.contains("sim_returns[0].outputs['b']"), "{message}");
    }
    for (name, expected) in [
        ("plain", Ok(0.5)),
        ("nan", Err("not a finite number")),
        ("none", Err("returned no `loss`")),
        ("text", Err("an object of class str, not a number")),
    ] {
        let request = json!({ "target_entrypoint": format!("tasks:{name}"), "sim_returns": [] });
        match expected {
            Ok(loss) => assert_eq!(run(&request, 0)["loss"], loss),
            Err(message) => {
                let failure = run(&request, 1)["_fatal_error"].clone();
                assert_eq!(failure["kind"], "bad-output", "{failure}");
                assert!(
                    failure["message"].as_str().unwrap().contains(message),
                    "{failure}"
                );
            }
        }
    }
    let made = run(&json!({ "entrypoint": "main" }), 2);
    assert_eq!(made["_fatal_error"]["kind"], "bad-request");
}

/// A plain project that requires packages, some of them by an extra: they are locked, built and found; what is required is checked
/// with its extras.
#[test]
fn the_requirements_of_a_plain_project_are_there_with_their_extras() {
    let sandbox = Sandbox::new(&[]);
    let parent = Wheel::simple("parent", "1.0")
        .requires("child; extra == 'more'")
        .requires("other; extra == 'less'");
    for wheel in [
        parent,
        Wheel::simple("child", "2.0"),
        Wheel::simple("single", "1.0"),
    ] {
        sandbox.index.add(&wheel);
    }
    sandbox.write(
        "wire/pyproject.toml",
        "[project]\nname = \"mywire\"\nversion = \"0.1.0\"\ndependencies = [\"parent[more]>=1\", \"single\"]\n",
    );
    sandbox.write(
        "wire/src/mywire.py",
        "import parent, child, single\nfrom importlib.metadata import version\n\
         def versions(): return [version(name) for name in ('parent', 'child', 'single')]\n",
    );
    let before = crate::sandbox::traces(&sandbox.path("wire"));
    let ask = |dependencies: &[&str]| {
        let request =
            json!({ "function": "mywire:versions", "dependencies": dependencies }).to_string();
        call(&sandbox, &["--bundle", "wire"], &request, &[("REUSE", "1")])
    };
    let made = line(&ask(&["parent[more]", "single>=1"]), 0);
    assert_eq!(made["result"], json!(["1.0", "2.0", "1.0"]));
    for (required, message) in [
        ("parent[less]", "`other` (not installed)"),
        ("single>1", "single>1"),
        ("none", "none"),
        ("child[x]>=3", "child"),
    ] {
        let made = line(&ask(&[required]), 4);
        let failure = &made["_fatal_error"];
        assert_eq!(failure["kind"], "requirements-unmet", "{made}");
        assert!(
            failure["message"].as_str().unwrap().contains(message),
            "{made}"
        );
    }
    // A package that the index has not is an error with its name, and nothing is left.
    let project = sandbox
        .read("wire/pyproject.toml")
        .replace("\"single\"]", "\"absent\"]");
    sandbox.write("wire/pyproject.toml", &project);
    let made = line(&ask(&[]), 4);
    assert!(
        made["_fatal_error"]["kind"] == "environment-missing",
        "{made}"
    );
    assert_eq!(sandbox.names("tmp"), Vec::<String>::new());
    sandbox.write(
        "wire/pyproject.toml",
        &project.replace("\"absent\"]", "\"single\"]"),
    );
    assert_eq!(
        crate::sandbox::traces(&sandbox.path("wire")).len(),
        before.len()
    );
}

/// While an environment is resolved or built for it, a request is answered when a signal ends that.
#[test]
fn a_signal_while_the_environment_is_made_answers_the_request() {
    let project =
        "[project]\nname = \"mywire\"\nversion = \"0.1.0\"\ndependencies = [\"single\"]\n";
    let wheel = "single-1.0-py3-none-any.whl";
    for (signal, code, is_resolving) in [
        ("INT", 130, true),
        ("TERM", 143, true),
        ("INT", 130, false),
        ("HUP", 129, false),
    ] {
        // Another index each time: one that was asked for the wheel before is not waited for.
        let sandbox = Sandbox::single();
        sandbox.write("wire/pyproject.toml", project);
        std::fs::create_dir_all(sandbox.path("tmp")).unwrap();
        let server = Scripted::start(|_, connection| connection.hold());
        sandbox.index.hold(wheel);
        let mut command = sandbox.command(&["call", "--bundle", "wire", "single:f"]);
        command.env("TMPDIR", sandbox.path("tmp"));
        if is_resolving {
            command.env("UV_DEFAULT_INDEX", server.url());
        }
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        if is_resolving {
            while server.requests().is_empty() {
                std::thread::yield_now();
            }
        } else {
            sandbox.index.wait_for(wheel);
        }
        crate::sandbox::send(signal, child.id());
        let output = Output::from(child.wait_with_output().unwrap());
        let made = line(&output, code);
        let failure = &made["_fatal_error"];
        assert_eq!(
            (&failure["kind"], &failure["code"], &failure["retryable"]),
            (&json!("interrupted"), &json!(code), &json!(true))
        );
        assert_eq!(sandbox.names("tmp"), Vec::<String>::new(), "{signal}");
        sandbox.index.release();
    }
}

/// A file that someone has put at the place of an output is replaced, or not written through.
#[test]
fn what_lies_at_the_place_of_an_output_is_not_taken_for_it() {
    let sandbox = tasks(TASKS);
    let request = json!({ "entrypoint": "tasks:large", "params": {}, "seed": 1 }).to_string();
    let run = || {
        let arguments = ["one", "--path", "mine", "--spill", "spilled"];
        let made = line(&call(&sandbox, &arguments, &request, &[]), 0);
        let path = made["outputs"]["big"]["path"].as_str().unwrap().to_owned();
        assert_eq!(std::fs::read(&path).unwrap(), vec![b'x'; 3_000_000]);
        assert!(std::fs::symlink_metadata(&path).unwrap().is_file());
        std::path::PathBuf::from(path)
    };
    let path = run();
    let elsewhere = sandbox.path("elsewhere");
    for kind in ["other", "short", "link", "fifo", "link to nothing", "none"] {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&elsewhere, vec![b'y'; 3_000_000]).unwrap();
        match kind {
            "other" => std::fs::write(&path, vec![b'y'; 3_000_000]).unwrap(),
            "short" => std::fs::write(&path, "x").unwrap(),
            "link" => std::os::unix::fs::symlink(&elsewhere, &path).unwrap(),
            "link to nothing" => std::os::unix::fs::symlink("/nowhere", &path).unwrap(),
            "fifo" => {
                let made = std::process::Command::new("mkfifo").arg(&path).status();
                assert!(made.unwrap().success());
            }
            _ => {}
        }
        run();
        assert_eq!(
            std::fs::read(&elsewhere).unwrap(),
            vec![b'y'; 3_000_000],
            "{kind}"
        );
    }
}

/// Outputs that are given by a path are read from a regular file of their size alone.
#[test]
fn an_output_s_path_that_is_no_regular_file_is_refused() {
    let sandbox = tasks(TASKS);
    let fifo = sandbox.path("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let sparse = sandbox.path("sparse");
    std::fs::File::create(&sparse)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    for (path, message) in [
        (fifo.as_path(), "is no regular file"),
        ("/dev/zero".as_ref(), "is no regular file"),
        (sandbox.path("root").as_path(), "is no regular file"),
        (sparse.as_path(), "and `size` is 3"),
    ] {
        let output = json!({ "size": 3, "checksum": "0".repeat(64), "path": path });
        let request = json!({ "target_entrypoint": "tasks:loss", "sim_returns": [{ "task_id": "t", "outputs": { "o": output } }] });
        let output = call(
            &sandbox,
            &["one", "--path", "mine"],
            &request.to_string(),
            &[],
        );
        let made = output.json();
        assert!(matches!(output.code, Some(1 | 2)), "{output:?}");
        assert!(made["error"].as_str().unwrap().contains(message), "{made}");
    }
}
