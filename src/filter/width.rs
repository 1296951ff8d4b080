//! Characters that East Asian keyboards write in two widths: `ＶＩＰ` is VIP, and `ﾄﾞ` is ド. Texts are compared in
//! ordinary width, but captures keep the original width.

use std::borrow::Cow;

use unicode_normalization::char::compose;

/// The ordinary forms of the half-width characters U+FF61 to U+FF9F, in order.
const KATAKANA: &str = "。「」、・ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン゛゜";
const FIRST_KATAKANA: char = '\u{ff61}';
/// The smallest first byte of a character of other width: U+3000, and from U+FF01 on.
const FIRST_BYTE: u8 = 0xe3;
/// The half-width voicing marks, and the combining marks with which letters are composed.
const MARKS: [(char, char); 2] = [('\u{ff9e}', '\u{3099}'), ('\u{ff9f}', '\u{309a}')];

/// Converts a text to ordinary width. Borrowed if nothing changes, as for all ASCII.
pub(super) fn ordinary(text: &str) -> Cow<'_, str> {
    let may_be_wide = text.bytes().any(|byte| byte >= FIRST_BYTE);
    if !may_be_wide || !text.chars().any(|c| narrowed(c).is_some()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(Steps(text).map(|(c, _)| c).collect())
}

/// Converts positions in the ordinary form of a text to positions in `text`, in one pass. They must ascend.
pub(super) fn places(text: &str, ordinary: &[usize]) -> Vec<usize> {
    let mut steps = Steps(text);
    let (mut here, mut there) = (0, 0);
    let place = |wanted: &usize| {
        while here < *wanted {
            let Some((c, length)) = steps.next() else { break };
            here += c.len_utf8();
            there += length;
        }
        there
    };
    ordinary.iter().map(place).collect()
}

/// Yields each character of the ordinary form, with the length in bytes of the original.
struct Steps<'t>(&'t str);

impl Iterator for Steps<'_> {
    type Item = (char, usize);

    fn next(&mut self) -> Option<Self::Item> {
        let mut chars = self.0.chars();
        let first = chars.next()?;
        let mut c = narrowed(first).unwrap_or(first);
        let mut length = first.len_utf8();
        // A half-width letter and the mark after it become one character.
        if first >= FIRST_KATAKANA
            && let Some(mark) = chars.next()
            && let Some((_, combining)) = MARKS.iter().find(|(half, _)| *half == mark)
            && let Some(composed) = compose(c, *combining)
        {
            c = composed;
            length += mark.len_utf8();
        }
        self.0 = &self.0[length..];
        Some((c, length))
    }
}

/// The ordinary form of a character that has another width.
fn narrowed(c: char) -> Option<char> {
    match c {
        '\u{3000}' => Some(' '),
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0),
        '\u{ff61}'..='\u{ff9f}' => KATAKANA.chars().nth((u32::from(c) - u32::from(FIRST_KATAKANA)) as usize),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wide_letters_and_narrow_katakana_are_ordinary() {
        assert_eq!(ordinary("ＶＩＰ　Ｎｏ．７～"), "VIP No.7~");
        assert_eq!(ordinary("ｱｶﾞﾊﾟｰﾄﾞ｡ｱﾞ"), "アガパード。ア゛");
        assert!(matches!(ordinary("請求書 ①"), Cow::Borrowed(_)));
        assert_eq!(KATAKANA.chars().count(), 63);
    }

    #[test]
    fn places_are_found_again() {
        let text = "ＡｶﾞB";
        assert_eq!(ordinary(text), "AガB");
        assert_eq!(places(text, &[0, 1, 4, 5, 9]), [0, 3, 9, 10, 10]);
    }

    proptest! {
        #[test]
        fn every_place_is_between_characters(text in "([！-～]|[｡-ﾟ]|ﾞ|　|a|é){0,30}") {
            let all: Vec<usize> = ordinary(&text).char_indices().map(|(at, _)| at).collect();
            prop_assert!(places(&text, &all).iter().all(|place| text.is_char_boundary(*place)));
            prop_assert_eq!(ordinary(&ordinary(&text)).into_owned(), ordinary(&text).into_owned());
        }
    }
}
