//! `entry_points.txt`: which programs a wheel wants (PyPA "entry points specification"). Other groups are left alone.

use super::Defect;

/// A program that calls a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Launcher {
    /// Its file name.
    pub(super) name: String,
    /// The module to import: `package.module`.
    pub(super) module: String,
    /// What to call in it: `main` or `Class.method`.
    pub(super) function: String,
}

/// The programs of both groups: on a system without windows of its own for a program they are the same thing.
pub(super) fn launchers(text: &str) -> Result<Vec<Launcher>, Defect> {
    let mut launchers: Vec<Launcher> = Vec::new();
    let mut wanted = false;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(group) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            wanted = matches!(group.trim(), "console_scripts" | "gui_scripts");
        } else if wanted {
            let launcher = parse(line)
                .ok_or_else(|| Defect(format!("its entry_points.txt has the line `{line}`")))?;
            // A name in both groups is one file; the later line wins, as it does in pip.
            launchers.retain(|other| other.name != launcher.name);
            launchers.push(launcher);
        }
    }
    launchers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(launchers)
}

/// `name = module:function [extras]`.
fn parse(line: &str) -> Option<Launcher> {
    let (name, reference) = line.split_once('=')?;
    let name = name.trim();
    // Extras say what else must be installed for it; that was decided long before.
    let reference = reference.split('[').next()?.trim();
    let (module, function) = reference.split_once(':')?;
    let (module, function) = (module.trim(), function.trim());
    let plain = !name.is_empty()
        && !matches!(name, "." | "..")
        && !name.contains(['/', '\\'])
        && !name.chars().any(char::is_control);
    (plain && dotted(module) && dotted(function)).then(|| Launcher {
        name: name.to_owned(),
        module: module.to_owned(),
        function: function.to_owned(),
    })
}

/// Identifiers separated by dots: what may stand in Python code as it is.
fn dotted(text: &str) -> bool {
    text.split('.').all(|part| {
        let mut characters = part.chars();
        characters
            .next()
            .is_some_and(|c| c.is_alphabetic() || c == '_')
            && characters.all(|c| c.is_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_both_groups_are_found() {
        let text = "[console_scripts]\n# why\nrun = p.cli:main\nold.name=p:Class.go [extra]\n\n\
                    [p.plugins]\nx = no function\n[gui_scripts]\nshow = p.gui : main\n";
        let found = launchers(text).unwrap();
        let short = |l: &Launcher| format!("{} {} {}", l.name, l.module, l.function);
        assert_eq!(
            found.iter().map(short).collect::<Vec<_>>(),
            ["old.name p Class.go", "run p.cli main", "show p.gui main"]
        );
    }

    #[test]
    fn what_could_not_be_a_program_is_refused() {
        for bad in [
            "run",
            "run = module",
            "../run = p:main",
            "run = p:main()",
            "run = p; import os:main",
            " = p:main",
            "run = p:1",
        ] {
            let text = format!("[console_scripts]\n{bad}\n");
            assert!(launchers(&text).is_err(), "{bad}");
        }
    }
}
