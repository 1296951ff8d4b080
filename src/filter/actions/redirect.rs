//! `redirect`: forward the message.

use std::time::Duration;

use super::super::asking::Break;
use super::super::compile::Compiler;
use super::super::guard::{self, Forwarding};
use super::super::run::Run;
use super::{Boxed, Verb, Word};
use crate::config::mailbox::is_address;
use crate::config::reader::{self, MapReader, Shape, TEXTS, Takes};
use crate::config::yaml::{Node, Value};
use crate::decision::{EnvelopeFrom, Redirect as Forward, RedirectMode, Telling, Way};

pub(super) static KEYS: Shape = Shape {
    what: "a redirect action",
    keys: &[
        (
            "to",
            "The address, or a list of addresses. They are yours to choose: no value of a message can stand here.",
            TEXTS,
        ),
        ("copy", "`true`: the message is also filed here, and filtering goes on.", Takes::Flag),
        (
            "mode",
            "`redirect`: as it is (default); `attach`: inside a message of yours, survives DMARC; `resend`: with Resent-* fields.",
            Takes::Word(&["redirect", "attach", "resend"]),
        ),
        (
            "envelope_from",
            "The envelope sender: `own`, `original`, `null`, or an address. Default: what suits the relay.",
            Takes::Text,
        ),
        ("relay", "The relay that carries it.", Takes::Text),
        (
            "max_age",
            "Older mail is not forwarded but kept: the first fetch of an old mailbox sends nothing. Default: 14d.",
            Takes::Duration,
        ),
        ("even_spam", "`true`: also what a spam filter called spam, which is kept otherwise.", Takes::Flag),
        (
            "of",
            "`edited` (default): the message with the changes of the rules; `original`: as it came.",
            Takes::Word(&["edited", "original"]),
        ),
    ],
};

const REDIRECT_TAKES: Takes = Takes::Either(&[TEXTS, Takes::Section(&KEYS)]);
pub(super) const REDIRECT: Word = Word::telling(
    (
        "redirect",
        "Forward the message: an address, or {to:, copy:, mode:, …}. Ends filtering unless copy.",
        REDIRECT_TAKES,
    ),
    read,
);

#[derive(Debug)]
struct Redirect {
    forward: Forward,
    relay: Option<String>,
    copy: bool,
    original: bool,
    max_age: Duration,
    even_spam: bool,
}

/// Default of `max_age`.
const MAX_AGE: Duration = Duration::from_secs(14 * 86_400);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Boxed> {
    if !matches!(node.value, Value::Map(_)) {
        let to = addresses(node, compiler)?;
        compiler.check_way(false, node.span);
        let forward = Forward { to, mode: RedirectMode::default(), envelope_from: EnvelopeFrom::default() };
        let simple =
            Redirect { forward, relay: None, copy: false, original: false, max_age: MAX_AGE, even_spam: false };
        return Some(Box::new(simple));
    }
    let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let to = map.require("to");
    let copy = map.read("copy", reader::flag).unwrap_or(false);
    let modes =
        [("redirect", RedirectMode::Redirect), ("attach", RedirectMode::Attach), ("resend", RedirectMode::Resend)];
    let mode = map.read("mode", |n, p| reader::choice(n, &modes, p)).unwrap_or_default();
    let envelope_from = map.read("envelope_from", envelope_from);
    let relay = map.take("relay");
    let max_age = map.read("max_age", reader::duration).unwrap_or(MAX_AGE);
    let even_spam = map.read("even_spam", reader::flag).unwrap_or(false);
    let original = map.read("of", |n, p| reader::choice(n, &[("edited", false), ("original", true)], p));
    let relay = compiler.carrier(relay, node.span);
    let to = to.and_then(|node| addresses(node, compiler))?;
    let forward = Forward { to, mode, envelope_from: envelope_from.unwrap_or_default() };
    Some(Box::new(Redirect { forward, relay, copy, original: original.unwrap_or(false), max_age, even_spam }))
}

/// `own`, `original`, `null`, or an address.
pub(super) fn envelope_from(node: &Node, problems: &mut crate::config::problem::Problems) -> Option<EnvelopeFrom> {
    match node.as_text() {
        Some("own") => Some(EnvelopeFrom::Own),
        Some("original") => Some(EnvelopeFrom::Original),
        Some("null" | "<>") => Some(EnvelopeFrom::Null),
        Some(text) if is_address(text) => Some(EnvelopeFrom::Address(text.to_owned())),
        _ => {
            reader::mismatch(node, "`own`, `original`, `null` or an address", problems);
            None
        }
    }
}

/// Addresses that the user wrote.
pub(super) fn addresses(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Vec<String>> {
    const HINT: &str = "write it like `me@example.com`, without a name";
    written(node, compiler, &is_address, HINT)
}

/// Recipients that the user wrote and no message can choose.
pub(super) fn written(
    node: &Node,
    compiler: &mut Compiler<'_, '_>,
    is_one: &dyn Fn(&str) -> bool,
    hint: &str,
) -> Option<Vec<String>> {
    let texts = reader::texts(node, "an address, or a list of addresses", &mut compiler.problems)?;
    for text in &texts {
        if text.contains("${") {
            let problem =
                compiler.problems.error(node.span, "an address cannot be made from a message: anybody could choose it");
            problem.hint("write the addresses themselves, one rule for each");
            return None;
        }
        if !is_one(text) {
            let message = format!("`{}` is no mail address", crate::clean::short(text, 80));
            compiler.problems.error(node.span, message).hint(hint);
            return None;
        }
    }
    Some(texts)
}

impl Verb for Redirect {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let forwarding = Forwarding { to: &self.forward.to, max_age: self.max_age, even_spam: self.even_spam };
        if let Some(why) = guard::forward_refused(run, &forwarding) {
            // What is not forwarded is kept (RFC 5228 4.2).
            run.note(why);
            return Ok(());
        }
        let version = if self.original { 0 } else { run.asking.version() };
        let telling = Telling { version, relay: self.relay.clone(), way: Way::Redirect(self.forward.clone()) };
        run.tell(telling, self.copy)
    }

    fn ends(&self) -> bool {
        !self.copy
    }
}
