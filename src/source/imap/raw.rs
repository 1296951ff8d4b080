//! Folder names that are neither UTF-7 nor UTF-8: what old servers have in the charset of their machine. The bytes go back as
//! they came; what is shown is what they most likely are.

use std::borrow::Cow;

use crate::charsets::Charset;

/// The first of 256 private characters that stand for bytes.
const FIRST: u32 = 0xF700;

/// A name as a text: each byte beyond ASCII is a private character, where the bytes are no UTF-8.
pub(super) fn kept(name: &[u8]) -> String {
    let one = |byte: &u8| match byte.is_ascii() {
        true => char::from(*byte),
        false => char::from_u32(FIRST + u32::from(*byte)).unwrap_or(char::REPLACEMENT_CHARACTER),
    };
    std::str::from_utf8(name).map_or_else(|_| name.iter().map(one).collect(), str::to_owned)
}

/// The bytes of a text in which some are kept.
pub(super) fn bytes(text: &str) -> Cow<'_, [u8]> {
    if !text.chars().any(|c| byte_of(c).is_some()) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte_of(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(bytes)
}

fn byte_of(c: char) -> Option<u8> {
    u8::try_from(u32::from(c).checked_sub(FIRST)?).ok().filter(|byte| !byte.is_ascii())
}

/// What a name most likely says: letters beyond ASCII that stand in pairs are Chinese, single ones are of the West.
pub(super) fn likely(name: String) -> String {
    let raw = bytes(&name);
    if matches!(raw, Cow::Borrowed(_)) {
        return name;
    }
    let in_pairs = raw.split(u8::is_ascii).all(|run| run.len() % 2 == 0);
    let decoded = |label: &str| {
        let (text, makes_sense) = Charset::named(label)?.decode(&raw);
        makes_sense.then(|| text.into_owned())
    };
    let text = if in_pairs { decoded("gb18030") } else { None }.or_else(|| decoded("windows-1252"));
    text.unwrap_or_else(|| String::from_utf8_lossy(&raw).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_are_read_as_they_are_meant() {
        for (name, shown) in [
            (&b"Gel\xf6scht"[..], "Gelöscht"),
            (b"\xb2\xdd\xb8\xe5\xcf\xe4", "草稿箱"),
            (b"a/\xc9l\xe9ments", "a/Éléments"),
            (b"Entw\xc3\xbcrfe", "Entwürfe"),
            (b"Sent", "Sent"),
        ] {
            let kept = kept(name);
            assert_eq!(&*bytes(&kept), name);
            assert_eq!(likely(kept), shown);
        }
    }
}
