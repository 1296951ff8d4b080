//! Twenty accounts: servers of ours with IDLE, a real Dovecot with NOTIFY, and POP3, each behind a line of its own.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::line::Line;
use crate::support::dovecot::{self, Dovecot};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::imap_writer::ImapWriter;
use crate::support::mailbox::Mailbox;
use crate::support::pop3_server::{Pop3Options, Pop3Server};
use crate::support::sandbox::Sandbox;

const IDLE: usize = 10;
const NOTIFY: usize = 4;
const POP3: usize = 6;
/// POP3 has nothing that pushes.
const POP3_POLL: Duration = Duration::from_secs(30);
/// What stands in a folder does not grow beyond this, so that memory need not either.
const KEPT: usize = 40;
/// In INBOX a server with IDLE tells of mail; of the others a sweep does.
const FOLDERS: [&str; 3] = ["INBOX", "lists", "work"];

pub struct Scene {
    pub sandbox: Sandbox,
    pub accounts: Vec<Account>,
    /// To the real Dovecot: it does not tell of files that appear.
    writer: Option<ImapWriter>,
    _dovecot: Option<Dovecot>,
}

pub struct Account {
    pub name: String,
    pub line: Line,
    pub folders: &'static [&'static str],
    server: Server,
}

impl Account {
    /// How it is told of mail in a folder.
    pub fn push(&self, folder: &str) -> &'static str {
        match self.server {
            Server::Dovecot(_) => "NOTIFY",
            Server::Imap(..) if folder == FOLDERS[0] => "IDLE",
            Server::Imap(..) => "sweep",
            Server::Pop3(..) => "POP3",
        }
    }
}

enum Server {
    Imap(Mailbox, #[allow(dead_code)] ImapServer),
    Pop3(Mailbox, #[allow(dead_code)] Pop3Server),
    /// Of the user of this name.
    Dovecot(String),
}

impl Scene {
    /// `poll` is the longest time between two looks at what is not pushed.
    pub fn new(poll: Option<Duration>) -> Self {
        let dovecot = Dovecot::start();
        let accounts: Vec<Account> = (0..IDLE + NOTIFY + POP3).map(|n| Account::new(n, dovecot.as_ref())).collect();
        let mut sandbox = Sandbox::in_memory(env!("CARGO_BIN_EXE_mailsluice"));
        // As the service has it: else heaps of threads, which fill by and by, hide what is never given back.
        sandbox.env("MALLOC_ARENA_MAX", "2");
        let mut config = "maildir: ~/Mail\nstate: ~/state\naccounts:\n".to_owned();
        for (number, account) in accounts.iter().enumerate() {
            config += &account.config(number, poll);
        }
        sandbox.config(&config);
        let writer = dovecot.as_ref().map(|dovecot| ImapWriter::new(dovecot.ports.imap, dovecot::PASSWORD));
        Self { sandbox, accounts, writer, _dovecot: dovecot }
    }

    pub fn add(&self, account: usize, folder: &str, message: &str) {
        match &self.accounts[account].server {
            Server::Imap(mailbox, _) | Server::Pop3(mailbox, _) => _ = mailbox.add(folder, message),
            Server::Dovecot(user) => _ = self.writer.as_ref().unwrap().append(user, folder, message),
        }
    }

    /// Somebody deletes the oldest message of a folder that has many, if it is here.
    pub fn tidy(&self, account: usize, folder: &str, is_here: impl FnOnce(&[u8]) -> bool) {
        let (Server::Imap(mailbox, _) | Server::Pop3(mailbox, _)) = &self.accounts[account].server else { return };
        if mailbox.count(folder) > KEPT
            && let Some(oldest) = mailbox.uids(folder).first()
            && mailbox.bytes(folder, *oldest).is_some_and(|bytes| is_here(&bytes))
        {
            mailbox.remove(folder, *oldest);
        }
    }

    /// Every folder of every account.
    pub fn places(&self) -> Vec<(usize, &'static str)> {
        let numbered = self.accounts.iter().enumerate();
        numbered.flat_map(|(number, account)| account.folders.iter().map(move |folder| (number, *folder))).collect()
    }

    pub fn maildir(&self, account: usize, folder: &str) -> PathBuf {
        self.sandbox.maildir().join(&self.accounts[account].name).join(folder)
    }
}

impl Account {
    fn new(number: usize, dovecot: Option<&Dovecot>) -> Self {
        let name = format!("a{number:02}");
        let mailbox = Mailbox::new(&name, dovecot::PASSWORD);
        let (server, port) = match (number, dovecot) {
            (IDLE.., _) if number >= IDLE + NOTIFY => {
                let server = Pop3Server::start(&mailbox, Pop3Options::default());
                let port = server.port();
                (Server::Pop3(mailbox, server), port)
            }
            (IDLE.., Some(dovecot)) => {
                FOLDERS[1..].iter().for_each(|folder| _ = dovecot.doveadm(&["mailbox", "create", "-u", &name, folder]));
                (Server::Dovecot(name.clone()), dovecot.ports.imap)
            }
            _ => {
                FOLDERS[1..].iter().for_each(|folder| mailbox.add_folder(folder, &[]));
                let server = ImapServer::start(&mailbox, ImapOptions::default());
                let port = server.port();
                (Server::Imap(mailbox, server), port)
            }
        };
        // Each its own host: of one and the same, few are asked at once.
        let line = Line::new(&format!("127.0.1.{}", number + 1), port, number as u64 + 1);
        let folders = if matches!(server, Server::Pop3(..)) { &FOLDERS[..1] } else { &FOLDERS[..] };
        Self { name, line, folders, server }
    }

    fn config(&self, number: usize, poll: Option<Duration>) -> String {
        let Self { name, line, .. } = self;
        let (protocol, more) = match self.server {
            Server::Pop3(..) => ("pop3", ""),
            _ => ("imap", ", folders: all"),
        };
        let (host, port) = (&line.host, line.port);
        // Programs that were started have to be waited for.
        let password = match number % 4 {
            0 => format!("{{command: [/bin/echo, {}]}}", dovecot::PASSWORD),
            _ => dovecot::PASSWORD.to_owned(),
        };
        let mut text = format!(
            "  {name}: {{{protocol}: {{host: {host}, port: {port}, tls: none}}, user: {name}, password: {password}{more}, \
             into: '{name}/${{folder}}'"
        );
        let poll = poll.or(matches!(self.server, Server::Pop3(..)).then_some(POP3_POLL));
        if let Some(poll) = poll {
            write!(text, ", poll: {}s", poll.as_secs()).unwrap();
        }
        if number.is_multiple_of(3) {
            text += ", retention: delete";
        }
        text + "}\n"
    }
}
