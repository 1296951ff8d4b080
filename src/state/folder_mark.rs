//! How a folder stood when it was listed last and nothing was left to do in it: as long as its server says the same of it, there
//! is nothing new in it.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::Owned;
use super::rows::time;
use super::sqlite::SqliteStore;
use crate::error::Result;

/// A folder that was listed completely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderMark {
    /// What its server said of it, in the words of whoever compares it.
    pub stands: String,
    /// What the account asks for, as a mark by which a change is seen.
    pub asked: String,
    /// When it was listed.
    pub listed: Timestamp,
    /// When something is to be done in it although nothing changes: mail becomes old enough to be deleted.
    pub due: Option<Timestamp>,
}

/// The marks of folders.
pub trait FolderMarks {
    /// That of a folder. It is forgotten when a message of it is to be fetched again.
    fn folder_mark(&self, space: &str, folder: &str) -> Result<Option<FolderMark>>;

    /// Notes it; `None`: nothing is known of it any more.
    fn set_folder_mark(&self, owned: &Owned, folder: &str, mark: Option<&FolderMark>) -> Result<()>;
}

/// The table.
pub(super) const TABLE: &str = "
-- How a folder stood when it was listed last and nothing was left to do in it.
CREATE TABLE folder_mark (
    account TEXT NOT NULL,
    folder TEXT NOT NULL,
    stands TEXT NOT NULL,
    asked TEXT NOT NULL,
    listed INTEGER NOT NULL,
    due INTEGER,
    PRIMARY KEY (account, folder)
) WITHOUT ROWID;
";

fn mark(row: &Row<'_>) -> rusqlite::Result<FolderMark> {
    Ok(FolderMark {
        stands: row.get(0)?,
        asked: row.get(1)?,
        listed: time(row.get(2)?),
        due: row.get::<_, Option<i64>>(3)?.map(time),
    })
}

/// Something in that folder is to be fetched again.
pub(super) fn forget(tx: &Transaction<'_>, origin: i64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM folder_mark
        WHERE EXISTS (SELECT 1 FROM origin WHERE origin.origin = ?1
            AND origin.account = folder_mark.account AND origin.folder = folder_mark.folder)";
    tx.prepare_cached(sql)?.execute([origin]).map(drop)
}

impl FolderMarks for SqliteStore {
    fn folder_mark(&self, space: &str, folder: &str) -> Result<Option<FolderMark>> {
        let sql = "SELECT stands, asked, listed, due FROM folder_mark
            WHERE account = ?1 AND folder = ?2";
        self.read("looking up a folder", |db| db.prepare_cached(sql)?.query_row([space, folder], mark).optional())
    }

    fn set_folder_mark(&self, owned: &Owned, folder: &str, mark: Option<&FolderMark>) -> Result<()> {
        let space = owned.space();
        // A mark that a power cut takes back is an older one, and the folder is listed once more.
        self.note_for(owned, "noting how a folder stands", |tx| {
            let Some(mark) = mark else {
                let sql = "DELETE FROM folder_mark WHERE account = ?1 AND folder = ?2";
                return tx.prepare_cached(sql)?.execute([space, folder]).map(drop);
            };
            let sql = "INSERT OR REPLACE INTO folder_mark VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            tx.prepare_cached(sql)?.execute(params![
                space,
                folder,
                mark.stands,
                mark.asked,
                mark.listed.as_second(),
                mark.due.map(Timestamp::as_second)
            ])?;
            Ok(())
        })
    }
}
