//! `log`: what happened to each message, and why.

use std::path::Path;

use jiff::tz::TimeZone;
use serde_json::json;

use super::output::Output;
use super::queue;
use super::setup::{self, Setup};
use crate::clean;
use crate::error::Result;
use crate::pass::World;
use crate::state::{HowItLeft, JournalRow, OutboxRow};

/// So many tellings of one message are shown.
const MOST_TOLD: u32 = 100;

pub(super) fn run(config: &Path, account: Option<&str>, number: u32, output: &Output) -> Result<u8> {
    let setup = Setup::load(config, &Output { quiet: true, ..*output })?;
    let world = World::open(&setup.config)?;
    let rows = world.store.journal(account, number)?;
    if let Some(name) = account.filter(|_| rows.is_empty())
        && !setup.jobs.iter().any(|job| job.account.name == name)
    {
        return Err(setup::unknown_account(name, &setup.jobs));
    }
    if rows.is_empty() && !output.json {
        output.talk(if account.is_some() { "nothing is noted of that account" } else { "the journal is empty" });
    }
    // The newest stands last, where a terminal shows it.
    for row in rows.iter().rev() {
        let told = world.store.outbox(Some(row.id), MOST_TOLD)?;
        if output.json { output.data(as_json(row, &told)) } else { output.data(as_text(row, &told)) }
    }
    Ok(0)
}

fn as_text(row: &JournalRow, told: &[OutboxRow]) -> String {
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
    for row in told.iter().rev() {
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

fn as_json(row: &JournalRow, told: &[OutboxRow]) -> serde_json::Value {
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
        "told": told.iter().rev().map(told_as_json).collect::<Vec<_>>(),
        "files": row.files,
        "done": row.done,
        "run": (row.run > 0).then_some(row.run),
        "moved_from": row.left,
    })
}

fn told_as_json(row: &OutboxRow) -> serde_json::Value {
    json!({
        "id": row.id,
        "what": clean::line(row.telling.to_string().as_bytes()),
        "state": row.state.word(),
        "attempts": row.attempts,
        "sent_as": HowItLeft::of(&row.said),
        "recipients": queue::ended_as_json(row),
    })
}
