//! Random changes of known inputs, for the units that read what others write. Only in tests.
//!
//! Each unit calls [`try_changes`] with inputs that it knows, and with a check that panics where a promise is broken. An input
//! that leads to an outcome which was not seen before is kept and changed further, so that the search finds its way without
//! being told what the unit looks like inside. What broke a promise is written to `tests/fuzz/NAME`, which is tried first from
//! then on. `make fuzz` takes ten minutes for each; an ordinary run takes a few hundred milliseconds.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// So many inputs are tried in an ordinary run.
const FEW: u64 = 2_000;
/// No input is longer, in bytes.
const LONGEST: usize = 64 * 1024;
/// So many inputs are kept at most.
const KEPT: usize = 4_000;
/// What means something to one reader or another.
const WORDS: [&[u8]; 32] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\t",
    b" ",
    b"\"",
    b"\\",
    b"(",
    b")",
    b"<",
    b">",
    b"@",
    b",",
    b";",
    b":",
    b"[",
    b"]",
    b"{10}\r\n",
    b"{0}",
    b"=?utf-8?Q?",
    b"=?gb2312?B?",
    b"?=",
    b"--",
    b"--a\r\n",
    b"--a--",
    b"\xff",
    b"\xc3\xa9",
    b"\xa4\xa4",
    b"boundary=",
    b"* 1 FETCH (",
    b".\r\n",
];

/// Tries the known inputs and what random changes make of them. `check` says what came of an input, in any shape: outcomes are
/// told apart by their hashes.
pub(crate) fn try_changes<T: Hash>(name: &str, known: &[&[u8]], check: impl Fn(&[u8]) -> T) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(name);
    let kept = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut inputs: Vec<Vec<u8>> = known.iter().map(|input| input.to_vec()).collect();
    inputs.extend(kept.filter_map(|file| std::fs::read(file.path()).ok()));
    let mut outcomes = HashSet::new();
    let mut tried = 0_u64;
    let mut try_one = |input: &[u8]| {
        tried += 1;
        match catch_unwind(AssertUnwindSafe(|| hash(&check(input)))) {
            Ok(outcome) => outcomes.insert(outcome),
            Err(panic) => {
                let file = folder.join(format!("{:016x}", hash(&input)));
                let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, input));
                eprintln!("{name}: {} ({written:?}) breaks a promise", file.display());
                resume_unwind(panic)
            }
        }
    };
    inputs.iter().for_each(|input| _ = try_one(input));
    let seconds = std::env::var("MAILSLUICE_FUZZ").ok().and_then(|seconds| seconds.parse().ok());
    let (begun, mut dice) = (Instant::now(), Dice(0x9e37_79b9_7f4a_7c15 ^ seconds.unwrap_or(0)));
    for n in 0.. {
        let is_over = match seconds {
            Some(seconds) => n % 64 == 0 && begun.elapsed() > Duration::from_secs(seconds),
            None => n == FEW,
        };
        if is_over {
            break;
        }
        let input = changed(&inputs, &mut dice);
        if try_one(&input) && inputs.len() < KEPT {
            inputs.push(input);
        }
    }
    println!("{name}: {tried} inputs, {} kept, {} outcomes", inputs.len(), outcomes.len());
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// One of the inputs with one to eight changes.
fn changed(inputs: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = inputs[dice.below(inputs.len())].clone();
    for _ in 0..=dice.below(8) {
        let (at, until) = dice.range(input.len());
        match dice.below(8) {
            0 if !input.is_empty() => input[at.min(until.max(1) - 1)] = dice.below(256) as u8,
            1 => drop(input.splice(at..at, [dice.below(256) as u8])),
            2 | 3 => drop(input.splice(at..at, WORDS[dice.below(WORDS.len())].iter().copied())),
            4 => drop(input.drain(at..until.min(at + 16))),
            5 => {
                let again = input[at..until.min(at + 256)].repeat(1 + dice.below(64));
                drop(input.splice(at..at, again));
            }
            6 => {
                let other = &inputs[dice.below(inputs.len())];
                let (from, to) = dice.range(other.len());
                drop(input.splice(at..until, other[from..to].iter().copied()));
            }
            _ => input.truncate(until),
        }
        input.truncate(LONGEST);
    }
    input
}

/// Xorshift: the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    /// Two places in ascending order.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let (a, b) = (self.below(length + 1), self.below(length + 1));
        (a.min(b), a.max(b))
    }
}
