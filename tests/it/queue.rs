//! What waits in the outbox, and what must not hold up the rest of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::outbox::{User, mail};
use crate::stage::{Account, filled, mailbox, message};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::injector::{Fault, injector};
use crate::support::maildir::Maildirs;
use crate::support::sandbox::Sandbox;
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
    assert!(inbox.iter().any(|mail| mail.contains("could not be sent")), "{inbox:#?}");
}

/// Exit code 75 without a word is a riddle.
#[test]
fn what_a_relay_puts_off_is_said() {
    let server = SmtpServer::start(SmtpOptions::default().reply("RCPT TO:<you@far", "451 4.7.1 greylisted"));
    let user = User::without_relay(FORWARD);
    user.deliver(mail(1, "hi"));
    user.settled();
    user.relay(server.port());
    let output = user.queue(&["retry"]);
    assert!(output.code == 75 && output.stderr.contains("1 item waits and will be tried again"), "{output}");
}

/// What a lane gives up was given up once more by what looks for leftovers of a crash, and counted twice.
#[test]
fn what_is_given_up_is_counted_once() {
    let server = SmtpServer::start(SmtpOptions::default().reply("RCPT TO:<you@far", "550 5.1.1 nobody here"));
    let user = User::without_relay("  - {name: forward, do: {redirect: you@far.example}}");
    (1..=20).for_each(|n| user.deliver(mail(n, "hi")));
    user.settled();
    user.relay(server.port());
    let output = user.queue(&["retry"]);
    let said = output.stdout.clone() + &output.stderr;
    assert!(said.contains("20 given up"), "{output}");
    assert_eq!(user.inbox().len(), 40, "each message and its notice");
}

/// A server that takes the connection and says nothing, beside one that works (sending R-8).
#[test]
fn sending_r_8_a_relay_that_hangs_holds_up_no_other() {
    let server = SmtpServer::start(SmtpOptions::default());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let slow =
        "  - {name: slow, if: {subject: slow}, do: {redirect: {to: slow@far.example, relay: silent, copy: true}}}";
    let fast = "  - {name: fast, do: {redirect: {to: fast@far.example, relay: works, copy: true}}}";
    let user = User::without_relay(&format!("{slow}\n{fast}"));
    let relay = |name: &str, port: u16| format!("  {name}: {{smtp: {{host: 127.0.0.1, port: {port}, tls: none}}}}\n");
    let hangs = relay("silent", silent.local_addr().unwrap().port());
    user.config(&format!("relays:\n{hangs}{}", relay("works", server.port())));
    user.deliver(mail(1, "slow"));
    (2..=4).for_each(|n| user.deliver(mail(n, "fast")));
    let rows = user.until("what can go goes", |rows| rows.iter().filter(|row| row["state"] == "sent").count() == 4);
    assert_eq!((rows.len(), server.count()), (5, 4), "both rules for the slow one");
    // And the user goes on with what waits.
    assert_eq!(user.queue(&["drop", "1"]).code, 0);
    user.until("it is given up", |rows| rows.iter().all(|row| row["state"] == "sent" || row["state"] == "failed"));
    assert_eq!(user.inbox().len(), 5, "four messages, and a notice");
}

#[test]
fn a_relay_has_one_connection_or_as_many_as_it_is_given() {
    for (key, connections) in [("", 1), (", connections: 3", 3)] {
        let server = SmtpServer::start(SmtpOptions::default());
        let user = User::without_relay("  - {name: forward, do: {redirect: {to: you@far.example, copy: true}}}");
        (1..=6).for_each(|n| user.deliver(mail(n, "hi")));
        user.settled();
        let port = server.port();
        user.config(&format!("relays: {{default: {{smtp: {{host: 127.0.0.1, port: {port}, tls: none}}{key}}}}}\n"));
        user.queue(&["retry"]);
        assert_eq!((server.count(), server.connections()), (6, connections));
    }
}

/// RFC 5321 4.5.3.1.10: the server takes two at a time, and says so with 452, or with 552 as of old (sending R-4, F-1).
#[test]
fn sending_r_4_more_recipients_than_the_server_takes_go_at_once() {
    for reply in ["452 4.5.3 too many recipients", "552 5.5.3 too many recipients"] {
        let server = SmtpServer::start(SmtpOptions { recipients_per_mail: Some((2, reply)), ..Default::default() });
        let to = "[a@far.example, b@far.example, A@FAR.example, c@far.example, d@far.example, a@far.example]";
        let user =
            User::with_relay(&format!("  - {{name: forward, do: {{redirect: {{to: {to}, copy: true}}}}}}"), &server);
        user.deliver(mail(1, "hi"));
        user.until("all have it", |rows| rows.iter().all(|row| row["state"] == "sent"));
        assert_eq!((server.count(), user.inbox().len()), (2, 1), "two mails with two recipients, and no notice");
    }
}

/// Sending R-5: `sent: redirect a@ b@` though b was refused.
#[test]
fn sending_r_5_a_partial_refusal_is_shown_as_what_it_is() {
    let options = || SmtpOptions::default().reply("RCPT TO:<b@x", "550 5.1.1 nobody here");
    let (first, second) =
        (SmtpServer::start(options().reply("RCPT TO:<c@x", "450 4.2.1 greylisted")), SmtpServer::start(options()));
    let to = "[a@x.example, b@x.example, c@x.example]";
    let user = User::with_relay(&format!("  - {{name: forward, do: {{redirect: {to}}}}}"), &first);
    let shown = |arguments: &[&str]| user.sandbox.run(&[&["--allow-root"], arguments].concat()).stdout;
    user.deliver(mail(1, "hi"));
    user.settled();
    let list = shown(&["queue", "list"]);
    assert!(list.contains("redirect c@x.example") && list.contains("greylisted"), "{list}");
    assert!(list.contains("refused: b@x.example"), "{list}");
    user.relay(second.port());
    user.retried("sent");
    let list = shown(&["queue", "list", "--all"]);
    assert!(list.contains("sent in part") && list.contains("redirect a@x.example c@x.example"), "{list}");
    assert!(list.contains("refused: b@x.example"), "{list}");
    let show = shown(&["queue", "show", "1"]);
    assert!(show.contains("a@x.example  sent: 2") && show.contains("c@x.example  sent: 2"), "{show}");
    assert!(show.contains("b@x.example  refused: ") && show.contains("550 5.1.1 nobody here"), "{show}");
    let log = shown(&["log", "-v"]);
    let expected = "sent in part: redirect a@x.example c@x.example; refused: b@x.example: ";
    assert!(log.contains(expected) && log.contains("nobody here"), "{log}");
    let row = &user.rows()[0];
    assert_eq!((&row["state"], row["recipients"].as_array().unwrap().len()), (&"sent".into(), 3), "{row}");
    let log: serde_json::Value = serde_json::from_str(shown(&["--json", "log"]).lines().next().unwrap()).unwrap();
    let refused = log.to_string().contains("\"state\":\"refused\"");
    assert!(refused, "{log:#}");
    assert_eq!((first.count(), second.count()), (1, 1));
}

/// procmail ignores what a program writes to its standard output, too (sending P-2).
#[test]
fn sending_p_2_a_program_that_writes_much_has_not_failed() {
    let user = User::without_relay("  - {name: pipe, do: {pipe: [sh, -c, \"cat > /dev/null; yes | head -c 300000\"]}}");
    user.deliver(mail(1, "hi"));
    user.until("it ran", |rows| rows.iter().all(|row| row["state"] == "sent"));
    assert_eq!(user.inbox().len(), 0);
}

/// A mail of which no program saw anything was not handed over (sending P-1).
#[test]
fn sending_p_1_a_pipe_of_attachments_without_any_leaves_the_message_here() {
    let user = User::without_relay("  - {name: pipe, do: {pipe: {run: [cat], input: attachments}}}");
    user.deliver(mail(1, "hi"));
    assert_eq!((user.rows().len(), user.inbox().len()), (0, 1));
}

/// An attached message reached the program as no bytes, and counted as handed over.
#[test]
fn an_attached_message_is_given_to_a_program() {
    let taken = tempfile::tempdir().unwrap();
    let file = taken.path().join("taken");
    let script = format!("cat > {}", file.display());
    let user = User::without_relay(&format!("  - {{do: {{pipe: {{run: [sh, -c, '{script}'], input: attachments}}}}}}"));
    user.deliver(
        "From: a@x.example\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: \
         message/rfc822\nContent-Disposition: attachment; filename=in.eml\n\nSubject: in\n\ninner\n\n--b--\n",
    );
    user.until("it ran", |rows| rows.iter().all(|row| row["state"] == "sent"));
    assert_eq!(std::fs::read_to_string(file).unwrap(), "Subject: in\n\ninner\n");
}

/// A laptop that slept for a week has tried nothing meanwhile (sending O-1).
#[test]
fn sending_o_1_nothing_is_given_up_before_it_was_tried() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = User::without_relay(FORWARD);
    user.deliver(mail(1, "hi"));
    user.settled();
    user.change_rows("at = at - 9 * 86400, due = due - 9 * 86400");
    user.the_time_is_known();
    user.relay(server.port());
    user.retried("sent");
    assert_eq!(server.count(), 1);
}

/// The message stands in the inbox by its rule already (sending N-1).
#[test]
fn sending_n_1_giving_up_files_nothing_twice() {
    let server = SmtpServer::start(SmtpOptions::default().reply("RCPT TO:<you@far", "550 5.1.1 nobody here"));
    let user = User::with_relay(FORWARD, &server);
    user.deliver(mail(1, "hi"));
    user.until("it is given up", |rows| rows.iter().all(|row| row["state"] == "failed"));
    assert_eq!(user.inbox().len(), 2, "the message and a notice: {:#?}", user.inbox());
}

/// `undo` brought the message back, and it was sent all the same, without a word.
#[test]
fn undo_says_what_it_cannot_call_back() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = User::without_relay("  - {name: forward, do: {redirect: you@far.example}}");
    (1..=2).for_each(|n| user.deliver(mail(n, "hi")));
    user.settled();
    let undo = |n: &str| user.sandbox.run(&["--allow-root", "undo", n]);
    assert!(undo("1").to_string().contains("`mailsluice queue drop 1` keeps it from going out"));
    user.relay(server.port());
    user.queue(&["retry"]);
    user.until("both are sent", |rows| rows.iter().all(|row| row["state"] == "sent"));
    assert!(undo("2").to_string().contains("`redirect you@far.example` went out and stays out"));
}

/// A relay that was mended rests still: it said nothing and 0.
#[test]
fn what_waits_for_a_relay_that_rests_is_said() {
    let user = User::without_relay("  - {name: forward, do: {redirect: you@far.example}}");
    user.deliver(mail(1, "hi"));
    user.settled();
    user.relay(1);
    let output = user.queue(&["run"]);
    assert!(output.code == 75 && output.stderr.contains("rests"), "{output}");
    let server = SmtpServer::start(SmtpOptions::default());
    user.relay(server.port());
    let output = user.queue(&["run"]);
    assert!(output.code == 75 && output.stderr.contains("`mailsluice queue retry` tries it now"), "{output}");
    assert_eq!((user.queue(&["retry"]).code, server.count()), (0, 1));
}

#[test]
fn what_is_given_up_and_what_undo_brings_back_is_one_message() {
    let refuses = || SmtpServer::start(SmtpOptions::default().reply("RCPT TO:<you@far", "550 5.1.1 nobody here"));
    let given_up = |rows: &[serde_json::Value]| rows.iter().all(|row| row["state"] == "failed");
    let only = "  - {name: forward, do: {redirect: you@far.example}}";
    let undo = |user: &User| user.sandbox.run(&["--allow-root", "undo", "1"]);

    let server = refuses();
    let user = User::with_relay(only, &server);
    user.deliver(mail(1, "hi"));
    user.until("it is given up", given_up);
    let output = undo(&user);
    assert!(output.code == 64 && output.stderr.contains("so it is in the inbox"), "{output}");
    assert_eq!(user.inbox().len(), 2, "the message and a notice: {:#?}", user.inbox());

    let user = User::without_relay(only);
    user.deliver(mail(1, "hi"));
    user.settled();
    assert_eq!(undo(&user).code, 0);
    user.relay(server.port());
    user.queue(&["retry"]);
    user.until("it is given up", given_up);
    assert_eq!(user.inbox().len(), 2, "the message and a notice: {:#?}", user.inbox());
}

/// Nothing of it is sent without a word from the user, who has to hear of it.
#[test]
fn what_an_older_copy_had_waiting_is_named_in_a_notice() {
    let user = User::without_relay(FORWARD);
    user.deliver(mail(1, "hi"));
    user.settled();
    let file = user.sandbox.home().join("state/state.db");
    rusqlite::Connection::open(&file).unwrap().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let backup = std::fs::read(&file).unwrap();
    user.deliver(mail(2, "ho"));
    user.settled();
    ["state.db-wal", "state.db-shm"].iter().for_each(|name| _ = std::fs::remove_file(file.with_file_name(name)));
    std::fs::write(&file, backup).unwrap();
    let output = user.queue(&["retry"]);
    assert!(output.stderr.contains("1 put aside; `queue retry NUMBER`"), "{output}");
    let notices: Vec<String> = user.inbox().into_iter().filter(|mail| mail.contains("is an older copy")).collect();
    assert!(notices.len() == 1 && notices[0].contains("redirect you@far.example"), "{notices:#?}");
    user.queue(&["run"]);
    let again = user.inbox().into_iter().filter(|mail| mail.contains("is an older copy")).count();
    assert_eq!(again, 1, "it is said once");
}

/// World, seed 100093: the file had a name of its own, by which nobody could tell that the server's copy is here.
#[test]
fn what_was_filed_out_of_the_spool_is_recognised_when_the_state_is_lost() {
    let relay = SmtpServer::start(SmtpOptions::default().reply("RCPT TO:<you@far", "550 5.1.1 nobody here"));
    let (mailbox, _) = filled(0);
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let relays = format!("relays: {{default: {{smtp: {{host: 127.0.0.1, port: {}, tls: none}}}}}}", relay.port());
    let rules = "rules:\n  - {if: {subject: number 1}, do: {redirect: you@far.example}}\n  - {do: discard}";
    let sandbox = Account::imap(server.port()).top("me: [me@home.example]").top(&relays).top(rules).sandbox();
    let fetch = || assert_eq!(sandbox.run(&["fetch"]).code, 0);
    fetch();
    (1..=2).for_each(|number| _ = mailbox.add("INBOX", message(number)));
    fetch();
    let undo = sandbox.run(&["undo", "2"]);
    assert_eq!(undo.code, 0, "{undo}");
    let ours = || {
        let mail = Maildirs::at(sandbox.maildir()).delivered();
        mail.iter().filter(|mail| mail.bytes.windows(15).any(|text| text == b"Subject: number")).count()
    };
    assert_eq!(ours(), 2, "one was given up, the other was discarded and brought back");
    std::fs::remove_dir_all(sandbox.home().join("state")).unwrap();
    (0..2).for_each(|_| fetch());
    assert_eq!(ours(), 2);
}

/// World, seed 110635: a process was killed while it wrote a file of the spool, and the state was lost before anybody looked.
#[test]
fn half_a_file_of_the_spool_is_no_message_when_the_state_is_lost() {
    let Some(injector) = injector() else { return };
    for nth in 1.. {
        let sandbox = Sandbox::in_memory(env!("CARGO_BIN_EXE_mailsluice"));
        sandbox.config("maildir: ~/Mail\nstate: ~/state\nrules: [{do: discard}]\n");
        let spool = sandbox.home().join("state/spool");
        let (log, calls) = (sandbox.home().join("hit"), "openat,write,fsync".to_owned());
        let plain = sandbox.command(&["--allow-root", "deliver"]);
        let fault = Fault { calls, nth, what: "kill".to_owned() };
        let output = sandbox.run_command(injector.around(&plain, &fault, &spool, &log), mail(1, "hi"));
        for file in ["state.db", "state.db-wal", "state.db-shm"] {
            std::fs::remove_file(sandbox.home().join("state").join(file)).ok();
        }
        sandbox.run(&["--allow-root", "queue", "run"]);
        let found = Maildirs::at(sandbox.maildir()).in_folder("Recovered");
        assert!(found.iter().all(|found| found.bytes == mail(1, "hi").as_bytes()), "{nth}: {output}");
        if sandbox.read("hit").starts_with("count ") {
            assert!(nth > 3, "{nth}");
            break;
        }
    }
}

#[test]
fn what_waits_when_the_state_is_lost_is_kept_and_not_sent() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = User::without_relay(
        "  - {name: rubbish, if: {subject: rubbish}, do: discard}\n  - {name: forward, do: {redirect: you@far.example}}",
    );
    user.deliver(mail(1, "hi"));
    user.deliver(mail(2, "rubbish"));
    user.settled();
    let big = format!("{}{}", mail(3, "big"), "a line of some length\n".repeat(500_000));
    user.deliver(&big);
    // Else a process that still has the config without a relay may find the new database.
    user.settled();
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        std::fs::remove_file(user.sandbox.home().join("state").join(file)).ok();
    }
    user.relay(server.port());
    // Whatever comes next finds it; what comes is sent, what was lost is not.
    user.deliver(mail(4, "new"));
    user.until("the new one is sent", |rows| rows.len() == 1 && rows[0]["state"] == "sent");
    let found = || {
        let found = Maildirs::at(user.sandbox.maildir()).in_folder("Recovered");
        found.iter().map(|found| String::from_utf8_lossy(&found.bytes).into_owned()).collect::<Vec<_>>()
    };
    user.until("they are filed", |_| found().len() == 3);
    for wanted in [mail(1, "hi"), mail(2, "rubbish"), big] {
        assert!(found().contains(&wanted));
    }
    assert_eq!(server.count(), 1);
    let inbox = user.inbox();
    assert!(inbox.len() == 1 && inbox[0].contains("Messages that waited to be sent on"), "{inbox:#?}");
    user.queue(&["run"]);
    assert_eq!((found().len(), user.inbox().len()), (3, 1), "once");
}

/// The next fetch used to take it for half written and remove it: the only copy.
#[test]
fn what_was_fetched_and_waits_survives_the_loss_of_the_state() {
    let mailbox = mailbox();
    mailbox.add("INBOX", mail(1, "hi"));
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let user = User::without_relay("  - {name: forward, do: {redirect: {to: you@far.example, even_old: true}}}");
    let account = Account::imap(server.port()).with("retention: delete");
    user.config(&format!("accounts:\n{}", account.entry("me")));
    (0..2).for_each(|_| _ = user.sandbox.run(&["--allow-root", "fetch"]));
    assert_eq!((mailbox.count("INBOX"), spooled(&user).len()), (0, 1));
    std::fs::remove_file(user.sandbox.home().join("state/state.db")).unwrap();
    let output = user.sandbox.run(&["--allow-root", "fetch"]);
    let found = Maildirs::at(user.sandbox.maildir()).in_folder("Recovered");
    assert!(found.len() == 1 && found[0].bytes == mail(1, "hi").as_bytes(), "{output}");
}

/// More than are taken at once.
const MANY: usize = 250;

#[test]
fn rows_of_a_relay_that_rests_hold_up_no_other_relay() {
    let dead = SmtpServer::start(SmtpOptions::default().reply("MAIL", "421 later"));
    let alive = SmtpServer::start(SmtpOptions::default());
    let user = User::without_relay(
        "  - {name: dead, if: {subject: dead}, do: {redirect: {to: you@far.example, relay: dead, even_old: true}}}\n  \
         - {name: alive, do: {redirect: {to: you@far.example, even_old: true}}}",
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

/// A mail for `deadly@`, and another one behind it.
fn with_a_deadly_mail_in_front() -> User {
    let user = User::without_relay(
        "  - {name: deadly, if: {subject: deadly}, do: {redirect: deadly@far.example}}\n  \
         - {name: forward, do: {redirect: you@far.example}}",
    );
    user.deliver(mail(1, "deadly"));
    user.deliver(mail(2, "hi"));
    user.settled();
    user
}

#[test]
fn what_kills_the_program_again_and_again_holds_up_no_other() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = with_a_deadly_mail_in_front();
    let victim = Arc::new(AtomicI32::new(0));
    let target = Arc::clone(&victim);
    server.at_command(move |command| {
        if command.starts_with("RCPT TO:<deadly") {
            while target.load(Ordering::SeqCst) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            kill_process(Pid::from_raw(target.load(Ordering::SeqCst)).unwrap(), Signal::KILL).unwrap();
        }
    });
    user.relay(server.port());
    let codes = ["retry", "run", "run"].map(|verb| {
        victim.store(0, Ordering::SeqCst);
        let running = user.sandbox.spawn(&["--allow-root", "queue", verb]);
        victim.store(i32::try_from(running.pid()).unwrap(), Ordering::SeqCst);
        running.wait().code
    });
    assert_eq!(codes, [-9, -9, 0]);
    assert_eq!(server.count(), 1, "the other one went out");
    assert!(user.states().contains(&"waiting".to_owned()), "and the deadly one still waits");
}

/// Its own process found the outbox taken, and nobody looked again.
#[test]
fn what_comes_while_a_pass_ends_is_sent_by_the_next_one() {
    let server = SmtpServer::start(SmtpOptions::default().reply("QUIT", "hang"));
    let user = User::with_relay(FORWARD, &server);
    user.deliver(mail(1, "hi"));
    user.until("the first pass is at its end", |_| server.commands().contains(&"QUIT".to_owned()));
    user.deliver(mail(2, "ho"));
    user.until("the second one is sent", |rows| rows.iter().all(|row| row["state"] == "sent"));
}

#[test]
fn what_comes_from_an_account_goes_by_its_relay_unless_the_rule_names_one() {
    let servers = [(); 3].map(|()| SmtpServer::start(SmtpOptions::default()));
    let user = User::without_relay(
        "  - {name: named, if: {subject: named}, do: {redirect: {to: you@far.example, relay: named, even_old: true}}}\n  \
         - {name: forward, do: {redirect: {to: you@far.example, even_old: true}}}",
    );
    let mailbox = mailbox();
    mailbox.add("INBOX", mail(1, "hi"));
    mailbox.add("INBOX", mail(2, "named"));
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let relay = |n: usize| format!("{{smtp: {{host: 127.0.0.1, port: {}, tls: none}}}}", servers[n].port());
    user.config(&format!(
        "relays: {{default: {}, mine: {}, named: {}}}\naccounts:\n{}",
        relay(0),
        relay(1),
        relay(2),
        Account::imap(server.port()).with("relay: mine").entry("me")
    ));
    let output = user.sandbox.run(&["--allow-root", "fetch"]);
    assert_eq!(servers.each_ref().map(SmtpServer::count), [0, 1, 1], "{output}");
}

/// The one that met the trouble was the first again after each rest.
#[test]
fn a_mail_that_ends_every_connection_holds_up_no_other() {
    let server = SmtpServer::start(SmtpOptions::default().reply("RCPT TO:<deadly", "421 4.3.0 not you"));
    let user = with_a_deadly_mail_in_front();
    user.relay(server.port());
    user.queue(&["retry"]);
    // Times are noted in seconds.
    std::thread::sleep(Duration::from_millis(1100));
    user.queue(&["retry"]);
    assert_eq!((server.count(), user.states()), (1, vec!["waiting".to_owned(), "sent".to_owned()]));
}

#[test]
fn a_foreign_sender_that_is_refused_holds_up_no_other() {
    let server = SmtpServer::start(SmtpOptions::default().reply("MAIL FROM:<ann@far", "553 5.7.1 not yours"));
    let user = User::without_relay(
        "  - {name: foreign, if: {subject: foreign}, do: {redirect: {to: you@far.example, envelope_from: original}}}\n  \
         - {name: forward, do: {redirect: you@far.example}}",
    );
    user.deliver(mail(1, "foreign"));
    user.deliver(mail(2, "hi"));
    user.settled();
    user.relay(server.port());
    let output = user.queue(&["retry"]);
    assert_eq!((server.count(), user.states()), (1, vec!["waiting".to_owned(), "sent".to_owned()]), "{output}");
    assert!(output.stderr.contains("not yours"), "{output}");
    assert!(user.inbox().iter().any(|mail| mail.contains("553 5.7.1 not yours")), "{:#?}", user.inbox());
}

#[test]
fn what_is_put_aside_while_its_relay_is_asked_stays_aside() {
    let server = SmtpServer::start(SmtpOptions::default().reply("EHLO", "421 later"));
    let user = Arc::new(User::without_relay(FORWARD));
    user.deliver(mail(1, "hi"));
    user.settled();
    user.relay(server.port());
    let other = Arc::clone(&user);
    server.at_command(move |command| {
        if command.starts_with("EHLO") {
            assert_eq!(other.queue(&["hold", "1"]).code, 0);
        }
    });
    let output = user.queue(&["retry"]);
    assert!(output.stderr.contains("421 later"), "{output}");
    assert_eq!(user.states(), ["held"]);
}

/// It was said to be given up, and a row that was held waited to be sent.
#[test]
fn what_cannot_be_read_is_not_dropped() {
    let user = User::without_relay(FORWARD);
    user.deliver(mail(1, "hi"));
    user.settled();
    assert_eq!(user.queue(&["hold", "1"]).code, 0);
    let file = user.sandbox.home().join("state/spool").join(&spooled(&user)[0]);
    std::fs::rename(&file, file.with_extension("away")).unwrap();
    std::fs::create_dir(&file).unwrap();
    let output = user.queue(&["drop", "1"]);
    assert!(output.code == 75 && output.stderr.contains("outbox item 1 stays: reading"), "{output}");
    assert_eq!(user.states(), ["held"]);
    std::fs::remove_dir(&file).unwrap();
    std::fs::rename(file.with_extension("away"), &file).unwrap();
    assert_eq!(user.queue(&["drop", "1"]).code, 0);
    assert_eq!((user.states(), user.inbox().len()), (vec!["failed".to_owned()], 2));
}

#[test]
fn what_waits_is_seen_behind_a_hundred_thousand_rows() {
    let user = User::without_relay(FORWARD);
    user.deliver(mail(1, "hi"));
    user.settled();
    let db = rusqlite::Connection::open(user.sandbox.home().join("state/state.db")).unwrap();
    db.execute_batch(
        "WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n LIMIT 100000)
         INSERT INTO outbox (entry, n, kind, telling, bytes, state, attempts, due, at)
         SELECT entry, n.n, kind, telling, 'x', 2, 1, due, at FROM outbox, n WHERE id = 1",
    )
    .unwrap();
    assert_eq!(user.queue(&["list"]).stdout.lines().count(), 2, "a header and a row");
    for verb in ["show", "hold"] {
        let output = user.queue(&[verb, "1"]);
        assert_eq!(output.code, 0, "{output}");
    }
}

/// Kills between the filing and the note of it: the same state, made by hand.
#[test]
fn what_is_refused_again_after_a_crash_is_not_filed_again() {
    let server = SmtpServer::start(SmtpOptions::default().reply("RCPT TO:<you@far", "550 5.1.1 no"));
    let user = User::with_relay("  - {name: forward, do: {redirect: you@far.example}}", &server);
    user.deliver(mail(1, "hi"));
    user.until("it is given up", |rows| rows.iter().all(|row| row["state"] == "failed"));
    user.change_rows("state = 1");
    user.queue(&["run"]);
    assert_eq!((user.states(), user.inbox().len()), (vec!["failed".to_owned()], 2));
}

/// The program ran again in each pass, and the reason was forgotten.
#[test]
fn what_is_given_up_and_cannot_be_filed_is_not_told_again() {
    let user = User::without_relay("  - {name: tool, do: {pipe: [sh, -c, 'echo ran >>\"$HOME/ran\"; exit 1']}}");
    let inbox = user.sandbox.maildir().join("INBOX");
    user.sandbox.write("Mail/INBOX", "no folder");
    user.deliver(mail(1, "hi"));
    user.until("it is given up", |rows| rows.iter().all(|row| row["state"] == "given up, not filed yet"));
    for _ in 0..2 {
        let output = user.queue(&["run"]);
        assert!(output.code == 75 && output.stderr.contains("INBOX"), "{output}");
    }
    assert!(user.rows()[0]["said"].as_str().unwrap().contains("ended with 1"), "{:#?}", user.rows());
    std::fs::remove_file(&inbox).unwrap();
    assert_eq!(user.queue(&["run"]).code, 0);
    assert_eq!((user.states(), user.inbox().len()), (vec!["failed".to_owned()], 2), "the message and a notice");
    assert_eq!(user.sandbox.read("ran"), "ran\n");
}

/// So many mails, and one of them says each cause.
fn said_once(inbox: &[String], mails: usize, causes: [&str; 2]) {
    assert_eq!(inbox.len(), mails, "{inbox:#?}");
    for cause in causes {
        assert_eq!(inbox.iter().filter(|mail| mail.contains(cause)).count(), 1, "{inbox:#?}");
    }
}

/// The second refusal of a day had no notice.
#[test]
fn each_refusal_of_one_message_is_said() {
    let refuse = |b: &str| {
        SmtpServer::start(SmtpOptions::default().reply("RCPT TO:<a@x", "550 5.1.1 no a").reply("RCPT TO:<b@x", b))
    };
    let (first, second) = (refuse("450 4.2.1 greylisted"), refuse("550 5.1.1 no b"));
    let user = User::with_relay("  - {name: forward, do: {redirect: [a@x.example, b@x.example]}}", &first);
    user.deliver(mail(1, "hi"));
    user.settled();
    user.relay(second.port());
    user.queue(&["retry"]);
    said_once(&user.inbox(), 3, ["no a", "no b"]);
}

/// The inbox cannot be written: who has got the message gets it once.
#[test]
fn who_has_it_does_not_get_it_again_while_a_refusal_cannot_be_filed() {
    let server = SmtpServer::start(SmtpOptions::default().reply("RCPT TO:<b@x", "550 5.1.1 no"));
    let user = User::without_relay("  - {name: forward, do: {redirect: [a@x.example, b@x.example]}}");
    std::fs::create_dir(user.sandbox.maildir()).unwrap();
    let in_the_way = user.sandbox.maildir().join("INBOX");
    std::fs::write(&in_the_way, "in the way").unwrap();
    user.deliver(mail(1, "hi"));
    user.deliver(mail(2, "ho"));
    user.settled();
    user.relay(server.port());
    for _ in 0..2 {
        user.change_rows("due = 0");
        user.queue(&["retry"]);
    }
    assert_eq!(server.count(), 2, "each to a@x, once: {:#?}", user.rows());
    std::fs::remove_file(in_the_way).unwrap();
    for _ in 0..2 {
        user.queue(&["run"]);
        user.change_rows("due = 0");
    }
    assert_eq!((server.count(), user.inbox().len()), (2, 4));
}

#[test]
fn what_is_refused_is_filed_byte_by_byte_whatever_its_size() {
    let user = User::without_relay("  - {name: forward, do: {redirect: you@far.example}}");
    let head = mail(1, "big").split_once("\n\n").unwrap().0.to_owned();
    let messages = [
        format!("{head}\n\n{}end", "a line of some length\n".repeat(500_000)),
        format!("{head}\n{}", "X-Field: of some length and more\n".repeat(300_000)),
        format!("{head}\n\nNUL \0 and no end"),
        head.clone(),
    ];
    for (n, message) in messages.iter().enumerate() {
        let message = message.replace("<1@", &format!("<{n}@"));
        user.deliver(&message);
        user.until("it is tried", |rows| rows.len() == n + 1 && rows.iter().all(|row| row["said"] != ""));
        let id = (n + 1).to_string();
        let output = user.queue(&["drop", &id]);
        assert_eq!(output.code, 0, "{output}");
        let inbox = user.inbox();
        let found =
            inbox.iter().find(|found| !found.contains("X-Mailsluice-Notice") && found.contains(&format!("<{n}@")));
        let found = found.expect("it is filed");
        assert!(found.trim_end() == message.trim_end(), "{n}: {} {}", found.len(), message.len());
    }
}

/// A relay may take ten minutes to answer, and whoever stops a service kills it long before.
#[test]
fn a_program_that_is_to_stop_does_not_wait_for_a_relay_that_hangs() {
    std::thread::scope(|scope| {
        for (hangs, last) in [("EHLO", "EHLO"), (".", "DATA")] {
            scope.spawn(move || stops_at(hangs, last));
        }
    });
}

fn stops_at(hangs: &str, last: &str) {
    let server = SmtpServer::start(SmtpOptions::default().reply(hangs, "hang"));
    let user = User::without_relay(FORWARD);
    user.deliver(mail(1, "hi"));
    user.settled();
    user.relay(server.port());
    let running = user.sandbox.spawn(&["--allow-root", "queue", "retry"]);
    user.until("it hangs", |_| server.commands().iter().any(|command| command.starts_with(last)));
    std::thread::sleep(Duration::from_millis(300));
    let begun = std::time::Instant::now();
    kill_process(Pid::from_raw(i32::try_from(running.pid()).unwrap()).unwrap(), Signal::TERM).unwrap();
    let output = running.wait();
    assert!(begun.elapsed() < Duration::from_secs(35), "{output}");
    assert_eq!(user.states(), ["waiting"], "it is not left as being sent");
}

#[test]
fn a_program_that_runs_is_ended_when_the_sender_is_to_stop() {
    let user = User::without_relay("  - {name: print, do: {pipe: [~/slow]}}");
    user.sandbox.script("slow", "#!/bin/sh\nexit 75\n");
    user.deliver(mail(1, "hi"));
    user.settled();
    let begun = user.sandbox.home().join("begun");
    user.sandbox.script("slow", "#!/bin/sh\ntrap '' TERM\ntouch ~/begun\nsleep 50\nsleep 50\n");
    let running = user.sandbox.spawn(&["--allow-root", "queue", "retry"]);
    user.until("it runs", |_| begun.exists());
    let asked = std::time::Instant::now();
    running.signal(Signal::TERM);
    let output = running.wait();
    assert!(asked.elapsed() < Duration::from_secs(30), "{output}");
    assert_eq!(user.states(), ["waiting"], "{output}");
}

#[test]
fn an_answer_that_was_interrupted_leaves_no_file_behind() {
    let user = User::without_relay("  - {name: away, do: {vacation: I am away}}");
    user.deliver(mail(1, "hi"));
    user.settled();
    assert_eq!(spooled(&user).len(), 1);
    user.change_rows("state = 1");
    user.queue(&["run"]);
    assert_eq!((user.states(), spooled(&user).len()), (vec!["failed".to_owned()], 0));
}

#[test]
fn each_relay_that_refuses_is_said() {
    let refuse = |why: &str| SmtpServer::start(SmtpOptions::default().reply("MAIL", why));
    let servers = [refuse("550 5.7.1 closed"), refuse("550 5.7.1 unknown")];
    let user = User::without_relay(
        "  - {name: other, if: {subject: other}, do: {redirect: {to: you@far.example, relay: other}}}\n  \
         - {name: forward, do: {redirect: you@far.example}}",
    );
    let relay = |n: usize| format!("{{smtp: {{host: 127.0.0.1, port: {}, tls: none}}}}", servers[n].port());
    user.config(&format!("relays: {{default: {}, other: {}}}\n", relay(0), relay(1)));
    user.deliver(mail(1, "hi"));
    user.deliver(mail(2, "other"));
    user.until("both are refused", |rows| rows.iter().filter(|row| row["said"] != "").count() == 2);
    user.queue(&["run"]);
    said_once(&user.inbox(), 2, ["closed", "unknown"]);
}

/// Killed between the note that a message was sent and the removal of its file.
#[test]
fn a_file_that_nothing_names_goes_after_a_day_and_what_waits_stays() {
    let user = User::without_relay(FORWARD);
    user.deliver(mail(1, "hi"));
    user.settled();
    let spool = user.sandbox.home().join("state/spool");
    std::fs::write(spool.join("old"), mail(2, "sent")).unwrap();
    std::fs::write(spool.join("young"), mail(3, "being staged")).unwrap();
    let waiting = spooled(&user).into_iter().find(|name| !["old", "young"].contains(&&**name)).unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(2 * 86_400);
    for name in [&waiting, "old"] {
        std::fs::File::options().write(true).open(spool.join(name)).unwrap().set_modified(long_ago).unwrap();
    }
    std::fs::remove_file(user.sandbox.home().join("state/pruned")).ok();
    user.the_time_is_known();
    user.deliver(mail(4, "ho"));
    let left = spooled(&user);
    assert!(left.contains(&waiting) && left.contains(&"young".to_owned()), "{left:?}");
    assert!(!left.contains(&"old".to_owned()), "{left:?}");
}

/// The explanation may have gone out, so it does not go again; the message itself stood nowhere else.
#[test]
fn a_reject_of_which_nobody_knows_leaves_its_message_in_the_inbox() {
    let server = SmtpServer::start(SmtpOptions::default().reply(".", "close"));
    let user = User::with_relay("  - {name: no, do: {reject: I do not take this}}", &server);
    user.deliver(mail(1, "hi"));
    let rows = user.until("it is given up", |rows| rows.iter().all(|row| row["state"] == "failed"));
    assert!(rows[0]["said"].as_str().unwrap().contains("may have been sent"), "{rows:#?}");
    user.until("it is filed, with a notice", |_| user.inbox().len() == 2);
    assert!(user.inbox().contains(&mail(1, "hi")));
}
