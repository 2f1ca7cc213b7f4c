//! Where a function or a class is: `module:qualified.name` or `file.py:NAME`. Looks only whether a file is there; Python finds
//! the rest.

use std::path::{Path, PathBuf};

use super::failure::{Failure, Kind};
use crate::files;
use crate::manifest::nearest_path;

/// A module or a file, and a name in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// A module's name, or a file's absolute path.
    pub(super) module: String,
    /// May have dots.
    pub(super) name: String,
}

/// Where files are looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'a> {
    /// Where `rootstock` was started.
    pub(super) directory: &'a Path,
    /// `--path`.
    pub(super) paths: &'a [PathBuf],
}

/// The reference in a text such as `env_source:add`.
pub(super) fn parse(text: &str, places: Places<'_>) -> Result<Reference, Failure> {
    match text.rsplit_once(':') {
        Some((module, name)) => of_parts(module, name, places),
        None => Err(Failure::bad_request(
            format!("`{text}` does not say where it is"),
            format!(
                "write `module:{0}`, `file.py:{0}`, or `env_source:{0}` for one of the environment's source",
                text.rsplit('.').next().unwrap_or(text)
            ),
        )),
    }
}

/// The same from module and name.
pub(super) fn of_parts(module: &str, name: &str, places: Places<'_>) -> Result<Reference, Failure> {
    let is_name = |name: &str| {
        let mut parts = name.split('.');
        parts.all(|part| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_'))
    };
    if !is_name(name) {
        return Err(Failure::bad_request(
            format!("`{name}` is no name of a function or a class"),
            "write `module:name`",
        ));
    }
    let is_file = module.contains('/')
        || Path::new(module)
            .extension()
            .is_some_and(|extension| extension == "py");
    let module = if is_file {
        file(module, places)?
    } else if is_name(module) {
        module.to_owned()
    } else {
        return Err(Failure::bad_request(
            format!("`{module}` is neither the name of a module nor that of a file"),
            "write `package.module:name` or `file.py:name`",
        ));
    };
    Ok(Reference {
        module,
        name: name.to_owned(),
    })
}

/// The absolute path of a file: in the directory where `rootstock` was started, or in one of `--path`.
fn file(name: &str, places: Places<'_>) -> Result<String, Failure> {
    let directories = places
        .paths
        .iter()
        .flat_map(|path| [path.clone(), path.join("src")]);
    let mut tried = std::iter::once(places.directory.to_owned()).chain(directories);
    let found = tried
        .by_ref()
        .map(|directory| directory.join(name))
        .find(|path| files::exists(path) && !files::is_directory(path));
    let Some(found) = found else {
        if files::is_directory(&places.directory.join(name)) {
            return Err(Failure::bad_request(
                format!("`{name}` is a directory, not a file"),
                "name the file",
            ));
        }
        let near = nearest_path(places.directory, Path::new(name));
        return Err(Failure::new(
            Kind::NotFound,
            format!("there is no file `{name}`"),
            near.map_or_else(
                || {
                    "correct the path; it starts in the current directory or in one of `--path`"
                        .to_owned()
                },
                |near| format!("did you mean `{near}`?"),
            ),
        ));
    };
    files::check_regular(&found)
        .map_err(|error| Failure::bad_request(error.text(), "name a Python file"))?;
    let found = files::absolute(&found).unwrap_or(found);
    found.into_os_string().into_string().map_err(|path| {
        Failure::bad_request(
            format!("the path `{}` is not UTF-8", path.to_string_lossy()),
            "rename the file or its directory",
        )
    })
}
