//! Decides whether a message may be answered or forwarded: by RFC 3834, RFC 5230, and the experience of vacation
//! programs. Every refusal names its row in the checklist that the tests follow (A1 to A36), so that `log` and
//! `explain` can show it.

use std::fmt;
use std::time::Duration;

use super::asking::Break;
use super::conditions::spam_verdict;
use super::fingerprint::fingerprint;
use super::old;
use super::returned::is_about_a_forward;
use super::run::Run;
use crate::config::mailbox::is_address;
use crate::decision::{ANSWERED, Fact, Write};
use crate::message::{Address, Field, Message, REDIRECTED_FROM, is_program, is_robot, unwrapped};

/// How long an answered message is remembered. No copy of it arrives later than that.
const KNOWN_FOR: jiff::SignedDuration = jiff::SignedDuration::from_hours(30 * 24);

/// Older mail is not answered, unless an action says otherwise.
pub(super) const MAX_AGE: Duration = Duration::from_secs(2 * 86_400);

/// An answer that a rule wants to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlannedReply<'a> {
    pub(super) handle: &'a str,
    /// Further addresses of the user.
    pub(super) addresses: &'a [String],
    /// Senders that are answered although their address looks like that of a program.
    pub(super) even: &'a [String],
    /// Older mail is not answered.
    pub(super) max_age: Duration,
    /// Mail that was on the server before the first run is answered too.
    pub(super) even_old: bool,
    /// The same sender is answered again after this time; `None` means always.
    pub(super) again_after: Option<Duration>,
    /// Whether it is a personal answer, which is sent only if the message names an address of the user (RFC 5230 4.5).
    /// A service answers all mail.
    pub(super) personal: bool,
}

/// Why no answer is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The row of the checklist: `A7`.
    pub row: &'static str,
    /// The reason as text.
    pub why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no reply: {}, {}", self.row, self.why)
    }
}

pub(super) fn refusal(row: &'static str, why: impl Into<String>) -> Option<Refusal> {
    Some(Refusal { row, why: why.into() })
}

/// The address to answer, or why there must be no answer. If an answer is sent, the message is recorded as answered.
pub(super) fn check(run: &mut Run<'_>, answering: &PlannedReply<'_>) -> Result<Result<String, Refusal>, Break> {
    if !run.asking.around.is_empty() {
        return Ok(Err(Refusal { row: "split", why: "it came within another message".into() }));
    }
    let message = std::sync::Arc::clone(run.asking.original());
    let is_own = |address: &str| {
        let address = address.to_lowercase();
        run.asking.settings.is_me(&address) || answering.addresses.iter().any(|own| own.to_lowercase() == address)
    };
    // The address it was delivered to belongs to the user too, so that nobody answers himself.
    let delivered = message.delivered_to().unwrap_or_default().to_lowercase();
    let is_self = |address: &str| is_own(address) || address.to_lowercase() == delivered;
    let sender = message.envelope_sender().unwrap_or_default();
    let plain = unwrapped(sender);
    let is_known = answering.even.iter().any(|even| even.eq_ignore_ascii_case(sender) || even.to_lowercase() == plain);
    let refused = by_sender(&message, &is_self, is_known)
        .or_else(|| by_header(&message, is_known))
        .or_else(|| if is_known { None } else { by_reply_to(&message, &is_self) })
        .or_else(|| if answering.personal { by_recipient(&message, &is_own) } else { None })
        .or_else(|| old::by_age(run, answering.max_age));
    let refused = match refused {
        None if !answering.even_old => old::by_first_look(run)?,
        refused => refused,
    };
    if let Some(refused) = refused {
        return Ok(Err(refused));
    }
    let to = message.envelope_sender().unwrap_or_default().to_owned();
    let key = identity(&message, &unwrapped(&to));
    if run.asking.holds(Fact::Seen { handle: ANSWERED.to_owned(), key: key.clone() })? {
        return Ok(Err(Refusal { row: "A26", why: "this message was answered already".into() }));
    }
    if let Some(again_after) = answering.again_after {
        let now = run.asking.now().timestamp();
        let since = now.checked_sub(again_after).unwrap_or(jiff::Timestamp::MIN);
        let fact = Fact::Answered { handle: answering.handle.to_owned(), sender: unwrapped(&to), since };
        if run.asking.holds(fact)? {
            return Ok(Err(Refusal { row: "A18", why: format!("{to} was answered already") }));
        }
    }
    let until = run.asking.now().timestamp().checked_add(KNOWN_FOR).unwrap_or(jiff::Timestamp::MAX);
    run.asking.write(Write::Seen { handle: ANSWERED.to_owned(), key, until })?;
    Ok(Ok(to))
}

/// Identifies a message, because at most one answer is sent for it (RFC 5230 4.7), even if it arrives in several
/// accounts or through several aliases. It is identified by the sender's Message-ID, or else by fields that few
/// messages share. Servers do not change these.
fn identity(message: &Message, sender: &str) -> String {
    let mut told_by = vec![sender];
    match message.message_id() {
        Some(id) => told_by.push(id),
        None => {
            let fields = ["From", "Date", "Subject", "To"];
            told_by.extend(fields.map(|name| message.first(name).unwrap_or_default()));
        }
    }
    data_encoding::HEXLOWER.encode(&fingerprint(told_by))
}

/// The result of the check for an ordinary answer: the address that would be answered, or why none would be.
/// `personal`: by `vacation`, otherwise by `reply`.
pub(super) fn would_answer(run: &mut Run<'_>, personal: bool) -> Result<Result<String, Refusal>, Break> {
    let answering = PlannedReply {
        handle: "",
        addresses: &[],
        even: &[],
        max_age: MAX_AGE,
        even_old: false,
        again_after: None,
        personal,
    };
    check(run, &answering)
}

/// This many hops mean a loop (RFC 5321 6.3 asks for at least 100; Postfix takes 50, and a person's mail has ten).
const MAX_HOPS: usize = 50;

/// The fields by which programs recognise mail that they forwarded: ours, Pigeonhole's, Cyrus', and that of procmail
/// recipes.
const REDIRECTED_FIELDS: [&str; 4] = [REDIRECTED_FROM, "X-Sieve-Redirected-From", "X-Redirected-From", "X-Loop"];

/// A forward that a rule wants to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forwarding<'a> {
    pub(super) to: &'a [String],
    /// Older mail is not forwarded.
    pub(super) max_age: Duration,
    /// Mail that was on the server before the first run is forwarded too.
    pub(super) even_old: bool,
    /// Spam is forwarded too.
    pub(super) even_spam: bool,
}

/// Why a message must not be forwarded: loops (RFC 5228 4.2), our own notices, spam, or old mail (row A32).
pub(super) fn forward_refused(run: &Run<'_>, forwarding: &Forwarding<'_>) -> Result<Option<String>, Break> {
    if let Some(why) = forbidden(run, forwarding) {
        return Ok(Some(format!("not forwarded: {why}")));
    }
    if !forwarding.even_old && run.asking.stood()? {
        let why = old::stood();
        return Ok(Some(format!("not forwarded: {}, {}; `even_old: true` forwards such mail too", why.row, why.why)));
    }
    let by_age = old::by_age(run, forwarding.max_age);
    Ok(by_age.map(|refusal| format!("not forwarded: {}, it is older than `max_age`", refusal.row)))
}

/// Why a message must not be forwarded, apart from its age.
fn forbidden(run: &Run<'_>, forwarding: &Forwarding<'_>) -> Option<String> {
    let Forwarding { to, even_spam, .. } = *forwarding;
    // What forbids forwarding a message also forbids forwarding messages within it: our mark is in the outer header.
    let around = run.asking.around.iter().rev();
    if let Some(why) = [run.asking.original()].into_iter().chain(around).find_map(|message| looping(run, message, to)) {
        return Some(why);
    }
    let most = run.asking.settings.limits.forwards_per_message;
    if (run.forwards() + to.len()) as u64 > most {
        return Some(format!("it would go to more addresses than `forwards_per_message` allows ({most})"));
    }
    // Servers treat a forwarder of spam as its sender. The edited message counts, because a spam filter of the user may
    // have added its result.
    let mut all = [run.asking.message()].into_iter().chain(&run.asking.around);
    let spam = if even_spam { None } else { all.find_map(|message| spam_verdict(message)) };
    spam.map(|why| format!("{why}; `even_spam: true` forwards such mail too"))
}

/// Why forwarding this message, or a message within it, would make a loop, or why it must stay local.
fn looping(run: &Run<'_>, message: &Message, to: &[String]) -> Option<String> {
    let refused = |why: &str| Some(why.to_owned());
    let is_own = |value: &str| run.asking.settings.is_me(&value.trim().to_lowercase());
    if REDIRECTED_FIELDS.iter().any(|name| message.all(name).any(|field| is_own(field.value()))) {
        return refused("it was forwarded from here before (a loop)");
    }
    if is_about_a_forward(message, &is_own, to) {
        return refused("it is a report about a message that was forwarded from here");
    }
    let was_there = |field: &Field| to.iter().any(|to| to.eq_ignore_ascii_case(field.value().trim_matches(['<', '>'])));
    if message.all("Delivered-To").any(was_there) {
        return refused("it was delivered to that address before (a loop)");
    }
    if message.all("Received").count() > MAX_HOPS {
        return refused("it has passed more than 50 servers (a loop)");
    }
    message.first("X-Mailsluice-Notice").and_then(|_| refused("notices stay here"))
}

/// Why no notification is sent: the mail is old; or the notification is a mail about automatic mail, which may be
/// another notification, and that makes a loop (RFC 5436 2.7).
pub(super) fn notification_refused(run: &Run<'_>, by_mail: bool) -> Result<Option<String>, Break> {
    let mut all = [run.asking.original()].into_iter().chain(&run.asking.around);
    if let Some(why) = all.find_map(|message| automatic(message)).filter(|_| by_mail) {
        return Ok(Some(format!("not notified by mail: {why}")));
    }
    let refused = match old::by_age(run, old::NEW_FOR) {
        Some(refusal) => Some(refusal),
        None => old::by_first_look(run)?,
    };
    Ok(refused.map(|Refusal { row, why }| format!("not notified: {row}, {why}")))
}

/// The value of Auto-Submitted, if it says that no person sent the message (RFC 3834 5).
fn automatic(message: &Message) -> Option<String> {
    let field = message.all("Auto-Submitted").find(|field| !is_no(field.value()))?;
    Some(format!("Auto-Submitted is {}", crate::clean::short(field.value(), 60)))
}

/// The rows about the envelope sender, the only address that may be answered. For a known sender, the name does not
/// matter.
fn by_sender(message: &Message, is_own: &dyn Fn(&str) -> bool, is_known: bool) -> Option<Refusal> {
    let Some(sender) = message.envelope_sender() else {
        return refusal("A2", "there is no Return-Path");
    };
    if sender.is_empty() {
        return refusal("A1", "the envelope sender is empty");
    }
    let address = Address { name: None, address: sender.to_owned() };
    if !is_address(sender) || !has_real_domain(address.domain()) {
        return refusal("A36", format!("the envelope sender {} cannot be answered", crate::clean::short(sender, 80)));
    }
    // Tags that forwarders and senders add do not change whose address it is.
    let plain = Address { name: None, address: unwrapped(sender) };
    if is_own(sender) || is_own(&plain.address) {
        return refusal("A17", "it comes from an own address");
    }
    by_local_part(plain.local_part(), is_known).or_else(|| {
        // It is forged, or a service sent it in the user's name. The answer would not reach the author.
        let is_own = message.addresses("From").any(|from| is_own(&from.address));
        is_own.then(|| refusal("A17", "it says that it comes from an own address")).flatten()
    })
}

/// Whether the domain can exist, which RFC 3834 2 encourages to check.
fn has_real_domain(domain: &str) -> bool {
    let domain = domain.to_lowercase();
    domain.contains('.') && !domain.starts_with('.') && !domain.ends_with('.') && !domain.ends_with(".invalid")
}

fn by_local_part(local: &str, is_known: bool) -> Option<Refusal> {
    const SYSTEM: [&str; 3] = ["mailer-daemon", "listserv", "majordomo"];
    let why = || format!("the sender {local} is a program");
    let plain = local.split('+').next().unwrap_or_default();
    let is_request = local.ends_with("-request") || local.starts_with("request-");
    if SYSTEM.contains(&plain) || is_request || local.starts_with("owner-") {
        return refusal("A11", why());
    }
    if is_known {
        return None;
    }
    if local.starts_with("bounce") || local.contains("-bounces+") || is_program(local) {
        return refusal("A12", why());
    }
    if plain == "postmaster" {
        return refusal("A13", "the sender is postmaster");
    }
    None
}

/// The rows about Reply-To. If a sender directs replies to a robot or a list, an answer must not be sent there.
fn by_reply_to(message: &Message, is_own: &dyn Fn(&str) -> bool) -> Option<Refusal> {
    let wanted: Vec<Address> = message.addresses("Reply-To").cloned().collect();
    if wanted.is_empty() {
        return None;
    }
    let is_robot =
        |address: &Address| is_robot(address) || by_local_part(&address.local_part().to_lowercase(), false).is_some();
    if wanted.iter().all(is_robot) {
        return refusal("A12", format!("Reply-To is a program: {}", crate::clean::short(&wanted[0].address, 80)));
    }
    let is_sender = |address: &str| {
        let envelope = message.envelope_sender().into_iter().map(str::to_owned);
        let mut senders = message.addresses("From").map(|from| from.address.clone()).chain(envelope);
        senders.any(|sender| sender.eq_ignore_ascii_case(address))
    };
    let is_list = |reply_to: &Address| {
        let is_named = message.addresses("To").any(|to| to.address.eq_ignore_ascii_case(&reply_to.address));
        is_named && !is_own(&reply_to.address) && !is_sender(&reply_to.address)
    };
    if wanted.iter().all(is_list) { refusal("A7", "Reply-To is where it was sent to, a list") } else { None }
}

/// Fields of mailing lists (RFC 2369, RFC 2919), and older ones.
const LIST_FIELDS: [&str; 12] = [
    "List-Id",
    "List-Help",
    "List-Subscribe",
    "List-Unsubscribe",
    "List-Post",
    "List-Owner",
    "List-Archive",
    "Mailing-List",
    "X-Mailing-List",
    "X-BeenThere",
    "X-Mailman-Version",
    "X-ML-Name",
];

/// Fields by which programs recognise their own answers.
const LOOP_FIELDS: [&str; 11] = [
    "X-Loop",
    "X-No-Loop",
    "X-Autoreply",
    "X-Autorespond",
    "X-Autoresponder",
    "X-Mail-Autoreply",
    "X-AutoReply-From",
    "X-Mailsluice-Notice",
    "X-Autogenerated",
    "X-FC-MachineGenerated",
    "X-Cron-Env",
];

/// The rows about other header fields.
fn by_header(message: &Message, is_known: bool) -> Option<Refusal> {
    if let Some(why) = automatic(message) {
        let row = if message.all("Auto-Submitted").count() > 1 { "A6" } else { "A3" };
        return refusal(row, why);
    }
    if let Some(name) = LIST_FIELDS.iter().find(|name| message.first(name).is_some()) {
        return refusal("A7", format!("{name} present"));
    }
    let precedences = ["Precedence", "X-Precedence"].into_iter().flat_map(|name| message.all(name));
    let is_bulk = |value: &str| says(value, &["list", "bulk", "junk", "auto_reply", "auto-reply"]);
    if let Some(field) = precedences.map(|field| field.value()).find(|value| is_bulk(value)) {
        return refusal("A8", format!("Precedence is {}", crate::clean::short(&field.to_lowercase(), 60)));
    }
    if message.first("Feedback-ID").is_some() {
        return refusal("A8", "Feedback-ID present: sent in bulk");
    }
    let suppresses = |field: &Field| says(field.value(), &["all", "oof", "autoreply"]);
    if message.all("X-Auto-Response-Suppress").any(suppresses) {
        return refusal("A9", "X-Auto-Response-Suppress forbids it");
    }
    if message.is_report() {
        return refusal("A29", "it is a delivery report");
    }
    if !is_known && message.is_from_program() {
        return refusal("A12", "From or Sender is a program");
    }
    // `X-Autoreply: no` says that it is not an automatic answer.
    let says_so = |name: &&&str| message.all(name).any(|field| !field.value().trim().eq_ignore_ascii_case("no"));
    if let Some(name) = LOOP_FIELDS.iter().find(says_so) {
        return refusal("A30", format!("{name} present"));
    }
    spam_verdict(message).and_then(|why| refusal("A28", why))
}

/// Whether a value has one of these words: alone or in a list, in quotes or beside a comment.
fn says(value: &str, words: &[&str]) -> bool {
    let mut parts = value.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')));
    parts.any(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)))
}

/// Whether the keyword of Auto-Submitted, without parameters and comments, is `no` (RFC 3834 5).
fn is_no(value: &str) -> bool {
    let end = value.find([';', '(', ' ', '\t']).unwrap_or(value.len());
    value[..end].trim().eq_ignore_ascii_case("no")
}

/// The longest answer of a service, in bytes. Longer answers could be abused to flood others (RFC 3834 2).
const MAX_ANSWER_BYTES: usize = 16 * 1024;

/// Why an answer of a service is too long.
pub(super) fn by_length(bytes: usize) -> Option<Refusal> {
    if bytes <= MAX_ANSWER_BYTES {
        return None;
    }
    refusal(
        "A35",
        format!("the answer would have {bytes} bytes, and at most {MAX_ANSWER_BYTES} are said to anybody who asks"),
    )
}

/// The row about recipients. A personal answer is sent only if the message names an address of the user (RFC 5230 4.5).
/// The address it was delivered to counts as one if the message names it.
fn by_recipient(message: &Message, is_own: &dyn Fn(&str) -> bool) -> Option<Refusal> {
    let named = message.recipients().iter().any(|address| is_own(&address.address));
    let delivered = message.delivered_to().unwrap_or_default().to_lowercase();
    let by_delivery =
        !delivered.is_empty() && message.recipients().iter().any(|address| address.address.to_lowercase() == delivered);
    if named || by_delivery { None } else { refusal("A14", "none of your addresses is in To, Cc or Bcc") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a4_a5_the_keyword_of_auto_submitted() {
        for value in ["no", "NO", "no (human)", "no; x=y", " no "] {
            assert!(is_no(value.trim()), "{value}");
        }
        for value in ["auto-replied (vacation)", "Auto-Generated; x=y", "nothing", "", "yes"] {
            assert!(!is_no(value), "{value}");
        }
    }
}
