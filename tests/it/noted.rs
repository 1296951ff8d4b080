//! That something was sent is noted before all else, on a full disk too, and what goes wrong after that sends nothing again.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use crate::outbox::{User, mail};
use crate::support::injector::{Fault, injector};
use crate::support::maildir::Maildirs;
use crate::support::sandbox::Sandbox;
use crate::support::smtp_server::{SmtpOptions, SmtpServer};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mailsluice");
const FORWARD: &str = "  - {name: forward, do: {redirect: {to: you@far.example, copy: true}}}";
const AWAY: &str = "  - {name: away, do: {vacation: {text: I am away, fcc: Sent/answers}}}";

// A full disk.

/// The state on a small disk of its own. What is put into the outbox waits until `queue retry`.
const SMALL_DISK: &str = r#"#!/bin/sh
mount -t tmpfs -o size=6m,mode=0700 none "$HOME/state" || exit 1
sluice() { "$PROGRAM" --allow-root "$@"; echo "$1 ended with $?"; }
for n in 1 2; do sluice deliver <"$HOME/mail-$n"; done
# What deliver leaves running has seen that there is no relay.
n=0
until [ "$("$PROGRAM" --allow-root queue list | grep -c "no relay")" = 2 ]; do
    n=$((n + 1))
    [ $n -lt 500 ] || exit 1
    sleep 0.02
done
cp "$HOME/with-relay" "$HOME/.config/mailsluice/config.yaml"
"#;
const RETRIED: &str = r#"
for n in 1 2 3; do
    sluice queue retry
    rm -f "$HOME/state/fill"
done
sluice queue list --all
"#;
/// Until nothing goes in any more.
const FILL: &str = "cat /dev/zero >$HOME/state/fill 2>/dev/null";

/// Two forwards. `before`: what is done before they go out; `relay`: what it does once it has taken one. The result is what was
/// said, and what the relay got, by Message-ID; nothing where no disk can be mounted.
fn two_forwards(before: &str, relay: &str) -> Option<(String, Vec<String>)> {
    let sandbox = Sandbox::new(PROGRAM);
    let home = sandbox.home().display();
    let relay = format!("#!/bin/sh\nHOME={home}\ngrep ^Message-ID >>{home}/taken\n{relay}\nexit 0\n");
    let relay = sandbox.script("relay", &relay);
    let config = format!("maildir: ~/Mail\nstate: ~/state\nme: [me@home.example]\nrules:\n{FORWARD}\n");
    sandbox.config(&config);
    sandbox.write("with-relay", format!("relays: {{default: {{sendmail: [{}]}}}}\n{config}", relay.display()));
    (1..=2).for_each(|n| _ = sandbox.write(format!("mail-{n}"), mail(n, "hi")));
    std::fs::create_dir(sandbox.home().join("state")).unwrap();
    let script = sandbox.script("all", &format!("{SMALL_DISK}\n{before}\n{RETRIED}"));
    let mut command = Command::new("unshare");
    command.arg("-rm").arg(script).env_clear().env("HOME", sandbox.home()).env("PROGRAM", PROGRAM);
    command.env("PATH", std::env::var_os("PATH").unwrap()).current_dir(sandbox.home());
    let output = command.output().ok()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if !said.contains("deliver ended with 0") {
        println!("SKIPPED: no disk of its own for the state: {said}");
        return None;
    }
    let mut taken: Vec<String> = sandbox.read("taken").lines().map(str::to_owned).collect();
    taken.sort();
    Some((said, taken))
}

const ONCE: [&str; 2] = ["Message-ID: <1@far.example>", "Message-ID: <2@far.example>"];

/// Full from the moment when the relay has a mail.
#[test]
fn reliability_f12_what_was_sent_is_noted_on_a_full_disk() {
    let Some((said, taken)) = two_forwards("", FILL) else { return };
    assert_eq!(taken, ONCE, "{said}");
    assert_eq!(said.matches("  sent  ").count(), 2, "{said}");
}

/// It is the room that is kept which makes the difference.
#[test]
fn reliability_f12_without_the_room_that_is_kept_it_would_be_sent_again() {
    let Some((said, taken)) = two_forwards("", &format!("rm $HOME/state/reserve; {FILL}")) else { return };
    assert!(taken.len() > 2, "{said}");
    assert!(said.contains("recording what was sent: database or disk is full"), "{said}");
}

/// Where there is no room to note it, nothing is sent.
#[test]
fn reliability_f12_without_room_to_note_it_nothing_is_sent() {
    let before = format!("{FILL}; truncate -s -512K $HOME/state/fill");
    let Some((said, taken)) = two_forwards(&before, "") else { return };
    assert_eq!(taken, ONCE, "{said}");
    assert!(said.contains("nothing is sent, because there is no room to record the outcome: No space left"), "{said}");
    assert!(said.contains("queue ended with 75"), "{said}");
    assert_eq!(said.matches("  sent  ").count(), 2, "{said}");
}

// A file that cannot be removed.

#[test]
fn reliability_f12_a_file_that_cannot_be_removed_ends_nothing_and_gives_up_no_answer() {
    let Some(injector) = injector() else { return };
    let mut hit = 0;
    for nth in 1.. {
        let server = SmtpServer::start(SmtpOptions::default());
        let user = User::without_relay(&format!("  - {{name: away, do: {{vacation: I am away}}}}\n{FORWARD}"));
        user.deliver(mail(1, "hi"));
        user.deliver(mail(2, "hi"));
        user.settled();
        user.relay(server.port());
        let spool = user.sandbox.home().join("state/spool");
        let (log, calls) = (user.sandbox.home().join("hit"), "unlink,unlinkat".to_owned());
        let plain = user.sandbox.command(&["--allow-root", "queue", "retry"]);
        let fault = Fault { calls, nth, what: "err:EIO".to_owned() };
        let output = user.sandbox.run_command(injector.around(&plain, &fault, &spool, &log), "");
        assert_eq!((output.code, user.states()), (0, vec!["sent".to_owned(); 3]), "{nth}: {output}");
        user.queue(&["retry"]);
        assert_eq!(server.count(), 3);
        if user.sandbox.read("hit").starts_with("count ") {
            break;
        }
        assert!(output.stderr.contains("removing "), "{output}");
        hit += 1;
    }
    assert!(hit >= 2, "{hit}");
}

// The copy of an answer.

/// A user whose answers are to be copied into a folder that is none.
fn without_a_folder(server: &SmtpServer) -> User {
    let user = User::with_relay(&format!("{AWAY}\n{FORWARD}"), server);
    user.sandbox.write("Mail/Sent", "no folder");
    user.deliver(mail(1, "hi"));
    user.until("both are sent", |rows| {
        let states: Vec<_> = rows.iter().map(|row| row["state"].as_str().unwrap()).collect();
        states.contains(&"sent") && states.contains(&"sent, copy owed")
    });
    user.until("the copy was tried", |rows| rows.iter().any(|row| row["said"].as_str().unwrap().contains("Sent")));
    user
}

fn give_it_a_folder(user: &User) {
    std::fs::remove_file(user.sandbox.maildir().join("Sent")).unwrap();
}

fn subjects(user: &User) -> BTreeMap<String, usize> {
    let subject = |text: &String| text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or("").to_owned();
    let mut subjects = BTreeMap::new();
    user.inbox().iter().for_each(|text| *subjects.entry(subject(text)).or_default() += 1);
    subjects
}

fn copies(user: &User) -> Vec<Vec<u8>> {
    let found = Maildirs::at(user.sandbox.maildir()).in_folder("Sent/answers");
    found.into_iter().map(|found| found.bytes).collect()
}

#[test]
fn reliability_f12_a_copy_that_cannot_be_filed_is_filed_later_and_the_answer_is_sent_once() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = without_a_folder(&server);
    let output = user.queue(&["retry"]);
    assert_eq!(output.code, 75, "{output}");
    assert!(output.stderr.contains("no copy of vacation") && output.stderr.contains("can be filed"), "{output}");
    // It is shown as what it is.
    let list = user.queue(&["list"]);
    assert!(list.stdout.contains("sent, copy owed") && list.stdout.lines().count() == 2, "{list}");
    let row = list.stdout.lines().nth(1).unwrap();
    let id = row.split_whitespace().next().unwrap().to_owned();
    let show = user.queue(&["show", &id]).stdout;
    assert!(show.contains("state     sent, copy owed\n") && show.contains("copy      2 attempts  "), "{show}");
    let log = user.sandbox.run(&["--allow-root", "log", "-v"]);
    assert!(log.stdout.contains("sent, copy owed: vacation") && log.stdout.contains("; no copy yet: "), "{log}");
    // Nobody can take back what was sent.
    assert_eq!((user.queue(&["drop", &id]).code, user.queue(&["hold", &id]).code), (64, 64));
    give_it_a_folder(&user);
    let output = user.queue(&["retry", &id]);
    assert_eq!((output.code, user.states()), (0, vec!["sent".to_owned(); 2]), "{output}");
    user.queue(&["retry"]);
    assert_eq!(server.count(), 2);
    let answer = server.mails().into_iter().find(|taken| taken.to == ["ann@far.example"]).unwrap();
    assert_eq!(copies(&user), [answer.message()]);
    assert_eq!(subjects(&user), BTreeMap::from([("hi".to_owned(), 1)]));
}

#[test]
fn a_copy_that_was_filed_is_not_owed_again_when_an_older_state_is_put_back() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = without_a_folder(&server);
    user.settled();
    let file = user.sandbox.home().join("state/state.db");
    rusqlite::Connection::open(&file).unwrap().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let backup = std::fs::read(&file).unwrap();
    give_it_a_folder(&user);
    assert_eq!(user.queue(&["retry"]).code, 0);
    user.deliver(mail(2, "later"));
    user.settled();
    let before = copies(&user).len();
    ["state.db-wal", "state.db-shm"].iter().for_each(|name| _ = std::fs::remove_file(file.with_file_name(name)));
    std::fs::write(&file, backup).unwrap();
    // Its file would have another name.
    std::thread::sleep(Duration::from_millis(1100));
    let output = user.queue(&["retry"]);
    assert_eq!((user.states(), copies(&user).len()), (vec!["sent".to_owned(); 2], before), "{output}");
}

#[test]
fn reliability_f12_a_copy_that_cannot_be_filed_for_a_day_is_in_the_inbox_with_a_notice() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = without_a_folder(&server);
    user.the_time_is_known();
    user.change_rows("due = 0, since = since - 90000 WHERE state = 6");
    let output = user.queue(&["run"]);
    assert_eq!((output.code, user.states()), (0, vec!["sent".to_owned(); 2]), "{output}");
    for _ in 0..2 {
        let subjects = subjects(&user);
        let notices =
            subjects.iter().filter(|(subject, _)| subject.contains("a copy of what was sent could not be filed"));
        assert_eq!(notices.map(|(_, count)| *count).collect::<Vec<_>>(), [1], "{subjects:?}");
        assert_eq!(subjects.values().sum::<usize>(), 3, "{subjects:?}");
        give_it_a_folder(&user);
        user.queue(&["retry"]);
        user.sandbox.write("Mail/Sent", "no folder");
    }
    assert_eq!(server.count(), 2);
    let row = user.rows().into_iter().find(|row| row["kind"] == "vacation").unwrap();
    assert!(row["said"].as_str().unwrap().contains("its copy is in the inbox: "), "{row}");
}
