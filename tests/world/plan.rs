//! What happens in a world, drawn from its seed: steps, each with changes of the world and what runs at once.

use std::time::Duration;

use crate::program::End;
use crate::seed::Seed;

/// Something that others do, before the programs of a step start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// So many new messages on servers.
    Arrive(usize),
    /// One message of a server is given wrongly, for this step.
    MessageFault(u64),
    /// A line is cut, a command refused, for this step.
    LineFault(u64),
    /// A server counts what is not there, for this step.
    Numbers,
    /// The relays refuse or cut, for this step.
    RelayMood(u64),
    /// All UIDs of a folder change.
    Renumber,
    /// New mail stands under the id of mail that is gone.
    ReuseId,
    /// Another message stands under the id of one that is there.
    Swap,
    /// The same, and from now on what is fetched is deleted there.
    SwapThenDelete,
    /// Another client deletes.
    OtherClient,
    /// Another client marks as deleted what cannot be fetched, for this step.
    Marked(u64),
    /// The database is replaced by a copy from before.
    StateOlder,
    /// The database is gone; the spool is there.
    DatabaseGone,
    /// The database is emptied.
    DatabaseEmpty,
    /// The database is garbage.
    DatabaseGarbage,
    /// All of the state folder is gone.
    StateGone,
    /// The mail root is renamed away, for this step.
    RootAway,
    /// The mail root is empty, for this step.
    RootEmpty,
    /// An account is called otherwise.
    Rename,
    /// An account keeps its mail otherwise.
    Retention(u64),
}

impl Change {
    /// The mail is not where it was.
    pub fn takes_root(&self) -> bool {
        matches!(self, Change::RootAway | Change::RootEmpty)
    }
}

/// What runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Fetch,
    Run(Duration),
    /// So many deliveries, one after the other.
    Deliver(usize),
    Sendmail,
    Refilter(u64),
    /// A refilter that edits what it moves out of the inbox.
    SortInbox,
    Maintain,
    Undo(u64),
    Queue(u64),
    Rebuild,
    /// An order to the daemon that runs, or a command beside it.
    Order(u64),
    /// So many messages come to servers while programs run.
    Arrive(usize),
    /// The config is broken for a moment.
    BreakConfig,
    /// A user who takes lock files for dead.
    RemoveLocks,
    /// A mail reader: moves files about.
    Reader(u64),
    /// Somebody who removes what stands under `tmp/`, however new it is.
    CleanTmp(u64),
    /// A delivery of a message that kills the program whenever it decides about it.
    DeliverDeadly(u64),
}

impl Act {
    /// No program of ours does it.
    pub fn is_by_hand(&self) -> bool {
        matches!(self, Act::Reader(_) | Act::RemoveLocks | Act::CleanTmp(_) | Act::Arrive(_) | Act::BreakConfig)
    }
}

#[derive(Clone, Debug)]
pub struct Begin {
    pub act: Act,
    pub end: End,
    pub stop: Option<Duration>,
    pub delay: Duration,
}

#[derive(Clone, Debug)]
pub struct Step {
    pub index: usize,
    pub changes: Vec<Change>,
    pub beside: Vec<Begin>,
    /// Seconds that the clock goes wrong in this step.
    pub clock: i64,
    pub through_link: bool,
}

/// The steps of a seed. Each has its own numbers: leaving one out changes no other.
pub fn plan(seed: u64) -> Vec<Step> {
    let count = Seed::of(seed, 1).between(4, 9);
    let with_rare = |index| {
        let mut step = step(index, &mut Seed::of(seed, 100 + index as u64));
        add_rare(&mut step, &mut Seed::of(seed, 20_000 + index as u64));
        step
    };
    (0..count).map(with_rare).collect()
}

/// What came to the worlds later than the rest has numbers of its own: a seed still means what it meant, with this added.
fn add_rare(step: &mut Step, seed: &mut Seed) {
    let salt = seed.next();
    let begin = |act, delay: usize| {
        let delay = Duration::from_millis(delay as u64);
        Begin { act, end: End::Own, stop: None, delay }
    };
    if seed.percent(focus("cleaner", 3)) {
        step.beside.push(begin(Act::CleanTmp(salt), seed.magnitude(60)));
    }
    if seed.percent(focus("deadly", 2)) {
        step.beside.push(begin(Act::DeliverDeadly(salt), 0));
    }
    // Both leave files that they had not recorded yet, of the same messages.
    if seed.percent(focus("staged", 2)) {
        let killed = End::Inject { calls: "fsync", nth: seed.magnitude(30), what: "kill" };
        let soon = End::Kill(Duration::from_millis(seed.between(20, 200) as u64));
        step.beside.push(Begin { end: killed, ..begin(Act::SortInbox, 0) });
        step.beside.push(Begin { end: soon, ..begin(Act::Fetch, seed.magnitude(60)) });
    }
    if seed.percent(focus("marked", 4)) {
        step.changes.push(Change::Marked(salt));
    }
    // The locks go between the beginnings of two.
    if seed.percent(focus("locks", 2)) {
        let removed = seed.between(20, 150);
        let second = removed + seed.between(1, 30);
        let acts = [(Act::Fetch, 0), (Act::RemoveLocks, removed), (Act::Fetch, second)];
        step.beside.extend(acts.map(|(act, delay)| begin(act, delay)));
    }
    // A daemon that stays for a while, with orders to it, mail that comes meanwhile, and a config that somebody edits.
    if seed.percent(focus("daemon", 8)) {
        let time = Duration::from_millis(seed.between(1500, 4000) as u64);
        let soon = End::Kill(Duration::from_millis(seed.between(300, 3000) as u64));
        let end = if seed.percent(25) { soon } else { End::Own };
        step.beside.push(Begin { stop: Some(time), end, ..begin(Act::Run(time), 0) });
        for _ in 0..seed.between(2, 7) {
            let (salt, delay) = (seed.next(), seed.between(100, 3000));
            step.beside.push(begin(Act::Order(salt), delay));
        }
        for _ in 0..seed.between(1, 3) {
            let (count, delay) = (seed.between(1, 5), seed.between(100, 2500));
            step.beside.push(begin(Act::Arrive(count), delay));
        }
        if seed.percent(30) {
            step.beside.push(begin(Act::BreakConfig, seed.between(200, 2000)));
        }
    }
}

fn step(index: usize, seed: &mut Seed) -> Step {
    let mut changes = vec![Change::Arrive(if index == 0 { 10 + seed.magnitude(80) } else { seed.below(25) })];
    for _ in 0..seed.weigh(&[(30, 0), (45, 1), (25, 2)]) {
        changes.push(change(seed));
    }
    let count = seed.weigh(&[(25, 1), (30, 2), (25, 3), (20, 4)]);
    let mut beside: Vec<Begin> = (0..count).map(|_| begin(seed)).collect();
    // Nothing would ever be there to be damaged.
    if index == 0 && !beside.iter().any(|begin| begin.act == Act::Fetch) {
        beside.push(Begin { act: Act::Fetch, end: end(seed), stop: None, delay: Duration::ZERO });
    }
    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;
    let clock = seed.weigh(&[
        (88 + focus("clock", 0), 0),
        (focus("clock", 3), -2 * HOUR),
        (focus("clock", 3), -DAY),
        (focus("clock", 3), 3650 * DAY),
        (focus("clock", 2), -20000 * DAY),
        (focus("prune", 4), 2 * DAY),
    ]);
    Step { index, changes, beside, clock, through_link: seed.percent(focus("link", 6)) }
}

fn change(seed: &mut Seed) -> Change {
    let salt = seed.next();
    seed.weigh(&[
        (focus("message", 12), Change::MessageFault(salt)),
        (focus("line", 10), Change::LineFault(salt)),
        (focus("numbers", 2), Change::Numbers),
        (focus("relay", 10), Change::RelayMood(salt)),
        (focus("renumber", 5), Change::Renumber),
        (focus("reuse", 6), Change::ReuseId),
        (focus("swap", 5), Change::Swap),
        (focus("swapped", 3), Change::SwapThenDelete),
        (focus("other", 5), Change::OtherClient),
        (focus("older", 5), Change::StateOlder),
        (focus("gone", 3), Change::DatabaseGone),
        (focus("empty", 3), Change::DatabaseEmpty),
        (focus("garbage", 3), Change::DatabaseGarbage),
        (focus("nothing", 2), Change::StateGone),
        (focus("root", 4), Change::RootAway),
        (focus("root", 4), Change::RootEmpty),
        (focus("rename", 5), Change::Rename),
        (focus("retention", 6), Change::Retention(salt)),
    ])
}

fn begin(seed: &mut Seed) -> Begin {
    let salt = seed.next();
    let (time, mails) = (Duration::from_millis(200 + seed.below(1200) as u64), seed.between(1, 6));
    let act = seed.weigh(&[
        (focus("fetch", 30), Act::Fetch),
        (focus("run", 6), Act::Run(time)),
        (focus("deliver", 12), Act::Deliver(mails)),
        (focus("sendmail", 5), Act::Sendmail),
        (focus("refilter", 12), Act::Refilter(salt)),
        (focus("maintain", 6), Act::Maintain),
        (focus("undo", 6), Act::Undo(salt)),
        (focus("queue", 10), Act::Queue(salt)),
        (focus("rebuild", 2), Act::Rebuild),
        (focus("locks", 2), Act::RemoveLocks),
        (focus("reader", 10), Act::Reader(salt)),
    ]);
    // SIGTERM: what runs for ever ends by it, and some others do.
    let stop = match act {
        Act::Run(time) => Some(time),
        _ => seed.percent(focus("term", 5)).then_some(time / 8),
    };
    Begin { act, end: end(seed), stop, delay: Duration::from_millis(seed.magnitude(60) as u64 - 1) }
}

fn end(seed: &mut Seed) -> End {
    let after = Duration::from_millis(seed.magnitude(400) as u64);
    let calls = seed.pick(&["fsync", "rename,renameat,renameat2", "link,linkat", "write", "pwrite64", "openat"]);
    let calls = if seed.percent(25) { seed.pick(&["unlink,unlinkat", "mkdir,mkdirat", "ftruncate"]) } else { calls };
    let nth = seed.magnitude(if ["pwrite64", "openat", "fsync"].contains(&calls) { 150 } else { 30 });
    let what = seed.pick(&["err:EIO", "err:ENOSPC", "kill", "kill"]);
    seed.weigh(&[
        (60, End::Own),
        (focus("kill", 16), End::Kill(after)),
        (focus("inject", 20), End::Inject { calls, nth, what }),
    ])
}

/// The weight, twenty times as much for what `MAILSLUICE_WORLD_FOCUS` names.
fn focus(name: &str, weight: usize) -> usize {
    let named = std::env::var("MAILSLUICE_WORLD_FOCUS").unwrap_or_default();
    if named.split(',').any(|word| word == name) { weight * 20 } else { weight }
}
