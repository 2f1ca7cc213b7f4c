//! uv's messages for users of this program: without its drawing, and without options and keys that only uv has.
//! What to do instead is given in ours.

/// What stands in a hint that only users of uv can follow.
const ONLY_UV: [&str; 7] = [
    "`--",
    "tool.uv",
    "uv pip",
    "pyproject.toml",
    "UV_",
    "exclude-newer-package",
    "constraints file",
];

/// uv's words without its drawing; of its hints, the sentences that hold here.
pub(super) fn plain(message: &str) -> String {
    let lines = message.lines().map(|line| {
        let line = line.trim_start_matches([' ', ':', '╰', '─', '▶', '│', '├', '×']);
        line.strip_prefix("cause: ").unwrap_or(line).trim_end()
    });
    let (mut text, mut hints): (Vec<&str>, Vec<String>) = (Vec::new(), Vec::new());
    for line in lines.filter(|line| !line.is_empty()) {
        match (line.strip_prefix("hint: "), hints.last_mut()) {
            (Some(hint), _) => hints.push(hint.to_owned()),
            // A hint goes on to the next one.
            (None, Some(hint)) => {
                hint.push(' ');
                hint.push_str(line);
            }
            (None, None) => text.push(line),
        }
    }
    let mut text: Vec<String> = text.into_iter().map(str::to_owned).collect();
    text.extend(hints.iter().filter_map(|hint| ours(hint)));
    text.join("\n").replace("`--python-version`", "`python`")
}

/// A hint as it holds here.
fn ours(hint: &str) -> Option<String> {
    if missing_requirement(hint).is_some() {
        return None;
    }
    if hint.contains("--prerelease") {
        return Some(
            "hint: only pre-releases fit; they are taken where a requirement names one: `name>=1.0rc1`".to_owned(),
        );
    }
    if hint.contains("`--python-version`") {
        return Some(
            "hint: these packages need another Python; write it as `python = \"3.12\"` in the environment's table".to_owned(),
        );
    }
    if let Some((filtered, _)) = hint.split_once(" Consider using `exclude-newer-package`") {
        return Some(format!(
            "hint: {filtered} For an index that gives no upload times, or to take later files from it, write \
             `exclude-newer = false`, or a moment, into the index's table"
        ));
    }
    let sentences = hint.split_inclusive(". ");
    let holds = |sentence: &&str| !ONLY_UV.iter().any(|word| sentence.contains(word));
    let rest: String = sentences.filter(holds).collect();
    (!rest.trim().is_empty()).then(|| format!("hint: {}", rest.trim()))
}

/// Of a build that could not import something: the package, and what it does not say that it needs.
fn missing_requirement(message: &str) -> Option<(&str, &str)> {
    let (before, after) = message.split_once("` depends on `")?;
    let package = before.rsplit('`').next()?.split('@').next()?;
    let (missing, rest) = after.split_once('`')?;
    rest.starts_with(", but doesn't declare it as a build dependency")
        .then_some((package, missing))
}

/// The message without names, addresses and digests, which may contain any word or number.
fn without_names(message: &str) -> String {
    let unquoted: Vec<&str> = message.split('`').step_by(2).collect();
    let unquoted = unquoted.join("`");
    let words = unquoted
        .split_whitespace()
        .filter(|word| !word.contains("://"));
    words.collect::<Vec<_>>().join(" ")
}

/// What to do about a failure, where uv's words show what it is.
pub(super) fn advice(message: &str) -> Option<String> {
    let own_words = without_names(message);
    let any = |words: &[&str]| words.iter().any(|word| own_words.contains(word));
    if let Some((package, missing)) = missing_requirement(&message.replace('\n', " ")) {
        return Some(format!(
            "`{package}` needs `{missing}` to be built and does not say so; write in the environment's table of the \
             manifest:\n  build-dependencies = {{ {package} = [\"{missing}\"] }}"
        ));
    }
    let text = if any(&["build backend", "failed to build", "Failed to build"]) {
        "building the package fails, not the way to it: a compiler, headers or a build requirement may be missing. A version \
         that is published as a wheel needs no build; what builds it is bounded with `build-constraints` and extended with \
         `build-dependencies`"
    } else if any(&["Git operation failed", "git fetch"]) {
        "the repository and its revision must exist and be reachable from here; credentials are git's business: set up its \
         helper or an ssh key"
    } else if any(&[
        "filename",
        "file name",
        "does not match",
        "Distribution not found",
        "(404 ",
        "(410 ",
    ]) {
        "correct the address or the name in the requirement: a file is called as it was published, and a wheel \
         NAME-VERSION-PYTHON-ABI-PLATFORM.whl"
    } else if any(&["Hash mismatch"]) {
        "the server sent another file than the one that it announced: try again, and if it stays so, report it to the \
         maintainer of the index or mirror"
    } else if any(&["URL dependencies must be expressed as direct"]) {
        "write this requirement under `dependencies` of the environment as well"
    } else if any(&["(401 ", "(403 ", "(407 "]) {
        "the index requires (other) credentials: they are read from netrc, the keyring and UV_INDEX_<NAME>_USERNAME and \
         _PASSWORD"
    } else if any(&[
        "Request failed",
        "error sending request",
        "Failed to fetch",
        "client error",
        "connect error",
        "timed out",
        "dns error",
        "certificate",
        "offline",
        "network",
    ]) {
        "is the package index reachable from here? proxies and mirrors are read from HTTPS_PROXY, UV_DEFAULT_INDEX and \
         SSL_CERT_FILE"
    } else {
        return None;
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_hold_here_or_are_left_out() {
        let text = |hint: &str| plain(&format!("Because x.\n\nhint: {hint}\n"));
        for (hint, left) in [
            (
                "Wheels are available for `x` (v1) on the following platforms: `win_amd64`",
                "Because x.\nhint: Wheels are available for `x` (v1) on the following platforms: `win_amd64`",
            ),
            (
                "`x` was filtered out. Consider `--no-build-isolation`.",
                "Because x.\nhint: `x` was filtered out.",
            ),
            ("Use `uv pip install x`", "Because x."),
        ] {
            assert_eq!(text(hint), left);
        }
        let python = text("The `--python-version` value (>=3.9) is low.\nConsider a higher one.");
        assert!(
            python.contains("`python = \"3.12\"`") && !python.contains("--"),
            "{python}"
        );
    }

    #[test]
    fn what_to_do_follows_from_what_is_wrong() {
        let missing = "The build backend returned an error\nhint: This error likely indicates that `a@1.0` depends on \
                       `torch`,\nbut doesn't declare it as a build dependency. If";
        let advice_ = advice(missing).unwrap();
        assert!(
            advice_.contains("build-dependencies = { a = [\"torch\"] }"),
            "{advice_}"
        );
        for (message, word) in [
            (
                "Failed to build `a`\ncause: The build backend returned an error",
                "build-constraints",
            ),
            (
                "The wheel filename `demo.whl` is invalid: Must have a version",
                "correct the address",
            ),
            (
                "cause: HTTP status client error (404 Not Found) for url",
                "correct the address",
            ),
            (
                "cause: HTTP status client error (401 Unauthorized) for url (http://a/404)",
                "requires (other) credentials",
            ),
            (
                "Hash mismatch for `networkx==404.0`\nExpected:\n sha256:4014\nComputed:\n sha256:4034",
                "another file than the one that it announced",
            ),
            (
                "Failed to fetch: `http://127.0.0.1:40401/filename`\ncause: timed out",
                "is the package index reachable",
            ),
            ("cause: tcp connect error", "is the package index reachable"),
        ] {
            let found = advice(message).unwrap();
            assert!(found.contains(word), "{message}: {found}");
            assert_eq!(
                found.contains("reachable from here?"),
                word.contains("reachable")
            );
        }
        for unknown in [
            "something else",
            "`networkx` 404 http://a/offline",
            "sha256:401403404410",
        ] {
            assert_eq!(advice(unknown), None, "{unknown}");
        }
    }
}
