//! The servers of a worker, one after another: the first one, and those that take its address after it has ended, as an i-PI
//! does that was preempted and starts again. The model stays loaded.
//!
//! How a server ended does not tell whether another one follows: i-PI sends EXIT when it is finished and also when SIGTERM
//! ends it, and a killed one only closes the connection.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Instant;

use ipi_client::{End, Failure, Session, wire};
use rustix::fs::{FileType, Mode, OFlags};

use super::connect::{self, Address};
use super::connection::Connection;
use super::model;
use super::model::Model;
use super::options::Options;
use super::outcome::{Error, how};

/// Connects to the server and answers it, and then those that come after it in time. Returns how the last one ended.
pub(super) fn answer(model: &mut Model<'_>, options: &Options) -> Result<End, Error> {
    let signals = model.waiting.signals;
    let mut connection = first(model, options).map_err(|error| error.unless_stopped(signals))?;
    let mut deadline = None;
    loop {
        let before = model.steps();
        let (ended, has_received) = converse(connection, model, options);
        let Some(patience) = options.reconnect.filter(|_| may_come_back(&ended)) else {
            return ended;
        };
        // One that only accepted the connection, because it was ending already, gives no more time to the next.
        if has_received || deadline.is_none() {
            deadline = Some(Instant::now() + patience);
            (model.print)(&format!(
                "rootstock: the server {} after {} steps; waiting {} s for the next one at {}",
                ended
                    .as_ref()
                    .map_or("broke the connection", |end| how(*end)),
                model.steps() - before,
                patience.as_secs_f64(),
                options.server
            ));
        }
        let forgotten = model.forget_server();
        forgotten.map_err(|error| error.unless_stopped(signals))?;
        let until = deadline.expect("it was set at the first end");
        match connect::again(&options.server, until, signals) {
            Ok(next) => connection = next,
            Err(connect::Error::NoServer { .. }) => return ended,
            Err(error) => return Err(Error::from(error).unless_stopped(signals)),
        }
    }
}

/// The connection to the first server.
fn first<'a>(model: &Model<'a>, options: &Options) -> Result<Connection<'a>, Error> {
    let python = model.python.as_ref().expect(model::ALIVE);
    let connected = connect::connect(
        &options.server,
        options.connect_timeout,
        python.hand_over.socket(),
        model.waiting.signals,
    );
    match connected {
        Err(connect::Error::Abandoned) => Err(Error::died(python.child.cause())),
        connected => Ok(connected?),
    }
}

/// Answers a server until it ends; returns how, and whether it sent anything.
fn converse<'a>(
    mut connection: Connection<'a>,
    model: &mut Model<'a>,
    options: &Options,
) -> (Result<End, Error>, bool) {
    // A program that has started this worker for itself asks whenever its user does.
    if !matches!(options.server, Address::Inherited(_)) {
        connection.report_waiting(options.heartbeat, model.print);
    }
    connection.limit_waiting(options.idle_timeout);
    model.peer = Some(connection.peer());
    let mut session = Session::new(connection);
    if options.shared_memory {
        session = session.with_segments(&open_segment);
    }
    let end = session.serve(model);
    model.peer = None;
    let connection = session.into_stream();
    let has_received = connection.has_received();
    let idle = options.idle_timeout.filter(|_| connection.has_timed_out());
    let end = end.map_err(|error| {
        let error = match (error, idle) {
            (ipi_client::Error::Failed(Failure::Died(cause)), _) => Error::died(cause),
            (_, Some(limit)) => Error::Idle(limit.as_secs_f64()),
            (error, None) => Error::Session(error),
        };
        error.unless_stopped(model.waiting.signals)
    });
    if end.is_err() {
        if model.is_computing_in_memory() {
            // A client that waits for the bell wakes up when no other process holds it.
            model.python = None;
            model.leave_memory();
        }
        connection.close();
    }
    (end, has_received)
}

/// Whether the server has ended, or the connection to it: then there is nothing wrong at this end.
fn may_come_back(ended: &Result<End, Error>) -> bool {
    match ended {
        Ok(_) => true,
        Err(Error::Session(error)) => matches!(
            error,
            ipi_client::Error::Write(_) | ipi_client::Error::Wire(wire::Error::Truncated(..))
        ),
        Err(_) => false,
    }
}

/// Opens a segment of shared memory that belongs to this user.
fn open_segment(name: &str) -> std::io::Result<(OwnedFd, u64)> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(Path::new("/dev/shm").join(name), flags, Mode::empty())?;
    let found = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile
        || found.st_uid != rustix::process::geteuid().as_raw()
    {
        return Err(std::io::Error::other(
            "it is not a regular file of this user",
        ));
    }
    Ok((file, u64::try_from(found.st_size).unwrap_or(0)))
}
