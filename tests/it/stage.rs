//! What most tests here need: an account on a test server, a pass over it in this process, and what came of it.
//!
//! Every pass opens config, rules and database anew, as a new process does.

use std::fs::{self, Permissions};
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use mailsluice::config::Config;
use mailsluice::filter::Engine;
use mailsluice::pass::{Report, Silent, Watch, World};
use mailsluice::pipeline::{self, Job};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::mailbox::Mailbox;
use crate::support::maildir::Maildirs;
use crate::support::sandbox::{Output, Sandbox};
use crate::support::scripted_server::ScriptedServer;

pub const PASSWORD: &str = "open sesame";

/// The mailbox that the accounts here log in to.
pub fn mailbox() -> Mailbox {
    Mailbox::new("me", PASSWORD)
}

/// A short message that no other number has.
pub fn message(number: usize) -> String {
    format!("From: a@example.com\nSubject: number {number}\nMessage-ID: <{number}@example.com>\n\nThis is {number}.\n")
}

/// So many messages in the INBOX, and what they are.
pub fn filled(count: usize) -> (Mailbox, Vec<String>) {
    let mailbox = mailbox();
    let messages: Vec<String> = (1..=count).map(message).collect();
    messages.iter().for_each(|message| _ = mailbox.add("INBOX", message));
    (mailbox, messages)
}

/// In memory where the system has such a folder: a sync to a real disk would be most of the time of a test.
pub fn folder() -> TempDir {
    let builder = tempfile::Builder::new().prefix("mailsluice-test-").to_owned();
    let folder = builder.tempdir_in("/dev/shm").or_else(|_| builder.tempdir()).unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    folder
}

/// A config with one account `me` on a test server on this machine.
#[derive(Clone, Debug)]
pub struct Account {
    server: String,
    keys: Vec<String>,
    top: Vec<String>,
}

impl Account {
    pub fn imap(port: u16) -> Self {
        Self::on(format!("imap: {{host: 127.0.0.1, port: {port}, tls: none}}"))
    }

    pub fn pop3(port: u16) -> Self {
        Self::on(format!("pop3: {{host: 127.0.0.1, port: {port}, tls: none}}"))
    }

    /// The line that names the server.
    pub fn on(server: impl Into<String>) -> Self {
        let keys = vec!["user: me".to_owned(), format!("password: {PASSWORD}")];
        Self { server: server.into(), keys, top: Vec::new() }
    }

    /// A line more in the account; it takes the place of an earlier one with the same key.
    pub fn with(mut self, line: &str) -> Self {
        let key = line.split(':').next().unwrap();
        // A token stands in the place of the password, and so does a certificate.
        let other = if key == "token" || line == "auth: external" { "password" } else { key };
        self.keys.retain(|known| ![Some(key), Some(other)].contains(&known.split(':').next()));
        self.keys.push(line.to_owned());
        self
    }

    /// Lines more beside `accounts`.
    pub fn top(mut self, lines: &str) -> Self {
        self.top.push(lines.to_owned());
        self
    }

    /// The entry below `accounts:`.
    pub fn entry(&self, name: &str) -> String {
        let keys = std::iter::once(&self.server).chain(&self.keys);
        keys.fold(format!("  {name}:\n"), |text, line| format!("{text}    {line}\n"))
    }

    pub fn yaml(&self, home: &Path) -> String {
        let top: String = self.top.iter().map(|lines| format!("{lines}\n")).collect();
        let maildir =
            if top.starts_with("maildir:") { String::new() } else { format!("maildir: {}/Mail\n", home.display()) };
        format!("{maildir}{top}state: {}/state\naccounts:\n{}", home.display(), self.entry("me"))
    }

    /// A new home folder to fetch into.
    pub fn client(self) -> Client {
        Client { home: folder(), account: self, now: Timestamp::now }
    }

    /// A new home folder for the binary.
    pub fn sandbox(&self) -> Sandbox {
        let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
        sandbox.config(&self.yaml(sandbox.home()));
        sandbox
    }

    /// One `fetch` of the binary in a new home folder.
    pub fn run(&self) -> (Output, Sandbox) {
        let sandbox = self.sandbox();
        (sandbox.run(&["fetch"]), sandbox)
    }
}

/// A home folder, with the account that is fetched into it.
pub struct Client {
    pub home: TempDir,
    pub account: Account,
    pub now: fn() -> Timestamp,
}

impl Client {
    /// Another account for the next pass, over the same home folder.
    pub fn change(&mut self, change: impl FnOnce(Account) -> Account) {
        self.account = change(self.account.clone());
    }

    /// One pass.
    pub fn fetch(&self) -> Report {
        run(self.pass())
    }

    /// One pass that must find nothing wrong.
    #[track_caller]
    pub fn fetch_well(&self) -> Report {
        let report = self.fetch();
        assert!(report.errors.is_empty() && report.failed == 0, "{report:#?}");
        report
    }

    /// Passes until one has nothing to do and nothing to complain about.
    #[track_caller]
    pub fn fetch_until_quiet(&self, most: usize) -> usize {
        for passes in 1..=most {
            let report = self.fetch();
            if report.exit_code() == 0 && report.new == 0 && report.left == 0 {
                return passes;
            }
        }
        panic!("not quiet after {most} passes: {:#?}", self.fetch());
    }

    pub async fn pass(&self) -> Report {
        let (world, job) = self.open();
        let watch: Arc<dyn Watch> = Arc::new(Silent);
        // As `mailsluice fetch` does: each run tries a host once, however often it was dead.
        mailsluice::pass::try_host_now(&world, &job.account).unwrap();
        pipeline::fetch(&world, &job, &watch, &CancellationToken::new()).await
    }

    /// What a pass works with.
    pub fn open(&self) -> (World, Job) {
        let path = self.path("config.yaml");
        fs::write(&path, self.account.yaml(self.home.path())).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let shown = |problems: Vec<mailsluice::config::problem::Problem>| -> String {
            problems.iter().map(|problem| format!("{problem}\n")).collect()
        };
        let (config, _) = Config::load(&path).map_err(shown).unwrap();
        let (engine, _) = Engine::compile(&config.filters, &config.settings).map_err(shown).unwrap();
        let job = Job { account: Arc::new(config.accounts[0].clone()), engine: Arc::new(engine) };
        let world = World { now: self.now, threads: 1, ..World::open(&config).unwrap() };
        (world, job)
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.home.path().join(below)
    }

    pub fn mail(&self) -> Maildirs {
        Maildirs::at(self.path("Mail"))
    }

    /// The mail in the inbox that the program itself wrote.
    pub fn notices(&self) -> Vec<String> {
        let inbox = self.mail().delivered().into_iter();
        let text = inbox.map(|found| String::from_utf8_lossy(&found.bytes).into_owned());
        text.filter(|text| text.contains("\nX-Mailsluice-Notice:")).collect()
    }

    /// The mail that is not.
    pub fn subjects(&self) -> Vec<String> {
        let mut subjects: Vec<String> = self.mail().delivered().iter().filter_map(subject).collect();
        subjects.sort();
        subjects
    }
}

fn subject(found: &crate::support::maildir::Found) -> Option<String> {
    let text = String::from_utf8_lossy(&found.bytes).into_owned();
    let is_notice = text.contains("\nX-Mailsluice-Notice:");
    let line = text.lines().find_map(|line| line.strip_prefix("Subject: ").map(str::to_owned));
    line.filter(|_| !is_notice)
}

pub fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Everything that went wrong, in one text.
pub fn complaints(report: &Report) -> String {
    let errors = report.errors.iter().map(ToString::to_string);
    errors.chain(report.remarks.iter().cloned()).collect::<Vec<_>>().join("\n")
}

/// Plays `tests/dialogs/NAME.dialog` to a pass, and passes on until the server has played all its connections. The
/// server must have heard exactly what the dialog says.
#[track_caller]
pub fn play(name: &str) -> (Report, Client) {
    play_to(name, |account| account)
}

/// The same with a changed account.
#[track_caller]
pub fn play_to(name: &str, change: impl FnOnce(Account) -> Account) -> (Report, Client) {
    let script = fs::read_to_string(format!("tests/dialogs/{name}.dialog")).unwrap();
    let server = ScriptedServer::start(&script);
    let account = if name.starts_with("pop3-") { Account::pop3(server.port()) } else { Account::imap(server.port()) };
    let client = change(account).client();
    let connections = 1 + script.lines().filter(|line| *line == "--- connection").count();
    let mut report = client.fetch();
    for _ in 1..connections {
        report = client.fetch();
    }
    if let Err(mismatch) = server.finish() {
        panic!("{mismatch}\nThe client: {report:#?}");
    }
    (report, client)
}
