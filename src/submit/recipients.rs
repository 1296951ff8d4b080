//! The recipients of a message that the user submits: all that are named, or none.

use std::collections::HashSet;

use super::sender::is_of_this_machine;
use super::{SubmittedMessage, resent};
use crate::clean;
use crate::config::mailbox::flaw;
use crate::error::{Error, Kind, Result};
use crate::message::{Address, AddressList, Field, MAX_HEADER, Message, Recipient, Unreadable, Violation};
use crate::outbox::Relays;
use crate::user::is_login;

/// How many parts that cannot be read an error names.
const MAX_FLAWS_NAMED: usize = 3;

/// Takes a header whole or not at all: the part that was cut off might hold recipients, and a Bcc that everybody would
/// see.
pub(super) fn check_header(message: &Message) -> Result<()> {
    let has_too_many = message.violations().contains(&Violation::TooManyFields);
    match message.head().len() >= MAX_HEADER || has_too_many {
        true => Err(data_error(format!(
            "its header has over {} KiB, or over a thousand fields; name the recipients on the command line, and leave them out of the header",
            MAX_HEADER / 1024
        ))),
        false => Ok(()),
    }
}

/// Each recipient once, in order. A list that cannot be read whole is refused whole, because nobody would learn who was
/// left out.
pub(super) fn recipients(outgoing: &SubmittedMessage, relays: &Relays) -> Result<Vec<String>> {
    let names = LocalNames::of(relays);
    let mut to = Vec::new();
    for given in &outgoing.recipients {
        to.push(parse_recipient(given).and_then(|one| names.address(one)).map_err(|Flaw(text)| usage_error(text))?);
    }
    if outgoing.from_header {
        to.extend(in_fields(outgoing, &names)?);
    }
    let mut seen = HashSet::new();
    to.retain(|address| seen.insert(Address { name: None, address: address.clone() }.canonical()));
    Ok(to)
}

/// What is wrong with a recipient, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Flaw(String);

/// Reads an argument as one recipient. Programs disagree about two recipients in one argument, so that is refused.
pub(super) fn parse_recipient(given: &str) -> Result<Recipient, Flaw> {
    let mut found = AddressList::read(given).recipients(&is_login).map_err(|bad| named(&bad))?;
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(Flaw(format!("`{}` is not one address; write name@example.com", clean::short(given, 80)))),
    }
}

fn in_fields(outgoing: &SubmittedMessage, names: &LocalNames<'_>) -> Result<Vec<String>> {
    let message = &outgoing.message;
    let mut to = Vec::new();
    for field in naming_recipients(message) {
        let in_field = |flaw: Flaw| data_error(format!("nothing is sent: in {}, {flaw}", field.name()));
        for one in field.address_list().recipients(&is_login).map_err(|bad| in_field(named(&bad)))? {
            to.push(names.address(one).map_err(in_field)?);
        }
    }
    Ok(to)
}

/// The fields that name recipients. In resent mail these are the fields of the newest resending, because the message
/// has already gone to the others (RFC 5322 3.6.6).
fn naming_recipients(message: &Message) -> Vec<&Field> {
    let resent = resent::newest(message);
    let of = |names: &'static [&str]| move |field: &&Field| names.iter().any(|name| field.is_named(name));
    match resent.is_empty() {
        true => message.fields().iter().filter(of(&["To", "Cc", "Bcc"])).collect(),
        false => resent.into_iter().filter(of(&["Resent-To", "Resent-Cc", "Resent-Bcc"])).collect(),
    }
}

fn named(bad: &[Unreadable]) -> Flaw {
    let mut texts: Vec<String> = bad.iter().take(MAX_FLAWS_NAMED).map(Unreadable::to_string).collect();
    if bad.len() > MAX_FLAWS_NAMED {
        texts.push(format!("and {} more", bad.len() - MAX_FLAWS_NAMED));
    }
    Flaw(texts.join("; "))
}

/// What names without a domain mean.
pub(super) struct LocalNames<'a> {
    own: Option<&'a str>,
    domain: Option<&'a str>,
}

impl<'a> LocalNames<'a> {
    pub(super) fn of(relays: &'a Relays) -> Self {
        Self { own: relays.own().first().map(String::as_str), domain: relays.domain() }
    }

    /// The address that a name in a field means, if one is known.
    pub(super) fn for_field(&self, name: &str) -> Option<String> {
        self.address(Recipient::Bare(name.to_owned())).ok()
    }

    /// An address that can be written into an envelope, or what is wrong with it. Cron writes to login names, and all
    /// mail of this machine is the user's. Other names are people in the domain of the user's address.
    fn address(&self, recipient: Recipient) -> Result<String, Flaw> {
        let domain = self.domain.or_else(|| self.own?.rsplit_once('@').map(|(_, domain)| domain));
        let address = match recipient {
            // mutt and others append the name of this machine to a login.
            Recipient::Address(address) if is_login_here(&address) => self.own.map(str::to_owned),
            Recipient::Address(address) => Some(address),
            Recipient::Bare(name) if name.contains('/') => {
                return Err(Flaw(format!("`{}` is a path, not a name", clean::short(&name, 80))));
            }
            Recipient::Bare(name) if is_login(&name) => self.own.map(str::to_owned),
            Recipient::Bare(name) => domain.map(|domain| format!("{name}@{domain}")),
        };
        let Some(address) = address else {
            let text = "a name without a domain is one of this machine; add `me:` to the config, and its mail goes to the \
                        first address there";
            return Err(Flaw(text.to_owned()));
        };
        match flaw(&address) {
            None if !address.starts_with('-') => Ok(address),
            None => Err(Flaw(format!("`{}` begins like an option", clean::short(&address, 80)))),
            Some(flaw) => Err(Flaw(format!("`{}` cannot be written to a server: {flaw}", clean::short(&address, 80)))),
        }
    }
}

/// Whether it is a login of this machine with the machine's name.
fn is_login_here(address: &str) -> bool {
    let login = address.rsplit_once('@').map(|(login, _)| login);
    login.is_some_and(|login| is_of_this_machine(address) && is_login(login))
}

/// An error of the command line.
pub(super) fn usage_error(text: String) -> Error {
    Error::permanent(Kind::Usage, format!("sendmail: {text}"))
}

/// An error of the message.
fn data_error(text: String) -> Error {
    Error::permanent(Kind::Data, format!("sendmail: {text}"))
}
