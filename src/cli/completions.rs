//! `rootstock completions`: a script that completes commands, options, and the names of environments and models in a shell; and
//! the manual, one page for each command.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, root, show};
use crate::declare::carried;
use crate::files;
use crate::manifest::Manifest;
use crate::store::Catalogue;

const EXAMPLES: &str = "Examples:
  rootstock completions bash > ~/.local/share/bash-completion/completions/rootstock
  rootstock completions zsh > \"${fpath[1]}/_rootstock\"
  rootstock completions fish > ~/.config/fish/completions/rootstock.fish";

/// Commands that take names of environments or models.
const NAMED: &str = "lock sync build bundle image stage export probe test run call worker remove";

/// Arguments of `rootstock completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The shell.
    shell: Kind,
}

/// A shell.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    Bash,
    Zsh,
    Fish,
}

/// Arguments of `rootstock names`.
#[derive(Debug, clap::Args)]
pub(crate) struct Names {
    /// Those of the catalogue in the program.
    #[arg(long)]
    catalogue: bool,
}

/// Arguments of `rootstock man`.
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// Where the pages go.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    let (shell, more) = match arguments.shell {
        Kind::Bash => (Shell::Bash, BASH),
        Kind::Zsh => (Shell::Zsh, ZSH),
        Kind::Fish => (Shell::Fish, FISH),
    };
    let mut script = Vec::new();
    let mut command = super::Arguments::command();
    clap_complete::generate(shell, &mut command, "rootstock", &mut script);
    let script = String::from_utf8_lossy(&script);
    let more = more
        .replace("{named}", NAMED)
        .replace("{alternatives}", &NAMED.replace(' ', "|"));
    show::document(&format!("{}\n{}", script.trim_end(), more.trim()));
    Exit::Ok
}

/// Names that a command may be given, one a line; what cannot be read is left out, because a shell shows no errors here.
pub(crate) fn names(shared: &Shared, arguments: &Names) -> Exit {
    let mut names: Vec<String> = Vec::new();
    if arguments.catalogue {
        names.extend(carried::list().into_iter().map(|entry| entry.name));
    } else {
        if let Ok(manifest) = Manifest::load(&shared.manifest, Path::new("")) {
            names.extend(manifest.environments.iter().map(|one| one.name.to_string()));
            names.extend(manifest.models.iter().map(|one| one.id.to_string()));
        }
        let root = root::built(shared).ok();
        let catalogue = root.and_then(|root| Catalogue::read(&root.models()).ok().flatten());
        if let Some(catalogue) = catalogue {
            names.extend(catalogue.environments.keys().map(ToString::to_string));
            names.extend(catalogue.models.keys().map(ToString::to_string));
        }
    }
    names.sort();
    names.dedup();
    if !names.is_empty() {
        show::document(&names.join("\n"));
    }
    Exit::Ok
}

/// Writes the manual: `rootstock.1`, `rootstock-lock.1` and so on.
pub(crate) fn man(arguments: &Man) -> Result<Exit, Failure> {
    let mut command = super::Arguments::command();
    command.build();
    let directory = &arguments.directory;
    files::create_directories(directory).or_exit(Exit::Failed)?;
    page(&command, directory, "rootstock")?;
    for below in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set() && below.get_name() != "help")
    {
        let name = format!("rootstock-{}", below.get_name());
        page(below, directory, &name)?;
    }
    Ok(Exit::Ok)
}

fn page(command: &clap::Command, directory: &Path, name: &str) -> Result<(), Failure> {
    let mut text = Vec::new();
    let written = clap_mangen::Man::new(command.clone()).render(&mut text);
    written.expect("a list of bytes takes everything");
    files::write(&directory.join(format!("{name}.1")), &text).or_exit(Exit::Failed)
}

const BASH: &str = r#"
_rootstock_names() {
    _rootstock "$@"
    local word=${COMP_WORDS[COMP_CWORD]} before
    [[ $word == -* || " ${COMP_WORDS[*]:1:COMP_CWORD-1} " == *" -- "* ]] && return
    for before in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $before in
            {alternatives}) COMPREPLY+=($(compgen -W "$(rootstock names 2>/dev/null)" -- "$word")); return ;;
            add) COMPREPLY+=($(compgen -W "$(rootstock names --catalogue 2>/dev/null)" -- "$word")); return ;;
        esac
    done
}
complete -F _rootstock_names -o bashdefault -o default rootstock
"#;

const ZSH: &str = r#"
_rootstock_names() {
    local before
    local -a names
    [[ ${words[2,CURRENT-1][(r)--]} == -- ]] || for before in ${words[2,CURRENT-1]}; do
        case $before in
            {alternatives}) names=(${(f)"$(rootstock names 2>/dev/null)"}); break ;;
            add) names=(${(f)"$(rootstock names --catalogue 2>/dev/null)"}); break ;;
        esac
    done
    [[ $PREFIX != -* ]] && compadd -a names
    _rootstock "$@"
}
compdef _rootstock_names rootstock
"#;

const FISH: &str = r#"
complete -c rootstock -n "__fish_seen_subcommand_from {named}" -f -a "(rootstock names 2>/dev/null)"
complete -c rootstock -n "__fish_seen_subcommand_from add" -a "(rootstock names --catalogue 2>/dev/null)"
"#;
