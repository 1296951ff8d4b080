//! What the state knows about itself.

use super::sqlite::Sql;
use rusqlite::{Connection, OptionalExtension, Transaction};

/// The random name of this state, in hex.
pub const IDENTITY: &str = "identity";
/// The identity of the mail root.
pub const ROOT: &str = "root";
/// When the state was found to be older than its surroundings, or was rebuilt.
pub(super) const REBUILT: &str = "rebuilt";
/// The times that the clock showed.
pub(super) const SEEN: &str = "seen";
/// The number of transactions so far.
const WATER: &str = "water";

pub(super) fn get(db: &Connection, name: &str) -> Sql<Option<String>> {
    db.prepare_cached("SELECT CAST(value AS TEXT) FROM fact WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

pub(super) fn set(tx: &Transaction<'_>, name: &str, value: &str) -> Sql<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO fact (name, value) VALUES (?1, ?2)")?.execute([name, value]).map(drop)
}

/// Counts one more transaction, and returns the count.
pub(super) fn raise_water(tx: &Transaction<'_>) -> Sql<u64> {
    tx.prepare_cached(
        "INSERT INTO fact (name, value) VALUES (?1, 1) ON CONFLICT DO UPDATE SET value = value + 1 RETURNING value",
    )?
    .query_row([WATER], |row| row.get(0))
}

/// The number of transactions so far.
pub(super) fn water(db: &Connection) -> Sql<u64> {
    Ok(get(db, WATER)?.and_then(|water| water.parse().ok()).unwrap_or(0))
}

/// Sets the number to the highest that was ever seen.
pub(super) fn set_water(tx: &Transaction<'_>, water: u64) -> Sql<()> {
    tx.execute("INSERT OR REPLACE INTO fact (name, value) VALUES (?1, ?2)", rusqlite::params![WATER, water]).map(drop)
}

/// Whether this database was in use before states had an identity.
pub(super) fn is_of_before(db: &Connection) -> Sql<bool> {
    db.prepare("SELECT 1 FROM origin UNION ALL SELECT 1 FROM journal LIMIT 1")?.exists([])
}
