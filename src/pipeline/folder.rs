//! One pass over one folder of an account: list, choose, fetch, commit, settle.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::{Account, Protocol, Retention};
use crate::error::{Error, Kind, Result};
use crate::message::Key;
use crate::pass::{self, Cause, Committer, FetchChoice, FolderLooked, Leftovers, Notice, Report, Watch, World};
use crate::safeguard::Safeguard;
use crate::source::{Batch, Complete, Listed, Listing, Outlet, Source, Stood};
use crate::state::{Clock, KnownOrigin, Owned, Recovered, Registered, Settlement, Unfinished};
use crate::stop::{asked, done};

/// One folder of one account.
pub(super) struct FolderPass<'a> {
    pub(super) world: &'a World,
    pub(super) owned: &'a Owned,
    pub(super) account: &'a Account,
    pub(super) registered: &'a Registered,
    pub(super) recovered: &'a Recovered,
    /// The state of the folder at its last listing, if only later mail has to be looked at.
    pub(super) stood: Option<Stood>,
    pub(super) watch: &'a Arc<dyn Watch>,
    pub(super) stop: &'a CancellationToken,
}

impl FolderPass<'_> {
    /// Runs the pass. Returns whether everything in the folder was listed.
    pub(super) async fn run(
        &mut self,
        source: &mut Source,
        folder: &str,
        committer: &mut Committer,
        leftovers: &mut Leftovers,
        lost: &mut Vec<Unfinished>,
    ) -> Result<bool> {
        let mut listing = match &self.stood {
            Some(stood) => asked(self.stop, source.open_since(folder, stood)).await?,
            None => asked(self.stop, source.open(folder)).await?,
        };
        let before = undone(&committer.filer.report);
        let keys = listing.ids.iter().map(|id| Key::new(&listing.origin, id.clone()));
        leftovers.remove_listed(self.world, keys)?;
        pass::fetch_again(self.world, self.owned, self.account.protocol, &listing, lost, &mut committer.filer)?;

        let room = self.account.select.limit.map(|limit| u64::from(limit).saturating_sub(committer.filer.report.new));
        let choosing = pass::choose(self.world, self.owned, self.account, self.registered, source, &mut listing, room);
        let FetchChoice { wanted, known, odd, left, notices, withheld } = asked(self.stop, choosing).await?;
        committer.filer.report.left += left;
        notices.iter().try_for_each(|notice| committer.filer.notify(notice))?;
        committer.filer.report.errors.extend(withheld);

        self.compare_clocks(&wanted, committer)?;
        committer.begin_folder(&listing.origin)?;
        let wanted = committer.suspects_last(wanted);
        let settlements = self.fetch_and_commit(source, &wanted, committer).await?;

        let mut is_done = odd.is_none();
        match (odd.filter(|_| Safeguard::ShortListing.is_on()), listing.complete()) {
            (Some(odd), _) => self.report_odd(&odd, &listing, &mut committer.filer.report),
            (None, Some(complete)) => is_done &= self.settle(source, complete, &known, settlements, committer).await?,
            // A message that is not listed may be there or not.
            (None, None) => {}
        }
        is_done &= undone(&committer.filer.report) == before && !self.stop.is_cancelled();
        let looked = FolderLooked { listing: &listing, known: &known, is_done };
        looked.record(self.world, self.owned, self.account, source)?;
        Ok(listing.complete().is_some() && !listing.is_short)
    }

    fn report_odd(&self, odd: &str, listing: &Listing, report: &mut Report) {
        let deletes = self.account.retention != Retention::Keep;
        let spared = if deletes { "; nothing was deleted on the server in this pass" } else { "" };
        let said = format!("{odd}{spared}");
        match listing.is_short {
            true => report.errors.push(Error::transient(Kind::Protocol, said)),
            false => report.remarks.push(said),
        }
    }

    /// Remembers what is gone, and does on the server what the retention asks for. Returns whether everything was done.
    async fn settle(
        &self,
        source: &mut Source,
        complete: Complete<'_>,
        known: &KnownOrigin,
        settlements: Vec<Settlement>,
        committer: &mut Committer,
    ) -> Result<bool> {
        let origin = &complete.listing().origin;
        let missing = pass::missing(known, complete);
        self.world.store.listed(self.owned, origin, &missing, self.world.now())?;
        if self.recovered.is_odd() || self.stop.is_cancelled() {
            return Ok(false);
        }
        let (retention, owned) = (&self.account.retention, self.owned);
        let folder = pass::Settling { retention, listing: complete, known, owned };
        let settling = folder.settle(self.world, source, self.recovered, settlements, &mut committer.filer.report);
        // A copy must be remembered before anybody copies the message again. So a stop does not interrupt this; each
        // command has its own deadline.
        let not_done = match retention {
            Retention::MoveTo(_) => settling.await?,
            _ => done(self.stop, settling).await?,
        };
        pass::stand(self.world, self.owned, &origin.folder, &not_done, &mut committer.filer)?;
        committer.filer.report.errors.extend(not_done);
        Ok(true)
    }

    /// Compares the local clock with the server's, as shown by mail that has just come. The local clock is in doubt
    /// until they agree, or until it has gone on for a day. POP3 has no arrival dates: the dates in the mail itself
    /// come from any sender, and never prove that the local clock is behind.
    fn compare_clocks(&self, wanted: &[Listed], committer: &mut Committer) -> Result<()> {
        let (store, now) = (&self.world.store, self.world.now());
        let thought = store.observe(now, false)?;
        if thought == Clock::Plausible {
            return Ok(());
        }
        let is_now = |at: Timestamp| now.duration_since(at).abs() <= SignedDuration::from_hours(24);
        let has_dates = self.account.protocol == Protocol::Imap;
        let agrees = has_dates && wanted.iter().filter_map(|listed| listed.arrived).any(is_now);
        if agrees && store.observe(now, true)? == Clock::Plausible || thought == Clock::Unproven {
            return Ok(());
        }
        let text = format!(
            "The clock of this machine says {now}, which does not follow the last time that was seen. Until it has gone on for \
             a day, or mail that comes just now has the same date, nothing is deleted or given up because of its age."
        );
        committer.filer.notify(&Notice { cause: Cause::ClockDoubted, account: self.account.name.clone(), text })
    }

    /// The source sends batches, and a thread commits them.
    async fn fetch_and_commit(
        &self,
        source: &mut Source,
        wanted: &[Vec<Listed>; 2],
        committer: &mut Committer,
    ) -> Result<Vec<Settlement>> {
        let count = wanted.iter().map(Vec::len).sum::<usize>();
        if count == 0 {
            return Ok(Vec::new());
        }
        let bytes = wanted.iter().flatten().fold(0_u64, |sum, message| sum.saturating_add(message.size()));
        self.watch.expect(&self.account.name, count as u64, bytes);
        let (outlet, receive) = Outlet::new(&self.world.memory, self.stop);
        let watch = Arc::clone(self.watch);
        let mut working = committer.take();
        let commits = tokio::task::spawn_blocking(move || {
            let result = commit_all(&mut working, receive, &*watch);
            (working, result)
        });
        let [calm, suspects] = wanted;
        let mut fetched = done(self.stop, source.fetch(calm, &outlet)).await;
        // Suspects are fetched one by one: a server answers in its own order, and otherwise another message might be
        // blamed for a broken connection.
        for suspect in suspects {
            if fetched.is_ok() && !self.stop.is_cancelled() {
                fetched = done(self.stop, source.fetch(std::slice::from_ref(suspect), &outlet)).await;
            }
        }
        drop(outlet);
        let (working, committed) =
            commits.await.map_err(|e| Error::transient(Kind::Disk, "the committing thread ended").because(e))?;
        *committer = working;
        // A full disk explains more than the connection that was dropped because of it.
        let settlements = committed?;
        fetched?;
        if self.stop.is_cancelled() {
            committer.filer.report.left += count.saturating_sub(settlements.len()) as u64;
        }
        Ok(settlements)
    }
}

/// The counts in a report that make a later pass look again.
fn undone(report: &Report) -> (u64, u64, u64, usize) {
    (report.failed, report.deferred, report.left, report.errors.len())
}

fn commit_all(
    committer: &mut Committer,
    mut batches: mpsc::Receiver<Batch>,
    watch: &dyn Watch,
) -> Result<Vec<Settlement>> {
    let mut all = Vec::new();
    while let Some(batch) = batches.blocking_recv() {
        let Batch { items, room } = batch;
        let published = committer.commit(items)?;
        drop(room);
        let (messages, bytes) =
            published.entries().fold((0, 0), |(n, b), e| (n + 1, e.announced.max(e.size).saturating_add(b)));
        watch.safe(messages, bytes);
        all.extend(published.settlements());
    }
    Ok(all)
}
