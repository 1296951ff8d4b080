//! At rest `undo` is tried: discarded mail comes back, and edited mail as it came.

use std::fs;

use serde_json::Value;

use crate::changes::History;
use crate::ledger::{Entry, Standing};
use crate::mail::Kind;
use crate::program::{Order, run};
use crate::scene::Scene;
use crate::sight::Place;

/// So many of each kind: enough to notice, and quick.
const MOST: usize = 4;

/// What did not come back. Of a world whose state was lost nothing is asked: its journal is gone.
pub fn what_undo_leaves(scene: &Scene, history: &mut History) -> Vec<String> {
    if scene.ledger.states_lost() > 0 {
        return Vec::new();
    }
    let mut go = |order: Order| {
        history.programs += 1;
        run(scene, order, history.programs)
    };
    let log = go(Order::of(&["--json", "log"])).stdout;
    let rows: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let standing = scene.ledger.standing();
    let mut wrong = Vec::new();
    for kind in [Kind::Discard, Kind::Edit, Kind::Split] {
        let entries = scene.ledger.entries();
        let tried = entries.values().filter(|entry| can_come_back(entry, kind, standing.get(&entry.mail.token)));
        for entry in tried.take(MOST) {
            let token = &entry.mail.token;
            let Some(id) = decided(&rows, token, kind.word()) else { continue };
            let ended = go(Order::of(&["undo", &id.to_string()]));
            let is_back = |it: &Standing| it.filed().any(|seen| !is_edited(scene, &seen.path));
            if !scene.ledger.standing().get(token).is_some_and(is_back) {
                wrong.push(format!("UNDO does not bring back {token} [{}] as it came: {}", kind.word(), ended.line()));
            }
        }
    }
    wrong
}

/// Where it went by its rule, untouched since.
fn can_come_back(entry: &Entry, kind: Kind, it: Option<&Standing>) -> bool {
    let is_place = |place: &Place| match kind {
        Kind::Discard => *place == Place::Spool,
        Kind::Edit => *place == Place::Filed("edited".to_owned()),
        _ => matches!(place, Place::Filed(_)),
    };
    let is_there = |it: &Standing| it.whole.iter().any(|seen| is_place(&seen.place)) && it.filed().count() <= 1;
    entry.mail.kind == kind && entry.excuses.is_empty() && entry.more == 0 && it.is_some_and(is_there)
}

/// The last decision about it, if that was its rule's.
fn decided(rows: &[Value], token: &str, rule: &str) -> Option<i64> {
    let subject = format!("[{rule}] {token}");
    let about = rows.iter().filter(|row| row["subject"].as_str() == Some(&subject));
    let last = about.max_by_key(|row| row["id"].as_i64())?;
    (last["rule"] == rule).then(|| last["id"].as_i64())?
}

fn is_edited(scene: &Scene, path: &str) -> bool {
    let text = fs::read(scene.home().join(path)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.contains("X-Edited: yes") || text.contains("Subject: [within]") && !text.contains("Subject: [split]")
}
