//! To whom a message of the user's own goes: all that its caller names, or nobody.

use std::collections::HashSet;

use super::{Outgoing, Relays};
use crate::clean;
use crate::config::mailbox::flaw;
use crate::error::{Error, Kind, Result};
use crate::message::{Address, AddressList, MAX_HEADER, Recipient, Unreadable, Violation};
use crate::ourselves::is_login;

/// So many parts that cannot be read are named.
const MOST_NAMED: usize = 3;

/// Each one once, in order. A list that cannot be read whole is refused whole: whoever is left out would never know.
pub(super) fn recipients(outgoing: &Outgoing, relays: &Relays) -> Result<Vec<String>> {
    let names = Names { own: relays.own().first().map(String::as_str), domain: relays.domain() };
    let mut to = Vec::new();
    for given in &outgoing.recipients {
        to.push(one(given).and_then(|one| names.address(one)).map_err(|Flaw(text)| wrong(text))?);
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
struct Flaw(String);

/// The envelope sender that was named, one address or a name without a domain.
pub(super) fn sender(given: &str) -> Result<Recipient> {
    one(given).map_err(|flaw| wrong(format!("the sender {flaw}")))
}

/// An argument is one recipient: two of them in one would be read by everybody as he likes.
fn one(given: &str) -> Result<Recipient, Flaw> {
    let mut found = AddressList::read(given).recipients(&is_login).map_err(|bad| named(&bad))?;
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(Flaw(format!("`{}` is not one address; write name@example.com", clean::short(given, 80)))),
    }
}

fn in_fields(outgoing: &Outgoing, names: &Names<'_>) -> Result<Vec<String>> {
    let message = &outgoing.message;
    let has_too_many = message.violations().contains(&Violation::TooManyFields);
    if message.head().len() >= MAX_HEADER || has_too_many {
        let most = MAX_HEADER / 1024;
        return Err(unreadable(format!(
            "its header has over {most} KiB, or over a thousand fields; name the recipients"
        )));
    }
    let has_resent = message.first("Resent-To").is_some();
    let fields: &[&str] = if has_resent { &["Resent-To", "Resent-Cc", "Resent-Bcc"] } else { &["To", "Cc", "Bcc"] };
    let mut to = Vec::new();
    for field in fields.iter().flat_map(|name| message.all(name)) {
        let in_field = |flaw: Flaw| unreadable(format!("nothing is sent: in {}, {flaw}", field.name()));
        for one in field.address_list().recipients(&is_login).map_err(|bad| in_field(named(&bad)))? {
            to.push(names.address(one).map_err(in_field)?);
        }
    }
    Ok(to)
}

fn named(bad: &[Unreadable]) -> Flaw {
    let mut texts: Vec<String> = bad.iter().take(MOST_NAMED).map(Unreadable::to_string).collect();
    if bad.len() > MOST_NAMED {
        texts.push(format!("and {} more", bad.len() - MOST_NAMED));
    }
    Flaw(texts.join("; "))
}

/// What names without a domain stand for.
struct Names<'a> {
    own: Option<&'a str>,
    domain: Option<&'a str>,
}

impl Names<'_> {
    /// An address that can be written into an envelope, or what is wrong with it. Cron writes to login names: all mail of this
    /// machine is the user's. Other names are those of people in the domain that he writes from.
    fn address(&self, recipient: Recipient) -> Result<String, Flaw> {
        let domain = self.domain.or_else(|| self.own?.rsplit_once('@').map(|(_, domain)| domain));
        let address = match recipient {
            Recipient::Address(address) => Some(address),
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

/// A mistake of the command line.
pub(super) fn wrong(text: String) -> Error {
    Error::permanent(Kind::Usage, format!("sendmail: {text}"))
}

/// A mistake of the message.
fn unreadable(text: String) -> Error {
    Error::permanent(Kind::Data, format!("sendmail: {text}"))
}
