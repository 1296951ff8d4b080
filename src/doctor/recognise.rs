//! Causes that are seen only by looking at several things together.

use jiff::Timestamp;

use super::finding::Findings;
use crate::clean;
use crate::error::Error;
use crate::providers::{self, LoginForm, Mail};
use crate::state::is_possible;

/// What stands behind a public name with a private address.
pub(super) const PRIVATE_ADDRESS: &str = "no provider has such an address: the login page of a network (hotel, train), a filter or \
    a line in `/etc/hosts` may answer in its place; open a web page first";

/// What helps where a certificate does not hold and the error does not say it.
pub(super) fn of_certificate(error: &Error) -> &'static str {
    let text = error.to_string();
    let is_about_time = ["not valid yet", "expired"].iter().any(|words| text.contains(words));
    match is_about_time {
        true if !is_possible(Timestamp::now()) => {
            "the clock of this machine is wrong: set it (`timedatectl set-ntp true`)"
        }
        true => {
            "look at the clock of this machine first (`date`); where it is right, whoever runs the server has to renew it"
        }
        false => "",
    }
}

/// What helps where a provider wants another form of the user name than the one that was refused.
pub(super) fn another_form(host: &str, user: &str, mail: Mail) -> Option<String> {
    let provider = providers::of_host(host)?;
    match (provider.login.form(mail), user.contains('@')) {
        (LoginForm::Address, false) => Some(format!("{} wants the whole address as `user`", provider.name)),
        (LoginForm::LocalPart, true) => {
            let local = LoginForm::LocalPart.of(user);
            Some(format!("{} wants what stands before the @ as `user`: {}", provider.name, clean::short(&local, 80)))
        }
        _ => None,
    }
}

/// What all of it together means.
pub(super) fn the_whole(comes: &[bool], goes: &[bool], findings: &mut Findings<'_>) {
    let all = |list: &[bool]| !list.is_empty() && list.iter().all(|is_well| *is_well);
    let none = |list: &[bool]| !list.is_empty() && list.iter().all(|is_well| !is_well);
    if all(comes) && none(goes) {
        findings.warning(
            "altogether",
            "mail comes, and does not go",
            "receiving and sending are two logins: providers switch them on apart, and some want another user name or password for \
             SMTP; the failed step above says which",
        );
    } else if comes.is_empty() && goes.is_empty() {
        findings.warning(
            "altogether",
            "the config has no account and no relay",
            "`mailsluice init` makes the first one",
        );
    } else if all(comes) && goes.is_empty() {
        findings.well("altogether", "mail comes; no relay is configured, which only rules that answer or forward need");
    } else if none(comes) && none(goes) && comes.len() + goes.len() > 2 {
        findings.warning(
            "altogether",
            "nothing works, neither in nor out",
            "it is more likely this machine or its network than all of the servers: see the first failed step",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrong_form_of_a_user_name_is_named() {
        for (host, user, mail, says) in [
            ("imap.gmail.com", "me", Mail::Imap, Some("wants the whole address")),
            ("imap.web.de", "me@web.de", Mail::Imap, Some("before the @ as `user`: me")),
            ("imap.mail.me.com", "me@icloud.com", Mail::Imap, Some("before the @")),
            ("smtp.mail.me.com", "me", Mail::Smtp, Some("wants the whole address")),
            ("smtp.mail.me.com", "me@icloud.com", Mail::Smtp, None),
            ("imap.example.com", "me", Mail::Imap, None),
        ] {
            let said = another_form(host, user, mail);
            assert_eq!(said.is_some(), says.is_some(), "{host} {user}: {said:?}");
            assert!(said.unwrap_or_default().contains(says.unwrap_or_default()), "{host} {user}");
        }
    }
}
