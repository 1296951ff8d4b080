//! Plan: turns decisions into files and rows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::World;
use super::original::to_keep;
use crate::clean;
use crate::config::template::{FolderName, Template};
use crate::decision::{Action, Decision, Filing, Place, Version, Write};
use crate::deliver::{Letters, Plan};
use crate::error::Result;
use crate::message::{DeliveryName, Envelope, Flags, Message, NOTICES, RECOVERED, parse_addresses};
use crate::state::{About, Before, Entry, KeyPurpose, Leaving, MboxTarget, Original, Owned, Target};

/// Why a keyword has no letter.
const NO_LETTER_LEFT: &str = "all 26 keywords of that folder are taken";

/// A message with what was decided about it.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    pub(crate) envelope: Envelope,
    pub(crate) message: Arc<Message>,
    pub(crate) decision: Decision,
    /// Where the message is, if it is already filed.
    pub(crate) base: Option<Here>,
}

/// The place of a message that moves.
#[derive(Clone, Debug)]
pub(crate) struct Here {
    /// The file name that the message gets.
    pub(crate) name: String,
    /// The files that the message leaves.
    pub(crate) leaves: Vec<Leaving>,
}

impl Decided {
    /// The files that the message leaves.
    pub(crate) fn leaves(&self) -> &[Leaving] {
        self.base.as_ref().map_or(&[], |here| &here.leaves)
    }

    /// How many of its bytes are in memory.
    pub(crate) fn in_memory(&self) -> usize {
        let versions = self.decision.edited.iter().chain([&self.message]);
        versions.map(|message| message.bytes().beginning().len()).sum()
    }
}

/// The letters of each Maildir's keywords.
type AllLetters = BTreeMap<PathBuf, Letters>;

/// Makes plans for one account.
#[derive(Clone, Copy)]
pub(super) struct Planner<'a> {
    pub(super) world: &'a World,
    pub(super) owned: &'a Owned,
    pub(super) account: &'a str,
    pub(super) into: &'a Template,
}

impl Planner<'_> {
    /// The plans of a batch, and what the user should know about them. Afterwards every keyword has its letter,
    /// durably.
    pub(super) fn plan_all(self, mut decided: Vec<Decided>) -> Result<(Vec<Plan>, Vec<String>)> {
        for Decided { envelope, decision, .. } in decided.iter_mut().filter(|it| it.decision.goes_nowhere()) {
            decision.actions.push(keep(envelope));
        }
        let letters = self.letters(&decided)?;
        let mut remarks = Vec::new();
        let plans = decided.into_iter().map(|decided| self.plan(decided, &letters, &mut remarks)).collect();
        Ok((plans, remarks))
    }

    fn letters(self, decided: &[Decided]) -> Result<AllLetters> {
        let mut wanted: BTreeMap<PathBuf, BTreeSet<&str>> = BTreeMap::new();
        for Decided { envelope, decision, .. } in decided {
            for filing in decision.filings().filter(|filing| filing.flags.keywords().len() > 0) {
                if let Some(maildir) = self.maildir(filing, envelope) {
                    wanted.entry(maildir).or_default().extend(filing.flags.keywords());
                }
            }
        }
        let World { disk, folders, .. } = self.world;
        let mut letters = AllLetters::new();
        for (maildir, keywords) in wanted {
            folders.ensure(&**disk, &maildir)?;
            let assigned = Letters::assign(&**disk, &maildir, &keywords)?;
            letters.insert(maildir, assigned);
        }
        Ok(letters)
    }

    /// Makes sure that every target of a message can take it.
    pub(super) fn ensure(self, decided: &Decided) -> Result<()> {
        let World { disk, folders, .. } = self.world;
        for filing in decided.decision.filings() {
            match (&filing.place, self.maildir(filing, &decided.envelope)) {
                (Place::Mbox(folder), _) => folders.ensure_mbox(&**disk, &folders.mbox(folder))?,
                (_, Some(maildir)) => folders.ensure(&**disk, &maildir)?,
                _ => {}
            }
        }
        self.letters(std::slice::from_ref(decided)).map(drop)
    }

    /// The Maildir of a filing, unless the filing goes to an mbox.
    fn maildir(self, filing: &Filing, envelope: &Envelope) -> Option<PathBuf> {
        let folder = match &filing.place {
            Place::Keep => {
                let remote = FolderName::parse_safe(&envelope.key.origin.folder, Some('/'));
                let is_ours = [NOTICES, RECOVERED].contains(&envelope.key.origin.folder.as_str());
                self.into.expand_into(self.account, &if is_ours { FolderName::inbox() } else { remote })
            }
            Place::Folder(folder) => folder.clone(),
            Place::Inbox => FolderName::inbox(),
            Place::Mbox(_) => return None,
        };
        Some(self.world.folders.maildir(&folder))
    }

    /// The Maildir or mbox file of a filing.
    pub(super) fn target(self, filing: &Filing, envelope: &Envelope) -> Option<PathBuf> {
        match &filing.place {
            Place::Mbox(folder) => Some(self.world.folders.mbox(folder)),
            _ => self.maildir(filing, envelope),
        }
    }

    /// Whether this is the inbox, which takes the mail that no other folder takes.
    pub(super) fn is_inbox(self, target: &std::path::Path) -> bool {
        self.world.folders.maildir(&FolderName::inbox()) == *target
    }

    fn plan(self, decided: Decided, letters: &AllLetters, remarks: &mut Vec<String>) -> Plan {
        let Decided { envelope, message, decision, base } = decided;
        let name = DeliveryName::of(&envelope.key);
        let new_name = || format!("{}.{}.{}", envelope.arrived.as_second().max(0), name.as_str(), self.world.host);
        let Here { name: base, leaves } = base.unwrap_or_else(|| Here { name: new_name(), leaves: Vec::new() });
        let mut files = PlannedFiles::new(self, base, letters);
        for action in &decision.actions {
            match action {
                Action::File(filing) => files.file(filing, &envelope, &message),
                Action::Discard => files.words.push("discard".to_owned()),
                Action::Tell(telling) => files.words.push(clean::line(telling.to_string().as_bytes())),
            }
        }
        let PlannedFiles { targets, mboxes, words, dropped, .. } = files;
        remarks.extend(dropped.into_iter().map(|dropped| format!("{}: {dropped}", envelope.key)));
        // What is sent has its bytes in the spool: the message as it came, or an edited version.
        let spool = |version| self.world.spool(self.owned.stamp()).path(&name, version);
        let tellings = decision.tellings().map(|telling| (telling.clone(), spool(telling.version))).collect();
        let spooled = (targets.is_empty() && mboxes.is_empty()).then(|| spool(0));
        let original = match self.world.originals {
            // A message that was split is staged as a whole all the same, because recovery after a crash needs it.
            0 if targets.iter().all(|target| target.version == targets[0].version) => Original::Filed,
            _ => to_keep(&message, &decision, &targets, &mboxes, || spool(0)),
        };
        let flags = Some(envelope.flags.carried_over());
        let before = Before { arrived: Some(envelope.arrived), flags, original, leaves };
        let notes = decision.notes.iter().map(|note| clean::line(note.as_bytes())).collect();
        let entry = Entry {
            announced: envelope.announced,
            mark: KeyPurpose::Here,
            head_hash: message.head_hash(),
            dress: message.dress_hash(),
            size: message.size(),
            at: self.world.now(),
            about: about(&message),
            rule: decision.rule(),
            why: decision.why.join("; "),
            outcome: words.join(", "),
            notes,
            targets,
            mboxes,
            spooled,
            before,
            reads: decision.reads,
            writes: decision.writes,
            tellings,
            key: envelope.key,
            name,
        };
        let versions = std::iter::once(message).chain(decision.edited).collect();
        Plan { arrived: envelope.arrived, versions, entry }
    }
}

fn keep(envelope: &Envelope) -> Action {
    Action::File(Filing { place: Place::Keep, flags: envelope.flags.clone().carried_over(), version: 0 })
}

/// The planned files of one message.
struct PlannedFiles<'a> {
    planner: Planner<'a>,
    /// The file name before the part that distinguishes several files of one message.
    base: String,
    letters: &'a AllLetters,
    targets: Vec<Target>,
    mboxes: Vec<MboxTarget>,
    /// The outcome, such as `fileinto lists/rust [S]`.
    words: Vec<String>,
    /// The keywords that got no letter, in words.
    dropped: Vec<String>,
}

impl<'a> PlannedFiles<'a> {
    fn new(planner: Planner<'a>, base: String, letters: &'a AllLetters) -> Self {
        Self { planner, base, letters, targets: vec![], mboxes: vec![], words: vec![], dropped: vec![] }
    }

    fn file(&mut self, filing: &Filing, envelope: &Envelope, message: &Message) {
        match self.planner.maildir(filing, envelope) {
            Some(maildir) => self.add_to_maildir(maildir, filing),
            None => self.add_to_mbox(filing, envelope, message),
        }
    }

    fn add_to_maildir(&mut self, maildir: PathBuf, filing: &Filing) {
        let staged = self.staged(filing.version);
        // `keep` and a `fileinto` may mean the same folder.
        if self.targets.iter().any(|target| target.maildir == maildir && target.staged == staged) {
            return;
        }
        let letters = self.letters.get(&maildir);
        let mut flags = filing.flags.clone();
        let mut info = filing.flags.letters();
        let mut small = BTreeSet::new();
        let mut dropped = Vec::new();
        for keyword in filing.flags.keywords() {
            match letters.and_then(|letters| letters.letter(keyword)) {
                Some(letter) => _ = small.insert(letter),
                None => {
                    flags.remove_keyword(keyword);
                    dropped.push(keyword);
                }
            }
        }
        info.extend(small);
        let info = if info.is_empty() { info } else { format!(":2,{info}") };
        let folder = self.planner.world.folders.name_of(&maildir);
        let verb = if matches!(filing.place, Place::Keep | Place::Inbox) { "keep" } else { "fileinto" };
        let mut words = outcome_of(verb, &folder, filing.version, &flags);
        if !dropped.is_empty() {
            let dropped = dropped.join(" ");
            words += &format!(" (without {dropped}: {NO_LETTER_LEFT})");
            self.dropped.push(format!("{dropped} was dropped in {folder}: {NO_LETTER_LEFT}"));
        }
        self.words.push(words);
        let stamp = self.planner.owned.stamp();
        self.targets.push(Target { maildir, staged, stamp, info, version: filing.version });
    }

    fn add_to_mbox(&mut self, filing: &Filing, envelope: &Envelope, message: &Message) {
        let Place::Mbox(folder) = &filing.place else { return };
        let World { folders, .. } = self.planner.world;
        let file = folders.mbox(folder);
        if self.mboxes.iter().any(|mbox| mbox.file == file && mbox.version == filing.version) {
            return;
        }
        let staged = format!("{},M={}", self.staged(filing.version), self.mboxes.len());
        let date = envelope.arrived.to_zoned(TimeZone::UTC).strftime("%a %b %e %H:%M:%S %Y");
        let line = format!("From {} {date} {staged}", sender(message));
        self.words.push(outcome_of("fileinto mbox", &folder.to_string(), filing.version, &Flags::default()));
        let spool = self.planner.world.mbox_spool();
        let stamp = self.planner.owned.stamp();
        self.mboxes.push(MboxTarget { file, spool, staged, stamp, line, version: filing.version });
    }

    fn staged(&self, version: Version) -> String {
        if version == 0 { self.base.clone() } else { format!("{},V={version}", self.base) }
    }
}

fn outcome_of(verb: &str, folder: &str, version: Version, flags: &Flags) -> String {
    let edited = if version > 0 { " edited" } else { "" };
    let flags = if flags.is_empty() { String::new() } else { format!(" [{flags}]") };
    format!("{verb} {folder}{edited}{flags}")
}

/// The envelope sender as far as it is known, in a form that cannot break the `From ` line of an mbox.
fn sender(message: &Message) -> String {
    let is_plain = |address: &String| address.len() <= 200 && address.bytes().all(|byte| byte.is_ascii_graphic());
    let address_in = |field: &str| {
        let value = message.first(field)?;
        parse_addresses(value).into_iter().map(|address| address.address).find(is_plain)
    };
    address_in("Return-Path").or_else(|| address_in("From")).unwrap_or_else(|| "MAILER-DAEMON".to_owned())
}

pub(super) fn about(message: &Message) -> About {
    let field = |name: &str| clean::short(message.first(name).unwrap_or_default(), 200);
    About { from: field("From"), subject: field("Subject"), message_id: field("Message-ID") }
}

/// What a batch writes, in order.
pub(super) fn writes(decided: &[Decided]) -> Vec<Write> {
    decided.iter().flat_map(|decided| decided.decision.writes.iter().cloned()).collect()
}
