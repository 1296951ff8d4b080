//! What the state knows of itself.

use super::sqlite::Sql;
use rusqlite::{Connection, OptionalExtension, Transaction};

/// The random name of this state, in hex.
pub const IDENTITY: &str = "identity";
/// The identity of the mail root.
pub const ROOT: &str = "root";
/// When the state was found to be older than what it speaks of, or was made anew.
pub(super) const REBUILT: &str = "rebuilt";
/// The last time that was seen.
pub(super) const SEEN: &str = "seen";
/// How many transactions there were.
const WATER: &str = "water";

pub(super) fn get(db: &Connection, name: &str) -> Sql<Option<String>> {
    db.prepare_cached("SELECT CAST(value AS TEXT) FROM fact WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

pub(super) fn set(tx: &Transaction<'_>, name: &str, value: &str) -> Sql<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO fact (name, value) VALUES (?1, ?2)")?.execute([name, value]).map(drop)
}

/// One transaction more. The result is their number.
pub(super) fn raise_water(tx: &Transaction<'_>) -> Sql<u64> {
    tx.prepare_cached(
        "INSERT INTO fact (name, value) VALUES (?1, 1) ON CONFLICT DO UPDATE SET value = value + 1 RETURNING value",
    )?
    .query_row([WATER], |row| row.get(0))
}

/// How many transactions there were.
pub(super) fn water(db: &Connection) -> Sql<u64> {
    Ok(get(db, WATER)?.and_then(|water| water.parse().ok()).unwrap_or(0))
}

/// The number that follows the highest that anybody has seen.
pub(super) fn set_water(tx: &Transaction<'_>, water: u64) -> Sql<()> {
    tx.execute("INSERT OR REPLACE INTO fact (name, value) VALUES (?1, ?2)", rusqlite::params![WATER, water]).map(drop)
}

/// Whether this database was in use before states had an identity.
pub(super) fn is_of_before(db: &Connection) -> Sql<bool> {
    db.prepare("SELECT 1 FROM origin UNION ALL SELECT 1 FROM journal LIMIT 1")?.exists([])
}
