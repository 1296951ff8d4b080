//! A MIME entity that a user wrote (RFC 2045 2.4): fields, a blank line, a body.
//!
//! Its fields go into the header of a mail that we send. So only a few fields are allowed, and their syntax is checked
//! strictly.

use super::is_field_name;
use super::params;
use crate::charsets::NOTHING_SAID;

/// The longest line of a field (RFC 5322 2.1.1).
const MAX_LINE_BYTES: usize = 998;
/// All standard encodings (RFC 2045 6.1).
const ENCODINGS: [&str; 5] = ["7bit", "8bit", "binary", "quoted-printable", "base64"];

/// Fields and a body, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity<'t> {
    /// The Content-* fields except Content-Transfer-Encoding, unchanged, each with its line ends.
    pub fields: String,
    /// Content-Transfer-Encoding, in lower case.
    pub encoding: Option<String>,
    /// The text after the blank line.
    pub body: &'t str,
    /// Whether it consists of parts. Such an entity must not be encoded (RFC 2045 6.4).
    pub is_composite: bool,
    /// Whether it is HTML, in which inserted text has to be escaped.
    pub is_html: bool,
}

/// Why a text is not a MIME entity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEntity {
    /// There is no body.
    #[error("no blank line stands behind its fields")]
    NoBlankLine,
    /// A line of the header block is not a field.
    #[error("`{0}` is no header field")]
    NoField(String),
    /// A field that describes the mail and not its content.
    #[error("`{0}` is no field of a MIME entity, which has Content-* fields and MIME-Version alone")]
    Foreign(String),
    /// A field is not ASCII (RFC 5230 4.4).
    #[error("its fields are not plain ASCII")]
    NotAscii,
    /// A field occurs twice.
    #[error("it has the field `{0}` twice")]
    Twice(String),
    /// Its Content-Type is invalid or incomplete.
    #[error("its Content-Type {0}")]
    Type(&'static str),
    /// Its encoding is unknown, or not allowed for its Content-Type.
    #[error("its Content-Transfer-Encoding {0}")]
    Encoding(&'static str),
}

impl<'t> Entity<'t> {
    /// Parses a text with LF line ends.
    pub fn parse(text: &'t str) -> Result<Self, NoEntity> {
        let (head, body) = split(text).ok_or(NoEntity::NoBlankLine)?;
        let mut entity = Self { fields: String::new(), encoding: None, body, is_composite: false, is_html: false };
        let mut names: Vec<String> = Vec::new();
        let mut kind = None;
        for field in fields(head) {
            let (name, value) = checked(field)?;
            let lower = name.to_ascii_lowercase();
            if names.contains(&lower) {
                return Err(NoEntity::Twice(name.to_owned()));
            }
            match lower.as_str() {
                "mime-version" => {}
                "content-transfer-encoding" => entity.encoding = Some(encoding(value)?),
                "content-type" => kind = Some((field, value)),
                _ => entity.fields.push_str(field),
            }
            names.push(lower);
        }
        entity.add_type(kind)?;
        Ok(entity)
    }

    /// Puts Content-Type first. Adds the charset UTF-8, which the text has, if none is named.
    fn add_type(&mut self, kind: Option<(&str, &str)>) -> Result<(), NoEntity> {
        let (field, value) = kind.unwrap_or(("Content-Type: text/plain\n", " text/plain"));
        let parsed = params::parse(value.as_bytes(), &NOTHING_SAID);
        let is_type = parsed.main.split_once('/').is_some_and(|(one, two)| is_token(one) && is_token(two));
        if !is_type {
            return Err(NoEntity::Type("is not like `text/html; charset=utf-8`"));
        }
        let (is_text, is_coded) = (parsed.main.starts_with("text/"), self.is_coded());
        let is_multipart = parsed.main.starts_with("multipart/");
        self.is_html = matches!(parsed.main.as_str(), "text/html" | "application/xhtml+xml");
        self.is_composite = is_multipart || parsed.main.starts_with("message/");
        if is_multipart && parsed.get("boundary").is_none_or(str::is_empty) {
            return Err(NoEntity::Type("has no `boundary`"));
        }
        if self.is_composite && is_coded {
            return Err(NoEntity::Encoding("must not be that of a part: each part has its own"));
        }
        let charset = parsed.get("charset").map(str::to_ascii_lowercase);
        if is_text && !is_coded && charset.as_deref().is_some_and(|set| !matches!(set, "utf-8" | "us-ascii")) {
            return Err(NoEntity::Type("names another charset than `utf-8`, in which the text is written"));
        }
        let adds_charset = is_text && !is_coded && charset.is_none();
        let end = if adds_charset { ";\n charset=utf-8\n" } else { "\n" };
        let field = if adds_charset { field.trim_end().trim_end_matches(';') } else { field.trim_end() };
        self.fields.insert_str(0, &format!("{field}{end}"));
        Ok(())
    }

    /// Whether the user wrote the body in encoded form.
    pub fn is_coded(&self) -> bool {
        self.encoding.as_deref().is_some_and(|encoding| matches!(encoding, "quoted-printable" | "base64"))
    }
}

/// The header block and the body.
fn split(text: &str) -> Option<(&str, &str)> {
    match text.strip_prefix('\n') {
        Some(body) => Some(("", body)),
        None => text.find("\n\n").map(|at| (&text[..=at], &text[at + 2..])),
    }
}

/// The fields of a header block, each with its continuation lines.
fn fields(head: &str) -> Vec<&str> {
    let mut fields = Vec::new();
    let mut start = 0;
    for (at, _) in head.match_indices('\n') {
        let next = at + 1;
        if !head[next..].starts_with([' ', '\t']) {
            fields.push(&head[start..next]);
            start = next;
        }
    }
    fields
}

/// The name and the value of a field that can be copied unchanged.
fn checked(field: &str) -> Result<(&str, &str), NoEntity> {
    let shown = || crate::clean::short(field.trim(), 60);
    if !field.bytes().all(|byte| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\n')) {
        return Err(NoEntity::NotAscii);
    }
    let (name, value) = field.split_once(':').ok_or_else(|| NoEntity::NoField(shown()))?;
    let is_line = |line: &str| line.len() <= MAX_LINE_BYTES && !line.trim().is_empty();
    if !is_field_name(name) || !field.lines().all(is_line) {
        return Err(NoEntity::NoField(shown()));
    }
    let lower = name.to_ascii_lowercase();
    let is_ours = lower == "mime-version" || lower.strip_prefix("content-").is_some_and(|rest| !rest.is_empty());
    if is_ours { Ok((name, value)) } else { Err(NoEntity::Foreign(name.to_owned())) }
}

fn encoding(value: &str) -> Result<String, NoEntity> {
    let lower = value.trim().to_ascii_lowercase();
    if ENCODINGS.contains(&lower.as_str()) { Ok(lower) } else { Err(NoEntity::Encoding("is not one of RFC 2045")) }
}

/// Whether the text is a token (RFC 2045 5.1).
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn b17_fields_a_blank_line_and_a_body() {
        let text =
            "MIME-Version: 1.0\nContent-Language: de\nContent-Type: text/html;\n charset=UTF-8\n\n<p>x</p>\n\ny\n";
        let entity = Entity::parse(text).unwrap();
        assert_eq!(entity.fields, "Content-Type: text/html;\n charset=UTF-8\nContent-Language: de\n");
        assert_eq!((entity.body, entity.is_composite, entity.is_coded()), ("<p>x</p>\n\ny\n", false, false));
        let entity = Entity::parse("\nonly a body").unwrap();
        assert_eq!(
            (entity.fields.as_str(), entity.body),
            ("Content-Type: text/plain;\n charset=utf-8\n", "only a body")
        );
        let text = "content-type: Multipart/Mixed; boundary=\"a b\"\nContent-Transfer-Encoding: 8BIT\n\n--a b--\n";
        assert!(Entity::parse(text).unwrap().is_composite);
        let text = "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: Base64\n\n4A==\n";
        assert!(Entity::parse(text).unwrap().is_coded());
    }

    #[test]
    fn b17_what_is_no_entity() {
        for (text, complaint) in [
            ("I am away.", "no blank line"),
            ("", "no blank line"),
            ("Hello,\n\nI am away.", "`Hello,` is no header field"),
            ("Content-Type: text/plain\nBcc: x@y\n\n", "`Bcc` is no field of a MIME entity"),
            ("Content-: x\n\n", "`Content-` is no field"),
            ("Content-Description: Grüße\n\n", "not plain ASCII"),
            ("Content-Type: text/plain\r\nBcc: x\n\n", "not plain ASCII"),
            ("Content-Type: text/plain\0\n\n", "not plain ASCII"),
            ("Content-Type : text/plain\n\n", "is no header field"),
            (" Content-Type: text/plain\n\n", "is no header field"),
            ("Content-Type: text/plain\n \t\nX: y\n\n", "is no header field"),
            ("Content-Id: <1@x>\ncontent-id: <2@x>\n\n", "twice"),
            ("Content-Type: html\n\n", "is not like"),
            ("Content-Type: multipart/mixed\n\n", "boundary"),
            ("Content-Type: text/plain; charset=latin1\n\n", "another charset"),
            ("Content-Transfer-Encoding: uuencode\n\n", "not one of RFC 2045"),
            ("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n", "each part has its own"),
        ] {
            let error = Entity::parse(text).expect_err(text).to_string();
            assert!(error.contains(complaint), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn b17_no_text_makes_another_field(head in "(Content-[A-Za-z]{1,4}|Bcc|\n|:| |[\\x00-\\x7f]|ü){0,30}", body in "\\PC{0,20}") {
            let text = format!("{head}\n\n{body}");
            if let Ok(entity) = Entity::parse(&text) {
                let mail = format!("{}\n", entity.fields);
                let message = crate::message::Message::new(crate::message::Bytes::Memory(mail.clone().into_bytes()));
                prop_assert!(mail.is_ascii() && mail.ends_with("\n\n") && mail.find("\n\n") == Some(mail.len() - 2));
                prop_assert!(message.fields().iter().all(|field| field.name().to_ascii_lowercase().starts_with("content-")));
            }
        }
    }
}
