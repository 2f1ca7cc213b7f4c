//! What `lock` finds out about a weight file: from the hub, or by downloading it.

use std::collections::BTreeMap;

use super::{context, show};
use crate::digest::Digest;
use crate::fetch::{self, Client};
use crate::files;
use crate::hub::{self, Hub};
use crate::manifest::Weight;
use crate::report::chain;
use crate::resolve::Weighed;

/// Commit, size and digest of a weight file; the reason, with what to do, if they cannot be had.
pub(super) fn weigh(weight: &Weight, hub: &Hub) -> Result<Weighed, String> {
    let client = hub
        .client(&context::kept_environment())
        .map_err(|e| explained(&e))?;
    let credentials = context::credentials(&BTreeMap::new(), &context::uv_environment());
    let client = client.with(&credentials);
    let Ok(file) = weight.url.parse::<hub::File>() else {
        let (sha256, size) = learn(&client, &weight.url, &weight.url)?;
        return Ok(Weighed {
            commit: None,
            size: Some(size),
            sha256,
        });
    };
    let known = hub.look_up(&client, &file).map_err(|error| match error {
        hub::Error::Fetch(error) => explained(&error),
        error => with_advice(&error.to_string(), error.advice()),
    })?;
    // Of small files the hub does not know the sha256; the manifest may.
    let (sha256, size) = match known.sha256.or(weight.sha256) {
        Some(sha256) => (sha256, known.size),
        None => {
            let address = hub.address(&file.at(&known.commit));
            let (sha256, size) = learn(&client, &address, &weight.url)?;
            (sha256, Some(size))
        }
    };
    Ok(Weighed {
        commit: Some(known.commit),
        size,
        sha256,
    })
}

/// Downloads a file to learn its digest and size; it is not kept: `sync` fetches it where it belongs.
fn learn(client: &Client, address: &str, name: &str) -> Result<(Digest, u64), String> {
    show::remark(&format!("downloading {name} to learn its sha256 …"));
    let work =
        context::own_cache().and_then(|cache| files::temporary_directory(&cache, "weights-"));
    let work = work.map_err(|error| format!("{error}: {}", error.source))?;
    let file = work.path().join("file");
    let found = fetch::discover(client, address, &file, &|_| {}).map_err(|e| explained(&e))?;
    match files::is_pointer(&file) {
        Ok(false) => Ok(found),
        Ok(true) => Err(format!(
            "`{name}` is a Git LFS pointer, not the file itself"
        )),
        Err(error) => Err(format!("{error}: {}", error.source)),
    }
}

fn explained(error: &fetch::Error) -> String {
    with_advice(&chain(error), error.advice())
}

fn with_advice(message: &str, advice: Option<&str>) -> String {
    match advice {
        Some(advice) => format!("{message}\n{advice}"),
        None => message.to_owned(),
    }
}
