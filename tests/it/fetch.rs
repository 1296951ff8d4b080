//! What the config says about fetching, end to end: folders, the first run, the selection, the retention, flags,
//! dates, passwords, locks, and a state that was lost.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use crate::stage::{Account, Client, complaints, filled, mailbox, message};
use crate::support::date::ymd;
use crate::support::faults::{Fault, Faults};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::mailbox::{Incoming, Mailbox};
use crate::support::maildir::{Maildirs, Sub};
use crate::support::pop3_server::{Pop3Options, Pop3Server};

/// An IMAP server for it, and an account with these lines.
fn serve(mailbox: &Mailbox, lines: &[&str]) -> (ImapServer, Client) {
    let server = ImapServer::start(mailbox, ImapOptions::default());
    let account = lines.iter().fold(Account::imap(server.port()), |account, line| account.with(line));
    (server, account.client())
}

fn serve_pop3(mailbox: &Mailbox, lines: &[&str]) -> (Pop3Server, Client) {
    let server = Pop3Server::start(mailbox, Pop3Options::default());
    let account = lines.iter().fold(Account::pop3(server.port()), |account, line| account.with(line));
    (server, account.client())
}

/// One message in each of these folders, called by its name.
fn folders(names: &[&str]) -> Mailbox {
    let mailbox = mailbox();
    for name in names {
        mailbox.add(name, format!("Subject: {name}\n\nx\n"));
    }
    mailbox
}

#[test]
fn folders_by_name_pattern_and_exception() {
    let mailbox = folders(&["INBOX", "Lists/rust", "Lists/noise", "Lists/deep/er", "Sent"]);
    for (lines, expected) in [
        (&[][..], &["INBOX"][..]),
        (&["folders: [inbox, Sent]"], &["INBOX", "Sent"]),
        (&["folders: Lists/rust"], &["Lists/rust"]),
        (&["folders: [Lists/*]"], &["Lists/deep/er", "Lists/noise", "Lists/rust"]),
        (&["folders: [Lists/%]", "except: [Lists/noise]"], &["Lists/rust"]),
        (&["folders: all", "except: [Lists/*]"], &["INBOX", "Sent"]),
    ] {
        let (_server, client) = serve(&mailbox, lines);
        client.fetch_well();
        assert_eq!(client.subjects(), expected, "{lines:?}");
        assert!(client.mail().delivered().iter().all(|found| found.folder == "INBOX"));
    }
}

#[test]
fn a_folder_that_does_not_exist_does_not_hold_up_the_others() {
    let (_server, client) = serve(&folders(&["INBOX"]), &["folders: [Missing, INBOX]"]);
    let report = client.fetch();
    assert_eq!((report.new, report.exit_code()), (1, 69), "{report:#?}");
    assert!(complaints(&report).contains("opening Missing"), "{report:#?}");
}

#[test]
fn folders_that_cannot_be_opened_are_not_among_all() {
    let mailbox = folders(&["INBOX", "A/b"]);
    mailbox.add_folder("Nothing", &["\\Noselect"]);
    let (_server, client) = serve(&mailbox, &["folders: all"]);
    client.fetch_well();
    assert_eq!(client.subjects(), ["A/b", "INBOX"]);
}

#[test]
fn the_servers_folders_can_be_mirrored() {
    let mailbox = folders(&["INBOX", "Lists/rust", "Entw&APw-rfe"]);
    let (_server, client) = serve(&mailbox, &["folders: all", "into: \"${folder}\""]);
    client.fetch_well();
    let places: Vec<String> = client.mail().delivered().into_iter().map(|found| found.folder).collect();
    assert_eq!(places, ["Entwürfe", "INBOX", "Lists/rust"]);
}

#[test]
fn another_delimiter_is_a_slash_here() {
    let mailbox = folders(&["INBOX", "Lists.rust", "Lists.noise"]);
    let server = ImapServer::start(&mailbox, ImapOptions { delimiter: Some('.'), ..ImapOptions::default() });
    for folders in ["folders: [Lists/*]", "folders: [Lists/rust, Lists/noise]"] {
        let client = Account::imap(server.port()).with(folders).with("into: \"${account}/${folder}\"").client();
        client.fetch_well();
        let places: Vec<String> = client.mail().delivered().into_iter().map(|found| found.folder).collect();
        assert_eq!(places, ["me/Lists/noise", "me/Lists/rust"], "{folders}");
    }
}

#[test]
fn maildir_plus_plus() {
    let mailbox = folders(&["INBOX", "Lists/rust", "dotted.name"]);
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let client = Account::imap(server.port()).with("folders: all").with("into: \"${folder}\"").client();
    let root = client.path("Mail");
    let account = client.account.clone().top(&format!("maildir: {{path: {}, layout: maildir++}}", root.display()));
    let client = Client { account, ..client };
    client.fetch_well();
    let count = |path: &str| fs::read_dir(root.join(path)).map_or(0, Iterator::count);
    assert_eq!([count("new"), count(".Lists.rust/new"), count(".dotted%2Ename/new")], [1, 1, 1]);
    assert_eq!(client.fetch_well().new, 0);
}

#[test]
fn first_new_leaves_out_what_is_there() {
    let mailbox = mailbox();
    let before = crate::support::date::now() - 60;
    (1..=3).for_each(|n| _ = mailbox.add_message("INBOX", Incoming::new(message(n)).arrived(before)));
    let (_imap, by_imap) = serve(&mailbox, &["first: new"]);
    let (_pop3, by_pop3) = serve_pop3(&mailbox, &["first: new"]);
    for client in [&by_imap, &by_pop3] {
        assert_eq!(client.fetch_well().new, 0);
    }
    mailbox.add("INBOX", message(4));
    for client in [&by_imap, &by_pop3] {
        client.fetch_well();
        client.mail().assert_holds(&[message(4)]);
    }
    mailbox.set_uidvalidity("INBOX", 99, true);
    assert_eq!(by_imap.fetch_well().new, 0, "what was left out stays out under its new number");
}

/// It came after the program began and before this folder's turn.
#[test]
fn first_new_fetches_what_came_while_the_first_run_went_on() {
    let mailbox = mailbox();
    let now = crate::support::date::now();
    for (number, arrived) in [(1, now - 60), (2, now + 60)] {
        mailbox.add_message("INBOX", Incoming::new(message(number)).arrived(arrived));
    }
    let (_server, client) = serve(&mailbox, &["first: new"]);
    client.fetch_well();
    client.mail().assert_holds(&[message(2)]);
    assert_eq!(client.fetch_well().new, 0);
}

#[test]
fn first_new_of_a_clock_that_was_never_right_leaves_out_what_is_there() {
    let (mailbox, _) = filled(2);
    let (_server, client) = serve(&mailbox, &["first: new"]);
    let client = Client { now: || jiff::Timestamp::from_second(10).unwrap(), ..client };
    assert_eq!(client.fetch_well().new, 0);
}

#[test]
fn first_new_of_an_empty_folder_is_not_forgotten() {
    let mailbox = mailbox();
    let (_server, client) = serve(&mailbox, &["first: new"]);
    client.fetch_well();
    mailbox.add("INBOX", message(1));
    assert_eq!(client.fetch_well().new, 1);
}

/// By its ids later mail is new, whatever its servers say of the time.
#[test]
fn first_new_of_an_empty_pop3_mailbox_fetches_what_comes() {
    let mailbox = mailbox();
    let (_server, client) = serve_pop3(&mailbox, &["first: new"]);
    client.fetch_well();
    mailbox.add("INBOX", format!("Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\n{}", message(1)));
    assert_eq!(client.fetch_well().new, 1);
}

/// A server that was moved: other numbers, and the dates of all mail are those of the move.
#[test]
fn first_new_leaves_out_what_a_moved_server_dates_anew() {
    let mailbox = mailbox();
    let now = crate::support::date::now();
    let old = format!("Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\n{}", message(1));
    mailbox.add_message("INBOX", Incoming::new(&old).arrived(now - 9 * 86_400));
    let (_server, client) = serve(&mailbox, &["first: new"]);
    assert_eq!(client.fetch_well().new, 0);
    mailbox.remove("INBOX", 1);
    mailbox.add_message("INBOX", Incoming::new(&old).arrived(now + 60));
    mailbox.add_message("INBOX", Incoming::new(message(2)).arrived(now + 60));
    mailbox.set_uidvalidity("INBOX", 77, true);
    assert_eq!(client.fetch_well().new, 1);
    assert!(client.subjects().iter().all(|subject| subject != "number 1"), "{:?}", client.subjects());
}

/// Arrived three days ago, yesterday, and now.
fn of_three_ages() -> Mailbox {
    let mailbox = mailbox();
    let now = crate::support::date::now();
    for (number, age) in [(1, 3 * 86_400), (2, 86_400 + 3600), (3, 0)] {
        let stamp = jiff::Timestamp::from_second(now - age).unwrap();
        let date = jiff::fmt::rfc2822::to_string(&stamp.to_zoned(jiff::tz::TimeZone::UTC)).unwrap();
        let text = format!("Date: {date}\nSubject: number {number}\n\nx\n");
        mailbox.add_message("INBOX", Incoming::new(text).arrived(now - age));
    }
    mailbox
}

#[test]
fn first_since_leaves_out_what_is_older() {
    let mailbox = of_three_ages();
    let (_imap, by_imap) = serve(&mailbox, &["first: {since: 2d}"]);
    let (_pop3, by_pop3) = serve_pop3(&mailbox, &["first: {since: 2d}"]);
    for client in [by_imap, by_pop3] {
        client.fetch_well();
        assert_eq!(client.subjects(), ["number 2", "number 3"]);
        assert_eq!(client.fetch_well().new, 0);
    }
}

#[test]
fn since_by_age_and_by_date() {
    let mailbox = of_three_ages();
    let old = mailbox.add_message(
        "INBOX",
        Incoming::new("Subject: old\nDate: Wed, 5 Jan 2022 10:00:00 +0000\n\nx\n").arrived(ymd(2022, 1, 5)),
    );
    let (_imap, by_imap) = serve(&mailbox, &["since: 2d"]);
    let (_pop3, by_pop3) = serve_pop3(&mailbox, &["since: 2d"]);
    for client in [by_imap, by_pop3] {
        client.fetch_well();
        assert_eq!(client.subjects(), ["number 2", "number 3"]);
        let client = Client { account: client.account.clone().with("since: 2022-06-01"), ..client };
        client.fetch_well();
        assert_eq!(client.subjects(), ["number 1", "number 2", "number 3"], "a later word widens it");
    }
    assert!(mailbox.uids("INBOX").contains(&old));
}

#[test]
fn max_size_leaves_the_bigger_ones_on_the_server() {
    let (mailbox, messages) = filled(2);
    let exact = format!("Subject: exact\n\n{}\n", "x".repeat(1024 - 20));
    assert_eq!(crate::support::mailbox::to_crlf(exact.as_bytes()).len(), 1024);
    mailbox.add("INBOX", &exact);
    mailbox.add("INBOX", exact.replace("exact", "bigger"));
    let (_imap, by_imap) = serve(&mailbox, &["max_size: 1K", "retention: delete"]);
    let (_pop3, by_pop3) = serve_pop3(&mailbox, &["max_size: 1K"]);
    for client in [by_pop3, by_imap] {
        client.fetch_well();
        client.mail().assert_holds(&[&messages[0], &messages[1], &exact]);
    }
    assert_eq!(mailbox.uids("INBOX"), [4], "and only what was fetched is deleted");
}

#[test]
fn search_narrows_what_is_fetched() {
    let (mailbox, _) = filled(3);
    mailbox.set_flags("INBOX", 1, &["\\Seen"]);
    let (_server, client) = serve(&mailbox, &["search: UNSEEN NOT SUBJECT \"number 2\""]);
    client.fetch_well();
    assert_eq!(client.subjects(), ["number 3"]);
}

#[test]
fn a_search_that_the_server_refuses_says_so() {
    let (mailbox, _) = filled(1);
    let (_server, client) = serve(&mailbox, &["search: NONSENSE"]);
    let report = client.fetch();
    assert_ne!(report.exit_code(), 0);
    assert!(complaints(&report).contains("the account's selection: UID SEARCH was refused: BAD"), "{report:#?}");
}

#[test]
fn limit_takes_some_now_and_the_rest_later() {
    let mailbox = mailbox();
    let messages: Vec<String> = (1..=7).map(message).collect();
    messages[..4].iter().for_each(|message| _ = mailbox.add("INBOX", message));
    messages[4..].iter().for_each(|message| _ = mailbox.add("Second", message));
    let (_server, client) = serve(&mailbox, &["limit: 3", "folders: all"]);
    let passes: Vec<(u64, u64)> = (0..4).map(|_| client.fetch_well()).map(|report| (report.new, report.left)).collect();
    assert_eq!(passes, [(3, 4), (3, 1), (1, 0), (0, 0)]);
    client.mail().assert_holds(&messages);
}

#[test]
fn mark_seen() {
    let (mailbox, _) = filled(2);
    let big = mailbox.add("INBOX", format!("Subject: big\n\n{}\n", "x".repeat(2000)));
    let (_server, client) = serve(&mailbox, &["retention: mark_seen", "max_size: 1K"]);
    client.fetch_well();
    assert_eq!(mailbox.flags("INBOX", 1), Some(vec!["\\Seen".to_owned()]));
    assert_eq!(mailbox.flags("INBOX", big), Some(vec![]), "it was not fetched");
    assert!(client.mail().delivered().iter().all(|found| found.sub == Sub::New), "and is unseen here");
}

#[test]
fn move_to_creates_the_folder() {
    for left_out in ["", "MOVE", "UIDPLUS"] {
        let (mailbox, messages) = filled(3);
        let server = ImapServer::start(&mailbox, ImapOptions::default().without(left_out));
        let client = Account::imap(server.port()).with("retention: {move_to: Old/2026}").client();
        let report = client.fetch_well();
        assert_eq!((mailbox.count("INBOX"), mailbox.count("Old/2026")), (0, 3), "without {left_out}");
        assert_eq!(report.settled, 3);
        client.mail().assert_holds(&messages);
    }
}

#[test]
fn delete_after_waits() {
    use std::sync::atomic::{AtomicI64, Ordering};
    static DAYS: AtomicI64 = AtomicI64::new(0);
    let later = || jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * DAYS.load(Ordering::SeqCst));
    let (mailbox, _) = filled(2);
    let (_imap, client) = serve(&mailbox, &["retention: {delete_after: 14d}"]);
    let client = Client { now: later, ..client };
    client.fetch_well();
    DAYS.store(13, Ordering::SeqCst);
    mailbox.add("INBOX", message(3));
    client.fetch_well();
    assert_eq!(mailbox.count("INBOX"), 3);
    DAYS.store(15, Ordering::SeqCst);
    client.fetch_well();
    assert_eq!(mailbox.count("INBOX"), 3, "two weeks that nobody saw may be a clock that jumped");
    mailbox.add_message("INBOX", Incoming::new(message(4)).arrived(later().as_second()));
    client.fetch_well();
    assert_eq!(mailbox.uids("INBOX"), [3, 4], "counted from when each was fetched");
}

#[test]
fn delete_takes_what_earlier_runs_kept() {
    let (mailbox, _) = filled(2);
    let (_imap, imap) = serve(&mailbox, &[]);
    imap.fetch_well();
    let client = Client { account: imap.account.clone().with("retention: delete"), ..imap };
    let report = client.fetch_well();
    assert_eq!((report.new, report.settled, mailbox.count("INBOX")), (0, 2, 0));
}

#[test]
fn what_is_fetched_is_never_deleted_by_default() {
    let (mailbox, _) = filled(2);
    let before = mailbox.snapshot();
    let (_imap, imap) = serve(&mailbox, &[]);
    let (_pop3, pop3) = serve_pop3(&mailbox, &[]);
    for client in [imap, pop3] {
        client.fetch_well();
        client.fetch_well();
    }
    assert_eq!(mailbox.snapshot(), before);
}

#[test]
fn flags_and_arrival_are_carried_over() {
    let mailbox = mailbox();
    let flags = ["\\Seen", "\\Flagged", "\\Answered", "$Forwarded", "\\Deleted", "Junk"];
    let marked = flags.iter().fold(Incoming::new(message(1)), |message, flag| message.flag(flag));
    mailbox.add_message("INBOX", marked.arrived(1_600_000_000));
    mailbox.add_message("INBOX", Incoming::new(message(2)).arrived(1_500_000_000));
    let (_server, client) = serve(&mailbox, &[]);
    client.fetch_well();
    let found = client.mail().delivered();
    let [plain, marked] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((marked.sub, marked.flags.as_str()), (Sub::Cur, "FPRSa"));
    assert_eq!(fs::read_to_string(client.path("Mail/INBOX/dovecot-keywords")).unwrap(), "0 Junk\n");
    assert_eq!((plain.sub, plain.flags.as_str()), (Sub::New, ""));
    for (found, sub, seconds) in [(marked, "cur", 1_600_000_000), (plain, "new", 1_500_000_000)] {
        let metadata = fs::metadata(client.path("Mail/INBOX").join(sub).join(&found.name)).unwrap();
        let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(metadata.modified().unwrap(), expected);
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert!(found.name.starts_with(&format!("{seconds}.")), "readers sort by it: {}", found.name);
    }
}

#[test]
fn every_form_of_password() {
    let (mailbox, messages) = filled(1);
    mailbox.set_password("s3cret with blanks");
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let forms = [
        "password: s3cret with blanks",
        "password: {command: [echo, s3cret with blanks]}",
        "password: {env: MAIL_PASSWORD}",
        "password: {file: secrets/mail}",
        "password: {credential: mail}",
    ];
    for form in forms {
        let mut sandbox = Account::imap(server.port()).with(form).sandbox();
        sandbox.write(".config/mailsluice/secrets/mail", "s3cret with blanks\n");
        sandbox.env("MAIL_PASSWORD", "s3cret with blanks");
        let credentials = sandbox.write("credentials/mail", "s3cret with blanks");
        sandbox.env("CREDENTIALS_DIRECTORY", credentials.parent().unwrap().to_str().unwrap());
        let output = sandbox.run(&["fetch"]);
        assert_eq!(output.code, 0, "{form}: {output}");
        Maildirs::at(sandbox.maildir()).assert_holds(&messages);
    }
}

#[test]
fn a_password_that_does_not_come_says_why() {
    let server = ImapServer::start(&mailbox(), ImapOptions::default());
    for (form, reason) in [
        ("password: {command: [/bin/sh, -c, 'echo locked >&2; exit 3']}", "locked"),
        ("password: {command: [/nonexistent/pass]}", "starting /nonexistent/pass"),
        ("password: {env: UNSET}", "UNSET"),
        ("password: {file: missing}", "missing"),
        ("password: {file: open}", "chmod 600"),
        ("password: {credential: mail}", "$CREDENTIALS_DIRECTORY is not set"),
    ] {
        let sandbox = Account::imap(server.port()).with(form).sandbox();
        let open = sandbox.write(".config/mailsluice/open", "x\n");
        fs::set_permissions(open, Permissions::from_mode(0o644)).unwrap();
        let output = sandbox.run(&["fetch"]);
        assert!(output.code != 0 && output.stderr.contains(reason), "{form}: {output}");
    }
}

#[test]
fn two_at_once() {
    let (mailbox, messages) = filled(3);
    let faults = Faults::of([Fault::Delay(Duration::from_millis(100))]);
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let sandbox = Account::imap(server.port()).sandbox();
    let first = sandbox.spawn(&["fetch"]);
    while faults.commands_seen() == 0 {
        std::thread::sleep(Duration::from_millis(2));
    }
    let second = sandbox.run(&["fetch"]);
    assert_eq!(second.code, 75, "{second}");
    let holder = format!("being worked on by mailsluice process {}", first.pid());
    assert!(second.stderr.contains(&holder), "{second}");
    let first = first.wait();
    assert_eq!(first.code, 0, "{first}");
    assert_eq!(server.connections(), 1, "the second never connected");
    Maildirs::at(sandbox.maildir()).assert_holds(&messages);
}

#[test]
fn a_lost_database_is_rebuilt_from_the_maildirs() {
    for pop3 in [false, true] {
        let (mailbox, mut messages) = filled(4);
        let (imap_server, pop3_server) =
            (ImapServer::start(&mailbox, ImapOptions::default()), Pop3Server::start(&mailbox, Pop3Options::default()));
        let account = if pop3 { Account::pop3(pop3_server.port()) } else { Account::imap(imap_server.port()) };
        let client = account.client();
        client.fetch_well();
        read_and_refile(&client);
        fs::remove_dir_all(client.path("state")).unwrap();
        messages.push(message(5));
        mailbox.add("INBOX", &messages[4]);
        let client = Client { account: client.account.clone().with("retention: delete"), ..client };
        let report = client.fetch();
        assert_eq!(report.new, 1, "{report:#?}");
        client.mail().assert_holds(&messages);
        assert_eq!(mailbox.count("INBOX"), 5, "nothing is deleted in the pass that finds this");
        client.fetch_until_quiet(2);
        assert_eq!(mailbox.count("INBOX"), 0);
    }
}

/// A backup that broke off, or a repaired file system: half a file has the header, and was proof enough to delete the original.
#[test]
fn half_a_file_is_no_proof_after_a_lost_database() {
    let (mailbox, _) = filled(0);
    let long = format!("{}{}", message(1), "a line of it\n".repeat(100));
    mailbox.add("INBOX", &long);
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let client = Account::imap(server.port()).client();
    client.fetch_well();
    let file = client.path("Mail/INBOX/new").join(&client.mail().delivered()[0].name);
    fs::File::options().write(true).open(file).unwrap().set_len(message(1).len() as u64).unwrap();
    fs::remove_dir_all(client.path("state")).unwrap();
    let client = Client { account: client.account.clone().with("retention: delete"), ..client };
    let reports = [client.fetch(), client.fetch()];
    assert_eq!(mailbox.count("INBOX"), 1, "{reports:#?}");
}

/// As a mail reader does: one is seen, one is in another folder.
fn read_and_refile(client: &Client) {
    let inbox = client.path("Mail/INBOX");
    let names: Vec<_> = fs::read_dir(inbox.join("new")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let seen = inbox.join("cur").join(format!("{}:2,S", names[0].to_str().unwrap()));
    fs::rename(inbox.join("new").join(&names[0]), seen).unwrap();
    for sub in ["cur", "new", "tmp"] {
        fs::create_dir_all(client.path("Mail/Archive").join(sub)).unwrap();
    }
    fs::rename(inbox.join("new").join(&names[1]), client.path("Mail/Archive/cur").join(&names[1])).unwrap();
}

#[test]
fn what_the_reader_moved_or_deleted_does_not_come_again() {
    let (mailbox, messages) = filled(4);
    let (_server, client) = serve(&mailbox, &[]);
    client.fetch_well();
    read_and_refile(&client);
    let first = client.mail().in_folder("INBOX").into_iter().find(|found| found.sub == Sub::New).unwrap();
    fs::remove_file(client.path("Mail/INBOX/new").join(&first.name)).unwrap();
    assert_eq!(client.fetch_well().new, 0);
    assert_eq!(client.mail().delivered().len(), messages.len() - 1);
}

#[test]
fn a_folder_removed_by_the_user_is_made_again() {
    let (mailbox, messages) = filled(1);
    let (_server, client) = serve(&mailbox, &[]);
    client.fetch_well();
    fs::remove_dir_all(client.path("Mail/INBOX")).unwrap();
    mailbox.add("INBOX", message(2));
    client.fetch_well();
    client.mail().assert_holds(&[message(2)]);
    assert_eq!(messages.len(), 1);
}

#[test]
fn many_and_big_messages() {
    let mailbox = mailbox();
    let mut messages: Vec<String> = (0..1200).map(message).collect();
    let line = format!("{}\n", "x".repeat(76));
    messages.push(format!("Subject: big\n\n{}", line.repeat(150_000)));
    messages.push(format!("Subject: window\n\n{}", "y".repeat(8 * 1024 * 1024 - 19)));
    messages.iter().for_each(|message| _ = mailbox.add("INBOX", message));
    let (_imap, imap) = serve(&mailbox, &[]);
    let (_pop3, pop3) = serve_pop3(&mailbox, &[]);
    for client in [imap, pop3] {
        client.fetch_well();
        let expected: Vec<String> = match client.account.entry("me").contains("pop3") {
            true => messages.iter().map(|text| format!("{}\n", text.trim_end_matches('\n'))).collect(),
            false => messages.clone(),
        };
        client.mail().assert_holds(&expected);
        assert_eq!(fs::read_dir(client.path("state/spool")).unwrap().count(), 0, "the spool is empty again");
    }
}

/// The outbox fails after the accounts: whoever reads the exit code must hear of both.
#[test]
fn an_outbox_that_fails_hides_no_account_that_failed() {
    let (mailbox, _) = filled(1);
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let sandbox = Account::imap(server.port()).with("password: wrong").sandbox();
    sandbox.run(&["--allow-root", "fetch"]);
    fs::create_dir_all(sandbox.home().join("state/lost/no-message")).unwrap();
    let output = sandbox.run(&["--allow-root", "fetch"]);
    assert_eq!(output.code, 77, "{output}");
    assert!(output.stderr.contains("me: ") && output.stderr.contains("state/lost"), "{output}");
}
