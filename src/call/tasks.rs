//! Requests for tasks and aggregations: read, checked, and put into the message for Python.

use super::failure::Failure;
use super::fields::{Fields, Line};
use super::reference;
use super::request::{Rules, text, wrong_type};

/// The entry point of a request that names none.
const MAIN: &str = "main";

/// A task: `entrypoint`, `params`, `seed`.
pub(super) fn task(
    fields: &Fields<'_>,
    rules: &Rules<'_>,
    message: &mut Line,
) -> Result<(), Failure> {
    let entrypoint = text(fields, "entrypoint")?.unwrap_or_else(|| MAIN.to_owned());
    if entrypoint.contains(':') {
        name(&entrypoint, rules, message)?;
    }
    message.field("entrypoint", &entrypoint);
    match fields.get("params").map(|params| (params, params.get())) {
        Some((params, json)) if json.starts_with('{') => message.raw("params", params),
        None | Some((_, "null")) => {}
        Some(_) => return Err(wrong_type("params", "an object")),
    }
    match fields.get("seed").map(|seed| (seed, seed.get())) {
        Some((seed, json)) if is_integer(json) => message.raw("seed", seed),
        None | Some((_, "null")) => message.field("seed", &None::<u64>),
        Some(_) => return Err(wrong_type("seed", "an integer")),
    }
    Ok(())
}

/// An aggregation: `target_entrypoint`, `sim_returns`, `target_data`.
pub(super) fn aggregate(
    fields: &Fields<'_>,
    rules: &Rules<'_>,
    message: &mut Line,
) -> Result<(), Failure> {
    let Some(target) = text(fields, "target_entrypoint")? else {
        return Err(Failure::bad_request(
            "the request names no function that aggregates",
            "add `\"target_entrypoint\": \"module:name\"`",
        ));
    };
    name(&target, rules, message)?;
    match fields.get("sim_returns") {
        Some(returns) if returns.get().starts_with('[') => message.raw("sim_returns", returns),
        Some(_) => return Err(wrong_type("sim_returns", "a list")),
        None => {
            return Err(Failure::bad_request(
                "the request has nothing to aggregate",
                "add `\"sim_returns\"`: a list of objects with `task_id` and `outputs`",
            ));
        }
    }
    if let Some(data) = fields.get("target_data") {
        message.raw("target_data", data);
    }
    Ok(())
}

/// The function of a reference.
fn name(text: &str, rules: &Rules<'_>, message: &mut Line) -> Result<(), Failure> {
    let reference = reference::parse(text, rules.places)?;
    message.field("module", &reference.module);
    message.field("function_name", &reference.name);
    Ok(())
}

fn is_integer(json: &str) -> bool {
    let digits = json.strip_prefix('-').unwrap_or(json);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}
