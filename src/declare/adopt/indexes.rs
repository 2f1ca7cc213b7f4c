//! `[[tool.uv.index]]` and `find-links`: indexes beside the default one, as indexes that serve only what is routed to them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::str::FromStr as _;

use html5gum::{Token, Tokenizer};
use pep508_rs::PackageName;

use super::Script;
use super::settings::Settings;
use crate::fetch;
use crate::manifest::{Placed, Section, Text};
use crate::name::IndexName;

/// An index that a script declares.
#[derive(Debug)]
pub(super) struct Declared {
    span: Range<usize>,
    /// `url` or `find-links`.
    key: &'static str,
    address: String,
    is_explicit: bool,
    line: usize,
}

/// Reads `[[tool.uv.index]]`.
pub(super) fn declared(
    text: &mut Text,
    script: &Script,
    uv: &Section,
    settings: &mut Settings,
) -> BTreeMap<String, Declared> {
    let mut all = BTreeMap::new();
    for index in uv.table_list(text, "index", "an index") {
        let flag = |text: &mut Text, key| index.has(key) && index.boolean(text, key) == Some(true);
        for key in [
            "authenticate",
            "publish-url",
            "ignore-error-codes",
            "cache-control",
        ] {
            if index.has(key) {
                let line = script.line(&index.key_span(key));
                settings.remarks.push((
                    line,
                    format!("`{key}` of an index is left out: it says how uv works"),
                ));
            }
        }
        index.check_keys(
            text,
            &[
                "name",
                "url",
                "explicit",
                "default",
                "format",
                "authenticate",
                "publish-url",
                "ignore-error-codes",
                "cache-control",
            ],
        );
        if flag(text, "default") {
            text.complain(
                index.key_span("default"),
                "another default index cannot be taken over",
                "it belongs to the machine, not to the lock",
                Some("set `UV_DEFAULT_INDEX` where you run `rootstock lock`, or route packages to it".to_owned()),
            );
        }
        let (Some(name), Some(url)) = (index.string(text, "name"), index.string(text, "url"))
        else {
            if !index.has("name") || !index.has("url") {
                text.complain(
                    index.span.clone(),
                    "this index has no name or no address",
                    "here",
                    Some("write `name = \"…\"` and `url = \"https://…\"`".to_owned()),
                );
            }
            continue;
        };
        let is_flat = index.has("format")
            && index
                .string(text, "format")
                .is_some_and(|f| f.value == "flat");
        let declared = Declared {
            span: index.key_span("url"),
            key: if is_flat { "find-links" } else { "url" },
            address: address(script, &url.value),
            is_explicit: flag(text, "explicit"),
            line: script.line(&index.key_span("url")),
        };
        all.insert(name.value, declared);
    }
    all
}

/// An address, or the path of a directory as the manifest sees it.
fn address(script: &Script, written: &str) -> String {
    if written.contains("://") {
        written.to_owned()
    } else {
        script
            .relocated(written)
            .unwrap_or_else(|| written.to_owned())
    }
}

/// Keeps the indexes that packages are routed to, under names that a manifest takes.
pub(super) fn settle(
    text: &mut Text,
    declared: BTreeMap<String, Declared>,
    settings: &mut Settings,
) {
    for (name, index) in declared {
        let is_used = settings.routes.values().any(|used| *used == name);
        if !is_used && index.is_explicit {
            settings.remarks.push((
                index.line,
                format!("the index `{name}` is left out: nothing comes from it"),
            ));
            continue;
        }
        if !is_used {
            text.complain(
                index.span,
                format!("the index `{name}` would serve any package"),
                "rootstock asks an index only for the packages that are routed to it",
                Some(format!(
                    "name what comes from it: `[tool.uv.sources]` with `torch = {{ index = \"{name}\" }}`, and `explicit = true`"
                )),
            );
            continue;
        }
        if !index.is_explicit {
            let remark = format!(
                "the index `{name}` is not `explicit`: uv would ask it for every package, rootstock only for what `sources` routes to it"
            );
            settings.remarks.push((index.line, remark));
        }
        let Some(valid) = valid_name(&name) else {
            text.complain(
                index.span,
                format!("`{name}` is not an index name"),
                "lower-case letters, digits, `-`, `_` and `.`",
                Some("give the index another `name`".to_owned()),
            );
            continue;
        };
        for route in settings.routes.values_mut().filter(|route| **route == name) {
            route.clone_from(&valid);
        }
        settings.indexes.insert(valid, (index.key, index.address));
    }
}

fn valid_name(name: &str) -> Option<String> {
    match IndexName::from_str(name) {
        Ok(_) => Some(name.to_owned()),
        Err(invalid) => invalid
            .suggestion()
            .filter(|better| IndexName::from_str(better).is_ok()),
    }
}

/// `find-links`: uv takes any package from there. What the page has of the script's own dependencies is routed to it.
pub(super) fn find_links(text: &mut Text, script: &Script, uv: &Section, settings: &mut Settings) {
    for (number, link) in uv.strings(text, "find-links").into_iter().enumerate() {
        let names = match packages(script, &link) {
            Ok(names) => names,
            Err(reason) => {
                text.complain(
                    link.span,
                    "what `find-links` has cannot be found out",
                    reason,
                    Some(
                        "run this where the page can be reached, or write it as `[[tool.uv.index]]` with `format = \"flat\"` and \
                         route packages to it in `sources`"
                            .to_owned(),
                    ),
                );
                continue;
            }
        };
        let wanted: Vec<&PackageName> = script.names.intersection(&names).collect();
        let line = script.line(&link.span);
        if wanted.is_empty() {
            let remark = "`find-links` is left out: none of `dependencies` is there".to_owned();
            settings.remarks.push((line, remark));
            continue;
        }
        let name = match number {
            0 => format!("{}-links", script.name),
            number => format!("{}-links-{}", script.name, number + 1),
        };
        let routed: Vec<String> = wanted
            .iter()
            .map(|package| format!("`{package}`"))
            .collect();
        settings.remarks.push((
            line,
            format!("`find-links` serves only {} here", routed.join(", ")),
        ));
        for package in wanted {
            settings
                .routes
                .entry(package.clone())
                .or_insert_with(|| name.clone());
        }
        settings
            .indexes
            .insert(name, ("find-links", address(script, &link.value)));
    }
}

/// The packages of a page with links, or of a directory with files.
fn packages(script: &Script, link: &Placed<String>) -> Result<BTreeSet<PackageName>, String> {
    let files = if link.value.contains("://") {
        let page = (script.page)(&link.value)?;
        links(&page)
    } else {
        script.files(&link.value)?
    };
    Ok(files.iter().filter_map(|file| package(file)).collect())
}

/// The files that a page of HTML links to.
fn links(page: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for Ok(token) in Tokenizer::new(page) {
        let Token::StartTag(tag) = token else {
            continue;
        };
        let attributes = tag.attributes.iter();
        let href = attributes.filter(|(key, _)| key.as_slice() == b"href");
        for (_, value) in href.filter(|_| tag.name.as_slice() == b"a") {
            names.extend(fetch::file_name(&String::from_utf8_lossy(value)));
        }
    }
    names
}

/// The package of a file: `torch_scatter-2.1.2+pt24cpu-cp311-cp311-linux_x86_64.whl`, `torch-scatter-2.1.2.tar.gz`.
fn package(file: &str) -> Option<PackageName> {
    let name = match file.strip_suffix(".whl") {
        Some(wheel) => wheel.split('-').next()?,
        None => {
            let ending = [".tar.gz", ".tgz", ".zip"]
                .into_iter()
                .find_map(|end| file.strip_suffix(end))?;
            ending.rsplit_once('-')?.0
        }
    };
    PackageName::from_str(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_name_their_packages() {
        let name = |file: &str| package(file).map(|name| name.to_string());
        assert_eq!(
            name("torch_scatter-2.1.2+pt24cpu-cp311-cp311-linux_x86_64.whl").as_deref(),
            Some("torch-scatter")
        );
        assert_eq!(
            name("torch-scatter-2.1.2.tar.gz").as_deref(),
            Some("torch-scatter")
        );
        assert_eq!(name("index.html"), None);
    }

    #[test]
    fn links_of_a_page_are_its_files() {
        let page = b"<!DOCTYPE html><a href=\"torch-2.4.0%2Bcu121/a-1%2Bx-py3-none-any.whl\">a</a><A HREF=b-1.zip>b</A><p href=c>";
        assert_eq!(links(page), ["a-1+x-py3-none-any.whl", "b-1.zip"]);
    }
}
