//! Lanes: each relay, program, webhook and account has its own lane, so that one that hangs holds up no other.
//!
//! A lane is a [`Pass`](super::Pass) over its own rows, on a thread of its own. While lanes are at work, the outbox is
//! polled for items that are due in other lanes: items that came meanwhile, and items that the user wants tried now.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{OutboxReport, Pass, ROWS_PER_ROUND, SharedByLanes, dropped, fcc};
use crate::decision::{Notify, Pipe, Reply, Way};
use crate::error::{Error, Kind, Result};
use crate::outbox::Relays;
use crate::pass::on_own_thread;
use crate::state::OutboxRow;

/// How many lanes work at the same time.
const MAX_LANES: usize = 8;
/// How many of these run programs.
const MAX_PROGRAM_LANES: usize = 4;
/// How often the outbox is polled while lanes are at work.
const OUTBOX_POLL: Duration = Duration::from_millis(250);
/// Polling takes at most a thirtieth of the time, however many items wait.
const POLL_COST_DIVISOR: u32 = 30;

/// The way out of an item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    /// Through a relay, over one of its connections.
    Relay(String, u8),
    /// Into an IMAP account.
    Account(String),
    /// To a program.
    Program(String),
    /// To a webhook.
    Webhook(String),
}

impl Lane {
    /// The lane of an item.
    pub(super) fn of(row: &OutboxRow, relays: &Relays) -> Self {
        match &row.telling.way {
            Way::Imap(append) => Self::Account(append.account.clone()),
            Way::Pipe(Pipe { run, .. }) | Way::Notify(Notify { run: Some(run), .. }) => {
                Self::Program(run.first().cloned().unwrap_or_default())
            }
            Way::Notify(Notify { webhook: Some(address), .. }) => Self::Webhook(address.clone()),
            Way::Notify(Notify { desktop: true, .. }) => Self::Program("notify-send".to_owned()),
            _ => {
                let named = relays.relay_named(&row.telling, &row.account);
                match relays.relay(named) {
                    Some(relay) => Self::Relay(relay.name.clone(), connection_of(row, relay.connections)),
                    None => Self::Relay(named.unwrap_or_default().to_owned(), 0),
                }
            }
        }
    }

    fn is_of_programs(&self) -> bool {
        matches!(self, Self::Program(_))
    }
}

/// Which of a relay's connections an item takes: always the same one. Answers to one sender that are counted
/// (`max_per_sender`) share a connection, so that each is counted before the next.
fn connection_of(row: &OutboxRow, connections: u8) -> u8 {
    let number = match &row.telling.way {
        Way::Reply(Reply { most: Some(_), handle, to, sender, .. }) => {
            let whose = format!("{handle} {}", if sender.is_empty() { to } else { sender });
            whose.to_lowercase().bytes().fold(0u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)))
        }
        _ => row.id.unsigned_abs(),
    };
    u8::try_from(number % u64::from(connections.max(1))).unwrap_or_default()
}

/// A summary of what is due in a lane, which shows whether that changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LaneLoad {
    rows: u64,
    ids: i64,
    due: i64,
}

impl LaneLoad {
    /// Adds one item.
    pub(super) fn add(&mut self, row: &OutboxRow) {
        self.rows += 1;
        self.ids = self.ids.wrapping_add(row.id);
        self.due = self.due.wrapping_add(row.due.as_second());
    }
}

/// How a lane ended.
pub(super) struct LaneEnd {
    pub(super) told: OutboxReport,
    /// What was due and could not go out.
    pub(super) left: LaneLoad,
}

/// Lets the lanes work until nothing is due that can go out.
pub(super) async fn work(shared: &SharedByLanes) -> Result<OutboxReport> {
    let mut lanes =
        Lanes { shared: shared.clone(), running: JoinSet::new(), at_work: HashSet::new(), done: HashMap::new() };
    let (mut told, mut outcome) = (OutboxReport::default(), Ok(()));
    loop {
        let looked = Instant::now();
        if !shared.is_over() && outcome.is_ok() {
            outcome = do_other_work(shared, &mut told).and_then(|()| lanes.start());
        }
        let pause = OUTBOX_POLL.max(looked.elapsed() * POLL_COST_DIVISOR);
        tokio::select! {
            ended = lanes.running.join_next() => match ended {
                Some(ended) => match lanes.ended(ended) {
                    Ok(more) => told.add(more),
                    Err(error) => outcome = outcome.and(Err(error)),
                },
                None => return outcome.and_then(|()| do_other_work(shared, &mut told)).map(|()| told),
            },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Does what concerns no lane and holds up none: items that the user dropped, and copies of what was sent.
fn do_other_work(shared: &SharedByLanes, told: &mut OutboxReport) -> Result<()> {
    if !shared.is_over() {
        told.add(dropped::carry_out(shared)?);
        told.add(fcc::carry_out(shared)?);
    }
    Ok(())
}

struct Lanes {
    shared: SharedByLanes,
    running: JoinSet<(Lane, Result<LaneEnd>)>,
    at_work: HashSet<Lane>,
    /// What was due in each lane when it began and when it ended. The lane cannot do more about it.
    done: HashMap<Lane, [LaneLoad; 2]>,
}

impl Lanes {
    /// Starts lanes for what is due, unless it is what they left before.
    fn start(&mut self) -> Result<()> {
        for (lane, load) in due(&self.shared)? {
            let programs = self.at_work.iter().filter(|lane| lane.is_of_programs()).count();
            let has_room = self.at_work.len() < MAX_LANES && !(lane.is_of_programs() && programs >= MAX_PROGRAM_LANES);
            if !has_room
                || self.at_work.contains(&lane)
                || self.done.get(&lane).is_some_and(|done| done.contains(&load))
            {
                continue;
            }
            self.done.insert(lane.clone(), [load; 2]);
            self.at_work.insert(lane.clone());
            let shared = self.shared.clone();
            self.running.spawn(async move {
                let of_thread = lane.clone();
                let work = on_own_thread(async move { Pass::begin(shared)?.work_on(&of_thread).await });
                let broke_off = |e| Error::transient(Kind::Busy, "sending broke off").because(e);
                (lane, work.await.unwrap_or_else(|e| Err(broke_off(e))))
            });
        }
        Ok(())
    }

    fn ended(
        &mut self,
        ended: std::result::Result<(Lane, Result<LaneEnd>), tokio::task::JoinError>,
    ) -> Result<OutboxReport> {
        let (lane, ended) = ended.map_err(|e| Error::transient(Kind::Busy, "sending broke off").because(e))?;
        self.at_work.remove(&lane);
        let LaneEnd { told, left } = ended?;
        self.done.entry(lane).or_default()[1] = left;
        Ok(told)
    }
}

/// What is due in each lane.
fn due(shared: &SharedByLanes) -> Result<HashMap<Lane, LaneLoad>> {
    let mut lanes: HashMap<Lane, LaneLoad> = HashMap::new();
    let mut after = None;
    loop {
        let rows = shared.world.store.due(shared.world.now(), after, ROWS_PER_ROUND)?;
        let Some(last) = rows.last() else { return Ok(lanes) };
        after = Some((last.due, last.id));
        rows.iter().for_each(|row| lanes.entry(Lane::of(row, &shared.relays)).or_default().add(row));
    }
}
