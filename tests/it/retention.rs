//! What becomes of mail on the server after it is safe here: the retention does what it says, or says that it did not.
//! The letters are those of the reports from outside of November 2026.

use crate::stage::{Account, Client, complaints, filled, message, play_to};
use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::faults::{Fault, Faults};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::mailbox::Mailbox;
use crate::support::pop3_server::{Pop3Options, Pop3Server};
use crate::support::sandbox::Sandbox;

const WITHOUT: [&[&str]; 4] = [&[], &["MOVE"], &["UIDPLUS"], &["MOVE", "UIDPLUS"]];

fn without(faults: &Faults, left_out: &[&str]) -> ImapOptions {
    left_out.iter().fold(ImapOptions::with_faults(faults), |options, capability| options.without(capability))
}

/// A server that lacks these capabilities, and a client with these lines in its account.
fn serve(mailbox: &Mailbox, left_out: &[&str], lines: &[&str]) -> (ImapServer, Client, Faults) {
    let faults = Faults::none();
    let server = ImapServer::start(mailbox, without(&faults, left_out));
    let client = lines.iter().fold(Account::imap(server.port()), |account, line| account.with(line)).client();
    (server, client, faults)
}

/// The same as a program in a home folder of its own.
fn sandbox(mailbox: &Mailbox, left_out: &[&str], lines: &[&str]) -> (ImapServer, Sandbox, Faults) {
    let (server, client, faults) = serve(mailbox, left_out, lines);
    (server, client.account.sandbox(), faults)
}

fn said(faults: &Faults, words: &str) -> usize {
    faults.commands().iter().filter(|command| command.contains(words)).count()
}

// I F1: the target of `move_to`.

#[test]
fn interop_f1_where_mail_is_moved_to_is_not_fetched() {
    for left_out in WITHOUT {
        for folders in ["all", "['*']", "[INBOX, 'D*']", "['*', INBOX]"] {
            let (mailbox, _) = filled(3);
            mailbox.add("Done", message(9));
            let lines = [&format!("folders: {folders}"), "retention: {move_to: Done}"];
            let (_server, client, _) = serve(&mailbox, left_out, &lines);
            for _ in 0..3 {
                client.fetch();
            }
            assert_eq!((mailbox.count("INBOX"), mailbox.count("Done")), (0, 4), "{left_out:?} {folders}");
            assert_eq!(client.subjects(), ["number 1", "number 2", "number 3"], "{folders}");
        }
    }
}

#[test]
fn interop_f1_the_target_is_known_by_any_of_its_names() {
    for (move_to, folders) in [
        ("INBOX/Done", "all"),
        ("inbox.Done", "all"),
        ("INBOX/Done", "[INBOX, Inbox.Done]"),
        ("inbox/Done", "['inbox*']"),
    ] {
        let (mailbox, _) = filled(3);
        let options = ImapOptions { delimiter: Some('.'), ..ImapOptions::default() };
        mailbox.add_folder("INBOX.Done", &[]);
        let server = ImapServer::start(&mailbox, options);
        let account = Account::imap(server.port()).with(&format!("retention: {{move_to: {move_to}}}"));
        let client = account.with(&format!("folders: {folders}")).client();
        for _ in 0..3 {
            client.fetch();
        }
        assert_eq!(mailbox.count("INBOX"), 0, "{move_to} {folders}");
        assert_eq!(client.subjects(), ["number 1", "number 2", "number 3"], "{folders}");
    }
}

#[test]
fn interop_f1_a_target_that_is_named_among_the_folders_is_said() {
    let (mailbox, _) = filled(1);
    for folders in ["[INBOX, Done]", "[INBOX, done]", "INBOX"] {
        let move_to = if folders == "INBOX" { "inbox" } else { "Done" };
        let lines = [&format!("folders: {folders}"), &*format!("retention: {{move_to: {move_to}}}")];
        let (_server, sandbox, _) = sandbox(&mailbox, &[], &lines);
        let output = sandbox.run(&["check"]);
        assert!(output.code == 78 && output.stdout.contains("`move_to`"), "{folders}: {output}");
    }
    // By which names a server knows a folder is not known before it is asked.
    let options = ImapOptions { delimiter: Some('.'), ..ImapOptions::default() };
    let server = ImapServer::start(&mailbox, options);
    mailbox.add_folder("INBOX.Done", &[]);
    let account = Account::imap(server.port()).with("retention: {move_to: INBOX/Done}");
    let (output, _home) = account.with("folders: [INBOX, INBOX.Done]").run();
    assert!(output.code == 78 && output.stderr.contains("INBOX.Done"), "{output}");
    assert_eq!((mailbox.count("INBOX"), mailbox.count("INBOX.Done")), (0, 1));
}

#[test]
fn interop_f1_a_real_server_is_not_copied_over_and_over() {
    let Some(dovecot) = Dovecot::start() else { return };
    let account = Account::on(format!("imap: {{host: 127.0.0.1, port: {}, tls: none}}", dovecot.ports.imap));
    let account = account.with(&format!("password: {PASSWORD}")).with("folders: all");
    let client = account.with("retention: {move_to: Old/Archive}").client();
    let messages: Vec<String> = (1..=7).map(message).collect();
    messages.iter().for_each(|message| _ = dovecot.add("me", "INBOX", message.replace('\n', "\r\n")));
    for _ in 0..4 {
        client.fetch_well();
    }
    client.mail().assert_holds(&messages);
    let count = |folder: &str| dovecot.doveadm(&["search", "-u", "me", "mailbox", folder, "all"]).lines().count();
    assert_eq!((count("INBOX"), count("Old/Archive")), (0, 7));
}

// I F10: the delimiter.

#[test]
fn interop_f10_a_path_goes_out_with_the_delimiter_of_the_server() {
    for left_out in WITHOUT {
        let (mailbox, messages) = filled(3);
        let faults = Faults::none();
        let options = ImapOptions { delimiter: Some('.'), ..without(&faults, left_out) };
        let server = ImapServer::start(&mailbox, options);
        let client = Account::imap(server.port()).with("retention: {move_to: INBOX/Done}").client();
        client.fetch_well();
        assert_eq!((mailbox.count("INBOX"), mailbox.count("INBOX.Done")), (0, 3), "{left_out:?}");
        client.mail().assert_holds(&messages);
    }
}

// A B16: what moved.

#[test]
fn audit_b16_what_another_client_marked_as_deleted_is_moved_like_the_rest() {
    for left_out in WITHOUT {
        let (mailbox, messages) = filled(3);
        mailbox.set_flags("INBOX", 1, &["\\Deleted"]);
        let (_server, client, _) = serve(&mailbox, left_out, &["retention: {move_to: Done}"]);
        let report = client.fetch_well();
        assert_eq!((mailbox.count("INBOX"), mailbox.count("Done"), report.settled), (0, 3, 3), "{left_out:?}");
        client.mail().assert_holds(&messages);
    }
}

#[test]
fn audit_b16_what_the_server_did_not_move_is_tried_again_and_said() {
    let (report, client) = play_to("move-of-some", |account| account.with("retention: {move_to: Done}"));
    assert_eq!((report.exit_code(), report.settled), (0, 1), "the second pass moved the rest: {report:#?}");
    assert_eq!(client.subjects(), ["a", "b"]);
}

#[test]
fn audit_b16_only_what_was_copied_is_taken_away() {
    let (report, client) = play_to("copy-of-some", |account| account.with("retention: {move_to: Done}"));
    assert_eq!((report.exit_code(), report.settled), (75, 1), "{report:#?}");
    assert!(complaints(&report).contains("INBOX: 1 of 2 messages were not moved to Done"), "{report:#?}");
    assert_eq!(client.subjects(), ["a", "b"]);
}

#[test]
fn what_was_copied_and_stands_there_still_is_not_copied_again() {
    let (mailbox, _) = filled(3);
    let (_server, client, faults) = serve(&mailbox, &["MOVE"], &["retention: {move_to: Done}"]);
    faults.set(Fault::Refuse("UID STORE", "[NOPERM] no".into()));
    for _ in 0..2 {
        let report = client.fetch();
        assert_eq!(report.exit_code(), 69, "{report:#?}");
    }
    assert_eq!((mailbox.count("INBOX"), mailbox.count("Done")), (3, 3));
    faults.clear();
    assert_eq!(client.fetch_well().settled, 3);
    assert_eq!((mailbox.count("INBOX"), mailbox.count("Done")), (0, 3));
}

#[test]
fn a_move_that_only_copied_is_finished() {
    let (report, _client) = play_to("move-that-copies", |account| account.with("retention: {move_to: Done}"));
    assert_eq!((report.exit_code(), report.settled), (0, 1), "{report:#?}");
}

/// Providers have a switch for it: DELE and QUIT are answered with +OK, and the mail stays.
#[test]
fn reliability_f13_what_is_deleted_and_listed_again_is_said() {
    let (report, client) = play_to("pop3-deletes-nothing", |account| account.with("retention: delete"));
    assert_eq!((report.exit_code(), report.settled), (75, 0), "{report:#?}");
    assert!(
        complaints(&report).contains("INBOX: 1 messages were deleted or moved and are listed again"),
        "{report:#?}"
    );
    assert_eq!(client.subjects(), ["a"]);
}

#[test]
fn a_missing_folder_is_made_although_the_server_does_not_ask_for_it() {
    let (report, client) = play_to("move-without-trycreate", |account| account.with("retention: {move_to: Done}"));
    assert_eq!((report.exit_code(), report.settled), (0, 1), "{report:#?}");
    assert_eq!(client.subjects(), ["a"]);
}

// I F13: no UIDPLUS.

#[test]
fn interop_f13_without_uidplus_what_is_ours_alone_is_expunged() {
    for retention in ["delete", "{move_to: Done}"] {
        let (mailbox, messages) = filled(3);
        let lines = [&*format!("retention: {retention}")];
        let (_server, client, faults) = serve(&mailbox, &["UIDPLUS", "MOVE"], &lines);
        let report = client.fetch_well();
        assert_eq!((mailbox.count("INBOX"), report.settled), (0, 3), "{retention}");
        assert_eq!(said(&faults, " EXPUNGE"), 1);
        client.mail().assert_holds(&messages);
    }
}

#[test]
fn interop_f13_what_somebody_else_marked_is_not_expunged_with_ours() {
    let (mailbox, _) = filled(3);
    let big = mailbox.add("INBOX", format!("Subject: big\n\n{}\n", "x".repeat(2000)));
    mailbox.set_flags("INBOX", big, &["\\Deleted"]);
    let lines = ["retention: delete", "max_size: 1K"];
    let (_server, sandbox, faults) = sandbox(&mailbox, &["UIDPLUS"], &lines);
    let notices = || {
        let texts = crate::support::maildir::Maildirs::at(sandbox.maildir()).delivered().into_iter();
        texts.filter(|found| String::from_utf8_lossy(&found.bytes).contains("X-Mailsluice-Notice:")).count()
    };
    for _ in 0..3 {
        let output = sandbox.run(&["--allow-root", "fetch"]);
        assert!(output.code == 69 && output.stderr.contains("UIDPLUS"), "{output}");
        assert!(output.stderr.contains("Expunge (compact) this folder in your mail program"), "{output}");
        assert_eq!((mailbox.count("INBOX"), said(&faults, " EXPUNGE"), notices()), (4, 0, 1));
    }
    let check = sandbox.run(&["check"]);
    assert!(check.code == 0 && check.stdout.contains("me: INBOX: ") && check.stdout.contains("UIDPLUS"), "{check}");
    let json = sandbox.run(&["--json", "check"]);
    assert!(json.stdout.contains("\"account\":\"me\""), "{json}");
    // Its owner expunges, or takes the mark away.
    mailbox.set_flags("INBOX", big, &[]);
    let output = sandbox.run(&["--allow-root", "fetch"]);
    assert!(output.code == 0 && mailbox.uids("INBOX") == [big], "{output}");
    let check = sandbox.run(&["check"]);
    assert!(check.code == 0 && !check.stdout.contains("UIDPLUS"), "{check}");
}

#[test]
fn interop_f13_what_waits_to_be_expunged_is_copied_once() {
    let (mailbox, _) = filled(3);
    let big = mailbox.add("INBOX", format!("Subject: big\n\n{}\n", "x".repeat(2000)));
    mailbox.set_flags("INBOX", big, &["\\Deleted"]);
    let lines = ["retention: {move_to: Done}", "max_size: 1K"];
    let (_server, client, faults) = serve(&mailbox, &["UIDPLUS", "MOVE"], &lines);
    for _ in 0..3 {
        assert_eq!(client.fetch().exit_code(), 69);
        assert_eq!((mailbox.count("INBOX"), mailbox.count("Done"), said(&faults, " EXPUNGE")), (4, 3, 0));
    }
    assert_eq!(mailbox.flags("INBOX", 1), Some(vec!["\\Deleted".to_owned()]), "it waits for the user's own client");
    mailbox.remove("INBOX", big);
    assert_eq!(client.fetch_well().settled, 3);
    assert_eq!((mailbox.count("INBOX"), mailbox.count("Done")), (0, 3));
}

#[test]
fn interop_f13_what_is_not_due_is_somebody_elses() {
    let (mailbox, _) = filled(2);
    let (_server, client, faults) = serve(&mailbox, &["UIDPLUS"], &["retention: {delete_after: 1s}"]);
    client.fetch_well();
    mailbox.add("INBOX", message(3));
    std::thread::sleep(std::time::Duration::from_millis(1100));
    mailbox.set_flags("INBOX", 3, &["\\Deleted"]);
    // Message 3 is fetched in this pass, and its user has marked it.
    let report = client.fetch();
    assert_eq!((report.exit_code(), mailbox.count("INBOX"), said(&faults, " EXPUNGE")), (69, 3, 0), "{report:#?}");
}

#[test]
fn interop_f13_a_search_that_does_not_name_what_was_just_marked_is_not_believed() {
    let (report, client) = play_to("search-names-no-marks", |account| account.with("retention: delete"));
    assert_eq!((report.exit_code(), report.settled), (75, 0), "{report:#?}");
    assert_eq!(client.subjects(), ["a"]);
}

// R F13, B B13: what is refused, what fits nothing.

#[test]
fn reliability_f13_a_refused_dele_is_said() {
    let (mailbox, messages) = filled(3);
    let faults = Faults::of([Fault::Refuse("DELE", "not in this maildrop".into())]);
    let server = Pop3Server::start(&mailbox, Pop3Options::with_faults(&faults));
    let client = Account::pop3(server.port()).with("retention: delete").client();
    for _ in 0..2 {
        let report = client.fetch();
        assert_eq!((report.exit_code(), report.settled), (75, 0), "{report:#?}");
        let text = complaints(&report);
        assert!(
            text.contains("DELE was refused for 3 of 3 messages") && text.contains("not in this maildrop"),
            "{text}"
        );
    }
    client.mail().assert_holds(&messages);
    let (world, _) = client.open();
    assert_eq!(world.store.standing().unwrap().len(), 1);
    faults.clear();
    assert_eq!(client.fetch_well().settled, 3);
    assert!(world.store.standing().unwrap().is_empty());
}

#[test]
fn reliability_f13_a_refusal_for_good_and_one_that_lasts_are_told_once() {
    use std::sync::atomic::{AtomicI64, Ordering};
    static HOURS: AtomicI64 = AtomicI64::new(0);
    let later = || jiff::Timestamp::now() + jiff::SignedDuration::from_hours(HOURS.load(Ordering::SeqCst));
    for (text, first) in [("[SYS/PERM] never", 1), ("not now", 0)] {
        HOURS.store(0, Ordering::SeqCst);
        let (mailbox, _) = filled(2);
        let faults = Faults::of([Fault::Refuse("DELE", text.into())]);
        let server = Pop3Server::start(&mailbox, Pop3Options::with_faults(&faults));
        let client = Account::pop3(server.port()).with("retention: delete").client();
        let client = Client { now: later, ..client };
        client.fetch();
        assert_eq!(client.notices().len(), first, "{text}");
        for hours in [25, 50, 75] {
            HOURS.store(hours, Ordering::SeqCst);
            assert_ne!(client.fetch().exit_code(), 0);
        }
        let notices = client.notices();
        assert!(notices.len() == 1 && notices[0].contains("DELE was refused"), "{text}: {notices:?}");
    }
}

#[test]
fn reliability_f13_a_refused_store_or_expunge_settles_nothing() {
    for (command, left_out) in [("UID STORE", &[][..]), ("UID EXPUNGE", &[]), ("EXPUNGE", &["UIDPLUS"])] {
        let (mailbox, _) = filled(2);
        let (_server, client, faults) = serve(&mailbox, left_out, &["retention: delete"]);
        faults.set(Fault::Refuse(command, "no".into()));
        for _ in 0..2 {
            let report = client.fetch();
            assert_eq!((report.exit_code(), report.settled, mailbox.count("INBOX")), (69, 0, 2), "{report:#?}");
            assert!(complaints(&report).contains(&format!("INBOX: {command} was refused")), "{report:#?}");
        }
        faults.clear();
        assert_eq!((client.fetch_well().settled, mailbox.count("INBOX")), (2, 0), "{command}");
    }
}

#[test]
fn bugs_b13_folders_that_fit_nothing_are_said() {
    for (folders, hint) in [
        ("[INBOX, 'Lists/*']", "`INBOX/Lists/*`"),
        ("[INBOX, 'inbox/LISTS/*']", "`INBOX/Lists/a`"),
        ("[INBOX, 'Nothing*']", "INBOX, INBOX/Lists/a"),
    ] {
        let (mailbox, messages) = filled(2);
        mailbox.add("INBOX/Lists/a", message(3));
        let lines = [&*format!("folders: {folders}")];
        let (_server, client, _) = serve(&mailbox, &[], &lines);
        for _ in 0..2 {
            let report = client.fetch();
            assert_eq!(report.exit_code(), 69, "{report:#?}");
            let text = complaints(&report);
            assert!(text.contains("no folder on the server matches") && text.contains(hint), "{folders}: {text}");
        }
        let notices = client.notices();
        assert!(notices.len() == 1 && notices[0].contains("no folder on the server matches"), "{notices:?}");
        client.mail().assert_nothing_wrong_yet(&messages.iter().chain(&notices).cloned().collect::<Vec<_>>());
        assert_eq!(client.subjects().len(), 2, "the other folders are fetched");
    }
}

/// It was left out, and nobody heard of it.
#[test]
fn a_folder_whose_list_line_cannot_be_read_is_said() {
    for (folders, code) in [("[INBOX, '*']", 75), ("[INBOX, 'Lists/*', Work]", 75), ("[INBOX, 'Wor*']", 0)] {
        let (report, client) = play_to("list-line-unreadable", |account| account.with(&format!("folders: {folders}")));
        let said = complaints(&report);
        assert!(
            said.contains("1 folder on the server is listed") && said.contains("Lists/old mail"),
            "{folders}: {said}"
        );
        assert_eq!((report.exit_code(), report.errors.len()), (code, usize::from(code != 0)), "{folders}: {report:#?}");
        assert!(client.notices().is_empty(), "it may pass");
    }
}

#[test]
fn bugs_b13_what_stood_about_a_folder_goes_with_it() {
    let (mailbox, _) = filled(1);
    let (_server, client, _) = serve(&mailbox, &[], &["folders: [INBOX, Gone]"]);
    let mut client = client;
    assert_eq!(client.fetch().exit_code(), 69);
    let standing = |client: &Client| client.open().0.store.standing().unwrap();
    assert!(standing(&client)[0].about == "Gone" && client.notices().len() == 1);
    client.change(|account| account.with("folders: [INBOX]"));
    client.fetch_well();
    assert!(standing(&client).is_empty());
}

#[test]
fn bugs_b13_a_pattern_that_fits_the_target_alone_fits_nothing() {
    let (mailbox, _) = filled(1);
    mailbox.add("Done", message(2));
    let (_server, client, _) = serve(&mailbox, &[], &["folders: [INBOX, 'Do*']", "retention: {move_to: Done}"]);
    let report = client.fetch();
    assert_eq!((report.exit_code(), report.settled), (69, 1), "{report:#?}");
    assert_eq!(client.subjects(), ["number 1"]);
}
