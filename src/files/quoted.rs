//! Paths in commands that people copy into a shell.

use std::borrow::Cow;
use std::path::Path;

/// A path as a word of a shell command.
pub(crate) fn quoted(path: impl AsRef<Path>) -> String {
    let text = path.as_ref().display().to_string();
    // Only a path with a NUL byte cannot be quoted, and no file has one.
    shlex::try_quote(&text).map_or(text.clone(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_for_a_shell_where_it_must_be() {
        assert_eq!(quoted(Path::new("/a/b-1.0")), "/a/b-1.0");
        assert_eq!(quoted(Path::new("/a b/it's")), "\"/a b/it's\"");
    }
}
