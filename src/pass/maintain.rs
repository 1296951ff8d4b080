//! Maintain: runs the items of `maintenance` over the local folders, each when it is due. It uses the same code as
//! `refilter` and is as durable.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::coming::Coming;
use super::moving::Mover;
use super::refilter::{Refilter, RefilterLine, RefilterSummary};
use super::{World, report, when};
use crate::config::Maintenance;
use crate::config::template::FolderName;
use crate::config::wildcard;
use crate::error::{Error, Kind, Result};
use crate::filter::Engine;
use crate::message::REFILTERED;
use crate::state::Lock;

/// The lock that lets one process run at a time, and the folder of the marks that say when an item last ran.
const MAINTENANCE: &str = "maintenance";
/// How many remarks of an item are shown. A rule that fails says the same about every message.
const REMARKS_SHOWN: usize = 5;
/// A timer is never quite punctual: a run that is early by this fraction of `every` is on time.
const EARLY_DIVISOR: u32 = 20;

/// An item of `maintenance` with its rule compiled.
#[derive(Clone, Debug)]
pub struct Upkeep {
    /// What the config says.
    pub item: Arc<Maintenance>,
    /// Its rule.
    pub engine: Arc<Engine>,
}

/// The result of one run of an item.
#[derive(Debug, Default)]
pub struct Maintained {
    /// The item.
    pub name: String,
    /// How many messages moved or changed, or would have if the run only shows its moves.
    pub moved: u64,
    /// How many stay as they are.
    pub stay: u64,
    /// Names and patterns in the config that match no local folder. The folder may come with its first mail.
    pub missing: Vec<String>,
    /// What the user should know.
    pub remarks: Vec<String>,
    /// What went wrong.
    pub errors: Vec<Error>,
}

impl Maintained {
    /// The exit code that says the worst.
    pub fn exit_code(&self) -> u8 {
        report::exit_code(&self.errors)
    }
}

/// Runs every item that is due and passes each result to `tell`. `stop` is asked between folders. If another process is
/// running the items, nothing is done.
pub fn maintain_due(world: &World, upkeeps: &[Upkeep], stop: &dyn Fn() -> bool, tell: &mut dyn FnMut(Maintained)) {
    let due: Vec<&Upkeep> = upkeeps.iter().filter(|upkeep| is_due(world, &upkeep.item)).collect();
    if due.is_empty() || stop() {
        return;
    }
    let _lock = match Lock::try_take(&world.locks(), MAINTENANCE) {
        Ok(lock) => lock,
        Err(e) if e.kind() == Kind::Busy => return,
        Err(e) => return tell(Maintained { name: MAINTENANCE.to_owned(), errors: vec![e], ..Maintained::default() }),
    };
    // Another process may have run some of them just now.
    for upkeep in due.into_iter().filter(|upkeep| is_due(world, &upkeep.item)) {
        tell(run(world, upkeep, true, stop, &mut |_| {}));
    }
}

/// Runs an item now. `shown` gets what is said about each message. Without `act` nothing moves.
pub fn maintain(
    world: &World,
    upkeep: &Upkeep,
    act: bool,
    shown: &mut dyn FnMut(&RefilterLine<'_>),
) -> Result<Maintained> {
    let _lock = act.then(|| Lock::try_take(&world.locks(), MAINTENANCE)).transpose()?;
    Ok(run(world, upkeep, act, &|| false, shown))
}

fn run(
    world: &World,
    upkeep: &Upkeep,
    act: bool,
    stop: &dyn Fn() -> bool,
    shown: &mut dyn FnMut(&RefilterLine<'_>),
) -> Maintained {
    let item = &*upkeep.item;
    let began = world.now();
    let mut maintained = Maintained { name: item.name.clone(), ..Maintained::default() };
    let mut failed = 0;
    let folders = match folders(world, item, &mut maintained.missing) {
        Ok(folders) => folders,
        Err(e) => {
            maintained.errors.push(e);
            return maintained;
        }
    };
    let mut mover = act.then(|| Mover::new(world));
    let mut remarks = Remarks::default();
    for folder in folders {
        if stop() {
            return maintained;
        }
        let mut show = |one: RefilterLine<'_>| {
            shown(&one);
            remarks.add(one);
        };
        match one_folder(world, upkeep, &folder, &mut mover, &mut show) {
            Ok(looked) => {
                maintained.moved += if act { looked.moved } else { looked.moves };
                maintained.stay += looked.stay;
                failed += looked.failed;
                maintained.errors.extend(unfinished(&looked).map(|error| error.while_doing(&folder)));
            }
            Err(e) => maintained.errors.push(e.while_doing(&folder)),
        }
    }
    maintained.remarks = remarks.into_lines();
    if act && maintained.errors.is_empty() {
        maintained.errors.extend(mark(world, item, began).err());
    }
    if failed > 0 {
        let text = format!("{failed} stay because a rule failed or deferred them");
        maintained.errors.push(Error::transient(Kind::Refused, text));
    }
    maintained
}

/// What a folder held up is tried again by the next run, whatever `every` says.
fn unfinished(looked: &RefilterSummary) -> Option<Error> {
    let text = match (looked.held, looked.left) {
        (0, 0) => return None,
        (held, 0) => format!("{held} stay because of a folder"),
        (0, left) => format!("{left} moved and cannot be removed from it yet"),
        (held, left) => format!("{held} stay because of a folder, and {left} moved and cannot be removed from it yet"),
    };
    Some(Error::transient(Kind::Disk, text))
}

fn one_folder(
    world: &World,
    upkeep: &Upkeep,
    folder: &str,
    mover: &mut Option<Mover<'_>>,
    shown: &mut dyn FnMut(RefilterLine<'_>),
) -> Result<RefilterSummary> {
    let keep_newest = upkeep.item.keep_newest;
    let (engine, account, run_programs) = (&*upkeep.engine, REFILTERED, mover.is_some());
    let coming = Coming::default();
    let rules = Refilter { world, engine, account, send: false, run_programs, keep_newest, coming };
    rules.run_with(mover, &[folder.to_owned()], shown)
}

/// The local folders that the item names, each once.
fn folders(world: &World, item: &Maintenance, missing: &mut Vec<String>) -> Result<BTreeSet<String>> {
    let here = world.folders.all(&*world.disk)?;
    let mut found = BTreeSet::new();
    for pattern in &item.folders {
        let name = world.folders.named(&FolderName::of_user(pattern)).to_string();
        let fits = |folder: &&String| match wildcard::has_wildcard(pattern) {
            true => wildcard::matches(pattern, folder),
            false => **folder == name,
        };
        let fitting: Vec<String> = here.iter().filter(fits).cloned().collect();
        if fitting.is_empty() {
            missing.push(pattern.clone());
        }
        found.extend(fitting);
    }
    Ok(found)
}

/// The first remarks of an item, and how many there were.
#[derive(Default)]
struct Remarks {
    first: Vec<String>,
    count: usize,
}

impl Remarks {
    fn add(&mut self, one: RefilterLine<'_>) {
        let (RefilterLine::Remark(remark) | RefilterLine::Unsent(remark)) = one else { return };
        self.count += 1;
        if self.first.len() <= REMARKS_SHOWN {
            self.first.push(remark);
        }
    }

    fn into_lines(mut self) -> Vec<String> {
        if self.count > REMARKS_SHOWN + 1 {
            self.first.truncate(REMARKS_SHOWN);
            self.first.push(format!("and {} more like this", self.count - REMARKS_SHOWN));
        }
        self.first
    }
}

/// Whether an item is due. If it was last run in the future, the clock was wrong then.
fn is_due(world: &World, item: &Maintenance) -> bool {
    let Some(last) = when::last(world, &mark_of(world, item)) else { return true };
    let every = SignedDuration::try_from(shortest_interval(item.every)).unwrap_or(SignedDuration::MAX);
    let since = world.now().duration_since(last);
    since >= every || since.is_negative()
}

fn shortest_interval(every: Duration) -> Duration {
    every.saturating_sub((every / EARLY_DIVISOR).min(Duration::from_secs(15 * 60)))
}

/// The file that says when an item last ran. Its name is a hash, because the item's name may hold any character.
fn mark_of(world: &World, item: &Maintenance) -> PathBuf {
    let digest = Sha256::digest(item.name.as_bytes());
    world.state.join(MAINTENANCE).join(data_encoding::HEXLOWER.encode(&digest[..8]))
}

/// Remembers that an item ran. If the mark is lost, the item runs once more and finds only what is left to do.
fn mark(world: &World, item: &Maintenance, at: Timestamp) -> Result<()> {
    when::write_time(world, &mark_of(world, item), at, &format!("{}\n", crate::clean::line(item.name.as_bytes())))
}
