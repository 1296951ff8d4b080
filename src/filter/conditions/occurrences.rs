//! `each` in a score: a weight for every match of an expression.

use regex::Regex;

use super::super::asking::Asking;
use super::super::{comparator, comparison};
use crate::config::problem::Problems;
use crate::config::reader::{self, MapReader};
use crate::config::yaml::Node;
use crate::message::{Message, is_field_name};

/// How many places count. With a decay, later ones no longer change the sum.
const MAX_OCCURRENCES: usize = 1000;

/// A weight for the matches of an expression.
#[derive(Debug)]
pub(super) struct Occurrences {
    regex: Regex,
    within: SearchedIn,
    add: f64,
    decay: f64,
}

#[derive(Debug)]
enum SearchedIn {
    Body,
    Header,
    Anywhere,
    Field(String),
}

impl Occurrences {
    pub(super) fn read(mut map: MapReader<'_, '_>) -> Option<Self> {
        if let Some(node) = map.take("if") {
            map.problems().error(node.span, "a weight has one of `if` and `each`");
        }
        let regex = map.need("each", |node, problems| {
            let text = reader::text(node, "a regular expression", problems)?;
            let compiled = comparator::build(&comparator::composed(text));
            let unusable = |e: regex::Error| {
                let problem = problems.error(node.span, "this regular expression cannot be used");
                problem.hint(comparison::last_line(&e.to_string()));
            };
            compiled.map_err(unusable).ok()
        });
        let within = map.read("in", within);
        let is_wrong = within.is_none() && map.take("in").is_some();
        let add = map.need("add", comparison::decimal);
        let decay = map.read("decay", |node, problems| {
            let decay = comparison::decimal(node, problems)?;
            if !(0.0..=1.0).contains(&decay) {
                reader::mismatch(node, "a number from 0 to 1", problems);
                return None;
            }
            Some(decay)
        });
        if is_wrong || (decay.is_none() && map.take("decay").is_some()) {
            return None;
        }
        Some(Self { regex: regex?, within: within.unwrap_or(SearchedIn::Body), add: add?, decay: decay.unwrap_or(1.0) })
    }

    /// The largest possible sum of all matches, or the smallest if `add` is negative.
    pub(super) fn most(&self) -> f64 {
        (0..MAX_OCCURRENCES).map(|place| self.add * self.decay.powi(place as i32)).sum()
    }

    /// The sum of all matches: `add`, `add × decay`, `add × decay²`, ….
    pub(super) fn score(&self, asking: &mut Asking<'_>) -> f64 {
        let found = self.found(asking.message());
        let mut weight = self.add;
        let mut sum = 0.0;
        for _ in 0..found {
            sum += weight;
            weight *= self.decay;
        }
        asking.note_trace(&format!("'{}' is found at {found} places, which add {sum}", self.regex.as_str()));
        sum
    }

    /// The number of matches, at most [`MOST`].
    fn found(&self, message: &Message) -> usize {
        let places =
            |text: &str| self.regex.find_iter(text).filter(|found| !found.is_empty()).take(MAX_OCCURRENCES).count();
        let fields = || message.fields().iter().map(|field| places(&format!("{}: {}", field.name(), field.value())));
        let found: usize = match &self.within {
            SearchedIn::Body => places(message.text()),
            SearchedIn::Header => fields().sum(),
            SearchedIn::Anywhere => fields().sum::<usize>() + places(message.text()),
            SearchedIn::Field(name) => message.all(name).map(|field| places(field.value())).sum(),
        };
        found.min(MAX_OCCURRENCES)
    }
}

fn within(node: &Node, problems: &mut Problems) -> Option<SearchedIn> {
    let name = reader::text(node, "`body`, `header`, `anywhere` or the name of a field", problems)?;
    Some(match name {
        "body" => SearchedIn::Body,
        "header" => SearchedIn::Header,
        "anywhere" => SearchedIn::Anywhere,
        name if is_field_name(name) && !name.contains('*') => SearchedIn::Field(name.to_owned()),
        _ => {
            reader::mismatch(node, "`body`, `header`, `anywhere` or the name of a field", problems);
            return None;
        }
    })
}
