//! State, spool and Maildirs that build 6b09793 left are taken over: nothing is fetched, told or lost by it.
//! `tests/takeover` holds them: after one fetch of six messages, of which one was discarded and one waits to be forwarded.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::stage::{Account, Client, mailbox};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::mailbox::Mailbox;
use crate::support::sandbox::Sandbox;

const RULES: &str = "me: [me@example.com]
rules:
  - {name: lists, if: {subject: listed}, do: [{fileinto: lists/rust}]}
  - {name: rubbish, if: {subject: rubbish}, do: discard}
  - {name: forward, if: {subject: forwarded}, do: [{redirect: you@far.example}]}
  - {name: box, if: {subject: boxed}, do: [{fileinto: {mbox: boxes/one}}]}";

const SUBJECTS: [&str; 6] = ["kept", "listed", "rubbish", "forwarded", "boxed", "kept too"];

fn text(subject: &str) -> String {
    let id = subject.replace(' ', "-");
    format!(
        "From: ann@far.example\nTo: me@example.com\nSubject: {subject}\nMessage-ID: <{id}@far.example>\n\
         Date: Sun, 01 Nov 2026 10:00:00 +0000\n\nthe text of {subject}\n"
    )
}

fn server() -> (Mailbox, ImapServer) {
    let mailbox = mailbox();
    SUBJECTS.iter().for_each(|subject| _ = mailbox.add("INBOX", text(subject)));
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    (mailbox, server)
}

/// Puts the home of the old build there.
fn lay(home: &Path) {
    copy(Path::new("tests/takeover/home"), home);
    for folder in ["lists/rust", "INBOX"] {
        for sub in ["new", "cur", "tmp"] {
            fs::create_dir_all(home.join("Mail").join(folder).join(sub)).unwrap();
        }
    }
    for folder in ["locks", "deciding", "spool/mbox"] {
        fs::create_dir_all(home.join("state").join(folder)).unwrap();
    }
    let sql = fs::read_to_string("tests/takeover/state.sql").unwrap();
    let db = rusqlite::Connection::open(home.join("state/state.db")).unwrap();
    db.execute_batch(&sql.replace("@HOME@", &home.display().to_string())).unwrap();
}

fn copy(from: &Path, to: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

fn spooled(home: &Path) -> usize {
    fs::read_dir(home.join("state/spool")).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file()).count()
}

fn old_home(port: u16) -> Client {
    let client = Account::imap(port).top(RULES).client();
    lay(client.home.path());
    client
}

#[test]
fn nothing_comes_again_and_nothing_is_lost() {
    let (mailbox, server) = server();
    let client = old_home(server.port());
    let before = client.mail().by_content();
    for _ in 0..2 {
        assert_eq!(client.fetch_well().new, 0);
        assert_eq!(client.mail().by_content(), before);
        assert_eq!(spooled(client.home.path()), 2, "the discarded one and the one that waits");
    }
    assert!(client.path("Mail/.mailsluice").exists());
    let (world, _) = client.open();
    let waiting = world.store.still_to_tell().unwrap();
    assert_eq!((waiting.len(), world.disk.exists(&waiting[0].bytes).unwrap()), (1, true));
    mailbox.add("INBOX", text("new"));
    assert_eq!(client.fetch_well().new, 1);
}

/// Old file names are recognised; what stands in no Maildir is told to nobody again.
#[test]
fn its_files_are_recognised_after_the_database_is_lost() {
    let (_mailbox, server) = server();
    let client = old_home(server.port());
    client.fetch_well();
    fs::remove_file(client.path("state/state.db")).unwrap();
    client.fetch_well();
    let mail = client.mail().by_message_id();
    for id in ["<kept@far.example>", "<listed@far.example>", "<kept-too@far.example>"] {
        assert_eq!(mail.get(id), Some(&1), "{mail:?}");
    }
    let (world, _) = client.open();
    assert_eq!(world.store.still_to_tell().unwrap().len(), 0, "it may have gone out");
    assert!(mail.contains_key("<forwarded@far.example>"), "so it is filed");
}

/// A root without any of the folders of the journal is a disk that is not mounted.
#[test]
fn no_marker_is_made_where_journal_and_files_do_not_agree() {
    let (_mailbox, server) = server();
    let client = old_home(server.port());
    fs::rename(client.path("Mail"), client.path("elsewhere")).unwrap();
    fs::create_dir(client.path("Mail")).unwrap();
    let report = client.fetch();
    assert_eq!((report.exit_code(), report.new), (75, 0), "{report:#?}");
    assert!(report.errors[0].to_string().contains("mailsluice rebuild"), "{report:#?}");
    fs::remove_dir(client.path("Mail")).unwrap();
    fs::rename(client.path("elsewhere"), client.path("Mail")).unwrap();
    assert_eq!(client.fetch_well().new, 0);
}

#[test]
fn it_is_taken_over_once_wherever_the_program_is_killed() {
    let (_mailbox, server) = server();
    for delay in 1..=16 {
        let account = Account::imap(server.port()).top(RULES);
        let sandbox = account.sandbox();
        lay(sandbox.home());
        let running = sandbox.spawn(&["--allow-root", "fetch"]);
        std::thread::sleep(Duration::from_millis(delay * 4));
        running.kill();
        check(&sandbox, delay);
    }
}

fn check(sandbox: &Sandbox, delay: u64) {
    let output = sandbox.run(&["--allow-root", "fetch"]);
    assert!([0, 75].contains(&output.code), "{delay}: {output}");
    let mail = crate::support::maildir::Maildirs::at(sandbox.maildir()).by_message_id();
    for id in ["<kept@far.example>", "<listed@far.example>", "<kept-too@far.example>"] {
        assert_eq!(mail.get(id), Some(&1), "{delay}: {mail:?}");
    }
    assert_eq!((mail.len(), spooled(sandbox.home())), (3, 2), "{delay}: {mail:?}");
}
