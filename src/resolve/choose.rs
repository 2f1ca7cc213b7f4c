//! From the files of a package to the one that is locked: the best wheel for the target, else a source distribution
//! that the manifest allows. Markers are evaluated for the concrete target (PEP 508).

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use pep440_rs::Version;
use pep508_rs::PackageName;

use super::Failure;
use crate::digest::Digest;
use crate::lock::{Distribution, LockedPackage, LockedPython, LockedTarget, Origin};
use crate::manifest::Environment;
use crate::target::{Tags, Target};
use crate::uv::{File, Package};

/// A package of an answer with the file that is locked of it.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) package: LockedPackage,
    /// Where the file can be had just now.
    pub(super) address: String,
}

/// A package of an answer, and the one file it has if it is a direct reference.
pub(super) struct Candidate {
    pub(super) package: Package,
    pub(super) direct: Option<(Origin, File)>,
}

/// What files are chosen for.
pub(super) struct Criteria<'a> {
    pub(super) environment: &'a Environment,
    pub(super) target: &'a Target,
    pub(super) python: &'a Version,
    /// The environment's interpreter for this machine, if this machine is one of its targets.
    pub(super) here: Option<&'a LockedPython>,
    /// What is locked for this target until now.
    pub(super) old: Option<&'a LockedTarget>,
    /// The package that is built with them; without one they are the environment's own.
    pub(super) build: Option<&'a PackageName>,
    /// The files of the old lock that stay, yanked since or not.
    pub(super) stay: &'a BTreeSet<Digest>,
}

/// Finds digest and size of a file whose sha256 is not known.
pub(super) type Digests<'a> =
    dyn Fn(&PackageName, &Version, &File) -> Result<(Digest, Option<u64>), Failure> + 'a;

/// By package, the names of those of its files that are yanked (PEP 592).
pub(super) type Yanked = BTreeMap<PackageName, BTreeSet<String>>;

/// A package of an answer that the target needs.
pub(super) struct Needed {
    pub(super) name: PackageName,
    version: Version,
    /// Whether the whole version is yanked.
    yanked: bool,
    candidate: Candidate,
    /// Whether which file of it is taken depends on whether one is yanked.
    pub(super) depends: bool,
    /// Whether it may be a version that is yanked as a whole.
    pub(super) may_be_yanked: bool,
}

/// The packages of an answer, and what the choice of their files depends on.
pub(super) fn needed(of: &Criteria, answer: Vec<Candidate>) -> Result<Vec<Needed>, Failure> {
    let wrong = |reason: String| Failure::Answer {
        environment: of.environment.name.clone(),
        reason,
    };
    let tags = of.tags();
    let mut needed = Vec::new();
    for candidate in answer {
        let package = &candidate.package;
        let name =
            PackageName::from_str(&package.name).map_err(|error| wrong(error.to_string()))?;
        let version: Version = package
            .version
            .parse()
            .map_err(|error| wrong(format!("{name}: {error}")))?;
        let best = file(package, &tags, of.may_build(&name), &BTreeSet::new());
        let stays =
            best.is_ok_and(|file| file.sha256.is_some_and(|known| of.stay.contains(&known)));
        let fitting = package
            .wheels
            .iter()
            .filter(|wheel| rank(&wheel.name, &tags).is_some());
        let choice = fitting.count() + usize::from(package.sdist.is_some()) > 1;
        let depends = choice && candidate.direct.is_none() && !stays;
        needed.push(Needed {
            name,
            version,
            yanked: package.yanked && !stays,
            candidate,
            depends,
            may_be_yanked: true,
        });
    }
    Ok(needed)
}

/// One file for each package, sorted by name. `remark` gets what a person should know of them.
pub(super) fn packages(
    of: &Criteria,
    needed: Vec<Needed>,
    yanked: &Yanked,
    digests: &Digests,
    remark: &dyn Fn(&str),
) -> Result<Vec<Chosen>, Failure> {
    let environment = of.environment;
    let tags = of.tags();
    let (mut chosen, mut refused) = (Vec::new(), Vec::new());
    let none = BTreeSet::new();
    for needed in needed {
        let Needed { name, version, .. } = needed;
        let Candidate { package, direct } = needed.candidate;
        let may_build = of.may_build(&name);
        let yanked = yanked.get(&name).unwrap_or(&none);
        let file = match &direct {
            Some((_, file)) => direct_file(file, &tags, may_build),
            None => file(&package, &tags, may_build, yanked),
        };
        match file {
            Ok(file) => {
                let is_yanked = if needed.depends {
                    yanked.contains(&file.name)
                } else {
                    needed.yanked
                };
                if is_yanked && !needed.may_be_yanked {
                    let why = Why::Yanked;
                    refused.push(Refused { name, version, why });
                    continue;
                }
                if is_yanked {
                    let environment = &environment.name;
                    remark(&format!(
                        "warning: `{name} {version}`, which `{environment}` asks for, is yanked: its maintainers advise \
                         against it"
                    ));
                }
                let file = file.clone();
                chosen.push((name, version, file, direct.map(|(origin, _)| origin)));
            }
            Err(why) => refused.push(Refused { name, version, why }),
        }
    }
    if !refused.is_empty() {
        return Err(refusal(of, &refused));
    }
    let chosen = chosen.into_iter().map(|(name, version, file, direct)| {
        let routed = || Origin::Index(environment.indexes.get(&name).cloned());
        let origin = direct.unwrap_or_else(routed);
        locked(name, version, file, origin, digests)
    });
    let mut chosen: Vec<Chosen> = chosen.collect::<Result<_, _>>()?;
    chosen.sort_by(|a, b| a.package.name.cmp(&b.package.name));
    Ok(chosen)
}

/// A package with this file of it, whose digest is looked up if it is not known.
fn locked(
    name: PackageName,
    version: Version,
    file: File,
    origin: Origin,
    digests: &Digests,
) -> Result<Chosen, Failure> {
    let (sha256, size) = match file.sha256 {
        Some(sha256) => (sha256, file.size),
        None => digests(&name, &version, &file)?,
    };
    Ok(Chosen {
        address: file.url,
        package: LockedPackage {
            name,
            version,
            origin,
            file: file.name,
            size,
            sha256,
        },
    })
}

impl Criteria<'_> {
    fn tags(&self) -> Tags {
        let release = self.python.release();
        self.target.tags((release[0], release[1]))
    }

    /// Whether a source distribution of this package may be taken.
    fn may_build(&self, name: &PackageName) -> bool {
        self.build.is_none() && self.environment.sdists.contains(name)
    }
}

/// The file a direct reference names.
fn direct_file<'f>(file: &'f File, tags: &Tags, may_build: bool) -> Result<&'f File, Why> {
    let is_wheel = Distribution::of(&file.name) == Distribution::Wheel;
    match (is_wheel, rank(&file.name, tags).is_some(), may_build) {
        (true, true, _) | (false, _, true) => Ok(file),
        (true, false, _) => Err(Why::Unfit(file.name.clone())),
        (false, _, false) => Err(Why::Direct),
    }
}

struct Refused {
    name: PackageName,
    version: Version,
    why: Why,
}

enum Why {
    /// Only a source distribution fits, and the manifest does not allow to build it.
    OnlySource,
    /// The version is yanked as a whole, and was not asked for by its number.
    Yanked,
    /// The wheels that fit are yanked, a source distribution is not, and the manifest does not allow to build it.
    OnlyYanked,
    /// It is asked for as source, and the manifest does not allow to build it.
    Direct,
    /// The wheel it is asked for as is for another machine.
    Unfit(String),
    /// Nothing fits at all.
    Nothing,
}

fn file<'p>(
    package: &'p Package,
    tags: &Tags,
    may_build: bool,
    yanked: &BTreeSet<String>,
) -> Result<&'p File, Why> {
    let fitting = package
        .wheels
        .iter()
        .filter_map(|wheel| Some((rank(&wheel.name, tags)?, wheel)));
    // Of equal tags the higher build number wins, as specified; then the name, so that one always does.
    let best = |keep: &dyn Fn(&File) -> bool| {
        let fitting = fitting.clone().filter(|(_, wheel)| keep(wheel));
        let best = fitting.min_by(|(a, x), (b, y)| a.cmp(b).then_with(|| y.name.cmp(&x.name)));
        best.map(|(_, wheel)| wheel)
    };
    let stays = |file: &File| !yanked.contains(&file.name);
    let sdist = package.sdist.as_ref();
    match (best(&stays), sdist.filter(|sdist| stays(sdist))) {
        (Some(wheel), _) => return Ok(wheel),
        (None, Some(sdist)) if may_build => return Ok(sdist),
        (None, Some(_)) if best(&|_| true).is_some() => return Err(Why::OnlyYanked),
        (None, _) => {}
    }
    // Only a version that is asked for by its number comes here with nothing that is not yanked.
    match (best(&|_| true), sdist) {
        (Some(wheel), _) => Ok(wheel),
        (None, Some(sdist)) if may_build => Ok(sdist),
        (None, Some(_)) => Err(Why::OnlySource),
        (None, None) => Err(Why::Nothing),
    }
}

/// Place of a wheel in the target's order of preference: best tag first, then higher build number.
fn rank(file: &str, tags: &Tags) -> Option<(usize, std::cmp::Reverse<(u64, String)>)> {
    // {distribution}-{version}(-{build})?-{python}-{abi}-{platform}.whl
    let parts: Vec<&str> = file.strip_suffix(".whl")?.split('-').collect();
    let (build, tag) = match parts.as_slice() {
        [_, _, tag @ ..] if tag.len() == 3 => ("", tag),
        [_, _, build, tag @ ..] if tag.len() == 3 => (*build, tag),
        _ => return None,
    };
    let digits = build.bytes().take_while(u8::is_ascii_digit).count();
    let build = (
        build[..digits].parse().unwrap_or(0),
        build[digits..].to_owned(),
    );
    Some((tags.rank(tag[0], tag[1], tag[2])?, std::cmp::Reverse(build)))
}

fn refusal(of: &Criteria, refused: &[Refused]) -> Failure {
    let line = |Refused { name, version, why }: &Refused| match why {
        Why::OnlySource => {
            format!("`{name} {version}` has no wheel that fits, only a source distribution")
        }
        Why::Yanked => format!(
            "`{name} {version}` is yanked: exclude it with `{name}!={version}`, or take it nevertheless with `{name}=={version}`"
        ),
        Why::OnlyYanked => format!(
            "`{name} {version}` has no wheel that fits and is not yanked, only a source distribution"
        ),
        Why::Direct => format!("`{name} {version}` is asked for as source, which must be built"),
        Why::Unfit(file) => format!("`{file}` is not for this machine and this Python"),
        Why::Nothing => format!("`{name} {version}` has no file that fits"),
    };
    let environment = of.environment;
    let builds =
        |refused: &&Refused| matches!(refused.why, Why::OnlySource | Why::OnlyYanked | Why::Direct);
    let sources = refused.iter().filter(builds);
    let mut names: Vec<String> = sources.map(|refused| refused.name.to_string()).collect();
    let advice = if let Some(package) = of.build {
        format!(
            "building `{package}` takes these, and what builds it is installed from wheels only: bound them under \
             [environments.{}] to versions that have one:\n  build-constraints = [\"{}<…\"]",
            environment.name, refused[0].name
        )
    } else if names.is_empty() {
        "constrain the package to a version with a wheel, or exclude it".to_owned()
    } else {
        names.extend(environment.sdists.iter().map(ToString::to_string));
        names.sort();
        let list = names
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect::<Vec<_>>()
            .join(", ");
        format!(
            "building runs the package's own code; to allow it, write under [environments.{}]:\n  sdists = [{list}]\n\
             or constrain the package to a version with a wheel",
            environment.name
        )
    };
    Failure::NoFile {
        environment: environment.name.clone(),
        target: *of.target,
        python: of.python.clone(),
        list: refused.iter().map(line).collect::<Vec<_>>().join("\n"),
        advice,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(names: &[&str]) -> Option<String> {
        let wheels = names.iter().map(|name| File {
            name: (*name).to_owned(),
            url: String::new(),
            size: None,
            sha256: Some(crate::digest::Digest::of(name)),
            checksums: Vec::new(),
        });
        let package = Package {
            name: "x".into(),
            version: "1".into(),
            marker: None,
            wheels: wheels.collect(),
            sdist: None,
            direct: None,
            yanked: false,
        };
        let tags = Target::named("linux-x86_64").unwrap().tags((3, 11));
        file(&package, &tags, false, &BTreeSet::new())
            .ok()
            .map(|file| file.name.clone())
    }

    #[test]
    fn one_best_file_is_chosen_whatever_the_order() {
        let abi3 = "x-1-cp37-abi3-manylinux1_x86_64.manylinux_2_28_x86_64.manylinux_2_5_x86_64.whl";
        let own = "x-1-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl";
        let pure = "x-1-py3-none-any.whl";
        for names in [[abi3, own, pure], [pure, abi3, own], [own, pure, abi3]] {
            assert_eq!(best(&names).as_deref(), Some(own));
        }
        assert_eq!(best(&[pure, abi3]).as_deref(), Some(abi3));
        assert_eq!(best(&["x-1-cp312-cp312-manylinux_2_17_x86_64.whl"]), None);
    }

    #[test]
    fn a_higher_build_number_wins() {
        let names = [
            "x-1-py3-none-any.whl",
            "x-1-2-py3-none-any.whl",
            "x-1-10-py3-none-any.whl",
        ];
        assert_eq!(best(&names).as_deref(), Some("x-1-10-py3-none-any.whl"));
    }
}
