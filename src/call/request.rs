//! A request: read, checked, and put into the message for Python. Values stay as they are; Python decodes them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::failure::{Failure, Kind};
use super::fields::{Fields, Line};
use super::keys::{self, Asked};
use super::reference::{self, Places};
use super::{tasks, values};
use crate::files;

/// What requests may ask for.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one option of the command"
)]
pub(super) struct Rules<'a> {
    pub(super) places: Places<'a>,
    pub(super) allow_code: bool,
    pub(super) pickle: bool,
    /// Only aggregations.
    pub(super) aggregate: bool,
    /// Only tasks and aggregations.
    pub(super) bare: bool,
    /// For requests without a time of their own.
    pub(super) timeout: Option<Duration>,
    /// Whether the environment has what is required.
    pub(super) check_requirements: &'a dyn Fn(&[String]) -> Result<(), Failure>,
    pub(super) warn: &'a dyn Fn(&str),
}

/// A request that can be sent to Python.
#[derive(Debug)]
pub(super) struct Request {
    /// Sent back as it is.
    pub(super) id: Id,
    /// The message, but for number and working directory.
    pub(super) message: Line,
    pub(super) timeout: Option<Duration>,
    pub(super) workdir: Option<PathBuf>,
    pub(super) instance: Option<Instance>,
}

/// The instance that a request is about.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    /// Its name, if the request has one.
    pub(super) id: Option<String>,
    pub(super) create: bool,
    pub(super) close: bool,
}

/// A request's `id`, which is any JSON value.
pub(super) type Id = Option<Box<RawValue>>;

/// The `id` of a request that is wrong, where it can be read.
pub(super) type Refused = Box<(Id, Failure)>;

/// Reads a request.
pub(super) fn parse(text: &[u8], rules: &Rules<'_>) -> Result<Request, Refused> {
    let fields = read(text).map_err(|failure| Box::new((None, failure)))?;
    let id = id_of(&fields);
    match values::check(text).and_then(|()| checked(&fields, rules)) {
        Ok(request) => Ok(Request { id, ..request }),
        Err(failure) => Err(Box::new((id, failure))),
    }
}

/// The `id` of a request that is not read otherwise.
pub(super) fn id(text: &[u8]) -> Id {
    id_of(&read(text).ok()?)
}

/// An `id` that every program reads alike.
fn id_of(fields: &Fields<'_>) -> Id {
    let id = fields.get("id")?;
    values::check(id.get().as_bytes()).ok()?;
    Some(id.to_owned())
}

fn read(text: &[u8]) -> Result<Fields<'_>, Failure> {
    let hint = "a request is one JSON object on one line, as in `{\"function\": \"env_source:add\", \"args\": [2, 3]}`";
    if text.trim_ascii().is_empty() {
        return Err(Failure::bad_request("the request is empty", hint));
    }
    let text = std::str::from_utf8(text)
        .map_err(|_| Failure::bad_request("the request is not UTF-8", hint))?;
    if text.starts_with('\u{feff}') {
        return Err(Failure::bad_request(
            "the request begins with a byte order mark (U+FEFF)",
            "remove it: JSON is UTF-8 without one",
        ));
    }
    serde_json::from_str(text)
        .map_err(|error| Failure::bad_request(format!("the request cannot be read: {error}"), hint))
}

fn checked(fields: &Fields<'_>, rules: &Rules<'_>) -> Result<Request, Failure> {
    let asked = keys::asked(fields)?;
    check_kind(asked, rules)?;
    let mut message = Line::new();
    message.field("kind", &asked.name());
    let timeout = timeout(fields)?.or(rules.timeout);
    message.field("timeout", &timeout.map(|timeout| timeout.as_secs_f64()));
    message.field("want", &want(fields, rules)?);
    check_dependencies(fields, rules)?;
    if let Some(python) = text(fields, "python")? {
        message.field("python", &python);
    }
    let instance = match asked {
        Asked::Function => {
            code(fields, "function", rules, &mut message)?;
            None
        }
        Asked::Class => Some(class(fields, rules, &mut message)?),
        Asked::Task => {
            tasks::task(fields, rules, &mut message)?;
            None
        }
        Asked::Aggregate => {
            tasks::aggregate(fields, rules, &mut message)?;
            None
        }
    };
    arguments(fields, ["args", "kwargs"], rules, &mut message)?;
    Ok(Request {
        id: None,
        message,
        timeout,
        workdir: workdir(fields, rules.places.directory)?,
        instance,
    })
}

/// Whether the command line allows a request of this kind.
fn check_kind(asked: Asked, rules: &Rules<'_>) -> Result<(), Failure> {
    let refused = |option, what| {
        let message = format!(
            "`{option}` takes only {what}, and this is a {}",
            asked.name()
        );
        Err(Failure::bad_request(
            message,
            format!("remove `{option}`, or send one of these"),
        ))
    };
    match asked {
        Asked::Function | Asked::Class | Asked::Task if rules.aggregate => refused(
            "--aggregate",
            "aggregations (`target_entrypoint`, `sim_returns`)",
        ),
        Asked::Function | Asked::Class if rules.bare => refused("--bare", "tasks and aggregations"),
        _ => Ok(()),
    }
}

/// Where the code of a function or a class is: by reference, or its text.
fn code(
    fields: &Fields<'_>,
    what: &str,
    rules: &Rules<'_>,
    message: &mut Line,
) -> Result<(), Failure> {
    let [name_key, code_key] = ["name", "code"].map(|key| format!("{what}_{key}"));
    let (name, source) = (text(fields, &name_key)?, text(fields, &code_key)?);
    let (module, whole) = (text(fields, "module")?, text(fields, what)?);
    if let Some(source) = source {
        if !rules.allow_code {
            return Err(Failure::new(
                Kind::CodeNotAllowed,
                format!("`{code_key}` has source text"),
                format!("name a {what} by reference, or allow such requests with `--allow-code`"),
            ));
        }
        for other in [what, "module"] {
            refuse_beside(fields, other, &code_key)?;
        }
        message.field(&code_key, &source);
        message.field(&name_key, &name);
        return Ok(());
    }
    let reference = match (whole, name, module) {
        (Some(whole), None, None) => reference::parse(&whole, rules.places)?,
        (None, Some(name), Some(module)) => reference::of_parts(&module, &name, rules.places)?,
        (Some(_), name, _) => {
            let other = if name.is_some() { &name_key } else { "module" };
            return refuse_beside(fields, other, what);
        }
        (None, Some(name), None) => reference::parse(&name, rules.places)?,
        (None, None, _) => {
            return Err(Failure::bad_request(
                format!("the request names no {what}"),
                format!("add `\"{what}\": \"module:name\"`"),
            ));
        }
    };
    message.field("module", &reference.module);
    message.field(&name_key, &reference.name);
    Ok(())
}

fn refuse_beside(fields: &Fields<'_>, key: &str, other: &str) -> Result<(), Failure> {
    if fields.has(key) {
        return Err(Failure::bad_request(
            format!("`{key}` and `{other}` exclude each other"),
            format!("remove `{key}`"),
        ));
    }
    Ok(())
}

fn class(fields: &Fields<'_>, rules: &Rules<'_>, message: &mut Line) -> Result<Instance, Failure> {
    let id = text(fields, "instance_id")?;
    if id.as_ref().is_some_and(String::is_empty) {
        return Err(Failure::bad_request(
            "`instance_id` is empty",
            "name the instance, or remove this key",
        ));
    }
    let names_class = ["class", "class_name", "class_code"]
        .iter()
        .any(|key| fields.has(key));
    let create = flag(fields, "create_new_instance")?.unwrap_or(names_class);
    let close = flag(fields, "close")?.unwrap_or(false);
    if create {
        code(fields, "class", rules, message)?;
        arguments(
            fields,
            ["constructor_args", "constructor_kwargs"],
            rules,
            message,
        )?;
    } else {
        if id.is_none() {
            return Err(Failure::bad_request(
                "the request names neither a class nor an instance",
                "add `\"class\": \"module:name\"` to make one, or `\"instance_id\"` of one that was made before",
            ));
        }
        for key in ["constructor_args", "constructor_kwargs"] {
            refuse_beside(fields, key, "instance_id")?;
        }
    }
    // Closing alone calls nothing.
    let default = (!close || create).then(|| "__call__".to_owned());
    let method = match fields.get("method_name").map(RawValue::get) {
        Some("null") => None,
        _ => text(fields, "method_name")?.or(default),
    };
    message.field("method_name", &method);
    message.field("instance_id", &id);
    message.field("create_new_instance", &create);
    message.field("close", &close);
    Ok(Instance { id, create, close })
}

/// Positional and keyword arguments, unread: JSON, or the base64 text of a pickle.
fn arguments(
    fields: &Fields<'_>,
    keys: [&str; 2],
    rules: &Rules<'_>,
    message: &mut Line,
) -> Result<(), Failure> {
    for (key, (begin, what)) in keys.into_iter().zip([('[', "a list"), ('{', "an object")]) {
        let Some(value) = fields.get(key) else {
            continue;
        };
        let json = value.get();
        let is_pickle = json.starts_with('"');
        if is_pickle && !rules.pickle {
            return Err(Failure::bad_request(
                format!("`{key}` is text, and not {what}"),
                "base64 of a pickle is accepted only with `--pickle`",
            ));
        }
        if !is_pickle && !json.starts_with(begin) && json != "null" {
            return Err(wrong_type(key, what));
        }
        message.raw(key, value);
    }
    Ok(())
}

fn timeout(fields: &Fields<'_>) -> Result<Option<Duration>, Failure> {
    let Some(seconds) = typed::<f64>(fields, "timeout", "a number of seconds")? else {
        return Ok(None);
    };
    let duration = Duration::try_from_secs_f64(seconds).ok();
    let duration = duration.filter(|duration| !duration.is_zero());
    duration
        .map(Some)
        .ok_or_else(|| wrong_type("timeout", "a positive number of seconds"))
}

fn want(fields: &Fields<'_>, rules: &Rules<'_>) -> Result<&'static str, Failure> {
    match text(fields, "want")?.as_deref() {
        None | Some("pickle") if rules.pickle => Ok("pickle"),
        None | Some("json") => Ok("json"),
        Some("pickle") => Err(Failure::bad_request(
            "`want` asks for a pickle",
            "pickles are sent only with `--pickle`",
        )),
        Some(_) => Err(wrong_type("want", "`json` or `pickle`")),
    }
}

fn check_dependencies(fields: &Fields<'_>, rules: &Rules<'_>) -> Result<(), Failure> {
    let what = "a list of requirements";
    if let Some(texts) = typed::<Vec<String>>(fields, "dependencies", what)? {
        (rules.check_requirements)(&texts)?;
    }
    if let Some(names) = typed::<Vec<String>>(fields, "system_dependencies", "a list of texts")?
        && !names.is_empty()
    {
        (rules.warn)(&format!(
            "warning: `system_dependencies` of the request are ignored: {}",
            names.join(", ")
        ));
    }
    Ok(())
}

fn workdir(fields: &Fields<'_>, here: &Path) -> Result<Option<PathBuf>, Failure> {
    let Some(path) = text(fields, "workdir")? else {
        return Ok(None);
    };
    let path = here.join(path);
    if files::is_directory(&path) {
        return Ok(Some(path));
    }
    Err(Failure::bad_request(
        format!("`workdir`: `{}` is no directory", path.display()),
        "make it first, or remove this key: a request then gets a directory of its own",
    ))
}

pub(super) fn text(fields: &Fields<'_>, key: &str) -> Result<Option<String>, Failure> {
    typed(fields, key, "text")
}

fn flag(fields: &Fields<'_>, key: &str) -> Result<Option<bool>, Failure> {
    typed(fields, key, "true or false")
}

/// A field of this type; null counts as none.
fn typed<'a, T: Deserialize<'a>>(
    fields: &Fields<'a>,
    key: &str,
    what: &str,
) -> Result<Option<T>, Failure> {
    let Some(value) = fields.get(key) else {
        return Ok(None);
    };
    serde_json::from_str(value.get()).map_err(|_| wrong_type(key, what))
}

pub(super) fn wrong_type(key: &str, what: &str) -> Failure {
    Failure::bad_request(format!("`{key}` is not {what}"), "")
}
