//! Two of ours that answer each other, for a day of a clock that is moved by hand: no loop, and where a server in
//! between takes off everything that tells an answer from a letter, a bounded one.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use mailsluice::config::Config;
use mailsluice::filter::Engine;
use mailsluice::message::Bytes;
use mailsluice::outbox::Relays;
use mailsluice::pass::World;
use mailsluice::pipeline;
use mailsluice::state::OutboxState;
use mailsluice::tell;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::outbox::{from, text};
use crate::stage::{folder, run};
use crate::support::smtp_server::{SmtpOptions, SmtpServer, Taken};

const HOUR: i64 = 3600;
/// The tests stop short of it: at 24 hours sharp a sender may be answered again.
const DAY: i64 = 24 * HOUR;
/// When the stories begin.
const BEGIN: i64 = 1_800_000_000;

/// The time of the story that is being told.
static CLOCK: AtomicI64 = AtomicI64::new(BEGIN);
/// One story at a time.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> Timestamp {
    Timestamp::from_second(CLOCK.load(Ordering::SeqCst)).unwrap()
}

/// One of the two: an own address, one rule, an own state.
struct Home {
    address: &'static str,
    folder: TempDir,
    world: World,
    engine: Arc<Engine>,
    relays: Relays,
}

impl Home {
    fn new(address: &'static str, action: &str, port: u16) -> Self {
        let folder = folder();
        let path = folder.path().join("config.yaml");
        let text = format!(
            "maildir: {0}/Mail\nstate: {0}/state\nme: [{address}]\n\
             relays: {{default: {{smtp: {{host: 127.0.0.1, port: {port}, tls: none}}}}}}\n\
             rules: [{{name: answer, do: {{{action}}}}}]\n",
            folder.path().display()
        );
        std::fs::write(&path, text).unwrap();
        let (config, _) = Config::load(&path).unwrap_or_else(|problems| panic!("{problems:?}"));
        let (engine, _) = Engine::compile(&config.filters, &config.settings).unwrap();
        let world = World { now, threads: 1, ..World::open(&config).unwrap() };
        // The clock of the story is right: a server has the same time.
        world.store.observe(now(), true).unwrap();
        Self { address, folder, world, engine: Arc::new(engine), relays: Relays::of(&config) }
    }

    fn deliver(&self, mail: &str) {
        use sha2::{Digest, Sha256};
        let digest: String = Sha256::digest(mail).iter().map(|byte| format!("{byte:02x}")).collect();
        let bytes = Bytes::Memory(mail.as_bytes().to_vec());
        pipeline::deliver(self.world.clone(), self.engine.clone(), bytes, &digest).unwrap();
    }

    /// Sends what is due.
    fn tell(&self) {
        let stop = CancellationToken::new();
        run(tell::tell(&self.world, &self.relays, Duration::from_secs(60), &stop)).unwrap();
    }

    /// When its answers were sent, in order.
    fn sent(&self) -> Vec<i64> {
        let rows = self.world.store.outbox(None, u32::MAX).unwrap();
        let sent = rows.iter().filter(|row| row.state == OutboxState::Sent);
        let mut times: Vec<i64> = sent.map(|row| row.changed.as_second()).collect();
        times.sort_unstable();
        times
    }

    fn mail(&self) -> usize {
        crate::support::maildir::Maildirs::at(self.folder.path().join("Mail")).delivered().len()
    }
}

/// What a server on the way makes of a mail.
type OnTheWay = fn(&str, usize) -> String;

fn as_it_is(text: &str, _: usize) -> String {
    text.to_owned()
}

/// The worst one: nothing is left by which one could know that it is an answer, and each looks like another mail.
fn stripped(text: &str, number: usize) -> String {
    let signs =
        ["Auto-Submitted:", "Precedence:", "X-Auto-Response-Suppress:", "Message-ID:", "In-Reply-To:", "References:"];
    let (head, body) = text.split_once("\n\n").unwrap();
    let mut kept = String::new();
    let mut goes = false;
    for line in head.lines() {
        // A folded field goes as a whole.
        goes = if line.starts_with([' ', '\t']) { goes } else { signs.iter().any(|sign| line.starts_with(sign)) };
        if !goes {
            kept += &format!("{line}\n");
        }
    }
    format!("{kept}Message-ID: <{number}@between.example>\n\n{body}")
}

/// Two homes, a server between them, and people who write.
struct Story {
    homes: [Home; 2],
    server: SmtpServer,
    on_the_way: OnTheWay,
    carried: usize,
    written: usize,
}

impl Story {
    fn new(action: &str, on_the_way: OnTheWay) -> Self {
        CLOCK.store(BEGIN, Ordering::SeqCst);
        let server = SmtpServer::start(SmtpOptions::default());
        let home = |address| Home::new(address, action, server.port());
        let homes = [home("ann@a.example"), home("bob@b.example")];
        Self { homes, server, on_the_way, carried: 0, written: 0 }
    }

    /// The person in one home writes to the one in the other.
    fn write(&mut self, writer: usize) {
        self.written += 1;
        let [from, to] = [&self.homes[writer], &self.homes[1 - writer]];
        let mail = format!(
            "Return-Path: <{0}>\nDelivered-To: {1}\nFrom: {0}\nTo: {1}\nDate: {2}\n\
             Message-ID: <{3}@people.example>\nSubject: hello\n\nHow are you?\n",
            from.address,
            to.address,
            now().strftime("%a, %d %b %Y %H:%M:%S +0000"),
            self.written
        );
        to.deliver(&mail);
    }

    /// Both send what is due, and what the server took is delivered to the other.
    fn step(&mut self, seconds: i64) {
        CLOCK.store(CLOCK.load(Ordering::SeqCst) + seconds, Ordering::SeqCst);
        self.homes.iter().for_each(Home::tell);
        if self.server.count() == self.carried {
            return;
        }
        for taken in self.server.mails().split_off(self.carried) {
            self.carried += 1;
            self.carry(&taken);
        }
    }

    fn carry(&self, taken: &Taken) {
        let to = self.homes.iter().find(|home| taken.to == [home.address]).unwrap();
        let mail = (self.on_the_way)(&text(taken), self.carried);
        to.deliver(&format!("Return-Path: <{}>\nDelivered-To: {}\n{mail}", from(taken), to.address));
    }

    /// A day, in steps of so many seconds; at `writing` they write. How many answers each sent.
    fn day(&mut self, step: i64, writing: impl Fn(i64) -> bool) -> [usize; 2] {
        let mut writers = [0, 1].into_iter().cycle();
        for second in (0..DAY - step).step_by(usize::try_from(step).unwrap()) {
            if writing(second) {
                self.write(writers.next().unwrap());
            }
            self.step(step);
        }
        let sent = self.homes.each_ref().map(|home| home.sent().len());
        println!("{sent:?} answers to {} letters", self.written);
        assert_eq!(self.carried, sent.iter().sum::<usize>(), "somebody else sent something");
        assert_eq!(self.homes.iter().map(Home::mail).sum::<usize>(), self.carried + self.written, "mail was lost");
        sent
    }
}

fn once(second: i64) -> bool {
    second == 0
}

/// By turns, all day long.
fn every_half_hour(second: i64) -> bool {
    second % (HOUR / 2) == 0
}

const AWAY: &str = "vacation: {text: I am away, days: 1}";
const AWAY_AS_A_PERSON: &str = "vacation: {text: I am away, days: 1, envelope_from: own}";
const SERVICE: &str = "reply: {text: We got your mail, envelope_from: own}";

#[test]
fn two_who_are_away_answer_each_other_once_a_day() {
    let _turn = turn();
    assert_eq!(Story::new(AWAY, as_it_is).day(60, once), [0, 1], "the answer itself is not answered");
    assert_eq!(Story::new(AWAY, as_it_is).day(60, every_half_hour), [1, 1]);
}

/// The answer looks like a letter, so it is answered; but each sender only once.
#[test]
fn two_who_are_away_and_cannot_be_told_from_people_answer_each_other_once_a_day() {
    let _turn = turn();
    assert_eq!(Story::new(AWAY_AS_A_PERSON, as_it_is).day(60, once), [0, 1]);
    assert_eq!(Story::new(AWAY_AS_A_PERSON, stripped).day(60, once), [1, 1]);
    assert_eq!(Story::new(AWAY_AS_A_PERSON, stripped).day(60, every_half_hour), [1, 1]);
}

#[test]
fn two_services_do_not_answer_answers() {
    let _turn = turn();
    let mut story = Story::new(SERVICE, as_it_is);
    assert_eq!(story.day(60, every_half_hour), [20, 20], "twenty a day for each sender, and all for letters");
    let mut story = Story::new(SERVICE, as_it_is);
    assert_eq!(story.day(60, once), [0, 1]);
}

/// A service answers each mail, and here each answer is a new one: what ends it is `max_per_sender`, 20 a day unless the
/// rule says otherwise.
#[test]
fn two_services_that_cannot_be_told_from_people_stop_after_twenty() {
    let _turn = turn();
    let sent = Story::new(SERVICE, stripped).day(60, once);
    assert_eq!(sent, [20, 20]);
    let most = "reply: {text: We got your mail, envelope_from: own, max_per_sender: 5/hour}";
    let mut story = Story::new(most, stripped);
    assert!(story.day(60, every_half_hour).into_iter().all(|sent| (24..=5 * 24).contains(&sent)));
    for home in &story.homes {
        assert!(most_within(&home.sent(), HOUR) <= 5);
    }
}

/// Whoever allows more meets the limit of all answers within an hour, whatever the rule says. Each hour is like the one
/// before, so three stand for the day.
#[test]
fn two_services_without_a_limit_of_their_own_send_fifty_an_hour() {
    let _turn = turn();
    let action = "reply: {text: We got your mail, envelope_from: own, max_per_sender: 100000/day}";
    let mut story = Story::new(action, stripped);
    for hour in 0..3 {
        // Several letters at once, so that several answers are under way.
        for _ in 0..4 {
            story.write(0);
        }
        for _ in 0..60 {
            story.step(60);
        }
        let most = story.homes.each_ref().map(|home| most_within(&home.sent(), HOUR));
        assert!(most.iter().all(|most| *most == 50), "{hour}: {most:?}");
    }
    assert!(story.homes.iter().all(|home| home.sent().len() <= 3 * 50));
}

/// The most of these times that lie within so many seconds.
fn most_within(times: &[i64], seconds: i64) -> usize {
    let from = |start: &i64| times.iter().filter(|time| (*start..*start + seconds).contains(time)).count();
    times.iter().map(from).max().unwrap_or(0)
}

/// The server that strips does so, and the clock moves time: else the tests above would prove nothing.
#[test]
fn a_day_later_they_answer_again() {
    let _turn = turn();
    let mut story = Story::new(AWAY_AS_A_PERSON, stripped);
    assert_eq!(story.day(600, once), [1, 1]);
    CLOCK.store(BEGIN + DAY + 2 * HOUR, Ordering::SeqCst);
    assert_eq!(SignedDuration::from_secs(CLOCK.load(Ordering::SeqCst) - BEGIN).as_hours(), 26);
    story.write(0);
    (0..5).for_each(|_| story.step(60));
    assert_eq!(story.homes.each_ref().map(|home| home.sent().len()), [2, 2]);
}
