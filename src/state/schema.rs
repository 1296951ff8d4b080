//! The tables, and the upgrades of older databases.

use rusqlite::{Connection, TransactionBehavior};

/// The version that this program writes, in `PRAGMA user_version`.
pub(super) const VERSION: i64 = 11;

/// Creates or upgrades the tables. A database of a later version is refused, because wrong guesses about it could lose
/// mail.
pub(super) fn upgrade(db: &Connection) -> Result<(), UpgradeError> {
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let Some(steps) = usize::try_from(found).ok().and_then(|found| STEPS.get(found..)) else {
        return Err(UpgradeError::Later(found));
    };
    if steps.is_empty() {
        return Ok(());
    }
    // Another process may be doing the same, so the version is read again under the write lock.
    let tx = rusqlite::Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
    let found: usize = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for step in STEPS.iter().skip(found) {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "user_version", VERSION)?;
    tx.commit()?;
    Ok(())
}

/// The steps: version 1 from nothing, version 2 from version 1, and so on.
const STEPS: [&str; VERSION as usize] = [
    TABLES,
    FACTS_AND_OUTBOX,
    OWNERS_AND_PROOFS,
    LEAVING,
    LANES,
    super::pacing::TABLES,
    super::folder_mark::TABLE,
    super::pacing::CONNECTIONS,
    LISTS,
    super::counts::TABLE,
    super::pacing::PARTIAL_FAILURES,
];

/// Why the tables cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpgradeError {
    #[error("the state was written by a later mailsluice (schema {0}, this one knows {VERSION}); use that one")]
    Later(i64),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

impl UpgradeError {
    /// Whether another process is using the database exclusively.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Sqlite(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy))
    }
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

const FACTS_AND_OUTBOX: &str = "
-- Keys that rules noted (`duplicate`).
CREATE TABLE seen_key (
    handle TEXT NOT NULL,
    key TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (handle, key)
) WITHOUT ROWID;
CREATE INDEX seen_key_until ON seen_key (handle, until);
-- Lists that rules write (`add_to_list`).
CREATE TABLE list_entry (
    list TEXT NOT NULL,
    entry TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (list, entry)
) WITHOUT ROWID;
-- Who was answered (`vacation`, `reply`).
CREATE TABLE answered (
    handle TEXT NOT NULL,
    sender TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (handle, sender)
) WITHOUT ROWID;
CREATE INDEX answered_at ON answered (handle, at);
-- When a folder was looked at for the first time: what had arrived before is not answered. Apart from `origin`, whose row
-- says that the first run is over.
CREATE TABLE first_look (
    account TEXT NOT NULL,
    folder TEXT NOT NULL,
    generation INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (account, folder, generation)
) WITHOUT ROWID;
-- The last numbers that were given (`number`). Never pruned: a number that was forgotten would be given again.
CREATE TABLE counter (
    counter TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) WITHOUT ROWID;
-- What is to be told. state: 0 waiting, 1 sending, 2 sent, 3 failed, 4 held. bytes: the file in the spool.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    entry INTEGER NOT NULL,
    n INTEGER NOT NULL,
    kind TEXT NOT NULL,
    telling TEXT NOT NULL,
    bytes TEXT NOT NULL,
    state INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    due INTEGER NOT NULL,
    at INTEGER NOT NULL,
    -- What the relay or the program said last, and when.
    said TEXT NOT NULL DEFAULT '',
    changed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (entry, n)
);
-- Relays that rest after a failure. sender: for whom; empty for all.
CREATE TABLE rest (
    relay TEXT NOT NULL,
    sender TEXT NOT NULL,
    until INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    cause TEXT NOT NULL,
    PRIMARY KEY (relay, sender)
) WITHOUT ROWID;
CREATE INDEX outbox_due ON outbox (state, due);
CREATE INDEX journal_spooled_file ON journal (spooled) WHERE spooled IS NOT NULL;
CREATE INDEX outbox_bytes ON outbox (bytes);
-- What was sent of a kind since some time is counted before each sending.
CREATE INDEX outbox_sent ON outbox (state, kind, changed);
-- The mbox files of a journal row. staged: the name in the folder spool; line: the line that goes before it.
CREATE TABLE mbox (
    entry INTEGER NOT NULL,
    file TEXT NOT NULL,
    spool TEXT NOT NULL,
    staged TEXT NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (entry, staged)
) WITHOUT ROWID;
-- Several versions of a message may stand in one Maildir.
CREATE TABLE target_2 (
    entry INTEGER NOT NULL,
    maildir TEXT NOT NULL,
    staged TEXT NOT NULL,
    info TEXT NOT NULL,
    PRIMARY KEY (entry, maildir, staged)
) WITHOUT ROWID;
INSERT INTO target_2 SELECT entry, maildir, staged, info FROM target;
DROP TABLE target;
ALTER TABLE target_2 RENAME TO target;
ALTER TABLE journal ADD COLUMN notes TEXT NOT NULL DEFAULT '';
-- trouble: 0 fetching, 1 died while deciding, 2 deferred. first: of the attempts with the same trouble.
ALTER TABLE attempt ADD COLUMN trouble INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN first INTEGER NOT NULL DEFAULT 0;
UPDATE attempt SET first = at;
UPDATE attempt SET trouble = 1 WHERE cause = 'the program died while deciding about it';
";

const OWNERS_AND_PROOFS: &str = "
-- Who writes in a name space. generation: raised at each take-over; incarnation: of the process that took it last.
CREATE TABLE owner (
    space TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    incarnation TEXT NOT NULL
) WITHOUT ROWID;
-- The accounts of the config as they were seen last. space: what stands in `origin` and in file names, for good;
-- identity: protocol, user and host; first_run: when mail was fetched for the first time;
-- moved: when its identity changed.
CREATE TABLE account (
    space TEXT PRIMARY KEY,
    label TEXT NOT NULL,
    identity TEXT NOT NULL,
    first_run INTEGER NOT NULL,
    moved INTEGER
) WITHOUT ROWID;
-- What the state knows of itself: `identity`, `water` (raised by every transaction), `root` (the identity of the mail
-- root), `seen` (the last time it saw), and what is doubted.
CREATE TABLE fact (
    name TEXT PRIMARY KEY,
    value NOT NULL
) WITHOUT ROWID;
-- stamp: who staged it, as it stands at the end of its name until it is published.
ALTER TABLE target ADD COLUMN stamp TEXT NOT NULL DEFAULT '';
ALTER TABLE mbox ADD COLUMN stamp TEXT NOT NULL DEFAULT '';
-- owner: the name space that a row was recorded for. noted: what its rules noted, until it is published.
ALTER TABLE journal ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE journal ADD COLUMN noted TEXT NOT NULL DEFAULT '';
-- original: the header block before it was edited; kept: the file in the spool with the whole message before it was.
ALTER TABLE journal ADD COLUMN original BLOB;
ALTER TABLE journal ADD COLUMN kept TEXT;
-- arrived: when the message did; flags: those it would have had without rules; run: the turn of `refilter`, `maintain` or
-- `undo` that moved it.
ALTER TABLE journal ADD COLUMN arrived INTEGER;
ALTER TABLE journal ADD COLUMN flags TEXT;
ALTER TABLE journal ADD COLUMN run INTEGER NOT NULL DEFAULT 0;
CREATE INDEX journal_run ON journal (run) WHERE run > 0;
CREATE INDEX journal_originals ON journal (at) WHERE original IS NOT NULL OR kept IS NOT NULL;
CREATE INDEX journal_kept ON journal (kept) WHERE kept IS NOT NULL;
-- The files that a moved message leaves. file: what follows the mail root; base: the part of its name that stays when it
-- is moved again.
CREATE TABLE leaving (
    entry INTEGER NOT NULL,
    file TEXT NOT NULL,
    base TEXT NOT NULL,
    PRIMARY KEY (entry, file)
) WITHOUT ROWID;
CREATE INDEX leaving_base ON leaving (base);
UPDATE journal SET owner = COALESCE((SELECT account FROM origin WHERE origin.origin = journal.origin), '');
CREATE INDEX journal_unfinished_of ON journal (owner) WHERE done = 0;
-- owner: the incarnation that sends it now.
ALTER TABLE outbox ADD COLUMN owner TEXT NOT NULL DEFAULT '';
-- dress: the hash of the fields that no server changes.
ALTER TABLE seen ADD COLUMN dress BLOB;
-- A file in the spool is its name.
UPDATE journal SET spooled = replace(spooled, rtrim(spooled, replace(spooled, '/', '')), '') WHERE spooled IS NOT NULL;
UPDATE outbox SET bytes = replace(bytes, rtrim(bytes, replace(bytes, '/', '')), '');
-- recognised: when it was last compared with what stands in the Maildirs.
ALTER TABLE first_look ADD COLUMN recognised INTEGER NOT NULL DEFAULT 0;
-- INBOX is one folder in any case (RFC 3501 5.1): of two spellings the one with mail that was seen last goes on.
UPDATE OR IGNORE origin SET folder = 'INBOX' WHERE upper(folder) = 'INBOX' AND folder <> 'INBOX';
UPDATE OR IGNORE origin SET folder = 'INBOX' || substr(folder, 6) WHERE upper(substr(folder, 1, 6)) = 'INBOX/';
INSERT OR IGNORE INTO seen (origin, id, mark, announced, head_hash, at, missing_since)
    SELECT whole.origin, seen.id, seen.mark, seen.announced, seen.head_hash, seen.at, seen.missing_since
    FROM seen JOIN origin AS spelled ON spelled.origin = seen.origin
    JOIN origin AS whole ON whole.account = spelled.account AND whole.generation = spelled.generation
    WHERE upper(spelled.folder) = 'INBOX' AND spelled.folder <> 'INBOX' AND whole.folder = 'INBOX';
";

const LEAVING: &str = "
-- number: the inode of the file, by which it is known when its reader marks or moves it.
ALTER TABLE leaving ADD COLUMN number INTEGER;
";

const LANES: &str = "
-- since: since when a row waits, where its user tried it again.
ALTER TABLE outbox ADD COLUMN since INTEGER;
";

const LISTS: &str = "
-- value: what stands beside an entry, such as a folder; until: when it stops counting.
ALTER TABLE list_entry ADD COLUMN value TEXT;
ALTER TABLE list_entry ADD COLUMN until INTEGER;
";

#[cfg(test)]
mod tests {
    use super::*;

    fn version(db: &Connection) -> i64 {
        db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    fn tables(db: &Connection) -> Vec<String> {
        let mut query = db.prepare("SELECT name || ': ' || sql FROM sqlite_schema ORDER BY name").unwrap();
        let rows = query.query_map([], |row| row.get::<_, Option<String>>(0)).unwrap();
        rows.filter_map(Result::unwrap).collect()
    }

    #[test]
    fn a_database_of_the_first_version_is_upgraded_and_keeps_what_it_holds() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(TABLES).unwrap();
        db.execute_batch(
            "PRAGMA user_version = 1;
             INSERT INTO journal VALUES (7, 1, 1, x'31', 'a', 'b', 'c', 5, 'r', 'w', 'o', NULL, 0);
             INSERT INTO target VALUES (7, '/m/INBOX', '1.x.host', ':2,S');
             INSERT INTO attempt VALUES (1, x'31', 3, 'the program died while deciding about it', 9);",
        )
        .unwrap();
        upgrade(&db).unwrap();
        upgrade(&db).unwrap();
        assert_eq!(version(&db), VERSION);
        let one = |sql: &str| db.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(one("SELECT entry || maildir || staged || info FROM target"), "7/m/INBOX1.x.host:2,S");
        assert_eq!(one("SELECT subject || notes FROM journal"), "b");
        assert_eq!(one("SELECT count || ' ' || first || ' ' || trouble FROM attempt"), "3 9 1");

        let new = Connection::open_in_memory().unwrap();
        upgrade(&new).unwrap();
        assert_eq!(tables(&db), tables(&new));
    }

    #[test]
    fn a_later_version_is_refused() {
        let db = Connection::open_in_memory().unwrap();
        db.pragma_update(None, "user_version", VERSION + 1).unwrap();
        assert!(matches!(upgrade(&db), Err(UpgradeError::Later(found)) if found == VERSION + 1));
        assert_eq!(tables(&db), Vec::<String>::new());
    }
}
