//! What helps against what keeps mail from coming, as far as a person can do anything.

use crate::daemon::status::AccountTrouble;

/// What an error says, in small letters, and what helps. The first that fits counts.
const BY_WORDS: [(&[&str], &str); 8] = [
    (&["no space left", "quota exceeded"], "make room on the disk that the mail or the state is on"),
    (
        &["the mail root"],
        "mount the disk that the mail is on; `mailsluice rebuild` takes a mail root that was moved or emptied on purpose",
    ),
    (
        &["failed to lookup address", "name or service not known", "name resolution", "the name has no address"],
        "look whether this machine is in a network, and whether `host` is spelled right in the config",
    ),
    (
        &["connection refused"],
        "look whether `host` and `port` are right in the config; else the server is being started, and it is tried again",
    ),
    (
        &["unreachable", "no route to host", "no answer within", "timed out", "the handshake stalled"],
        "look whether this machine is in a network, and whether a firewall keeps the port; else the server is overloaded, and it is \
         tried again",
    ),
    (
        &["tls", "certificate"],
        "look whether `host`, `port` and `tls` are right in the config; `ca_file` or `tls_pin` trusts a server with a certificate of \
         its own",
    ),
    (
        &["too many", "[limit]", "[overquota]", "[in-use]", "throttled"],
        "close other mail programs of this account, or raise `poll`; it is tried again when the server allows it",
    ),
    (&["database is damaged"], "`mailsluice rebuild` makes the state anew from the Maildirs"),
];

/// What helps, in words; `runs`: a daemon does.
pub(super) fn helps(account: &str, trouble: &AccountTrouble, runs: bool) -> Option<String> {
    if trouble.is_refused && trouble.text.contains("mailsluice login") {
        return Some(format!("`mailsluice login {account}` signs in, and mail comes again at once"));
    }
    if trouble.is_refused {
        let try_now = if runs { "poll" } else { "fetch" };
        return Some(format!(
            "put the login right in the config; `mailsluice {try_now} {account}` tries at once, and `mailsluice doctor {account}` \
             shows each step"
        ));
    }
    let text = trouble.text.to_lowercase();
    let found = BY_WORDS.iter().find(|(words, _)| words.iter().any(|word| text.contains(word)));
    found.map(|(_, helps)| match helps.starts_with("look whether") {
        true => format!("{helps}; `mailsluice doctor {account}` shows each step"),
        false => (*helps).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use jiff::Timestamp;

    use super::*;
    use crate::error::Error;

    fn of(error: &Error) -> String {
        let trouble =
            AccountTrouble { text: error.to_string(), since: Timestamp::UNIX_EPOCH, times: 1, is_refused: false };
        helps("work", &trouble, true).unwrap_or_default()
    }

    #[test]
    fn each_cause_has_its_help() {
        let system = |errno: rustix::io::Errno| io::Error::from(errno);
        let connecting = |errno| of(&Error::network("connecting to imap.example.com port 993", system(errno)));
        for (said, word) in [
            (of(&Error::disk("staging", system(rustix::io::Errno::NOSPC))), "make room"),
            (of(&Error::disk("staging", system(rustix::io::Errno::DQUOT))), "make room"),
            (connecting(rustix::io::Errno::CONNREFUSED), "`port`"),
            (connecting(rustix::io::Errno::NETUNREACH), "in a network"),
            (connecting(rustix::io::Errno::HOSTUNREACH), "in a network"),
            (connecting(rustix::io::Errno::TIMEDOUT), "firewall"),
        ] {
            assert!(said.contains(word), "{said}: {word}");
        }
        let nowhere = std::net::ToSocketAddrs::to_socket_addrs("no-such-host.invalid:993").unwrap_err();
        assert!(of(&Error::network("connecting", nowhere)).contains("spelled right"));
    }
}
