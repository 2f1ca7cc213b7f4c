//! The addresses of a host, looked up by the system within a time. The HTTP library's own look-up panics where no thread can be
//! started.

use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use ureq::unversioned::transport::time::Duration;

/// Looks up names in a thread of its own, because the system's look-up has no limit.
#[derive(Debug)]
pub(super) struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let unlimited = NextTimeout {
            after: Duration::NotHappening,
            ..timeout
        };
        if is_address(uri) {
            return DefaultResolver::default().resolve(uri, config, unlimited);
        }
        let (answer, answers) = mpsc::sync_channel(1);
        let (uri, config) = (uri.clone(), config.clone());
        thread::Builder::new()
            .spawn(move || {
                let resolved = DefaultResolver::default().resolve(&uri, &config, unlimited);
                // Nothing waits for it when the time is over.
                answer.send(resolved).ok()
            })
            .map_err(Error::Io)?;
        answers
            .recv_timeout(*timeout.after)
            .unwrap_or_else(|error| match error {
                RecvTimeoutError::Timeout => Err(Error::Timeout(timeout.reason)),
                RecvTimeoutError::Disconnected => {
                    Err(Error::Io(io::Error::other("the look-up of its name ended")))
                }
            })
    }
}

/// Whether its host is an address, for which nothing is looked up.
fn is_address(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.parse::<IpAddr>().is_ok()
}
