//! What a pass works with: the state, the disk, the clock.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{LastWalks, ListFiles, Newcomers, Turns, mounted};
use crate::charsets::Charset;
use crate::config::{Config, MailRoot, ORIGINALS};
use crate::deliver::{Folders, Stager, host_part};
use crate::error::{Error, Kind, Result};
use crate::message::{Bytes, MAX_HEADER, Message};
use crate::source::{MemoryBudget, Spool};
use crate::state::{Clock, Disk, MBOX_SPOOL, Owned, Places, RealDisk, SET_ASIDE, SqliteStore, Stamp, Store};

/// A message bigger than this stays in its file and is read when needed.
const MAX_IN_MEMORY_BYTES: u64 = 8 * 1024 * 1024;

/// How many bytes are reserved for a message at first. Most messages are smaller.
const FIRST_READ_BYTES: usize = 16 * 1024;

/// Everything outside the program that it uses, except the servers. Tests put in a disk that forgets, a store that
/// fails, or a stopped clock.
#[derive(Clone)]
pub struct World {
    /// The state.
    pub store: Arc<dyn Store>,
    /// The mail files.
    pub disk: Arc<dyn Disk>,
    /// The folders below the mail root.
    pub folders: Arc<Folders>,
    /// The state folder.
    pub state: PathBuf,
    /// The clock.
    pub now: fn() -> Timestamp,
    /// The bound on the messages in memory.
    pub memory: MemoryBudget,
    /// How many files are synced at the same time.
    pub threads: usize,
    /// The last part of file names.
    pub host: String,
    /// The files of lists.
    pub lists: Arc<ListFiles>,
    /// The results of walks over the mail root.
    pub walk: LastWalks,
    /// Accounts that this process fetches from for the first time.
    pub newcomers: Newcomers,
    /// The turns of accounts that share a mailbox.
    pub turns: Turns,
    /// Whether programs are started as root.
    pub allow_root: bool,
    /// How many bytes of originals are kept of mail that rules changed.
    pub originals: u64,
    /// The charsets assumed for 8-bit text without a label.
    pub assumed: Arc<[Charset]>,
    /// The mailboxes of all accounts of the config.
    pub mailboxes: Arc<[String]>,
}

impl World {
    /// The real world. It opens the database and creates the state folder.
    pub fn open(config: &Config) -> Result<Self> {
        let world = Self::with_store(config, SqliteStore::open(places(config))?);
        // Later times are compared with this one.
        world.store.observe(world.now(), false)?;
        Ok(world)
    }

    /// For commands that only show something. If there is no state, none is made.
    pub fn look(config: &Config) -> Result<Self> {
        match SqliteStore::exists(&config.state) {
            true => Self::open(config),
            false => Ok(Self::with_store(config, SqliteStore::in_memory(places(config))?)),
        }
    }

    /// The same world under a config with other settings about messages.
    pub fn with(&self, config: &Config) -> Self {
        let mailboxes = config.accounts.iter().map(crate::config::Account::mailbox).collect();
        let assumed = config.settings.assumed.clone().into();
        Self { originals: config.originals, assumed, mailboxes, ..self.clone() }
    }

    fn with_store(config: &Config, store: SqliteStore) -> Self {
        let world = Self::new(Arc::new(store), Arc::new(RealDisk), config.maildir.clone(), config.state.clone());
        world.with(config)
    }

    /// A world with this store and this disk.
    pub fn new(store: Arc<dyn Store>, disk: Arc<dyn Disk>, root: MailRoot, state: PathBuf) -> Self {
        Self {
            store,
            disk,
            folders: Arc::new(Folders::new(root)),
            state,
            now: Timestamp::now,
            memory: MemoryBudget::default(),
            threads: 8,
            host: host_part(),
            lists: Arc::default(),
            walk: LastWalks::default(),
            newcomers: Newcomers::default(),
            turns: Turns::default(),
            allow_root: false,
            originals: ORIGINALS,
            assumed: Arc::default(),
            mailboxes: Arc::default(),
        }
    }

    /// Takes a name space in which files are written, and waits up to `patience` for its owner. It first proves that
    /// the mail root is the right one.
    pub fn own(&self, space: &str, patience: Duration) -> Result<Arc<Owned>> {
        mounted(self)?;
        self.own_without_root(space, patience)
    }

    /// Does the same for work that writes to no Maildir.
    pub fn own_without_root(&self, space: &str, patience: Duration) -> Result<Arc<Owned>> {
        Owned::take(&*self.store, &self.locks(), space, patience).map(Arc::new)
    }

    /// Does work that may block on a disk, a lock or the database outside the workers of the runtime.
    pub async fn off<T: Send + 'static>(&self, work: impl FnOnce(&Self) -> Result<T> + Send + 'static) -> Result<T> {
        let world = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&world)).await;
        done.map_err(|e| Error::transient(Kind::Busy, "a thread that was to wait ended").because(e))?
    }

    /// The folder of lock files.
    pub fn locks(&self) -> PathBuf {
        self.state.join("locks")
    }

    /// The folder of messages that are in no Maildir.
    pub fn spool_folder(&self) -> PathBuf {
        self.state.join("spool")
    }

    /// The folder of messages on their way into mbox files.
    pub fn mbox_spool(&self) -> PathBuf {
        self.spool_folder().join(MBOX_SPOOL)
    }

    /// The folder of the files that were in the spool when the database was rebuilt.
    pub fn set_aside(&self) -> PathBuf {
        self.state.join(SET_ASIDE)
    }

    /// Whether that folder holds any file.
    pub fn has_set_aside(&self) -> bool {
        self.disk.names(&self.set_aside()).is_ok_and(|names| !names.is_empty())
    }

    /// The spool, for a writer with that stamp.
    pub fn spool(&self, stamp: Stamp) -> Spool {
        Spool::new(Arc::clone(&self.disk), self.spool_folder(), stamp)
    }

    /// A message whose body can be read even if it is a file in the spool.
    pub fn message(&self, bytes: Bytes) -> Message {
        let disk = Arc::clone(&self.disk);
        Message::with_opener(bytes, Arc::new(move |path| disk.open(path))).assuming(&self.assumed)
    }

    /// A message in a file. A small one is read, and a big one stays where it is.
    pub fn read(&self, path: &Path) -> io::Result<Message> {
        let mut bytes = Vec::with_capacity(FIRST_READ_BYTES);
        let mut file = self.disk.open(path)?;
        (&mut file).take(MAX_IN_MEMORY_BYTES + 1).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) <= MAX_IN_MEMORY_BYTES {
            return Ok(self.message(Bytes::Memory(bytes)));
        }
        let rest = io::copy(&mut file, &mut io::sink())?;
        let length = bytes.len() as u64 + rest;
        bytes.truncate(MAX_HEADER);
        Ok(self.message(Bytes::Spooled { head: bytes, path: path.to_owned(), length }))
    }

    /// The present time.
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// Whether the time is plausible. If not, nothing is pruned, given up, forgotten or deleted because of its age.
    pub fn is_time_plausible(&self) -> Result<bool> {
        Ok(self.store.observe(self.now(), false)? == Clock::Plausible)
    }

    /// The writer of batches.
    pub fn stager<'a>(&'a self, owned: &'a Owned) -> Stager<'a> {
        Stager { disk: &*self.disk, folders: &self.folders, owned, threads: self.threads }
    }
}

fn places(config: &Config) -> Places {
    Places::new(&config.state, &config.maildir.path)
}

/// Somebody who watches a pass, such as a progress bar.
pub trait Watch: Send + Sync {
    /// This much will be fetched from a folder.
    fn expect(&self, folder: &str, messages: u64, bytes: u64);
    /// This much is filed safely.
    fn safe(&self, messages: u64, bytes: u64);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Watch for Silent {
    fn expect(&self, _: &str, _: u64, _: u64) {}
    fn safe(&self, _: u64, _: u64) {}
}
