//! What a server's refusal of a login means.

use crate::error::{Error, Kind};

/// The reply to a login, as an error: transient when the server says so, otherwise the credentials are wrong.
pub(super) fn login_refused(doing: &str, reply: &str) -> Error {
    let upper = reply.to_ascii_uppercase();
    let says = |words: &[&str]| words.iter().any(|word| upper.contains(word));
    if says(&["[AUTHENTICATIONFAILED]", "[AUTHORIZATIONFAILED]", "[EXPIRED]", "[AUTH]"]) {
        return Error::permanent(Kind::Auth, doing).said(reply);
    }
    if says(&["[SYS/PERM]", "[PRIVACYREQUIRED]", "[CONTACTADMIN]"]) {
        return Error::permanent(Kind::Refused, doing).said(reply);
    }
    if says(&TEMPORARY) {
        return Error::transient(Kind::Refused, doing).said(reply);
    }
    Error::permanent(Kind::Auth, doing).said(reply)
}

/// Signs in a server's reply that the refusal passes: RFC 5530, RFC 3206, and what Gmail and Microsoft write in
/// plain words.
const TEMPORARY: [&str; 13] = [
    "[UNAVAILABLE]",
    "[INUSE]",
    "[IN-USE]",
    "[LOGIN-DELAY]",
    "[SYS/TEMP]",
    "[LIMIT]",
    "[SERVERBUG]",
    "[OVERQUOTA]",
    "TOO MANY",
    "THROTTLED",
    "NOT CONNECTED",
    "TRY AGAIN",
    "TEMPORAR",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_to_a_login_are_told_apart() {
        assert!(login_refused("x", "NO [UNAVAILABLE] later").is_transient());
        assert!(login_refused("x", "-ERR [IN-USE] locked").is_transient());
        assert!(login_refused("x", "NO [ALERT] Too many simultaneous connections.").is_transient());
        assert_eq!(login_refused("x", "NO [AUTHENTICATIONFAILED] no").kind(), Kind::Auth);
        assert_eq!(login_refused("x", "-ERR bad password").kind(), Kind::Auth);
    }
}
