//! What runs in a step, all at once.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::changes::{History, Wrong, new_mail, note_id};
use crate::cleaner;
use crate::clock;
use crate::ledger::{Entry, Excuse, Ledger, Way};
use crate::mail::{self, Kind, Mail};
use crate::plan::{Act, Begin, Change, Step};
use crate::program::{End, Ended, Order, run};
use crate::reader;
use crate::scene::Scene;
use crate::seed::Seed;
use crate::sight::STATE;
use crate::support::injector::injector;
use crate::tools::tools;

/// So long a config that somebody edits cannot be read.
const CONFIG_IS_BROKEN: Duration = Duration::from_millis(400);

/// One program, or several one after the other.
struct Job {
    begin: Begin,
    orders: Vec<(Order, Option<Mail>)>,
    /// Mail that comes to servers, by their numbers.
    arriving: Vec<(usize, Mail)>,
}

/// Starts all of them, waits for all of them.
pub fn play(scene: &Scene, history: &mut History, step: &Step, seed: &mut Seed) -> Vec<Ended> {
    let jobs: Vec<Job> = step.beside.iter().map(|begin| job(scene, history, step, begin, seed)).collect();
    let (before, since) = (on_servers(scene), clock::now());
    let number = AtomicUsize::new(history.programs);
    let (ended, undelivered) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let arrived = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for job in &jobs {
            scope.spawn(|| {
                std::thread::sleep(job.begin.delay);
                match job.begin.act {
                    Act::RemoveLocks => _ = std::fs::remove_dir_all(scene.home().join(STATE).join("locks")),
                    Act::Reader(salt) => reader::read(scene, &mut Seed::of(salt, 0)),
                    Act::CleanTmp(salt) => cleaner::clean(scene, &mut Seed::of(salt, 0)),
                    Act::BreakConfig => scene.break_config(CONFIG_IS_BROKEN),
                    _ => {}
                }
                for (server, mail) in &job.arriving {
                    scene.ledger.arrives(mail, Way::Server(*server));
                    let uid = scene.accounts[*server].mailbox.add("INBOX", &mail.bytes);
                    arrived.lock().unwrap().push((*server, uid, mail.token.clone()));
                }
                for (order, mail) in &job.orders {
                    mail.iter().for_each(|mail| scene.ledger.arrives(mail, way(order)));
                    let result = run(scene, order.clone(), number.fetch_add(1, Ordering::SeqCst));
                    if let Some(mail) = mail.as_ref().filter(|mail| !handed_over(&scene.ledger, mail, &result)) {
                        undelivered.lock().unwrap().push(mail.clone());
                    }
                    ended.lock().unwrap().push(result);
                }
            });
        }
    });
    if step.clock != 0 && tools().clock.is_some() {
        clock::keep(scene.home(), since, step.clock);
    }
    history.programs = number.into_inner();
    for (server, uid, token) in arrived.into_inner().unwrap() {
        note_id(scene, history, server, uid, &token);
    }
    history.undelivered.extend(undelivered.into_inner().unwrap());
    let ended = ended.into_inner().unwrap();
    judge(scene, history, &before, &ended);
    if !step.beside.iter().any(|begin| matches!(begin.act, Act::CleanTmp(_) | Act::RemoveLocks)) {
        ended.iter().for_each(|program| judge_staged(scene, program));
    }
    ended
}

fn way(order: &Order) -> Way {
    if order.arguments[0] == "deliver" { Way::Deliver } else { Way::Sendmail }
}

/// What the exit code of a program that was given a message means. False: it is to be given again.
pub fn handed_over(ledger: &Ledger, mail: &Mail, ended: &Ended) -> bool {
    let is_done = ended.code == 0;
    ledger.change(&mail.token, |entry| {
        entry.is_taken |= is_done;
        // It may have been filed, and nobody heard of it: a window that the manual names.
        entry.more += usize::from(ended.was_cut_off());
    });
    is_done || way(&ended.order) == Way::Sendmail
}

fn job(scene: &Scene, history: &mut History, step: &Step, begin: &Begin, seed: &mut Seed) -> Job {
    let since = clock::now();
    let mut orders: Vec<(Order, Option<Mail>)> = match &begin.act {
        act if act.is_by_hand() => Vec::new(),
        Act::DeliverDeadly(salt) => vec![given(history, &mut Seed::of(*salt, 0), &["deliver"], &[Kind::Deadly])],
        Act::Deliver(count) => (0..*count).map(|_| given(history, seed, &["deliver"], &Kind::ALL)).collect(),
        Act::Sendmail => vec![given(history, seed, &["sendmail", "far@far.example"], &[Kind::Forward])],
        // Nobody says yes to an empty root while the true one is away.
        Act::Rebuild if step.changes.iter().any(Change::takes_root) => vec![(Order::of(&["fetch"]), None)],
        act => vec![(command(act), None)],
    };
    for (order, _) in &mut orders {
        let is_injected = matches!(begin.end, End::Inject { .. });
        order.end = if is_injected && injector().is_none() { End::Own } else { begin.end.clone() };
        order.stop = begin.stop;
        order.clock = if tools().clock.is_some() { step.clock } else { 0 };
        order.since = since;
        order.through_link = step.through_link;
    }
    let count = if let Act::Arrive(count) = begin.act { count } else { 0 };
    let mut arriving = || (seed.below(scene.accounts.len()), new_mail(history, seed, &Kind::ALL));
    let arriving = (0..count).map(|_| arriving()).collect();
    Job { begin: begin.clone(), orders, arriving }
}

fn given(history: &mut History, seed: &mut Seed, arguments: &[&str], kinds: &[Kind]) -> (Order, Option<Mail>) {
    let mail = new_mail(history, seed, kinds);
    (Order { stdin: mail.bytes.clone(), ..Order::of(arguments) }, Some(mail))
}

fn command(act: &Act) -> Order {
    match act {
        Act::Run(_) => Order::of(&["run"]),
        Act::Refilter(salt) => {
            let seed = &mut Seed::of(*salt, 0);
            let rules = seed.pick(&["sort-a.yaml", "sort-b.yaml"]);
            let folders = seed.pick(&[
                &["INBOX"][..],
                &["INBOX", "work/a", "edited"],
                &["INBOX", "sorted/a", "sorted/b"],
                &["INBOX", "read", "kept"],
            ]);
            Order::of(&[&["refilter", "--yes", "-r", rules], folders].concat())
        }
        Act::SortInbox => Order::of(&["refilter", "--yes", "-r", "sort-b.yaml", "INBOX"]),
        Act::Maintain => Order::of(&["maintain"]),
        Act::Undo(salt) => {
            let seed = &mut Seed::of(*salt, 0);
            let ids: Vec<String> = (0..seed.between(1, 6)).map(|_| seed.between(1, 60).to_string()).collect();
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            Order::of(&[&["undo"], &ids[..]].concat())
        }
        Act::Queue(salt) => {
            let seed = &mut Seed::of(*salt, 0);
            let number = seed.between(1, 12).to_string();
            let word = seed.pick(&["run", "run", "retry", "hold", "drop"]);
            let of_one = if ["hold", "drop"].contains(&word) { &[number.as_str()][..] } else { &[] };
            Order::of(&[&["queue", word], of_one].concat())
        }
        Act::Rebuild => Order::of(&["rebuild", "--yes"]),
        Act::Order(salt) => {
            let word =
                Seed::of(*salt, 0).pick(&["fetch", "poll", "poll", "pause", "resume", "resume", "reload", "status"]);
            Order::of(&[word])
        }
        _ => Order::of(&["fetch"]),
    }
}

fn on_servers(scene: &Scene) -> BTreeSet<String> {
    let inboxes = scene.accounts.iter().filter_map(|account| account.mailbox.read_folder("INBOX", Clone::clone));
    inboxes.flat_map(|folder| folder.messages).filter_map(|stored| Some(mail::read(&stored.bytes)?.0)).collect()
}

/// What exit codes promise.
fn judge(scene: &Scene, history: &mut History, before: &BTreeSet<String>, ended: &[Ended]) {
    for program in ended {
        history.kills += usize::from(program.was_cut_off());
        if program.order.end != End::Own || program.order.stop.is_some() || program.was_cut_off() {
            scene.ledger.is_unsure(6);
        }
        if program.order.arguments.starts_with(&["queue".to_owned(), "drop".to_owned()]) {
            scene.ledger.gives_up();
        }
        if program.is_overdue {
            scene.ledger.blame(format!("it did not end: {}", program.line()));
        }
        if program.code == 101 || program.stderr.contains("panicked at") {
            scene.ledger.blame(format!("it panicked: {}", program.line()));
        }
    }
    if ended.iter().any(|program| {
        program.order.arguments == ["fetch"] && program.code == 0 && !program.stderr.contains(" paused; ")
    }) {
        history.knows_root = true;
        let (after, standing, entries) = (on_servers(scene), scene.ledger.standing(), scene.ledger.entries());
        for token in before.intersection(&after) {
            let is_here = standing.get(token).is_some_and(|it| it.told > 0 || !it.whole.is_empty());
            // An id that comes back is noticed when something is to be deleted.
            let is_plain = |entry: &Entry| entry.is_given() && !entry.excuses.contains(&Excuse::OtherId);
            if !is_here && entries.get(token).is_some_and(is_plain) {
                scene.ledger.blame(format!("fetch ended with 0, and {token} is on its server and not here"));
            }
        }
        silently_left(scene, history, ended).into_iter().for_each(|what| scene.ledger.blame(what));
    }
}

/// What a program has staged nobody removes but the world, which did not.
fn judge_staged(scene: &Scene, program: &Ended) {
    if program.stderr.contains("had just staged") {
        scene.ledger.blame(format!("another program took what it had staged: {}", program.line()));
    }
}

/// A fetch ended with 0 although a server did not give a message, for the first time. After five attempts it is set aside.
fn silently_left(scene: &Scene, history: &History, ended: &[Ended]) -> Vec<String> {
    let has_run = ended.iter().any(|program| program.order.arguments == ["run"]);
    let fetches = ended.iter().filter(|program| program.order.arguments == ["fetch"]).count();
    let (standing, entries) = (scene.ledger.standing(), scene.ledger.entries());
    let is_left = |wrong: &&Wrong| {
        let stands = scene.accounts[wrong.server].mailbox.bytes("INBOX", wrong.uid);
        let is_it = stands.and_then(|bytes| mail::read(&bytes)).is_some_and(|(token, _)| token == wrong.token);
        let is_here = standing.get(&wrong.token).is_some_and(|it| it.told > 0 || !it.whole.is_empty());
        let has_faults_alone = |entry: &Entry| entry.excuses.iter().all(|excuse| matches!(excuse, Excuse::Faulty));
        let must_be_said = wrong.is_hidden || (!has_run && fetches < 5);
        must_be_said && is_it && !is_here && entries.get(&wrong.token).is_some_and(has_faults_alone)
    };
    let left: Vec<&Wrong> = history.wrong.iter().filter(is_left).collect();
    let blame = |wrong: &Wrong| format!("fetch ended with 0, and server {} did not give {}", wrong.server, wrong.token);
    left.into_iter().map(blame).collect()
}
