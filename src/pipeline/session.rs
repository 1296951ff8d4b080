//! A session: an account that this process owns for one pass or for many, and the connection to its server.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

use super::folder::FolderPass;
use super::watchers::Watchers;
use super::{Extent, Job, count_death};
use crate::config::Account;
use crate::deliver::recover_what_can_be;
use crate::error::{Error, Kind, Result};
use crate::net::oauth;
use crate::pass::{self, Cause, Committer, Filer, Leftovers, Notice, Report, Watch, World};
use crate::source::{Chosen, Heard, PushMethod, Source};
use crate::state::{Owned, Recovered, Registered};
use crate::stop::{asked, done};

/// An account whose name space this process owns, the result of the recovery after an interrupted run, and the
/// connection to the server.
#[derive(Debug)]
pub struct Session {
    owned: Arc<Owned>,
    registered: Registered,
    recovered: Recovered,
    /// Why some of it cannot be finished yet.
    held: Vec<Error>,
    leftovers: Leftovers,
    source: Option<Source>,
    /// The folders whose news the session waits for, the most important first.
    pushed: Vec<String>,
    watchers: Watchers,
    _turn: OwnedMutexGuard<()>,
}

impl Session {
    /// Takes the account before anything new starts. It may wait for locks of mbox files, so it does not run on a
    /// worker of the runtime.
    pub(super) async fn begin(world: &World, account: &Account) -> Result<Self> {
        let (name, mailbox) = (account.name.clone(), account.mailbox());
        // The root first: where the state was lost, the root's list of accounts counts.
        let enrolled = move |world: &World| pass::enrolled(world, &pass::mounted(world)?, name, mailbox);
        let registered = world.off(enrolled).await?;
        // Two accounts of the config may be one mailbox.
        let turn = world.turns.of(&registered.space).await;
        world
            .off(move |world| {
                let mounted = pass::mounted(world)?;
                let owned = world.own(&registered.space, Duration::ZERO)?;
                pass::note_accounts(world, &mounted)?;
                count_death(world, &owned)?;
                let (recovered, held) = recover_what_can_be(&*world.disk, &*world.store, world.folders.root(), &owned)?;
                let leftovers = Leftovers::find(world, &owned)?.without(held.iter().map(|(row, _)| &row.key));
                let held: Vec<Error> = held.into_iter().map(|(_, error)| error).collect();
                // If there is nothing to look for, no listing has to find it.
                if leftovers.is_empty() && recovered.lost.is_empty() && held.is_empty() {
                    owned.is_cleared();
                }
                Ok(Self {
                    owned,
                    registered,
                    recovered,
                    held,
                    leftovers,
                    source: None,
                    pushed: Vec::new(),
                    watchers: Watchers::default(),
                    _turn: turn,
                })
            })
            .await
    }

    /// Prepares the session for another pass: the mail root may be gone by now, and so may the connection.
    pub(super) async fn continue_in(mut self, world: &World, extent: &Extent) -> Result<Self> {
        world.off(|world| pass::mounted(world).map(drop)).await?;
        // A server that has just sent news is there.
        if let (Some(source), Extent::All) = (&mut self.source, extent)
            && !source.is_alive(ALIVE_TIMEOUT).await
        {
            self.source = None;
        }
        Ok(self)
    }

    /// Whether nothing is left that another session would have to recover.
    pub(super) fn is_settled(&self, report: &Report) -> bool {
        let is_ours = |error: &Error| matches!(error.kind(), Kind::Disk | Kind::State);
        self.has_nothing_to_recover() && !report.errors.iter().any(is_ours)
    }

    fn has_nothing_to_recover(&self) -> bool {
        self.held.is_empty() && !self.recovered.is_odd() && !self.owned.may_have_left() && !self.owned.has_staged()
    }

    /// Runs a pass as the owner of the account's name space, until the last notice is filed.
    pub(super) async fn pass(
        &mut self,
        world: &World,
        job: &Job,
        extent: &Extent,
        watch: &Arc<dyn Watch>,
        stop: &CancellationToken,
    ) -> Report {
        let (name, into) = (&job.account.name, job.account.into.clone());
        let engine = Arc::clone(&job.engine);
        let mut committer =
            Committer::new(Filer::new(world, &self.owned, name, into), engine).since(self.registered.first_run);
        let mut outcome = self.pass_over(world, job, extent, &mut committer, watch, stop).await;
        // If something has to be recovered, the next pass starts with that.
        if let Err(error) = &outcome
            && self.has_nothing_to_recover()
            && oauth::has_died(&job.account.password, error).await
        {
            tracing::info!("{}: {error}; starting a new session", job.account.name);
            outcome = self.pass_over(world, job, extent, &mut committer, watch, stop).await;
        }
        if let Err(error) = outcome {
            notify_refused_login(world, &job.account, &mut committer.filer, &error);
            committer.filer.report.broke_off = Some(committer.filer.report.errors.len());
            committer.filer.report.errors.push(error);
        }
        if let Err(error) = committer.filer.finish() {
            committer.filer.report.errors.push(error);
        }
        self.registered.is_new = false;
        if let Err(error) = self.read_whether_listed(world) {
            committer.filer.report.errors.push(error);
        }
        committer.filer.report
    }

    /// Notes that the account was listed. Mail in a folder that appears from now on came after the first run.
    fn read_whether_listed(&mut self, world: &World) -> Result<()> {
        if !self.registered.was_looked_at {
            let accounts = world.store.accounts()?;
            let ours = accounts.iter().find(|account| account.space == self.registered.space);
            self.registered.was_looked_at = ours.is_some_and(|account| account.was_looked_at);
        }
        Ok(())
    }

    async fn pass_over(
        &mut self,
        world: &World,
        job: &Job,
        extent: &Extent,
        committer: &mut Committer,
        watch: &Arc<dyn Watch>,
        stop: &CancellationToken,
    ) -> Result<()> {
        let account = &*job.account;
        committer.filer.report.errors.append(&mut self.held);
        let mut lost = std::mem::take(&mut self.recovered.lost);
        // The connection is put back after the pass: after an error, nobody knows which command its next answer belongs
        // to.
        let mut source = match self.source.take() {
            Some(source) => source,
            None => {
                let spool = world.spool(self.owned.stamp());
                // Handshakes and logins are large, and the future of the pass should stay small.
                let connect = Box::pin(Source::connect(account, self.owned.space(), spool));
                asked(stop, Box::pin(pass::reach(world, account, connect))).await?
            }
        };
        let (folders, mut all_listed) = asked(stop, self.folders(world, &mut source, extent, committer)).await?;
        committer.filer.report.is_answered = true;
        let mut pushed = account.push.of(&folders);
        let mut leftovers = std::mem::take(&mut self.leftovers);
        // Only a complete listing finds what is looked for.
        let marks = match lost.is_empty() && leftovers.is_empty() && self.has_nothing_to_recover() {
            true => pass::folder_marks(world, &self.owned, account, &folders)?,
            false => HashMap::new(),
        };
        // Folders in which the server says that something happened are listed.
        let unchanged = match extent {
            Extent::All => asked(stop, pass::unchanged(&mut source, &marks)).await?,
            Extent::Folders(_) => HashSet::new(),
        };
        for folder in folders {
            if stop.is_cancelled() {
                all_listed = false;
                break;
            }
            if unchanged.contains(&folder) {
                continue;
            }
            let (recovered, registered, owned) = (&self.recovered, &self.registered, &self.owned);
            let stood = match marks.get(&folder) {
                Some(mark) => pass::stood(world, owned, account, &folder, mark)?,
                None => None,
            };
            let mut pass = FolderPass { world, owned, account, registered, recovered, stood, watch, stop };
            match pass.run(&mut source, &folder, committer, &mut leftovers, &mut lost).await {
                // A message that a partial listing lacks may be there all the same.
                Ok(is_all) => all_listed &= is_all,
                // A folder that cannot be opened does not keep the others from being fetched.
                Err(error) if error.kind() == Kind::Refused => {
                    all_listed = false;
                    // The server sends no news of a folder that cannot be opened.
                    pushed.retain(|pushed| *pushed != folder);
                    pass::stand(world, &self.owned, &folder, std::slice::from_ref(&error), &mut committer.filer)?;
                    committer.filer.report.errors.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        if *extent == Extent::All {
            self.pushed = pushed;
        }
        world.walk.let_go();
        if source.lasts() {
            self.source = Some(source);
        } else {
            let gone = done(stop, source.close()).await?;
            pass::remember_settled(world, &self.owned, &gone, &mut committer.filer.report)?;
        }
        if all_listed {
            pass::tell_of_lost(world, &self.owned, lost, &mut committer.filer)?;
            pass::rescue_unlisted(world, self.owned.space(), leftovers, &mut committer.filer)?;
            self.owned.is_cleared();
        }
        committer.filer.finish()
    }

    /// The folders to look at, and whether they are all that the config asks for. A message that is looked for may be
    /// in a folder that the config meant and that has another name.
    async fn folders(
        &self,
        world: &World,
        source: &mut Source,
        extent: &Extent,
        committer: &mut Committer,
    ) -> Result<(Vec<String>, bool)> {
        if let Extent::Folders(folders) = extent {
            return Ok((folders.iter().cloned().collect(), false));
        }
        let chosen = source.folders().await?;
        pass::stand_for_folders(world, &self.owned, &chosen, &mut committer.filer)?;
        let Chosen { folders, errors, remarks } = chosen;
        let is_all = errors.is_empty();
        committer.filer.report.errors.extend(errors);
        committer.filer.report.remarks.extend(remarks);
        Ok((folders, is_all))
    }

    /// Prepares the wait for news: if the server reports on one folder for each connection, this opens the connections
    /// for the others.
    pub async fn watch(&mut self, world: &World, account: &Account) {
        if self.source.as_ref().is_some_and(|source| source.pushed() == PushMethod::Idle) {
            let (space, spool) = (self.owned.space(), world.spool(self.owned.stamp()));
            // If the number cannot be remembered, the next session finds it out again.
            let allowed = pass::most_connections(world, space).unwrap_or_default();
            if let Some(most) = self.watchers.open(account, space, &spool, &self.pushed, allowed).await
                && let Err(error) = pass::remember_most_connections(world, space, most)
            {
                tracing::error!("{error}");
            }
        }
    }

    /// Waits until the server says that something happened, or for ever if it cannot say so.
    pub async fn wait(&mut self) -> Result<Heard> {
        let Self { source, pushed, watchers, .. } = self;
        let news = async {
            match source {
                Some(source) if !pushed.is_empty() => source.wait(pushed).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            heard = news => heard,
            folders = watchers.wait() => Ok(Heard::News(folders)),
        }
    }

    /// How the server reports new mail, in words, or `None` if it does not.
    pub fn push(&self) -> Option<String> {
        let first = self.pushed.first()?;
        match self.source.as_ref()?.pushed() {
            PushMethod::None => None,
            PushMethod::Notify => Some(format!("NOTIFY for {}", folders(self.pushed.len()))),
            PushMethod::Idle => {
                let idle: Vec<&str> = std::iter::once(first.as_str()).chain(self.watchers.folders()).collect();
                let others = match self.pushed.len().saturating_sub(idle.len()) {
                    0 => String::new(),
                    count => format!("; {} looked at by the clock", folders(count)),
                };
                Some(format!("IDLE on {}{others}", idle.join(", ")))
            }
        }
    }

    /// Drops a connection that is of no use any more.
    pub fn hang_up(&mut self) {
        self.source = None;
    }

    /// Says goodbye to the server and releases the account.
    pub async fn close(self) {
        let Self { source, watchers, .. } = self;
        let goodbyes = async {
            watchers.close().await;
            if let Some(source) = source
                && let Err(error) = source.close().await
            {
                tracing::debug!("saying goodbye: {error}");
            }
        };
        if tokio::time::timeout(GOODBYE_TIMEOUT, goodbyes).await.is_err() {
            tracing::debug!("saying goodbye: no answer");
        }
    }
}

fn folders(count: usize) -> String {
    format!("{count} folder{}", if count == 1 { "" } else { "s" })
}

/// How long a kept connection may take to show that it is alive.
const ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may take to answer a goodbye. Nothing depends on the answer.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Files a notice about a refused login, which the user of a daemon would not see otherwise.
fn notify_refused_login(world: &World, of: &Account, filer: &mut Filer, error: &Error) {
    let until = match error.kind() {
        Kind::Auth if of.password.sign_in().is_some() => "that is corrected",
        Kind::Auth => "its password is right",
        Kind::Login => "its server accepts the login",
        _ => return,
    };
    let error = error.to_string();
    let text = format!("{}.\n\nNo mail is fetched from this account until {until}.", error.trim_end_matches('.'));
    let account = filer.report.account.clone();
    // If the state cannot tell whether this is news, the notice is filed: the same notice comes once a day at most.
    if !pass::is_news(world, of).unwrap_or(true) {
        return;
    }
    match filer.notify(&Notice { cause: Cause::LoginRefused, account, text }) {
        Ok(()) => filer.report.is_refusal_told = true,
        Err(e) => filer.report.errors.push(e),
    }
}
