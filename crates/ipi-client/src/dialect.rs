//! The kind of server, recognised by the text of its INIT, and what follows from it: its units, and whether it sends the
//! species before every step.
//!
//! | INIT text                                   | server                                                        |
//! |---------------------------------------------|---------------------------------------------------------------|
//! | none, one NUL                               | ASE's `SocketIOCalculator`                                     |
//! | `Initializing`                              | CP2K                                                          |
//! | `{"numbers": […], "pbc": […], "info": {…}}` | rootstock 1.x (the Python package) and clients that follow it |
//! | the same with `"rs": 2`                     | rootstock's own clients                                       |
//! | anything else: blank, ` key : value , …`    | i-PI                                                          |
//!
//! Servers that send JSON may add `"arrays": {name: […]}`, the other per-atom arrays of `Atoms`: `initial_charges`,
//! `initial_magmoms`, `tags`, `masses`, or their own. An unknown key is refused unless its value is empty.
//!
//! Rootstock's own clients (`"rs": 2`; they are servers in i-PI's sense) send an INIT before the first step and whenever
//! anything but positions and cell changes. What plain JSON cannot express of `info` and arrays is in `inputs`, an opaque
//! text for the Python side. They send POSDATA and GETFORCE in one write, without STATUS. Lengths are in ångström and
//! energies in electronvolt, so that nothing is rounded. The stress takes the place of the virial: 3x3 by rows in eV/Å³
//! with ASE's sign, NaN if there is none. Extras are a JSON object: further numbers that the calculator has computed,
//! dipoles and the like (`free_energy` is null where the model computes it only on request), or `{"error", "kind",
//! "retryable"}` beside NaN everywhere. GETRESULTS requests all further results, arrays too: `{"results": …}`, an error as
//! above, or `{"gone": true}` where the process that computed them has ended and the step must be requested again. The
//! number of atoms may change with an INIT. An INIT that is refused, or does not match the positions, is an error of the
//! step; the session goes on.

use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use strict_json::{Budget, Keys};

use crate::step::System;

/// The largest accepted batch.
const MOST_STRUCTURES: usize = 10_000;

/// The most values of an INIT beside its species, and of the text of its `inputs`. Read into memory, a value takes up to a
/// hundred times the bytes of its text.
const MOST_VALUES: usize = 1 << 21;

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// ASE, or a server that sends no INIT.
    #[default]
    Ase,
    /// i-PI.
    Ipi,
    /// CP2K as a server.
    Cp2k,
    /// Species as JSON, before every step.
    Json,
    /// Species as JSON, where they change: rootstock's own clients.
    Rootstock,
}

/// The meaning of an INIT.
#[derive(Debug, Clone, PartialEq)]
pub enum Init {
    /// A server of this kind that does not name the atoms and sends this many structures at once.
    Stock(Dialect, usize),
    /// A server of this kind that names the atoms.
    System(Dialect, System),
}

/// The marker of rootstock's dialect, and unknown keys.
#[derive(Deserialize)]
#[expect(dead_code, reason = "these fields keep their keys out of `unknown`")]
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
    /// An unknown key whose value is not empty.
    fn unknown_key(self) -> Option<String> {
        let is_empty = |value: &Value| match value {
            Value::Null | Value::Bool(false) => true,
            Value::Bool(true) => false,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(items) => items.is_empty(),
        };
        let mut unknown = self.unknown.into_iter();
        unknown.find_map(|(key, value)| (!is_empty(&value)).then_some(key))
    }
}

/// The units of a server. Conversions cancel only if both ends use the same constants, so each server has its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Units {
    /// Ångström in a bohr.
    pub bohr: f64,
    /// Electronvolt in a hartree.
    pub hartree: f64,
}

/// An INIT that is not supported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Invalid JSON, or a missing or wrong key.
    #[error("the server's INIT is not a valid JSON object: {0}")]
    Json(#[from] serde_json::Error),
    /// The same, of a rootstock client.
    #[error("the client's INIT is not valid: {0}")]
    Rootstock(#[source] serde_json::Error),
    /// A rootstock client of another version.
    #[error("the client uses `\"rs\": {0}`; this worker supports `\"rs\": 2`")]
    Version(Value),
    /// An unknown key, whose value would be lost.
    #[error(
        "unknown key `{0}` in the INIT: a model reads `info` and `arrays` beside `numbers` and `pbc`"
    )]
    Unknown(String),
    /// The same, of a rootstock client.
    #[error("unknown key `{0}` in the client's INIT: is the client newer than this worker?")]
    RootstockUnknown(String),
    /// A batch size that is not a number, zero or too large.
    #[error("the server's `batch_size` is `{0}`; expected 1 to 10000")]
    Batch(String),
}

impl Error {
    /// Whether only a rootstock client can have sent it.
    pub(crate) fn is_rootstock(&self) -> bool {
        matches!(
            self,
            Error::Rootstock(_) | Error::RootstockUnknown(_) | Error::Version(_)
        )
    }
}

impl Dialect {
    /// The server's own units: `ase.units` (CODATA 2014), the 8 digits of i-PI's atomic units, or the mixed constants
    /// of the Python rootstock 1.x. CP2K's are not published to the last digit; ASE's agree to 1e-8.
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

    /// Whether it expects NEEDINIT before every step. Stock servers do not; CP2K stops at it.
    pub fn names_species_every_step(self) -> bool {
        self == Dialect::Json
    }

    /// Whether it names the species and reads errors from the extras.
    pub fn is_json(self) -> bool {
        matches!(self, Dialect::Json | Dialect::Rootstock)
    }

    /// Whether it accepts NaN. ASE's server stops with a bare `AssertionError` at the first.
    pub fn reads_nan(self) -> bool {
        self != Dialect::Ase
    }
}

/// The version of the dialect of rootstock's clients.
pub const VERSION: u32 = 2;

/// Reads the text of an INIT.
pub fn parse(text: &[u8]) -> Result<Init, Error> {
    if text.starts_with(b"{") {
        check(text)?;
        let mut marker: Marker = serde_json::from_slice(text)?;
        return match marker.rs.take() {
            None => match marker.unknown_key() {
                None => {
                    let system: System = serde_json::from_slice(text)?;
                    check_inputs(&system)?;
                    Ok(Init::System(Dialect::Json, system))
                }
                Some(key) => Err(Error::Unknown(key)),
            },
            Some(version) if version == VERSION => {
                let mut system: System = serde_json::from_slice(text).map_err(Error::Rootstock)?;
                if let Some(key) = marker.unknown_key() {
                    return Err(Error::RootstockUnknown(key));
                }
                check_inputs(&system).map_err(Error::Rootstock)?;
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

/// Makes sure that no object of an INIT repeats a key, and that it does not have too many values.
fn check(text: &[u8]) -> Result<(), Error> {
    let outline = Outline {
        budget: Budget::new(MOST_VALUES),
        is_rootstock: Cell::new(false),
    };
    let mut reader = serde_json::Deserializer::from_slice(text);
    let checked = reader.deserialize_map(&outline);
    checked.and_then(|()| reader.end()).map_err(|error| {
        if outline.is_rootstock.get() {
            Error::Rootstock(error)
        } else {
            Error::Json(error)
        }
    })
}

fn check_inputs(system: &System) -> Result<(), serde_json::Error> {
    if system.inputs.is_empty() {
        return Ok(());
    }
    // Python's texts may have halves of surrogate pairs, which are no characters. Which they are does not matter here.
    let inputs = system
        .inputs
        .replace("\\ud", "\\u0")
        .replace("\\uD", "\\u0");
    strict_json::check(inputs.as_bytes(), MOST_VALUES)
}

/// Reads the object of an INIT and stores nothing but its keys.
struct Outline {
    budget: Budget,
    is_rootstock: Cell<bool>,
}

impl<'de> Visitor<'de> for &Outline {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut keys = Keys::default();
        while let Some(key) = entries.next_key::<String>()? {
            // A byte each once they are read; how many is limited by the length of the text.
            if key == "numbers" {
                entries.next_value::<IgnoredAny>()?;
            } else {
                self.is_rootstock
                    .set(self.is_rootstock.get() || key == "rs");
                entries.next_value_seed(&self.budget)?;
            }
            keys.add(key)?;
        }
        Ok(())
    }
}

/// The value of i-PI's `batch_size:N`: the last word, sent only for more than one structure.
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
    fn a_server_is_recognised_by_its_init() {
        for (text, dialect) in [
            (&b"\0"[..], Dialect::Ase),
            (b"", Dialect::Ase),
            (b"Initializing", Dialect::Cp2k),
            (b" ", Dialect::Ipi),
            (b" template : /abs/init.xyz , charge : 1 , ", Dialect::Ipi),
            (b"  batch_size:1", Dialect::Ipi),
            (b"\xff\xfe", Dialect::Ipi),
        ] {
            assert_eq!(parse(text).unwrap(), Init::Stock(dialect, 1), "{text:?}");
        }
    }

    #[test]
    fn species_come_as_json() {
        let text = br#"{"numbers": [29, 8], "pbc": [true, true, false], "info": {"charge": 1}, "more": 0}"#;
        let Init::System(Dialect::Json, system) = parse(text).unwrap() else {
            panic!("this is JSON")
        };
        assert_eq!(
            (system.numbers, system.pbc),
            (vec![29, 8], [true, true, false])
        );
        assert_eq!(system.info["charge"], 1);
        let arrays = br#"{"numbers": [8], "pbc": [true, true, false], "arrays": {"tags": [3]}}"#;
        let Init::System(_, system) = parse(arrays).unwrap() else {
            panic!("this is JSON")
        };
        assert_eq!(system.arrays["tags"][0], 3);
        for key in ["initial_charges", "cell"] {
            let text = format!(r#"{{"numbers": [8], "pbc": [true, true, false], "{key}": [1]}}"#);
            assert!(matches!(parse(text.as_bytes()), Err(Error::Unknown(named)) if named == key));
        }
        for broken in ["{", "{}", r#"{"numbers": 1, "pbc": [true, true, true]}"#] {
            assert!(
                matches!(parse(broken.as_bytes()), Err(Error::Json(_))),
                "{broken}"
            );
        }
    }

    #[test]
    fn atomic_numbers_are_those_that_ase_has_symbols_for() {
        let parse = |number: &str| {
            let text = format!(r#"{{"numbers": [1, {number}], "pbc": [true, true, false]}}"#);
            parse(text.as_bytes())
        };
        for number in ["0", "118"] {
            assert!(matches!(parse(number), Ok(Init::System(..))), "{number}");
        }
        for number in ["119", "200", "256", "-1"] {
            let error = parse(number).unwrap_err().to_string();
            let expected = "not an atomic number, which is 0 (ASE's `X`) to 118";
            assert!(error.contains(expected), "{error}");
        }
        for number in [
            "1.5",
            "1e9",
            "18446744073709551616",
            "null",
            "\"H\"",
            "true",
            "[1]",
            "{}",
        ] {
            assert!(matches!(parse(number), Err(Error::Json(_))), "{number}");
        }
    }

    #[test]
    fn a_repeated_key_is_refused_at_any_depth() {
        for (repeated, key) in [
            (r#""pbc": [true, true, true]"#, "pbc"),
            (r#""numbers": [8]"#, "numbers"),
            (r#""more": [0], "more": 0"#, "more"),
            (r#""info": {"charge": 1, "charge": 1}"#, "charge"),
            (r#""info": {"a": [{"spin": 1, "spin": 2}]}"#, "spin"),
            (r#""arrays": {"tags": [1], "tags": [2]}"#, "tags"),
            (r#""inputs": "{\"info\": {\"a\": 1, \"a\": 2}}""#, "a"),
        ] {
            for marker in ["", r#""rs": 2, "#] {
                let text =
                    format!(r#"{{{marker}"numbers": [8], "pbc": [true, true, true], {repeated}}}"#);
                let error = parse(text.as_bytes()).unwrap_err();
                assert_eq!(error.is_rootstock(), !marker.is_empty(), "{text}");
                let error = error.to_string();
                assert!(
                    error.contains(&format!("the key `{key}` occurs twice")),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn too_many_values_are_refused() {
        let values = "0,".repeat(MOST_VALUES);
        for key in ["arrays", "info", "more"] {
            let text = format!(
                r#"{{"numbers": [8], "pbc": [true, true, true], "{key}": {{"a": [{values}0]}}}}"#
            );
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("more than 2097152 values"), "{error}");
        }
    }

    #[test]
    fn rootstock_clients_are_recognised_by_their_marker() {
        let parse = |text: &str| parse(text.as_bytes());
        let Ok(Init::System(Dialect::Rootstock, system)) =
            parse(r#"{"rs": 2, "numbers": [1], "pbc": [false, false, false]}"#)
        else {
            panic!("this is a rootstock client")
        };
        assert!(system.everything && system.numbers == [1] && system.info.is_empty());
        assert!(matches!(
            parse(r#"{"rs": 2, "numbers": [300]}"#),
            Err(Error::Rootstock(_))
        ));
        assert_eq!(
            parse(r#"{"rs": 3}"#).unwrap_err().to_string(),
            r#"the client uses `"rs": 3`; this worker supports `"rs": 2`"#
        );
    }

    #[test]
    fn the_size_of_a_batch_is_read_or_refused() {
        for text in ["  batch_size:4", " a : b , , batch_size:4"] {
            assert_eq!(
                parse(text.as_bytes()).unwrap(),
                Init::Stock(Dialect::Ipi, 4)
            );
        }
        for size in ["0", "-1", "many", "", "99999999999999999999", "10001"] {
            let text = format!("  batch_size:{size}");
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(matches!(error, Error::Batch(named) if named == size));
        }
    }
}
