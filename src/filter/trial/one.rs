//! Reads and runs one test.

use std::sync::Arc;

use super::expect::Expected;
use super::told::{self, ToldFacts};
use super::{TEST, TestFileReader, TestVerdict, message};
use crate::config::problem::{Problems, SourceFile};
use crate::config::reader::{self, Base, MapReader};
use crate::config::yaml::Node;
use crate::filter::Engine;
use crate::message::{Bytes, Envelope, Flags, Key, Message, Origin, to_lf};

/// The largest message that a test can ask for, in bytes.
const MAX_MESSAGE_BYTES: u64 = 100 * 1024 * 1024;

/// A parsed test.
pub(super) struct Trial {
    name: String,
    line: usize,
    bytes: Vec<u8>,
    pub(super) envelope: Envelope,
    told: ToldFacts,
    expected: Expected,
}

impl Trial {
    pub(super) fn read(node: &Node, base: &Base, open: TestFileReader<'_>, problems: &mut Problems) -> Option<Self> {
        let mut map = MapReader::new(node, &TEST, problems);
        let name = map.need("name", |n, p| reader::text(n, "a name", p).map(str::to_owned));
        let (message, raw, file) = (map.take("message"), map.take("raw"), map.take("file"));
        let told = ToldFacts::read(&mut map);
        let arrived = map.read("arrived", told::moment);
        let account = map.read("account", |n, p| reader::text(n, "an account", p)).unwrap_or("test");
        let folder = map.read("folder", |n, p| reader::text(n, "a folder", p)).unwrap_or("INBOX");
        let flags = map.read("flags", flags).unwrap_or_default();
        let size = map.read("size", reader::size).unwrap_or(0);
        let expected = map.need("expect", Expected::read);
        let bytes = match (message, raw, file) {
            (Some(message), None, None) => message::build(message, problems)?,
            (None, Some(raw), None) => raw.as_text().unwrap_or_default().as_bytes().to_vec(),
            (None, None, Some(file)) => read_file(file, base, open, problems)?,
            _ => {
                problems.error(node.span, "a test has one of `message`, `raw` and `file`");
                return None;
            }
        };
        let bytes = padded(bytes, size);
        let origin = Arc::new(Origin { account: account.to_owned(), folder: folder.to_owned(), generation: 0 });
        let arrived = arrived.unwrap_or_else(|| told.now.clone()).timestamp();
        let envelope = Envelope { key: Key::new(&origin, "1"), arrived, flags, announced: 0 };
        let bytes = to_lf(&bytes);
        Some(Self { name: name?, line: node.span.line, bytes, envelope, told, expected: expected? })
    }

    pub(super) fn run(&self, engine: &Engine, source: &Arc<SourceFile>) -> TestVerdict {
        let message = Message::new(Bytes::Memory(self.bytes.clone())).assuming(engine.assumed());
        let message = Arc::new(message);
        let (decision, trace) = engine.explain(&message, &self.envelope, &self.told);
        let mut difference = self.expected.difference(&decision, &message);
        let missing = self.told.unanswered();
        difference
            .extend(missing.iter().map(|name| format!("- what `{name}` answers: `programs: {{{name}: {{code: 0}}}}`")));
        TestVerdict { name: self.name.clone(), source: Arc::clone(source), line: self.line, difference, trace }
    }
}

/// Pads the message to a size by adding lines at its end.
fn padded(mut bytes: Vec<u8>, size: u64) -> Vec<u8> {
    let size = usize::try_from(size.min(MAX_MESSAGE_BYTES)).unwrap_or(0);
    if bytes.len() < size {
        let line = b"The test of a filter asked for a message of this size: here is some more.\n";
        let missing = size - bytes.len();
        bytes.extend(line.iter().copied().cycle().take(missing));
    }
    bytes
}

/// Reads flags and keywords.
pub(super) fn flags(node: &Node, problems: &mut Problems) -> Option<Flags> {
    let mut flags = Flags::default();
    for word in reader::texts(node, "a flag, or a list of flags", problems)? {
        if let Err(bad) = flags.parse_word(&word) {
            problems.error(node.span, bad.to_string());
        }
    }
    Some(flags)
}

fn read_file(node: &Node, base: &Base, open: TestFileReader<'_>, problems: &mut Problems) -> Option<Vec<u8>> {
    let path = reader::path(node, base, problems)?;
    match open(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            let name = crate::clean::line(path.as_os_str().as_encoded_bytes());
            problems.error(node.span, format!("cannot read {name}: {error}"));
            None
        }
    }
}
