//! Digests that packages give of a file that they name by its address (`lib @ https://…/lib-1.0.zip#sha1=…`): uv reads
//! some of them and its answer has few. Each package that names the address is asked for its own.

use super::ask::Asking;
use super::{Failure, Solver};
use crate::digest::{Algorithm, Checksum};
use crate::uv::{Compile, Direct, Package, Request, Unresolved, Uv};

impl Solver<'_> {
    /// Adds to each file at an address the digests that other packages give of it.
    pub(super) fn add_digests_given<'e>(
        &self,
        asking: &Asking<'e>,
        ask: &Compile<'e>,
        packages: &mut [Package],
    ) -> Result<(), Failure> {
        let at_address = |package: &Package| matches!(&package.direct, Some(Direct::Archive { file, .. }) if file.url.contains("://"));
        if !packages.iter().any(at_address) {
            return Ok(());
        }
        let mut ask = ask.clone();
        let pins = packages.iter().filter(|package| package.direct.is_none());
        let pins = pins.map(|package| (package.name.clone(), package.version.clone()));
        ask.preferences = pins.collect();
        let unanswered = |unresolved| super::unanswered(asking, unresolved);
        let requests = self.requests(asking, &ask)?.map_err(unanswered)?;
        for at in 0..packages.len() {
            if !at_address(&packages[at]) {
                continue;
            }
            let request = requests.iter().find(|one| one.name == packages[at].name);
            let Some(request) = request.filter(|request| !request.by.is_empty()) else {
                continue;
            };
            let digests = self.digests_given(asking, &ask, request, packages)?;
            if let Some(Direct::Archive { given, .. }) = &mut packages[at].direct {
                *given = digests;
            }
        }
        Ok(())
    }

    fn requests(
        &self,
        asking: &Asking,
        ask: &Compile,
    ) -> Result<Result<Vec<Request>, Unresolved>, Failure> {
        let requests = |uv: &Uv, ask: &Compile| uv.requests(ask, asking.target, asking.python);
        self.try_put(asking, ask, &requests)
    }

    /// The digests that packages give of this one.
    fn digests_given<'e>(
        &self,
        asking: &Asking<'e>,
        ask: &Compile<'e>,
        request: &Request,
        packages: &[Package],
    ) -> Result<Vec<Checksum>, Failure> {
        let wrong = |reason: String| Failure::Answer {
            environment: asking.environment.name.clone(),
            reason,
        };
        let mut digests = Vec::new();
        for by in &request.by {
            let address = if request.by.len() == 1 && !request.is_direct {
                request.address.clone()
            } else {
                self.address_given_by(asking, ask, request, by, packages)?
            };
            let Some(address) = address else {
                continue;
            };
            let name = &request.name;
            let given = in_fragment(&address);
            digests.extend(given.map_err(|reason| {
                wrong(format!("`{by}` names `{address}` for `{name}`: {reason}"))
            })?);
        }
        Ok(digests)
    }

    /// The address of a package as one of several names it: asked while the others are left out. `None` if it asks for
    /// the package by its name: that has no solution then, while what names an address has one, as it had with the others.
    fn address_given_by<'e>(
        &self,
        asking: &Asking<'e>,
        ask: &Compile<'e>,
        request: &Request,
        by: &str,
        packages: &[Package],
    ) -> Result<Option<String>, Failure> {
        let mut ask = ask.clone();
        let is_for = |line: &String, wanted: &str| {
            super::ask::name(line).is_some_and(|(name, _)| name.as_ref() == wanted)
        };
        ask.requirements.retain(|line| !is_for(line, &request.name));
        ask.routes
            .retain(|route| route.package.as_ref() != request.name);
        ask.excludes
            .extend(request.by.iter().filter(|other| *other != by).cloned());
        if !ask.requirements.iter().any(|line| is_for(line, by)) {
            let package = packages.iter().find(|package| package.name == by);
            let line = match package.and_then(|package| package.direct.as_ref()) {
                None => by.to_owned(),
                Some(Direct::Archive { file, .. }) => format!("{by} @ {}", file.url),
                Some(Direct::Git { url, commit, .. }) => format!("{by} @ git+{url}@{commit}"),
            };
            ask.requirements.push(line);
        }
        ask.not_from_index.push(request.name.clone());
        match self.requests(asking, &ask)? {
            Ok(requests) => {
                let found = requests.into_iter().find(|one| one.name == request.name);
                Ok(found.and_then(|found| found.address))
            }
            Err(Unresolved::Unsatisfiable(_)) => Ok(None),
            Err(unresolved) => Err(super::unanswered(asking, unresolved)),
        }
    }
}

/// The digests behind the `#` of an address that another package states. Other keys are their business, but not digests of
/// algorithms that we do not have.
fn in_fragment(address: &str) -> Result<Vec<Checksum>, String> {
    let Some((_, fragment)) = address.split_once('#') else {
        return Ok(Vec::new());
    };
    let mut digests = Vec::new();
    for part in fragment.split(['&', '#']) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let looks_like_digest =
            value.len() >= 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
        match Algorithm::named(key) {
            Some(algorithm) => {
                let checksum = Checksum::new(algorithm, value);
                let malformed = |error| format!("its {key} is not one: {error}");
                digests.push(checksum.map_err(malformed)?);
            }
            None if looks_like_digest => {
                return Err(format!("digests of `{key}` cannot be compared"));
            }
            None => {}
        }
    }
    Ok(digests)
}
