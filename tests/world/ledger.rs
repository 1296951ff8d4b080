//! The ledger: it stands outside the program, knows every message that ever stood anywhere, and says which of the
//! promises was broken.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::mail::{self, Mail};
use crate::sight::{Place, Sighting, look};
use crate::support::mailbox::{Mailbox, Stored};
use crate::support::smtp_server::SmtpServer;

/// How a message came into the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It was put on the server of this account.
    Server(usize),
    Deliver,
    Sendmail,
}

/// Why the program need not have it, or may have it more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Excuse {
    /// Another client took it from the server.
    OtherClient,
    /// Its reader deleted it.
    Reader,
    /// The user threw the spool away with it.
    User,
    /// The server did not give it as it should; the user may be asked to look.
    Faulty,
    /// All ids of its server changed, or it has the id of another one. Whoever lost the state knows it no more.
    OtherId,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub mail: Mail,
    pub way: Way,
    /// The program said that it has it, or nobody needs to say so.
    pub is_taken: bool,
    pub excuses: BTreeSet<Excuse>,
    /// More copies than one may be there: windows that the manual names.
    pub more: usize,
}

impl Entry {
    /// Its server gives it as it should, and nobody else had a hand in it.
    pub fn is_given(&self) -> bool {
        self.excuses.iter().all(|excuse| matches!(excuse, Excuse::OtherId))
    }

    /// Others have seen to it that it need not be here.
    pub fn may_be_gone(&self) -> bool {
        self.excuses.iter().any(|excuse| !matches!(excuse, Excuse::Faulty | Excuse::OtherId))
    }
}

/// Where one message stands.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    pub whole: Vec<Sighting>,
    pub half: Vec<Sighting>,
    pub told: usize,
    pub on_server: bool,
}

impl Standing {
    pub fn filed(&self) -> impl Iterator<Item = &Sighting> {
        self.whole.iter().filter(|seen| matches!(seen.place, Place::Filed(_) | Place::Mbox(_)))
    }

    /// Without what an older state left beside, which stands in the folder of that name.
    pub fn filed_once(&self) -> usize {
        let recovered = Place::Filed("Recovered".to_owned());
        self.filed().filter(|seen| seen.place != recovered).count()
    }

    /// It would survive the loss of the server's copy: `tmp/` is not enough.
    pub fn is_safe(&self) -> bool {
        self.told > 0 || self.whole.iter().any(|seen| seen.place != Place::Tmp)
    }

    pub fn is_anywhere(&self) -> bool {
        self.on_server || self.told > 0 || !self.whole.is_empty()
    }
}

/// Shared with the servers, which tell it what is removed.
#[derive(Clone)]
pub struct Ledger {
    home: PathBuf,
    pub relays: [Arc<SmtpServer>; 2],
    pub archive: Mailbox,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    entries: BTreeMap<String, Entry>,
    servers: Vec<Mailbox>,
    faults: Vec<String>,
    deleting: Vec<bool>,
    /// Tellings whose outcome nobody knows: so many may have been done twice.
    unsure: usize,
    states_lost: usize,
    given_up: bool,
    /// Messages that their servers count and do not name.
    hidden: Vec<(usize, String)>,
}

impl Ledger {
    pub fn new(home: PathBuf, relays: [Arc<SmtpServer>; 2], archive: Mailbox) -> Self {
        Ledger { home, relays, archive, inner: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// From now on this mailbox is watched.
    pub fn watch(&self, mailbox: &Mailbox, deletes: bool) {
        let number = {
            let mut inner = self.lock();
            inner.servers.push(mailbox.clone());
            inner.deleting.push(deletes);
            inner.servers.len() - 1
        };
        let ledger = self.clone();
        mailbox.watch_removals(move |gone| ledger.removed(number, gone));
    }

    /// Whether the program may remove anything from that server.
    pub fn may_delete(&self, server: usize, deletes: bool) {
        self.lock().deleting[server] = deletes;
    }

    pub fn arrives(&self, mail: &Mail, way: Way) {
        let is_taken = matches!(way, Way::Server(_));
        let entry = Entry { mail: mail.clone(), way, is_taken, excuses: BTreeSet::new(), more: 0 };
        self.lock().entries.insert(mail.token.clone(), entry);
    }

    pub fn change(&self, token: &str, edit: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.lock().entries.get_mut(token) {
            edit(entry);
        }
    }

    pub fn excuse(&self, token: &str, why: Excuse) {
        self.change(token, |entry| _ = entry.excuses.insert(why));
    }

    pub fn entries(&self) -> BTreeMap<String, Entry> {
        self.lock().entries.clone()
    }

    pub fn blame(&self, what: String) {
        let mut inner = self.lock();
        if !inner.faults.contains(&what) {
            inner.faults.push(what);
        }
    }

    pub fn faults(&self) -> Vec<String> {
        self.lock().faults.clone()
    }

    /// Something was cut off that may have been telling somebody.
    pub fn is_unsure(&self, how_many: usize) {
        self.lock().unsure += how_many;
    }

    pub fn unsure(&self) -> usize {
        self.lock().unsure
    }

    /// A relay refuses for good, or a user drops: what was to be told goes to the inbox, also when it is filed already.
    pub fn gives_up(&self) {
        self.lock().given_up = true;
    }

    pub fn has_given_up(&self) -> bool {
        self.lock().given_up
    }

    /// As long as that message stands there, whoever lists that server knows that the list is too short.
    pub fn hides(&self, server: usize, token: &str) {
        self.lock().hidden.push((server, token.to_owned()));
    }

    pub fn hides_nothing(&self) {
        self.lock().hidden.clear();
    }

    /// A message that this server counts and does not name.
    fn hidden_by(&self, server: usize) -> Option<String> {
        let (hidden, mailbox) = {
            let inner = self.lock();
            (inner.hidden.clone(), inner.servers[server].clone())
        };
        let inbox = mailbox.read_folder("INBOX", |folder| folder.messages.clone()).unwrap_or_default();
        let there: BTreeSet<String> = inbox.iter().filter_map(|stored| Some(mail::read(&stored.bytes)?.0)).collect();
        hidden.into_iter().find(|(owner, token)| *owner == server && there.contains(token)).map(|(_, token)| token)
    }

    pub fn loses_state(&self) {
        self.lock().states_lost += 1;
    }

    pub fn states_lost(&self) -> usize {
        self.lock().states_lost
    }

    /// A client has just removed this. It must be safe here already.
    fn removed(&self, server: usize, gone: &[Stored]) {
        let tokens: BTreeSet<String> = gone.iter().filter_map(|stored| Some(mail::read(&stored.bytes)?.0)).collect();
        if !self.lock().deleting[server] {
            self.blame(format!("deleted although mail is to be kept there: {tokens:?} on server {server}"));
        }
        if let Some(hidden) = self.hidden_by(server) {
            self.blame(format!("deleted on server {server}, which counts {hidden} and does not name it: {tokens:?}"));
        }
        let entries = self.entries();
        let is_ours = |token: &String| entries.get(token).is_some_and(|entry| !entry.may_be_gone());
        let mut missing: BTreeSet<String> = tokens.into_iter().filter(is_ours).collect();
        // A reader may move files while we look.
        for _ in 0..4 {
            let standing = self.standing();
            missing.retain(|token| !standing.get(token).is_some_and(Standing::is_safe));
            if missing.is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        // What a reader deleted since we began to look.
        let entries = self.entries();
        missing.retain(|token| entries.get(token).is_some_and(|entry| !entry.may_be_gone()));
        if missing.is_empty() {
            return;
        }
        // What stands here a moment later was published too late, or two readers moved it while we looked, which its path tells.
        std::thread::sleep(Duration::from_millis(200));
        let later = self.standing();
        for token in missing {
            let kind = entries.get(&token).map(|entry| entry.mail.kind);
            let places: Vec<&str> =
                later.get(&token).into_iter().flat_map(|it| &it.whole).map(|it| &*it.path).collect();
            let then = format!("200 ms later it stands at {places:?}");
            self.blame(format!("deleted on server {server} before it was safe here: {token} {kind:?}; {then}"));
        }
    }

    /// Where everything stands now.
    pub fn standing(&self) -> BTreeMap<String, Standing> {
        let mut all: BTreeMap<String, Standing> = BTreeMap::new();
        for seen in look(&self.home) {
            let standing = all.entry(seen.token.clone()).or_default();
            if seen.whole { &mut standing.whole } else { &mut standing.half }.push(seen);
        }
        // After the disk: what goes from the one to the other must be seen in one of them.
        for token in self.told() {
            all.entry(token).or_default().told += 1;
        }
        let servers = self.lock().servers.clone();
        for stored in servers.iter().flat_map(Mailbox::snapshot).flat_map(|folder| folder.messages) {
            if let Some((token, true)) = mail::read(&stored.bytes) {
                all.entry(token).or_default().on_server = true;
            }
        }
        all
    }

    /// Every message that somebody took, as often as it was taken.
    fn told(&self) -> Vec<String> {
        let mails = self.relays.iter().flat_map(|relay| relay.mails());
        let mut tokens: Vec<String> = mails.filter_map(|taken| Some(mail::read(&taken.message())?.0)).collect();
        let archived = self.archive.snapshot().into_iter().flat_map(|folder| folder.messages);
        tokens.extend(archived.filter_map(|stored| Some(mail::read(&stored.bytes)?.0)));
        let piped = std::fs::read_to_string(self.home.join("piped")).unwrap_or_default();
        tokens
            .extend(piped.lines().filter_map(|line| line.strip_prefix("X-World: ")).map(|line| line.trim().to_owned()));
        tokens
    }

    /// Every answer: to whom, and to which message.
    pub fn answers(&self) -> Vec<(String, String)> {
        let mails = self.relays[0].mails();
        let answers = mails.iter().filter(|taken| mail::read(&taken.message()).is_none());
        answers.map(|taken| (taken.to.join(", "), in_reply_to(&taken.message()))).collect()
    }
}

fn in_reply_to(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let field = text.lines().find_map(|line| line.strip_prefix("In-Reply-To: "));
    field.unwrap_or_default().trim().to_owned()
}
