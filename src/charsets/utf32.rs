//! UTF-32, which some programs for many platforms send.

/// The order of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    /// As its first character says; without one, as in all standards, the great end first.
    Marked,
    Big,
    Little,
}

const MARK: u32 = 0xfeff;

/// What is no character is U+FFFD, and so are bytes left over.
pub(super) fn decode(bytes: &[u8], order: ByteOrder) -> String {
    let is_little = match order {
        ByteOrder::Marked => bytes.starts_with(&MARK.to_le_bytes()),
        ByteOrder::Little => true,
        ByteOrder::Big => false,
    };
    let character = |four: &[u8]| match <[u8; 4]>::try_from(four) {
        Ok(four) => {
            let number = if is_little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) };
            char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        Err(_) => char::REPLACEMENT_CHARACTER,
    };
    let text: String = bytes.chunks(4).map(character).collect();
    match text.strip_prefix('\u{feff}') {
        Some(text) => text.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_end_may_be_first() {
        assert_eq!(decode(b"\0\0\0a\0\x01\xf6\0", ByteOrder::Marked), "a\u{1f600}");
        assert_eq!(decode(b"\xff\xfe\0\0a\0\0\0", ByteOrder::Marked), "a");
        assert_eq!(decode(b"a\0\0\0", ByteOrder::Little), "a");
        assert_eq!(decode(b"\0\0\0a\0", ByteOrder::Big), "a\u{fffd}");
    }
}
