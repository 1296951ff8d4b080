//! The names under which mail readers may show a part as a file. One reader uses `filename`, another `name`; one drops
//! a character that another keeps; and the operating system that opens the file may drop a dot. Malware uses these
//! differences to hide what kind of file a part is.

use super::params::Parsed;

/// At most this many names of one part are kept besides our own.
const MAX_OTHER_NAMES: usize = 100;
/// The maximum total length of these names in bytes.
const MAX_NAMES_BYTES: usize = 8 * 1024;
/// How many are examined: most fields name the same file several times.
const MAX_COMPARED_NAMES: usize = 500;
/// The text after the last dot is a file extension if it is not longer than this.
const MAX_EXTENSION: usize = 8;

/// The names of one part.
#[derive(Clone, Debug, Default)]
pub(super) struct PartNames {
    /// The name that our parser reads.
    own: Option<String>,
    others: Vec<String>,
    looked_at: usize,
    is_cut: bool,
}

impl PartNames {
    /// `ours` are the Content-Disposition and Content-Type that our parser uses, `all` are all fields of those names.
    pub(super) fn of<'p>(ours: [&Parsed; 2], all: impl Iterator<Item = &'p Parsed>) -> Self {
        let [disposition, type_parameters] = ours;
        let own = disposition.get("filename").or_else(|| type_parameters.get("name")).map(shown);
        let mut names = Self { own: own.filter(|name| !name.is_empty()), ..Self::default() };
        for parsed in all {
            names.is_cut |= parsed.is_cut;
            parsed.file_names().for_each(|name| names.add_all_of(name));
        }
        names
    }

    /// The name that our parser reads, without control characters.
    pub(super) fn own(&self) -> Option<&str> {
        self.own.as_deref()
    }

    /// All names. Our own is first, if there is one.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.own.iter().chain(&self.others).map(String::as_str)
    }

    /// Whether there are more names than are kept.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Whether another name has a different extension than our own, or a name has characters that reverse its
    /// direction.
    pub(super) fn are_doubtful(&self) -> bool {
        let kind = self.own().and_then(extension);
        let is_other = |name: &str| extension(name).is_some_and(|other| Some(other) != kind);
        self.others.iter().any(|name| is_other(name)) || self.all().any(|name| name.contains(turns_around))
    }

    /// Adds the name in a field, in each form in which a reader may show or store it.
    pub(super) fn add_all_of(&mut self, written: &str) {
        self.add(shown(written));
        self.add(stored(written));
        if let Some((before_end, _)) = written.split_once('\0') {
            self.add(stored(before_end));
        }
    }

    fn add(&mut self, name: String) {
        self.looked_at += 1;
        self.is_cut |= self.looked_at > MAX_COMPARED_NAMES;
        if self.is_cut || name.is_empty() || self.all().any(|known| known == name) {
            return;
        }
        let length: usize = self.others.iter().map(String::len).sum();
        if self.others.len() >= MAX_OTHER_NAMES || length + name.len() > MAX_NAMES_BYTES {
            self.is_cut = true;
        } else {
            self.others.push(name);
        }
    }
}

/// The name without control characters.
fn shown(written: &str) -> String {
    let name: String = written.chars().filter(|c| !c.is_control()).collect();
    name.trim().to_owned()
}

/// The name without invisible characters, and without the dots and blanks at the end, which Windows drops.
fn stored(written: &str) -> String {
    let name: String = written.chars().filter(|c| !c.is_control() && !is_unseen(*c)).collect();
    name.trim_start().trim_end_matches(|c: char| c.is_whitespace() || c == '.').to_owned()
}

/// Whether the character has no width: soft hyphens, joiners, marks of direction and order.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether the character is LRO or RLO, which legitimate names do not have.
fn turns_around(c: char) -> bool {
    matches!(c, '\u{202d}' | '\u{202e}')
}

/// The file extension in lower case, if there is one.
fn extension(name: &str) -> Option<String> {
    let (_, end) = name.rsplit_once('.')?;
    let is_letter = |b: u8| b.is_ascii_alphabetic();
    let is_one = end.len() <= MAX_EXTENSION && end.bytes().all(|b| b.is_ascii_alphanumeric());
    // Without quotes, `5.4.2024 invoice.pdf` ends after the year for some readers.
    (is_one && end.bytes().any(is_letter)).then(|| end.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::super::{Bytes, Message, Violation};

    fn message(text: String) -> Message {
        Message::new(Bytes::Memory(text.into_bytes()))
    }

    #[test]
    fn names_are_bounded_in_number_and_length() {
        let field = |value: &str| format!("Content-Disposition: attachment; {value}\n");
        let many: String = (0..2_000).map(|i| field(&format!("filename=a{i}; name=b{i}."))).collect();
        let long: String = (0..8).map(|i| field(&format!("filename=\"{}\\{i}\"", "x".repeat(8_000)))).collect();
        for part in [many[..60_000].to_owned(), long] {
            let head = "Content-Type: multipart/mixed; boundary=b\n\n";
            let message = message(format!("{head}{}--b--\n", format!("--b\n{part}\n\n").repeat(100)));
            let lengths = message.parts().iter().map(|part| part.file_names().skip(1).map(str::len).sum::<usize>());
            assert!(lengths.max().unwrap() <= super::MAX_NAMES_BYTES);
            assert!(message.violations().contains(&Violation::TooManyNames));
        }
    }
}
