//! A project of its own with a package index of its own: what `lock` and `sync` need, without the world.
//!
//! Only uv comes from outside: the one that the program under test finds or fetches by itself.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

pub(crate) mod archive;
pub(crate) mod complete;
pub(crate) mod events;
pub(crate) mod index;
pub(crate) mod interpreter;
pub(crate) mod lacking;
mod numbers;
pub(crate) mod person;
pub(crate) mod refuse;
pub(crate) mod output;
pub(crate) mod remote;
pub(crate) mod scripted;
pub(crate) mod sdist;
pub(crate) mod snapshot;
pub(crate) mod trace;
pub(crate) mod wheel;

pub(crate) use index::Index;
pub(crate) use interpreter::Interpreters;
pub(crate) use numbers::{Numbers, setting};
pub(crate) use output::Output;
pub(crate) use sdist::Sdist;
pub(crate) use wheel::Wheel;

/// A temporary project.
pub(crate) struct Sandbox {
    directory: tempfile::TempDir,
    pub(crate) index: Index,
}

impl Sandbox {
    /// A project with these environments, each with its dependencies; the index has no packages yet.
    pub(crate) fn new(environments: &[(&str, &[&str])]) -> Self {
        let sandbox = Self {
            directory: tempfile::tempdir().unwrap(),
            index: Index::start(),
        };
        let mut manifest =
            String::from("[rootstock]\nroot = \"root\"\npython-source = \"system\"\n");
        for (name, dependencies) in environments {
            writeln!(
                manifest,
                "\n[environments.{name}]\nsource = \"environments/{name}.py\"\npython = \"3.11\""
            )
            .unwrap();
            sandbox.write_source(name, dependencies, "");
        }
        sandbox.write("rootstock.toml", &manifest);
        let bin = sandbox.path("bin");
        fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(python(), bin.join("python3.11")).unwrap();
        sandbox
    }

    /// Two environments that share one package: `one` needs `shared` and `first`, `two` needs `shared` and `second`.
    pub(crate) fn shared() -> Self {
        let sandbox = Self::new(&[
            ("one", &["shared", "first"]),
            ("two", &["shared", "second"]),
        ]);
        for name in ["shared", "first", "second"] {
            sandbox.index.add(&Wheel::simple(name, "1.0"));
        }
        sandbox.lock();
        sandbox
    }

    /// One environment, `one`, with one package, `single`, locked.
    pub(crate) fn single() -> Self {
        let sandbox = Self::new(&[("one", &["single"])]);
        sandbox.index.add(&Wheel::simple("single", "1.0"));
        sandbox.lock();
        sandbox
    }

    /// Adds lines to the manifest's last table.
    pub(crate) fn more(&self, lines: &str) {
        let manifest = self.read("rootstock.toml");
        self.write("rootstock.toml", &format!("{manifest}{lines}\n"));
    }

    /// Adds a model of environment `one`, `potential`, whose weights are the file `remote/weights.bin`; locks.
    pub(crate) fn with_weights(self) -> Self {
        self.write("remote/weights.bin", "numbers");
        let url = format!("file://{}", self.path("remote/weights.bin").display());
        let manifest = self.read("rootstock.toml");
        let model = format!(
            "{manifest}\n[models.potential]\nenvironment = \"one\"\nargument = \"p\"\n\
             weights = [{{ url = \"{url}\", path = \"potentials/p.bin\"}}]\n"
        );
        self.write("rootstock.toml", &model);
        self.lock();
        self
    }

    /// Writes the source of an environment.
    pub(crate) fn write_source(&self, environment: &str, dependencies: &[&str], more: &str) {
        let text = format!(
            "# /// script\n# requires-python = \">=3.11\"\n# dependencies = {dependencies:?}\n# ///\n\n\
             def setup(model, device):\n    return None\n{more}"
        );
        self.write(&format!("environments/{environment}.py"), &text);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes a program; renamed into its place, so that no process started meanwhile holds it open for writing.
    pub(crate) fn program(&self, name: &str, text: &str) {
        let draft = format!("{name}.draft");
        self.write(&draft, text);
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(self.path(&draft), executable).unwrap();
        fs::rename(self.path(&draft), self.path(name)).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The names in a directory, sorted; none if it is not there.
    pub(crate) fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(directory)).into_iter().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The program, ready to be started in the project.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rootstock"));
        self.set_up(command.args(arguments));
        command
    }

    /// Gives a command the project's directory and variables.
    pub(crate) fn set_up(&self, command: &mut Command) {
        let exempt = std::env::var("NO_PROXY").unwrap_or_default();
        command
            .current_dir(self.directory.path())
            .env_remove("ROOTSTOCK_ROOT")
            .env_remove("ROOTSTOCK_CLUSTER")
            .env_remove("ROOTSTOCK_CONFIG")
            .env_remove("UV_INDEX_URL")
            .env_remove("ROOTSTOCK_PYTHON_MIRROR")
            // Read only where an interpreter has to be chosen.
            .env(
                "UV_PYTHON_DOWNLOADS_JSON_URL",
                self.path("interpreters.json"),
            )
            .env("PATH", self.path("bin"))
            .env("UV_DEFAULT_INDEX", self.index.url())
            // Ports are reused, and uv caches what an index answers.
            .env("UV_CACHE_DIR", self.path("uv-cache"))
            .env("NO_PROXY", format!("{exempt},127.0.0.1"));
    }

    /// A text without what differs from run to run and from machine to machine.
    pub(crate) fn anywhere(&self, text: &str) -> String {
        let here = self.directory.path();
        let canonical = here.canonicalize().unwrap();
        let machine = format!("linux-{}", std::env::consts::ARCH);
        let text = text
            .replace(&canonical.display().to_string(), "[PROJECT]")
            .replace(&here.display().to_string(), "[PROJECT]")
            .replace(&machine, "[MACHINE]")
            .replace(python_version(), "[PYTHON]");
        let mut parts = text.split("127.0.0.1:");
        let first = parts.next().unwrap().to_owned();
        parts.fold(first, |text, part| {
            let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
            text + "127.0.0.1:[PORT]" + rest
        })
    }

    /// Runs the program.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        Output::from(self.command(arguments).output().unwrap())
    }

    /// Starts the program; its output is for the test that waits for it.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Starts the program with a pipe for its input, too.
    pub(crate) fn start_fed(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Locks; must succeed.
    pub(crate) fn lock(&self) {
        self.run(&["lock"]).expect(0);
    }

    /// Syncs; must succeed.
    pub(crate) fn sync(&self, arguments: &[&str]) -> Output {
        let output = self.run(&[&["sync"], arguments].concat());
        output.expect(0);
        output
    }

    /// Syncs into this root from the bundle `carried`, and from nowhere else; must succeed.
    pub(crate) fn sync_carried(&self, root: &str) {
        self.sync(&["--root", root, "--offline", "--bundle", "carried"]);
    }

    /// The environment's current generation, its link resolved.
    pub(crate) fn generation(&self, root: &str, environment: &str) -> PathBuf {
        self.path(root)
            .join("envs")
            .join(environment)
            .canonicalize()
            .unwrap()
    }

    /// One field of an environment's stamp.
    pub(crate) fn stamp(&self, root: &str, environment: &str, field: &str) -> Value {
        let path = self
            .generation(root, environment)
            .join("rootstock-stamp.json");
        let stamp: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        stamp[field].clone()
    }

    /// Runs the environment's Python.
    pub(crate) fn python(&self, environment: &str, code: &str) -> String {
        let python = self.generation("root", environment).join("bin/python");
        let output = Command::new(python)
            .args(["-I", "-B", "-c", code])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Sends a signal to a process.
pub(crate) fn send(signal: &str, process: u32) {
    let kill = format!("kill -{signal} {process}");
    let sent = Command::new("sh").args(["-c", &kill]).status().unwrap();
    assert!(sent.success());
}

/// Repeats a question until the answer is such: on a busy machine an answer may come too late.
pub(crate) fn retry_until<T>(ask: impl Fn() -> T, is_such: impl Fn(&T) -> bool) -> T {
    let asked = (0..100).map(|_| ask()).find(|answer| is_such(answer));
    asked.unwrap_or_else(ask)
}

/// A name like that which a process of this machine with this number, and which is gone, has given to its staging.
pub(crate) fn maker_like(process: u32) -> String {
    let us = rootstock::files::maker::this_process();
    let parts: Vec<&str> = us.split('-').collect();
    format!("{}-{}-{process}-1", parts[0], parts[1])
}

/// The exact version of this machine's Python 3.11.
pub(crate) fn python_version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let code = "import platform; print(platform.python_version())";
        let output = Command::new(python()).args(["-I", "-c", code]).output();
        let version = String::from_utf8(output.unwrap().stdout).unwrap();
        version.trim().to_owned()
    })
}

/// The Python 3.11 of this machine.
pub(crate) fn python() -> PathBuf {
    let output = Command::new("python3.11")
        .args([
            "-I",
            "-c",
            "import os, sys; print(os.path.realpath(sys._base_executable))",
        ])
        .output()
        .expect("python3.11 is on PATH");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// Everything below a directory with what shows whether it was touched: inode, time of last change, mode.
pub(crate) fn traces(directory: &Path) -> Vec<(PathBuf, u64, i64, i64, u32)> {
    use std::os::unix::fs::MetadataExt;
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            pending.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        let (seconds, nanoseconds) = (metadata.ctime(), metadata.ctime_nsec());
        found.push((path, metadata.ino(), seconds, nanoseconds, metadata.mode()));
    }
    found.sort();
    found
}
