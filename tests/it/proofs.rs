//! What destroys must prove: each fault that was found from outside in November 2026, as its smallest case. The letters are
//! those of the reports.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};

use crate::stage::{Account, Client, complaints, filled, mailbox, message};
use crate::support::faults::{Faults, MessageFault};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::injector::{Fault, injector};
use crate::support::mailbox::{Incoming, Mailbox};
use crate::support::maildir::Maildirs;
use crate::support::pop3_server::{Pop3Options, Pop3Server};
use crate::support::sandbox::Sandbox;

fn imap(mailbox: &Mailbox) -> (ImapServer, Client) {
    let server = ImapServer::start(mailbox, ImapOptions::with_faults(&Faults::none()));
    let client = Account::imap(server.port()).client();
    (server, client)
}

fn pop3(mailbox: &Mailbox) -> (Pop3Server, Client) {
    let server = Pop3Server::start(mailbox, Pop3Options::default());
    let client = Account::pop3(server.port()).client();
    (server, client)
}

fn with(client: Client, change: impl FnOnce(Account) -> Account) -> Client {
    let mut client = client;
    client.change(change);
    client
}

/// What stands in any folder with this subject.
fn copies(client: &Client, subject: &str) -> usize {
    client.subjects().iter().filter(|found| *found == subject).count()
}

fn db(client: &Client) -> rusqlite::Connection {
    rusqlite::Connection::open(client.path("state/state.db")).unwrap()
}

/// Recorded, and its file gone from `new/` before anybody saw it: as after a crash between the two.
fn unpublish(client: &Client) {
    db(client).execute("UPDATE journal SET done = 0 WHERE entry IN (SELECT entry FROM target)", []).unwrap();
    for found in client.mail().delivered() {
        let folder = client.path("Mail").join(&found.folder);
        let removed = ["new", "cur"].iter().filter(|sub| fs::remove_file(folder.join(sub).join(&found.name)).is_ok());
        assert_eq!(removed.count(), 1, "{}", found.name);
    }
}

// R F1, R F5, A B23: ownership.

#[test]
fn r_f1_refilter_beside_fetch_loses_nothing() {
    let (mailbox, messages) = filled(300);
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let rules = "rules: [{if: {subject: {contains: never}}, do: keep}]\n";
    let sandbox = Account::imap(server.port()).top(rules).sandbox();
    assert_eq!(sandbox.run(&["--allow-root", "fetch"]).code, 0);
    let moving = "rules: [{if: {subject: {contains: number}}, do: [{fileinto: moved}]}]\n";
    sandbox.config(&Account::imap(server.port()).top(moving).yaml(sandbox.home()));
    let refilter = sandbox.spawn(&["--allow-root", "refilter", "--yes", "INBOX"]);
    let mut refilter = refilter;
    while refilter.is_running() {
        sandbox.run(&["--allow-root", "fetch"]);
    }
    let output = refilter.wait();
    assert_eq!(output.code, 0, "{output}");
    Maildirs::at(sandbox.maildir()).assert_holds(&messages);
    assert_eq!(Maildirs::at(sandbox.maildir()).in_folder("moved").len(), 300);
}

#[test]
fn r_f5_an_interrupted_refilter_leaves_nothing_to_fetch() {
    let (mailbox, messages) = filled(40);
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    for delay in [8, 14, 20, 28, 40] {
        let sandbox = Account::imap(server.port()).sandbox();
        assert_eq!(sandbox.run(&["--allow-root", "fetch"]).code, 0);
        let moving = "rules: [{if: {subject: {contains: number}}, do: [{fileinto: moved}]}]\n";
        sandbox.config(&Account::imap(server.port()).top(moving).yaml(sandbox.home()));
        let refilter = sandbox.spawn(&["--allow-root", "refilter", "--yes", "INBOX"]);
        std::thread::sleep(Duration::from_millis(delay));
        refilter.kill();
        let fetch = sandbox.run(&["--allow-root", "fetch"]);
        assert_eq!(fetch.code, 0, "{delay}: {fetch}");
        sandbox.run(&["--allow-root", "refilter", "--yes", "INBOX"]);
        Maildirs::at(sandbox.maildir()).assert_holds(&messages);
    }
}

#[test]
fn r_f6_a_b10_parallel_deliveries_into_one_mbox_all_succeed() {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
    sandbox.config("maildir: ~/Mail\nstate: ~/state\nrules: [{do: [{fileinto: {mbox: old}}]}]\n");
    let deliver = |n: usize| sandbox.run_with_stdin(&["--allow-root", "deliver"], message(n));
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..8).map(|w| scope.spawn(move || (0..6).map(|n| deliver(w * 6 + n).code).collect::<Vec<_>>())).collect();
        let codes: Vec<i32> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
        assert!(codes.iter().all(|code| *code == 0), "{codes:?}");
    });
    let text = sandbox.read("Mail/old");
    assert_eq!(text.matches("\nSubject: number ").count(), 48);
}

// The root, absence.

#[test]
fn a_root_that_is_not_mounted_is_no_proof_of_anything() {
    for emptied in [false, true] {
        let (mailbox, _) = filled(4);
        let (_server, client) = imap(&mailbox);
        let client = with(client, |account| account.with("retention: {delete_after: 1s}"));
        client.fetch_well();
        unpublish(&client);
        fs::rename(client.path("Mail"), client.path("away")).unwrap();
        if emptied {
            fs::create_dir(client.path("Mail")).unwrap();
        }
        std::thread::sleep(Duration::from_millis(1100));
        for _ in 0..2 {
            let report = client.fetch();
            assert_eq!(report.exit_code(), 75, "{report:#?}");
            assert!(complaints(&report).contains("mailsluice rebuild"), "{report:#?}");
        }
        assert_eq!(mailbox.count("INBOX"), 4);
        if emptied {
            fs::remove_dir(client.path("Mail")).unwrap();
        }
        fs::rename(client.path("away"), client.path("Mail")).unwrap();
        client.fetch();
        client.fetch();
        assert_eq!(client.subjects().len(), 4, "what was recorded and stands nowhere is fetched again");
        std::thread::sleep(Duration::from_millis(1100));
        client.fetch_well();
        assert_eq!(mailbox.count("INBOX"), 0, "they were due all the time");
    }
}

#[test]
fn what_was_recorded_and_is_listed_nowhere_is_said() {
    let (mailbox, _) = filled(1);
    let (_server, client) = imap(&mailbox);
    client.fetch_well();
    unpublish(&client);
    mailbox.remove("INBOX", 1);
    client.fetch_well();
    assert!(client.notices().iter().any(|text| text.contains("never-published")), "{:?}", client.notices());
}

/// A `duplicate` that the message itself had noted does not take it for its own copy.
#[test]
fn a_b31_a_message_that_is_fetched_again_does_not_meet_its_own_note() {
    let (mailbox, _) = filled(1);
    let (_server, client) = imap(&mailbox);
    let rules = "rules: [{if: {duplicate: {}}, do: discard}]";
    let client = with(client, |account| account.top(rules));
    client.fetch_well();
    assert_eq!(client.subjects().len(), 1);
    unpublish(&client);
    let noted = "UPDATE journal SET noted = (SELECT json_array(json_array(handle, key)) FROM seen_key)";
    db(&client).execute(noted, []).unwrap();
    client.fetch_well();
    assert_eq!(client.subjects().len(), 1, "it was not discarded as its own duplicate");
}

#[test]
fn rebuild_takes_a_root_that_was_emptied_on_purpose() {
    let (mailbox, _) = filled(2);
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let sandbox = Account::imap(server.port()).sandbox();
    assert_eq!(sandbox.run(&["--allow-root", "fetch"]).code, 0);
    fs::remove_dir_all(sandbox.maildir()).unwrap();
    assert_eq!(sandbox.run(&["--allow-root", "fetch"]).code, 75);
    let asked = sandbox.run(&["rebuild"]);
    assert_eq!(asked.code, 64, "{asked}");
    let output = sandbox.run(&["rebuild", "--yes"]);
    assert!(output.code == 0 && output.stdout.contains("is the mail root now"), "{output}");
    mailbox.add("INBOX", message(9));
    let output = sandbox.run(&["--allow-root", "fetch"]);
    assert_eq!((output.code, Maildirs::at(sandbox.maildir()).delivered().len()), (0, 1), "{output}");
}

// The state.

const TOLD: &str = "me: [me@example.com]
rules:
  - {if: {subject: number 1}, do: [{redirect: {to: you@far.example, even_old: true}}]}
  - {if: {subject: number 2}, do: discard}";

fn told_and_discarded() -> (Mailbox, ImapServer, Client) {
    let (mailbox, _) = filled(3);
    let (server, client) = imap(&mailbox);
    let client = with(client, |account| account.with("retention: delete").top(TOLD));
    client.fetch_well();
    assert_eq!(mailbox.count("INBOX"), 0);
    (mailbox, server, client)
}

/// Files whatever was set aside, as `fetch` does at its end.
fn tell(client: &Client) {
    use mailsluice::outbox::Relays;
    use mailsluice::tell::tell;
    let (world, _) = client.open();
    let stop = tokio_util::sync::CancellationToken::new();
    crate::stage::run(tell(&world, &Relays::default(), Duration::from_secs(10), &stop)).unwrap();
}

#[test]
fn r_f2_an_empty_database_costs_nothing_that_stood_in_the_spool() {
    let (_mailbox, _server, client) = told_and_discarded();
    for file in ["state.db-wal", "state.db-shm"] {
        fs::remove_file(client.path("state").join(file)).ok();
    }
    fs::write(client.path("state/state.db"), "").unwrap();
    client.fetch_well();
    tell(&client);
    for subject in ["number 1", "number 2"] {
        assert_eq!(copies(&client, subject), 1, "{subject}: {:?}", client.subjects());
    }
}

/// It said that the database was lost.
#[test]
fn what_nothing_names_in_the_spool_is_filed_and_the_state_is_not_called_lost() {
    let (mailbox, _) = filled(0);
    let (_server, client) = imap(&mailbox);
    client.fetch_well();
    db(&client).execute("UPDATE fact SET value = strftime('%s') WHERE name = 'seen'", []).unwrap();
    // Written, and the power failed before the row stood.
    let file = client.path("state/spool/1.from.nobody");
    fs::write(&file, message(1)).unwrap();
    let written = SystemTime::now() - Duration::from_secs(2 * 86_400);
    fs::File::options().write(true).open(&file).unwrap().set_modified(written).unwrap();
    fs::remove_file(client.path("state/pruned")).ok();
    mailsluice::upkeep::prune(&client.open().0).unwrap();
    tell(&client);
    assert_eq!((copies(&client, "number 1"), client.path("state/lost").read_dir().unwrap().count()), (1, 0));
    let notices = client.notices();
    assert!(notices.len() == 1 && notices[0].contains("Unknown files were in the spool"), "{notices:?}");
    assert!(!notices[0].contains("lost"), "{notices:?}");
}

#[test]
fn what_was_to_be_told_before_the_clock_was_set_is_not_too_old() {
    let (mailbox, _) = filled(1);
    let (_server, client) = imap(&mailbox);
    let mut client = with(client, |account| account.top(TOLD));
    client.now = || Timestamp::from_second(60).unwrap();
    client.fetch_well();
    client.now = Timestamp::now;
    mailbox.add("INBOX", message(3));
    client.fetch_well();
    tell(&client);
    let waiting = |row: &str| db(&client).query_row(row, [], |row| row.get::<_, u32>(0)).unwrap();
    assert_eq!(waiting("SELECT count(*) FROM outbox WHERE state IN (0, 4)"), 1, "{:?}", client.subjects());
}

#[test]
fn what_was_told_and_its_file_not_removed_is_no_only_copy() {
    let (mailbox, _) = filled(1);
    let (_server, client) = imap(&mailbox);
    let rules = "rules: [{do: [{redirect: {to: you@far.example, copy: true, even_old: true}}]}]";
    let client = with(client, |account| account.with("retention: delete").top(rules));
    client.fetch_well();
    assert_eq!(mailbox.count("INBOX"), 0);
    // It was sent, and the program was killed before it could remove the file that it was sent from; so was the next one,
    // while it fetched.
    db(&client).execute("UPDATE outbox SET state = 2", []).unwrap();
    fs::remove_dir_all(client.path("state/locks")).unwrap();
    client.fetch_well();
    assert_eq!(client.subjects(), ["number 1"]);
}

/// Keeps a copy of the state, as a backup does.
fn back_up(client: &Client) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    db(client).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    vec![(client.path("state/state.db"), fs::read(client.path("state/state.db")).unwrap())]
}

fn put_back(client: &Client, backup: Vec<(std::path::PathBuf, Vec<u8>)>) {
    for file in ["state.db-wal", "state.db-shm"] {
        fs::remove_file(client.path("state").join(file)).ok();
    }
    backup.into_iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
}

#[test]
fn r_f2_an_older_database_costs_nothing_that_stood_in_the_spool() {
    let (mailbox, _) = filled(0);
    let (_server, client) = imap(&mailbox);
    let client = with(client, |account| account.with("retention: delete").top(TOLD));
    client.fetch_well();
    let backup = back_up(&client);
    (1..=3).for_each(|n| _ = mailbox.add("INBOX", message(n)));
    client.fetch_well();
    put_back(&client, backup);
    client.fetch_well();
    tell(&client);
    for subject in ["number 1", "number 2", "number 3"] {
        assert_eq!(copies(&client, subject), 1, "{subject}: {:?}", client.subjects());
    }
}

/// What a mail reader does with what it showed.
fn read_all(client: &Client) {
    for found in client.mail().delivered() {
        let folder = client.path("Mail").join(&found.folder);
        fs::rename(folder.join("new").join(&found.name), folder.join("cur").join(format!("{}:2,S", found.name))).ok();
    }
}

#[test]
fn an_older_database_is_compared_whenever_it_was_compared_before() {
    let (mailbox, _) = filled(1);
    let (_server, client) = imap(&mailbox);
    client.fetch_well();
    let first = back_up(&client);
    mailbox.add("INBOX", message(2));
    client.fetch_well();
    read_all(&client);
    put_back(&client, first);
    client.fetch_well();
    // A clock that was ahead, or the same second.
    db(&client).execute("UPDATE first_look SET recognised = recognised + 86400", []).unwrap();
    let second = back_up(&client);
    mailbox.add("INBOX", message(3));
    client.fetch_well();
    read_all(&client);
    put_back(&client, second);
    client.fetch_well();
    assert_eq!((copies(&client, "number 2"), copies(&client, "number 3")), (1, 1), "{:?}", client.subjects());
}

#[test]
fn an_older_database_knows_what_was_fetched_after_a_renumbering() {
    let (mailbox, _) = filled(1);
    let (_server, client) = imap(&mailbox);
    client.fetch_well();
    let backup = back_up(&client);
    mailbox.set_uidvalidity("INBOX", 77, true);
    client.fetch();
    mailbox.add("INBOX", message(2));
    client.fetch_well();
    read_all(&client);
    put_back(&client, backup);
    client.fetch();
    client.fetch_well();
    assert_eq!((copies(&client, "number 1"), copies(&client, "number 2")), (1, 1), "{:?}", client.subjects());
}

#[test]
fn a_database_that_is_put_back_beside_the_log_of_a_newer_one_is_not_used() {
    let (mailbox, _) = filled(300);
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let sandbox = Account::imap(server.port()).sandbox();
    let fetch = || sandbox.run(&["--allow-root", "fetch"]);
    let file = |name: &str| sandbox.home().join("state").join(name);
    assert_eq!(fetch().code, 0);
    let older = fs::read(file("state.db")).unwrap();
    // Whoever has it open keeps the log from going when the program ends, as when that is killed.
    let other = rusqlite::Connection::open(file("state.db")).unwrap();
    other.query_row("SELECT count(*) FROM seen", [], |row| row.get::<_, i64>(0)).unwrap();
    let add = |numbers: std::ops::Range<usize>| {
        numbers.for_each(|n| _ = mailbox.add("INBOX", message(n)));
        assert_eq!(fetch().code, 0);
    };
    add(301..320);
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    add(320..325);
    let log = fs::read(file("state.db-wal")).unwrap();
    drop(other);
    fs::write(file("state.db"), older).unwrap();
    fs::write(file("state.db-wal"), log).unwrap();
    fs::remove_file(file("state.db-shm")).ok();
    for _ in 0..2 {
        let output = fetch();
        assert!(output.code == 75 && output.stderr.contains("mailsluice rebuild"), "{output}");
    }
    let output = sandbox.run(&["rebuild", "--yes"]);
    assert_eq!(output.code, 0, "{output}");
    assert_eq!(fetch().code, 0);
    assert_eq!(Maildirs::at(sandbox.maildir()).delivered().len(), 324);
}

#[test]
fn r_f9_an_older_database_tells_nobody_again() {
    let (mailbox, _) = filled(0);
    let (_server, client) = imap(&mailbox);
    let rules = "me: [me@example.com]\nrules: [{do: [{redirect: {to: you@far.example, copy: true, even_old: true}}]}]";
    let client = with(client, |account| account.top(rules));
    client.fetch_well();
    let backup = back_up(&client);
    (0..3).for_each(|n| _ = mailbox.add("INBOX", message(n)));
    client.fetch_well();
    assert_eq!(client.open().0.store.still_to_tell().unwrap().len(), 3);
    db(&client).execute("UPDATE outbox SET state = 2", []).unwrap();
    put_back(&client, backup);
    client.fetch_well();
    assert_eq!(client.open().0.store.still_to_tell().unwrap().len(), 0, "nobody is told a second time");
    assert_eq!(client.subjects().len(), 3);
}

#[test]
fn r_f11_a_damaged_database_says_so_and_rebuild_sets_it_aside() {
    let (mailbox, _) = filled(2);
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let sandbox = Account::imap(server.port()).sandbox();
    assert_eq!(sandbox.run(&["--allow-root", "fetch"]).code, 0);
    for file in ["state.db-wal", "state.db-shm"] {
        fs::remove_file(sandbox.home().join("state").join(file)).ok();
    }
    sandbox.write("state/state.db", "garbage, but not a database at all; ".repeat(300));
    let output = sandbox.run(&["--allow-root", "fetch"]);
    assert!(output.code == 75 && output.stderr.contains("mailsluice rebuild"), "{output}");
    let output = sandbox.run(&["rebuild", "--yes"]);
    assert_eq!(output.code, 0, "{output}");
    let output = sandbox.run(&["--allow-root", "fetch"]);
    assert_eq!((output.code, Maildirs::at(sandbox.maildir()).delivered().len()), (0, 2), "{output}");
}

#[test]
fn r_f15_a_state_folder_that_others_may_write_to_is_refused() {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
    sandbox.config("maildir: ~/Mail\nstate: ~/state\n");
    fs::create_dir(sandbox.home().join("state")).unwrap();
    fs::set_permissions(sandbox.home().join("state"), fs::Permissions::from_mode(0o777)).unwrap();
    let output = sandbox.run_with_stdin(&["--allow-root", "deliver"], message(1));
    assert!(output.code == 75 && output.stderr.contains("others may write to it"), "{output}");
    assert!(!sandbox.home().join("state/state.db").exists());
}

// Names.

#[test]
fn a_b2_a_spool_file_is_its_name_however_its_path_is_spelled() {
    let (mailbox, _) = filled(2);
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let mut sandbox = Account::imap(server.port()).with("retention: delete").sandbox();
    let account = Account::imap(server.port()).with("retention: delete").top(TOLD);
    let yaml = account.yaml(std::path::Path::new("~"));
    sandbox.config(&yaml);
    // There is no relay, so what is to be told waits.
    assert_eq!(sandbox.run(&["--allow-root", "fetch"]).code, 75);
    let spooled = || fs::read_dir(sandbox.home().join("state/spool")).unwrap().count();
    let before = spooled();
    let link = sandbox.home().join("link");
    symlink(sandbox.home(), &link).unwrap();
    let home = link.display().to_string();
    assert!(before >= 2);
    sandbox.env("HOME", &home);
    let output = sandbox.run(&["--allow-root", "fetch"]);
    assert_eq!(output.code, 75, "{output}");
    assert_eq!(fs::read_dir(sandbox.home().join("state/spool")).unwrap().count(), before);
}

#[test]
fn r_f9b_an_account_that_is_renamed_goes_on() {
    let (mailbox, messages) = filled(5);
    let (server, client) = imap(&mailbox);
    client.fetch_well();
    let yaml = fs::read_to_string(client.path("config.yaml")).unwrap();
    let renamed = client.path("renamed.yaml");
    fs::write(&renamed, yaml.replace("\n  me:\n", "\n  work:\n")).unwrap();
    fs::set_permissions(&renamed, fs::Permissions::from_mode(0o600)).unwrap();
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
    mailbox.add("INBOX", message(77));
    let output = sandbox.run(&["--allow-root", "-c", renamed.to_str().unwrap(), "fetch"]);
    assert_eq!(output.code, 0, "{output}");
    let expected: Vec<String> = messages.into_iter().chain([message(77)]).collect();
    client.mail().assert_holds(&expected);
    let log = sandbox.run(&["-c", renamed.to_str().unwrap(), "log", "-v", "work"]);
    assert_eq!(log.stdout.matches("work/INBOX").count(), 6, "{log}");
    drop(server);
}

#[test]
fn a_lost_database_and_a_new_label_are_no_reason_to_fetch_again() {
    let (mailbox, messages) = filled(3);
    let (_server, client) = imap(&mailbox);
    client.fetch_well();
    fs::remove_file(client.path("state/state.db")).unwrap();
    fetch_as_work(&client);
    client.mail().assert_holds(&messages);
}

/// The database was lost, another one was at work, and then the first was found again: alone, or with its folder.
#[test]
fn a_database_that_another_one_followed_is_an_older_one() {
    for with_folder in [false, true] {
        let (mailbox, _) = filled(1);
        let (_server, client) = imap(&mailbox);
        client.fetch_well();
        let backup = back_up(&client);
        let water = fs::read(client.path("state/water")).unwrap();
        fs::remove_file(client.path("state/state.db")).unwrap();
        if with_folder {
            fs::remove_file(client.path("state/water")).unwrap();
        }
        mailbox.add("INBOX", message(2));
        client.fetch_well();
        read_all(&client);
        put_back(&client, backup);
        if with_folder {
            fs::write(client.path("state/water"), water).unwrap();
        }
        client.fetch_well();
        assert_eq!((copies(&client, "number 1"), copies(&client, "number 2")), (1, 1), "{:?}", client.subjects());
    }
}

/// A database from before the account's first run, put back while the disk with the mail was not mounted.
#[test]
fn a_state_that_was_put_back_without_the_root_learns_of_its_accounts_when_that_returns() {
    let (mailbox, messages) = filled(3);
    let (_server, client) = imap(&mailbox);
    client.fetch_well();
    let backup = back_up(&client);
    mailbox.add("INBOX", message(77));
    client.fetch_well();
    put_back(&client, backup);
    let of_accounts = ["account", "origin", "seen", "first_look", "target", "journal"];
    let forget = of_accounts.map(|table| format!("DELETE FROM {table};")).concat();
    db(&client).execute_batch(&forget).unwrap();
    let (root, away) = (client.path("Mail"), client.path("Away"));
    fs::rename(&root, &away).unwrap();
    fs::create_dir(&root).unwrap();
    assert_eq!(client.fetch().errors.len(), 1);
    fs::remove_dir(&root).unwrap();
    fs::rename(&away, &root).unwrap();
    fetch_as_work(&client);
    let expected: Vec<String> = messages.into_iter().chain([message(77)]).collect();
    client.mail().assert_holds(&expected);
}

/// With the account under another label.
fn fetch_as_work(client: &Client) {
    let yaml = fs::read_to_string(client.path("config.yaml")).unwrap();
    let renamed = client.path("renamed.yaml");
    fs::write(&renamed, yaml.replace("\n  me:\n", "\n  work:\n")).unwrap();
    fs::set_permissions(&renamed, fs::Permissions::from_mode(0o600)).unwrap();
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
    let output = sandbox.run(&["--allow-root", "-c", renamed.to_str().unwrap(), "fetch"]);
    assert_eq!(output.code, 0, "{output}");
}

/// Recorded, its file taken from `tmp/`, and then the server renumbered its messages: under its new number it is not here.
#[test]
fn what_was_recorded_and_stands_nowhere_is_fetched_again_under_a_new_number() {
    let (mailbox, messages) = filled(3);
    let (_server, client) = imap(&mailbox);
    client.fetch_well();
    db(&client).execute("UPDATE journal SET done = 0 WHERE subject = 'number 1'", []).unwrap();
    let found = client.mail().delivered();
    let gone = found.iter().find(|found| String::from_utf8_lossy(&found.bytes).contains("number 1")).unwrap();
    fs::remove_file(client.path("Mail").join(&gone.folder).join("new").join(&gone.name)).unwrap();
    mailbox.set_uidvalidity("INBOX", 77, true);
    client.fetch();
    client.fetch();
    assert_eq!((1..=messages.len()).map(|n| copies(&client, &format!("number {n}"))).max(), Some(1));
    assert_eq!(copies(&client, "number 1"), 1, "{:?}", client.subjects());
}

#[test]
fn what_was_delivered_and_stands_nowhere_is_delivered_when_it_is_given_again() {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
    sandbox.config("maildir: ~/Mail\nstate: ~/state\nrules: [{do: keep}]\n");
    let deliver = || sandbox.run_with_stdin(&["--allow-root", "deliver"], message(1));
    assert_eq!(deliver().code, 0);
    // As after a crash between record and rename, with the staged file taken away since; its caller was told nothing.
    let database = rusqlite::Connection::open(sandbox.home().join("state/state.db")).unwrap();
    database.execute_batch("UPDATE journal SET done = 0; UPDATE seen SET mark = 0").unwrap();
    let one = Maildirs::at(sandbox.maildir()).delivered().remove(0);
    fs::remove_file(sandbox.maildir().join(&one.folder).join("new").join(&one.name)).unwrap();
    assert_eq!(deliver().code, 0);
    assert_eq!(Maildirs::at(sandbox.maildir()).delivered().len(), 1);
}

#[test]
fn what_is_fetched_again_is_as_old_as_it_was() {
    let (mailbox, _) = filled(2);
    let (_server, client) = imap(&mailbox);
    let client = with(client, |account| account.top("rules: [{do: [{redirect: {to: you@far.example, copy: true}}]}]"));
    client.fetch_well();
    unpublish(&client);
    client.fetch();
    client.fetch_well();
    assert_eq!(client.subjects().len(), 2);
    assert_eq!(client.open().0.store.still_to_tell().unwrap().len(), 0, "it stood there before the first run");
}

// Identity.

/// A message that rules edit stands in its folder; it is killed there, its state goes, and its server changes its numbers.
fn edited_and_left_by_a_crash(kill: impl FnOnce(&std::path::Path, &std::path::Path)) -> Client {
    let (mailbox, _) = filled(1);
    let (_server, client) = imap(&mailbox);
    let rules = "rules: [{do: [{addheader: {X-Edited: 'yes'}}, {fileinto: edited}]}]";
    let client = with(client, |account| account.top(rules));
    client.fetch_well();
    let folder = client.path("Mail/edited");
    let edited = fs::read_dir(folder.join("new")).unwrap().next().unwrap().unwrap();
    kill(&edited.path(), &folder.join("tmp").join(edited.file_name()));
    fs::remove_dir_all(client.path("state")).unwrap();
    mailbox.set_uidvalidity("INBOX", 77, true);
    client.fetch();
    client.fetch();
    client
}

#[test]
fn an_edited_file_that_a_crash_left_is_no_only_copy_where_the_message_came_under_a_new_number() {
    // Killed between staging and recording.
    let client = edited_and_left_by_a_crash(|published, staged| fs::rename(published, staged).unwrap());
    assert_eq!(copies(&client, "number 1"), 1, "{:?}", client.subjects());
}

#[test]
fn half_of_an_edited_file_is_no_only_copy_where_the_message_came_under_a_new_number() {
    // Killed while staging.
    let client = edited_and_left_by_a_crash(|published, staged| {
        let whole = fs::read(published).unwrap();
        fs::write(staged, &whole[..whole.len() - 5]).unwrap();
        fs::remove_file(published).unwrap();
    });
    assert_eq!(copies(&client, "number 1"), 1, "{:?}", client.subjects());
}

#[test]
fn what_a_crash_left_is_no_only_copy_because_a_listing_was_too_short() {
    let (mailbox, _) = filled(2);
    let faults = Faults::none();
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let client = Account::imap(server.port()).client();
    client.fetch_well();
    // Killed between staging and recording.
    let found = client.mail().delivered();
    let one = found.iter().find(|found| String::from_utf8_lossy(&found.bytes).contains("number 1")).unwrap();
    let folder = client.path("Mail").join(&one.folder);
    fs::rename(folder.join("new").join(&one.name), folder.join("tmp").join(&one.name)).unwrap();
    fs::remove_dir_all(client.path("state")).unwrap();
    faults.message(1, MessageFault::Unlisted);
    client.fetch();
    faults.clear();
    client.fetch();
    client.fetch();
    assert_eq!((copies(&client, "number 1"), copies(&client, "number 2")), (1, 1), "{:?}", client.subjects());
}

#[test]
fn a_placeholder_in_the_stead_of_a_message_that_is_here_doubles_nothing() {
    let (mailbox, _) = filled(2);
    let faults = Faults::none();
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let mut client = Account::imap(server.port()).client();
    client.fetch_well();
    client.change(|account| account.with("retention: delete"));
    faults.message(1, MessageFault::Placeholder);
    client.fetch();
    faults.clear();
    client.fetch();
    client.fetch();
    assert_eq!((copies(&client, "number 1"), copies(&client, "number 2")), (1, 1), "{:?}", client.subjects());
}

#[test]
fn a_b4_a_uid_that_comes_back_with_another_message_is_new_mail() {
    let mailbox = mailbox();
    mailbox.add("INBOX", message(1));
    let (_server, client) = imap(&mailbox);
    let client = with(client, |account| account.with("retention: {delete_after: 1s}"));
    client.fetch_well();
    mailbox.remove("INBOX", 1);
    mailbox.set_uidnext("INBOX", 1);
    mailbox.add("INBOX", message(2));
    std::thread::sleep(Duration::from_millis(1200));
    for _ in 0..3 {
        client.fetch();
        std::thread::sleep(Duration::from_millis(600));
    }
    assert_eq!(copies(&client, "number 2"), 1, "{:?}", client.subjects());
    std::thread::sleep(Duration::from_millis(600));
    client.fetch_well();
    assert_eq!(mailbox.count("INBOX"), 0, "in its time it goes like any other");
}

#[test]
fn i_f2_a_uidl_that_comes_back_with_another_message_of_its_size_is_new_mail() {
    let mailbox = mailbox();
    mailbox.add("INBOX", message(1));
    mailbox.set_uidl("INBOX", 1, "1");
    let (_server, client) = pop3(&mailbox);
    let client = with(client, |account| account.with("retention: delete"));
    client.fetch_well();
    assert_eq!(mailbox.count("INBOX"), 0);
    let uid = mailbox.add("INBOX", message(2));
    mailbox.set_uidl("INBOX", uid, "1");
    client.fetch();
    client.fetch();
    assert_eq!((copies(&client, "number 1"), copies(&client, "number 2")), (1, 1), "{:?}", client.subjects());
}

#[test]
fn mail_that_the_server_dressed_anew_stays_there_and_does_not_come_again() {
    let mailbox = mailbox();
    let plain = "From: a@x\nSubject: plain\nMessage-ID: <1@x>\nDate: Sun, 01 Nov 2026 10:00:00 +0000\n\nhello\n";
    mailbox.add("INBOX", message(1));
    mailbox.add("INBOX", plain);
    let (_server, client) = imap(&mailbox);
    let client = with(client, |account| account.with("retention: {delete_after: 1s}"));
    client.fetch_well();
    mailbox.remove("INBOX", 2);
    mailbox.set_uidnext("INBOX", 2);
    mailbox.add("INBOX", format!("Status: RO\n{plain}"));
    std::thread::sleep(Duration::from_millis(1200));
    let report = client.fetch();
    assert!(complaints(&report).contains("stay on the server"), "{report:#?}");
    client.fetch_well();
    assert_eq!((mailbox.uids("INBOX"), copies(&client, "plain")), (vec![2], 1), "the other one was due and is gone");
}

#[test]
fn a_false_size_before_the_renumbering_doubles_nothing() {
    let mailbox = mailbox();
    mailbox.add("INBOX", message(1));
    let faults = Faults::none();
    faults.message(1, MessageFault::Size(1));
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let client = Account::imap(server.port()).client();
    client.fetch();
    faults.clear();
    mailbox.set_uidvalidity("INBOX", 77, true);
    client.fetch();
    client.fetch_well();
    assert_eq!(copies(&client, "number 1"), 1);
}

#[test]
fn a_header_that_is_answered_with_nothing_is_no_other_message() {
    let mailbox = mailbox();
    mailbox.add("INBOX", message(1));
    let faults = Faults::none();
    let server = Pop3Server::start(&mailbox, Pop3Options::with_faults(&faults));
    let mut client = Account::pop3(server.port()).client();
    client.fetch_well();
    client.change(|account| account.with("retention: delete"));
    faults.message(1, MessageFault::Nil);
    let report = client.fetch();
    assert_eq!(
        (mailbox.count("INBOX"), report.exit_code()),
        (1, 75),
        "what could not be looked at is not deleted: {report:#?}"
    );
    faults.clear();
    client.fetch();
    client.fetch_well();
    assert_eq!((copies(&client, "number 1"), mailbox.count("INBOX")), (1, 0), "and goes when it can be");
}

#[test]
fn i_f7_all_uidls_change_and_nothing_comes_again() {
    let (mailbox, _) = filled(6);
    let (_server, client) = pop3(&mailbox);
    client.fetch_well();
    for uid in mailbox.uids("INBOX") {
        mailbox.set_uidl("INBOX", uid, &format!("another-{uid}"));
    }
    let report = client.fetch();
    assert_eq!(report.new, 0, "{report:#?}");
    assert_eq!(client.fetch_well().new, 0);
}

// First.

#[test]
fn i_f6_a_b29_first_new_leaves_out_nothing_that_came_later() {
    let mailbox = mailbox();
    let before = Timestamp::now() - SignedDuration::from_mins(1);
    mailbox.add_message("INBOX", Incoming::new(message(1)).arrived(before.as_second()));
    let (_server, client) = imap(&mailbox);
    let client = with(client, |account| account.with("first: new").with("folders: all"));
    assert_eq!(client.fetch_well().new, 0);
    mailbox.add_folder("Later", &[]);
    mailbox.add("Later", message(2));
    let old = Timestamp::now() - SignedDuration::from_hours(100 * 24);
    mailbox.add_message("Later", Incoming::new(message(3)).arrived(old.as_second()));
    client.fetch_well();
    assert_eq!(client.subjects(), ["number 2"], "what is older than the first run is left out in any folder");
}

#[test]
fn i_f20_first_new_outlives_the_state() {
    let mailbox = mailbox();
    let old = "Received: from a by b; Mon, 2 Nov 2020 10:00:00 +0000\n";
    (0..4).for_each(|n| _ = mailbox.add("INBOX", format!("{old}{}", message(n))));
    let (_server, client) = pop3(&mailbox);
    let client = with(client, |account| account.with("first: new"));
    assert_eq!(client.fetch_well().new, 0);
    fs::remove_file(client.path("state/state.db")).unwrap();
    assert_eq!(client.fetch_well().new, 0, "the date stands in the mail root");
    mailbox.add("INBOX", format!("Received: from a by b; {}\n{}", now_in_mail(), message(9)));
    client.fetch_well();
    assert_eq!(client.subjects(), ["number 9"]);
}

fn now_in_mail() -> String {
    jiff::fmt::rfc2822::to_string(&Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC)).unwrap()
}

// Targets.

#[test]
fn a_b5_a_folder_that_cannot_take_a_message_holds_up_nothing() {
    let mailbox = mailbox();
    mailbox.add("INBOX", "Subject: box\nList-Id: <rust>\n\nfirst\n");
    mailbox.add("INBOX", "Subject: long\nX-To: long\n\nsecond\n");
    mailbox.add("INBOX", "Subject: innocent\n\nthird\n");
    let (_server, client) = imap(&mailbox);
    let rules = format!(
        "rules:\n  - {{if: {{subject: box}}, do: [{{fileinto: {{mbox: lists/rust}}}}]}}\n  \
         - {{if: {{subject: long}}, do: [{{fileinto: taken/below}}]}}\n  - {{if: {{subject: {}}}, do: keep}}",
        "none"
    );
    let client = with(client, |account| account.top(&rules));
    fs::create_dir_all(client.path("Mail/lists/rust/cur")).unwrap();
    fs::write(client.path("Mail/taken"), "an old mbox").unwrap();
    let report = client.fetch_well();
    assert_eq!(report.new, 3);
    let inbox = client.mail().in_folder("INBOX");
    for subject in ["box", "long", "innocent"] {
        let is_there = |found: &&crate::support::maildir::Found| {
            String::from_utf8_lossy(&found.bytes).contains(&format!("Subject: {subject}\n"))
        };
        assert_eq!(inbox.iter().filter(is_there).count(), 1, "{subject}");
    }
    assert_eq!(client.notices().len(), 2, "one for each target: {:?}", client.notices());
}

// Time.

#[test]
fn r_f3_a_b1_a_spool_file_is_as_old_as_its_writing() {
    let mailbox = mailbox();
    let long_ago = Timestamp::now() - SignedDuration::from_hours(30 * 24);
    mailbox.add_message("INBOX", Incoming::new(message(1)).arrived(long_ago.as_second()));
    let (_server, client) = imap(&mailbox);
    let client = with(client, |account| account.top("rules: [{do: discard}]"));
    client.fetch_well();
    let files: Vec<_> = fs::read_dir(client.path("state/spool")).unwrap().map(Result::unwrap).collect();
    let file = files.iter().find(|entry| entry.path().is_file()).unwrap();
    let age = SystemTime::now().duration_since(file.metadata().unwrap().modified().unwrap()).unwrap_or_default();
    assert!(age < Duration::from_secs(3600), "{age:?}");
}

#[test]
fn r_f10_a_clock_that_jumps_deletes_nothing_by_its_age() {
    static SECONDS: AtomicI64 = AtomicI64::new(0);
    let (mailbox, _) = filled(3);
    let (_server, client) = imap(&mailbox);
    let client = with(client, |account| account.with("retention: {delete_after: 14d}"));
    let now = || Timestamp::now() + SignedDuration::from_secs(SECONDS.load(Ordering::SeqCst));
    let client = Client { now, ..client };
    client.fetch_well();
    SECONDS.store(10 * 365 * 86_400, Ordering::SeqCst);
    client.fetch_well();
    assert_eq!(mailbox.count("INBOX"), 3, "ten years at once are doubted");
    assert!(client.notices().iter().any(|text| text.contains("clock-doubted")), "{:?}", client.notices());
    let notices = client.notices().len();
    SECONDS.store(15 * 86_400, Ordering::SeqCst);
    client.fetch_well();
    assert_eq!(mailbox.count("INBOX"), 3, "fifteen days may be a holiday or a jump");
    assert_eq!(client.notices().len(), notices, "and are nothing to speak of");
    mailbox.add_message("INBOX", Incoming::new(message(4)).arrived(now().as_second()));
    client.fetch_well();
    assert_eq!(mailbox.uids("INBOX"), [4], "a server has the same time");
}

/// POP3 has no arrival dates: those in the mail are its senders', and one that is ahead of us counts as now.
#[test]
fn a_date_in_the_mail_proves_no_clock() {
    let (mailbox, _) = filled(1);
    let (_server, client) = pop3(&mailbox);
    let client = with(client, |account| account.with("since: 30d"));
    client.fetch_well();
    // The clock was right then, and is ten years behind now.
    db(&client).execute("UPDATE fact SET value = strftime('%s') + 315360000 WHERE name = 'seen'", []).unwrap();
    let date = Timestamp::now() + SignedDuration::from_hours(365 * 24);
    let date = jiff::fmt::rfc2822::to_string(&date.to_zoned(jiff::tz::TimeZone::UTC)).unwrap();
    mailbox.add("INBOX", format!("Received: from a by b; {date}\nDate: {date}\nSubject: ahead\n\nx\n"));
    client.fetch_well();
    assert!(client.notices().iter().any(|text| text.contains("clock-doubted")), "{:?}", client.subjects());
}

/// Files are dated by the clock of whoever wrote them, so their dates say nothing about that clock.
#[test]
fn a_clock_in_the_future_is_not_believed_because_files_have_its_date() {
    static SECONDS: AtomicI64 = AtomicI64::new(0);
    let (mailbox, _) = filled(1);
    let (_server, client) = imap(&mailbox);
    let client = with(client, |account| account.with("retention: {delete_after: 14d}"));
    let now = || Timestamp::now() + SignedDuration::from_secs(SECONDS.load(Ordering::SeqCst));
    let client = Client { now, ..client };
    let ahead = SystemTime::now() + Duration::from_secs(10 * 365 * 86_400);
    let date_everything = || {
        let beside = fs::read_dir(client.path("Mail")).unwrap().map(|entry| entry.unwrap().path());
        for path in beside.chain([client.path("state/water")]).filter(|path| path.is_file()) {
            fs::File::options().write(true).open(path).unwrap().set_modified(ahead).unwrap();
        }
    };
    client.fetch_well();
    let backup = back_up(&client);
    mailbox.add("INBOX", message(2));
    client.fetch_well();
    for state in [Some(backup), None] {
        match state {
            Some(backup) => put_back(&client, backup),
            None => fs::remove_file(client.path("state/state.db")).unwrap(),
        }
        date_everything();
        client.fetch();
        SECONDS.store(10 * 365 * 86_400, Ordering::SeqCst);
        client.fetch();
        SECONDS.store(0, Ordering::SeqCst);
        client.fetch();
        SECONDS.store(10 * 365 * 86_400, Ordering::SeqCst);
        client.fetch();
        SECONDS.store(0, Ordering::SeqCst);
        assert_eq!(mailbox.count("INBOX"), 2);
    }
}

#[test]
fn by_a_clock_that_went_back_a_lost_state_is_as_young_as_it_was_written() {
    let (mailbox, _) = filled(1);
    let (_server, client) = imap(&mailbox);
    client.fetch_well();
    let ahead = Duration::from_secs(3600);
    for entry in fs::read_dir(client.path("Mail")).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        fs::File::options().write(true).open(entry.path()).unwrap().set_modified(SystemTime::now() + ahead).unwrap();
    }
    fs::remove_dir_all(client.path("state")).unwrap();
    let rebuilt = client.open().0.store.rebuilt().unwrap();
    assert!(
        rebuilt > Timestamp::now() + SignedDuration::from_mins(30),
        "mail of that hour would be told again: {rebuilt}"
    );
}

/// World, seed 110446: a delivery was given again, and was not looked for, because the state was rebuilt in 1971.
#[test]
fn a_state_that_was_rebuilt_without_a_clock_is_dated_when_there_is_one() {
    let (mailbox, _) = filled(1);
    let (_server, client) = imap(&mailbox);
    client.fetch_well();
    fs::remove_dir_all(client.path("state")).unwrap();
    let rebuilt = client.open().0.store.rebuilt().unwrap();
    let db = rusqlite::Connection::open(client.path("state/state.db")).unwrap();
    let dated = db.execute("UPDATE fact SET value = '1971-02-03T04:05:06Z' WHERE name = 'rebuilt'", []).unwrap();
    assert_eq!(dated, 1);
    drop(db);
    assert!(client.open().0.store.rebuilt().unwrap() >= rebuilt);
}

// Walks.

#[test]
fn a_b17_a_folder_that_is_reached_twice_is_visited_once() {
    let (mailbox, messages) = filled(2);
    let (_server, client) = imap(&mailbox);
    client.fetch_well();
    for n in 0..4 {
        symlink(client.path("Mail"), client.path(&format!("Mail/loop{n}"))).unwrap();
    }
    fs::write(client.path("state/locks/me.lock"), "1\n").unwrap();
    let begun = std::time::Instant::now();
    client.fetch_well();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(client.subjects().len(), messages.len());
}

// Exit codes.

/// It said 75 when only the last note of the transaction failed: whoever gave the message again sent it twice.
#[test]
fn what_sendmail_refuses_does_not_wait_in_the_outbox() {
    let Some(injector) = injector() else { return };
    for nth in 1.. {
        let sandbox = Sandbox::in_memory(env!("CARGO_BIN_EXE_mailsluice"));
        let relay = "relays: {default: {smtp: {host: 127.0.0.1, port: 1, tls: none}}}";
        sandbox.config(&format!("maildir: ~/Mail\nstate: ~/state\nme: [me@home.example]\n{relay}\n"));
        let fault = Fault { calls: "fsync,fdatasync".to_owned(), nth, what: "err:EIO".to_owned() };
        let log = sandbox.home().join("hit");
        let plain = sandbox.command(&["--allow-root", "sendmail", "you@far.example"]);
        let output = sandbox.run_command(injector.around(&plain, &fault, sandbox.home(), &log), message(1));
        let waits = sandbox.run(&["--allow-root", "--json", "queue", "list"]).stdout.lines().count();
        assert_eq!(usize::from(output.code == 0), waits, "{}: {output}", sandbox.read("hit"));
        if sandbox.read("hit").starts_with("count ") {
            assert!(nth > 10, "{nth}");
            break;
        }
    }
}

/// A row whose mbox cannot be reached waits, and everything else goes on.
#[test]
fn a_recorded_mbox_that_cannot_be_reached_holds_up_no_other_mail() {
    let (mailbox, _) = filled(1);
    let (_server, client) = imap(&mailbox);
    let rules = "rules: [{if: {subject: number 1}, do: {fileinto: {mbox: boxes/one}}}]";
    let client = with(client, |account| account.top(rules));
    client.fetch_well();
    // Killed before it was marked as published.
    let db = rusqlite::Connection::open(client.path("state/state.db")).unwrap();
    db.execute_batch("UPDATE journal SET done = 0").unwrap();
    drop(db);
    let folder = client.path("Mail/boxes");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    mailbox.add("INBOX", message(2));
    let report = client.fetch();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!((copies(&client, "number 2"), report.exit_code()), (1, 75), "{report:#?}");
    client.fetch();
    client.fetch_well();
    let found = fs::read_to_string(client.path("Mail/boxes/one")).unwrap();
    assert_eq!(found.matches("Subject: number 1\n").count(), 1, "{found}");
}

/// A server that was put back from a backup gives its numbers once more, with the same UIDVALIDITY.
#[test]
fn a_number_that_was_gone_and_is_given_again_is_another_message() {
    let (mailbox, messages) = filled(4);
    let (_server, client) = imap(&mailbox);
    client.fetch_well();
    [3, 4].iter().for_each(|uid| assert!(mailbox.remove("INBOX", *uid)));
    client.fetch_well();
    mailbox.set_uidnext("INBOX", 3);
    mailbox.add("INBOX", message(5));
    mailbox.add("INBOX", &messages[3]);
    let report = client.fetch_well();
    assert_eq!(report.new, 1, "number 5 under the number of 3, and 4 as it was: {report:#?}");
    assert_eq!(client.fetch_well().new, 0);
    let mut all = messages.clone();
    all.push(message(5));
    client.mail().assert_holds(&all);
}

/// The same where no listing ever lacked it: new mail came before the next pass.
#[test]
fn a_number_that_is_given_again_at_once_is_another_message() {
    let (mailbox, messages) = filled(4);
    let (_server, client) = imap(&mailbox);
    client.fetch_well();
    [3, 4].iter().for_each(|uid| assert!(mailbox.remove("INBOX", *uid)));
    mailbox.set_uidnext("INBOX", 3);
    mailbox.add("INBOX", message(5));
    assert_eq!(client.fetch_well().new, 1, "number 5 under the number of 3");
    mailbox.add("INBOX", message(6));
    assert_eq!(client.fetch_well().new, 1, "number 6 under the number of 4");
    assert_eq!(client.fetch_well().new, 0);
    let mut all = messages.clone();
    all.extend([message(5), message(6)]);
    client.mail().assert_holds(&all);
}

/// So may the numbers of mail that was left out at the first run.
#[test]
fn a_number_that_was_left_out_and_is_given_again_is_another_message() {
    let mailbox = mailbox();
    let old = Timestamp::now().as_second() - 30 * 86_400;
    (1..=4).for_each(|n| _ = mailbox.add_message("INBOX", Incoming::new(message(n)).arrived(old)));
    let (_server, client) = imap(&mailbox);
    let client = with(client, |account| account.with("first: new"));
    assert_eq!(client.fetch_well().new, 0);
    [3, 4].iter().for_each(|uid| assert!(mailbox.remove("INBOX", *uid)));
    client.fetch_well();
    mailbox.set_uidnext("INBOX", 3);
    mailbox.add("INBOX", message(5));
    mailbox.add_message("INBOX", Incoming::new(message(4)).arrived(old));
    assert_eq!(client.fetch_well().new, 1);
    client.mail().assert_holds(&[message(5)]);
}

// What the look before a deletion costs.

/// One FETCH for a thousand messages, and one STORE and one EXPUNGE for them.
#[test]
fn the_look_before_deleting_is_one_round_trip_a_batch() {
    let (mailbox, _) = filled(1_100);
    let faults = Faults::none();
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let mut client = Account::imap(server.port()).client();
    client.fetch_well();
    let before = faults.commands().len();
    client.change(|account| account.with("retention: delete"));
    assert_eq!(client.fetch_well().settled, 1_100);
    let commands = faults.commands().split_off(before);
    let count = |verb: &str| commands.iter().filter(|command| command.contains(verb)).count();
    assert_eq!((count("UID FETCH"), count("UID SEARCH")), (2, 1), "{commands:#?}");
    assert!(count("UID STORE") <= 2 && count("EXPUNGE") <= 2, "{commands:#?}");
}
