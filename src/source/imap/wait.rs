//! A session that waits until the server tells of news, by NOTIFY (RFC 5465) or by IDLE (RFC 2177).

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::ImapSource;
use super::asked::Asked;
use super::idle::SPEAK_EVERY;
use super::notify::Notified;
use crate::error::{Error, Kind, Result};
use crate::source::{Glance, Heard, Push};

/// For so long nothing more may come before the news is told,
const QUIET: Duration = Duration::from_millis(300);
/// and it is told after so long whatever comes.
const AT_THE_LATEST: Duration = Duration::from_secs(5);
/// So long a server may take to answer a session that waits.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// No more replies are read in a second: a server that never stops would keep us busy.
const MOST_A_SECOND: u32 = 10_000;

impl ImapSource {
    /// How this session is told of news.
    pub(in crate::source) fn pushed(&self) -> Push {
        if self.session.can("NOTIFY") && !matches!(self.session.notified, Notified::Refuses) {
            return Push::Notify;
        }
        if self.session.can("IDLE") && !self.session.refuses_idle { Push::Idle } else { Push::None }
    }

    /// Waits until something happened in one of the folders. May be dropped at any time.
    pub(in crate::source) async fn wait(&mut self, folders: &[String]) -> Result<Heard> {
        let work = self.session.may_be_dropped();
        let heard = self.wait_for_news(folders).await;
        work.done();
        heard
    }

    async fn wait_for_news(&mut self, folders: &[String]) -> Result<Heard> {
        self.forget_what_we_took_away();
        if self.pushed() == Push::Notify && self.watch_all(folders).await? {
            return self.listen(folders, Push::Notify).await;
        }
        if self.pushed() == Push::Idle
            && let Some(first) = folders.first()
            && self.watch_one(first).await?
        {
            return self.listen(folders, Push::Idle).await;
        }
        std::future::pending().await
    }

    /// Whether the server answers, with whatever.
    pub(in crate::source) async fn is_alive(&mut self, limit: Duration) -> bool {
        // A session that is kept for days may hear much that nobody knows.
        self.session.forget_unreadable();
        let work = self.session.may_be_dropped();
        let answer = timeout(limit, self.session.run("NOOP", |_| Ok(()))).await;
        let is_alive = answer.is_ok_and(|answer| answer.map_or_else(|error| error.kind() == Kind::Refused, |_| true));
        if is_alive {
            work.done();
        }
        is_alive
    }

    /// Of what went since the folder was opened for a pass, nobody has to hear.
    fn forget_what_we_took_away(&mut self) {
        if let Some(open) = self.session.selection.open().filter(|open| !open.is_waited_in) {
            open.is_waited_in = true;
            self.known.took_away(&open.folder, std::mem::take(&mut open.expunged));
        }
    }

    /// NOTIFY for all folders. What changed in them since they were seen last is noted. `false`: the server has no NOTIFY.
    async fn watch_all(&mut self, folders: &[String]) -> Result<bool> {
        self.session.leave_folder().await?;
        if !self.session.is_notified() {
            // Nobody told of any of them before.
            self.known.was_told_of_none(folders);
            if !self.session.be_notified().await? {
                return Ok(false);
            }
        }
        let untold = self.known.untold(folders);
        let seen = self.look_at(&untold).await?;
        for folder in untold {
            self.known.hears_of_untold(&folder, seen.get(&folder).copied().unwrap_or_default());
        }
        Ok(true)
    }

    /// IDLE in one folder. What changed in it since it was seen last is noted. `false`: the server has no IDLE.
    async fn watch_one(&mut self, folder: &str) -> Result<bool> {
        if self.session.is_idling_in(folder) {
            return Ok(true);
        }
        if !self.session.selection.open().is_some_and(|open| open.folder == folder && open.is_examined) {
            let name = self.on_server(folder)?;
            self.session.may_use_uids = false;
            let selected = self.session.select(&name, folder, false).await?;
            self.known.hears(folder, selected.glance());
        }
        self.session.begin_idle().await
    }

    /// Reads until there is news, and a moment longer: mail comes in bursts.
    async fn listen(&mut self, folders: &[String], by: Push) -> Result<Heard> {
        let asked = self.asked(folders);
        let mut burst = Burst::default();
        let mut news: Option<(Instant, Instant)> = None;
        loop {
            if self.take_in(&asked) || news.is_none() && self.known.has_news(folders) {
                let now = Instant::now();
                news = Some(news.map_or((now, now), |(first, _)| (first, now)));
            }
            let until = match news {
                Some((first, last)) => (last + QUIET).min(first + AT_THE_LATEST),
                None => self.session.spoke + SPEAK_EVERY,
            };
            if Instant::now() < until
                && let Ok(heard) = timeout_at(until, self.session.hear()).await
            {
                heard?;
                burst.bounded().await;
            } else if self.known.has_news(folders) {
                return Ok(self.known.take_news(folders));
            } else {
                news = None;
                self.speak(by).await?;
            }
            if by == Push::Idle && self.session.idle.is_none() && !self.go_on().await? {
                match self.known.has_news(folders) {
                    true => return Ok(self.known.take_news(folders)),
                    false => std::future::pending().await,
                }
            }
        }
    }

    /// Says something after a long silence: IDLE is ended, and then begun again.
    async fn speak(&mut self, by: Push) -> Result<()> {
        self.session.forget_unreadable();
        match by {
            Push::Idle => self.session.stop_waiting().await,
            Push::Notify | Push::None => match timeout(ANSWER_WITHIN, self.session.run("NOOP", |_| Ok(()))).await {
                Ok(answer) => answer.map(drop),
                Err(_) => Err(Error::transient(Kind::Network, "the server does not answer any more")),
            },
        }
    }

    /// Begins IDLE again that has ended. `false`: the server has none.
    async fn go_on(&mut self) -> Result<bool> {
        Ok(!self.session.refuses_idle && self.session.begin_idle().await?)
    }

    /// Takes in what was said since. Whether any of it is news.
    fn take_in(&mut self, asked: &Asked<'_>) -> bool {
        let told = &mut self.session.told;
        let mut is_news = std::mem::take(&mut told.folders_changed) | std::mem::take(&mut told.overflowed);
        self.known.anywhere |= is_news;
        for (wire, now) in told.take_statuses() {
            if let Some(folder) = asked.folder(&wire) {
                is_news |= self.known.hears(folder, now);
            }
        }
        if let Some(open) = self.session.selection.open() {
            let (exists, expunged) = (open.exists, std::mem::take(&mut open.expunged));
            is_news |= self.known.hears(&open.folder, Glance { exists: Some(exists), ..Glance::default() });
            if expunged > 0 {
                is_news = true;
                self.known.is_news(&open.folder);
            }
        }
        is_news
    }
}

/// Replies that come one after the other.
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
    /// Waits where more come than are read in a second. The server has to wait as well, then.
    async fn bounded(&mut self) {
        let end = self.since + Duration::from_secs(1);
        if self.count >= MOST_A_SECOND {
            sleep_until(end).await;
        }
        match Instant::now() < end {
            true => self.count += 1,
            false => *self = Self { since: Instant::now(), count: 1 },
        }
    }
}
