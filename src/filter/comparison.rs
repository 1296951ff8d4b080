//! Reads a comparison: `{contains: [a, b], part: domain, count: {over: 2}}`.

use super::captures::Captured;
use super::comparator::{Comparator, Range};
use super::compile::Compiler;
use super::habits::doubt_number;
use super::short::{ComparedKind, Meant};
use super::valued::{ComparisonKind, NamedList, Valued};
use crate::config::problem::Problems;
use crate::config::reader::{self, MapReader, Shape, TEXTS, Takes};
use crate::config::text::Text;
use crate::config::yaml::{Node, Value};

/// The keys of a comparison.
pub(super) static COMPARISON: Shape = Shape {
    what: "a comparison",
    keys: &[
        ("is", "The whole value is this, or one of these.", TEXTS),
        ("contains", "The value holds this, or one of these.", TEXTS),
        ("matches", "The whole value fits a pattern with `*` and `?`.", TEXTS),
        ("regex", "The regular expression is found in the value; `(?<name>…)` captures.", TEXTS),
        ("in", "The whole value is one of these.", TEXTS),
        (
            "in_list",
            "The value, the `@domain` of an address or one above it is in this list, or fits a pattern in it; `me` is your own addresses. `${list.entry}` is the entry, `${list.value}` what stands beside it.",
            Takes::Text,
        ),
        (
            "contains_list",
            "An entry of this list stands in the value; `${list.entry}` and `${list.value}` as above.",
            Takes::Text,
        ),
        ("over", "The value is a number greater than this; of a text, the first number in it counts.", Takes::Number),
        ("under", "The value is a number smaller than this.", Takes::Number),
        ("at_least", "The value is this number or greater.", Takes::Number),
        ("at_most", "The value is this number or smaller.", Takes::Number),
        ("part", "Of an address: `all`, `localpart`, `domain`, `name`, `user` or `detail`.", Takes::Word(PARTS)),
        ("raw", "Of a header field or body: `true` for the bytes as they stand, undecoded.", Takes::Flag),
        ("nth", "Only this one of several values, from 1; -1 is the last.", Takes::Number),
        ("every", "`true`: every value must pass, and there must be one.", Takes::Flag),
        ("count", "How many values there are: a number, or {over:, under:, at_least:, at_most:}.", NUMBER),
    ],
};

const PARTS: &[&str] = &["all", "localpart", "domain", "name", "user", "detail"];

/// The keys of a number.
pub(super) static NUMBERS: Shape = Shape {
    what: "a number or its bounds",
    keys: &[
        ("over", "Greater than this.", Takes::Number),
        ("under", "Smaller than this.", Takes::Number),
        ("at_least", "This or greater.", Takes::Number),
        ("at_most", "This or smaller.", Takes::Number),
    ],
};

/// A number, or its bounds.
pub(super) const NUMBER: Takes = Takes::Either(&[Takes::Number, Takes::Section(&NUMBERS)]);
/// A comparison in its short or long form.
pub(super) const COMPARED: Takes = Takes::Either(&[TEXTS, Takes::Section(&COMPARISON)]);

/// The part of an address that is compared (RFC 5228 2.7.4, RFC 5233), or its display name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum AddressPart {
    #[default]
    All,
    Local,
    Domain,
    Name,
    User,
    Detail,
}

/// What is compared, and which further keys a comparison may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Allowed<'a> {
    pub(super) about: ComparedKind<'a>,
    pub(super) part: bool,
    pub(super) raw: bool,
    pub(super) many: bool,
}

impl<'a> Allowed<'a> {
    /// No further keys.
    pub(super) fn only(about: ComparedKind<'a>) -> Self {
        Self { about, ..Self::default() }
    }
}

/// A compiled comparison.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) comparator: Comparator,
    pub(super) part: AddressPart,
    pub(super) raw: bool,
    /// The number of the value to compare: from 1, or from the end with -1.
    pub(super) nth: Option<i64>,
    pub(super) every: bool,
    pub(super) count: Option<Range>,
}

impl Comparison {
    /// Says whether values are texts that people write; see [`Comparator::of_text`].
    pub(super) fn of_text(self, is_text: bool) -> Self {
        Self { comparator: self.comparator.of_text(is_text), ..self }
    }

    /// Whether it is enough that any one value passes.
    pub(super) fn is_plain(&self) -> bool {
        self.nth.is_none() && self.count.is_none() && !self.every
    }

    /// The value that `nth` selects, or all values without `nth`.
    pub(super) fn chosen<'v, T>(&self, values: &'v [T]) -> &'v [T] {
        self.nth.map_or(values, |nth| nth_of(nth, values))
    }
}

/// The value with this number: the first is 1, the last is -1. Empty if there are not enough values.
pub(super) fn nth_of<T>(nth: i64, values: &[T]) -> &[T] {
    let index = match nth {
        1.. => usize::try_from(nth - 1).ok(),
        _ => usize::try_from(-nth).ok().and_then(|back| values.len().checked_sub(back)),
    };
    index.and_then(|index| values.get(index..=index)).unwrap_or_default()
}

impl Compiler<'_, '_> {
    /// Reads a comparison. A text or a list of texts is a short form. A mapping has comparators, which must all pass.
    pub(super) fn comparison(&mut self, node: &Node, allowed: Allowed<'_>) -> Option<Comparison> {
        let mut comparison = Comparison::default();
        if !matches!(node.value, Value::Map(_)) {
            return self.short(node, allowed.about);
        }
        let map = MapReader::new(node, &COMPARISON, &mut self.problems);
        let keys: Vec<(&str, &Node)> = COMPARISON.names().filter_map(|key| Some((key, map.take(key)?))).collect();
        let mut complete = map.is_known();
        for (key, node) in &keys {
            complete &= match *key {
                "is" | "contains" | "matches" | "regex" | "in" => self.texts_compared(&mut comparison, key, node),
                "in_list" => self.list_compared(&mut comparison, node),
                "contains_list" => self.list(node).map(|list| comparison.comparator.contains_list(list)).is_some(),
                "over" | "under" | "at_least" | "at_most" => decimal(node, &mut self.problems).is_some(),
                "part" => self.part(node, allowed).map(|part| comparison.part = part).is_some(),
                key => self.option(&mut comparison, key, node, allowed),
            };
        }
        let range = bounds(&keys);
        if range != Range::default() {
            comparison.comparator.number(range);
        }
        if comparison.comparator.is_empty() && comparison.count.is_none() && !complete {
            return None;
        }
        if comparison.comparator.is_empty() && comparison.count.is_none() {
            self.problems.error(
                node.span,
                "a comparison needs one of `is`, `contains`, `matches`, `regex`, `in`, `in_list`, `contains_list`, `over`, `under`",
            );
            return None;
        }
        self.captured(comparison.comparator.captures());
        if complete {
            self.doubt_long(&keys, &comparison, allowed.about);
        }
        complete.then_some(comparison)
    }

    /// Reads texts of which one must equal the whole value. `""` is the empty value, such as a null sender.
    pub(super) fn whole_texts(&mut self, node: &Node, expected: &str) -> Option<Vec<Text>> {
        match &node.value {
            Value::Scalar { text, quoted: true } if text.is_empty() => Some(vec![Text::default()]),
            _ => self.compared_texts(node, expected),
        }
    }

    fn texts_compared(&mut self, comparison: &mut Comparison, key: &str, node: &Node) -> bool {
        let expected = "a text or a list of texts";
        let (kind, texts) = match key {
            "contains" => (ComparisonKind::Contains, self.compared_texts(node, expected)),
            "matches" => (ComparisonKind::Matches, self.compared_texts(node, expected)),
            "regex" => (ComparisonKind::Regex, self.compared_texts(node, expected)),
            _ => (ComparisonKind::Is, self.whole_texts(node, expected)),
        };
        match texts {
            Some(texts) => self.add_texts(&mut comparison.comparator, kind, texts, node),
            None => false,
        }
    }

    fn list_compared(&mut self, comparison: &mut Comparison, node: &Node) -> bool {
        if let Some(name) = self.valued_name(node) {
            let lists = self.shared.lists.clone().into_owned();
            return name.map(|name| comparison.comparator.in_named_list(NamedList { name, lists })).is_some();
        }
        self.list(node).map(|list| comparison.comparator.in_list(list)).is_some()
    }

    /// Adds the texts of a key.
    fn add_texts(&mut self, comparator: &mut Comparator, kind: ComparisonKind, texts: Vec<Text>, node: &Node) -> bool {
        let fixed = texts.iter().filter_map(Text::as_literal).map(str::to_owned);
        let fixed: Vec<Meant> = match kind {
            ComparisonKind::Is | ComparisonKind::Address => fixed.map(Meant::Is).collect(),
            ComparisonKind::Contains => fixed.map(Meant::Contains).collect(),
            ComparisonKind::Matches | ComparisonKind::Regex => {
                let patterns: Vec<String> = fixed.collect();
                return self.add_patterns(comparator, kind, &patterns, texts, node);
            }
        };
        let valued = texts.into_iter().filter(|text| text.as_literal().is_none()).collect();
        self.add(comparator, kind, (fixed, valued), node)
    }

    fn add_patterns(
        &mut self,
        comparator: &mut Comparator,
        kind: ComparisonKind,
        fixed: &[String],
        texts: Vec<Text>,
        node: &Node,
    ) -> bool {
        let added = match kind {
            _ if fixed.is_empty() => Ok(()),
            ComparisonKind::Regex => comparator.regex(fixed),
            _ => comparator.matches(fixed),
        };
        let valued = texts.into_iter().filter(|text| text.as_literal().is_none()).collect();
        self.added(added, node) && self.add_valued(comparator, kind, valued, !fixed.is_empty(), node)
    }

    /// Adds literal texts and texts with values. Texts without values are compiled now, once for all messages.
    pub(super) fn add(
        &mut self,
        comparator: &mut Comparator,
        kind: ComparisonKind,
        (fixed, valued): (Vec<Meant>, Vec<Text>),
        node: &Node,
    ) -> bool {
        let added = if fixed.is_empty() { Ok(()) } else { comparator.meant(&fixed) };
        self.added(added, node) && self.add_valued(comparator, kind, valued, !fixed.is_empty(), node)
    }

    /// If `follows`, these are alternatives of what was added last.
    fn add_valued(
        &mut self,
        comparator: &mut Comparator,
        kind: ComparisonKind,
        valued: Vec<Text>,
        follows: bool,
        node: &Node,
    ) -> bool {
        if valued.is_empty() {
            return true;
        }
        // If there is only one text, its values are known when the comparison holds.
        let needed: Vec<Captured> = match (follows, valued.as_slice()) {
            (false, [one]) => one.names().map(|name| Captured { name: name.to_owned(), always: true }).collect(),
            _ => Vec::new(),
        };
        let added = Valued::new(kind, valued).map(|valued| comparator.or_valued(valued, follows));
        self.captured(needed);
        self.added(added, node)
    }

    fn added(&mut self, added: Result<(), regex::Error>, node: &Node) -> bool {
        if let Err(error) = added {
            self.captures_unknown();
            self.problems
                .error(node.span, "this regular expression cannot be used")
                .hint(last_line(&error.to_string()));
            return false;
        }
        true
    }

    fn part(&mut self, node: &Node, allowed: Allowed<'_>) -> Option<AddressPart> {
        if !allowed.part {
            self.problems.error(node.span, "`part` is for addresses").hint("use `address` instead");
            return None;
        }
        let words = [
            ("all", AddressPart::All),
            ("localpart", AddressPart::Local),
            ("domain", AddressPart::Domain),
            ("name", AddressPart::Name),
            ("user", AddressPart::User),
            ("detail", AddressPart::Detail),
        ];
        reader::choice(node, &words, &mut self.problems)
    }

    fn option(&mut self, comparison: &mut Comparison, key: &str, node: &Node, allowed: Allowed<'_>) -> bool {
        let fits = if key == "raw" { allowed.raw } else { allowed.many };
        if !fits {
            let message = match key {
                "raw" => "`raw` is for header fields and the body".to_owned(),
                key => format!("`{key}` is for what can be there several times: header fields and addresses"),
            };
            self.problems.error(node.span, message).hint("leave it out");
            return false;
        }
        match key {
            "raw" => reader::flag(node, &mut self.problems).map(|raw| comparison.raw = raw).is_some(),
            "every" => reader::flag(node, &mut self.problems).map(|every| comparison.every = every).is_some(),
            "nth" => nth(node, &mut self.problems).map(|nth| comparison.nth = Some(nth)).is_some(),
            _ => range(node, &mut self.problems).map(|range| comparison.count = Some(range)).is_some(),
        }
    }
}

/// Reads the number of a value: from 1, or from the end with -1.
pub(super) fn nth(node: &Node, problems: &mut Problems) -> Option<i64> {
    let number = node.as_text().and_then(|text| text.parse::<i64>().ok()).filter(|n| *n != 0 && n.abs() <= 10_000);
    if number.is_none() {
        reader::mismatch(node, "a number from 1, or from the end with -1", problems);
    }
    number
}

/// Reads a number like `8`, `-1` or `5.5`.
pub(super) fn decimal(node: &Node, problems: &mut Problems) -> Option<f64> {
    let number = node.as_text().and_then(|text| text.parse::<f64>().ok()).filter(|number| number.is_finite());
    if number.is_none() {
        reader::mismatch(node, "a number", problems);
    }
    number
}

/// Reads a number, or a mapping with bounds.
pub(super) fn range(node: &Node, problems: &mut Problems) -> Option<Range> {
    if !matches!(node.value, Value::Map(_)) {
        return decimal(node, problems).map(Range::exactly);
    }
    let map = MapReader::new(node, &NUMBERS, problems);
    let keys: Vec<(&str, &Node)> = NUMBERS.names().filter_map(|key| Some((key, map.take(key)?))).collect();
    if keys.is_empty() {
        problems.error(node.span, "a number needs one of `over`, `under`, `at_least`, `at_most`");
        return None;
    }
    let all_read = keys.iter().filter(|(_, node)| decimal(node, problems).is_some()).count() == keys.len();
    let range = bounds(&keys);
    doubt_number(&range, node.span, problems);
    all_read.then_some(range)
}

/// The bounds among these keys. Invalid numbers are reported already.
fn bounds(keys: &[(&str, &Node)]) -> Range {
    let number = |name: &str| {
        let (_, node) = keys.iter().find(|(key, _)| *key == name)?;
        node.as_text()?.parse::<f64>().ok()
    };
    Range { over: number("over"), under: number("under"), at_least: number("at_least"), at_most: number("at_most") }
}

/// The last line of an error of the regex crate, which says what is wrong. The lines before it point at the place.
pub(super) fn last_line(error: &str) -> String {
    error.lines().last().unwrap_or(error).trim_start_matches("error: ").to_owned()
}
