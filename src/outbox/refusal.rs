//! Advice for a sender that a relay refuses.

use crate::config::{Relay, RelayKind};

/// Words by which servers refuse the sender, at whatever point of the dialog. In upper case.
const SENDER_WORDS: [&str; 12] = [
    "SENDER ADDRESS REJECTED",
    "SENDER REJECTED",
    "SENDER IS NOT",
    "NULL SENDER",
    "EMPTY SENDER",
    "ENVELOPE SENDER",
    "MAIL FROM",
    "SENDASDENIED",
    "SEND AS",
    "NOT OWNED BY",
    "AUTHORIZED USER",
    "AUTHORIZATION USER",
];

/// Whether a refusal is about the sender, and not about the recipient or the message.
pub fn is_about_sender(text: &str) -> bool {
    let text = text.to_uppercase();
    SENDER_WORDS.iter().any(|words| text.contains(words))
}

/// The advice: which address this relay sends as, and what to set.
pub fn help_with_sender(relay: &Relay, from: &str, own: &str) -> String {
    let name = crate::clean::short(&relay.name, 40);
    let login = match &relay.kind {
        RelayKind::Smtp { login: Some(login), .. } if login.user.contains('@') => Some(login.user.as_str()),
        _ => None,
    };
    let (from, own) = (crate::clean::short(from, 100), crate::clean::short(own, 100));
    if from.is_empty() {
        return format!(
            "the relay `{name}` accepts no mail without a sender; with `null_sender: own` it sends answers as {own}"
        );
    }
    match login.map(|login| crate::clean::short(login, 100)) {
        Some(login) if !login.eq_ignore_ascii_case(&from) => format!(
            "the relay `{name}` logs in as {login} and sends as {own}: add `from: {login}` to it, or give {from} a relay of \
            its own"
        ),
        _ if !own.eq_ignore_ascii_case(&from) => {
            format!("the relay `{name}` sends as {own}: give {from} a relay of its own, with `from: {from}`")
        }
        _ => format!("the relay `{name}` sends as {own}: add `from: …` to it, with an address that the server accepts"),
    }
}
