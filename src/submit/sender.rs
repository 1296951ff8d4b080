//! The envelope sender of a message that the user submits.

use std::fs;

use super::SubmittedMessage;
use super::recipients::{parse_recipient, usage_error};
use super::resent;
use crate::config::mailbox::is_address;
use crate::error::Result;
use crate::message::{Address, Field, Message, Recipient};
use crate::outbox::Relays;

/// The envelope sender. It also selects the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// `<>`.
    Null,
    /// This address.
    Address(String),
    /// The user's address at the relay.
    Own,
}

/// The named sender, or the first sender in the message that is one of the user's addresses: a relay accepts no other,
/// and reports go to the envelope sender.
pub(super) fn sender(outgoing: &SubmittedMessage, relays: &Relays) -> Result<Sender> {
    match outgoing.sender.as_deref().map(str::trim) {
        Some("<>" | "") => Ok(Sender::Null),
        Some(given) => named(given, relays),
        None if outgoing.sender_from_header => Ok(first_of(&outgoing.message)),
        None => Ok(of_message(&outgoing.message, relays)),
    }
}

/// The sender given with `-f`. `cron` and similar programs give a login name, and `mail` one at this machine.
fn named(given: &str, relays: &Relays) -> Result<Sender> {
    let given = parse_recipient(given).map_err(|flaw| usage_error(format!("the sender {flaw}")))?;
    Ok(match given {
        Recipient::Address(address) if relays.is_own(&address) || !is_of_this_machine(&address) => {
            Sender::Address(address)
        }
        Recipient::Address(_) | Recipient::Bare(_) => Sender::Own,
    })
}

/// The sender that the message names, whoever that is.
fn first_of(message: &Message) -> Sender {
    let found = candidates(message).into_iter().flat_map(Field::addresses).find(|found| is_address(&found.address));
    found.map_or(Sender::Own, |found| Sender::Address(found.address.clone()))
}

fn of_message(message: &Message, relays: &Relays) -> Sender {
    if relays.own().is_empty() {
        // Nothing is known about the user except what the message says.
        return first_of(message);
    }
    let mut candidates = candidates(message).into_iter().flat_map(Field::addresses);
    let is_own = |address: &&Address| is_address(&address.address) && relays.is_own(&address.address);
    candidates.find(is_own).map_or(Sender::Own, |address| Sender::Address(address.address.clone()))
}

/// The fields that name the sender (RFC 5322 3.6.2, 3.6.6).
fn candidates(message: &Message) -> Vec<&Field> {
    let resent = resent::newest(message);
    let named = |name| resent.iter().copied().filter(move |field| field.is_named(name));
    match resent.is_empty() {
        true => message.all("From").chain(message.all("Sender")).collect(),
        false => named("Resent-Sender").chain(named("Resent-From")).collect(),
    }
}

/// The file with the name under which this machine sends mail, if somebody wrote one.
const MAIL_NAME_FILE: &str = "/etc/mailname";

/// Whether an address is at this machine, so that nobody outside can answer it.
pub(super) fn is_of_this_machine(address: &str) -> bool {
    let Some((_, domain)) = address.rsplit_once('@') else { return true };
    let is = |name: &str| !name.is_empty() && name.eq_ignore_ascii_case(domain);
    let is_local = !domain.contains('.') && !domain.starts_with('[')
        || [".localdomain", ".local", ".localhost"].iter().any(|end| domain.to_lowercase().ends_with(end));
    is_local
        || is(&rustix::system::uname().nodename().to_string_lossy())
        || fs::read_to_string(MAIL_NAME_FILE).is_ok_and(|name| is(name.trim()))
}
