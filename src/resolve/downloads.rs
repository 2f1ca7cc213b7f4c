//! What only a download gives: digests of weight files and of archives with an interpreter. Nothing is kept: `sync`
//! fetches each file where it belongs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use miette::Diagnostic;

use super::{Context, MeasuredWeight};
use crate::digest::Digest;
use crate::fetch::{self, Client};
use crate::files;
use crate::files::trust::{Trust, own_directory};
use crate::hub;
use crate::manifest::Weight;
use crate::report::Problem;

/// No list of digests is longer.
const LONGEST_LIST: u64 = 16 << 20;

/// Lists of digests by their addresses; `None` where a publisher has none.
#[derive(Default)]
pub(super) struct Lists(Mutex<BTreeMap<String, Option<String>>>);

/// Commit, size and digest of a weight file; the reason, with what to do, if they cannot be had.
pub(super) fn weight(weight: &Weight, context: &Context) -> Result<MeasuredWeight, String> {
    let hub = context.hub;
    let client = hub.client(context.variables).map_err(|e| explained(&e))?;
    let client = client.with(context.credentials_for_weights);
    let Ok(file) = weight.url.parse::<hub::File>() else {
        let (sha256, size) = digest_by_download(&client, &weight.url, &weight.url, context)?;
        return Ok(MeasuredWeight {
            commit: None,
            size: Some(size),
            sha256,
        });
    };
    let known = hub
        .look_up(&client, &file)
        .map_err(|error| explained(&error))?;
    // Of small files the hub does not know the sha256; the manifest may.
    let (sha256, size) = match known.sha256.or(weight.sha256) {
        Some(sha256) => (sha256, known.size),
        None => {
            let address = hub.address(&file.at(&known.commit));
            let (sha256, size) = digest_by_download(&client, &address, &weight.url, context)?;
            (sha256, Some(size))
        }
    };
    Ok(MeasuredWeight {
        commit: Some(known.commit),
        size,
        sha256,
    })
}

/// The digest of the archive at this address, or at the mirror's: from the list beside it, else by a download.
pub(super) fn archive(url: &str, lists: &Lists, context: &Context) -> Result<Digest, String> {
    let mirror = context.mirror;
    let address = mirror.map_or_else(|| url.to_owned(), |mirror| mirror.address(url));
    let client = Client::new(context.variables).map_err(|error| explained(&error))?;
    let (beside, file) = address.rsplit_once('/').unwrap_or_default();
    let list = lists.read(&client, &format!("{beside}/SHA256SUMS"))?;
    if let Some(list) = list
        && let Some(digest) = listed(&list, &file.replace("%2B", "+"))?
    {
        return Ok(digest);
    }
    Ok(digest_by_download(&client, &address, &address, context)?.0)
}

impl Lists {
    /// A list, which is downloaded once however many interpreters are looked for in it.
    fn read(&self, client: &Client, address: &str) -> Result<Option<String>, String> {
        let mut lists = self.0.lock().expect("no thread panics with it");
        if let Some(list) = lists.get(address) {
            return Ok(list.clone());
        }
        let list = match fetch::read(client, address, LONGEST_LIST) {
            Ok(bytes) => {
                let text = String::from_utf8(bytes);
                Some(text.map_err(|_| format!("`{address}` is not UTF-8"))?)
            }
            Err(error) if error.is_absent() => None,
            Err(error) => return Err(explained(&error)),
        };
        lists.insert(address.to_owned(), list.clone());
        Ok(list)
    }
}

/// Downloads a file for its digest and size.
fn digest_by_download(
    client: &Client,
    address: &str,
    name: &str,
    context: &Context,
) -> Result<(Digest, u64), String> {
    (context.remark)(&format!("downloading {name} to learn its sha256 …"));
    let local = |error: files::Error| explained(&error);
    own_directory(context.cache, &Trust::of(context.variables)).map_err(local)?;
    let work = files::temporary_directory(context.cache, "digest-").map_err(local)?;
    let file = work.path().join("file");
    let found = fetch::discover(client, address, &file, &|_| {}).map_err(|e| explained(&e))?;
    if files::is_pointer(&file).map_err(local)? {
        return Err(format!(
            "`{name}` is a Git LFS pointer, not the file itself"
        ));
    }
    Ok(found)
}

/// The digest beside a file's name, in the form of `sha256sum`; `None` if the file is not listed.
fn listed(sums: &str, file: &str) -> Result<Option<Digest>, String> {
    let of_file = sums.lines().filter_map(|line| {
        let (digest, name) = line.split_once(char::is_whitespace)?;
        let name = name.trim_start().trim_start_matches('*');
        (name == file).then_some(digest)
    });
    let digests: Result<BTreeSet<Digest>, _> = of_file.map(str::parse).collect();
    let digests = digests.map_err(|error| format!("in SHA256SUMS, beside `{file}`: {error}"))?;
    if digests.len() > 1 {
        return Err(format!("`{file}` has two digests in SHA256SUMS"));
    }
    Ok(digests.into_iter().next())
}

/// An error, and below it what to do.
fn explained<E: Diagnostic>(error: &E) -> String {
    Problem::from(error).to_string()
}
