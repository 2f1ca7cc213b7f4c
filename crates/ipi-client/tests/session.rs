//! The session answers recorded servers exactly as they expect, in whatever pieces their bytes arrive, and refuses wrong
//! messages with an error.

use std::io::{self, Cursor, Read, Write};

use ipi_client::wire;
use ipi_client::{
    Calculator, Dialect, End, Error, Exception, Failure, Floats, Frame, Results, Session, System,
    Units,
};

const IPI_FUSED: &str = include_str!("transcripts/ipi_cons_once.txt");
const IPI_THREADED: &str = include_str!("transcripts/ipi_thr_once.txt");
const IPI_BATCH: &str = include_str!("transcripts/ipi_batch4.txt");
const ASE: &str = include_str!("transcripts/ase_triclinic_once.txt");
const ASE_GENERAL: &str = include_str!("transcripts/ase_general_never.txt");
const ASE_MOLECULE: &str = include_str!("transcripts/ase_molecule_never.txt");
const ASE_SLAB: &str = include_str!("transcripts/ase_slab_never.txt");

/// A message of the server, or one expected of the client.
#[derive(Debug, Clone)]
enum Part {
    Server(Vec<u8>),
    Client(String, Vec<u8>),
}

/// A recorded conversation: `S>C name hex` and `C>S name hex`, one message part a line.
fn transcript(text: &str) -> Vec<Part> {
    let bytes = |hex: &str| -> Vec<u8> {
        let digit = |at: usize| {
            u8::from_str_radix(&hex[at..at + 2], 16).expect("a transcript is hexadecimal")
        };
        (0..hex.len()).step_by(2).map(digit).collect()
    };
    let part = |line: &str| {
        let [who, name, hex] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        match who {
            "S>C" => Part::Server(bytes(hex)),
            _ => Part::Client(name.to_owned(), bytes(hex)),
        }
    };
    text.lines().map(part).collect()
}

/// A server that plays its part of a transcript and fails the test when the client speaks out of turn.
struct Server {
    script: Vec<Part>,
    at: usize,
    offset: usize,
    piece: Box<dyn FnMut() -> usize>,
}

impl Server {
    fn new(text: &str, piece: impl FnMut() -> usize + 'static) -> Self {
        Self {
            script: transcript(text),
            at: 0,
            offset: 0,
            piece: Box::new(piece),
        }
    }
}

impl Read for Server {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = match self.script.get(self.at) {
            None => return Ok(0),
            Some(Part::Server(bytes)) => &bytes[self.offset..],
            Some(Part::Client(name, _)) => panic!("the client reads instead of sending {name}"),
        };
        let count = bytes.len().min(into.len()).min((self.piece)());
        into[..count].copy_from_slice(&bytes[..count]);
        if count == bytes.len() {
            (self.at, self.offset) = (self.at + 1, 0);
        } else {
            self.offset += count;
        }
        Ok(count)
    }
}

impl Write for Server {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(Part::Client(name, expected)) = self.script.get(self.at) else {
            panic!("unsolicited: {bytes:?}")
        };
        match name.as_str() {
            "forceready" => assert_forces(bytes, expected),
            _ => assert_eq!(bytes, expected),
        }
        self.at += 1;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The recorded answer had E = -1.25, F = 0.5 (1, 2, …) and the virial 1 … 9 in the units of the wire; ours goes
/// through eV and Å, so its last digits may differ. Extras are ours: none for stock servers.
fn assert_forces(sent: &[u8], recorded: &[u8]) {
    assert_eq!(sent[..12], recorded[..12]);
    assert_eq!(sent.len(), recorded.len());
    // One structure, or the four of the batch: energies, then the count of atoms, then forces, virials and no extras.
    let structures = (sent.len() - 16) / (8 + 48 + 72 + 4);
    let (count, end) = (12 + 8 * structures, sent.len() - 4 * structures);
    assert_eq!(sent[count..count + 4], recorded[count..count + 4]);
    let numbers = |bytes: &[u8]| -> Vec<f64> {
        [&bytes[12..count], &bytes[count + 4..end]]
            .concat()
            .chunks(8)
            .map(|number| f64::from_le_bytes(number.try_into().unwrap()))
            .collect()
    };
    for (ours, theirs) in numbers(sent).iter().zip(numbers(recorded)) {
        assert!(
            (ours - theirs).abs() <= 4.0 * f64::EPSILON * theirs.abs(),
            "{ours} {theirs}"
        );
    }
    assert!(sent[end..].iter().all(|byte| *byte == 0));
}

/// Computes what the recorder answered, in eV and Å.
struct Fixed {
    atoms: Option<usize>,
    units: Units,
    frames: Vec<Frame>,
    warnings: Vec<String>,
    failure: Option<Failure>,
    stress: bool,
    extras: &'static [u8],
}

impl Fixed {
    fn new(atoms: usize, dialect: Dialect) -> Self {
        Self {
            atoms: Some(atoms),
            units: dialect.units(),
            frames: Vec::new(),
            warnings: Vec::new(),
            failure: None,
            stress: true,
            extras: b"",
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
        for (frame, results) in frames.iter().zip(results) {
            self.calculate_one(frame, results)?;
        }
        Ok(())
    }

    fn stresses(&mut self, frame: &Frame, stresses: &mut Floats) -> Result<(), Failure> {
        match &self.failure {
            Some(failure) => Err(failure.clone()),
            None => {
                *stresses = (0..9 * frame.atoms()).map(|_| self.units.hartree).collect();
                Ok(())
            }
        }
    }

    fn warn(&mut self, text: &str) {
        self.warnings.push(text.to_owned());
    }
}

impl Fixed {
    fn calculate_one(&mut self, frame: &Frame, results: &mut Results) -> Result<(), Failure> {
        self.frames.push(frame.clone());
        if let Some(failure) = self.failure.clone() {
            return Err(failure);
        }
        let Units { bohr, hartree } = self.units;
        let count = f64::from(u32::try_from(frame.positions.len()).unwrap());
        let counted = std::iter::successors(Some(1.0), |last| Some(last + 1.0))
            .take_while(|last| *last <= count);
        *results = Results {
            energy: -1.25 * hartree,
            forces: counted
                .map(|number| 0.5 * number * hartree / bohr)
                .collect(),
            virial: self.stress.then(|| {
                [1.0, 4.0, 7.0, 2.0, 5.0, 8.0, 3.0, 6.0, 9.0].map(|number: f64| number * hartree)
            }),
            stress: self.stress.then_some([0.1; 9]),
            extras: self.extras.to_vec(),
        };
        Ok(())
    }
}

fn replay(
    text: &str,
    dialect: Dialect,
    piece: impl FnMut() -> usize + 'static,
) -> (Result<End, Error>, Fixed) {
    let mut calculator = Fixed::new(2, dialect);
    let mut session = Session::new(Server::new(text, piece));
    let end = session.serve(&mut calculator);
    let server = session.into_stream();
    if end.is_ok() {
        assert_eq!(
            server.at,
            server.script.len(),
            "the conversation ended early"
        );
    }
    (end, calculator)
}

/// Piece sizes that look random and are the same in every run.
fn pieces(seed: u64) -> impl FnMut() -> usize {
    let mut state = seed;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        1 + usize::try_from(state >> 33).unwrap() % 40
    }
}

#[test]
fn recorded_servers_get_what_they_expect_in_whatever_pieces_their_bytes_arrive() {
    for (text, dialect, end) in [
        (IPI_FUSED, Dialect::Ipi, End::Exit),
        (IPI_THREADED, Dialect::Ipi, End::Exit),
        (IPI_BATCH, Dialect::Ipi, End::Exit),
        (ASE, Dialect::Ase, End::Exit),
    ] {
        assert_eq!(replay(text, dialect, || 1).0.unwrap(), end);
        assert_eq!(replay(text, dialect, || usize::MAX).0.unwrap(), end);
        for seed in 0..50 {
            assert_eq!(replay(text, dialect, pieces(seed)).0.unwrap(), end);
        }
    }
}

#[test]
fn the_cell_is_read_with_its_vectors_as_columns() {
    let (_, calculator) = replay(IPI_FUSED, Dialect::Ipi, || usize::MAX);
    let bohr = Dialect::Ipi.units().bohr;
    let frame = &calculator.frames[0];
    let rows = [4.0, 0.0, 0.0, 1.0, 5.0, 0.0, 0.5, 0.25, 6.0];
    assert!(frame.cell.into_iter().eq(rows.map(|length| length * bohr)));
    assert!(
        frame
            .positions
            .iter()
            .eq([0.0, 0.0, 0.0, 0.5, 0.25, 0.125].map(|length| length * bohr))
    );
}

/// What ASE sends for a general cell, for none, and for one with a vector missing; the cells are those of the recorder.
#[test]
fn every_cell_of_ase_is_read() {
    let cells = [
        (ASE_GENERAL, [4.0, 0.3, 0.1, 1.0, 5.0, 0.2, 0.5, 0.25, 6.0]),
        (ASE_MOLECULE, [0.0; 9]),
        (ASE_SLAB, [4.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0]),
    ];
    for (text, cell) in cells {
        let mut calculator = Fixed::new(2, Dialect::Ase);
        let (end, _) = serve(server_bytes(text), &mut calculator);
        end.unwrap();
        for (ours, theirs) in calculator.frames[0].cell.iter().zip(cell) {
            assert!(
                (ours - theirs).abs() < 1e-12,
                "{:?}",
                calculator.frames[0].cell
            );
        }
    }
}

#[test]
fn a_batch_is_computed_in_one_call() {
    let (end, calculator) = replay(IPI_BATCH, Dialect::Ipi, || usize::MAX);
    assert_eq!(end.unwrap(), End::Exit);
    assert_eq!(calculator.frames.len(), 4);
    assert!(
        calculator.frames[1..]
            .iter()
            .all(|frame| *frame == calculator.frames[0])
    );
    let mut other = Fixed::new(3, Dialect::Ipi);
    let (end, _) = serve(server_bytes(IPI_BATCH), &mut other);
    assert!(matches!(
        end,
        Err(Error::Atoms {
            expected: 3,
            sent: 2
        })
    ));
}

/// As FHI-vibes does it: after the forces, without another POSDATA.
#[test]
fn stresses_of_single_atoms_are_of_the_frame_computed_last() {
    let step = [positions(2, &[0.0; 6]), message("GETFORCE")].concat();
    let ask = message("GETSTRESSES");
    let on_and_off = [message("STRESSES_ON"), message("STRESSES_OFF")].concat();
    let mut calculator = Fixed::new(2, Dialect::Ase);
    let input = [&on_and_off[..], &step, &ask].concat();
    let (end, output) = serve(input, &mut calculator);
    assert_eq!(end.unwrap(), End::Closed);
    let answer = &output[output.len() - 12 - 4 - 144..];
    assert_eq!(answer[..12], *b"STRESSREADY ");
    assert_eq!(answer[12..16], 2_i32.to_le_bytes());
    assert!(
        answer[16..]
            .chunks(8)
            .all(|number| number == 1.0_f64.to_le_bytes())
    );
    let (end, output) = serve(ask.clone(), &mut calculator);
    assert!(matches!(end, Err(Error::Order)) && output.is_empty());
    calculator.failure = Some(exception());
    let (end, _) = serve([&step[..], &ask].concat(), &mut calculator);
    assert!(matches!(end, Err(Error::Failed(_))));
}

/// A stream that gives these bytes and keeps what is written.
struct Stream {
    input: Cursor<Vec<u8>>,
    output: Vec<u8>,
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.input.read(into)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn serve(input: Vec<u8>, calculator: &mut Fixed) -> (Result<End, Error>, Vec<u8>) {
    let mut session = Session::new(Stream {
        input: Cursor::new(input),
        output: Vec::new(),
    });
    let end = session.serve(calculator);
    (end, session.into_stream().output)
}

fn server_bytes(text: &str) -> Vec<u8> {
    let parts = transcript(text).into_iter().filter_map(|part| match part {
        Part::Server(bytes) => Some(bytes),
        Part::Client(..) => None,
    });
    parts.flatten().collect()
}

#[test]
fn a_stream_that_ends_anywhere_is_an_end_or_an_error() {
    let whole = server_bytes(IPI_THREADED);
    for length in 0..whole.len() {
        let (end, _) = serve(whole[..length].to_vec(), &mut Fixed::new(2, Dialect::Ipi));
        match end {
            Ok(end) => assert_eq!(end, End::Closed, "{length}"),
            Err(Error::Wire(wire::Error::Truncated(..))) => {}
            Err(error) => panic!("at {length}: {error}"),
        }
    }
}

fn message(header: &str) -> Vec<u8> {
    format!("{header:<12}").into_bytes()
}

fn init(text: &[u8]) -> Vec<u8> {
    let length = i32::try_from(text.len()).unwrap().to_le_bytes();
    [&message("INIT")[..], &[0; 4], &length, text].concat()
}

fn positions(count: i32, positions: &[f64]) -> Vec<u8> {
    let cell: Vec<u8> = [8.0, 0.0, 0.0, 0.0, 8.0, 0.0, 0.0, 0.0, 8.0]
        .into_iter()
        .flat_map(f64::to_le_bytes)
        .collect();
    let numbers: Vec<u8> = positions
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    [
        &message("POSDATA")[..],
        &cell,
        &[0; 72],
        &count.to_le_bytes(),
        &numbers,
    ]
    .concat()
}

fn exception() -> Failure {
    Failure::Raised(Exception {
        error: "boom".into(),
        kind: "ValueError".into(),
        traceback: "Traceback: boom".into(),
    })
}

#[test]
fn an_unknown_header_is_named() {
    let (end, output) = serve(message("HELLO"), &mut Fixed::new(2, Dialect::Ase));
    assert_eq!(
        end.unwrap_err().to_string(),
        "the server sent `HELLO`, which is not an i-PI message"
    );
    assert!(output.is_empty());
}

#[test]
fn another_number_of_atoms_is_refused_with_both_numbers() {
    for (sent, error) in [
        (
            3,
            "the server sent positions of 3 atoms, but this worker's system has 2",
        ),
        (-1, "the server announced a number of atoms of -1"),
        (
            i32::MAX,
            "the server announced a number of atoms of 2147483647",
        ),
    ] {
        let (end, _) = serve(positions(sent, &[0.0; 9]), &mut Fixed::new(2, Dialect::Ase));
        assert_eq!(end.unwrap_err().to_string(), error);
    }
}

#[test]
fn a_stock_server_is_refused_if_the_species_are_unknown() {
    let mut calculator = Fixed {
        atoms: None,
        ..Fixed::new(0, Dialect::Ase)
    };
    let (end, _) = serve(init(b"\0"), &mut calculator);
    assert!(matches!(end, Err(Error::NoSpecies)));
    let (end, _) = serve(positions(1, &[0.0; 3]), &mut calculator);
    assert!(matches!(end, Err(Error::NoSpecies)));
}

#[test]
fn forces_before_positions_are_refused() {
    let (end, _) = serve(message("GETFORCE"), &mut Fixed::new(2, Dialect::Ase));
    assert!(matches!(end, Err(Error::Order)));
}

#[test]
fn a_json_server_gets_needinit_before_every_step() {
    let species = init(br#"{"numbers": [29], "pbc": [true, true, true]}"#);
    let step = [
        message("STATUS"),
        species,
        message("STATUS"),
        positions(1, &[0.0; 3]),
        message("STATUS"),
        message("GETFORCE"),
    ]
    .concat();
    let mut calculator = Fixed {
        atoms: None,
        ..Fixed::new(0, Dialect::Json)
    };
    let (end, output) = serve(
        [&step[..], &step, &message("EXIT")].concat(),
        &mut calculator,
    );
    assert_eq!(end.unwrap(), End::Exit);
    let answers: Vec<String> = output
        .windows(12)
        .map(|window| String::from_utf8_lossy(window).trim_end().to_owned())
        .filter(|word| ["NEEDINIT", "READY", "HAVEDATA", "FORCEREADY"].contains(&word.as_str()))
        .collect();
    let cycle = ["NEEDINIT", "READY", "HAVEDATA", "FORCEREADY"];
    assert_eq!(answers, [cycle, cycle].concat());
    assert!(output.ends_with(b"\x02\0\0\0{}"));
}

#[test]
fn an_exception_is_never_zeros() {
    let step = [positions(1, &[0.0; 3]), message("GETFORCE")].concat();
    // Stock servers cannot be sent errors: the session ends before it sends a number.
    let mut calculator = Fixed {
        failure: Some(exception()),
        ..Fixed::new(1, Dialect::Ase)
    };
    let (end, output) = serve(step.clone(), &mut calculator);
    assert_eq!(end.unwrap_err().to_string(), "the calculation failed: boom");
    assert!(output.is_empty());
    // A JSON server gets NaN and the reason, and may go on.
    let species = init(br#"{"numbers": [29], "pbc": [true, true, true]}"#);
    let (end, output) = serve(
        [&species[..], &step, &species, &step].concat(),
        &mut calculator,
    );
    assert_eq!(end.unwrap(), End::Closed);
    let extras = r#"{"error":"Traceback: boom","kind":"ValueError","retryable":false}"#;
    assert!(output.ends_with(extras.as_bytes()));
    let size = 12 + 8 + 4 + 24 + 72 + 4 + extras.len();
    assert_eq!(output.len(), 2 * size);
    for place in [12, 24, 32, 40, 48, 112] {
        assert!(f64::from_le_bytes(output[place..place + 8].try_into().unwrap()).is_nan());
    }
    assert_eq!(calculator.warnings.len(), 2);
}

/// The message would have another length than its count announces.
#[test]
fn a_wrong_number_of_forces_or_stresses_is_an_error() {
    struct Short(usize);

    impl Calculator for Short {
        fn atoms(&self) -> Option<usize> {
            Some(2)
        }

        fn set_system(&mut self, _: System) -> Result<(), Failure> {
            Ok(())
        }

        fn calculate(&mut self, _: &[Frame], results: &mut [Results]) -> Result<(), Failure> {
            results[0].forces.resize(self.0);
            results[0].virial = Some([0.0; 9]);
            Ok(())
        }

        fn stresses(&mut self, _: &Frame, stresses: &mut Floats) -> Result<(), Failure> {
            stresses.resize(9);
            Ok(())
        }

        fn warn(&mut self, _: &str) {}
    }

    let step = [positions(2, &[0.0; 6]), message("GETFORCE")].concat();
    let serve = |forces: usize, more: &str| {
        let input = [&step[..], &message(more)].concat();
        let mut session = Session::new(Stream {
            input: Cursor::new(input),
            output: Vec::new(),
        });
        let end = session.serve(&mut Short(forces));
        (end, session.into_stream().output)
    };
    for wrong in [0, 3, 5, 9] {
        let (end, output) = serve(wrong, "EXIT");
        let error = format!(
            "the calculation failed: the model computed {wrong} components of forces for 2 atoms"
        );
        assert_eq!(end.unwrap_err().to_string(), error);
        assert!(output.is_empty());
    }
    let (end, output) = serve(6, "GETSTRESSES");
    assert_eq!(
        end.unwrap_err().to_string(),
        "the calculation failed: the model computed 9 components of stresses for 2 atoms"
    );
    assert_eq!(output.len(), 12 + 8 + 4 + 48 + 72 + 4);
    assert_eq!(serve(6, "EXIT").0.unwrap(), End::Exit);
}

#[test]
fn a_missing_stress_is_nan_for_ipi_and_an_error_for_ase_which_cannot_read_it() {
    let step = [positions(1, &[0.0; 3]), message("GETFORCE")].concat();
    let mut calculator = Fixed {
        stress: false,
        ..Fixed::new(1, Dialect::Ipi)
    };
    let (end, output) = serve([&init(b" ")[..], &step, &step].concat(), &mut calculator);
    assert_eq!(end.unwrap(), End::Closed);
    assert!(f64::from_le_bytes(output[48..56].try_into().unwrap()).is_nan());
    assert_eq!(calculator.warnings.len(), 1);
    let (end, output) = serve([&init(b"\0")[..], &step].concat(), &mut calculator);
    assert!(matches!(end, Err(Error::NoStress)));
    assert!(output.is_empty());
}

/// A step as rootstock's clients write it, in one piece.
fn own_step(atoms: i32, numbers: &[f64]) -> Vec<u8> {
    [positions(atoms, numbers), message("GETFORCE")].concat()
}

fn own_species(numbers: &str) -> Vec<u8> {
    let text =
        format!(r#"{{"rs": 2, "numbers": {numbers}, "pbc": [true, true, true], "info": {{}}}}"#);
    init(text.as_bytes())
}

/// The answers to a rootstock client: numbers and extras.
fn own_answers(mut output: &[u8]) -> Vec<(Vec<f64>, String)> {
    let mut answers = Vec::new();
    let count =
        |bytes: &[u8]| usize::try_from(i32::from_le_bytes(bytes.try_into().unwrap())).unwrap();
    while !output.is_empty() {
        assert_eq!(&output[..12], b"FORCEREADY  ");
        let end = 24 + 24 * count(&output[20..24]) + 72;
        let numbers = [&output[12..20], &output[24..end]].concat();
        let numbers = numbers
            .chunks(8)
            .map(|number| f64::from_le_bytes(number.try_into().unwrap()));
        let extras = &output[end + 4..][..count(&output[end..end + 4])];
        answers.push((
            numbers.collect(),
            String::from_utf8(extras.to_vec()).unwrap(),
        ));
        output = &output[end + 4 + extras.len()..];
    }
    answers
}

fn own_calculator() -> Fixed {
    Fixed {
        atoms: None,
        extras: br#"{"free_energy": 0.1}"#,
        ..Fixed::new(0, Dialect::Rootstock)
    }
}

#[test]
fn a_rootstock_client_gets_exact_numbers_and_the_stress_by_rows() {
    let mut calculator = own_calculator();
    let steps = [
        own_species("[29]"),
        own_step(1, &[0.1, 0.2, 0.3]),
        own_step(1, &[0.4, 0.5, 0.6]),
        own_species("[29, 1]"),
        own_step(2, &[0.7; 6]),
    ];
    let (end, output) = serve(steps.concat(), &mut calculator);
    assert_eq!(end.unwrap(), End::Closed);
    let frames: Vec<Vec<f64>> = calculator
        .frames
        .iter()
        .map(|frame| frame.positions.iter().collect())
        .collect();
    assert_eq!(
        frames,
        [vec![0.1, 0.2, 0.3], vec![0.4, 0.5, 0.6], vec![0.7; 6]]
    );
    let mut expected = vec![-1.25, 0.5, 1.0, 1.5];
    expected.extend([0.1; 9]);
    let answers = own_answers(&output);
    assert_eq!(answers.len(), 3);
    assert_eq!(answers[1], (expected, r#"{"free_energy": 0.1}"#.to_owned()));
    assert_eq!(answers[2].0.len(), 1 + 6 + 9);
    assert!(calculator.warnings.is_empty());
}

#[test]
fn a_rootstock_client_gets_nan_for_a_missing_stress() {
    let mut calculator = Fixed {
        stress: false,
        ..own_calculator()
    };
    let (end, output) = serve(
        [own_species("[29]"), own_step(1, &[0.0; 3])].concat(),
        &mut calculator,
    );
    assert_eq!(end.unwrap(), End::Closed);
    let (numbers, _) = &own_answers(&output)[0];
    assert!(numbers[4..].iter().all(|number| number.is_nan()));
    assert!(numbers[..4].iter().all(|number| number.is_finite()));
    assert!(calculator.warnings.is_empty());
}

/// The step reports what is wrong with the INIT, and the next one is served.
#[test]
fn a_rootstock_client_gets_the_error_of_its_init() {
    for (wrong, kind, error) in [
        (
            init(br#"{"rs": 2, "numbers": [29]}"#),
            "InitError",
            "missing field `pbc`",
        ),
        (
            init(br#"{"rs": 2, "numbers": [290], "pbc": [true, true, true]}"#),
            "InitError",
            "290",
        ),
        (
            init(br#"{"rs": 3, "numbers": [29], "pbc": [true, true, true]}"#),
            "InitError",
            "this worker supports `\"rs\": 2`",
        ),
        (
            own_species("[29, 29]"),
            "ValueError",
            "positions of 1 atoms, but this worker's system has 2",
        ),
    ] {
        let mut calculator = own_calculator();
        let step = own_step(1, &[0.0; 3]);
        let (end, output) = serve(
            [&wrong[..], &step, &step, &own_species("[29]"), &step].concat(),
            &mut calculator,
        );
        assert_eq!(end.unwrap(), End::Closed);
        let answers = own_answers(&output);
        assert_eq!(answers.len(), 3);
        for (numbers, extras) in &answers[..2] {
            assert!(numbers.len() == 13 && numbers.iter().all(|number| number.is_nan()));
            let extras: serde_json::Value = serde_json::from_str(extras).unwrap();
            assert_eq!(extras["kind"], kind);
            assert!(
                extras["error"].as_str().unwrap().contains(error),
                "{extras}"
            );
        }
        assert!(answers[2].0.iter().all(|number| number.is_finite()));
    }
}

/// Also one that is not JSON.
#[test]
fn a_rootstock_client_may_send_a_wrong_init_in_the_middle_of_a_run() {
    let step = own_step(1, &[0.0; 3]);
    let input = [
        &own_species("[29]")[..],
        &step,
        &init(b"{"),
        &step,
        &own_species("[29]"),
        &step,
    ]
    .concat();
    let (end, output) = serve(input, &mut own_calculator());
    assert_eq!(end.unwrap(), End::Closed);
    let failed: Vec<bool> = own_answers(&output)
        .iter()
        .map(|(_, extras)| extras.contains("InitError"))
        .collect();
    assert_eq!(failed, [false, true, false]);
}

#[test]
fn a_rootstock_client_gets_exceptions_and_the_end_of_the_calculator() {
    let step = own_step(1, &[0.0; 3]);
    let mut calculator = Fixed {
        failure: Some(exception()),
        ..own_calculator()
    };
    let (end, output) = serve(
        [&own_species("[29]")[..], &step, &step].concat(),
        &mut calculator,
    );
    assert_eq!(end.unwrap(), End::Closed);
    let extras = r#"{"error":"Traceback: boom","kind":"ValueError","retryable":false}"#;
    assert!(own_answers(&output).iter().all(|answer| answer.1 == extras));
    let mut calculator = Fixed {
        failure: Some(Failure::Died("Python died".into())),
        ..own_calculator()
    };
    let (end, output) = serve(
        [&own_species("[29]")[..], &step, &step].concat(),
        &mut calculator,
    );
    assert!(matches!(end, Err(Error::Failed(Failure::Died(_)))));
    let extras = r#"{"error":"Python died","kind":"WorkerDied","retryable":false}"#;
    assert_eq!(own_answers(&output).len(), 1);
    assert_eq!(own_answers(&output)[0].1, extras);
}
