//! `number`: the next number of a counter, for tickets. It is assigned in the transaction that records the decision, so
//! that a crash neither skips a number nor assigns one twice.

use super::super::asking::{Asking, Break};
use super::super::compile::Compiler;
use super::super::conditions;
use super::super::run::Run;
use super::{ActionWord, Verb, set};
use crate::config::reader::{self, MapReader, Shape, Takes};
use crate::config::text::Text;
use crate::config::yaml::Node;

/// The largest allowed first number. It leaves room for years of mail.
pub(in super::super) const MOST_NUMBER: u64 = 1_000_000_000_000;

pub(super) static KEYS: Shape = Shape {
    what: "a number action",
    keys: &[
        (
            "counter",
            "The name of the counter. Every rule that names it takes from the same numbers. With `${name}` it is one for each value, as with `per`.",
            Takes::Text,
        ),
        (
            "per",
            "Count separately for each value of this: `${list_id}`. Beyond 100000 values, those that were used longest ago begin again.",
            Takes::Text,
        ),
        ("set", "The variable that gets the number.", Takes::Text),
        ("take", "`false`: the last number that was taken, 0 when there was none; none is given.", Takes::Flag),
        (
            "first",
            "The first number. If it is raised later, the counter continues from there. Default: 1.",
            Takes::Number,
        ),
        ("width", "At least so many digits, with zeros in front: 1 to 18. Default: 1.", Takes::Number),
    ],
};

pub(super) const NUMBER: ActionWord = ActionWord::new(
    (
        "number",
        "Take the next number of a counter: {counter: support, set: ticket}. No number is given twice, and a crash wastes none.",
        Takes::Section(&KEYS),
    ),
    |node, compiler| {
        let counter = Counter::read(node, compiler)?;
        // If a script asked, the call returns the number.
        if counter.set.is_none() {
            MapReader::new(node, &KEYS, &mut compiler.problems).require("set");
            return None;
        }
        Some(Box::new(Number(counter)))
    },
);

/// The counter, and how its number is formatted.
#[derive(Clone, Debug)]
pub(in super::super) struct Counter {
    pub(in super::super) name: String,
    per: Option<Text>,
    takes: bool,
    set: Option<String>,
    first: u64,
    width: usize,
}

impl Counter {
    pub(in super::super) fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Self> {
        let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
        if !map.is_map() {
            return None;
        }
        let counter = map.require("counter");
        let first = map.read("first", |n, p| reader::number(n, 1..=MOST_NUMBER, p)).unwrap_or(1);
        let width = map.read("width", |n, p| reader::number(n, 1..=18, p)).unwrap_or(1);
        let takes = map.read("take", reader::flag).unwrap_or(true);
        let (set, per) = (map.take("set"), map.take("per"));
        let name = counter.and_then(|node| reader::text(node, "the name of a counter", &mut compiler.problems));
        // A name with values stands for many counters.
        let has_values = name.is_some_and(|name| name.contains("${"));
        if let (true, Some(per)) = (has_values, per) {
            compiler.problems.error(per.span, "a counter has values in its name, or numbers of its own for each `per`");
            return None;
        }
        per.iter().for_each(|node| compiler.doubt_key(node));
        let per = match per.or(counter.filter(|_| has_values)) {
            Some(node) => Some(compiler.text(node, "a key")?),
            None => None,
        };
        let set = match set {
            None => None,
            Some(node) => {
                let name = reader::text(node, "the name of a variable", &mut compiler.problems)?.to_owned();
                set::check_name(&name, node.span, compiler)?;
                compiler.sets(&name);
                Some(name)
            }
        };
        Some(Self { name: name?.to_owned(), per, takes, set, first, width: usize::try_from(width).unwrap_or(1) })
    }

    /// Takes the next number, as text.
    pub(in super::super) fn next(&self, asking: &mut Asking<'_>) -> Result<String, Break> {
        // A counter name has no line break, so a counter with a key cannot collide with another counter.
        let name = match &self.per {
            Some(per) => format!("{}\n{}", self.name, conditions::short_key(asking.expand(per).trim().to_lowercase())),
            None => self.name.clone(),
        };
        let number = if self.takes { asking.next_number(&name, self.first)? } else { asking.last_number(&name)? };
        Ok(format!("{number:0width$}", width = self.width))
    }
}

#[derive(Debug)]
struct Number(Counter);

impl Verb for Number {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let value = self.0.next(&mut run.asking)?;
        TakenNumber { counter: self.0.clone(), value }.act(run)
    }

    fn changes(&self) -> bool {
        true
    }
}

/// The remaining work for a number that a script took, done after the script has returned.
#[derive(Debug)]
pub(in super::super) struct TakenNumber {
    pub(in super::super) counter: Counter,
    pub(in super::super) value: String,
}

impl Verb for TakenNumber {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        run.did(&format!("number {}: {}", crate::clean::short(&self.counter.name, 60), self.value));
        self.counter.set.iter().for_each(|name| run.asking.names.set(name, self.value.clone()));
        Ok(())
    }

    fn changes(&self) -> bool {
        true
    }
}
