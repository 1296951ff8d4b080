//! Parameters of Content-Type and Content-Disposition (RFC 2045 5.1, RFC 2183, RFC 2231).
//!
//! The time is linear, and the number of parameters is limited. Other parsers take quadratic time to join RFC 2231
//! continuations (`reliability.md` E7).

use super::words;
use crate::charsets::Unlabelled;

/// At most this many parameters of one field are read. After them, only file names are read, at most the same number.
pub const MAX_PARAMETERS: usize = 100;

/// The parameters of both fields that name a file.
const FILE_NAMES: [&str; 2] = ["filename", "name"];

/// A parsed field value.
#[derive(Clone, Debug, Default)]
pub(super) struct Parsed {
    /// `text/plain` or `attachment`, lower case; empty if the field does not begin with a word.
    pub(super) main: String,
    /// There are more parameters than are read.
    pub(super) is_cut: bool,
    parameters: Vec<MimeParameter>,
    /// File names in text that our parser takes for a quoted string or a comment.
    hidden: Vec<MimeParameter>,
}

/// One parameter with its continuations joined.
#[derive(Clone, Debug)]
struct MimeParameter {
    name: String,
    is_extended: bool,
    value: ParameterReading,
    /// The values that other readers may use.
    others: Vec<ParameterReading>,
}

/// One possible reading of a value.
#[derive(Clone, Debug, PartialEq)]
struct ParameterReading {
    /// The bytes in the message, with RFC 2231 percent signs decoded.
    bytes: Vec<u8>,
    text: String,
}

impl Parsed {
    /// Whether our parser reads the same from another value.
    pub(super) fn says_the_same_as(&self, other: &Self) -> bool {
        let names = self.parameters.iter().chain(&other.parameters).map(|parameter| parameter.name.as_str());
        self.main == other.main && names.into_iter().all(|name| self.get(name) == other.get(name))
    }

    /// The decoded value. If there are both `name` and `name*`, the latter counts, because it is exact.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.find(name).map(|parameter| parameter.value.text.as_str())
    }

    /// The bytes of the value.
    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.find(name).map(|parameter| parameter.value.bytes.as_slice())
    }

    /// All values of the parameter that a reader may use.
    pub(super) fn readings(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.all(name).map(|reading| reading.bytes.as_slice())
    }

    /// All decoded texts that a reader may use as the file name.
    pub(super) fn file_names(&self) -> impl Iterator<Item = &str> {
        let seen = FILE_NAMES.into_iter().flat_map(|name| self.all(name));
        seen.chain(self.hidden.iter().map(|parameter| &parameter.value)).map(|reading| reading.text.as_str())
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &ParameterReading> {
        let named = self.parameters.iter().filter(move |p| p.name.eq_ignore_ascii_case(name));
        named.flat_map(|p| std::iter::once(&p.value).chain(&p.others))
    }

    fn find(&self, name: &str) -> Option<&MimeParameter> {
        let mut named = self.parameters.iter().filter(|p| p.name.eq_ignore_ascii_case(name));
        let first = named.next()?;
        if first.is_extended { Some(first) } else { named.find(|p| p.is_extended).or(Some(first)) }
    }
}

/// A parameter in the field: a whole value, or one segment of a continued value (`filename*0*=`).
struct Segment {
    name: String,
    /// `None` if the value is not continued.
    number: Option<usize>,
    is_extended: bool,
    value: Vec<u8>,
    /// The values that other readers may use.
    others: Vec<Vec<u8>>,
}

/// Parses a raw field value. Never fails.
pub(super) fn parse(raw: &[u8], unlabelled: &Unlabelled) -> Parsed {
    let line = words::unfold(raw);
    let mut cursor = Cursor { rest: &line };
    let main = String::from_utf8_lossy(cursor.word()).to_ascii_lowercase();
    let mut segments: Vec<Segment> = Vec::new();
    let mut is_cut = false;
    loop {
        match cursor.segment() {
            ParameterStep::Segment(segment) if may_be_kept(&segment, segments.len()) => segments.push(segment),
            ParameterStep::Segment(_) => is_cut = true,
            ParameterStep::Nothing => {}
            ParameterStep::End => break,
        }
    }
    let mut hidden = if has_doubtful_ends(&line) { file_names_at_semicolons(&line) } else { Vec::new() };
    is_cut |= hidden.len() > MAX_PARAMETERS;
    hidden.truncate(MAX_PARAMETERS);
    Parsed { main, is_cut, parameters: joined(segments, unlabelled), hidden: joined(hidden, unlabelled) }
}

fn may_be_kept(segment: &Segment, before: usize) -> bool {
    let is_file_name = FILE_NAMES.contains(&segment.name.as_str());
    before < MAX_PARAMETERS || is_file_name && before < 2 * MAX_PARAMETERS
}

/// Joins continuations in the order of their numbers (RFC 2231 3). Their order in the field does not matter, and
/// neither do gaps.
fn joined(mut segments: Vec<Segment>, unlabelled: &Unlabelled) -> Vec<MimeParameter> {
    // The sort must be stable: of two segments with the same name and number, the first stays first.
    segments.sort_by(|a, b| a.name.cmp(&b.name).then(a.number.cmp(&b.number)));
    segments.chunk_by(belong_together).filter_map(|group| parameter(group, unlabelled)).collect()
}

fn parameter(group: &[Segment], unlabelled: &Unlabelled) -> Option<MimeParameter> {
    let first = group.first()?;
    let is_extended = group.iter().any(|segment| segment.is_extended);
    let read = |values: &[(&Segment, &[u8])]| reading(values, is_extended, unlabelled);
    let value = read(&group.iter().map(|segment| (segment, segment.value.as_slice())).collect::<Vec<_>>());
    let mut others: Vec<ParameterReading> = match group {
        [only] => only.others.iter().map(|value| read(&[(only, value)])).collect(),
        _ => others_joined(group).iter().map(|values| read(values)).collect(),
    };
    if is_extended && value.text.contains("=?") {
        others.push(ParameterReading { text: words::decode(&value.bytes, unlabelled), bytes: value.bytes.clone() });
    }
    others.retain(|other| *other != value);
    Some(MimeParameter { name: first.name.clone(), is_extended, value, others })
}

/// The values that other readers may use: they stop at a gap between the numbers, and if two segments have the same
/// number, they use the first or the last.
fn others_joined(group: &[Segment]) -> [Vec<(&Segment, &[u8])>; 2] {
    let same: Vec<&[Segment]> = group.chunk_by(|a, b| a.number == b.number).collect();
    let numbered = || same.iter().enumerate().map_while(|(i, same)| (same.first()?.number == Some(i)).then_some(*same));
    let with_value = |segment| -> (&Segment, &[u8]) { (segment, &segment.value) };
    [
        numbered().filter_map(<[Segment]>::first).map(with_value).collect(),
        numbered().filter_map(<[Segment]>::last).map(with_value).collect(),
    ]
}

/// Joins segments, each with one of its possible values, to one value.
fn reading(values: &[(&Segment, &[u8])], is_extended: bool, unlabelled: &Unlabelled) -> ParameterReading {
    let mut label = String::new();
    let mut bytes = Vec::new();
    for (i, (segment, value)) in values.iter().enumerate() {
        let mut value = *value;
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
    ParameterReading { bytes, text }
}

fn belong_together(a: &Segment, b: &Segment) -> bool {
    a.name == b.name && a.number.is_some() && b.number.is_some()
}

/// Splits `utf-8'en'rest` into the charset and the rest.
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

/// The unread rest of a field value.
struct Cursor<'a> {
    rest: &'a [u8],
}

/// The text between two semicolons.
enum ParameterStep {
    Segment(Segment),
    /// Text that is not a parameter.
    Nothing,
    End,
}

impl<'a> Cursor<'a> {
    /// The word at the beginning, up to a blank, a semicolon, a comment or a comma. A lone CR is a blank on the wire.
    fn word(&mut self) -> &'a [u8] {
        self.skip_blanks_and_comments();
        self.take_until(|b| matches!(b, b';' | b' ' | b'\t' | b'\r' | b'(' | b','))
    }

    /// The next parameter. A missing semicolon after the type is accepted (scripts and web forms send `text/plain
    /// charset=utf-8`), and so are several semicolons in a row.
    fn segment(&mut self) -> ParameterStep {
        self.skip_blanks_and_comments();
        while self.rest.first().is_some_and(|b| matches!(b, b';' | b',')) {
            self.rest = &self.rest[1..];
            self.skip_blanks_and_comments();
        }
        if self.rest.is_empty() {
            return ParameterStep::End;
        }
        let name = self.take_until(|b| matches!(b, b'=' | b';')).trim_ascii();
        if self.rest.first() != Some(&b'=') {
            return ParameterStep::Nothing;
        }
        self.rest = &self.rest[1..];
        let (name, number, is_extended) = split_name(without_comment(name));
        let (value, others) = self.value(FILE_NAMES.contains(&name.as_str()));
        if name.is_empty() {
            return ParameterStep::Nothing;
        }
        ParameterStep::Segment(Segment { name, number, is_extended, value, others })
    }

    /// The value, and the values that other readers may use.
    fn value(&mut self, is_file_name: bool) -> (Vec<u8>, Vec<Vec<u8>>) {
        self.skip_blanks();
        if self.rest.first() == Some(&b'"') {
            return self.quoted();
        }
        let whole = self.take_until(|b| b == b';').trim_ascii();
        let word = first_word(whole);
        let value = if is_file_name { unquoted_file_name(whole) } else { word };
        let mut others: Vec<Vec<u8>> = Vec::new();
        others.extend([whole, word].into_iter().filter(|other| *other != value).map(<[u8]>::to_vec));
        others.extend(without_backslashes(whole));
        others.extend(behind_comments(whole));
        (value.to_vec(), others)
    }

    /// A quoted string, or the rest of the field if the closing quote is missing. Text between it and the next
    /// semicolon is dropped. Other readers undo all escapes, or take text directly after the closing quote for a part
    /// of the value.
    fn quoted(&mut self) -> (Vec<u8>, Vec<Vec<u8>>) {
        let inside = &self.rest[1..];
        let mut value = Vec::new();
        let mut rest = inside;
        while let Some((first, tail)) = rest.split_first() {
            match (*first, tail.first()) {
                (b'"', _) => break,
                (b'\\', Some(escaped)) if is_escaped(*escaped) => {
                    value.push(*escaped);
                    rest = &tail[1..];
                }
                (other, _) => {
                    value.push(other);
                    rest = tail;
                }
            }
        }
        let inside = &inside[..inside.len() - rest.len()];
        self.rest = rest.strip_prefix(b"\"").unwrap_or(rest);
        let stuck =
            Cursor { rest: self.rest }.take_until(|b| matches!(b, b';' | b',' | b'(') || b.is_ascii_whitespace());
        let mut others: Vec<Vec<u8>> = without_backslashes(inside).into_iter().collect();
        if !stuck.is_empty() && !stuck.contains(&b'=') {
            others.push([value.as_slice(), stuck].concat());
        }
        (value, others)
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

    /// Skips blanks and comments. Comments may be nested. An unclosed comment reaches to the end of the field.
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

/// Whether a backslash before this byte is an escape. Windows programs write `filename="C:\dir\a.pdf"`, so a backslash
/// escapes only bytes that must be escaped.
fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\')
}

/// The value for readers that take every backslash for an escape (RFC 5322 3.2.4), if there is a backslash.
fn without_backslashes(value: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b'\\', value)?;
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.iter();
    while let Some(byte) = rest.next() {
        let is_escape = *byte == b'\\';
        out.extend(if is_escape { rest.next() } else { Some(byte) });
    }
    Some(out)
}

/// The value for readers that skip comments before it, if there are any.
fn behind_comments(whole: &[u8]) -> Option<Vec<u8>> {
    whole.strip_prefix(b"(")?;
    let mut cursor = Cursor { rest: whole };
    cursor.skip_blanks_and_comments();
    Some(if cursor.rest.first() == Some(&b'"') { cursor.quoted().0 } else { first_word(cursor.rest).to_vec() })
}

/// An unquoted file name, up to the semicolon. Old Outlook, Lotus Notes and web forms write names with blanks without
/// quotes.
fn unquoted_file_name(whole: &[u8]) -> &[u8] {
    whole
}

/// The first word of a value that is not a file name. The rest is a comment, or another parameter without a semicolon.
fn first_word(whole: &[u8]) -> &[u8] {
    let end = whole.iter().position(|b| matches!(b, b' ' | b'\t' | b'\r' | b'(')).unwrap_or(whole.len());
    &whole[..end]
}

/// Removes the comment of `filename (a comment)`.
fn without_comment(name: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'(', name).unwrap_or(name.len());
    name[..end].trim_ascii()
}

/// Whether readers disagree about where quoted strings and comments end, and so about which text is a parameter.
fn has_doubtful_ends(line: &[u8]) -> bool {
    let quotes = memchr::memchr_iter(b'"', line).count();
    quotes % 2 == 1 || memchr::memchr(b'(', line).is_some() || memchr::memmem::find(line, b"\\\"").is_some()
}

/// The file names for readers that end a parameter at every semicolon, even within quotes and comments.
fn file_names_at_semicolons(line: &[u8]) -> Vec<Segment> {
    let segment = |piece: &[u8]| {
        let at = memchr::memchr(b'=', piece)?;
        let (name, number, is_extended) = split_name(piece[..at].trim_ascii());
        let value = piece[at + 1..].trim_ascii();
        let value = match value.strip_prefix(b"\"") {
            Some(inside) => inside.split(|b| *b == b'"').next().unwrap_or(inside),
            None => value,
        };
        let value = value.strip_suffix(b"\\").unwrap_or(value).to_vec();
        let is_file_name = FILE_NAMES.contains(&name.as_str());
        is_file_name.then_some(Segment { name, number, is_extended, value, others: Vec::new() })
    };
    line.split(|b| *b == b';').filter_map(segment).collect()
}

/// Splits `filename*1*` into the name, its number, and whether the value has percent signs (RFC 2231 3 and 4).
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

    /// A lone CR as it is on the wire, and in a line that is folded there.
    #[test]
    fn a_lone_cr_is_a_blank() {
        for blank in ["\r", " ", "\r\n "] {
            let parsed = parse(format!("a/b{blank}; x=c{blank}d; y=e").as_bytes(), &NOTHING_SAID);
            assert_eq!((parsed.main.as_str(), parsed.get("x"), parsed.get("y")), ("a/b", Some("c"), Some("e")));
        }
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
        assert_eq!(value.len(), 2 * MAX_PARAMETERS);
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
