//! One world, from its seed to its verdict.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use crate::acts::play;
use crate::changes::{History, apply, back_up, put_right, stand_there};
use crate::plan::{Step, plan};
use crate::rest::{remove_dead_locks, rest, wait_for_children};
use crate::scene::Scene;
use crate::seed::Seed;
use crate::undone;
use crate::verdict;

pub struct World {
    /// What happened, in order.
    pub story: String,
    /// What is wrong at its end; empty when all is well.
    pub wrong: Vec<String>,
    pub counts: Counts,
}

#[derive(Clone, Debug, Default)]
pub struct Counts {
    seeds: usize,
    steps: usize,
    messages: usize,
    programs: usize,
    kills: usize,
    told: usize,
    left: BTreeMap<&'static str, usize>,
}

impl Counts {
    pub fn add(&mut self, other: &Counts) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.messages += other.messages;
        self.programs += other.programs;
        self.kills += other.kills;
        self.told += other.told;
        other.left.iter().for_each(|(what, count)| *self.left.entry(what).or_insert(0) += count);
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} seeds, {} steps, {} messages, {} told", self.seeds, self.steps, self.messages, self.told)?;
        write!(f, ", {} programs, {} of them cut off; left over at rest: {:?}", self.programs, self.kills, self.left)
    }
}

/// The steps that `MAILSLUICE_WORLD_STEPS` names: `0-5,7`. All of them without it.
fn wanted(step: &Step) -> bool {
    let Ok(named) = std::env::var("MAILSLUICE_WORLD_STEPS") else { return true };
    named.split(',').any(|part| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().unwrap_or(usize::MAX);
        (number(from)..=number(to)).contains(&step.index)
    })
}

pub fn live(seed: u64) -> World {
    let mut scene = Scene::new(&mut Seed::of(seed, 0));
    let mut history = History::default();
    stand_there(&scene, &mut history, &mut Seed::of(seed, 30_000));
    let mut story = format!("world of MAILSLUICE_WORLD_SEED={seed}\n");
    for account in &scene.accounts {
        let protocol = if account.is_imap { "imap" } else { "pop3" };
        let _ = writeln!(story, "  {} {protocol}, retention {}", account.label, account.retention);
    }
    let steps: Vec<Step> = plan(seed).into_iter().filter(wanted).collect();
    let mut wrong = Vec::new();
    for step in &steps {
        back_up(&scene, &mut history, step.index);
        let numbers = &mut Seed::of(seed, 10_000 + step.index as u64);
        let changed = apply(&mut scene, &mut history, step, numbers);
        let _ = writeln!(story, "  step {}: {}", step.index, changed.join("; "));
        for begin in step.beside.iter().filter(|begin| begin.act.is_by_hand()) {
            let _ = writeln!(story, "      {:?} after {:?}", begin.act, begin.delay);
        }
        for ended in play(&scene, &mut history, step, numbers) {
            let _ = writeln!(story, "      {}", ended.line());
        }
        put_right(&scene, &mut history);
        wait_for_children(&scene);
        remove_dead_locks(&scene);
        wrong = verdict::nowhere(&scene.ledger)
            .iter()
            .map(|what| format!("NOWHERE after step {}: {what}", step.index))
            .collect();
        if !wrong.is_empty() {
            break;
        }
    }
    if wrong.is_empty() {
        // Of a world that is broken already the end says little.
        let (ended, rested) = rest(&scene, &mut history);
        let _ = writeln!(story, "  at rest:");
        ended.iter().for_each(|ended| _ = writeln!(story, "      {}", ended.line()));
        if !rested {
            wrong.push("it does not come to rest".to_owned());
        }
        wrong.extend(verdict::at_rest(&scene.ledger));
        wrong.extend(undone::what_undo_leaves(&scene, &mut history));
    }
    wrong.extend(scene.ledger.faults());
    if let Some(folder) = std::env::var_os("MAILSLUICE_WORLD_KEEP") {
        let _ = std::process::Command::new("cp").arg("-a").arg(scene.home()).arg(folder).status();
    }
    let told = scene.ledger.standing().values().map(|it| it.told).sum();
    let left = verdict::left_over(&scene.ledger);
    let (messages, programs, kills) = (history.messages, history.programs, history.kills);
    World { story, wrong, counts: Counts { seeds: 1, steps: steps.len(), messages, programs, kills, told, left } }
}
