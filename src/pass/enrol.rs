//! Enrol: registers the accounts of the config in the state and in the mail root, in one step, before the program
//! fetches from any of them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::mounted::{mounted, note_accounts};
use super::{Mounted, World};
use crate::config::Account;
use crate::error::{Error, Kind, Result};
use crate::state::Registered;

/// The name spaces of accounts that were registered for the first time and that no pass has looked at yet.
#[derive(Clone, Debug, Default)]
pub struct Newcomers(Arc<Mutex<HashSet<String>>>);

impl Newcomers {
    fn add(&self, registered: &[Registered]) {
        let new = registered.iter().filter(|account| account.is_new).map(|account| account.space.clone());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(new);
    }

    fn take(&self, space: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(space)
    }
}

/// Registers all accounts. If that fails, each account reports it in its own pass.
pub fn enrol<'a>(world: &World, accounts: impl Iterator<Item = &'a Account>) -> Result<()> {
    // The root first: where the state was lost, the root's list of accounts counts.
    let root = mounted(world)?;
    let accounts: Vec<(String, String)> = accounts.map(|account| (account.name.clone(), account.mailbox())).collect();
    world.newcomers.add(&world.store.register(&accounts, &world.mailboxes, world.now())?);
    note_accounts(world, &root)
}

/// One account, under its current name and mailbox.
pub fn enrolled(world: &World, _root: &Mounted, label: String, mailbox: String) -> Result<Registered> {
    let registered = world.store.register(&[(label, mailbox)], &world.mailboxes, world.now())?.pop();
    let account = registered.ok_or_else(|| Error::permanent(Kind::State, "the account was not registered"))?;
    let is_new = world.newcomers.take(&account.space) || account.is_new;
    Ok(Registered { is_new, ..account })
}
