//! What an account asks for and its server does not do, pass after pass, until it is done.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};

use super::rows::time;
use super::sqlite::Sql;

/// Separates the parts of a name and of a value. The texts here have no control characters.
const SEPARATOR: char = '\u{1f}';
const FACT_PREFIX: &str = "standing";

/// One such problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The name space of the account.
    pub space: String,
    /// What it concerns: a folder, or the folders of the account.
    pub about: String,
    /// What is not done and what helps, cleaned, in one line.
    pub text: String,
    /// Since when.
    pub since: Timestamp,
    /// Whether the user got a notice.
    pub is_told: bool,
}

fn name(space: &str, about: &str) -> String {
    format!("{FACT_PREFIX}{SEPARATOR}{space}{SEPARATOR}{about}")
}

pub(super) fn all(db: &Connection) -> Sql<Vec<Standing>> {
    let mut query = db.prepare_cached(
        "SELECT name, CAST(value AS TEXT) FROM fact WHERE name >= ?1 || char(31) AND name < ?1 || char(32) ORDER BY name",
    )?;
    let rows = query.query_map([FACT_PREFIX], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    rows.filter_map(|row| row.map(|(name, value)| parse(&name, &value)).transpose()).collect()
}

/// The problem in a row, or `None` if no such row is written here.
fn parse(name: &str, value: &str) -> Option<Standing> {
    let (space, about) = name.strip_prefix(FACT_PREFIX)?.strip_prefix(SEPARATOR)?.split_once(SEPARATOR)?;
    let mut parts = value.splitn(3, SEPARATOR);
    let (since, is_told) = (time(parts.next()?.parse().ok()?), parts.next()? == "1");
    let text = parts.next()?.to_owned();
    Some(Standing { space: space.to_owned(), about: about.to_owned(), text, since, is_told })
}

pub(super) fn set(tx: &Transaction<'_>, it: &Standing) -> Sql<()> {
    let value =
        format!("{}{SEPARATOR}{}{SEPARATOR}{}", it.since.as_second(), if it.is_told { "1" } else { "0" }, it.text);
    tx.execute("INSERT OR REPLACE INTO fact (name, value) VALUES (?1, ?2)", params![name(&it.space, &it.about), value])
        .map(drop)
}

pub(super) fn clear(tx: &Transaction<'_>, space: &str, about: &str) -> Sql<()> {
    tx.execute("DELETE FROM fact WHERE name = ?1", [name(space, about)]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_is_read_as_it_was_written() {
        let it = Standing {
            space: "work".into(),
            about: "INBOX/a".into(),
            text: "not done: \"x\"".into(),
            since: time(7),
            is_told: true,
        };
        let value = format!("7{SEPARATOR}1{SEPARATOR}{}", it.text);
        assert_eq!(parse(&name(&it.space, &it.about), &value), Some(it));
        assert_eq!(parse("standing", "7"), None);
    }
}
