//! `undo` with the binary: mail comes back as it was, byte for byte, with its flags and its time.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::outbox::{User, mail};
use crate::support::maildir::Maildirs;
use crate::support::sandbox::{Output, Sandbox};

/// A program that gives back only the header and exits with 0.
const TRUNCATE: &str = "filter: {run: [sed, \"/^$/q\"], may_shrink: true}";

fn undo(user: &User, arguments: &[&str]) -> Output {
    user.sandbox.run(&[&["--allow-root", "undo"], arguments].concat())
}

fn refilter(user: &mut User, rules: &str, folder: &str) -> Output {
    user.rules = rules.to_owned();
    user.config("");
    let output = user.sandbox.run(&["--allow-root", "refilter", "--yes", folder]);
    assert_eq!(output.code, 0, "{output}");
    output
}

/// The rows of the log, the oldest first.
fn log(sandbox: &Sandbox) -> Vec<Value> {
    let output = sandbox.run(&["log", "--json"]);
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn in_folder(user: &User, folder: &str) -> Vec<String> {
    let found = Maildirs::at(user.sandbox.maildir()).in_folder(folder);
    found.iter().map(|found| String::from_utf8_lossy(&found.bytes).into_owned()).collect()
}

/// The message came back alone, and is as it was.
#[track_caller]
fn assert_is_back(user: &User, output: &Output, original: &str) {
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output}");
    assert!(user.inbox() == [original], "{:.300}", user.inbox().concat());
}

#[test]
fn an_edited_header_comes_back_as_it_was() {
    let user = User::without_relay(
        "  - {do: [{addheader: {X-Spam: no}}, {deleteheader: From}, {setheader: {Subject: other}}, {fileinto: x}]}",
    );
    user.deliver(mail(1, "one"));
    assert!(in_folder(&user, "x")[0].starts_with("X-Spam: no\n"));
    assert_is_back(&user, &undo(&user, &["1"]), &mail(1, "one"));
    let again = undo(&user, &["1"]);
    assert!(again.code == 64 && again.stderr.contains("was brought back already"), "{again}");
    let undone = undo(&user, &["2"]);
    assert!(undone.code == 64 && undone.stderr.contains("is itself an undo"), "{undone}");
}

#[test]
fn an_edited_message_that_stayed_in_its_folder_comes_back_too() {
    let user = User::without_relay("  - {do: [{setheader: {Subject: other}}, keep]}");
    user.deliver(mail(1, "one"));
    assert_is_back(&user, &undo(&user, &["1"]), &mail(1, "one"));
}

#[test]
fn what_a_program_cut_comes_back_whole() {
    let user = User::without_relay(&format!("  - {{do: [{{{TRUNCATE}}}, {{fileinto: x}}]}}"));
    user.deliver(mail(1, "one"));
    assert!(!in_folder(&user, "x")[0].contains("hello"));
    assert_is_back(&user, &undo(&user, &["1"]), &mail(1, "one"));
}

#[test]
fn the_original_outlives_refilter() {
    for first in ["setheader: {Subject: other}", TRUNCATE] {
        for second in ["setheader: {Subject: third}", TRUNCATE, "addflag: seen"] {
            let mut user = User::without_relay(&format!("  - {{do: [{{{first}}}, {{fileinto: x}}]}}"));
            user.deliver(mail(1, "one"));
            let edited = in_folder(&user, "x");
            refilter(&mut user, &format!("  - {{do: [{{{second}}}, {{fileinto: y}}]}}"), "x");
            assert_eq!(undo(&user, &["2"]).code, 0, "{first}, {second}");
            assert!(in_folder(&user, "x") == edited, "{first}, {second}: as before the run");
            refilter(&mut user, &format!("  - {{do: [{{{second}}}, {{fileinto: y}}]}}"), "x");
            assert_is_back(&user, &undo(&user, &["1"]), &mail(1, "one"));
            assert_eq!((in_folder(&user, "x").len(), in_folder(&user, "y").len()), (0, 0), "{first}, {second}");
            // What is older than that cannot be brought back any more.
            let later = undo(&user, &["4"]);
            assert!(later.code == 64 && later.stderr.contains("undone already, with entry 1"), "{later}");
            assert!(user.inbox() == [mail(1, "one")]);
        }
    }
}

#[test]
fn a_message_too_big_for_memory_comes_back_too() {
    let big = format!("{}{}", mail(1, "big"), "All work and no play.\n".repeat(500_000));
    for edit in ["setheader: {Subject: other}", TRUNCATE] {
        let mut user = User::without_relay(&format!("  - {{do: [{{{edit}}}, {{fileinto: x}}]}}"));
        user.deliver(&big);
        assert_eq!(in_folder(&user, "x").len(), 1);
        assert_is_back(&user, &undo(&user, &["1"]), &big);
        refilter(&mut user, &format!("  - {{do: [{{{edit}}}, {{fileinto: x}}]}}"), "INBOX");
        assert_is_back(&user, &undo(&user, &["3"]), &big);
    }
}

/// Mail in a folder that arrived long ago, read and flagged.
fn old_mail(user: &User, subject: &str) -> SystemTime {
    for sub in ["new", "cur", "tmp"] {
        fs::create_dir_all(user.sandbox.maildir().join("INBOX").join(sub)).unwrap();
    }
    let path = user.sandbox.write(format!("Mail/INBOX/cur/1600000000.{subject}.host:2,FS"), mail(1, subject));
    let arrived = SystemTime::UNIX_EPOCH + Duration::from_secs(1_606_000_000);
    File::options().write(true).open(path).unwrap().set_modified(arrived).unwrap();
    arrived
}

/// The flags and the time of the only message in the inbox.
fn only(user: &User) -> (String, SystemTime) {
    let of = |sub| fs::read_dir(user.sandbox.maildir().join("INBOX").join(sub)).unwrap();
    let files: Vec<_> = of("new").chain(of("cur")).map(Result::unwrap).collect();
    assert_eq!(files.len(), 1);
    let name = files[0].file_name().into_string().unwrap();
    let flags = name.split_once(":2,").map_or("", |(_, flags)| flags).to_owned();
    (flags, files[0].metadata().unwrap().modified().unwrap())
}

#[test]
fn flags_and_arrival_come_back() {
    for rule in ["discard", "fileinto: x", "addflag: answered", "removeflag: seen", "filter: [cat]"] {
        let mut user = User::without_relay("  - {do: keep}");
        let arrived = old_mail(&user, "old");
        let rule = if rule == "discard" { "discard".to_owned() } else { format!("{{{rule}}}") };
        refilter(&mut user, &format!("  - {{do: [{rule}]}}"), "INBOX");
        let row = log(&user.sandbox).into_iter().next().map(|row| row["id"].to_string());
        let Some(id) = row else { continue };
        let output = undo(&user, &[&id]);
        assert_eq!(output.code, 0, "{rule}: {output}");
        assert_eq!(only(&user), ("FS".to_owned(), arrived), "{rule}");
        assert_eq!(user.inbox(), [mail(1, "old")], "{rule}");
    }
}

#[test]
fn what_its_reader_did_since_stays() {
    let mut user = User::without_relay("  - {do: keep}");
    old_mail(&user, "old");
    refilter(&mut user, "  - {do: [{addflag: [draft]}, {removeflag: [seen]}, {fileinto: x}]}", "INBOX");
    let cur = user.sandbox.maildir().join("x/cur");
    let file = fs::read_dir(&cur).unwrap().next().unwrap().unwrap().path();
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(name.ends_with(":2,DF"), "{name}");
    fs::rename(&file, cur.join(name.replace(":2,DF", ":2,DFR"))).unwrap();
    assert_eq!(undo(&user, &["1"]).code, 0);
    assert_eq!(only(&user).0, "FRS");
}

fn rows_of_run(user: &User, run: u64) -> Vec<i64> {
    let rows = log(&user.sandbox);
    rows.iter().filter(|row| row["run"] == run).map(|row| row["id"].as_i64().unwrap()).collect()
}

#[test]
fn a_whole_run_is_undone_and_one_that_fails_does_not_stop_it() {
    let mut user = User::without_relay("  - {do: keep}");
    (1..=5).for_each(|n| user.deliver(mail(n, "hi")));
    let mut before = user.inbox();
    let rules = "  - {if: {header: {Message-ID: {contains: 1@}}}, do: discard}\n  \
                 - {do: [{setheader: {Subject: other}}, {fileinto: x}]}";
    let output = refilter(&mut user, rules, "INBOX");
    let run: u64 = output.stderr.split("undo --run ").nth(1).unwrap().split('`').next().unwrap().parse().unwrap();
    let rows = rows_of_run(&user, run);
    assert_eq!(rows.len(), 5);
    // Its reader deletes one for good.
    let files = fs::read_dir(user.sandbox.maildir().join("x/new")).unwrap().map(|entry| entry.unwrap().path());
    let third: Vec<_> = files.filter(|file| fs::read_to_string(file).unwrap().contains("<3@")).collect();
    fs::remove_file(&third[0]).unwrap();
    before.retain(|text| !text.contains("<3@"));

    let output = undo(&user, &["--run", &run.to_string()]);
    assert_eq!((output.code, output.stdout.lines().count()), (64, 4), "{output}");
    assert!(output.stderr.contains("cannot be found any more"), "{output}");
    let newest_first: Vec<i64> =
        output.stdout.lines().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    assert!(newest_first.is_sorted_by(|a, b| a > b), "{output}");
    let sorted = |mut all: Vec<String>| {
        all.sort();
        all
    };
    assert_eq!(sorted(user.inbox()), sorted(before));
    let again = undo(&user, &["--run", &run.to_string()]);
    assert!(again.code == 64 && again.stdout.is_empty(), "only what is left is tried again: {again}");
    let unknown = undo(&user, &["--run", "999"]);
    assert!(unknown.code == 64 && unknown.stderr.contains("there is no run 999"), "{unknown}");
}

#[test]
fn one_entry_that_fails_does_not_stop_the_others() {
    let user = User::without_relay("  - {do: {fileinto: x}}");
    (1..=3).for_each(|n| user.deliver(mail(n, "hi")));
    let output = undo(&user, &["1", "99", "2", "3"]);
    assert_eq!((output.code, output.stdout.lines().count()), (64, 3), "{output}");
    assert_eq!(output.stderr, "99: there is no entry 99 in the journal; `mailsluice log` shows their numbers\n");
    assert_eq!(user.inbox().len(), 3);
}

/// Neither the folder that a message should leave nor the one where it belongs; it is never in both.
#[test]
fn an_entry_of_a_folder_that_cannot_be_written_does_not_stop_the_others() {
    let user = User::without_relay("  - {if: {subject: hi}, do: {fileinto: x}}\n  - {do: {fileinto: y}}");
    user.deliver(mail(1, "hi"));
    user.deliver(mail(2, "other"));
    let closed = user.sandbox.maildir().join("x/new");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    let output = undo(&user, &["1", "2"]);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(output.code == 75 && output.stderr.starts_with("1: removing mail from "), "{output}");
    assert_eq!(user.inbox(), [mail(2, "other")]);
    assert_eq!(in_folder(&user, "x"), [mail(1, "hi")]);
    let output = undo(&user, &["1"]);
    assert_eq!((output.code, user.inbox().len(), in_folder(&user, "x").len()), (0, 2, 0), "{output}");
}

#[test]
fn originals_can_be_left_out() {
    let user = User::without_relay(&format!("  - {{do: [{{{TRUNCATE}}}, {{fileinto: x}}]}}"));
    user.config("originals: 0\n");
    user.deliver(mail(1, "one"));
    assert_eq!(fs::read_dir(user.sandbox.home().join("state/spool")).unwrap().filter(is_file).count(), 0);
    let output = undo(&user, &["1"]);
    assert!(output.code == 0 && output.stderr.contains("as the rules had changed it"), "{output}");
}

fn is_file(entry: &std::io::Result<fs::DirEntry>) -> bool {
    entry.as_ref().unwrap().file_type().unwrap().is_file()
}
