//! `refilter` with the binary: what the messages of one run know of each other.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::outbox::{User, mail};
use crate::support::maildir::Maildirs;
use crate::support::sandbox::{Output, Running, Sandbox};
use crate::support::smtp_server::{SmtpOptions, SmtpServer};

/// What earlier messages of the run put into a list, later ones know.
#[test]
fn the_messages_of_a_refilter_know_of_each_other() {
    let mut user = User::without_relay("  - {if: {subject: nothing}, do: keep}");
    (1..=3).for_each(|n| user.deliver(mail(n, "hi")));
    user.rules = "  - {if: {not: {from: {in_list: known}}}, do: [{add_to_list: known}, {fileinto: first}]}\n  \
                  - {do: {fileinto: later}}\nlists: {known: {database: true}}"
        .to_owned();
    user.relay(1);
    let moved = user.sandbox.run(&["--allow-root", "refilter", "--yes", "INBOX"]);
    assert_eq!(moved.code, 0, "{moved}");
    let mail = Maildirs::at(user.sandbox.maildir());
    assert_eq!((mail.in_folder("first").len(), mail.in_folder("later").len()), (1, 2));
}

/// The highest that a process had in memory, in MiB, as the kernel counts.
fn peak_memory(mut running: Running) -> (u64, Output) {
    let status = format!("/proc/{}/status", running.pid());
    let mut peak = 0;
    while running.is_running() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(1));
    }
    (peak / 1024, running.wait())
}

/// Mail of 300 MB in the inbox, each message of 1 MB.
fn much_mail() -> Sandbox {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
    let rules = "rules:\n  - {do: [{setheader: {X-Seen: yes}}, {fileinto: all}]}\n";
    sandbox.config(&format!("maildir: ~/Mail\nstate: ~/state\n{rules}"));
    for sub in ["new", "cur", "tmp"] {
        fs::create_dir_all(sandbox.maildir().join("INBOX").join(sub)).unwrap();
    }
    let body = "All work and no play makes Jack a dull boy.\n".repeat(1_000_000 / 44);
    for n in 0..300 {
        sandbox.write(format!("Mail/INBOX/cur/17000.{n}.host:2,S"), format!("Subject: {n}\n\n{body}"));
    }
    sandbox
}

#[test]
fn much_mail_needs_no_more_memory_than_little() {
    let sandbox = much_mail();
    let (peak, looked) = peak_memory(sandbox.spawn(&["--allow-root", "refilter", "INBOX"]));
    assert!(looked.code == 0 && peak < 128, "{peak} MiB to look\n{looked}");
    let (peak, moved) = peak_memory(sandbox.spawn(&["--allow-root", "refilter", "--yes", "INBOX"]));
    assert!(moved.code == 0 && peak < 128, "{peak} MiB to move\n{moved}");
    assert_eq!(fs::read_dir(sandbox.maildir().join("all/cur")).unwrap().count(), 300);
    assert_eq!(fs::read_dir(sandbox.maildir().join("INBOX/cur")).unwrap().count(), 0);
}

/// The rules are asked about each message of the folders that were there, also when one folder fills another.
#[test]
fn what_moves_into_a_folder_that_comes_next_is_not_looked_at_again() {
    let mut user = User::without_relay("  - {if: {subject: hi}, do: {fileinto: next}}");
    user.deliver(mail(1, "hi"));
    user.deliver(mail(2, "other"));
    let all = "  - {if: {folder: next}, do: {fileinto: twice}}\n  - {do: {fileinto: next}}";
    user.rules = all.to_owned();
    user.config("");
    let moved = user.sandbox.run(&["--allow-root", "refilter", "--yes", "INBOX", "next"]);
    assert_eq!(moved.code, 0, "{moved}");
    let mail = Maildirs::at(user.sandbox.maildir());
    assert_eq!((mail.in_folder("next").len(), mail.in_folder("twice").len()), (1, 1), "{moved}");
}

/// What moves is what the rules were asked about: not what its reader moved or replaced while a program was thinking.
#[test]
fn a_file_that_changes_while_the_rules_are_asked_stays() {
    for (change, flags) in
        [("mv $f:2,S $f:2,RS", "RS"), ("cp $f:2,S $f.new; echo more >>$f.new; mv $f.new $f:2,S", "S")]
    {
        let mut user = User::without_relay("  - {do: keep}");
        user.sandbox.write("Mail/INBOX/cur/1700000000.a.host:2,S", mail(1, "hi"));
        user.sandbox.write("Mail/INBOX/new/1700000000.b.host", mail(2, "other"));
        fs::create_dir_all(user.sandbox.maildir().join("INBOX/tmp")).unwrap();
        let inbox = user.sandbox.maildir().join("INBOX/cur");
        let script = format!(
            "#!/bin/sh\nf={}/1700000000.a.host\ngrep -q 'Subject: other' || {{ {change}; }}\n",
            inbox.display()
        );
        let script = user.sandbox.script("reader", &script);
        user.rules = format!("  - {{if: {{run: [{}]}}, do: {{fileinto: x}}}}", script.display());
        user.config("");
        let output = user.sandbox.run(&["--allow-root", "refilter", "--yes", "INBOX"]);
        assert_eq!(output.code, 0, "{output}");
        let said = "1700000000.a.host: stays: a mail reader moved or changed it meanwhile\n";
        assert!(
            output.stderr.contains(said) && output.stderr.contains("1 moved or changed, 0 stay, 1 were gone"),
            "{output}"
        );
        let mail = Maildirs::at(user.sandbox.maildir());
        let (stays, moved) = (mail.in_folder("INBOX"), mail.in_folder("x"));
        assert_eq!((stays.len(), stays[0].flags.as_str(), moved.len()), (1, flags, 1));
    }
}

fn put(user: &User, folder: &str, number: usize, subject: &str) {
    ["tmp", "cur"].iter().for_each(|sub| fs::create_dir_all(user.sandbox.maildir().join(folder).join(sub)).unwrap());
    user.sandbox.write(format!("Mail/{folder}/new/170000000{number}.a.host"), mail(number, subject));
}

fn allow(user: &User, folder: &str, mode: u32) {
    fs::set_permissions(user.sandbox.maildir().join(folder), Permissions::from_mode(mode)).unwrap();
}

fn count(user: &User, folder: &str) -> usize {
    Maildirs::at(user.sandbox.maildir()).in_folder(folder).len()
}

fn run(user: &User, arguments: &[&str]) -> Output {
    user.sandbox.run(&[&["--allow-root"], arguments].concat())
}

/// Forwards what is told, and sorts folders.
const SORTING: &str = "  - {if: {subject: told}, do: {redirect: {to: a@x.example, copy: true}}}
  - {if: {folder: Z}, do: {fileinto: W}}
  - {if: {folder: other}, do: {fileinto: sorted}}";

/// Two messages moved from Z to W, and the program died before it removed the old files; now Z cannot be written.
fn interrupted(server: &SmtpServer) -> User {
    let user = User::with_relay(SORTING, server);
    (1..=2).for_each(|number| put(&user, "Z", number, "hi"));
    let (z, kept) = (user.sandbox.maildir().join("Z/new"), user.sandbox.home().join("kept"));
    fs::create_dir(&kept).unwrap();
    let names: Vec<_> = fs::read_dir(&z).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.iter().for_each(|name| fs::hard_link(z.join(name), kept.join(name)).unwrap());
    let moved = run(&user, &["refilter", "--yes", "Z"]);
    assert_eq!((moved.code, count(&user, "W")), (0, 2), "{moved}");
    names.iter().for_each(|name| fs::rename(kept.join(name), z.join(name)).unwrap());
    let db = rusqlite::Connection::open(user.sandbox.home().join("state/state.db")).unwrap();
    assert_eq!(db.execute("UPDATE journal SET done = 0", []).unwrap(), 2);
    allow(&user, "Z/new", 0o500);
    user
}

fn notices(user: &User) -> Vec<String> {
    user.inbox().into_iter().filter(|text| text.contains("X-Mailsluice-Notice: cannot-leave")).collect()
}

#[test]
fn what_cannot_leave_its_folder_waits_alone() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = interrupted(&server);
    let output = user.queue(&["run"]);
    let why = "Z/new: Permission denied";
    assert!(
        output.code == 0 && output.stderr.contains("2 messages moved and cannot be finished: removing "),
        "{output}"
    );
    user.deliver(mail(3, "told"));
    user.until("it is sent", |rows| rows.len() == 1 && rows[0]["state"] == "sent");
    assert_eq!(server.count(), 1, "the outbox goes on");
    put(&user, "other", 4, "hi");
    let moved = run(&user, &["refilter", "--yes", "other"]);
    assert_eq!((moved.code, count(&user, "sorted")), (0, 1), "another folder goes on: {moved}");
    assert!(moved.stderr.contains("until") && moved.stderr.contains("Z/new can be written"), "{moved}");
    let row = run(&user, &["log", "--json"]);
    let id = row.stdout.lines().find(|line| line.contains("sorted")).unwrap().split("\"id\":").nth(1).unwrap();
    let id = id.split([',', '}']).next().unwrap().to_owned();
    let undone = run(&user, &["undo", &id]);
    assert_eq!((undone.code, count(&user, "other")), (0, 1), "another entry comes back: {undone}");
    let again = run(&user, &["refilter", "--yes", "Z"]);
    assert_eq!((again.code, count(&user, "W")), (75, 2), "nothing moves twice: {again}");
    assert!(again.stderr.contains("it moved already"), "{again}");
    let notices_now = notices(&user);
    assert_eq!(notices_now.len(), 1, "one a day, whoever says it: {notices_now:#?}");
    assert!(notices_now[0].contains("chmod") && notices_now[0].contains(why.split(':').next().unwrap()));

    allow(&user, "Z/new", 0o700);
    let output = user.queue(&["run"]);
    assert!(output.code == 0 && !output.stderr.contains("cannot be finished"), "{output}");
    assert_eq!((count(&user, "Z"), count(&user, "W")), (0, 2));
}

/// Told or fetched beside, and in maintenance.
#[test]
fn what_cannot_leave_its_folder_stops_no_maintenance_and_is_removed_by_it() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = interrupted(&server);
    user.config("maintenance: [{name: tidy, folder: other, do: {fileinto: sorted}}]\n");
    put(&user, "other", 4, "hi");
    let output = run(&user, &["fetch"]);
    assert_eq!((output.code, count(&user, "sorted")), (0, 1), "{output}");
    put(&user, "other", 5, "hi");
    allow(&user, "Z/new", 0o700);
    let output = run(&user, &["maintain"]);
    assert_eq!((output.code, count(&user, "sorted")), (0, 2), "{output}");
    assert_eq!((count(&user, "Z"), count(&user, "W")), (0, 2));
}

/// Mail that moved stands where the program may not look.
#[test]
fn a_folder_that_cannot_be_read_holds_up_its_own_mail_alone() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = interrupted(&server);
    allow(&user, "Z/new", 0o700);
    allow(&user, "W/new", 0);
    assert_eq!(user.queue(&["run"]).code, 0);
    put(&user, "other", 4, "hi");
    let moved = run(&user, &["refilter", "--yes", "other"]);
    assert_eq!((moved.code, count(&user, "sorted"), count(&user, "Z")), (0, 1, 2), "{moved}");
    allow(&user, "W/new", 0o700);
    assert_eq!(user.queue(&["run"]).code, 0);
    assert_eq!((count(&user, "Z"), count(&user, "W")), (0, 2));
}

#[test]
fn mail_stays_in_a_folder_that_cannot_be_written_and_is_in_no_other() {
    let user = User::without_relay(SORTING);
    user.relay(1);
    (1..=2).for_each(|number| put(&user, "Z", number, "hi"));
    put(&user, "other", 3, "hi");
    allow(&user, "Z/new", 0o500);
    let moved = run(&user, &["refilter", "--yes", "Z", "other"]);
    assert_eq!((moved.code, count(&user, "Z"), count(&user, "W"), count(&user, "sorted")), (75, 2, 0, 1), "{moved}");
    assert!(moved.stderr.contains("1700000001.a.host: stays: removing mail from "), "{moved}");
    assert!(moved.stderr.contains("1 moved or changed, 2 stay (2 because of a folder)"), "{moved}");
    assert_eq!(user.queue(&["run"]).code, 0);
    allow(&user, "Z/new", 0o700);
    let moved = run(&user, &["refilter", "--yes", "Z"]);
    assert_eq!((moved.code, count(&user, "Z"), count(&user, "W")), (0, 0, 2), "{moved}");
}

/// A number that stays with its message is given to the next one.
#[test]
fn a_target_that_cannot_be_made_holds_up_its_own_mail_alone() {
    let user = User::without_relay(
        "  - {do: {number: {counter: ticket, set: n}}}\n  - {if: {subject: blocked}, do: {fileinto: X/Y}}\n  \
         - {do: [{setheader: {X-Ticket: \"${n}\"}}, {fileinto: Z}]}",
    );
    user.relay(1);
    put(&user, "INBOX", 1, "blocked");
    (2..=3).for_each(|number| put(&user, "INBOX", number, "hi"));
    user.sandbox.write("Mail/X/Y", "");
    for moves in [2, 0] {
        let moved = run(&user, &["refilter", "--yes", "INBOX"]);
        assert_eq!((moved.code, count(&user, "Z"), count(&user, "INBOX")), (75, 2, 1), "{moved}");
        assert_eq!(moved.stdout.lines().count(), moves, "only what moves is said to move: {moved}");
        assert!(moved.stderr.contains("1700000001.a.host: stays: creating the folder "), "{moved}");
        assert!(moved.stderr.contains(&format!("{moves} moved or changed, 1 stay (1 because of a folder)")), "{moved}");
    }
    fs::remove_file(user.sandbox.maildir().join("X/Y")).unwrap();
    let moved = run(&user, &["refilter", "--yes", "INBOX"]);
    assert_eq!((moved.code, count(&user, "X/Y")), (0, 1), "{moved}");
    let tickets: Vec<_> =
        Maildirs::at(user.sandbox.maildir()).in_folder("Z").into_iter().map(|found| found.bytes).collect();
    let has = |ticket: &str| tickets.iter().any(|text| String::from_utf8_lossy(text).contains(ticket));
    assert!(has("X-Ticket: 1\n") && has("X-Ticket: 2\n"));
}

/// No look at the folder shows it.
#[test]
fn a_file_name_that_becomes_too_long_holds_up_nothing() {
    let user = User::without_relay("  - {do: {fileinto: Z}}");
    user.relay(1);
    (1..=2).for_each(|number| put(&user, "INBOX", number, "hi"));
    user.sandbox.write(format!("Mail/INBOX/new/1700000001.{}.host", "a".repeat(230)), mail(3, "long"));
    let moved = run(&user, &["refilter", "--yes", "INBOX"]);
    assert_eq!((moved.code, count(&user, "Z"), count(&user, "INBOX")), (75, 2, 1), "{moved}");
    assert!(moved.stderr.contains("File name too long"), "{moved}");
    assert!(moved.stderr.contains("2 moved or changed, 1 stay (1 because of a folder)"), "{moved}");
}

/// It was seen to be writable, and is not any more when the old file is to be removed.
#[test]
fn a_folder_that_closes_while_mail_leaves_it_keeps_no_second_copy() {
    let mut user = User::without_relay("  - {do: keep}");
    (1..=2).for_each(|number| put(&user, "Z", number, ["", "hi", "other"][number]));
    let folder = user.sandbox.maildir().join("Z/new");
    let script = format!("#!/bin/sh\ngrep -q 'Subject: hi' || chmod 500 {}\n", folder.display());
    let script = user.sandbox.script("closes", &script);
    user.rules = format!("  - {{if: {{run: [{}]}}, do: {{fileinto: W}}}}", script.display());
    user.relay(1);
    let moved = run(&user, &["refilter", "--yes", "Z"]);
    assert_eq!((moved.code, count(&user, "Z"), count(&user, "W")), (75, 2, 1), "{moved}");
    let said = "1 moved or changed, 1 of them cannot leave their old folder yet, 1 stay (1 because of a folder)";
    assert!(moved.stderr.contains(said), "{moved}");
    assert!(moved.stderr.contains("A message moved and cannot be finished: removing "), "{moved}");
    assert_eq!(notices(&user).len(), 1);
    let run_of = moved.stderr.split("undo --run ").nth(1).unwrap().split('`').next().unwrap().to_owned();
    allow(&user, "Z/new", 0o700);
    let undone = run(&user, &["undo", "--run", &run_of]);
    assert_eq!((undone.code, undone.stdout.lines().count()), (0, 1), "a notice is no part of the run: {undone}");
    assert_eq!((count(&user, "Z"), count(&user, "W")), (2, 0));
}
