//! The tables, and how an older database becomes a newer one.

use rusqlite::Connection;

/// The version this program writes, in `PRAGMA user_version`.
pub(super) const VERSION: i64 = 1;

/// Creates or upgrades the tables. A database of a later version is refused: guessing at it could lose mail.
pub(super) fn upgrade(db: &Connection) -> Result<(), UpgradeError> {
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found {
        0 => {
            db.execute_batch(&format!("BEGIN;{TABLES}PRAGMA user_version = {VERSION};COMMIT;"))?;
            Ok(())
        }
        VERSION => Ok(()),
        later => Err(UpgradeError::Later(later)),
    }
}

/// Why the tables cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpgradeError {
    #[error("the state was written by a later mailsluice (schema {0}, this one knows {VERSION}); use that one")]
    Later(i64),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

const TABLES: &str = "
-- Where messages come from. One row for each UIDVALIDITY that a folder ever had.
CREATE TABLE origin (
    origin INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    folder TEXT NOT NULL,
    generation INTEGER NOT NULL,
    UNIQUE (account, folder, generation)
);
-- Which messages were seen there. missing_since: when a complete listing first lacked it.
CREATE TABLE seen (
    origin INTEGER NOT NULL,
    id BLOB NOT NULL,
    mark INTEGER NOT NULL,
    announced INTEGER NOT NULL,
    head_hash BLOB,
    at INTEGER NOT NULL,
    missing_since INTEGER,
    PRIMARY KEY (origin, id)
) WITHOUT ROWID;
-- What was decided and done, one row a message. done: 0 recorded, 1 published.
CREATE TABLE journal (
    entry INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    id BLOB NOT NULL,
    sender TEXT NOT NULL,
    subject TEXT NOT NULL,
    message_id TEXT NOT NULL,
    size INTEGER NOT NULL,
    rule TEXT NOT NULL,
    why TEXT NOT NULL,
    outcome TEXT NOT NULL,
    spooled TEXT,
    done INTEGER NOT NULL
);
CREATE INDEX journal_unfinished ON journal (done) WHERE done = 0;
CREATE INDEX journal_spooled ON journal (at) WHERE spooled IS NOT NULL;
-- The files of a journal row.
CREATE TABLE target (
    entry INTEGER NOT NULL,
    maildir TEXT NOT NULL,
    staged TEXT NOT NULL,
    info TEXT NOT NULL,
    PRIMARY KEY (entry, maildir)
) WITHOUT ROWID;
-- Messages that could not be fetched or decided.
CREATE TABLE attempt (
    origin INTEGER NOT NULL,
    id BLOB NOT NULL,
    count INTEGER NOT NULL,
    cause TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (origin, id)
) WITHOUT ROWID;
";
