//! IMAP servers and networks that fail: the F rows of the hazards. Nothing lost, nothing twice, nothing half.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mailsluice::error::Kind;
use mailsluice::message::{Key, Origin};

use crate::stage::{Account, Client, complaints, filled, mailbox, message, play, play_to};
use crate::support::faults::{Fault, Faults, MessageFault};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::mailbox::{Incoming, Mailbox};

/// A server for the mailbox with these faults, and a client for it.
fn serve(mailbox: &Mailbox, faults: &Faults) -> (ImapServer, Client) {
    let server = ImapServer::start(mailbox, ImapOptions::with_faults(faults));
    let client = Account::imap(server.port()).client();
    (server, client)
}

#[test]
fn f1_a_new_uidvalidity_redelivers_nothing_and_loses_nothing() {
    let (mailbox, mut messages) = filled(300);
    let (_server, client) = serve(&mailbox, &Faults::none());
    client.fetch_well();
    mailbox.set_uidvalidity("INBOX", 77, true);
    messages.push(message(301));
    mailbox.add("INBOX", &messages[300]);

    let report = client.fetch_well();
    assert_eq!(report.new, 1, "{report:#?}");
    client.fetch_until_quiet(1);
    let notices = client.notices();
    assert!(notices.len() == 1 && notices[0].contains("300 of its 301 messages"), "{notices:?}");
    messages.extend(notices);
    client.mail().assert_holds(&messages);
}

#[test]
fn f1_the_dialog_of_a_new_uidvalidity() {
    let (report, client) = play("uidvalidity-changes");
    assert_eq!((report.new, report.exit_code()), (1, 0), "{report:#?}");
    assert_eq!(client.subjects(), ["a", "b"]);
}

#[test]
fn f1_nothing_is_deleted_in_the_pass_that_finds_a_new_uidvalidity() {
    let (mailbox, _) = filled(3);
    let (_server, mut client) = serve(&mailbox, &Faults::none());
    client.fetch_well();
    client.change(|account| account.with("retention: delete"));
    mailbox.set_uidvalidity("INBOX", 9, true);
    let report = client.fetch_well();
    assert_eq!((mailbox.count("INBOX"), report.settled), (3, 0));
    assert!(complaints(&report).contains("INBOX: UIDVALIDITY changed; nothing was deleted on the server in this pass"));
    client.fetch_well();
    assert_eq!(mailbox.count("INBOX"), 0, "the next pass knows them by their new numbers");
}

/// The connection breaks after every possible command of a deleting pass; meanwhile the server renumbers, so that
/// every old UID means another message.
#[test]
fn f2_a_uid_of_the_old_uidvalidity_is_never_used_for_deleting() {
    for n in 1..=12 {
        let (mailbox, messages) = filled(4);
        let faults = Faults::of([Fault::CutAfter(n)]);
        let (_server, client) = serve(&mailbox, &faults);
        let client = Client { account: client.account.clone().with("retention: delete"), ..client };
        client.fetch();
        let (before, was_known) = (mailbox.count("INBOX"), !client.subjects().is_empty());
        mailbox.set_uidvalidity("INBOX", 50, true);
        mailbox.add("INBOX", message(5));
        client.fetch();
        assert!(!was_known || mailbox.count("INBOX") > before, "command {n}: deleted in an odd pass");
        client.fetch_until_quiet(4);
        assert_eq!(mailbox.count("INBOX"), 0, "command {n}");
        let expected = messages.into_iter().chain([message(5)]).chain(client.notices()).collect::<Vec<_>>();
        client.mail().assert_holds(&expected);
    }
}

#[test]
fn f3_without_a_uidvalidity_nothing_is_deleted() {
    let (mailbox, messages) = filled(2);
    for fault in [Some(Fault::NoUidvalidity), None] {
        if fault.is_none() {
            mailbox.set_uidvalidity("INBOX", 0, false);
        }
        let (_server, client) = serve(&mailbox, &Faults::of(fault));
        let client = Client { account: client.account.clone().with("retention: delete"), ..client };
        let report = client.fetch();
        assert!(complaints(&report).contains("INBOX: the server gives no UIDVALIDITY"), "{report:#?}");
        assert_eq!((report.exit_code(), mailbox.count("INBOX")), (0, 2), "{report:#?}");
        client.mail().assert_holds(&messages);
    }
}

#[test]
fn f3_a_uidnext_that_goes_down_changes_nothing() {
    let (mailbox, messages) = filled(3);
    let (_server, client) = serve(&mailbox, &Faults::none());
    client.fetch_well();
    for uidnext in [0, 1] {
        mailbox.set_uidnext("INBOX", uidnext);
        assert_eq!(client.fetch_well().new, 0);
    }
    client.mail().assert_holds(&messages);
}

#[test]
fn f10_a_message_that_vanishes_is_no_failure() {
    let (mailbox, messages) = filled(3);
    let faults = Faults::none();
    let other_client = mailbox.clone();
    // Login, CAPABILITY, EXAMINE and SEARCH; then it is to be described.
    faults.at_command(5, move || _ = other_client.remove("INBOX", 2));
    let (_server, client) = serve(&mailbox, &faults);
    let report = client.fetch_well();
    assert_eq!((report.new, report.exit_code()), (2, 0));
    client.mail().assert_holds(&[&messages[0], &messages[2]]);
}

/// Listed, described, and then expunged by another client before it is asked for.
#[test]
fn f10_a_message_expunged_before_its_fetch_is_no_failure() {
    let (mailbox, messages) = filled(3);
    let faults = Faults::none();
    let (other, seen) = (mailbox.clone(), faults.clone());
    // The hook of a command sets itself again for the next one until the body is asked for.
    fn arm(faults: Faults, mailbox: Mailbox, n: usize) {
        let next = faults.clone();
        faults.at_command(n, move || {
            if next.commands().last().is_some_and(|command| command.contains("BODY.PEEK[])")) {
                mailbox.remove("INBOX", 2);
            } else {
                arm(next, mailbox, n + 1);
            }
        });
    }
    arm(seen, other, 1);
    let (_server, client) = serve(&mailbox, &faults);
    let report = client.fetch_well();
    assert_eq!((report.new, mailbox.count("INBOX")), (2, 2));
    client.mail().assert_holds(&[&messages[0], &messages[2]]);
}

#[test]
fn f11_a_literal_longer_than_what_is_sent_is_not_searched_for_its_end() {
    let (report, client) = play("literal-longer-than-sent");
    assert_eq!((report.new, report.exit_code()), (0, 75), "{report:#?}");
    client.mail().assert_holds::<&str>(&[]);
}

#[test]
fn f11_an_announced_size_is_only_a_hint() {
    let (mailbox, messages) = filled(3);
    for size in [0, 1, 70, 120] {
        let faults = Faults::of((1..=3).map(|uid| Fault::Message(uid, MessageFault::Size(size))));
        let (_server, client) = serve(&mailbox, &faults);
        client.fetch_well();
        client.mail().assert_holds(&messages);
        assert_eq!(client.fetch_well().new, 0, "announced as {size}");
    }
}

#[test]
fn f12_a_cut_literal_is_no_message() {
    let (report, client) = play("literal-cut");
    assert_eq!((report.new, report.exit_code()), (1, 0), "{report:#?}");
    assert_eq!(client.subjects(), ["a", "b"]);
    client.mail().assert_holds(&["Subject: a\n\na.\n", "Subject: b\n\nb.\n"]);
}

#[test]
fn f12_a_message_cut_again_and_again_is_never_half_here() {
    let (mailbox, messages) = filled(2);
    let faults = Faults::none();
    let (_server, client) = serve(&mailbox, &faults);
    for byte in [0, 1, 20, messages[1].len() - 1] {
        faults.clear();
        faults.message(2, MessageFault::CutAt(byte));
        assert_eq!(client.fetch().exit_code(), 75);
        client.mail().assert_holds(&messages[..1]);
    }
    faults.clear();
    client.fetch_until_quiet(2);
    client.mail().assert_holds(&messages);
}

#[test]
fn f13_one_byte_at_a_time() {
    let (mailbox, messages) = filled(3);
    let (_server, client) = serve(&mailbox, &Faults::of([Fault::OneByteSegments]));
    client.fetch_well();
    client.mail().assert_holds(&messages);
}

#[test]
fn f14_the_bytes_of_a_message_are_kept() {
    let mailbox = mailbox();
    let odd: [&[u8]; 5] = [
        b"Subject: bare LF\n\none\ntwo\r\nthree\n",
        b"Subject: bare CR\r\n\r\none\rtwo\r\r\nthree\r",
        b"Subject: no end\r\n\r\nno line end",
        b"Subject: 8-bit \xe4\xff\r\n\r\n\x80\x81\r\n.\r\n..\r\n",
        b"no header at all",
    ];
    odd.iter().for_each(|bytes| _ = mailbox.add_raw("INBOX", bytes));
    let (_server, client) = serve(&mailbox, &Faults::none());
    client.fetch_well();
    let expected: Vec<Vec<u8>> = odd.iter().map(|bytes| crate::support::maildir::canonical(bytes)).collect();
    let found: Vec<Vec<u8>> = client.mail().delivered().into_iter().map(|found| found.bytes).collect();
    for bytes in expected {
        assert!(found.contains(&bytes), "{:?} is not among the mail", String::from_utf8_lossy(&bytes));
    }
    assert_eq!(found.len(), odd.len());
}

#[test]
fn f14_a_nul_in_a_message_is_kept() {
    let mailbox = mailbox();
    mailbox.add_raw("INBOX", b"Subject: nul\r\n\r\na\0b\0\r\n");
    mailbox.add("INBOX", message(2));
    let (_server, client) = serve(&mailbox, &Faults::none());
    client.fetch_well();
    client.mail().assert_holds(&[b"Subject: nul\n\na\0b\0\n", message(2).as_bytes()]);
}

#[test]
fn f16_nil_for_a_body_is_a_failure_and_no_empty_message() {
    let (report, client) = play("body-nil");
    assert_eq!((report.new, report.failed, report.exit_code()), (1, 1, 75), "{report:#?}");
    assert_eq!(client.subjects(), ["b"]);
}

#[test]
fn f16_replies_about_other_messages_are_passed_over() {
    let (report, client) = play("foreign-replies");
    assert_eq!((report.new, report.exit_code()), (1, 0), "{report:#?}");
    client.mail().assert_holds(&["Subject: a\n\na.\n"]);
}

#[test]
fn f16_a_uid_that_was_not_asked_for_is_not_believed() {
    let (mailbox, messages) = filled(3);
    let faults = Faults::none();
    faults.message(2, MessageFault::Uid(900));
    let (_server, client) = serve(&mailbox, &faults);
    client.fetch();
    client.mail().assert_holds(&[&messages[0], &messages[2]]);
    faults.clear();
    client.fetch_until_quiet(2);
    client.mail().assert_holds(&messages);
}

#[test]
fn f16_a_missing_date_is_no_reason_to_leave_a_message_out() {
    let (mailbox, messages) = filled(2);
    let (_server, client) = serve(&mailbox, &Faults::of([Fault::Message(1, MessageFault::NoInternaldate)]));
    client.fetch_well();
    client.mail().assert_holds(&messages);
}

#[test]
fn f17_one_refused_message_does_not_hold_up_a_hundred() {
    let (mailbox, mut messages) = filled(101);
    let faults = Faults::none();
    faults.message(1, MessageFault::Refused);
    let (_server, client) = serve(&mailbox, &faults);
    let report = client.fetch();
    assert_eq!((report.new, report.failed, report.exit_code()), (100, 1, 75), "{report:#?}");
    client.mail().assert_holds(&messages[1..]);

    for attempt in 2..=5 {
        assert!(client.notices().is_empty(), "told too early, before attempt {attempt}");
        let report = client.fetch();
        assert!(complaints(&report).contains(&format!("attempt {attempt} of 5")), "{report:#?}");
    }
    let report = client.fetch_well();
    assert_eq!((report.exit_code(), report.new), (0, 0), "set aside");
    let notices = client.notices();
    assert!(notices.len() == 1 && notices[0].contains("me/INBOX 1"), "{notices:?}");
    messages[0] = notices[0].clone();
    client.mail().assert_holds(&messages);
}

#[test]
fn f17_the_dialog_of_a_batch_refused_because_of_one_message() {
    let (report, client) = play("no-for-one-message");
    assert_eq!((report.new, report.failed, report.exit_code()), (2, 1, 75), "{report:#?}");
    assert_eq!(client.subjects(), ["a", "c"]);
}

/// Worse than NO: the server drops the connection whenever it comes to that message.
#[test]
fn f17_a_message_that_breaks_every_connection_is_set_aside() {
    let (mailbox, mut messages) = filled(10);
    let faults = Faults::none();
    faults.message(4, MessageFault::CutAt(10));
    let (_server, client) = serve(&mailbox, &faults);
    for _ in 1..=5 {
        assert_eq!(client.fetch().exit_code(), 75);
    }
    client.fetch_until_quiet(2);
    let notices = client.notices();
    assert_eq!(notices.len(), 1);
    messages[3] = notices[0].clone();
    client.mail().assert_holds(&messages);
}

#[test]
fn f17_a_message_set_aside_is_tried_again_after_a_day() {
    static DAYS: AtomicU32 = AtomicU32::new(0);
    let (mailbox, messages) = filled(2);
    let faults = Faults::none();
    faults.message(1, MessageFault::Refused);
    let (_server, client) = serve(&mailbox, &faults);
    let now = || jiff::Timestamp::now() + jiff::SignedDuration::from_hours(25 * i64::from(DAYS.load(Ordering::SeqCst)));
    let client = Client { now, ..client };
    (1..=5).for_each(|_| _ = client.fetch());
    faults.clear();
    assert_eq!(client.fetch_well().new, 0, "not today");
    DAYS.store(1, Ordering::SeqCst);
    assert_eq!(client.fetch_well().new, 1);
    let expected: Vec<String> = messages.into_iter().chain(client.notices()).collect();
    client.mail().assert_holds(&expected);
}

/// What a process leaves behind that died while it decided about a message: once the rules are tried again, the second
/// time the message is filed without them.
#[test]
fn f18_a_message_that_kills_the_program_twice_is_filed_without_rules() {
    for (deaths, folder) in [(1, "Rules"), (2, "INBOX"), (3, "INBOX")] {
        let (mailbox, messages) = filled(2);
        let faults = Faults::none();
        let (_server, client) = serve(&mailbox, &faults);
        let account = client.account.clone().top("rules:\n  - {do: {fileinto: Rules}}");
        let client = Client { account, ..client };
        let origin = Origin { account: "me".into(), folder: "INBOX".into(), generation: 1 };
        let key = Key::uid(&Arc::new(origin), 1);
        for _ in 0..deaths {
            let (world, _) = client.open();
            world.store.deciding(&world.own("me", Duration::ZERO).unwrap(), Some(&key)).unwrap();
            // A pass that finds this and then has no server.
            faults.set(Fault::Bye("not now".into()));
            client.fetch();
            faults.clear();
        }
        client.fetch_well();
        let first = client
            .mail()
            .delivered()
            .into_iter()
            .find(|found| found.message_id().as_deref() == Some("<1@example.com>"));
        assert_eq!(first.unwrap().folder, folder, "after {deaths} deaths");
        assert_eq!(
            client.mail().in_folder("Rules").len(),
            if deaths == 1 { 2 } else { 1 },
            "the other is filed by the rules"
        );
        let notices = client.notices();
        assert_eq!(notices.len(), usize::from(deaths > 1));
        let expected: Vec<String> = messages.into_iter().chain(notices).collect();
        client.mail().assert_holds(&expected);
    }
}

#[test]
fn f19_mail_that_arrives_meanwhile_comes_next_time() {
    for n in 1..=7 {
        let (mailbox, mut messages) = filled(3);
        messages.push(message(4));
        let faults = Faults::none();
        let (other, late) = (mailbox.clone(), messages[3].clone());
        faults.at_command(n, move || _ = other.add("INBOX", &late));
        let (_server, client) = serve(&mailbox, &faults);
        client.fetch_until_quiet(3);
        client.mail().assert_holds(&messages);
    }
}

#[test]
fn f20_another_clients_expunge_does_not_shift_what_is_deleted() {
    for n in 1..=10 {
        let (mailbox, messages) = filled(4);
        let kept = mailbox.add("Other", message(9));
        let faults = Faults::none();
        let other = mailbox.clone();
        faults.at_command(n, move || _ = other.remove("INBOX", 1));
        let (_server, client) = serve(&mailbox, &faults);
        let client = Client { account: client.account.clone().with("retention: delete"), ..client };
        client.fetch_until_quiet(3);
        // Mail that came before the listing or after, and the other folder, stay whole.
        client.mail().assert_nothing_wrong_yet(&messages);
        assert!(client.subjects().len() >= 3, "command {n}: {:?}", client.subjects());
        assert_eq!((mailbox.count("INBOX"), mailbox.uids("Other")), (0, vec![kept]), "command {n}");
    }
}

#[test]
fn f21_what_another_client_marked_is_not_expunged() {
    let (mailbox, _) = filled(3);
    let faults = Faults::none();
    let (_server, client) = serve(&mailbox, &faults);
    let client = Client { account: client.account.clone().with("retention: delete").with("max_size: 1K"), ..client };
    let big = mailbox.add("INBOX", format!("Subject: big\n\n{}\n", "x".repeat(2000)));
    mailbox.set_flags("INBOX", big, &["\\Deleted"]);
    let report = client.fetch_well();
    assert_eq!(report.settled, 3);
    assert_eq!(mailbox.uids("INBOX"), [big], "it was not ours to expunge");
    assert!(faults.commands().iter().any(|command| command.contains("UID EXPUNGE 1:3")));
}

#[test]
fn f25_fetching_leaves_every_flag_as_it_was() {
    let (mailbox, _) = filled(3);
    mailbox.set_flags("INBOX", 2, &["\\Flagged"]);
    let before = mailbox.snapshot();
    let faults = Faults::none();
    let (_server, client) = serve(&mailbox, &faults);
    client.fetch_well();
    assert_eq!(mailbox.snapshot(), before);
    assert!(
        faults.commands().iter().any(|command| command.contains("EXAMINE")),
        "read-only, since nothing is to change"
    );
}

/// RFC 5530 and what servers write in plain words: which refusals are about the password, which pass, and which
/// need a person.
#[test]
fn f36_refused_logins_are_told_apart() {
    let cases = [
        ("[AUTHENTICATIONFAILED] no", Kind::Auth, 77),
        ("[AUTHORIZATIONFAILED] no", Kind::Auth, 77),
        ("[EXPIRED] the password", Kind::Auth, 77),
        ("no code and no reason", Kind::Login, 69),
        ("[PRIVACYREQUIRED] use TLS", Kind::Refused, 69),
        ("[CONTACTADMIN] locked", Kind::Refused, 69),
        ("[UNAVAILABLE] the backend is down", Kind::Refused, 75),
        ("[INUSE] locked", Kind::Refused, 75),
        ("[LIMIT] too much", Kind::Refused, 75),
        ("[SERVERBUG] oops", Kind::Refused, 75),
        ("[OVERQUOTA] full", Kind::Refused, 75),
        ("Request is throttled. Suggested Backoff Time: 299961 milliseconds", Kind::Refused, 75),
        ("Temporary authentication failure", Kind::Refused, 75),
    ];
    let (mailbox, _) = filled(1);
    for (text, kind, code) in cases {
        let faults = Faults::of([Fault::RefuseLogin(text.to_owned())]);
        let (server, client) = serve(&mailbox, &faults);
        let report = client.fetch();
        assert_eq!((report.errors[0].kind(), report.exit_code()), (kind, code), "{text}: {report:#?}");
        assert!(complaints(&report).contains(text), "{text} is not shown: {report:#?}");
        assert_eq!(server.connections(), 1, "{text}: tried again at once");
        assert_eq!(client.notices().len(), usize::from(matches!(kind, Kind::Auth | Kind::Login)), "{text}");
    }
}

#[test]
fn f36_the_dialog_of_a_refused_login() {
    let (report, client) = play("login-refused");
    assert_eq!(report.exit_code(), 77, "{report:#?}");
    let said = "logging in to 127.0.0.1 as me: the login was refused: NO [AUTHENTICATIONFAILED] Invalid credentials";
    assert!(complaints(&report).contains(said), "{report:#?}");
    assert_eq!(client.notices().len(), 1, "a daemon's user learns it from the inbox");
}

#[test]
fn f37_too_many_connections_is_no_wrong_password() {
    let (report, client) = play("too-many-connections");
    assert_eq!((report.errors[0].kind(), report.exit_code()), (Kind::Refused, 75), "{report:#?}");
    assert!(client.notices().is_empty());
}

#[test]
fn f39_authenticated_but_not_connected_is_a_throttle() {
    let (report, client) = play("authenticated-but-not-connected");
    assert_eq!((report.errors[0].kind(), report.exit_code()), (Kind::Refused, 75), "{report:#?}");
    assert!(complaints(&report).contains("User is authenticated but not connected"));
    assert!(client.notices().is_empty());
}

#[test]
fn f43_every_address_of_a_name_is_tried() {
    // `localhost` is usually ::1 first, where nobody listens.
    let (mailbox, messages) = filled(1);
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let client = Account::on(format!("imap: {{host: localhost, port: {}, tls: none}}", server.port())).client();
    client.fetch_well();
    client.mail().assert_holds(&messages);
}

#[test]
fn f43_a_server_that_is_not_there_is_tried_again_later() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let report = Account::imap(port).client().fetch();
    assert_eq!((report.errors[0].kind(), report.exit_code()), (Kind::Network, 75));
    assert!(complaints(&report).contains(&format!("connecting to 127.0.0.1 port {port}")), "{report:#?}");
}

/// N = 3, as the hazard list has it, is less than a login and a listing take; here it is what they take.
#[test]
fn f44_a_server_that_disconnects_every_few_commands_is_drained() {
    let (mailbox, messages) = filled(40);
    let faults = Faults::of([Fault::DisconnectEvery(8)]);
    let (_server, client) = serve(&mailbox, &faults);
    let client = Client { account: client.account.clone().with("limit: 10").with("retention: delete"), ..client };
    for _ in 0..12 {
        client.fetch();
    }
    faults.clear();
    client.fetch_until_quiet(2);
    assert_eq!(mailbox.count("INBOX"), 0);
    client.mail().assert_holds(&messages);
}

#[test]
fn p2_codes_where_they_mean_nothing_are_ignored() {
    let (report, client) = play("codes-out-of-place");
    assert_eq!((report.new, report.exit_code()), (1, 0), "{report:#?}");
    assert_eq!(client.subjects(), ["a"]);
}

#[test]
fn p8_an_answer_to_no_command_ends_the_session() {
    for dialog in ["another-commands-tag", "answered-twice"] {
        let (report, _) = play(dialog);
        assert_eq!(report.errors[0].kind(), Kind::Protocol, "{dialog}: {report:#?}");
        assert!(complaints(&report).contains("the server answered a command that was not sent"), "{report:#?}");
    }
}

#[test]
fn a_bye_in_the_middle_is_a_reason_to_come_again() {
    let (report, _) = play("bye-in-the-middle");
    assert_eq!(report.exit_code(), 75, "{report:#?}");
    assert!(complaints(&report).contains("the server is shutting down"), "{report:#?}");
}

#[test]
fn a_server_that_wants_to_know_who_we_are_is_told() {
    let (report, _) = play("id-before-select");
    assert_eq!(report.exit_code(), 0, "{report:#?}");
}

/// A folder by what it is for, in whatever language, with Gmail's labels as keywords that rules ask for.
#[test]
fn all_mail_of_gmail_comes_once_with_its_labels() {
    let rule = "rules:\n  - {if: {flag: Arbeit}, do: {fileinto: Work}}\n";
    let (report, client) =
        play_to("gmail-all-mail", |account| account.with("folders: ['\\All']").with("labels: keywords").top(rule));
    assert_eq!(report.exit_code(), 0, "{report:#?}");
    let found = client.mail().in_folder("Work");
    assert_eq!(found.len(), 1, "{:#?}", client.mail().delivered());
    assert!(client.mail().in_folder("INBOX").is_empty());
    let keywords = std::fs::read_to_string(client.home.path().join("Mail/Work/dovecot-keywords")).unwrap();
    for keyword in ["Arbeit", "Inbox", "$Important", "Zu_erledigen"] {
        assert!(keywords.contains(keyword), "{keyword}: {keywords}");
    }
}

#[test]
fn a_role_that_no_folder_has_is_said() {
    let (mailbox, _) = filled(1);
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let report = Account::imap(server.port()).with("folders: [INBOX, '\\All']").client().fetch();
    assert_eq!(report.new, 1, "{report:#?}");
    assert!(complaints(&report).contains("no folder on the server has the role \\All"), "{report:#?}");
}

#[test]
fn every_way_to_log_in() {
    let (mailbox, messages) = filled(1);
    for password in [r#"with "quotes" and \ "#, "päßwörd", "plain"] {
        mailbox.set_password(password);
        for left_out in ["", "SASL-IR", "AUTH=PLAIN"] {
            let server = ImapServer::start(&mailbox, ImapOptions::default().without(left_out));
            let quoted = serde_json::to_string(password).unwrap();
            let client = Account::imap(server.port()).with(&format!("password: {quoted}")).client();
            client.fetch_well();
            client.mail().assert_holds(&messages);
        }
    }
}

/// A cut after each byte that the server sends in a short session: before it nothing is here that is not whole,
/// after it everything arrives once.
#[test]
fn f12_cut_at_every_byte_of_a_session() {
    let mailbox = mailbox();
    let messages = ["Subject: a\n\nfirst\n", "Subject: b\n\nsecond\n"];
    messages.iter().for_each(|message| _ = mailbox.add("INBOX", message));
    let faults = Faults::none();
    let options = ImapOptions { capabilities: vec!["IMAP4rev1".to_owned()], ..ImapOptions::with_faults(&faults) };
    let server = ImapServer::start(&mailbox, options);
    let account = Account::imap(server.port());
    account.clone().client().fetch_well();
    let whole = faults.bytes_sent();
    assert!(whole > 300, "{whole} bytes are no session");
    for byte in 0..whole {
        let client = account.clone().client();
        faults.clear();
        faults.set(Fault::CutAtByte(faults.bytes_sent() + byte.max(1)));
        let report = client.fetch();
        client.mail().assert_nothing_wrong_yet(&messages);
        faults.clear();
        client.fetch_until_quiet(2);
        client.mail().assert_holds(&messages);
        assert!(report.new <= 2, "byte {byte}");
    }
}

#[test]
fn f23_a_message_is_safe_before_anything_is_deleted() {
    // INTERNALDATE, flags and the body go through a cut at every command of a deleting pass.
    for n in 1..=14 {
        for fault in [Fault::CutBefore(n), Fault::CutAfter(n)] {
            let mailbox = mailbox();
            let bytes = message(n);
            mailbox.add_message("INBOX", Incoming::new(&bytes).flag("\\Flagged").arrived(1_700_000_000));
            let shown = format!("{fault:?}");
            let faults = Faults::of([fault]);
            let (_server, client) = serve(&mailbox, &faults);
            let client = Client { account: client.account.clone().with("retention: delete"), ..client };
            client.fetch();
            assert!(mailbox.count("INBOX") == 1 || client.subjects().len() == 1, "{shown}: it is nowhere");
            client.fetch_until_quiet(4);
            assert_eq!(mailbox.count("INBOX"), 0, "{shown}");
            client.mail().assert_holds(&[&bytes]);
        }
    }
}

#[test]
fn t12_a_continuation_nobody_waits_for_is_not_answered() {
    let (report, _) = play("continuation-out-of-place");
    assert_eq!(report.exit_code(), 0, "{report:#?}");
    let (report, _) = play("sasl-asks-again");
    assert_ne!(report.exit_code(), 0, "{report:#?}");
}

#[test]
fn t12_a_challenge_of_a_megabyte_is_a_clean_error() {
    for text in ["x".repeat(1024 * 1024), "\\{repeat 3000000 x}".to_owned()] {
        let script = format!(
            "S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\nC: <tag> AUTHENTICATE PLAIN\nS: + {text}\nC: *\n\
             S: <tag> NO [AUTHENTICATIONFAILED] no\nignore\n"
        );
        let server = crate::support::scripted_server::ScriptedServer::start(&script);
        let report = Account::imap(server.port()).client().fetch();
        assert!(!report.errors.is_empty() && report.new == 0, "{report:#?}");
    }
}

#[test]
fn t7_a_referral_is_not_followed() {
    let (report, _) = play_to("referral", |account| account);
    assert_eq!((report.errors.len(), report.exit_code()), (1, 69), "{report:#?}");
}
