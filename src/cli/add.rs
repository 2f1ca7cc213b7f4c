//! `rootstock add`: environments of the catalogue, or of files from elsewhere, for the manifest.

use std::ffi::OsStr;
use std::path::Path;

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, given, show};
use crate::declare::{Addition, adopt, carried, change};
use crate::fetch::{self, Client};
use crate::manifest::nearest;
use crate::report::{chain, definitions};

const EXAMPLES: &str = "\
Of a file everything is taken over that rootstock has a key for: `[tool.uv]` with its sources (index, git, url, path), indexes, \
find-links, constraints, overrides, build requirements and exclude-newer; `CHECKPOINTS` and `VERIFY_KWARGS` of the Python \
rootstock become models. What cannot be taken over is an error that names its line, and nothing is written. What has no \
meaning here is named and left out. Adding the same again changes nothing.

Examples:
  rootstock add --list               what the catalogue has
  rootstock add mace chgnet          environments of the catalogue
  rootstock add ~/catalogue/uma.py   a file with a PEP 723 block
  rootstock add fork.py --name mace-fork";

/// Arguments of `rootstock add`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Environments or models of the catalogue, or Python files (`x.py`, or a path).
    #[arg(value_name = "NAME|FILE.py", required_unless_present = "list")]
    names: Vec<String>,
    /// The name of the environment of a file, if not that of the file.
    #[arg(long, value_name = "NAME", conflicts_with = "list")]
    name: Option<String>,
    /// List the catalogue.
    #[arg(long, conflicts_with = "names")]
    list: bool,
    /// With `--list`: print it as JSON.
    #[arg(long, requires = "list")]
    json: bool,
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    if arguments.list {
        return list(arguments.json);
    }
    if arguments.name.is_some() && arguments.names.len() > 1 {
        return Err(Failure::usage(
            "`--name` names one environment",
            "add the files one by one",
        ));
    }
    given::manifest(shared)?;
    let names = arguments.names.iter();
    let additions = names.map(|name| addition(shared, name, arguments.name.as_deref()));
    let additions = additions.collect::<Result<Vec<_>, _>>()?;
    let added = change::add(&shared.manifest, &additions).map_err(failure)?;
    let names = added.names();
    let changed = additions
        .iter()
        .filter(|addition| names.contains(&addition.name.as_str()));
    for remark in changed.flat_map(|addition| &addition.remarks) {
        show::remark(remark);
    }
    show::text(&added);
    if !names.is_empty() {
        let names = names.join(" ");
        show::remark(&format!("next: rootstock lock && rootstock sync {names}"));
    }
    Ok(Exit::Ok)
}

/// What a word names.
fn addition(shared: &Shared, word: &str, name: Option<&str>) -> Result<Addition, Failure> {
    let path = Path::new(word);
    if !word.contains('/') && path.extension() != Some(OsStr::new("py")) {
        let mut found = carried::find(word).ok_or_else(|| unknown(word))?;
        if let Some(name) = name {
            let invalid = |invalid| adopt::Error::Name { invalid };
            found.rename(name).map_err(invalid).or_exit(Exit::Usage)?;
        }
        return Ok(found);
    }
    given::exists("file", path)?;
    let here = shared.manifest.parent().unwrap_or(Path::new(""));
    let request = adopt::Request {
        file: path,
        name,
        here,
        page: &page,
    };
    adopt::read(&request).or_exit(Exit::Usage)
}

/// A page of the network; one of links has some megabytes at most.
fn page(url: &str) -> Result<Vec<u8>, String> {
    const LONGEST: u64 = 64 << 20;
    let read = || {
        let variables = context::uv_environment();
        let credentials = context::credentials(&std::collections::BTreeMap::new(), &variables);
        let client = Client::new(&variables)?.with(&credentials);
        fetch::page(&client, url, "text/html, */*;q=0.1", LONGEST)
    };
    read().map(|page| page.bytes).map_err(|error| chain(&error))
}

fn unknown(word: &str) -> Failure {
    let entries = carried::list();
    let names = entries.iter().flat_map(|entry| {
        let models = entry.models.iter().map(String::as_str);
        std::iter::once(entry.name.as_str()).chain(models)
    });
    let near = nearest(word, names).map(|near| format!("did you mean `{near}`? "));
    Failure::usage(
        &format!("the catalogue has no environment or model `{word}`"),
        &format!(
            "{}`rootstock add --list` lists it; a file is named with its ending: `{word}.py`",
            near.unwrap_or_default()
        ),
    )
}

fn list(as_json: bool) -> Result<Exit, Failure> {
    let entries = carried::list();
    if as_json {
        show::value(&entries)?;
        return Ok(Exit::Ok);
    }
    let head = ["environment", "about"].map(str::to_owned);
    let rows = entries.into_iter().map(|entry| [entry.name, entry.about]);
    let rows: Vec<[String; 2]> = std::iter::once(head).chain(rows).collect();
    let mut text = String::new();
    definitions(&mut text, &rows, show::width()).expect("a text takes everything");
    show::text(&text);
    Ok(Exit::Ok)
}

/// The exit code of what went wrong.
pub(super) fn failure(error: change::Error) -> Failure {
    let exit = match &error {
        change::Error::Files(_) => Exit::Failed,
        _ => Exit::Usage,
    };
    Failure {
        report: error.into(),
        exit,
    }
}
