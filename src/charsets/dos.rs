//! DOS code pages, which ticket machines, scanners and old mailing software still use.

/// A code page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CodePage {
    /// IBM 437.
    Us,
    /// IBM 850.
    Western,
    /// IBM 858: like 850, but with the euro sign instead of the dotless i.
    WesternWithEuro,
}

/// The characters of IBM 437 for the bytes 0x80 to 0xFF.
const US: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒ\
                  áíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
                  └┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀\
                  αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";
/// The same for IBM 850.
const WESTERN: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒ\
                       áíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐\
                       └┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀\
                       ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}";
const DOTLESS_I: char = 'ı';

impl CodePage {
    /// Its name at IANA.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Us => "IBM437",
            Self::Western => "IBM850",
            Self::WesternWithEuro => "IBM00858",
        }
    }
}

/// Decodes text. Every byte is a character in each of these code pages.
pub(super) fn decode(bytes: &[u8], page: CodePage) -> String {
    let upper: Vec<char> = if page == CodePage::Us { US } else { WESTERN }.chars().collect();
    let character = |byte: &u8| match byte.checked_sub(0x80) {
        None => char::from(*byte),
        Some(above) => match upper.get(usize::from(above)) {
            Some(&DOTLESS_I) if page == CodePage::WesternWithEuro => '€',
            found => found.copied().unwrap_or(char::REPLACEMENT_CHARACTER),
        },
    };
    bytes.iter().map(character).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_whole() {
        assert_eq!((US.chars().count(), WESTERN.chars().count()), (128, 128));
        assert_eq!(decode(b"a\x81\xd5\xff", CodePage::Us), "aü╒\u{a0}");
        assert_eq!(decode(b"a\x81\xd5\xff", CodePage::Western), "aüı\u{a0}");
        assert_eq!(decode(b"\xd5", CodePage::WesternWithEuro), "€");
    }
}
