//! `uv pip compile`: one question, one answer. What is asked, and what the answer is for, is the caller's business.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::Path;

use pep440_rs::Version;
use pep508_rs::PackageName;

use super::requests::{self, Request};
use super::{Package, Uv, pylock, words};
use crate::digest::Digest;
use crate::files;
use crate::lock::LockedPackage;
use crate::manifest::{Requirement, normal_form};
use crate::name::IndexName;
use crate::process::{self, Command};
use crate::target::Target;

/// Names of uv's answers with their formats.
const PYLOCK: (&str, &str) = ("pylock.toml", "pylock.toml");
const REQUIREMENTS: (&str, &str) = ("answer.txt", "requirements.txt");

/// What is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Compile<'a> {
    /// Requirements, one each (PEP 508).
    pub requirements: Vec<String>,
    /// Bounds on packages that something else asks for.
    pub constraints: Vec<String>,
    /// Requirements that replace those of the packages.
    pub overrides: Vec<String>,
    /// Packages that are left out with all they would bring.
    pub excludes: Vec<String>,
    /// Versions to stay with where they still fit.
    pub preferences: Vec<(String, String)>,
    /// By package, requirements of its build beside those it declares.
    pub build_dependencies: Option<&'a BTreeMap<PackageName, Vec<Requirement>>>,
    /// Nothing uploaded after this time is considered.
    pub exclude_newer: Option<&'a str>,
    /// Whether what is locked is looked for, however late it was uploaded: cut-offs of indexes do not count.
    pub is_locked: bool,
    /// Packages that come from an index of their own.
    pub routes: Vec<Route<'a>>,
    /// Only what is asked for, not what that needs.
    pub no_dependencies: bool,
    /// Bounds on what building metadata of source distributions takes.
    pub build_constraints: Vec<String>,
    /// Packages of which only wheels are looked at, so that no code of theirs runs.
    pub only_binary: Vec<String>,
    /// Packages of which no index counts, only addresses.
    pub not_from_index: Vec<String>,
    /// The interpreter for building metadata of source distributions.
    pub interpreter: Option<&'a Path>,
}

/// A package that is asked for by itself and comes from this index alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route<'a> {
    /// The package.
    pub package: &'a PackageName,
    /// The index's name; [`Uv::with_indexes`] has its address.
    pub index: &'a IndexName,
}

/// There is no answer.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum Unresolved {
    /// The requirements contradict each other, or a package does not exist. uv's own explanation.
    #[error("no solution: {0}")]
    Unsatisfiable(String),
    /// The package index cannot be reached, a build fails, or something else keeps uv from answering.
    #[error("uv could not answer: {why}")]
    Failed {
        /// uv's explanation.
        why: String,
        /// What to do, where that is known.
        #[help]
        advice: Option<String>,
    },
    /// uv cannot be started.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// A package comes from an index that is not declared.
    #[error("the manifest declares no index `{0}`")]
    NoIndex(IndexName),
    /// A file of ours.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
    /// The answer cannot be read.
    #[error(transparent)]
    Answer(#[from] pylock::Error),
}

impl Uv {
    /// Asks for every package that the requirements lead to on a target with this Python (`3.11` or `3.11.7`).
    pub(crate) fn compile(
        &self,
        ask: &Compile,
        target: &Target,
        python: &Version,
    ) -> Result<Vec<Package>, Unresolved> {
        // uv keeps the versions of an output file that already exists, where they fit.
        let preferences = preferences(&ask.preferences);
        let (answer, output) = self.answer(ask, target, python, PYLOCK, &preferences)?;
        let mut packages = pylock::packages(&answer)?;
        // PEP 751 has no field for it.
        for package in &mut packages {
            let yanked = format!("`{}=={}` is yanked", package.name, package.version);
            package.yanked = output.stderr.contains(&yanked);
        }
        Ok(packages)
    }

    /// Asks the same question as [`Self::compile`], for which package asks for which.
    pub(crate) fn requests(
        &self,
        ask: &Compile,
        target: &Target,
        python: &Version,
    ) -> Result<Vec<Request>, Unresolved> {
        let pins = ask.preferences.iter();
        let pins: Vec<String> = pins
            .map(|(name, version)| format!("{name}=={version}\n"))
            .collect();
        let pins = pins.concat();
        let (answer, _) = self.answer(ask, target, python, REQUIREMENTS, &pins)?;
        Ok(requests::parse(&answer))
    }

    /// Runs `uv pip compile`; its answer, in the file of this name and format, which holds the preferences before.
    fn answer(
        &self,
        ask: &Compile,
        target: &Target,
        python: &Version,
        (name, format): (&str, &str),
        preferences: &str,
    ) -> Result<(String, process::Output), Unresolved> {
        files::create_directories(&self.scratch)?;
        let work = files::temporary_directory(&self.scratch, "compile-")?;
        let here = work.path();
        files::write(&here.join(name), preferences.as_bytes())?;
        let question = if ask.routes.is_empty() {
            ("requirements.txt", ask.requirements.join("\n") + "\n")
        } else {
            ("pyproject.toml", self.project(ask)?)
        };
        files::write(&here.join(question.0), question.1.as_bytes())?;
        let mut command = self
            .command()
            .arguments(["pip", "compile", "--format", format, "--no-header"])
            .arguments(["--annotation-style", "line", "--output-file", name])
            .arguments(["--python-platform", &target.uv_platform()])
            .arguments(["--python-version", &python.to_string()]);
        command = lists(ask, here, command)?;
        if let Some(more) = ask.build_dependencies.filter(|more| !more.is_empty()) {
            // The only configuration file that uv reads.
            command = command.arguments(["--config-file", "uv.toml"]);
            files::write(&here.join("uv.toml"), configuration(more).as_bytes())?;
        }
        if let Some(moment) = ask.exclude_newer {
            command = command.arguments(["--exclude-newer", moment]);
        }
        for cut_off in self.cut_offs(ask) {
            command = command.arguments(["--exclude-newer-package", &cut_off]);
        }
        for package in &ask.not_from_index {
            let never = format!("{package}=1970-01-01T00:00:00Z");
            command = command.arguments(["--exclude-newer-package", &never]);
        }
        for package in &ask.only_binary {
            command = command.arguments(["--only-binary", package]);
        }
        if ask.no_dependencies {
            command = command.argument("--no-deps");
        }
        if let Some(interpreter) = ask.interpreter {
            command = command.argument("--python").argument(interpreter);
        }
        let output = command.argument(question.0).directory(here).run_limited()?;
        if !output.exit.success() {
            return Err(explain(&output));
        }
        Ok((files::read_text(&here.join(name))?, output))
    }

    /// Where the files of these pins can be fetched just now, by digest. uv is asked once, or, where one package is
    /// pinned in several versions, once for each round of versions. A pin it does not find is missing in the answer.
    pub(crate) fn addresses(
        &self,
        packages: &[&LockedPackage],
        target: &Target,
        python: &Version,
        interpreter: Option<&Path>,
    ) -> Result<HashMap<Digest, String>, Unresolved> {
        let mut addresses = HashMap::new();
        for round in rounds(packages) {
            // A hash cannot stand in the project that routes need; the answer is matched by digest in any case.
            let requirements = round
                .iter()
                .map(|p| format!("{}=={}", p.name, p.version))
                .collect();
            let routes = round.iter().filter_map(|p| {
                Some(Route {
                    package: &p.name,
                    index: p.origin.index()?,
                })
            });
            let routes = routes.collect();
            let ask = Compile {
                requirements,
                routes,
                no_dependencies: true,
                is_locked: true,
                interpreter,
                ..Compile::default()
            };
            for package in self.compile(&ask, target, python)? {
                for file in package.wheels.into_iter().chain(package.sdist) {
                    // An index that gives no sha256 has the file by its name; it is verified when it comes.
                    let named = || round.iter().find(|pin| pin.file == file.name);
                    let sha256 = file.sha256.or_else(|| Some(named()?.sha256));
                    addresses.extend(sha256.map(|sha256| (sha256, file.url)));
                }
            }
        }
        Ok(addresses)
    }
}

impl Uv {
    /// The cut-offs of indexes, which uv heeds only in projects: here they are those of the packages that come from there.
    fn cut_offs(&self, ask: &Compile) -> Vec<String> {
        let routes = ask.routes.iter().filter(|_| !ask.is_locked);
        let own = routes.filter_map(|Route { package, index }| {
            let exclude_newer = self.indexes.get(index)?.exclude_newer.as_ref()?;
            Some(format!("{package}={exclude_newer}"))
        });
        own.collect()
    }

    /// The question as a project: only there does uv take an index for one package. The index is explicit, so that
    /// nothing else comes from it, however high its version.
    fn project(&self, ask: &Compile) -> Result<String, Unresolved> {
        let mut text = String::from(
            "[project]\nname = \"rootstock-question\"\nversion = \"0\"\ndependencies = [\n",
        );
        for requirement in &ask.requirements {
            let _ = writeln!(text, "    {},", toml::Value::from(requirement.as_str()));
        }
        text.push_str("]\n\n[tool.uv.sources]\n");
        for Route { package, index } in &ask.routes {
            let _ = writeln!(text, "\"{package}\" = {{ index = \"{index}\" }}");
        }
        let names: BTreeSet<_> = ask.routes.iter().map(|route| route.index).collect();
        for name in names {
            let index = self
                .indexes
                .get(name)
                .ok_or_else(|| Unresolved::NoIndex(name.clone()))?;
            let url = toml::Value::from(index.url.as_str());
            let format = if index.links { "flat" } else { "simple" };
            let _ = write!(
                text,
                "\n[[tool.uv.index]]\nname = \"{name}\"\nurl = {url}\nformat = \"{format}\"\nexplicit = true\n"
            );
        }
        Ok(text)
    }
}

/// Writes the lists of a question that are not empty, each with its option.
fn lists(ask: &Compile, here: &Path, mut command: Command) -> Result<Command, files::Error> {
    for (name, lines, option) in [
        ("constraints.txt", &ask.constraints, "--constraints"),
        ("overrides.txt", &ask.overrides, "--overrides"),
        ("excludes.txt", &ask.excludes, "--excludes"),
        (
            "build-constraints.txt",
            &ask.build_constraints,
            "--build-constraints",
        ),
    ] {
        if !lines.is_empty() {
            files::write(&here.join(name), (lines.join("\n") + "\n").as_bytes())?;
            command = command.arguments([option, name]);
        }
    }
    Ok(command)
}

/// uv's configuration with what building packages takes.
fn configuration(build_dependencies: &BTreeMap<PackageName, Vec<Requirement>>) -> String {
    let mut text = String::from("[extra-build-dependencies]\n");
    for (package, requirements) in build_dependencies {
        let all: Vec<toml::Value> = requirements
            .iter()
            .map(|requirement| toml::Value::from(normal_form(requirement)))
            .collect();
        let _ = writeln!(text, "\"{package}\" = {}", toml::Value::from(all));
    }
    text
}

/// The packages in as few rounds as possible, each with at most one version of a package; a repetition is dropped.
fn rounds<'p>(packages: &[&'p LockedPackage]) -> Vec<Vec<&'p LockedPackage>> {
    let mut rounds: Vec<Vec<&LockedPackage>> = Vec::new();
    for package in packages {
        if rounds
            .iter()
            .flatten()
            .any(|known| known.sha256 == package.sha256)
        {
            continue;
        }
        match rounds
            .iter_mut()
            .find(|round| round.iter().all(|known| known.name != package.name))
        {
            Some(round) => round.push(package),
            None => rounds.push(vec![package]),
        }
    }
    rounds
}

fn preferences(pins: &[(String, String)]) -> String {
    let mut text = String::from("lock-version = \"1.0\"\ncreated-by = \"rootstock\"\n");
    if pins.is_empty() {
        text.push_str("packages = []\n");
    }
    for (name, version) in pins {
        let _ = write!(
            text,
            "\n[[packages]]\nname = \"{name}\"\nversion = \"{version}\"\n"
        );
    }
    text
}

fn explain(output: &process::Output) -> Unresolved {
    let message = output.stderr.trim();
    match message.split_once("No solution found when resolving dependencies") {
        Some((_, why)) => Unresolved::Unsatisfiable(words::plain(why)),
        None if message.is_empty() => Unresolved::Failed {
            why: format!("it {}", output.exit),
            advice: None,
        },
        None => Unresolved::Failed {
            why: words::plain(message.strip_prefix("error: ").unwrap_or(message)),
            advice: words::advice(message),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Origin;

    fn package(name: &str, version: &str, fill: char) -> LockedPackage {
        LockedPackage {
            name: name.parse().unwrap(),
            version: version.parse().unwrap(),
            origin: Origin::Index(None),
            file: format!("{name}-{version}-py3-none-any.whl"),
            size: Some(1),
            sha256: fill.to_string().repeat(64).parse().unwrap(),
        }
    }

    #[test]
    fn several_versions_of_a_package_are_asked_in_rounds() {
        let all = [
            package("a", "1", '1'),
            package("b", "1", '2'),
            package("a", "2", '3'),
            package("b", "1", '2'),
        ];
        let names = |round: &Vec<&LockedPackage>| {
            round
                .iter()
                .map(|p| format!("{} {}", p.name, p.version))
                .collect::<Vec<_>>()
                .join(",")
        };
        let rounds = rounds(&all.iter().collect::<Vec<_>>());
        assert_eq!(
            rounds.iter().map(names).collect::<Vec<_>>(),
            ["a 1,b 1", "a 2"]
        );
    }

    #[test]
    fn the_explanation_is_kept_and_the_drawing_is_not() {
        let explained = |stderr: &str| {
            explain(&process::Output {
                exit: process::Exit::Code(1),
                stdout: Vec::new(),
                stderr: stderr.into(),
            })
        };
        let new = "error: No solution found when resolving dependencies\n  cause: Because a needs b.\n         So on.\n";
        let old = "  × No solution found when resolving dependencies:\n  ╰─▶ Because a needs b.\n      So on.\n";
        for message in [new, old] {
            match explained(message) {
                Unresolved::Unsatisfiable(why) => assert_eq!(why, "Because a needs b.\nSo on."),
                other => panic!("{other:?}"),
            }
        }
        let failed = explained("error: Request failed\n  cause: refused\n");
        assert!(
            matches!(failed, Unresolved::Failed { why, .. } if why == "Request failed\nrefused")
        );
    }
}
