//! What a server may send while none of it becomes a byte of the body: trailers of a chunked body, records of TLS that stay
//! incomplete. The HTTP library reads them within one read of the body, limited only by the time for the whole file.
//!
//! So every connection is wrapped below TLS, and what it receives while a body is read is compared with the same rate as the
//! body, and with a limit. Which read it belongs to is known by its thread: the library has no place for it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectProxyConnector, ConnectionDetails, Connector};
use ureq::unversioned::transport::{NextTimeout, RustlsConnector, TcpConnector, Transport};

use super::limits::{Rate, Timeout};

/// The most that a connection may receive within one read of a body. Buffers of connection and TLS are far smaller.
pub(super) const MOST_FRAMING: u64 = 1 << 20;

/// Watches the connections of a client.
#[derive(Clone)]
pub(super) struct Watch(Arc<Shared>);

struct Shared {
    rate: Rate,
    reads: Mutex<HashMap<ThreadId, Received>>,
}

/// What was received within a read.
struct Received {
    bytes: u64,
    rate: Rate,
}

impl Watch {
    pub(super) fn new(rate: Rate) -> Self {
        let reads = Mutex::default();
        Self(Arc::new(Shared { rate, reads }))
    }

    /// What opens connections.
    pub(super) fn connector(&self) -> impl Connector + use<> {
        ().chain(ConnectProxyConnector::default())
            .chain(TcpConnector::default())
            .chain(self.clone())
            .chain(RustlsConnector::default())
    }

    /// Reads from a body.
    pub(super) fn during<T>(&self, read: impl FnOnce() -> T) -> T {
        let thread = thread::current().id();
        let received = Received {
            bytes: 0,
            rate: self.0.rate.clone(),
        };
        self.with(|reads| reads.insert(thread, received));
        let read = read();
        self.with(|reads| reads.remove(&thread));
        read
    }

    /// Counts what a connection has received, if this thread reads a body.
    fn add(&self, bytes: u64, waited: Duration) -> Result<(), Timeout> {
        self.with(|reads| {
            let Some(received) = reads.get_mut(&thread::current().id()) else {
                return Ok(());
            };
            received.bytes += bytes;
            if received.bytes > MOST_FRAMING {
                return Err(Timeout::Framing);
            }
            received.rate.add(bytes, waited)
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<ThreadId, Received>) -> T) -> T {
        act(&mut self.0.reads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Watch")
    }
}

impl<In: Transport> Connector<In> for Watch {
    type Out = Watched<In>;

    fn connect(
        &self,
        _: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Watched<In>>, Error> {
        let watched = |connection| Watched {
            connection,
            watch: self.clone(),
        };
        Ok(chained.map(watched))
    }
}

/// A connection that is watched.
#[derive(Debug)]
pub(super) struct Watched<T> {
    connection: T,
    watch: Watch,
}

impl<T: Transport> Transport for Watched<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.connection.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.connection.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let before = self.connection.buffers().input().len();
        let started = Instant::now();
        let progress = self.connection.await_input(timeout)?;
        let received = self
            .connection
            .buffers()
            .input()
            .len()
            .saturating_sub(before);
        let counted = self.watch.add(received as u64, started.elapsed());
        counted.map_err(|timeout| Error::Other(Box::new(timeout)))?;
        Ok(progress)
    }

    fn is_open(&mut self) -> bool {
        self.connection.is_open()
    }

    fn is_tls(&self) -> bool {
        self.connection.is_tls()
    }
}
