//! What the state knows of itself and of those who work with it: owners, accounts, the mail root, the time.

use jiff::Timestamp;
use rusqlite::params;

use super::clock::{Clock, Seen, is_possible};
use super::sqlite::SqliteStore;
use super::{Owned, Standing, accounts, facts, owner, standing};
use crate::error::{Error, Result};
use crate::message::Origin;
use crate::safeguard::Safeguard;

/// Who owns which name space, and what has to be known before anything is believed.
pub trait Registry {
    /// Raises the generation of a name space for its new owner. Durable with the next transaction.
    fn take_over(&self, space: &str, incarnation: &str) -> Result<u64>;

    /// The accounts with these labels or these identities, as they are from now on. `claimed`: the identities of all accounts of
    /// the config; what is another one's by identity is nobody's by its label.
    fn register(&self, accounts: &[(String, String)], claimed: &[String], now: Timestamp) -> Result<Vec<Registered>>;

    /// Takes over what a mail root knows of accounts that the state does not know.
    fn adopt_accounts(&self, accounts: &[Registered]) -> Result<()>;

    /// Every account that was ever seen.
    fn accounts(&self) -> Result<Vec<Registered>>;

    /// One thing that the state knows of itself.
    fn fact(&self, name: &str) -> Result<Option<String>>;

    /// Notes one thing that the state knows of itself.
    fn set_fact(&self, name: &str, value: &str) -> Result<()>;

    /// What accounts are asked for and their servers do not do.
    fn standing(&self) -> Result<Vec<Standing>>;

    /// Notes such a thing, in place of what was known about the same.
    fn set_standing(&self, owned: &Owned, standing: &Standing) -> Result<()>;

    /// It is done.
    fn end_standing(&self, owned: &Owned, about: &str) -> Result<()>;

    /// What is to be thought of the time, by the last time that was seen; `agrees`: a server's clock says the same within a day.
    /// Where it is not, nothing irreversible happens.
    fn observe(&self, now: Timestamp, agrees: bool) -> Result<Clock>;

    /// When the state was found to be older than what it speaks of, or was made anew: what arrived before is told to nobody.
    fn rebuilt(&self) -> Option<Timestamp>;

    /// Whether an origin was compared with what stands in the Maildirs since the state was rebuilt or its account moved.
    fn is_recognised(&self, origin: &Origin) -> Result<bool>;

    /// Notes that it was.
    fn set_recognised(&self, owned: &Owned, origin: &Origin, now: Timestamp) -> Result<()>;
}

/// An account as the state knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its name space: what stands in keys and file names, whatever it is called later.
    pub space: String,
    /// What the user calls it.
    pub label: String,
    /// Protocol, user and host.
    pub identity: String,
    /// When mail was fetched from it for the first time.
    pub first_run: Timestamp,
    /// When it was found under its label with another identity: what is known of it is recognised by content since then.
    pub moved: Option<Timestamp>,
    /// It was not known until just now.
    pub is_new: bool,
    /// A folder of it was looked at before.
    pub was_looked_at: bool,
}

impl Registry for SqliteStore {
    fn take_over(&self, space: &str, incarnation: &str) -> Result<u64> {
        let mut db = self.db();
        owner::take_over(&mut db, space, incarnation).map_err(|e| Error::state("taking a name space over", e))
    }

    fn register(&self, wanted: &[(String, String)], claimed: &[String], now: Timestamp) -> Result<Vec<Registered>> {
        let known = self.read("looking accounts up", |db| {
            wanted.iter().map(|(label, identity)| accounts::unchanged(db, label, identity)).collect()
        })?;
        let known: Option<Vec<Registered>> = known;
        match known {
            Some(known) => Ok(known),
            None => self.write("noting accounts", |tx| {
                wanted.iter().map(|(label, identity)| accounts::register(tx, label, identity, claimed, now)).collect()
            }),
        }
    }

    fn adopt_accounts(&self, known: &[Registered]) -> Result<()> {
        if known.is_empty() {
            return Ok(());
        }
        self.write("taking over accounts", |tx| {
            known.iter().try_for_each(|account| accounts::note_if_unknown(tx, account))
        })
    }

    fn accounts(&self) -> Result<Vec<Registered>> {
        self.read("reading the accounts", accounts::all)
    }

    fn fact(&self, name: &str) -> Result<Option<String>> {
        self.read("reading a fact about the state", |db| facts::get(db, name))
    }

    fn set_fact(&self, name: &str, value: &str) -> Result<()> {
        self.write("noting a fact about the state", |tx| facts::set(tx, name, value))
    }

    fn standing(&self) -> Result<Vec<Standing>> {
        self.read("reading what is not done", standing::all)
    }

    fn set_standing(&self, owned: &Owned, it: &Standing) -> Result<()> {
        self.write_for(owned, "noting what is not done", |tx| standing::set(tx, it))
    }

    fn end_standing(&self, owned: &Owned, about: &str) -> Result<()> {
        self.write_for(owned, "noting what is done", |tx| standing::clear(tx, owned.space(), about))
    }

    fn observe(&self, now: Timestamp, agrees: bool) -> Result<Clock> {
        let before = self.fact(facts::SEEN)?.and_then(|text| Seen::parse(&text));
        let (seen, thought) = Seen::observe(before, now, agrees);
        if before != Some(seen) {
            self.set_fact(facts::SEEN, &seen.text())?;
        }
        Ok(match thought {
            _ if !Safeguard::PlausibleTime.is_on() => Clock::Plausible,
            _ if !is_possible(now) => Clock::Doubted,
            thought => thought,
        })
    }

    fn rebuilt(&self) -> Option<Timestamp> {
        let ask = || self.fact(facts::REBUILT).ok().flatten().and_then(|at| at.parse().ok());
        *self.rebuilt.get_or_init(ask)
    }

    fn is_recognised(&self, origin: &Origin) -> Result<bool> {
        let Origin { account, folder, generation } = origin;
        self.read("asking when a folder was compared", |db| {
            db.prepare_cached(
                "SELECT 1 FROM first_look WHERE account = ?1 AND folder = ?2 AND generation = ?3 AND recognised > 0",
            )?
            .exists(params![account, folder, generation])
        })
    }

    fn set_recognised(&self, owned: &Owned, origin: &Origin, now: Timestamp) -> Result<()> {
        let Origin { account, folder, generation } = origin;
        self.note_for(owned, "noting that a folder was compared", |tx| {
            tx.execute(
                "INSERT INTO first_look (account, folder, generation, at, recognised) VALUES (?1, ?2, ?3, ?4, ?4)
                 ON CONFLICT DO UPDATE SET recognised = excluded.recognised",
                params![account, folder, generation, now.as_second()],
            )
            .map(drop)
        })
    }
}
