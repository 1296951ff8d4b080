//! The facts that the rules of a real run ask for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::World;
use super::stood::{FirstRunMessage, is_believed};
use crate::config::address_books;
use crate::config::entries::ListedEntry;
use crate::config::lists::{EntriesOrigin, ListSource, MAX_FILE};
use crate::config::template::FolderName;
use crate::decision::{Contents, Counted, Fact, Write};
use crate::filter::{Ask, FactAnswer, Facts, KnownList, Unanswered};
use crate::message::Message;
use crate::program::{OutputUse, Program};
use crate::turn::{NoTurn, Turn};

/// How long a program that prints a list may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// How much it may print, in bytes.
const MAX_LIST_BYTES: usize = MAX_FILE as usize;

/// Answers from clock, state and programs.
pub(crate) struct WorldFacts<'a> {
    pub(crate) world: &'a World,
    /// What the messages before this one in the batch will write, in their order.
    pub(crate) earlier: &'a [Write],
    /// When the folder was first listed.
    pub(crate) first_look: Option<Timestamp>,
    /// The message, if it comes from an account.
    pub(crate) came: Option<FirstRunMessage<'a>>,
    /// Whether programs are started.
    pub(crate) programs: bool,
    /// Another time than the present.
    pub(crate) at: Option<Zoned>,
    /// A program was stopped because mailsluice is to stop, so the decision is worth nothing.
    pub(crate) is_broken_off: AtomicBool,
}

impl<'a> WorldFacts<'a> {
    /// Without programs and without what is known about a single message.
    pub(crate) fn new(world: &'a World) -> Self {
        let is_broken_off = AtomicBool::default();
        Self { world, earlier: &[], first_look: None, came: None, programs: false, at: None, is_broken_off }
    }
}

impl WorldFacts<'_> {
    /// The list that a program prints. The program is run again when the list is too old. If it then fails, the
    /// previous list is used.
    fn of_command(&self, run: &[String], every: Duration, origin: &EntriesOrigin) -> KnownList {
        let known = self.world.lists.told(run);
        if let Some((at, entries)) = &known
            && (at.elapsed() < every || !self.programs)
        {
            return KnownList::Entries(Arc::clone(entries));
        }
        let question =
            Ask { run, input: None, timeout: LIST_TIMEOUT, most: MAX_LIST_BYTES, lock: None, environment: &[] };
        let cause = match self.ask(&question) {
            FactAnswer::NotAsked => return KnownList::NotAsked,
            FactAnswer::Ended { code: 0, out } => {
                match address_books::read(&String::from_utf8_lossy(&out), &origin.format) {
                    Ok(entries) => return KnownList::Entries(self.world.lists.keep(run, entries)),
                    Err(cause) => cause.to_string(),
                }
            }
            FactAnswer::Ended { code, .. } => format!("{} ended with {code}", run.join(" ")),
            FactAnswer::Failed(cause) => format!("{}: {cause}", run.join(" ")),
        };
        tracing::warn!("reading a list: {cause}");
        known.map_or(KnownList::Failed(cause), |(_, entries)| KnownList::Entries(entries))
    }
}

impl Facts for WorldFacts<'_> {
    fn now(&self) -> Zoned {
        self.at.clone().unwrap_or_else(|| self.world.now().to_zoned(TimeZone::system()))
    }

    fn holds(&self, fact: &Fact) -> Result<bool, Unanswered> {
        match Write::latest(self.earlier.iter(), fact) {
            Some(answer) => Ok(answer),
            None => self.world.store.holds(fact, self.world.now()).map_err(|e| Unanswered(e.to_string())),
        }
    }

    fn last_number(&self, counter: &str) -> Result<Option<u64>, Unanswered> {
        let given = self.world.store.last_number(counter).map_err(|e| Unanswered(e.to_string()))?;
        Ok(given.max(Write::last_number(self.earlier.iter(), counter)))
    }

    fn counted(&self, of: &Counted) -> Result<u64, Unanswered> {
        let coming = Write::counted(self.earlier.iter(), of);
        self.world.store.counted(of, &coming).map_err(|e| Unanswered(e.to_string()))
    }

    fn first_look(&self) -> Option<Timestamp> {
        // A clock that was ahead at that time must not make all mail old now.
        self.first_look.filter(|at| is_believed(self.world, *at).unwrap_or(true))
    }

    fn stood(&self) -> Result<bool, Unanswered> {
        let stood = self.came.map_or(Ok(false), |came| came.stood(self.world));
        stood.map_err(|e| Unanswered(e.to_string()))
    }

    fn folder(&self, folder: &FolderName) -> Result<Option<Contents>, Unanswered> {
        let World { folders, disk, .. } = self.world;
        folders.contents(&**disk, folder).map_err(|e| Unanswered(e.to_string()))
    }

    fn list(&self, origin: &EntriesOrigin) -> KnownList {
        match &origin.from {
            ListSource::File(path) => self
                .world
                .lists
                .entries(path, &origin.format)
                .map_or_else(|cause| KnownList::Failed(cause.to_string()), KnownList::Entries),
            ListSource::Command(run, every) => self.of_command(run, *every, origin),
        }
    }

    fn list_value(&self, list: &str, entry: &str) -> Result<Option<String>, Unanswered> {
        let written = self.earlier.iter().rev().find_map(|write| match write {
            Write::List { list: l, entry: e, value: Some(value), .. } if l == list && e == entry => Some(value.clone()),
            _ => None,
        });
        match written {
            Some(value) => Ok(Some(value)),
            None => self.world.store.list_value(list, entry).map_err(|e| Unanswered(e.to_string())),
        }
    }

    fn list_entries(&self, list: &str) -> Result<Vec<ListedEntry>, Unanswered> {
        self.world.store.list_entries(list, self.world.now()).map_err(|e| Unanswered(e.to_string()))
    }

    fn ask(&self, question: &Ask<'_>) -> FactAnswer {
        if !self.programs {
            return FactAnswer::NotAsked;
        }
        let Ask { run, input, timeout, most, lock, environment } = *question;
        let _lock = match lock.map(|name| Turn::take(&self.world.locks(), name, timeout)).transpose() {
            Ok(lock) => lock,
            Err(cause) => {
                self.is_broken_off.fetch_or(matches!(cause, NoTurn::Stopped(_)), Ordering::SeqCst);
                return FactAnswer::Failed(cause.to_string());
            }
        };
        let program =
            Program { run, timeout, output: OutputUse::Read(most), environment, allow_root: self.world.allow_root };
        let ended = match input.map(Message::reader) {
            None => program.run(None),
            Some(Ok(mut input)) => program.run(Some(&mut *input)),
            Some(Err(e)) => return FactAnswer::Failed(format!("the message could not be read: {e}")),
        };
        match ended {
            Ok(ended) => {
                if !ended.complaint.is_empty() {
                    tracing::info!("{}: {}", run.first().map_or("", String::as_str), ended.complaint);
                }
                FactAnswer::Ended { code: ended.code, out: ended.out }
            }
            Err(failure) => {
                self.is_broken_off.fetch_or(failure.is_by_stop(), Ordering::SeqCst);
                FactAnswer::Failed(failure.to_string())
            }
        }
    }
}

/// The facts for a person who asks, with programs.
pub fn facts_of(world: &World) -> impl Facts {
    WorldFacts { programs: true, ..WorldFacts::new(world) }
}
