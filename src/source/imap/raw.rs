//! Folder names that are neither modified UTF-7 nor UTF-8, from old servers that use a local charset. The original bytes are sent
//! back; for display they are decoded with the most likely charset.

use std::borrow::Cow;

use crate::charsets::Charset;

/// The first of 256 private-use characters that stand for bytes.
const FIRST_PRIVATE_CHAR: u32 = 0xF700;

/// A name as text. If it is not UTF-8, each byte beyond ASCII becomes a private-use character.
pub(super) fn from_bytes(name: &[u8]) -> String {
    let one = |byte: &u8| match byte.is_ascii() {
        true => char::from(*byte),
        false => char::from_u32(FIRST_PRIVATE_CHAR + u32::from(*byte)).unwrap_or(char::REPLACEMENT_CHARACTER),
    };
    std::str::from_utf8(name).map_or_else(|_| name.iter().map(one).collect(), str::to_owned)
}

/// The original bytes of such a text.
pub(super) fn to_bytes(text: &str) -> Cow<'_, [u8]> {
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
    u8::try_from(u32::from(c).checked_sub(FIRST_PRIVATE_CHAR)?).ok().filter(|byte| !byte.is_ascii())
}

/// The most likely reading of a name: bytes beyond ASCII in pairs are taken for Chinese, single ones for a Western language.
pub(super) fn to_display(name: String) -> String {
    let raw = to_bytes(&name);
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
            let text = from_bytes(name);
            assert_eq!(&*to_bytes(&text), name);
            assert_eq!(to_display(text), shown);
        }
    }
}
