//! `notify`: notifies the user. It does not change where the message goes.

use super::super::asking::Break;
use super::super::compile::Compiler;
use super::super::guard;
use super::super::run::Run;
use super::programs::Argv;
use super::{ActionWord, BoxedAction, Verb, redirect};
use crate::config::reader::{self, MapReader, Shape, TEXTS, Takes};
use crate::config::text::Text;
use crate::config::yaml::{Node, Value};
use crate::decision::{Importance, Notify as Notified, Telling, Way};

pub(super) static KEYS: Shape = Shape {
    what: "a notify action",
    keys: &[
        ("run", "A program and its arguments, a list; it reads the text.", TEXTS),
        ("mail", "An address that gets a short mail (RFC 5436).", Takes::Text),
        ("webhook", "An https address that gets JSON.", Takes::Text),
        ("desktop", "`true`: a notification on the desktop. The default when nothing else is named.", Takes::Flag),
        ("title", "One line. Default: `${from.name}`, else the address.", Takes::Text),
        ("text", "What to say. Default: `${subject}`.", Takes::Text),
        ("importance", "`high`, `normal` (default) or `low`.", Takes::Word(&["high", "normal", "low"])),
        ("relay", "The relay for `mail`.", Takes::Text),
    ],
};

const NOTIFY_TAKES: Takes = Takes::Either(&[Takes::Text, Takes::Section(&KEYS)]);
pub(super) const NOTIFY: ActionWord = ActionWord::telling(
    (
        "notify",
        "Tell the user of new mail: the text alone for the desktop, or {run:, mail:, webhook:, title:, text:, importance:}. Not of mail over a day old, nor of what a first fetch finds.",
        NOTIFY_TAKES,
    ),
    read,
);

#[derive(Debug)]
struct NotifyAction {
    run: Option<Argv>,
    mail: Option<String>,
    webhook: Option<String>,
    title: Option<Text>,
    text: Text,
    importance: Importance,
    relay: Option<String>,
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedAction> {
    if !matches!(node.value, Value::Map(_)) {
        let text = compiler.text(node, "a text")?;
        let importance = Importance::default();
        return Some(Box::new(NotifyAction {
            run: None,
            mail: None,
            webhook: None,
            title: None,
            text,
            importance,
            relay: None,
        }));
    }
    let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let (run, mail, title, text) = (map.take("run"), map.take("mail"), map.take("title"), map.take("text"));
    let words = [("high", Importance::High), ("normal", Importance::Normal), ("low", Importance::Low)];
    let importance = map.read("importance", |n, p| reader::choice(n, &words, p)).unwrap_or_default();
    let relay = map.take("relay");
    let webhook = map.read("webhook", |n, p| {
        let url = reader::text(n, "an https address", p)?;
        let is_safe = url.starts_with("https://") || is_on_this_machine(url);
        if !is_safe {
            reader::mismatch(n, "an address that begins with `https://`", p);
        }
        is_safe.then(|| url.to_owned())
    });
    let desktop = map.read("desktop", reader::flag).unwrap_or(false);
    let named = [run.is_some(), mail.is_some(), map.take("webhook").is_some(), desktop].iter().filter(|x| **x).count();
    if named > 1 {
        compiler.problems.error(node.span, "a notification goes one way").hint("write one `notify` for each");
        return None;
    }
    let relay = if mail.is_some() { compiler.carrier(relay, node.span) } else { compiler.relay(relay) };
    let run = match run {
        Some(node) => Some(Argv::read(node, compiler)?),
        None => None,
    };
    let mail = match mail {
        Some(node) => Some(one_address(node, compiler)?),
        None => None,
    };
    let title = match title {
        Some(node) => Some(compiler.text(node, "a title")?),
        None => None,
    };
    let text = match text {
        Some(node) => compiler.text(node, "a text")?,
        None => Text::parse("${subject}").ok()?,
    };
    Some(Box::new(NotifyAction { run, mail, webhook, title, text, importance, relay }))
}

/// The address of `mail`. A second address would get nothing, so it is an error.
fn one_address(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<String> {
    match redirect::addresses(node, compiler)?.as_slice() {
        [one] => Some(one.clone()),
        _ => {
            let problem = compiler.problems.error(node.span, "a notification by mail goes to one address");
            problem.hint("write one `notify` for each");
            None
        }
    }
}

/// Whether a URL is on this machine. Plain HTTP is safe there.
fn is_on_this_machine(url: &str) -> bool {
    let authority = url.strip_prefix("http://").and_then(|rest| rest.split(['/', '?', '#']).next());
    let host = authority.filter(|authority| !authority.contains('@')).and_then(|authority| authority.split(':').next());
    matches!(host, Some("localhost" | "127.0.0.1"))
}

impl Verb for NotifyAction {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        if let Some(why) = guard::notification_refused(run, self.mail.is_some())? {
            run.note(why);
            return Ok(());
        }
        let asking = &run.asking;
        let title = match &self.title {
            Some(title) => asking.expand(title),
            None => asking
                .message()
                .addresses("from")
                .next()
                .map_or_else(String::new, |from| from.name.clone().unwrap_or_else(|| from.address.clone())),
        };
        let argv = match &self.run {
            Some(argv) => Some(argv.expand(asking)?),
            None => None,
        };
        let notified = Notified {
            desktop: argv.is_none() && self.mail.is_none() && self.webhook.is_none(),
            run: argv,
            mail: self.mail.clone(),
            webhook: self.webhook.clone(),
            title: crate::clean::short(&title, 200),
            text: asking.expand(&self.text),
            importance: self.importance,
        };
        let telling = Telling { version: asking.version(), relay: self.relay.clone(), way: Way::Notify(notified) };
        run.tell(telling, true)
    }
}

#[cfg(test)]
mod tests {
    use super::is_on_this_machine;

    #[test]
    fn plain_http_only_reaches_this_machine() {
        for local in ["http://localhost", "http://localhost:80/x", "http://127.0.0.1?x"] {
            assert!(is_on_this_machine(local), "{local}");
        }
        for far in
            ["http://localhost.example", "http://127.0.0.1.example/", "http://localhost@far.example", "http://x/"]
        {
            assert!(!is_on_this_machine(far), "{far}");
        }
        assert!(!is_on_this_machine("http://localhost:x@far.example/"));
    }
}
