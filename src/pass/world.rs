//! What a pass works with: the memory, the disk, the clock.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::ListFiles;
use crate::config::Config;
use crate::deliver::{Folders, Stager, host_part};
use crate::error::Result;
use crate::message::{Bytes, MAX_HEADER, Message};
use crate::source::{Memory, Spool};
use crate::state::{Disk, RealDisk, SET_ASIDE, SqliteStore, Store};

/// A message over this size is read from its file when it is needed, in bytes.
const WINDOW: u64 = 8 * 1024 * 1024;

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
    /// Whether programs are started as root.
    pub allow_root: bool,
}

impl World {
    /// The real one. Opens the database and creates the state folder.
    pub fn open(config: &Config) -> Result<Self> {
        Ok(Self::with_store(config, SqliteStore::open(&config.state)?))
    }

    /// For commands that only look: without a state there is nothing to see, and none is made.
    pub fn look(config: &Config) -> Result<Self> {
        match SqliteStore::exists(&config.state) {
            true => Self::open(config),
            false => Ok(Self::with_store(config, SqliteStore::in_memory()?)),
        }
    }

    fn with_store(config: &Config, store: SqliteStore) -> Self {
        Self {
            store: Arc::new(store),
            disk: Arc::new(RealDisk),
            folders: Arc::new(Folders::new(config.maildir.clone())),
            state: config.state.clone(),
            now: Timestamp::now,
            memory: Memory::default(),
            threads: 8,
            host: host_part(),
            lists: Arc::default(),
            allow_root: false,
        }
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
        self.spool_folder().join("mbox")
    }

    /// The folder of what stood in the spool when the database was made anew.
    pub fn set_aside(&self) -> PathBuf {
        self.state.join(SET_ASIDE)
    }

    /// Whether anything stands there.
    pub fn has_set_aside(&self) -> bool {
        self.disk.names(&self.set_aside()).is_ok_and(|names| !names.is_empty())
    }

    /// The spool as a source uses it.
    pub fn spool(&self) -> Spool {
        Spool::new(Arc::clone(&self.disk), self.spool_folder())
    }

    /// A message whose body can be read even where it is a file in the spool.
    pub fn message(&self, bytes: Bytes) -> Message {
        let disk = Arc::clone(&self.disk);
        Message::with_opener(bytes, Arc::new(move |path| disk.open(path)))
    }

    /// A message in a file: read when it is small, left where it is when it is big.
    pub fn read(&self, path: &Path) -> io::Result<Message> {
        let mut bytes = Vec::new();
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

    /// The writer of batches.
    pub fn stager(&self) -> Stager<'_> {
        Stager { disk: &*self.disk, folders: &self.folders, threads: self.threads }
    }
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
