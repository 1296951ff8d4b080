//! What is known about a message besides its bytes.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;

use super::Key;
use crate::clean;

/// Account, folder, identity, arrival and flags of a message at its source.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The identity of the message at its source.
    pub key: Key,
    /// When it arrived there: INTERNALDATE, or the current time if the source has no such date.
    pub arrived: Timestamp,
    /// The flags it has on the server.
    pub flags: Flags,
    /// The size in bytes that the server announced; 0 if it announced none.
    pub announced: u64,
}

/// A flag that a Maildir can hold in a file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// `\Draft`, `D`.
    Draft,
    /// `\Flagged`, `F`.
    Flagged,
    /// Forwarded or resent, `P`.
    Passed,
    /// `\Answered`, `R`.
    Replied,
    /// `\Seen`, `S`.
    Seen,
    /// `\Deleted`, `T`.
    Trashed,
}

impl Flag {
    const ALL: [(Self, char, &'static str); 6] = [
        (Self::Draft, 'D', "draft"),
        (Self::Flagged, 'F', "flagged"),
        (Self::Passed, 'P', "passed"),
        (Self::Replied, 'R', "answered"),
        (Self::Seen, 'S', "seen"),
        (Self::Trashed, 'T', "deleted"),
    ];

    /// The words for flags in rules.
    pub fn words() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|(_, _, word)| *word)
    }

    /// The flag for a word of a rule or an IMAP flag (`seen`, `\Seen`, `$Forwarded`); case is ignored.
    pub fn from_word(word: &str) -> Option<Self> {
        if word.eq_ignore_ascii_case("$Forwarded") {
            return Some(Self::Passed);
        }
        let bare = word.strip_prefix('\\').unwrap_or(word).to_ascii_lowercase();
        match bare.as_str() {
            "replied" => Some(Self::Replied),
            "forwarded" => Some(Self::Passed),
            "trashed" => Some(Self::Trashed),
            bare => Self::ALL.iter().find(|(_, _, word)| *word == bare).map(|(flag, _, _)| *flag),
        }
    }

    /// The flag for a letter in a Maildir file name.
    pub fn from_letter(letter: char) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == letter).map(|(flag, _, _)| *flag)
    }

    /// The letter in a Maildir file name.
    pub fn letter(self) -> char {
        Self::ALL.iter().find(|(flag, _, _)| *flag == self).map_or('S', |(_, letter, _)| *letter)
    }
}

/// An IMAP keyword. Its case is ignored in comparisons, and it keeps its first spelling.
#[derive(Clone, Debug)]
struct Keyword(String);

impl Keyword {
    fn folded(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Keyword {}

impl PartialOrd for Keyword {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keyword {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

/// The longest keyword, in bytes.
pub const MAX_KEYWORD: usize = 100;

/// A word that is neither a flag nor a keyword.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is no flag and cannot be a keyword: those have 1 to {MAX_KEYWORD} printable ASCII characters without \
     blanks and without any of ( ) {{ % * \" \\ ]",
    clean::short(.0, 40)
)]
pub struct BadFlag(String);

/// A set of flags, in the order Maildir wants, and of keywords such as `$finance`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    system: BTreeSet<Flag>,
    keywords: BTreeSet<Keyword>,
}

impl Flags {
    /// Adds a flag.
    pub fn add(&mut self, flag: Flag) {
        self.system.insert(flag);
    }

    /// Adds a keyword. If it exists in another case, it keeps its spelling. Returns `false` if it is not a valid
    /// keyword (an IMAP atom of at most [`MAX_KEYWORD`] bytes, RFC 3501 9).
    pub fn add_keyword(&mut self, keyword: &str) -> bool {
        let is_valid = is_keyword(keyword);
        if is_valid {
            self.keywords.insert(Keyword(keyword.to_owned()));
        }
        is_valid
    }

    /// Adds what a word means: a flag (`seen`, `\Seen`) or else a keyword (`$finance`).
    pub fn parse_word(&mut self, word: &str) -> Result<(), BadFlag> {
        match Flag::from_word(word) {
            Some(flag) => self.add(flag),
            None if self.add_keyword(word) => {}
            None => return Err(BadFlag(word.to_owned())),
        }
        Ok(())
    }

    /// Adds all of another set.
    pub fn extend(&mut self, other: &Self) {
        self.system.extend(&other.system);
        other.keywords.iter().for_each(|keyword| _ = self.add_keyword(&keyword.0));
    }

    /// Removes a flag.
    pub fn remove(&mut self, flag: Flag) {
        self.system.remove(&flag);
    }

    /// Removes a keyword, whatever its case.
    pub fn remove_keyword(&mut self, keyword: &str) {
        self.keywords.remove(&Keyword(keyword.to_owned()));
    }

    /// Removes the flag or keyword of a word. Does nothing if it is not set, or if the word is invalid.
    pub fn remove_word(&mut self, word: &str) {
        match Flag::from_word(word) {
            Some(flag) => self.remove(flag),
            None => self.remove_keyword(word),
        }
    }

    /// Whether the flag is set.
    pub fn has(&self, flag: Flag) -> bool {
        self.system.contains(&flag)
    }

    /// Whether the keyword is set, whatever its case.
    pub fn has_keyword(&self, keyword: &str) -> bool {
        self.keywords.contains(&Keyword(keyword.to_owned()))
    }

    /// The keywords, sorted without regard to case.
    pub fn keywords(&self) -> impl ExactSizeIterator<Item = &str> {
        self.keywords.iter().map(|keyword| keyword.0.as_str())
    }

    /// The letters of the flags for a Maildir file name, sorted as the specification asks: `FS`. Keywords have no fixed
    /// letters; each Maildir assigns them (`dovecot-keywords`).
    pub fn letters(&self) -> String {
        self.system.iter().map(|flag| flag.letter()).collect()
    }

    /// Removes everything that is in another set.
    pub fn remove_all(&mut self, other: &Self) {
        self.system.retain(|flag| !other.system.contains(flag));
        self.keywords.retain(|keyword| !other.keywords.contains(keyword));
    }

    /// Undoes a change: removes what it added and adds what it removed. Later changes stay.
    pub fn without_change(&self, before: &Self, after: &Self) -> Self {
        let (mut added, mut removed) = (after.clone(), before.clone());
        added.remove_all(before);
        removed.remove_all(after);
        let mut flags = self.clone();
        flags.remove_all(&added);
        flags.extend(&removed);
        flags
    }

    /// The form in the state: the letters, a blank, the keywords.
    pub fn to_text(&self) -> String {
        let keywords: Vec<&str> = self.keywords().collect();
        format!("{} {}", self.letters(), keywords.join(" "))
    }

    /// Reads what [`Self::to_text`] wrote. Skips everything that is neither a flag nor a keyword.
    pub fn from_text(text: &str) -> Self {
        let (letters, keywords) = text.split_once(' ').unwrap_or((text, ""));
        let mut flags: Self = letters.chars().filter_map(Flag::from_letter).collect();
        keywords.split(' ').for_each(|keyword| _ = flags.add_keyword(keyword));
        flags
    }

    /// Whether everything in another set is in this one.
    pub fn has_all(&self, other: &Self) -> bool {
        other.system.is_subset(&self.system) && other.keywords.is_subset(&self.keywords)
    }

    /// The words for the flags in rules, then the keywords.
    pub fn words(&self) -> Vec<String> {
        let named = self.system.iter().filter_map(|flag| Flag::ALL.iter().find(|(known, _, _)| known == flag));
        let words = named.map(|(_, _, word)| (*word).to_owned());
        words.chain(self.keywords.iter().map(|keyword| keyword.0.clone())).collect()
    }

    /// Whether there is neither flag nor keyword.
    pub fn is_empty(&self) -> bool {
        self.system.is_empty() && self.keywords.is_empty()
    }

    /// The server's flags that a local copy gets: all except `\Deleted`, because the copy is not meant to be deleted.
    pub fn carried_over(mut self) -> Self {
        self.remove(Flag::Trashed);
        self
    }
}

fn is_keyword(word: &str) -> bool {
    let is_atom = |byte: u8| byte.is_ascii_graphic() && !b"(){%*\"\\]".contains(&byte);
    (1..=MAX_KEYWORD).contains(&word.len()) && word.bytes().all(is_atom)
}

impl FromIterator<Flag> for Flags {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> Self {
        Self { system: flags.into_iter().collect(), keywords: BTreeSet::new() }
    }
}

/// The letters, then the keywords: `FS $finance`.
impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.letters())?;
        let mut blank = if self.system.is_empty() { "" } else { " " };
        for keyword in self.keywords() {
            write!(f, "{blank}{keyword}")?;
            blank = " ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(words: &[&str]) -> Flags {
        let mut flags = Flags::default();
        words.iter().for_each(|word| flags.parse_word(word).unwrap());
        flags
    }

    #[test]
    fn words_are_flags_or_keywords() {
        let all = flags(&["seen", "\\Flagged", "$Forwarded", "$finance", "Junk"]);
        assert_eq!(all.to_string(), "FPS $finance Junk");
        assert_eq!(all.letters(), "FPS");
        assert_eq!(flags(&["$finance"]).to_string(), "$finance");
        assert!(flags(&["$flagged"]).has_keyword("$flagged"), "only $Forwarded is a flag with a dollar");
        for bad in ["", "a b", "a(", "\\Recent", "\\*", "x\"", "ä", "a]", &"x".repeat(101)] {
            assert_eq!(Flags::default().parse_word(bad), Err(BadFlag(bad.to_owned())));
        }
        assert!(Flags::default().add_keyword(&"x".repeat(100)));
    }

    #[test]
    fn a_change_is_undone_and_nothing_else() {
        let (before, after) = (flags(&["seen", "old"]), flags(&["flagged", "new"]));
        let by_now = flags(&["flagged", "new", "answered", "mine"]);
        assert_eq!(by_now.without_change(&before, &after), flags(&["seen", "old", "answered", "mine"]));
    }

    #[test]
    fn the_state_gives_back_what_it_holds() {
        for some in [flags(&[]), flags(&["seen", "flagged"]), flags(&["$a", "b"]), flags(&["seen", "S"])] {
            assert_eq!(Flags::from_text(&some.to_text()), some);
        }
    }

    #[test]
    fn the_case_of_keywords_does_not_count_and_the_first_spelling_stays() {
        let mut some = flags(&["Work", "seen"]);
        some.extend(&flags(&["WORK", "answered"]));
        assert_eq!(some.to_string(), "RS Work");
        assert_eq!(some, flags(&["work", "seen", "answered"]));
        some.remove_word("wOrK");
        some.remove_word("\\seen");
        assert!(!some.has_keyword("Work") && !some.is_empty());
        some.remove(Flag::Replied);
        assert!(some.is_empty() && !flags(&["x"]).is_empty());
    }
}
