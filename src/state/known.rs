//! What is remembered of an origin's messages: of all, or of some.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::KnownOrigin;
use super::rows::{STOOD, remembered};
use super::sqlite::Sql;
use crate::message::Origin;

/// What is remembered of all messages.
pub(super) fn all(db: &Connection, origin: &Arc<Origin>) -> Sql<KnownOrigin> {
    let mut query = db.prepare_cached(
        "SELECT id, mark, announced, head_hash, at, dress, missing_since IS NOT NULL
         FROM seen JOIN origin USING (origin)
         WHERE account = ?1 AND folder = ?2 AND generation = ?3 AND mark <> ?4",
    )?;
    let mut rows = query.query(params![origin.account, origin.folder, origin.generation, STOOD])?;
    let (mut keys, mut missing) = (HashMap::new(), HashSet::new());
    while let Some(row) = rows.next()? {
        let id: Vec<u8> = row.get(0)?;
        if row.get(6)? {
            missing.insert(id.clone());
        }
        keys.insert(id, remembered(row, 1)?);
    }
    Ok(KnownOrigin::new(Arc::clone(origin), keys, missing, !was_looked_at(db, origin)?))
}

/// What is remembered of these messages. Each is looked up by its id.
pub(super) fn among(db: &Connection, origin: &Arc<Origin>, ids: &[Vec<u8>]) -> Sql<KnownOrigin> {
    let Origin { account, folder, generation } = &**origin;
    let mut query = db.prepare_cached(
        "SELECT mark, announced, head_hash, at, dress, missing_since IS NOT NULL FROM seen
         WHERE origin = (SELECT origin FROM origin WHERE account = ?1 AND folder = ?2 AND generation = ?3)
         AND id = ?4 AND mark <> ?5",
    )?;
    let (mut keys, mut missing) = (HashMap::new(), HashSet::new());
    for id in ids {
        let row = |row: &Row<'_>| Ok((remembered(row, 0)?, row.get(5)?));
        let found = query.query_row(params![account, folder, generation, id, STOOD], row).optional()?;
        if let Some((remembered, is_missing)) = found {
            keys.insert(id.clone(), remembered);
            missing.extend(Some(id.clone()).filter(|_| is_missing));
        }
    }
    Ok(KnownOrigin::new(Arc::clone(origin), keys, missing, !was_looked_at(db, origin)?))
}

/// Whether there is a row of an origin: the folder was listed, and may have been empty.
pub(super) fn was_looked_at(db: &Connection, origin: &Origin) -> Sql<bool> {
    let Origin { account, folder, generation } = origin;
    db.prepare_cached("SELECT 1 FROM origin WHERE account = ?1 AND folder = ?2 AND generation = ?3")?
        .exists(params![account, folder, generation])
}
