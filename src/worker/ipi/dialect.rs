//! Which kind of server is at the other end, told by the text of its INIT, and what follows from that: its units, and
//! whether it wants to name the species again before every step.
//!
//! | INIT text                                   | server                                                        |
//! |---------------------------------------------|---------------------------------------------------------------|
//! | none, one NUL                               | ASE's `SocketIOCalculator`                                     |
//! | `Initializing`                              | CP2K                                                          |
//! | `{"numbers": […], "pbc": […], "info": {…}}` | rootstock 1.x (the Python package) and clients that follow it |
//! | the same with `"rs": 2`                     | our own clients                                               |
//! | anything else: blank, ` key : value , …`    | i-PI                                                          |
//!
//! Servers that speak JSON can also send `"arrays": {name: […]}`, the other per-atom arrays of `Atoms`: `initial_charges`,
//! `initial_magmoms`, `tags`, `masses`, any of their own. A key that is not known here is refused, unless its value is nothing.
//!
//! Our own clients (`"rs": 2`) send an INIT before the first step and whenever anything but positions and cell changes; what
//! plain JSON cannot say of `info` and arrays is in `inputs`, a text that only Python reads (`encoding.py`). They send
//! then POSDATA and GETFORCE in one write; they need no STATUS. Lengths are in ångström and energies in electronvolt, so
//! that nothing is rounded on the way. In place of the virial stands the stress, 3x3 by rows in eV/Å³ with ASE's sign:
//! NaN if there is none. Extras are a JSON object: further single numbers that the calculator has computed, and dipoles and the
//! like (`free_energy` is null where the model has one that it must be asked for), or `{"error", "kind", "retryable"}` beside NaN
//! everywhere. All further results, arrays too, are sent on GETRESULTS: `{"results": …}` in the form of `encoding.py`, an error as
//! above, or `{"gone": true}` where the Python that computed them has gone, and the step must be asked for again. The number of atoms may change with an INIT, and
//! an INIT that is refused, or does not fit the positions, is an error of the step, after which the worker serves on.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::worker::step::System;

/// More structures than anybody evaluates at once.
const MOST_STRUCTURES: usize = 10_000;

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// ASE, or a server that never sent an INIT.
    #[default]
    Ase,
    /// i-PI.
    Ipi,
    /// CP2K as a server.
    Cp2k,
    /// Species as JSON, before every step.
    Json,
    /// Species as JSON, where they change: our own clients.
    Rootstock,
}

/// What an INIT said.
#[derive(Debug, Clone, PartialEq)]
pub enum Init {
    /// The server is of this kind, says nothing about the atoms, and sends as many structures at once.
    Stock(Dialect, usize),
    /// The server is of this kind, and these are the atoms.
    System(Dialect, System),
}

/// The marker of our own dialect, and keys that no dialect has.
#[derive(Deserialize)]
#[expect(
    dead_code,
    reason = "they take their keys away from those that are not known"
)]
struct Marker {
    rs: Option<Value>,
    #[serde(default)]
    numbers: IgnoredAny,
    #[serde(default)]
    pbc: IgnoredAny,
    #[serde(default)]
    info: IgnoredAny,
    #[serde(default)]
    arrays: IgnoredAny,
    #[serde(default)]
    inputs: IgnoredAny,
    #[serde(default)]
    timings: IgnoredAny,
    #[serde(flatten)]
    unknown: serde_json::Map<String, Value>,
}

impl Marker {
    /// A key with a value that would be lost.
    fn lost(self) -> Option<String> {
        let is_nothing = |value: &Value| match value {
            Value::Null | Value::Bool(false) => true,
            Value::Bool(true) => false,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(items) => items.is_empty(),
        };
        let mut unknown = self.unknown.into_iter();
        unknown.find_map(|(key, value)| (!is_nothing(&value)).then_some(key))
    }
}

/// The units of a server. Conversions only cancel if both ends use the same numbers, so each server gets its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Units {
    /// Ångström in a bohr.
    pub bohr: f64,
    /// Electronvolt in a hartree.
    pub hartree: f64,
}

/// What an INIT asked for cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A JSON text that does not say what it should.
    #[error("the server's INIT is not the JSON object it looks like: {0}")]
    Json(#[from] serde_json::Error),
    /// A client of ours that does not say what it should.
    #[error("the client's INIT does not say what it should: {0}")]
    Rootstock(#[source] serde_json::Error),
    /// A client of a later rootstock.
    #[error("the client speaks `\"rs\": {0}`, and this worker speaks `\"rs\": 2`")]
    Version(Value),
    /// Something that would be lost.
    #[error(
        "the INIT says `{0}`, which this worker does not know: `info` and `arrays` are what a model reads beside \
         `numbers` and `pbc`"
    )]
    Unknown(String),
    /// The same, of a client of ours.
    #[error("the client's INIT says `{0}`, which this worker does not know: is the client newer?")]
    RootstockUnknown(String),
    /// A number of structures in one message that is none, or too large.
    #[error(
        "the server wants `{0}` structures evaluated at once (`batch_size`), which is no number of them"
    )]
    Batch(String),
}

impl Error {
    /// Whether only a client of ours can have asked for it.
    pub fn is_ours(&self) -> bool {
        matches!(
            self,
            Error::Rootstock(_) | Error::RootstockUnknown(_) | Error::Version(_)
        )
    }
}

impl Dialect {
    /// The server's own units: `ase.units` (CODATA 2014), the 8 digits of i-PI's atomic units, or the mixed constants
    /// that the Python rootstock has frozen. CP2K's are not known to us to the last digit; ASE's agree to 1e-8.
    pub fn units(self) -> Units {
        match self {
            Dialect::Ase | Dialect::Cp2k => Units {
                bohr: 0.529_177_210_563_841_1,
                hartree: 27.211_386_024_367_243,
            },
            Dialect::Ipi => Units {
                bohr: 0.529_177_217_798_918,
                hartree: 27.211_383_414_215_543,
            },
            Dialect::Json => Units {
                bohr: 0.529_177_210_67,
                hartree: 27.211_386_245_988,
            },
            Dialect::Rootstock => Units {
                bohr: 1.0,
                hartree: 1.0,
            },
        }
    }

    /// Whether it expects to be asked for an INIT before every step. Stock servers do not; CP2K ends over it.
    pub fn names_species_every_step(self) -> bool {
        self == Dialect::Json
    }

    /// Whether it names the species, and reads in the extras what went wrong.
    pub fn is_json(self) -> bool {
        matches!(self, Dialect::Json | Dialect::Rootstock)
    }

    /// Whether it can read numbers that are not finite. ASE's server stops with a bare `AssertionError` at the first.
    pub fn reads_nan(self) -> bool {
        self != Dialect::Ase
    }
}

/// The version of our own clients' dialect.
pub const VERSION: u32 = 2;

/// What an INIT text says.
pub fn understand(text: &[u8]) -> Result<Init, Error> {
    if text.starts_with(b"{") {
        let mut marker: Marker = serde_json::from_slice(text)?;
        return match marker.rs.take() {
            None => match marker.lost() {
                None => Ok(Init::System(Dialect::Json, serde_json::from_slice(text)?)),
                Some(key) => Err(Error::Unknown(key)),
            },
            Some(version) if version == VERSION => {
                let mut system: System = serde_json::from_slice(text).map_err(Error::Rootstock)?;
                if let Some(key) = marker.lost() {
                    return Err(Error::RootstockUnknown(key));
                }
                system.everything = true;
                Ok(Init::System(Dialect::Rootstock, system))
            }
            Some(version) => Err(Error::Version(version)),
        };
    }
    let batch = batch_size(text)?;
    let dialect = match text {
        b"" | b"\0" => Dialect::Ase,
        text if text.trim_ascii_end() == b"Initializing" => Dialect::Cp2k,
        _ => Dialect::Ipi,
    };
    Ok(Init::Stock(dialect, batch))
}

/// The value of i-PI's `batch_size:N`: its last word, announced only when there is more than one structure.
fn batch_size(text: &[u8]) -> Result<usize, Error> {
    let text = String::from_utf8_lossy(text);
    let Some((_, value)) = text.rsplit_once("batch_size:") else {
        return Ok(1);
    };
    let value = value.trim_matches([' ', ',']);
    match value.parse() {
        Ok(size) if (1..=MOST_STRUCTURES).contains(&size) => Ok(size),
        _ => Err(Error::Batch(value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_its_init() {
        for (text, dialect) in [
            (&b"\0"[..], Dialect::Ase),
            (b"", Dialect::Ase),
            (b"Initializing", Dialect::Cp2k),
            (b" ", Dialect::Ipi),
            (b" template : /abs/init.xyz , charge : 1 , ", Dialect::Ipi),
            (b"  batch_size:1", Dialect::Ipi),
            (b"\xff\xfe", Dialect::Ipi),
        ] {
            assert_eq!(
                understand(text).unwrap(),
                Init::Stock(dialect, 1),
                "{text:?}"
            );
        }
    }

    #[test]
    fn species_come_as_json() {
        let text = br#"{"numbers": [29, 8], "pbc": [true, true, false], "info": {"charge": 1}, "more": 0}"#;
        let Init::System(Dialect::Json, system) = understand(text).unwrap() else {
            panic!("this is JSON")
        };
        assert_eq!(
            (system.numbers, system.pbc),
            (vec![29, 8], [true, true, false])
        );
        assert_eq!(system.info["charge"], 1);
        let arrays = br#"{"numbers": [8], "pbc": [true, true, false], "arrays": {"tags": [3]}}"#;
        let Init::System(_, system) = understand(arrays).unwrap() else {
            panic!("this is JSON")
        };
        assert_eq!(system.arrays["tags"][0], 3);
        for key in ["initial_charges", "cell"] {
            let text = format!(r#"{{"numbers": [8], "pbc": [true, true, false], "{key}": [1]}}"#);
            assert!(
                matches!(understand(text.as_bytes()), Err(Error::Unknown(named)) if named == key)
            );
        }
        for broken in ["{", "{}", r#"{"numbers": [-1], "pbc": [true, true, true]}"#] {
            assert!(
                matches!(understand(broken.as_bytes()), Err(Error::Json(_))),
                "{broken}"
            );
        }
    }

    #[test]
    fn our_own_clients_are_known_by_their_marker() {
        let understand = |text: &str| understand(text.as_bytes());
        let Ok(Init::System(Dialect::Rootstock, system)) =
            understand(r#"{"rs": 2, "numbers": [1], "pbc": [false, false, false]}"#)
        else {
            panic!("this is ours")
        };
        assert!(system.everything && system.numbers == [1] && system.info.is_empty());
        assert!(matches!(
            understand(r#"{"rs": 2, "numbers": [300]}"#),
            Err(Error::Rootstock(_))
        ));
        assert_eq!(
            understand(r#"{"rs": 3}"#).unwrap_err().to_string(),
            r#"the client speaks `"rs": 3`, and this worker speaks `"rs": 2`"#
        );
    }

    #[test]
    fn the_size_of_a_batch_is_read_or_refused() {
        for text in ["  batch_size:4", " a : b , , batch_size:4"] {
            assert_eq!(
                understand(text.as_bytes()).unwrap(),
                Init::Stock(Dialect::Ipi, 4)
            );
        }
        for size in ["0", "-1", "many", "", "99999999999999999999", "10001"] {
            let text = format!("  batch_size:{size}");
            let error = understand(text.as_bytes()).unwrap_err();
            assert!(matches!(error, Error::Batch(named) if named == size));
        }
    }
}
