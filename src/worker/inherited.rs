//! A socket that whoever started this process has left open for it, known by its number. Makes sure that it is one, and
//! takes it: nothing that is started later inherits it. Connects to nobody.

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketType, recvmsg, sockopt,
};

/// A number that is not that of a connected stream socket.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("`--fd {number}`: {wrong}")]
#[diagnostic(help(
    "start the worker with one end of a connected stream socket pair: in Python `socket.socketpair()`, and \
     `pass_fds=[end.fileno()]` of `subprocess.Popen`"
))]
pub struct Error {
    /// As given.
    pub number: u32,
    /// What it is instead.
    pub wrong: Wrong,
}

/// What is wrong with a descriptor.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// Closed, or never open.
    #[error("no such descriptor is open in this process")]
    Closed,
    /// A file, a pipe, a terminal.
    #[error("this descriptor is not a socket")]
    NoSocket,
    /// Datagrams or packets.
    #[error("this socket is not a stream socket")]
    NoStream,
    /// Bound or new, but connected to nobody.
    #[error("this socket is not connected")]
    Unconnected,
    /// Something else.
    #[error("this descriptor cannot be used: {0}")]
    Unusable(io::Error),
}

/// Takes the socket of this number. To be called before anything else is opened, which could have got the number.
pub fn take(number: u32) -> Result<OwnedFd, Error> {
    taken(number).map_err(|wrong| Error { number, wrong })
}

fn taken(number: u32) -> Result<OwnedFd, Wrong> {
    let number = RawFd::try_from(number).map_err(|_| Wrong::Closed)?;
    let socket = duplicate(number)?;
    match sockopt::socket_type(&socket) {
        Ok(SocketType::STREAM) => {}
        Ok(_) => return Err(Wrong::NoStream),
        Err(rustix::io::Errno::NOTSOCK) => return Err(Wrong::NoSocket),
        Err(error) => return Err(Wrong::Unusable(error.into())),
    }
    match rustix::net::getpeername(&socket) {
        Ok(_) => {}
        Err(rustix::io::Errno::NOTCONN) => return Err(Wrong::Unconnected),
        Err(error) => return Err(Wrong::Unusable(error.into())),
    }
    // Programs that are started give their own standard streams; any other descriptor they would inherit.
    if number > 2 {
        nix::unistd::close(number).map_err(|error| Wrong::Unusable(error.into()))?;
    }
    Ok(socket)
}

/// The same open file under a number of our own, closed in what we start. A number becomes an owned descriptor by being
/// sent to ourselves, because the short way, believing that it is open and nobody else's, is `unsafe`.
fn duplicate(number: RawFd) -> Result<OwnedFd, Wrong> {
    let unusable = |error: io::Error| Wrong::Unusable(error);
    let (here, there) = UnixStream::pair().map_err(unusable)?;
    let numbers = [number];
    let sent = sendmsg::<()>(
        std::os::fd::AsRawFd::as_raw_fd(&here),
        &[io::IoSlice::new(b"1")],
        &[ControlMessage::ScmRights(&numbers)],
        MsgFlags::empty(),
        None,
    );
    match sent {
        Ok(_) => {}
        Err(nix::errno::Errno::EBADF) => return Err(Wrong::Closed),
        Err(error) => return Err(unusable(error.into())),
    }
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(
        &there,
        &mut [io::IoSliceMut::new(&mut byte)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )
    .map_err(|error| unusable(error.into()))?;
    let received = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    received.ok_or(Wrong::Closed)
}
