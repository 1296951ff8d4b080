//! UTF-32, which some cross-platform programs send.

/// The byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    /// By the byte order mark, or big-endian without one, as all standards say.
    Marked,
    Big,
    Little,
}

const BYTE_ORDER_MARK: u32 = 0xfeff;

/// Decodes text. Invalid characters become U+FFFD, and so do surplus bytes.
pub(super) fn decode(bytes: &[u8], order: ByteOrder) -> String {
    let is_little = match order {
        ByteOrder::Marked => bytes.starts_with(&BYTE_ORDER_MARK.to_le_bytes()),
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
