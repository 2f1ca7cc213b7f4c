//! The help of the program as a whole: its commands in groups.

use clap::CommandFactory as _;

use super::{context, show};
use crate::report::definitions;

/// The commands, by what they are for.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Declare", &["init", "add", "remove", "lock"]),
    ("Build", &["sync", "bundle", "image", "stage"]),
    (
        "Use",
        &[
            "models", "worker", "run", "call", "evaluate", "probe", "export",
        ],
    ),
    ("Look after", &["status", "tree", "doctor", "gc"]),
];

/// The last group: whatever is in no other.
const OTHERS: &str = "Others";

/// The widest line of a help text.
const WIDEST: usize = 100;

/// The command line, with commands in groups in its help.
pub(super) fn command() -> clap::Command {
    let command = super::Arguments::command();
    let template = format!(
        "{{before-help}}{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}Options:\n{{options}}{{after-help}}",
        groups(&command)
    );
    command.help_template(template)
}

fn groups(command: &clap::Command) -> String {
    let width = context::variable("COLUMNS").and_then(|columns| columns.to_str()?.parse().ok());
    let width = width.or_else(show::width).unwrap_or(WIDEST).min(WIDEST);
    let known = |name: &str| {
        let mut commands = command.get_subcommands();
        let found = commands.find(|one| one.get_name() == name)?;
        Some([format!("  {name}"), found.get_about()?.to_string()])
    };
    let grouped = |name: &str| GROUPS.iter().any(|(_, names)| names.contains(&name));
    let others = command.get_subcommands().filter(|one| !one.is_hide_set());
    let others: Vec<&str> = others
        .map(clap::Command::get_name)
        .filter(|name| !grouped(name))
        .collect();
    let all = GROUPS.iter().map(|(title, names)| (*title, names.to_vec()));
    let all: Vec<_> = all.chain([(OTHERS, others)]).collect();
    let names = all.iter().flat_map(|(_, names)| names);
    let column = names.map(|name| name.len() + 2).max().unwrap_or(0);
    let mut text = String::new();
    for (title, names) in all {
        let rows = names.into_iter().filter_map(known);
        let rows = rows.map(|[name, about]| [format!("{name:column$}"), about]);
        let rows: Vec<[String; 2]> = rows.collect();
        if rows.is_empty() {
            continue;
        }
        text.push_str(title);
        text.push_str(":\n");
        definitions(&mut text, &rows, Some(width)).expect("a text takes everything");
        text.push('\n');
    }
    text.replace('{', "(").replace('}', ")")
}
