//! Random messages, valid, nearly valid and invalid, in pieces of any size: the session never panics, never reserves
//! memory for what was only announced, and never sends anything unasked.
//!
//! Seeded, so that every run is the same; `IPI_FUZZ_MESSAGES` is their number (short by default), `IPI_FUZZ_SEED` the
//! first seed.

use std::io::{self, Read, Write};

use ipi_client::{Calculator, End, Exception, Failure, Floats, Frame, Results, Session, System};

/// The messages of a conversation have tens of kilobytes, whatever they announce.
const BOUND: u64 = 1 << 20;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("it is below a usize")
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    /// A number of atoms: mostly that of the system.
    fn atoms(&mut self) -> i32 {
        self.one_of(&[
            2,
            2,
            2,
            2,
            2,
            2,
            0,
            1,
            3,
            50,
            -1,
            i32::MIN,
            i32::MAX,
            79_999_999,
            80_000_001,
        ])
    }
}

fn header(text: &str) -> Vec<u8> {
    format!("{text:<12}").into_bytes()
}

fn init(text: &[u8], announced: i32) -> Vec<u8> {
    [&header("INIT")[..], &[0; 4], &announced.to_le_bytes(), text].concat()
}

const TEXTS: &[&str] = &[
    "\0",
    "",
    "Initializing",
    " ",
    "  batch_size:3",
    " a : b , , batch_size:2",
    "  batch_size:0",
    "  batch_size:10000",
    "  batch_size:99999999999",
    r#"{"numbers": [29, 29], "pbc": [true, true, true]}"#,
    r#"{"numbers": [], "pbc": [true, true, true]}"#,
    r#"{"numbers": [29, 300], "pbc": [true, true]}"#,
    r#"{"rs": 2, "numbers": [29, 29], "pbc": [true, true, true], "info": {"charge": 1}}"#,
    r#"{"rs": 2, "numbers": [1], "pbc": [false, false, false]}"#,
    r#"{"rs": 2, "numbers": [29"#,
    r#"{"rs": 2, "numbers": 29}"#,
    r#"{"rs": 9}"#,
    r#"{"rs": [[[[[[[[[[[[[[[["#,
];

/// A random message.
fn message(dice: &mut Dice) -> Vec<u8> {
    match dice.below(20) {
        0..4 => header("STATUS"),
        5 if dice.below(4) == 0 => [
            header("MEMORY"),
            dice.one_of(&[0_i32, 1, 2, -1]).to_le_bytes().to_vec(),
        ]
        .concat(),
        4..6 => header("GETFORCE"),
        6 => header(dice.one_of(&["GETSTRESSES", "STRESSES_ON", "STRESSES_OFF"])),
        7..10 => {
            let text = dice.one_of(TEXTS).as_bytes();
            let length = i32::try_from(text.len()).expect("the texts are short");
            let announced = match dice.below(12) {
                0 => dice.one_of(&[-1, i32::MAX, 200_000_000, length + 1, length - 1]),
                _ => length,
            };
            init(text, announced)
        }
        10..16 => single(dice),
        16..18 => batch(dice),
        18 => {
            let length = dice.below(60);
            dice.bytes(length)
        }
        _ => {
            let mut garbled = single(dice);
            let place = dice.below(garbled.len());
            garbled[place] = dice.next().to_le_bytes()[0];
            garbled.truncate(1 + dice.below(garbled.len()));
            garbled
        }
    }
}

fn numbers(dice: &mut Dice, count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|_| {
            dice.one_of(&[0.0, 1.5, -3.0, f64::NAN, f64::INFINITY, 1e300, 5e-324])
                .to_le_bytes()
        })
        .collect()
}

/// As many numbers as announced, within bounds.
fn announced(atoms: i32) -> usize {
    usize::try_from(atoms).map_or(0, |atoms| 3 * atoms.min(50))
}

fn single(dice: &mut Dice) -> Vec<u8> {
    let atoms = dice.atoms();
    let mut whole = header("POSDATA");
    whole.extend(numbers(dice, 18));
    whole.extend(atoms.to_le_bytes());
    whole.extend(numbers(dice, announced(atoms)));
    if dice.below(2) == 0 {
        whole.extend(header("GETFORCE"));
    }
    whole
}

fn batch(dice: &mut Dice) -> Vec<u8> {
    let (atoms, structures) = (dice.atoms(), dice.one_of(&[2, 3]));
    let mut whole = header("POSDATA");
    whole.extend(atoms.to_le_bytes());
    whole.extend(numbers(dice, 18 * structures));
    whole.extend(numbers(dice, structures * announced(atoms)));
    whole.extend(header("GETFORCE"));
    whole
}

/// A server that sends its messages in pieces and counts the answers.
struct Server {
    input: Vec<u8>,
    at: usize,
    dice: Dice,
    whole: bool,
    // Since the last byte was read.
    answers: usize,
    written: usize,
}

impl Read for Server {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.answers = 0;
        let left = &self.input[self.at..];
        let piece = if self.whole {
            left.len()
        } else {
            1 + self.dice.below(40)
        };
        let count = piece.min(left.len()).min(into.len());
        into[..count].copy_from_slice(&left[..count]);
        self.at += count;
        Ok(count)
    }
}

impl Write for Server {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answers += 1;
        assert!(self.at > 0, "the client wrote first");
        assert!(self.answers == 1, "two answers to one question");
        let asked = self.input[..self.at].trim_ascii_end();
        let expected: &[&[u8]] = match &bytes[..12] {
            b"FORCEREADY  " => &[b"GETFORCE"],
            b"STRESSREADY " => &[b"GETSTRESSES"],
            b"READY       " | b"HAVEDATA    " | b"NEEDINIT    " => &[b"STATUS"],
            unknown => panic!("{unknown:?}"),
        };
        assert!(
            expected.iter().any(|question| asked.ends_with(question)),
            "unsolicited: {:?} after {:?}",
            &bytes[..12],
            &asked[asked.len().saturating_sub(24)..]
        );
        self.written += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Computes, raises or dies at random.
struct Random {
    atoms: Option<usize>,
    dice: Dice,
}

impl Random {
    fn fail_at_random(&mut self) -> Result<(), Failure> {
        match self.dice.below(40) {
            0 => Err(Failure::Died("Python died".into())),
            1..4 => Err(Failure::Raised(Exception::new("ValueError", "boom"))),
            _ => Ok(()),
        }
    }
}

impl Calculator for Random {
    fn atoms(&self) -> Option<usize> {
        self.atoms
    }

    fn set_system(&mut self, system: System) -> Result<(), Failure> {
        self.atoms = Some(system.numbers.len());
        Ok(())
    }

    fn calculate(&mut self, frames: &[Frame], results: &mut [Results]) -> Result<(), Failure> {
        self.fail_at_random()?;
        assert!(!frames.is_empty() && frames.len() == results.len());
        for (frame, results) in frames.iter().zip(results) {
            assert_eq!(Some(frame.atoms()), self.atoms);
            *results = Results {
                energy: self.dice.one_of(&[1.0, 1.0, 1.0, 1.0, f64::NAN]),
                forces: frame.positions.iter().map(|_| 1.0).collect(),
                virial: self.dice.one_of(&[Some([1.0; 9]), Some([1.0; 9]), None]),
                stress: None,
                extras: Vec::new(),
            };
        }
        Ok(())
    }

    fn stresses(&mut self, frame: &Frame, stresses: &mut Floats) -> Result<(), Failure> {
        self.fail_at_random()?;
        stresses.resize(9 * frame.atoms());
        Ok(())
    }

    fn warn(&mut self, _text: &str) {}
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
#[expect(clippy::print_stdout, reason = "the long run is reported by hand")]
fn no_message_panics_or_reserves_memory_or_is_answered_twice() {
    let wanted = setting("IPI_FUZZ_MESSAGES", 20_000);
    let mut seed = setting("IPI_FUZZ_SEED", 0);
    let (mut messages, mut ends, mut closed, mut written) = (0_u64, 0_u64, 0_u64, 0);
    let mut largest = 0;
    while messages < wanted {
        let mut dice = Dice(seed);
        let mut input = init(dice.one_of(TEXTS).as_bytes(), 0);
        let length = i32::try_from(input.len() - 20).expect("the texts are short");
        input[16..20].copy_from_slice(&length.to_le_bytes());
        let count = 1 + dice.below(30);
        let mut starts = vec![0];
        for _ in 0..count {
            starts.push(input.len());
            input.extend(message(&mut dice));
        }
        let atoms = dice.one_of(&[Some(2), Some(2), None]);
        let server = Server {
            input,
            at: 0,
            whole: dice.below(3) == 0,
            dice: Dice(seed ^ 1),
            answers: 0,
            written: 0,
        };
        let mut calculator = Random { atoms, dice };
        let mut session = Session::new(server);
        let mut end = Ok(End::Closed);
        let memory = allocation_counter::measure(|| end = session.serve(&mut calculator));
        largest = largest.max(memory.bytes_max);
        assert!(
            largest <= BOUND,
            "seed {seed}: {largest} bytes were reserved"
        );
        let server = session.into_stream();
        // Messages behind the end of a conversation were not tested.
        messages += starts.iter().filter(|start| **start < server.at).count() as u64;
        written += server.written;
        ends += u64::from(end.is_err());
        closed += u64::from(matches!(end, Ok(End::Closed)));
        seed += 1;
    }
    // Conversations ended both ways, and some were answered.
    assert!(ends > 0 && closed > 0 && written > 0);
    println!(
        "{messages} messages, {ends} conversations ended in an error, {closed} at their end, {written} bytes answered, at most {largest} bytes of memory at once"
    );
}
