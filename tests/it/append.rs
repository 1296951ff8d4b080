//! `imap`: into a folder of another account.

use crate::outbox::{User, mail};
use crate::stage::{PASSWORD, mailbox};
use crate::support::imap_server::{ImapOptions, ImapServer};

#[test]
fn two_accounts_that_append_to_each_other_do_not_go_on_for_ever() {
    let boxes = [mailbox(), mailbox()];
    let servers = boxes.each_ref().map(|mailbox| ImapServer::start(mailbox, ImapOptions::default()));
    boxes[0].add("INBOX", mail(1, "hi"));
    let user = User::without_relay("  - {name: none, if: {subject: nothing}, do: keep}");
    let mut accounts = String::from("accounts:\n");
    for (name, other, n) in [("a", "b", 0), ("b", "a", 1)] {
        let rules = format!(
            "rules:\n  - if: {{subject: hi}}\n    do: [{{addheader: {{X-Was-In: {name}}}}}, {{imap: {{account: {other}}}}}]\n"
        );
        user.sandbox.write(format!(".config/mailsluice/{name}.yaml"), rules);
        accounts += &format!(
            "  {name}: {{imap: {{host: 127.0.0.1, port: {}, tls: none}}, user: me, password: {PASSWORD}, filters: {name}.yaml}}\n",
            servers[n].port()
        );
    }
    user.config(&accounts);
    for _ in 0..4 {
        let output = user.sandbox.run(&["--allow-root", "fetch"]);
        assert_eq!(output.code, 0, "{output}");
    }
    assert_eq!(boxes.each_ref().map(|mailbox| mailbox.count("INBOX")), [1, 1]);
    let inbox = user.inbox();
    assert!(inbox.len() == 1 && inbox[0].contains("X-Was-In: a"), "it is kept here: {inbox:#?}");
    let log = user.sandbox.run(&["log"]);
    assert!(log.stdout.contains("not appended: it was in a/INBOX before (a loop)"), "{log}");
}
