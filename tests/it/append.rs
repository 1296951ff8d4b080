//! `imap`: into a folder of another account.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::outbox::{User, mail};
use crate::stage::{PASSWORD, mailbox};
use crate::support::faults::{Fault, Faults};
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
    let log = user.sandbox.run(&["log", "-v"]);
    assert!(log.stdout.contains("not appended: it was in a/INBOX before (a loop)"), "{log}");
}

/// A user whose mail is appended to a folder of that server.
fn appending(port: u16, folder: &str) -> User {
    let user = User::without_relay(&format!("  - {{name: all, do: {{imap: {{account: far, folder: {folder}}}}}}}"));
    user.config(&format!(
        "accounts:\n  far: {{imap: {{host: 127.0.0.1, port: {port}, tls: none}}, user: me, password: {PASSWORD}}}\n"
    ));
    user
}

/// Which command of a session is the APPEND, where all is well.
fn number_of_append() -> usize {
    let (mailbox, faults) = (mailbox(), Faults::none());
    mailbox.add_folder("Mail", &[]);
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let user = appending(server.port(), "Mail");
    user.deliver(mail(1, "hi"));
    user.retried("sent");
    1 + faults.commands().iter().position(|command| command.contains("APPEND")).unwrap()
}

/// The deadlines of IMAP are minutes, and whoever stops a service kills it long before.
#[test]
fn a_program_that_is_to_stop_does_not_wait_for_an_account_that_hangs() {
    let appended = number_of_append();
    std::thread::scope(|scope| (1..=appended).for_each(|n| _ = scope.spawn(move || stops_at(n))));
}

fn stops_at(command: usize) {
    let (mailbox, faults) = (mailbox(), Faults::of([Fault::CutAfter(1)]));
    mailbox.add_folder("Mail", &[]);
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let user = appending(server.port(), "Mail");
    user.deliver(mail(1, "hi"));
    user.settled();
    faults.clear();
    let before = faults.commands_seen();
    faults.set(Fault::HangAt(before + command));
    let running = user.sandbox.spawn(&["--allow-root", "queue", "retry"]);
    user.until("it hangs", |_| faults.commands_seen() >= before + command);
    running.signal(Signal::TERM);
    let asked = Instant::now();
    let output = running.wait();
    assert!(asked.elapsed() < Duration::from_secs(40), "command {command}: {output}");
    assert_eq!(user.states(), ["waiting"], "command {command}: it is not left as being sent");
}

/// R F4: without a mark of the folder before the attempt nothing was looked for, and the message came twice.
#[test]
fn reliability_f4_a_line_cut_anywhere_appends_once_into_a_folder_that_has_to_be_made() {
    for n in 1.. {
        let mailbox = mailbox();
        let faults = Faults::of([Fault::CutAfter(n)]);
        let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
        let user = appending(server.port(), "New/Mail");
        user.deliver(mail(1, "hi"));
        user.settled();
        let seen = faults.commands_seen();
        user.retried("sent");
        assert_eq!((mailbox.count("New/Mail"), user.inbox().len()), (1, 0), "command {n}: {:#?}", faults.commands());
        if seen < n {
            break;
        }
    }
}

/// The folder is removed between the look at it and the message, and the line is cut after the second attempt.
#[test]
fn reliability_f4_a_folder_that_goes_meanwhile_is_made_again_and_looked_into() {
    let at = number_of_append();
    for cut in 1..=4 {
        let (mailbox, faults) = (mailbox(), Faults::none());
        mailbox.add_folder("Mail", &[]);
        let (removing, renewed) = (mailbox.clone(), mailbox.clone());
        faults.at_command(at, move || removing.remove_folder("Mail"));
        // A new folder has another UIDVALIDITY than the one before.
        faults.at_command(at + 2, move || renewed.set_uidvalidity("Mail", 99, false));
        faults.set(Fault::CutAfter(at + cut));
        let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
        let user = appending(server.port(), "Mail");
        user.deliver(mail(1, "hi"));
        user.settled();
        user.retried("sent");
        assert_eq!((mailbox.count("Mail"), user.inbox().len()), (1, 0), "{cut}: {:#?}", faults.commands());
    }
}

/// Where the server says nothing of UIDNEXT, the message is looked for among all of the folder.
#[test]
fn reliability_f4_a_server_that_does_not_say_what_comes_next_is_asked_for_the_message() {
    let (mailbox, faults) = (mailbox(), Faults::of([Fault::Refuse("STATUS", "no such command".into())]));
    mailbox.add("Mail", mail(9, "old"));
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let user = appending(server.port(), "Mail");
    user.deliver(mail(1, "hi"));
    user.retried("sent");
    let at = 1 + faults.commands().iter().position(|command| command.contains("APPEND")).unwrap();
    faults.set(Fault::CutAfter(faults.commands_seen() + at));
    user.deliver(mail(2, "ho"));
    user.settled();
    user.retried("sent");
    assert_eq!(mailbox.count("Mail"), 3, "{:#?}", faults.commands());
}

#[test]
fn a_folder_that_cannot_be_made_is_said() {
    let (mailbox, faults) = (mailbox(), Faults::of([Fault::Refuse("CREATE", "[NOPERM] not for you".into())]));
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let user = appending(server.port(), "New");
    user.deliver(mail(1, "hi"));
    // It is noted as given up before the message is filed.
    let rows = user.until("it is given up", |rows| rows.iter().all(|row| row["state"] == "failed"));
    assert!(rows[0]["said"].as_str().unwrap().contains("not for you"), "{rows:#?}");
    assert_eq!(user.inbox().len(), 2, "the message and a notice");
}
