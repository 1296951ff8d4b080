//! The world is whole again, and the program runs until it rests.

use std::fs;
use std::time::{Duration, Instant};

use crate::acts::handed_over;
use crate::changes::{History, put_right};
use crate::program::{Ended, Order, run};
use crate::scene::Scene;
use crate::sight::{ROOT, STATE};
use crate::support::sandbox::is_at_home;

const ROUNDS: usize = 14;
/// What `deliver` and `sendmail` leave running has so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// The programs that ran, and whether it came to rest.
pub fn rest(scene: &Scene, history: &mut History) -> (Vec<Ended>, bool) {
    put_right(scene, history);
    let mut all = Vec::new();
    let mut quiet = 0;
    for _ in 0..ROUNDS {
        wait_for_children(scene);
        remove_dead_locks(scene);
        let before = picture(scene);
        let mut go = |order: Order| {
            history.programs += 1;
            let ended = run(scene, order, history.programs);
            all.push(ended.clone());
            ended
        };
        // What is paused is no failure of `fetch`, and stays on its server.
        go(Order::of(&["resume"]));
        let fetched = go(Order::of(&["fetch"]));
        if fetched.stderr.contains("mailsluice rebuild") {
            go(Order::of(&["rebuild", "--yes"]));
        } else if fetched.stderr.contains("not a database") || fetched.stderr.contains("malformed") {
            throw_away(scene);
        }
        let waiting = std::mem::take(&mut history.undelivered);
        for mail in waiting {
            let ended = go(Order { stdin: mail.bytes.clone(), ..Order::of(&["deliver"]) });
            if !handed_over(&scene.ledger, &mail, &ended) {
                history.undelivered.push(mail);
            }
        }
        // What an older state had waiting was put aside until somebody says what becomes of it.
        let listed = go(Order::of(&["--json", "queue", "list"]));
        let rows = listed.stdout.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let held: Vec<String> = rows.filter(|row| row["state"] == "held").map(|row| row["id"].to_string()).collect();
        if !held.is_empty() {
            let ids: Vec<&str> = held.iter().map(String::as_str).collect();
            go(Order::of(&[&["queue", "retry"], &ids[..]].concat()));
        }
        go(Order::of(&["queue", "retry"]));
        wait_for_children(scene);
        let is_quiet = fetched.code == 0 && history.undelivered.is_empty() && picture(scene) == before;
        quiet = if is_quiet { quiet + 1 } else { 0 };
        if quiet == 2 {
            return (all, true);
        }
    }
    (all, false)
}

/// All that anybody could see of it.
fn picture(scene: &Scene) -> Vec<String> {
    let standing = scene.ledger.standing();
    let one = |(token, it): (&String, &crate::ledger::Standing)| {
        format!("{token} {:?} {} {}", it.whole.iter().map(|seen| &seen.path).collect::<Vec<_>>(), it.told, it.on_server)
    };
    let mut picture: Vec<String> = standing.iter().map(one).collect();
    picture.push(format!("{:?}", scene.ledger.answers()));
    picture
}

/// A database that is none is thrown away by its user, as long as nothing else is offered.
fn throw_away(scene: &Scene) {
    scene.ledger.loses_state();
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(scene.home().join(STATE).join(name));
    }
}

/// The lock of an mbox whose holder was killed would be waited for.
pub fn remove_dead_locks(scene: &Scene) {
    for entry in fs::read_dir(scene.home().join(ROOT)).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().ends_with(".lock") {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Programs of this world that still run: children that outlive who started them.
pub fn wait_for_children(scene: &Scene) {
    let begun = Instant::now();
    while is_at_home(&[scene.home(), &scene.link]) && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
}
