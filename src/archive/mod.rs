//! Untrusted archives, examined before anything of them is written: members that would leave the directory, contradict
//! each other, or take unbounded memory are refused. What the members are for is not known here.

pub(crate) mod alike;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub(crate) mod tar;
pub(crate) mod zip;

/// Refuses a path that would leave the directory it is unpacked into, or that no list of files could hold.
pub(crate) fn check_path(path: &str) -> Result<(), &'static str> {
    if path.starts_with('/') {
        return Err("is absolute");
    }
    if path.contains('\\') {
        return Err("has a backslash");
    }
    if path.chars().any(char::is_control) {
        return Err("has a control character");
    }
    if is_too_long(path) {
        return Err("is too long");
    }
    match path
        .split('/')
        .find(|part| matches!(*part, "" | "." | ".."))
    {
        Some("..") => Err("leads out of it"),
        Some(_) => Err("has an empty part"),
        None => Ok(()),
    }
}

/// Whether no filesystem takes this path. A message must be able to show it.
fn is_too_long(path: &str) -> bool {
    path.len() > 2000 || path.split('/').any(|part| part.len() > 255)
}

/// Refuses a link at this path that is unsafe: it must be possible, and stay below the directory of all others.
pub(crate) fn check_link(link: &str, target: &str) -> Result<(), &'static str> {
    if !stays(link, target) {
        return Err("is a link that leaves the archive");
    }
    if target.chars().any(char::is_control) {
        return Err("is a link to a path with a control character");
    }
    if is_too_long(target) {
        return Err("is a link to a path that is too long");
    }
    Ok(())
}

/// Where a link at this path leads, if that is below the same directory.
pub(crate) fn linked(link: &str, target: &str) -> Option<String> {
    check_link(link, target).ok()?;
    let mut parts: Vec<&str> = link.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    Some(parts.join("/")).filter(|path| !path.is_empty())
}

/// Whether a link at this path leads to something below the same directory. Nothing is written through a link, so `..` at
/// the beginning is the parent; after a name it may be anything, because the name may be that of a link.
pub(crate) fn stays(link: &str, target: &str) -> bool {
    let mut depth = link.matches('/').count();
    let mut named = false;
    !target.is_empty()
        && !target.starts_with('/')
        && target.split('/').all(|part| match part {
            ".." if named || depth == 0 => false,
            ".." => {
                depth -= 1;
                true
            }
            "" | "." => true,
            _ => {
                named = true;
                true
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_pass() {
        for good in ["a", "a/b.py", "ü/β", "a b", "..a/b..", "C:"] {
            assert_eq!(check_path(good), Ok(()), "{good}");
        }
        for bad in [
            "", "/a", "a//b", "./a", "a/./b", "../a", "a/..", "a\\b", "a\0b", "a\nb",
        ] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn links_stay_whatever_other_links_there_are() {
        for (link, target) in [
            ("a", "b"),
            ("a/b", "../c"),
            ("a/b/c", "../../d/e"),
            ("a", "./b/"),
            ("a", "b//c"),
        ] {
            assert!(stays(link, target), "{link} {target}");
        }
        assert_eq!(linked("a/b/c", "../d/./e").as_deref(), Some("a/d/e"));
        assert_eq!(linked("a", "./b").as_deref(), Some("b"));
        assert_eq!(linked("a/b", ".."), None);
        assert_eq!(linked("a/b", "../../c"), None);
        for (link, target) in [("a", "b\0c"), ("a", "\n"), ("a", &"b".repeat(256))] {
            assert!(stays(link, target) && check_link(link, target).is_err());
        }
        for (link, target) in [
            ("a", "/etc"),
            ("a", ".."),
            ("a", ""),
            ("a/b", "../../c"),
            ("a/b", "c/../d"),
            ("a/b/c", "../d/../../.."),
        ] {
            assert!(!stays(link, target), "{link} {target}");
        }
    }
}
