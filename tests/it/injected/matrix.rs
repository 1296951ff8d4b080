//! Every call, every fault, every point: one trial each, and the table of what came of them.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::judge::{self, Excuse};
use super::mail::{Place, number};
use super::scenario::Scenario;
use super::stage::Stage;
use crate::support::injector::Fault;
use crate::support::sandbox::Output;

/// A call, and all that the system has under this name.
pub const CALLS: [(&str, &str); 8] = [
    ("fsync", "fsync,fdatasync"),
    ("rename", "rename,renameat,renameat2"),
    ("link", "link,linkat"),
    ("write", "write,writev"),
    ("pwrite64", "pwrite64"),
    ("openat", "openat,open"),
    ("unlink", "unlink,unlinkat"),
    ("mkdir", "mkdir,mkdirat"),
];
pub const FAULTS: [&str; 3] = ["EIO", "ENOSPC", "kill"];

/// Which of the points are tried.
#[derive(Clone, Debug)]
pub enum Form {
    Every,
    /// Each so many-th, and at least one.
    Some(usize),
    /// `fsync EIO 17`.
    One(String),
}

/// What was tried, and what is wrong.
#[derive(Debug, Default)]
pub struct Matrix {
    pub table: String,
    pub tried: usize,
    pub hit: usize,
    pub bad: Vec<String>,
}

pub struct Trial {
    pub hit: Option<String>,
    pub wrong: Vec<String>,
    /// Only the excuse made it right.
    is_excused: bool,
    /// What ran, for whoever looks into it.
    story: String,
}

pub fn matrix(scenario: &Scenario, form: &Form) -> Matrix {
    let stage = scenario.prepare();
    let mut matrix = Matrix::default();
    let clean = try_without_fault(scenario, &stage);
    for (row, (call, names)) in CALLS.into_iter().enumerate() {
        let variants = variants(names, &clean);
        let made = variants.iter().map(|(_, made)| made).sum();
        for (column, fault) in FAULTS.into_iter().enumerate() {
            // Another offset in each place, so that over all of them many points have their turn.
            let points = form.points(call, fault, made, row * 7 + column * 11);
            let (mut hit, mut excused, mut bad) = (0, 0, 0);
            for nth in &points {
                let injected = Fault { calls: names.to_owned(), nth: *nth, what: what(fault) };
                let trial = attempt(scenario, &stage, &injected);
                hit += usize::from(trial.hit.is_some());
                excused += usize::from(trial.is_excused);
                bad += usize::from(!trial.wrong.is_empty());
                matrix.bad.extend(trial.told(&format!("{}: {call} {fault} {nth}", scenario.name)));
            }
            matrix.tried += points.len();
            matrix.hit += hit;
            let (name, tried) = (scenario.name, points.len());
            let row = format!("{name:<12} {call:<9} {fault:<7} {made:>5} {tried:>6} {hit:>5} {excused:>7} {bad:>4}");
            let _ = writeln!(matrix.table, "{row}  {}", in_words(&variants));
        }
    }
    matrix
}

/// As the injector calls it.
pub fn what(fault: &str) -> String {
    if fault == "kill" { fault.to_owned() } else { format!("err:{fault}") }
}

/// How often each of these was made.
fn variants<'n>(names: &'n str, made: &[String]) -> Vec<(&'n str, usize)> {
    names.split(',').map(|name| (name, made.iter().filter(|call| *call == name).count())).collect()
}

fn in_words(variants: &[(&str, usize)]) -> String {
    let made: Vec<String> =
        variants.iter().filter(|(_, made)| *made > 0).map(|(name, made)| format!("{name} {made}")).collect();
    if made.is_empty() { "never made".to_owned() } else { made.join(", ") }
}

impl Trial {
    /// What is wrong, as it happens and for the end.
    fn told(&self, point: &str) -> Option<String> {
        let is_bad = !self.wrong.is_empty();
        is_bad.then(|| {
            let at = self.hit.as_deref().unwrap_or("not reached");
            let text = format!("{point} ({at})\n    {}\n{}", self.wrong.join("\n    "), self.story);
            println!("{text}");
            text
        })
    }
}

pub const HEAD: &str = "scenario     call      fault    made  tried   hit excused  bad  calls";

impl Form {
    fn points(&self, call: &str, fault: &str, made: usize, offset: usize) -> Vec<usize> {
        match self {
            Self::Every => (1..=made).collect(),
            Self::Some(stride) => (1 + offset % made.clamp(1, *stride)..=made).step_by(*stride).collect(),
            Self::One(point) => {
                let nth = point.strip_prefix(&format!("{call} {fault} ")).and_then(|nth| nth.parse().ok());
                nth.into_iter().collect()
            }
        }
    }
}

/// The names of the calls that it makes.
fn try_without_fault(scenario: &Scenario, prepared: &Stage) -> Vec<String> {
    let stage = prepared.copy();
    let names: Vec<&str> = CALLS.iter().map(|(_, names)| *names).collect();
    let made = stage.calls(&names.join(","), scenario.arguments, &scenario.input());
    let (ran, rests) = scenario.rest(&stage, 0);
    let wrong = judge::wrong(stage.home(), &stage.relay.mails(), &scenario.wanted(), Excuse::default());
    assert!(rests && wrong.is_empty(), "{}, without a fault: {wrong:#?}\n{ran:#?}", scenario.name);
    made
}

/// A trial that panics, such as one that does not end, is bad too.
fn attempt(scenario: &Scenario, prepared: &Stage, fault: &Fault) -> Trial {
    catch_unwind(AssertUnwindSafe(|| trial(scenario, prepared, fault))).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        Trial { hit: None, wrong: vec![format!("PANIC of the test: {said}")], is_excused: false, story: String::new() }
    })
}

/// A copy of the home, the run with the fault, runs without until they rest, and the verdict.
pub fn trial(scenario: &Scenario, prepared: &Stage, fault: &Fault) -> Trial {
    let stage = prepared.copy();
    let (output, hit) = stage.run_with(fault, scenario.arguments, &scenario.input());
    let mut wrong = promised(scenario, &stage, &output);
    let excuse = excuse(scenario, &stage, &output, fault, hit.as_deref().unwrap_or_default());
    let (mut ran, rests) = scenario.rest(&stage, output.code);
    if !rests {
        wrong.push("it does not come to rest".to_owned());
    }
    ran.extend(scenario.a_day_later(&stage));
    let judged = |excuse| judge::wrong(stage.home(), &stage.relay.mails(), &scenario.wanted(), excuse);
    let found = judged(excuse);
    let is_excused = found.is_empty() && !judged(Excuse::default()).is_empty();
    wrong.extend(found);
    wrong.extend(stage.too_early().iter().map(|number| format!("DELETED TOO EARLY on the server: {number}")));
    for output in std::iter::once(&output).chain(&ran) {
        if output.code == 101 || output.stderr.contains("panicked at") {
            wrong.push(format!("it panicked: {}", output.stderr));
        }
    }
    let mut story = format!("  with the fault: {output}\n");
    ran.iter().for_each(|output| story += &format!("  then: {output}\n"));
    let _ = writeln!(story, "  notices: {:?}", judge::notices(stage.home()));
    Trial { hit, wrong, is_excused, story }
}

/// The windows of docs/durability.md. They belong to the one message that was on its way in that moment.
fn excuse(scenario: &Scenario, stage: &Stage, output: &Output, fault: &Fault, hit: &str) -> Excuse {
    let is_killed = fault.what == "kill";
    // The outbox: between the relay's yes and its record nobody knows. A state that is broken is as a crash; for one that is
    // full there is room.
    let is_full = fault.what == what("ENOSPC") && fault.calls.contains("write");
    let is_broken = hit.contains("~/state/state.db") || hit.contains("~/state/water");
    let is_unnoted = is_killed || is_broken && !is_full;
    let last = stage.relay.mails().last().and_then(|taken| number(&taken.message()));
    // `sendmail`: it was killed, and its caller cannot know how far it had come.
    let given = scenario.input.filter(|_| scenario.arguments[0] == "sendmail" && is_killed && output.code != 0);
    Excuse { told: last.filter(|_| is_unnoted), given_twice: given }
}

/// What an exit code of 0 promises.
fn promised(scenario: &Scenario, stage: &Stage, output: &Output) -> Vec<String> {
    if output.code != 0 {
        return Vec::new();
    }
    let told = stage.relay.mails();
    if scenario.takes_input() {
        let numbers = scenario.wanted().into_keys().map(|(_, number)| number);
        let nowhere = judge::nowhere(stage.home(), &told, numbers);
        return nowhere.iter().map(|number| format!("0, and NOWHERE: {number}")).collect();
    }
    let found = judge::standing(stage.home(), &told);
    // What `fetch` puts into the outbox is there; when it goes out is not its promise.
    let waits = |key: &(Place, usize)| {
        scenario.arguments[0] == "fetch" && key.0 == Place::Relay && found.contains_key(&(Place::Spool, key.1))
    };
    let missing = scenario.wanted().into_keys().filter(|key| !found.contains_key(key) && !waits(key));
    missing.map(|(place, number)| format!("0, and not done: {number} in {place:?}")).collect()
}
