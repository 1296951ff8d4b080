//! How a value is compared: `is`, `contains`, `matches`, `regex`, `in`, `in_list`, `over`, `under`, `at_least`,
//! `at_most`. Case is always ignored.
//!
//! A few literal texts are searched for one by one. A list of fifty words becomes one regular expression, which needs
//! only one search. Every comparison takes linear time.

use std::borrow::Cow;
use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use unicode_normalization::UnicodeNormalization;

use super::asking::{Asking, Break};
use super::captures::{self, Captured};
use super::fold::{self, folded};
use super::listed::FoundEntry;
use super::rule::RuleList;
use super::short::Meant;
use super::valued::{NamedList, Valued};
use super::width::{self, ordinary};

/// A set of checks. A value passes if all of them accept it.
#[derive(Debug, Default)]
pub(super) struct Comparator {
    checks: Vec<Check>,
    /// Values are texts that people write, in which wide and narrow forms of a character are equal. Otherwise they are
    /// technical names and numbers, which must be equal byte for byte.
    is_of_text: bool,
}

#[derive(Debug)]
enum Check {
    /// The value contains one of these.
    Any(Any),
    /// The value is in this list.
    List(RuleList),
    /// The value is in a list whose name comes from the message.
    Named(NamedList),
    /// The value contains an entry of this list.
    Within(RuleList),
    /// The first number in the value is within these bounds.
    Number(Range),
}

/// The texts and patterns of which one must be found.
#[derive(Debug, Default)]
struct Any {
    literals: Vec<Literal>,
    patterns: Vec<Pattern>,
    /// Texts with values, which are known only for a message.
    valued: Option<Valued>,
}

/// A literal text, as in most rules. It needs no compilation, and searching a header field for it is cheap.
#[derive(Debug)]
struct Literal {
    place: fold::FoldAnchor,
    /// The case-folded text.
    written: Box<str>,
    /// The text in ordinary width, if that is different.
    ordinary: Option<Box<str>>,
    /// For long values, such as the text of a message.
    pattern: OnceLock<Option<Pattern>>,
}

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    captures: bool,
    /// The pattern for values in ordinary width, if it is different.
    ordinary: Option<Box<Regex>>,
    /// A regular expression that the user wrote. It is not changed to ordinary width.
    is_exact: bool,
}

/// Bounds of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Range {
    pub(super) over: Option<f64>,
    pub(super) under: Option<f64>,
    pub(super) at_least: Option<f64>,
    pub(super) at_most: Option<f64>,
}

impl Range {
    /// The bounds that only this number meets.
    pub(super) fn exactly(number: f64) -> Self {
        Self { at_least: Some(number), at_most: Some(number), ..Self::default() }
    }

    pub(super) fn holds(&self, number: f64) -> bool {
        self.over.is_none_or(|n| number > n)
            && self.under.is_none_or(|n| number < n)
            && self.at_least.is_none_or(|n| number >= n)
            && self.at_most.is_none_or(|n| number <= n)
    }
}

/// The largest compiled pattern, in bytes. Without a limit, counted repetitions could take gigabytes.
const SIZE_LIMIT: usize = 1024 * 1024;
/// If there are more literal texts than this, or longer ones than the limit below, they are compiled to a regular
/// expression immediately.
const MAX_LITERALS: usize = 8;
const LONGEST_LITERAL: usize = 200;
/// A longer value is searched with a regular expression, in bytes.
const MIN_REGEX_BYTES: usize = 1024;
/// The longest text that a capture keeps, in characters.
const MAX_CAPTURE: usize = 1024;

impl Comparator {
    pub(super) fn is_empty(&self) -> bool {
        self.checks.is_empty()
    }

    /// Says whether values are texts that people write.
    pub(super) fn of_text(mut self, is_text: bool) -> Self {
        self.is_of_text = is_text;
        self
    }

    /// Adds a check that one of these texts matches.
    pub(super) fn meant(&mut self, all: &[Meant]) -> Result<(), regex::Error> {
        let is_short = all.len() <= MAX_LITERALS && all.iter().all(|meant| meant.text().len() <= LONGEST_LITERAL);
        self.checks.push(Check::Any(if is_short {
            Any { literals: all.iter().map(Literal::new).collect(), ..Any::default() }
        } else {
            Any { patterns: vec![Pattern::of(all)?], ..Any::default() }
        }));
        Ok(())
    }

    /// Adds a check that the whole value matches one of these patterns with `*` and `?`.
    pub(super) fn matches(&mut self, globs: &[String]) -> Result<(), regex::Error> {
        let patterns = globs.iter().map(|glob| Pattern::glob(glob)).collect::<Result<_, regex::Error>>()?;
        self.checks.push(Check::Any(Any { patterns, ..Any::default() }));
        Ok(())
    }

    /// Adds a check that one of these regular expressions is found in the value.
    pub(super) fn regex(&mut self, expressions: &[String]) -> Result<(), regex::Error> {
        let patterns = expressions.iter().map(|text| Pattern::expression(text)).collect::<Result<_, regex::Error>>()?;
        self.checks.push(Check::Any(Any { patterns, ..Any::default() }));
        Ok(())
    }

    /// Adds a check that one of these texts with values is found. If `follows`, they are alternatives of the previous
    /// check.
    pub(super) fn or_valued(&mut self, valued: Valued, follows: bool) {
        match self.checks.last_mut().filter(|_| follows) {
            Some(Check::Any(any)) => any.valued = Some(valued),
            _ => self.checks.push(Check::Any(Any { valued: Some(valued), ..Any::default() })),
        }
    }

    /// Adds a check that the value is in a list.
    pub(super) fn in_list(&mut self, list: RuleList) {
        self.checks.push(Check::List(list));
    }

    /// Adds a check that the value contains an entry of the list.
    pub(super) fn contains_list(&mut self, list: RuleList) {
        self.checks.push(Check::Within(list));
    }

    /// Adds a check that the value is in a list whose name comes from the message.
    pub(super) fn in_named_list(&mut self, list: NamedList) {
        self.checks.push(Check::Named(list));
    }

    /// Adds a check that the first number in the value is within these bounds.
    pub(super) fn number(&mut self, range: Range) {
        self.checks.push(Check::Number(range));
    }

    /// The bounds of the number, if there are any.
    pub(super) fn range(&self) -> Option<&Range> {
        self.checks.iter().find_map(|check| match check {
            Check::Number(range) => Some(range),
            _ => None,
        })
    }

    /// The names that a successful comparison sets, numbers included, and whether it always sets them.
    pub(super) fn captures(&self) -> Vec<Captured> {
        let of_check = |check: &Check| match check {
            Check::Any(Any { literals, patterns, valued }) => {
                let literals = literals.iter().map(|_| Vec::new());
                let valued = valued.iter().flat_map(Valued::captures);
                captures::of_either(literals.chain(patterns.iter().map(Pattern::captures)).chain(valued).collect())
            }
            Check::List(list) | Check::Within(list) => of_list(list.has_values()),
            Check::Named(_) => of_list(false),
            Check::Number(_) => Vec::new(),
        };
        self.checks.iter().flat_map(of_check).collect()
    }

    /// Whether the value passes. Records the captures of the patterns that matched.
    pub(super) fn accepts(&self, value: &str, asking: &mut Asking<'_>) -> Result<bool, Break> {
        if self.is_of_text && !value.is_ascii() {
            return self.accepts_both(value, &ordinary(value), asking);
        }
        self.accepts_both(value, value, asking)
    }

    /// Like [`Self::accepts`], for a value whose form in ordinary width is known.
    pub(super) fn accepts_both(&self, value: &str, ordinary: &str, asking: &mut Asking<'_>) -> Result<bool, Break> {
        for check in &self.checks {
            let holds = match check {
                Check::Any(any) => self.any(any, value, ordinary, asking)?,
                Check::List(list) => self.in_this_list(list, value, asking)?,
                Check::Named(named) => self.in_this_list(&named.list(asking)?, value, asking)?,
                Check::Within(list) => note_entry(asking.find_within(list, value, ordinary)?, asking),
                Check::Number(range) => first_number(value).is_some_and(|number| range.holds(number)),
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    #[inline]
    fn any(&self, any: &Any, value: &str, ordinary: &str, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let is_of_text = self.is_of_text;
        if any.literals.iter().any(|literal| literal.fits(value, ordinary, is_of_text, asking))
            || any.patterns.iter().any(|pattern| pattern.fits(value, ordinary, is_of_text, asking))
        {
            return Ok(true);
        }
        any.valued.as_ref().map_or(Ok(false), |valued| valued.accepts(value, ordinary, is_of_text, asking))
    }

    fn in_this_list(&self, list: &RuleList, value: &str, asking: &mut Asking<'_>) -> Result<bool, Break> {
        Ok(note_entry(asking.find_in_list(list, value, self.is_of_text)?, asking))
    }
}

/// Sets `${list.entry}` and `${list.value}`.
fn note_entry(found: Option<FoundEntry>, asking: &mut Asking<'_>) -> bool {
    let Some(FoundEntry { entry, value, is_own }) = found else { return false };
    asking.names.capture("list.entry", Some(entry));
    asking.names.capture_of("list.value", value, is_own);
    true
}

fn of_list(has_values: bool) -> Vec<Captured> {
    [("list.entry", true), ("list.value", has_values)]
        .map(|(name, always)| Captured { name: name.to_owned(), always })
        .into()
}

impl Literal {
    fn new(meant: &Meant) -> Self {
        let text = composed(meant.text());
        let ordinary = match ordinary(&text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(text) => Some(folded(&text).into()),
        };
        let place = match meant {
            Meant::Is(_) => fold::FoldAnchor::Whole,
            Meant::Contains(_) => fold::FoldAnchor::Within,
            Meant::Below(_) => fold::FoldAnchor::Below,
        };
        Self { place, written: folded(&text).into(), ordinary, pattern: OnceLock::new() }
    }

    #[inline]
    fn fits(&self, value: &str, ordinary: &str, is_of_text: bool, asking: &mut Asking<'_>) -> bool {
        let wanted = self.ordinary.as_deref().filter(|_| is_of_text).unwrap_or(&self.written);
        if self.place == fold::FoldAnchor::Within
            && value.len() > MIN_REGEX_BYTES
            && let Some(pattern) =
                self.pattern.get_or_init(|| Pattern::of(&[Meant::Contains(self.written.to_string())]).ok())
        {
            return pattern.fits(value, ordinary, is_of_text, asking);
        }
        self.place.fits(ordinary, wanted)
    }
}

impl Pattern {
    /// Matches one of several texts.
    fn of(all: &[Meant]) -> Result<Self, regex::Error> {
        Self::literal(&any_of(all, str::to_owned), &any_of(all, |text| ordinary(text).into_owned()))
    }

    /// Matches literal texts, given as written and in ordinary width.
    fn literal(written: &str, ordinary: &str) -> Result<Self, regex::Error> {
        let regex = build(written)?;
        let ordinary = if ordinary == written { None } else { Some(Box::new(build(ordinary)?)) };
        Ok(Self { captures: regex.captures_len() > 1, regex, ordinary, is_exact: false })
    }

    /// Compiles a pattern with `*` and `?`.
    pub(super) fn glob(glob: &str) -> Result<Self, regex::Error> {
        let glob = composed(glob);
        Self::literal(&glob_to_regex(&glob, str::to_owned), &glob_to_regex(&glob, |text| ordinary(text).into_owned()))
    }

    /// Compiles a regular expression that the user wrote.
    pub(super) fn expression(expression: &str) -> Result<Self, regex::Error> {
        let regex = build(&composed(expression))?;
        Ok(Self { captures: regex.captures_len() > 1, regex, ordinary: None, is_exact: true })
    }

    /// What it captures.
    pub(super) fn captures(&self) -> Vec<Captured> {
        captures::of_expression(&self.regex)
    }

    /// Whether it is found in the value. Records its captures.
    #[inline]
    pub(super) fn fits(&self, value: &str, ordinary: &str, is_of_text: bool, asking: &mut Asking<'_>) -> bool {
        if is_of_text { self.accepts_text(value, ordinary, asking) } else { self.accepts(value, false, asking) }
    }

    /// Searches the value in ordinary width, but takes captures from the original value.
    fn accepts_text(&self, value: &str, ordinary: &str, asking: &mut Asking<'_>) -> bool {
        if self.is_exact || std::ptr::eq(ordinary, value) {
            return self.accepts(value, !self.is_exact, asking);
        }
        let regex = self.ordinary.as_deref().unwrap_or(&self.regex);
        if !self.captures {
            return regex.is_match(ordinary);
        }
        let Some(found) = regex.captures(ordinary) else { return false };
        // Wildcards capture in ascending order.
        let bounds: Vec<usize> =
            found.iter().skip(1).flatten().flat_map(|group| [group.start(), group.end()]).collect();
        for (number, place) in (1..).zip(width::places(value, &bounds).chunks_exact(2)) {
            let text: String = value[place[0]..place[1]].chars().take(MAX_CAPTURE).collect();
            asking.names.capture(&number.to_string(), Some(text));
        }
        true
    }

    /// Searches the value unchanged. `is_text` says that it is in ordinary width.
    fn accepts(&self, value: &str, is_text: bool, asking: &mut Asking<'_>) -> bool {
        let regex = match &self.ordinary {
            Some(ordinary) if is_text => ordinary,
            _ => &self.regex,
        };
        if !self.captures {
            return regex.is_match(value);
        }
        let Some(found) = regex.captures(value) else { return false };
        for (number, name) in regex.capture_names().enumerate().skip(1) {
            let text = found.get(number).map(|group| group.as_str().chars().take(MAX_CAPTURE).collect::<String>());
            if let Some(name) = name {
                asking.names.capture(name, text.clone());
            }
            asking.names.capture(&number.to_string(), text);
        }
        true
    }
}

/// An expression that matches if one of these matches. Texts of the same kind share one group.
fn any_of(all: &[Meant], form: fn(&str) -> String) -> String {
    let escaped = |text: &str| regex::escape(&form(&composed(text)));
    let (mut whole, mut within, mut below) = (Vec::new(), Vec::new(), Vec::new());
    for meant in all {
        match meant {
            Meant::Is(text) => whole.push(escaped(text)),
            Meant::Contains(text) => within.push(escaped(text)),
            Meant::Below(domain) => below.push(escaped(domain)),
        }
    }
    let mut frames = Vec::new();
    if !whole.is_empty() {
        frames.push(format!(r"\A(?:{})\z", whole.join("|")));
    }
    if !below.is_empty() {
        frames.push(format!(r"[@.](?:{})\z", below.join("|")));
    }
    frames.extend(within);
    frames.join("|")
}

/// Compiles an expression with our limits. It ignores case.
pub(super) fn build(expression: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(expression).case_insensitive(true).size_limit(SIZE_LIMIT).dfa_size_limit(SIZE_LIMIT).build()
}

/// Normalises a text to NFC. Values are in NFC, so the texts of a rule must be too, whatever the editor wrote.
pub(super) fn composed(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { text.into() } else { text.nfc().collect::<String>().into() }
}

/// The first number in a text: 8.5 in `Yes, score=8.5 required=5`.
pub(super) fn first_number(value: &str) -> Option<f64> {
    let start = value.find(|c: char| c.is_ascii_digit())?;
    let is_negative = value[..start].ends_with('-');
    let rest = &value[start..];
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let number: f64 = rest[..end].trim_end_matches('.').parse().ok()?;
    Some(if is_negative { -number } else { number })
}

/// Converts a pattern to a regular expression: `*` is any text, `?` is one character, and both capture; `\` makes the
/// next character literal (RFC 5228 2.7.1). `form` converts the literal text between wildcards; it cannot add
/// wildcards.
fn glob_to_regex(glob: &str, form: fn(&str) -> String) -> String {
    let mut regex = String::from(r"(?s)\A");
    let mut literal = String::new();
    let mut chars = glob.chars();
    let end = |literal: &mut String, regex: &mut String| {
        regex.push_str(&regex::escape(&form(literal)));
        literal.clear();
    };
    while let Some(c) = chars.next() {
        match c {
            '*' | '?' => {
                end(&mut literal, &mut regex);
                regex.push_str(if c == '*' { "(.*?)" } else { "(.)" });
            }
            '\\' => literal.push(chars.next().unwrap_or('\\')),
            c => literal.push(c),
        }
    }
    end(&mut literal, &mut regex);
    regex.push_str(r"\z");
    regex
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::asking::tests::asking;

    impl Comparator {
        fn is(&mut self, values: &[String]) -> Result<(), regex::Error> {
            self.meant(&values.iter().cloned().map(Meant::Is).collect::<Vec<_>>())
        }

        fn contains(&mut self, values: &[String]) -> Result<(), regex::Error> {
            self.meant(&values.iter().cloned().map(Meant::Contains).collect::<Vec<_>>())
        }
    }

    fn with(build: impl FnOnce(&mut Comparator) -> Result<(), regex::Error>) -> Comparator {
        let mut comparator = Comparator::default();
        build(&mut comparator).unwrap();
        comparator
    }

    fn accepts(comparator: &Comparator, value: &str) -> bool {
        asking(|asking| comparator.accepts(value, asking).unwrap())
    }

    #[test]
    fn case_never_counts_in_any_script() {
        let is = with(|c| c.is(&["Grüße".into(), "hello".into()]));
        assert!(accepts(&is, "GRÜßE"));
        assert!(accepts(&is, "Hello") && !accepts(&is, "hello there"));
        assert!(accepts(&with(|c| c.contains(&["請求書".into(), "a.b".into()])), "xA.Bx"));
        assert!(!accepts(&with(|c| c.contains(&["a.b".into()])), "axb"));
    }

    #[test]
    fn a_pattern_written_in_pieces_matches_the_composed_value() {
        assert!(accepts(&with(|c| c.contains(&["e\u{301}".into()])), "caf\u{e9}"));
    }

    #[test]
    fn globs_capture_what_their_wildcards_stand_for() {
        let glob = with(|c| c.matches(&["[*] ? \\*".into()]));
        asking(|asking| {
            assert!(glob.accepts("[list-x] 7 *", asking).unwrap());
            assert_eq!((asking.names.get("1"), asking.names.get("2")), (Some("list-x"), Some("7")));
        });
        assert!(!accepts(&glob, "[list-x] 7 y"));
    }

    #[test]
    fn widths_are_one_in_text_on_both_sides() {
        for (written, value) in [
            ("ＶＩＰ", "vip"),
            ("VIP", "Ｖｉｐ"),
            ("ﾃﾞｰﾀ", "データ"),
            ("データ", "ﾃﾞｰﾀ"),
            ("a　b", "ａ b"),
            ("請求", "請求"),
        ] {
            assert!(accepts(&with(|c| c.is(&[written.into()])).of_text(true), value), "{written} {value}");
            assert!(
                accepts(&with(|c| c.contains(&[written.into()])).of_text(true), &format!("x{value}y")),
                "{written} {value}"
            );
            assert!(accepts(&with(|c| c.matches(&[format!("*{written}")])).of_text(true), value), "{written} {value}");
        }
        assert!(!accepts(&with(|c| c.is(&["ＶＩＰ".into()])), "vip"), "of machines");
        assert!(!accepts(&with(|c| c.regex(&["VIP".into()])).of_text(true), "ＶＩＰ"), "a regular expression");
        assert!(!accepts(&with(|c| c.matches(&["a＊".into()])).of_text(true), "abc"), "no wildcard");
        assert!(accepts(&with(|c| c.matches(&["a＊".into()])).of_text(true), "a*"));
    }

    #[test]
    fn captures_are_as_they_were_written() {
        let glob = with(|c| c.matches(&["[*] ? ﾃﾞ*".into()])).of_text(true);
        asking(|asking| {
            assert!(glob.accepts("［ＶＩＰ］　ｶﾞ デｰﾀ", asking).unwrap());
            assert_eq!([1, 2, 3].map(|n| asking.names.get(&n.to_string()).unwrap().to_owned()), ["ＶＩＰ", "ｶﾞ", "ｰﾀ"]);
        });
    }

    #[test]
    fn a_hostile_expression_is_refused_or_linear() {
        assert!(Comparator::default().regex(&["(a{1000}){1000}".into()]).is_err());
        let bad = with(|c| c.regex(&["(a+)+$".into()]));
        assert!(!accepts(&bad, &format!("{}b", "a".repeat(1_000_000))));
    }

    #[test]
    fn numbers_are_found_where_people_put_them() {
        assert_eq!(first_number("Yes, score=8.5 required=5.0"), Some(8.5));
        assert_eq!(first_number("-1.2"), Some(-1.2));
        assert_eq!(first_number("10."), Some(10.0));
        assert_eq!(first_number("none"), None);
    }
}
