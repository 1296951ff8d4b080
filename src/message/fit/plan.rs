//! Decides what happens to each part, in one pass over the message before anything is sent.

use std::io::{self, Read};
use std::ops::Range;

use super::coder::{BOUNDARY_BLANKS, Coding, ENCODED_LINE};
use super::fields;
use super::measures::Measures;
use super::{FitChanges, FitStep, Fitted, LONGEST_LINE, LeftReason};
use crate::charsets::Charset;
use crate::message::part::{Part, Transfer};
use crate::message::{Message, Violation};

/// The longest boundary that still fits on a line. RFC 2046 5.1.1 allows 70 bytes.
const MAX_BOUNDARY_BYTES: usize = 900;

/// Replacements for a byte that is not ASCII where it has no meaning. None of them is a base64 character.
const SUBSTITUTES: &[u8] = b"?*!~^%";

/// A stretch of the message. Stretches follow each other without gaps.
#[derive(Debug)]
enum Stretch {
    /// The header block of a part, with the empty line.
    Header(usize),
    /// The body of a part that has no parts.
    Leaf(usize),
    /// The boundary lines after the part `before`, with the text around them. `is_open`: it may be changed. `is_last`:
    /// no part follows.
    Between { before: usize, is_open: bool, is_last: bool },
}

/// What is known about a part.
#[derive(Debug, Default)]
struct KnownPart {
    header: Vec<u8>,
    coding: Option<Coding>,
    kind: Option<&'static str>,
    /// Something in it stays unchanged and has bytes that are not ASCII.
    keeps_8_bit: bool,
    /// Something in it is encoded.
    is_changed: bool,
    /// It is within a signed or encrypted part, so its header and its content must not change.
    is_within_seal: bool,
}

pub(super) fn plan(message: &Message, eight_bit: bool) -> io::Result<Fitted> {
    let mut plan = FitPlan::of(message, eight_bit);
    plan.read()?;
    plan.label_containers();
    Ok(plan.fitted())
}

struct FitPlan<'m> {
    message: &'m Message,
    parts: &'m [Part],
    /// Mail readers disagree about its parts. `parts` contains only the message itself then.
    is_in_doubt: bool,
    /// Some readers take a part of the header block for text, because it has a line like a boundary.
    is_header_in_doubt: bool,
    eight_bit: bool,
    stretches: Vec<(Stretch, Range<u64>, Option<Coding>)>,
    known: Vec<KnownPart>,
    /// A field that declares an encoding may be among those that were not read.
    has_unread_fields: bool,
    left: Option<LeftReason>,
    changes: FitChanges,
}

impl<'m> FitPlan<'m> {
    fn of(message: &'m Message, eight_bit: bool) -> Self {
        // If readers disagree about the parts of a message, the whole body is kept as one.
        let is_in_doubt = message.structure().violations.iter().any(|violation| violation.is_doubt());
        let parts = if is_in_doubt { message.parts().get(..1).unwrap_or_default() } else { message.parts() };
        let mut known: Vec<KnownPart> = Vec::with_capacity(parts.len());
        for part in parts {
            let is_within_seal =
                part.parent.is_some_and(|parent| known[parent].is_within_seal || is_seal(&parts[parent]));
            known.push(KnownPart { is_within_seal, ..KnownPart::default() });
        }
        let mut plan = Self {
            message,
            parts,
            is_in_doubt,
            is_header_in_doubt: is_in_doubt
                && message.head().split(|byte| *byte == b'\n').any(|l| l.starts_with(b"--")),
            eight_bit,
            stretches: Vec::new(),
            known,
            has_unread_fields: false,
            left: None,
            changes: FitChanges::default(),
        };
        plan.find_stretches();
        plan
    }

    fn find_stretches(&mut self) {
        let end = self.message.opener.visible(&self.message.bytes);
        let (of_head, of_parts) = (&self.message.index().violations, &self.message.structure().violations);
        let is_wrong = |violation| of_head.contains(&violation) || of_parts.contains(&violation);
        let is_cut = is_wrong(Violation::TooManyParts) || is_wrong(Violation::Unreadable);
        self.has_unread_fields = is_wrong(Violation::TooManyFields) || is_wrong(Violation::PartHeaderTooLarge);
        let has_many_blanks =
            |boundary: &[u8]| boundary.split(|byte| !byte.is_ascii_whitespace()).any(|run| run.len() > BOUNDARY_BLANKS);
        let is_odd = |boundary: &[u8]| {
            !boundary.is_ascii()
                || boundary.contains(&b'\r')
                || boundary.len() > MAX_BOUNDARY_BYTES
                || has_many_blanks(boundary)
        };
        let has_odd_boundary = self.parts.iter().filter_map(Part::boundary).any(is_odd);
        let (mut at, mut before) = (0, 0);
        for (index, part) in self.parts.iter().enumerate() {
            let header_at = part.header_at.max(at).min(end);
            let body = part.body.start.max(header_at).min(end)..part.body.end.max(header_at).min(end);
            if at < header_at {
                let is_open = !has_odd_boundary && self.is_open(before, Some(index));
                self.stretches.push((Stretch::Between { before, is_open, is_last: false }, at..header_at, None));
            }
            self.stretches.push((Stretch::Header(index), header_at..body.start, None));
            at = body.start;
            if !part.is_container() && !self.is_in_doubt {
                at = body.end.max(at);
                self.stretches.push((Stretch::Leaf(index), body.start..at, None));
            }
            before = index;
        }
        if at < end {
            let is_open = !has_odd_boundary && !is_cut && !self.is_in_doubt && self.is_open(before, None);
            self.stretches.push((Stretch::Between { before, is_open, is_last: true }, at..end, None));
        }
    }

    /// Whether the text between two parts may be changed: both parts must be changeable. A multipart without parts is
    /// not changed, because some readers show it as text.
    fn is_open(&self, before: usize, behind: Option<usize>) -> bool {
        let is_child = behind.is_some_and(|behind| self.parts[behind].parent == Some(before));
        let is_barren = self.parts[before].is_container() && !is_child;
        let is_sealed = |index: usize| self.known[index].is_within_seal;
        !is_barren && !is_sealed(before) && !is_seal(&self.parts[before]) && !behind.is_some_and(is_sealed)
    }

    /// Reads every stretch in order and plans it.
    fn read(&mut self) -> io::Result<()> {
        let mut walker = self.message.opener.walker(&self.message.bytes)?;
        let mut stretches = std::mem::take(&mut self.stretches);
        for (stretch, range, coding) in &mut stretches {
            let mut bytes = walker.range(range)?;
            match stretch {
                Stretch::Header(part) => {
                    bytes.read_to_end(&mut self.known[*part].header)?;
                }
                Stretch::Leaf(part) => {
                    *coding = self.leaf(*part, Measures::read(bytes)?);
                    self.known[*part].coding = *coding;
                    self.known[*part].is_changed = coding.is_some();
                }
                Stretch::Between { before, is_open, is_last } => {
                    let body = Measures::read(bytes)?;
                    *coding = self.between_parts(*before, *is_open, *is_last, &body);
                }
            }
        }
        self.stretches = stretches;
        Ok(())
    }

    fn between_parts(&mut self, before: usize, is_open: bool, is_last: bool, body: &Measures) -> Option<Coding> {
        if !self.exceeds(body) {
            return None;
        }
        // A boundary line of more than 4 KiB may continue in what was taken for the header block after it.
        let is_torn = !is_last && !body.ends_with_line;
        if is_open
            && !is_torn
            && !body.has_hidden_dot
            && let Some(other) = self.substitute()
        {
            let coding = Coding::Between { other };
            self.note(coding, body);
            return Some(coding);
        }
        let is_sealed = self.known[before].is_within_seal || is_seal(&self.parts[before]);
        self.leave(if is_sealed { LeftReason::Signed } else { LeftReason::Unclear });
        self.known[before].keeps_8_bit |= body.has_8_bit;
        None
    }

    /// A replacement byte that cannot create a line that looks like a boundary. `Some(None)`: no byte has to be
    /// replaced.
    fn substitute(&self) -> Option<Option<u8>> {
        if self.eight_bit {
            return Some(None);
        }
        let is_unused = |byte: &&u8| !self.parts.iter().filter_map(Part::boundary).any(|b| b.contains(byte));
        SUBSTITUTES.iter().find(is_unused).map(|byte| Some(*byte))
    }

    fn exceeds(&self, body: &Measures) -> bool {
        body.longest_line > LONGEST_LINE as u64
            || body.has_8_bit && !self.eight_bit
            || body.has_hidden_dot
            || body.has_lone_cr
    }

    /// Records why a part was not changed. The first reason counts, but `Signed` replaces any other.
    fn leave(&mut self, why: LeftReason) {
        if self.left.is_none() || why == LeftReason::Signed {
            self.left = Some(why);
        }
    }

    /// How a body is encoded, if this is necessary and allowed.
    fn leaf(&mut self, index: usize, body: Measures) -> Option<Coding> {
        if !self.exceeds(&body) {
            return None;
        }
        let part = &self.parts[index];
        let coding = match self.kept_because(index, &body) {
            Some(why) => Err(why),
            None => match part.transfer() {
                Transfer::Base64 if body.has_hidden_dot => Err(LeftReason::Uncodable),
                Transfer::Base64 => self.substitute().map(|other| Coding::Rewrap { other }).ok_or(LeftReason::Unclear),
                Transfer::QuotedPrintable => Ok(Coding::Requote { eight_bit: self.eight_bit }),
                Transfer::Identity if !part.is_text() || has_wide_characters(part) => {
                    Ok(Coding::Base64 { is_text: false })
                }
                Transfer::Identity if body.is_shorter_in_base64() => Ok(Coding::Base64 { is_text: true }),
                Transfer::Identity => Ok(Coding::Quote),
            },
        };
        match coding {
            Ok(coding) => {
                self.note(coding, &body);
                self.known[index].kind = Some(match (body.has_8_bit, body.is_utf8) {
                    (false, _) => "text/plain; charset=us-ascii",
                    (true, true) => "text/plain; charset=utf-8",
                    (true, false) => "text/plain; charset=unknown-8bit",
                });
                Some(coding)
            }
            Err(why) => {
                self.known[index].keeps_8_bit = body.has_8_bit;
                self.leave(why);
                None
            }
        }
    }

    /// Why a body must not be changed.
    fn kept_because(&self, index: usize, body: &Measures) -> Option<LeftReason> {
        let (part, known) = (&self.parts[index], &self.known[index]);
        let kind = part.content_type();
        let is_identity = part.transfer() == Transfer::Identity;
        if known.is_within_seal || is_seal(part) || is_identity && part.is_text() && body.is_pgp {
            return Some(LeftReason::Signed);
        }
        let is_composite = part.is_multipart() || kind.starts_with("message/");
        if is_identity && is_composite || is_in_foreign_encoding(part) {
            return Some(LeftReason::Uncodable);
        }
        let is_unclear =
            self.has_unread_fields || !fields::is_whole(&known.header) || fields::is_doubled(&known.header);
        is_unclear.then_some(LeftReason::Unclear)
    }

    /// Updates the encoding that a multipart or message declares (RFC 2045 6.4): 7bit if all of its parts are 7bit now.
    fn label_containers(&mut self) {
        for index in (0..self.parts.len()).rev() {
            let header = self.header(index);
            let known = &self.known[index];
            let keeps_8_bit = known.keeps_8_bit || !header.bytes.is_ascii();
            let is_changed = known.is_changed || header.bytes != known.header;
            if let Some(parent) = self.parts[index].parent {
                self.known[parent].keeps_8_bit |= keeps_8_bit;
                self.known[parent].is_changed |= is_changed;
            }
        }
    }

    /// The header block of a part to be sent.
    fn header(&self, index: usize) -> fields::Block {
        let (part, known) = (&self.parts[index], &self.known[index]);
        if known.is_within_seal || self.is_header_in_doubt {
            return fields::Block { bytes: known.header.clone(), is_folded: false, has_words: false };
        }
        let mut body = fields::BodyFields::default();
        match known.coding {
            Some(Coding::Quote) => body.encoding = Some("quoted-printable"),
            Some(Coding::Base64 { .. }) => body.encoding = Some("base64"),
            _ if part.is_container() && !self.eight_bit && known.is_changed && !known.keeps_8_bit => {
                let is_8_bit = encoding_of(part).is_some_and(|word| matches!(word.as_str(), "8bit" | "binary"));
                body.encoding = is_8_bit.then_some("7bit");
            }
            _ => {}
        }
        let is_message = part.parent.is_none_or(|parent| self.parts[parent].is_message());
        if known.coding.is_some() && is_message && !fields::has(&known.header, "MIME-Version") {
            body.mime = Some(known.kind.filter(|_| !fields::has(&known.header, "Content-Type")));
        }
        fields::fitted(&known.header, self.eight_bit, &body, part.unlabelled())
    }

    fn fitted(mut self) -> Fitted {
        let mut steps: Vec<FitStep> = Vec::new();
        for (stretch, range, coding) in std::mem::take(&mut self.stretches) {
            let length = range.end - range.start;
            match (&stretch, coding) {
                (Stretch::Header(part), _) => self.put_header(*part, length, &mut steps),
                (_, Some(coding)) => steps.push(FitStep::Code(length, coding)),
                (_, None) => keep(length, &mut steps),
            }
        }
        Fitted { steps, changes: self.changes, left: self.left }
    }

    fn put_header(&mut self, part: usize, length: u64, steps: &mut Vec<FitStep>) {
        let header = self.header(part);
        if fields::exceeds(&header.bytes, self.eight_bit) {
            let (is_sealed, is_unclear) = (self.known[part].is_within_seal, self.is_header_in_doubt);
            self.leave(match () {
                () if is_sealed => LeftReason::Signed,
                () if is_unclear => LeftReason::Unclear,
                () => LeftReason::Field,
            });
        }
        self.changes.folded |= header.is_folded;
        self.changes.words |= header.has_words;
        if header.bytes == self.known[part].header {
            return keep(length, steps);
        }
        steps.extend([FitStep::Put(header.bytes), FitStep::Drop(length)]);
    }

    /// Records how a body is changed, and what is lost by it.
    fn note(&mut self, coding: Coding, body: &Measures) {
        let changes = &mut self.changes;
        match coding {
            Coding::Quote => changes.quoted = true,
            Coding::Base64 { .. } => changes.base64 = true,
            Coding::Requote { .. } => changes.wrapped = true,
            Coding::Rewrap { other } | Coding::Between { other } => {
                let is_between = matches!(coding, Coding::Between { .. });
                let is_long = body.longest_line > ENCODED_LINE as u64;
                changes.wrapped |= if is_between { body.has_long_text } else { is_long };
                changes.shortened |= is_between && body.has_long_dashes;
                changes.replaced |= body.has_lone_cr || other.is_some() && body.has_8_bit;
            }
        }
    }
}

fn keep(length: u64, steps: &mut Vec<FitStep>) {
    match steps.last_mut() {
        Some(FitStep::Keep(kept)) => *kept += length,
        _ => steps.push(FitStep::Keep(length)),
    }
}

/// Whether the content of the part must not be changed because it is signed or encrypted (RFC 1847 2.1, RFC 8551 3.1,
/// RFC 3156 3).
fn is_seal(part: &Part) -> bool {
    let sealed = ["multipart/signed", "multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"];
    sealed.contains(&part.content_type())
}

/// Whether the charset has wide characters. In UTF-16, a line end is not a single byte, so no CR may be inserted before
/// it.
fn has_wide_characters(part: &Part) -> bool {
    part.parameter("charset").and_then(Charset::named).is_some_and(|charset| !charset.keeps_ascii())
}

/// Content-Transfer-Encoding in lower case.
fn encoding_of(part: &Part) -> Option<String> {
    let field = part.fields().iter().find(|field| field.is_named("Content-Transfer-Encoding"))?;
    Some(field.parsed().main)
}

/// Whether the part has an old encoding that is not part of MIME (RFC 2045 6.3). It must not be encoded again. Other
/// unknown encodings are mistakes of programs that do not encode at all.
fn is_in_foreign_encoding(part: &Part) -> bool {
    let is_foreign = |word: String| word.starts_with("x-") || word.contains("uue") || word.contains("binhex");
    part.transfer() == Transfer::Identity && encoding_of(part).is_some_and(is_foreign)
}
