//! Decides what happens to an outbox item after an attempt. It is a pure function; the caller writes the result.

use jiff::{SignedDuration, Timestamp};

use super::age::{has_waited_a_day, is_too_old, waits_since};
use super::relay::RecipientVerdict;
use super::retry;
use crate::clean;
use crate::decision::Way;
use crate::state::{OutboxRow, RecipientEnd};

/// After this many failures of a relay in a row (about an hour), items that are too old are given up. Fewer would be too few: a
/// machine that wakes up has no network at first.
const FAILURES_BEFORE_GIVING_UP: u32 = 5;
/// How long an item that would be given up waits instead while the clock may be wrong.
const WAIT_FOR_CLOCK: SignedDuration = SignedDuration::from_hours(1);

/// The result of an attempt, or why there was none.
#[derive(Debug)]
pub enum AttemptResult {
    /// A verdict on each recipient, in order. An item without recipients (a program, a folder) has one verdict.
    Verdicts(Vec<RecipientVerdict>),
    /// The connection broke after everything was sent: the message may have been accepted.
    Unknown(String),
    /// The relay or the account cannot be used and is left alone for a while.
    Resting {
        /// Until when.
        until: Timestamp,
        /// How many times in a row this happened.
        failures: u32,
        /// No connection could be made.
        is_away: bool,
        /// Why.
        cause: String,
    },
    /// The relay accepts mail, but not from this sender.
    NotFrom {
        /// The sender is the null sender.
        is_null: bool,
        /// Why.
        cause: String,
    },
    /// The config lacks something that the item needs.
    Lacks(String),
    /// The message's bytes cannot be read.
    Unread {
        /// They are gone for good.
        is_gone: bool,
        /// Why.
        cause: String,
    },
    /// The process that was sending it died.
    Interrupted,
    /// It must not be sent: it would come back, or its rule allows no more.
    Stopped(String),
    /// The user dropped it.
    Dropped,
}

impl AttemptResult {
    /// Whether all recipients have it, so that its age does not matter.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Verdicts(verdicts) if verdicts.iter().all(|verdict| matches!(verdict, RecipientVerdict::Sent(_))))
    }
}

/// The time of a decision.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The clock's time.
    pub now: Timestamp,
    /// Whether the clock can be right. If it cannot, nothing is given up.
    pub is_plausible: bool,
}

/// The decision about an outbox item.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What happens to single recipients, if there are or were several.
    pub parts: RecipientResults,
    /// What happens to the item as a whole.
    pub fate: Fate,
    /// Whether the user is told, because the item has waited for a day.
    pub is_said: bool,
}

/// What happens to an item as a whole.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// All recipients have it, except those that were refused.
    Sent {
        /// The relay's words.
        said: String,
    },
    /// It will be tried again.
    Later {
        /// When.
        when: NextAttempt,
        /// Why it waits.
        why: String,
    },
    /// It will never be sent.
    GivenUp {
        /// Why.
        why: String,
        /// What happens to the message.
        message: KeptMessage,
    },
}

/// When an item is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAttempt {
    /// At this time.
    At(Timestamp),
    /// When the relay may be used again.
    Rested(Timestamp),
    /// After the other items: it was interrupted, but has not failed.
    InTurn(Timestamp),
    /// At its old due time: another process may have the config that it needs.
    AsBefore,
}

/// What happens to the message of an item that is given up. Nobody but the user is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptMessage {
    /// It is filed in the inbox with a notice, once, unless its decision has already filed it.
    InInbox,
    /// A notice contains what the desktop notification would have shown.
    AsNotice,
    /// Nothing; it is only logged.
    Unsaid,
    /// It can no longer be read, and a notice says so.
    Lost,
}

/// What happens to single recipients of an item with several.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RecipientResults {
    /// Recipients that got it in this attempt.
    pub reached: Vec<RecipientEnd>,
    /// Recipients that are given up while others have it or wait for it.
    pub refused: Vec<RecipientEnd>,
    /// Why they are given up, in one line.
    pub refusal: String,
    /// Recipients that still wait for it.
    pub waiting: Vec<String>,
}

impl Outcome {
    /// Decides what happens to an item after this result.
    pub fn of(row: &OutboxRow, came: AttemptResult, moment: Moment) -> Self {
        match came {
            AttemptResult::Verdicts(verdicts) => of_verdicts(row, verdicts, moment),
            AttemptResult::Unknown(cause) if row.telling.way.is_answer() => {
                Self::given_up(row, format!("given up, because it may have been sent: {cause}"))
            }
            AttemptResult::Unknown(cause) => retry_or_give_up(row, cause, moment, kept(&row.telling.way)),
            AttemptResult::Resting { until, failures, is_away, cause } => {
                let is_said = !is_away && is_said(row, moment);
                if failures >= FAILURES_BEFORE_GIVING_UP && is_too_old(row, moment.now) && moment.is_plausible {
                    let why = format!("it could not be sent in time; the last answer was: {cause}");
                    return Self { is_said, ..Self::given_up(row, why) };
                }
                Self { is_said, ..Self::later(NextAttempt::Rested(until), cause) }
            }
            // Sent from a user's own address instead, a bounce would come back as a bounce about itself.
            AttemptResult::NotFrom { is_null: true, cause } if matches!(row.telling.way, Way::Redirect(_)) => {
                Self::given_up(row, cause)
            }
            AttemptResult::NotFrom { cause, .. } => retry_or_give_up(row, cause, moment, kept(&row.telling.way)),
            AttemptResult::Lacks(cause) => {
                Self { is_said: is_said(row, moment), ..Self::later(NextAttempt::AsBefore, cause) }
            }
            AttemptResult::Unread { is_gone: true, cause } => {
                Self::new(Fate::GivenUp { why: cause, message: KeptMessage::Lost })
            }
            AttemptResult::Unread { cause, .. } => retry_or_give_up(row, cause, moment, KeptMessage::Lost),
            AttemptResult::Interrupted if row.telling.way.is_answer() => {
                Self::given_up(row, "given up: it may have been sent when the program was interrupted")
            }
            AttemptResult::Interrupted => {
                Self::later(NextAttempt::InTurn(after_an_interruption(row, moment.now)), row.said.clone())
            }
            AttemptResult::Stopped(why) => Self::given_up(row, why),
            AttemptResult::Dropped => {
                let message = match kept(&row.telling.way) {
                    // The user knows about it and wants no notice.
                    KeptMessage::AsNotice => KeptMessage::Unsaid,
                    kept => kept,
                };
                Self::new(Fate::GivenUp { why: "dropped by the user".to_owned(), message })
            }
        }
    }

    fn new(fate: Fate) -> Self {
        Self { parts: RecipientResults::default(), fate, is_said: false }
    }

    fn later(when: NextAttempt, why: impl Into<String>) -> Self {
        Self::new(Fate::Later { when, why: why.into() })
    }

    fn given_up(row: &OutboxRow, why: impl Into<String>) -> Self {
        Self::new(Fate::GivenUp { why: why.into(), message: kept(&row.telling.way) })
    }
}

/// What happens to the message when its item is given up.
fn kept(way: &Way) -> KeptMessage {
    match way {
        way if way.delivers() => KeptMessage::InInbox,
        Way::Notify(notify) if notify.desktop => KeptMessage::AsNotice,
        _ => KeptMessage::Unsaid,
    }
}

/// Tries again later, or gives up if that would be too late.
fn retry_or_give_up(row: &OutboxRow, cause: String, moment: Moment, message: KeptMessage) -> Outcome {
    let fate = match next(row, row.attempts + 1, moment) {
        Some(due) => Fate::Later { when: NextAttempt::At(due), why: cause },
        None => Fate::GivenUp { why: cause, message },
    };
    Outcome { is_said: is_said(row, moment), ..Outcome::new(fate) }
}

/// The time of the next attempt after so many. `None`: it would be too late.
pub fn next(row: &OutboxRow, attempts: u32, moment: Moment) -> Option<Timestamp> {
    let Moment { now, is_plausible } = moment;
    // The item's number spreads the attempts as well as a random number, and always in the same way.
    let chance = (row.id.rem_euclid(97)) as f64 / 97.0;
    let next = retry::next(attempts, waits_since(row, now), now, retry::lifetime(&row.telling.way), chance);
    next.or_else(|| (!is_plausible).then(|| now.saturating_add(WAIT_FOR_CLOCK).unwrap_or(now)))
}

fn is_said(row: &OutboxRow, moment: Moment) -> bool {
    moment.is_plausible && has_waited_a_day(row, moment.now)
}

/// An item that was interrupted more than once is tried after the others, because it may be what kills the program.
fn after_an_interruption(row: &OutboxRow, now: Timestamp) -> Timestamp {
    if row.attempts > 1 { retry::after_an_interruption(row.attempts, now) } else { row.due }
}

/// The recipients, sorted by their verdicts, with the relay's words.
#[derive(Default)]
struct Sorted {
    said: Vec<(String, String)>,
    later: Vec<(String, String)>,
    never: Vec<(String, String)>,
}

impl Sorted {
    fn of(recipients: &[String], verdicts: Vec<RecipientVerdict>) -> Self {
        let mut sorted = Self::default();
        for (i, verdict) in verdicts.into_iter().enumerate() {
            let recipient = recipients.get(i).cloned().unwrap_or_default();
            match verdict {
                RecipientVerdict::Sent(words) => sorted.said.push((recipient, words)),
                RecipientVerdict::Later(error) => sorted.later.push((recipient, error.to_string())),
                RecipientVerdict::Never(error) => sorted.never.push((recipient, error.to_string())),
            }
        }
        // RFC 821 used 552 where 452 is meant now; RFC 5321 4.5.3.1.10 asks clients to treat it as 452.
        if !sorted.said.is_empty() {
            let too_many = sorted.never.extract_if(.., |(_, cause)| is_over_recipient_limit(cause));
            sorted.later.extend(too_many);
        }
        sorted
    }

    /// Why some recipients are given up, in one line. An item without recipients has just the cause.
    fn refusal(&self) -> String {
        let causes: Vec<String> = self.never.iter().map(|(to, cause)| format!("{to}: {cause}")).collect();
        clean::line(causes.join("; ").trim_start_matches(": ").as_bytes())
    }

    fn parts(&self, is_one_of_several: bool) -> RecipientResults {
        let ended = |(to, said): &(String, String), is_refused| RecipientEnd {
            to: to.clone(),
            is_refused,
            said: clean::line(said.as_bytes()),
        };
        let is_over_for_some = !self.said.is_empty() || !self.later.is_empty();
        let never = if is_over_for_some { &*self.never } else { &[] };
        RecipientResults {
            reached: self.said.iter().filter(|_| is_one_of_several).map(|one| ended(one, false)).collect(),
            refused: never.iter().map(|one| ended(one, true)).collect(),
            refusal: if never.is_empty() { String::new() } else { self.refusal() },
            waiting: self.later.iter().filter(|_| is_one_of_several).map(|(to, _)| to.clone()).collect(),
        }
    }
}

fn of_verdicts(row: &OutboxRow, verdicts: Vec<RecipientVerdict>, moment: Moment) -> Outcome {
    let to = row.telling.way.recipients();
    let sorted = Sorted::of(&to, verdicts);
    let parts = sorted.parts(to.len() > 1 || !row.ended.is_empty());
    let outcome = match sorted.later.first() {
        None if sorted.said.is_empty() && !sorted.never.is_empty() => Outcome::given_up(row, sorted.refusal()),
        None => {
            let said: Vec<&str> = sorted.said.iter().map(|(_, words)| words.as_str()).collect();
            Outcome::new(Fate::Sent { said: clean::line(said.join("; ").as_bytes()) })
        }
        Some((_, cause)) => {
            let why = clean::line(cause.as_bytes());
            // The server accepts only this many recipients at a time, and has accepted them. The others are tried at once (RFC
            // 5321 4.5.3.1.10).
            match !sorted.said.is_empty() && sorted.later.iter().all(|(_, cause)| is_over_recipient_limit(cause)) {
                true => Outcome::later(NextAttempt::At(moment.now), why),
                false => retry_or_give_up(row, why, moment, kept(&row.telling.way)),
            }
        }
    };
    Outcome { parts, ..outcome }
}

/// Whether a recipient was refused only because the server accepts no more at a time.
fn is_over_recipient_limit(cause: &str) -> bool {
    let cause = cause.to_lowercase();
    ["452", "552"].iter().any(|code| cause.contains(code))
        && ["4.5.3", "5.5.3", "too many"].iter().any(|words| cause.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{EnvelopeFrom, Lmtp, Notify, Redirect, RedirectMode, Reject, Telling};
    use crate::error::{Error, Kind};
    use crate::state::OutboxState;

    const NOW: i64 = 1_800_000_000;

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn moment(is_plausible: bool) -> Moment {
        Moment { now: time(NOW), is_plausible }
    }

    fn forward(to: &[&str]) -> Way {
        let to = to.iter().map(|to| (*to).to_owned()).collect();
        Way::Redirect(Redirect { to, mode: RedirectMode::default(), envelope_from: EnvelopeFrom::default() })
    }

    fn answer() -> Way {
        Way::Reject(Reject { text: "no".to_owned(), to: "ann@far.example".to_owned() })
    }

    fn desktop() -> Way {
        let (title, text) = ("New".to_owned(), "Mail".to_owned());
        Way::Notify(Notify {
            run: None,
            mail: None,
            webhook: None,
            desktop: true,
            title,
            text,
            importance: Default::default(),
        })
    }

    fn row(way: Way, hours: i64, attempts: u32) -> OutboxRow {
        let at = time(NOW - hours * 3600);
        OutboxRow {
            id: 0,
            entry: 1,
            account: "home".to_owned(),
            folder: "INBOX".to_owned(),
            n: 0,
            telling: Telling { version: 0, relay: None, way },
            ended: Vec::new(),
            bytes: "/spool/1".into(),
            state: OutboxState::Sending,
            attempts,
            due: at,
            at,
            since: at,
            said: "earlier".to_owned(),
            changed: at,
            copy: None,
        }
    }

    fn ok() -> RecipientVerdict {
        RecipientVerdict::Sent("250 ok".to_owned())
    }

    fn not_now(text: &str) -> RecipientVerdict {
        RecipientVerdict::Later(Error::transient(Kind::Refused, text))
    }

    fn never(text: &str) -> RecipientVerdict {
        RecipientVerdict::Never(Error::permanent(Kind::Refused, text))
    }

    fn away(failures: u32, is_away: bool) -> AttemptResult {
        AttemptResult::Resting { until: time(NOW + 60), failures, is_away, cause: "away".to_owned() }
    }

    fn not_from(is_null: bool) -> AttemptResult {
        AttemptResult::NotFrom { is_null, cause: "553".to_owned() }
    }

    fn unread(is_gone: bool) -> AttemptResult {
        AttemptResult::Unread { is_gone, cause: "EIO".to_owned() }
    }

    /// For example `later +240 s: 451`, with a leading `!` if the user is told.
    fn shown(outcome: &Outcome) -> String {
        let said = if outcome.is_said { "!" } else { "" };
        let fate = match &outcome.fate {
            Fate::Sent { said } => format!("sent: {said}"),
            Fate::Later { when: NextAttempt::At(at), why } => format!("later {:+} s: {why}", at.as_second() - NOW),
            Fate::Later { when: NextAttempt::Rested(at), why } => format!("rests {:+} s: {why}", at.as_second() - NOW),
            Fate::Later { when: NextAttempt::InTurn(at), why } => {
                format!("in turn {:+} s: {why}", at.as_second() - NOW)
            }
            Fate::Later { when: NextAttempt::AsBefore, why } => format!("later, as before: {why}"),
            Fate::GivenUp { why, message } => format!("given up, {message:?}: {why}"),
        };
        let of = |ended: &[RecipientEnd]| ended.iter().map(|ended| ended.to.clone()).collect::<Vec<_>>().join(" ");
        let RecipientResults { reached, refused, waiting, .. } = &outcome.parts;
        let parts = [("has it", of(reached)), ("refused", of(refused)), ("waits", waiting.join(" "))];
        let parts: String =
            parts.iter().filter(|(_, who)| !who.is_empty()).map(|(w, who)| format!("; {w}: {who}")).collect();
        format!("{said}{fate}{parts}")
    }

    #[test]
    fn what_becomes_of_a_row() {
        let one = || forward(&["you@far.example"]);
        let gone = "given up: it may have been sent when the program was interrupted";
        // The item, how many hours ago it was decided, the attempts before, the result of this one, and the expected decision.
        let table: Vec<(Way, i64, u32, AttemptResult, String)> = vec![
            (one(), 0, 0, AttemptResult::Verdicts(vec![ok()]), "sent: 250 ok".into()),
            (one(), 999, 9, AttemptResult::Verdicts(vec![ok()]), "sent: 250 ok".into()),
            (one(), 0, 0, AttemptResult::Verdicts(vec![not_now("451")]), "later +240 s: 451".into()),
            (one(), 0, 1, AttemptResult::Verdicts(vec![not_now("451")]), "later +720 s: 451".into()),
            (one(), 21, 8, AttemptResult::Verdicts(vec![not_now("451")]), "!later +8640 s: 451".into()),
            (one(), 120, 40, AttemptResult::Verdicts(vec![not_now("451")]), "!given up, InInbox: 451".into()),
            (answer(), 24, 9, AttemptResult::Verdicts(vec![not_now("451")]), "!given up, InInbox: 451".into()),
            (desktop(), 24, 9, AttemptResult::Verdicts(vec![not_now("75")]), "!given up, AsNotice: 75".into()),
            (
                one(),
                0,
                0,
                AttemptResult::Verdicts(vec![never("550")]),
                "given up, InInbox: you@far.example: 550".into(),
            ),
            (desktop(), 0, 0, AttemptResult::Verdicts(vec![never("no bus")]), "given up, AsNotice: no bus".into()),
            (one(), 0, 0, AttemptResult::Unknown("cut".into()), "later +240 s: cut".into()),
            (
                answer(),
                0,
                0,
                AttemptResult::Unknown("cut".into()),
                "given up, InInbox: given up, because it may have been sent: cut".into(),
            ),
            (one(), 0, 0, away(1, true), "rests +60 s: away".into()),
            (one(), 21, 0, away(9, true), "rests +60 s: away".into()),
            (one(), 21, 0, away(9, false), "!rests +60 s: away".into()),
            (one(), 999, 0, away(4, true), "rests +60 s: away".into()),
            (
                one(),
                121,
                0,
                away(5, true),
                "given up, InInbox: it could not be sent in time; the last answer was: away".into(),
            ),
            (one(), 0, 0, not_from(true), "given up, InInbox: 553".into()),
            (one(), 0, 0, not_from(false), "later +240 s: 553".into()),
            (answer(), 0, 0, not_from(true), "later +240 s: 553".into()),
            (one(), 0, 0, AttemptResult::Lacks("no relay".into()), "later, as before: no relay".into()),
            (one(), 999, 0, AttemptResult::Lacks("no relay".into()), "!later, as before: no relay".into()),
            (one(), 0, 0, unread(true), "given up, Lost: EIO".into()),
            (one(), 0, 0, unread(false), "later +240 s: EIO".into()),
            (one(), 121, 0, unread(false), "!given up, Lost: EIO".into()),
            (one(), 1, 1, AttemptResult::Interrupted, "in turn -3600 s: earlier".into()),
            (one(), 1, 2, AttemptResult::Interrupted, "in turn +300 s: earlier".into()),
            (answer(), 0, 1, AttemptResult::Interrupted, format!("given up, InInbox: {gone}")),
            (one(), 0, 0, AttemptResult::Stopped("a loop".into()), "given up, InInbox: a loop".into()),
            (one(), 0, 0, AttemptResult::Dropped, "given up, InInbox: dropped by the user".into()),
            (desktop(), 0, 0, AttemptResult::Stopped("a loop".into()), "given up, AsNotice: a loop".into()),
            (desktop(), 0, 0, AttemptResult::Dropped, "given up, Unsaid: dropped by the user".into()),
        ];
        for (way, hours, attempts, came, wanted) in table {
            let case = format!("{} {hours} {attempts} {came:?}", way.word());
            let outcome = Outcome::of(&row(way, hours, attempts), came, moment(true));
            assert_eq!(shown(&outcome), wanted, "{case}");
        }
    }

    #[test]
    fn by_a_clock_that_may_be_wrong_nothing_is_given_up_and_nothing_is_said() {
        for (came, wanted) in [
            (AttemptResult::Verdicts(vec![not_now("451")]), "later +3600 s: 451"),
            (unread(false), "later +3600 s: EIO"),
            (away(9, false), "rests +60 s: away"),
            (AttemptResult::Lacks("no relay".to_owned()), "later, as before: no relay"),
        ] {
            let outcome = Outcome::of(&row(forward(&["you@far.example"]), 999, 40), came, moment(false));
            assert_eq!(shown(&outcome), wanted);
        }
    }

    #[test]
    fn what_becomes_of_several_recipients() {
        let full = || not_now("452 4.5.3 too many");
        for (verdicts, wanted) in [
            (vec![ok(), ok(), ok()], "sent: 250 ok; 250 ok; 250 ok; has it: a b c"),
            (vec![ok(), never("550"), ok()], "sent: 250 ok; 250 ok; has it: a c; refused: b"),
            (vec![ok(), not_now("451"), never("550")], "later +240 s: 451; has it: a; refused: c; waits: b"),
            (vec![not_now("451"), not_now("452"), never("550")], "later +240 s: 451; refused: c; waits: a b"),
            (vec![never("550"), never("551"), never("552")], "given up, InInbox: a: 550; b: 551; c: 552"),
            (vec![ok(), full(), full()], "later +0 s: 452 4.5.3 too many; has it: a; waits: b c"),
            (vec![ok(), ok(), never("552 too many")], "later +0 s: 552 too many; has it: a b; waits: c"),
            (vec![full(), full(), full()], "later +240 s: 452 4.5.3 too many; waits: a b c"),
        ] {
            let outcome =
                Outcome::of(&row(forward(&["a", "b", "c"]), 0, 0), AttemptResult::Verdicts(verdicts), moment(true));
            assert_eq!(shown(&outcome), wanted);
        }
        // The last of several recipients.
        let left = OutboxRow {
            ended: vec![RecipientEnd { to: "a".to_owned(), is_refused: false, said: "250".to_owned() }],
            ..row(Way::Lmtp(Lmtp { to: vec!["b".to_owned()] }), 0, 1)
        };
        let of = |verdict| shown(&Outcome::of(&left, AttemptResult::Verdicts(vec![verdict]), moment(true)));
        assert_eq!(of(ok()), "sent: 250 ok; has it: b");
        assert_eq!(of(never("550")), "given up, InInbox: b: 550");
    }
}
