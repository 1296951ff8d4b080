//! The header block as a list of fields: our own splitter, which cannot fail, over mailparse's decoding.
//!
//! mailparse refuses a whole message whose first line begins with a space and finds no `Subject :` (with a
//! blank before the colon); people get such mail, so the splitting is done here.

use std::sync::OnceLock;

/// The header block is read up to here; what follows counts as body (`reliability.md` E4, E5).
pub const MAX_HEADER: usize = 256 * 1024;

/// At most so many fields are looked at.
pub const MAX_FIELDS: usize = 1_000;

/// The longest value that is decoded; the rest of it is not seen by rules.
const MAX_VALUE: usize = 64 * 1024;

/// One header field.
#[derive(Debug)]
pub struct Field {
    name: String,
    raw: Vec<u8>,
    value: OnceLock<String>,
}

impl Field {
    /// The field name as written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the field has that name; case does not count.
    pub fn is_named(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value as it stands in the message, folding included.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The value unfolded, with encoded words (RFC 2047) and stray 8-bit text as Unicode, trimmed.
    pub fn value(&self) -> &str {
        self.value.get_or_init(|| decode(&self.raw))
    }
}

/// Splits a header block with LF line ends. Lines that are no field and continue none are passed over.
pub(super) fn split(head: &[u8]) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    let mut continues = false;
    for line in head.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            if let (true, Some(last)) = (continues, fields.last_mut()) {
                append_bounded(&mut last.raw, line);
            }
            continue;
        }
        continues = false;
        if fields.len() == MAX_FIELDS {
            break;
        }
        if let Some((name, raw)) = split_field(line) {
            fields.push(Field { name: name.to_owned(), raw: Vec::new(), value: OnceLock::new() });
            if let Some(field) = fields.last_mut() {
                append_bounded(&mut field.raw, raw);
            }
            continues = true;
        }
    }
    fields
}

fn append_bounded(raw: &mut Vec<u8>, line: &[u8]) {
    let room = MAX_VALUE.saturating_sub(raw.len());
    raw.extend_from_slice(&line[..line.len().min(room)]);
}

/// `Name: value`. Blanks before the colon are tolerated: Exchange add-ons and hand-written mail have them
/// (RFC 5322 4.5 calls it obsolete).
fn split_field(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let name = line[..colon].trim_ascii_end();
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    let name = std::str::from_utf8(name).ok().filter(|_| is_name)?;
    Some((name, &line[colon + 1..]))
}

fn decode(raw: &[u8]) -> String {
    let trimmed = raw.trim_ascii();
    if is_plain(trimmed) {
        return String::from_utf8_lossy(trimmed).into_owned();
    }
    // mailparse wants a whole field; the name does not matter.
    let field = [b"X: ", trimmed].concat();
    match mailparse::parse_header(&field) {
        Ok((header, _)) => header.get_value().trim().to_owned(),
        Err(_) => String::from_utf8_lossy(trimmed).into_owned(),
    }
}

/// ASCII on one line and without encoded words is its own decoding: nearly every field.
fn is_plain(raw: &[u8]) -> bool {
    raw.iter().all(|b| matches!(b, b' '..=b'~')) && memchr::memmem::find(raw, b"=?").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(head: &str) -> Vec<(String, String)> {
        split(head.as_bytes()).iter().map(|f| (f.name().to_owned(), f.value().to_owned())).collect()
    }

    #[test]
    fn folded_and_encoded_values_are_decoded() {
        let got = values("Subject: =?utf-8?B?6KuL5rGC5pu4?=\n =?utf-8?Q?_x?=\nTo: a@b,\n\tc@d\n");
        assert_eq!(got[0], ("Subject".into(), "請求書 x".into()));
        assert_eq!(got[1], ("To".into(), "a@b, c@d".into()));
    }

    #[test]
    fn broken_heads_still_give_their_fields() {
        let got = values(" leading blank\nSubject : spaced\nno colon here\n continuation of nothing\nX: y\n");
        assert_eq!(got, [("Subject".into(), "spaced".into()), ("X".into(), "y".into())]);
    }

    #[test]
    fn a_million_fields_and_a_huge_value_are_bounded() {
        let many = "A: b\n".repeat(1_000_000);
        assert_eq!(split(many.as_bytes()).len(), MAX_FIELDS);
        let long = format!("A: {}\n", "x".repeat(10_000_000));
        assert_eq!(split(long.as_bytes())[0].raw().len(), MAX_VALUE);
    }
}
