//! Finds the parts of a message in one pass over its lines. It keeps a list of open parts instead of recursing.
//!
//! All other parsers we examined keep the whole message in memory, give up on the whole message, or recurse until the
//! stack overflows (`reliability.md` E6). This one keeps at most [`MAX_PARTS`] small headers and never fails: a part
//! that exceeds a limit or cannot be read is opaque, and a violation is recorded.
//!
//! If mail readers disagree about the parts of a message, a second pass accepts every line that any of them may take
//! for a boundary: see [`doubt`].

use std::io::{self, BufRead};

use super::dividers::Dividers;
use super::part::{Part, Reading, Transfer};
use super::transfer::Base64Count;
use super::violations::note;
use super::{Message, Violation, doubt, encoded, headers, text, unlabelled};
use crate::charsets::Charset;

/// Parts nested deeper than this are opaque.
pub const MAX_DEPTH: usize = 50;
/// At most this many parts are read. What follows belongs to no part.
pub const MAX_PARTS: usize = 1_000;
/// The longest header block of a part.
pub const MAX_PART_HEADER: usize = 64 * 1024;
/// At most this many fields of a part are read.
pub const MAX_PART_FIELDS: usize = 200;

/// A longer line is read in pieces of this length. A boundary must be in the first piece.
const MAX_LINE_PIECE_BYTES: usize = 4 * 1024;
/// The total length of the header blocks in the second pass, which are in memory together with those of the first.
const MAX_OTHER_HEADERS: usize = 4 * 1024 * 1024;

/// The parts of a message, and their violations.
#[derive(Debug, Default)]
pub(super) struct Structure {
    pub(super) parts: Vec<Part>,
    pub(super) violations: Vec<Violation>,
}

impl Message {
    /// The parts in the order in which they begin; the first is the message itself. They are followed by the parts that
    /// only another mail reader would show ([`Part::is_doubtful`]). They are found at the first call, in one pass over
    /// the message, or in two if readers disagree.
    pub fn parts(&self) -> &[Part] {
        &self.structure().parts
    }

    pub(super) fn structure(&self) -> &Structure {
        self.structure.get_or_init(|| {
            let ours = Scanner::of(self, Reading::Ours).scan(self);
            let mut all = match ours.violations.iter().any(|violation| violation.is_doubt()) {
                true => {
                    let mut all = doubt::merged(ours, Scanner::of(self, Reading::Others).scan(self));
                    if !text::can_be_read(self, &all.parts) {
                        note(&mut all.violations, Violation::TooManyParts);
                    }
                    all
                }
                false => ours,
            };
            encoded::look_into(self, &mut all);
            all
        })
    }
}

/// A part whose end has not been reached.
struct OpenPart {
    part: usize,
    /// Its boundaries, until its closing line: one, or several in the reading of others.
    boundaries: Vec<Vec<u8>>,
    /// Whether it is a multipart, even if it has no usable boundary.
    is_multipart: bool,
    has_lines: bool,
    /// Whether it has text where its parts should be.
    has_text: bool,
    base64: Option<Base64Count>,
}

impl OpenPart {
    fn boundaries_at(&self, level: usize) -> impl Iterator<Item = (usize, &[u8])> {
        self.boundaries.iter().map(move |boundary| (level, boundary.as_slice()))
    }
}

/// What the current lines belong to.
#[derive(Clone, Copy, PartialEq)]
enum MimeState {
    /// The header block of the innermost open part.
    Header,
    /// The body of the innermost open part, a leaf.
    Body,
    /// The text before, between and after the parts of a multipart.
    Between,
    /// Nothing, because a limit was reached.
    Over,
}

/// A line that divides or ends an open multipart.
struct Boundary {
    level: usize,
    is_closing: bool,
    /// Other readers take the line for text.
    is_doubtful: bool,
}

struct Scanner {
    reading: Reading,
    found: Structure,
    open: Vec<OpenPart>,
    /// The boundaries of all open parts; `None` after a change, until they are needed.
    dividers: Option<Dividers>,
    state: MimeState,
    header: Vec<u8>,
    header_parent: usize,
    /// Where it begins; `None` before its first line.
    header_at: Option<u64>,
    /// The total length of all header blocks so far.
    headers: usize,
    assumed: Vec<Charset>,
    /// Where the current piece begins in the message.
    at: u64,
}

impl Scanner {
    /// Starts with the message itself, whose header has been read.
    fn of(message: &Message, reading: Reading) -> Self {
        let (fields, at) = match reading {
            Reading::Ours => (message.fields().to_vec(), message.body_at()),
            Reading::Others => doubt::header_of(message),
        };
        let mut scanner = Self {
            reading,
            found: Structure::default(),
            open: Vec::new(),
            dividers: None,
            state: MimeState::Between,
            header: Vec::new(),
            header_parent: 0,
            header_at: Some(0),
            headers: 0,
            assumed: message.assumed.clone(),
            at,
        };
        let root = Part::new(None, fields, reading);
        scanner.note_doubts(&root, message.head());
        scanner.begin(root, scanner.at, true);
        scanner
    }

    fn scan(mut self, message: &Message) -> Structure {
        let end = message.opener.visible(&message.bytes);
        let is_one_body = match self.open.as_slice() {
            [only] => only.boundaries.is_empty() && only.base64.is_none(),
            _ => false,
        };
        if is_one_body && self.state == MimeState::Body {
            self.close(0, end);
            return self.found;
        }
        match self.read(message, end) {
            Ok(()) => {}
            Err(_) => note(&mut self.found.violations, Violation::Unreadable),
        }
        let end = if self.state == MimeState::Over { end } else { self.at };
        if self.state == MimeState::Header {
            self.end_header(end, false);
        }
        self.close(0, end);
        self.found
    }

    fn read(&mut self, message: &Message, end: u64) -> io::Result<()> {
        let mut walker = message.opener.walker(&message.bytes)?;
        let mut body = walker.range(&(self.at..end))?;
        let mut is_start = true;
        for_each_piece(&mut body, |piece| {
            self.piece(piece, is_start);
            self.at += piece.len() as u64;
            is_start = piece.ends_with(b"\n");
            self.state != MimeState::Over
        })?;
        if self.state != MimeState::Over && self.at < end { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Processes a line or a piece of one.
    fn piece(&mut self, piece: &[u8], is_start: bool) {
        let may_divide = is_start && piece.starts_with(b"--");
        if may_divide && let Some(boundary) = self.boundary_at(piece).or_else(|| self.guessed_boundary(piece)) {
            return self.boundary(&boundary);
        }
        match self.state {
            MimeState::Header if may_divide && self.reading == Reading::Others => {
                // Other readers end a header block at the first line that is not a field.
                self.end_header(self.at, true);
                self.piece(piece, is_start);
            }
            MimeState::Header => self.header_piece(piece, is_start),
            MimeState::Body => {
                if let Some(count) = self.open.last_mut().and_then(|open| open.base64.as_mut()) {
                    count.feed(piece);
                }
            }
            MimeState::Between => {
                if let Some(open) = self.open.last_mut() {
                    open.has_text |= !piece.trim_ascii().is_empty();
                }
            }
            MimeState::Over => {}
        }
    }

    /// The open multipart that the line divides or closes. A boundary equal to the whole line is preferred to one that
    /// the line begins with, because one boundary may begin with another. If two match, the inner one counts.
    fn boundary_at(&mut self, line: &[u8]) -> Option<Boundary> {
        let rest = line.strip_prefix(b"--")?.trim_ascii_end();
        if self.dividers.is_none() {
            let of_level = |(level, open)| OpenPart::boundaries_at(open, level);
            self.dividers = Some(Dividers::of(self.open.iter().enumerate().flat_map(of_level)));
        }
        let (mut wholly, mut loosely): (Option<Boundary>, Option<Boundary>) = (None, None);
        for (level, behind) in self.dividers.as_ref()?.beginning(rest) {
            let is_whole = behind.is_empty() || behind == b"--";
            let found = if is_whole { &mut wholly } else { &mut loosely };
            if found.as_ref().is_some_and(|inner| inner.level >= level) {
                continue;
            }
            if is_whole {
                *found = Some(Boundary { level, is_closing: !behind.is_empty(), is_doubtful: false });
            } else if let Some(is_closing) = text_behind_boundary(behind)
                && (self.reading == Reading::Ours || !is_closing)
            {
                *found = Some(Boundary { level, is_closing, is_doubtful: is_closing });
            }
        }
        wholly.or(loosely)
    }

    /// The boundary that some readers guess: if no declared boundary was found, they use the first line that looks like
    /// one.
    fn guessed_boundary(&mut self, line: &[u8]) -> Option<Boundary> {
        if self.reading == Reading::Ours || self.state != MimeState::Between {
            return None;
        }
        let level = self.open.len().checked_sub(1)?;
        let open = self.open.last_mut().filter(|open| open.is_multipart && !open.has_lines)?;
        let boundary = line.strip_prefix(b"--")?.trim_ascii_end();
        if boundary.first().is_none_or(u8::is_ascii_whitespace) {
            return None;
        }
        open.boundaries.push(boundary.to_vec());
        self.dividers = None;
        Some(Boundary { level, is_closing: false, is_doubtful: true })
    }

    /// Ends all parts within the multipart, then begins its next part or ends the multipart.
    fn boundary(&mut self, boundary: &Boundary) {
        if self.state == MimeState::Header {
            self.end_header(self.at, false);
        }
        if boundary.is_doubtful {
            note(&mut self.found.violations, Violation::DoubtfulBoundary);
        }
        // The line end before the boundary belongs to it (RFC 2046 5.1.1).
        self.close(boundary.level + 1, self.at.saturating_sub(1));
        self.state = MimeState::Between;
        let Some(open) = self.open.last_mut() else { return };
        open.has_lines = true;
        if !boundary.is_closing {
            let parent = open.part;
            self.begin_header(parent);
        } else if self.reading == Reading::Ours {
            open.boundaries.clear();
            self.dividers = None;
        }
    }

    fn begin_header(&mut self, parent: usize) {
        let is_full = self.reading == Reading::Others && self.headers > MAX_OTHER_HEADERS;
        if self.found.parts.len() == MAX_PARTS || is_full {
            note(&mut self.found.violations, Violation::TooManyParts);
            self.state = MimeState::Over;
            return;
        }
        self.state = MimeState::Header;
        self.header.clear();
        self.header_at = None;
        self.header_parent = parent;
    }

    fn header_piece(&mut self, piece: &[u8], is_start: bool) {
        self.header_at.get_or_insert(self.at);
        if is_start && matches!(piece, b"\n" | b"\r\n") {
            return self.end_header(self.at + piece.len() as u64, true);
        }
        if self.header.len() + piece.len() > MAX_PART_HEADER {
            note(&mut self.found.violations, Violation::PartHeaderTooLarge);
            return self.end_header(self.at, false);
        }
        self.header.extend_from_slice(piece);
    }

    /// Ends the header of a part and begins its body, which may be missing.
    fn end_header(&mut self, body_at: u64, may_descend: bool) {
        let mut violations = Vec::new();
        let unlabelled = unlabelled::in_part(&self.header, &self.assumed, &self.found.parts);
        let fields = headers::split(&self.header, MAX_PART_FIELDS, unlabelled.as_ref(), &mut violations);
        let is_cut = violations.contains(&Violation::TooManyFields);
        for violation in violations {
            let of_part = if violation == Violation::TooManyFields { Violation::PartHeaderTooLarge } else { violation };
            note(&mut self.found.violations, of_part);
        }
        let parent = self.found.parts.get(self.header_parent).map(|parent| (self.header_parent, parent));
        let mut part = Part::new(parent, fields, self.reading);
        part.header_at = self.header_at.take().unwrap_or(body_at);
        let header = std::mem::take(&mut self.header);
        self.note_doubts(&part, &header);
        self.headers += header.len();
        self.header = header;
        self.begin(part, body_at, may_descend && !is_cut);
    }

    fn note_doubts(&mut self, part: &Part, header: &[u8]) {
        if self.reading == Reading::Ours {
            doubt::of_header(part, header).for_each(|doubt| note(&mut self.found.violations, doubt));
        }
    }

    /// Opens a part at the beginning of its body.
    fn begin(&mut self, mut part: Part, body_at: u64, may_descend: bool) {
        let index = self.found.parts.len();
        part.body = body_at..body_at;
        let is_multipart = may_descend && self.is_divided(&part) && self.may_hold_parts(&part);
        let boundaries = if is_multipart { self.boundaries_of(&part) } else { Vec::new() };
        let is_message = !is_multipart && may_descend && part.is_message() && self.may_hold_parts(&part);
        let is_between = !boundaries.is_empty() || is_multipart && self.reading == Reading::Others;
        part.is_container = is_between || is_message;
        let base64 = (part.transfer() == Transfer::Base64 && !part.is_container).then(Base64Count::default);
        self.state = if is_between { MimeState::Between } else { MimeState::Body };
        self.found.parts.push(part);
        if !boundaries.is_empty() {
            self.dividers = None;
        }
        self.open.push(OpenPart { part: index, boundaries, is_multipart, has_lines: false, has_text: false, base64 });
        if is_message {
            self.begin_header(index);
        }
    }

    fn is_divided(&self, part: &Part) -> bool {
        match self.reading {
            Reading::Ours => part.is_multipart(),
            Reading::Others => doubt::is_divided(part),
        }
    }

    fn boundaries_of(&mut self, part: &Part) -> Vec<Vec<u8>> {
        if self.reading == Reading::Others {
            return doubt::boundaries(part);
        }
        let boundary = part.boundary().map(<[u8]>::to_vec);
        if boundary.is_none() {
            note(&mut self.found.violations, Violation::NoBoundary);
        }
        boundary.into_iter().collect()
    }

    fn may_hold_parts(&mut self, part: &Part) -> bool {
        if part.depth >= MAX_DEPTH {
            note(&mut self.found.violations, Violation::TooDeep);
        }
        part.depth < MAX_DEPTH
    }

    /// Ends every open part but the outermost `keep`.
    fn close(&mut self, keep: usize, end: u64) {
        for open in self.open.drain(keep.min(self.open.len())..) {
            let is_undivided = !open.has_lines && open.has_text && self.state != MimeState::Over;
            if !open.boundaries.is_empty() {
                self.dividers = None;
            }
            if !open.boundaries.is_empty() && self.state != MimeState::Over {
                note(&mut self.found.violations, Violation::UnterminatedMultipart);
                if is_undivided {
                    note(&mut self.found.violations, Violation::NoBoundaryLine);
                }
            }
            let Some(part) = self.found.parts.get_mut(open.part) else { continue };
            // An empty body begins after the line end that belongs to the boundary.
            part.body = part.body.start.min(end)..end;
            part.size = part.body.end - part.body.start;
            if let Some(count) = open.base64 {
                part.size = count.size();
                if count.is_broken() {
                    note(&mut self.found.violations, Violation::BrokenBase64);
                }
            }
            if self.reading == Reading::Others && open.is_multipart && is_undivided {
                // If no boundary divides it, some readers show the whole body as text.
                let whole = doubt::whole_as_text(open.part, part);
                self.found.parts.push(whole);
            }
        }
    }
}

/// Checks the text after a boundary, which some list software and old gateways add. RFC 2046 5.1.1 even asks to compare
/// only the beginning of the line, but then `--ab` would count as the boundary `a`, and such pairs are more common. A
/// lone CR is a blank on the wire, and the end of the line for some readers. `None`: it is a different boundary.
fn text_behind_boundary(behind: &[u8]) -> Option<bool> {
    match behind.first() {
        Some(b' ' | b'\t' | b'\r') => Some(false),
        _ if behind.starts_with(b"--") => Some(true),
        _ => None,
    }
}

/// Calls `each` for every line with its line end, in pieces if the line is long, until `each` returns `false`. Only
/// lines cut by the buffer are copied.
pub(super) fn for_each_piece(reader: &mut impl BufRead, mut each: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let mut carried: Vec<u8> = Vec::new();
    loop {
        let available = reader.fill_buf()?;
        let mut rest = available;
        let mut goes_on = !available.is_empty();
        while goes_on && !rest.is_empty() {
            let window = &rest[..rest.len().min(MAX_LINE_PIECE_BYTES - carried.len())];
            let length = memchr::memchr(b'\n', window).map_or(window.len(), |lf| lf + 1);
            let (piece, behind) = rest.split_at(length);
            let is_whole = piece.ends_with(b"\n") || carried.len() + length == MAX_LINE_PIECE_BYTES;
            rest = behind;
            if is_whole && carried.is_empty() {
                goes_on = each(piece);
                continue;
            }
            carried.extend_from_slice(piece);
            if is_whole {
                goes_on = each(&carried);
                carried.clear();
            }
        }
        let used = available.len() - rest.len();
        let is_end = available.is_empty();
        reader.consume(used);
        if !goes_on {
            if is_end && !carried.is_empty() {
                each(&carried);
            }
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Bytes;
    use super::*;
    use proptest::prelude::*;

    fn message(text: &str) -> Message {
        Message::new(Bytes::Memory(text.as_bytes().to_vec()))
    }

    /// `(parent, type, body)` of every part.
    fn shape(text: &str) -> Vec<(Option<usize>, String, String)> {
        let message = message(text);
        let body = |part: &Part| text[part.body().start as usize..part.body().end as usize].to_owned();
        message.parts().iter().map(|p| (p.parent, p.content_type().to_owned(), body(p))).collect()
    }

    fn leaves(text: &str) -> Vec<String> {
        let message = message(text);
        let is_leaf = |part: &&Part| !part.is_container() && !part.is_doubtful();
        let body = |part: &Part| text[part.body().start as usize..part.body().end as usize].to_owned();
        message.parts().iter().filter(is_leaf).map(body).collect()
    }

    fn wrong(text: &str) -> Vec<Violation> {
        message(text).structure().violations.clone()
    }

    #[test]
    fn one_body() {
        assert_eq!(shape("Subject: x\n\nbody\n"), [(None, "text/plain".into(), "body\n".into())]);
        assert_eq!(shape("Content-Type: rubbish\n\nb")[0].1, "text/plain");
        assert_eq!(shape("")[0].2, "");
    }

    #[test]
    fn nested_parts_have_their_bodies() {
        let text = "Content-Type: multipart/mixed; boundary=a\n\npreamble\n--a\n\none\n--a\nContent-Type: \
                    multipart/alternative; boundary=\"a b\"\n\n--a b\nContent-Type: text/html\n\n<p>\n--a b--\nx\n--a\n\
                    Content-Type: message/rfc822\n\nSubject: in\n\ninner\n\n--a--\nepilogue\n";
        let got = shape(text);
        let types: Vec<_> = got.iter().map(|(parent, kind, _)| (*parent, kind.as_str())).collect();
        assert_eq!(
            types,
            [
                (None, "multipart/mixed"),
                (Some(0), "text/plain"),
                (Some(0), "multipart/alternative"),
                (Some(2), "text/html"),
                (Some(0), "message/rfc822"),
                (Some(4), "text/plain"),
            ]
        );
        assert_eq!(got[1].2, "one");
        assert_eq!(got[3].2, "<p>");
        assert_eq!(got[4].2, "Subject: in\n\ninner\n");
        assert_eq!(got[5].2, "inner\n");
        assert_eq!(wrong(text), []);
        assert_eq!(message(text).parts()[5].depth, 2);
    }

    #[test]
    fn a_digest_holds_messages() {
        let got = shape("Content-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: 1\n\nx\n--d--\n");
        assert_eq!(got[1].1, "message/rfc822");
        assert_eq!((got[2].0, got[2].2.as_str()), (Some(1), "x"));
    }

    #[test]
    fn parts_without_header_body_or_end() {
        let head = "Content-Type: multipart/mixed; boundary=a\n\n";
        assert_eq!(leaves(&format!("{head}--a\n--a\nX: y\n--a\n\n--a--\n")), ["", "", ""]);
        assert_eq!(leaves(&format!("{head}--a\n\nbody\n")), ["body\n"]);
        assert_eq!(wrong(&format!("{head}--a\n\nbody\n")), [Violation::UnterminatedMultipart]);
        assert_eq!(leaves(&format!("{head}--a\nX: y")), [""]);
        assert_eq!(wrong("Content-Type: multipart/mixed\n\n--a\n"), [Violation::NoBoundary]);
    }

    #[test]
    fn text_behind_a_boundary_is_tolerated_and_longer_boundaries_are_told_apart() {
        let text = "Content-Type: multipart/mixed; boundary=a\n\n--a junk\nContent-Type: multipart/mixed; boundary=ab\n\n\
                    --ab\n\none\n--ab--\n--a\n\ntwo\n--a-- junk\n";
        assert_eq!(leaves(text), ["one", "two"]);
    }

    #[test]
    fn an_encoded_message_is_a_file() {
        let text = "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeA==\n";
        let message = message(text);
        assert_eq!(message.parts().len(), 1);
        assert!(!message.parts()[0].is_container());
        assert_eq!(message.parts()[0].size(), 10);
    }

    #[test]
    fn sizes_of_base64_are_exact() {
        let size = |body: &str| {
            let text = format!("Content-Transfer-Encoding: base64\n\n{body}");
            (message(&text).parts()[0].size(), wrong(&text).contains(&Violation::BrokenBase64))
        };
        assert_eq!(size("aGVs\nbG8=\n"), (5, false));
        assert_eq!(size("aGVsbG8"), (5, false));
        assert_eq!(size("aGVs!bG8=\nfooter"), (5, true));
        assert_eq!(size("aGVsb"), (3, true));
    }

    #[test]
    fn e6_depth_is_bounded() {
        let nested = |count: usize| -> String {
            let open = |i| format!("Content-Type: multipart/mixed; boundary=b{i}\n\n--b{i}\n");
            (0..count).map(open).collect()
        };
        let text = nested(100_000);
        assert_eq!(message(&text).parts().len(), MAX_DEPTH + 1);
        assert!(wrong(&text).contains(&Violation::TooDeep));
        let same = "Content-Type: multipart/mixed; boundary=b\n\n--b\n".repeat(1_000_000);
        assert!(message(&same).parts().len() <= MAX_PARTS);
        let messages = "Content-Type: message/rfc822\n\n".repeat(300_000);
        assert_eq!(message(&messages).parts().len(), MAX_DEPTH + 1);
        assert!(wrong(&messages).contains(&Violation::TooDeep));
    }

    #[test]
    fn e6_a_million_parts_are_bounded() {
        let text = format!("Content-Type: multipart/mixed; boundary=b\n\n{}--b--\n", "--b\n\nx\n".repeat(1_000_000));
        assert_eq!(message(&text).parts().len(), MAX_PARTS);
        assert_eq!(wrong(&text), [Violation::TooManyParts]);
    }

    #[test]
    fn e6_huge_part_headers_are_bounded() {
        let head = "Content-Type: multipart/mixed; boundary=b\n\n--b\n";
        let long = format!("{head}X: {}\n\nbody\n--b--\n", "x".repeat(10_000_000));
        assert_eq!(wrong(&long), [Violation::PartHeaderTooLarge]);
        let many = format!("{head}{}\nbody\n--b--\n", "X: y\n".repeat(5_000));
        assert_eq!(message(&many).parts()[1].fields().len(), MAX_PART_FIELDS);
        assert_eq!(leaves(&many), ["body"]);
        assert_eq!(wrong(&many), [Violation::PartHeaderTooLarge]);
    }

    #[test]
    fn attachments_and_their_names() {
        let text = "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: application/pdf; name=a\x01b.pdf\n\n\
                    --a\nContent-Disposition: ATTACHMENT\n\n--a\nContent-Type: text/plain\n\n--a--\n";
        let message = message(text);
        let parts = message.parts();
        assert_eq!(parts[1].file_name(), Some("ab.pdf"));
        assert_eq!(parts[2].disposition(), "attachment");
        let files: Vec<_> = parts.iter().map(Part::is_attachment).collect();
        assert_eq!(files, [false, true, true, false]);
    }

    /// Lines that make up well-formed and malformed messages.
    fn line() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "",
            "",
            "--b",
            "--b",
            "--b--",
            "--b--c",
            "--b-- x",
            "--c",
            "--c--",
            "--c(d)",
            "--",
            "-- ",
            "Content-Type: multipart/mixed; boundary=b",
            "Content-Type: multipart/mixed; boundary=\"b--c\"",
            "Content-Type: multipart/digest; boundary=c(d)",
            "Content-Type: multipart/report; boundary=b; boundary=c",
            "Content-Type: multipart/mixed",
            "Content-Type: message/rfc822",
            "Content-Type: text/html; name=a",
            "Content-Disposition: attachment; filename=b",
            "Content-Transfer-Encoding: base64",
            "QUJD",
            " folded",
            "text",
        ])
    }

    proptest! {
        #[test]
        fn parts_are_in_order_whatever_the_lines(lines in prop::collection::vec(line(), 0..60)) {
            let text = lines.join("\n");
            let message = message(&text);
            let parts = message.parts();
            let ours = parts.iter().filter(|part| !part.is_doubtful()).count();
            prop_assert!(parts[..ours].iter().all(|part| !part.is_doubtful()));
            for (index, part) in parts.iter().enumerate() {
                prop_assert!(part.parent.is_none_or(|parent| parent < index && (index >= ours || parent < ours)));
                prop_assert!(part.body.start <= part.body.end && part.body.end <= text.len() as u64);
                message.part_bytes(index, 100);
                message.part_text(index, 100);
            }
            message.text();
            let mut texts = message.part_texts();
            (0..parts.len()).for_each(|index| _ = texts.text(index, 100));
        }
    }

    #[test]
    fn fuzz_messages() {
        let known: [&[u8]; 6] = [
            b"Content-Type: multipart/mixed; boundary=\"a\"\n\n--a\n\none\n--a--more\n\n--a\nContent-Type: x/y; name=run.exe\n\nx\n--a--\n",
            b"Content-Type: text/plain\nContent-Type: multipart/mixed; boundary=a(b)\n\n--a(b)\n\none\n--a(b)\n\ntwo\n--a(b)--\n",
            b"Content-Type: multipart/digest; boundary=a\n--a\n\nSubject: \xb1\xa8\n\nx\n--a--\n",
            b"Content-Type: message/rfc822\n\nContent-Type: text/html; charset=cp437\nContent-Transfer-Encoding: base64\n\nPGI+\n",
            b"Content-Type: multipart/mixed\n\n--a\n\n=?utf-8?Q?x?=\n--a\nContent-Type: text/plain; charset=iso-2022-kr\n\n\x1b$)C\x0e0_\x0f\n",
            b"Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n<meta charset=3Dgb2312>=B1=A8\n",
        ];
        crate::fuzz::try_changes("messages", &known, |raw| {
            let message = Message::new(Bytes::Memory(raw.to_vec()));
            let parts = message.parts();
            let ours = parts.iter().filter(|part| !part.is_doubtful()).count();
            for (index, part) in parts.iter().enumerate() {
                assert_eq!(part.is_doubtful(), index >= ours, "those in doubt come last");
                assert!(part.parent.is_none_or(|parent| parent < index));
                assert!(part.body.start <= part.body.end && part.body.end <= raw.len() as u64);
                message.part_bytes(index, 1000);
            }
            let text = message.text();
            assert!(text.len() <= super::super::MAX_TEXT);
            let mut violations = message.violations();
            violations.sort_unstable();
            (ours.min(9), (parts.len() - ours).min(9), violations, text.len().min(9))
        });
    }
}
