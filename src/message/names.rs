//! The names under which readers may show a part as a file: one takes `filename`, another `name`, one drops the character
//! that another keeps, and the computer that opens the file drops a dot. A program is hidden in what only one of them does.

use super::params::Parsed;

/// At most so many names of one part are kept beside our own.
const MAX_OTHERS: usize = 100;
/// How many bytes they have together.
const MAX_LENGTH: usize = 8 * 1024;
/// How many are examined: most fields name the same file several times.
const MAX_LOOKED_AT: usize = 500;
/// What follows the last dot says of what kind a file is where it is no longer than this.
const MAX_EXTENSION: usize = 8;

/// The names of one part.
#[derive(Clone, Debug, Default)]
pub(super) struct PartNames {
    /// What our own reader takes.
    own: Option<String>,
    others: Vec<String>,
    looked_at: usize,
    is_cut: bool,
}

impl PartNames {
    /// `ours` are Content-Disposition and Content-Type to our own reader, `all` the fields of those names.
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

    /// What our own reader takes, without control characters.
    pub(super) fn own(&self) -> Option<&str> {
        self.own.as_deref()
    }

    /// That one first, if there is one.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.own.iter().chain(&self.others).map(String::as_str)
    }

    /// Whether there are more than are kept.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Whether another name says another kind of file than our own, or one runs backwards.
    pub(super) fn are_doubtful(&self) -> bool {
        let kind = self.own().and_then(extension);
        let is_other = |name: &str| extension(name).is_some_and(|other| Some(other) != kind);
        self.others.iter().any(|name| is_other(name)) || self.all().any(|name| name.contains(turns_around))
    }

    /// A name that a field holds, as one reader or another shows or stores it.
    pub(super) fn add_all_of(&mut self, written: &str) {
        self.add(shown(written));
        self.add(stored(written));
        if let Some((before_end, _)) = written.split_once('\0') {
            self.add(stored(before_end));
        }
    }

    fn add(&mut self, name: String) {
        self.looked_at += 1;
        self.is_cut |= self.looked_at > MAX_LOOKED_AT;
        if self.is_cut || name.is_empty() || self.all().any(|known| known == name) {
            return;
        }
        let length: usize = self.others.iter().map(String::len).sum();
        if self.others.len() >= MAX_OTHERS || length + name.len() > MAX_LENGTH {
            self.is_cut = true;
        } else {
            self.others.push(name);
        }
    }
}

/// Without control characters.
fn shown(written: &str) -> String {
    let name: String = written.chars().filter(|c| !c.is_control()).collect();
    name.trim().to_owned()
}

/// Without characters that nobody sees, nor the dots and blanks at the end that Windows drops.
fn stored(written: &str) -> String {
    let name: String = written.chars().filter(|c| !c.is_control() && !is_unseen(*c)).collect();
    name.trim_start().trim_end_matches(|c: char| c.is_whitespace() || c == '.').to_owned()
}

/// Characters without width: soft hyphens, joiners, marks of direction and order.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// LRO and RLO, which no honest name has.
fn turns_around(c: char) -> bool {
    matches!(c, '\u{202d}' | '\u{202e}')
}

/// What follows the last dot, in lower case, if that says something.
fn extension(name: &str) -> Option<String> {
    let (_, end) = name.rsplit_once('.')?;
    let is_letter = |b: u8| b.is_ascii_alphabetic();
    let is_one = end.len() <= MAX_EXTENSION && end.bytes().all(|b| b.is_ascii_alphanumeric());
    // `5.4.2024 invoice.pdf` without quotes ends at the year for some.
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
            assert!(lengths.max().unwrap() <= super::MAX_LENGTH);
            assert!(message.violations().contains(&Violation::TooManyNames));
        }
    }
}
