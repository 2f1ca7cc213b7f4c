//! The file of recorded numbers: extended XYZ, one frame for each structure, every number with all its digits.
//!
//! ```text
//! 4
//! Lattice="3.6 0.0 0.0 …" Properties=species:S:1:pos:R:3:forces:R:3 name="Cu" energy=-0.1 stress="…" pbc="T T T"
//! Cu 0.01 -0.02 0.03 0.5 0.1 -0.2
//! ```
//!
//! The stress has nine numbers, as ASE writes it, and a model without one has none. Only what [`text`] writes is read: the
//! digest of the bytes is locked, so nothing else is there.

use std::fmt::Write as _;

use ipi_client::species;

use super::Entry;

/// The text of these structures.
pub(crate) fn text(entries: &[Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        let _ = write!(
            text,
            "{}\nLattice=\"{}\" ",
            entry.numbers.len(),
            joined(&entry.cell)
        );
        let _ = write!(
            text,
            "Properties=species:S:1:pos:R:3:forces:R:3 name=\"{}\" energy={:?}",
            entry.name.replace(['"', '\\', '\n'], "_"),
            entry.energy
        );
        if let Some(stress) = &entry.stress {
            let _ = write!(text, " stress=\"{}\"", joined(stress));
        }
        for (key, value) in &entry.info {
            let _ = write!(text, " {key}={value}");
        }
        let pbc = entry.pbc.map(|periodic| if periodic { "T" } else { "F" });
        let _ = writeln!(text, " pbc=\"{}\"", pbc.join(" "));
        let atoms = entry.positions.chunks(3).zip(entry.forces.chunks(3));
        for (number, (position, force)) in entry.numbers.iter().zip(atoms) {
            let symbol = species::symbol(*number).unwrap_or("X");
            let _ = writeln!(text, "{symbol} {} {}", joined(position), joined(force));
        }
    }
    text
}

/// Every number with as many digits as it takes to read the same one.
fn joined(numbers: &[f64]) -> String {
    let words: Vec<String> = numbers.iter().map(|number| format!("{number:?}")).collect();
    words.join(" ")
}

/// The structures of a text; what is wrong with it, and in which line, if it is none of ours.
pub(crate) fn read(text: &str) -> Result<Vec<Entry>, String> {
    let mut lines = text.lines().enumerate();
    let mut entries = Vec::new();
    while let Some((at, count)) = lines.next() {
        let wrong = |at: usize, what: &str| format!("line {}: {what}", at + 1);
        let count: usize = count.parse().map_err(|_| wrong(at, "no number of atoms"))?;
        let Some((at, comment)) = lines.next() else {
            return Err(wrong(at, "no more lines"));
        };
        let mut entry = heading(comment).map_err(|what| wrong(at, &what))?;
        for _ in 0..count {
            let Some((at, atom)) = lines.next() else {
                return Err(wrong(at, "fewer atoms than it says"));
            };
            read_atom(atom, &mut entry).ok_or_else(|| wrong(at, "no atom with a force"))?;
        }
        if count == 0 {
            return Err(wrong(at, "no atoms"));
        }
        entries.push(entry);
    }
    if entries.is_empty() {
        return Err("it has no structure".to_owned());
    }
    Ok(entries)
}

fn read_atom(line: &str, entry: &mut Entry) -> Option<()> {
    let mut words = line.split(' ');
    entry.numbers.push(species::number(words.next()?)?);
    let numbers: Vec<f64> = words.map(finite).collect::<Option<_>>()?;
    let [x, y, z, fx, fy, fz] = *numbers.as_slice() else {
        return None;
    };
    entry.positions.extend([x, y, z]);
    entry.forces.extend([fx, fy, fz]);
    Some(())
}

fn finite(word: &str) -> Option<f64> {
    word.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The structure of a comment line, without atoms.
fn heading(line: &str) -> Result<Entry, String> {
    let mut entry = Entry {
        name: String::new(),
        numbers: Vec::new(),
        positions: Vec::new(),
        cell: [0.0; 9],
        pbc: [false; 3],
        info: serde_json::Map::new(),
        energy: f64::NAN,
        forces: Vec::new(),
        stress: None,
    };
    for (key, value) in pairs(line) {
        let nine = || {
            let numbers: Option<Vec<f64>> = value.split(' ').map(finite).collect();
            let numbers = numbers.and_then(|numbers| <[f64; 9]>::try_from(numbers).ok());
            numbers.ok_or_else(|| format!("`{key}` has no nine numbers"))
        };
        match key {
            "Lattice" => entry.cell = nine()?,
            "stress" => entry.stress = Some(nine()?),
            "energy" => entry.energy = finite(value).unwrap_or(f64::NAN),
            "name" => value.clone_into(&mut entry.name),
            "pbc" => {
                let letters: String = value.split(' ').collect();
                entry.pbc = species::parse_pbc(&letters).ok_or("`pbc` has no three letters")?;
            }
            "Properties" => {}
            key => {
                let number: serde_json::Number =
                    value.parse().map_err(|_| format!("`{key}` is no number"))?;
                entry.info.insert(key.to_owned(), number.into());
            }
        }
    }
    if entry.energy.is_nan() {
        return Err("no energy".to_owned());
    }
    Ok(entry)
}

/// Keys and values of a comment line; values may be quoted.
fn pairs(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let (key, after) = rest.trim_start().split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(' ').unwrap_or((after, "")),
        };
        rest = after;
        Some((key, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_to_the_last_bit() {
        let mut entry = heading("energy=-0.1 name=\"Cu, a\" pbc=\"T F T\" charge=1").unwrap();
        entry.numbers = vec![29, 8];
        entry.positions = vec![0.1 + 0.2, 1e-300, -0.0, 5e-324, 1.0 / 3.0, 1e22];
        entry.forces = vec![1e-17, -2.5, 3.0, 0.1, 0.2, 0.300_000_000_000_000_04];
        entry.cell[0] = 3.615;
        entry.stress = Some([1.0 / 7.0; 9]);
        let other = Entry {
            stress: None,
            ..entry.clone()
        };
        let entries = [entry, other];
        let written = text(&entries);
        assert_eq!(read(&written).unwrap(), entries);
        for (was, now) in [
            ("\n2\n", "\n3\n"),
            ("-2.5", "x"),
            ("-2.5", "nan"),
            ("Cu 0", "Qq 0"),
            ("energy=-0.1", "energy=inf"),
            ("stress=\"0.14", "stress=\"0.1 0.14"),
        ] {
            assert!(read(&written.replace(was, now)).is_err(), "{was} {now}");
        }
        assert!(read("").is_err() && read("0\nenergy=1\n").is_err());
    }
}
