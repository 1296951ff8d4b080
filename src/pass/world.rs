//! What a pass works with: the memory, the disk, the clock.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{ListFiles, Newcomers, Turns, Walk, mounted};
use crate::charsets::Charset;
use crate::config::{Config, MailRoot, ORIGINALS};
use crate::deliver::{Folders, Stager, host_part};
use crate::error::{Error, Kind, Result};
use crate::message::{Bytes, MAX_HEADER, Message};
use crate::source::{Memory, Spool};
use crate::state::{Clock, Disk, MBOX_SPOOL, Owned, Places, RealDisk, SET_ASIDE, SqliteStore, Stamp, Store};

/// A message over this size is read from its file when it is needed, in bytes.
const WINDOW: u64 = 8 * 1024 * 1024;

/// So much room a message that is read gets at first, in bytes: most are smaller, and need no more.
const FIRST_READ: usize = 16 * 1024;

/// Everything outside the program that it touches, except the servers. Tests put a forgetful disk, a failing
/// store or a stopped clock here.
#[derive(Clone)]
pub struct World {
    /// The memory.
    pub store: Arc<dyn Store>,
    /// The mail files.
    pub disk: Arc<dyn Disk>,
    /// The folders below the mail root.
    pub folders: Arc<Folders>,
    /// The state folder.
    pub state: PathBuf,
    /// The time.
    pub now: fn() -> Timestamp,
    /// The bound on messages in memory.
    pub memory: Memory,
    /// How many files are synced at the same time.
    pub threads: usize,
    /// The last part of file names.
    pub host: String,
    /// The files of lists.
    pub lists: Arc<ListFiles>,
    /// What was found staged.
    pub walk: Walk,
    /// Accounts that this process fetches from for the first time.
    pub newcomers: Newcomers,
    /// Whose turn it is among accounts that are one mailbox.
    pub turns: Turns,
    /// Whether programs are started as root.
    pub allow_root: bool,
    /// So many bytes of what mail was before rules changed it are kept.
    pub originals: u64,
    /// The charsets that 8-bit text without a label is in.
    pub assumed: Arc<[Charset]>,
    /// The mailboxes of all accounts of the config.
    pub mailboxes: Arc<[String]>,
}

impl World {
    /// The real one. Opens the database and creates the state folder.
    pub fn open(config: &Config) -> Result<Self> {
        let world = Self::with_store(config, SqliteStore::open(places(config))?);
        // Whatever comes after it is compared with this time.
        world.store.observe(world.now(), false)?;
        Ok(world)
    }

    /// For commands that only look: without a state there is nothing to see, and none is made.
    pub fn look(config: &Config) -> Result<Self> {
        match SqliteStore::exists(&config.state) {
            true => Self::open(config),
            false => Ok(Self::with_store(config, SqliteStore::in_memory(places(config))?)),
        }
    }

    /// The same one, for a config that says other things about messages.
    pub fn with(&self, config: &Config) -> Self {
        let mailboxes = config.accounts.iter().map(crate::config::Account::mailbox).collect();
        let assumed = config.settings.assumed.clone().into();
        Self { originals: config.originals, assumed, mailboxes, ..self.clone() }
    }

    fn with_store(config: &Config, store: SqliteStore) -> Self {
        let world = Self::new(Arc::new(store), Arc::new(RealDisk), config.maildir.clone(), config.state.clone());
        world.with(config)
    }

    /// One with this memory and this disk.
    pub fn new(store: Arc<dyn Store>, disk: Arc<dyn Disk>, root: MailRoot, state: PathBuf) -> Self {
        Self {
            store,
            disk,
            folders: Arc::new(Folders::new(root)),
            state,
            now: Timestamp::now,
            memory: Memory::default(),
            threads: 8,
            host: host_part(),
            lists: Arc::default(),
            walk: Walk::default(),
            newcomers: Newcomers::default(),
            turns: Turns::default(),
            allow_root: false,
            originals: ORIGINALS,
            assumed: Arc::default(),
            mailboxes: Arc::default(),
        }
    }

    /// Takes a name space in which files are written, waiting up to `patience` for its owner. The mail root is proven to be
    /// the right one first.
    pub fn own(&self, space: &str, patience: Duration) -> Result<Arc<Owned>> {
        mounted(self)?;
        self.own_without_root(space, patience)
    }

    /// The same for what writes into no Maildir.
    pub fn own_without_root(&self, space: &str, patience: Duration) -> Result<Arc<Owned>> {
        Owned::take(&*self.store, &self.locks(), space, patience).map(Arc::new)
    }

    /// Does work that may block, for a disk, a lock or the database, off the workers of the runtime.
    pub async fn off<T: Send + 'static>(&self, work: impl FnOnce(&Self) -> Result<T> + Send + 'static) -> Result<T> {
        let world = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&world)).await;
        done.map_err(|e| Error::transient(Kind::Busy, "a thread that was to wait ended").because(e))?
    }

    /// The folder of lock files.
    pub fn locks(&self) -> PathBuf {
        self.state.join("locks")
    }

    /// The folder of messages that stand in no Maildir.
    pub fn spool_folder(&self) -> PathBuf {
        self.state.join("spool")
    }

    /// The folder of messages on their way into mbox files.
    pub fn mbox_spool(&self) -> PathBuf {
        self.spool_folder().join(MBOX_SPOOL)
    }

    /// The folder of what stood in the spool when the database was made anew.
    pub fn set_aside(&self) -> PathBuf {
        self.state.join(SET_ASIDE)
    }

    /// Whether anything stands there.
    pub fn has_set_aside(&self) -> bool {
        self.disk.names(&self.set_aside()).is_ok_and(|names| !names.is_empty())
    }

    /// The spool, for one who writes with that stamp.
    pub fn spool(&self, stamp: Stamp) -> Spool {
        Spool::new(Arc::clone(&self.disk), self.spool_folder(), stamp)
    }

    /// A message whose body can be read even where it is a file in the spool.
    pub fn message(&self, bytes: Bytes) -> Message {
        let disk = Arc::clone(&self.disk);
        Message::with_opener(bytes, Arc::new(move |path| disk.open(path))).assuming(&self.assumed)
    }

    /// A message in a file: read when it is small, left where it is when it is big.
    pub fn read(&self, path: &Path) -> io::Result<Message> {
        let mut bytes = Vec::with_capacity(FIRST_READ);
        let mut file = self.disk.open(path)?;
        (&mut file).take(WINDOW + 1).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) <= WINDOW {
            return Ok(self.message(Bytes::Memory(bytes)));
        }
        let rest = io::copy(&mut file, &mut io::sink())?;
        let length = bytes.len() as u64 + rest;
        bytes.truncate(MAX_HEADER);
        Ok(self.message(Bytes::Spooled { head: bytes, path: path.to_owned(), length }))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// Whether the time is plausible. Where it is not, nothing is pruned, given up, forgotten or deleted by its age.
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

/// Somebody who watches a pass: a progress bar.
pub trait Watch: Send + Sync {
    /// So much will be fetched from a folder.
    fn expect(&self, folder: &str, messages: u64, bytes: u64);
    /// So much is safe here.
    fn safe(&self, messages: u64, bytes: u64);
}

/// Nobody.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Watch for Silent {
    fn expect(&self, _: &str, _: u64, _: u64) {}
    fn safe(&self, _: u64, _: u64) {}
}
