//! What somebody meant who wrote a word that we do not know.

use super::problem::Problems;
use super::shape::Shape;
use super::yaml::Node;

/// Words of other programs and other habits, with ours.
const SYNONYMS: [(&str, &str); 22] = [
    ("then", "do"),
    ("actions", "do"),
    ("when", "if"),
    ("conditions", "if"),
    ("move", "fileinto"),
    ("file", "fileinto"),
    ("deliver", "fileinto"),
    ("forward", "redirect"),
    ("delete", "discard"),
    ("drop", "discard"),
    ("label", "addflag"),
    ("mark", "addflag"),
    ("autoreply", "vacation"),
    ("sender", "from"),
    ("recipient", "to"),
    ("list-id", "list_id"),
    ("filename", "name"),
    ("older", "over"),
    ("larger", "over"),
    ("equals", "is"),
    ("startswith", "matches"),
    ("endswith", "matches"),
];

/// The key that is meant by a word of another program.
pub(super) fn synonym(word: &str, shape: &Shape) -> Option<&'static str> {
    let (_, ours) = SYNONYMS.iter().find(|(theirs, _)| *theirs == word.to_lowercase())?;
    shape.names().find(|name| name == ours)
}

/// A kind of things that the config names.
#[derive(Clone, Copy, Debug)]
pub struct NamedKind {
    what: &'static str,
    section: &'static str,
}

impl NamedKind {
    /// What mail leaves by.
    pub const RELAY: Self = Self { what: "relay", section: "relays" };
    /// What mail can be appended to.
    pub const MAILBOX: Self = Self { what: "IMAP account", section: "accounts" };
}

/// Reports a name that the config does not know.
pub fn check_named(node: &Node, kind: NamedKind, known: &[String], problems: &mut Problems) {
    let Some(name) = node.as_text().filter(|name| !known.iter().any(|known| known == name)) else { return };
    let NamedKind { what, section } = kind;
    let hint = match suggest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write it under `{section}:`"),
    };
    problems.error(node.span, format!("there is no {what} `{}`", crate::clean::short(name, 60))).hint(hint);
}

/// The candidate that was most likely meant: at most two typing errors away, or one begins with the other.
pub fn suggest<'c>(word: &str, candidates: impl Iterator<Item = &'c str> + Clone) -> Option<&'c str> {
    let word = word.to_lowercase().replace('-', "_");
    let distance = |candidate: &str| strsim::damerau_levenshtein(&word, candidate);
    let close = candidates.clone().min_by_key(|candidate| distance(candidate));
    let allowed = 2.min(word.chars().count() / 2);
    close.filter(|candidate| distance(candidate) <= allowed).or_else(|| {
        let begins = |candidate: &&str| candidate.starts_with(&word) || word.starts_with(*candidate);
        candidates.clone().filter(|_| word.len() >= 3).find(begins)
    })
}
