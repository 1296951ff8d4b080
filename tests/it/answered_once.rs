//! A message is answered at most once (RFC 5230 4.7), however often and wherever it comes.

use std::time::Duration;

use serde_json::Value;

use crate::outbox::User;
use crate::stage::{Account, mailbox};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::mailbox::Incoming;
use crate::support::sandbox::Sandbox;

const MANY: usize = 20;
const REPLY: &str = "  - {name: thanks, do: {reply: {text: Thank you, max_per_sender: 100/day}}}";

/// One mail as the `n`-th of twenty mailboxes gets it: servers write the way it took, and nothing else differs.
fn copy(n: usize, id: &str) -> String {
    format!(
        "Return-Path: <ann@far.example>\nDelivered-To: box{n}@home.example\n\
         Received: from far.example by mx{n}.home.example; Mon, 23 Nov 2026 12:00:{n:02} +0000\n\
         From: Ann <ann@far.example>\nTo: all@home.example, me@home.example\nDate: Mon, 23 Nov 2026 11:59:00 +0000\n\
         {id}Subject: to all of you\n\nhello\n"
    )
}

const ID: &str = "Message-ID: <1@far.example>\n";

fn lines(sandbox: &Sandbox, arguments: &[&str]) -> Vec<Value> {
    let output = sandbox.run(&[&["--allow-root"], arguments].concat());
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The rows of the outbox, and how many messages the log calls answered already.
fn answers(sandbox: &Sandbox) -> (usize, usize) {
    let rows = lines(sandbox, &["queue", "list", "--all", "--json"]);
    let journal = lines(sandbox, &["log", "--json", "-n", "100"]);
    let is_refused =
        |row: &&Value| row["notes"].to_string().contains("no reply: A26, this message was answered already");
    (rows.len(), journal.iter().filter(is_refused).count())
}

/// All at once, each in a process of its own.
fn deliver_at_once(user: &User, mails: impl Iterator<Item = String>) {
    let running: Vec<_> = mails.map(|mail| user.sandbox.spawn_with_stdin(&["--allow-root", "deliver"], mail)).collect();
    for running in running {
        let output = running.wait();
        assert_eq!(output.code, 0, "{output}");
    }
}

#[test]
fn one_mail_in_twenty_mailboxes_at_once_is_answered_once() {
    for action in ["vacation: {text: I am away}", "reply: {text: Thank you, max_per_sender: 100/day}"] {
        let user = User::without_relay(&format!("  - {{name: answer, do: {{{action}}}}}"));
        deliver_at_once(&user, (1..=MANY).map(|n| copy(n, ID)));
        assert_eq!(answers(&user.sandbox), (1, MANY - 1), "{action}");
        assert_eq!(user.inbox().len(), MANY, "the mail itself is everywhere");
    }
}

#[test]
fn one_mail_in_twenty_accounts_is_answered_once() {
    let mailboxes = [(); MANY].map(|()| mailbox());
    let servers: Vec<ImapServer> =
        mailboxes.iter().map(|mailbox| ImapServer::start(mailbox, ImapOptions::default())).collect();
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
    let accounts: String =
        servers.iter().enumerate().map(|(n, server)| Account::imap(server.port()).entry(&format!("a{n}"))).collect();
    sandbox.config(&format!(
        "maildir: ~/Mail\nstate: ~/state\nme: [me@home.example]\nrules:\n{REPLY}\naccounts:\n{accounts}"
    ));
    // It comes after the first run.
    assert_eq!(sandbox.run(&["--allow-root", "fetch"]).code, 0);
    let at = jiff::Timestamp::now().as_second() + 60;
    for (n, mailbox) in (1..).zip(&mailboxes) {
        mailbox.add_message("INBOX", Incoming::new(copy(n, ID)).arrived(at));
    }
    let output = sandbox.run(&["--allow-root", "fetch"]);
    assert_eq!(output.code, 75, "without a relay the answer waits: {output}");
    assert_eq!(answers(&sandbox), (1, MANY - 1), "{output}");
}

/// The control: it is the message that is known, not the sender.
#[test]
fn twenty_mails_of_one_sender_have_twenty_answers() {
    let user = User::without_relay(REPLY);
    deliver_at_once(&user, (1..=MANY).map(|n| copy(n, &format!("Message-ID: <{n}@far.example>\n"))));
    assert_eq!(answers(&user.sandbox), (MANY, 0));
}

#[test]
fn without_a_message_id_the_fields_of_the_sender_tell_it_from_others() {
    let user = User::without_relay(REPLY);
    user.deliver(copy(1, ""));
    user.deliver(copy(2, ""));
    assert_eq!(answers(&user.sandbox), (1, 1));
    user.deliver(copy(3, "").replace("11:59:00", "11:59:01"));
    user.deliver(copy(4, "").replace("to all of you", "something else"));
    assert_eq!(answers(&user.sandbox), (3, 1));
}

#[test]
fn no_other_handle_and_no_other_action_answers_it_again() {
    let rules = "  - {if: {envelope: {to: box1@home.example}}, do: [{vacation: {handle: a, text: I am away}}, stop]}
  - {if: {envelope: {to: box2@home.example}}, do: [{vacation: {handle: b, text: Gone}}, stop]}
  - {if: {envelope: {to: box3@home.example}}, do: {reject: No}}
  - {do: {reply: {handle: c, text: Thank you}}}";
    for first in 1..=4 {
        let user = User::without_relay(rules);
        for n in (1..=4).map(|n| 1 + (first + n) % 4) {
            user.deliver(copy(n, ID));
        }
        assert_eq!(answers(&user.sandbox), (1, 3), "{first}");
        // A rejected mail is kept where nobody is told; else it is with its sender.
        assert!(user.inbox().len() >= 3);
        user.deliver(copy(5, "Message-ID: <2@far.example>\n"));
        assert_eq!(answers(&user.sandbox), (2, 3), "{first}");
    }
}

/// The sender under whatever tag, and no other sender with the same Message-ID.
#[test]
fn the_message_id_counts_for_its_sender_alone() {
    let user = User::without_relay(REPLY);
    user.deliver(copy(1, ID));
    user.deliver(
        copy(2, ID).replace("<ann@far.example>\nDelivered", "<SRS0=H=T=far.example=ann@fwd.example>\nDelivered"),
    );
    assert_eq!(answers(&user.sandbox), (1, 1));
    user.deliver(copy(3, ID).replace("ann@", "bob@"));
    assert_eq!(answers(&user.sandbox), (2, 1));
}

/// What was answered when it came is not answered again with `refilter --send`; what was not is, once for all copies.
#[test]
fn refilter_answers_what_was_not_answered() {
    let mut user = User::without_relay(REPLY);
    user.deliver(copy(1, ID));
    user.rules = "  - {if: {subject: nothing}, do: keep}".to_owned();
    user.relay(1);
    let second = "Message-ID: <2@far.example>\n";
    (2..=4).for_each(|n| user.deliver(copy(n, second)));
    user.rules = REPLY.to_owned();
    user.relay(1);
    assert_eq!(answers(&user.sandbox).0, 1);
    for _ in 0..2 {
        let silent = user.sandbox.run(&["--allow-root", "refilter", "--yes", "INBOX"]);
        assert_eq!((silent.code, answers(&user.sandbox).0), (0, 1), "{silent}");
    }
    for _ in 0..2 {
        let output = user.sandbox.run(&["--allow-root", "refilter", "--send", "--yes", "INBOX"]);
        assert_eq!((output.code, answers(&user.sandbox).0), (0, 2), "{output}");
    }
    assert_eq!(user.inbox().len(), 4);
}

/// What is noted and what is told stand in one transaction: the answer is neither lost nor doubled.
#[test]
fn a_delivery_that_is_killed_and_tried_again_is_answered_once() {
    let user = User::without_relay(REPLY);
    let (mut kills, mut messages) = (0, 0);
    while kills < 25 && messages < 50 {
        messages += 1;
        let mail = copy(1, &format!("Message-ID: <{messages}@far.example>\n"));
        for wait in (0..).map(|tries| Duration::from_micros(200 + 1100 * tries + 97 * messages)) {
            let running = user.sandbox.spawn_with_stdin(&["--allow-root", "deliver"], &mail);
            std::thread::sleep(wait);
            if running.kill().code == 0 {
                break;
            }
            kills += 1;
        }
    }
    println!("{kills} kills");
    assert!(kills >= 5, "hardly anybody was killed");
    // Killed twice while it decided about a message, the program does not ask the rules again.
    let given_up = user.inbox().iter().filter(|mail| mail.contains("\nX-Mailsluice-Notice: crashed")).count();
    assert_eq!((answers(&user.sandbox).0 + given_up) as u64, messages);
}

/// An MTA was told to try again, the answer went out all the same, and then the state was lost.
#[test]
fn what_is_given_again_after_a_lost_state_is_no_new_mail() {
    let user = User::without_relay(REPLY);
    user.deliver(copy(1, ID));
    assert_eq!(answers(&user.sandbox), (1, 0));
    std::fs::remove_dir_all(user.sandbox.home().join("state")).unwrap();
    user.deliver(copy(2, ID));
    assert_eq!(answers(&user.sandbox), (0, 0), "it came before the state was lost");
    std::thread::sleep(Duration::from_millis(1100));
    let later = jiff::Zoned::now().strftime("%a, %d %b %Y %H:%M:%S %z").to_string();
    user.deliver(copy(3, "Message-ID: <2@far.example>\n").replace("Mon, 23 Nov 2026 12:00:03 +0000", &later));
    assert_eq!(answers(&user.sandbox), (1, 0), "this is new");
}

/// What was discarded here because somebody else was to have it is kept where nobody is told.
#[test]
fn nothing_is_discarded_for_the_sake_of_a_forward_that_is_not_made() {
    let user = User::without_relay("  - {do: [{redirect: {to: far@far.example, copy: true}}, discard]}");
    user.deliver(copy(1, ID));
    assert_eq!((answers(&user.sandbox).0, user.inbox().len()), (1, 0), "it is forwarded, and nothing stays");
    std::fs::remove_dir_all(user.sandbox.home().join("state")).unwrap();
    user.deliver(copy(2, "Message-ID: <2@far.example>\n"));
    assert_eq!((answers(&user.sandbox).0, user.inbox().len()), (0, 1), "it came before the state was lost");
}
