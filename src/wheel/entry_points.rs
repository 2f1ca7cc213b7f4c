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
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Python reads all three ways of ending a line.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    for (line, number) in text.split('\n').map(str::trim).zip(1..) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some((group, _)) = line.strip_prefix('[').and_then(|l| l.split_once(']')) {
            // As pip and uv read it: in these letters, without spaces.
            wanted = matches!(group, "console_scripts" | "gui_scripts");
        } else if wanted {
            let launcher = parse(line).map_err(|why| {
                Defect(format!(
                    "line {number} of its entry_points.txt, {line:?}, {why}"
                ))
            })?;
            // A name in both groups is one file; the later line wins, as it does in pip.
            launchers.retain(|other| other.name != launcher.name);
            launchers.push(launcher);
        }
    }
    launchers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(launchers)
}

/// `name = module:function [extras] # comment`.
fn parse(line: &str) -> Result<Launcher, &'static str> {
    let (name, reference) = line
        .split_once('=')
        .ok_or("is not `name = module:function`")?;
    let name = name.trim();
    check_name(name)?;
    // Extras say what else must be installed for it; that was decided long before.
    let reference = without_comment(reference);
    let reference = reference.split('[').next().unwrap_or(reference).trim();
    let (module, function) = reference
        .split_once(':')
        .ok_or("names no function: `name = module:function`")?;
    let (module, function) = (module.trim(), function.trim());
    if !(dotted(module) && dotted(function)) {
        return Err("names what is neither a module nor a function");
    }
    Ok(Launcher {
        name: name.to_owned(),
        module: module.to_owned(),
        function: function.to_owned(),
    })
}

/// What stands before a comment. No reference has a `#` in it; a `;` begins a comment only after a space.
fn without_comment(reference: &str) -> &str {
    let mut space = false;
    for (at, character) in reference.char_indices() {
        if character == '#' || (space && character == ';') {
            return &reference[..at];
        }
        space = character.is_whitespace();
    }
    reference
}

/// A program's name is a file's name, and people type it.
fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("names no program");
    }
    if matches!(name, "." | "..") || name.contains(['/', '\\']) {
        return Err("names a program outside `bin`");
    }
    if name.chars().any(char::is_control) {
        return Err("names a program with a control character");
    }
    if name.len() > LONGEST {
        return Err("names a program with a name that no filesystem takes");
    }
    if name.starts_with('-') || name.contains(SHELL) {
        return Err("names a program with a character that a shell gives a meaning of its own");
    }
    Ok(())
}

/// The longest name of a file.
const LONGEST: usize = 255;

/// What a shell takes for more than a part of a name.
const SHELL: [char; 20] = [
    ';', '&', '|', '<', '>', '$', '`', '"', '\'', '(', ')', '*', '?', '[', ']', '{', '}', '!', '#',
    '~',
];

/// Names separated by dots. pip and uv take hyphens too, and names that begin with a digit.
fn dotted(text: &str) -> bool {
    text.split('.').all(|part| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
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
            "run = p.:x",
            "run = p:main; import os",
            "run\u{1b}[1m = p:main",
            "a\0b = p:main",
            "a;b = p:main",
            "$(a) = p:main",
            "-rf = p:main",
        ] {
            let text = format!("[console_scripts]\n{bad}\n");
            let error = launchers(&text).unwrap_err().to_string();
            assert!(
                error.starts_with("line 2 of its entry_points.txt, "),
                "{error}"
            );
            assert!(!error.contains(char::is_control), "{error}");
        }
    }

    #[test]
    fn what_pip_and_uv_read_is_read() {
        for text in [
            "\u{feff}[console_scripts]\nrun = p:main\n",
            "[console_scripts]\r\nrun = p:main\r\n",
            "[console_scripts]\rrun = p:main\r",
            "[console_scripts] # programs\nrun = p:main\n",
            "[console_scripts]\n  run=p : main\n",
            "[console_scripts]\nrun = p:main # why\n",
            "[console_scripts]\nrun = p:main ; why\n",
            "[console_scripts]\nrun = p:main [x] # why\n",
            "[console_scripts]\nrun = p:main#why [x]\n",
        ] {
            let found = launchers(text).unwrap();
            assert_eq!(found.len(), 1, "{text:?}");
            assert_eq!(
                (&*found[0].module, &*found[0].function),
                ("p", "main"),
                "{text:?}"
            );
        }
        for group in ["Console_Scripts", " console_scripts ", "console-scripts"] {
            let found = launchers(&format!("[{group}]\nrun = p:main\n")).unwrap();
            assert_eq!(found, [], "{group}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_program_is_more_than_a_name(lines in "([a=:.#;$ \u{1b}\\[\\]/-]{0,12}\r?\n){0,4}", any in ".{0,40}") {
            for lines in [lines, any] {
                match launchers(&format!("[console_scripts]\n{lines}")) {
                    Ok(found) => for Launcher { name, module, function } in found {
                        assert_eq!(check_name(&name), Ok(()));
                        assert!(dotted(&module) && dotted(&function));
                    },
                    Err(error) => assert!(!error.to_string().contains(char::is_control), "{error}"),
                }
            }
        }
    }
}
