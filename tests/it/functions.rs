//! What an environment offers to `rootstock call`: listed in the manifest, known from the root alone, read without an import.

use serde_json::{Value, json};
use snapbox::str;

use crate::sandbox::Sandbox;

const SOURCE: &str = "
from os.path import join as joined

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
    let said = sandbox.run(&["lock"]);
    said.expect(2).stderr_is(&sandbox, str![[r#"
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
        let said = sandbox.run(&["lock"]);
        said.expect(2);
        assert!(said.told().contains(message), "{}", said.told());
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
    let said = sandbox.run(&["lock", "--check", "--json"]);
    assert_eq!(
        said.expect(3).json()["findings"][0]["code"],
        "functions-changed"
    );
    sandbox.lock();
    let line = "functions = [\"env_source:add\", \"single:value\"]\n";
    assert!(sandbox.read("rootstock.lock").contains(line));
    sandbox.sync(&[]);
    assert_eq!(sandbox.stamp("root", "one", "id"), id);
    assert_eq!(sandbox.names("root/generations/one").len(), 1);
    let said = sandbox.run(&["status", "--json"]);
    let listed = &said.expect(0).json()["environments"][0]["functions"];
    assert_eq!(*listed, json!(["env_source:add", "single:value"]));
    let catalogue: Value = serde_json::from_str(&sandbox.read("root/models.json")).unwrap();
    assert_eq!(catalogue["environments"]["one"]["functions"], *listed);
}

/// The name of an environment with the id of one of its generations means that one, whatever was built later.
#[test]
fn a_generation_is_named_by_its_id() {
    let sandbox = built("models = [\"small\"]");
    let prefix = |name: &str, code| {
        let said = sandbox.run(&[
            "run",
            name,
            "--",
            "python",
            "-c",
            "import sys; print(sys.prefix)",
        ]);
        said.expect(code);
        said
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
    let said = prefix(&format!("one@{gone}"), 4);
    assert!(said.told().contains(&format!(
        "the root has no generation `{gone}` of environment `one`"
    )));
    let said = sandbox.run(&[
        "worker",
        &format!("one-small@{gone}"),
        "--unix",
        "x",
        "--species-from-server",
    ]);
    said.expect(4);
    assert!(said.told().contains("no generation"), "{}", said.stderr);
    prefix(&format!("two@{gone}"), 2);
}
