//! The world of a test. It gives the answers that the test defines and starts no programs.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Zoned;
use jiff::civil::{self, DateTime};
use jiff::tz::TimeZone;

use super::named;
use crate::config::address_books;
use crate::config::entries::ListedEntry;
use crate::config::lists::{EntriesOrigin, ListSource};
use crate::config::problem::Problems;
use crate::config::reader::{self, MapReader, Shape, Takes};
use crate::config::template::FolderName;
use crate::config::yaml::{Node, Value};
use crate::decision::{Contents, Counted, Fact};
use crate::filter::actions::MOST_NUMBER;
use crate::filter::facts::{Ask, FactAnswer, Facts, KnownList, Unanswered};

/// What a program answers in a test.
pub(super) static ANSWER: Shape = Shape {
    what: "a program's answer",
    keys: &[
        ("code", "Its exit code. Default: 0.", Takes::Number),
        ("out", "What it writes.", Takes::Text),
        ("fails", "It cannot be run, or takes too long; in words.", Takes::Text),
    ],
};

/// What is in a local folder in a test.
pub(super) static HELD: Shape = Shape {
    what: "what is in a folder",
    keys: &[
        ("messages", "How many messages. Default: 0.", Takes::Number),
        ("size", "How much they are together. Default: 0.", Takes::Size),
    ],
};

/// Gives the answers that a test or `explain` defines.
#[derive(Clone, Debug)]
pub struct ToldFacts {
    /// The time.
    pub now: Zoned,
    /// What programs answer, by their name without folders.
    pub programs: BTreeMap<String, FactAnswer>,
    /// What is in database lists, lower-case, each with its value.
    pub lists: HashMap<String, BTreeMap<String, Option<String>>>,
    /// Keys that were seen before, under any handle.
    pub seen: HashSet<String>,
    /// Senders that were answered before, under any handle.
    pub answered: HashSet<String>,
    /// The last numbers of counters. A counter with a key is named `counter key`.
    pub numbers: HashMap<String, u64>,
    /// How many messages were counted under a key, whatever the handle.
    pub counted: HashMap<String, u64>,
    /// The existing local folders by name.
    pub folders: BTreeMap<String, Contents>,
    /// Programs that were asked and have no answer, by their name without folders.
    pub unanswered: Arc<Mutex<BTreeSet<String>>>,
}

impl Default for ToldFacts {
    /// Noon on an ordinary Monday, with nothing known.
    fn default() -> Self {
        let now = civil::datetime(2026, 11, 23, 12, 0, 0, 0).to_zoned(TimeZone::system()).unwrap_or_default();
        Self {
            now,
            programs: BTreeMap::new(),
            lists: HashMap::new(),
            seen: HashSet::new(),
            answered: HashSet::new(),
            numbers: HashMap::new(),
            counted: HashMap::new(),
            folders: BTreeMap::new(),
            unanswered: Arc::default(),
        }
    }
}

impl ToldFacts {
    /// The programs that were asked and have no answer, by their name without folders.
    pub(super) fn unanswered(&self) -> Vec<String> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(super) fn read(map: &mut MapReader<'_, '_>) -> Self {
        let mut told = Self::default();
        if let Some(now) = map.read("now", moment) {
            told.now = now;
        }
        if let Some(node) = map.take("programs") {
            for (name, node) in named(node, "programs with their answers (a mapping)", map.problems()) {
                told.programs.extend(answer(node, map.problems()).map(|answer| (name.text.clone(), answer)));
            }
        }
        if let Some(node) = map.take("lists") {
            for (name, node) in named(node, "lists with their entries (a mapping)", map.problems()) {
                let entries = match &node.value {
                    Value::Map(pairs) => pairs
                        .iter()
                        .map(|(key, value)| (key.text.to_lowercase(), value.as_text().map(str::to_owned)))
                        .collect(),
                    _ => texts(node, map.problems()).into_iter().map(|entry| (entry.to_lowercase(), None)).collect(),
                };
                told.lists.insert(name.text.clone(), entries);
            }
        }
        if let Some(node) = map.take("numbers") {
            for (name, node) in named(node, "counters with their last numbers (a mapping)", map.problems()) {
                let last = reader::number(node, 0..=MOST_NUMBER, map.problems());
                told.numbers.extend(last.map(|last| (name.text.clone(), last)));
            }
        }
        if let Some(node) = map.take("came") {
            for (key, node) in named(node, "keys with the numbers of messages (a mapping)", map.problems()) {
                let number = reader::number(node, 0..=MOST_NUMBER, map.problems());
                told.counted.extend(number.map(|number| (key.text.to_lowercase(), number)));
            }
        }
        if let Some(node) = map.take("folders") {
            told.folders = folders(node, map.problems());
        }
        told.seen.extend(map.take("seen").map(|node| texts(node, map.problems())).unwrap_or_default());
        told.answered.extend(map.take("answered").map(|node| texts(node, map.problems())).unwrap_or_default());
        told
    }
}

fn texts(node: &Node, problems: &mut Problems) -> Vec<String> {
    reader::texts(node, "a text, or a list of texts", problems).unwrap_or_default()
}

/// Reads a list of folders, or a mapping from folders to their contents.
fn folders(node: &Node, problems: &mut Problems) -> BTreeMap<String, Contents> {
    if !matches!(node.value, Value::Map(_)) {
        return texts(node, problems).into_iter().map(|name| (name, Contents::default())).collect();
    }
    let entries = named(node, "folders with what is in them (a mapping)", problems);
    let held = entries.iter().map(|(name, node)| {
        let mut map = MapReader::new(node, &HELD, problems);
        let messages = map.read("messages", |n, p| reader::number(n, 0..=MOST_NUMBER, p)).unwrap_or(0);
        (name.text.clone(), Contents { messages, bytes: map.read("size", reader::size).unwrap_or(0) })
    });
    held.collect()
}

fn answer(node: &Node, problems: &mut Problems) -> Option<FactAnswer> {
    let mut map = MapReader::new(node, &ANSWER, problems);
    if let Some(cause) = map.read("fails", |n, p| reader::text(n, "a cause", p)) {
        return Some(FactAnswer::Failed(cause.to_owned()));
    }
    let code = map.read("code", |n, p| reader::number(n, 0..=255, p)).unwrap_or(0);
    let out = map.take("out").and_then(Node::as_text).unwrap_or_default().as_bytes().to_vec();
    map.is_map().then(|| FactAnswer::Ended { code: i32::try_from(code).unwrap_or(0), out })
}

/// Reads `2026-12-24 18:00` in local time. A date without a time means noon.
pub(super) fn moment(node: &Node, problems: &mut Problems) -> Option<Zoned> {
    let read = node.as_text().and_then(|text| {
        let text = if text.len() == 10 { format!("{text}T12:00") } else { text.replace(' ', "T") };
        let at: DateTime = text.parse().ok()?;
        at.to_zoned(TimeZone::system()).ok()
    });
    if read.is_none() {
        reader::mismatch(node, "a moment like `2026-12-24 18:00`", problems);
    }
    read
}

impl Facts for ToldFacts {
    fn now(&self) -> Zoned {
        self.now.clone()
    }

    fn holds(&self, fact: &Fact) -> Result<bool, Unanswered> {
        Ok(match fact {
            Fact::Seen { key, .. } => self.seen.contains(key),
            Fact::Listed { list, entry } => self.lists.get(list).is_some_and(|entries| entries.contains_key(entry)),
            Fact::Answered { sender, .. } => self.answered.contains(sender),
            Fact::Numbered { counter, number } => self.last_number(counter)?.is_some_and(|last| last >= *number),
            Fact::Counted { of, number } => self.counted(of)? == *number,
        })
    }

    fn last_number(&self, counter: &str) -> Result<Option<u64>, Unanswered> {
        Ok(self.numbers.get(&counter.replace('\n', " ")).copied())
    }

    fn counted(&self, of: &Counted) -> Result<u64, Unanswered> {
        Ok(self.counted.get(&of.key).copied().unwrap_or_default())
    }

    /// For a file, its entries when the rules were read; for a program, the answer that the test defines.
    fn folder(&self, folder: &FolderName) -> Result<Option<Contents>, Unanswered> {
        Ok(self.folders.get(&folder.to_string()).copied())
    }

    fn list(&self, origin: &EntriesOrigin) -> KnownList {
        let ListSource::Command(run, _) = &origin.from else { return KnownList::NotAsked };
        let ask = Ask { run, input: None, timeout: Duration::ZERO, most: 0, lock: None, environment: &[] };
        match self.ask(&ask) {
            FactAnswer::Ended { code: 0, out } => {
                let read = address_books::read(&String::from_utf8_lossy(&out), &origin.format);
                read.map_or_else(
                    |cause| KnownList::Failed(cause.to_string()),
                    |entries| KnownList::Entries(Arc::new(entries)),
                )
            }
            FactAnswer::Ended { code, .. } => KnownList::Failed(format!("{} ended with {code}", run.join(" "))),
            FactAnswer::Failed(cause) => KnownList::Failed(cause),
            FactAnswer::NotAsked => KnownList::NotAsked,
        }
    }

    fn list_value(&self, list: &str, entry: &str) -> Result<Option<String>, Unanswered> {
        Ok(self.lists.get(list).and_then(|entries| entries.get(entry)?.clone()))
    }

    fn list_entries(&self, list: &str) -> Result<Vec<ListedEntry>, Unanswered> {
        let entries = self.lists.get(list).into_iter().flatten();
        Ok(entries.map(|(text, value)| ListedEntry { text: text.clone(), value: value.clone() }).collect())
    }

    fn ask(&self, question: &Ask<'_>) -> FactAnswer {
        let program = question.run.first().map(String::as_str).unwrap_or_default();
        let name = program.rsplit('/').next().unwrap_or(program);
        self.programs.get(name).cloned().unwrap_or_else(|| {
            self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
            FactAnswer::NotAsked
        })
    }
}
