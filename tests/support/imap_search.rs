//! The keys of SEARCH: read from the command, then asked of each message.

use super::date;
use super::imap_syntax::{Bad, NumberSet, Words};
use super::mailbox::Stored;

#[derive(Debug)]
pub enum Key {
    All,
    And(Vec<Key>),
    Or(Box<Key>, Box<Key>),
    Not(Box<Key>),
    Numbers(NumberSet),
    Uids(NumberSet),
    Flag(String),
    /// The first second of the day.
    Since(i64),
    Before(i64),
    Larger(u64),
    Smaller(u64),
    Header(String, String),
    Body(String),
    Text(String),
}

/// Where a message stands in the folder, as the session sees it.
pub struct Place {
    pub number: u32,
    pub last_number: u32,
    pub last_uid: u32,
}

/// The client asked in a charset that is not known here.
pub enum Problem {
    Charset,
    Bad(Bad),
}

impl From<Bad> for Problem {
    fn from(bad: Bad) -> Self {
        Problem::Bad(bad)
    }
}

/// Everything after the word SEARCH.
pub fn parse(words: &mut Words<'_>) -> Result<Key, Problem> {
    let mut keys = Vec::new();
    while !words.at_end() {
        words.skip_space();
        if words.next_is(b'(') {
            keys.push(parenthesised(words)?);
            continue;
        }
        let name = words.keyword()?;
        if name == "CHARSET" && keys.is_empty() {
            let charset = words.string()?.to_ascii_uppercase();
            if !["US-ASCII", "UTF-8"].contains(&charset.as_str()) {
                return Err(Problem::Charset);
            }
        } else {
            keys.push(key(&name, words)?);
        }
    }
    if keys.is_empty() { Err(Problem::Bad("a search without a key".to_owned())) } else { Ok(Key::And(keys)) }
}

fn parenthesised(words: &mut Words<'_>) -> Result<Key, Bad> {
    words.skip(b'(');
    let mut keys = Vec::new();
    while !words.skip(b')') {
        if words.at_end() {
            return Err("a parenthesis does not end".to_owned());
        }
        keys.push(next_key(words)?);
        words.skip_space();
    }
    Ok(Key::And(keys))
}

fn next_key(words: &mut Words<'_>) -> Result<Key, Bad> {
    words.skip_space();
    if words.next_is(b'(') {
        return parenthesised(words);
    }
    let name = words.keyword()?;
    key(&name, words)
}

fn key(name: &str, words: &mut Words<'_>) -> Result<Key, Bad> {
    let flag = |name: &str| Key::Flag(format!("\\{name}"));
    let not = |key| Key::Not(Box::new(key));
    Ok(match name {
        "ALL" => Key::All,
        "SEEN" | "DELETED" | "FLAGGED" | "ANSWERED" | "DRAFT" => flag(name),
        "UNSEEN" | "UNDELETED" | "UNFLAGGED" | "UNANSWERED" | "UNDRAFT" => not(flag(&name[2..])),
        "KEYWORD" => Key::Flag(words.string()?),
        "UNKEYWORD" => not(Key::Flag(words.string()?)),
        "NOT" => not(next_key(words)?),
        "OR" => Key::Or(Box::new(next_key(words)?), Box::new(next_key(words)?)),
        "UID" => Key::Uids(NumberSet::parse(&words.string()?)?),
        "SINCE" => Key::Since(day(words)?),
        "BEFORE" => Key::Before(day(words)?),
        "LARGER" => Key::Larger(words.number()?),
        "SMALLER" => Key::Smaller(words.number()?),
        "FROM" | "TO" | "CC" | "SUBJECT" => Key::Header(name.to_owned(), words.string()?),
        "HEADER" => Key::Header(words.string()?, words.string()?),
        "BODY" => Key::Body(words.string()?),
        "TEXT" => Key::Text(words.string()?),
        set if set.starts_with(|c: char| c.is_ascii_digit() || c == '*') => Key::Numbers(NumberSet::parse(set)?),
        unknown => return Err(format!("unknown search key {unknown}")),
    })
}

fn day(words: &mut Words<'_>) -> Result<i64, Bad> {
    let text = words.string()?;
    date::parse_date(&text).ok_or_else(|| format!("{text:?} is not a date"))
}

impl Key {
    pub fn matches(&self, message: &Stored, place: &Place) -> bool {
        match self {
            Key::All => true,
            Key::And(keys) => keys.iter().all(|key| key.matches(message, place)),
            Key::Or(a, b) => a.matches(message, place) || b.matches(message, place),
            Key::Not(key) => !key.matches(message, place),
            Key::Numbers(set) => set.contains(place.number, place.last_number),
            Key::Uids(set) => set.contains(message.uid, place.last_uid),
            Key::Flag(wanted) => message.flags.iter().any(|flag| flag.eq_ignore_ascii_case(wanted)),
            Key::Since(day) => message.internaldate >= *day,
            Key::Before(day) => message.internaldate < *day,
            Key::Larger(size) => message.bytes.len() as u64 > *size,
            Key::Smaller(size) => (message.bytes.len() as u64) < *size,
            Key::Header(name, text) => header_contains(&message.bytes, name, text),
            Key::Body(text) => contains(body(&message.bytes), text),
            Key::Text(text) => contains(&message.bytes, text),
        }
    }
}

/// The header block with the empty line that ends it.
pub fn header(bytes: &[u8]) -> &[u8] {
    match bytes.windows(4).position(|window| window == b"\r\n\r\n") {
        Some(end) => &bytes[..end + 4],
        None => bytes,
    }
}

pub fn body(bytes: &[u8]) -> &[u8] {
    &bytes[header(bytes).len()..]
}

/// Each header field as it stands, folded lines included, with its name.
pub fn fields(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
    for line in header(bytes).split_inclusive(|byte| *byte == b'\n') {
        let folded = line.starts_with(b" ") || line.starts_with(b"\t");
        match (folded, fields.last_mut(), line.iter().position(|byte| *byte == b':')) {
            (true, Some((_, field)), _) => field.extend_from_slice(line),
            (false, _, Some(colon)) => {
                fields.push((String::from_utf8_lossy(&line[..colon]).into_owned(), line.to_vec()));
            }
            _ => {}
        }
    }
    fields
}

fn header_contains(bytes: &[u8], name: &str, text: &str) -> bool {
    let named = |field: &(String, Vec<u8>)| field.0.eq_ignore_ascii_case(name);
    fields(bytes).iter().filter(|field| named(field)).any(|(name, field)| contains(&field[name.len() + 1..], text))
}

fn contains(bytes: &[u8], text: &str) -> bool {
    let text = text.as_bytes();
    text.is_empty() || bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::super::date::ymd;
    use super::super::imap_syntax::Words;
    use super::super::mailbox::{Folder, Incoming, Mailbox, Stored};
    use super::{Place, Problem, parse};

    fn search(query: &str) -> Vec<u32> {
        let mailbox = Mailbox::new("me", "pw");
        let january = |day| ymd(2026, 1, day) + 3600;
        mailbox.add_message("INBOX", Incoming::new("From: Ann\nSubject: one\n two\n\nhello\n").arrived(january(1)));
        mailbox.add_message("INBOX", Incoming::new("From: Bob\n\nFrom: Ann\n").arrived(january(2)).flag("\\Seen"));
        mailbox.add_message("INBOX", Incoming::new("From: Ann\n\n").arrived(january(3)).flag("\\Deleted"));
        let Ok(key) = parse(&mut Words::new(query.as_bytes())) else { panic!("{query} was refused") };
        let folder = mailbox.read_folder("INBOX", Folder::clone).unwrap();
        let found =
            |message: &&Stored| key.matches(message, &Place { number: message.uid, last_number: 3, last_uid: 3 });
        folder.messages.iter().filter(found).map(|message| message.uid).collect()
    }

    #[test]
    fn keys_select_messages() {
        for (query, expected) in [
            (" ALL", vec![1, 2, 3]),
            (" 2:*", vec![2, 3]),
            (" UID 1,3", vec![1, 3]),
            (" SEEN", vec![2]),
            (" UNSEEN UNDELETED", vec![1]),
            (" SINCE 2-Jan-2026", vec![2, 3]),
            (" BEFORE 2-Jan-2026", vec![1]),
            (" SMALLER 15", vec![3]),
            (" LARGER 14", vec![1, 2]),
            (" FROM \"ann\"", vec![1, 3]),
            (" SUBJECT \"TWO\"", vec![1]),
            (" TEXT ann", vec![1, 2, 3]),
            (" CHARSET UTF-8 BODY \"ann\"", vec![2]),
            (" OR FROM bob DELETED", vec![2, 3]),
            (" NOT (OR FROM bob (DELETED))", vec![1]),
            (" (UID 1:2 (ALL)) NOT SEEN", vec![1]),
        ] {
            assert_eq!(search(query), expected, "{query}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for query in ["", " NONSENSE", " (ALL", " NOT", " SINCE soon", " UID 1,", " ALL)"] {
            assert!(parse(&mut Words::new(query.as_bytes())).is_err(), "{query}");
        }
        assert!(matches!(parse(&mut Words::new(b" CHARSET KOI8-R ALL")), Err(Problem::Charset)));
    }
}
