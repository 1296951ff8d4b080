//! Row A32: nobody is told of what stood on a server before the account's first run. It is filed, and `log` says why.

use std::fs;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use mailsluice::state::JournalRow;

use crate::stage::{Account, Client, mailbox};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::mailbox::{Incoming, Mailbox};
use crate::support::pop3_server::{Pop3Options, Pop3Server};
use crate::support::scripted_server::ScriptedServer;

/// What everybody here has beside rules.
const HEAD: &str = "me: [me@home.example]\nrelays:\n  default: {smtp: {host: 127.0.0.1, port: 1, tls: none}}\n  dovecot: \
                    {lmtp: /nowhere}\nrules:\n";
/// 2026-11-20T12:00:00Z.
const NOON: i64 = 1_795_176_000;

/// The time of the test that runs. One at a time.
static CLOCK: AtomicI64 = AtomicI64::new(NOON);
static TURN: Mutex<()> = Mutex::new(());

fn now() -> Timestamp {
    Timestamp::from_second(CLOCK.load(Ordering::SeqCst)).unwrap()
}

fn client(account: Account, rule: &str) -> Client {
    let account = account.top(&format!("{HEAD}  - {{name: tell, do: {rule}}}\n"));
    Client { now, ..account.client() }
}

/// The journal without notices, the oldest first.
fn journal(client: &Client) -> Vec<JournalRow> {
    let (world, _) = client.open();
    let mut rows = world.store.journal(None, 10).unwrap();
    rows.reverse();
    rows.retain(|row| row.folder != "(notices)");
    rows
}

/// What became of the two messages of a dialog, of which the first stood there at the first run.
fn played(pop3: bool, rule: &str) -> Vec<JournalRow> {
    CLOCK.store(NOON, Ordering::SeqCst);
    let name = if pop3 { "pop3-stood-there" } else { "stood-there" };
    let server = ScriptedServer::start(&fs::read_to_string(format!("tests/dialogs/{name}.dialog")).unwrap());
    let account = if pop3 { Account::pop3(server.port()) } else { Account::imap(server.port()) };
    let other = "limit: 100\n  gmail:\n    imap: {host: 127.0.0.1, port: 1, tls: none}\n    user: x@gmail.example\n    password: x";
    let client = client(account.with(other), rule);
    client.fetch_well();
    CLOCK.store(NOON + 1800, Ordering::SeqCst);
    client.fetch_well();
    server.finish().unwrap_or_else(|mismatch| panic!("{mismatch}"));
    let rows = journal(&client);
    assert_eq!(rows.len(), 2, "{rule}: {rows:#?}");
    rows
}

#[test]
fn a32_nobody_is_told_of_what_stood_there_at_the_first_run() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let stood = "A32, the message stood on the server before the account's first run";
    for pop3 in [false, true] {
        for (rule, word) in [
            ("{redirect: phone@y.example}", "redirect"),
            ("{redirect: {to: phone@y.example, copy: true}}", "redirect"),
            ("{vacation: away}", "vacation"),
            ("{reply: {text: thanks}}", "reply"),
            ("{reject: no}", "reject"),
            ("{notify: {run: [cat]}}", "notify"),
            ("{notify: {mail: phone@y.example}}", "notify"),
        ] {
            let rows = played(pop3, rule);
            let (old, new) = (&rows[0], &rows[1]);
            let notes = old.notes.concat();
            assert!(notes.contains(stood), "{rule}: {old:#?}");
            assert_eq!((old.outcome.contains(word), old.files.len()), (false, 1), "filed: {old:#?}");
            assert!(new.outcome.contains(word), "what came later is told: {new:#?}");
        }
    }
}

#[test]
fn a32_what_delivers_takes_old_mail_like_any_other() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for pop3 in [false, true] {
        for (rule, word) in [
            ("{fileinto: lists/x}", "fileinto lists/x"),
            ("{pipe: [cat]}", "pipe cat"),
            ("{imap: {account: gmail}}", "imap gmail/INBOX"),
            ("{lmtp: {to: me, relay: dovecot}}", "lmtp me"),
            ("{redirect: {to: phone@y.example, even_old: true}}", "redirect phone@y.example"),
            ("{reply: {text: thanks, even_old: true}}", "reply ann@far.example"),
        ] {
            let rows = played(pop3, rule);
            assert!(rows.iter().all(|row| row.outcome.contains(word)), "{rule}: {rows:#?}");
        }
    }
}

#[test]
fn a32_even_old_takes_mail_of_every_age_unless_max_age_is_named() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    CLOCK.store(NOON, Ordering::SeqCst);
    for (rule, is_told) in [
        ("{redirect: {to: phone@y.example, even_old: true}}", true),
        ("{redirect: {to: phone@y.example, even_old: true, max_age: 30d}}", false),
        ("{redirect: {to: phone@y.example, max_age: 400d}}", false),
    ] {
        let (mailbox, server) = with_mail(&[("INBOX", NOON - 365 * 86_400)]);
        let client = client(Account::imap(server.port()), rule);
        client.fetch_well();
        let rows = journal(&client);
        assert_eq!(rows[0].outcome.contains("redirect"), is_told, "{rule}: {rows:#?}");
        drop(mailbox);
    }
}

fn mail(arrived: i64) -> Incoming {
    let text = format!(
        "Return-Path: <ann@far.example>\nFrom: ann@far.example\nTo: me@home.example\nSubject: x\n\
         Message-ID: <{arrived}@far.example>\n\nx\n"
    );
    Incoming::new(text).arrived(arrived)
}

fn with_mail(mails: &[(&str, i64)]) -> (Mailbox, ImapServer) {
    let mailbox = mailbox();
    for (folder, arrived) in mails {
        mailbox.add_message(folder, mail(*arrived));
    }
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    (mailbox, server)
}

/// Which messages were forwarded, in order.
fn forwarded(client: &Client) -> Vec<bool> {
    journal(client).iter().map(|row| row.outcome.contains("redirect")).collect()
}

#[test]
fn a32_a_folder_that_shows_up_later_is_told_by_date() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    CLOCK.store(NOON, Ordering::SeqCst);
    let (mailbox, server) = with_mail(&[("INBOX", NOON - 60)]);
    let client = client(Account::imap(server.port()).with("folders: all"), "{redirect: phone@y.example}");
    client.fetch_well();
    mailbox.add_message("Projects", mail(NOON - 7 * 86_400));
    mailbox.add_message("Projects", mail(NOON + 3600));
    CLOCK.store(NOON + 7200, Ordering::SeqCst);
    client.fetch_well();
    assert_eq!(forwarded(&client), [false, false, true]);
}

#[test]
fn a32_a_clock_that_was_wrong_at_the_first_run_makes_no_mail_old_or_new() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for first in [NOON + 10 * 365 * 86_400, 10, NOON + 3 * 86_400, NOON - 120 * 86_400] {
        CLOCK.store(first, Ordering::SeqCst);
        let (mailbox, server) = with_mail(&[("INBOX", NOON - 3600)]);
        let client = client(Account::imap(server.port()), "[{redirect: phone@y.example}, {notify: {run: [cat]}}]");
        client.fetch_well();
        // The clock is right now, and mail that comes just now proves it.
        CLOCK.store(NOON, Ordering::SeqCst);
        mailbox.add_message("INBOX", mail(NOON - 1));
        client.fetch_well();
        assert_eq!(forwarded(&client)[..2], [false, true], "{first}: {:#?}", journal(&client));
        assert!(journal(&client)[1].outcome.contains("notify"), "{first}");
    }
}

#[test]
fn a32_pop3_what_the_limit_leaves_for_later_runs_stood_there_too() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    CLOCK.store(NOON, Ordering::SeqCst);
    let mailbox = mailbox();
    (1..=3).for_each(|n| _ = mailbox.add_message("INBOX", mail(NOON + n)));
    let server = Pop3Server::start(&mailbox, Pop3Options::default());
    let client = client(Account::pop3(server.port()).with("limit: 1"), "{redirect: phone@y.example}");
    client.fetch_well();
    mailbox.add_message("INBOX", mail(NOON + 4));
    for _ in 0..3 {
        CLOCK.fetch_add(SignedDuration::from_hours(2).as_secs(), Ordering::SeqCst);
        client.fetch_well();
    }
    assert_eq!(forwarded(&client), [false, false, false, true]);
}

#[test]
fn a32_a_first_run_that_could_not_log_in_is_none() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    CLOCK.store(NOON, Ordering::SeqCst);
    let (_mailbox, server) = with_mail(&[("INBOX", NOON + 600)]);
    let mut client = client(Account::imap(server.port()).with("password: wrong"), "{redirect: phone@y.example}");
    client.fetch();
    CLOCK.store(NOON + 86_400, Ordering::SeqCst);
    client.change(|account| account.with("password: open sesame"));
    client.fetch_well();
    let rows = journal(&client);
    assert!(rows.len() == 1 && !rows[0].outcome.contains("redirect"), "{rows:#?}");
}

#[test]
fn a32_explain_names_it_for_mail_of_an_account() {
    let at = Timestamp::now().as_second() - 2 * 3600;
    let (_mailbox, server) = with_mail(&[("INBOX", at)]);
    let account = Account::imap(server.port()).top(&format!("{HEAD}  - {{do: {{redirect: phone@y.example}}}}\n"));
    let (output, sandbox) = account.run();
    assert_eq!(output.code, 0, "{output}");
    let found = crate::support::maildir::Maildirs::at(sandbox.maildir()).delivered();
    let file = sandbox.maildir().join("INBOX/new").join(&found[0].name);
    let file = file.to_str().unwrap();
    let explained = sandbox.run(&["--allow-root", "explain", "--account", "me", file]);
    assert!(explained.stdout.contains("not forwarded: A32, the message stood on the server"), "{explained}");
    let without = sandbox.run(&["--allow-root", "explain", file]);
    assert!(without.stdout.contains("decision  redirect phone@y.example"), "{without}");
}
