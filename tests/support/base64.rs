//! Just enough base64 (RFC 4648) for AUTH PLAIN.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0u32, |group, i| group << 8 | u32::from(*chunk.get(i).unwrap_or(&0)));
        for place in 0..4 {
            let letter = ALPHABET[(group >> (18 - 6 * place)) as usize & 63] as char;
            text.push(if place <= chunk.len() { letter } else { '=' });
        }
    }
    text
}

/// `None` when the text is not base64: the server then refuses the login.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::new();
    let (mut group, mut bits) = (0u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = ALPHABET.iter().position(|known| *known == letter)?;
        group = group << 6 | value as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits) as u8);
        }
    }
    Some(bytes)
}

/// User and password out of a SASL PLAIN answer: `authzid NUL user NUL password`.
pub fn plain_login(text: &str) -> Option<(String, String)> {
    let bytes = decode(text.trim())?;
    let mut parts = bytes.splitn(3, |byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned());
    let _authorize_as = parts.next()?;
    Some((parts.next()?, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::{decode, encode, plain_login};

    #[test]
    fn every_length_survives_the_round_trip() {
        for length in 0..70u8 {
            let bytes: Vec<u8> = (0..length).map(|n| n.wrapping_mul(37)).collect();
            assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
        assert_eq!(encode(b"any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw==");
        assert_eq!(decode("a!b="), None);
    }

    #[test]
    fn a_plain_login_has_three_parts() {
        assert_eq!(plain_login(&encode(b"\0me\0secret")), Some(("me".into(), "secret".into())));
        assert_eq!(plain_login(&encode(b"me")), None);
    }
}
