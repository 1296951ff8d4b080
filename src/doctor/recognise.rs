//! Recognises causes that show only when several findings are combined.

use jiff::Timestamp;

use super::finding::Findings;
use crate::clean;
use crate::error::Error;
use crate::providers::{self, LoginForm, MailProtocol};
use crate::state::is_possible;

/// The advice for a public host name with a private address.
pub(super) const PRIVATE_ADDRESS: &str = "no provider has such an address: the login page of a network (hotel, train), a filter or \
    a line in `/etc/hosts` may answer in its place; open a web page first";

/// Advice for a certificate that is not trusted, if the error has none.
pub(super) fn of_certificate(error: &Error) -> &'static str {
    let text = error.to_string();
    let is_about_time = ["not valid yet", "expired"].iter().any(|words| text.contains(words));
    match is_about_time {
        true if !is_possible(Timestamp::now()) => {
            "the clock of this machine is wrong: set it (`timedatectl set-ntp true`)"
        }
        true => {
            "check the clock of this machine first (`date`); if it is right, the operator of the server has to renew the certificate"
        }
        false => "",
    }
}

/// Advice if the provider wants another form of the user name.
pub(super) fn advice_on_user_name(host: &str, user: &str, mail: MailProtocol) -> Option<String> {
    let provider = providers::of_host(host)?;
    match (provider.login.form(mail), user.contains('@')) {
        (LoginForm::Address, false) => Some(format!("{} wants the whole address as `user`", provider.name)),
        (LoginForm::LocalPart, true) => {
            let local = LoginForm::LocalPart.of(user);
            Some(format!("{} wants the part before the @ as `user`: {}", provider.name, clean::short(&local, 80)))
        }
        _ => None,
    }
}

/// Reports what the results of all accounts and relays mean together.
pub(super) fn summary(accounts_well: &[bool], relays_well: &[bool], findings: &mut Findings<'_>) {
    let all = |list: &[bool]| !list.is_empty() && list.iter().all(|is_well| *is_well);
    let none = |list: &[bool]| !list.is_empty() && list.iter().all(|is_well| !is_well);
    if all(accounts_well) && none(relays_well) {
        findings.warning(
            "altogether",
            "mail can be received but not sent",
            "receiving and sending are two logins: many providers turn them on separately, and some want another user name or password for \
            SMTP; the failed step above says which",
        );
    } else if accounts_well.is_empty() && relays_well.is_empty() {
        findings.warning(
            "altogether",
            "the config has no account and no relay",
            "`mailsluice init` makes the first one",
        );
    } else if all(accounts_well) && relays_well.is_empty() {
        findings.well("altogether", "mail comes; no relay is configured, which only rules that answer or forward need");
    } else if none(accounts_well) && none(relays_well) && accounts_well.len() + relays_well.len() > 2 {
        findings.warning(
            "altogether",
            "mail can be neither received nor sent",
            "the cause is more likely this machine or its network than all the servers: see the first failed step",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrong_form_of_a_user_name_is_named() {
        for (host, user, mail, says) in [
            ("imap.gmail.com", "me", MailProtocol::Imap, Some("wants the whole address")),
            ("imap.web.de", "me@web.de", MailProtocol::Imap, Some("before the @ as `user`: me")),
            ("imap.mail.me.com", "me@icloud.com", MailProtocol::Imap, Some("before the @")),
            ("smtp.mail.me.com", "me", MailProtocol::Smtp, Some("wants the whole address")),
            ("smtp.mail.me.com", "me@icloud.com", MailProtocol::Smtp, None),
            ("imap.example.com", "me", MailProtocol::Imap, None),
        ] {
            let said = advice_on_user_name(host, user, mail);
            assert_eq!(said.is_some(), says.is_some(), "{host} {user}: {said:?}");
            assert!(said.unwrap_or_default().contains(says.unwrap_or_default()), "{host} {user}");
        }
    }
}
