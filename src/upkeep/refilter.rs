//! Refilter: applies the rules to mail that is already filed. What would move is shown first; moving is a second step.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Zoned;

use super::coming::Coming;
use super::moving::{FileIdentity, Mover};
use crate::clean;
use crate::config::entries::ListedEntry as ListEntry;
use crate::config::lists;
use crate::config::template::FolderName;
use crate::decision::{ANSWERED, APPENDED, Action, Contents, Counted, Decision, Fact, Filing, Place, Write};
use crate::deliver::Letters;
use crate::error::{Error, Kind, Result};
use crate::filter::{Ask, Engine, FactAnswer, Facts, KnownList, Unanswered};
use crate::message::{Envelope, Flag, Flags, Key, Message, Origin, REFILTERED};
use crate::pass::files::moved_name;
use crate::pass::{Decided, Here, World, WorldFacts};

/// The result of a run over one or more folders.
#[derive(Debug, Default)]
pub struct RefilterSummary {
    /// How many messages would move or change.
    pub moves: u64,
    /// How many messages moved or changed.
    pub moved: u64,
    /// The number for `undo --run`, which takes all of it back, if anything moved.
    pub run: Option<u64>,
    /// How many stay as they are.
    pub stay: u64,
    /// How many of these stay because a rule failed or deferred them.
    pub failed: u64,
    /// How many of these stay because their folder, or their target, cannot be used.
    pub held: u64,
    /// How many moved and could not be removed from their old folder.
    pub left: u64,
    /// How many would be forwarded, answered or reported about, which only `send` allows.
    pub unsent: u64,
}

/// What is said about a message as soon as the rules were asked about it.
#[derive(Debug)]
pub enum RefilterLine<'a> {
    /// The message would move or change.
    Move(&'a Move),
    /// What is not sent, because nobody asked for it.
    Unsent(String),
    /// What the user should know: rules that failed, files that were gone.
    Remark(String),
}

/// One message that would move or change.
#[derive(Debug)]
pub struct Move {
    /// Its folder.
    pub from: String,
    /// The From and Subject fields, shortened.
    pub about: (String, String),
    /// The rules that decided.
    pub rule: String,
    /// What would be done, in the words of a rule file.
    pub outcome: String,
    decided: Decided,
    identity: FileIdentity,
}

/// Applies the rules to local folders.
pub struct Refilter<'a> {
    /// The state, the disk and the clock.
    pub world: &'a World,
    /// The rules.
    pub engine: &'a Engine,
    /// The account that rules see.
    pub account: &'a str,
    /// Whether what the rules send goes to the outbox.
    pub send: bool,
    /// Whether the programs that rules ask are started.
    pub run_programs: bool,
    /// How many messages of each folder, the newest, are left alone.
    pub keep_newest: u64,
    /// What the messages that were decided and have not moved yet are going to write.
    pub coming: Coming,
}

impl Refilter<'_> {
    /// Asks the rules about every message of these folders and, with `act`, does what they say, batch by batch. All
    /// folders are listed before anything moves, so that no message is looked at twice.
    pub fn run(
        &self,
        folders: &[String],
        act: bool,
        shown: &mut dyn FnMut(RefilterLine<'_>),
    ) -> Result<RefilterSummary> {
        self.run_with(&mut act.then(|| Mover::begin(self.world)).transpose()?, folders, shown)
    }

    pub(super) fn run_with(
        &self,
        mover: &mut Option<Mover<'_>>,
        folders: &[String],
        shown: &mut dyn FnMut(RefilterLine<'_>),
    ) -> Result<RefilterSummary> {
        let listed = folders.iter().map(|folder| self.list(folder)).collect::<Result<Vec<_>>>()?;
        let counts = |mover: &Option<Mover<'_>>| mover.as_ref().map_or((0, 0), |mover| (mover.moved, mover.left));
        let before = counts(mover);
        let mut looked = RefilterSummary::default();
        for listed in listed {
            self.run_over(listed, mover.as_mut(), shown, &mut looked)?;
        }
        let now = counts(mover);
        (looked.moved, looked.left) = (now.0 - before.0, now.1 - before.1);
        looked.run = mover.as_ref().and_then(|mover| mover.run);
        Ok(looked)
    }

    fn list(&self, folder: &str) -> Result<ListedFolder> {
        let name = self.world.folders.named(&FolderName::of_user(folder)).into_owned();
        let maildir = self.world.folders.maildir(&name);
        if !self.is_here(&maildir)? {
            let (folder, place) = (clean::short(folder, 80), maildir.display());
            return Err(Error::permanent(
                Kind::Usage,
                format!("there is no folder {folder} here ({place} is no Maildir)"),
            ));
        }
        let letters = Letters::read(&*self.world.disk, &maildir)?;
        let files = self.files(&maildir)?;
        let newest = self.newest(&maildir, &files, &letters)?;
        Ok(ListedFolder { name, maildir, letters, files, newest })
    }

    fn run_over(
        &self,
        listed: ListedFolder,
        mut mover: Option<&mut Mover<'_>>,
        shown: &mut dyn FnMut(RefilterLine<'_>),
        looked: &mut RefilterSummary,
    ) -> Result<()> {
        let facts = RefilterFacts { world: self.facts(), earlier: Mutex::default(), coming: &self.coming };
        for file in &listed.files {
            let found = match listed.newest.contains(file) {
                true => RefilterFinding::default(),
                false => self.look_at(&listed, file, &facts)?,
            };
            looked.failed += u64::from(found.failed);
            found.remarks.into_iter().for_each(|remark| shown(RefilterLine::Remark(remark)));
            if let Some(unsent) = found.unsent {
                looked.unsent += 1;
                shown(RefilterLine::Unsent(unsent));
            }
            let Some(one) = found.moves else {
                looked.stay += u64::from(!found.gone);
                continue;
            };
            if let Some(mover) = &mut mover
                && let Some(why) = mover.hindrance(&one.decided)?
            {
                report_stay(file, &why, shown, looked);
                continue;
            }
            self.coming.add(&one.decided.decision.writes);
            looked.moves += 1;
            shown(RefilterLine::Move(&one));
            if let Some(mover) = &mut mover {
                self.report_batch(mover.push(one.decided, one.identity)?, mover, shown, looked);
            }
        }
        if let Some(mover) = &mut mover {
            mover.flush()?;
            self.report_batch(true, mover, shown, looked);
        }
        Ok(())
    }

    /// After a batch, the state knows what its messages wrote.
    fn report_batch(
        &self,
        is_flushed: bool,
        mover: &mut Mover<'_>,
        shown: &mut dyn FnMut(RefilterLine<'_>),
        looked: &mut RefilterSummary,
    ) {
        std::mem::take(&mut mover.remarks).into_iter().for_each(|remark| shown(RefilterLine::Remark(remark)));
        for (file, why) in std::mem::take(&mut mover.held) {
            looked.moves -= 1;
            report_stay(&file, &why, shown, looked);
        }
        if is_flushed && mover.is_empty() {
            self.coming.clear();
        }
        for file in std::mem::take(&mut mover.gone) {
            let file = clean::short(&file, 200);
            shown(RefilterLine::Remark(format!("{file}: stays: a mail reader moved or changed it meanwhile")));
        }
    }

    /// Whether this Maildir exists.
    pub(super) fn is_here(&self, maildir: &Path) -> Result<bool> {
        self.world
            .disk
            .exists(&maildir.join("cur"))
            .map_err(|e| Error::disk(format!("reading {}", maildir.display()), e))
    }

    /// The files of a Maildir, `new/…` and `cur/…`, each sorted.
    fn files(&self, maildir: &Path) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for sub in ["new", "cur"] {
            let names = self.world.disk.names(&maildir.join(sub));
            let mut names = names.map_err(|e| Error::disk(format!("reading {}", maildir.display()), e))?;
            names.sort();
            all.extend(names.into_iter().map(|name| format!("{sub}/{name}")));
        }
        Ok(all)
    }

    /// The messages that are left alone because they arrived last. Messages that the mail reader is about to delete do
    /// not count.
    fn newest(&self, maildir: &Path, files: &[String], letters: &Letters) -> Result<HashSet<String>> {
        let most = usize::try_from(self.keep_newest).unwrap_or(usize::MAX);
        let mut ages = Vec::new();
        for file in files.iter().filter(|file| most > 0 && !letters.flags(file).has(Flag::Trashed)) {
            let age = self.world.disk.age(&maildir.join(file));
            let age = age.map_err(|e| Error::disk(format!("reading {}", maildir.display()), e))?;
            ages.extend(age.map(|age| (age, file)));
        }
        ages.sort();
        Ok(ages.into_iter().take(most).map(|(_, file)| file.clone()).collect())
    }

    fn facts(&self) -> WorldFacts<'_> {
        let programs = self.run_programs;
        WorldFacts { programs, ..WorldFacts::new(self.world) }
    }

    fn look_at(&self, listed: &ListedFolder, file: &str, facts: &RefilterFacts<'_>) -> Result<RefilterFinding> {
        let flags = listed.letters.flags(file);
        if flags.has(Flag::Trashed) {
            // The mail reader is about to delete it.
            return Ok(RefilterFinding::default());
        }
        let path = listed.maildir.join(file);
        let Some((message, identity)) = self.read(&path)? else {
            return Ok(RefilterFinding { gone: true, ..RefilterFinding::default() });
        };
        let folder = &listed.name;
        let origin = Arc::new(Origin { account: REFILTERED.to_owned(), folder: folder.to_string(), generation: 0 });
        let key = Key::new(&origin, file);
        let seen_by_rules = Origin { account: self.account.to_owned(), ..(*origin).clone() };
        let envelope = Envelope { key, arrived: identity.arrived(), flags, announced: 0 };
        let as_seen = Envelope { key: Key::new(&Arc::new(seen_by_rules), file), ..envelope.clone() };
        let decision = match self.engine.decide(&message, &as_seen, facts) {
            Ok(decision) => decision,
            Err(deferral) => {
                let (rule, cause) = (clean::short(&deferral.rule, 60), clean::line(deferral.cause.as_bytes()));
                let remark = format!("{file}: stays: the rule `{rule}` deferred it: {cause}");
                return Ok(RefilterFinding { failed: true, remarks: vec![remark], ..RefilterFinding::default() });
            }
        };
        let mut found = RefilterFinding { failed: !decision.failures.is_empty(), ..RefilterFinding::default() };
        found.unsent = self.unsent(&decision, file);
        let decision = self.fit_to_filed(decision, folder, file, &mut found.remarks);
        if !changes_nothing(&decision, folder, &envelope.flags) {
            found.moves =
                Some(self.would_move(listed, path, Decided { envelope, message, decision, base: None }, identity));
        }
        Ok(found)
    }

    fn would_move(&self, listed: &ListedFolder, path: PathBuf, decided: Decided, identity: FileIdentity) -> Move {
        let field = |name: &str| clean::short(decided.message.first(name).unwrap_or_default(), 60);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = moved_name(&name, &decided.envelope.key, self.world.now());
        Move {
            from: listed.name.to_string(),
            about: (field("From"), field("Subject")),
            rule: decided.decision.rule(),
            outcome: decided.decision.to_string(),
            decided: Decided { base: Some(Here { name, leaves: vec![identity.leaving(path)] }), ..decided },
            identity,
        }
    }

    /// What a decision would send, if only `send` were given.
    fn unsent(&self, decision: &Decision, file: &str) -> Option<String> {
        let items: Vec<String> = decision.tellings().map(|item| clean::line(item.to_string().as_bytes())).collect();
        (!self.send && !items.is_empty()).then(|| format!("{file}: not sent without --send: {}", items.join(", ")))
    }

    /// Fits a decision to mail that is already filed: `keep` means the present folder, nothing is sent without `send`,
    /// and a message stays where it is if a rule failed.
    fn fit_to_filed(
        &self,
        mut decision: Decision,
        folder: &FolderName,
        file: &str,
        remarks: &mut Vec<String>,
    ) -> Decision {
        for failure in &decision.failures {
            let (rule, cause) = (clean::short(&failure.rule, 60), clean::line(failure.cause.as_bytes()));
            remarks.push(format!("{file}: stays: the rule `{rule}` failed: {cause}"));
        }
        decision.failures.clear();
        if !self.send {
            decision.tell_nobody();
            decision.writes.retain(|write| !matches!(write, Write::Answered { .. }));
        }
        // What was recorded when the message came is not recorded again; see `Memory`. Whether it was answered, or
        // appended elsewhere, is recorded if that may happen now.
        let counts = |of: &str| self.send && (of == ANSWERED || of == APPENDED);
        decision.writes.retain(|write| !matches!(write, Write::Seen { handle, .. } if !counts(handle)));
        decision.reads.retain(|read| !matches!(&read.fact, Fact::Seen { handle, .. } if !counts(handle)));
        for action in &mut decision.actions {
            let Action::File(filing) = action else { continue };
            match &filing.place {
                Place::Keep => filing.place = Place::Folder(folder.clone()),
                Place::Folder(other) => filing.place = Place::Folder(self.world.folders.named(other).into_owned()),
                Place::Inbox | Place::Mbox(_) => {}
            }
        }
        let mut places: Vec<(Place, usize)> = Vec::new();
        decision.actions.retain(|action| match action {
            Action::File(Filing { place, version, .. }) if places.contains(&(place.clone(), *version)) => false,
            Action::File(Filing { place, version, .. }) => {
                places.push((place.clone(), *version));
                true
            }
            Action::Tell(_) | Action::Discard => true,
        });
        if decision.goes_nowhere() {
            let here = Filing { place: Place::Folder(folder.clone()), flags: Flags::default(), version: 0 };
            decision.actions.push(Action::File(here));
        }
        decision
    }

    /// A message and its file, or `None` if the mail reader has moved it meanwhile.
    fn read(&self, path: &Path) -> Result<Option<(Arc<Message>, FileIdentity)>> {
        let Some(identity) = FileIdentity::of(self.world, path)? else { return Ok(None) };
        match self.world.read(path) {
            Ok(message) => Ok(Some((Arc::new(message), identity))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::disk(format!("reading {}", path.display()), e)),
        }
    }
}

/// Reports that a message stays because of a folder.
fn report_stay(file: &str, why: &str, shown: &mut dyn FnMut(RefilterLine<'_>), looked: &mut RefilterSummary) {
    looked.stay += 1;
    looked.held += 1;
    shown(RefilterLine::Remark(format!("{}: stays: {why}", clean::short(file, 200))));
}

/// A folder before anything moves.
struct ListedFolder {
    name: FolderName,
    maildir: PathBuf,
    letters: Letters,
    files: Vec<String>,
    newest: HashSet<String>,
}

/// What the rules say about one message.
#[derive(Default)]
struct RefilterFinding {
    /// The move, or `None` if the message stays as it is.
    moves: Option<Move>,
    failed: bool,
    /// The mail reader moved it before it was read.
    gone: bool,
    remarks: Vec<String>,
    /// What is not sent.
    unsent: Option<String>,
}

/// Whether nothing is to be done. A message that stays takes no number, and is not counted again.
fn changes_nothing(decision: &Decision, folder: &FolderName, flags: &Flags) -> bool {
    let here = Action::File(Filing { place: Place::Folder(folder.clone()), flags: flags.clone(), version: 0 });
    let is_count = |write: &Write| matches!(write, Write::Number { .. } | Write::Counted { .. });
    decision.actions == [here] && decision.writes.iter().all(is_count)
}

/// The facts of a refilter run. The state recorded every message when it came, so for `duplicate` only the messages of
/// this run count.
struct RefilterFacts<'a> {
    world: WorldFacts<'a>,
    earlier: Mutex<HashSet<Fact>>,
    coming: &'a Coming,
}

impl Facts for RefilterFacts<'_> {
    fn now(&self) -> Zoned {
        self.world.now()
    }

    fn holds(&self, fact: &Fact) -> std::result::Result<bool, Unanswered> {
        match fact {
            Fact::Seen { handle, .. } if handle != ANSWERED => {
                // Each fact is asked once a message, so the first message to ask is the original.
                let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(!earlier.insert(fact.clone()))
            }
            fact => self.coming.answer(fact).map_or_else(|| self.world.holds(fact), Ok),
        }
    }

    fn counted(&self, of: &Counted) -> std::result::Result<u64, Unanswered> {
        let store = &self.world.world.store;
        store.counted(of, &self.coming.counted(of)).map_err(|e| Unanswered(e.to_string()))
    }

    fn last_number(&self, counter: &str) -> std::result::Result<Option<u64>, Unanswered> {
        Ok(self.world.last_number(counter)?.max(self.coming.last_number(counter)))
    }

    fn is_filed(&self) -> bool {
        true
    }

    fn folder(&self, folder: &FolderName) -> std::result::Result<Option<Contents>, Unanswered> {
        self.world.folder(folder)
    }

    fn list(&self, origin: &lists::EntriesOrigin) -> KnownList {
        self.world.list(origin)
    }

    fn list_value(&self, list: &str, entry: &str) -> std::result::Result<Option<String>, Unanswered> {
        self.world.list_value(list, entry)
    }

    fn list_entries(&self, list: &str) -> std::result::Result<Vec<ListEntry>, Unanswered> {
        self.world.list_entries(list)
    }

    fn ask(&self, question: &Ask<'_>) -> FactAnswer {
        self.world.ask(question)
    }
}
