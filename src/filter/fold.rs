//! Compares texts without regard to case, as regular expressions do: by the simple case folding of Unicode.

use memchr::memchr2_iter;

/// A longer text is folded as a whole; a shorter one is compared without folding it first.
const MIN_FOLDED_BYTES: usize = 1024;

/// The folded form. Texts that differ in case only have the same folded form.
pub(super) fn folded(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.chars().map(fold).collect() }
}

/// The position at which a folded text must be in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FoldAnchor {
    /// It is the whole text.
    Whole,
    Within,
    /// It is the domain of an address or of a host, or a parent domain.
    Below,
}

impl FoldAnchor {
    /// Whether the folded text is at this position.
    #[inline]
    pub(super) fn fits(self, text: &str, wanted: &str) -> bool {
        match self {
            Self::Whole => is(text, wanted),
            Self::Within => contains(text, wanted),
            Self::Below => ends_below(text, wanted),
        }
    }
}

/// Whether bytes can be compared: no other character in the text folds to one in `wanted`.
fn by_bytes(text: &str, wanted: &str) -> bool {
    text.is_ascii() || (wanted.is_ascii() && !text.bytes().any(|byte| MAY_FOLD_TO_ASCII.contains(&byte)))
}

/// The first bytes of ſ, which folds to s, and of the Kelvin sign, which folds to k. No other characters fold to ASCII.
const MAY_FOLD_TO_ASCII: [u8; 2] = [0xc5, 0xe2];

/// Whether a text ends with a folded one after an `@` or a dot.
fn ends_below(text: &str, wanted: &str) -> bool {
    if !by_bytes(text, wanted) {
        return folded(text).strip_suffix(wanted).is_some_and(|rest| rest.ends_with(['@', '.']));
    }
    let (before, end) = text.as_bytes().split_at(text.len().saturating_sub(wanted.len()));
    end.eq_ignore_ascii_case(wanted.as_bytes()) && matches!(before.last(), Some(b'@' | b'.'))
}

/// Whether a text equals a folded one, ignoring case.
pub(super) fn is(text: &str, wanted: &str) -> bool {
    if by_bytes(text, wanted) { text.eq_ignore_ascii_case(wanted) } else { folded(text) == wanted }
}

/// Whether a text contains a folded one, ignoring case.
pub(super) fn contains(text: &str, wanted: &str) -> bool {
    if text.len() > MIN_FOLDED_BYTES || !by_bytes(text, wanted) {
        // This takes linear time, even if the message is repetitive.
        return memchr::memmem::find(folded(text).as_bytes(), wanted.as_bytes()).is_some();
    }
    let (text, wanted) = (text.as_bytes(), wanted.as_bytes());
    let Some(first) = wanted.first() else { return true };
    let Some(last) = text.len().checked_sub(wanted.len()) else { return false };
    memchr2_iter(*first, first.to_ascii_uppercase(), &text[..=last])
        .any(|at| text[at..at + wanted.len()].eq_ignore_ascii_case(wanted))
}

/// Folds by way of the upper-case letter, so that ς and σ are equal, and so are ſ and s.
fn fold(c: char) -> char {
    fn only(mut chars: impl Iterator<Item = char>) -> Option<char> {
        chars.next().filter(|_| chars.next().is_none())
    }
    match c {
        c if c.is_ascii() => return c.to_ascii_lowercase(),
        // A separate letter in Turkish.
        'ı' => return c,
        // Each of these letters has two characters.
        '\u{1fd3}' => return '\u{390}',
        '\u{1fe3}' => return '\u{3b0}',
        '\u{fb06}' => return '\u{fb05}',
        _ => {}
    }
    let larger = only(c.to_uppercase()).unwrap_or(c);
    only(larger.to_lowercase()).unwrap_or(larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every character of Unicode folds as it does in a regular expression.
    #[test]
    fn case_is_folded_as_in_expressions() {
        use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};
        let has_case = |c: &char| fold(*c) != *c || !c.to_uppercase().eq([*c]) || !c.to_lowercase().eq([*c]);
        for c in ('\0'..=char::MAX).filter(has_case) {
            let mut class = ClassUnicode::new([ClassUnicodeRange::new(c, c)]);
            class.case_fold_simple();
            let same: Vec<char> = class.ranges().iter().flat_map(|range| range.start()..=range.end()).collect();
            // Letters of a newer version of Unicode than the regex crate has.
            if same.len() == 1 && c >= '\u{a7ce}' {
                continue;
            }
            assert!(same.iter().all(|other| fold(*other) == fold(c)), "{same:?}");
            assert!(same.contains(&fold(c)), "{c:?} became {:?}", fold(c));
            let first = c.to_string().as_bytes()[0];
            assert!(c.is_ascii() || !fold(c).is_ascii() || MAY_FOLD_TO_ASCII.contains(&first), "{c:?}");
        }
    }

    #[test]
    fn texts_are_found_at_every_place() {
        for (text, wanted) in
            [("aAb", "ab"), ("xAB", "ab"), ("AB", "ab"), ("a", ""), ("", ""), ("ÄB", "äb"), ("Kx", "k")]
        {
            assert!(contains(text, wanted), "{text} {wanted}");
        }
        for (text, wanted) in [("a", "ab"), ("", "a"), ("aXb", "ab"), ("abc", "ä")] {
            assert!(!contains(text, wanted), "{text} {wanted}");
        }
        assert!(contains("Grüße von Ann", "ANN".to_lowercase().as_str()) && contains("ĸ \u{212a}ai", "kai"));
        assert!(is("\u{17f}o", "so") && !is("ü", "u") && FoldAnchor::Below.fits("ü@B.Example", "b.example"));
        assert!(is("ΟΔΟΣ", &folded("οδος")) && is("Hello", "hello") && !is("hello there", "hello"));
    }
}
