//! Programs that find their Python beside themselves, so that an environment works wherever it is moved or linked.

use super::entry_points::Launcher;

/// How every Python program of ours begins. To `sh` the second line runs the Python beside the script's real place; to
/// Python lines two and three are one text without effect. `realpath` follows links from elsewhere into `bin/`.
pub(super) const BEGINNING: &str = concat!(
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
    if !(is_code(module) && is_code(function)) {
        return launcher_by_name(module, function);
    }
    let imported = function.split('.').next().unwrap_or(function);
    format!(
        "{BEGINNING}import sys\n\nfrom {module} import {imported}\n\n\
         if __name__ == \"__main__\":\n    sys.exit({function}())\n"
    )
}

/// The same for names that Python's `import` cannot say, such as `my-tool.cli`.
fn launcher_by_name(module: &str, function: &str) -> String {
    format!(
        "{BEGINNING}import importlib\nimport operator\nimport sys\n\n\
         if __name__ == \"__main__\":\n    \
         sys.exit(operator.attrgetter(\"{function}\")(importlib.import_module(\"{module}\"))())\n"
    )
}

/// Whether these names may stand in Python code as they are.
fn is_code(dotted: &str) -> bool {
    dotted
        .split('.')
        .all(|name| !name.contains('-') && !name.starts_with(|first: char| first.is_numeric()))
}

/// The first bytes of a script that wants the environment's Python. Its first line is replaced by [`BEGINNING`]; as
/// with pip, arguments in that line are lost.
pub(super) const MARK: &[u8] = b"#!python";
