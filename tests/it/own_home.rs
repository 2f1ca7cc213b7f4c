//! Files that a model keeps below the home directory: seen when `sync` loads it, and kept below the cache, for everybody,
//! where the manifest says so.

use std::fs;

use snapbox::str;

use super::sandbox::{Output, Sandbox};

/// Libraries that keep their files in the home directory, in several ways.
const SOURCE: &str = r#"
    import os, pathlib, shutil, subprocess, sys, tempfile
    home = pathlib.Path.home()
    with open(os.environ["CALLS"], "a") as calls:
        calls.write(model + "\n")
    if model == "opens":
        return open(home / "weights" / "there.pt").read()
    if model == "renames":
        draft = home / ".draft"
        draft.write_text("numbers")
        (home / ".cache").mkdir(exist_ok=True)
        draft.rename(home / ".cache" / "final.pt")
    if model == "copies":
        os.makedirs(home / ".matgl", exist_ok=True)
        shutil.copyfile(pathlib.Path(__file__), home / ".matgl" / "copied.pt")
    if model == "processes":
        code = "import pathlib, sys; p = pathlib.Path(sys.argv[1]); p.mkdir(); (p / 'made.pt').write_text('1')"
        subprocess.run([sys.executable, "-c", code, str(home / ".made-by-a-process")], check=True)
    if model == "nothing":
        (home / "empty").touch()
        (home / "x.lock").write_text("pid")
        (home / ".gone").write_text("temporary")
        (home / ".gone").unlink()
    return None
"#;

fn project(models: &[&str]) -> Sandbox {
    let sandbox = Sandbox::single();
    let source = sandbox.read("environments/one.py");
    let source = source.replace("    return None\n", SOURCE);
    sandbox.write("environments/one.py", &source);
    sandbox.more(&format!("keep = [\"CALLS\"]\nmodels = {models:?}"));
    sandbox.write("home/weights/there.pt", "numbers");
    sandbox.write("home/.netrc", "machine localhost login me password secret");
    sandbox.lock();
    sandbox
}

fn sync(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let mut command = sandbox.command(&[&["sync"], arguments].concat());
    command.env("HOME", sandbox.path("home"));
    command.env("CALLS", sandbox.path("calls"));
    Output::from(command.output().unwrap())
}

#[test]
fn files_below_it_are_seen_with_the_line_to_write() {
    let sandbox = project(&["copies", "nothing", "opens", "processes", "renames"]);
    let output = sync(&sandbox, &[]);
    output.expect(0);
    let home = sandbox.path("home").display().to_string();
    for (model, file) in [
        ("copies", ".matgl/copied.pt"),
        ("opens", "weights/there.pt"),
        ("processes", ".made-by-a-process/made.pt"),
        ("renames", ".cache/final.pt"),
    ] {
        let warning = format!(
            "warning: `setup()` of model one-{model} uses files below your home directory, which other users do not have: \
             `{home}/{file}`; write `own-home = true` into `[environments.one]`, then run \
             `rootstock lock && rootstock sync one`"
        );
        assert!(
            output.stderr.contains(&warning),
            "{model}: {}",
            output.stderr
        );
    }
    assert_eq!(
        output.stderr.matches("warning").count(),
        4,
        "{}",
        output.stderr
    );
}

#[test]
fn with_a_line_it_is_one_of_the_environments_own() {
    let sandbox = project(&["copies", "renames"]);
    sandbox.more("own-home = true");
    sandbox.lock();
    let output = sync(&sandbox, &[]);
    output.expect(0);
    assert!(!output.stderr.contains("warning"), "{}", output.stderr);
    assert!(
        output
            .stdout
            .contains("provided 2 models (2 files in the cache)"),
        "{}",
        output.stdout
    );
    for file in [".cache/final.pt", ".matgl/copied.pt"] {
        let path = sandbox.path("root/cache/home/one").join(file);
        assert!(fs::read(&path).is_ok(), "{}", path.display());
        assert!(!sandbox.path("home").join(file).exists());
    }
    // It is that of a command, too, and of a worker: both have the same variables.
    let print = "import pathlib; print(pathlib.Path.home())";
    let output = sandbox.run(&["run", "one", "--", "python", "-c", print]);
    let home = sandbox.path("root/cache/home/one").canonicalize().unwrap();
    let printed = output.expect(0).stdout.trim().to_owned();
    assert_eq!(fs::canonicalize(printed).unwrap(), home);
    // A file that goes is provided again.
    fs::remove_file(home.join(".matgl/copied.pt")).unwrap();
    sync(&sandbox, &[]).expect(0);
    assert!(home.join(".matgl/copied.pt").exists());
}

#[test]
fn two_answers_to_where_it_is_are_refused() {
    let sandbox = project(&["opens"]);
    sandbox.more("own-home = true\nvariables = { HOME = \"{cache}/elsewhere\" }");
    let output = sandbox.run(&["lock"]);
    output.expect(2).stderr_is(
        &sandbox,
        str![[r#"
  × one thing is wrong with the manifest
Error:
  × `own-home` and `HOME` in `variables` both say where the home directory is
    ╭─[rootstock.toml:10:1]
  9 │ models = ["opens"]
 10 │ own-home = true
    · ────┬───
    ·     ╰── here
 11 │ variables = { HOME = "{cache}/elsewhere" }
    ╰────
  help: keep one of the two
"#]],
    );
}
