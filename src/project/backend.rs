//! The build backend of a project: which one it is (PEP 518), and its hooks called (PEP 517) by a small script with
//! the interpreter the wheel is for. Who installs what the backend needs, and where, is not decided here.
//!
//! What a hook sees of the machine is its compilers (`PATH`) and nothing else: an empty home, one locale, one time, no
//! network (proxies that lead nowhere, and the word "offline" in the variables that tools read).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::files;
use crate::process::{self, Command, Exit};

const SCRIPT: &str = include_str!("backend.py");

/// A project's build backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backend {
    /// What must be installed before it can be asked anything (PEP 508).
    pub requires: Vec<String>,
    /// The module, and the object in it after a colon.
    object: String,
    /// Directories of the project that it may come from.
    path: Vec<String>,
}

/// Where and with what a hook runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hook<'a> {
    /// The project's directory.
    pub project: &'a Path,
    /// The interpreter.
    pub python: &'a Path,
    /// Directories to import from beside the standard library; `None` if the interpreter finds them by itself.
    pub sites: Option<&'a [PathBuf]>,
    /// An empty directory for everything that is left behind.
    pub scratch: &'a Path,
    /// The search path for programs.
    pub path: &'a OsStr,
    /// The version for tools that ask the project's history, where there is no history.
    pub version: Option<&'a str>,
}

/// A backend cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `pyproject.toml` is not valid (PEP 518).
    #[error("its `pyproject.toml` cannot be used: {0}")]
    Project(String),
    /// A hook failed.
    #[error("its build backend `{backend}` {exit}:\n{output}")]
    Failed {
        /// The backend.
        backend: String,
        /// How it ended.
        exit: Exit,
        /// The end of its output.
        output: String,
    },
    /// A hook's answer is not valid (PEP 517).
    #[error("its build backend `{0}` gave no answer that can be read")]
    Answer(String),
    /// The interpreter cannot be started.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// A file operation failed.
    #[error(transparent)]
    Files(#[from] files::Error),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Written {
    build_system: Option<WrittenSystem>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WrittenSystem {
    requires: Vec<String>,
    build_backend: Option<String>,
    #[serde(default)]
    backend_path: Vec<String>,
}

impl Backend {
    /// The backend of the project in this directory; setuptools where it names none (PEP 517).
    pub(crate) fn of(project: &Path) -> Result<Self, Error> {
        let text = files::read_text_if_present(&project.join("pyproject.toml"))?;
        let written: Written = match text {
            Some(text) => toml::from_str(&text)
                .map_err(|error| Error::Project(error.message().trim().to_owned()))?,
            None => Written { build_system: None },
        };
        let system = written.build_system.unwrap_or_else(|| WrittenSystem {
            requires: vec!["setuptools>=40.8.0".to_owned()],
            build_backend: None,
            backend_path: Vec::new(),
        });
        let inside = |directory: &String| {
            !directory.starts_with('/') && directory.split('/').all(|part| part != "..")
        };
        if !system.backend_path.iter().all(inside) {
            return Err(Error::Project(
                "its `backend-path` leads out of the project".to_owned(),
            ));
        }
        Ok(Self {
            requires: system.requires,
            object: system
                .build_backend
                .unwrap_or_else(|| "setuptools.build_meta:__legacy__".to_owned()),
            path: system.backend_path,
        })
    }

    /// What building a wheel takes beside [`Backend::requires`].
    pub(crate) fn requirements(&self, hook: &Hook) -> Result<Vec<String>, Error> {
        self.call(hook, "requires", None)
    }

    /// Builds a wheel into this directory and returns the file's name.
    pub(crate) fn wheel(&self, hook: &Hook, into: &Path) -> Result<String, Error> {
        let name: String = self.call(hook, "wheel", Some(into))?;
        let plain = Path::new(&name).file_name() == Some(OsStr::new(&name));
        if plain && files::exists(&into.join(&name)) {
            Ok(name)
        } else {
            Err(Error::Answer(self.object.clone()))
        }
    }

    fn call<T: DeserializeOwned>(
        &self,
        hook: &Hook,
        name: &str,
        into: Option<&Path>,
    ) -> Result<T, Error> {
        let home = hook.scratch.join("home");
        let temporary = hook.scratch.join("tmp");
        for directory in [&home, &temporary] {
            files::create_directories(directory)?;
        }
        let answer = hook.scratch.join(format!("{name}.json"));
        let request = json!({
            "hook": name,
            "project": hook.project,
            "backend": self.object,
            "backend-path": self.path,
            "sites": hook.sites.unwrap_or_default(),
            "into": into,
            "answer": answer,
        });
        // An interpreter that finds its packages by itself does so as always; another one shall find none but ours.
        let isolated: &[&str] = match hook.sites {
            None => &["-s", "-B"],
            Some(_) => &["-s", "-B", "-S"],
        };
        let output = Command::new(hook.python)
            .arguments(isolated)
            .arguments(["-c", SCRIPT])
            .argument(request.to_string())
            .variables(variables(hook, &home, &temporary))
            .run()?;
        if !output.exit.success() {
            let stdout = String::from_utf8_lossy(&output.stdout);
            let printed = if output.stderr.trim().is_empty() {
                &*stdout
            } else {
                &output.stderr
            };
            return Err(Error::Failed {
                backend: self.object.clone(),
                exit: output.exit,
                output: process::tail(printed, 20),
            });
        }
        let text = files::read_text_if_present(&answer)?.unwrap_or_default();
        strict_json::from_str(&text).map_err(|_| Error::Answer(self.object.clone()))
    }
}

fn variables(hook: &Hook, home: &Path, temporary: &Path) -> BTreeMap<OsString, OsString> {
    let mut variables: BTreeMap<OsString, OsString> = BTreeMap::new();
    let mut set = |name: &str, value: &OsStr| {
        variables.insert(name.into(), value.to_owned());
    };
    set("PATH", hook.path);
    for name in ["HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
        set(name, home.as_os_str());
    }
    set("TMPDIR", temporary.as_os_str());
    set(
        "SOURCE_DATE_EPOCH",
        OsStr::new(&files::REPRODUCIBLE_TIME.to_string()),
    );
    for (name, value) in [
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
        ("PYTHONHASHSEED", "0"),
        ("PYTHONSAFEPATH", "1"),
        ("PYTHONNOUSERSITE", "1"),
        ("PIP_NO_INDEX", "1"),
        ("UV_OFFLINE", "1"),
        ("CARGO_NET_OFFLINE", "true"),
    ] {
        set(name, OsStr::new(value));
    }
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        // The port of the discard protocol: no server listens there.
        set(name, OsStr::new("http://127.0.0.1:9"));
        set(&name.to_uppercase(), OsStr::new("http://127.0.0.1:9"));
    }
    // Compilers write the paths of what they compile into what they make; debuggers' tables are full of them.
    let mut flag = OsString::from("-g0 -ffile-prefix-map=");
    flag.push(hook.scratch);
    flag.push("=/build");
    for name in ["CFLAGS", "CXXFLAGS", "FFLAGS"] {
        set(name, &flag);
    }
    if let Some(version) = hook.version {
        for name in [
            "SETUPTOOLS_SCM_PRETEND_VERSION",
            "PBR_VERSION",
            "POETRY_DYNAMIC_VERSIONING_BYPASS",
        ] {
            set(name, OsStr::new(version));
        }
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files_: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files_ {
            let path = directory.path().join(path);
            files::create_directories(path.parent().unwrap()).unwrap();
            files::write(&path, text.as_bytes()).unwrap();
        }
        directory
    }

    #[test]
    fn a_project_without_a_word_is_built_by_setuptools() {
        let none = project(&[]);
        let backend = Backend::of(none.path()).unwrap();
        assert_eq!(backend.requires, ["setuptools>=40.8.0"]);
        assert_eq!(backend.object, "setuptools.build_meta:__legacy__");
        let only_tools = project(&[("pyproject.toml", "[tool.black]\n")]);
        assert_eq!(Backend::of(only_tools.path()).unwrap(), backend);
        let named = project(&[(
            "pyproject.toml",
            "[build-system]\nrequires = []\nbuild-backend = \"a.b:c\"\nbackend-path = [\"x\"]\n",
        )]);
        assert_eq!(
            Backend::of(named.path()).unwrap(),
            Backend {
                requires: Vec::new(),
                object: "a.b:c".into(),
                path: vec!["x".into()]
            }
        );
    }

    #[test]
    fn a_backend_outside_the_project_is_refused() {
        for text in [
            "[build-system]\nrequires = []\nbackend-path = [\"../x\"]\n",
            "[build-system]\n",
            "nonsense",
        ] {
            let project = project(&[("pyproject.toml", text)]);
            assert!(
                matches!(Backend::of(project.path()), Err(Error::Project(_))),
                "{text}"
            );
        }
    }
}
