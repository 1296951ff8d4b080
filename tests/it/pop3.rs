//! POP3 servers and networks that fail: the F rows of the hazards.

use std::sync::atomic::{AtomicI64, Ordering};

use mailsluice::error::Kind;

use crate::stage::{Account, Client, complaints, filled, mailbox, message, play, play_to};
use crate::support::faults::{Fault, Faults, MessageFault};
use crate::support::mailbox::{Incoming, Mailbox};
use crate::support::maildir::canonical;
use crate::support::pop3_server::{Pop3Options, Pop3Server};

fn serve(mailbox: &Mailbox, faults: &Faults) -> (Pop3Server, Client) {
    let server = Pop3Server::start(mailbox, Pop3Options::with_faults(faults));
    let client = Account::pop3(server.port()).client();
    (server, client)
}

fn deleting(client: Client) -> Client {
    Client { account: client.account.clone().with("retention: delete"), ..client }
}

#[test]
fn f4_without_uidl_nothing_is_guessed() {
    let (report, client) = play("pop3-no-uidl");
    assert_eq!(report.exit_code(), 76, "{report:#?}");
    assert!(complaints(&report).contains("`identity: content`"), "{report:#?}");
    client.mail().assert_holds::<&str>(&[]);
}

#[test]
fn f4_identity_by_content_when_asked_for() {
    let (report, client) = play_to("pop3-identity-content", |account| account.with("identity: content"));
    assert_eq!((report.new, report.exit_code()), (1, 0), "{report:#?}");
    assert_eq!(client.subjects(), ["a", "b", "c"]);
}

#[test]
fn f4_messages_without_a_uidl_stay_on_the_server() {
    let (mailbox, messages) = filled(3);
    let faults = Faults::none();
    faults.message(2, MessageFault::NoUidl);
    let (_server, client) = serve(&mailbox, &faults);
    let client = deleting(client);
    let report = client.fetch();
    assert_eq!(mailbox.count("INBOX"), 3, "nothing is deleted while the listing is odd");
    assert!(complaints(&report).contains("the server counts 3 messages and names 2"), "{report:#?}");
    faults.clear();
    client.fetch_until_quiet(3);
    client.mail().assert_holds(&messages);
    assert_eq!(mailbox.count("INBOX"), 0);
}

#[test]
fn f5_duplicate_uidls_are_all_delivered() {
    let mailbox = mailbox();
    let messages = [message(1), message(1), message(2)];
    messages.iter().for_each(|message| _ = mailbox.add("INBOX", message));
    (1..=3).for_each(|uid| mailbox.set_uidl("INBOX", uid, "the same"));
    let (_server, client) = serve(&mailbox, &Faults::none());
    let client = deleting(client);
    let report = client.fetch_well();
    client.mail().assert_holds(&messages);
    assert_eq!((report.new, mailbox.count("INBOX")), (3, 3), "nothing is deleted in a pass that finds this");
    client.fetch_until_quiet(3);
    client.mail().assert_holds(&messages);
}

#[test]
fn f6_a_reused_uidl_is_new_mail() {
    let (mailbox, _) = filled(1);
    let (_server, client) = serve(&mailbox, &Faults::none());
    client.fetch_well();
    let uidl = mailbox.snapshot()[0].messages[0].uidl.clone();
    mailbox.remove("INBOX", 1);
    let other = "Subject: other\n\nAnother message under an old name.\n";
    let uid = mailbox.add("INBOX", other);
    mailbox.set_uidl("INBOX", uid, &uidl);
    assert_eq!(client.fetch_well().new, 1);
    assert_eq!(client.fetch_well().new, 0, "and only once");
    client.mail().assert_holds(&[message(1), other.to_owned()]);
}

#[test]
fn f6_a_message_under_a_reused_uidl_comes_once_whatever_the_server_writes_into_it() {
    let (mailbox, _) = filled(1);
    let (_server, client) = serve(&mailbox, &Faults::none());
    client.fetch_well();
    let uidl = mailbox.snapshot()[0].messages[0].uidl.clone();
    mailbox.remove("INBOX", 1);
    let uid = mailbox.add("INBOX", message(20));
    mailbox.set_uidl("INBOX", uid, &uidl);
    assert_eq!(client.fetch_well().new, 1);
    let dressed = Incoming::new(format!("Status: RO\n{}", message(20))).bytes;
    mailbox.change_folder("INBOX", |folder| folder.message_mut(uid).unwrap().bytes = dressed.into());
    assert_eq!(client.fetch_well().new, 0, "the same mail in another dress");
    client.mail().assert_holds(&[message(1), message(20)]);
}

#[test]
fn f6_another_size_alone_is_not_new_mail() {
    let (mailbox, messages) = filled(2);
    let faults = Faults::none();
    let (_server, client) = serve(&mailbox, &faults);
    client.fetch_well();
    faults.message(1, MessageFault::Size(5));
    assert_eq!(client.fetch_well().new, 0, "the header is the same");
    client.mail().assert_holds(&messages);
}

#[test]
fn f7_strange_uidls_in_any_order() {
    let (mailbox, messages) = filled(6);
    let uidls =
        ["x".repeat(1000), "y".repeat(70), "with a blank".into(), "<>&\\\"%s".into(), "ümläut".into(), "7".into()];
    for (uid, uidl) in (1..).zip(&uidls) {
        mailbox.set_uidl("INBOX", uid, uidl);
    }
    let (_server, client) = serve(&mailbox, &Faults::none());
    assert_eq!(client.fetch_well().new, 6);
    mailbox.change_folder("INBOX", |inbox| {
        inbox.messages.reverse();
        (1..).zip(&mut inbox.messages).for_each(|(uid, message)| message.uid = uid);
    });
    assert_eq!(client.fetch_well().new, 0);
    client.mail().assert_holds(&messages);
}

#[test]
fn f7_control_bytes_in_a_uidl() {
    let script = "S: +OK\nC: CAPA\nS: -ERR no\nC: USER me\nS: +OK\nC: PASS open sesame\nS: +OK\nC: LIST\nS: +OK\n\
                  S: 1 18\nS: .\nC: UIDL\nS: +OK\nS: 1 \\x1b[2J\\x07\\xff\\0\nS: .\nC: RETR 1\n\
                  S~ +OK\\r\\nSubject: a\\r\\n\\r\\na.\\r\\n.\\r\\n\nC: QUIT\nS: +OK\n";
    let server = crate::support::scripted_server::ScriptedServer::start(script);
    let client = Account::pop3(server.port()).client();
    assert_eq!(client.fetch_well().new, 1);
    server.finish().unwrap();
    let (world, _) = client.open();
    let row = &world.store.journal(None, 1).unwrap()[0];
    assert!(row.message.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{:?}", row.message);
}

/// 40 days of truncated listings make nobody forget what was fetched.
#[test]
fn f8_a_truncated_listing_prunes_nothing() {
    static SECONDS: AtomicI64 = AtomicI64::new(0);
    let (mailbox, messages) = filled(4);
    let faults = Faults::none();
    let (_server, client) = serve(&mailbox, &faults);
    let now = || jiff::Timestamp::now() + jiff::SignedDuration::from_secs(SECONDS.load(Ordering::SeqCst));
    let client = Client { now, ..client };
    client.fetch_well();
    (3..=4).for_each(|uid| faults.message(uid, MessageFault::NoUidl));
    for _ in 0..4 {
        client.fetch();
        SECONDS.fetch_add(20 * 86_400, Ordering::SeqCst);
        let (world, _) = client.open();
        // By a clock that is not believed nothing would be pruned.
        let db = rusqlite::Connection::open(client.path("state/state.db")).unwrap();
        db.execute("UPDATE fact SET value = ?1 WHERE name = 'seen'", [now().as_second().to_string()]).unwrap();
        mailsluice::upkeep::prune(&world).unwrap();
    }
    faults.clear();
    assert_eq!(client.fetch_well().new, 0);
    let notices = client.notices();
    assert!(notices.iter().all(|text| text.contains("clock-doubted")), "{notices:?}");
    client.mail().assert_holds(&messages.into_iter().chain(notices).collect::<Vec<_>>());
}

#[test]
fn f10_a_message_that_vanishes_does_not_hold_up_the_others() {
    let (report, client) = play("pop3-vanished");
    assert_eq!((report.new, report.exit_code()), (0, 0), "{report:#?}");
    assert_eq!(client.subjects(), ["a", "c"]);
}

#[test]
fn f11_an_announced_size_is_only_a_hint() {
    let (mailbox, messages) = filled(3);
    for size in [0, 1, 120] {
        let faults = Faults::of((1..=3).map(|uid| Fault::Message(uid, MessageFault::Size(size))));
        faults.message(2, MessageFault::AnnouncedLonger(1000));
        let (_server, client) = serve(&mailbox, &faults);
        client.fetch_well();
        client.mail().assert_holds(&messages);
    }
}

#[test]
fn f12_a_cut_before_the_final_dot_is_no_message() {
    let (report, client) = play("pop3-cut-in-a-message");
    assert_eq!((report.new, report.exit_code()), (1, 0), "{report:#?}");
    client.mail().assert_holds(&["Subject: a\n\na.\n", "Subject: b\n\nb.\n"]);
}

#[test]
fn f12_cut_at_every_byte_of_a_session() {
    let mailbox = mailbox();
    let messages = ["Subject: a\n\nfirst\n", "Subject: b\n\n.second\n..\n"];
    messages.iter().for_each(|message| _ = mailbox.add("INBOX", message));
    let faults = Faults::none();
    let capabilities = ["TOP", "UIDL", "USER"].map(str::to_owned).to_vec();
    let server = Pop3Server::start(&mailbox, Pop3Options { capabilities, ..Pop3Options::with_faults(&faults) });
    let account = Account::pop3(server.port());
    account.clone().client().fetch_well();
    let whole = faults.bytes_sent();
    assert!(whole > 200, "{whole} bytes are no session");
    for byte in 0..whole {
        let client = account.clone().client();
        faults.clear();
        faults.set(Fault::CutAtByte(faults.bytes_sent() + byte.max(1)));
        client.fetch();
        client.mail().assert_nothing_wrong_yet(&messages);
        faults.clear();
        client.fetch_until_quiet(2);
        client.mail().assert_holds(&messages);
    }
}

#[test]
fn f13_the_final_dot_in_pieces() {
    let (report, client) = play("pop3-dot-stuffing");
    assert_eq!((report.new, report.exit_code()), (1, 0), "{report:#?}");
    client.mail().assert_holds(&[b"Subject: dots\n\n.\n..\n.a\nb\n.\nc\rd\0e\r\n"]);
}

#[test]
fn f13_one_byte_at_a_time() {
    let mailbox = mailbox();
    let messages = [".\n", "Subject: dots\n\n.\n..\n...\n.a\n\n.\n", "Subject: end\n\n."];
    messages.iter().for_each(|message| _ = mailbox.add("INBOX", message));
    let (_server, client) = serve(&mailbox, &Faults::of([Fault::OneByteSegments]));
    client.fetch_well();
    // POP3 cannot say that the last line has no end.
    client.mail().assert_holds(&[messages[0], messages[1], "Subject: end\n\n.\n"]);
}

#[test]
fn f14_the_bytes_of_a_message_are_kept() {
    let mailbox = mailbox();
    let odd: [&[u8]; 4] = [
        b"Subject: bare LF\n\none\n.\ntwo\r\nthree\r\n",
        b"Subject: bare CR\r\n\r\none\rtwo\r\r\nthree\r\r\n",
        b"Subject: 8-bit \xe4\xff\r\n\r\n\x80\0\x81\r\n.\r\n..\r\n",
        b"no header at all\r\n",
    ];
    odd.iter().for_each(|bytes| _ = mailbox.add_raw("INBOX", bytes));
    let (_server, client) = serve(&mailbox, &Faults::none());
    client.fetch_well();
    let mut found: Vec<Vec<u8>> = client.mail().delivered().into_iter().map(|found| found.bytes).collect();
    let mut expected: Vec<Vec<u8>> = odd.iter().map(|bytes| canonical(bytes)).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn f16_an_empty_reply_is_no_message() {
    let (mailbox, messages) = filled(2);
    let faults = Faults::none();
    faults.message(1, MessageFault::Nil);
    let (_server, client) = serve(&mailbox, &faults);
    let report = client.fetch();
    assert_eq!((report.new, report.failed, report.exit_code()), (1, 1, 75));
    client.mail().assert_holds(&messages[1..]);
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
    (2..=5).for_each(|_| _ = client.fetch());
    assert_eq!(client.fetch_well().exit_code(), 0);
    let notices = client.notices();
    assert_eq!(notices.len(), 1);
    messages[0] = notices[0].clone();
    client.mail().assert_holds(&messages);
}

#[test]
fn f17_a_message_that_breaks_every_connection_is_set_aside() {
    let (mailbox, mut messages) = filled(8);
    let faults = Faults::none();
    faults.message(3, MessageFault::CutAt(10));
    let (_server, client) = serve(&mailbox, &faults);
    (1..=5).for_each(|_| _ = client.fetch());
    client.fetch_until_quiet(2);
    let notices = client.notices();
    assert_eq!(notices.len(), 1);
    messages[2] = notices[0].clone();
    client.mail().assert_holds(&messages);
}

#[test]
fn f22_deleted_means_quit_was_answered() {
    let (report, client) = play_to("pop3-quit-unanswered", |account| account.with("retention: delete"));
    assert_eq!((report.new, report.settled, report.exit_code()), (0, 1, 0), "{report:#?}");
    assert_eq!(client.subjects(), ["a", "b"]);
}

#[test]
fn f22_a_refused_quit_deleted_nothing_for_sure() {
    let (report, client) = play_to("pop3-quit-refused", |account| account.with("retention: delete"));
    assert_eq!((report.new, report.settled, report.exit_code()), (0, 1, 0), "{report:#?}");
    assert_eq!(client.subjects(), ["a"]);
}

#[test]
fn f22_a_cut_at_every_command_of_a_deleting_pass() {
    for n in 1..=18 {
        for fault in [Fault::CutBefore(n), Fault::CutAfter(n)] {
            let (mailbox, messages) = filled(3);
            let shown = format!("{fault:?}");
            let (_server, client) = serve(&mailbox, &Faults::of([fault]));
            let client = deleting(client);
            client.fetch();
            assert!(mailbox.count("INBOX") == 3 || client.subjects().len() == 3, "{shown}: deleted before it was safe");
            client.fetch_until_quiet(4);
            assert_eq!(mailbox.count("INBOX"), 0, "{shown}");
            client.mail().assert_holds(&messages);
        }
    }
}

/// RFC 2449 and RFC 3206: which refusals are about the password, which pass, and which need a person.
#[test]
fn f30_to_f35_refused_logins_are_told_apart() {
    let cases = [
        ("[IN-USE] locked", Kind::Refused, 75),
        ("[LOGIN-DELAY] too soon", Kind::Refused, 75),
        ("[SYS/TEMP] the backend is down", Kind::Refused, 75),
        ("[SYS/PERM] the mailbox is broken", Kind::Refused, 69),
        ("[AUTH] wrong password", Kind::Auth, 77),
        ("no code and no reason", Kind::Login, 69),
    ];
    let (mailbox, _) = filled(1);
    for (text, kind, code) in cases {
        let (server, client) = serve(&mailbox, &Faults::of([Fault::RefuseLogin(text.to_owned())]));
        let report = client.fetch();
        assert_eq!((report.errors[0].kind(), report.exit_code()), (kind, code), "{text}: {report:#?}");
        assert_eq!(
            (server.connections(), client.notices().len()),
            (1, usize::from(matches!(kind, Kind::Auth | Kind::Login))),
            "{text}"
        );
    }
}

#[test]
fn f30_the_dialog_of_a_mailbox_in_use() {
    let (report, client) = play("pop3-in-use");
    assert_eq!((report.errors[0].kind(), report.exit_code()), (Kind::Refused, 75), "{report:#?}");
    assert!(client.notices().is_empty());
}

#[test]
fn f44_a_server_that_disconnects_every_few_commands_is_drained() {
    let (mailbox, messages) = filled(20);
    let (_server, client) = serve(&mailbox, &Faults::of([Fault::DisconnectEvery(8)]));
    let passes = client.fetch_until_quiet(20);
    assert!(passes > 5, "the fault did nothing: {passes} passes");
    client.mail().assert_holds(&messages);
}

#[test]
fn p9_many_lines_where_one_is_due() {
    let (report, _) = play("pop3-many-lines-for-one");
    assert_eq!((report.errors[0].kind(), report.exit_code()), (Kind::Protocol, 76), "{report:#?}");
}

#[test]
fn p9_one_line_where_many_are_due() {
    let (report, client) = play("pop3-one-line-for-many");
    assert_eq!(report.exit_code(), 75, "{report:#?}");
    client.mail().assert_holds::<&str>(&[]);
}

#[test]
fn t12_smtps_334_is_no_answer_of_pop3() {
    let (report, _) = play("pop3-sasl-asks-again");
    assert_eq!(report.exit_code(), 76, "{report:#?}");
}

#[test]
fn utf8_goes_before_the_login() {
    let (report, _) = play("pop3-utf8-before-user");
    assert_eq!(report.exit_code(), 0, "{report:#?}");
}

#[test]
fn every_way_to_log_in() {
    let (mailbox, messages) = filled(1);
    for password in ["with \"quotes\" and  blanks", "päßwörd"] {
        mailbox.set_password(password);
        for left_out in ["", "USER", "SASL PLAIN", "PIPELINING"] {
            let server = Pop3Server::start(&mailbox, Pop3Options::default().without(left_out));
            let quoted = serde_json::to_string(password).unwrap();
            let client = Account::pop3(server.port()).with(&format!("password: {quoted}")).client();
            client.fetch_well();
            client.mail().assert_holds(&messages);
        }
    }
}
