//! From the beginning to the end: quiet, a storm, quiet again; and what is wrong then.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::ledger::{Ledger, Mail, took};
use crate::line::Fault;
use crate::process::{Taken, slope, taken};
use crate::scene::Scene;
use crate::support::maildir::{Maildirs, Sub};
use crate::support::rough_line::Random;
use crate::support::sandbox::Running;
use crate::tools::tools;

/// In the short form everything is looked at so often; in the long form as it is without a setting.
const SHORT_POLL: Duration = Duration::from_secs(5);
/// One message comes in this time.
const PAUSE: Duration = Duration::from_millis(125);
/// A person reads so often.
const READ_EVERY: Duration = Duration::from_millis(200);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The program stops so often, and its clock is set as often.
const SHORT_DAY: Duration = Duration::from_secs(15);
const LONG_DAY: Duration = Duration::from_secs(120);
/// So long at most it is stopped, in milliseconds.
const LONGEST_SLEEP: u64 = 10_000;
/// What its clock is set to, in seconds from the right time.
const CLOCKS: [i64; 6] = [0, 7200, 0, -7200, 300_000, 0];
/// Mail is here within so long from when it came or its line broke.
const WITHIN: Duration = Duration::from_secs(120);
/// A server that takes what is sent and answers nothing has two minutes for each reply; then it is tried again.
const WITHIN_OF_A_MUTE_ONE: Duration = Duration::from_secs(150);
/// When nothing breaks any more, all mail is here within so long, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(300);
/// In KiB an hour.
const STEEPEST: f64 = 1024.0;
/// In passes that are under way files are open; a pass has a thread.
const MOST_FOR_AN_ACCOUNT: usize = 6;
const MOST_THREADS: u64 = 100;
/// What the program needs for itself may differ by so many descriptors.
const SOME: usize = 4;

#[derive(Default)]
pub struct Story {
    lines: Vec<String>,
    pub wrong: Vec<String>,
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "soak: {line}"))
    }
}

/// So much time is stormy.
pub fn weather(time: Duration, is_judged: bool) -> Story {
    let mut scene = Scene::new((!is_judged).then_some(SHORT_POLL));
    let clock = tools().clock.as_ref().map(|library| Clock::new(&mut scene, library));
    scene.sandbox.deadline(time + 4 * PATIENCE);
    let mut soak = Soak {
        running: scene.sandbox.spawn(&["--allow-root", "run"]),
        ledger: Ledger::default(),
        random: Random::new(4711),
        stops: Vec::new(),
        samples: Vec::new(),
        story: Story::default(),
        clock,
        scene,
    };
    soak.quiet("before the storm");
    let before = soak.calm_descriptors();
    soak.storm(time, if is_judged { LONG_DAY } else { SHORT_DAY });
    soak.quiet("after the storm");
    let after = soak.calm_descriptors();
    soak.judge_descriptors(before, after);
    soak.judge_process(is_judged);
    soak.end(is_judged)
}

/// The clock of the program.
struct Clock(File);

impl Clock {
    fn new(scene: &mut Scene, library: &Path) -> Self {
        let path = scene.sandbox.write("clock", 0_i64.to_ne_bytes());
        scene.sandbox.env("LD_PRELOAD", &library.to_string_lossy()).env("WORLD_CLOCK_FILE", &path.to_string_lossy());
        Clock(fs::OpenOptions::new().write(true).open(path).unwrap())
    }

    fn set(&self, seconds: i64) {
        self.0.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }
}

struct Soak {
    scene: Scene,
    running: Running,
    ledger: Ledger,
    random: Random,
    clock: Option<Clock>,
    /// When the program went on after it was stopped.
    stops: Vec<Instant>,
    samples: Vec<(Instant, Taken)>,
    story: Story,
}

impl Soak {
    /// One message for each folder, and until it and all before it is here.
    fn quiet(&mut self, when: &str) {
        let begun = Instant::now();
        self.scene.accounts.iter().for_each(|account| account.line.storm(false));
        for (account, folder) in self.scene.places() {
            self.send(account, folder);
        }
        while self.ledger.missing() > 0 && begun.elapsed() < PATIENCE {
            self.read();
            sleep(READ_EVERY);
        }
        self.tell(format!("{when}: all mail was here after {:.1} s", begun.elapsed().as_secs_f64()));
        if self.ledger.missing() > 0 {
            self.story.wrong.push(format!("{when}: {} messages are not here", self.ledger.missing()));
        }
    }

    fn storm(&mut self, time: Duration, day: Duration) {
        self.scene.accounts.iter().for_each(|account| account.line.storm(true));
        let is_over = AtomicBool::new(false);
        let pid = self.running.pid();
        let begun = Instant::now();
        let (scene, ledger) = (&self.scene, &self.ledger);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    read(scene, ledger);
                    sleep(READ_EVERY);
                }
            });
            let samples = scope.spawn(|| sample(pid, &is_over));
            let places = scene.places();
            let mut days = 0;
            while begun.elapsed() < time {
                let (account, folder) = places[self.random.below(places.len() as u64) as usize];
                scene.add(account, folder, &ledger.message(account, folder, &mut self.random));
                scene.tidy(account, folder, |bytes| ledger.is_here(bytes));
                sleep(PAUSE);
                if begun.elapsed() > day * (days + 1) {
                    days += 1;
                    if let Some(Taken { memory, of_files, threads, descriptors, .. }) = taken(pid) {
                        let (passed, missing) = (begun.elapsed().as_secs(), ledger.missing());
                        println!(
                            "soak: {passed} s: {memory} KiB and {of_files} KiB of files, {threads} threads, {descriptors} descriptors, {missing} on their way"
                        );
                    }
                    self.running.signal(Signal::STOP);
                    if let Some(clock) = &self.clock {
                        clock.set(CLOCKS[days as usize % CLOCKS.len()]);
                    }
                    sleep(Duration::from_millis(self.random.below(LONGEST_SLEEP)));
                    self.running.signal(Signal::CONT);
                    self.stops.push(Instant::now());
                }
            }
            is_over.store(true, Ordering::SeqCst);
            self.samples = samples.join().unwrap();
        });
        if let Some(clock) = &self.clock {
            clock.set(0);
        }
        if !self.running.is_running() {
            self.story.wrong.push("it ended by itself".to_owned());
        }
    }

    fn send(&mut self, account: usize, folder: &str) {
        let message = self.ledger.message(account, folder, &mut self.random);
        self.scene.add(account, folder, &message);
    }

    fn read(&self) {
        read(&self.scene, &self.ledger);
    }

    fn tell(&mut self, line: String) {
        self.story.lines.push(line);
    }

    /// The fewest that are open in some seconds: then no pass was under way.
    fn calm_descriptors(&self) -> usize {
        let counts = (0..100).filter_map(|_| {
            sleep(READ_EVERY / 4);
            Some(taken(self.running.pid())?.descriptors)
        });
        counts.min().unwrap_or_default()
    }

    fn judge_descriptors(&mut self, before: usize, after: usize) {
        let most = self.samples.iter().map(|(_, taken)| taken.descriptors).max().unwrap_or_default();
        self.tell(format!("descriptors: {before} before, {after} after, at most {most}"));
        if before.abs_diff(after) > SOME || most > before + self.scene.accounts.len() * MOST_FOR_AN_ACCOUNT {
            self.story.wrong.push(format!("descriptors: {before} before, {after} after, {most} at most"));
        }
    }

    fn judge_process(&mut self, is_judged: bool) {
        let samples = std::mem::take(&mut self.samples);
        let Some((begun, _)) = samples.first() else { return };
        let memory: Vec<(f64, f64)> =
            samples.iter().map(|(at, taken)| ((*at - *begun).as_secs_f64(), taken.memory as f64)).collect();
        let level = &memory[memory.len() / 4..];
        let (steep, threads) = (slope(level), samples.iter().map(|(_, taken)| taken.threads).max().unwrap_or_default());
        let at = |part: usize| memory[(memory.len() - 1) * part / 4].1 / 1024.0;
        let quarters: Vec<String> = (0..=4).map(|part| format!("{:.1}", at(part))).collect();
        self.tell(format!("memory: {} MiB at each quarter, {:+.2} MiB/h", quarters.join(", "), steep / 1024.0));
        self.tell(format!("threads: at most {threads}"));
        if is_judged && steep > STEEPEST {
            self.story.wrong.push(format!("memory grows by {steep:.0} KiB an hour"));
        }
        if threads > MOST_THREADS {
            self.story.wrong.push(format!("{threads} threads"));
        }
        // One that is seen twice is not waited for.
        let zombies =
            samples.windows(2).flat_map(|two| two[0].1.zombies.iter().filter(|it| two[1].1.zombies.contains(it)));
        self.story.wrong.extend(zombies.map(|zombie| format!("a child is not waited for: {zombie}")));
    }

    /// The program ends, and all mail is counted.
    fn end(mut self, is_judged: bool) -> Story {
        self.running.signal(Signal::TERM);
        let output = self.running.wait();
        if output.code != 0 || output.stderr.contains("panicked") {
            self.story.wrong.push(format!("it ended with {output}"));
        }
        read(&self.scene, &self.ledger);
        let all = Maildirs::at(self.scene.sandbox.maildir());
        let left: Vec<String> = all.messages().into_iter().filter(|it| it.sub == Sub::Tmp).map(|it| it.name).collect();
        if !left.is_empty() {
            self.story.wrong.push(format!("left in tmp/: {left:?}"));
        }
        let mut here = all.by_message_id();
        let mails = self.ledger.take();
        for (id, mail) in &mails {
            let count = here.remove(id).unwrap_or_default();
            if count != 1 {
                self.story.wrong.push(format!("{id} is here {count} times: {mail:?}"));
            }
        }
        self.story.lines.push(format!("{} messages; also here, as notices: {:?}", mails.len(), here.keys()));

        let mut faults: BTreeMap<Fault, usize> = BTreeMap::new();
        let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
        let mut longest: BTreeMap<Fault, Duration> = BTreeMap::new();
        let broken: Vec<Vec<(Instant, Fault)>> =
            self.scene.accounts.iter().map(|account| account.line.broken()).collect();
        broken.iter().flatten().for_each(|(_, fault)| *faults.entry(*fault).or_default() += 1);
        self.story.lines.push(format!("{faults:?}, stopped {} times", self.stops.len()));
        for mail in mails.values() {
            let mut at: Vec<Instant> =
                broken[mail.account].iter().map(|(at, _)| *at).chain(self.stops.clone()).collect();
            at.sort();
            let Some(took) = took(mail, &at) else { continue };
            times.entry(self.scene.accounts[mail.account].push(&mail.folder)).or_default().push(took);
            let last = broken[mail.account].iter().rfind(|(at, _)| *at <= mail.found[0]);
            if let Some((_, fault)) = last {
                let longest = longest.entry(*fault).or_default();
                *longest = took.max(*longest);
            }
            let is_mute = last.is_some_and(|(_, fault)| *fault == Fault::Mute);
            if is_judged && took > if is_mute { WITHIN_OF_A_MUTE_ONE } else { WITHIN } {
                let account = &self.scene.accounts[mail.account].name;
                self.story.wrong.push(format!("{account}/{} took {took:.1?} after {last:?}", mail.folder));
            }
        }
        self.story.lines.push(format!("the longest after each: {longest:.0?}"));
        let all = |mail: &&Mail| mail.found.first().map(|here| *here - mail.came);
        if let Some(slowest) = mails.values().max_by_key(all) {
            let account = &self.scene.accounts[slowest.account].name;
            let meanwhile = broken[slowest.account]
                .iter()
                .filter(|(at, _)| *at >= slowest.came && slowest.found.first().is_some_and(|here| at <= here));
            let meanwhile: Vec<String> =
                meanwhile.map(|(at, fault)| format!("{fault:?} after {:.0?}", *at - slowest.came)).collect();
            let time = all(&slowest).unwrap_or_default();
            let folder = &slowest.folder;
            self.story
                .lines
                .push(format!("the longest in all: {account}/{folder}, {time:.0?}: {}", meanwhile.join(", ")));
        }
        for (push, mut times) in times {
            times.sort();
            let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64();
            let (median, late, last) = (at(50), at(99), at(100));
            self.story.lines.push(format!("{push}: median {median:.2} s, p99 {late:.1} s, last {last:.1} s"));
        }
        self.story
    }
}

fn read(scene: &Scene, ledger: &Ledger) {
    for (account, folder) in scene.places() {
        ledger.read(&scene.maildir(account, folder));
    }
}

fn sample(pid: u32, is_over: &AtomicBool) -> Vec<(Instant, Taken)> {
    let mut samples = Vec::new();
    while !is_over.load(Ordering::SeqCst) {
        samples.extend(taken(pid).map(|taken| (Instant::now(), taken)));
        sleep(LOOK_EVERY);
    }
    samples
}
