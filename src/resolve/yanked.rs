//! Which files of a package its index marks as yanked (PEP 592). uv knows, but its answer has no place for it, so the
//! index's own page is read, with the credentials that downloads have, and once for all environments.
//!
//! Only where it matters: not for a package with one file, nor for one whose locked file stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};

use pep440_rs::Operator;
use pep508_rs::{PackageName, VersionOrUrl};

use super::choose::{self, Candidate, Chosen, Criteria, Yanked};
use super::{Failure, Solver};
use crate::fetch;
use crate::manifest::{Environment, Index};
use crate::name::IndexName;
use crate::process::threads;
use crate::report::chain;

mod page;

/// The names of the yanked files on a page, or why they are not known.
type Names = Arc<OnceLock<Result<BTreeSet<String>, String>>>;

/// An index, and a package of it where the index has a page for each.
type Place = (Option<IndexName>, Option<PackageName>);

/// What indexes were asked so far.
#[derive(Default)]
pub(super) struct Known {
    /// Where each index is; `None` is the default index.
    indexes: Mutex<BTreeMap<Option<IndexName>, Result<Index, String>>>,
    /// The content of each page.
    pages: Mutex<BTreeMap<Place, Names>>,
    /// Whether the warning that nothing can be known was given.
    offline: OnceLock<()>,
}

/// How many pages are read at once.
const AT_ONCE: usize = 8;

/// The page of a package with tens of thousands of files has some ten megabytes.
const LONGEST: u64 = 64 << 20;

/// Whether the manifest asks for a package by its number.
fn is_pinned(of: &Criteria, name: &PackageName) -> bool {
    let Environment {
        dependencies,
        constraints,
        build_constraints,
        overrides,
        ..
    } = of.environment;
    let asked = [dependencies, constraints, build_constraints, overrides];
    asked
        .into_iter()
        .flatten()
        .filter(|asked| asked.name == *name)
        .any(|asked| match &asked.version_or_url {
            Some(VersionOrUrl::VersionSpecifier(specifiers)) => specifiers
                .iter()
                .any(|one| matches!(one.operator(), Operator::Equal | Operator::ExactEqual)),
            _ => false,
        })
}

impl Solver<'_> {
    /// The files that are locked of an answer, sorted by the names of their packages.
    pub(super) fn chosen(
        &self,
        of: &Criteria,
        answer: Vec<Candidate>,
    ) -> Result<Vec<Chosen>, Failure> {
        let mut needed = choose::needed(of, answer)?;
        for needed in &mut needed {
            // uv leaves yanked versions out by itself, but not those that it finds on a page with links.
            let index = of.environment.indexes.get(&needed.name);
            let index = index.and_then(|index| self.manifest.indexes.get(index));
            let leaves_out = !index.is_some_and(|index| index.links);
            needed.may_be_yanked = leaves_out || is_pinned(of, &needed.name);
        }
        let depends = needed.iter().filter(|needed| needed.depends);
        let names: Vec<&PackageName> = depends.map(|needed| &needed.name).collect();
        let yanked = self.yanked(of, &names)?;
        let digests = |name: &_, version: &_, file: &_| self.digest(of, name, version, file);
        let chosen = choose::packages(of, needed, &yanked, &digests, self.context.remark)?;
        for chosen in &chosen {
            self.is_the_locked_file(of, &chosen.package)?;
        }
        Ok(chosen)
    }

    fn yanked(&self, of: &Criteria, names: &[&PackageName]) -> Result<Yanked, Failure> {
        if names.is_empty() {
            return Ok(Yanked::new());
        }
        if self.resolver.uv.is_offline() {
            self.known.offline.get_or_init(|| {
                (self.context.remark)(
                    "warning: UV_OFFLINE forbids to ask the index which files are yanked; one of them may be locked",
                );
            });
            return Ok(Yanked::new());
        }
        let each = names.len().div_ceil(AT_ONCE);
        let answers: Vec<Result<_, Failure>> = std::thread::scope(|scope| {
            let ask = |names: &[&PackageName]| -> Vec<_> {
                let one = |name: &&PackageName| Ok(((*name).clone(), self.of_package(of, name)?));
                names.iter().map(one).collect()
            };
            let threads: Vec<_> = names
                .chunks(each)
                .map(|names| threads::spawn(scope, move || ask(names)).map_err(|_| names))
                .collect();
            let joined = threads.into_iter().flat_map(|thread| match thread {
                Ok(thread) => thread.join().expect("it does not panic"),
                // Where no more threads are to be had, one after another.
                Err(names) => ask(names),
            });
            joined.collect()
        });
        answers.into_iter().collect()
    }

    /// The yanked files of one package.
    fn of_package(&self, of: &Criteria, name: &PackageName) -> Result<BTreeSet<String>, Failure> {
        let index_name = of.environment.indexes.get(name);
        let failed = |reason: String| Failure::Listing {
            environment: of.environment.name.clone(),
            package: name.to_string(),
            reason,
        };
        let index = self.index(of, index_name)?.map_err(failed)?;
        let key = (index_name.cloned(), (!index.links).then(|| name.clone()));
        let page = {
            let mut pages = self.known.pages.lock().expect("no thread panics with it");
            Arc::clone(pages.entry(key).or_default())
        };
        let read = || {
            let place = if index.url.contains("://") {
                index.url.clone()
            } else {
                fetch::file_address(index.url.as_ref())
            };
            let place = if index.links {
                place
            } else {
                format!("{}/{name}/", place.trim_end_matches('/'))
            };
            let page = fetch::page(&self.resolver.client, &place, page::KINDS, LONGEST);
            let page = page.map_err(|error| chain(&error))?;
            page::yanked(&page)
        };
        page.get_or_init(read).clone().map_err(failed)
    }

    /// Where an index is.
    fn index(
        &self,
        of: &Criteria,
        name: Option<&IndexName>,
    ) -> Result<Result<Index, String>, Failure> {
        let interpreter = self.any_interpreter(of.environment, of.python, of.here)?;
        let mut indexes = self.known.indexes.lock().expect("no thread panics with it");
        let ask = || {
            let interpreter = interpreter.as_ref().map(|i| i.executable.as_path());
            self.resolver.uv.index(name, interpreter)
        };
        Ok(indexes.entry(name.cloned()).or_insert_with(ask).clone())
    }
}
