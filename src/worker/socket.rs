//! Takes over a connected socket that this process has inherited, given its descriptor's number. Programs started later do
//! not inherit it.

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketType, recvmsg, sockopt,
};

/// The descriptor is not a connected stream socket.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("`--fd {number}`: {wrong}")]
#[diagnostic(help(
    "start the worker with one end of a connected stream socket pair: in Python `socket.socketpair()`, and \
     `pass_fds=[end.fileno()]` of `subprocess.Popen`"
))]
pub(crate) struct Error {
    /// The number.
    pub number: u32,
    /// What is wrong with it.
    pub wrong: Wrong,
}

/// Why a descriptor cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Wrong {
    /// It is not open.
    #[error("no such descriptor is open in this process")]
    Closed,
    /// It is a file, a pipe or a terminal.
    #[error("this descriptor is not a socket")]
    NoSocket,
    /// It is a socket of datagrams or packets.
    #[error("this socket is not a stream socket")]
    NoStream,
    /// It is not connected.
    #[error("this socket is not connected")]
    Unconnected,
    /// A system call failed.
    #[error("this descriptor cannot be used: {0}")]
    Unusable(io::Error),
}

/// Takes the socket of this number. Call this before opening anything, which could get the same number.
pub(crate) fn from_fd(number: u32) -> Result<OwnedFd, Error> {
    checked(number).map_err(|wrong| Error { number, wrong })
}

fn checked(number: u32) -> Result<OwnedFd, Wrong> {
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
    // Standard streams are replaced for programs that are started; other descriptors would be inherited.
    if number > 2 {
        nix::unistd::close(number).map_err(|error| Wrong::Unusable(error.into()))?;
    }
    Ok(socket)
}

/// Duplicates the descriptor with close-on-exec. Sending it to ourselves turns a number into an owned descriptor without
/// `unsafe`, which believing the number would need.
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
