//! `queue`: what waits in the outbox, and what became of it.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Subcommand;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::json;

use super::log::short_time;
use super::output::Output;
use super::setup::{self, Setup};
use super::table::{Fit, Table, TableColumn};
use super::{signals, width};
use crate::clean;
use crate::error::{Error, Kind, Result};
use crate::outbox::Relays;
use crate::pass::World;
use crate::state::{About, OutboxRow, OutboxState, RecipientEnd};
use crate::tell::{self, OutboxReport};

/// A pass that nobody waits for ends after this time. The next one sends the rest.
const SENDING_TIMEOUT: Duration = Duration::from_secs(600);
/// How long to wait for another process that is sending.
const OTHER_SENDER_TIMEOUT: Duration = Duration::from_secs(10);
/// The time between two checks whether it has ended.
const OTHER_SENDER_POLL: Duration = Duration::from_millis(50);
/// How many of the newest rows `--all` shows.
const MAX_ROWS: u32 = 100_000;

const COLUMNS: [TableColumn; 7] = [
    ("NUMBER", Fit::Number),
    ("STATE", Fit::Whole),
    ("TO", Fit::Cut(12)),
    ("SUBJECT", Fit::Cut(8)),
    ("NEXT TRY", Fit::Whole),
    ("RELAY", Fit::Cut(6)),
    ("LAST ANSWER", Fit::Cut(12)),
];

#[derive(Debug, Subcommand)]
pub(super) enum Queue {
    /// What waits, with the last answer; --all also what was sent or given up
    List {
        /// Also what was sent or given up
        #[arg(short, long)]
        all: bool,
    },
    /// Everything about one item
    Show {
        /// Its number
        id: i64,
    },
    /// Send what is due now
    Run,
    /// Try again now: these items, or all that wait, also at relays that rest after failures
    Retry {
        /// Their numbers
        ids: Vec<i64>,
    },
    /// Put items aside until `retry`
    Hold {
        /// Their numbers
        #[arg(required = true)]
        ids: Vec<i64>,
    },
    /// Give items up: they are never sent; a message that is nowhere else goes to the inbox
    Drop {
        /// Their numbers
        #[arg(required = true)]
        ids: Vec<i64>,
    },
}

pub(super) fn run(config: &Path, queue: &Queue, allow_root: bool, output: &Output) -> Result<u8> {
    let setup = Setup::load(config, &Output { quiet: true, ..*output })?;
    let only_looks = matches!(queue, Queue::List { .. } | Queue::Show { .. });
    let world = if only_looks { World::look(&setup.config)? } else { World::open(&setup.config)? };
    let world = World { allow_root, ..world };
    match queue {
        Queue::List { all } => list(&world, *all, output),
        Queue::Show { id } => show(&world, *id, output),
        Queue::Run => send(&world, &setup, output),
        Queue::Retry { ids } => {
            retry(&world, ids, output)?;
            send(&world, &setup, output)
        }
        Queue::Hold { ids } => hold(&world, ids, output),
        Queue::Drop { ids } => drop_rows(&world, ids, output),
    }
}

fn list(world: &World, all: bool, output: &Output) -> Result<u8> {
    // The oldest first: that is the order in which they are sent.
    let rows = match all {
        true => world.store.outbox(None, MAX_ROWS)?.into_iter().rev().collect(),
        false => world.store.still_to_tell()?,
    };
    let about = rows.iter().map(|row| world.store.about(row.entry)).collect::<Result<Vec<_>>>()?;
    if output.json {
        rows.iter().zip(&about).for_each(|(row, about)| output.json(as_json(row, about.as_ref())));
    } else if !rows.is_empty() {
        let now = Zoned::now();
        let cells: Vec<_> = rows.iter().zip(&about).map(|(row, about)| cells(row, about.as_ref(), &now)).collect();
        let table = Table::new(COLUMNS, &cells, width::of_standard_output());
        output.data(table.header());
        cells.iter().for_each(|row| output.data(table.line(row)));
    }
    for rest in world.store.rests()?.iter().filter(|rest| rest.is_at(world.now())) {
        output.talk(format_args!(
            "the relay {} rests until {}: {}",
            rest.relay,
            when(rest.until),
            clean::short(&rest.cause, 100)
        ));
    }
    if rows.is_empty() && !output.json {
        output.talk("the outbox is empty");
    }
    Ok(0)
}

fn cells(row: &OutboxRow, about: Option<&About>, now: &Zoned) -> [String; 7] {
    let to = row.telling.way.recipients();
    let to =
        if to.is_empty() { row.telling.to_string() } else { format!("{} {}", row.telling.way.word(), to.join(" ")) };
    [
        row.id.to_string(),
        row.state_in_words().to_owned(),
        clean::short(&to, 200),
        clean::short(about.map_or("", |about| about.subject.as_str()), 200),
        if row.state == OutboxState::Waiting { short_time(row.due, now) } else { String::new() },
        clean::short(row.telling.relay.as_deref().unwrap_or("default"), 40),
        clean::short(row.last_said(), 300) + &refused(row),
    ]
}

/// Those whom it does not reach, although it reaches others or may do so.
fn refused(row: &OutboxRow) -> String {
    let refused: Vec<&str> = row.refused().map(|ended| ended.to.as_str()).collect();
    if refused.is_empty() { String::new() } else { format!(" (refused: {})", clean::short(&refused.join(" "), 200)) }
}

fn show(world: &World, id: i64, output: &Output) -> Result<u8> {
    let row = find(world, id)?;
    let about = world.store.about(row.entry)?;
    if output.json {
        output.json(as_json(&row, about.as_ref()));
        return Ok(0);
    }
    output.data(format_args!("number    {}", row.id));
    output.data(format_args!("what      {}", clean::line(row.telling.to_string().as_bytes())));
    if let Some(about) = &about {
        output.data(format_args!("of        {}", clean::line(about.from.as_bytes())));
        output.data(format_args!("subject   {}", clean::line(about.subject.as_bytes())));
    }
    output.data(format_args!("state     {}", row.state_in_words()));
    for ended in &row.ended {
        let (to, said) = (clean::line(ended.to.as_bytes()), clean::line(ended.said.as_bytes()));
        output.data(format_args!("to        {to}  {}: {said}", word_of(ended)));
    }
    output.data(format_args!("decided   {}  (`mailsluice log {}`)", when(row.at), row.entry));
    output.data(format_args!("attempts  {}", row.attempts));
    if matches!(row.state, OutboxState::Waiting | OutboxState::CopyOwed) {
        output.data(format_args!("due       {}", when(row.due)));
    }
    if let Some(copy) = &row.copy {
        let said = if copy.said.is_empty() { "not filed yet".to_owned() } else { clean::line(copy.said.as_bytes()) };
        output.data(format_args!("copy      {} attempts  {said}", copy.attempts));
    }
    if !row.said.is_empty() {
        output.data(format_args!("last      {}  {}", when(row.changed), clean::line(row.said.as_bytes())));
    }
    output.data(format_args!("relay     {}", row.telling.relay.as_deref().unwrap_or("(default)")));
    let gone = if row.bytes.exists() { "" } else { "  (gone, it is needed no more)" };
    output.data(format_args!("bytes     {}{gone}", clean::line(row.bytes.as_os_str().as_encoded_bytes())));
    Ok(0)
}

/// One pass, as `fetch` and the daemon do it too.
fn send(world: &World, setup: &Setup, output: &Output) -> Result<u8> {
    let relays = Relays::of(&setup.config);
    let told = setup::block_on(async {
        let stop = signals::stop_token(output)?;
        let until = Instant::now() + OTHER_SENDER_TIMEOUT;
        loop {
            let told = tell::tell(world, &relays, SENDING_TIMEOUT, &stop).await?;
            if !told.by_another || stop.is_cancelled() || Instant::now() > until {
                return Ok::<_, Error>(told);
            }
            // What another process was just ending with may be what is wanted now.
            tokio::time::sleep(OTHER_SENDER_POLL).await;
        }
    })?;
    report(&told, output);
    if told.by_another {
        output.talk("another mailsluice process is sending; what is due goes out with it");
    }
    code_of(&told, world, &relays, output)
}

/// The exit code of a pass over the outbox. What waits for a relay that rests was not tried, and is said.
pub(super) fn code_of(told: &OutboxReport, world: &World, relays: &Relays, output: &Output) -> Result<u8> {
    if told.later > 0 {
        let waits = if told.later == 1 { "1 item waits".to_owned() } else { format!("{} items wait", told.later) };
        output.warn(format_args!(
            "outbox: {waits} and will be tried again; `mailsluice queue list` shows the last answer"
        ));
        return Ok(75);
    }
    let resting = tell::resting(world, relays)?;
    resting.iter().for_each(|sentence| output.warn(format_args!("outbox: {sentence}")));
    Ok(if resting.is_empty() { 0 } else { 75 })
}

/// What a pass over the outbox did. Silence means: nothing.
pub(super) fn report(told: &OutboxReport, output: &Output) {
    if output.json {
        if told.sent + told.later + told.failed > 0 {
            output.json(json!({
                "outbox": {"sent": told.sent, "later": told.later, "failed": told.failed, "remarks": told.remarks},
            }));
        }
        return;
    }
    if told.sent + told.failed > 0 && !output.quiet {
        let failed = if told.failed > 0 { format!(", {} given up", told.failed) } else { String::new() };
        output.data(format_args!("outbox: {} sent{failed}", told.sent));
    }
    told.remarks.iter().for_each(|remark| output.warn(format_args!("outbox: {}", clean::line(remark.as_bytes()))));
}

fn retry(world: &World, ids: &[i64], output: &Output) -> Result<()> {
    for id in ids {
        let state = find(world, *id)?.state;
        if !matches!(state, OutboxState::Waiting | OutboxState::Held | OutboxState::CopyOwed) {
            let text = format!("item {id} is {} and cannot be tried again", state.word());
            return Err(Error::permanent(Kind::Usage, text));
        }
    }
    // Not as the rows were read: another process may be sending them by now.
    world.store.hurry(ids, world.now())?;
    let held = world.store.still_to_tell()?.iter().filter(|row| row.state == OutboxState::Held).count();
    if ids.is_empty() && held > 0 {
        output.talk(format_args!(
            "{held} put aside; `queue retry NUMBER` sends one of them, `queue drop NUMBER` gives it up"
        ));
    }
    Ok(())
}

fn drop_rows(world: &World, ids: &[i64], output: &Output) -> Result<u8> {
    for id in ids {
        find(world, *id)?;
        if let Some(state) = tell::drop_row(world, *id)? {
            let text = format!("item {id} is {}; only what waits can be dropped", state.word());
            return Err(Error::permanent(Kind::Usage, text));
        }
        output.data(format_args!("{id} is given up"));
    }
    Ok(0)
}

fn hold(world: &World, ids: &[i64], output: &Output) -> Result<u8> {
    for id in ids {
        let row = find(world, *id)?;
        if !world.store.hold(*id, world.now())? {
            return Err(Error::permanent(Kind::Usage, format!("item {id} is {}", row.state.word())));
        }
        output.data(format_args!("{id} is put aside"));
    }
    Ok(0)
}

fn find(world: &World, id: i64) -> Result<OutboxRow> {
    world.store.outbox_row(id)?.ok_or_else(|| {
        Error::permanent(Kind::Usage, format!("there is no item {id} in the outbox; `queue list --all` shows all"))
    })
}

fn when(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn as_json(row: &OutboxRow, about: Option<&About>) -> serde_json::Value {
    json!({
        "id": row.id,
        "entry": row.entry,
        "kind": row.telling.way.word(),
        "what": row.telling.to_string(),
        "to": row.telling.way.recipients(),
        "from": about.map(|about| &about.from),
        "subject": about.map(|about| &about.subject),
        "message_id": about.map(|about| &about.message_id),
        "relay": row.telling.relay,
        "state": row.state.word(),
        "attempts": row.attempts,
        "due": row.due.to_string(),
        "decided": row.at.to_string(),
        "changed": row.changed.to_string(),
        "said": row.last_said(),
        "recipients": ended_as_json(row),
        "bytes": row.bytes,
    })
}

/// Of several recipients those for whom it is over.
pub(super) fn ended_as_json(row: &OutboxRow) -> serde_json::Value {
    let ended = row.ended.iter();
    ended.map(|ended| json!({"to": ended.to, "state": word_of(ended), "said": ended.said})).collect()
}

fn word_of(ended: &RecipientEnd) -> &'static str {
    if ended.is_refused { "refused" } else { OutboxState::Sent.word() }
}
