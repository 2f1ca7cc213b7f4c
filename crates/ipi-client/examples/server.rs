//! A server that sends two atoms to a client on a TCP port, lets them slide downhill, and prints their energies in hartree.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

/// A cubic cell of 20 bohr, vectors as columns.
const CELL: [f64; 9] = [20.0, 0.0, 0.0, 0.0, 20.0, 0.0, 0.0, 0.0, 20.0];

fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).ok_or("usage: server PORT")?;
    let (mut client, _) = TcpListener::bind(("127.0.0.1", port.parse()?))?.accept()?;
    client.set_nodelay(true)?;
    let mut positions = [1.0, 0.0, 0.0, 0.0, 2.0, 0.0];
    for step in 0..10 {
        let (energy, forces) = compute(&mut client, &positions)?;
        writeln!(io::stdout(), "{step} {energy:.6}")?;
        for (x, force) in positions.iter_mut().zip(forces) {
            *x += 100.0 * force;
        }
    }
    client.write_all(b"EXIT        ")?;
    Ok(())
}

/// Energy and forces of these positions, all in atomic units.
fn compute(client: &mut TcpStream, positions: &[f64; 6]) -> io::Result<(f64, Vec<f64>)> {
    let bytes =
        |numbers: &[f64]| -> Vec<u8> { numbers.iter().flat_map(|x| x.to_le_bytes()).collect() };
    let inverse = CELL.map(|length| if length == 0.0 { 0.0 } else { 1.0 / length });
    let message = [
        &b"POSDATA     "[..],
        &bytes(&CELL),
        &bytes(&inverse),
        &2_i32.to_le_bytes(),
        &bytes(positions),
        b"GETFORCE    ",
    ];
    client.write_all(&message.concat())?;
    // The header, energy, number of atoms, forces, virial and length of the extras.
    let mut answer = [0; 12 + 8 + 4 + 48 + 72 + 4];
    client.read_exact(&mut answer)?;
    let number = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let forces = answer[24..72].chunks(8).map(number).collect();
    let extras = u32::from_le_bytes(answer[144..].try_into().expect("four bytes"));
    io::copy(&mut client.take(extras.into()), &mut io::sink())?;
    Ok((number(&answer[12..20]), forces))
}
