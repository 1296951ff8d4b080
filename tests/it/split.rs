//! `split`: each message within a message goes its own way, and nothing of the whole is lost.

use crate::outbox::User;
use crate::support::maildir::Maildirs;
use crate::support::smtp_server::{SmtpOptions, SmtpServer};

const SPLIT: &str = "  - {if: {subject: Digest}, do: {split: digest}}\n  \
    - {if: {subject: one}, do: {fileinto: ones}}\n  \
    - {if: {subject: unwanted}, do: discard}\n  \
    - {if: {subject: forward}, do: {redirect: {to: me@phone.example, max_age: 36500d}}}\n  \
    - {if: {subject: help}, do: {reply: I got it.}}";

fn digest(subjects: &[&str]) -> String {
    let one = |subject: &&str| {
        format!(
            "--d\n\nReturn-Path: <ann@far.example>\nFrom: ann@far.example\nTo: me@home.example\n\
             Date: Mon, 23 Nov 2026 10:00:00 +0000\nMessage-ID: <{subject}@far.example>\nSubject: {subject}\n\nText of {subject}\n\n"
        )
    };
    let parts: String = subjects.iter().map(one).collect();
    format!(
        "Return-Path: <list@far.example>\nFrom: list@far.example\nTo: me@home.example\nSubject: Digest 1\n\
         Message-ID: <digest@far.example>\nMIME-Version: 1.0\n\
         Content-Type: multipart/digest; boundary=d\n\nHello\n\n{parts}--d--\n"
    )
}

fn texts(user: &User, folder: &str) -> Vec<String> {
    let found = Maildirs::at(user.sandbox.maildir()).in_folder(folder);
    let mut texts: Vec<String> =
        found.iter().map(|found| String::from_utf8_lossy(&found.bytes).lines().last().unwrap().to_owned()).collect();
    texts.sort();
    texts
}

#[test]
fn each_message_goes_its_way_and_the_whole_comes_back() {
    let user = User::without_relay(SPLIT);
    let whole = digest(&["one", "unwanted", "two", "one"]);
    user.deliver(&whole);
    assert_eq!(texts(&user, "ones"), ["Text of one"; 2]);
    assert_eq!(texts(&user, "INBOX"), ["Text of two"]);
    let log = user.sandbox.run(&["log", "--json"]);
    assert!(log.stdout.contains("fileinto ones") && !log.stdout.contains("discard"), "{log}");
    let undone = user.sandbox.run(&["--allow-root", "undo", "1"]);
    assert_eq!((undone.code, undone.stderr.as_str()), (0, ""), "{undone}");
    assert_eq!(texts(&user, "ones"), Vec::<String>::new());
    assert_eq!(user.inbox(), [whole]);
}

/// Whoever wrote a message within another one did not send it here: he is not answered, whatever the rules say.
#[test]
fn nobody_within_is_answered_and_what_is_forwarded_is_one_of_them() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = User::with_relay(SPLIT, &server);
    user.deliver(digest(&["help me", "forward this"]));
    user.settled();
    let rows = user.rows();
    assert_eq!(rows.len(), 1, "{rows:#?}");
    let sent = server.mails();
    assert_eq!(sent.len(), 1);
    let data = String::from_utf8_lossy(&sent[0].message()).into_owned();
    assert!(data.contains("Text of forward this") && !data.contains("Text of help me"), "{data}");
    let log = user.sandbox.run(&["log", "--json"]);
    assert!(log.stdout.contains("message 1 of 2: no reply: split, it came within another message"), "{log}");
    // What is told of one of them is filed too: a relay may refuse it for good.
    assert_eq!(texts(&user, "INBOX"), ["Text of forward this", "Text of help me"]);
}

/// What else stands in it is not lost, and nothing is doubled for it: a cover note, a file.
#[test]
fn what_holds_more_than_messages_is_kept_whole() {
    let user = User::without_relay(
        "  - {if: {subject: Fwd}, do: {split: attached}}\n  - {if: {subject: inner}, do: {fileinto: ones}}",
    );
    let whole = "Subject: Fwd\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nPlease read.\n--b\nContent-Type: message/rfc822\n\nSubject: inner\n\nText\n--b--\n";
    user.deliver(whole);
    assert_eq!((texts(&user, "ones").len(), user.inbox()), (0, vec![whole.to_owned()]));
    // However often it is filtered again, nothing comes twice.
    assert_eq!(user.sandbox.run(&["--allow-root", "refilter", "--yes", "INBOX"]).code, 0);
    assert_eq!((texts(&user, "ones").len(), user.inbox().len()), (0, 1));
}

/// Neither `for_each` nor a second `split` brings a message within twice.
#[test]
fn each_of_them_is_decided_once() {
    let user = User::without_relay(
        "  - {for_each: {address: recipient}, if: {subject: Digest}, do: [{split: digest}, {split: attached}]}\n  \
         - {do: {fileinto: ones}}",
    );
    user.deliver(
        digest(&["one", "two"])
            .replace("To: me@home.example\nSubject: Digest", "To: a@b.example, c@d.example\nSubject: Digest"),
    );
    assert_eq!(texts(&user, "ones"), ["Text of one", "Text of two"]);
}

/// What refilter tells nobody stays here, beside others that were filed.
#[test]
fn refilter_loses_none_that_would_be_told() {
    let mut user = User::without_relay("  - {if: {subject: never}, do: keep}");
    user.deliver(digest(&["one", "forward"]));
    user.rules = SPLIT.to_owned();
    user.config("relays: {default: {sendmail: /bin/true, from: me@home.example}}\n");
    let output = user.sandbox.run(&["--allow-root", "refilter", "--yes", "INBOX"]);
    assert_eq!(output.code, 0, "{output}");
    assert_eq!(
        (texts(&user, "ones"), texts(&user, "INBOX")),
        (vec!["Text of one".into()], vec!["Text of forward".into()])
    );
}

/// As many as come by themselves.
#[test]
fn a_flood_in_one_digest_is_seen() {
    let user = User::without_relay(
        "  - {if: {subject: Digest}, do: {split: digest}}\n  \
         - {if: {rate: {per: \"${from.addr}\", within: 1h, over: 2}}, do: {fileinto: flood}}",
    );
    user.deliver(digest(&["a", "b", "c", "d"]));
    assert_eq!((texts(&user, "flood").len(), texts(&user, "INBOX").len()), (2, 2));
}

/// Of a message of which all is discarded the whole stays in the spool.
#[test]
fn what_is_discarded_comes_back_whole() {
    let user = User::without_relay(SPLIT);
    let whole = digest(&["unwanted"]);
    user.deliver(&whole);
    assert_eq!(Maildirs::at(user.sandbox.maildir()).messages().len(), 0);
    assert_eq!(user.sandbox.run(&["--allow-root", "undo", "1"]).code, 0);
    assert_eq!(user.inbox(), [whole]);
}

/// Filed mail is split in the same way, once: its parts are no digests.
#[test]
fn refilter_splits_once() {
    let mut user = User::without_relay("  - {if: {subject: never}, do: keep}");
    user.deliver(digest(&["one", "two"]));
    user.rules = SPLIT.to_owned();
    user.config("");
    for _ in 0..2 {
        let output = user.sandbox.run(&["--allow-root", "refilter", "--yes", "INBOX"]);
        assert_eq!(output.code, 0, "{output}");
        assert_eq!(
            (texts(&user, "ones"), texts(&user, "INBOX")),
            (vec!["Text of one".into()], vec!["Text of two".into()])
        );
    }
    let undone = user.sandbox.run(&["--allow-root", "undo", "--run", "1"]);
    assert_eq!(undone.code, 0, "{undone}");
    assert_eq!((texts(&user, "ones").len(), user.inbox()), (0, vec![digest(&["one", "two"])]));
}

/// More messages within one than anybody reads by hand are no reason to lose or to flood: it is kept as it came.
#[test]
fn a_bomb_of_messages_is_kept_whole() {
    let user = User::without_relay(SPLIT);
    let whole = digest(&["one"; 101]);
    user.deliver(&whole);
    assert_eq!(texts(&user, "ones").len(), 0);
    let inbox = user.inbox();
    assert!(inbox.contains(&whole), "{}", inbox.len());
    assert!(inbox.iter().any(|notice| notice.contains("more than 100 messages are in it")), "{:.600}", inbox.concat());
}

/// A folder that cannot take them: each of them stands in the inbox, and not the first alone.
#[test]
fn each_of_them_stands_in_the_inbox_when_a_folder_refuses() {
    let user = User::without_relay(SPLIT);
    std::fs::create_dir_all(user.sandbox.maildir()).unwrap();
    std::fs::write(user.sandbox.maildir().join("ones"), "a file is in the way").unwrap();
    user.deliver(digest(&["one", "one", "one", "two"]));
    let inbox = texts(&user, "INBOX");
    let ones = inbox.iter().filter(|text| *text == "Text of one").count();
    assert_eq!((ones, inbox.contains(&"Text of two".to_owned())), (3, true), "{inbox:?}");
}

/// Where its original is not kept, one of the messages is not the whole: nothing is taken away for it.
#[test]
fn without_its_original_a_split_stays() {
    let user = User::without_relay(SPLIT);
    user.deliver(digest(&["one", "two"]));
    for file in std::fs::read_dir(user.sandbox.home().join("state/spool")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            std::fs::remove_file(path).unwrap();
        }
    }
    let undone = user.sandbox.run(&["--allow-root", "undo", "1"]);
    assert_ne!(undone.code, 0, "{undone}");
    assert_eq!((texts(&user, "ones").len(), texts(&user, "INBOX").len()), (1, 1));
}

/// Our own mark stands on the message around what was forwarded: when it comes back it is taken apart, and goes nowhere.
#[test]
fn what_was_forwarded_from_here_does_not_leave_again_from_within() {
    let server = SmtpServer::start(SmtpOptions::default());
    let rules = "  - {if: {attachment: true}, do: {split: attached}}\n  \
        - {do: {redirect: {to: me@phone.example, mode: attach, max_age: 36500d}}}";
    let user = User::with_relay(rules, &server);
    user.deliver("Return-Path: <ann@far.example>\nFrom: ann@far.example\nTo: me@home.example\nDate: Mon, 23 Nov 2026 10:00:00 +0000\nSubject: x\n\ntext\n");
    user.settled();
    let sent = String::from_utf8_lossy(&server.mails()[0].message()).into_owned();
    user.deliver(format!("Return-Path: <me@home.example>\n{sent}"));
    user.settled();
    assert_eq!(server.mails().len(), 1);
    let log = user.sandbox.run(&["log", "--json"]);
    assert!(log.stdout.contains("it was forwarded from here before (a loop)"), "{log}");
}

/// One that fails takes the others back: none goes its way beside the whole.
#[test]
fn all_go_their_ways_or_none() {
    let user = User::without_relay(
        "  - {on_error: continue, if: {subject: Digest}, do: {split: digest}}\n  \
         - {if: {subject: one}, do: {fileinto: ones}}\n  - {if: {subject: bad}, do: {filter: [false]}}",
    );
    let whole = digest(&["one", "bad", "one"]);
    user.deliver(&whole);
    assert_eq!((texts(&user, "ones").len(), user.inbox()), (0, vec![whole]));
}

/// With `copy: true` the whole stays, and would be taken apart again and again: by a script as well.
#[test]
fn filed_mail_is_not_taken_apart_as_a_copy() {
    for split in ["{split: {messages: digest, copy: true}}", "{lua: 'act.split{messages = \"digest\", copy = true}'}"] {
        let mut user = User::without_relay("  - {if: {subject: never}, do: keep}");
        user.deliver(digest(&["one", "two"]));
        user.rules = format!(
            "  - {{if: {{subject: Digest}}, do: {split}}}\n  - {{if: {{subject: one}}, do: {{fileinto: ones}}}}"
        );
        user.config("");
        for _ in 0..2 {
            assert_eq!(user.sandbox.run(&["--allow-root", "refilter", "--yes", "INBOX"]).code, 0);
        }
        assert_eq!((texts(&user, "ones").len(), user.inbox().len()), (0, 1), "{split}");
        user.deliver(digest(&["one"]).replace("digest@", "later@"));
        assert_eq!((texts(&user, "ones").len(), user.inbox().len()), (1, 2), "as it comes: {split}");
    }
}
