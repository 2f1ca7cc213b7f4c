//! Where files come from that a root lacks: the bundle first, if there is one, then the network, unless it is forbidden.
//! One value for packages, interpreters, weights, and what models have fetched themselves.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::digest::Digest;
use crate::fetch::{self, Client};
pub use crate::fetch::{Credentials, Mirror};
pub use crate::hub::Hub;
use crate::store::bundle::Bundle;

/// Where files come from.
pub struct Supply {
    /// It is asked first.
    pub bundle: Option<Bundle>,
    /// For what the bundle does not have; `None` forbids downloads.
    pub network: Option<Network>,
    /// Proxies and certificates.
    pub variables: BTreeMap<OsString, OsString>,
}

/// Servers.
pub struct Network {
    /// For servers of packages that require them.
    pub credentials: Credentials,
    /// Where archives with managed interpreters are mirrored, if their own addresses cannot be used.
    pub mirror: Option<Mirror>,
    /// Where files of the Hugging Face Hub are.
    pub hub: Hub,
}

/// A file that a bundle may have.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    /// The locked file of a package, or an archive with an interpreter.
    Archive(&'a Digest),
    /// A weight file, by its path below the cache.
    Weight(&'a str),
}

/// Where one file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This file of the bundle.
    Bundle(PathBuf),
    /// This address.
    Address(String),
}

/// The bundle does not have the file, and downloads are forbidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offline;

impl Supply {
    /// Where this file comes from; its address is asked for only if the bundle does not have it.
    pub fn source(
        &self,
        item: Item,
        address: impl FnOnce(&Network) -> String,
    ) -> Result<Source, Offline> {
        match (self.bundled(item), &self.network) {
            (Some(path), _) => Ok(Source::Bundle(path)),
            (None, Some(network)) => Ok(Source::Address(address(network))),
            (None, None) => Err(Offline),
        }
    }

    /// Where the bundle has this file, if there is a bundle and it has it.
    pub fn bundled(&self, item: Item) -> Option<PathBuf> {
        let bundle = self.bundle.as_ref()?;
        match item {
            Item::Archive(sha256) => bundle.archive(sha256),
            Item::Weight(path) => bundle.weight(path),
        }
    }

    /// A client for packages and interpreters.
    pub fn client(&self) -> Result<Client, fetch::Error> {
        let client = Client::new(&self.variables)?;
        Ok(match &self.network {
            Some(network) => client.with(&network.credentials),
            None => client,
        })
    }

    /// A client for weights, from the hub and from elsewhere.
    pub fn weights_client(&self) -> Result<Client, fetch::Error> {
        match &self.network {
            Some(network) => {
                let client = network.hub.client(&self.variables)?;
                Ok(client.with(&network.credentials))
            }
            None => Client::new(&self.variables),
        }
    }
}

impl Source {
    /// The address to fetch from.
    pub fn address(&self) -> String {
        match self {
            Source::Bundle(path) => fetch::file_address(path),
            Source::Address(address) => address.clone(),
        }
    }
}
