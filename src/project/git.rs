//! One commit of a repository, fetched by the machine's git. Which commit a name stands for is not decided here.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::files;
use crate::process::{self, Command};

/// A commit cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no git.
    #[error("`git` is not on PATH; it is needed to fetch `{url}`")]
    NoGit {
        /// The repository.
        url: String,
    },
    /// git says no.
    #[error("git cannot fetch the commit {commit} of `{url}`: {said}")]
    Failed {
        /// The repository.
        url: String,
        /// The commit.
        commit: String,
        /// The end of what it said.
        said: String,
    },
    /// It cannot be started.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// A file operation failed.
    #[error(transparent)]
    Files(#[from] files::Error),
}

/// The files of a commit, its submodules included, below the empty directory `into`. Credentials are git's business:
/// its helpers and `ssh` are used as the user has set them up, and it never asks.
pub fn fetch(
    url: &str,
    commit: &str,
    into: &Path,
    path: &OsStr,
    variables: &BTreeMap<OsString, OsString>,
) -> Result<(), Error> {
    let git = program(path).ok_or_else(|| Error::NoGit {
        url: url.to_owned(),
    })?;
    files::create_directories(into)?;
    let run = |arguments: &[&str]| -> Result<Result<(), String>, Error> {
        let output = Command::new(&git)
            // What is checked out must not depend on the user's taste.
            .arguments(["-c", "core.autocrlf=false", "-c", "core.eol=lf"])
            .arguments([
                "-c",
                "core.attributesFile=/dev/null",
                "-c",
                "core.hooksPath=/dev/null",
            ])
            .arguments([
                "-c",
                "advice.detachedHead=false",
                "-c",
                "init.defaultBranch=main",
            ])
            .arguments(arguments)
            .variables(variables)
            .variable("GIT_TERMINAL_PROMPT", "0")
            .variable("GIT_LFS_SKIP_SMUDGE", "1")
            .variable("LC_ALL", "C.UTF-8")
            .directory(into)
            .run()?;
        Ok(if output.exit.success() {
            Ok(())
        } else {
            Err(process::tail(&output.stderr, 5))
        })
    };
    let must = |arguments: &[&str]| -> Result<(), Error> {
        run(arguments)?.map_err(|said| Error::Failed {
            url: url.to_owned(),
            commit: commit.to_owned(),
            said,
        })
    };
    must(&["init", "--quiet"])?;
    // Submodules may say where they are relative to it.
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
    Ok(())
}

fn program(path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|directory| directory.join("git"))
        .find(|program| files::is_executable(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_git_is_told_so() {
        let temporary = tempfile::tempdir().unwrap();
        let none = BTreeMap::new();
        let into = temporary.path().join("into");
        let error = fetch("https://h/r", "1", &into, OsStr::new("/nowhere"), &none).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`git` is not on PATH; it is needed to fetch `https://h/r`"
        );
    }
}
