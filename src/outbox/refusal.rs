//! What helps when a relay refuses a sender.

use crate::config::{Relay, RelayKind};

/// What servers write when it is the sender that they refuse, wherever in the dialog they say so. Upper case.
const OF_SENDER: [&str; 12] = [
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

/// Whether the words of a refusal are about the sender, and not about the recipient or the message.
pub fn is_about_sender(text: &str) -> bool {
    let text = text.to_uppercase();
    OF_SENDER.iter().any(|words| text.contains(words))
}

/// What helps: which address this relay sends as, and what to set.
pub fn help_with_sender(relay: &Relay, from: &str, own: &str) -> String {
    let name = crate::clean::short(&relay.name, 40);
    let login = match &relay.kind {
        RelayKind::Smtp { login: Some(login), .. } if login.user.contains('@') => Some(login.user.as_str()),
        _ => None,
    };
    let (from, own) = (crate::clean::short(from, 100), crate::clean::short(own, 100));
    if from.is_empty() {
        return format!(
            "the relay `{name}` takes no mail without a sender; `null_sender: own` at it sends answers as {own}"
        );
    }
    match login.map(|login| crate::clean::short(login, 100)) {
        Some(login) if !login.eq_ignore_ascii_case(&from) => format!(
            "the relay `{name}` logs in as {login} and sends as {own}: write `from: {login}` at it, or give {from} a relay of \
             its own"
        ),
        _ if !own.eq_ignore_ascii_case(&from) => {
            format!("the relay `{name}` sends as {own}: give {from} a relay of its own, with `from: {from}`")
        }
        _ => format!("the relay `{name}` sends as {own}: write the address that it takes at it, `from: …`"),
    }
}
