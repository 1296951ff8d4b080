//! `redirect`: forwards the message.

use std::time::Duration;

use super::super::asking::Break;
use super::super::compile::Compiler;
use super::super::guard::{self, Forwarding};
use super::super::run::Run;
use super::{ActionWord, BoxedAction, Verb};
use crate::config::mailbox::is_address;
use crate::config::problem::Problems;
use crate::config::reader::{self, MapReader, Shape, TEXTS, Takes};
use crate::config::text::Text;
use crate::config::yaml::{Node, Value};
use crate::decision::{EnvelopeFrom, Redirect as Forward, RedirectMode, Telling, Way};

pub(super) static KEYS: Shape = Shape {
    what: "a redirect action",
    keys: &[
        (
            "to",
            "The address, or a list of addresses. Values of the message are allowed in it only together with `only`.",
            TEXTS,
        ),
        (
            "only",
            "If `to` contains values of the message: the addresses and domains (`@example.com`) that may result. Nothing is forwarded to others.",
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
        ("relay", "The relay to send it through.", Takes::Text),
        ("max_age", "Mail that arrived longer ago is kept and not forwarded. Default: 14d.", Takes::Duration),
        (
            "even_old",
            "`true`: also forward mail that was on the server before the account's first run; of any age, unless `max_age` is set.",
            Takes::Flag,
        ),
        ("even_spam", "`true`: also forward mail that a spam filter called spam.", Takes::Flag),
        (
            "of",
            "`edited` (default): the message with the changes of the rules; `original`: as it came.",
            Takes::Word(&["edited", "original"]),
        ),
    ],
};

const REDIRECT_TAKES: Takes = Takes::Either(&[TEXTS, Takes::Section(&KEYS)]);
pub(super) const REDIRECT: ActionWord = ActionWord::telling(
    (
        "redirect",
        "Forward the message: an address, or {to:, copy:, mode:, …}. Ends filtering unless copy.",
        REDIRECT_TAKES,
    ),
    read,
);

#[derive(Debug)]
struct RedirectAction {
    to: Recipients,
    mode: RedirectMode,
    envelope_from: EnvelopeFrom,
    relay: Option<String>,
    copy: bool,
    original: bool,
    max_age: Duration,
    even_old: bool,
    even_spam: bool,
}

/// An address that no entry of `only` allows.
struct NotNamed(String);

/// The recipients of a forwarded message.
#[derive(Debug)]
enum Recipients {
    Written(Vec<String>),
    /// Addresses made of values of the message, and the addresses and domains that are allowed.
    Made(Vec<Text>, Vec<String>),
}

impl Recipients {
    fn read(node: &Node, only: Option<Vec<String>>, compiler: &mut Compiler<'_, '_>) -> Option<Self> {
        match only {
            None => {
                let to = addresses(node, compiler)?;
                check_number(&to, node, compiler);
                Some(Self::Written(to))
            }
            Some(only) => compiler.texts(node, "an address").map(|made| Self::Made(made, only)),
        }
    }

    /// The addresses for this message, or the one that is not allowed.
    fn of(&self, run: &Run<'_>) -> Result<Vec<String>, NotNamed> {
        let (texts, only) = match self {
            Self::Written(written) => return Ok(written.clone()),
            Self::Made(texts, only) => (texts, only),
        };
        let is_allowed = |address: &str| is_address(address) && only.iter().any(|one| allows(one, address));
        let made = texts.iter().map(|text| run.asking.expand(text).trim().to_owned());
        made.map(|address| if is_allowed(&address) { Ok(address) } else { Err(NotNamed(address)) }).collect()
    }
}

/// Reports more addresses than the limit, because such mail would never be forwarded.
fn check_number(to: &[String], node: &Node, compiler: &mut Compiler<'_, '_>) {
    let most = compiler.shared.settings.limits.forwards_per_message;
    if to.len() as u64 > most {
        let message = format!("{} addresses, and `limits: {{forwards_per_message:}}` allows {most}", to.len());
        compiler.problems.error(node.span, message).hint("raise that limit, up to 100, or name fewer");
    }
}

/// Whether an entry of `only` is this address or its domain.
fn allows(entry: &str, address: &str) -> bool {
    match (entry.strip_prefix('@'), address.rsplit_once('@')) {
        (Some(domain), Some((_, its))) => domain.eq_ignore_ascii_case(its),
        _ => entry.eq_ignore_ascii_case(address),
    }
}

/// Reads addresses and domains.
fn only(node: &Node, problems: &mut Problems) -> Option<Vec<String>> {
    let entries = reader::texts(node, "a list of addresses and domains", problems)?;
    let is_one = |entry: &String| is_address(entry) || (entry.starts_with('@') && is_address(&format!("x{entry}")));
    if let Some(wrong) = entries.iter().find(|entry| !is_one(entry)) {
        let message = format!("`{}` is neither an address nor a domain", crate::clean::short(wrong, 80));
        problems.error(node.span, message).hint("write `me@example.com`, or `@example.com` for everybody there");
        return None;
    }
    Some(entries)
}

/// The default of `max_age`.
const MAX_AGE: Duration = Duration::from_secs(14 * 86_400);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedAction> {
    if !matches!(node.value, Value::Map(_)) {
        let to = Recipients::read(node, None, compiler)?;
        compiler.check_relays(false, node.span);
        return Some(Box::new(RedirectAction {
            to,
            mode: RedirectMode::default(),
            envelope_from: EnvelopeFrom::default(),
            relay: None,
            copy: false,
            original: false,
            max_age: MAX_AGE,
            even_old: false,
            even_spam: false,
        }));
    }
    let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let to = map.require("to");
    let has_only = map.key_span("only").is_some();
    let only = map.read("only", only);
    let copy = map.read("copy", reader::flag).unwrap_or(false);
    let modes =
        [("redirect", RedirectMode::Redirect), ("attach", RedirectMode::Attach), ("resend", RedirectMode::Resend)];
    let mode = map.read("mode", |n, p| reader::choice(n, &modes, p)).unwrap_or_default();
    let envelope_from = map.read("envelope_from", envelope_from);
    let relay = map.take("relay");
    let even_old = map.read("even_old", reader::flag).unwrap_or(false);
    let max_age = map.read("max_age", reader::duration).unwrap_or(if even_old { Duration::MAX } else { MAX_AGE });
    let even_spam = map.read("even_spam", reader::flag).unwrap_or(false);
    let original = map.read("of", |n, p| reader::choice(n, &[("edited", false), ("original", true)], p));
    let relay = compiler.carrier(relay, node.span);
    if has_only && only.is_none() {
        return None;
    }
    let to = to.and_then(|node| Recipients::read(node, only, compiler))?;
    let (envelope_from, original) = (envelope_from.unwrap_or_default(), original.unwrap_or(false));
    Some(Box::new(RedirectAction { to, mode, envelope_from, relay, copy, original, max_age, even_old, even_spam }))
}

/// Reads `own`, `original`, `null`, or an address.
pub(super) fn envelope_from(node: &Node, problems: &mut Problems) -> Option<EnvelopeFrom> {
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

/// Reads addresses that the user wrote.
pub(super) fn addresses(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Vec<String>> {
    const HINT: &str = "write it like `me@example.com`, without a name";
    written(node, compiler, &is_address, HINT)
}

/// Reads recipients that the user wrote. No message can choose them.
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
            problem.hint("write the addresses themselves, one rule for each; `redirect` takes it where `only` says what it may become");
            return None;
        }
        if !is_one(text) {
            let message = format!("`{}` is no mail address", crate::clean::short(text, 80));
            compiler.problems.error(node.span, message).hint(hint);
            return None;
        }
    }
    Some(each_once(texts))
}

/// Removes duplicate addresses.
fn each_once(addresses: Vec<String>) -> Vec<String> {
    let mut once: Vec<String> = Vec::with_capacity(addresses.len());
    for address in addresses {
        if !once.iter().any(|known| known.eq_ignore_ascii_case(&address)) {
            once.push(address);
        }
    }
    once
}

impl Verb for RedirectAction {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let to = match self.to.of(run) {
            Ok(to) => to,
            Err(NotNamed(other)) => {
                run.note(format!("not forwarded: {} is none of `only`", crate::clean::short(&other, 80)));
                return Ok(());
            }
        };
        let version = if self.original { 0 } else { run.asking.version() };
        let forward = Forward { to, mode: self.mode, envelope_from: self.envelope_from.clone() };
        let mut telling = Telling { version, relay: self.relay.clone(), way: Way::Redirect(forward) };
        run.leave_out_told(&mut telling);
        let to = telling.way.recipients();
        let Self { max_age, even_old, even_spam, .. } = *self;
        let forwarding = Forwarding { to: &to, max_age, even_old, even_spam };
        if let Some(why) = guard::forward_refused(run, &forwarding)? {
            // A message that is not forwarded is kept (RFC 5228 4.2).
            run.note(why);
            return Ok(());
        }
        run.tell(telling, self.copy)
    }

    fn ends(&self) -> bool {
        !self.copy
    }

    fn takes_away(&self) -> bool {
        !self.copy
    }
}
