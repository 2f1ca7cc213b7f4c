//! Atomic species as written on a command line: `Cu32`, `H2O`, `O,H,H`, `8,1,1`, in the order of the server's atoms.

use crate::wire::MOST_ATOMS;

/// Symbols by atomic number; 0 is ASE's dummy atom.
const SYMBOLS: [&str; 119] = [
    "X", "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S",
    "Cl", "Ar", "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge",
    "As", "Se", "Br", "Kr", "Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd",
    "In", "Sn", "Sb", "Te", "I", "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd",
    "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg",
    "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U", "Np", "Pu", "Am", "Cm",
    "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn",
    "Nh", "Fl", "Mc", "Lv", "Ts", "Og",
];

/// A text that is not a list of species.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such element.
    #[error("`{0}` is not a chemical element")]
    Unknown(String),
    /// A count that is too large.
    #[error("`{0}` is not a number of atoms")]
    Count(String),
    /// The text is empty.
    #[error("no atoms")]
    Empty,
}

/// The atomic number of a symbol; that of ASE's dummy atom is 0.
pub fn number(symbol: &str) -> Option<u8> {
    let at = SYMBOLS.iter().position(|known| *known == symbol)?;
    u8::try_from(at).ok()
}

/// The symbol of an atomic number.
pub fn symbol(number: u8) -> Option<&'static str> {
    SYMBOLS.get(usize::from(number)).copied()
}

/// Atomic numbers of a composition or a list, in its order.
pub fn parse(text: &str) -> Result<Vec<u8>, Error> {
    let mut numbers = Vec::new();
    for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
        match word.parse::<u8>() {
            Ok(number) if usize::from(number) < SYMBOLS.len() => numbers.push(number),
            _ => parse_composition(word, &mut numbers)?,
        }
    }
    if numbers.is_empty() {
        return Err(Error::Empty);
    }
    Ok(numbers)
}

/// Reads periodicity, as ASE prints it: `TTF`.
pub fn parse_pbc(text: &str) -> Option<[bool; 3]> {
    let periodic = |letter: u8| match letter {
        b'T' | b't' => Some(true),
        b'F' | b'f' => Some(false),
        _ => None,
    };
    let [a, b, c] = *text.as_bytes() else {
        return None;
    };
    Some([periodic(a)?, periodic(b)?, periodic(c)?])
}

fn parse_composition(word: &str, numbers: &mut Vec<u8>) -> Result<(), Error> {
    let mut rest = word;
    while !rest.is_empty() {
        let (symbol, after) = split(rest, |at, letter| {
            if at == 0 {
                letter.is_ascii_uppercase()
            } else {
                letter.is_ascii_lowercase()
            }
        });
        let (count, after) = split(after, |_, digit| digit.is_ascii_digit());
        let number = number(symbol).ok_or_else(|| {
            Error::Unknown(if symbol.is_empty() { rest } else { symbol }.to_owned())
        })?;
        let count = match count {
            "" => 1,
            digits => digits
                .parse::<usize>()
                .ok()
                .filter(|count| numbers.len().saturating_add(*count) <= MOST_ATOMS)
                .ok_or_else(|| Error::Count(digits.to_owned()))?,
        };
        numbers.extend(std::iter::repeat_n(number, count));
        rest = after;
    }
    Ok(())
}

/// Splits a text before its first unwanted letter.
fn split(text: &str, wanted: impl Fn(usize, char) -> bool) -> (&str, &str) {
    let end = text
        .char_indices()
        .find(|(at, letter)| !wanted(*at, *letter))
        .map_or(text.len(), |(at, _)| at);
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn species_are_read_in_their_order() {
        for (text, numbers) in [
            ("H2O", vec![1, 1, 8]),
            ("OH2", vec![8, 1, 1]),
            ("O,H, H", vec![8, 1, 1]),
            ("8 1 1", vec![8, 1, 1]),
            ("NaCl", vec![11, 17]),
            ("Cu3 Og1", vec![29, 29, 29, 118]),
            ("COCo", vec![6, 8, 27]),
        ] {
            assert_eq!(parse(text).unwrap(), numbers, "{text}");
        }
        assert_eq!(parse("Cu32").unwrap().len(), 32);
    }

    #[test]
    fn errors_name_the_wrong_part() {
        for (text, error) in [
            ("Qq3", Error::Unknown("Qq".into())),
            ("h2o", Error::Unknown("h2o".into())),
            ("119", Error::Unknown("119".into())),
            (
                "Cu99999999999999999999",
                Error::Count("99999999999999999999".into()),
            ),
            ("Cu800000000", Error::Count("800000000".into())),
            (
                "OCu18446744073709551615",
                Error::Count("18446744073709551615".into()),
            ),
            (" , ", Error::Empty),
            ("Ü", Error::Unknown("Ü".into())),
            ("H0", Error::Empty),
        ] {
            assert_eq!(parse(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn periodicity_is_three_letters() {
        assert_eq!(parse_pbc("TtF"), Some([true, true, false]));
        for wrong in ["", "TT", "TTTT", "110", "Tü"] {
            assert_eq!(parse_pbc(wrong), None, "{wrong}");
        }
    }
}
