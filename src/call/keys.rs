//! The keys of a request: which there are, which of them say what kind of request it is, and which belong to a kind.

use super::failure::Failure;
use super::fields::Fields;
use crate::manifest::nearest;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// A call of a function.
    Function,
    /// A call of a method of an instance.
    Class,
    /// A call of a task's function.
    Task,
    /// A call of a function with what tasks have put out.
    Aggregate,
}

/// A kind of request.
struct Keys {
    asked: Asked,
    /// In messages, and in the message to Python.
    name: &'static str,
    /// A request with one of these is of this kind.
    deciding: &'static [&'static str],
    /// What it may have beside these and [`COMMON`].
    others: &'static [&'static str],
}

/// Keys of every kind.
const COMMON: &[&str] = &[
    "id",
    "timeout",
    "workdir",
    "want",
    "dependencies",
    "system_dependencies",
    "python",
];

const KINDS: &[Keys] = &[
    Keys {
        asked: Asked::Function,
        name: "function",
        deciding: &["function", "function_name", "function_code"],
        others: &["module", "args", "kwargs"],
    },
    Keys {
        asked: Asked::Class,
        name: "class",
        deciding: &[
            "class",
            "class_name",
            "class_code",
            "instance_id",
            "constructor_args",
            "constructor_kwargs",
            "method_name",
            "create_new_instance",
            "close",
        ],
        others: &["module", "args", "kwargs"],
    },
    Keys {
        asked: Asked::Task,
        name: "task",
        deciding: &["entrypoint", "params", "seed"],
        others: &[],
    },
    Keys {
        asked: Asked::Aggregate,
        name: "aggregate",
        deciding: &["target_entrypoint", "sim_returns", "target_data"],
        others: &[],
    },
];

impl Asked {
    /// Its name in messages, and for Python.
    pub(super) fn name(self) -> &'static str {
        self.keys().name
    }

    fn keys(self) -> &'static Keys {
        let mut kinds = KINDS.iter();
        let found = kinds.find(|keys| keys.asked == self);
        found.expect("every kind is in the table")
    }
}

impl Keys {
    fn has(&self, key: &str) -> bool {
        self.deciding.contains(&key) || self.others.contains(&key) || COMMON.contains(&key)
    }

    fn given_in(&self, fields: &Fields<'_>) -> Option<&'static str> {
        self.deciding.iter().copied().find(|key| fields.has(key))
    }
}

/// What a request asks for; every key must belong to that.
pub(super) fn asked(fields: &Fields<'_>) -> Result<Asked, Failure> {
    for (key, _) in &fields.0 {
        if !KINDS.iter().any(|keys| keys.has(key)) {
            return Err(unknown(key));
        }
    }
    let given = KINDS
        .iter()
        .filter_map(|keys| Some((keys, keys.given_in(fields)?)));
    let given: Vec<_> = given.collect();
    let keys = match given[..] {
        [(keys, _)] => keys,
        [] => {
            return Err(Failure::bad_request(
                "the request does not name what to call",
                "name a function, as in `{\"function\": \"env_source:add\", \"args\": [2, 3]}`, or a class",
            ));
        }
        [(one, first), (other, second), ..] => {
            return Err(Failure::bad_request(
                format!(
                    "the request asks for two things: `{first}` is for a {}, `{second}` for a {}",
                    one.name, other.name
                ),
                "send two requests",
            ));
        }
    };
    match fields.0.iter().find(|(key, _)| !keys.has(key)) {
        None => Ok(keys.asked),
        Some((key, _)) => Err(Failure::bad_request(
            format!("`{key}` does not belong to a request for a {}", keys.name),
            "remove this key",
        )),
    }
}

fn unknown(key: &str) -> Failure {
    let all = KINDS
        .iter()
        .flat_map(|keys| keys.deciding.iter().chain(keys.others));
    let all: Vec<&str> = all.chain(COMMON).copied().collect();
    let near = nearest(key, all.iter().copied());
    let hint = near.map_or_else(
        || format!("the keys are {}", listed(&all)),
        |near| format!("did you mean `{near}`?"),
    );
    Failure::bad_request(format!("unknown key `{key}`"), hint)
}

fn listed(keys: &[&str]) -> String {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys.dedup();
    keys.join(", ")
}
