//! One commit of a repository, fetched by the machine's git. Which commit a name stands for is not decided here.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::files;
use crate::process::{self, Command, find};

/// A commit cannot be had.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// There is no git.
    #[error("`git` is not on PATH; it is needed to fetch `{url}`")]
    #[diagnostic(help("install git, or load its module, so that `git --version` works here"))]
    NoGit {
        /// The repository.
        url: String,
    },
    /// git has failed.
    #[error("git cannot fetch the commit {commit} of `{url}`: {output}")]
    #[diagnostic(help(
        "it must be reachable from here; credentials are git's business: set up its helper or an ssh key"
    ))]
    Failed {
        /// The repository.
        url: String,
        /// The commit.
        commit: String,
        /// The end of its output.
        output: String,
    },
    /// A file of the project is kept elsewhere and could not be fetched from there.
    #[error(
        "`{file}` of `{url}` is kept in Git LFS, and what the commit has is a pointer to it{why}"
    )]
    #[diagnostic(help(
        "install git-lfs, so that `git lfs version` works here; the server must have the file's contents"
    ))]
    Lfs {
        /// The repository.
        url: String,
        /// The file's name.
        file: String,
        /// What was tried.
        why: String,
    },
    /// It cannot be started.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

/// What is checked out must not depend on the user's configuration.
const SETTINGS: [&str; 6] = [
    "core.autocrlf=false",
    "core.eol=lf",
    "core.attributesFile=/dev/null",
    "core.hooksPath=/dev/null",
    "advice.detachedHead=false",
    "init.defaultBranch=main",
];

/// The files of a commit, its submodules included, below the empty directory `into`; those that are kept in Git LFS
/// with their contents, where they lie in the project's own directory `within`. Credentials are git's business:
/// its helpers and `ssh` are used as the user has set them up, and it never asks.
pub(crate) fn fetch(
    url: &str,
    commit: &str,
    within: Option<&str>,
    into: &Path,
    path: &OsStr,
    variables: &BTreeMap<OsString, OsString>,
) -> Result<(), Error> {
    let git = find::find("git", path, variables).ok_or_else(|| Error::NoGit {
        url: url.to_owned(),
    })?;
    files::create_directories(into)?;
    let run_in = |place: &Path, arguments: &[&str]| -> Result<Result<(), String>, Error> {
        let output = Command::new(&git)
            .arguments(SETTINGS.into_iter().flat_map(|setting| ["-c", setting]))
            .arguments(arguments)
            .variables(variables)
            .variables(process::GIT_LIMITS)
            .variable("GIT_TERMINAL_PROMPT", "0")
            .variable("GIT_LFS_SKIP_SMUDGE", "1")
            .variable("LC_ALL", "C.UTF-8")
            .directory(place)
            .run_limited()?;
        Ok(if output.exit.success() {
            Ok(())
        } else {
            Err(process::tail(&output.stderr, 5))
        })
    };
    let run = |arguments: &[&str]| run_in(into, arguments);
    let must = |arguments: &[&str]| -> Result<(), Error> {
        run(arguments)?.map_err(|output| Error::Failed {
            url: url.to_owned(),
            commit: commit.to_owned(),
            output,
        })
    };
    must(&["init", "--quiet"])?;
    // Submodules may have addresses relative to it.
    must(&["remote", "add", "origin", url])?;
    // The commit alone; a server that does not give single commits gives all its branches and tags.
    if run(&["fetch", "--quiet", "--depth=1", url, commit])?.is_err() {
        let all = [
            "+refs/heads/*:refs/remotes/all/*",
            "+refs/tags/*:refs/tags/*",
        ];
        must(&["fetch", "--quiet", url, all[0], all[1]])?;
    }
    must(&["checkout", "--quiet", "--force", commit])?;
    if files::exists(&into.join(".gitmodules")) {
        must(&[
            "submodule",
            "--quiet",
            "update",
            "--init",
            "--recursive",
            "--depth=1",
        ])?;
    }
    contents(url, within, into, &run_in)
}

/// Runs git in a directory; its output if it fails.
type Git<'a> = dyn Fn(&Path, &[&str]) -> Result<Result<(), String>, Error> + 'a;

/// Replaces pointers of Git LFS by what they stand for, in each repository that has some.
fn contents(url: &str, within: Option<&str>, into: &Path, git: &Git) -> Result<(), Error> {
    let project = within.map_or_else(|| into.to_owned(), |within| into.join(within));
    if !files::is_directory(&project) {
        return Ok(());
    }
    let mut done: Option<PathBuf> = None;
    while let Some(file) = files::first_pointer(&project)? {
        let path = project.join(&file);
        let mut above = path.ancestors().skip(1);
        let repository = above.find(|directory| files::exists(&directory.join(".git")));
        let repository = repository.unwrap_or(into);
        let failed = |why: String| Error::Lfs {
            url: url.to_owned(),
            file: within.map_or_else(|| file.clone(), |within| format!("{within}/{file}")),
            why,
        };
        if done.as_deref() == Some(repository) {
            return Err(failed(String::new()));
        }
        // What the project's directory does not have is not fetched, and what a repository excludes is.
        let below = project.strip_prefix(repository).unwrap_or(Path::new(""));
        let include = format!("--include={}", below.join("**").display());
        for arguments in [
            &["lfs", "install", "--local", "--skip-repo", "--skip-smudge"][..],
            &["lfs", "pull", &include, "--exclude="],
        ] {
            git(repository, arguments)?.map_err(|output| failed(format!(": {output}")))?;
        }
        done = Some(repository.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_git_is_named() {
        let temporary = tempfile::tempdir().unwrap();
        let none = BTreeMap::new();
        let into = temporary.path().join("into");
        let error = fetch(
            "https://h/r",
            "1",
            None,
            &into,
            OsStr::new("/nowhere"),
            &none,
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`git` is not on PATH; it is needed to fetch `https://h/r`"
        );
    }
}
