//! A new project: a manifest with one small environment, and what git and CI need. Nothing that is there is overwritten:
//! either everything is written, or nothing.

use std::fmt;
use std::path::{Path, PathBuf};

use super::carried;
use crate::files;
use crate::report::line;

/// The name of a manifest.
const MANIFEST: &str = "rootstock.toml";

/// What git has to ignore.
const IGNORED: &str = "/root/";

/// Where a project is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ci {
    /// GitHub Actions.
    Github,
    /// GitLab CI.
    Gitlab,
}

impl Ci {
    fn file(self) -> (&'static str, &'static str) {
        match self {
            Ci::Github => (
                ".github/workflows/rootstock.yml",
                include_str!("../../examples/ci/github.yml"),
            ),
            Ci::Gitlab => (
                ".gitlab-ci.yml",
                include_str!("../../examples/ci/gitlab.yml"),
            ),
        }
    }
}

/// A project cannot be begun.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum Error {
    /// A file operation.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
    /// Something is there already.
    #[error("{} in the way: {}", if paths.len() == 1 { "this is" } else { "these are" }, listed(paths))]
    #[diagnostic(help("{}", about(paths)))]
    InTheWay {
        /// The files that are in the way.
        paths: Vec<PathBuf>,
    },
}

fn listed(paths: &[PathBuf]) -> String {
    let paths = paths.iter().map(|path| format!("`{}`", path.display()));
    paths.collect::<Vec<_>>().join(", ")
}

fn about(paths: &[PathBuf]) -> String {
    let ignore = paths.iter().find(|path| path.ends_with(".gitignore"));
    let ignore = ignore.map_or(String::new(), |path| {
        format!(
            "\nadd the line `{IGNORED}` to `{}`: then it is as it has to be",
            path.display()
        )
    });
    let manifest = if paths.iter().any(|path| path.ends_with(MANIFEST)) {
        "\na project that has a manifest gets more environments with `rootstock add`"
    } else {
        ""
    };
    format!("nothing was written: move them away, or name another directory{manifest}{ignore}")
}

/// What was written, relative to the project.
#[derive(Debug)]
pub(crate) struct Created(Vec<String>);

impl fmt::Display for Created {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(out, format_args!("created {}", self.0.join(", ")))
    }
}

/// Begins a project in a directory, which is made. `system` says whether this machine has a Python for it.
pub(crate) fn init(directory: &Path, ci: Option<Ci>, system: bool) -> Result<Created, Error> {
    let mut wanted = vec![
        ("environments/emt.py".to_owned(), source()),
        (".gitignore".to_owned(), ignore_file()),
    ];
    wanted.extend(ci.map(|ci| {
        let (path, text) = ci.file();
        (path.to_owned(), text.to_owned())
    }));
    // Last: a directory with a manifest is a project.
    wanted.push((MANIFEST.to_owned(), manifest(system)));
    wanted.retain(|(path, _)| path != ".gitignore" || !ignores_root(&directory.join(path)));
    let in_the_way = in_the_way(directory, &wanted);
    if !in_the_way.is_empty() {
        return Err(Error::InTheWay { paths: in_the_way });
    }
    let mut written = Written::default();
    for (path, text) in &wanted {
        if let Err(error) = written.write(&directory.join(path), text) {
            written.take_back();
            return Err(error);
        }
    }
    wanted.rotate_right(1);
    Ok(Created(wanted.into_iter().map(|(path, _)| path).collect()))
}

fn source() -> String {
    carried::find("emt").expect("the catalogue has it").text
}

fn ignore_file() -> String {
    format!("# What rootstock builds.\n{IGNORED}\n__pycache__/\n")
}

fn manifest(system: bool) -> String {
    let (source, why) = if system {
        (
            "system",
            "this machine's Python; \"managed\": the same one everywhere",
        )
    } else {
        (
            "managed",
            "rootstock fetches Python; \"system\": this machine's",
        )
    };
    include_str!("init.manifest.toml")
        .replace(
            "\"{python-source}\"                   #",
            &format!("{:<27}#", format!("\"{source}\"")),
        )
        .replace("{python-why}", why)
}

/// Whether git ignores the root already.
fn ignores_root(path: &Path) -> bool {
    let text = files::read_text(path).unwrap_or_default();
    let ignores = |line: &str| matches!(line.trim(), "root" | "/root" | "root/" | "/root/");
    text.lines().any(ignores)
}

/// What is there already, and what is a file where a directory has to be.
fn in_the_way(directory: &Path, wanted: &[(String, String)]) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    if files::is_no_directory(directory) {
        return vec![directory.to_owned()];
    }
    for (path, _) in wanted {
        let place = directory.join(path);
        let above = Path::new(path).ancestors().skip(1);
        let above = above.map(|above| directory.join(above));
        let blocked = above.filter(|above| files::is_no_directory(above)).last();
        if let Some(blocked) = blocked {
            paths.push(blocked);
        } else if files::exists(&place) {
            paths.push(place);
        }
    }
    paths.sort();
    paths.dedup();
    paths
}

/// What was made so far.
#[derive(Default)]
struct Written {
    files: Vec<PathBuf>,
    directories: Vec<PathBuf>,
}

impl Written {
    fn write(&mut self, place: &Path, text: &str) -> Result<(), Error> {
        let directory = place.parent().unwrap_or(Path::new(""));
        let is_new = |above: &&Path| !above.as_os_str().is_empty() && !files::exists(above);
        let new = directory.ancestors().take_while(is_new);
        self.directories.extend(new.map(Path::to_owned));
        files::create_directories(&Path::new(".").join(directory))?;
        if !files::write_new(place, text.as_bytes())? {
            let paths = vec![place.to_owned()];
            return Err(Error::InTheWay { paths });
        }
        self.files.push(place.to_owned());
        Ok(())
    }

    fn take_back(&mut self) {
        for file in self.files.drain(..) {
            // The error that led here is reported.
            let _ = files::remove_if_present(&file);
        }
        self.directories
            .sort_by_key(|path| std::cmp::Reverse(path.as_os_str().len()));
        for directory in self.directories.drain(..) {
            files::remove_if_empty(&directory);
        }
    }
}
