//! Programs that find their Python beside themselves, so that an environment works wherever it is moved or linked.

use super::entry_points::Launcher;

/// How every Python program of ours begins. To `sh` the second line runs the Python beside the script's real place; to
/// Python lines two and three are one text without effect. `realpath` follows links from elsewhere into `bin/`.
const BEGINNING: &str = concat!(
    "#!/bin/sh\n",
    r#"'''exec' "$(dirname -- "$(realpath -- "$0")")/python" "$0" "$@""#,
    "\n' '''\n"
);

/// The text of a program that calls a function.
pub(super) fn launcher(launcher: &Launcher) -> String {
    let Launcher {
        name: _,
        module,
        function,
    } = launcher;
    let imported = function.split('.').next().unwrap_or(function);
    format!(
        "{BEGINNING}import sys\n\nfrom {module} import {imported}\n\n\
         if __name__ == \"__main__\":\n    sys.exit({function}())\n"
    )
}

/// The first bytes of a script that wants the environment's Python.
pub(super) const MARK: &[u8] = b"#!python";

/// A script with its first line, which begins with [`MARK`], replaced. As with pip, arguments in that line are lost.
pub(super) fn rewritten(script: &[u8]) -> Vec<u8> {
    let rest = script
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(&[][..], |end| &script[end + 1..]);
    [BEGINNING.as_bytes(), rest].concat()
}
