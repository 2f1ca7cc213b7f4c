//! A plain Python project (`pyproject.toml`) as an environment of its own: its requirements become a manifest and a source, its
//! entry points become tasks. The project itself is not installed; its code is found by path.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::files;

/// The groups of entry points that tasks are found in.
pub const GROUPS: [&str; 2] = ["rootstock.task", "modelops.wire"];

/// The name of a project file.
pub const FILE: &str = "pyproject.toml";

/// References to functions, by group and name.
pub type EntryPoints = BTreeMap<String, BTreeMap<String, String>>;

/// What a project file says that matters for a call.
#[derive(Debug, PartialEq, Eq)]
pub struct Project {
    /// Its name, as a package index would write it.
    pub name: String,
    /// The Python versions it runs on.
    pub requires_python: Option<String>,
    /// Its requirements.
    pub dependencies: Vec<String>,
    /// Its tasks.
    pub entry_points: EntryPoints,
}

/// A project file that cannot be used.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// It is not TOML, or a key has another type than it should.
    #[error("the project file cannot be read: {0}")]
    #[diagnostic(help("correct it as the pyproject.toml specification of PyPA says"))]
    Unreadable(String),
    /// Its requirements are known only to its build backend.
    #[error("the project's `{0}` is dynamic: only its build backend knows it")]
    #[diagnostic(help(
        "write it into `[project]`, or add a `rootstock.toml` and its lock to the project"
    ))]
    Dynamic(&'static str),
    /// It changes how its requirements are resolved.
    #[error("the project has `[tool.uv]`, which would have no effect on what is resolved")]
    #[diagnostic(help(
        "add a `rootstock.toml` with its indexes and constraints, and its lock, to the project"
    ))]
    Uv,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    project: Option<Table>,
    tool: Option<Tools>,
}

#[derive(Deserialize)]
struct Tools {
    uv: Option<toml::Table>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct Table {
    name: Option<String>,
    requires_python: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
    #[serde(default)]
    dynamic: Vec<String>,
    #[serde(default)]
    entry_points: EntryPoints,
}

/// Keys of `[tool.uv]` that change what is resolved.
const OF_RESOLUTION: [&str; 7] = [
    "sources",
    "index",
    "index-url",
    "extra-index-url",
    "find-links",
    "constraint-dependencies",
    "override-dependencies",
];

fn read(text: &str) -> Result<File, Error> {
    toml::from_str(text).map_err(|error| Error::Unreadable(error.to_string().trim_end().to_owned()))
}

/// The tasks that a project file declares.
pub fn entry_points(text: &str) -> Result<EntryPoints, Error> {
    let declared = read(text)?.project.unwrap_or_default().entry_points;
    let ours = |group: &String| GROUPS.contains(&group.as_str());
    Ok(declared
        .into_iter()
        .filter(|(group, _)| ours(group))
        .collect())
}

/// The tasks of all projects in these directories.
pub fn entry_points_in(directories: &[PathBuf]) -> Result<EntryPoints, Error> {
    let mut all = EntryPoints::new();
    for directory in directories {
        let file = directory.join(FILE);
        let text =
            files::read_text_if_present(&file).map_err(|error| Error::Unreadable(error.text()))?;
        for (group, points) in text
            .as_deref()
            .map_or(Ok(EntryPoints::new()), entry_points)?
        {
            let known = all.entry(group).or_default();
            for (name, reference) in points {
                known.entry(name).or_insert(reference);
            }
        }
    }
    Ok(all)
}

impl Project {
    /// Reads the text of a project file.
    pub fn read(text: &str) -> Result<Self, Error> {
        let File { project, tool } = read(text)?;
        let project = project.unwrap_or_default();
        let is_dynamic = |name: &&str| project.dynamic.iter().any(|known| known == name);
        if let Some(name) = ["dependencies", "requires-python"]
            .into_iter()
            .find(is_dynamic)
        {
            return Err(Error::Dynamic(name));
        }
        let uv = tool.and_then(|tool| tool.uv).unwrap_or_default();
        if OF_RESOLUTION.iter().any(|key| uv.contains_key(*key)) {
            return Err(Error::Uv);
        }
        Ok(Self {
            name: normalised(project.name.as_deref().unwrap_or("project")),
            requires_python: project.requires_python,
            dependencies: project.dependencies,
            entry_points: entry_points(text)?,
        })
    }

    /// The text of a manifest with this one environment.
    pub fn manifest(&self) -> String {
        let name = toml::Value::from(self.name.clone());
        format!(
            "[rootstock]\npython-source = \"system\"\n\n[environments.{name}]\nsource = \"{SOURCE}\"\nprefetch = false\n"
        )
    }

    /// The text of the environment's source, [`SOURCE`].
    pub fn source(&self) -> String {
        let list = |values: &[String]| toml::Value::from(values.to_vec());
        let python = self.requires_python.as_ref();
        let python = python.map_or_else(String::new, |python| {
            format!(
                "# requires-python = {}\n",
                toml::Value::from(python.clone())
            )
        });
        format!(
            "# /// script\n{python}# dependencies = {}\n# ///\n\n\ndef setup(model, device, **kwargs):\n    \
             raise NotImplementedError(\"a project without a model\")\n",
            list(&self.dependencies)
        )
    }
}

/// The name of the source beside the manifest.
pub const SOURCE: &str = "environment.py";

/// PEP 503: letters in lower case, and one `-` for each run of `-`, `_` and `.`.
fn normalised(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "[project]\nname = \"My_Wire.x\"\nversion = \"1\"\nrequires-python = \">=3.9\"\n\
        dependencies = [\"numpy>=1; python_version < '3.12'\"]\n\
        [project.entry-points.\"modelops.wire\"]\nexecute = \"mywire.wire:wire\"\n\
        [project.entry-points.other]\nx = \"a:b\"\n[build-system]\nrequires = [\"hatchling\"]\n";

    #[test]
    fn requirements_and_tasks_are_read() {
        let project = Project::read(PLAIN).unwrap();
        assert_eq!(project.name, "my-wire-x");
        assert_eq!(project.entry_points.len(), 1);
        assert_eq!(
            project.entry_points["modelops.wire"]["execute"],
            "mywire.wire:wire"
        );
        let source = project.source();
        let block = "# /// script\n# requires-python = \">=3.9\"\n# dependencies = [\"numpy>=1; python_version < '3.12'\"]\n# ///\n";
        assert!(source.starts_with(block), "{source}");
        assert!(
            project
                .manifest()
                .contains("[environments.\"my-wire-x\"]\n")
        );
    }

    #[test]
    fn what_cannot_be_known_is_refused() {
        let with = |more: &str| Project::read(&format!("[project]\nname = \"a\"\n{more}"));
        assert!(matches!(
            with("dynamic = [\"dependencies\"]"),
            Err(Error::Dynamic("dependencies"))
        ));
        assert!(matches!(
            with("[tool.uv.sources]\nx = { path = \"x\" }"),
            Err(Error::Uv)
        ));
        assert!(matches!(
            with("dependencies = \"numpy\""),
            Err(Error::Unreadable(_))
        ));
        assert!(with("[tool.uv]\ndev-dependencies = []").is_ok());
    }
}
