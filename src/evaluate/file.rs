//! From a file to a file.

use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use super::claim::Claim;
use super::journal::{self, Journal};
use super::run::{self, Ends, Progress, Source, Summary};
use super::{Context, Error, Input, record};
use crate::digest::Digest;
use crate::files;
use crate::store::weights;

/// How much of a digest a mark has.
const SHORT: usize = 16;

/// The file that results are written to.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its absolute path.
    pub out: PathBuf,
    /// Whether a former run's file is completed.
    pub resume: bool,
    /// Whether what is there is replaced.
    pub overwrite: bool,
}

/// What a run has written.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) summary: Summary,
    /// `OUT.partial`, if the run was ended before all was done.
    pub(crate) partial: Option<PathBuf>,
    /// Whether there is a finished file.
    pub(crate) is_there: bool,
}

/// The path of a file beside this one.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Evaluates the structures of a file.
pub(crate) fn evaluate(
    context: &Context<'_>,
    input: &Input,
    target: &Target,
    messages: BorrowedFd<'_>,
    progress: &dyn Fn(&Progress),
) -> Result<Written, Error> {
    check(input, target)?;
    let _claim = Claim::take(&target.out)?;
    let notes = notes(context)?;
    let mut journal = open(target, &notes)?;
    let ends = Ends {
        source: Source::File(input),
        sink: &mut journal,
        messages,
        notes: &notes,
        progress,
    };
    match run::run(context, ends) {
        Ok(summary) if summary.stopped.is_some() => Ok(Written {
            summary,
            partial: journal.leave(),
            is_there: false,
        }),
        Ok(summary) => Ok(Written {
            summary,
            partial: None,
            is_there: journal.publish()?,
        }),
        Err(error) => {
            if let Some(partial) = journal.leave() {
                (context.print)(&format!(
                    "rootstock: what was computed is in `{}`; `--resume` computes the rest",
                    partial.display()
                ));
            }
            Err(error)
        }
    }
}

/// Refuses what would destroy the input, or a former run's results.
fn check(input: &Input, target: &Target) -> Result<(), Error> {
    let Target { out, .. } = target;
    let usage = |message: String, help: &str| {
        Err(Error::Usage {
            message,
            help: help.to_owned(),
        })
    };
    if files::is_directory(out) {
        return usage(
            format!("`{}` is a directory", out.display()),
            "name a file in it",
        );
    }
    let partial = journal::partial(out);
    for place in [out, &partial] {
        if files::exists(place)
            && files::real_path(place).ok() == files::real_path(&input.path).ok()
        {
            return usage(
                format!("`{}` is the input itself", place.display()),
                "write to another file",
            );
        }
    }
    if target.resume || target.overwrite {
        return Ok(());
    }
    if files::exists(&partial) {
        return usage(
            format!("`{}` is of a run that was not finished", partial.display()),
            "run the same with `--resume` to compute the rest, or begin anew with `--overwrite`",
        );
    }
    if files::exists(out) {
        return usage(
            format!("`{}` exists", out.display()),
            "compute what it lacks with `--resume`, replace it with `--overwrite`, or write to another file",
        );
    }
    Ok(())
}

fn open(target: &Target, notes: &str) -> Result<Journal, Error> {
    if target.resume {
        return Journal::resume(&target.out, notes);
    }
    if target.overwrite {
        files::remove_if_present(&journal::partial(&target.out))?;
    }
    Journal::create(&target.out)
}

/// What each structure is marked with: what its numbers depend on beside the structure.
fn notes(context: &Context<'_>) -> Result<String, Error> {
    let options = context.options;
    let selected = context.selected;
    let id = selected.generation.file_name().unwrap_or_default();
    let model = options.model.split('@').next().unwrap_or_default();
    let mut notes = format!(
        "{}{model} rootstock_generation={}",
        record::MODEL,
        id.display()
    );
    let mut add = |name: &str, value: &str| {
        notes.push_str(" rootstock_");
        notes.push_str(name);
        notes.push('=');
        notes.push_str(value);
    };
    if let Some(function) = &options.function {
        let digest = function.digest.as_deref().unwrap_or("module");
        add("function", &format!("{}@{digest}", function.name));
    }
    if let Some(properties) = &options.properties {
        add("properties", &properties.join(","));
    }
    if !selected.setup.is_empty() {
        let text = serde_json::to_string(&selected.setup).unwrap_or_default();
        add("setup", &Digest::of(text.as_bytes()).short(SHORT));
    }
    if let Some(weights) = &selected.weights {
        add("weights", &weights::digest(weights)?.short(SHORT));
    }
    Ok(notes)
}
