//! `imap` and `lmtp`: deliver the message to another server.

use std::time::Duration;

use super::super::asking::Break;
use super::super::compile::Compiler;
use super::super::run::Run;
use super::{ActionWord, BoxedAction, Verb, redirect};
use crate::config::mailbox::is_address;
use crate::config::reader::{self, MapReader, Shape, TEXTS, Takes};
use crate::config::text::Text;
use crate::config::yaml::Node;
use crate::decision::{APPENDED, Append, Fact, Lmtp as Handed, Telling, Way, Write};
use crate::message::{Message, is_user_name};

pub(super) static IMAP_KEYS: Shape = Shape {
    what: "an imap action",
    keys: &[
        ("account", "The account in the config.", Takes::Text),
        ("folder", "The folder there. Default: INBOX.", Takes::Text),
        ("copy", "`true`: the message is also filed here, and filtering goes on.", Takes::Flag),
    ],
};

pub(super) static LMTP_KEYS: Shape = Shape {
    what: "an lmtp action",
    keys: &[
        ("to", "The recipient, or a list of them: an address, or a user of that server, like `me`.", TEXTS),
        ("relay", "The relay, one with `lmtp`. It has to be named.", Takes::Text),
        ("copy", "`true`: the message is also filed here, and filtering goes on.", Takes::Flag),
    ],
};

pub(super) const IMAP: ActionWord = ActionWord::telling(
    (
        "imap",
        "Append the message to a folder of another IMAP account: {account: gmail, folder: INBOX}. Ends filtering unless copy.",
        Takes::Section(&IMAP_KEYS),
    ),
    read_imap,
);

pub(super) const LMTP: ActionWord = ActionWord::telling(
    (
        "lmtp",
        "Hand the message to an LMTP server: {to: me@example.com, relay: dovecot}. Ends filtering unless copy.",
        Takes::Section(&LMTP_KEYS),
    ),
    read_lmtp,
);

#[derive(Debug)]
struct Imap {
    account: String,
    folder: Text,
    copy: bool,
}

fn read_imap(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedAction> {
    let mut map = MapReader::new(node, &IMAP_KEYS, &mut compiler.problems);
    let account = map.require("account");
    let copy = map.read("copy", reader::flag).unwrap_or(false);
    let folder = map.take("folder");
    let account = account.and_then(|node| compiler.mailbox(node));
    let folder = match folder {
        Some(node) => compiler.text(node, "a folder")?,
        None => Text::literal("INBOX"),
    };
    Some(Box::new(Imap { account: account?, folder, copy }))
}

/// How long the program remembers where a message was. A loop returns sooner.
const KNOWN_FOR: Duration = Duration::from_secs(7 * 86_400);

/// A key for a message, identified by its header, in a folder of an account.
fn place(message: &Message, account: &str, folder: &str) -> String {
    let folder = if folder.eq_ignore_ascii_case("INBOX") { "INBOX" } else { folder };
    format!("{} {account} {folder}", data_encoding::HEXLOWER.encode(&message.head_hash()))
}

/// Whether the message was in that folder before. This stops two accounts whose rules append to each other. If it was
/// not, the folder is recorded, and so is the folder that the message comes from.
fn was_there(run: &mut Run<'_>, account: &str, folder: &str) -> Result<bool, Break> {
    let asking = &mut run.asking;
    let key = place(asking.original(), account, folder);
    if asking.holds(Fact::Seen { handle: APPENDED.to_owned(), key })? {
        return Ok(true);
    }
    let until = asking.now().timestamp().checked_add(KNOWN_FOR).unwrap_or(jiff::Timestamp::MAX);
    let origin = std::sync::Arc::clone(&asking.envelope.key.origin);
    for (account, folder) in [(account, folder), (&origin.account, &origin.folder)] {
        // The edited message is used, because it arrives from there with the changes of the rules.
        let key = place(asking.message(), account, folder);
        asking.write(Write::Seen { handle: APPENDED.to_owned(), key, until })?;
    }
    Ok(false)
}

impl Verb for Imap {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let asking = &run.asking;
        let flags = asking.flags.words();
        let (account, folder) = (self.account.clone(), asking.expand(&self.folder));
        let arrived = asking.envelope.arrived.as_second();
        if was_there(run, &account, &folder)? {
            let place = crate::clean::short(&format!("{account}/{folder}"), 120);
            run.note(format!("not appended: it was in {place} before (a loop)"));
            return Ok(());
        }
        let append = Append { account, folder, flags, arrived, noted: None };
        let telling = Telling { version: run.asking.version(), relay: None, way: Way::Imap(append) };
        run.tell(telling, self.copy)
    }

    fn ends(&self) -> bool {
        !self.copy
    }
}

#[derive(Debug)]
struct LmtpAction {
    to: Vec<String>,
    relay: Option<String>,
    copy: bool,
}

fn read_lmtp(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedAction> {
    let mut map = MapReader::new(node, &LMTP_KEYS, &mut compiler.problems);
    let to = map.require("to");
    let relay = map.require("relay");
    let copy = map.read("copy", reader::flag).unwrap_or(false);
    let relay = relay.and_then(|node| compiler.lmtp_carrier(node));
    let is_one = |text: &str| is_user_name(text) || is_address(text);
    let hint = "write it like `me@example.com` or `me`";
    let to = to.and_then(|node| redirect::written(node, compiler, &is_one, hint))?;
    Some(Box::new(LmtpAction { to, relay: Some(relay?), copy }))
}

impl Verb for LmtpAction {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let way = Way::Lmtp(Handed { to: self.to.clone() });
        run.tell(Telling { version: run.asking.version(), relay: self.relay.clone(), way }, self.copy)
    }

    fn ends(&self) -> bool {
        !self.copy
    }
}
