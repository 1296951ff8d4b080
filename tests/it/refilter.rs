//! `refilter` with the binary: what the messages of one run know of each other.

use std::fs;
use std::time::Duration;

use crate::outbox::{User, mail};
use crate::support::maildir::Maildirs;
use crate::support::sandbox::{Output, Running, Sandbox};

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
