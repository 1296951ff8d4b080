//! Completes a message that the user submits: adds the fields that RFC 5322 3.6 demands and a domain to every address
//! (RFC 6409 8.6), and removes Bcc.

use jiff::tz::TimeZone;

use super::SubmittedMessage;
use super::recipients::LocalNames;
use super::sender::is_of_this_machine;
use crate::message::{Address, Edit, Message, complete_addresses};
use crate::outbox::Relays;
use crate::pass::World;

/// Fields with addresses that local programs write without a domain.
const ADDRESS_FIELDS: [&str; 11] = [
    "From",
    "To",
    "Cc",
    "Reply-To",
    "Sender",
    "Resent-From",
    "Resent-Sender",
    "Resent-Reply-To",
    "Resent-To",
    "Resent-Cc",
    "Disposition-Notification-To",
];

/// Fields that only the sender may see, or that a server writes at delivery.
const FIELDS_REMOVED: [&str; 3] = ["Bcc", "Resent-Bcc", "Return-Path"];

/// Completes a message. `own` is the address that it is written from, or empty if none is known.
pub(super) fn completed(outgoing: &SubmittedMessage, own: &str, relays: &Relays, world: &World) -> Message {
    let names = LocalNames::of(relays);
    let message = outgoing.message.with_values(|name, value| {
        let is_one = ADDRESS_FIELDS.iter().any(|known| known.eq_ignore_ascii_case(name));
        if is_one { complete_addresses(value, &|local| names.for_field(local)) } else { None }
    });
    let add = |name: &str, value: String| Edit::Add { name: name.to_owned(), value, last: true };
    let mut edits: Vec<Edit> = FIELDS_REMOVED.map(|name| Edit::Delete { name: name.to_owned(), only: None }).into();
    let message_from = |message: &Message| message.addresses("From").any(|from| is_from_outside(from, relays));
    if !own.is_empty() && !message_from(&outgoing.message) {
        edits.push(Edit::Delete { name: "From".to_owned(), only: None });
        edits.push(add("From", written_from(outgoing, own)));
    }
    let now = world.now();
    if message.first("Date").is_none() {
        let date = jiff::fmt::rfc2822::to_string(&now.to_zoned(TimeZone::system())).unwrap_or_default();
        edits.push(add("Date", date));
    }
    if message.first("Message-ID").is_none() {
        let host = own.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
        edits.push(add("Message-ID", format!("<{}.{}@{host}>", now.as_nanosecond(), std::process::id())));
    }
    message.edited(&edits)
}

/// Whether an address means something outside this machine. Cron writes `From: root (Cron Daemon)`, and `mail` an
/// address at this machine; no server accepts either.
fn is_from_outside(from: &Address, relays: &Relays) -> bool {
    from.has_domain() && (relays.is_own(&from.address) || !is_of_this_machine(&from.address))
}

/// The user's address with the given name, or with the name in the field.
fn written_from(outgoing: &SubmittedMessage, own: &str) -> String {
    let of_field = || {
        let field = outgoing.message.all("From").next()?;
        let named = field.addresses().first().map(|from| from.name.clone().unwrap_or_else(|| from.address.clone()));
        named.or_else(|| Some(field.value().to_owned()))
    };
    let name = outgoing.name.clone().or_else(of_field).filter(|name| !name.trim().is_empty());
    match name {
        Some(name) => format!("\"{}\" <{own}>", name.replace(['"', '\\'], "")),
        None => own.to_owned(),
    }
}
