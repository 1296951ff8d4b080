//! One person's mail on a server: what [`super::imap_server`] and [`super::pop3_server`] serve, even both at once.
//!
//! The test holds a clone and may change the mailbox while a session runs, as other clients of a real server do.
//!
//! ```ignore
//! let mailbox = Mailbox::new("me@example.com", "secret");
//! let uid = mailbox.add("INBOX", "Subject: hello\n\nworld\n");
//! let server = ImapServer::start(&mailbox, ImapOptions::default());
//! …
//! assert_eq!(mailbox.flags("INBOX", uid), Some(vec![]), "fetching must not set \\Seen");
//! ```

use super::date;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;

/// Cheap to clone; all clones are the same mailbox.
#[derive(Clone)]
pub struct Mailbox {
    state: Arc<Mutex<State>>,
    /// Counts the changes: IDLE sessions wait for the next one.
    changes: watch::Sender<u64>,
}

/// Gets what a client removed.
type Watcher = Arc<dyn Fn(&[Stored]) + Send + Sync>;

struct State {
    removals: Option<Watcher>,
    user: String,
    password: String,
    folders: Vec<Folder>,
    next_uidl: u32,
    pop3_session: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// As it travels: modified UTF-7, `/` between the levels.
    pub name: String,
    pub uidvalidity: u32,
    pub uidnext: u32,
    /// What LIST says about it: `\Noselect`, `\Sent`, …
    pub attributes: Vec<String>,
    /// Ascending by UID.
    pub messages: Vec<Stored>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub uid: u32,
    pub uidl: String,
    pub flags: BTreeSet<String>,
    /// Seconds since 1970.
    pub internaldate: i64,
    pub bytes: Arc<[u8]>,
}

/// A message on its way into the mailbox, when more than its bytes matters.
#[derive(Clone, Debug)]
pub struct Incoming {
    pub bytes: Vec<u8>,
    pub flags: BTreeSet<String>,
    pub internaldate: i64,
}

impl Incoming {
    /// Lone LF becomes CRLF.
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        Self::raw(to_crlf(bytes.as_ref()))
    }

    /// The bytes as they are, also lone LF and CR: for what broken servers send.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Incoming { bytes: bytes.into(), flags: BTreeSet::new(), internaldate: date::now() }
    }

    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.insert(flag.to_owned());
        self
    }

    /// Arrived at this second since 1970; see [`date::ymd`].
    pub fn arrived(mut self, internaldate: i64) -> Self {
        self.internaldate = internaldate;
        self
    }
}

impl Mailbox {
    /// With an empty INBOX.
    pub fn new(user: &str, password: &str) -> Self {
        let (user, password) = (user.to_owned(), password.to_owned());
        let state = State {
            removals: None,
            user,
            password,
            folders: vec![Folder::new("INBOX", 1)],
            next_uidl: 1,
            pop3_session: false,
        };
        Mailbox { state: Arc::new(Mutex::new(state)), changes: watch::Sender::new(0) }
    }

    /// The message with LF turned into CRLF; makes the folder when it is not there. Returns the UID.
    pub fn add(&self, folder: &str, bytes: impl AsRef<[u8]>) -> u32 {
        self.add_message(folder, Incoming::new(bytes))
    }

    /// The message byte for byte, whatever its line endings.
    pub fn add_raw(&self, folder: &str, bytes: &[u8]) -> u32 {
        self.add_message(folder, Incoming::raw(bytes))
    }

    pub fn add_message(&self, folder: &str, message: Incoming) -> u32 {
        self.change(|state| {
            let uidl = format!("uidl-{:06}", state.next_uidl);
            state.next_uidl += 1;
            state.folder_or_new(folder).push(uidl, message)
        })
    }

    /// Does nothing when the folder is there already.
    pub fn add_folder(&self, name: &str, attributes: &[&str]) {
        self.change(|state| {
            state.folder_or_new(name).attributes = attributes.iter().map(|word| word.to_string()).collect();
        });
    }

    pub fn remove_folder(&self, name: &str) {
        self.change(|state| state.folders.retain(|folder| folder.name != name));
    }

    /// As another client's expunge. Says whether the message was there.
    pub fn remove(&self, folder: &str, uid: u32) -> bool {
        self.change(|state| state.folder_mut(folder).is_some_and(|folder| folder.remove(uid).is_some()))
    }

    /// A new UIDVALIDITY; with `renumber` the messages also get new UIDs, in reverse order, so that no old UID
    /// means the same message any more (unless there is only one).
    pub fn set_uidvalidity(&self, folder: &str, uidvalidity: u32, renumber: bool) {
        self.change(|state| {
            let folder = state.folder_or_new(folder);
            folder.uidvalidity = uidvalidity;
            if renumber {
                folder.renumber();
            }
        });
    }

    /// A lie about the next UID: it may go down, or be 0.
    pub fn set_uidnext(&self, folder: &str, uidnext: u32) {
        self.change(|state| state.folder_or_new(folder).uidnext = uidnext);
    }

    pub fn set_uidl(&self, folder: &str, uid: u32, uidl: &str) {
        self.change_message(folder, uid, |message| message.uidl = uidl.to_owned());
    }

    pub fn set_flags(&self, folder: &str, uid: u32, flags: &[&str]) {
        self.change_message(folder, uid, |message| message.flags = flags.iter().map(|flag| flag.to_string()).collect());
    }

    pub fn set_internaldate(&self, folder: &str, uid: u32, seconds: i64) {
        self.change_message(folder, uid, |message| message.internaldate = seconds);
    }

    pub fn count(&self, folder: &str) -> usize {
        self.read_folder(folder, |folder| folder.messages.len()).unwrap_or(0)
    }

    /// In alphabetical order; `None` when the message is gone.
    pub fn flags(&self, folder: &str, uid: u32) -> Option<Vec<String>> {
        self.read_message(folder, uid, |message| message.flags.iter().cloned().collect())
    }

    pub fn uids(&self, folder: &str) -> Vec<u32> {
        self.read_folder(folder, Folder::uids).unwrap_or_default()
    }

    pub fn bytes(&self, folder: &str, uid: u32) -> Option<Arc<[u8]>> {
        self.read_message(folder, uid, |message| message.bytes.clone())
    }

    /// All of it as it stands now, to compare with later. Copies no mail.
    pub fn snapshot(&self) -> Vec<Folder> {
        self.lock().folders.clone()
    }

    pub fn user(&self) -> String {
        self.lock().user.clone()
    }

    pub fn password(&self) -> String {
        self.lock().password.clone()
    }

    pub fn set_password(&self, password: &str) {
        self.lock().password = password.to_owned();
    }
}

/// What the servers need.
impl Mailbox {
    pub fn accepts(&self, user: &str, password: &str) -> bool {
        let state = self.lock();
        state.user == user && state.password == password
    }

    /// `None` when there is no such folder.
    pub fn read_folder<T>(&self, name: &str, read: impl FnOnce(&Folder) -> T) -> Option<T> {
        self.lock().folders.iter().find(|folder| folder.is_called(name)).map(read)
    }

    pub fn read_message<T>(&self, folder: &str, uid: u32, read: impl FnOnce(&Stored) -> T) -> Option<T> {
        self.read_folder(folder, |folder| folder.message(uid).map(read)).flatten()
    }

    /// Runs `edit` on the folder, when it is there, and tells the IDLE sessions.
    pub fn change_folder<T>(&self, name: &str, edit: impl FnOnce(&mut Folder) -> T) -> Option<T> {
        let (result, gone, watcher) = self.change(|state| {
            let watcher = state.removals.clone();
            let Some(folder) = state.folder_mut(name) else { return (None, Vec::new(), None) };
            let before = watcher.as_ref().map_or(Vec::new(), |_| folder.messages.clone());
            let result = edit(folder);
            let is_gone = |message: &Stored| folder.message(message.uid).is_none();
            (Some(result), before.into_iter().filter(is_gone).collect(), watcher)
        });
        if let Some(watcher) = watcher.filter(|_| !gone.is_empty()) {
            watcher(&gone);
        }
        result
    }

    /// Calls this with what a client of a server has just removed, before that client hears of it. Not with what
    /// [`Self::remove`] removes.
    pub fn watch_removals(&self, watcher: impl Fn(&[Stored]) + Send + Sync + 'static) {
        self.lock().removals = Some(Arc::new(watcher));
    }

    /// A receiver that wakes at every change from now on.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The right to be the one POP3 session, until it is dropped.
    pub fn lock_for_pop3(&self) -> Option<Pop3Lock> {
        let mut state = self.lock();
        if state.pop3_session {
            return None;
        }
        state.pop3_session = true;
        Some(Pop3Lock(self.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that failed while it held the lock must not make every other failure unreadable.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn change<T>(&self, edit: impl FnOnce(&mut State) -> T) -> T {
        let result = edit(&mut self.lock());
        self.changes.send_modify(|count| *count += 1);
        result
    }

    fn change_message(&self, folder: &str, uid: u32, edit: impl FnOnce(&mut Stored)) {
        let found = self.change_folder(folder, |folder| folder.message_mut(uid).map(edit));
        assert!(found.flatten().is_some(), "the mailbox has no message {uid} in {folder}");
    }
}

/// See [`Mailbox::lock_for_pop3`].
pub struct Pop3Lock(Mailbox);

impl Drop for Pop3Lock {
    fn drop(&mut self) {
        self.0.lock().pop3_session = false;
    }
}

impl State {
    fn folder_mut(&mut self, name: &str) -> Option<&mut Folder> {
        self.folders.iter_mut().find(|folder| folder.is_called(name))
    }

    fn folder_or_new(&mut self, name: &str) -> &mut Folder {
        if self.folder_mut(name).is_none() {
            // Each folder its own UIDVALIDITY: a mix-up of folders must not go unseen.
            let uidvalidity = self.folders.len() as u32 + 1;
            self.folders.push(Folder::new(name, uidvalidity));
        }
        self.folder_mut(name).unwrap()
    }
}

impl Folder {
    fn new(name: &str, uidvalidity: u32) -> Self {
        Folder { name: name.to_owned(), uidvalidity, uidnext: 1, attributes: Vec::new(), messages: Vec::new() }
    }

    fn is_called(&self, name: &str) -> bool {
        self.name == name || (self.name == "INBOX" && name.eq_ignore_ascii_case("INBOX"))
    }

    pub fn uids(&self) -> Vec<u32> {
        self.messages.iter().map(|message| message.uid).collect()
    }

    pub fn message(&self, uid: u32) -> Option<&Stored> {
        self.position(uid).map(|index| &self.messages[index])
    }

    pub fn message_mut(&mut self, uid: u32) -> Option<&mut Stored> {
        self.position(uid).map(|index| &mut self.messages[index])
    }

    pub fn remove(&mut self, uid: u32) -> Option<Stored> {
        self.position(uid).map(|index| self.messages.remove(index))
    }

    fn position(&self, uid: u32) -> Option<usize> {
        self.messages.binary_search_by_key(&uid, |message| message.uid).ok()
    }

    pub fn push(&mut self, uidl: String, message: Incoming) -> u32 {
        // Not below the last message even if a test made UIDNEXT lie.
        let uid = self.uidnext.max(self.messages.last().map_or(0, |last| last.uid) + 1);
        let Incoming { bytes, flags, internaldate } = message;
        self.messages.push(Stored { uid, uidl, flags, internaldate, bytes: bytes.into() });
        self.uidnext = uid + 1;
        uid
    }

    fn renumber(&mut self) {
        self.messages.reverse();
        for (index, message) in self.messages.iter_mut().enumerate() {
            message.uid = index as u32 + 1;
        }
        self.uidnext = self.messages.len() as u32 + 1;
    }
}

/// Every LF that has no CR before it gets one. Nothing else changes.
pub fn to_crlf(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 40);
    for (index, byte) in bytes.iter().enumerate() {
        if *byte == b'\n' && (index == 0 || bytes[index - 1] != b'\r') {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Folder, Incoming, Mailbox, to_crlf};

    #[test]
    fn only_lone_lf_is_converted() {
        assert_eq!(to_crlf(b"\na\nb\r\nc\rd\n\n"), b"\r\na\r\nb\r\nc\rd\r\n\r\n");
    }

    #[test]
    fn uids_grow_and_are_not_used_twice() {
        let mailbox = Mailbox::new("me", "pw");
        assert_eq!([mailbox.add("INBOX", "a\n"), mailbox.add("inbox", "b\n")], [1, 2]);
        assert!(mailbox.remove("INBOX", 2));
        assert_eq!(mailbox.add("INBOX", "c\n"), 3);
        assert_eq!(mailbox.add_message("Other", Incoming::new("d\n").flag("\\Seen")), 1);
        assert_eq!(mailbox.flags("Other", 1), Some(vec!["\\Seen".to_owned()]));
        assert_eq!(mailbox.flags("INBOX", 2), None);
        assert_eq!((mailbox.count("INBOX"), mailbox.count("Other")), (2, 1));
    }

    #[test]
    fn renumbering_keeps_the_messages_and_changes_their_uids() {
        let mailbox = Mailbox::new("me", "pw");
        (1..=3).for_each(|n| _ = mailbox.add("INBOX", format!("message {n}\n")));
        let uidl_of_first = mailbox.snapshot()[0].messages[0].uidl.clone();
        mailbox.set_uidvalidity("INBOX", 77, true);
        let folder = mailbox.read_folder("INBOX", Folder::clone).unwrap();
        assert_eq!((folder.uidvalidity, folder.uidnext, folder.uids()), (77, 4, vec![1, 2, 3]));
        assert_eq!(&*folder.message(3).unwrap().bytes, b"message 1\r\n");
        assert_eq!(folder.message(3).unwrap().uidl, uidl_of_first, "a UIDL stays with its message");
    }

    #[test]
    fn one_pop3_session_at_a_time() {
        let mailbox = Mailbox::new("me", "pw");
        let first = mailbox.lock_for_pop3();
        assert!(first.is_some() && mailbox.lock_for_pop3().is_none());
        drop(first);
        assert!(mailbox.lock_for_pop3().is_some());
    }
}
