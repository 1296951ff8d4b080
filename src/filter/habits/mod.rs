//! Habits from other programs, and slips: text that is valid but probably does not mean what the user wants. `check`
//! warns about each and suggests the right text. Nothing else changes.

mod addresses;
mod fields;
mod folders;
mod ranges;
mod text;

use super::comparison::{AddressPart, Comparison};
use super::compile::Compiler;
use super::names;
use super::short::{ComparedKind, Meant};
use crate::config::problem::Problems;
use crate::config::yaml::{Node, Span};

pub(super) use ranges::{doubt_bounds, doubt_number, doubt_reach, doubt_whole_number};

/// What looks wrong, and a suggestion.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HabitDoubt {
    message: String,
    hint: String,
}

impl HabitDoubt {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Option<Self> {
        Some(Self { message: message.into(), hint: hint.into() })
    }

    fn warn(self, span: Span, problems: &mut Problems) {
        problems.warn(span, self.message).hint(self.hint);
    }
}

/// A text that is compared with something.
#[derive(Clone, Copy, Debug)]
pub(super) struct ComparedText<'a> {
    text: &'a str,
    how: How,
    about: ComparedKind<'a>,
    part: AddressPart,
    raw: bool,
}

impl ComparedText<'_> {
    /// Whether it contains a value, which is not known yet.
    fn has_value(&self) -> bool {
        self.text.contains("${")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Is,
    Contains,
    Matches,
    Regex,
    /// A domain or its subdomains.
    Below,
}

impl How {
    fn of_key(key: &str) -> Option<Self> {
        Some(match key {
            "is" | "in" => Self::Is,
            "contains" => Self::Contains,
            "matches" => Self::Matches,
            "regex" => Self::Regex,
            _ => return None,
        })
    }
}

/// The first doubt about a text.
fn about_text(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let all = text::HABITS.iter().chain(addresses::HABITS).chain(fields::HABITS);
    all.copied().find_map(|habit| habit(it))
}

type Habit = fn(&ComparedText<'_>) -> Option<HabitDoubt>;

impl Compiler<'_, '_> {
    fn doubt(&mut self, span: Span, doubt: Option<HabitDoubt>) {
        if let Some(doubt) = doubt.filter(|_| !self.is_literal()) {
            doubt.warn(span, &mut self.problems);
        }
    }

    /// Checks one text of a short form.
    pub(super) fn doubt_short(&mut self, meant: &Meant, node: &Node, about: ComparedKind<'_>) {
        if self.is_literal() {
            return;
        }
        let (text, how) = match meant {
            Meant::Is(text) => (text, How::Is),
            Meant::Contains(text) => (text, How::Contains),
            Meant::Below(text) => (text, How::Below),
        };
        let doubt = about_text(&ComparedText { text, how, about, part: AddressPart::All, raw: false });
        self.doubt(node.span, doubt);
        if matches!((about, how), (ComparedKind::Account, How::Is)) {
            self.doubt_account(node);
        }
    }

    /// Checks the texts of a comparison with keys.
    pub(super) fn doubt_long(&mut self, keys: &[(&str, &Node)], comparison: &Comparison, about: ComparedKind<'_>) {
        if self.is_literal() {
            return;
        }
        let (part, raw) = (comparison.part, comparison.raw);
        for (key, node) in keys {
            let Some(how) = How::of_key(key) else { continue };
            let is_pattern = |node: &Node| node.as_text().is_some_and(|text| text.contains(['*', '?']));
            let has_pattern = node.each().iter().any(is_pattern);
            for node in node.each() {
                let text = node.as_text().unwrap_or_default();
                // In a list with patterns, a text without wildcards is meant as a whole value.
                let how = if how == How::Matches && has_pattern && !is_pattern(node) { How::Is } else { how };
                self.doubt(node.span, about_text(&ComparedText { text, how, about, part, raw }));
                if matches!((about, how), (ComparedKind::Account, How::Is)) {
                    self.doubt_account(node);
                }
            }
        }
        let bound = keys.iter().find(|(key, _)| matches!(*key, "over" | "under" | "at_least" | "at_most"));
        if let Some((_, node)) = bound {
            self.doubt(node.span, ranges::of_comparison(comparison.comparator.range(), about));
        }
    }

    /// Checks for a field name that resembles a known one.
    pub(super) fn doubt_field(&mut self, name: &str, span: Span) {
        self.doubt(span, fields::misspelt(name));
    }

    /// A folder that is named as another program would name it.
    /// Checks for a key that contains no value, although it has to distinguish messages.
    pub(super) fn doubt_key(&mut self, node: &Node) {
        let text = node.as_text().filter(|text| !self.is_literal() && !text.contains("${")).map(str::trim);
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        let name = text.trim_start_matches('$').trim_end_matches('}').trim_start_matches('{');
        let hint = match names::is_always(name) {
            true => format!("write `${{{name}}}` for the value"),
            false => "put a value into it, like `${from.addr}`".to_owned(),
        };
        let message = format!("`{}` is the same for every message", crate::clean::short(text, 60));
        self.doubt(node.span, HabitDoubt::new(message, hint));
    }

    /// Checks for a bare name in place of a text with values.
    pub(super) fn doubt_name(&mut self, node: &Node) {
        if node.as_text().is_some_and(|text| text.contains('.') && names::is_always(text)) {
            self.doubt_key(node);
        }
    }

    pub(super) fn doubt_folder(&mut self, node: &Node) {
        self.doubt(node.span, node.as_text().and_then(folders::doubt));
    }

    /// Checks for the list `me` if no address of the user is known.
    pub(super) fn doubt_me(&mut self, span: Span) {
        let settings = self.shared.settings;
        if settings.accounts.is_some() && settings.me.is_empty() {
            let hint = "add `me: [me@example.com]` to the config";
            self.doubt(span, HabitDoubt::new("no address of yours is known, so nothing is in `me`", hint));
        }
    }

    fn doubt_account(&mut self, node: &Node) {
        let Some(known) = &self.shared.settings.accounts else { return };
        let name = node.as_text().unwrap_or_default();
        if known.iter().any(|account| account.eq_ignore_ascii_case(name)) {
            return;
        }
        let near = crate::config::reader::suggest(name, known.iter().map(String::as_str));
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the accounts are {}", known.join(", ")),
        };
        let message = format!("there is no account `{}`: this never holds", crate::clean::short(name, 40));
        self.doubt(node.span, HabitDoubt::new(message, hint));
    }
}
