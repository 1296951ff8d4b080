//! `malformed`: the ways in which a message violates the mail format.

use super::super::asking::{Asking, Break};
use super::super::compile::Compiler;
use super::{BoxedCondition, Condition, ConditionWord, quoted};
use crate::config::reader::{self, Takes};
use crate::config::yaml::{Node, Value};
use crate::message::Violation;

/// The violations with their words.
const VIOLATION_WORDS: [(&str, Violation); 19] = [
    ("header_too_large", Violation::HeaderTooLarge),
    ("too_many_fields", Violation::TooManyFields),
    ("field_too_long", Violation::FieldTooLong),
    ("not_a_field", Violation::NotAField),
    ("too_deep", Violation::TooDeep),
    ("too_many_parts", Violation::TooManyParts),
    ("part_header_too_large", Violation::PartHeaderTooLarge),
    ("no_boundary", Violation::NoBoundary),
    ("no_boundary_line", Violation::NoBoundaryLine),
    ("doubtful_boundary", Violation::DoubtfulBoundary),
    ("boundary_in_header", Violation::BoundaryInHeader),
    ("doubled_field", Violation::DoubledField),
    ("doubtful_name", Violation::DoubtfulName),
    ("too_many_names", Violation::TooManyNames),
    ("encoded_message", Violation::EncodedMessage),
    ("unterminated_multipart", Violation::UnterminatedMultipart),
    ("broken_base64", Violation::BrokenBase64),
    ("unreadable", Violation::Unreadable),
    ("text_too_long", Violation::TextTooLong),
];

const KNOWN_WORDS: &[&str] = &{
    let mut words = [""; VIOLATION_WORDS.len()];
    let mut i = 0;
    while i < words.len() {
        words[i] = VIOLATION_WORDS[i].0;
        i += 1;
    }
    words
};

const MALFORMED_TAKES: Takes = Takes::Either(&[Takes::Flag, Takes::Some(&Takes::Word(KNOWN_WORDS))]);
pub(super) const MALFORMED: ConditionWord = ConditionWord::new(
    (
        "malformed",
        "The message breaks the rules of its format: `true` for any way, or a way or a list of them, like `broken_base64`.",
        MALFORMED_TAKES,
    ),
    read,
);

/// The violations to look for, or whether there is any.
#[derive(Debug)]
enum Malformed {
    Any(bool),
    Of(Vec<Violation>),
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    if matches!(node.as_text(), Some("true" | "false")) {
        let any = reader::flag(node, &mut compiler.problems)?;
        return Some(Box::new(Malformed::Any(any)));
    }
    let nodes = match &node.value {
        Value::Seq(items) if !items.is_empty() => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let kinds: Vec<_> =
        nodes.iter().map(|node| reader::choice(node, &VIOLATION_WORDS, &mut compiler.problems)).collect();
    Some(Box::new(Malformed::Of(kinds.into_iter().collect::<Option<_>>()?)))
}

impl Condition for Malformed {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let message = std::sync::Arc::clone(asking.message());
        let found = message.violations();
        let holds = match self {
            Self::Any(wanted) => found.is_empty() != *wanted,
            Self::Of(kinds) => kinds.iter().any(|kind| found.contains(kind)),
        };
        asking.saw(holds, || {
            let words: Vec<String> = found.iter().map(ToString::to_string).collect();
            if words.is_empty() { "it is well formed".to_owned() } else { quoted(words.iter().map(String::as_str)) }
        });
        Ok(holds)
    }
}
