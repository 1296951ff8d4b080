//! The board: what each account is doing now.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::status::{AccountStatus, Doing, Status};
use crate::clean;

/// How many characters name the accounts that fail.
const MAX_FAILING_CHARS: usize = 200;

/// The latest status of everything.
#[derive(Debug)]
pub(super) struct Board {
    since: Timestamp,
    accounts: Mutex<BTreeMap<String, AccountStatus>>,
    config: Mutex<Option<String>>,
    /// Notifies of each change.
    change: Notify,
}

impl Board {
    pub(super) fn new(since: Timestamp) -> Self {
        Self { since, accounts: Mutex::default(), config: Mutex::default(), change: Notify::new() }
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<String, AccountStatus>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the status of an account.
    pub(super) fn update(&self, name: &str, change: impl FnOnce(&mut AccountStatus)) {
        let mut accounts = self.accounts();
        let new = || AccountStatus { name: name.to_owned(), ..AccountStatus::default() };
        change(accounts.entry(name.to_owned()).or_insert_with(new));
        self.change.notify_one();
    }

    /// Waits until something has changed since the last call. Only one task may wait.
    pub(super) async fn changed(&self) {
        self.change.notified().await;
    }

    /// The status of all accounts in one line: `3 accounts: 2 waiting, 1 failing (work)`.
    pub(super) fn in_words(&self) -> String {
        let accounts = self.accounts();
        let failing: Vec<&str> =
            accounts.values().filter(|it| it.trouble.is_some()).map(|it| it.name.as_str()).collect();
        let count = |doing: Doing| accounts.values().filter(|it| it.trouble.is_none() && it.doing == doing).count();
        let parts = [
            (count(Doing::Waiting), "waiting"),
            (count(Doing::Fetching) + count(Doing::Queued), "being fetched from"),
            (count(Doing::Paused), "paused"),
            (failing.len(), "failing"),
        ];
        let parts: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        let mut words = format!("{} account{}", accounts.len(), if accounts.len() == 1 { "" } else { "s" });
        if !parts.is_empty() {
            words += &format!(": {}", parts.join(", "));
        }
        if !failing.is_empty() {
            words += &format!(" ({})", clean::short(&failing.join(", "), MAX_FAILING_CHARS));
        }
        if self.config.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            words += "; the changed config cannot be used";
        }
        words
    }

    /// Removes an account that is no longer fetched.
    pub(super) fn forget(&self, name: &str) {
        self.accounts().remove(name);
        self.change.notify_one();
    }

    /// The accounts whose login was refused.
    pub(super) fn refused(&self) -> Vec<String> {
        let is_refused = |it: &&AccountStatus| it.trouble.as_ref().is_some_and(|trouble| trouble.is_refused);
        self.accounts().values().filter(is_refused).map(|it| it.name.clone()).collect()
    }

    /// Sets the reason why the config that is written now is not in force, or `None` if it is.
    pub(super) fn set_config(&self, why_not: Option<String>) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = why_not;
        self.change.notify_one();
    }

    /// Merges this into what the state remembers.
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
