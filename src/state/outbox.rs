//! The outbox's rows.

use std::path::PathBuf;

use rusqlite::{Connection, Row, Transaction, params};

use super::{Entry, EntryId, OutboxRow, OutboxState};
use crate::decision::Telling;

type Sql<T> = rusqlite::Result<T>;

/// Rows that still need their bytes.
pub(super) const UNFINISHED: &str = "state IN (0, 1)";

/// Queues what a decision tells.
pub(super) fn insert(tx: &Transaction<'_>, id: EntryId, entry: &Entry) -> Sql<()> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO outbox (entry, n, kind, telling, bytes, state, attempts, due, at)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6, ?6)",
    )?;
    for (n, (telling, bytes)) in entry.tellings.iter().enumerate() {
        let json = serde_json::to_string(telling).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
        let at = entry.at.as_second();
        insert.execute(params![id, n, telling.way.word(), json, bytes.to_string_lossy(), at])?;
    }
    Ok(())
}

/// The rows of one entry or of all, the newest first.
pub(super) fn rows(db: &Connection, entry: Option<EntryId>, limit: u32) -> Sql<Vec<OutboxRow>> {
    let mut query = db.prepare_cached(
        "SELECT id, entry, n, telling, bytes, state, attempts, due, at FROM outbox
         WHERE ?1 IS NULL OR entry = ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    query.query_map(params![entry, limit], row_of)?.collect()
}

fn row_of(row: &Row<'_>) -> Sql<OutboxRow> {
    let telling: String = row.get(3)?;
    let telling: Telling = serde_json::from_str(&telling)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, e.into()))?;
    Ok(OutboxRow {
        id: row.get(0)?,
        entry: row.get(1)?,
        n: row.get(2)?,
        telling,
        bytes: PathBuf::from(row.get::<_, String>(4)?),
        state: match row.get::<_, i64>(5)? {
            0 => OutboxState::Waiting,
            1 => OutboxState::Sending,
            2 => OutboxState::Sent,
            _ => OutboxState::Failed,
        },
        attempts: row.get(6)?,
        due: super::rows::time(row.get(7)?),
        at: super::rows::time(row.get(8)?),
    })
}
