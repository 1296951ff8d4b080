//! Complete means proven complete: what is empty or far smaller than announced is not filed as mail and costs nothing on
//! the server, and what the server lists and does not give is no silence.

use crate::stage::{Account, Client, complaints, filled, mailbox, message, play, play_to};
use crate::support::faults::{Faults, MessageFault};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::mailbox::Mailbox;
use crate::support::pop3_server::{Pop3Options, Pop3Server};

const BIG: usize = 9_500_000;

fn big() -> String {
    format!("Subject: big\n\n{}", format!("{}\n", "x".repeat(70)).repeat(BIG / 72))
}

/// Both servers of one mailbox, with the same faults, and a deleting client for each.
fn both(mailbox: &Mailbox, faults: &Faults) -> ((ImapServer, Pop3Server), [(&'static str, Client); 2]) {
    let imap = ImapServer::start(mailbox, ImapOptions::with_faults(faults));
    let pop3 = Pop3Server::start(mailbox, Pop3Options::with_faults(faults));
    let clients = [("imap", Account::imap(imap.port())), ("pop3", Account::pop3(pop3.port()))];
    ((imap, pop3), clients.map(|(name, account)| (name, account.with("retention: delete").client())))
}

/// Four passes without mail, each with exit 75.
#[track_caller]
fn fails_four_times(client: &Client, cause: &str) {
    for attempt in 1..5 {
        let report = client.fetch();
        assert_eq!((report.new, report.failed, report.settled, report.exit_code()), (0, 1, 0, 75), "{report:#?}");
        let said = complaints(&report);
        assert!(said.contains(cause) && said.contains(&format!("attempt {attempt} of 5")), "{said}");
    }
}

#[test]
fn a_placeholder_of_exchange_is_not_the_message_and_costs_nothing_on_the_server() {
    let mailbox = mailbox();
    let placeholder = "Subject: Retrieval using the IMAP4 protocol failed for the following message: 42\n\n-\n";
    mailbox.add("INBOX", placeholder);
    let faults = Faults::none();
    faults.message(1, MessageFault::Size(482_133));
    let (_servers, clients) = both(&mailbox, &faults);
    for (protocol, client) in clients {
        fails_four_times(&client, "the server announces 482133 bytes and sends");
        // The fifth time the user gets what comes.
        assert_eq!(client.fetch().exit_code(), 75);
        let notices = client.notices();
        assert!(notices.len() == 1 && notices[0].contains("stays on the server"), "{protocol}: {notices:?}");
        client.mail().assert_holds(&[placeholder, &notices[0]]);
        for _ in 0..3 {
            assert_eq!((client.fetch_well().new, mailbox.count("INBOX")), (0, 1), "{protocol}: never settled");
        }
    }
}

#[test]
fn what_was_doubted_is_fetched_once_more_when_the_server_says_something_else() {
    let (mailbox, messages) = filled(1);
    let faults = Faults::none();
    faults.message(1, MessageFault::Size(482_133));
    let (_servers, [(_, imap), _]) = both(&mailbox, &faults);
    for _ in 0..6 {
        imap.fetch();
    }
    assert_eq!(imap.mail().messages().len(), 2, "the message and its notice");
    faults.clear();
    let report = imap.fetch_well();
    assert_eq!((report.new, report.settled, mailbox.count("INBOX")), (1, 1, 0), "{report:#?}");
    imap.mail().assert_holds(&[messages[0].clone(), messages[0].clone(), imap.notices()[0].clone()]);
}

#[test]
fn a_big_message_that_comes_empty_is_a_failed_attempt() {
    let (mailbox, _) = filled(1);
    let faults = Faults::none();
    faults.message(1, MessageFault::Size(BIG));
    faults.message(1, MessageFault::ShortWindows(0));
    let (_servers, [(_, imap), _]) = both(&mailbox, &faults);
    fails_four_times(&imap, "the server lists the message but sends nothing for it");
    imap.fetch();
    assert!(imap.notices()[0].contains("could not be fetched in 5 attempts"));
    assert_eq!(mailbox.count("INBOX"), 1);
    imap.mail().assert_holds(&imap.notices());
}

#[test]
fn a_big_message_without_a_body_is_a_failed_attempt() {
    let (mailbox, _) = filled(1);
    let faults = Faults::none();
    faults.message(1, MessageFault::Size(BIG));
    faults.message(1, MessageFault::Nil);
    let (_servers, clients) = both(&mailbox, &faults);
    for (_, client) in clients {
        fails_four_times(&client, "the server lists the message but sends nothing for it");
        assert_eq!(mailbox.count("INBOX"), 1);
    }
}

/// A server that cannot read a message may say that it has no bytes, and give none.
#[test]
fn an_empty_message_that_is_announced_as_empty_is_a_failed_attempt() {
    for size in [0, 2] {
        let (mailbox, _) = filled(1);
        let faults = Faults::none();
        faults.message(1, MessageFault::Size(size));
        faults.message(1, MessageFault::Nil);
        let (_servers, clients) = both(&mailbox, &faults);
        for (protocol, client) in clients {
            fails_four_times(&client, "the server lists the message but sends nothing for it");
            client.fetch();
            assert_eq!((client.notices().len(), mailbox.count("INBOX")), (1, 1), "{protocol}: never settled");
        }
    }
}

#[test]
fn a_big_message_ends_where_a_window_is_empty_not_where_one_is_short() {
    let mailbox = mailbox();
    mailbox.add("INBOX", big());
    let faults = Faults::none();
    faults.message(1, MessageFault::ShortWindows(1 << 20));
    let (_servers, [(_, imap), _]) = both(&mailbox, &faults);
    let report = imap.fetch_well();
    assert_eq!((report.new, report.settled), (1, 1));
    imap.mail().assert_holds(&[big()]);
}

#[test]
fn two_messages_that_are_set_aside_on_one_day_are_both_named() {
    let (mailbox, _) = filled(1);
    let faults = Faults::none();
    faults.message(1, MessageFault::Nil);
    let (_servers, [(_, imap), _]) = both(&mailbox, &faults);
    imap.fetch();
    mailbox.add("INBOX", message(2));
    faults.message(2, MessageFault::Nil);
    for _ in 0..5 {
        imap.fetch();
    }
    let notices = imap.notices().concat();
    assert!(notices.contains("me/INBOX 1 could") && notices.contains("me/INBOX 2 could"), "{notices}");
}

#[test]
fn what_is_listed_and_never_given_is_tried_five_times_and_said() {
    let (mailbox, messages) = filled(3);
    let faults = Faults::none();
    faults.message(2, MessageFault::NotGiven);
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let client = Account::imap(server.port()).client();
    for attempt in 1..=5 {
        let report = client.fetch();
        assert_eq!((report.failed, report.exit_code()), (1, 75), "attempt {attempt}: {report:#?}");
    }
    assert_eq!(client.fetch_well().new, 0, "set aside");
    let notices = client.notices();
    client.mail().assert_holds(&[&messages[0], &messages[2], &notices[0]]);
}

#[test]
fn what_is_not_described_is_fetched_all_the_same() {
    let (mailbox, messages) = filled(3);
    let faults = Faults::none();
    faults.message(2, MessageFault::NotDescribed);
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let client = Account::imap(server.port()).client();
    client.fetch_well();
    client.mail().assert_holds(&messages);
}

#[test]
fn identity_by_content_without_top_reads_the_messages() {
    let (report, client) = play_to("pop3-content-without-top", |account| account.with("identity: content"));
    assert_eq!((report.new, report.exit_code()), (2, 0), "{report:#?}");
    assert_eq!(client.subjects(), ["a", "b"]);
}

#[test]
fn a_reply_that_is_odd_costs_no_message() {
    let (report, client) = play("odd-replies");
    assert_eq!((report.new, report.exit_code()), (3, 0), "{report:#?}");
    client.mail().assert_holds(&["Subject: a\n\na.\n", "Subject: b", "Subject: say \"\\ c\""]);
}

#[test]
fn a_listing_that_is_too_short_is_asked_for_in_other_words() {
    let (report, client) = play("listed-as-uids");
    assert_eq!((report.new, report.exit_code()), (2, 0), "{report:#?}");
    assert_eq!(client.subjects(), ["a", "b"]);
}

#[test]
fn a_new_uidvalidity_in_mid_session_ends_its_deletions() {
    let (report, client) = play_to("uidvalidity-in-mid-session", |account| account.with("retention: delete"));
    assert_eq!((report.new, report.settled, report.exit_code()), (1, 0, 75), "{report:#?}");
    assert!(complaints(&report).contains("changed UIDVALIDITY in the middle of the session"), "{report:#?}");
    assert_eq!(client.subjects(), ["a"]);
}

#[test]
fn numbers_that_a_pop3_server_makes_up_break_nothing() {
    let (report, client) = play("pop3-odd-numbers");
    assert_eq!((report.new, report.exit_code()), (3, 0), "{report:#?}");
    assert_eq!(client.subjects(), ["a", "b", "c"]);
}

/// The notice stands before the mark does: whoever cannot file it, or is killed in between, says it the next time.
#[test]
fn what_is_given_up_is_said_when_the_notice_could_not_be_filed_at_first() {
    let placeholder = MessageFault::Size(482_133);
    for fault in [placeholder, MessageFault::Refused] {
        let mailbox = mailbox();
        mailbox.add("INBOX", message(1));
        let faults = Faults::none();
        faults.message(1, fault);
        let (_servers, clients) = both(&mailbox, &faults);
        for (protocol, client) in clients {
            (1..5).for_each(|_| _ = client.fetch());
            let db = rusqlite::Connection::open(client.path("state/state.db")).unwrap();
            let folder =
                "SELECT RAISE(FAIL, 'no notice') FROM origin WHERE origin = NEW.origin AND folder = '(notices)'";
            db.execute_batch(&format!("CREATE TRIGGER broken BEFORE INSERT ON journal BEGIN {folder}; END")).unwrap();
            assert_ne!(client.fetch().exit_code(), 0, "{protocol}");
            assert!(client.notices().is_empty());
            db.execute_batch("DROP TRIGGER broken").unwrap();
            client.fetch();
            assert_eq!(client.notices().len(), 1, "{protocol}");
            assert_eq!(client.fetch_well().new, 0, "{protocol}: given up");
        }
    }
}
