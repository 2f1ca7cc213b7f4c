//! A client's structures and results through pipes: what `rootstock.evaluate` of the Python package speaks. Each message has its
//! length (u32) before it. Structures come in any number and go out in the order in which they are computed, by their `index`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use serde::Serialize;

use super::run::{self, Ends, Progress, Sink, Source, Summary};
use super::source::{Head, Item};
use super::{Context, Error, Failure, message};
use crate::pool::Outlet;
use crate::worker::origin::Origin;

/// How much is read at once.
const PART: usize = 1 << 20;
/// The longest message.
const LONGEST: usize = 1 << 30;

/// What a client has sent.
pub(super) struct Incoming<'a> {
    stream: Option<BorrowedFd<'a>>,
    buffer: Vec<u8>,
    /// How much of the buffer is used already.
    used: usize,
}

impl<'a> Incoming<'a> {
    fn new(stream: BorrowedFd<'a>) -> Self {
        Self {
            stream: Some(stream),
            buffer: Vec::new(),
            used: 0,
        }
    }

    /// The stream, while it may have more.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'a>> {
        self.stream
    }

    pub(super) fn has_ended(&self) -> bool {
        self.stream.is_none() && self.used == self.buffer.len()
    }

    /// Reads once; to be called when there is something.
    pub(super) fn fill(&mut self) {
        let Some(stream) = self.stream else { return };
        self.buffer.drain(..std::mem::take(&mut self.used));
        self.buffer.reserve(PART);
        match rustix::io::read(stream.as_fd(), spare_capacity(&mut self.buffer)) {
            Ok(0) => self.stream = None,
            Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.stream = None,
        }
    }

    /// The next structure.
    pub(super) fn next(&mut self) -> io::Result<Option<Item>> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let rest = &self.buffer[self.used..];
        let whole = rest.split_first_chunk().and_then(|(length, rest)| {
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            Some((length, rest.get(..length)))
        });
        match whole {
            Some((length, _)) if length > LONGEST => {
                Err(invalid("a structure is longer than 1 GiB"))
            }
            Some((length, Some(text))) => {
                let broken = || invalid("standard input has no message of `rootstock.evaluate`");
                let (head, packed) = message::unpack::<Head>(text)
                    .filter(|(head, packed)| head.length == packed.len())
                    .ok_or_else(broken)?;
                let item = Item::new(head, packed);
                self.used += 4 + length;
                Ok(Some(item))
            }
            _ if self.stream.is_none() && !rest.is_empty() => {
                Err(invalid("standard input ends in the middle of a structure"))
            }
            _ => Ok(None),
        }
    }
}

/// What a client gets.
struct Outgoing<'a> {
    outlet: Outlet<'a>,
    origin: Origin,
}

#[derive(Serialize)]
struct Answer<'a> {
    index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
}

#[derive(Serialize)]
struct Began<'a> {
    origin: &'a Origin,
    device: &'a str,
    batch: bool,
}

impl Outgoing<'_> {
    fn send(&mut self, head: &impl Serialize, bytes: &[u8]) -> Result<(), Error> {
        let text = message::pack(head, &[bytes])?;
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        let mut whole = length.to_le_bytes().to_vec();
        whole.extend(text);
        self.outlet.print(&whole);
        Ok(())
    }
}

impl Sink for Outgoing<'_> {
    fn is_done(&mut self, _: &Item) -> Result<bool, Error> {
        Ok(false)
    }

    fn done(&mut self, results: &[(Item, &[u8])]) -> Result<(), Error> {
        for (item, bytes) in results {
            let head = Answer {
                index: item.index,
                failure: None,
            };
            self.send(&head, bytes)?;
        }
        Ok(())
    }

    fn failed(&mut self, item: &Item, failure: &Failure) -> Result<(), Error> {
        let head = Answer {
            index: item.index,
            failure: Some(failure),
        };
        self.send(&head, &[])
    }

    fn began(&mut self, device: &str, batch: bool) -> Result<(), Error> {
        let origin = std::mem::take(&mut self.origin);
        let head = Began {
            origin: &origin,
            device,
            batch,
        };
        self.send(&head, &[])
    }

    fn waiting(&self) -> Option<BorrowedFd<'_>> {
        self.outlet.is_waiting().then(|| self.outlet.descriptor())
    }

    fn flush(&mut self) {
        self.outlet.flush();
    }

    fn is_crowded(&self) -> bool {
        self.outlet.is_crowded()
    }

    fn has_gone(&self) -> bool {
        self.outlet.error().is_some()
    }
}

/// Evaluates what comes through a pipe.
pub(crate) fn serve(
    context: &Context<'_>,
    origin: Origin,
    [structures, results, messages]: [BorrowedFd<'_>; 3],
) -> Result<Summary, Error> {
    let mut outgoing = Outgoing {
        outlet: Outlet::new(results, None),
        origin,
    };
    let ends = Ends {
        source: Source::Stream(Incoming::new(structures)),
        sink: &mut outgoing,
        messages,
        notes: "",
        progress: &|_: &Progress| (),
    };
    run::run(context, ends)
}
