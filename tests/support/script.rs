//! The little language of the dialogs that [`super::scripted_server`] plays.
//!
//! ```text
//! # IMAP: a literal that is longer than announced
//! S: * OK hi
//! C: <tag> LOGIN * *
//! S: <tag> OK in
//! C: <tag> SELECT INBOX
//! S: * 1 EXISTS
//! S: <tag> OK [READ-WRITE] done
//! C: <tag> UID FETCH **
//! S~ * 1 FETCH (UID 1 BODY[] {2}\r\nab
//! pause 100ms
//! S: cd)
//! close
//! --- connection
//! S: * BYE come back later
//! eof
//! ```
//!
//! | line | meaning |
//! |---|---|
//! | `S: text` | the server sends the text and CRLF |
//! | `S~ text` | the server sends the text as it is |
//! | `C: words` | the client must send this line (CRLF or LF); see below |
//! | `eof` | the client must close now, without another byte |
//! | `ignore` | whatever the client sends is read and dropped until it closes |
//! | `close` | the server closes; also at the end of each connection |
//! | `reset` | the server resets the connection |
//! | `pause 100ms` | nothing is done for that time (`ms` or `s`) |
//! | `flood text` | the text again and again, until the client closes |
//! | `tls` | the TLS handshake happens now, with a valid certificate |
//! | `--- connection` | what follows is said to the next client that connects |
//! | `# …`, empty | a comment |
//!
//! In a `C:` line `*` stands for any one word, `**` at its end for all the rest, and `<tag>` for any word, which is
//! then sent where an `S` line says `<tag>`. `<tag1>`, `<tag2>`, … are further ones. Escapes in all texts: `\r \n \t
//! \0 \\ \xNN` and `\{repeat 1000 text}`, whose text may have escapes but no `}` (that is `\x7d`).

use std::collections::BTreeMap;
use std::time::Duration;

pub struct Section {
    /// Where it begins in the file.
    pub line: usize,
    /// Each with its line.
    pub steps: Vec<(usize, Step)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Send(Vec<u8>),
    Expect(String),
    Eof,
    Ignore,
    Close,
    Reset,
    Pause(Duration),
    Flood(Vec<u8>),
    Tls,
}

pub fn parse(script: &str) -> Result<Vec<Section>, String> {
    let mut sections = vec![Section { line: 1, steps: Vec::new() }];
    for (index, line) in script.lines().enumerate() {
        let number = index + 1;
        if line.trim_end() == "--- connection" {
            sections.push(Section { line: number, steps: Vec::new() });
        } else if let Some(step) = parse_step(line).map_err(|problem| format!("line {number}: {problem}"))? {
            sections.last_mut().unwrap().steps.push((number, step));
        }
    }
    // A file may begin with its first `--- connection`.
    if sections.len() > 1 && sections[0].steps.is_empty() {
        sections.remove(0);
    }
    Ok(sections)
}

fn parse_step(line: &str) -> Result<Option<Step>, String> {
    // Without its end of line only: a space at the end may be meant.
    let (word, text) = line.split_once(' ').unwrap_or((line, ""));
    Ok(Some(match word.trim_end() {
        "" => return Ok(None),
        word if word.starts_with('#') => return Ok(None),
        "S:" => Step::Send([unescape(text)?, b"\r\n".to_vec()].concat()),
        "S~" => Step::Send(unescape(text)?),
        "C:" => {
            pattern_words(text).try_for_each(|word| unescape(word).map(|_| ()))?;
            Step::Expect(text.to_owned())
        }
        "eof" => Step::Eof,
        "ignore" => Step::Ignore,
        "close" => Step::Close,
        "reset" => Step::Reset,
        "pause" => Step::Pause(parse_duration(text).ok_or(format!("{text:?} is not a time like 100ms"))?),
        "flood" => Step::Flood(unescape(text)?),
        "tls" => Step::Tls,
        _ => return Err(format!("not understood: {line:?}")),
    }))
}

fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    match text.strip_suffix("ms") {
        Some(number) => number.parse().ok().map(Duration::from_millis),
        None => text.strip_suffix('s')?.parse().ok().map(Duration::from_secs),
    }
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let letter = escape.chars().next().ok_or("a backslash at the end")?;
        rest = &escape[letter.len_utf8()..];
        match letter {
            'r' => bytes.push(b'\r'),
            'n' => bytes.push(b'\n'),
            't' => bytes.push(b'\t'),
            '0' => bytes.push(0),
            '\\' => bytes.push(b'\\'),
            'x' => {
                let digits = rest.get(..2).ok_or("\\x wants two digits")?;
                bytes.push(u8::from_str_radix(digits, 16).map_err(|_| format!("\\x{digits} is no byte"))?);
                rest = &rest[2..];
            }
            '{' => {
                let (inside, after) = rest.split_once('}').ok_or("\\{ without }")?;
                bytes.extend(repeated(inside)?);
                rest = after;
            }
            other => return Err(format!("unknown escape \\{other}")),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

/// The inside of `\{repeat 1000 text}`.
fn repeated(inside: &str) -> Result<Vec<u8>, String> {
    let parts = inside.strip_prefix("repeat ").and_then(|rest| rest.split_once(' '));
    let (count, text) = parts.ok_or(format!("not understood: \\{{{inside}}}"))?;
    let count = count.parse::<usize>().map_err(|_| format!("{count:?} is not a number"))?;
    Ok(unescape(text)?.repeat(count))
}

fn pattern_words(pattern: &str) -> impl Iterator<Item = &str> {
    pattern.split(' ')
}

pub type Tags = BTreeMap<String, Vec<u8>>;

/// Compares word by word, and learns the tags when all of it fits.
pub fn matches(pattern: &str, line: &[u8], tags: &mut Tags) -> bool {
    let mut words = line.split(|byte| *byte == b' ');
    let mut learned = Tags::new();
    for wanted in pattern_words(pattern) {
        if wanted == "**" {
            tags.extend(learned);
            return true;
        }
        let Some(word) = words.next() else { return false };
        if is_tag(wanted) && !word.is_empty() {
            learned.insert(wanted.to_owned(), word.to_vec());
        } else if wanted != "*" && unescape(wanted).as_deref() != Ok(word) {
            return false;
        }
    }
    tags.extend(learned);
    words.next().is_none()
}

fn is_tag(word: &str) -> bool {
    let inside = word.strip_prefix("<tag").and_then(|rest| rest.strip_suffix('>'));
    inside.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

pub fn with_tags(text: &[u8], tags: &Tags) -> Vec<u8> {
    let mut text = text.to_vec();
    for (name, tag) in tags {
        let mut from = 0;
        while let Some(at) = text[from..].windows(name.len()).position(|window| window == name.as_bytes()) {
            text.splice(from + at..from + at + name.len(), tag.iter().copied());
            from += at + tag.len();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Tags, matches, parse, unescape};

    #[test]
    fn escapes() {
        assert_eq!(unescape("a\\r\\n\\0\\\\\\x7d\\{repeat 3 (\\x2a}z").unwrap(), b"a\r\n\0\\}(*(*(*z");
        for bad in ["\\", "\\q", "\\x1", "\\xgg", "\\{repeat x y}", "\\{repeat 3 y", "\\{often 3 y}"] {
            assert!(unescape(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_are_compared_one_by_one() {
        let mut tags = Tags::new();
        for (pattern, line, expected) in [
            ("A * C", "A B C", true),
            ("A * C", "A B B C", false),
            ("A **", "A B C", true),
            ("A", "A ", false),
            ("\\x2a", "*", true),
            ("\\x2a", "x", false),
            ("<tag> X", "t1 X", true),
        ] {
            assert_eq!(matches(pattern, line.as_bytes(), &mut tags), expected, "{pattern} | {line}");
        }
        assert_eq!(tags["<tag>"], b"t1");
    }

    #[test]
    fn a_wrong_script_is_refused() {
        assert_eq!(parse("S: x\nsend x\n").err(), Some("line 2: not understood: \"send x\"".to_owned()));
        assert!(parse("pause soon").is_err());
        assert!(parse("C: \\q").is_err());
    }
}
