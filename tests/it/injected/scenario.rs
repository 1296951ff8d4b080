//! What runs, over what home, and where all mail is to stand in the end.

use std::fs;
use std::time::{Duration, SystemTime};

use super::judge;
use super::mail::{Place, RULES, Standing, message, places, wanted, word};
use super::stage::{Source, Stage};
use crate::outbox::the_time_is_known;
use crate::support::sandbox::Output;

/// So many rounds it may take to come to rest.
const ROUNDS: usize = 8;
/// One of each word, and the first two that were fetched before.
const EARLIER: [usize; 2] = [0, 1];
const ARRIVING: std::ops::Range<usize> = 8..16;
/// What is here and moves: plain, both, rubbish, edit, box. The last one cannot be brought back out of its mbox.
const MOVING: [usize; 5] = [8, 9, 10, 14, 11];
/// What waits for the relay: three forwards, two that are told alone.
const WAITING: [usize; 5] = [12, 13, 20, 21, 28];
const KEEP: &str = "rules: [{if: {subject: nothing}, do: discard}]\n";
/// For several places at once.
const DELIVERED: usize = 15;
const SENT: usize = 8;

pub struct Scenario {
    pub name: &'static str,
    source: Source,
    prepare: fn(&Stage),
    pub arguments: &'static [&'static str],
    pub input: Option<usize>,
    wanted: fn() -> Standing,
}

pub const SCENARIOS: [Scenario; 8] = [
    Scenario {
        name: "fetch, IMAP",
        source: Source::Imap,
        prepare: fetched_earlier,
        arguments: &["fetch"],
        input: None,
        wanted: || wanted(EARLIER.into_iter().chain(ARRIVING), places),
    },
    Scenario {
        name: "fetch, POP3",
        source: Source::Pop3,
        prepare: fetched_earlier,
        arguments: &["fetch"],
        input: None,
        wanted: || wanted(EARLIER.into_iter().chain(ARRIVING), places),
    },
    Scenario {
        name: "first fetch",
        source: Source::Imap,
        prepare: |stage| stage.arrive(ARRIVING),
        arguments: &["fetch"],
        input: None,
        wanted: || wanted(ARRIVING, places),
    },
    Scenario {
        name: "deliver",
        source: Source::None,
        prepare: |stage| _ = stage.run_well(&["deliver"], &message(EARLIER[0])),
        arguments: &["deliver"],
        input: Some(DELIVERED),
        wanted: || wanted([EARLIER[0], DELIVERED], places),
    },
    Scenario {
        name: "sendmail",
        source: Source::None,
        prepare: |stage| _ = stage.run_well(&["deliver"], &message(EARLIER[0])),
        arguments: &["sendmail", "you@far.example"],
        input: Some(SENT),
        wanted: || {
            let sent = [Place::Relay, Place::Spool].map(|place| ((place, SENT), 1));
            wanted([EARLIER[0]], places).into_iter().chain(sent).collect()
        },
    },
    Scenario {
        name: "refilter",
        source: Source::None,
        prepare: |stage| delivered(stage, &MOVING),
        arguments: &["refilter", "--yes", "INBOX"],
        input: None,
        wanted: || wanted(MOVING, places),
    },
    Scenario {
        name: "undo",
        source: Source::None,
        prepare: refiltered,
        arguments: &["undo", "--run", "1"],
        input: None,
        wanted: || wanted(MOVING[..4].iter().copied(), back),
    },
    Scenario {
        name: "queue run",
        source: Source::None,
        prepare: queued,
        arguments: &["queue", "run"],
        input: None,
        wanted: || wanted(WAITING, places),
    },
];

/// All in the inbox again. What was discarded stays in the spool as long as its entry in the journal.
fn back(number: usize) -> Vec<Place> {
    let spool = (word(number) == "rubbish").then_some(Place::Spool);
    [Place::folder("INBOX")].into_iter().chain(spool).collect()
}

fn fetched_earlier(stage: &Stage) {
    stage.config(RULES, "keep");
    stage.arrive(EARLIER);
    stage.run_well(&["fetch"], "");
    stage.arrive(ARRIVING);
}

/// All in the inbox; one was read.
fn delivered(stage: &Stage, numbers: &[usize]) {
    stage.config(KEEP, "delete");
    numbers.iter().for_each(|number| _ = stage.run_well(&["deliver"], &message(*number)));
    let inbox = stage.home().join("Mail/INBOX");
    let file = fs::read_dir(inbox.join("new")).unwrap().next().unwrap().unwrap();
    let name = format!("{}:2,S", file.file_name().to_string_lossy());
    fs::rename(file.path(), inbox.join("cur").join(name)).unwrap();
}

fn refiltered(stage: &Stage) {
    delivered(stage, &MOVING[..4]);
    stage.config(RULES, "delete");
    let output = stage.run_well(&["refilter", "--yes", "INBOX"], "");
    assert!(output.stderr.contains("undo --run 1`"), "{output}");
}

fn queued(stage: &Stage) {
    stage.config_without_relay();
    WAITING.iter().for_each(|number| _ = stage.run_well(&["deliver"], &message(*number)));
}

impl Scenario {
    pub fn prepare(&self) -> Stage {
        let stage = Stage::new(self.source);
        (self.prepare)(&stage);
        stage
    }

    pub fn input(&self) -> String {
        self.input.map(message).unwrap_or_default()
    }

    pub fn wanted(&self) -> Standing {
        (self.wanted)()
    }

    /// Its caller gives it again until it hears that it was taken; and then never again.
    pub fn takes_input(&self) -> bool {
        self.input.is_some()
    }

    /// Runs without a fault until nothing moves and nothing complains. Says what ran, the last one last, and whether it
    /// came to rest.
    pub fn rest(&self, stage: &Stage, code: i32) -> (Vec<Output>, bool) {
        let (mut ran, mut is_taken) = (Vec::new(), self.takes_input() && code == 0);
        for _ in 0..ROUNDS {
            let before = judge::standing(stage.home(), &stage.relay.mails());
            let mut codes = Vec::new();
            let mut go = |arguments: &[&str], input: &str| {
                let output = stage.run(arguments, input);
                codes.push(output.code);
                ran.push(output);
            };
            if !is_taken {
                go(self.arguments, &self.input());
            }
            go(&["queue", "retry"], "");
            is_taken |= self.takes_input() && codes[0] == 0;
            let is_quiet = codes.iter().all(|code| *code == 0) && stage.mailbox.count("INBOX") == 0;
            if is_quiet && judge::standing(stage.home(), &stage.relay.mails()) == before {
                return (ran, true);
            }
        }
        (ran, false)
    }

    /// What nobody could remove any more goes later: from the spool with the daily pruning of files that were written
    /// over a day ago, and the lock of an mbox, which bears the number of a process that is gone, when the next message
    /// comes for it. That day passes here, if there is such a file, and that message comes.
    pub fn a_day_later(&self, stage: &Stage) -> Option<Output> {
        let (found, wanted) = (judge::standing(stage.home(), &stage.relay.mails()), self.wanted());
        let is_left = |(key, has): (&(Place, usize), &usize)| key.0 == Place::Spool && wanted.get(key) != Some(has);
        if !found.iter().any(is_left) && !stage.home().join("Mail/old.lock").exists() {
            return None;
        }
        let two_days_ago = SystemTime::now() - Duration::from_secs(2 * 24 * 3600);
        for file in judge::files(&stage.home().join("state/spool")) {
            fs::File::options().write(true).open(file).unwrap().set_modified(two_days_ago).unwrap();
        }
        let _ = fs::remove_file(stage.home().join("state/pruned"));
        the_time_is_known(&stage.sandbox);
        Some(stage.run(&["deliver"], "Subject: box\n\nA day later.\n"))
    }
}
