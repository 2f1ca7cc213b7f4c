//! Results on their way to the server: which may be sent, and the texts and numbers that stand for an error.

use serde_json::json;

use crate::calculator::Exception;
use crate::dialect::{Dialect, Units};
use crate::floats::Floats;
use crate::segments::{self, Segments};
use crate::step::Results;
use crate::wire;

/// The components of a stress, in the order of its numbers.
const COMPONENTS: [&str; 9] = ["xx", "xy", "xz", "yx", "yy", "yz", "zx", "zy", "zz"];

/// An error in the extras of an answer, for servers that read JSON.
pub(crate) fn error_text(exception: &Exception) -> Vec<u8> {
    let text = json!({ "error": exception.reason(), "kind": exception.kind, "retryable": false });
    text.to_string().into_bytes()
}

/// Writes the FORCEREADY of a failed step. All its numbers are NaN, never zero: a server that ignores the extras must not
/// take them for results.
pub(crate) fn write_error(message: &mut Vec<u8>, atoms: usize, exception: &Exception) {
    let nan = |count| std::iter::repeat_n(f64::NAN, count);
    message.clear();
    message.extend_from_slice(b"FORCEREADY  ");
    wire::push(message, nan(1));
    wire::push_count(message, atoms);
    wire::push(message, nan(3 * atoms + 9));
    wire::push_text(message, &error_text(exception));
}

/// The virials in the server's units and order, or the stresses that rootstock's clients get in their place.
pub(crate) fn tensors(results: &[Results], dialect: Dialect) -> Vec<[f64; 9]> {
    let Units { hartree, .. } = dialect.units();
    let nothing = [f64::NAN; 9];
    let tensor = |one: &Results| match dialect {
        Dialect::Rootstock => one.stress.unwrap_or(nothing),
        _ => {
            let virial = one.virial.unwrap_or(nothing);
            wire::transposed(virial.map(|energy| energy / hartree))
        }
    };
    results.iter().map(tensor).collect()
}

/// The STRESSREADY of the stresses of single atoms.
pub(crate) fn stresses_message(stresses: &Floats, atoms: usize, dialect: Dialect) -> Vec<u8> {
    let hartree = dialect.units().hartree;
    let mut message = b"STRESSREADY ".to_vec();
    wire::push_count(&mut message, atoms);
    wire::push(&mut message, stresses.iter().map(|energy| energy / hartree));
    message
}

/// Writes the FORCEREADY of results, with the numbers in shared memory if there are segments.
pub(crate) fn write_results(
    message: &mut Vec<u8>,
    results: &[Results],
    tensors: &[[f64; 9]],
    atoms: usize,
    dialect: Dialect,
    segments: Option<&Segments>,
) -> Result<(), segments::Error> {
    let Units { bohr, hartree } = dialect.units();
    message.clear();
    let start = if segments.is_some() { 0 } else { 12 };
    message.extend_from_slice(&b"FORCEREADY  "[..start]);
    wire::push(message, results.iter().map(|one| one.energy / hartree));
    let energies = message.len();
    if segments.is_none() {
        wire::push_count(message, atoms);
    }
    for one in results {
        wire::push_scaled(message, &one.forces, bohr / hartree);
    }
    let forces = message.len();
    for tensor in tensors {
        wire::push(message, tensor.iter().copied());
    }
    if let Some(segments) = segments {
        segments.write(
            &message[..energies],
            &message[energies..forces],
            &message[forces..],
        )?;
        message.clear();
        message.extend_from_slice(b"FORCEREADY  ");
    }
    for one in results {
        let extras = match dialect {
            Dialect::Ipi => &one.extras[..],
            Dialect::Rootstock if !one.extras.is_empty() => &one.extras[..],
            // The Python rootstock 1.x needs at least one byte; stock servers need none.
            dialect if dialect.is_json() => b"{}",
            _ => b"",
        };
        wire::push_text(message, extras);
    }
    Ok(())
}

/// Why results cannot be sent: a wrong number of forces, or the first number that is infinite or NaN.
pub(crate) fn invalid(results: &Results, atoms: usize) -> Option<Exception> {
    if results.forces.len() != 3 * atoms {
        let numbers = results.forces.len();
        let error = format!("the model computed {numbers} components of forces for {atoms} atoms");
        return Some(Exception::new("ValueError", error));
    }
    let energy = results.energy;
    let stress = results.stress.unwrap_or_default();
    let error = if !energy.is_finite() {
        format!("the model computed an energy of {energy} eV")
    } else if let Some(place) = results.forces.first_not_finite() {
        let atom = place / 3;
        format!(
            "the model computed forces that are not finite, first that on atom {atom} (counted from 0)"
        )
    } else {
        let place = stress.iter().position(|number| !number.is_finite())?;
        let component = COMPONENTS[place];
        format!("the model computed a stress that is not finite, first its {component}")
    };
    Some(Exception::new("NotFinite", error))
}
