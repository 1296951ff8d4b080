//! How a message was sent that could not be sent unchanged. The text precedes the relay's reply.

use std::fmt;

const ENCODED: &str = "encoded for its relay";
const AS_IT_IS: &str = "sent as it is";

/// What was changed in a message for its relay, and what was left although the relay need not accept it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HowItLeft {
    /// What was changed, in words, or `None` if nothing was.
    pub changes: Option<String>,
    /// Why something was left unchanged.
    pub left: Option<String>,
}

impl HowItLeft {
    /// The relay's reply with this before it.
    pub fn before(&self, words: &str) -> String {
        if *self == Self::default() { words.to_owned() } else { format!("{self}: {words}") }
    }

    /// The part before the relay's reply. An SMTP reply starts with its code, so it cannot be mistaken for this.
    pub fn of(said: &str) -> Option<&str> {
        let is_ours = [ENCODED, AS_IT_IS].iter().any(|how| said.starts_with(&format!("{how} (")));
        said.find("): ").filter(|_| is_ours).map(|end| &said[..=end])
    }
}

impl fmt::Display for HowItLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.changes, &self.left) {
            (Some(changes), None) => write!(f, "{ENCODED} ({changes})"),
            (Some(changes), Some(left)) => write!(f, "{ENCODED} ({changes}; the rest {AS_IT_IS}: {left})"),
            (None, Some(left)) => write!(f, "{AS_IT_IS} ({left})"),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_found_before_the_words_of_the_relay() {
        let how = |changes: Option<&str>, left: Option<&str>| HowItLeft {
            changes: changes.map(str::to_owned),
            left: left.map(str::to_owned),
        };
        for (how, shown) in [
            (how(Some("base64"), None), "encoded for its relay (base64)"),
            (how(None, Some("it is signed")), "sent as it is (it is signed)"),
            (
                how(Some("fields folded"), Some("it is signed")),
                "encoded for its relay (fields folded; the rest sent as it is: it is signed)",
            ),
        ] {
            assert_eq!(HowItLeft::of(&how.before("250 ok (a): b")), Some(shown));
        }
        assert_eq!(HowItLeft::default().before("250 ok"), "250 ok");
        assert_eq!(HowItLeft::of("250 encoded for its relay (base64): no"), None);
    }
}
