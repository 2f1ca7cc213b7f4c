//! Conversations with i-PI servers of any kind.

use std::io::{self, Read, Write};

use ipi_client::{Calculator, Exception, Failure, Floats, Frame, Results, Session, System};

/// The first byte selects what the calculator does, the rest is what the server sends. However its bytes are cut, the
/// conversation is the same; it is the server's turn after every answer; what failed is never answered with a number.
pub fn ipi(bytes: &[u8]) {
    let Some((&mode, input)) = bytes.split_first() else {
        return;
    };
    let whole = conversation(mode, input, usize::MAX);
    assert_eq!(conversation(mode, input, 1), whole);
    assert_eq!(conversation(mode, input, 13), whole);
}

/// The answers, and how it ended.
fn conversation(mode: u8, input: &[u8], piece: usize) -> (Vec<u8>, String) {
    let server = Server {
        input,
        piece,
        answers: Vec::new(),
        asked: false,
        finite: mode % 8 < 2,
    };
    let mut calculator = Fixed {
        atoms: (mode < 128).then_some(2),
        mode: mode % 8,
    };
    let mut session = Session::new(server);
    let end = match session.serve(&mut calculator) {
        Ok(end) => format!("{end:?}"),
        Err(error) => error.to_string(),
    };
    (session.into_stream().answers, end)
}

/// A server that sends its bytes in pieces.
struct Server<'a> {
    input: &'a [u8],
    piece: usize,
    answers: Vec<u8>,
    asked: bool,
    /// Whether there are results at all.
    finite: bool,
}

impl Read for Server<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = into.len().min(self.input.len()).min(self.piece);
        let (piece, rest) = self.input.split_at(count);
        into[..count].copy_from_slice(piece);
        self.input = rest;
        self.asked |= count > 0;
        Ok(count)
    }
}

impl Write for Server<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(
            std::mem::take(&mut self.asked),
            "an answer without a question"
        );
        if let Some(rest) = bytes.strip_prefix(b"FORCEREADY  ") {
            let energy: [u8; 8] = rest[..8].try_into().expect("these are eight bytes");
            let energy = f64::from_le_bytes(energy);
            assert!(self.finite || energy.is_nan(), "{energy}");
        }
        self.answers.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Always computes the same, or always fails in one way.
struct Fixed {
    atoms: Option<usize>,
    mode: u8,
}

impl Fixed {
    fn fails(&self) -> Result<(), Failure> {
        match self.mode {
            2 => Err(Exception::new("ValueError", "no").into()),
            3 => Err(Failure::Died("Python died".to_owned())),
            4 => Err(Failure::Abandoned),
            _ => Ok(()),
        }
    }
}

impl Calculator for Fixed {
    fn atoms(&self) -> Option<usize> {
        self.atoms
    }

    fn set_system(&mut self, system: System) -> Result<(), Failure> {
        self.atoms = Some(system.numbers.len());
        Ok(())
    }

    fn calculate(&mut self, frames: &[Frame], results: &mut [Results]) -> Result<(), Failure> {
        assert!(!frames.is_empty() && frames.len() == results.len());
        self.fails()?;
        for (frame, results) in frames.iter().zip(results) {
            assert_eq!(Some(frame.atoms()), self.atoms);
            let force = if self.mode == 6 { f64::INFINITY } else { 1.0 };
            *results = Results {
                energy: if self.mode == 5 { f64::NAN } else { -1.0 },
                forces: frame.positions.iter().map(|_| force).collect(),
                virial: (self.mode != 1).then_some([1.0; 9]),
                stress: (self.mode == 7).then_some([f64::NAN; 9]),
                extras: Vec::new(),
            };
        }
        Ok(())
    }

    fn stresses(&mut self, frame: &Frame, stresses: &mut Floats) -> Result<(), Failure> {
        self.fails()?;
        stresses.resize(9 * frame.atoms());
        Ok(())
    }

    fn warn(&mut self, _text: &str) {}
}
