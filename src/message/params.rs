//! Parameters of Content-Type and Content-Disposition (RFC 2045 5.1, RFC 2183, RFC 2231).
//!
//! Linear, and bounded in the number of parameters: piecing RFC 2231 continuations together is where other
//! parsers become quadratic (`reliability.md` E7).

use super::words;
use crate::charsets::Unlabelled;

/// At most so many parameters of one field are looked at.
pub const MAX_PARAMETERS: usize = 100;

/// A field value taken apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Parsed {
    /// `text/plain` or `attachment`, lower case; empty if the field does not begin with a word.
    pub(super) main: String,
    parameters: Vec<Parameter>,
}

/// One parameter, its continuations joined.
#[derive(Clone, Debug)]
struct Parameter {
    name: String,
    /// As in the message, but for RFC 2231 percent signs.
    bytes: Vec<u8>,
    text: String,
    is_extended: bool,
    /// All that stands unquoted up to the semicolon, where only the beginning of it was taken.
    whole: Option<Vec<u8>>,
}

impl Parsed {
    /// Whether another value says the same to our own reader.
    pub(super) fn says_the_same_as(&self, other: &Self) -> bool {
        let names = self.parameters.iter().chain(&other.parameters).map(|parameter| parameter.name.as_str());
        self.main == other.main && names.into_iter().all(|name| self.get(name) == other.get(name))
    }

    /// The decoded value. Where a sender gives both `name` and `name*`, the latter counts: it is the exact one.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.find(name).map(|parameter| parameter.text.as_str())
    }

    /// The value's bytes, to be compared with bytes.
    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.find(name).map(|parameter| parameter.bytes.as_slice())
    }

    /// The values that one reader or another takes for that of the parameter: of each that has the name, the value and
    /// all that stands unquoted.
    pub(super) fn readings(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = self.parameters.iter().filter(move |p| p.name.eq_ignore_ascii_case(name));
        named.flat_map(|p| std::iter::once(p.bytes.as_slice()).chain(p.whole.as_deref()))
    }

    fn find(&self, name: &str) -> Option<&Parameter> {
        let mut named = self.parameters.iter().filter(|p| p.name.eq_ignore_ascii_case(name));
        let first = named.next()?;
        if first.is_extended { Some(first) } else { named.find(|p| p.is_extended).or(Some(first)) }
    }
}

/// A parameter as it stands: one segment of a value that may be continued (`filename*0*=`).
struct Segment {
    name: String,
    /// None where the value is all in one.
    number: Option<usize>,
    is_extended: bool,
    value: Vec<u8>,
    whole: Option<Vec<u8>>,
}

/// Takes a raw field value apart; whatever it holds.
pub(super) fn parse(raw: &[u8], unlabelled: &Unlabelled) -> Parsed {
    let line = words::unfold(raw);
    let mut cursor = Cursor { rest: &line };
    let main = String::from_utf8_lossy(cursor.word()).to_ascii_lowercase();
    let mut segments = Vec::new();
    while segments.len() < MAX_PARAMETERS {
        match cursor.segment() {
            Step::Segment(segment) => segments.push(segment),
            Step::Nothing => {}
            Step::End => break,
        }
    }
    Parsed { main, parameters: joined(segments, unlabelled) }
}

/// Joins continuations in the order of their numbers (RFC 2231 3). A sender's order does not matter, nor gaps.
fn joined(mut segments: Vec<Segment>, unlabelled: &Unlabelled) -> Vec<Parameter> {
    // Stable: of two with one name and number the first stays first.
    segments.sort_by(|a, b| a.name.cmp(&b.name).then(a.number.cmp(&b.number)));
    let mut parameters: Vec<Parameter> = Vec::new();
    for group in segments.chunk_by(belong_together) {
        let is_extended = group.iter().any(|segment| segment.is_extended);
        let mut label = String::new();
        let mut bytes = Vec::new();
        for (i, segment) in group.iter().enumerate() {
            let mut value = segment.value.as_slice();
            if let (0, true, Some((charset, rest))) = (i, segment.is_extended, charset_and_rest(value)) {
                label = charset;
                value = rest;
            }
            if segment.is_extended {
                bytes.extend(without_percent(value));
            } else {
                bytes.extend_from_slice(value);
            }
        }
        let text = match is_extended {
            true => words::from_charset(&bytes, &label, unlabelled),
            false => words::decode(&bytes, unlabelled),
        };
        let name = group.first().map(|segment| segment.name.clone()).unwrap_or_default();
        let whole = if let [only] = group { only.whole.clone() } else { None };
        parameters.push(Parameter { name, bytes, text, is_extended, whole });
    }
    parameters
}

fn belong_together(a: &Segment, b: &Segment) -> bool {
    a.name == b.name && a.number.is_some() && b.number.is_some()
}

/// `utf-8'en'rest`.
fn charset_and_rest(value: &[u8]) -> Option<(String, &[u8])> {
    let first = memchr::memchr(b'\'', value)?;
    let second = first + 1 + memchr::memchr(b'\'', &value[first + 1..])?;
    Some((String::from_utf8_lossy(&value[..first]).into_owned(), &value[second + 1..]))
}

fn without_percent(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, tail)) = rest.split_first() {
        match (*first, words::hex_pair(tail)) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = &tail[2..];
            }
            (other, _) => {
                out.push(other);
                rest = tail;
            }
        }
    }
    out
}

/// The place in a field value.
struct Cursor<'a> {
    rest: &'a [u8],
}

/// What stood between two semicolons.
enum Step {
    Segment(Segment),
    /// Something that is no parameter.
    Nothing,
    End,
}

impl<'a> Cursor<'a> {
    /// The word at the beginning: all up to a blank, a semicolon, a comment or a comma.
    fn word(&mut self) -> &'a [u8] {
        self.skip_blanks_and_comments();
        self.take_until(|b| matches!(b, b';' | b' ' | b'\t' | b'(' | b','))
    }

    /// The next parameter. A missing semicolon behind the type is tolerated (`text/plain charset=utf-8`: scripts
    /// and web forms send it), and so are several in a row.
    fn segment(&mut self) -> Step {
        self.skip_blanks_and_comments();
        while self.rest.first().is_some_and(|b| matches!(b, b';' | b',')) {
            self.rest = &self.rest[1..];
            self.skip_blanks_and_comments();
        }
        if self.rest.is_empty() {
            return Step::End;
        }
        let name = self.take_until(|b| matches!(b, b'=' | b';')).trim_ascii();
        if self.rest.first() != Some(&b'=') {
            return Step::Nothing;
        }
        self.rest = &self.rest[1..];
        let (name, number, is_extended) = split_name(name);
        let (value, whole) = self.value(name == "name" || name == "filename");
        if name.is_empty() { Step::Nothing } else { Step::Segment(Segment { name, number, is_extended, value, whole }) }
    }

    /// The value, and all that stands there if it is more.
    fn value(&mut self, is_file_name: bool) -> (Vec<u8>, Option<Vec<u8>>) {
        self.skip_blanks();
        if self.rest.first() == Some(&b'"') {
            return (self.quoted(), None);
        }
        let whole = self.take_until(|b| b == b';').trim_ascii();
        if is_file_name {
            return (unquoted_file_name(whole), None);
        }
        let word = first_word(whole);
        let rest = (word.len() < whole.len()).then(|| whole.to_vec());
        (word, rest)
    }

    /// A quoted string, or the rest of the field where its end is missing. What stands between it and the next
    /// semicolon is dropped.
    fn quoted(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = &self.rest[1..];
        while let Some((first, tail)) = rest.split_first() {
            rest = tail;
            match (*first, tail.first()) {
                (b'"', _) => break,
                (b'\\', Some(escaped)) if is_escaped(*escaped) => {
                    out.push(*escaped);
                    rest = &tail[1..];
                }
                (other, _) => out.push(other),
            }
        }
        self.rest = rest;
        // A missing semicolon: `name="a" filename="b"`.
        self.skip_blanks_and_comments();
        out
    }

    fn take_until(&mut self, is_end: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|b| is_end(*b)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    /// Comments nest; one that does not end reaches to the end of the field.
    fn skip_blanks_and_comments(&mut self) {
        self.skip_blanks();
        while self.rest.first() == Some(&b'(') {
            let mut depth = 0_usize;
            let end = self.rest.iter().position(|b| {
                match b {
                    b'(' => depth += 1,
                    b')' => depth -= 1,
                    _ => {}
                }
                depth == 0
            });
            self.rest = end.map_or(&[], |end| &self.rest[end + 1..]);
            self.skip_blanks();
        }
    }
}

/// Windows programs write `filename="C:\dir\a.pdf"` and mean it: a backslash escapes only what must be escaped.
fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\')
}

/// Old Outlook, Lotus Notes and web forms leave the quotes out around names with blanks: the name reaches to the
/// semicolon.
fn unquoted_file_name(whole: &[u8]) -> Vec<u8> {
    whole.to_vec()
}

/// What follows a value that is no file name is a comment or another parameter without its semicolon.
fn first_word(whole: &[u8]) -> Vec<u8> {
    let end = whole.iter().position(|b| matches!(b, b' ' | b'\t' | b'(')).unwrap_or(whole.len());
    whole[..end].to_vec()
}

/// `filename*1*` into the name, its number, and whether the value is in percent signs (RFC 2231 3 and 4).
fn split_name(name: &[u8]) -> (String, Option<usize>, bool) {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let (bare, is_extended) = match name.strip_suffix('*') {
        Some(bare) => (bare, true),
        None => (name.as_str(), false),
    };
    match bare.rsplit_once('*').map(|(base, number)| (base, number.parse())) {
        Some((base, Ok(number))) => (base.to_owned(), Some(number), is_extended),
        _ => (bare.to_owned(), None, is_extended),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charsets::NOTHING_SAID;
    use proptest::prelude::*;

    fn get(raw: &str, name: &str) -> Option<String> {
        parse(raw.as_bytes(), &NOTHING_SAID).get(name).map(str::to_owned)
    }

    fn file(raw: &str) -> String {
        get(raw, "filename").unwrap()
    }

    #[test]
    fn types_and_parameters() {
        let parsed = parse(b" Text/HTML (a comment); Charset=\"utf-8\" ; format=flowed (yes)", &NOTHING_SAID);
        assert_eq!(parsed.main, "text/html");
        assert_eq!(parsed.get("charset"), Some("utf-8"));
        assert_eq!(parsed.get("FORMAT"), Some("flowed"));
        assert_eq!(parsed.get("x"), None);
    }

    #[test]
    fn continuations_and_charsets() {
        let raw = "attachment; filename*1*=%e2%82%ac; filename*2=\" b.pdf\";\n filename*0*=utf-8'en'a%20";
        assert_eq!(file(raw), "a € b.pdf");
        assert_eq!(file("attachment; filename*=iso-8859-1''%FCber.txt"), "über.txt");
        assert_eq!(file("attachment; filename=\"x.txt\"; filename*=utf-8''%C3%BC.txt"), "ü.txt");
        assert_eq!(file("attachment; filename*0=\"a\"; filename*1=\"b.txt\""), "ab.txt");
        assert_eq!(file("attachment; filename=a; filename=b"), "a");
    }

    #[test]
    fn encoded_words_in_parameters_are_decoded() {
        assert_eq!(file("attachment; filename=\"=?utf-8?B?w7wudHh0?=\""), "ü.txt");
    }

    #[test]
    fn unquoted_file_names_may_have_blanks() {
        assert_eq!(file("attachment; filename=annual report (1).pdf; size=3"), "annual report (1).pdf");
        assert_eq!(file("attachment; filename=caf\u{e9}.pdf"), "café.pdf");
    }

    #[test]
    fn backslashes_of_windows_stay() {
        assert_eq!(file(r#"attachment; filename="C:\tmp\a \"b\".pdf""#), r#"C:\tmp\a "b".pdf"#);
    }

    #[test]
    fn missing_semicolons_and_quotes() {
        assert_eq!(get("text/plain charset=utf-8", "charset").as_deref(), Some("utf-8"));
        assert_eq!(get("text/plain; name=\"a\" charset=\"b\"", "charset").as_deref(), Some("b"));
        assert_eq!(get("multipart/mixed; boundary=\"abc", "boundary").as_deref(), Some("abc"));
        assert_eq!(get(";;; ; a=b;;", "a").as_deref(), Some("b"));
    }

    #[test]
    fn e7_a_hundred_thousand_continuations_are_bounded() {
        let many: String = (0..100_000).map(|i| format!("; name*{i}*=%41")).collect();
        let value = get(&format!("text/plain{many}"), "name").unwrap();
        assert_eq!(value.len(), MAX_PARAMETERS);
        for junk in ["=", ";", "(", ")", "\"", "a=\"", "*=", "'", "a*9999999999999999999999="] {
            parse(junk.repeat(100_000).as_bytes(), &NOTHING_SAID);
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(raw in "(text/plain|[;=*'\"()\\\\% ]|[a-c0-2]|é|name){0,40}") {
            parse(raw.as_bytes(), &NOTHING_SAID);
        }
    }
}
