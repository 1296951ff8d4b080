//! Opening the state: the database, what it is compared with, and what happens if it is not the one that was last used.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use ring::rand::SecureRandom;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::in_use::InUse;
use super::marker::Marker;
use super::set_aside::{self, begin_anew};
use super::slots::Slots;
use super::sqlite::SqliteStore;
use super::water::{self, Water};
use super::{Lock, Places, RealDisk, Registry, accounts, facts, is_possible, outbox, schema, sync_with_parents};
use crate::error::{DAMAGE, Error, Kind, Result};
use crate::safeguard::Safeguard;

/// How long a process waits for others.
const PROCESS_TIMEOUT: Duration = Duration::from_secs(30);
/// The reason for holding every item that waited in an older state.
const HELD_REASON: &str = "held: the state is an older copy, and nobody knows whether this was sent since";

impl SqliteStore {
    /// Opens or creates the database in the state folder, which is created for its owner alone.
    pub fn open(places: Places) -> Result<Self> {
        let state = places.state().to_owned();
        let doing = || format!("opening the state in {}", state.display());
        let slots = state.join("deciding");
        for dir in [&*state, &slots, &state.join("locks"), &state.join("spool")] {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
            made.map_err(|e| Error::state(doing(), e))?;
            refuse_foreign(dir)?;
        }
        let file = state.join("state.db");
        let is_new = !file.exists();
        if is_new {
            begin_anew(&state, &file, PROCESS_TIMEOUT).map_err(|e| e.while_doing(doing()))?;
        }
        let in_use = InUse::join(&state, PROCESS_TIMEOUT, || has_log(&state), || refuse_damaged(&state))
            .map_err(|e| in_state(e, &state))?;
        let db = Connection::open(&file).map_err(|e| Error::state(doing(), e))?;
        let store = Self::with(db, Some(in_use), Slots::Folder(slots), places).map_err(|e| in_state(e, &state))?;
        if is_new {
            // SQLite syncs the content of the file, but the new name of the file is ours to sync.
            sync_with_parents(&RealDisk, &state).map_err(|e| Error::state(doing(), e))?;
        }
        store.compare().map_err(|e| in_state(e, &state))?;
        Ok(store)
    }

    /// The damage to the database, if there is any.
    pub fn damage(state: &Path) -> Result<Option<Error>> {
        let file = state.join("state.db");
        if !file.exists() {
            return Ok(None);
        }
        let check = || -> rusqlite::Result<String> {
            let db = Connection::open(&file)?;
            db.busy_timeout(PROCESS_TIMEOUT)?;
            // A log that does not belong to the file must not be written into it.
            db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        };
        match check() {
            Ok(verdict) if verdict == "ok" => Ok(None),
            Ok(verdict) => Ok(Some(Error::state("the database is damaged", format!("malformed: {verdict}")))),
            Err(e) if is_damage(&e.to_string()) => Ok(Some(Error::state("the database is damaged", e))),
            Err(e) => Err(Error::state("checking the database", e)),
        }
    }

    /// Moves a damaged database out of the way, with its log. The next opening makes a new one.
    pub fn set_damaged_aside(state: &Path) -> Result<PathBuf> {
        let _lock = Lock::take(&state.join("locks"), "(state)", PROCESS_TIMEOUT)?;
        let aside = state.join(format!("damaged-{}", Timestamp::now().as_second()));
        let failed = |e| Error::disk(format!("moving the database to {}", aside.display()), e);
        std::fs::DirBuilder::new().mode(0o700).create(&aside).map_err(failed)?;
        for file in ["state.db", "state.db-wal", "state.db-shm"] {
            match std::fs::rename(state.join(file), aside.join(file)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
                _ => {}
            }
        }
        sync_with_parents(&RealDisk, &aside).map_err(failed)?;
        Ok(aside)
    }

    /// Whether there is a database in the state folder.
    pub fn exists(state: &Path) -> bool {
        state.join("state.db").exists()
    }

    /// A database that exists as long as this value, for tests and dry runs.
    pub fn in_memory(places: Places) -> Result<Self> {
        let db = Connection::open_in_memory().map_err(|e| Error::state("opening a database in memory", e))?;
        Self::with(db, None, Slots::Memory(Mutex::default()), places)
    }

    fn with(db: Connection, in_use: Option<InUse>, slots: Slots, places: Places) -> Result<Self> {
        let prepare = || -> Result<(), schema::UpgradeError> {
            db.busy_timeout(PROCESS_TIMEOUT)?;
            db.pragma_update(None, "journal_mode", "WAL")?;
            db.pragma_update(None, "synchronous", "FULL")?;
            // A statement is planned once, not for each value: otherwise lookups in a partial index would be planned
            // again each time.
            db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
            schema::upgrade(&db)
        };
        // The change to write-ahead logging needs exclusive access, and SQLite does not wait for that. Many processes
        // may be making a new database at once.
        let until = Instant::now() + PROCESS_TIMEOUT;
        let mut prepared = prepare();
        while prepared.as_ref().is_err_and(schema::UpgradeError::is_busy) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
            prepared = prepare();
        }
        prepared.map_err(|e| match e {
            schema::UpgradeError::Later(_) => Error::permanent(Kind::State, "reading the state").because(e),
            e => Error::state("preparing the state", e),
        })?;
        db.set_prepared_statement_cache_capacity(48);
        Ok(Self::new(db, in_use, slots, places))
    }

    /// Compares the database with what was left beside it. If it is new where there was another, or has fewer
    /// transactions, it is older than its surroundings. Then its waiting items are held, the files in the spool are
    /// filed, and nothing is sent about mail that arrived before now.
    fn compare(&self) -> Result<()> {
        if let Some(identity) = self.fact(facts::IDENTITY)? {
            self.open_water(&identity);
            if !self.is_behind()? {
                return self.correct_take_up_date();
            }
        }
        let _lock = Lock::take(&self.places.state().join("locks"), "(state)", PROCESS_TIMEOUT)?;
        // Another process may have done it already.
        match self.fact(facts::IDENTITY)? {
            Some(identity) if self.is_behind()? => self.take_up(&identity, self.last_written()),
            Some(_) => Ok(()),
            None => self.begin_identity(),
        }
    }

    /// Names a database that is new, or of a version without an identity.
    fn begin_identity(&self) -> Result<()> {
        let is_of_before = self.read("checking whether the state is new", facts::is_of_before)?;
        let had_another = !is_of_before && self.had_another()?;
        let identity = random_identity()?;
        // Read this before anything is written beside the state that is gone.
        let written = self.last_written();
        if had_another {
            water::supersede(self.places.state(), self.places.root());
        }
        // This is one transaction with what follows from it: another process that sees the identity takes the state for
        // current.
        match had_another && Safeguard::StateIsCurrent.is_on() {
            true => self.take_up(&identity, written)?,
            false => self.write("naming the state", |tx| facts::set(tx, facts::IDENTITY, &identity))?,
        }
        self.open_water(&identity);
        let level = self.read("reading the number of transactions", facts::water)?;
        if let Some(water) = self.water.get() {
            water.record(level);
        }
        Ok(())
    }

    /// Whether the folders show traces of a state that this one is not.
    fn had_another(&self) -> Result<bool> {
        let state = self.places.state();
        let is_known = Marker::read(self.places.root()).is_some() || water::beside(state).exists();
        Ok(is_known || set_aside::has_messages(state)?)
    }

    fn open_water(&self, identity: &str) {
        let places = vec![water::beside(self.places.state()), Marker::water(self.places.root(), identity)];
        self.water.set(Water::new(identity, places)).ok();
    }

    fn is_behind(&self) -> Result<bool> {
        if !Safeguard::StateIsCurrent.is_on() {
            return Ok(false);
        }
        let level = self.read("reading the number of transactions", facts::water)?;
        let is_anothers = self.water.get().is_some_and(|water| water.is_anothers(self.places.state()));
        Ok(is_anothers || level < self.highest_water())
    }

    fn last_written(&self) -> Timestamp {
        water::last_written(self.places.state(), self.places.root())
    }

    /// Replaces an impossible date of taking up. A machine without a clock starts in 1970, and a state that it took up
    /// then gets its date once the clock is right. Nothing is sent about mail that came until then.
    fn correct_take_up_date(&self) -> Result<()> {
        let taken_up: Option<Timestamp> = self.fact(facts::REBUILT)?.and_then(|at| at.parse().ok());
        let now = Timestamp::now();
        match taken_up.is_some_and(|at| !is_possible(at)) && is_possible(now) {
            true => self.write("dating a state", |tx| facts::set(tx, facts::REBUILT, &now.to_string())),
            false => Ok(()),
        }
    }

    /// Takes up a state that was rebuilt or restored. `written` is when the previous state was last written: the clock
    /// may be behind the one of that time.
    fn take_up(&self, identity: &str, written: Timestamp) -> Result<()> {
        if Safeguard::UnknownSpoolIsKept.is_on() {
            set_aside::set_aside(self.places.state(), &|name| self.is_named(name))?;
        }
        let highest = self.highest_water();
        let now = Timestamp::now().max(written);
        let known = Marker::read(self.places.root());
        self.write("taking up a state that was rebuilt or restored", |tx| {
            facts::set(tx, facts::IDENTITY, identity)?;
            facts::set_water(tx, highest.max(facts::water(tx)?))?;
            facts::set(tx, facts::REBUILT, &now.to_string())?;
            // An older copy was compared with less mail than there is now.
            tx.execute("UPDATE first_look SET recognised = 0", [])?;
            outbox::hold_all(tx, now, HELD_REASON)?;
            if let Some(marker) = &known {
                if facts::get(tx, facts::ROOT)?.is_none() {
                    facts::set(tx, facts::ROOT, &marker.identity)?;
                }
                marker.accounts.iter().try_for_each(|account| accounts::store_if_unknown(tx, account))?;
            }
            Ok(())
        })
    }
}

/// 32 random hexadecimal digits.
pub(super) fn random_identity() -> Result<String> {
    let mut random = [0; 16];
    let filled = ring::rand::SystemRandom::new().fill(&mut random);
    filled.map_err(|_| Error::transient(Kind::State, "the system gives no random bytes"))?;
    Ok(HEXLOWER.encode(&random))
}

/// Refuses a folder that belongs to another user, or that others may write to: prepared symlinks in it would redirect
/// our writes.
fn refuse_foreign(dir: &Path) -> Result<()> {
    let found = std::fs::symlink_metadata(dir).or_else(|_| std::fs::metadata(dir));
    let found = found.map_err(|e| Error::state(format!("checking {}", dir.display()), e))?;
    let found = match found.file_type().is_symlink() {
        // The owner may reach the state folder itself through a symlink.
        true if found.uid() == rustix::process::geteuid().as_raw() => {
            std::fs::metadata(dir).map_err(|e| Error::state(format!("checking {}", dir.display()), e))?
        }
        _ => found,
    };
    let owner = found.uid();
    let problem = if owner != rustix::process::geteuid().as_raw() {
        format!("it belongs to another user (uid {owner})")
    } else if found.mode() & 0o022 != 0 {
        format!("others may write to it (mode {:03o}); `chmod go-w` makes it yours alone", found.mode() & 0o777)
    } else {
        return Ok(());
    };
    Err(Error::permanent(Kind::State, format!("the state folder {} is not used: {problem}", dir.display())))
}

/// The last process that closes a database removes its log.
fn has_log(state: &Path) -> bool {
    std::fs::metadata(state.join("state.db-wal")).is_ok_and(|log| log.len() > 0)
}

/// Refuses a damaged database after a crash. The log may belong to another database: somebody restored a copy of the
/// file and left the log. The two together make no valid state, and SQLite notices that only where it reads.
fn refuse_damaged(state: &Path) -> Result<()> {
    match SqliteStore::damage(state)? {
        Some(error) if Safeguard::StateIsCurrent.is_on() => Err(error),
        _ => Ok(()),
    }
}

fn is_damage(text: &str) -> bool {
    DAMAGE.iter().any(|sign| text.contains(sign))
}

/// Adds the path of the state to an error.
fn in_state(error: Error, state: &Path) -> Error {
    error.while_doing(format!("opening the state in {}", state.display()))
}
