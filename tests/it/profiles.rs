//! Servers as vendors run them, and their habits: the tables in `tests/profiles`, each row once with `keep` and once with
//! `delete`.

use std::time::Duration;

use crate::stage::{Account, Client, filled};
use crate::support::faults::{Fault, Faults, MessageFault};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::mailbox::Mailbox;
use crate::support::pop3_server::{Pop3Options, Pop3Server};

const MESSAGES: usize = 12;
const PASSES: usize = 3;

/// `nil:7`, `size:3=900`, `refuse=QUIT`, `uid-last`.
fn set(faults: &Faults, mailbox: &Mailbox, word: &str) {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    let (name, number) = name.split_once(':').unwrap_or((name, "0"));
    let number: u32 = number.parse().unwrap();
    let text = value.replace('_', " ");
    let of_message = match name {
        "size" => MessageFault::Size(value.parse().unwrap()),
        "nil" => MessageFault::Nil,
        "notgiven" => MessageFault::NotGiven,
        "refused" => MessageFault::Refused,
        "placeholder" => MessageFault::Placeholder,
        "undescribed" => MessageFault::NotDescribed,
        "unlisted" => MessageFault::Unlisted,
        "nodate" => MessageFault::NoInternaldate,
        "nouidl" => MessageFault::NoUidl,
        "uidl" => MessageFault::Uidl(text),
        "cut" => MessageFault::CutAt(20),
        _ => {
            faults.set(match name {
                "refuse-login" => Fault::RefuseLogin(text),
                "refuse" => Fault::Refuse(Box::leak(text.into_boxed_str()), "not now".to_owned()),
                "bye-after" => Fault::DisconnectEvery(number as usize),
                "slow" => Fault::Delay(Duration::from_millis(20)),
                "one-byte" => Fault::OneByteSegments,
                "no-uidvalidity" => Fault::NoUidvalidity,
                "uidvalidity-0" => return mailbox.set_uidvalidity("INBOX", 0, false),
                habit => Fault::Habit(habit.to_owned()),
            });
            return;
        }
    };
    faults.message(number, of_message);
}

struct Row<'t> {
    name: &'t str,
    faults: &'t str,
    once: &'t str,
    got: usize,
    left: usize,
}

/// Fetches with both retentions; what is wrong.
fn judge(row: &Row<'_>, start: impl Fn(&Mailbox, &Faults) -> (Account, Box<dyn std::any::Any>)) -> Vec<String> {
    let mut wrong = Vec::new();
    for retention in ["keep", "delete"] {
        let (mailbox, _) = filled(MESSAGES);
        let faults = Faults::none();
        let begin = |words: &str| words.split_whitespace().for_each(|word| set(&faults, &mailbox, word));
        begin(row.faults);
        begin(row.once);
        let (account, _server) = start(&mailbox, &faults);
        let client = account.with(&format!("retention: {retention}")).client();
        for _ in 0..PASSES {
            let report = client.fetch();
            println!("{} {retention}: {} new, exit code {}", row.name, report.new, report.exit_code());
            if !row.once.is_empty() {
                faults.clear();
                begin(row.faults);
            }
        }
        wrong.extend(verdict(row, retention, &client, &mailbox));
    }
    wrong
}

fn verdict(row: &Row<'_>, retention: &str, client: &Client, mailbox: &Mailbox) -> Option<String> {
    let mut subjects = client.subjects();
    let here = subjects.len();
    subjects.dedup();
    let left = if retention == "keep" { MESSAGES } else { row.left };
    let there = mailbox.count("INBOX");
    let is_right = (here, subjects.len(), there) == (row.got, row.got, left);
    let text = || format!("{} {retention}: {here} here of {}, {there} left of {left}", row.name, row.got);
    (!is_right).then(text)
}

/// The rows of a table.
fn rows(path: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

#[test]
fn imap_servers_as_they_are() {
    let mut wrong = Vec::new();
    let rows = rows("tests/profiles/imap.tsv");
    assert!(rows.len() > 50);
    for row in &rows {
        let [name, greeting, capabilities, delimiter, faults, once, got, left] = &row[..] else { panic!("{row:?}") };
        let start = |mailbox: &Mailbox, shared: &Faults| {
            let options = ImapOptions {
                capabilities: capabilities.split(' ').map(str::to_owned).collect(),
                delimiter: delimiter.chars().next(),
                greeting: Some(greeting.clone()),
                ..ImapOptions::with_faults(shared)
            };
            let server = ImapServer::start(mailbox, options);
            (Account::imap(server.port()), Box::new(server) as Box<dyn std::any::Any>)
        };
        let row = Row { name, faults, once, got: got.parse().unwrap(), left: left.parse().unwrap() };
        wrong.extend(judge(&row, start));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pop3_servers_as_they_are() {
    let mut wrong = Vec::new();
    let rows = rows("tests/profiles/pop3.tsv");
    assert!(rows.len() > 20);
    for row in &rows {
        let [name, greeting, capabilities, faults, once, got, left] = &row[..] else { panic!("{row:?}") };
        let start = |mailbox: &Mailbox, shared: &Faults| {
            let options = Pop3Options {
                capabilities: capabilities.split(';').map(str::to_owned).collect(),
                greeting: Some(greeting.clone()),
                ..Pop3Options::with_faults(shared)
            };
            let server = Pop3Server::start(mailbox, options);
            (Account::pop3(server.port()), Box::new(server) as Box<dyn std::any::Any>)
        };
        let row = Row { name, faults, once, got: got.parse().unwrap(), left: left.parse().unwrap() };
        wrong.extend(judge(&row, start));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
