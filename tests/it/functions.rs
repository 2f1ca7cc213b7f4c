//! What an environment offers to `rootstock call`: listed in the manifest, known from the root alone, read without an import.

use serde_json::{Value, json};
use snapbox::str;

use crate::sandbox::{Output, Sandbox};

const SOURCE: &str = "
from posixpath import join as joined

def add(a: int, b=2, *, scale: float = 1.0) -> int:
    \"\"\"Adds two numbers.

    More of it.
    \"\"\"
    return (a + b) * scale

class Counter:
    \"\"\"Counts up.\"\"\"

    def __init__(self, start=0):
        self.count = start

    def inc(self, by=1):
        \"\"\"One step.\"\"\"
        self.count += by
        return self.count

async def later(): ...

def _hidden(): ...

raise SystemExit(\"this file is imported\")
";

/// One environment with these lines of the manifest, locked and built.
fn built(lines: &str) -> Sandbox {
    let sandbox = Sandbox::single();
    sandbox.write_source("one", &["single"], SOURCE);
    sandbox.more(&format!("prefetch = false\n{lines}"));
    sandbox.lock();
    sandbox.sync(&[]);
    sandbox
}

#[test]
fn what_is_no_reference_is_an_error_in_its_place() {
    let sandbox = Sandbox::single();
    sandbox.write_source("one", &["single"], SOURCE);
    sandbox.more("functions = [\"add\", \"env_source:ad\", \"relax.py:run\", \"a b:c\", \"single:1\", \"env_source:_hidden\", \"single:run\"]");
    let output = sandbox.run(&["lock"]);
    output.expect(2).stderr_is(&sandbox, str![[r#"
  × 5 things are wrong with the manifest
Error:
  × `add` is not a reference to a function
   ╭─[rootstock.toml:8:14]
 7 │ python = "3.11"
 8 │ functions = ["add", "env_source:ad", "relax.py:run", "a b:c", "single:1", "env_source:_hidden", "single:run"]
   ·              ──┬──
   ·                ╰── no `:` between module and name
   ╰────
  help: write `env_source:add` if it is in the environment's source
Error:
  × `environments/one.py` does not define `ad`
   ╭─[rootstock.toml:8:21]
 7 │ python = "3.11"
 8 │ functions = ["add", "env_source:ad", "relax.py:run", "a b:c", "single:1", "env_source:_hidden", "single:run"]
   ·                     ───────┬───────
   ·                            ╰── here
   ╰────
  help: did you mean `env_source:add`?
Error:
  × `relax.py:run` is not a reference to a function
   ╭─[rootstock.toml:8:38]
 7 │ python = "3.11"
 8 │ functions = ["add", "env_source:ad", "relax.py:run", "a b:c", "single:1", "env_source:_hidden", "single:run"]
   ·                                      ───────┬──────
   ·                                             ╰── a file is not part of the environment
   ╰────
  help: write `env_source:NAME` or `package.module:NAME`: files of your own are named when they are called
Error:
  × `a b:c` is not a reference to a function
   ╭─[rootstock.toml:8:54]
 7 │ python = "3.11"
 8 │ functions = ["add", "env_source:ad", "relax.py:run", "a b:c", "single:1", "env_source:_hidden", "single:run"]
   ·                                                      ───┬───
   ·                                                         ╰── the part before `:` is not a module
   ╰────
  help: write `env_source:NAME` or `package.module:NAME`
Error:
  × `single:1` is not a reference to a function
   ╭─[rootstock.toml:8:63]
 7 │ python = "3.11"
 8 │ functions = ["add", "env_source:ad", "relax.py:run", "a b:c", "single:1", "env_source:_hidden", "single:run"]
   ·                                                               ─────┬────
   ·                                                                    ╰── the part after `:` is not a name
   ╰────
  help: write `env_source:NAME` or `package.module:NAME`
"#]]);
    for (value, message) in [
        ("\"env_source:add\"", "`functions` has the wrong type"),
        ("[1]", "wrong type"),
    ] {
        let sandbox = Sandbox::single();
        sandbox.more(&format!("functions = {value}"));
        let output = sandbox.run(&["lock"]);
        output.expect(2);
        assert!(output.message().contains(message), "{}", output.message());
    }
}

/// Listing functions, and listing others, builds nothing again.
#[test]
fn the_list_is_locked_shown_and_part_of_no_generation() {
    let sandbox = built("");
    let id = sandbox.stamp("root", "one", "id");
    assert!(!sandbox.read("rootstock.lock").contains("functions"));
    assert!(!sandbox.read("root/models.json").contains("functions"));
    sandbox.more("functions = [\"single:value\", \"env_source:add\"]");
    let output = sandbox.run(&["lock", "--check", "--json"]);
    assert_eq!(
        output.expect(3).json()["findings"][0]["code"],
        "functions-changed"
    );
    sandbox.lock();
    let line = "functions = [\"env_source:add\", \"single:value\"]\n";
    assert!(sandbox.read("rootstock.lock").contains(line));
    sandbox.sync(&[]);
    assert_eq!(sandbox.stamp("root", "one", "id"), id);
    assert_eq!(sandbox.names("root/generations/one").len(), 1);
    let output = sandbox.run(&["status", "--json"]);
    let listed = &output.expect(0).json()["environments"][0]["functions"];
    assert_eq!(*listed, json!(["env_source:add", "single:value"]));
    let catalogue: Value = serde_json::from_str(&sandbox.read("root/models.json")).unwrap();
    assert_eq!(catalogue["environments"]["one"]["functions"], *listed);
}

/// Runs `call --list` where there is the root alone.
fn list(sandbox: &Sandbox, more: &[&str]) -> Output {
    let root = sandbox.path("root");
    let elsewhere = tempfile::tempdir().unwrap();
    let arguments = ["call", "one", "--list", "--root", root.to_str().unwrap()];
    let mut command = sandbox.command(&[&arguments[..], more].concat());
    Output::from(command.current_dir(elsewhere.path()).output().unwrap())
}

#[test]
fn without_a_list_everything_public_in_the_source_is_shown() {
    let sandbox = built("");
    let expected = "\
env_source:setup(model, device)
env_source:add(a: int, b=2, *, scale: float = 1.0) -> int
    Adds two numbers.
env_source:Counter(start=0)
    Counts up.
  env_source:Counter.inc(by=1)
      One step.
env_source:later()
";
    assert_eq!(list(&sandbox, &[]).expect(0).stdout, expected);
}

#[test]
fn a_list_is_shown_with_signatures_also_of_packages() {
    let sandbox = built(
        "functions = [\"single:value\", \"env_source:Counter.inc\", \"env_source:joined\", \"absent:f\"]",
    );
    let output = list(&sandbox, &["--json"]);
    let listing = output.expect(1).json();
    let stamp = |field| sandbox.stamp("root", "one", field);
    let environment = json!({ "name": "one", "id": stamp("id"), "digest": stamp("digest") });
    assert_eq!(listing["environment"], environment);
    assert_eq!(listing["root"], sandbox.path("root").to_str().unwrap());
    let functions = listing["functions"].as_array().unwrap();
    let of = |reference: &str| {
        let mut all = functions.iter();
        all.find(|entry| entry["reference"] == reference).unwrap()
    };
    assert_eq!(of("absent:f")["error"], "there is no module `absent`");
    assert_eq!(of("env_source:Counter.inc")["signature"], "(by=1)");
    assert_eq!(of("env_source:Counter.inc")["summary"], "One step.");
    assert_eq!(of("env_source:joined")["kind"], "function");
    assert_eq!(of("env_source:joined")["signature"], "(a, *p)");
}

#[test]
fn modules_and_files_of_ones_own_are_read_in_path() {
    let sandbox = built("");
    sandbox.write(
        "mine/relax.py",
        "def run(atoms, fmax=0.05):\n    'Relaxes.'\nimport nowhere\n",
    );
    sandbox.write(
        "mine/deep/__init__.py",
        "from .inner import *\nfrom .inner import work\n",
    );
    sandbox.write("mine/deep/inner.py", "def work(n): 'Works.'\n");
    let path = sandbox.path("mine");
    let with = |more: &[&str]| {
        list(
            &sandbox,
            &[&["--path", path.to_str().unwrap()], more].concat(),
        )
    };
    let relax = "relax:run(atoms, fmax=0.05)\n    Relaxes.\n";
    assert!(with(&[]).expect(0).stdout.ends_with(relax));
    assert_eq!(with(&["relax"]).expect(0).stdout, relax);
    assert_eq!(
        with(&["relax.py:run"]).expect(0).stdout,
        relax.replace("relax:", "relax.py:")
    );
    assert_eq!(
        with(&["deep:work"]).expect(0).stdout,
        "deep:work(n)\n    Works.\n"
    );
    let output = with(&["relax:ruN", "gone.py:f", "deep.inner.work:f"]);
    assert_eq!(
        output.expect(1).stdout,
        "relax:ruN: not found: `relax` has no `ruN`; did you mean `run`?\n\
         gone.py:f: not found: there is no file `gone.py`\n\
         deep.inner.work:f: not found: `deep.inner` is not a package\n"
    );
}

/// The name of an environment with the id of one of its generations means that one, whatever was built later.
#[test]
fn a_generation_is_named_by_its_id() {
    let sandbox = built("models = [\"small\"]");
    let prefix = |name: &str, code| {
        let output = sandbox.run(&[
            "run",
            name,
            "--",
            "python",
            "-c",
            "import sys; print(sys.prefix)",
        ]);
        output.expect(code);
        output
    };
    let first = sandbox.generation("root", "one");
    let id = first.file_name().unwrap().to_str().unwrap().to_owned();
    sandbox.more("dependencies = [\"other\"]");
    sandbox
        .index
        .add(&crate::sandbox::Wheel::simple("other", "1.0"));
    sandbox.lock();
    sandbox.sync(&[]);
    assert_ne!(sandbox.generation("root", "one"), first);
    assert_eq!(
        prefix(&format!("one@{id}"), 0).stdout.trim(),
        first.to_str().unwrap()
    );
    let gone = "0".repeat(32);
    let output = prefix(&format!("one@{gone}"), 4);
    assert!(output.message().contains(&format!(
        "the root has no generation `{gone}` of environment `one`"
    )));
    let output = sandbox.run(&[
        "worker",
        &format!("one-small@{gone}"),
        "--unix",
        "x",
        "--species-from-server",
    ]);
    output.expect(4);
    assert!(
        output.message().contains("no generation"),
        "{}",
        output.stderr
    );
    prefix(&format!("two@{gone}"), 2);
}
