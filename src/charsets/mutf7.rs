//! Modified UTF-7 (RFC 3501 5.1.3): the encoding of folder names in IMAP, and on the disk of most IMAP servers.

use data_encoding::{Encoding, Specification};
use std::sync::LazyLock;

/// Base64 with `,` instead of `/` and without padding.
static BASE64: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,");
    // The specification is constant and valid, so the fallback is never used.
    spec.encoding().unwrap_or(data_encoding::BASE64_NOPAD)
});

/// From Unicode to modified UTF-7.
pub fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut foreign: Vec<u8> = Vec::new();
    for c in name.chars() {
        if (' '..='~').contains(&c) {
            flush(&mut foreign, &mut out);
            out.push(c);
            if c == '&' {
                out.push('-');
            }
        } else {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| foreign.extend(unit.to_be_bytes()));
        }
    }
    flush(&mut foreign, &mut out);
    out
}

fn flush(foreign: &mut Vec<u8>, out: &mut String) {
    if !foreign.is_empty() {
        out.push('&');
        out.push_str(&BASE64.encode(foreign));
        out.push('-');
        foreign.clear();
    }
}

/// From modified UTF-7 to Unicode. A name that does not survive decoding and encoding is returned unchanged: servers
/// that send plain UTF-8 or broken UTF-7 mean the bytes as they are.
pub fn decode(wire: &str) -> String {
    match try_decode(wire) {
        Some(name) if encode(&name) == wire => name,
        _ => wire.to_owned(),
    }
}

fn try_decode(wire: &str) -> Option<String> {
    let mut out = String::with_capacity(wire.len());
    let mut rest = wire;
    while let Some((plain, shifted)) = rest.split_once('&') {
        out.push_str(plain);
        let (coded, after) = shifted.split_once('-')?;
        if coded.is_empty() {
            out.push('&');
        } else {
            let bytes = BASE64.decode(coded.as_bytes()).ok()?;
            let units = bytes.chunks(2).map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)));
            out.push_str(&String::from_utf16(&units.collect::<Option<Vec<u16>>>()?).ok()?);
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_the_standard() {
        assert_eq!(encode("~peter/mail/台北/日本語"), "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
        assert_eq!(decode("~peter/mail/&U,BTFw-/&ZeVnLIqe-"), "~peter/mail/台北/日本語");
        assert_eq!(encode("Lost & Found"), "Lost &- Found");
        assert_eq!(decode("Entw&APw-rfe"), "Entwürfe");
    }

    #[test]
    fn broken_names_stay_as_they_are() {
        for broken in ["&U,BT", "&!!!-", "&AAAA-&-x&", "Entwürfe"] {
            assert_eq!(decode(broken), broken);
        }
    }

    proptest! {
        #[test]
        fn names_survive_the_trip(name in "[ -~\u{e0}-\u{ff}\u{4e00}-\u{4eff}\u{1f600}-\u{1f64f}]{0,30}") {
            prop_assert_eq!(decode(&encode(&name)), name);
        }
    }
}
