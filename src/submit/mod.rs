//! Submit: puts a message of the user into the outbox, durably, for `mailsluice sendmail`.

mod complete;
mod recipients;
mod resent;
mod sender;

use std::sync::Arc;

use self::complete::completed;
use self::recipients::{check_header, recipients, usage_error};
use self::sender::Sender;
use crate::clean;
use crate::config::Relay;
use crate::config::mailbox::is_address;
use crate::config::template::Template;
use crate::decision::{Action, Decision, EnvelopeFrom, Redirect, RedirectMode, Telling, Way};
use crate::error::{Error, Kind, Result};
use crate::message::{Envelope, Flags, Key, Message, Origin, SUBMITTED};
use crate::outbox::Relays;
use crate::pass::{Cause, Decided, Filer, Notice, World};
use crate::state::Owned;

/// How many recipients one outbox item has. More recipients get items of their own.
const MOST_RECIPIENTS: usize = 1000;

/// A message to be sent.
#[derive(Debug)]
pub struct SubmittedMessage {
    /// The message. From, Date and Message-ID are added if they are missing.
    pub message: Message,
    /// Whether the recipients are taken from To, Cc and Bcc.
    pub from_header: bool,
    /// The envelope sender, if one was given; empty for the null reverse-path.
    pub sender: Option<String>,
    /// Whether the envelope sender is the address in From, whatever it is.
    pub sender_from_header: bool,
    /// The relay or account that was named.
    pub relay: Option<String>,
    /// The display name for a message without From.
    pub name: Option<String>,
    /// The recipients that were named.
    pub recipients: Vec<String>,
}

/// Puts a message into the outbox. When this returns, the message survives a power cut. Returns the number of its
/// journal entry.
pub fn submit(world: &World, relays: &Relays, outgoing: &SubmittedMessage) -> Result<i64> {
    if outgoing.message.size() == 0 {
        return Err(usage_error("there is no message on standard input".to_owned()));
    }
    check_header(&outgoing.message)?;
    let to = recipients(outgoing, relays)?;
    if to.is_empty() {
        return Err(usage_error("there is no recipient: name one, or use -t and write To into the message".to_owned()));
    }
    let (sender, relay) = sender_and_relay(outgoing, relays)?;
    let relay = Some(relay);
    let own = relays.from(relay, "").unwrap_or_default().to_owned();
    let has_from = outgoing.message.addresses("From").any(|from| is_address(&from.address));
    if own.is_empty() && !has_from {
        let text = "there is no From, and no address of your own is known; add `me:` to the config";
        return Err(usage_error(text.to_owned()));
    }
    let message = completed(outgoing, &own, relays, world);
    let envelope_from = match sender {
        Sender::Null => EnvelopeFrom::Null,
        Sender::Address(sender) => EnvelopeFrom::Address(sender),
        Sender::Own => EnvelopeFrom::Own,
    };
    let telling = |to: &[String]| {
        let (to, envelope_from) = (to.to_vec(), envelope_from.clone());
        let way = Way::Redirect(Redirect { to, mode: RedirectMode::Submit, envelope_from });
        Action::Tell(Telling { version: 0, relay: relay.map(|relay| relay.name.clone()), way })
    };
    record(world, message, to.chunks(MOST_RECIPIENTS).map(telling).collect())
}

/// Checks the recipients as far as that is possible without a server. Returns them, and the name of the relay.
pub fn verify(relays: &Relays, outgoing: &SubmittedMessage) -> Result<(Vec<String>, String)> {
    let (_, relay) = sender_and_relay(outgoing, relays)?;
    Ok((recipients(outgoing, relays)?, relay.name.clone()))
}

/// The sender of the message, and the relay that carries it.
fn sender_and_relay<'r>(outgoing: &SubmittedMessage, relays: &'r Relays) -> Result<(Sender, &'r Relay)> {
    let sender = sender::sender(outgoing, relays)?;
    let named = if let Sender::Address(sender) = &sender { sender } else { "" };
    let relay = match &outgoing.relay {
        Some(name) => relays.relay_or_that_of_account(name),
        None => relays.relay_of_sender(named),
    };
    let problem = match &outgoing.relay {
        Some(name) => format!("sendmail: there is no relay `{}`, nor an account with one", clean::short(name, 60)),
        None if relays.has_none() => "sendmail: there is no relay to send mail through".to_owned(),
        None => "sendmail: no relay is the default one".to_owned(),
    };
    let help = "define relays under `relays:` in the config; the one called `default` is used when none is named";
    relay.map(|relay| (sender, relay)).ok_or_else(|| Error::permanent(Kind::Config, problem).helped_by(help))
}

/// The notice beside a message in the inbox that says that it was not sent. It is for users who do not see what their
/// program prints.
pub fn notice_of_refusal(world: &World, message: &Message, why: &Error) -> Message {
    let subject = clean::short(message.first("Subject").unwrap_or("(none)"), 200);
    let text = format!(
        "The message \"{subject}\" was not sent to anybody: {}.\n\nIt is in the inbox, as the program submitted it.",
        clean::line(why.to_string().as_bytes())
    );
    Notice { cause: Cause::NotSent, account: SUBMITTED.to_owned(), text }.message(world.now(), &world.host)
}

/// Records the message in one transaction of the state. Its bytes are in the spool before that.
fn record(world: &World, message: Message, actions: Vec<Action>) -> Result<i64> {
    let now = world.now();
    let origin = Arc::new(Origin { account: SUBMITTED.to_owned(), folder: "(stdin)".to_owned(), generation: 0 });
    let unique = format!("{}.{}", now.as_nanosecond(), std::process::id());
    let envelope = Envelope { key: Key::new(&origin, unique), arrived: now, flags: Flags::default(), announced: 0 };
    let decision = Decision { actions, why: vec!["sendmail".to_owned()], ..Decision::default() };
    // Adding to the outbox does not need its lock.
    let owned = Arc::new(Owned::private(SUBMITTED)?);
    let mut filer = Filer::new(world, &owned, SUBMITTED, Template::inbox());
    let decided = Decided { envelope, message: Arc::new(message), decision, base: None };
    let published = filer.make_durable(vec![decided])?.unwrap_or_default();
    if let Err(e) = filer.finish() {
        // The message is in the outbox, and the process that empties the outbox marks the entry. An error here would
        // make the caller submit it again, and it would be sent twice.
        tracing::warn!("{e}");
    }
    let first = published.ids().next();
    first.ok_or_else(|| Error::transient(Kind::State, "putting the message into the outbox"))
}
