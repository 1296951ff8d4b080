//! The board: what each account is doing just now, for whoever asks.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::status::{AccountStatus, Status};

/// The last that is known of everything.
#[derive(Debug)]
pub(super) struct Board {
    since: Timestamp,
    accounts: Mutex<BTreeMap<String, AccountStatus>>,
    config: Mutex<Option<String>>,
}

impl Board {
    pub(super) fn new(since: Timestamp) -> Self {
        Self { since, accounts: Mutex::default(), config: Mutex::default() }
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<String, AccountStatus>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes something about an account.
    pub(super) fn note(&self, name: &str, change: impl FnOnce(&mut AccountStatus)) {
        let mut accounts = self.accounts();
        let new = || AccountStatus { name: name.to_owned(), ..AccountStatus::default() };
        change(accounts.entry(name.to_owned()).or_insert_with(new));
    }

    /// The account is fetched from no more.
    pub(super) fn forget(&self, name: &str) {
        self.accounts().remove(name);
    }

    /// The accounts whose login was refused.
    pub(super) fn refused(&self) -> Vec<String> {
        let is_refused = |it: &&AccountStatus| it.trouble.as_ref().is_some_and(|trouble| trouble.is_refused);
        self.accounts().values().filter(is_refused).map(|it| it.name.clone()).collect()
    }

    /// Why the config as it is written is not in force; `None`: it is.
    pub(super) fn set_config(&self, why_not: Option<String>) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = why_not;
    }

    /// Adds it to what the state remembers.
    pub(super) fn add_to(&self, remembered: Status) -> Status {
        let accounts = self.accounts();
        let add = |account: AccountStatus| match accounts.get(&account.name) {
            None => account,
            Some(now) => AccountStatus {
                paused: account.paused,
                last_mail: account.last_mail.max(now.last_mail),
                trouble: now.trouble.clone().or(account.trouble),
                ..now.clone()
            },
        };
        Status {
            process: Some(std::process::id()),
            since: Some(self.since),
            config: self.config.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            accounts: remembered.accounts.into_iter().map(add).collect(),
            ..remembered
        }
    }
}
