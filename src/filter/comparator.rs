//! How a value is compared: `is`, `contains`, `matches`, `regex`, `in`. Case never counts.
//!
//! Every kind becomes a regular expression, so that a list of fifty words costs one search and no comparison can
//! take more than linear time.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

use super::names::Captures;

/// Compiled patterns that all have to match a value, each in one of its alternatives.
#[derive(Debug)]
pub(super) struct Comparator {
    /// Each inner list is one comparator of the rule: any of its patterns will do.
    all: Vec<Vec<Pattern>>,
}

#[derive(Debug)]
struct Pattern {
    regex: Regex,
    captures: bool,
}

/// The largest compiled pattern, in bytes: counted repetitions can ask for gigabytes.
const SIZE_LIMIT: usize = 1024 * 1024;
/// The longest text that a capture keeps.
const MAX_CAPTURE: usize = 1024;

impl Comparator {
    pub(super) fn new() -> Self {
        Self { all: Vec::new() }
    }

    /// The whole value is one of these.
    pub(super) fn is(&mut self, values: &[String]) -> Result<(), regex::Error> {
        self.alternatives(values, |any| format!(r"\A(?:{any})\z"))
    }

    /// The value holds one of these.
    pub(super) fn contains(&mut self, values: &[String]) -> Result<(), regex::Error> {
        self.alternatives(values, |any| any.to_owned())
    }

    fn alternatives(&mut self, values: &[String], frame: impl Fn(&str) -> String) -> Result<(), regex::Error> {
        let any: Vec<Cow<'_, str>> = values.iter().map(|v| regex::escape(v).into()).collect();
        self.all.push(vec![Pattern { regex: build(&frame(&any.join("|")))?, captures: false }]);
        Ok(())
    }

    /// The whole value fits one of these patterns with `*` and `?`.
    pub(super) fn matches(&mut self, globs: &[String]) -> Result<(), regex::Error> {
        self.patterns(globs.iter().map(|glob| glob_to_regex(glob)))
    }

    /// One of these regular expressions is found in the value.
    pub(super) fn regex(&mut self, expressions: &[String]) -> Result<(), regex::Error> {
        self.patterns(expressions.iter().cloned())
    }

    fn patterns(&mut self, expressions: impl Iterator<Item = String>) -> Result<(), regex::Error> {
        let compile = |expression: String| {
            let regex = build(&expression)?;
            Ok(Pattern { captures: regex.captures_len() > 1, regex })
        };
        self.all.push(expressions.map(compile).collect::<Result<_, regex::Error>>()?);
        Ok(())
    }

    /// The names that a successful comparison sets, numbers included.
    pub(super) fn capture_names(&self) -> impl Iterator<Item = String> {
        self.all.iter().flatten().flat_map(|pattern| {
            let named = pattern.regex.capture_names().flatten().map(str::to_owned);
            named.chain((1..pattern.regex.captures_len()).map(|n| n.to_string()))
        })
    }

    /// Whether the value passes; captures of the patterns that matched are noted.
    pub(super) fn accepts(&self, value: &str, captures: &mut Captures) -> bool {
        self.all.iter().all(|any| any.iter().any(|pattern| pattern.accepts(value, captures)))
    }
}

impl Pattern {
    fn accepts(&self, value: &str, captures: &mut Captures) -> bool {
        if !self.captures {
            return self.regex.is_match(value);
        }
        let Some(found) = self.regex.captures(value) else { return false };
        for (number, name) in self.regex.capture_names().enumerate().skip(1) {
            let text = found.get(number).map_or("", |group| group.as_str());
            let text: String = text.chars().take(MAX_CAPTURE).collect();
            captures.set(name.map_or_else(|| number.to_string(), str::to_owned), text.clone());
            captures.set(number.to_string(), text);
        }
        true
    }
}

fn build(expression: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(expression).case_insensitive(true).size_limit(SIZE_LIMIT).dfa_size_limit(SIZE_LIMIT).build()
}

/// `*` is any text, `?` one character, `\` takes the next one literally (RFC 5228 2.7.1). Both capture.
fn glob_to_regex(glob: &str) -> String {
    let mut regex = String::from(r"(?s)\A");
    let mut chars = glob.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => regex.push_str("(.*?)"),
            '?' => regex.push_str("(.)"),
            '\\' => regex.push_str(&regex::escape(&chars.next().unwrap_or('\\').to_string())),
            c => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push_str(r"\z");
    regex
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(build: impl FnOnce(&mut Comparator) -> Result<(), regex::Error>) -> Comparator {
        let mut comparator = Comparator::new();
        build(&mut comparator).unwrap();
        comparator
    }

    fn accepts(comparator: &Comparator, value: &str) -> bool {
        comparator.accepts(value, &mut Captures::default())
    }

    #[test]
    fn case_never_counts_in_any_script() {
        let is = with(|c| c.is(&["Grüße".into(), "hello".into()]));
        assert!(accepts(&is, "GRÜSSE") || accepts(&is, "GRÜßE"));
        assert!(accepts(&is, "Hello") && !accepts(&is, "hello there"));
        assert!(accepts(&with(|c| c.contains(&["請求書".into(), "a.b".into()])), "xA.Bx"));
        assert!(!accepts(&with(|c| c.contains(&["a.b".into()])), "axb"));
    }

    #[test]
    fn globs_capture_what_their_wildcards_stand_for() {
        let glob = with(|c| c.matches(&["[*] ? \\*".into()]));
        let mut captures = Captures::default();
        assert!(glob.accepts("[list-x] 7 *", &mut captures));
        assert_eq!((captures.get("1"), captures.get("2")), (Some("list-x"), Some("7")));
        assert!(!accepts(&glob, "[list-x] 7 y"));
    }

    #[test]
    fn a_hostile_expression_is_refused_or_linear() {
        assert!(Comparator::new().regex(&["(a{1000}){1000}".into()]).is_err());
        let bad = with(|c| c.regex(&["(a+)+$".into()]));
        assert!(!accepts(&bad, &format!("{}b", "a".repeat(1_000_000))));
    }
}
