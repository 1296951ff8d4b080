//! `log`: what happened to each message, and why.

use std::path::Path;
use std::time::Duration;

use clap_complete::ArgValueCompleter;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use serde_json::json;

use super::help::complete;
use super::output::Output;
use super::setup::{self, Setup};
use super::table::{Fit, Table, TableColumn};
use super::{queue, signals, width};
use crate::clean;
use crate::config::units;
use crate::error::{Error, Kind, Result};
use crate::pass::World;
use crate::state::{EntryId, HowItLeft, JournalRow, OutboxRow};

/// How many outbox items of one message are shown.
const MOST_ITEMS: u32 = 100;
/// How many entries are read at a time while others are looked for.
const BATCH: u32 = 500;
/// How soon `--follow` shows what is new.
const FOLLOW_POLL: Duration = Duration::from_millis(500);
/// As with grep: nothing was found.
const NOTHING_FOUND: u8 = 1;
const COLUMNS: [TableColumn; 7] = [
    ("NUMBER", Fit::Number),
    ("TIME", Fit::Whole),
    ("ACCOUNT", Fit::Cut(6)),
    ("FROM", Fit::Cut(12)),
    ("SUBJECT", Fit::Cut(12)),
    ("RULE", Fit::Cut(6)),
    ("WHAT HAPPENED", Fit::Cut(10)),
];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only this account; a number shows everything about that entry
    #[arg(value_name = "ACCOUNT|NUMBER", add = ArgValueCompleter::new(complete::accounts))]
    which: Option<String>,
    /// How many messages, the newest last
    #[arg(short = 'n', long, default_value_t = 50, value_name = "COUNT")]
    number: u32,
    /// Go on and show each new entry, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Only messages whose sender has this text in it
    #[arg(long, value_name = "TEXT")]
    from: Option<String>,
    /// Only messages that were sent, forwarded or answered to an address with this text in it
    #[arg(long, value_name = "TEXT")]
    to: Option<String>,
    /// Only messages whose subject has this text in it
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
    /// Only messages that a rule with this text in its name decided about
    #[arg(long, value_name = "TEXT")]
    rule: Option<String>,
    /// Only messages that came from, or went to, a folder with this text in its name
    #[arg(long, value_name = "TEXT")]
    folder: Option<String>,
    /// Only messages with this text in their Message-ID
    #[arg(long, value_name = "TEXT")]
    id: Option<String>,
    /// Only what was decided after this date (2026-12-31) or within this time (2h, 7d)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only what was decided before this date or time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
}

/// A date, from its midnight on by the clock of this machine, or how long ago.
fn time(text: &str) -> Result<Timestamp> {
    let when = units::parse_when(text);
    let wrong = |_| Error::permanent(Kind::Usage, "write a date like 2026-12-31, or a time like 2h or 7d");
    when.map(|when| when.at(Timestamp::now())).map_err(wrong)
}

/// An entry with the outbox items that it led to.
struct LogEntry {
    row: JournalRow,
    items: Vec<OutboxRow>,
}

pub(super) fn run(config: &Path, arguments: &Arguments, output: &Output) -> Result<u8> {
    let setup = Setup::load(config, &Output { quiet: true, ..*output })?;
    let world = World::open(&setup.config)?;
    let account = match &arguments.which {
        Some(which) if !is_known(which, &setup, &world)? => match which.parse::<EntryId>() {
            Ok(number) => return show(&world, number, output),
            Err(_) => return Err(setup::unknown_account(which, &setup.jobs)),
        },
        which => which.as_deref(),
    };
    let mut found = newest(&world, account, arguments)?;
    // The newest stands last, where a terminal shows it.
    found.reverse();
    let view = View::of(&found, output);
    view.show(&found);
    if arguments.follow {
        return follow(&world, account, arguments, &view);
    }
    if found.is_empty() && arguments.number > 0 {
        if !output.json {
            output.talk(match (arguments.looks_for_some(), account) {
                (true, _) => "no entry matches",
                (false, Some(_)) => "the log has nothing about that account yet",
                (false, None) => "the log is empty",
            });
        }
        return Ok(if arguments.looks_for_some() { NOTHING_FOUND } else { 0 });
    }
    Ok(0)
}

/// Whether that is an account of the config, or one that the journal still knows.
fn is_known(name: &str, setup: &Setup, world: &World) -> Result<bool> {
    Ok(setup.jobs.iter().any(|job| job.account.name == name) || !world.store.journal(Some(name), 1)?.is_empty())
}

/// Everything about one entry.
fn show(world: &World, number: EntryId, output: &Output) -> Result<u8> {
    let row = world.store.journal_in(None, number..number.saturating_add(1), 1)?.pop().ok_or_else(|| {
        Error::permanent(Kind::Usage, format!("the log has no entry {number}"))
            .helped_by("`mailsluice log` shows the newest")
    })?;
    let found = with_items(world, row)?;
    match output.json {
        true => output.json(as_json(&found)),
        false => output.data(as_text(&found)),
    }
    Ok(0)
}

fn with_items(world: &World, row: JournalRow) -> Result<LogEntry> {
    let mut items = world.store.outbox(Some(row.id), MOST_ITEMS)?;
    items.reverse();
    Ok(LogEntry { row, items })
}

/// The newest entries that are looked for, newest first.
fn newest(world: &World, account: Option<&str>, arguments: &Arguments) -> Result<Vec<LogEntry>> {
    let mut found = Vec::new();
    let most = usize::try_from(arguments.number).unwrap_or(usize::MAX);
    let mut before = EntryId::MAX;
    while found.len() < most {
        let batch = world.store.journal_in(account, 0..before, BATCH.min(arguments.number.max(1)).max(50))?;
        let Some(last) = batch.last() else { break };
        before = last.id;
        for row in batch {
            if arguments.since.is_some_and(|since| row.at < since) {
                return Ok(found);
            }
            let entry = with_items(world, row)?;
            if found.len() < most && arguments.wants(&entry) {
                found.push(entry);
            }
        }
    }
    Ok(found)
}

/// Shows what is recorded from now on.
fn follow(world: &World, account: Option<&str>, arguments: &Arguments, view: &View) -> Result<u8> {
    let mut next = world.store.journal(None, 1)?.first().map_or(0, |row| row.id + 1);
    setup::block_on(async {
        let stop = signals::stop_token(&Output { quiet: true, ..*view.output })?;
        while stop.run_until_cancelled(tokio::time::sleep(FOLLOW_POLL)).await.is_some() {
            let mut rows = world.store.journal_in(account, next..EntryId::MAX, u32::MAX)?;
            rows.reverse();
            for row in rows {
                next = row.id + 1;
                let entry = with_items(world, row)?;
                if arguments.wants(&entry) {
                    view.line(&entry);
                }
            }
        }
        Ok(0)
    })
}

impl Arguments {
    fn looks_for_some(&self) -> bool {
        [&self.from, &self.to, &self.subject, &self.rule, &self.folder, &self.id].iter().any(|text| text.is_some())
            || self.since.is_some()
            || self.until.is_some()
    }

    fn wants(&self, LogEntry { row, items }: &LogEntry) -> bool {
        let has = |wanted: &Option<String>, texts: &[&str]| {
            wanted.as_ref().is_none_or(|wanted| {
                let wanted = wanted.to_lowercase();
                texts.iter().any(|text| text.to_lowercase().contains(&wanted))
            })
        };
        let recipients: Vec<String> = items.iter().flat_map(recipients).collect();
        let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
        has(&self.from, &[&row.about.from])
            && has(&self.subject, &[&row.about.subject])
            && has(&self.rule, &[&row.rule])
            && has(&self.id, &[&row.about.message_id])
            && has(&self.folder, &[&row.folder, &row.outcome])
            && has(&self.to, &recipients)
            && self.since.is_none_or(|since| row.at >= since)
            && self.until.is_none_or(|until| row.at < until)
    }
}

/// All to whom an item goes, or went.
fn recipients(item: &OutboxRow) -> Vec<String> {
    let over = item.ended.iter().map(|ended| ended.to.clone());
    item.telling.way.recipients().into_iter().chain(over).collect()
}

/// How entries are shown: as lines of a table, in full, or as JSON.
struct View<'o> {
    output: &'o Output,
    is_verbose: bool,
    table: Table<7>,
    now: Zoned,
}

impl<'o> View<'o> {
    fn of(found: &[LogEntry], output: &'o Output) -> Self {
        let now = Zoned::now();
        let rows: Vec<_> = found.iter().map(|entry| cells(entry, &now)).collect();
        Self {
            output,
            is_verbose: output.verbose > 0,
            table: Table::new(COLUMNS, &rows, width::of_standard_output()),
            now,
        }
    }

    fn show(&self, found: &[LogEntry]) {
        if !self.output.json && !self.is_verbose && !found.is_empty() {
            self.output.data(self.table.header());
        }
        found.iter().for_each(|entry| self.line(entry));
    }

    fn line(&self, entry: &LogEntry) {
        match (self.output.json, self.is_verbose) {
            (true, _) => self.output.json(as_json(entry)),
            (false, true) => self.output.data(as_text(entry)),
            (false, false) => self.output.data(self.table.line(&cells(entry, &self.now))),
        }
    }
}

fn cells(LogEntry { row, .. }: &LogEntry, now: &Zoned) -> [String; 7] {
    [
        row.id.to_string(),
        short_time(row.at, now),
        clean::short(&row.account, 40),
        clean::short(&row.about.from, 60),
        clean::short(&row.about.subject, 200),
        clean::short(&row.rule, 60),
        clean::short(&row.outcome, 200),
    ]
}

/// The day without its year and the time to the minute; the whole date where that was long ago.
pub(super) fn short_time(at: Timestamp, now: &Zoned) -> String {
    let is_near = now.timestamp().duration_since(at).abs() < SignedDuration::from_hours(300 * 24);
    at.to_zoned(now.time_zone().clone()).strftime(if is_near { "%m-%d %H:%M" } else { "%Y-%m-%d" }).to_string()
}

fn as_text(LogEntry { row, items }: &LogEntry) -> String {
    let at = row.at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S");
    let place = format!("{}/{}", row.account, row.folder);
    let pending = if row.done { "" } else { " (being published)" };
    let mut text = format!(
        "{at}  {:>5}  {:<20}  {:<28}  {}\n    {}{pending}\n    by {}",
        row.id,
        clean::short(&place, 40),
        clean::short(&row.about.from, 28),
        clean::short(&row.about.subject, 80),
        clean::line(row.outcome.as_bytes()),
        clean::line(row.rule.as_bytes()),
    );
    if !row.why.is_empty() {
        text += &format!(": {}", clean::line(row.why.as_bytes()));
    }
    for row in items {
        text += &format!("\n    {}: {}", row.state_in_words(), clean::line(row.telling.to_string().as_bytes()));
        if let Some(how) = HowItLeft::of(&row.said) {
            text += &format!("; {}", clean::line(how.as_bytes()));
        }
        for refused in row.refused() {
            text += &clean::line(format!("; refused: {}: {}", refused.to, refused.said).as_bytes());
        }
        if let Some(copy) = row.copy.as_ref().filter(|copy| !copy.said.is_empty()) {
            text += &format!("; no copy yet: {}", clean::line(copy.said.as_bytes()));
        }
    }
    if row.run > 0 {
        text += &format!("\n    run {}", row.run);
    }
    for file in &row.left {
        text += &format!("\n    moved from {}", clean::line(file.as_os_str().as_encoded_bytes()));
    }
    for note in &row.notes {
        text += &format!("\n    note: {}", clean::line(note.as_bytes()));
    }
    for file in &row.files {
        text += &format!("\n    {}", clean::line(file.as_os_str().as_encoded_bytes()));
    }
    text
}

fn as_json(LogEntry { row, items }: &LogEntry) -> serde_json::Value {
    json!({
        "id": row.id,
        "at": row.at.to_string(),
        "account": row.account,
        "folder": row.folder,
        "message": row.message,
        "from": row.about.from,
        "subject": row.about.subject,
        "message_id": row.about.message_id,
        "size": row.size,
        "rule": row.rule,
        "why": row.why,
        "outcome": row.outcome,
        "notes": row.notes,
        "outbox": items.iter().map(item_as_json).collect::<Vec<_>>(),
        "files": row.files,
        "done": row.done,
        "run": (row.run > 0).then_some(row.run),
        "moved_from": row.left,
    })
}

fn item_as_json(row: &OutboxRow) -> serde_json::Value {
    json!({
        "id": row.id,
        "what": clean::line(row.telling.to_string().as_bytes()),
        "state": row.state.word(),
        "attempts": row.attempts,
        "to": row.telling.way.recipients(),
        "relay": row.telling.relay,
        "changed": row.changed.to_string(),
        "said": row.last_said(),
        "sent_as": HowItLeft::of(&row.said),
        "recipients": queue::ended_as_json(row),
    })
}
