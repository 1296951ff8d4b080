//! Submit: a message of the user's own goes into the outbox, durably, for `mailsluice sendmail`.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::commit::Committer;
use super::plan::Decided;
use super::recipients::{recipients, sender, wrong};
use super::{Cause, Decide, Notice, Relays, World};
use crate::clean;
use crate::config::mailbox::is_address;
use crate::config::template::Template;
use crate::decision::{Action, Decision, EnvelopeFrom, Redirect, RedirectMode, Telling, Way};
use crate::error::{Error, Kind, Result};
use crate::filter::Engine;
use crate::message::{Address, Edit, Envelope, Flags, Key, Message, Origin, Recipient, SUBMITTED};
use crate::state::Owned;

/// So many recipients one transaction has; the others of a message have their own.
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
pub fn submit(world: &World, relays: &Relays, outgoing: &Outgoing) -> Result<i64> {
    if outgoing.message.size() == 0 {
        return Err(wrong("there is no message on standard input".to_owned()));
    }
    let to = recipients(outgoing, relays)?;
    if to.is_empty() {
        return Err(wrong("there is no recipient: name one, or use -t and write To into the message".to_owned()));
    }
    let from = outgoing.message.addresses("From").next();
    let has_from = from.is_some_and(|from| is_address(&from.address));
    let from = from.map(|from| from.address.clone());
    let sender = match outgoing.sender.as_deref().map(str::trim) {
        Some("<>" | "") => Some(String::new()),
        // `cron` and its like call themselves by a login name.
        Some(given) => match sender(given)? {
            Recipient::Address(address) | Recipient::Bare(address) => Some(address),
        },
        None => from,
    };
    let relay = relays.relay_of_sender(sender.as_deref().unwrap_or_default());
    let own = relays.from(relay, "").unwrap_or_default().to_owned();
    if own.is_empty() && !has_from {
        let text = "there is no From, and no address of your own is known; add `me:` to the config";
        return Err(wrong(text.to_owned()));
    }
    let message = completed(outgoing, &own, world);
    let envelope_from = match sender.as_deref() {
        Some("") => EnvelopeFrom::Null,
        Some(sender) if is_address(sender) => EnvelopeFrom::Address(sender.to_owned()),
        _ => EnvelopeFrom::Own,
    };
    let telling = |to: &[String]| {
        let (to, envelope_from) = (to.to_vec(), envelope_from.clone());
        let way = Way::Redirect(Redirect { to, mode: RedirectMode::Submit, envelope_from });
        Action::Tell(Telling { version: 0, relay: relay.map(|relay| relay.name.clone()), way })
    };
    record(world, message, to.chunks(MOST_RECIPIENTS).map(telling).collect())
}

/// What says beside a message in the inbox that it was not sent, to whoever does not read what its program says.
pub fn notice_of_refusal(world: &World, message: &Message, why: &Error) -> Message {
    let subject = clean::short(message.first("Subject").unwrap_or("(none)"), 200);
    let text = format!(
        "The message \"{subject}\" was not sent to anybody: {}.\n\nIt is in the inbox, as the program gave it that was to \
         send it.",
        clean::line(why.to_string().as_bytes())
    );
    Notice { cause: Cause::NotSent, account: SUBMITTED.to_owned(), text }.message(world.now(), &world.host)
}

/// One transaction of the state, and the bytes in the spool before it.
fn record(world: &World, message: Message, actions: Vec<Action>) -> Result<i64> {
    let now = world.now();
    let origin = Arc::new(Origin { account: SUBMITTED.to_owned(), folder: "(stdin)".to_owned(), generation: 0 });
    let unique = format!("{}.{}", now.as_nanosecond(), std::process::id());
    let envelope = Envelope { key: Key::new(&origin, unique), arrived: now, flags: Flags::default(), announced: 0 };
    let decision = Decision { actions, why: vec!["sendmail".to_owned()], ..Decision::default() };
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
    if !message.addresses("From").any(Address::has_domain) {
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
