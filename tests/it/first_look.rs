//! Rows A32 and N7: whoever begins to use the program does not want his old mail answered, nor to be told of it.

use crate::outbox::{User, mail};
use crate::stage::{Account, mailbox};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::mailbox::Incoming;
use crate::support::pop3_server::{Pop3Options, Pop3Server};

fn received(number: usize, sender: &str, at: jiff::Timestamp) -> String {
    let date = at.strftime("%a, %d %b %Y %H:%M:%S +0000");
    let mail = mail(number, "hi").replace("ann@", &format!("{sender}@"));
    mail.replacen("From:", &format!("Received: from a by b; {date}\nFrom:"), 1)
}

#[test]
fn a32_n7_the_first_fetch_of_a_mailbox_answers_nobody_and_notifies_of_nothing() {
    let now = jiff::Timestamp::now();
    let ago = |seconds: i64| now - jiff::SignedDuration::from_secs(seconds);
    for pop3 in [false, true] {
        let mailbox = mailbox();
        let add = |n: usize, sender: &str, at: jiff::Timestamp| {
            mailbox.add_message("INBOX", Incoming::new(received(n, sender, at)).arrived(at.as_second()));
        };
        add(1, "year", ago(365 * 86_400));
        add(2, "hour", ago(3600));
        let imap = ImapServer::start(&mailbox, ImapOptions::default());
        let server = Pop3Server::start(&mailbox, Pop3Options::default());
        let account = if pop3 { Account::pop3(server.port()) } else { Account::imap(imap.port()) };
        let user = User::without_relay(
            "  - {name: tell, do: {notify: {run: [cat], text: x}}}\n  - {name: away, do: {vacation: I am away}}",
        );
        user.config(&format!("accounts:\n{}", account.entry("me")));
        let fetch = || user.sandbox.run(&["--allow-root", "fetch"]);
        let output = fetch();
        assert_eq!((user.rows().len(), user.inbox().len()), (0, 2), "{output}");
        let log = user.sandbox.run(&["log", "-v"]).stdout;
        assert!(log.contains("no reply: A32, the message stood on the server before the account's first run"), "{log}");
        assert!(log.contains("no reply: A32, the message is old"), "{log}");

        std::thread::sleep(std::time::Duration::from_millis(1100));
        add(3, "late", jiff::Timestamp::now());
        let output = fetch();
        let rows = user.rows();
        let kinds: Vec<&str> = rows.iter().map(|row| row["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["notify", "vacation"], "{output}");
        assert!(rows[1]["what"].as_str().unwrap().contains("late@far.example"), "{rows:#?}");
    }
}
