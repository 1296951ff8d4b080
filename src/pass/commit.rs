//! Commit: decide about a batch, stage its files, record it, publish it.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use super::facts::WorldFacts;
use super::{Cause, Notice, Report, World};
use crate::clean;
use crate::config::template::{FolderName, Template};
use crate::decision::{Decision, Place};
use crate::deliver::{Plan, publish};
use crate::error::{Error, Result};
use crate::filter::Engine;
use crate::message::{Bytes, DeliveryName, Envelope, Flags, Key, Message, NOTICES, Origin};
use crate::source::{Fetched, Item};
use crate::state::{About, Attempt, Entry, EntryId, Mark, Published, Remembered, Target};

/// After so many failed attempts a message is set aside.
const ATTEMPTS: u32 = 5;
/// After so many deaths of the program while deciding, a message is filed without its rules.
const CRASHES: u32 = 2;
/// The cause noted for such a death.
pub const DIED: &str = "the program died while deciding about it";

/// Makes batches durable, one after the other.
pub struct Committer {
    world: World,
    account: String,
    engine: Arc<Engine>,
    into: Template,
    /// Failed attempts at the messages of the open folder.
    attempts: HashMap<Vec<u8>, Attempt>,
    /// Rows that are published and not marked done yet: they go with the next transaction.
    done: Vec<EntryId>,
    /// What it did.
    pub report: Report,
}

impl Committer {
    /// For one account.
    pub fn new(world: &World, account: &str, engine: Arc<Engine>, into: Template) -> Self {
        Self {
            world: world.clone(),
            account: account.to_owned(),
            engine,
            into,
            attempts: HashMap::new(),
            done: Vec::new(),
            report: Report::of(account),
        }
    }

    /// Hands everything over to the thread that commits; what stays is empty.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let empty = Self::new(&self.world, &self.account, Arc::clone(&self.engine), self.into.clone());
        std::mem::replace(self, empty)
    }

    /// Reads the failed attempts at a folder's messages.
    pub fn begin_folder(&mut self, origin: &Origin) -> Result<()> {
        self.attempts = self.world.store.attempts(origin)?;
        Ok(())
    }

    /// Makes everything in the batch safe. What is in the result may be settled.
    pub fn commit(&mut self, items: Vec<Item>) -> Result<Published> {
        let mut plans = Vec::with_capacity(items.len());
        let mut notices = Vec::new();
        for item in items {
            match item {
                Item::Fetched(fetched) => plans.push(self.decide(fetched, &mut notices)?),
                Item::Failed(key, error) => self.failed(&key, &error, &mut notices)?,
                Item::Vanished(key) => tracing::debug!("{key} vanished before it was fetched"),
            }
        }
        self.world.store.deciding(&self.account, None)?;
        let published = self.make_durable(plans)?;
        for notice in notices {
            self.notify(&notice)?;
        }
        Ok(published)
    }

    /// Marks what is published as done.
    pub fn finish(&mut self) -> Result<()> {
        self.world.store.finish(&std::mem::take(&mut self.done))
    }

    /// Files a message of our own, once for each key.
    pub fn notify(&mut self, notice: &Notice) -> Result<()> {
        let now = self.world.now();
        let key = notice.key(now);
        if self.world.store.remembered(&key)?.is_some() {
            return Ok(());
        }
        let message = notice.message(now, &self.world.host);
        let decision = Decision::keep("a notice of mailsluice");
        let envelope = Envelope { key, arrived: now, flags: Flags::default(), announced: 0 };
        let plan = self.plan(Arc::new(message), &envelope, &decision, &FolderName::inbox());
        self.make_durable(vec![plan])?;
        Ok(())
    }

    /// Files bytes that no server has any more, without rules.
    pub fn rescue(&mut self, key: Key, bytes: Vec<u8>) -> Result<Published> {
        let envelope = Envelope { key, arrived: self.world.now(), flags: Flags::default(), announced: 0 };
        let decision = Decision::keep("found staged after a crash; the server does not list it any more");
        let plan = self.plan(Arc::new(Message::new(Bytes::Memory(bytes))), &envelope, &decision, &FolderName::inbox());
        self.make_durable(vec![plan])
    }

    fn make_durable(&mut self, plans: Vec<Plan>) -> Result<Published> {
        if plans.is_empty() {
            return Ok(Published::default());
        }
        let spooled: Vec<PathBuf> = plans.iter().filter_map(spool_file_to_drop).collect();
        let staged = self.world.stager().stage(plans)?;
        let recorded = self.world.store.record(staged, &self.done)?;
        self.done.clear();
        let published = publish(&*self.world.disk, recorded)?;
        self.done.extend(published.ids());
        for path in spooled {
            super::leftovers::remove(&self.world, &path)?;
        }
        self.count(&published);
        Ok(published)
    }

    fn decide(&mut self, fetched: Fetched, notices: &mut Vec<Notice>) -> Result<Plan> {
        let Fetched { envelope, bytes } = fetched;
        let message = Arc::new(Message::new(bytes));
        let origin = Arc::clone(&envelope.key.origin);
        let deaths = self.attempts.get(&envelope.key.id).filter(|a| a.cause == DIED).map_or(0, |a| a.count);
        let decision = if deaths >= CRASHES {
            notices.push(self.notice(Cause::Crashed, &envelope.key, DIED));
            Decision::keep("filed without rules: the program died twice while deciding about it")
        } else {
            self.world.store.deciding(&self.account, Some(&envelope.key))?;
            // A rule cannot panic by itself; a library under it might.
            let decided = catch_unwind(AssertUnwindSafe(|| self.engine.decide(&message, &envelope, &WorldFacts)));
            decided.ok().and_then(Result::ok).unwrap_or_else(|| {
                notices.push(self.notice(Cause::RulesFailed, &envelope.key, "the rules failed on it"));
                Decision::keep("kept: the rules failed on it")
            })
        };
        let remote = FolderName::parse_safe(&origin.folder, Some('/'));
        Ok(self.plan(message, &envelope, &decision, &remote))
    }

    fn plan(&self, message: Arc<Message>, envelope: &Envelope, decision: &Decision, remote: &FolderName) -> Plan {
        let name = DeliveryName::of(&envelope.key);
        let staged = format!("{}.{}.{}", envelope.arrived.as_second().max(0), name.as_str(), self.world.host);
        let mut targets: Vec<Target> = Vec::new();
        for filing in decision.filings() {
            let folder = match &filing.place {
                Place::Keep => self.into.expand_into(&self.account, remote),
                Place::Folder(folder) | Place::Mbox(folder) => folder.clone(),
            };
            let maildir = self.world.folders.maildir(&folder);
            let letters = filing.flags.letters();
            let info = if letters.is_empty() { String::new() } else { format!(":2,{letters}") };
            // `keep` and a `fileinto` may mean the same folder.
            if !targets.iter().any(|t| t.maildir == maildir) {
                targets.push(Target { maildir, staged: staged.clone(), info });
            }
        }
        let spooled = targets.is_empty().then(|| self.world.spool_folder().join(name.as_str()));
        let outcome = match targets.is_empty() {
            true => decision.to_string(),
            false => self.in_words(decision, &targets),
        };
        let entry = Entry {
            key: envelope.key.clone(),
            name,
            announced: envelope.announced,
            head_hash: message.head_hash(),
            size: message.size(),
            at: self.world.now(),
            about: about(&message),
            rule: decision.rule(),
            why: decision.why.join("; "),
            outcome,
            targets,
            spooled,
        };
        Plan { arrived: envelope.arrived, message, entry }
    }

    /// `fileinto lists/rust, keep INBOX [S]`, with the folders as they are on disk.
    fn in_words(&self, decision: &Decision, targets: &[Target]) -> String {
        let verb = |i: usize| match decision.filings().nth(i) {
            Some(filing) if filing.place == Place::Keep => "keep",
            _ => "fileinto",
        };
        let words = targets.iter().enumerate().map(|(i, target)| {
            let flags = target.info.strip_prefix(":2,").map(|flags| format!(" [{flags}]")).unwrap_or_default();
            format!("{} {}{flags}", verb(i), self.world.folders.name_of(&target.maildir))
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// A message the server could not give. After [`ATTEMPTS`] it is set aside and the user is told.
    fn failed(&mut self, key: &Key, error: &Error, notices: &mut Vec<Notice>) -> Result<()> {
        let cause = clean::line(error.to_string().as_bytes());
        let now = self.world.now();
        let count = self.world.store.attempt(key, &cause, now)?;
        tracing::warn!("{key}: {cause} (attempt {count})");
        self.report.failed += 1;
        self.report.remarks.push(format!("{key} could not be fetched (attempt {count} of {ATTEMPTS}): {cause}"));
        if count >= ATTEMPTS {
            let mark = Remembered { mark: Mark::SetAside, announced: 0, head_hash: None, at: now };
            self.world.store.mark(&[(key.clone(), mark)])?;
            notices.push(self.notice(Cause::SetAside, key, &cause));
        }
        Ok(())
    }

    fn notice(&self, cause: Cause, key: &Key, why: &str) -> Notice {
        let text = match cause {
            Cause::SetAside => format!(
                "The message {key} could not be fetched in {ATTEMPTS} attempts: {why}.\n\nIt stays on the server and is \
                 tried again in 24 hours. Other mail is not held up by it."
            ),
            _ => format!("The message {key}: {why}. It is in the inbox, unfiltered, and nothing of it was lost."),
        };
        Notice { cause, account: self.account.clone(), text }
    }

    fn count(&mut self, published: &Published) {
        for entry in published.entries().filter(|e| e.key.origin.folder != NOTICES) {
            self.report.new += 1;
            self.report.bytes += entry.size;
            if entry.targets.is_empty() {
                self.report.discarded += 1;
            }
            for target in &entry.targets {
                *self.report.folders.entry(self.world.folders.name_of(&target.maildir)).or_default() += 1;
            }
        }
    }
}

/// A big message was copied out of the spool into its folders; a discarded one stays there.
fn spool_file_to_drop(plan: &Plan) -> Option<PathBuf> {
    match plan.message.bytes() {
        Bytes::Spooled { path, .. } if plan.entry.spooled.is_none() => Some(path.clone()),
        _ => None,
    }
}

fn about(message: &Message) -> About {
    let field = |name: &str| clean::short(message.first(name).unwrap_or_default(), 200);
    About { from: field("From"), subject: field("Subject"), message_id: field("Message-ID") }
}
