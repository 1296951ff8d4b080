//! Additional connections that wait for news, if the server reports on one folder for each connection (IDLE) and the
//! config names several. Servers limit the connections of all the user's devices, and Gmail counts dead ones too. So
//! there are few, and after a refusal no further one is tried.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use crate::config::{Account, PushFolders};
use crate::error::Kind;
use crate::source::{Heard, Source, Spool};

/// How many there are beside the connection that fetches. Gmail allows 15 for all devices, Dovecot 10 for a user from
/// one address.
const MAX_WATCHERS: usize = 2;

/// A connection that waits for news of one folder.
#[derive(Debug)]
struct Watcher {
    folder: String,
    source: Source,
}

/// The watchers of an account.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    open: Vec<Watcher>,
}

impl Watchers {
    /// Opens those that are missing, for the folders that the config names after the first one, and as many as the
    /// server allows. If the server refuses one more, returns how many it allows.
    pub(super) async fn open(
        &mut self,
        account: &Account,
        space: &str,
        spool: &Spool,
        pushed: &[String],
        allowed: Option<usize>,
    ) -> Option<usize> {
        let PushFolders::Patterns(_) = account.push else { return None };
        let most = allowed.unwrap_or(MAX_WATCHERS).min(MAX_WATCHERS);
        let wanted: Vec<&String> = pushed.iter().skip(1).take(most).collect();
        self.open.retain(|watcher| wanted.contains(&&watcher.folder));
        for folder in wanted {
            if self.open.iter().any(|watcher| watcher.folder == *folder) {
                continue;
            }
            match Source::connect(account, space, spool.clone()).await {
                Ok(source) => self.open.push(Watcher { folder: folder.clone(), source }),
                Err(error) => {
                    tracing::info!("{}: no more connections that wait for news: {error}", account.name);
                    // A server that cannot be reached has refused nothing.
                    return matches!(error.kind(), Kind::Refused | Kind::Auth | Kind::Login).then_some(self.open.len());
                }
            }
        }
        None
    }

    /// The folders that the watchers wait for.
    pub(super) fn folders(&self) -> impl Iterator<Item = &str> {
        self.open.iter().map(|watcher| watcher.folder.as_str())
    }

    /// Waits until the server reports something to one of them, or for ever if there are none. If a connection breaks,
    /// its watcher is dropped, and its folder is polled until it is opened again.
    pub(super) async fn wait(&mut self) -> BTreeSet<String> {
        loop {
            let mut waits: Vec<_> = self.open.iter_mut().map(wait_for).collect();
            let (at, heard) = poll_fn(|context| {
                for (at, wait) in waits.iter_mut().enumerate() {
                    if let Poll::Ready(heard) = wait.as_mut().poll(context) {
                        return Poll::Ready((at, heard));
                    }
                }
                Poll::Pending
            })
            .await;
            drop(waits);
            match heard {
                Some(folder) => return BTreeSet::from([folder]),
                None => _ = self.open.remove(at),
            }
        }
    }

    /// Says goodbye.
    pub(super) async fn close(self) {
        for watcher in self.open {
            watcher.source.close().await.ok();
        }
    }
}

type Waits<'w> = Pin<Box<dyn Future<Output = Option<String>> + Send + 'w>>;

/// Returns the folder when there is news of it, or `None` if the connection broke.
fn wait_for(watcher: &mut Watcher) -> Waits<'_> {
    let Watcher { folder, source } = watcher;
    Box::pin(async move {
        match source.wait(std::slice::from_ref(folder)).await {
            Ok(Heard::News(_) | Heard::Anywhere) => Some(folder.clone()),
            Err(error) => {
                tracing::info!("the wait for news of {folder} ended: {error}");
                None
            }
        }
    })
}
