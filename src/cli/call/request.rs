//! The request of a single call: from the command line, a file or standard input.

use std::io::{self, Read as _};

use serde_json::value::RawValue;

use super::Arguments;
use crate::call::{self, Failure, Kind};
use crate::files;

/// The request, unless they are to be read from a stream.
pub(super) fn request(arguments: &Arguments) -> Result<Option<Vec<u8>>, Failure> {
    if arguments.stream {
        // With `--bundle` the first word may be the function.
        let named = arguments.function.as_ref();
        return named.map_or(Ok(None), |function| {
            let message =
                format!("`{function}` is named, and `--stream` takes requests from standard input");
            Err(Failure::new(
                Kind::BadRequest,
                message,
                "remove one of the two",
            ))
        });
    }
    if let Some(function) = &arguments.function {
        return of_arguments(function, arguments).map(Some);
    }
    if let Some(path) = &arguments.request {
        let bytes = io::Result::and_then(
            files::open(path).map_err(|error| io::Error::other(error.text())),
            read_all,
        );
        return bytes.map(Some).map_err(|error| {
            Failure::new(
                Kind::BadRequest,
                format!("cannot read the request: {error}"),
                "name a file with one JSON object",
            )
        });
    }
    read_all(io::stdin().lock()).map(Some).map_err(|error| {
        Failure::new(
            Kind::BadRequest,
            format!("cannot read the request from standard input: {error}"),
            "",
        )
    })
}

fn read_all(from: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let longest = call::LONGEST_REQUEST;
    from.take(longest as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > longest {
        return Err(io::Error::other("it is longer than 1 GiB"));
    }
    Ok(bytes)
}

/// The request that the command line makes.
fn of_arguments(function: &str, arguments: &Arguments) -> Result<Vec<u8>, Failure> {
    let json = |text: &String, what: &str| {
        strict_json::from_str::<Box<RawValue>>(text).map_err(|error| {
            let error = error.to_string();
            if let Some(advice) = call::values::advice(&error) {
                let message = format!("{what} cannot be read: {error}");
                return Failure::new(Kind::BadRequest, message, advice);
            }
            let quoted = serde_json::Value::from(text.as_str()).to_string();
            Failure::new(
                Kind::BadRequest,
                format!("{what} `{text}` is not JSON"),
                format!("text needs quotes of its own: '{quoted}'"),
            )
        })
    };
    let values = arguments
        .values
        .iter()
        .map(|text| json(text, "the argument"));
    let values: Vec<Box<RawValue>> = values.collect::<Result<_, _>>()?;
    let kwargs = arguments
        .kwargs
        .as_ref()
        .map(|text| json(text, "`--kwargs`"))
        .transpose()?;
    let request = serde_json::to_vec(&Request {
        function,
        args: values,
        kwargs,
    });
    Ok(request.expect("JSON can be written"))
}

#[derive(serde::Serialize)]
struct Request<'a> {
    function: &'a str,
    args: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kwargs: Option<Box<RawValue>>,
}
