//! What a mail address looks like that a server can be given, whoever wrote it.

use super::problem::Problems;
use super::reader;
use super::yaml::Node;

/// The longest address: a path has 256 octets with its brackets (RFC 5321 4.5.3.1.3).
pub const MAX_ADDRESS_BYTES: usize = 254;

/// Whether it is a bare address that somebody would write into a config. No program takes it for an option, and quoted
/// local parts are left out: nobody who forwards or is answered has one, and few servers read them alike.
pub fn is_address(text: &str) -> bool {
    flaw(text).is_none() && !text.starts_with(['-', '"'])
}

/// Why a text is no mailbox (RFC 5321 4.1.2, RFC 6531 3.3): `local@domain`, where the local part may be quoted. Beyond
/// the grammar, dots may stand anywhere in a local part (such addresses exist), and blanks and angle brackets may stand
/// nowhere, not even quoted: servers have taken them for the end of the address.
pub fn flaw(text: &str) -> Option<&'static str> {
    if text.len() > MAX_ADDRESS_BYTES {
        return Some("it is too long");
    }
    if text.chars().any(is_never_allowed) {
        return Some("it has a blank, a bracket or a control character in it");
    }
    let Some((local, domain)) = split(text) else { return Some("it is not like `name@example.com`") };
    if !is_local(local) {
        return Some("its part before the @ is not well-formed");
    }
    (!is_domain(domain)).then_some("its part behind the @ is not a domain")
}

/// A domain as a value of a config.
pub(super) fn read_domain(node: &Node, problems: &mut Problems) -> Option<String> {
    let text = reader::text(node, "a domain", problems)?;
    let is_one = flaw(&format!("x@{text}")).is_none();
    if !is_one {
        reader::mismatch(node, "a domain like `example.com`", problems);
    }
    is_one.then(|| text.to_lowercase())
}

/// Also marks that turn text around: an address must look like what it is.
fn is_never_allowed(c: char) -> bool {
    c.is_control()
        || c.is_whitespace()
        || matches!(c, '<' | '>' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// At the last `@`: a quoted local part may have others.
fn split(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once('@').filter(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

fn is_local(local: &str) -> bool {
    match local.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').is_some_and(is_quoted_content),
        None => local.chars().all(|c| c == '.' || is_atext(c)),
    }
}

/// What stands between the quotes: a backslash takes the next character with it, a bare quote would be the end.
fn is_quoted_content(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let is_well = match c {
            '"' => false,
            '\\' => chars.next().is_some_and(|c| c.is_ascii()),
            _ => true,
        };
        if !is_well {
            return false;
        }
    }
    true
}

/// RFC 5322 3.2.3, RFC 6532 3.2.
fn is_atext(c: char) -> bool {
    !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)
}

/// Labels of letters, digits, `-` and `_`, or an address literal (RFC 5321 4.1.3).
fn is_domain(domain: &str) -> bool {
    if let Some(literal) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return !literal.is_empty() && literal.chars().all(|c| c.is_ascii_alphanumeric() || ".:-".contains(c));
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| !c.is_ascii() || c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    domain.split('.').all(is_label)
}
