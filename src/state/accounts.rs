//! The accounts that the state knows. An account is its protocol, user and host; its label is for people.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::Registered;
use super::rows::time;
use super::sqlite::Sql;
use crate::safeguard::Safeguard;

const COLUMNS: &str = "space, label, identity, first_run, moved";
/// The last column comes from the table of folders.
const WITH_FOLDERS: &str = "space, label, identity, first_run, moved,
    EXISTS (SELECT 1 FROM first_look WHERE first_look.account = account.space)";

fn registered(row: &Row<'_>) -> Sql<Registered> {
    let first_run = time(row.get(3)?);
    Ok(Registered {
        space: row.get(0)?,
        label: row.get(1)?,
        identity: row.get(2)?,
        first_run,
        moved: row.get::<_, Option<i64>>(4)?.map(time),
        is_new: false,
        was_looked_at: row.get(5)?,
    })
}

/// The account with this label and this identity.
pub(super) fn unchanged(db: &Connection, label: &str, identity: &str) -> Sql<Option<Registered>> {
    db.prepare_cached(&format!("SELECT {WITH_FOLDERS} FROM account WHERE label = ?1 AND identity = ?2"))?
        .query_row([label, identity], registered)
        .optional()
}

/// All accounts.
pub(super) fn all(db: &Connection) -> Sql<Vec<Registered>> {
    let mut query = db.prepare_cached(&format!("SELECT {WITH_FOLDERS} FROM account ORDER BY space"))?;
    query.query_map([], registered)?.collect()
}

/// Finds the account by its identity, else by its label, or creates it, and stores its present label and identity.
pub(super) fn register(
    tx: &Transaction<'_>,
    label: &str,
    identity: &str,
    claimed: &[String],
    now: Timestamp,
) -> Sql<Registered> {
    if let Some(known) = unchanged(tx, label, identity)? {
        return Ok(known);
    }
    let by_identity = match is_from_before(tx, label)? || !Safeguard::AccountByIdentity.is_on() {
        true => None,
        false => by(tx, "identity", identity)?,
    };
    let known = match by_identity {
        Some(renamed) => renamed,
        None => match by(tx, "label", label)? {
            // The label now belongs to another mailbox, and the account that had it has a new label.
            Some(known) if known.identity != identity && claimed.contains(&known.identity) => {
                unclaimed(tx, label, identity, claimed, now)?
            }
            Some(known) if is_same_but_for_the_port(&known.identity, identity) => known,
            Some(elsewhere) => moved(tx, elsewhere, now)?,
            None => unclaimed(tx, label, identity, claimed, now)?,
        },
    };
    let account = Registered { label: label.to_owned(), identity: identity.to_owned(), ..known };
    store(tx, &account)?;
    Ok(account)
}

/// An account whose label and identity are both unknown: the one that had a port in its identity while another account
/// made that necessary, else a new one.
fn unclaimed(tx: &Transaction<'_>, label: &str, identity: &str, claimed: &[String], now: Timestamp) -> Sql<Registered> {
    let is_it = |known: &Registered| {
        !known.identity.is_empty()
            && is_same_but_for_the_port(&known.identity, identity)
            && !claimed.contains(&known.identity)
    };
    match all(tx)?.into_iter().find(is_it) {
        // Another port may lead to another mailbox, so the messages are compared by their content.
        Some(known) => moved(tx, known, now),
        None => begin(tx, label, identity, now),
    }
}

/// An account whose mailbox may be another one: what is known of it is compared by content before it is trusted.
fn moved(tx: &Transaction<'_>, known: Registered, now: Timestamp) -> Sql<Registered> {
    tx.execute("UPDATE first_look SET recognised = 0 WHERE account = ?1", [&known.space])?;
    Ok(Registered { moved: Some(now), ..known })
}

fn by(tx: &Transaction<'_>, column: &str, value: &str) -> Sql<Option<Registered>> {
    tx.query_row(&format!("SELECT {WITH_FOLDERS} FROM account WHERE {column} = ?1"), [value], registered).optional()
}

/// The port is part of an identity only if another account makes it necessary.
fn is_same_but_for_the_port(before: &str, now: &str) -> bool {
    before.is_empty() || before.starts_with(&format!("{now}:")) || now.starts_with(&format!("{before}:"))
}

/// Whether mail of an account of this name is older than the table of accounts. Then the name is its name space, even
/// if another account turns out to be the same mailbox.
fn is_from_before(tx: &Transaction<'_>, label: &str) -> Sql<bool> {
    tx.prepare_cached(
        "SELECT 1 FROM origin WHERE account = ?1 AND NOT EXISTS (SELECT 1 FROM account WHERE space = ?1)",
    )?
    .exists([label])
}

/// A new account, or one from a state that knew accounts only by name.
fn begin(tx: &Transaction<'_>, label: &str, identity: &str, now: Timestamp) -> Sql<Registered> {
    let earliest = "SELECT min(at) FROM (
        SELECT min(at) AS at FROM first_look WHERE account = ?1
        UNION ALL SELECT min(journal.at) FROM journal JOIN origin USING (origin) WHERE account = ?1)";
    let earlier: Option<i64> = tx.query_row(earliest, [label], |row| row.get(0))?;
    let mut space = label.to_owned();
    let mut n = 1;
    while by(tx, "space", &space)?.is_some() {
        n += 1;
        space = format!("{label}+{n}");
    }
    let first_run = earlier.filter(|_| n == 1).map_or(now, time);
    Ok(Registered {
        space,
        label: label.to_owned(),
        identity: identity.to_owned(),
        first_run,
        moved: None,
        is_new: earlier.is_none(),
        was_looked_at: earlier.is_some(),
    })
}

/// Stores what a mail root knows of an account, for a state that lost it.
pub(super) fn store_if_unknown(tx: &Transaction<'_>, account: &Registered) -> Sql<()> {
    match by(tx, "space", &account.space)? {
        Some(_) => Ok(()),
        None => store(tx, account),
    }
}

/// Stores an account.
fn store(tx: &Transaction<'_>, account: &Registered) -> Sql<()> {
    let Registered { space, label, identity, first_run, moved, .. } = account;
    tx.execute(
        &format!("INSERT OR REPLACE INTO account ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5)"),
        params![space, label, identity, first_run.as_second(), moved.map(Timestamp::as_second)],
    )
    .map(drop)
}
