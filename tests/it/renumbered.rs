//! The server changed its numbers, and just then it does not show all that it has. What it shows later is recognised then.

use crate::stage::{Account, Client, complaints, filled, message};
use crate::support::faults::{Faults, MessageFault};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::mailbox::Mailbox;
use crate::support::pop3_server::{Pop3Options, Pop3Server};

const MESSAGES: usize = 6;

/// An account from which everything was fetched.
struct Fetched<Server> {
    mailbox: Mailbox,
    faults: Faults,
    client: Client,
    _server: Server,
}

fn imap(messages: usize) -> Fetched<ImapServer> {
    let ((mailbox, _), faults) = (filled(messages), Faults::none());
    let _server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let client = Account::imap(_server.port()).client();
    client.fetch_well();
    Fetched { mailbox, faults, client, _server }
}

fn pop3(messages: usize) -> Fetched<Pop3Server> {
    let ((mailbox, _), faults) = (filled(messages), Faults::none());
    let _server = Pop3Server::start(&mailbox, Pop3Options { faults: faults.clone(), ..Pop3Options::default() });
    let client = Account::pop3(_server.port()).client();
    client.fetch_well();
    Fetched { mailbox, faults, client, _server }
}

/// Another UIDL for each, as after a move to another server.
fn change_uidls(mailbox: &Mailbox) {
    for uid in mailbox.uids("INBOX") {
        mailbox.set_uidl("INBOX", uid, &format!("moved-{uid}"));
    }
}

/// All that was fetched once is there once, and what came since; nothing is complained about any more.
#[track_caller]
fn assert_each_is_here_once(client: &Client, messages: usize) {
    client.fetch_until_quiet(4);
    let mut subjects: Vec<String> = client.subjects().into_iter().filter(|s| s.starts_with("number")).collect();
    subjects.sort();
    assert_eq!(subjects, (1..=messages).map(|n| format!("number {n}")).collect::<Vec<_>>());
}

#[test]
fn imap_while_the_listing_is_too_short() {
    for hidden in [vec![2], vec![1, 2, 3, 4], (1..=6).collect()] {
        let Fetched { mailbox, faults, client, _server } = imap(MESSAGES);
        mailbox.set_uidvalidity("INBOX", 77, true);
        hidden.iter().for_each(|uid| faults.message(*uid, MessageFault::Unlisted));
        client.fetch();
        client.fetch();
        mailbox.add("INBOX", message(MESSAGES + 1));
        client.fetch();
        faults.clear();
        assert_each_is_here_once(&client, MESSAGES + 1);
    }
}

#[test]
fn pop3_while_the_listing_is_too_short() {
    for hidden in [vec![2], vec![1, 2, 3, 4], (1..=5).collect()] {
        let Fetched { mailbox, faults, client, _server } = pop3(MESSAGES);
        change_uidls(&mailbox);
        hidden.iter().for_each(|uid| faults.message(*uid, MessageFault::NoUidl));
        client.fetch();
        mailbox.add("INBOX", message(MESSAGES + 1));
        client.fetch();
        faults.clear();
        assert_each_is_here_once(&client, MESSAGES + 1);
    }
}

#[test]
fn pop3_while_only_new_mail_is_listed() {
    let Fetched { mailbox, faults, client, _server } = pop3(MESSAGES);
    change_uidls(&mailbox);
    (1..=MESSAGES as u32).for_each(|uid| faults.message(uid, MessageFault::NoUidl));
    mailbox.add("INBOX", message(MESSAGES + 1));
    mailbox.add("INBOX", message(MESSAGES + 2));
    client.fetch();
    faults.clear();
    assert_each_is_here_once(&client, MESSAGES + 2);
}

#[test]
fn imap_while_a_header_is_not_told() {
    for fault in [MessageFault::Nil, MessageFault::NotGiven] {
        let Fetched { mailbox, faults, client, _server } = imap(MESSAGES);
        mailbox.set_uidvalidity("INBOX", 77, true);
        faults.message(3, fault.clone());
        let report = client.fetch();
        assert_eq!(report.exit_code(), 75, "{fault:?}: {report:#?}");
        assert!(complaints(&report).contains("cannot be compared"), "{fault:?}: {}", complaints(&report));
        client.fetch();
        mailbox.add("INBOX", message(MESSAGES + 1));
        assert_eq!(client.fetch().new, 1, "{fault:?}: new mail does not wait for it");
        faults.clear();
        assert_each_is_here_once(&client, MESSAGES + 1);
    }
}

#[test]
fn pop3_while_a_header_is_not_told() {
    for fault in [MessageFault::Nil, MessageFault::NotGiven, MessageFault::Refused] {
        let Fetched { mailbox, faults, client, _server } = pop3(MESSAGES);
        change_uidls(&mailbox);
        faults.message(3, fault.clone());
        client.fetch();
        client.fetch();
        faults.clear();
        assert_each_is_here_once(&client, MESSAGES);
    }
}

#[test]
fn imap_whose_state_was_lost_while_the_listing_is_too_short() {
    let Fetched { faults, client, _server, .. } = imap(MESSAGES);
    std::fs::remove_dir_all(client.path("state")).unwrap();
    faults.message(2, MessageFault::Unlisted);
    faults.message(3, MessageFault::Nil);
    client.fetch();
    client.fetch();
    faults.clear();
    assert_each_is_here_once(&client, MESSAGES);
}

/// World, seed 110284: over POP3 nothing says that a listing is too short, and it was compared once.
#[test]
fn pop3_whose_state_was_lost_while_a_message_was_not_listed() {
    let Fetched { mailbox, faults, client, _server } = pop3(MESSAGES);
    std::fs::remove_dir_all(client.path("state")).unwrap();
    faults.message(2, MessageFault::Unlisted);
    client.fetch();
    mailbox.add("INBOX", message(MESSAGES + 1));
    client.fetch();
    faults.clear();
    assert_each_is_here_once(&client, MESSAGES + 1);
}

#[test]
fn pop3_with_one_message() {
    let Fetched { mailbox, client, _server, .. } = pop3(1);
    change_uidls(&mailbox);
    client.fetch_well();
    assert_each_is_here_once(&client, 1);
}

/// What was recognised by the names of its files has no size and no header in the new state; its files have.
#[test]
fn after_a_lost_state() {
    let Fetched { mailbox, client, _server, .. } = imap(MESSAGES);
    std::fs::remove_dir_all(client.path("state")).unwrap();
    client.fetch();
    mailbox.set_uidvalidity("INBOX", 77, true);
    client.fetch();
    assert_each_is_here_once(&client, MESSAGES);

    let Fetched { mailbox, client, _server, .. } = pop3(MESSAGES);
    std::fs::remove_dir_all(client.path("state")).unwrap();
    client.fetch();
    change_uidls(&mailbox);
    client.fetch();
    assert_each_is_here_once(&client, MESSAGES);
}

/// What the numbers were compared with is let go when all was compared: the same mail, sent once more, is new mail.
#[test]
fn the_same_mail_sent_again_later_is_new_mail() {
    let Fetched { mailbox, faults, client, _server } = imap(MESSAGES);
    mailbox.remove("INBOX", 6);
    mailbox.set_uidvalidity("INBOX", 77, true);
    faults.message(2, MessageFault::Unlisted);
    client.fetch();
    faults.clear();
    client.fetch();
    mailbox.add("INBOX", message(6));
    assert_eq!(client.fetch_well().new, 1);
}
