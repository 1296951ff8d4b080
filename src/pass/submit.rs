//! Submit: a message of the user's own goes into the outbox, durably, for `mailsluice sendmail`.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::commit::Committer;
use super::plan::Decided;
use super::{Decide, Relays, World};
use crate::clean;
use crate::config::mailbox::is_address;
use crate::config::template::Template;
use crate::decision::{Action, Decision, EnvelopeFrom, Redirect, RedirectMode, Telling, Way};
use crate::error::{Error, Kind, Result};
use crate::filter::Engine;
use crate::message::{Address, Edit, Envelope, Flags, Key, Message, Origin, SUBMITTED, parse_addresses};
use crate::state::Owned;

/// So many recipients one message may have.
const MOST_RECIPIENTS: usize = 1000;

/// A message to be sent.
#[derive(Debug)]
pub struct Outgoing {
    /// The message; From, Date and Message-ID are added where they are missing.
    pub message: Message,
    /// Whether the recipients stand in To, Cc and Bcc.
    pub from_header: bool,
    /// The envelope sender, if it was given; empty for the null one.
    pub sender: Option<String>,
    /// The display name for a message without From.
    pub name: Option<String>,
    /// The recipients that were named.
    pub recipients: Vec<String>,
}

/// Puts it into the outbox. When this returns, it survives a power cut. The result is its number in the log.
pub fn submit(world: &World, relays: &Relays, outgoing: Outgoing) -> Result<i64> {
    if outgoing.message.size() == 0 {
        return Err(wrong("there is no message on standard input"));
    }
    let to = recipients(&outgoing, relays.own().first().map(String::as_str))?;
    if to.is_empty() {
        return Err(wrong("there is no recipient: name one, or use -t and write To into the message"));
    }
    if to.len() > MOST_RECIPIENTS {
        return Err(wrong("more than 1000 recipients"));
    }
    let from = outgoing.message.addresses("From").next();
    let has_from = from.is_some_and(|from| is_address(&from.address));
    let from = from.map(|from| from.address.clone());
    let sender = match outgoing.sender.as_deref() {
        Some("<>" | "") => Some(String::new()),
        Some(sender) => Some(sender.trim_matches(['<', '>']).to_owned()),
        None => from,
    };
    let relay = relays.relay_of_sender(sender.as_deref().unwrap_or_default());
    let own = relays.from(relay, "").unwrap_or_default().to_owned();
    if own.is_empty() && !has_from {
        return Err(wrong("there is no From, and no address of your own is known; add `me:` to the config"));
    }
    let message = completed(&outgoing, &own, world);
    let envelope_from = match sender.as_deref() {
        Some("") => EnvelopeFrom::Null,
        Some(sender) if is_address(sender) => EnvelopeFrom::Address(sender.to_owned()),
        // `cron` and its like call themselves by a login name.
        _ => EnvelopeFrom::Own,
    };
    let way = Way::Redirect(Redirect { to, mode: RedirectMode::Submit, envelope_from });
    let telling = Telling { version: 0, relay: relay.map(|relay| relay.name.clone()), way };
    record(world, message, telling)
}

/// One transaction, and the bytes in the spool before it.
fn record(world: &World, message: Message, telling: Telling) -> Result<i64> {
    let now = world.now();
    let origin = Arc::new(Origin { account: SUBMITTED.to_owned(), folder: "(stdin)".to_owned(), generation: 0 });
    let unique = format!("{}.{}", now.as_nanosecond(), std::process::id());
    let envelope = Envelope { key: Key::new(&origin, unique), arrived: now, flags: Flags::default(), announced: 0 };
    let decision =
        Decision { actions: vec![Action::Tell(telling)], why: vec!["sendmail".to_owned()], ..Decision::default() };
    let engine: Arc<dyn Decide> = Arc::new(Engine::default());
    // Adding to the outbox needs no ownership of it.
    let owned = Arc::new(Owned::private(SUBMITTED)?);
    let mut committer = Committer::new(world, &owned, SUBMITTED, engine, Template::inbox());
    let decided = Decided { envelope, message: Arc::new(message), decision, base: None };
    let published = committer.make_durable(vec![decided])?.unwrap_or_default();
    if let Err(e) = committer.finish() {
        // It is in the outbox, and whoever empties that marks it. Who heard of an error would give it again, and it would
        // go out twice.
        tracing::warn!("{e}");
    }
    let first = published.ids().next();
    first.ok_or_else(|| Error::transient(Kind::State, "putting the message into the outbox"))
}

/// Each one once. What stands in an argument may be a list, as in a field.
fn recipients(outgoing: &Outgoing, own: Option<&str>) -> Result<Vec<String>> {
    let mut to = Vec::new();
    for given in &outgoing.recipients {
        let found = given_in(given, &parse_addresses(given));
        if found.is_empty() {
            return Err(no_address(given));
        }
        to.extend(found);
    }
    if outgoing.from_header {
        let has_resent = outgoing.message.first("Resent-To").is_some();
        let fields: &[&str] = if has_resent { &["Resent-To", "Resent-Cc", "Resent-Bcc"] } else { &["To", "Cc", "Bcc"] };
        for field in fields.iter().flat_map(|field| outgoing.message.all(field)) {
            to.extend(given_in(field.value(), field.addresses()));
        }
    }
    let mut seen = std::collections::HashSet::new();
    let to: Result<Vec<String>> = to.into_iter().map(|address| checked(address, own)).collect();
    let mut to = to?;
    to.retain(|address| seen.insert(address.to_lowercase()));
    Ok(to)
}

/// Cron writes to login names: all mail of this machine is the user's.
fn checked(address: String, own: Option<&str>) -> Result<String> {
    match own {
        _ if is_address(&address) => Ok(address),
        Some(own) if is_login_name(&address) => Ok(own.to_owned()),
        None if is_login_name(&address) => Err(wrong(&format!(
            "{address} is a name of this machine; add `me:` to the config, and its mail goes to the first address there"
        ))),
        _ => Err(no_address(&address)),
    }
}

/// The addresses of a list, or a single login name, which is no address.
fn given_in(text: &str, found: &[Address]) -> Vec<String> {
    match text.trim() {
        login if is_login_name(login) => vec![login.to_owned()],
        _ => found.iter().map(|found| found.address.clone()).collect(),
    }
}

fn is_login_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 32
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn no_address(text: &str) -> Error {
    wrong(&format!("`{}` is no address; write name@example.com", clean::short(text, 80)))
}

fn wrong(text: &str) -> Error {
    Error::permanent(Kind::Usage, format!("sendmail: {text}"))
}

/// Bcc goes, and what RFC 5322 3.6 demands comes.
fn completed(outgoing: &Outgoing, own: &str, world: &World) -> Message {
    let message = &outgoing.message;
    let add = |name: &str, value: String| Edit::Add { name: name.to_owned(), value, last: true };
    let mut edits = vec![
        Edit::Delete { name: "Bcc".to_owned(), value_contains: None },
        Edit::Delete { name: "Resent-Bcc".to_owned(), value_contains: None },
        Edit::Delete { name: "Return-Path".to_owned(), value_contains: None },
    ];
    let now = world.now();
    // Cron writes `From: root (Cron Daemon)`, which no server takes.
    if message.addresses("From").next().is_none() {
        let from = match outgoing.name.as_deref().or(message.first("From")) {
            Some(name) => format!("\"{}\" <{own}>", name.replace(['"', '\\'], "")),
            None => own.to_owned(),
        };
        edits.push(Edit::Delete { name: "From".to_owned(), value_contains: None });
        edits.push(add("From", from));
    }
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
