//! Many messages through a relay that fails at random, by a program that is killed at random.
//!
//! `cargo test` sends 300, with `MAILSLUICE_STORM=long` it is 10,000 in ten homes. The seed is printed; `MAILSLUICE_SEED`
//! sets it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::stage::{Account, mailbox};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::sandbox::Sandbox;
use crate::support::smtp_server::{SmtpOptions, SmtpServer, Taken};

const KILLS: usize = 10;
/// Below the limit of answers within an hour.
const ANSWERS: usize = 40;
const RULES: &str = "rules:\n  - {name: away, if: {subject: answer}, do: {vacation: I am away}}\n  \
                     - {name: forward, do: {redirect: a@x.example}}";

/// By xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

/// What the relay knows of its own doings.
#[derive(Default)]
struct Storm {
    /// The connections whose last mail may come again: they were cut, or their client was killed.
    excused: BTreeSet<usize>,
    cuts: usize,
    victim: Option<Pid>,
    /// The victim is killed at this command, counted down.
    kill_at: Option<u64>,
}

fn mail(n: usize) -> String {
    let subject = if n <= ANSWERS { "answer" } else { "plain" };
    let body = format!("line of message {n}\n.dot\n").repeat(1 + n % 40);
    format!(
        "Return-Path: <ann{n}@far.example>\nFrom: Ann <ann{n}@far.example>\nTo: me@home.example\n\
         Message-ID: <{n}@storm.example>\nSubject: {subject}\n\n{body}"
    )
}

/// A home with so many messages in its outbox.
fn home(messages: usize) -> Sandbox {
    let mailbox = mailbox();
    (1..=messages).for_each(|n| _ = mailbox.add("INBOX", mail(n)));
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let account = Account::imap(server.port()).top("me: [me@home.example]").top(RULES);
    let sandbox = account.sandbox();
    let start = Instant::now();
    let output = sandbox.run(&["--allow-root", "fetch"]);
    println!("{messages} messages are in the outbox after {:?}", start.elapsed());
    let rows = rows(&sandbox);
    assert_eq!(rows.len(), messages + ANSWERS, "{output}");
    assert!(rows.iter().all(|row| row["state"] == "waiting"), "{output}");
    sandbox
}

fn rows(sandbox: &Sandbox) -> Vec<Value> {
    let output = sandbox.run(&["--allow-root", "queue", "list", "--all", "--json"]);
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// About a fifth of all commands fails.
fn reply(random: &mut Random, command: &str) -> Option<&'static str> {
    let chance = random.below(100);
    let can_be_refused = ["MAIL", "RCPT", "DATA", "."].iter().any(|verb| command.starts_with(verb));
    match chance {
        0..3 => Some("421 4.3.2 going down"),
        3..6 => Some("close"),
        6..12 if command == "." => Some("take and close"),
        6..20 if can_be_refused => Some("451 4.3.0 not now"),
        _ => None,
    }
}

fn storm(server: &SmtpServer, sandbox: &Sandbox, seed: u64) -> (usize, BTreeSet<usize>) {
    let state = Arc::new(Mutex::new(Storm::default()));
    let (shared, mut moods) = (Arc::clone(&state), Random(seed));
    server.in_a_mood(move |connection, command| {
        let reply = reply(&mut moods, command);
        let mut storm = shared.lock().unwrap();
        if reply == Some("take and close") {
            storm.cuts += 1;
            storm.excused.insert(connection);
        }
        if storm.kill_at == Some(0)
            && let Some(victim) = storm.victim
        {
            // It is not waited for yet, so the number is still its own.
            let _ = kill_process(victim, Signal::KILL);
            storm.excused.insert(connection);
        }
        storm.kill_at = storm.kill_at.and_then(|left| left.checked_sub(1));
        reply.map(str::to_owned)
    });
    let mut random = Random(seed ^ 0x5555_5555);
    let mut kills = 0;
    while kills < KILLS {
        state.lock().unwrap().kill_at = (kills % 2 == 0).then(|| random.below(12));
        let running = sandbox.spawn(&["--allow-root", "queue", "retry"]);
        state.lock().unwrap().victim = Pid::from_raw(i32::try_from(running.pid()).unwrap());
        let output = if kills % 2 == 0 {
            running.wait()
        } else {
            std::thread::sleep(Duration::from_micros(random.below(150_000)));
            let output = running.kill();
            state.lock().unwrap().excused.insert(server.connections());
            output
        };
        state.lock().unwrap().victim = None;
        kills += usize::from(output.code == -9);
        // One in between that is left alone.
        sandbox.run(&["--allow-root", "queue", "retry"]);
    }
    server.in_no_mood();
    let storm = state.lock().unwrap();
    (storm.cuts, storm.excused.clone())
}

/// The message without the Received field, which says when it was sent.
fn forwarded(taken: &Taken) -> String {
    let text = String::from_utf8_lossy(&taken.message()).into_owned();
    assert!(text.starts_with("Received: "), "{text}");
    let mut at = text.find('\n').unwrap() + 1;
    while text[at..].starts_with([' ', '\t']) {
        at += text[at..].find('\n').unwrap() + 1;
    }
    text[at..].to_owned()
}

fn check(sandbox: &Sandbox, mails: &[Taken], messages: usize, excused: &BTreeSet<usize>) -> usize {
    let last: BTreeMap<usize, usize> = mails.iter().enumerate().map(|(n, taken)| (taken.connection, n)).collect();
    let (mut forwards, mut answers) = (BTreeMap::<String, Vec<usize>>::new(), BTreeMap::<&str, usize>::new());
    for (n, taken) in mails.iter().enumerate() {
        assert_eq!(taken.to.len(), 1, "{taken:?}");
        if taken.to == ["a@x.example"] {
            let text = forwarded(taken);
            let ids: Vec<&str> = text.lines().filter(|line| line.starts_with("Message-ID: ")).collect();
            assert_eq!(ids.len(), 1, "{text}");
            forwards.entry(ids[0].to_owned()).or_default().push(n);
        } else {
            *answers.entry(&taken.to[0]).or_default() += 1;
        }
    }
    let known: BTreeSet<String> = (1..=ANSWERS).map(|n| format!("ann{n}@far.example")).collect();
    for (to, count) in &answers {
        assert!(known.contains(*to), "an answer to {to}");
        assert_eq!(*count, 1, "{to} was answered more than once");
    }
    let mut doubled = 0;
    for number in 1..=messages {
        let id = format!("Message-ID: <{number}@storm.example>");
        let copies = forwards.remove(&id).unwrap_or_else(|| panic!("{id} never came"));
        let first = forwarded(&mails[copies[0]]);
        assert!(first.ends_with(mail(number).split_once('\n').unwrap().1), "{first}");
        assert!(copies.iter().all(|n| forwarded(&mails[*n]) == first), "{id} is not the same in each copy");
        for n in &copies[..copies.len() - 1] {
            let connection = mails[*n].connection;
            let may_be = last[&connection] == *n && excused.contains(&connection);
            assert!(may_be, "{id} came again, and its reply had been sent");
            doubled += 1;
        }
    }
    assert!(forwards.is_empty(), "{:?}", forwards.keys());
    let mut given_up = 0;
    for row in rows(sandbox) {
        let is_answer = row["kind"] == "vacation";
        let is_lost = is_answer && row["state"] == "failed" && row["said"].as_str().unwrap().contains("given up");
        assert!(row["state"] == "sent" || is_lost, "{row:#}");
        given_up += usize::from(is_lost);
    }
    assert!(answers.len() + given_up >= ANSWERS, "{} answers, {given_up} given up", answers.len());
    println!("{} mails, {doubled} again, {} answers, {given_up} given up", mails.len(), answers.len());
    doubled
}

fn one_home(messages: usize, seed: u64) {
    let mut sandbox = home(messages);
    sandbox.deadline(Duration::from_secs(600));
    let server = SmtpServer::start(SmtpOptions::default());
    let relay = format!("relays: {{default: {{smtp: {{host: 127.0.0.1, port: {}, tls: none}}}}}}\n", server.port());
    let path = ".config/mailsluice/config.yaml";
    sandbox.write(path, relay + &sandbox.read(path));
    let start = Instant::now();
    let (cuts, excused) = storm(&server, &sandbox, seed);
    println!("the storm: {:?}, {cuts} cuts, {} taken", start.elapsed(), server.count());
    let (start, before) = (Instant::now(), server.count());
    while rows(&sandbox).iter().any(|row| row["state"] == "waiting" || row["state"] == "sending") {
        assert!(start.elapsed() < Duration::from_secs(300), "{:#?}", rows(&sandbox));
        sandbox.run(&["--allow-root", "queue", "retry"]);
    }
    println!("the rest: {} in {:?}", server.count() - before, start.elapsed());
    let doubled = check(&sandbox, &server.mails(), messages, &excused);
    assert!(doubled <= cuts + KILLS, "{doubled} came again after {cuts} cuts and {KILLS} kills");
}

#[test]
fn through_a_storm_no_forward_is_lost_and_nobody_answered_twice() {
    let given = std::env::var("MAILSLUICE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1);
    println!("MAILSLUICE_SEED={seed}");
    let is_long = std::env::var_os("MAILSLUICE_STORM").is_some_and(|value| value == "long");
    let (homes, messages) = if is_long { (10, 1000) } else { (1, 300) };
    (0..homes).for_each(|n| one_home(messages, seed.wrapping_add(n * 2)));
}
