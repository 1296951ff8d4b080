//! What waits in the outbox, and what must not hold up the rest of it.

use crate::outbox::{User, mail};
use crate::stage::{Account, mailbox};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::smtp_server::{SmtpOptions, SmtpServer};

const FORWARD: &str = "  - {name: forward, do: {redirect: {to: you@far.example, copy: true}}}";

/// The files of the messages that are to be told.
fn spooled(user: &User) -> Vec<String> {
    let files = std::fs::read_dir(user.sandbox.home().join("state/spool")).unwrap();
    let files = files.map(|entry| entry.unwrap()).filter(|entry| entry.file_type().unwrap().is_file());
    files.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[test]
fn what_was_told_leaves_no_file_behind() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = User::with_relay(&format!("  - {{name: away, do: {{vacation: I am away}}}}\n{FORWARD}"), &server);
    (1..=3).for_each(|n| user.deliver(mail(n, "hi")));
    user.until("all is sent", |rows| rows.len() == 4 && rows.iter().all(|row| row["state"] == "sent"));
    assert_eq!(user.inbox().len(), 3);
    user.until("the files are gone", |_| spooled(&user).is_empty());
}

#[test]
fn a_row_whose_file_is_gone_holds_up_no_other() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = User::without_relay(FORWARD);
    (1..=3).for_each(|n| user.deliver(mail(n, "hi")));
    user.settled();
    let mut files = spooled(&user);
    assert_eq!(files.len(), 3);
    std::fs::remove_file(user.sandbox.home().join("state/spool").join(files.remove(0))).unwrap();
    user.relay(server.port());
    let output = user.queue(&["retry"]);
    assert_eq!(output.code, 0, "{output}");
    assert_eq!(server.count(), 2);
    let failed: Vec<_> = user.rows().into_iter().filter(|row| row["state"] == "failed").collect();
    assert_eq!(failed.len(), 1);
    assert!(failed[0]["said"].as_str().unwrap().contains("is gone"), "{failed:#?}");
    assert!(output.stderr.contains("is gone"), "{output}");
    let inbox = user.inbox();
    assert_eq!(inbox.len(), 4, "three messages and a notice");
    assert!(inbox.iter().any(|mail| mail.contains("could not be told")), "{inbox:#?}");
}

/// More than are taken at once.
const MANY: usize = 250;

#[test]
fn rows_of_a_relay_that_rests_hold_up_no_other_relay() {
    let dead = SmtpServer::start(SmtpOptions::default().reply("MAIL", "421 later"));
    let alive = SmtpServer::start(SmtpOptions::default());
    let user = User::without_relay(
        "  - {name: dead, if: {subject: dead}, do: {redirect: {to: you@far.example, relay: dead}}}\n  \
         - {name: alive, do: {redirect: you@far.example}}",
    );
    let mailbox = mailbox();
    (1..=MANY).for_each(|n| _ = mailbox.add("INBOX", mail(n, "dead")));
    mailbox.add("INBOX", mail(MANY + 1, "alive"));
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let relay = |server: &SmtpServer| format!("{{smtp: {{host: 127.0.0.1, port: {}, tls: none}}}}", server.port());
    user.config(&format!(
        "relays: {{default: {}, dead: {}}}\naccounts:\n{}",
        relay(&alive),
        relay(&dead),
        Account::imap(server.port()).entry("me")
    ));
    let output = user.sandbox.run(&["--allow-root", "fetch"]);
    assert_eq!(alive.count(), 1, "{output}");
    assert_eq!(dead.count(), 0);
    assert!(user.states().iter().filter(|state| *state == "waiting").count() == MANY, "{output}");
}
