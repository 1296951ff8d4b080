//! The state of a folder when it was last listed and nothing was left to do in it. While its server describes it in the
//! same way, it holds nothing new.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::Owned;
use super::rows::time;
use super::sqlite::SqliteStore;
use crate::error::Result;

/// A folder that was listed completely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderMark {
    /// What its server said about it, in a form that the caller compares.
    pub stands: String,
    /// A hash of what the account asks for, which shows a change.
    pub asked: String,
    /// When the folder was listed.
    pub listed: Timestamp,
    /// When something has to be done in it although nothing changes, because mail becomes old enough to be deleted.
    pub due: Option<Timestamp>,
}

/// The marks of folders.
pub trait FolderMarks {
    /// The mark of a folder. It is removed when a message of the folder has to be fetched again.
    fn folder_mark(&self, space: &str, folder: &str) -> Result<Option<FolderMark>>;

    /// Stores the mark of a folder; `None` removes it.
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

/// Removes the mark of a folder, because something in it has to be fetched again.
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
        // If a power cut undoes this, the older mark makes the folder be listed once more.
        self.write_unsynced_for(owned, "storing the mark of a folder", |tx| {
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
