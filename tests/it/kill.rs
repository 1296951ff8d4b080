//! The real program on real files against a real Dovecot, killed with -9 at random moments.
//!
//! `cargo test` kills a few times, with `MAILSLUICE_CRASH=all` it is at least 240 times for each kind of account. The
//! seed is printed; `MAILSLUICE_SEED` sets it.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::maildir::{Found, Maildirs, Sub, canonical};
use crate::support::sandbox::{Output, Running, Sandbox};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mailsluice");
/// Arrive at once, whenever nothing is left to fetch.
const BATCH: usize = 150;
/// A run is killed within this time.
const LONGEST: Duration = Duration::from_millis(300);
const RULES: &str = "
rules:
  - {if: {header: {Subject: {contains: both}}}, do: [{fileinto: [lists/a, lists/b]}]}
  - {if: {header: {Subject: {contains: rubbish}}}, do: [discard]}
";

fn is_thorough() -> bool {
    std::env::var_os("MAILSLUICE_CRASH").is_some_and(|value| value == "all")
}

/// Numbers that are different in each run and can be had again.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let given = std::env::var("MAILSLUICE_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1);
        println!("MAILSLUICE_SEED={seed}");
        Self(seed)
    }

    /// By xorshift.
    fn up_to(&mut self, most: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_micros(self.0 % most.as_micros() as u64 + 1)
    }
}

/// The `n`-th message and the folders it belongs in.
fn message(n: usize) -> (String, &'static [&'static str]) {
    let (subject, folders): (_, &[&str]) = match n % 10 {
        0 => ("rubbish", &[]),
        1..=4 => ("for both", &["lists/a", "lists/b"]),
        _ => ("plain", &["INBOX"]),
    };
    let body = format!("line of message {n}\n").repeat(1 + n * 37 % 400);
    (format!("Subject: {subject}\nMessage-ID: <{n}@kill.example>\n\n{body}"), folders)
}

struct Trial {
    sandbox: Sandbox,
    dovecot: Dovecot,
    messages: usize,
}

impl Trial {
    fn new(protocol: &str, retention: &str) -> Option<Self> {
        let dovecot = Dovecot::start()?;
        let sandbox = Sandbox::new(PROGRAM);
        let port = if protocol == "imap" { dovecot.ports.imaps } else { dovecot.ports.pop3s };
        let ca_file = dovecot.ca_file();
        sandbox.write(".config/mailsluice/rules.yaml", RULES);
        sandbox.config(&format!(
            "maildir: ~/Mail\nstate: ~/state\nfilters: [rules.yaml]\naccounts:\n  a:\n    \
             {protocol}: {{host: 127.0.0.1, port: {port}, ca_file: {}}}\n    \
             user: me\n    password: {PASSWORD}\n    retention: {retention}\n",
            ca_file.display()
        ));
        let mut trial = Self { sandbox, dovecot, messages: 0 };
        trial.new_mail();
        Some(trial)
    }

    fn new_mail(&mut self) {
        for n in self.messages..self.messages + BATCH {
            self.dovecot.add("me", "INBOX", message(n).0);
        }
        self.messages += BATCH;
    }

    fn kill_at_random(&mut self, kills: usize, random: &mut Random) {
        let (mut done, mut longest) = (0, LONGEST);
        while done < kills {
            let begun = Instant::now();
            let running = self.sandbox.spawn(&["fetch"]);
            let output = kill_after(running, random.up_to(longest));
            match output.code {
                -9 => {
                    done += 1;
                    longest = (longest + LONGEST / 10).min(LONGEST);
                }
                0 => {
                    longest = begun.elapsed().min(LONGEST);
                    self.new_mail();
                }
                _ => panic!("{output}\n{}", self.dovecot.log()),
            }
        }
        self.nothing_is_wrong_yet();
    }

    fn fetch(&self) {
        let output = self.sandbox.run(&["fetch"]);
        assert_eq!(output.code, 0, "{output}\n{}", self.dovecot.log());
    }

    fn nothing_is_wrong_yet(&self) {
        let told = self.told_of_crashes();
        for (place, n) in self.delivered() {
            assert!(n == 1 && is_wanted(&place, told), "{place:?} stands there {n} times");
        }
    }

    fn everything_is_here(&self) {
        self.nothing_is_wrong_yet();
        let (found, told) = (self.delivered(), self.told_of_crashes());
        for n in 0..self.messages {
            let (text, folders) = message(n);
            let unfiltered = told && found.contains_key(&("INBOX".to_owned(), text.clone()));
            let is_here = folders.iter().all(|folder| found.contains_key(&((*folder).to_owned(), text.clone())));
            assert!(is_here || unfiltered, "message {n} is lost");
        }
        let left: Vec<Found> = self.maildirs().messages().into_iter().filter(|m| m.sub == Sub::Tmp).collect();
        assert!(left.is_empty(), "left over: {left:?}");
        self.discarded_mail_is_in_the_spool();
    }

    fn discarded_mail_is_in_the_spool(&self) {
        let folder = self.sandbox.home().join("state/spool");
        let files = fs::read_dir(folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
        let mut found: Vec<String> = files.collect();
        found.sort();
        let rubbish = (0..self.messages).map(message).filter(|(_, folders)| folders.is_empty());
        let mut wanted: Vec<String> = rubbish.map(|(text, _)| text).collect();
        wanted.sort();
        assert_eq!(found.len(), wanted.len());
        assert!(found == wanted || self.told_of_crashes(), "another message is in the spool");
    }

    fn told_of_crashes(&self) -> bool {
        self.maildirs().in_folder("INBOX").iter().any(is_notice)
    }

    fn delivered(&self) -> BTreeMap<(String, String), usize> {
        let mut found = BTreeMap::new();
        for message in self.maildirs().delivered().iter().filter(|m| !is_notice(m)) {
            let text = String::from_utf8_lossy(&canonical(&message.bytes)).into_owned();
            *found.entry((message.folder.clone(), text)).or_default() += 1;
        }
        found
    }

    fn maildirs(&self) -> Maildirs {
        Maildirs::at(self.sandbox.maildir())
    }
}

/// Whether the message may stand there: also in the inbox, when the program was killed twice while it was deciding
/// about one. The user was told then.
fn is_wanted((folder, text): &(String, String), told_of_crashes: bool) -> bool {
    let number = text.split_once('<').and_then(|(_, rest)| rest.split_once('@')).and_then(|(n, _)| n.parse().ok());
    let Some((whole, folders)) = number.map(message) else { return false };
    whole == *text && (folders.contains(&folder.as_str()) || folder == "INBOX" && told_of_crashes)
}

fn is_notice(message: &Found) -> bool {
    String::from_utf8_lossy(&message.bytes).contains("\nX-Mailsluice-Notice: crashed\n")
}

fn kill_after(mut running: Running, time: Duration) -> Output {
    let end = Instant::now() + time;
    while running.is_running() && Instant::now() < end {
        std::thread::sleep(Duration::from_micros(200));
    }
    running.kill()
}

fn survives(protocol: &str, retention: &str) {
    let Some(mut trial) = Trial::new(protocol, retention) else { return };
    let mut random = Random::new();
    trial.kill_at_random(if is_thorough() { 240 } else { 8 }, &mut random);
    // The first run after a crash deletes nothing on the server, the second does.
    trial.fetch();
    trial.fetch();
    trial.everything_is_here();
    let on_server = if retention == "delete" { 0 } else { trial.messages };
    assert_eq!(trial.dovecot.count("me", "INBOX"), on_server);
    println!("{protocol}, {retention}: {} messages", trial.messages);
}

#[test]
fn imap_that_keeps() {
    survives("imap", "keep");
}

#[test]
fn imap_that_deletes() {
    survives("imap", "delete");
}

#[test]
fn pop3_that_keeps() {
    survives("pop3", "keep");
}

#[test]
fn pop3_that_deletes() {
    survives("pop3", "delete");
}

/// The caller of `deliver` tries again with the same bytes until it is told that they are safe.
#[test]
fn deliver_is_tried_again_after_every_kill() {
    let sandbox = Sandbox::new(PROGRAM);
    sandbox.write(".config/mailsluice/rules.yaml", RULES);
    sandbox.config("maildir: ~/Mail\nstate: ~/state\nfilters: [rules.yaml]\n");
    let mut random = Random::new();
    let kills = if is_thorough() { 240 } else { 24 };
    let (mut done, mut longest) = (0, LONGEST / 10);
    let mut wanted = Vec::new();
    for n in 1.. {
        let (text, folders) = message(n);
        loop {
            let begun = Instant::now();
            let running = sandbox.spawn_with_stdin(&["deliver", "--allow-root"], &text);
            let output = kill_after(running, random.up_to(longest));
            match output.code {
                0 => {
                    longest = begun.elapsed();
                    break;
                }
                -9 => done += 1,
                _ => panic!("{output}"),
            }
            if has_nothing_left_but_to_answer(&sandbox, folders, &text) {
                break;
            }
            longest += LONGEST / 100;
        }
        wanted.extend(folders.iter().map(|_| text.clone()));
        if done >= kills {
            break;
        }
    }
    Maildirs::at(sandbox.maildir()).assert_holds(&wanted);
    println!("{} files", wanted.len());
}

/// It was killed after it had released its lock and before its caller could hear that all is well. No program can
/// do anything about this moment; a caller that tries again then gets a second copy.
fn has_nothing_left_but_to_answer(sandbox: &Sandbox, folders: &[&str], text: &str) -> bool {
    let Ok(locks) = fs::read_dir(sandbox.home().join("state/locks")) else { return false };
    let is_free = |text: String| text.is_empty() || text.starts_with("released ");
    let is_released = locks.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).all(is_free);
    let maildirs = Maildirs::at(sandbox.maildir());
    let is_here = |folder: &&str| maildirs.in_folder(folder).iter().any(|m| m.bytes == text.as_bytes());
    is_released && !folders.is_empty() && folders.iter().all(is_here)
}
