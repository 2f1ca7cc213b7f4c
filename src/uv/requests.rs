//! Which package asks for which: uv's answer as an annotated requirements file, which alone has that, and the addresses as
//! packages write them.

use std::collections::BTreeSet;

/// A package of an answer, and who asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// Its name.
    pub name: String,
    /// The address, as one of those who ask for it writes it, with what is behind its `#`.
    pub address: Option<String>,
    /// The packages that ask for it.
    pub by: BTreeSet<String>,
    /// Whether the question itself asks for it.
    pub is_direct: bool,
}

/// Reads lines of the form `name==1.0  # via other, -r requirements.txt`.
pub(super) fn parse(text: &str) -> Vec<Request> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(['#', '-']));
    lines.map(request).collect()
}

fn request(line: &str) -> Request {
    let (requirement, annotation) = line.split_once("  # via ").unwrap_or((line, ""));
    let end = requirement.find([' ', '=', ';', '[']);
    let name = &requirement[..end.unwrap_or(requirement.len())];
    let address = requirement.split_once(" @ ").map(|(_, address)| {
        let address = address.split_once(" ; ").map_or(address, |(url, _)| url);
        address.trim().to_owned()
    });
    let sources = annotation.split(", ").map(str::trim);
    // Other sources are files: `-r requirements.txt`, `rootstock-question (pyproject.toml)`, `-c constraints.txt`.
    let is_question =
        |source: &&str| source.starts_with("-r ") || source.ends_with("(pyproject.toml)");
    let is_package = |source: &&str| !source.is_empty() && !source.contains(' ');
    Request {
        name: name.to_owned(),
        address,
        by: sources
            .clone()
            .filter(is_package)
            .map(str::to_owned)
            .collect(),
        is_direct: sources.clone().any(|source| is_question(&source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_addresses_and_who_asks_are_read() {
        let text = "# comment\n--index-url https://example.org/simple\n\n\
            lib @ https://example.org/lib-2.0-py3-none-any.whl#egg=lib&sha1=00  # via bad, -r requirements.txt\n\
            torch==2.5.1+cu121  # via rootstock-question (pyproject.toml)\n\
            numpy==2.0 ; python_version >= '3'  # via -c constraints.txt, torch\n";
        let request = |name: &str, address: Option<&str>, by: &[&str], is_direct| Request {
            name: name.to_owned(),
            address: address.map(str::to_owned),
            by: by.iter().map(|&name| name.to_owned()).collect(),
            is_direct,
        };
        let address = "https://example.org/lib-2.0-py3-none-any.whl#egg=lib&sha1=00";
        assert_eq!(
            parse(text),
            [
                request("lib", Some(address), &["bad"], true),
                request("torch", None, &[], true),
                request("numpy", None, &["torch"], false),
            ]
        );
    }
}
