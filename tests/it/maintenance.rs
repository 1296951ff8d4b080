//! `maintenance:` with the binary: by `fetch`, by `run` and by hand.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::maildir::Maildirs;
use crate::support::sandbox::{Output, Sandbox};

const DAY: u64 = 24 * 3600;

/// A home folder with these items under `maintenance:`.
fn home(items: &str) -> Sandbox {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
    sandbox.config(&format!("maildir: ~/Mail\nstate: ~/state\nmaintenance:\n{items}\n"));
    sandbox
}

/// Mail in a folder that arrived so many days ago; flags as in `cur/x:2,FS`.
fn put(sandbox: &Sandbox, folder: &str, subject: &str, days: u64, flags: &str) {
    for sub in ["new", "cur", "tmp"] {
        fs::create_dir_all(sandbox.maildir().join(folder).join(sub)).unwrap();
    }
    let text = format!("From: a@x.example\nSubject: {subject}\nMessage-ID: <{subject}@x.example>\n\nHello\n");
    let path = sandbox.write(format!("Mail/{folder}/cur/17000.{subject}.host:2,{flags}"), text);
    let arrived = SystemTime::now() - Duration::from_secs(days * DAY);
    File::options().write(true).open(path).unwrap().set_modified(arrived).unwrap();
}

/// The subjects of what is in a folder.
fn subjects(sandbox: &Sandbox, folder: &str) -> BTreeSet<String> {
    let subject = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default().to_owned()
    };
    let found = Maildirs::at(sandbox.maildir()).in_folder(folder);
    let subjects: Vec<String> = found.iter().map(|found| subject(&found.bytes)).collect();
    let set: BTreeSet<String> = subjects.iter().cloned().collect();
    assert_eq!(set.len(), subjects.len(), "twice in {folder}: {subjects:?}");
    set
}

#[track_caller]
fn assert_in(sandbox: &Sandbox, folder: &str, expected: &[&str]) {
    assert_eq!(subjects(sandbox, folder), expected.iter().map(|word| (*word).to_owned()).collect(), "{folder}");
}

/// What is not about running as root.
fn talk(output: &Output) -> String {
    output.stderr.lines().filter(|line| !line.contains("running as root")).map(|line| format!("{line}\n")).collect()
}

/// Lets the last run of every item be so long ago.
fn let_pass(sandbox: &Sandbox, time: Duration) {
    for entry in fs::read_dir(sandbox.home().join("state/maintenance")).unwrap().map(Result::unwrap) {
        let text = fs::read_to_string(entry.path()).unwrap();
        let at: jiff::Timestamp = text.lines().next().unwrap().parse().unwrap();
        fs::write(entry.path(), format!("{}\n", at - time)).unwrap();
    }
}

const OLD: &str =
    "  - {folder: newsletters, if: {age: {over: 14d}, not: {flag: flagged}}, do: [{fileinto: Trash}], every: 1d}";

fn newsletters() -> Sandbox {
    let sandbox = home(OLD);
    put(&sandbox, "newsletters", "old", 15, "S");
    put(&sandbox, "newsletters", "young", 13, "S");
    put(&sandbox, "newsletters", "starred", 99, "FS");
    put(&sandbox, "INBOX", "elsewhere", 99, "S");
    sandbox
}

#[test]
fn fetch_does_what_is_due_and_then_not_again() {
    let sandbox = newsletters();
    let output = sandbox.run(&["fetch"]);
    let line = "maintenance of newsletters: 1 moved or changed, 2 stay\n";
    assert_eq!((output.code, output.stdout.as_str(), talk(&output).as_str()), (0, line, ""));
    assert_in(&sandbox, "Trash", &["old"]);
    assert_in(&sandbox, "newsletters", &["young", "starred"]);
    assert_in(&sandbox, "INBOX", &["elsewhere"]);

    put(&sandbox, "newsletters", "older", 16, "");
    let output = sandbox.run(&["fetch"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, ""), "its time has not come: {output}");
    assert_in(&sandbox, "Trash", &["old"]);
    let_pass(&sandbox, Duration::from_secs(22 * 3600));
    assert_eq!(sandbox.run(&["fetch"]).stdout, "");
    // A timer that is a little early is in time.
    let_pass(&sandbox, Duration::from_secs(2 * 3600 - 60));
    assert_eq!(sandbox.run(&["fetch"]).stdout, line);
    assert_in(&sandbox, "Trash", &["old", "older"]);
}

#[test]
fn what_it_moved_comes_back() {
    let sandbox = newsletters();
    sandbox.run(&["fetch"]);
    let log = sandbox.run(&["log", "--json"]);
    let row: Value = serde_json::from_str(log.stdout.lines().next().unwrap()).unwrap();
    assert!(log.stdout.contains("newsletters"), "{log}");
    let id = row["id"].to_string();
    let output = sandbox.run(&["undo", &id]);
    assert_eq!(output.stdout, format!("{id} is in newsletters again: old\n"), "{output}");
    assert_in(&sandbox, "Trash", &[]);
    assert_in(&sandbox, "newsletters", &["old", "young", "starred"]);
}

#[test]
fn a_discard_can_be_undone_too() {
    let sandbox = home("  - {folder: Trash, if: {age: {over: 30d}}, do: discard}");
    put(&sandbox, "Trash", "gone", 31, "");
    assert_eq!(sandbox.run(&["maintain"]).code, 0);
    assert_in(&sandbox, "Trash", &[]);
    let log = sandbox.run(&["log", "--json"]);
    let row: Value = serde_json::from_str(log.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(sandbox.run(&["undo", &row["id"].to_string()]).code, 0);
    assert_in(&sandbox, "Trash", &["gone"]);
}

#[test]
fn a_dry_run_shows_and_does_nothing() {
    let sandbox = newsletters();
    let output = sandbox.run(&["maintain", "--dry-run"]);
    assert_eq!(output.code, 0, "{output}");
    assert!(output.stdout.contains("Trash") && output.stdout.contains("old"), "{output}");
    assert_eq!(talk(&output), "newsletters: 1 would move or change, 2 stay\n");
    assert_in(&sandbox, "newsletters", &["old", "young", "starred"]);
    assert!(!sandbox.home().join("state").exists(), "nothing was written");
    // Nor does it count as a run.
    assert!(sandbox.run(&["fetch"]).stdout.contains("1 moved"));
}

#[test]
fn by_hand_it_runs_whatever_every_says() {
    let sandbox = newsletters();
    sandbox.run(&["fetch"]);
    put(&sandbox, "newsletters", "older", 16, "");
    let output = sandbox.run(&["maintain", "newsletters"]);
    assert!(output.code == 0 && output.stdout.contains("older"), "{output}");
    assert_eq!(talk(&output), "maintenance of newsletters: 1 moved or changed, 2 stay\n");
    assert_in(&sandbox, "Trash", &["old", "older"]);
    let output = sandbox.run(&["maintain", "newsleters"]);
    assert!(output.code == 64 && output.stderr.contains("did you mean `newsletters`?"), "{output}");
    let lines = sandbox.run(&["maintain", "--json"]).stdout;
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!((&last["maintenance"], &last["moved"], &last["stay"]), (&"newsletters".into(), &0.into(), &2.into()));
}

#[test]
fn the_newest_are_left_alone() {
    let sandbox = home("  - {name: last three, folder: backup, keep_newest: 3, do: discard}");
    for day in 1..=8 {
        put(&sandbox, "backup", &format!("day{day}"), day, "S");
    }
    // About to be deleted by its reader: it is none of the three.
    put(&sandbox, "backup", "trashed", 0, "T");
    let output = sandbox.run(&["fetch"]);
    assert_eq!(output.stdout, "maintenance of last three: 5 moved or changed, 4 stay\n", "{output}");
    assert_in(&sandbox, "backup", &["day1", "day2", "day3", "trashed"]);
}

#[test]
fn patterns_name_the_folders_that_are_here() {
    let sandbox = home("  - {name: seen, folder: [\"lists/%\", inbox, missing], do: {addflag: seen}}");
    for folder in ["lists/rust", "lists/rust/users", "INBOX", "other"] {
        put(&sandbox, folder, &folder.replace('/', "-"), 1, "");
    }
    let output = sandbox.run(&["maintain"]);
    assert_eq!(output.code, 0, "{output}");
    assert!(talk(&output).contains("seen: there is no folder missing here yet"), "{output}");
    let seen = |folder: &str| Maildirs::at(sandbox.maildir()).in_folder(folder)[0].name.contains('S');
    assert!(seen("lists/rust") && seen("INBOX"));
    assert!(!seen("lists/rust/users") && !seen("other"));
}

#[test]
fn one_that_fails_does_not_stop_the_others() {
    let sandbox = home(
        "  - {name: broken, folder: a, if: {run: [/nonexistent]}, do: {fileinto: b}}\n  - {name: fine, folder: c, do: {fileinto: d}}",
    );
    put(&sandbox, "a", "one", 1, "");
    put(&sandbox, "c", "two", 1, "");
    let output = sandbox.run(&["--allow-root", "fetch"]);
    assert_eq!(output.code, 75, "{output}");
    assert!(output.stderr.contains("maintenance of broken: 1 stay because a rule failed"), "{output}");
    assert_in(&sandbox, "a", &["one"]);
    assert_in(&sandbox, "d", &["two"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_tried_again() {
    let sandbox =
        home("  - {name: blocked, folder: a, do: {fileinto: b}}\n  - {name: fine, folder: c, do: {fileinto: d}}");
    put(&sandbox, "a", "one", 1, "");
    put(&sandbox, "c", "two", 1, "");
    // A file stands where the folder should be.
    sandbox.write("Mail/b", "in the way");
    let output = sandbox.run(&["fetch"]);
    assert_eq!(output.code, 75, "{output}");
    assert!(output.stderr.contains("maintenance of blocked: a: "), "{output}");
    assert_in(&sandbox, "a", &["one"]);
    assert_in(&sandbox, "d", &["two"]);
    fs::remove_file(sandbox.home().join("Mail/b")).unwrap();
    let output = sandbox.run(&["fetch"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "maintenance of blocked: 1 moved or changed, 0 stay\n"));
    assert_in(&sandbox, "b", &["one"]);
}

#[test]
fn a_target_that_cannot_be_made_holds_up_its_own_mail_alone() {
    let sandbox = home("  - {name: sort, folder: a, uses: sort.yaml}\n");
    sandbox.write(
        ".config/mailsluice/sort.yaml",
        "rules:\n  - {if: {subject: one}, do: {fileinto: X/Y}}\n  - {do: {fileinto: Z}}\n",
    );
    ["one", "two", "three"].iter().for_each(|subject| put(&sandbox, "a", subject, 1, ""));
    sandbox.write("Mail/X/Y", "in the way");
    for command in ["maintain", "fetch"] {
        let output = sandbox.run(&[command]);
        assert_eq!(output.code, 75, "{output}");
        assert!(output.stderr.contains("maintenance of sort: a: 1 stay because of a folder"), "{output}");
        assert!(output.stderr.contains("17000.one.host:2,: stays: creating the folder "), "{output}");
        assert_in(&sandbox, "a", &["one"]);
        assert_in(&sandbox, "Z", &["two", "three"]);
    }
}

#[test]
fn a_script_tells_nobody_either() {
    let sandbox = home("  - {name: script, folder: a, uses: tell.lua}");
    sandbox.write(
        ".config/mailsluice/tell.lua",
        "return function(m, act)\n  act.redirect(\"you@example.com\")\n  act.fileinto(\"b\")\nend\n",
    );
    put(&sandbox, "a", "one", 1, "");
    let output = sandbox.run(&["fetch"]);
    assert!(output.stderr.contains("not sent"), "{output}");
    assert_in(&sandbox, "b", &["one"]);
    assert_eq!(sandbox.run(&["queue", "list"]).stdout, "");
}

#[test]
fn the_daemon_does_it_too() {
    let sandbox = newsletters();
    let running = sandbox.spawn(&["run"]);
    let until = Instant::now() + Duration::from_secs(20);
    // Nothing is read while mail is on its way.
    let moved = || fs::read_dir(sandbox.home().join("state/maintenance")).is_ok_and(|mut marks| marks.next().is_some());
    while !moved() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    running.signal(Signal::TERM);
    let output = running.wait();
    assert_eq!(output.code, 0, "{output}");
    assert_in(&sandbox, "Trash", &["old"]);
    assert_in(&sandbox, "newsletters", &["young", "starred"]);
}
