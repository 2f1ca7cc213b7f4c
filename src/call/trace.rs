//! The line that Python was at, from what `faulthandler` has written before it was stopped.

use crate::files;

/// What `faulthandler` prints first when Python crashes.
const CRASH: &str = "Fatal Python error";
/// The name of the program that Python is given, in place of a file's.
const SHIM: &str = "rootstock";

/// The last line of Python in such a text, as a sentence; empty if there is none.
///
/// The threads follow each other, the main one last, and in each the innermost call comes first.
pub(super) fn last_line(trace: &str) -> String {
    let is_thread = |line: &str| line.starts_with("Thread ") || line.starts_with("Current thread ");
    let lines: Vec<&str> = trace.lines().collect();
    let main = lines.iter().rposition(|line| is_thread(line));
    let calls = lines[main.map_or(0, |at| at + 1)..].iter();
    let Some((path, number, function)) = calls
        .filter_map(|line| call(line))
        .find(|(path, ..)| is_of_user(path))
    else {
        return String::new();
    };
    let place = format!("{path}:{number}, in {function}");
    let text = files::read_text(path.as_ref()).unwrap_or_default();
    match text.lines().nth(number.saturating_sub(1)).map(str::trim) {
        Some(line) if !line.is_empty() => format!("it was at {place}: `{line}`"),
        _ => format!("it was at {place}"),
    }
}

/// What `faulthandler` has printed of a crash, without the lines of the shim.
pub(super) fn crash(stderr: &str) -> Option<String> {
    let report = &stderr[stderr.rfind(CRASH)?..];
    let is_of_shim =
        |line: &&str| call(line).is_some_and(|(path, ..)| path == SHIM || path == "<string>");
    let lines = report.lines().filter(|line| !is_of_shim(line));
    Some(lines.collect::<Vec<_>>().join("\n").trim_end().to_owned())
}

/// `File "path", line 3 in function`, as file, line and function.
fn call(line: &str) -> Option<(&str, usize, &str)> {
    let rest = line.trim().strip_prefix("File \"")?;
    let (path, rest) = rest.rsplit_once("\", line ")?;
    let (number, function) = rest.split_once(" in ")?;
    Some((path, number.parse().ok()?, function))
}

/// The shim has no file.
fn is_of_user(path: &str) -> bool {
    path != SHIM
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_call_of_the_main_thread_is_named() {
        let trace = "Timeout (0:00:01)!\n\
            Thread 0x00 (most recent call first):\n  \
              File \"other.py\", line 1 in other\n\n\
            Thread 0x01 (most recent call first):\n  \
              File \"slow.py\", line 7 in inner\n  \
              File \"slow.py\", line 9 in outer\n  \
              File \"rootstock\", line 900 in call\n";
        assert_eq!(last_line(trace), "it was at slow.py:7, in inner");
        assert_eq!(last_line(""), "");
    }
}
