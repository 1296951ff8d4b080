//! Tell: empty the outbox through the relays, as far as it is due.
//!
//! One process at a time does it. A row is marked as being sent, durably, before anything goes out; what became of it is
//! noted right after. A relay that cannot be reached rests, and its rows with it; a row that is refused for now is tried
//! again later; what is refused for good, or too old, is given up: then the message is filed in the inbox with a notice.

mod append;
mod limits;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::handover::Handover;
use super::leftovers;
use super::undelivered::{self, GivenUp};
use super::{Ways, World};
use crate::clean;
use crate::config::Relay;
use crate::decision::{Telling, Way};
use crate::error::{Error, Kind, Result};
use crate::message::{Bytes, MAX_HEADER, Message};
use crate::outbox::compose::{self, Desk};
use crate::outbox::relay::{Connection, Mail, Trouble, Verdict};
use crate::outbox::retry;
use crate::source::imap::append::Appender;
use crate::state::{JournalEntry, Lock, OutboxRow, OutboxState, Rest};

/// So many rows are taken at once.
const ROUND: u32 = 200;
/// A message over this size is read from its file while it is sent, in bytes.
const WINDOW: u64 = 8 * 1024 * 1024;

/// What came of a pass over the outbox.
#[derive(Debug, Default)]
pub struct Told {
    /// Rows that are done.
    pub sent: u64,
    /// Rows that are tried again later.
    pub later: u64,
    /// Rows that were given up.
    pub failed: u64,
    /// What the user should know.
    pub remarks: Vec<String>,
}

/// Sends what is due, for at most `limit`. Nothing is said when another process is at it.
pub async fn tell(world: &World, ways: &Ways, limit: Duration, stop: &CancellationToken) -> Result<Told> {
    let _lock = match Lock::try_take(&world.locks(), "outbox") {
        Err(e) if e.kind() == Kind::Busy => return Ok(Told::default()),
        lock => lock?,
    };
    let mut pass = Pass { world, ways, told: Told::default(), open: HashMap::new(), appenders: HashMap::new() };
    undelivered::resume(world)?;
    pass.settle_interrupted()?;
    let until = Instant::now() + limit;
    loop {
        let due = world.store.due(world.now(), ROUND)?;
        let mut moved = false;
        for row in due {
            if stop.is_cancelled() || Instant::now() > until {
                return Ok(pass.end().await);
            }
            moved |= pass.one(row).await?;
        }
        if !moved {
            return Ok(pass.end().await);
        }
    }
}

struct Pass<'a> {
    world: &'a World,
    ways: &'a Ways,
    told: Told,
    open: HashMap<String, Connection>,
    appenders: HashMap<String, Appender>,
}

/// What is known of a row when it is sent.
struct Item {
    row: OutboxRow,
    entry: Option<JournalEntry>,
    original: Message,
}

impl Item {
    fn account(&self) -> &str {
        self.entry.as_ref().map_or("", |entry| entry.row.account.as_str())
    }
}

impl Pass<'_> {
    async fn end(mut self) -> Told {
        for (_, connection) in self.open.drain() {
            connection.quit().await;
        }
        for (_, appender) in self.appenders.drain() {
            appender.logout().await;
        }
        self.told
    }

    /// What a dead process was sending: a forward goes out again, with the same Message-ID; an answer may have gone out
    /// and must not go twice.
    fn settle_interrupted(&mut self) -> Result<()> {
        for mut row in self.world.store.being_sent()? {
            row.changed = self.world.now();
            let is_answer = matches!(row.telling.way, Way::Vacation(_) | Way::Reply(_) | Way::Reject(_));
            if is_answer {
                row.said = "given up: it may have gone out when the program was interrupted".to_owned();
                row.state = OutboxState::Failed;
                self.told.failed += 1;
            } else {
                row.state = OutboxState::Waiting;
            }
            self.world.store.resolve(&row)?;
        }
        Ok(())
    }

    /// One row. Whether anything about it changed.
    async fn one(&mut self, row: OutboxRow) -> Result<bool> {
        let now = self.world.now();
        let lifetime = SignedDuration::try_from(retry::lifetime(&row.telling.way)).unwrap_or(SignedDuration::MAX);
        let item = Item { entry: self.world.store.entry(row.entry)?, original: self.read(&row)?, row };
        if now.duration_since(item.row.at) > lifetime {
            let cause = format!("it could not be told in time; the last answer was: {}", item.row.said);
            self.give_up(item, &cause)?;
            return Ok(true);
        }
        if let Some(cause) = self.is_one_too_many(&item.row, now)? {
            self.told.remarks.push(format!("{} is not sent: {cause}", item.row.telling));
            self.give_up(item, &cause)?;
            return Ok(true);
        }
        if self.is_over_a_limit(&item.row, now)? {
            return Ok(false);
        }
        match Handover::of(&item.row.telling.way) {
            Some(handover) => self.by_hand(item, handover).await,
            None if matches!(item.row.telling.way, Way::Imap(_)) => self.by_account(item).await,
            None => self.by_relay(item).await,
        }
    }

    /// The message that a row is about: read when it is small, left in its file when it is big.
    fn read(&self, row: &OutboxRow) -> Result<Message> {
        let failed = |e| Error::disk(format!("reading {}", row.bytes.display()), e);
        let mut bytes = Vec::new();
        let mut file = self.world.disk.open(&row.bytes).map_err(failed)?;
        std::io::Read::read_to_end(&mut std::io::Read::take(&mut file, WINDOW + 1), &mut bytes).map_err(failed)?;
        if (bytes.len() as u64) <= WINDOW {
            return Ok(self.world.message(Bytes::Memory(bytes)));
        }
        let rest = std::io::copy(&mut file, &mut std::io::sink()).map_err(failed)?;
        let length = bytes.len() as u64 + rest;
        bytes.truncate(MAX_HEADER);
        Ok(self.world.message(Bytes::Spooled { head: bytes, path: row.bytes.clone(), length }))
    }

    async fn by_hand(&mut self, item: Item, handover: Handover) -> Result<bool> {
        if !self.world.store.claim(item.row.id, self.world.now())? {
            return Ok(true);
        }
        let allow_root = self.world.allow_root;
        let worker = tokio::task::spawn_blocking(move || (handover.run(&item.original, allow_root), item));
        let (verdict, item) =
            worker.await.map_err(|e| Error::transient(Kind::Busy, "telling without a relay").because(e))?;
        self.note(item, vec![verdict])?;
        Ok(true)
    }

    async fn by_relay(&mut self, item: Item) -> Result<bool> {
        let named = item.row.telling.relay.as_deref();
        let Some(relay) = self.ways.relay(named) else {
            let cause = match named {
                Some(name) => format!("there is no relay `{}` in the config", clean::short(name, 40)),
                None => "no relay is configured; add `relays:` to the config".to_owned(),
            };
            return self.wait(item, cause);
        };
        let relay = relay.clone();
        let Some(own) = self.ways.from(Some(&relay), item.account()).map(str::to_owned) else {
            return self.wait(item, "no address of your own is known; add `me:` to the config".to_owned());
        };
        if self.rests(&relay.name, &own)? {
            return Ok(false);
        }
        let date = self.world.now().to_zoned(TimeZone::system());
        let desk = Desk {
            own: self.ways.own(),
            from: &own,
            host: &self.world.host,
            id: item.row.id,
            at: item.row.at,
            now: &date,
        };
        let (message, to) = composed(&item, &desk)?;
        let was_open = self.open.contains_key(&relay.name);
        if let Err(trouble) = self.connect(&relay).await {
            return self.troubled(item, &relay.name, &own, trouble);
        }
        if !self.world.store.claim(item.row.id, self.world.now())? {
            return Ok(true);
        }
        let original = item.original.envelope_sender();
        let from = self.ways.reverse_path(&item.row.telling, &relay, &own, original).to_owned();
        let no_reports = matches!(item.row.telling.way, Way::Vacation(_) | Way::Reply(_) | Way::Reject(_));
        let mail = Mail { from: &from, to: &to, message: &message, no_reports };
        let mut sent = self.send(&relay, &mail).await;
        if was_open && matches!(sent, Err(Trouble::Relay(_))) {
            // Servers close what is idle, or after so many mails: that says nothing about a new connection.
            self.open.remove(&relay.name);
            sent = self.send(&relay, &mail).await;
        }
        match sent {
            Ok(verdicts) => {
                self.wake(&relay.name, &own)?;
                self.note(item, verdicts)?;
                Ok(true)
            }
            Err(trouble) => self.troubled(item, &relay.name, &own, trouble),
        }
    }

    async fn send(&mut self, relay: &Relay, mail: &Mail<'_>) -> std::result::Result<Vec<Verdict>, Trouble> {
        self.connect(relay).await?;
        match self.open.get_mut(&relay.name) {
            Some(connection) => connection.send(mail).await,
            None => Ok(Vec::new()),
        }
    }

    async fn connect(&mut self, relay: &Relay) -> std::result::Result<(), Trouble> {
        if !self.open.contains_key(&relay.name) {
            let connection = Connection::connect(relay).await?;
            self.open.insert(relay.name.clone(), connection);
        }
        Ok(())
    }

    /// Something the user has to change first: the row waits, and is not hurried.
    fn wait(&mut self, mut item: Item, cause: String) -> Result<bool> {
        let text = format!("{} waits: {cause}", item.row.telling);
        if !self.told.remarks.contains(&text) {
            self.told.remarks.push(text);
        }
        let now = self.world.now();
        item.row.due = now.checked_add(SignedDuration::from_mins(15)).unwrap_or(now);
        item.row.said = cause;
        item.row.changed = now;
        item.row.state = OutboxState::Waiting;
        self.world.store.resolve(&item.row)?;
        self.told.later += 1;
        Ok(true)
    }

    fn rests(&self, relay: &str, own: &str) -> Result<bool> {
        let now = self.world.now();
        let is_its = |rest: &Rest| rest.relay == relay && (rest.sender.is_empty() || rest.sender == own);
        Ok(self.world.store.rests()?.iter().any(|rest| is_its(rest) && rest.until > now))
    }

    /// What broke the sending of one row, and whom it concerns.
    fn troubled(&mut self, mut item: Item, relay: &str, own: &str, trouble: Trouble) -> Result<bool> {
        self.open.remove(relay);
        self.appenders.remove(relay);
        let (sender, error) = match trouble {
            Trouble::Mail(verdict) => {
                let recipients = recipients(&item.row.telling).len().max(1);
                self.note(item, for_each(verdict, recipients))?;
                return Ok(true);
            }
            Trouble::Unknown(error) => {
                self.unknown(item, &error)?;
                return Ok(true);
            }
            Trouble::Relay(error) => (String::new(), error),
            Trouble::Sender(error) => (own.to_owned(), error),
        };
        let cause = clean::line(error.to_string().as_bytes());
        self.let_rest(relay, sender, &cause)?;
        undelivered::tell_of_relay(self.world, relay, &error)?;
        self.told.remarks.push(format!("the relay {relay} rests: {cause}"));
        item.row.state = OutboxState::Waiting;
        item.row.said = cause;
        item.row.changed = self.world.now();
        self.world.store.resolve(&item.row)?;
        self.told.later += 1;
        Ok(false)
    }

    fn let_rest(&self, relay: &str, sender: String, cause: &str) -> Result<()> {
        let known = self.world.store.rests()?;
        let before = known.iter().find(|rest| rest.relay == relay && rest.sender == sender);
        let failures = before.map_or(1, |rest| rest.failures.saturating_add(1));
        let now = self.world.now();
        let until = now.checked_add(retry::rest(failures)).unwrap_or(now);
        let rest = Rest { relay: relay.to_owned(), sender, until, failures, cause: cause.to_owned() };
        self.world.store.rest(&rest)
    }

    /// It works again.
    fn wake(&self, relay: &str, own: &str) -> Result<()> {
        let is_its = |rest: &&Rest| rest.relay == relay && (rest.sender.is_empty() || rest.sender == own);
        for rest in self.world.store.rests()?.iter().filter(is_its).filter(|rest| rest.failures > 0) {
            self.world.store.rest(&Rest { failures: 0, until: Timestamp::UNIX_EPOCH, ..rest.clone() })?;
        }
        Ok(())
    }

    /// The connection broke when everything had been said: the relay may have taken it. A forward goes out again, with
    /// the same Message-ID; an answer does not.
    fn unknown(&mut self, mut item: Item, error: &Error) -> Result<()> {
        let is_answer = matches!(item.row.telling.way, Way::Vacation(_) | Way::Reply(_) | Way::Reject(_));
        if is_answer {
            item.row.said = format!("given up, it may have gone out: {error}");
            return self.finish(item.row, OutboxState::Failed);
        }
        self.again(item, &clean::line(error.to_string().as_bytes()))
    }

    /// Notes what became of each recipient.
    fn note(&mut self, mut item: Item, verdicts: Vec<Verdict>) -> Result<()> {
        let to = recipients(&item.row.telling);
        let (mut later, mut never, mut said) = (Vec::new(), Vec::new(), Vec::new());
        for (i, verdict) in verdicts.into_iter().enumerate() {
            let recipient = to.get(i).cloned().unwrap_or_default();
            match verdict {
                Verdict::Sent(words) => said.push(words),
                Verdict::Later(error) => later.push((recipient, error.to_string())),
                Verdict::Never(error) => never.push((recipient, error.to_string())),
            }
        }
        if !never.is_empty() {
            let causes: Vec<String> = never.iter().map(|(to, cause)| format!("{to}: {cause}")).collect();
            let cause = clean::line(causes.join("; ").trim_start_matches(": ").as_bytes());
            if later.is_empty() && said.is_empty() {
                return self.give_up(item, &cause);
            }
            let refused = never.iter().map(|(to, _)| to.clone()).collect();
            undelivered::file(self.world, &GivenUp { item: &item.row, to: refused, cause: &cause }, &item.original)?;
        }
        if later.is_empty() {
            item.row.said = clean::line(said.join("; ").as_bytes());
            return self.finish(item.row, OutboxState::Sent);
        }
        if to.len() > 1 {
            keep_recipients(&mut item.row.telling, later.iter().map(|(to, _)| to.clone()).collect());
        }
        let cause = later.first().map(|(_, cause)| cause.clone()).unwrap_or_default();
        self.again(item, &clean::line(cause.as_bytes()))
    }

    /// Tries again later, or gives up when it would be too late.
    fn again(&mut self, mut item: Item, cause: &str) -> Result<()> {
        let now = self.world.now();
        let lifetime = retry::lifetime(&item.row.telling.way);
        // The number of the row spreads the attempts as well as chance, and the same each time.
        let chance = (item.row.id.rem_euclid(97)) as f64 / 97.0;
        match retry::next(item.row.attempts + 1, item.row.at, now, lifetime, chance) {
            Some(due) => {
                item.row.due = due;
                item.row.said = cause.to_owned();
                item.row.changed = now;
                item.row.state = OutboxState::Waiting;
                self.told.later += 1;
                self.world.store.resolve(&item.row)
            }
            None => self.give_up(item, cause),
        }
    }

    /// Final failure: the message goes to the inbox with a notice; an answer is only logged (never a bounce).
    fn give_up(&mut self, mut item: Item, cause: &str) -> Result<()> {
        if item.row.telling.way.delivers() {
            let to = recipients(&item.row.telling);
            let given_up = GivenUp { item: &item.row, to, cause };
            undelivered::file(self.world, &given_up, &item.original)?;
        }
        item.row.said = cause.to_owned();
        self.finish(item.row, OutboxState::Failed)
    }

    fn finish(&mut self, mut row: OutboxRow, state: OutboxState) -> Result<()> {
        row.state = state;
        row.changed = self.world.now();
        match state {
            OutboxState::Sent => self.told.sent += 1,
            _ => self.told.failed += 1,
        }
        self.world.store.resolve(&row)?;
        // Its bytes are needed no more, unless another row or a discard names them.
        if !self.world.store.is_spooled(&row.bytes)? {
            leftovers::remove(self.world, &row.bytes)?;
        }
        Ok(())
    }
}

/// Gives a row up because the user says so. A message that stands nowhere else goes to the inbox.
pub fn drop_row(world: &World, row: OutboxRow) -> Result<()> {
    let _lock = Lock::try_take(&world.locks(), "outbox")?;
    let ways = Ways::default();
    let mut pass = Pass { world, ways: &ways, told: Told::default(), open: HashMap::new(), appenders: HashMap::new() };
    let original = pass.read(&row)?;
    pass.give_up(Item { entry: None, original, row }, "dropped by the user")
}

/// One verdict for each recipient, when the whole mail met it.
fn for_each(verdict: Verdict, recipients: usize) -> Vec<Verdict> {
    let text = |error: &Error| clean::line(error.to_string().as_bytes());
    let again = |_| match &verdict {
        Verdict::Sent(words) => Verdict::Sent(words.clone()),
        Verdict::Later(error) => Verdict::Later(Error::transient(error.kind(), text(error))),
        Verdict::Never(error) => Verdict::Never(Error::permanent(error.kind(), text(error))),
    };
    let mut all: Vec<Verdict> = (1..recipients).map(again).collect();
    all.push(verdict);
    all
}

/// The mail and its recipients.
fn composed(item: &Item, desk: &Desk<'_>) -> Result<(Message, Vec<String>)> {
    let original = &item.original;
    let to = recipients(&item.row.telling);
    let message = match &item.row.telling.way {
        Way::Redirect(redirect) => compose::redirect(original, redirect, desk)
            .map_err(|e| Error::disk(format!("reading {}", item.row.bytes.display()), e))?,
        Way::Vacation(vacation) => compose::vacation(original, vacation, desk),
        Way::Reply(reply) => compose::reply(original, reply, desk),
        Way::Reject(reject) => compose::reject(original, reject, desk),
        Way::Notify(notify) => compose::notification(notify, notify.mail.as_deref().unwrap_or(desk.from), desk),
        // As it is: the server on the other side is the last one. Programs and folders are not told by mail.
        Way::Lmtp(_) | Way::Pipe(_) | Way::Imap(_) => original.edited(&[]),
    };
    Ok((message, to))
}

fn recipients(telling: &Telling) -> Vec<String> {
    match &telling.way {
        Way::Redirect(redirect) => redirect.to.clone(),
        Way::Lmtp(lmtp) => lmtp.to.clone(),
        Way::Vacation(vacation) => vec![vacation.to.clone()],
        Way::Reply(reply) => vec![reply.to.clone()],
        Way::Reject(reject) => vec![reject.to.clone()],
        Way::Notify(notify) => notify.mail.clone().into_iter().collect(),
        Way::Pipe(_) | Way::Imap(_) => Vec::new(),
    }
}

/// Those that are left.
fn keep_recipients(telling: &mut Telling, left: Vec<String>) {
    match &mut telling.way {
        Way::Redirect(redirect) => redirect.to = left,
        Way::Lmtp(lmtp) => lmtp.to = left,
        _ => {}
    }
}
