//! `status`: what each account does, why no mail comes, and what to do about it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Account;
use crate::error::Result;
use crate::pass::{World, failing};
use crate::state::OutboxState;

/// The whole status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The process of the daemon, if one runs.
    pub process: Option<u32>,
    /// Since when the daemon runs.
    pub since: Option<Timestamp>,
    /// Since when everything is paused.
    pub paused: Option<Timestamp>,
    /// Why the config that is written now is not in force.
    pub config: Option<String>,
    /// The accounts, in the order of the config.
    pub accounts: Vec<AccountStatus>,
    /// The outbox.
    pub outbox: OutboxStatus,
    /// The state folder that all of this comes from.
    #[serde(default)]
    pub state: PathBuf,
    /// Whether nothing was ever recorded there.
    #[serde(default)]
    pub unused: bool,
}

/// One account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStatus {
    /// Its name.
    pub name: String,
    /// What the account is doing.
    pub doing: Doing,
    /// Since when it is paused.
    pub paused: Option<Timestamp>,
    /// When mail from it was last filed.
    pub last_mail: Option<Timestamp>,
    /// When a pass over it last succeeded.
    pub last_success: Option<Timestamp>,
    /// When the next pass starts, unless its server reports news first.
    pub next_look: Option<Timestamp>,
    /// How its server reports new mail, in words, or `None` if it does not.
    pub push: Option<String>,
    /// How many messages are left for the next pass.
    pub left: u64,
    /// The last problem, if it is not solved.
    pub trouble: Option<AccountTrouble>,
}

/// What an account is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doing {
    /// No daemon runs, so nobody fetches it.
    #[default]
    Nothing,
    /// It waits for its turn.
    Queued,
    /// It is being fetched.
    Fetching,
    /// It waits for news.
    Waiting,
    /// It is left alone for a while after failures.
    Resting,
    /// It is paused.
    Paused,
}

/// A problem of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountTrouble {
    /// In words.
    pub text: String,
    /// When it began.
    pub since: Timestamp,
    /// How many times in a row it happened.
    pub times: u32,
    /// Whether the server refuses the login, so that only the user can help.
    pub is_refused: bool,
}

/// The status of the outbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxStatus {
    /// How many wait.
    pub waiting: u64,
    /// How many are held.
    pub held: u64,
    /// Relays that rest after failures.
    pub resting: Vec<Resting>,
}

/// A relay that rests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resting {
    /// Its name.
    pub relay: String,
    /// Until when.
    pub until: Timestamp,
    /// The cause.
    pub cause: String,
}

/// What the state knows about these accounts, whether a daemon runs or not.
pub fn remembered(world: &World, accounts: &[&Account]) -> Result<Status> {
    let registered = world.store.accounts()?;
    let last: BTreeMap<String, Timestamp> = world.store.last_mail()?.into_iter().collect();
    let paused: BTreeMap<String, Timestamp> = world.store.paused()?.into_iter().collect();
    let of = |account: &&Account| -> Result<AccountStatus> {
        let space = registered.iter().find(|known| known.label == account.name).map(|known| known.space.as_str());
        let trouble = match failing(world, account)? {
            Some(pace) => Some(AccountTrouble {
                text: pace.cause,
                since: pace.since,
                times: pace.failures,
                is_refused: pace.is_refused,
            }),
            None => world.store.partial_failure(&account.name)?.map(|partial| AccountTrouble {
                text: partial.cause,
                since: partial.since,
                times: partial.times,
                is_refused: false,
            }),
        };
        Ok(AccountStatus {
            name: account.name.clone(),
            paused: paused.get(&account.name).or(paused.get("")).copied(),
            last_mail: space.and_then(|space| last.get(space).copied()),
            trouble,
            ..AccountStatus::default()
        })
    };
    Ok(Status {
        paused: paused.get("").copied(),
        accounts: accounts.iter().map(of).collect::<Result<_>>()?,
        outbox: outbox(world)?,
        state: world.state.clone(),
        unused: registered.is_empty(),
        ..Status::default()
    })
}

fn outbox(world: &World) -> Result<OutboxStatus> {
    let rows = world.store.still_to_tell()?;
    let held = rows.iter().filter(|row| row.state == OutboxState::Held).count() as u64;
    let rests = world.store.rests()?.into_iter().filter(|rest| rest.is_at(world.now()));
    let resting = rests.map(|rest| Resting { relay: rest.relay, until: rest.until, cause: rest.cause }).collect();
    Ok(OutboxStatus { waiting: rows.len() as u64 - held, held, resting })
}
