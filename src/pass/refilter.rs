//! Refilter: the rules over mail that is here already. Looking and moving are two steps: what would move is shown first.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{Timestamp, Zoned};

use super::coming::Coming;
use super::commit::Committer;
use super::facts::WorldFacts;
use super::plan::Decided;
use super::relocate::{self, Relocation};
use super::{Decide, World};
use crate::clean;
use crate::config::template::{FolderName, Template};
use crate::decision::{ANSWERED, Action, Decision, Fact, Filing, Place, Write};
use crate::deliver::Letters;
use crate::error::{Error, Kind, Result};
use crate::filter::{Answer, Ask, Engine, Facts, Unanswered};
use crate::message::{Envelope, Flag, Flags, Key, Message, Origin, REFILTERED};

/// So many messages are moved in one transaction.
const BATCH: usize = 100;

/// What refiltering one folder would do.
#[derive(Debug, Default)]
pub struct Looked {
    /// The messages that would move or change.
    pub moves: Vec<Move>,
    /// How many stay as they are.
    pub stay: u64,
    /// How many of these do so because a rule failed or asked for later.
    pub failed: u64,
    /// What the user should know: rules that failed, tellings that are not sent.
    pub remarks: Vec<String>,
}

/// One message that would move or change.
#[derive(Debug)]
pub struct Move {
    /// Its folder.
    pub from: String,
    /// The From and Subject fields, shortened.
    pub about: (String, String),
    /// The rules.
    pub rule: String,
    /// What would be done, in the words of a rule file.
    pub outcome: String,
    relocation: Relocation,
}

/// The rules over folders that are here.
pub struct Refilter<'a> {
    /// The world.
    pub world: &'a World,
    /// The rules.
    pub engine: &'a Engine,
    /// The account that rules see.
    pub account: &'a str,
    /// Whether what rules tell goes to the outbox.
    pub send: bool,
    /// Whether programs that rules ask are started.
    pub run_programs: bool,
    /// So many messages of each folder, the newest, are left alone.
    pub keep_newest: u64,
    /// What the folders that were looked at are going to write.
    pub coming: Coming,
}

impl Refilter<'_> {
    /// Asks the rules about every message of a folder. Nothing is done.
    pub fn look(&self, folder: &str) -> Result<Looked> {
        let name = FolderName::parse_safe(folder, Some('/'));
        let maildir = self.world.folders.maildir(&name);
        if !self.is_here(&maildir)? {
            let (folder, place) = (clean::short(folder, 80), maildir.display());
            return Err(Error::permanent(
                Kind::Usage,
                format!("there is no folder {folder} here ({place} is no Maildir)"),
            ));
        }
        let letters = Letters::read(&*self.world.disk, &maildir)?;
        let facts = Memory { world: self.facts(), earlier: Mutex::default(), coming: &self.coming };
        let mut looked = Looked::default();
        let files = self.files(&maildir)?;
        let newest = self.newest(&maildir, &files, &letters)?;
        for file in files {
            match newest.contains(&file) {
                true => looked.stay += 1,
                false => self.look_at(&name, &maildir, &file, &letters, &facts, &mut looked)?,
            }
        }
        Ok(looked)
    }

    /// Whether there is such a Maildir.
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

    /// The messages that are left alone because they arrived last. Those that their reader is about to delete do not
    /// count.
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
        WorldFacts { world: self.world, earlier: &[], first_look: None, programs: self.run_programs, at: None }
    }

    fn look_at(
        &self,
        folder: &FolderName,
        maildir: &Path,
        file: &str,
        letters: &Letters,
        facts: &Memory<'_>,
        looked: &mut Looked,
    ) -> Result<()> {
        let flags = letters.flags(file);
        if flags.has(Flag::Trashed) {
            // Its reader is about to delete it.
            looked.stay += 1;
            return Ok(());
        }
        let path = maildir.join(file);
        let Some((message, arrived)) = self.read(&path)? else { return Ok(()) };
        let origin = Arc::new(Origin { account: REFILTERED.to_owned(), folder: folder.to_string(), generation: 0 });
        let key = Key::new(&origin, file);
        let seen_by_rules = Origin { account: self.account.to_owned(), ..(*origin).clone() };
        let as_seen =
            Envelope { key: Key::new(&Arc::new(seen_by_rules), file), arrived, flags: flags.clone(), announced: 0 };
        let decision = match self.engine.decide(&message, &as_seen, facts) {
            Ok(decision) => decision,
            Err(deferral) => {
                let (rule, cause) = (clean::short(&deferral.rule, 60), clean::line(deferral.cause.as_bytes()));
                looked.remarks.push(format!("{file}: stays, the rule `{rule}` asked for later: {cause}"));
                looked.stay += 1;
                looked.failed += 1;
                return Ok(());
            }
        };
        looked.failed += u64::from(!decision.failures.is_empty());
        let decision = self.fit(decision, folder, file, &mut looked.remarks);
        let here = Action::File(Filing { place: Place::Folder(folder.clone()), flags: flags.clone(), version: 0 });
        // A number that nothing is done with is not taken.
        let is_number = |write: &Write| matches!(write, Write::Number { .. });
        if decision.actions == [here] && decision.writes.iter().all(is_number) {
            looked.stay += 1;
            return Ok(());
        }
        self.coming.note(&decision.writes);
        let field = |name: &str| clean::short(message.first(name).unwrap_or_default(), 60);
        let base = Some(relocate::moved_name(file.split('/').next_back().unwrap_or(file), &key, self.world.now()));
        let envelope = Envelope { key, arrived, flags, announced: 0 };
        looked.moves.push(Move {
            from: folder.to_string(),
            about: (field("From"), field("Subject")),
            rule: decision.rule(),
            outcome: decision.to_string(),
            relocation: Relocation { decided: Decided { envelope, message, decision, base }, leaves: vec![path] },
        });
        Ok(())
    }

    /// A decision about mail that is here: `keep` means where it is, nothing is told without `send`, and a rule that
    /// failed leaves the message alone.
    fn fit(&self, mut decision: Decision, folder: &FolderName, file: &str, remarks: &mut Vec<String>) -> Decision {
        for failure in &decision.failures {
            let (rule, cause) = (clean::short(&failure.rule, 60), clean::line(failure.cause.as_bytes()));
            remarks.push(format!("{file}: stays, the rule `{rule}` failed: {cause}"));
        }
        decision.failures.clear();
        if !self.send {
            let told: Vec<String> =
                decision.tellings().map(|telling| clean::line(telling.to_string().as_bytes())).collect();
            if !told.is_empty() {
                remarks.push(format!("{file}: nobody is told (only `refilter --send` does): {}", told.join(", ")));
            }
            decision.actions.retain(|action| !matches!(action, Action::Tell(_)));
            decision.writes.retain(|write| !matches!(write, Write::Answered { .. }));
        }
        // What was noted when the message came is noted; see `Memory`. Whether it was answered counts where it may be now.
        let counts = |of: &str| self.send && of == ANSWERED;
        decision.writes.retain(|write| !matches!(write, Write::Seen { handle, .. } if !counts(handle)));
        decision.reads.retain(|read| !matches!(&read.fact, Fact::Seen { handle, .. } if !counts(handle)));
        for action in &mut decision.actions {
            if let Action::File(filing) = action
                && filing.place == Place::Keep
            {
                filing.place = Place::Folder(folder.clone());
            }
        }
        let goes_somewhere = decision.actions.iter().any(|action| match action {
            Action::File(_) | Action::Discard => true,
            Action::Tell(telling) => telling.way.delivers(),
        });
        if !goes_somewhere {
            let here = Filing { place: Place::Folder(folder.clone()), flags: Flags::default(), version: 0 };
            decision.actions.push(Action::File(here));
        }
        decision
    }

    /// A message and when it arrived; `None` when its reader moved it meanwhile.
    fn read(&self, path: &Path) -> Result<Option<(Arc<Message>, Timestamp)>> {
        let failed = |e: std::io::Error| Error::disk(format!("reading {}", path.display()), e);
        let Some(age) = self.world.disk.age(path).map_err(failed)? else { return Ok(None) };
        let arrived = self.world.now().checked_sub(age).unwrap_or(Timestamp::UNIX_EPOCH);
        match self.world.read(path) {
            Ok(message) => Ok(Some((Arc::new(message), arrived))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed(e)),
        }
    }
}

/// Moves what was looked at. Returns how many messages moved; `Err` when another process changed what the rules had
/// read: then the rest is to be looked at again.
pub fn refilter(world: &World, moves: Vec<Move>, told: &dyn Fn(u64)) -> Result<u64> {
    let owned = relocate::begin(world)?;
    let engine: Arc<dyn Decide> = Arc::new(Engine::default());
    let into = Template::whole_folder();
    let mut committer = Committer::new(world, &owned, REFILTERED, engine, into);
    let mut moved = 0;
    let mut moves = moves.into_iter().map(|one| one.relocation).peekable();
    while moves.peek().is_some() {
        let batch: Vec<Relocation> = moves.by_ref().take(BATCH).filter(|one| is_there(world, one)).collect();
        match committer.relocate(batch)? {
            Some(published) => moved += published.entries().count() as u64,
            None => {
                let text = "another process changed what the rules had read; run it again for the rest";
                return Err(Error::transient(Kind::Busy, text));
            }
        }
        told(moved);
    }
    Ok(moved)
}

/// Whether the file is still where it was looked at: its reader may have moved or read it since.
fn is_there(world: &World, relocation: &Relocation) -> bool {
    relocation.leaves.iter().all(|file| world.disk.exists(file).unwrap_or(true))
}

/// The world of a refilter run. The state noted every message when it came, so for `duplicate` only the messages of this
/// run count.
struct Memory<'a> {
    world: WorldFacts<'a>,
    earlier: Mutex<HashSet<Fact>>,
    coming: &'a Coming,
}

impl Facts for Memory<'_> {
    fn now(&self) -> Zoned {
        self.world.now()
    }

    fn holds(&self, fact: &Fact) -> std::result::Result<bool, Unanswered> {
        match fact {
            Fact::Seen { handle, .. } if handle != ANSWERED => {
                // Asked once for each message and fact: the first to ask is the original.
                let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(!earlier.insert(fact.clone()))
            }
            fact => self.coming.answer(fact).map_or_else(|| self.world.holds(fact), Ok),
        }
    }

    fn last_number(&self, counter: &str) -> std::result::Result<Option<u64>, Unanswered> {
        Ok(self.world.last_number(counter)?.max(self.coming.last_number(counter)))
    }

    fn list_file(&self, path: &Path) -> Option<Arc<HashSet<String>>> {
        self.world.list_file(path)
    }

    fn ask(&self, question: &Ask<'_>) -> Answer {
        self.world.ask(question)
    }
}
