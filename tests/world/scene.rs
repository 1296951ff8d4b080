//! One world: a home, servers, relays, a config, and the ledger.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::ledger::Ledger;
use crate::mail::{RULES, SORT};
use crate::seed::Seed;
use crate::support::faults::Faults;
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::mailbox::Mailbox;
use crate::support::pop3_server::{Pop3Options, Pop3Server};
use crate::support::sandbox::Sandbox;
use crate::support::smtp_server::{SmtpOptions, SmtpServer};

pub struct Scene {
    pub sandbox: Sandbox,
    pub link: PathBuf,
    pub accounts: Vec<Account>,
    pub ledger: Ledger,
    pub archive_faults: Faults,
    archive_port: u16,
    _archive: ImapServer,
}

pub struct Account {
    pub label: String,
    pub retention: String,
    pub is_imap: bool,
    pub mailbox: Mailbox,
    pub faults: Faults,
    port: u16,
    _server: (Option<ImapServer>, Option<Pop3Server>),
}

pub const RETENTIONS: [&str; 5] = ["keep", "delete", "{delete_after: 14d}", "{move_to: Done}", "mark_seen"];

/// What a server with this retention may lose: `delete_after` nothing while the clock is right.
pub fn deletes(retention: &str) -> bool {
    retention == "delete" || retention.contains("move_to")
}

impl Account {
    fn new(number: usize, seed: &mut Seed) -> Self {
        // Numbers of its own, so that older seeds mean what they meant.
        let mut lacks = Seed::of(seed.clone().next(), 1000 + number as u64);
        let mailbox = Mailbox::new(&format!("me{number}"), "secret");
        let faults = Faults::none();
        let is_imap = seed.percent(60);
        let retention = loop {
            let drawn = seed.weigh(&[
                (30, RETENTIONS[0]),
                (40, RETENTIONS[1]),
                (10, RETENTIONS[2]),
                (10, RETENTIONS[3]),
                (10, RETENTIONS[4]),
            ]);
            if is_imap || !["{move_to: Done}", "mark_seen"].contains(&drawn) {
                break drawn.to_owned();
            }
        };
        mailbox.add_folder("Done", &[]);
        let (port, server) = if is_imap {
            let options =
                ["UIDPLUS", "MOVE"].into_iter().fold(ImapOptions::with_faults(&faults), |options, capability| {
                    if lacks.percent(25) { options.without(capability) } else { options }
                });
            let server = ImapServer::start(&mailbox, options);
            (server.port(), (Some(server), None))
        } else {
            let options = Pop3Options::with_faults(&faults);
            let options = if seed.percent(20) { options.without("TOP") } else { options };
            let server = Pop3Server::start(&mailbox, options);
            (server.port(), (None, Some(server)))
        };
        Account { label: format!("acc{number}"), retention, is_imap, mailbox, faults, port, _server: server }
    }

    fn config(&self) -> String {
        let protocol = if self.is_imap { "imap" } else { "pop3" };
        // The folder that mail is moved to is among them, and is never fetched.
        let folders = if self.retention.contains("move_to") { "folders: all, " } else { "" };
        format!(
            "  {}: {{{protocol}: {{host: 127.0.0.1, port: {}, tls: none}}, user: {}, password: secret, \
             {folders}retention: {}, poll: 1s}}\n",
            self.label,
            self.port,
            self.mailbox.user(),
            self.retention
        )
    }
}

impl Scene {
    pub fn new(seed: &mut Seed) -> Self {
        let program = std::env::var_os("MAILSLUICE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_mailsluice").into());
        let sandbox = Sandbox::new(program);
        let link = sandbox.home().with_extension("link");
        symlink(sandbox.home(), &link).unwrap();
        let relays = [SmtpServer::start(SmtpOptions::default()), SmtpServer::start(SmtpOptions::lmtp())].map(Arc::new);
        let archive = Mailbox::new("archive", "secret");
        let archive_faults = Faults::none();
        let server = ImapServer::start(&archive, ImapOptions::with_faults(&archive_faults));
        let ledger = Ledger::new(sandbox.home().to_owned(), relays, archive);
        let accounts: Vec<Account> = (1..=seed.between(1, 3)).map(|number| Account::new(number, seed)).collect();
        for account in &accounts {
            ledger.watch(&account.mailbox, deletes(&account.retention));
        }
        let scene =
            Scene { sandbox, link, accounts, ledger, archive_faults, archive_port: server.port(), _archive: server };
        scene.write_files();
        scene
    }

    pub fn home(&self) -> &Path {
        self.sandbox.home()
    }

    fn write_files(&self) {
        self.sandbox.script("note", "#!/bin/sh\ngrep '^X-World: ' >>\"$HOME/piped\"\n");
        self.sandbox.script("kill", "#!/bin/sh\nkill -9 $PPID\n");
        for (name, rules) in SORT {
            self.sandbox.write(name, rules);
        }
        self.sandbox.write("Mail/blocked", "This file stands where a folder should be.\n");
        self.write_config();
    }

    /// Somebody edits the config, and saves it before it is right.
    pub fn break_config(&self, time: Duration) {
        self.sandbox.config("maildir: ~/Mail\nstate: ~/state\naccounts:\n  acc1: {imap:\n");
        std::thread::sleep(time);
        self.write_config();
    }

    /// As the accounts are called and keep mail now.
    pub fn write_config(&self) {
        let [relay, store] = &self.ledger.relays;
        let accounts: String = self.accounts.iter().map(Account::config).collect();
        let archive = format!(
            "  archive: {{imap: {{host: 127.0.0.1, port: {}, tls: none}}, user: archive, password: secret, poll: 1h}}\n",
            self.archive_port
        );
        self.sandbox.config(&format!(
            "maildir: ~/Mail\nstate: ~/state\nme: [me@home.example]\nrelays:\n  \
             default: {{smtp: {{host: 127.0.0.1, port: {}, tls: none}}}}\n  \
             store: {{lmtp: {{host: 127.0.0.1, port: {}, tls: none}}}}\n\
             limits: {{answers_per_hour: 1000}}\nlists: {{known: {{database: true}}}}\n\
             accounts:\n{accounts}{archive}rules:\n{}\
             maintenance:\n  - {{name: tidy, folder: [INBOX, work/*], every: 1h, if: {{subject: {{contains: '[keep]'}}}}, \
             do: {{fileinto: kept}}}}\n",
            relay.port(),
            store.port(),
            RULES.replace("~/", &format!("{}/", self.home().display())),
        ));
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.link);
    }
}
