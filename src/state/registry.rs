//! What the state knows about itself and its users: owners, accounts, the mail root, the clock.

use jiff::Timestamp;
use rusqlite::params;

use super::clock::{Clock, Seen, is_possible};
use super::sqlite::SqliteStore;
use super::{Owned, Standing, accounts, facts, owner, standing};
use crate::error::{Error, Result};
use crate::message::Origin;
use crate::safeguard::Safeguard;

/// The owners of name spaces, and the facts that decide whether the rest can be trusted.
pub trait Registry {
    /// Raises the generation of a name space for its new owner. It becomes durable with the next transaction.
    fn take_over(&self, space: &str, incarnation: &str) -> Result<u64>;

    /// Registers accounts by their labels and identities, and returns them. `claimed` holds the identities of all
    /// accounts in the config: a label does not take an account that another one claims by its identity.
    fn register(&self, accounts: &[(String, String)], claimed: &[String], now: Timestamp) -> Result<Vec<Registered>>;

    /// Takes over what a mail root knows of accounts that the state does not know.
    fn adopt_accounts(&self, accounts: &[Registered]) -> Result<()>;

    /// Every account that was ever seen.
    fn accounts(&self) -> Result<Vec<Registered>>;

    /// A fact about the state.
    fn fact(&self, name: &str) -> Result<Option<String>>;

    /// Stores a fact about the state.
    fn set_fact(&self, name: &str, value: &str) -> Result<()>;

    /// What accounts ask for and their servers do not do.
    fn standing(&self) -> Result<Vec<Standing>>;

    /// Stores such a problem, and replaces an earlier one about the same subject.
    fn set_standing(&self, owned: &Owned, standing: &Standing) -> Result<()>;

    /// Removes a problem that is solved.
    fn end_standing(&self, owned: &Owned, about: &str) -> Result<()>;

    /// How far the present time can be trusted, compared with the last one. `agrees` says that a server's clock shows
    /// the same time within a day. While the time is not plausible, nothing irreversible is done.
    fn observe(&self, now: Timestamp, agrees: bool) -> Result<Clock>;

    /// When the state was found to be older than its surroundings, or was rebuilt: nothing is sent about mail that
    /// arrived before.
    fn rebuilt(&self) -> Option<Timestamp>;

    /// Whether an origin was compared with the Maildirs since the state was rebuilt or the account moved.
    fn is_recognised(&self, origin: &Origin) -> Result<bool>;

    /// Records that it was compared.
    fn set_recognised(&self, owned: &Owned, origin: &Origin, now: Timestamp) -> Result<()>;
}

/// An account as the state knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its name space: the name in keys and file names, which stays when the label changes.
    pub space: String,
    /// The user's name for it.
    pub label: String,
    /// Protocol, user and host.
    pub identity: String,
    /// When mail was fetched from it for the first time.
    pub first_run: Timestamp,
    /// When its label was found with another identity: since then, what is known of it is compared by content.
    pub moved: Option<Timestamp>,
    /// Whether it was unknown until just now.
    pub is_new: bool,
    /// Whether a folder of it was listed before.
    pub was_looked_at: bool,
}

impl Registry for SqliteStore {
    fn take_over(&self, space: &str, incarnation: &str) -> Result<u64> {
        let mut db = self.db();
        owner::take_over(&mut db, space, incarnation).map_err(|e| Error::state("taking a name space over", e))
    }

    fn register(&self, wanted: &[(String, String)], claimed: &[String], now: Timestamp) -> Result<Vec<Registered>> {
        let known = self.read("looking up accounts", |db| {
            wanted.iter().map(|(label, identity)| accounts::unchanged(db, label, identity)).collect()
        })?;
        let known: Option<Vec<Registered>> = known;
        match known {
            Some(known) => Ok(known),
            None => self.write("storing accounts", |tx| {
                wanted.iter().map(|(label, identity)| accounts::register(tx, label, identity, claimed, now)).collect()
            }),
        }
    }

    fn adopt_accounts(&self, known: &[Registered]) -> Result<()> {
        if known.is_empty() {
            return Ok(());
        }
        self.write("taking over accounts", |tx| {
            known.iter().try_for_each(|account| accounts::store_if_unknown(tx, account))
        })
    }

    fn accounts(&self) -> Result<Vec<Registered>> {
        self.read("reading the accounts", accounts::all)
    }

    fn fact(&self, name: &str) -> Result<Option<String>> {
        self.read("reading a fact about the state", |db| facts::get(db, name))
    }

    fn set_fact(&self, name: &str, value: &str) -> Result<()> {
        self.write("storing a fact about the state", |tx| facts::set(tx, name, value))
    }

    fn standing(&self) -> Result<Vec<Standing>> {
        self.read("reading the open problems", standing::all)
    }

    fn set_standing(&self, owned: &Owned, it: &Standing) -> Result<()> {
        self.write_for(owned, "storing an open problem", |tx| standing::set(tx, it))
    }

    fn end_standing(&self, owned: &Owned, about: &str) -> Result<()> {
        self.write_for(owned, "removing a solved problem", |tx| standing::clear(tx, owned.space(), about))
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
        self.read("reading when a folder was compared", |db| {
            db.prepare_cached(
                "SELECT 1 FROM first_look WHERE account = ?1 AND folder = ?2 AND generation = ?3 AND recognised > 0",
            )?
            .exists(params![account, folder, generation])
        })
    }

    fn set_recognised(&self, owned: &Owned, origin: &Origin, now: Timestamp) -> Result<()> {
        let Origin { account, folder, generation } = origin;
        self.write_unsynced_for(owned, "recording that a folder was compared", |tx| {
            tx.execute(
                "INSERT INTO first_look (account, folder, generation, at, recognised) VALUES (?1, ?2, ?3, ?4, ?4)
                 ON CONFLICT DO UPDATE SET recognised = excluded.recognised",
                params![account, folder, generation, now.as_second()],
            )
            .map(drop)
        })
    }
}
