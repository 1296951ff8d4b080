//! Waits until the server reports news, with NOTIFY (RFC 5465) or IDLE (RFC 2177).

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::ImapSource;
use super::asked::AskedFolders;
use super::idle::REFRESH_EVERY;
use super::notify::Notified;
use crate::error::{Error, Kind, Result};
use crate::source::{Glance, Heard, PushMethod};

/// News is returned when nothing more came for this long,
const BURST_ENDS_AFTER: Duration = Duration::from_millis(300);
/// but at the latest after this time.
const LONGEST_BURST: Duration = Duration::from_secs(5);
/// How long the server may take to answer a NOOP during a wait.
const NOOP_TIMEOUT: Duration = Duration::from_secs(30);
/// How many replies are read in a second: a server that never stops would keep us busy.
const MOST_REPLIES_A_SECOND: u32 = 10_000;

impl ImapSource {
    /// How the server reports news in this session.
    pub(in crate::source) fn pushed(&self) -> PushMethod {
        if self.session.can("NOTIFY") && !matches!(self.session.notified, Notified::Refuses) {
            return PushMethod::Notify;
        }
        if self.session.can("IDLE") && !self.session.refuses_idle { PushMethod::Idle } else { PushMethod::None }
    }

    /// Waits until something has happened in one of the folders. May be dropped at any time.
    pub(in crate::source) async fn wait(&mut self, folders: &[String]) -> Result<Heard> {
        let work = self.session.may_be_dropped();
        let heard = self.wait_for_news(folders).await;
        work.done();
        heard
    }

    async fn wait_for_news(&mut self, folders: &[String]) -> Result<Heard> {
        self.ignore_own_removals();
        if self.pushed() == PushMethod::Notify && self.start_notify(folders).await? {
            return self.listen(folders, PushMethod::Notify).await;
        }
        if self.pushed() == PushMethod::Idle
            && let Some(first) = folders.first()
            && self.start_idle(first).await?
        {
            return self.listen(folders, PushMethod::Idle).await;
        }
        std::future::pending().await
    }

    /// Whether the server answers at all.
    pub(in crate::source) async fn is_alive(&mut self, limit: Duration) -> bool {
        // Over days a session may receive many unreadable replies.
        self.session.forget_unreadable();
        let work = self.session.may_be_dropped();
        let answer = timeout(limit, self.session.run("NOOP", |_| Ok(()))).await;
        let is_alive = answer.is_ok_and(|answer| answer.map_or_else(|error| error.kind() == Kind::Refused, |_| true));
        if is_alive {
            work.done();
        }
        is_alive
    }

    /// Messages that were removed after the folder was opened for a pass were removed by the pass, so they are not news.
    fn ignore_own_removals(&mut self) {
        if let Some(open) = self.session.selection.open().filter(|open| !open.is_waited_in) {
            open.is_waited_in = true;
            self.known.record_removed(&open.folder, std::mem::take(&mut open.expunged));
        }
    }

    /// Starts NOTIFY for all folders, and records what changed in them since they were last seen. `false`: the server has no
    /// NOTIFY.
    async fn start_notify(&mut self, folders: &[String]) -> Result<bool> {
        self.session.leave_folder().await?;
        if !self.session.is_notified() {
            // Until now the server did not report on any of them.
            self.known.mark_unreported(folders);
            if !self.session.request_notify().await? {
                return Ok(false);
            }
        }
        let unreported = self.known.unreported(folders);
        let seen = self.query_status(&unreported).await?;
        for folder in unreported {
            self.known.record_unreported(&folder, seen.get(&folder).copied().unwrap_or_default());
        }
        Ok(true)
    }

    /// Starts IDLE in one folder, and records what changed in it since it was last seen. `false`: the server has no IDLE.
    async fn start_idle(&mut self, folder: &str) -> Result<bool> {
        if self.session.is_idling_in(folder) {
            return Ok(true);
        }
        if !self.session.selection.open().is_some_and(|open| open.folder == folder && open.is_examined) {
            let name = self.on_server(folder)?;
            self.session.may_use_uids = false;
            let selected = self.session.select(&name, folder, false).await?;
            self.known.record_report(folder, selected.glance());
        }
        self.session.begin_idle().await
    }

    /// Reads until there is news, and a moment longer, because mail comes in bursts.
    async fn listen(&mut self, folders: &[String], by: PushMethod) -> Result<Heard> {
        let asked = self.asked(folders);
        let mut burst = Burst::default();
        let mut news: Option<(Instant, Instant)> = None;
        loop {
            if self.process_unsolicited(&asked) || news.is_none() && self.known.has_news(folders) {
                let now = Instant::now();
                news = Some(news.map_or((now, now), |(first, _)| (first, now)));
            }
            let until = match news {
                Some((first, last)) => (last + BURST_ENDS_AFTER).min(first + LONGEST_BURST),
                None => self.session.last_sent + REFRESH_EVERY,
            };
            if Instant::now() < until
                && let Ok(heard) = timeout_at(until, self.session.read_unsolicited()).await
            {
                heard?;
                burst.throttle().await;
            } else if self.known.has_news(folders) {
                return Ok(self.known.take_news(folders));
            } else {
                news = None;
                self.refresh(by).await?;
            }
            if by == PushMethod::Idle && self.session.idle.is_none() && !self.restart_idle().await? {
                match self.known.has_news(folders) {
                    true => return Ok(self.known.take_news(folders)),
                    false => std::future::pending().await,
                }
            }
        }
    }

    /// Sends something after a long silence. IDLE is ended; the caller restarts it.
    async fn refresh(&mut self, by: PushMethod) -> Result<()> {
        self.session.forget_unreadable();
        match by {
            PushMethod::Idle => self.session.stop_waiting().await,
            PushMethod::Notify | PushMethod::None => {
                match timeout(NOOP_TIMEOUT, self.session.run("NOOP", |_| Ok(()))).await {
                    Ok(answer) => answer.map(drop),
                    Err(_) => Err(Error::transient(Kind::Network, "the server no longer answers")),
                }
            }
        }
    }

    /// Begins IDLE again after it ended. `false`: the server has no IDLE.
    async fn restart_idle(&mut self) -> Result<bool> {
        Ok(!self.session.refuses_idle && self.session.begin_idle().await?)
    }

    /// Processes the unsolicited data since the last call. Returns whether any of it is news.
    fn process_unsolicited(&mut self, asked: &AskedFolders<'_>) -> bool {
        let told = &mut self.session.told;
        let mut is_news = std::mem::take(&mut told.folders_changed) | std::mem::take(&mut told.overflowed);
        self.known.news_anywhere |= is_news;
        for (wire, now) in told.take_statuses() {
            if let Some(folder) = asked.folder(&wire) {
                is_news |= self.known.record_report(folder, now);
            }
        }
        if let Some(open) = self.session.selection.open() {
            let (exists, expunged) = (open.exists, std::mem::take(&mut open.expunged));
            is_news |= self.known.record_report(&open.folder, Glance { exists: Some(exists), ..Glance::default() });
            if expunged > 0 {
                is_news = true;
                self.known.add_news(&open.folder);
            }
        }
        is_news
    }
}

/// Counts replies that come in quick succession.
#[derive(Debug)]
struct Burst {
    since: Instant,
    count: u32,
}

impl Default for Burst {
    fn default() -> Self {
        Self { since: Instant::now(), count: 0 }
    }
}

impl Burst {
    /// Counts a reply, and waits if there were too many in this second. Then the server has to wait as well.
    async fn throttle(&mut self) {
        let end = self.since + Duration::from_secs(1);
        if self.count >= MOST_REPLIES_A_SECOND {
            sleep_until(end).await;
        }
        match Instant::now() < end {
            true => self.count += 1,
            false => *self = Self { since: Instant::now(), count: 1 },
        }
    }
}
