//! A mailbox on a server, a program that fetches it, and a machine on which that program can die.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mailsluice::config::{Config, MailRoot, Protocol};
use mailsluice::filter::Engine;
use mailsluice::message::Key;
use mailsluice::pass::{Decide, Report, Silent, Watch, World, mounted, note_accounts};
use mailsluice::pipeline::{self, Job};
use mailsluice::source::WINDOW;
use mailsluice::state::{Outbox, RememberedKeys, SqliteStore};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::disk::{Death, ForgetfulDisk, Lie, Rename};
use super::fate::Fate;
use super::found::{self, Place};
use super::store::{Mistake, MortalStore, in_memory, owner};
use crate::support::faults::Faults;
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::mailbox::{self, Incoming, Mailbox};
use crate::support::pop3_server::{Pop3Options, Pop3Server};

pub const ACCOUNT: &str = "a";
pub const MAIL: &str = "/home/me/Mail";

pub const RULES: &str = "
rules:
  - {if: {header: {Subject: {contains: two folders}}}, do: [{fileinto: [lists/a, lists/b]}]}
  - {if: {header: {Subject: {contains: rubbish}}}, do: [discard]}
  - {if: {header: {Subject: {contains: marked}}}, do: [{addflag: flagged}, keep]}
  - {if: {header: {Subject: {contains: below}}}, do: [{fileinto: year/2026/deep}]}
";

/// Message, and where it has to arrive: folder, flags, content. A discarded one has to stand in the spool.
pub type Expected = (&'static str, &'static [(&'static str, &'static str, &'static str)]);

pub static MESSAGES: [Expected; 6] = [
    (TWO, &[("lists/a", "", TWO), ("lists/b", "", TWO)]),
    ("Subject: rubbish\nMessage-ID: <2@x>\n\nsecond\n", &[]),
    (MARKED, &[("INBOX", "F", MARKED)]),
    (TWIN, &[("INBOX", "", TWIN)]),
    (TWIN, &[("INBOX", "", TWIN)]),
    (BELOW, &[("year/2026/deep", "", BELOW)]),
];
const TWO: &str = "Subject: for two folders\nMessage-ID: <1@x>\n\nfirst\n";
const MARKED: &str = "Subject: marked\nMessage-ID: <3@x>\n\nthird\n";
const BELOW: &str = "Subject: below\nMessage-ID: <6@x>\n\nsixth\n";
const TWIN: &str = "Subject: twin\nMessage-ID: <4@x>\n\nsent twice, word for word\n";
/// IMAP only: from another folder on the server.
const ARCHIVED: (&str, &str) = ("Archive", "Subject: old\nMessage-ID: <7@x>\n\nseventh\n");

/// One kind of account.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub protocol: Protocol,
    pub deletes: bool,
    /// What is in the INBOX.
    pub messages: &'static [Expected],
    /// Whether they are so big that they are fetched by themselves, into the spool.
    pub are_big: bool,
}

impl Case {
    /// What makes the messages big. It ends each of them and is left out of what is compared and shown.
    fn padding(self) -> String {
        let line = format!("{}\n", "x".repeat(999));
        line.repeat(if self.are_big { WINDOW as usize / 1000 + 1 } else { 0 })
    }
}

/// What the machine is like.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    pub rename: Rename,
    /// Somebody reads the mail between two runs.
    pub has_reader: bool,
    pub lie: Option<Lie>,
    pub mistake: Option<Mistake>,
}

impl Machine {
    pub fn honest(rename: Rename) -> Self {
        Self { rename, has_reader: false, lie: None, mistake: None }
    }

    pub fn with_reader(self) -> Self {
        Self { has_reader: true, ..self }
    }
}

/// How and when a process dies: before its `n`-th step.
pub type Crash = (usize, Death);

/// A way of telling, and the bytes it is about.
pub type Told = (&'static str, &'static str);

/// What all the stories of a case share: compiled rules, locks, the runtime.
pub struct Stage {
    case: Case,
    folder: TempDir,
    job: Job,
    /// Where the decisions are not made by [`RULES`]: what has to be in the spool and in the outbox.
    by_hand: Option<(Vec<&'static str>, Vec<Told>)>,
    runtime: tokio::runtime::Runtime,
}

impl Stage {
    pub fn new(case: Case) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("locks")).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { case, job: job(case, folder.path()), by_hand: None, folder, runtime }
    }

    /// Somebody else decides, and this is what has to be in the spool and in the outbox in the end.
    pub fn decided_by(mut self, engine: Arc<dyn Decide>, spooled: Vec<&'static str>, told: Vec<Told>) -> Self {
        self.job.engine = engine;
        self.by_hand = Some((spooled, told));
        self
    }

    fn state(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }
}

fn job(case: Case, folder: &Path) -> Job {
    let (protocol, folders) = match case.protocol {
        Protocol::Imap => ("imap", "folders: [INBOX, Archive]"),
        Protocol::Pop3 => ("pop3", ""),
    };
    let retention = if case.deletes { "delete" } else { "keep" };
    let config = folder.join("config.yaml");
    let text = format!(
        "maildir: {MAIL}\nstate: {}\naccounts:\n  {ACCOUNT}:\n    \
         {protocol}: {{host: 127.0.0.1, port: 1, tls: none}}\n    user: me\n    password: secret\n    \
         retention: {retention}\n    {folders}\n",
        folder.display()
    );
    std::fs::write(&config, text).unwrap();
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (config, _) = Config::load(&config).unwrap_or_else(|problems| panic!("{problems:?}"));
    Job { account: Arc::new(config.accounts[0].clone()), engine: engine(RULES) }
}

/// Compiles rules.
pub fn engine(rules: &str) -> Arc<Engine> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rules.yaml"), rules).unwrap();
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, "maildir: /mail\nstate: /state\nfilters: [rules.yaml]\n").unwrap();
    let (config, _) = Config::load(&config).unwrap_or_else(|problems| panic!("{problems:?}"));
    Arc::new(Engine::compile(&config.filters, &config.settings).unwrap_or_else(|problems| panic!("{problems:?}")).0)
}

enum Server {
    Imap(ImapServer),
    Pop3(Pop3Server),
}

impl Server {
    fn port(&self) -> u16 {
        match self {
            Self::Imap(server) => server.port(),
            Self::Pop3(server) => server.port(),
        }
    }
}

/// One mailbox and everything that befalls it.
pub struct Story<'a> {
    stage: &'a Stage,
    machine: Machine,
    engine: Arc<dyn Decide>,
    fate: Fate,
    disk: ForgetfulDisk,
    store: Arc<SqliteStore>,
    pub mailbox: Mailbox,
    server: Server,
    untouched: Vec<mailbox::Folder>,
    /// Which messages a run found that a process had died deciding about, each as often as it was counted.
    died_deciding: Vec<Key>,
    told: Vec<String>,
}

impl<'a> Story<'a> {
    pub fn begin(stage: &'a Stage, machine: Machine) -> Self {
        let fate = Fate::default();
        let state = stage.state();
        let directories = [Path::new("/home/me"), &state.join("spool")];
        let disk = ForgetfulDisk::with_directories(&fate, machine.rename, None, &directories);
        let mailbox = Mailbox::new("me", "secret");
        let padding = stage.case.padding();
        for (text, _) in stage.case.messages.iter() {
            mailbox.add_message("INBOX", incoming(&format!("{text}{padding}")));
        }
        if stage.case.protocol == Protocol::Imap {
            mailbox.add_message(ARCHIVED.0, incoming(ARCHIVED.1));
        }
        let server = serve(stage.case.protocol, &mailbox, &fate);
        let untouched = mailbox.snapshot();
        let store = in_memory(&state);
        let engine = Arc::clone(&stage.job.engine);
        let (died_deciding, told) = (Vec::new(), Vec::new());
        let story = Self { stage, machine, engine, fate, disk, store, mailbox, server, untouched, died_deciding, told };
        if machine.lie.is_some() {
            let (world, account) = (story.world(), &stage.job.account);
            world.store.register(&[(ACCOUNT.to_owned(), account.mailbox())], &[], world.now()).unwrap();
            note_accounts(&world, &mounted(&world).unwrap()).unwrap();
            story.disk.lie_from_now_on(machine.lie);
        }
        story
    }

    /// One pass, which dies before its `n`-th step if it has so many. Returns its steps.
    pub fn run(&mut self, dies_before: Option<usize>) -> (Vec<String>, Report) {
        let found = self.store.died_deciding(&owner(&self.store, &self.stage.state(), ACCOUNT)).unwrap();
        self.fate.begin(dies_before);
        let mut job = Job { engine: Arc::clone(&self.engine), ..self.stage.job.clone() };
        Arc::make_mut(&mut job.account).server.port = self.server.port();
        let watch: Arc<dyn Watch> = Arc::new(Silent);
        let (world, stop) = (self.world(), CancellationToken::new());
        let report = self.stage.runtime.block_on(pipeline::fetch(&world, &job, &watch, &stop));
        self.fate.kill();
        let counted = self.fate.steps().iter().filter(|step| *step == "store: attempt").count();
        self.died_deciding.extend(found.into_iter().take(counted));
        self.tell(dies_before, &report);
        (self.fate.steps(), report)
    }

    /// What a new process would find: nothing of the earlier ones but what is on disk and in the database.
    fn world(&self) -> World {
        let disk = Arc::new(self.disk.clone());
        let root = MailRoot::at(MAIL);
        let store = Arc::new(MortalStore::new(&self.fate, &self.store, disk.clone(), self.machine.mistake));
        World { threads: 1, host: "host".to_owned(), ..World::new(store, disk, root, self.stage.state()) }
    }

    /// The process is gone; so is what the disk forgets. The note of what is being decided is never synced.
    pub fn die(&mut self, death: Death) {
        if death == Death::PowerCut {
            self.store.deciding(&owner(&self.store, &self.stage.state(), ACCOUNT), None).unwrap();
        }
        // A process that dies releases no lock.
        std::fs::write(self.stage.state().join(format!("locks/{ACCOUNT}.lock")), "1\n").unwrap();
        self.disk.restart(death);
        if self.machine.has_reader {
            self.disk.open_in_a_mail_reader();
        }
    }

    /// Another client takes everything off the server.
    pub fn empty_the_server(&self) {
        for folder in self.mailbox.snapshot() {
            folder.messages.iter().for_each(|message| assert!(self.mailbox.remove(&folder.name, message.uid)));
        }
    }

    /// The rules are others from now on.
    pub fn change_rules(&mut self, rules: &str) {
        self.engine = engine(rules);
    }

    /// Nothing disturbs these runs, and so they must succeed.
    pub fn run_undisturbed(&mut self, times: usize) -> Result<(), Failure> {
        for _ in 0..times {
            let (_, report) = self.run(None);
            if let Some(error) = report.errors.first() {
                return Err(self.failure(Wrong::Run, &error.to_string()));
            }
        }
        Ok(())
    }

    /// What there is in any folder, with its number: notices by their kind.
    pub fn contents(&self) -> BTreeMap<String, usize> {
        let mut contents = BTreeMap::new();
        for (place, n) in self.delivered() {
            *contents.entry(place.content).or_default() += n;
        }
        contents
    }

    /// Everything is where it should be, on the server too.
    pub fn check(&self) -> Result<(), Failure> {
        self.check_mail()?;
        self.check_nothing_is_left_over()?;
        let mut spooled = self.files(|path| path.starts_with(self.stage.state()));
        spooled.sort();
        if spooled != self.wanted_in_spool() {
            return Err(self.failure(Wrong::Spool, &format!("{spooled:?}")));
        }
        self.check_outbox()?;
        let now = self.mailbox.snapshot();
        let is_empty = now.iter().all(|folder| folder.messages.is_empty());
        match self.stage.case.deletes {
            true if !is_empty => Err(self.failure(Wrong::Server, "not everything was deleted")),
            false if now != self.untouched => Err(self.failure(Wrong::Server, "its mail was changed")),
            _ => Ok(()),
        }
    }

    /// Everything is told once, with its bytes.
    fn check_outbox(&self) -> Result<(), Failure> {
        let rows = self.store.outbox(None, 100).unwrap();
        let text = |bytes: &Path| self.files(|path| path == bytes).pop().unwrap_or_default();
        let told: Vec<(&str, String)> =
            rows.iter().rev().map(|row| (row.telling.way.word(), text(&row.bytes))).collect();
        let wanted = self.stage.by_hand.iter().flat_map(|(_, told)| told);
        let wanted: Vec<(&str, String)> = wanted.map(|(word, text)| (*word, (*text).to_owned())).collect();
        if told == wanted { Ok(()) } else { Err(self.failure(Wrong::Spool, &format!("in the outbox: {told:?}"))) }
    }

    pub fn check_nothing_is_left_over(&self) -> Result<(), Failure> {
        let leftovers: Vec<String> = self.files(|path| path.parent().is_some_and(|dir| dir.ends_with("tmp")));
        if leftovers.is_empty() { Ok(()) } else { Err(self.failure(Wrong::LeftOver, &format!("{leftovers:?}"))) }
    }

    /// Each message is delivered, whole and once.
    pub fn check_mail(&self) -> Result<(), Failure> {
        let (found, wanted) = (self.delivered(), self.wanted());
        let stands = |place| found.get(place).copied().unwrap_or(0);
        let is_wanted = |place: &Place| wanted.contains_key(place);
        let is_half = |place: &Place| {
            let is_part_of = |whole: &str| whole != place.content && whole.starts_with(&place.content);
            wanted.keys().any(|whole| is_part_of(&whole.content))
        };
        let wrong = |what, place: &Place, n| Err(self.failure(what, &format!("{place:?} stands there {n} times")));
        if let Some((place, n)) = found.iter().find(|(place, _)| !is_wanted(place)) {
            return wrong(if is_half(place) { Wrong::Half } else { Wrong::Misplaced }, place, *n);
        }
        for (place, n) in &wanted {
            match stands(place) {
                less if less < *n => return wrong(Wrong::Lost, place, less),
                more if more > *n => return wrong(Wrong::Doubled, place, more),
                _ => {}
            }
        }
        Ok(())
    }

    fn delivered(&self) -> BTreeMap<Place, usize> {
        found::delivered(&self.disk, &|bytes| self.without_padding(bytes))
    }

    fn wanted(&self) -> BTreeMap<Place, usize> {
        let unfiltered = self.unfiltered();
        let mut wanted = BTreeMap::new();
        let mut want = |folder: &str, flags: &str, content: &str| {
            let place = Place { folder: folder.into(), flags: flags.into(), content: content.into() };
            *wanted.entry(place).or_default() += 1;
        };
        for (index, (text, places)) in self.stage.case.messages.iter().enumerate() {
            match unfiltered == Some(index) {
                true => want("INBOX", "", text),
                false => places.iter().for_each(|(folder, flags, content)| want(folder, flags, content)),
            }
        }
        if self.stage.case.protocol == Protocol::Imap {
            want("INBOX", "", ARCHIVED.1);
        }
        if self.died_twice_deciding().is_some() {
            want("INBOX", "", CRASHED);
        }
        wanted
    }

    fn wanted_in_spool(&self) -> Vec<&'static str> {
        if let Some((spooled, _)) = &self.stage.by_hand {
            let mut spooled = spooled.clone();
            spooled.sort_unstable();
            return spooled;
        }
        let unfiltered = self.unfiltered();
        let messages = self.stage.case.messages.iter().enumerate();
        let discarded = messages.filter(|(index, (_, places))| places.is_empty() && unfiltered != Some(*index));
        discarded.map(|(_, (text, _))| *text).collect()
    }

    /// Two deaths while the same message was being decided: it is filed without its rules, and the user is told.
    fn died_twice_deciding(&self) -> Option<&Key> {
        let mut keys = self.died_deciding.iter();
        let first = keys.next()?;
        keys.any(|key| key == first).then_some(first)
    }

    /// Its index among the messages.
    fn unfiltered(&self) -> Option<usize> {
        let key = self.died_twice_deciding().filter(|key| key.origin.folder == "INBOX")?;
        let inbox = &self.untouched[0].messages;
        inbox.iter().position(|m| m.uid.to_string().as_bytes() == key.id || m.uidl.as_bytes() == key.id)
    }

    /// The contents of the files whose path is wanted.
    fn files(&self, wanted: impl Fn(&Path) -> bool) -> Vec<String> {
        let files = self.disk.files_below(Path::new("/")).into_iter().filter(|(path, _)| wanted(path));
        files.map(|(_, bytes)| self.without_padding(&bytes)).collect()
    }

    fn without_padding(&self, bytes: &[u8]) -> String {
        let padding = self.stage.case.padding();
        String::from_utf8_lossy(bytes.strip_suffix(padding.as_bytes()).unwrap_or(bytes)).into_owned()
    }

    fn tell(&mut self, dies_before: Option<usize>, report: &Report) {
        let steps = self.fate.steps();
        let end = match dies_before {
            Some(n) if steps.len() + 1 == n => "died",
            _ => "ended",
        };
        let last = steps.last().map_or("nothing", String::as_str);
        self.told.push(format!("a run {end} after {} steps, the last one: {last}; {:?}", steps.len(), report.errors));
    }

    pub fn failure(&self, what: Wrong, how: &str) -> Failure {
        let text = format!("{how}\n{:?}, {:?}\n{}", self.stage.case, self.machine, self.told.join("\n"));
        Failure { what, text }
    }
}

fn serve(protocol: Protocol, mailbox: &Mailbox, fate: &Fate) -> Server {
    let faults = Faults::none();
    let fate = fate.clone();
    faults.gate(move |command| fate.step(|| format!("server: {command}")).is_ok());
    match protocol {
        Protocol::Imap => Server::Imap(ImapServer::start(mailbox, ImapOptions::with_faults(&faults))),
        Protocol::Pop3 => Server::Pop3(Pop3Server::start(mailbox, Pop3Options::with_faults(&faults))),
    }
}

/// Arrived at some fixed time, so that a second attempt gives the file the same name.
fn incoming(text: &str) -> Incoming {
    Incoming::new(text).arrived(1_700_000_000)
}

/// Stands for the notice that a message was filed without its rules.
const CRASHED: &str = "(notice: crashed)";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    Lost,
    Doubled,
    /// The beginning of a message.
    Half,
    /// A message in a folder or with flags that no rule gave it, or mail that nobody sent.
    Misplaced,
    /// Under `tmp/`.
    LeftOver,
    /// A discarded message is not kept, or something else is.
    Spool,
    Server,
    /// It reported an error although nothing disturbed it.
    Run,
}

/// What went wrong, and the story that led to it.
pub struct Failure {
    pub what: Wrong,
    text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.what, self.text)
    }
}
