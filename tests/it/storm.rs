//! Many messages over a line that fails at random, to a server that is killed, by a program that is killed.
//!
//! `cargo test` sends 300, with `MAILSLUICE_STORM=long` it is 10,000 in ten homes. The seed is printed; `MAILSLUICE_SEED`
//! sets it. `MAILSLUICE_RELAY=PORT` sends to another server on this machine, which is then not killed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::stage::{Account, mailbox};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::mailbox::Incoming;
use crate::support::postfix::Postfix;
use crate::support::rough_line::{Passed, Random, RoughLine};
use crate::support::sandbox::Sandbox;
use crate::support::smtp_server::{SmtpOptions, SmtpServer, Taken};
use crate::support::smtp_sink::SmtpSink;

/// So often the program is killed, and the server too.
const KILLS: usize = 10;
/// Below the limit of answers within an hour.
const ANSWERS: usize = 40;
const RULES: &str = "rules:\n  - {name: away, if: {subject: answer}, do: {vacation: I am away}}\n  \
                     - {name: forward, do: {redirect: a@x.example}}";

fn mail(n: usize) -> String {
    let subject = if n <= ANSWERS { "answer" } else { "plain" };
    let body = format!("line of message {n}\n.dot\n").repeat(1 + n % 40);
    format!(
        "Return-Path: <ann{n}@x.example>\nFrom: Ann <ann{n}@x.example>\nTo: me@home.example\n\
         Message-ID: <{n}@storm.example>\nSubject: {subject}\n\n{body}"
    )
}

/// A home with so many messages in its outbox.
fn home(messages: usize) -> Sandbox {
    let mailbox = mailbox();
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let account = Account::imap(server.port()).top("me: [me@home.example]").top(RULES);
    let sandbox = account.sandbox();
    // They come after the first run, or nobody would be told of them.
    assert_eq!(sandbox.run(&["--allow-root", "fetch"]).code, 0);
    let at = jiff::Timestamp::now().as_second() + 60;
    (1..=messages).for_each(|n| _ = mailbox.add_message("INBOX", Incoming::new(mail(n)).arrived(at)));
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

/// The server at the other end.
enum Relay {
    Ours(SmtpServer),
    Sink(Box<Mutex<SmtpSink>>),
    Postfix(Postfix),
    Other(u16),
}

impl Relay {
    /// The sink of the Postfix package where that is installed.
    fn start() -> Self {
        let other = std::env::var("MAILSLUICE_RELAY").ok().and_then(|port| port.parse().ok());
        match other {
            Some(port) => Self::Other(port),
            None => SmtpSink::start(&[]).map_or_else(
                || Self::Ours(SmtpServer::start(SmtpOptions::default())),
                |sink| Self::Sink(Box::new(sink.into())),
            ),
        }
    }

    fn port(&self) -> u16 {
        match self {
            Self::Ours(server) => server.port(),
            Self::Sink(sink) => sink.lock().unwrap().port,
            Self::Postfix(postfix) => postfix.port,
            Self::Other(port) => *port,
        }
    }

    /// Killed and started again, where we may.
    fn crash(&self) {
        match self {
            Self::Sink(sink) => sink.lock().unwrap().crash(),
            Self::Postfix(postfix) => postfix.crash(),
            Self::Ours(_) | Self::Other(_) => {}
        }
    }
}

/// What is going to happen at a command.
#[derive(Default)]
struct Fate {
    /// The program.
    victim: Option<Pid>,
    /// At this command, counted down, it is killed.
    victim_dies_in: Option<u64>,
    /// … and the server.
    relay_dies_in: Option<u64>,
    relay_deaths: usize,
    /// The connections whose client was killed: their last mail may come again.
    excused: BTreeSet<usize>,
}

/// Until both were killed often enough and most of the mail is through. Which connections lost their client.
fn storm(line: &RoughLine, relay: &Arc<Relay>, sandbox: &Sandbox, messages: usize, seed: u64) -> BTreeSet<usize> {
    let fate = Arc::new(Mutex::new(Fate::default()));
    let (shared, server) = (Arc::clone(&fate), Arc::clone(relay));
    line.at_command(move |connection| {
        let mut fate = shared.lock().unwrap();
        if fate.victim_dies_in == Some(0)
            && let Some(victim) = fate.victim
        {
            // It is not waited for yet, so the number is still its own.
            let _ = kill_process(victim, Signal::KILL);
            fate.excused.insert(connection);
        }
        if fate.relay_dies_in == Some(0) {
            server.crash();
            fate.relay_deaths += 1;
        }
        fate.victim_dies_in = fate.victim_dies_in.and_then(|left| left.checked_sub(1));
        fate.relay_dies_in = fate.relay_dies_in.and_then(|left| left.checked_sub(1));
    });
    let mut random = Random::new(seed ^ 0x5555_5555);
    let (start, mut kills, mut runs) = (Instant::now(), 0, 0);
    while kills < KILLS || fate.lock().unwrap().relay_deaths < KILLS || line.passed().len() < messages * 3 / 4 {
        assert!(start.elapsed() < Duration::from_secs(300), "{kills} kills, {} passed", line.passed().len());
        runs += 1;
        let is_to_die = kills < KILLS && runs % 2 == 0;
        {
            let mut fate = fate.lock().unwrap();
            fate.victim_dies_in = (is_to_die && kills % 2 == 0).then(|| random.below(40));
            fate.relay_dies_in = (fate.relay_deaths < KILLS && runs % 2 == 1).then(|| random.below(40));
        }
        let running = sandbox.spawn(&["--allow-root", "queue", "retry"]);
        fate.lock().unwrap().victim = Pid::from_raw(i32::try_from(running.pid()).unwrap());
        let output = if is_to_die && kills % 2 == 1 {
            std::thread::sleep(Duration::from_micros(random.below(150_000)));
            let output = running.kill();
            fate.lock().unwrap().excused.insert(line.connections());
            output
        } else {
            running.wait()
        };
        fate.lock().unwrap().victim = None;
        kills += usize::from(output.code == -9);
    }
    line.calm();
    let fate = fate.lock().unwrap();
    println!("the storm: {runs} runs, {kills} killed, the relay {} times, {:?}", fate.relay_deaths, start.elapsed());
    fate.excused.clone()
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

/// Once the program was told that a mail is taken, and lived on, it must not come again. How often one did.
fn check_forwards(passed: &[Passed], messages: usize, excused: &BTreeSet<usize>) -> usize {
    let last: BTreeMap<usize, usize> =
        passed.iter().enumerate().map(|(n, passed)| (passed.mail.connection, n)).collect();
    let may_come_again = |n: usize| {
        let Passed { mail, told, .. } = &passed[n];
        !told || (last[&mail.connection] == n && excused.contains(&mail.connection))
    };
    let mut forwards = BTreeMap::<String, Vec<usize>>::new();
    for (n, Passed { mail, .. }) in passed.iter().enumerate().filter(|(_, passed)| is_forward(passed)) {
        let text = forwarded(mail);
        let ids: Vec<&str> = text.lines().filter(|line| line.starts_with("Message-ID: ")).collect();
        assert_eq!(ids.len(), 1, "{text}");
        forwards.entry(ids[0].to_owned()).or_default().push(n);
    }
    let mut doubled = 0;
    for number in 1..=messages {
        let id = format!("Message-ID: <{number}@storm.example>");
        let copies = forwards.remove(&id).unwrap_or_else(|| panic!("{id} never came"));
        assert!(copies.iter().any(|n| passed[*n].sure), "{id} never came for sure");
        let first = forwarded(&passed[copies[0]].mail);
        assert!(first.ends_with(mail(number).split_once('\n').unwrap().1), "{first}");
        assert!(copies.iter().all(|n| forwarded(&passed[*n].mail) == first), "{id} is not the same in each copy");
        for n in &copies[..copies.len() - 1] {
            assert!(may_come_again(*n), "{id} came again, and the program knew that it had been taken");
            doubled += 1;
        }
    }
    assert!(forwards.is_empty(), "{:?}", forwards.keys());
    doubled
}

fn is_forward(passed: &Passed) -> bool {
    assert_eq!(passed.mail.to.len(), 1, "{passed:?}");
    passed.mail.to == ["a@x.example"]
}

/// Each sender once at most. How many were answered.
fn check_answers(passed: &[Passed]) -> usize {
    let mut answered = BTreeSet::new();
    let known: BTreeSet<String> = (1..=ANSWERS).map(|n| format!("ann{n}@x.example")).collect();
    for to in passed.iter().filter(|passed| !is_forward(passed)).map(|passed| &passed.mail.to[0]) {
        assert!(known.contains(to), "an answer to {to}");
        assert!(answered.insert(to), "{to} was answered more than once");
    }
    answered.len()
}

fn check(sandbox: &Sandbox, passed: &[Passed], messages: usize, excused: &BTreeSet<usize>) {
    let doubled = check_forwards(passed, messages, excused);
    let answers = check_answers(passed);
    let mut given_up = 0;
    for row in rows(sandbox) {
        let is_answer = row["kind"] == "vacation";
        let is_lost = is_answer && row["state"] == "failed" && row["said"].as_str().unwrap().contains("given up");
        assert!(row["state"] == "sent" || is_lost, "{row:#}");
        given_up += usize::from(is_lost);
    }
    assert!(answers + given_up >= ANSWERS, "{answers} answers, {given_up} given up");
    let untold = passed.iter().filter(|passed| !passed.told).count();
    println!("{} mails, {untold} of them untold, {doubled} came again", passed.len());
    println!("{answers} answers, {given_up} given up");
}

/// The checks can fail.
#[test]
fn a_storm_that_loses_or_doubles_is_seen() {
    let taken = |to: &str, n: usize, told: bool| {
        let wire = format!("Received: from x\n\tby y\n{}", mail(n).split_once('\n').unwrap().1);
        let wire = wire.replace("\n.", "\n..").replace('\n', "\r\n").into_bytes();
        let mail = Taken { mail: String::new(), to: vec![to.to_owned()], wire, connection: n };
        Passed { mail, told, sure: true }
    };
    let forward = |n, told| taken("a@x.example", n, told);
    let fails = |passed: &[Passed], excused: &[usize]| {
        std::panic::catch_unwind(|| check_forwards(passed, 2, &excused.iter().copied().collect())).is_err()
    };
    assert!(!fails(&[forward(1, true), forward(2, true)], &[]));
    assert!(!fails(&[forward(1, false), forward(1, true), forward(2, true)], &[]));
    assert!(fails(&[forward(1, true)], &[]), "lost");
    assert!(fails(&[forward(1, true), forward(1, true), forward(2, true)], &[]), "doubled");
    let answer = |told| taken("ann1@x.example", 1, told);
    assert_eq!(check_answers(&[answer(true)]), 1);
    assert!(std::panic::catch_unwind(|| check_answers(&[answer(false), answer(true)])).is_err(), "answered twice");
}

fn one_home(messages: usize, relay: Relay, seed: u64) {
    let mut sandbox = home(messages);
    sandbox.deadline(Duration::from_secs(600));
    let line = RoughLine::to(relay.port(), seed);
    let config = format!("relays: {{default: {{smtp: {{host: 127.0.0.1, port: {}, tls: none}}}}}}\n", line.port());
    let path = ".config/mailsluice/config.yaml";
    sandbox.write(path, config + &sandbox.read(path));
    let relay = Arc::new(relay);
    let excused = storm(&line, &relay, &sandbox, messages, seed);
    let (start, before) = (Instant::now(), line.passed().len());
    while rows(&sandbox).iter().any(|row| row["state"] == "waiting" || row["state"] == "sending") {
        assert!(start.elapsed() < Duration::from_secs(300), "{:#?}", rows(&sandbox));
        sandbox.run(&["--allow-root", "queue", "retry"]);
    }
    let passed = line.passed();
    println!("the rest: {} in {:?}", passed.len() - before, start.elapsed());
    check(&sandbox, &passed, messages, &excused);
    if let Relay::Postfix(postfix) = &*relay {
        let sure = passed.iter().filter(|passed| passed.sure && passed.mail.to == ["a@x.example"]).count();
        assert!(postfix.mails("a", sure).len() >= sure);
    }
}

/// The seed, the number of homes and of messages in each.
fn extent() -> (u64, u64, usize) {
    let given = std::env::var("MAILSLUICE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1);
    println!("MAILSLUICE_SEED={seed}");
    let is_long = std::env::var_os("MAILSLUICE_STORM").is_some_and(|value| value == "long");
    if is_long { (seed, 10, 1000) } else { (seed, 1, 300) }
}

#[test]
fn through_a_storm_no_forward_is_lost_and_nobody_answered_twice() {
    let (seed, homes, messages) = extent();
    (0..homes).for_each(|n| one_home(messages, Relay::start(), seed.wrapping_add(n * 2)));
}

/// As root only.
#[test]
fn through_a_storm_into_a_real_postfix() {
    let (seed, homes, messages) = extent();
    for n in 0..homes {
        let Some(postfix) = Postfix::start() else { return };
        one_home(messages, Relay::Postfix(postfix), seed.wrapping_add(n * 2));
    }
}
