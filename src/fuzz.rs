//! Fuzzing: random changes of known inputs, for code that reads foreign data. Only in tests.
//!
//! Each test calls [`try_changes`] with known inputs and with a check that panics if an invariant is broken. An input with a new
//! outcome is kept and changed further, so that the search is guided without any instrumentation. An input that breaks an
//! invariant is written to `tests/fuzz/NAME`, and tried first from then on. `make fuzz` spends ten minutes on each test; an
//! ordinary run takes a few hundred milliseconds.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How many inputs an ordinary run tries.
const ORDINARY_INPUTS: u64 = 2_000;
/// The longest input, in bytes.
const LONGEST_INPUT_BYTES: usize = 64 * 1024;
/// How many inputs are kept at most.
const MOST_KEPT_INPUTS: usize = 4_000;
/// Tokens that have a meaning in one of the formats.
const TOKENS: [&[u8]; 32] = [
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

/// Tries the known inputs, and random changes of them. `check` returns the outcome of an input, as any hashable value:
/// outcomes are distinguished by their hashes.
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
                eprintln!("{name}: {} ({written:?}) breaks an invariant", file.display());
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
            None => n == ORDINARY_INPUTS,
        };
        if is_over {
            break;
        }
        let input = changed(&inputs, &mut dice);
        if try_one(&input) && inputs.len() < MOST_KEPT_INPUTS {
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

/// A copy of one of the inputs, with one to eight changes.
fn changed(inputs: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = inputs[dice.below(inputs.len())].clone();
    for _ in 0..=dice.below(8) {
        let (at, until) = dice.range(input.len());
        match dice.below(8) {
            0 if !input.is_empty() => input[at.min(until.max(1) - 1)] = dice.below(256) as u8,
            1 => drop(input.splice(at..at, [dice.below(256) as u8])),
            2 | 3 => drop(input.splice(at..at, TOKENS[dice.below(TOKENS.len())].iter().copied())),
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
        input.truncate(LONGEST_INPUT_BYTES);
    }
    input
}

/// Xorshift, with a fixed seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    /// Two positions in ascending order.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let (a, b) = (self.below(length + 1), self.below(length + 1));
        (a.min(b), a.max(b))
    }
}
