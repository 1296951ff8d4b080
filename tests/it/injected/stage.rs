//! A home that was prepared, and fresh copies of it with servers of their own.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::judge;
use super::mail::{RULES, message, number};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::injector::{Fault, injector};
use crate::support::mailbox::{Mailbox, Stored};
use crate::support::pop3_server::{Pop3Options, Pop3Server};
use crate::support::sandbox::{Output, Sandbox, is_at_home};
use crate::support::smtp_server::{SmtpOptions, SmtpServer};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mailsluice");
/// What `deliver` and `sendmail` leave running has so long.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Imap,
    Pop3,
    /// No account: mail comes on standard input, or is here.
    None,
}

pub struct Stage {
    pub sandbox: Sandbox,
    pub mailbox: Mailbox,
    pub relay: Arc<SmtpServer>,
    source: Source,
    port: u16,
    /// Stopped when dropped.
    _server: (Option<ImapServer>, Option<Pop3Server>),
    /// What was deleted on the server while it stood nowhere here.
    too_early: Arc<Mutex<Vec<usize>>>,
}

impl Stage {
    pub fn new(source: Source) -> Self {
        let mailbox = Mailbox::new("me", "secret");
        let (port, server) = match source {
            Source::Imap => {
                let server = ImapServer::start(&mailbox, ImapOptions::default());
                (server.port(), (Some(server), None))
            }
            Source::Pop3 => {
                let server = Pop3Server::start(&mailbox, Pop3Options::default());
                (server.port(), (None, Some(server)))
            }
            Source::None => (0, (None, None)),
        };
        let relay = Arc::new(SmtpServer::start(SmtpOptions::default()));
        let sandbox = Sandbox::in_memory(PROGRAM);
        let stage = Self { sandbox, mailbox, relay, source, port, _server: server, too_early: Arc::default() };
        stage.watch();
        stage.config(RULES, "delete");
        stage
    }

    /// The same home under another name, the same mailbox on another server, and a relay that has seen nothing.
    pub fn copy(&self) -> Self {
        let copy = Self::new(self.source);
        let from = format!("{}/.", self.home().display());
        let status = Command::new("cp").args(["-a", &from]).arg(copy.home()).status().unwrap();
        assert!(status.success());
        if let Some(inbox) = self.mailbox.read_folder("INBOX", Clone::clone) {
            copy.mailbox.change_folder("INBOX", |folder| *folder = inbox);
        }
        copy.config(RULES, "delete");
        copy
    }

    /// Each message is looked for here in the moment in which a client deletes it there.
    fn watch(&self) {
        let (home, relay) = (self.home().to_owned(), Arc::clone(&self.relay));
        let too_early = Arc::clone(&self.too_early);
        self.mailbox.watch_removals(move |gone: &[Stored]| {
            let numbers = gone.iter().filter_map(|stored| number(&stored.bytes));
            let early = judge::nowhere(&home, &relay.mails(), numbers);
            too_early.lock().unwrap().extend(early);
        });
    }

    pub fn home(&self) -> &Path {
        self.sandbox.home()
    }

    pub fn config(&self, rules: &str, retention: &str) {
        let relay =
            format!("relays: {{default: {{smtp: {{host: 127.0.0.1, port: {}, tls: none}}}}}}\n", self.relay.port());
        self.write_config(&relay, rules, retention);
    }

    /// What is to be sent waits.
    pub fn config_without_relay(&self) {
        self.write_config("", RULES, "delete");
    }

    fn write_config(&self, relay: &str, rules: &str, retention: &str) {
        let protocol = if self.source == Source::Imap { "imap" } else { "pop3" };
        let account = format!(
            "accounts:\n  me: {{{protocol}: {{host: 127.0.0.1, port: {}, tls: none}}, user: me, password: secret, \
             retention: {retention}}}\n",
            self.port
        );
        let account = if self.source == Source::None { "" } else { &account };
        self.sandbox
            .config(&format!("maildir: ~/Mail\nstate: ~/state\nme: [me@home.example]\n{relay}{account}{rules}"));
    }

    /// On the server.
    pub fn arrive(&self, numbers: impl IntoIterator<Item = usize>) {
        numbers.into_iter().for_each(|number| _ = self.mailbox.add("INBOX", message(number)));
    }

    pub fn run(&self, arguments: &[&str], input: &str) -> Output {
        let output = self.sandbox.run_with_stdin(&[&["--allow-root"], arguments].concat(), input);
        self.wait_for_children();
        output
    }

    /// One that must end well.
    #[track_caller]
    pub fn run_well(&self, arguments: &[&str], input: &str) -> Output {
        let output = self.run(arguments, input);
        assert_eq!(output.code, 0, "{arguments:?}: {output}");
        output
    }

    /// With a fault in it, or in what it starts. Beside what came of it: the call that was hit, with its paths; none when
    /// fewer were made.
    pub fn run_with(&self, fault: &Fault, arguments: &[&str], input: &str) -> (Output, Option<String>) {
        let log = self.home().with_extension("log");
        let plain = self.sandbox.command(&[&["--allow-root"], arguments].concat());
        let command = injector().unwrap().around(&plain, fault, self.home(), &log);
        let output = self.sandbox.run_command(command, input);
        self.wait_for_children();
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let _ = std::fs::remove_file(&log);
        let at = text.lines().find(|line| !line.starts_with("count ")).map(|line| self.without_home(line));
        (output, at)
    }

    /// Each call that a run makes without a fault, in order, by its name.
    pub fn calls(&self, calls: &str, arguments: &[&str], input: &str) -> Vec<String> {
        let log = self.home().with_extension("log");
        let plain = self.sandbox.command(&[&["--allow-root"], arguments].concat());
        let fault = Fault { calls: calls.to_owned(), nth: 0, what: "err:EIO".to_owned() };
        let output = self.sandbox.run_command(injector().unwrap().around(&plain, &fault, self.home(), &log), input);
        assert_eq!(output.code, 0, "{output}");
        let text = std::fs::read_to_string(&log).unwrap();
        let _ = std::fs::remove_file(&log);
        let lines = text.lines().filter(|line| !line.starts_with("count "));
        lines.filter_map(|line| line.split(' ').nth(1)).map(str::to_owned).collect()
    }

    fn without_home(&self, line: &str) -> String {
        line.replace(&self.home().display().to_string(), "~")
    }

    fn wait_for_children(&self) {
        let begun = Instant::now();
        while is_at_home(&[self.home()]) && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn too_early(&self) -> Vec<usize> {
        self.too_early.lock().unwrap().clone()
    }
}
