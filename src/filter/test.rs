//! The conditions of a rule, as compiled, and how they are answered.

use super::comparator::Comparator;
use super::engine::Subject;
use super::names::Captures;
use crate::clean;

/// A condition.
#[derive(Debug)]
pub(super) enum Test {
    All(Vec<Self>),
    Any(Vec<Self>),
    None(Vec<Self>),
    Not(Box<Self>),
    /// Any field of that name.
    Header(String, Comparator),
    /// Any address in any field of that name.
    Address(String, AddressPart, Comparator),
    Size {
        over: Option<u64>,
        under: Option<u64>,
    },
    ListId(Comparator),
    Account(Comparator),
    Folder(Comparator),
}

/// The part of an address that is compared (RFC 5228 2.7.4), or its display name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressPart {
    All,
    LocalPart,
    Domain,
    Name,
}

/// The longest value quoted in an explanation, in characters.
const SHOWN: usize = 60;

impl Test {
    /// Whether the condition holds. What made it so is added to `why`.
    pub(super) fn holds(&self, subject: &Subject<'_>, captures: &mut Captures, why: &mut Vec<String>) -> bool {
        let before = why.len();
        let holds = match self {
            Self::All(tests) => tests.iter().all(|t| t.holds(subject, captures, why)),
            Self::Any(tests) => tests.iter().any(|t| t.holds(subject, captures, why)),
            Self::None(tests) => !tests.iter().any(|t| t.holds(subject, captures, why)),
            Self::Not(test) => !test.holds(subject, captures, why),
            leaf => leaf.leaf_holds(subject, captures, why),
        };
        let is_negation = matches!(self, Self::None(_) | Self::Not(_));
        if !holds || is_negation {
            // Reasons of a branch that failed, or that was to be false, explain nothing.
            why.truncate(before);
        }
        holds
    }

    fn leaf_holds(&self, subject: &Subject<'_>, captures: &mut Captures, why: &mut Vec<String>) -> bool {
        let seen = match self {
            Self::Header(name, comparator) => subject
                .message
                .all(name)
                .map(|field| field.value())
                .find(|value| comparator.accepts(value, captures))
                .map(|value| (name.as_str(), value.to_owned())),
            Self::Address(name, part, comparator) => {
                address_seen(subject, name, *part, comparator, captures).map(|value| (name.as_str(), value))
            }
            Self::ListId(comparator) => subject
                .message
                .list_id()
                .filter(|id| comparator.accepts(id, captures))
                .map(|id| ("list_id", id.to_owned())),
            Self::Account(comparator) => {
                comparator.accepts(subject.account(), captures).then(|| ("account", subject.account().to_owned()))
            }
            Self::Folder(comparator) => {
                comparator.accepts(subject.folder(), captures).then(|| ("folder", subject.folder().to_owned()))
            }
            Self::Size { over, under } => {
                let size = subject.message.size();
                let fits = over.is_none_or(|n| size > n) && under.is_none_or(|n| size < n);
                fits.then(|| ("size", size.to_string()))
            }
            Self::All(_) | Self::Any(_) | Self::None(_) | Self::Not(_) => None,
        };
        if let Some((what, value)) = &seen {
            why.push(format!("{what} is \"{}\"", clean::short(value, SHOWN)));
        }
        seen.is_some()
    }
}

fn address_seen(
    subject: &Subject<'_>,
    name: &str,
    part: AddressPart,
    comparator: &Comparator,
    captures: &mut Captures,
) -> Option<String> {
    subject.message.addresses(name).find_map(|address| {
        let value = match part {
            AddressPart::All => &address.address,
            AddressPart::LocalPart => address.local_part(),
            AddressPart::Domain => address.domain(),
            AddressPart::Name => address.name.as_deref()?,
        };
        comparator.accepts(value, captures).then(|| value.to_owned())
    })
}
