//! The board: what each account is doing just now, for whoever asks.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::status::{AccountStatus, Doing, Status};
use crate::clean;

/// So much is said of the names of accounts that fail, in characters.
const LONGEST: usize = 200;

/// The last that is known of everything.
#[derive(Debug)]
pub(super) struct Board {
    since: Timestamp,
    accounts: Mutex<BTreeMap<String, AccountStatus>>,
    config: Mutex<Option<String>>,
    /// Somebody noted something.
    noted: Notify,
}

impl Board {
    pub(super) fn new(since: Timestamp) -> Self {
        Self { since, accounts: Mutex::default(), config: Mutex::default(), noted: Notify::new() }
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<String, AccountStatus>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes something about an account.
    pub(super) fn note(&self, name: &str, change: impl FnOnce(&mut AccountStatus)) {
        let mut accounts = self.accounts();
        let new = || AccountStatus { name: name.to_owned(), ..AccountStatus::default() };
        change(accounts.entry(name.to_owned()).or_insert_with(new));
        self.noted.notify_one();
    }

    /// Waits until something was noted since the last time. For one who waits.
    pub(super) async fn changed(&self) {
        self.noted.notified().await;
    }

    /// How the accounts are, in one line: `3 accounts: 2 wait for news, 1 fails: work`.
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
            words += &format!(" ({})", clean::short(&failing.join(", "), LONGEST));
        }
        if self.config.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            words += "; the config as it is written now cannot be used";
        }
        words
    }

    /// The account is fetched from no more.
    pub(super) fn forget(&self, name: &str) {
        self.accounts().remove(name);
        self.noted.notify_one();
    }

    /// The accounts whose login was refused.
    pub(super) fn refused(&self) -> Vec<String> {
        let is_refused = |it: &&AccountStatus| it.trouble.as_ref().is_some_and(|trouble| trouble.is_refused);
        self.accounts().values().filter(is_refused).map(|it| it.name.clone()).collect()
    }

    /// Why the config as it is written is not in force; `None`: it is.
    pub(super) fn set_config(&self, why_not: Option<String>) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = why_not;
        self.noted.notify_one();
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
