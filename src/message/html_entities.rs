//! Character references of HTML: numbers, and the names that occur in mail.

/// The names of U+00A0 to U+00FF, in order.
#[rustfmt::skip]
const LATIN: [&str; 96] = [
    "nbsp", "iexcl", "cent", "pound", "curren", "yen", "brvbar", "sect", "uml", "copy", "ordf", "laquo", "not",
    "shy", "reg", "macr", "deg", "plusmn", "sup2", "sup3", "acute", "micro", "para", "middot", "cedil", "sup1",
    "ordm", "raquo", "frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute", "Acirc", "Atilde", "Auml", "Aring",
    "AElig", "Ccedil", "Egrave", "Eacute", "Ecirc", "Euml", "Igrave", "Iacute", "Icirc", "Iuml", "ETH", "Ntilde",
    "Ograve", "Oacute", "Ocirc", "Otilde", "Ouml", "times", "Oslash", "Ugrave", "Uacute", "Ucirc", "Uuml", "Yacute",
    "THORN", "szlig", "agrave", "aacute", "acirc", "atilde", "auml", "aring", "aelig", "ccedil", "egrave", "eacute",
    "ecirc", "euml", "igrave", "iacute", "icirc", "iuml", "eth", "ntilde", "ograve", "oacute", "ocirc", "otilde",
    "ouml", "divide", "oslash", "ugrave", "uacute", "ucirc", "uuml", "yacute", "thorn", "yuml",
];

/// Other names.
const OTHERS: [(&str, char); 40] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("AMP", '&'),
    ("LT", '<'),
    ("GT", '>'),
    ("QUOT", '"'),
    ("COPY", '©'),
    ("REG", '®'),
    ("NBSP", '\u{a0}'),
    ("euro", '€'),
    ("trade", '™'),
    ("hellip", '…'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("sbquo", '‚'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("bdquo", '„'),
    ("lsaquo", '‹'),
    ("rsaquo", '›'),
    ("bull", '•'),
    ("dagger", '†'),
    ("permil", '‰'),
    ("OElig", 'Œ'),
    ("oelig", 'œ'),
    ("Scaron", 'Š'),
    ("scaron", 'š'),
    ("Yuml", 'Ÿ'),
    ("larr", '←'),
    ("rarr", '→'),
    ("ensp", '\u{2002}'),
    ("emsp", '\u{2003}'),
    ("thinsp", '\u{2009}'),
    ("zwnj", '\u{200c}'),
    ("zwj", '\u{200d}'),
];

/// The longest name or number that is recognised.
const MAX_NAME: usize = 8;

/// The meaning of the numbers 0x80 to 0x9F, which HTML 13.2.5.80 reads as Windows-1252.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The character that a text beginning with `&` names, and the length of the reference. The semicolon may be missing:
/// newsletters omit it, and browsers accept that.
pub(super) fn decode(text: &str) -> Option<(char, usize)> {
    let (prefix, radix) = match text.as_bytes() {
        [b'&', b'#', b'x' | b'X', ..] => (3, Some(16)),
        [b'&', b'#', ..] => (2, Some(10)),
        _ => (1, None),
    };
    let rest = text.get(prefix..)?;
    let length = rest.bytes().take(MAX_NAME).take_while(u8::is_ascii_alphanumeric).count();
    let name = &rest[..length];
    let found = match radix {
        Some(radix) => numbered(u32::from_str_radix(name, radix).ok()?),
        None => named(name)?,
    };
    match rest.as_bytes().get(length) {
        Some(b';') => Some((found, prefix + length + 1)),
        // `?a=1&copy=2` in a URL is not a character reference.
        Some(b'=') if radix.is_none() => None,
        _ => Some((found, prefix + length)),
    }
}

fn numbered(number: u32) -> char {
    match number {
        0x80..=0x9f => usize::try_from(number - 0x80).ok().and_then(|at| WINDOWS.get(at)).copied(),
        0 => None,
        other => char::from_u32(other),
    }
    .unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn named(name: &str) -> Option<char> {
    let latin = LATIN.iter().position(|known| *known == name).and_then(|at| u32::try_from(at).ok());
    match latin {
        Some(at) => char::from_u32(0xa0 + at),
        None => OTHERS.iter().find(|(known, _)| *known == name).map(|(_, c)| *c),
    }
}
