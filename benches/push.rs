//! How soon mail that comes to a server stands in the Maildir: `cargo bench --bench push`.
//!
//! The real binary as `run`, on the disk under `TMPDIR`. Time begins when the message goes to the server, by APPEND to a private
//! Dovecot or into a server of ours, and ends when its file is in `new/`. One message at a time, each in a folder by chance.
//!
//! `MAILSLUICE_MAILS=N` takes so many messages for each row, `-- WORD` the rows with that word.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    dead_code,
    unused_imports,
    missing_docs
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use support::dovecot::{self, Dovecot};
use support::imap_server::{ImapOptions, ImapServer};
use support::imap_writer::ImapWriter;
use support::mailbox::Mailbox;
use support::rough_line::Random;
use support::sandbox::{Running, Sandbox};

/// What comes later than this is lost.
const PATIENCE: Duration = Duration::from_secs(120);
/// At most so long nothing comes, in milliseconds: as long as the sweep here takes, or mail would always come right after one.
const LONGEST_PAUSE: u64 = 5_000;
const SIZE: usize = 3000;

/// What their servers offer, as far as it counts here.
const GMAIL: &str = "IMAP4rev1 UNSELECT IDLE NAMESPACE ID CHILDREN UIDPLUS MOVE AUTH=PLAIN SASL-IR";
const MICROSOFT: &str = "IMAP4rev1 AUTH=PLAIN SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+";

/// One row of the table.
struct Row {
    name: &'static str,
    accounts: usize,
    folders: usize,
    /// A line more for each account.
    keys: &'static str,
    server: Server,
    /// Only the first folder gets mail, or only the others.
    only: Option<bool>,
}

#[derive(Clone, Copy, PartialEq)]
enum Server {
    Dovecot,
    DovecotWithoutNotify,
    Ours(&'static str),
}

const ROWS: [Row; 8] = [
    row("NOTIFY, Dovecot, 20 accounts x 3 folders", 20, 3, "", Server::Dovecot, None),
    row("NOTIFY, Dovecot, 1 account x 300 folders", 1, 300, "", Server::Dovecot, None),
    row("IDLE, Dovecot, 20 accounts, INBOX", 20, 3, "", Server::DovecotWithoutNotify, Some(true)),
    row("IDLE, like Gmail, 20 accounts, INBOX", 20, 3, "", Server::Ours(GMAIL), Some(true)),
    row("IDLE, like Microsoft, 20 accounts, INBOX", 20, 3, "", Server::Ours(MICROSOFT), Some(true)),
    row("sweep every 5 s, like Gmail, 2 other folders", 20, 3, SWEEP, Server::Ours(GMAIL), Some(false)),
    row("sweep every 5 s, like Microsoft, 2 others", 20, 3, SWEEP, Server::Ours(MICROSOFT), Some(false)),
    row("sweep every 5 s, Dovecot, 1 account x 300", 1, 300, ", poll: 5s, push: off", Server::Dovecot, None),
];

/// In place of the 90 seconds, which nobody waits for here.
const SWEEP: &str = ", poll: 5s";

const fn row(
    name: &'static str,
    accounts: usize,
    folders: usize,
    keys: &'static str,
    server: Server,
    only: Option<bool>,
) -> Row {
    Row { name, accounts, folders, keys, server, only }
}

fn main() {
    let mails = std::env::var("MAILSLUICE_MAILS").ok().and_then(|value| value.parse().ok()).unwrap_or(200);
    let words: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    println!("{:<46} {:>6} {:>9} {:>9} {:>9}", "", "mails", "median", "p99", "last");
    for row in ROWS.iter().filter(|row| words.is_empty() || words.iter().any(|word| row.name.contains(word))) {
        let Some(mut times) = row.measure(mails) else { continue };
        times.sort();
        let at = |part: usize| times[(times.len() - 1) * part / 100].as_millis();
        println!("{:<46} {mails:>6} {:>6} ms {:>6} ms {:>6} ms", row.name, at(50), at(99), at(100));
    }
}

impl Row {
    /// `None`: it cannot be measured here.
    fn measure(&self, mails: usize) -> Option<Vec<Duration>> {
        let servers = Servers::start(self)?;
        let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
        sandbox.deadline(Duration::from_secs(3600));
        let mut config = "maildir: ~/Mail\nstate: ~/state\naccounts:\n".to_owned();
        for account in 0..self.accounts {
            let (port, keys) = (servers.port(account), self.keys);
            writeln!(
                config,
                "  a{account}: {{imap: {{host: 127.0.0.1, port: {port}, tls: none}}, user: a{account}, \
                 password: {}, folders: all, into: 'a{account}/${{folder}}'{keys}}}",
                dovecot::PASSWORD
            )
            .unwrap();
        }
        sandbox.config(&config);
        let running = sandbox.spawn(&["--allow-root", "run"]);
        until_all_wait(&sandbox, self.accounts);
        let mut random = Random::new(4711);
        let folders = match self.only {
            Some(true) => 0..1,
            Some(false) => 1..self.folders,
            None => 0..self.folders,
        };
        let times = (0..mails).map(|mail| {
            std::thread::sleep(Duration::from_millis(random.below(LONGEST_PAUSE)));
            let account = random.below(self.accounts as u64) as usize;
            let folder = folder(folders.start + random.below(folders.len() as u64) as usize);
            let new = sandbox.maildir().join(format!("a{account}/{folder}/new"));
            let before = count(&new);
            let came = servers.add(account, &folder, &message(mail));
            while count(&new) == before {
                assert!(came.elapsed() < PATIENCE, "{}: it did not come into {}", self.name, new.display());
                std::thread::sleep(Duration::from_millis(1));
            }
            came.elapsed()
        });
        let times = times.collect();
        running.kill();
        Some(times)
    }
}

fn folder(number: usize) -> String {
    if number == 0 { "INBOX".to_owned() } else { format!("folder{number}") }
}

fn count(folder: &PathBuf) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

fn message(number: usize) -> String {
    let line = format!("This is line so and so of message {number}.\n");
    format!(
        "From: ann@far.example\nTo: me@home.example\nMessage-ID: <{number}@far.example>\n\n{}",
        line.repeat(SIZE / line.len())
    )
}

/// Every account has looked once, and waits.
fn until_all_wait(sandbox: &Sandbox, accounts: usize) {
    let until = Instant::now() + PATIENCE;
    loop {
        let status = sandbox.run(&["--allow-root", "status", "--json"]).stdout;
        if status.matches("\"doing\":\"waiting\"").count() == accounts {
            break;
        }
        assert!(Instant::now() < until, "they do not wait for news: {status}");
        std::thread::sleep(Duration::from_millis(200));
    }
    std::thread::sleep(Duration::from_secs(2));
}

/// The servers of a row.
enum Servers {
    Dovecot { _dovecot: Box<Dovecot>, writer: ImapWriter, port: u16 },
    Ours(Vec<(Mailbox, ImapServer)>),
}

impl Servers {
    fn start(row: &Row) -> Option<Self> {
        if let Server::Ours(offers) = row.server {
            let servers = (0..row.accounts).map(|account| {
                let mailbox = Mailbox::new(&format!("a{account}"), dovecot::PASSWORD);
                (1..row.folders).for_each(|number| mailbox.add_folder(&folder(number), &[]));
                let capabilities = offers.split(' ').map(str::to_owned).collect();
                let server = ImapServer::start(&mailbox, ImapOptions { capabilities, ..ImapOptions::default() });
                (mailbox, server)
            });
            return Some(Servers::Ours(servers.collect()));
        }
        let dovecot = Dovecot::start()?;
        let writer = ImapWriter::new(dovecot.ports.imap, dovecot::PASSWORD);
        for account in 0..row.accounts {
            (1..row.folders).for_each(|number| writer.create(&format!("a{account}"), &folder(number)));
        }
        let port = match row.server {
            Server::DovecotWithoutNotify => dovecot.imap_without_notify(),
            _ => dovecot.ports.imap,
        };
        Some(Servers::Dovecot { _dovecot: Box::new(dovecot), writer, port })
    }

    fn port(&self, account: usize) -> u16 {
        match self {
            Servers::Dovecot { port, .. } => *port,
            Servers::Ours(servers) => servers[account].1.port(),
        }
    }

    /// When it was there.
    fn add(&self, account: usize, folder: &str, message: &str) -> Instant {
        match self {
            Servers::Dovecot { writer, .. } => writer.append(&format!("a{account}"), folder, message),
            Servers::Ours(servers) => {
                let came = Instant::now();
                servers[account].0.add(folder, message);
                came
            }
        }
    }
}
