//! How a session ends.

use std::io;

use crate::calculator::Failure;
use crate::{dialect, segments, wire};

/// A regular end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The server sent EXIT.
    Exit,
    /// The server closed the connection between two messages.
    Closed,
    /// The server closed the connection before it read an answer.
    Gone,
}

/// An end in the middle.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A message cannot be read.
    #[error(transparent)]
    Wire(#[from] wire::Error),
    /// An INIT asks for something unsupported.
    #[error(transparent)]
    Init(#[from] dialect::Error),
    /// The server's shared memory cannot be used.
    #[error(transparent)]
    Segments(#[from] segments::Error),
    /// The connection broke while answering.
    #[error("cannot answer the server")]
    Write(#[source] io::Error),
    /// Results were requested before positions were sent.
    #[error("the server asked for forces before it sent positions")]
    Order,
    /// Neither the server nor the calculator names the species.
    #[error("the server does not say which atoms its positions belong to")]
    NoSpecies,
    /// The server's number of atoms is not the system's.
    #[error("the server sent positions of {sent} atoms, but this worker's system has {expected}")]
    Atoms {
        /// The system's.
        expected: usize,
        /// The server's.
        sent: usize,
    },
    /// A cell or positions that are not numbers.
    #[error("the server sent {0}")]
    NotFinite(String),
    /// The model has no stress, and this server accepts nothing but a number.
    #[error("the model computes no stress, which this server wants for a periodic system")]
    NoStress,
    /// The computation failed.
    #[error("{0}")]
    Failed(Failure),
}
