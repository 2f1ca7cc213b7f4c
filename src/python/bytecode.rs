//! Which files Python compiles, which of them are compiled when they are installed, and where Python looks for bytecode.

/// Where Python keeps bytecode, beside the sources.
const CACHE: &str = "__pycache__";

/// Whether a module belongs to tests: it lies in a directory that is called so.
pub(crate) fn is_test(path: &str) -> bool {
    let directories = path.rsplit_once('/').map_or("", |(above, _)| above);
    let mut names = directories.split('/');
    names.any(|name| matches!(name, "tests" | "test"))
}

/// Whether Python may import this file. A line end in its name could not be handed over; wheels have none.
pub(crate) fn is_module(path: &str) -> bool {
    path.strip_suffix(".py")
        .is_some_and(|stem| !stem.is_empty() && !stem.ends_with('/'))
}

/// Whose bytecode Python may take a file with this path for: `a/__pycache__/b.cpython-311.opt-1.pyc` and `a/b.pyc` are
/// `a/b.py`. A name with more dots may be that of several.
pub(crate) fn sources_of(path: &str) -> impl Iterator<Item = String> {
    let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = file.strip_suffix(".pyc").unwrap_or("");
    let cached = directory == CACHE || directory.ends_with(&format!("/{CACHE}"));
    let directory = if cached {
        directory[..directory.len() - CACHE.len()].to_owned()
    } else if directory.is_empty() {
        String::new()
    } else {
        format!("{directory}/")
    };
    let dots = stem.match_indices('.').map(|(at, _)| at);
    let ends: Vec<usize> = if stem.is_empty() {
        Vec::new()
    } else if cached {
        dots.collect()
    } else {
        vec![stem.len()]
    };
    let stem = stem.to_owned();
    ends.into_iter()
        .map(move |end| format!("{directory}{}.py", &stem[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_recognised_by_their_directories() {
        for path in [
            "a/tests/b.py",
            "tests/b.py",
            "a/test/c/d.py",
            "a/tests/__init__.py",
        ] {
            assert!(is_test(path), "{path}");
        }
        for path in [
            "tests.py",
            "a/test.py",
            "a/testing/b.py",
            "a/latest/b.py",
            "a/test_b.py",
        ] {
            assert!(!is_test(path), "{path}");
        }
    }

    #[test]
    fn bytecode_belongs_to_the_sources_that_python_would_take_it_for() {
        for (path, expected) in [
            ("a/__pycache__/b.cpython-311.pyc", &["a/b.py"][..]),
            ("__pycache__/b.pypy39.pyc", &["b.py"]),
            (
                "a/__pycache__/b.cpython-311.opt-1.pyc",
                &["a/b.py", "a/b.cpython-311.py"],
            ),
            ("a/b.pyc", &["a/b.py"]),
            ("b.pyc", &["b.py"]),
            ("a/x__pycache__/b.pyc", &["a/x__pycache__/b.py"]),
            ("a/__pycache__/b.pyc", &[]),
            ("a/b.py", &[]),
            ("a/.pyc", &[]),
        ] {
            assert_eq!(sources_of(path).collect::<Vec<_>>(), expected, "{path}");
        }
    }
}
