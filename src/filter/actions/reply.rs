//! `vacation`, `reply` and `reject`: answers. For all three, the guard decides whether an answer may be sent.

use std::time::Duration;

use super::super::asking::Break;
use super::super::compile::Compiler;
use super::super::fingerprint::fingerprint;
use super::super::guard::{self, MAX_AGE, PlannedReply};
use super::super::run::Run;
use super::{ActionWord, BoxedAction, Verb, redirect};
use crate::config::mailbox::is_address;
use crate::config::problem::Problems;
use crate::config::reader::{self, KeyDoc, MapReader, Shape, TEXTS, Takes};
use crate::config::template::FolderName;
use crate::config::text::Text;
use crate::config::units;
use crate::config::yaml::{Node, Value};
use crate::decision::{
    EnvelopeFrom, Per, Reject as Refused, Reply as Answered, ReplyForm, Telling, Vacation as Away, Way, Write,
};
use crate::message::{AddressList, Entity, NoEntity, Recipient, unwrapped};

// What `vacation` and `reply` have in common.
const FROM_KEY: KeyDoc =
    ("from", "The sender of the answer. Default: your address that the message was sent to.", Takes::Text);
const MAX_AGE_KEY: KeyDoc = ("max_age", "Older mail is not answered. Default: 2d.", Takes::Duration);
const EVEN_OLD_KEY: KeyDoc = (
    "even_old",
    "`true`: also answer mail that was on the server before the account's first run, if it is not older than `max_age`.",
    Takes::Flag,
);
const ENVELOPE_FROM_KEY: KeyDoc =
    ("envelope_from", "The envelope sender: `null` (default), `own`, or an address.", Takes::Text);
const MIME_KEY: KeyDoc = (
    "mime",
    "`true`: the text is a MIME entity: Content-* fields, a blank line, the body. The fields have no variables.",
    Takes::Flag,
);
const FCC_KEY: KeyDoc =
    ("fcc", "A local folder that gets a copy of what was sent (RFC 8580), marked as read.", Takes::Text);
const EVEN_KEY: KeyDoc = (
    "even",
    "Senders that get an answer although their name looks like a program's: `root@host.example`, `postmaster@…`.",
    TEXTS,
);

pub(super) static VACATION_KEYS: Shape = Shape {
    what: "a vacation action",
    keys: &[
        ("text", "What to say.", Takes::Text),
        ("subject", "The Subject. Default: `Auto: ` and the original one.", Takes::Text),
        ("days", "The same sender is answered again after so many days, 1 to 365. Default: 7.", Takes::Number),
        ("handle", "`days` counts separately for each handle. Default: made from subject, from and text.", Takes::Text),
        FROM_KEY,
        ("addresses", "More addresses that are yours; those under `me` count anyway.", TEXTS),
        EVEN_KEY,
        MAX_AGE_KEY,
        ENVELOPE_FROM_KEY,
        ("relay", "The relay to send it through.", Takes::Text),
        MIME_KEY,
        FCC_KEY,
    ],
};

pub(super) static REPLY_KEYS: Shape = Shape {
    what: "a reply action",
    keys: &[
        ("text", "What to say, with `${name}`.", Takes::Text),
        ("template", "Instead: a file with the text.", Takes::Text),
        ("subject", "The Subject. Default: `Re: ` and the original one.", Takes::Text),
        ("handle", "`per` counts separately for each handle. Default: the rule's place.", Takes::Text),
        (
            "per",
            "`message` (default): every message is answered; `sender`: each sender once.",
            Takes::Word(&["message", "sender"]),
        ),
        ("max_per_sender", "At most so many answers to one sender: `20/day`, `5/hour`. Default: 20/day.", Takes::Text),
        FROM_KEY,
        ("addresses", "More addresses that are yours.", TEXTS),
        EVEN_KEY,
        MAX_AGE_KEY,
        EVEN_OLD_KEY,
        ENVELOPE_FROM_KEY,
        ("relay", "The relay to send it through.", Takes::Text),
        MIME_KEY,
        FCC_KEY,
    ],
};

const VACATION_TAKES: Takes = Takes::Either(&[Takes::Text, Takes::Section(&VACATION_KEYS)]);
pub(super) const VACATION: ActionWord = ActionWord::telling(
    (
        "vacation",
        "Answer that you are away, each sender once in 7 days, never lists or robots; only what is addressed to an own address: the text, or {text:, subject:, days:, …}. Filtering goes on.",
        VACATION_TAKES,
    ),
    read_vacation,
);

const REPLY_TAKES: Takes = Takes::Either(&[Takes::Text, Takes::Section(&REPLY_KEYS)]);
pub(super) const REPLY: ActionWord = ActionWord::telling(
    (
        "reply",
        "Answer from a template, never lists or robots; whatever its rule matched: {text:, subject:, per:, …}. Filtering goes on.",
        REPLY_TAKES,
    ),
    read_reply,
);

pub(super) const REJECT: ActionWord = ActionWord::telling(
    (
        "reject",
        "Send the message back with an explanation (RFC 5429), where an answer may go out; else keep it. Ends filtering.",
        Takes::Text,
    ),
    |node, compiler| {
        compiler.check_relays(false, node.span);
        compiler.text(node, "an explanation").map(|text| Box::new(RejectAction { text }) as BoxedAction)
    },
);

const DAY: Duration = Duration::from_secs(86_400);

/// The settings that all answers share.
#[derive(Debug)]
struct Common {
    text: Text,
    subject: Option<Text>,
    handle: String,
    from: Option<String>,
    addresses: Vec<String>,
    even: Vec<String>,
    max_age: Duration,
    even_old: bool,
    envelope_from: EnvelopeFrom,
    relay: Option<String>,
    form: ReplyForm,
    is_html: bool,
}

/// The nodes are taken first and read later: reading texts needs the whole compiler.
fn common(node: &Node, shape: &'static Shape, compiler: &mut Compiler<'_, '_>) -> Option<Common> {
    let mut map = MapReader::new(node, shape, &mut compiler.problems);
    if !map.is_map() {
        return None;
    }
    let handle = map.read("handle", |n, p| reader::text(n, "a name", p).map(str::to_owned));
    let from = map.read("from", sender);
    let addresses = map.read("addresses", bare_addresses).unwrap_or_default();
    let even = map.read("even", bare_addresses).unwrap_or_default();
    let max_age = map.read("max_age", reader::duration).unwrap_or(MAX_AGE);
    let envelope_from = map.read("envelope_from", redirect::envelope_from).unwrap_or(EnvelopeFrom::Null);
    let fcc = map.read("fcc", local_folder);
    let mime = map.read("mime", reader::flag).unwrap_or(false);
    let relay = map.take("relay");
    let (text, subject) = (map.take("text"), map.take("subject"));
    let is_service = std::ptr::eq(shape, &REPLY_KEYS);
    let template = if is_service { map.take("template") } else { None };
    let even_old = is_service && map.read("even_old", reader::flag).unwrap_or(false);
    if text.is_none() && template.is_none() {
        map.require("text");
        return None;
    }
    let relay = compiler.carrier(relay, node.span);
    let subject = match subject {
        Some(node) => Some(compiler.text(node, "a subject")?),
        None => None,
    };
    let ((Some(said), None) | (None, Some(said))) = (text, template) else {
        compiler.problems.error(node.span, "an answer has either `text` or `template`");
        return None;
    };
    let text = compiler.text(said, "a text")?;
    let is_html = mime && check_entity(said, &text, &mut compiler.problems)?;
    let handle = handle.unwrap_or_else(|| made_handle(subject.as_ref(), from.as_deref(), &text, mime));
    let form = ReplyForm { fcc, addresses: addresses.clone(), mime };
    Some(Common {
        text,
        subject,
        handle,
        from,
        addresses,
        even,
        max_age,
        even_old,
        envelope_from,
        relay,
        form,
        is_html,
    })
}

/// The default handle. It is made before values are inserted, so that `Re: ${subject}` is one answer (RFC 5230 4.2).
fn made_handle(subject: Option<&Text>, from: Option<&str>, text: &Text, mime: bool) -> String {
    let subject = subject.map(|subject| format!("{subject:?}")).unwrap_or_default();
    let text = format!("{text:?}");
    let parts = [subject.as_str(), from.unwrap_or_default(), text.as_str()];
    let hash = fingerprint(parts.into_iter().chain(mime.then_some("mime")));
    data_encoding::HEXLOWER.encode(&hash[..8])
}

/// Reads a folder name without values. Otherwise, the sender could choose the folder of the answer.
fn local_folder(node: &Node, problems: &mut Problems) -> Option<FolderName> {
    let template = reader::template(node, problems)?;
    if template.names().next().is_some() {
        let problem = problems.error(node.span, "the folder of a copy has no variables");
        problem.hint("write the name itself, like `Sent`");
        return None;
    }
    Some(template.expand_folder(&|_| None))
}

/// Checks a text that is a MIME entity, and returns whether it is HTML. Errors are found before any answer is sent.
/// Values are allowed only in the body, so that no message can change the fields, and only if there is one part:
/// otherwise, they could end a part, or be taken for HTML.
fn check_entity(node: &Node, text: &Text, problems: &mut Problems) -> Option<bool> {
    const HINT: &str = "write `Content-Type: text/html; charset=utf-8`, a blank line, and then what to say";
    let written = text.beginning().replace("\r\n", "\n");
    let has_values = text.names().next().is_some();
    let (flaw, hint) = match Entity::parse(&written) {
        Ok(entity) if has_values && entity.is_coded() => (
            "variables cannot stand in a text that is encoded already".to_owned(),
            "leave Content-Transfer-Encoding out: the text is encoded as it needs it",
        ),
        Ok(entity) if has_values && entity.is_composite => (
            "variables cannot stand in a text with several parts".to_owned(),
            "a message could end a part or write HTML; a text of one part may have variables",
        ),
        Ok(entity) => return Some(entity.is_html),
        Err(NoEntity::NoBlankLine) if has_values => (
            "the fields of a MIME entity have no variables".to_owned(),
            "a message could change what they say; variables may stand behind the blank line",
        ),
        Err(flaw) => (format!("the text is no MIME entity: {flaw}"), HINT),
    };
    problems.error(node.span, flaw).hint(hint);
    None
}

/// Reads addresses. They are compared with the envelope and To, so only bare addresses can match.
fn bare_addresses(node: &Node, problems: &mut Problems) -> Option<Vec<String>> {
    let texts = reader::texts(node, "a list of addresses", problems)?;
    if let Some(text) = texts.iter().find(|text| !is_address(text)) {
        let message = format!("`{}` is no mail address", crate::clean::short(text, 80));
        problems.error(node.span, message).hint("write it like `me@example.com`, without a name");
        return None;
    }
    Some(texts)
}

/// Reads `Name <address>` or an address.
fn sender(node: &Node, problems: &mut Problems) -> Option<String> {
    let text = reader::text(node, "an address", problems)?;
    let found = AddressList::read(text).recipients(&|_| false);
    let is_one = matches!(found.as_deref(), Ok([Recipient::Address(address)]) if is_address(address));
    if !is_one {
        reader::mismatch(node, "an address like `me@example.com` or `Me <me@example.com>`", problems);
    }
    is_one.then(|| text.to_owned())
}

#[derive(Debug)]
struct VacationAction {
    common: Common,
    days: u32,
}

fn read_vacation(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedAction> {
    let long = long_form(node);
    let days = long.get("days").map(|node| reader::number(node, 1..=365, &mut compiler.problems));
    let common = common(&long, &VACATION_KEYS, compiler)?;
    let days = days.map_or(Some(7), |days| days.and_then(|days| u32::try_from(days).ok()))?;
    Some(Box::new(VacationAction { common, days }))
}

/// The long form of a value: a single text becomes `{text: …}`.
fn long_form(node: &Node) -> Node {
    if matches!(node.value, Value::Map(_)) {
        return node.clone();
    }
    let key = crate::config::yaml::YamlKey { text: "text".to_owned(), span: node.span };
    Node { value: Value::Map(vec![(key, node.clone())]), span: node.span }
}

impl Common {
    /// The address to answer, if the guard allows it. Otherwise, a note says why not.
    fn allowed(
        &self,
        run: &mut Run<'_>,
        again_after: Option<Duration>,
        personal: bool,
    ) -> Result<Option<String>, Break> {
        let answering = PlannedReply {
            handle: &self.handle,
            addresses: &self.addresses,
            even: &self.even,
            max_age: self.max_age,
            even_old: self.even_old,
            again_after,
            personal,
        };
        match guard::check(run, &answering)? {
            Ok(to) => Ok(Some(to)),
            Err(refusal) => {
                run.refused(&refusal);
                Ok(None)
            }
        }
    }

    fn expanded(&self, run: &Run<'_>) -> (String, Option<String>) {
        let asking = &run.asking;
        let text = if self.is_html { asking.expand_html(&self.text) } else { asking.expand(&self.text) };
        (text, self.subject.as_ref().map(|subject| run.asking.expand(subject)))
    }

    /// Sends the answer. This does not change what happens to the message.
    fn tell(&self, run: &mut Run<'_>, way: Way) -> Result<(), Break> {
        run.tell(Telling { version: run.asking.version(), relay: self.relay.clone(), way }, true)
    }

    fn note_answer(&self, run: &mut Run<'_>, to: &str) -> Result<(), Break> {
        let at = run.asking.now().timestamp();
        run.asking.write(Write::Answered { handle: self.handle.clone(), sender: unwrapped(to), at })
    }
}

impl Verb for VacationAction {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let again_after = DAY * self.days;
        let Some(to) = self.common.allowed(run, Some(again_after), true)? else { return Ok(()) };
        let (text, subject) = self.common.expanded(run);
        self.common.note_answer(run, &to)?;
        let way = Way::Vacation(Away {
            handle: self.common.handle.clone(),
            days: self.days,
            subject,
            text,
            from: self.common.from.clone(),
            to,
            envelope_from: self.common.envelope_from.clone(),
            form: self.common.form.clone(),
        });
        self.common.tell(run, way)
    }
}

#[derive(Debug)]
struct ReplyAction {
    common: Common,
    per: Per,
    most: (u32, Duration),
}

fn read_reply(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedAction> {
    let long = long_form(node);
    let per = long.get("per").map(|node| {
        reader::choice(node, &[("message", Per::Message), ("sender", Per::Sender)], &mut compiler.problems)
    });
    let most = long.get("max_per_sender").map(|node| rate(node, &mut compiler.problems));
    let mut common = common(&long, &REPLY_KEYS, compiler)?;
    if long.get("handle").is_none() {
        common.handle = compiler.place(node.span);
    }
    let per = per.map_or(Some(Per::Message), |per| per)?;
    let most = most.map_or(Some((20, DAY)), |most| most)?;
    Some(Box::new(ReplyAction { common, per, most }))
}

/// Reads `20/day`, `5/hour` or `3/2h`.
fn rate(node: &Node, problems: &mut Problems) -> Option<(u32, Duration)> {
    let read = node.as_text().and_then(|text| {
        let (count, time) = text.split_once('/')?;
        let time = match time.trim() {
            "hour" => Duration::from_secs(3600),
            "day" => DAY,
            "week" => 7 * DAY,
            time => units::parse_duration(time).ok()?,
        };
        Some((count.trim().parse::<u32>().ok().filter(|n| *n > 0)?, time))
    });
    if read.is_none() {
        reader::mismatch(node, "a rate like `20/day` or `5/hour`", problems);
    }
    read
}

impl Verb for ReplyAction {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let again_after = (self.per == Per::Sender).then_some(units::MAX_DURATION);
        let (text, subject) = self.common.expanded(run);
        if let Some(refusal) = guard::by_length(text.len()) {
            run.refused(&refusal);
            return Ok(());
        }
        let Some(to) = self.common.allowed(run, again_after, false)? else { return Ok(()) };
        self.common.note_answer(run, &to)?;
        let way = Way::Reply(Answered {
            handle: self.common.handle.clone(),
            per: self.per,
            most: Some(self.most),
            subject,
            text,
            from: self.common.from.clone(),
            sender: unwrapped(&to),
            to,
            envelope_from: self.common.envelope_from.clone(),
            form: self.common.form.clone(),
        });
        self.common.tell(run, way)
    }
}

#[derive(Debug)]
struct RejectAction {
    text: Text,
}

impl Verb for RejectAction {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let answering = PlannedReply {
            handle: "reject",
            addresses: &[],
            even: &[],
            max_age: MAX_AGE,
            even_old: false,
            again_after: None,
            personal: false,
        };
        match guard::check(run, &answering)? {
            Ok(to) => {
                let way = Way::Reject(Refused { text: run.asking.expand(&self.text), to });
                run.tell(Telling { version: run.asking.version(), relay: None, way }, false)
            }
            // If no answer may be sent, the message must not be lost either.
            Err(refusal) => {
                run.refused(&refusal);
                Ok(())
            }
        }
    }

    fn ends(&self) -> bool {
        true
    }

    fn takes_away(&self) -> bool {
        true
    }
}
