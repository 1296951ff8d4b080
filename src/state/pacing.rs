//! When an account or a host is tried again after failures, and what the user paused. This outlives the process, so
//! that a restarted daemon does not try a refused password again.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

use super::rows::time;
use super::sqlite::SqliteStore;
use crate::error::Result;
use crate::message::NOTICES;

/// Consecutive failures, and until when nothing is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How many failures.
    pub failures: u32,
    /// When the first of them was.
    pub since: Timestamp,
    /// Until then nothing is tried.
    pub until: Timestamp,
    /// Whether the server refuses the login, so that only the user can help.
    pub is_refused: bool,
    /// When the user got a notice about it; 1970 if there was none.
    pub told: Timestamp,
    /// The last cause.
    pub cause: String,
    /// A hash of the credentials, which shows a change. It is as secret as the state.
    pub credential: String,
}

/// What went wrong in the last passes over an account that reached its end all the same: one folder is refused, one message cannot be
/// fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialFailure {
    /// The first error of the last pass.
    pub cause: String,
    /// When the first of these passes was.
    pub since: Timestamp,
    /// How many passes in a row.
    pub times: u32,
}

/// The pace of accounts, and pauses.
pub trait Pacing {
    /// The failures of an account (by its name) or of a host.
    fn pace(&self, whose: &str) -> Result<Option<Pace>>;

    /// Stores them; `None` means success.
    fn set_pace(&self, whose: &str, pace: Option<&Pace>) -> Result<()>;

    /// What went wrong in the last pass over an account, which was not broken off.
    fn partial_failure(&self, account: &str) -> Result<Option<PartialFailure>>;

    /// Remembers it; `None`: nothing went wrong.
    fn set_partial_failure(&self, account: &str, failure: Option<&PartialFailure>) -> Result<()>;

    /// The names of paused accounts, each with the start of the pause; the empty name means all.
    fn paused(&self) -> Result<Vec<(String, Timestamp)>>;

    /// Pauses an account; the empty name means all.
    fn pause(&self, account: &str, now: Timestamp) -> Result<()>;

    /// Ends the pause of an account; the empty name ends every pause.
    fn resume(&self, account: &str) -> Result<()>;

    /// How many connections the server of a name space allowed when it refused one more, and when that was.
    fn most_connections(&self, space: &str) -> Result<Option<(u32, Timestamp)>>;

    /// Stores that number.
    fn set_most_connections(&self, space: &str, most: u32, now: Timestamp) -> Result<()>;

    /// When mail of each name space was last recorded.
    fn last_mail(&self) -> Result<Vec<(String, Timestamp)>>;
}

/// The tables of failures and pauses.
pub(super) const TABLES: &str = "
-- Failures in a row, of an account (by its name) or of a host.
CREATE TABLE pace (
    whose TEXT PRIMARY KEY,
    failures INTEGER NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    is_refused INTEGER NOT NULL,
    told INTEGER NOT NULL,
    cause TEXT NOT NULL,
    credential TEXT NOT NULL
) WITHOUT ROWID;
-- What the user paused; the empty name stands for all.
CREATE TABLE paused (
    account TEXT PRIMARY KEY,
    at INTEGER NOT NULL
) WITHOUT ROWID;
";

/// The table of what servers allow.
pub(super) const CONNECTIONS: &str = "
-- How many connections a server allowed beside the first one when it refused more.
CREATE TABLE connections (
    space TEXT PRIMARY KEY,
    most INTEGER NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID;
";

/// The table of passes that reached their end with errors.
pub(super) const PARTIAL_FAILURES: &str = "
CREATE TABLE partial_failure (
    account TEXT PRIMARY KEY,
    cause TEXT NOT NULL,
    since INTEGER NOT NULL,
    times INTEGER NOT NULL
) WITHOUT ROWID;
";

fn pace(row: &Row<'_>) -> rusqlite::Result<Pace> {
    Ok(Pace {
        failures: row.get(0)?,
        since: time(row.get(1)?),
        until: time(row.get(2)?),
        is_refused: row.get(3)?,
        told: time(row.get(4)?),
        cause: row.get(5)?,
        credential: row.get(6)?,
    })
}

impl Pacing for SqliteStore {
    fn pace(&self, whose: &str) -> Result<Option<Pace>> {
        let columns = "failures, since, until, is_refused, told, cause, credential";
        let query = format!("SELECT {columns} FROM pace WHERE whose = ?1");
        self.read("looking up failures", |db| db.prepare_cached(&query)?.query_row([whose], pace).optional())
    }

    fn set_pace(&self, whose: &str, pace: Option<&Pace>) -> Result<()> {
        self.write("storing failures", |tx| {
            let Some(pace) = pace else { return tx.execute("DELETE FROM pace WHERE whose = ?1", [whose]).map(drop) };
            tx.prepare_cached("INSERT OR REPLACE INTO pace VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?.execute(
                params![
                    whose,
                    pace.failures,
                    pace.since.as_second(),
                    pace.until.as_second(),
                    pace.is_refused,
                    pace.told.as_second(),
                    pace.cause,
                    pace.credential
                ],
            )?;
            Ok(())
        })
    }

    fn partial_failure(&self, account: &str) -> Result<Option<PartialFailure>> {
        let query = "SELECT cause, since, times FROM partial_failure WHERE account = ?1";
        let row =
            |row: &Row<'_>| Ok(PartialFailure { cause: row.get(0)?, since: time(row.get(1)?), times: row.get(2)? });
        self.read("looking up failures", |db| db.prepare_cached(query)?.query_row([account], row).optional())
    }

    fn set_partial_failure(&self, account: &str, failure: Option<&PartialFailure>) -> Result<()> {
        self.write("noting failures", |tx| match failure {
            None => tx.execute("DELETE FROM partial_failure WHERE account = ?1", [account]).map(drop),
            Some(it) => {
                let sql = "INSERT OR REPLACE INTO partial_failure VALUES (?1, ?2, ?3, ?4)";
                tx.execute(sql, params![account, it.cause, it.since.as_second(), it.times]).map(drop)
            }
        })
    }

    fn paused(&self) -> Result<Vec<(String, Timestamp)>> {
        self.read("looking up what is paused", |db| {
            let mut query = db.prepare_cached("SELECT account, at FROM paused ORDER BY account")?;
            query.query_map([], |row| Ok((row.get(0)?, time(row.get(1)?))))?.collect()
        })
    }

    fn pause(&self, account: &str, now: Timestamp) -> Result<()> {
        let sql = "INSERT OR IGNORE INTO paused VALUES (?1, ?2)";
        self.write("pausing", |tx| tx.execute(sql, params![account, now.as_second()]).map(drop))
    }

    fn resume(&self, account: &str) -> Result<()> {
        let sql = "DELETE FROM paused WHERE account = ?1 OR ?1 = ''";
        self.write("resuming", |tx| tx.execute(sql, [account]).map(drop))
    }

    fn most_connections(&self, space: &str) -> Result<Option<(u32, Timestamp)>> {
        let sql = "SELECT most, at FROM connections WHERE space = ?1";
        let row = |row: &Row<'_>| Ok((row.get(0)?, time(row.get(1)?)));
        self.read("looking up connections", |db| db.prepare_cached(sql)?.query_row([space], row).optional())
    }

    fn set_most_connections(&self, space: &str, most: u32, now: Timestamp) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO connections VALUES (?1, ?2, ?3)";
        self.write("storing connections", |tx| tx.execute(sql, params![space, most, now.as_second()]).map(drop))
    }

    fn last_mail(&self) -> Result<Vec<(String, Timestamp)>> {
        // Notices do not count as mail.
        let sql = "SELECT owner, max(at) FROM journal JOIN origin USING (origin) WHERE folder <> ?1 GROUP BY owner";
        self.read("looking up the last mail", |db| {
            let mut query = db.prepare_cached(sql)?;
            query.query_map([NOTICES], |row| Ok((row.get(0)?, time(row.get(1)?))))?.collect()
        })
    }
}
