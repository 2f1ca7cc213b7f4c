//! How long a server may take and how much it may send: limits after which a download ends with an error.
//!
//! A server that sends nothing, a byte a second, or a little on each connection would keep a command running for ever. What
//! is measured is the time spent waiting for the server, so that a busy machine of ours is not taken for a slow network.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::time::{Duration, Instant};

use super::Error;
use super::address::Address;
use super::watch::{MOST_FRAMING, Watch};

/// How long a server may send nothing, in seconds; other limits are multiples of it.
const TIMEOUT: &str = "ROOTSTOCK_HTTP_TIMEOUT";
/// How many bytes a second a server has to send at least, on average over the time of [`TIMEOUT`].
const MIN_RATE: &str = "ROOTSTOCK_HTTP_MIN_RATE";
/// How many bytes a file may have of which the size is not known beforehand.
pub(super) const MAX_SIZE: &str = "ROOTSTOCK_HTTP_MAX_SIZE";

/// Variables that set the limits.
pub(crate) const LIMITS: [&str; 3] = [TIMEOUT, MIN_RATE, MAX_SIZE];

/// However large it is, a file has to be here after so long. The next run continues it.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The limits of one client.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) timeout: Duration,
    pub(super) min_rate: u64,
    pub(super) max_size: u64,
    /// How long to wait before the second and the third try. After a try that made progress this begins anew.
    pub(super) pauses: Vec<Duration>,
    pub(super) watch: Watch,
}

impl Limits {
    /// Those that these variables set.
    pub(super) fn new(variables: &BTreeMap<OsString, OsString>) -> Result<Self, Error> {
        let number = |name: &'static str, default: u64, lowest: u64, highest: u64| {
            let Some(value) = variables.get(OsStr::new(name)).filter(|v| !v.is_empty()) else {
                return Ok(default);
            };
            let value = value.to_str().and_then(|text| text.trim().parse().ok());
            value
                .filter(|number| (lowest..=highest).contains(number))
                .ok_or(Error::Variable {
                    variable: name,
                    lowest,
                    highest,
                })
        };
        let timeout = Duration::from_secs(number(TIMEOUT, 30, 1, 3600)?);
        let min_rate = number(MIN_RATE, 1024, 0, 1 << 30)?;
        Ok(Self {
            timeout,
            min_rate,
            max_size: number(MAX_SIZE, 16 << 30, 1, 1 << 50)?,
            pauses: vec![timeout / 100, timeout / 15],
            watch: Watch::new(Rate::new(timeout, min_rate)),
        })
    }

    /// How long the headers of a response may take.
    pub(super) fn headers(&self) -> Duration {
        2 * self.timeout
    }

    /// How long a document may take that is read as a whole, with all tries.
    pub(super) fn document(&self) -> Duration {
        10 * self.timeout
    }

    /// How long a file may take, with all tries.
    pub(super) fn file(&self) -> Duration {
        LONGEST.max(self.document())
    }

    /// How much a try has to bring so that it does not count as one of the few that may fail in a row.
    pub(super) fn progress(&self) -> u64 {
        (self.min_rate * self.timeout.as_secs()).max(1024)
    }
}

/// When something has to be complete.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    end: Instant,
    total: Duration,
}

impl Deadline {
    /// So long from now.
    pub(super) fn after(total: Duration) -> Self {
        Self {
            end: Instant::now() + total,
            total,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    /// How long there is still.
    pub(super) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// The error of what is not complete by then.
    pub(super) fn error(&self, address: &Address) -> Error {
        Error::TooLate {
            address: address.shown.clone(),
            seconds: self.total.as_secs(),
        }
    }
}

/// Why waiting for a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Timeout {
    /// So few bytes came in so long.
    #[error("{bytes} bytes in {waited:?}")]
    TooSlow { bytes: u64, waited: Duration },
    /// The time for the whole is over.
    #[error("not complete in time")]
    Over,
    /// Too much came that is no part of the body.
    #[error("more than {MOST_FRAMING} bytes that are no part of the file")]
    Framing,
}

/// The rate at which a connection brings bytes.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    timeout: Duration,
    least: u64,
    bytes: u64,
    waited: Duration,
}

impl Rate {
    /// At least so many bytes a second, on average over this time of waiting.
    fn new(timeout: Duration, least: u64) -> Self {
        Self {
            timeout,
            least,
            bytes: 0,
            waited: Duration::ZERO,
        }
    }

    /// Counts what a read brought. After each period of waiting the average is compared and counting begins anew.
    pub(super) fn add(&mut self, bytes: u64, waited: Duration) -> Result<(), Timeout> {
        self.bytes += bytes;
        self.waited += waited;
        if self.waited < self.timeout {
            return Ok(());
        }
        let (bytes, waited) = (self.bytes, self.waited);
        (self.bytes, self.waited) = (0, Duration::ZERO);
        let required = self.least.saturating_mul(waited.as_secs());
        if bytes < required {
            return Err(Timeout::TooSlow { bytes, waited });
        }
        Ok(())
    }
}

/// The body of a response, read until it is complete, comes too slowly, or takes too long.
pub(super) struct Metered<R> {
    body: R,
    rate: Rate,
    watch: Watch,
    deadline: Deadline,
}

impl<R: Read> Metered<R> {
    /// The body, which has to be complete at this time.
    pub(super) fn new(body: R, limits: &Limits, deadline: Deadline) -> Self {
        Self {
            body,
            rate: Rate::new(limits.timeout, limits.min_rate),
            watch: limits.watch.clone(),
            deadline,
        }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.deadline.is_over() {
            return Err(io::Error::other(Timeout::Over));
        }
        let started = Instant::now();
        let body = &mut self.body;
        let read = self.watch.during(|| body.read(buffer));
        let waited = started.elapsed();
        match read {
            Ok(0) => Ok(0),
            Ok(read) => {
                let added = self.rate.add(read as u64, waited);
                added.map(|()| read).map_err(io::Error::other)
            }
            Err(error) if is_timeout(&error) => {
                let (bytes, waited) = (self.rate.bytes, self.rate.waited + waited);
                Err(io::Error::other(Timeout::TooSlow { bytes, waited }))
            }
            Err(error) => Err(timeout(&error).map_or(error, io::Error::other)),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(library_error(error), Some(ureq::Error::Timeout(_)))
}

/// Why the connection below stopped waiting.
fn timeout(error: &io::Error) -> Option<Timeout> {
    match library_error(error)? {
        ureq::Error::Other(inner) => inner.downcast_ref().copied(),
        _ => None,
    }
}

fn library_error(error: &io::Error) -> Option<&ureq::Error> {
    error.get_ref()?.downcast_ref()
}

/// What went wrong while a body was read, of which so much is here.
pub(super) fn broken_off(
    error: io::Error,
    address: &Address,
    limits: &Limits,
    deadline: Deadline,
    bytes: u64,
) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(Timeout::TooSlow { bytes, waited }) => Error::TooSlow {
            address: address.shown.clone(),
            bytes: *bytes,
            seconds: waited.as_secs_f64().round(),
            min_rate: limits.min_rate,
        },
        Some(Timeout::Over) => deadline.error(address),
        Some(Timeout::Framing) => Error::Framing {
            address: address.shown.clone(),
            limit: MOST_FRAMING,
        },
        None => Error::BrokenOff {
            file: address.file.clone(),
            host: address.host.clone(),
            bytes,
            source: Some(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(min_rate: u64) -> Rate {
        Rate::new(Duration::from_secs(10), min_rate)
    }

    #[test]
    fn a_server_is_too_slow_only_by_what_it_makes_us_wait() {
        let second = Duration::from_secs(1);
        let reads = |each: u64, waited: Duration, min_rate: u64| {
            let mut rate = rate(min_rate);
            (1..=100).find_map(|n| rate.add(each, waited).err().map(|error| (n, error)))
        };
        let too_slow = |bytes| Timeout::TooSlow {
            bytes,
            waited: 10 * second,
        };
        assert_eq!(reads(1, second, 1024), Some((10, too_slow(10))));
        assert_eq!(reads(1023, second, 1024), Some((10, too_slow(10230))));
        assert_eq!(reads(1024, second, 1024), None);
        assert_eq!(reads(1, second / 1000, 1024), None);
        assert_eq!(reads(1, second, 0), None);
    }

    #[test]
    fn a_server_that_was_fast_once_may_not_be_slow_afterwards() {
        let mut rate = rate(1024);
        rate.add(1 << 30, Duration::from_secs(10)).unwrap();
        let mut slow = (0..10).map(|_| rate.add(1, Duration::from_secs(1)));
        assert!(slow.any(|added| added.is_err()));
    }

    #[test]
    fn limits_that_make_no_sense_are_refused_with_what_would() {
        let new = |name: &str, value: &str| Limits::new(&[(name.into(), value.into())].into());
        assert_eq!(new(TIMEOUT, "60").unwrap().headers().as_secs(), 120);
        assert_eq!(new(MIN_RATE, "0").unwrap().progress(), 1024);
        for (name, value) in [
            (TIMEOUT, "0"),
            (TIMEOUT, "1m"),
            (MIN_RATE, "-1"),
            (MAX_SIZE, "16G"),
        ] {
            let error = new(name, value).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("the variable `{name}` ")),
                "{error}"
            );
        }
    }
}
