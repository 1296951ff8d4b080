//! Decide: asks the rules about each message of a batch, in order, and handles what they cannot answer.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use jiff::SignedDuration;

use super::commit::Committer;
use super::facts::WorldFacts;
use super::plan::{Decided, writes};
use super::stood::FirstRunMessage;
use super::untold::untold;
use super::{Cause, Notice, World};
use crate::clean;
use crate::decision::{Decision, Deferral, Write};
use crate::error::{Error, Kind, Result};
use crate::filter::{Engine, Facts};
use crate::message::{Bytes, Envelope, Key, Message, Origin};
use crate::source::Fetched;
use crate::state::Trouble;

/// After the program has died this many times while deciding about a message, the message is filed without its rules.
const MAX_CRASHES: u32 = 2;
/// The recorded cause of such a death.
pub const DIED: &str = "the program died while deciding about it";
/// How often a message may be deferred,
const MAX_DEFERRALS: u32 = 10;
/// and for how long. Then it is kept.
const LONGEST_DEFERRAL: SignedDuration = SignedDuration::from_hours(24);

/// What decides about messages: compiled rules, the newest rules of a daemon, or a substitute in tests.
pub trait Decide: std::fmt::Debug + Send + Sync {
    /// Decides about a message, or asks to be asked later.
    fn decide(&self, message: &Arc<Message>, envelope: &Envelope, facts: &dyn Facts) -> Result<Decision, Deferral>;
}

impl Decide for Engine {
    fn decide(&self, message: &Arc<Message>, envelope: &Envelope, facts: &dyn Facts) -> Result<Decision, Deferral> {
        Engine::decide(self, message, envelope, facts)
    }
}

/// A message that waits for its decision.
#[derive(Debug)]
pub(super) struct Arrived {
    envelope: Envelope,
    message: Arc<Message>,
    /// Why the rules are not asked again: the message was deferred for too long.
    given_up: Option<String>,
}

impl Arrived {
    pub(super) fn new(world: &World, Fetched { envelope, bytes, .. }: Fetched) -> Self {
        Self { envelope, message: Arc::new(world.message(bytes)), given_up: None }
    }
}

/// What the rules said about a message.
enum Verdict {
    Decided(Decision),
    Later(Deferral),
}

impl Committer {
    /// Decides about a batch. It removes the messages that are deferred from `arrived`.
    pub(super) fn decide_all(&mut self, arrived: &mut Vec<Arrived>, notices: &mut Vec<Notice>) -> Result<Vec<Decided>> {
        let mut decided: Vec<Decided> = Vec::with_capacity(arrived.len());
        let mut earlier = Vec::new();
        for mut one in std::mem::take(arrived) {
            let decision = match self.ask_rules(&one, &earlier, notices)? {
                Verdict::Decided(decision) => decision,
                Verdict::Later(deferral) => match self.defer(&one, &deferral)? {
                    Some(given_up) => {
                        one.given_up = Some(given_up);
                        self.kept_after_deferrals(&one, notices)
                    }
                    None => continue,
                },
            };
            let decision = untold(&self.filer.world, decision, &one.envelope, &one.message)?;
            let (envelope, message) = (one.envelope.clone(), Arc::clone(&one.message));
            decided.push(Decided { envelope, message, decision, base: None });
            earlier.extend(decided.last().map(|last| writes(std::slice::from_ref(last))).unwrap_or_default());
            arrived.push(one);
        }
        self.filer.world.store.deciding(&self.filer.owned, None)?;
        Ok(decided)
    }

    fn ask_rules(&self, one: &Arrived, earlier: &[Write], notices: &mut Vec<Notice>) -> Result<Verdict> {
        let Arrived { envelope, message, given_up } = one;
        if given_up.is_some() {
            return Ok(Verdict::Decided(self.kept_after_deferrals(one, notices)));
        }
        let died = self.attempts.get(&envelope.key.id).filter(|attempt| attempt.trouble == Trouble::Died);
        if died.is_some_and(|attempt| attempt.count >= MAX_CRASHES) {
            notices.push(self.unfiltered_notice(Cause::Crashed, one, DIED));
            let decision = Decision::keep("filed without rules: the program died twice while deciding about it");
            return Ok(Verdict::Decided(decision));
        }
        self.filer.world.store.deciding(&self.filer.owned, Some(&envelope.key))?;
        let (key, arrived) = (&envelope.key, envelope.arrived);
        let came = self.first_run.map(|first_run| FirstRunMessage { key, arrived, first_run });
        let first_look = self.first_look;
        let facts = WorldFacts { earlier, first_look, came, programs: true, ..WorldFacts::new(&self.filer.world) };
        // A rule cannot panic itself, but a library below it might.
        let seen = self.as_seen(envelope);
        let asked = catch_unwind(AssertUnwindSafe(|| self.engine.decide(message, &seen, &facts)));
        if facts.is_broken_off.into_inner() {
            let text = format!("{key}: a program that a rule asked was ended, because mailsluice is stopping");
            return Err(Error::transient(Kind::Busy, text));
        }
        Ok(match asked {
            Ok(Ok(decision)) if decision.failures.is_empty() => Verdict::Decided(decision),
            Ok(Ok(decision)) => Verdict::Decided(self.kept_after_failures(one, decision, notices)),
            Ok(Err(deferral)) => Verdict::Later(deferral),
            Err(_) => {
                notices.push(self.unfiltered_notice(Cause::RulesFailed, one, "the rules failed on it"));
                Verdict::Decided(Decision::keep("kept: the rules failed on it"))
            }
        })
    }

    /// Rules know an account by its current name.
    fn as_seen<'e>(&self, envelope: &'e Envelope) -> Cow<'e, Envelope> {
        let origin = &envelope.key.origin;
        if origin.account == self.filer.account || origin.account != self.filer.owned.space() {
            return Cow::Borrowed(envelope);
        }
        let called = Arc::new(Origin { account: self.filer.account.clone(), ..(**origin).clone() });
        Cow::Owned(Envelope { key: Key::new(&called, envelope.key.id.clone()), ..envelope.clone() })
    }

    /// Does nothing of what the rules wanted, and keeps what they noted.
    fn kept_after_failures(&self, one: &Arrived, failed: Decision, notices: &mut Vec<Notice>) -> Decision {
        let Decision { rules, mut why, mut notes, failures, .. } = failed;
        let causes = failures.iter().map(|failure| {
            let (rule, cause) = (clean::short(&failure.rule, 100), clean::line(failure.cause.as_bytes()));
            format!("the rule `{rule}` failed: {cause}")
        });
        let causes: Vec<String> = causes.collect();
        notices.push(self.unfiltered_notice(Cause::RulesFailed, one, &causes.join("; ")));
        notes.extend(causes);
        why.push("kept: a rule failed on it".to_owned());
        let Decision { actions, .. } = Decision::keep("");
        Decision { actions, rules, why, notes, ..Decision::default() }
    }

    fn kept_after_deferrals(&self, one: &Arrived, notices: &mut Vec<Notice>) -> Decision {
        let why = one.given_up.as_deref().unwrap_or_default();
        notices.push(self.unfiltered_notice(Cause::Deferred, one, why));
        Decision::keep(format!("kept: {why}"))
    }

    /// Counts a deferral. Returns the cause when the message was deferred for too long.
    fn defer(&mut self, one: &Arrived, deferral: &Deferral) -> Result<Option<String>> {
        let key = &one.envelope.key;
        let now = self.filer.world.now();
        let (rule, cause) = (clean::short(&deferral.rule, 100), clean::line(deferral.cause.as_bytes()));
        let cause = format!("the rule `{rule}` deferred it: {cause}");
        let attempt = self.filer.world.store.attempt(&self.filer.owned, key, Trouble::Deferred, &cause, now)?;
        let is_too_old =
            now.duration_since(attempt.first) >= LONGEST_DEFERRAL && self.filer.world.is_time_plausible()?;
        if attempt.count >= MAX_DEFERRALS || is_too_old {
            return Ok(Some(format!("{cause} ({} times since {})", attempt.count, attempt.first)));
        }
        self.filer.report.deferred += 1;
        self.filer.report.remarks.push(format!("{key}: {cause} (attempt {} of {MAX_DEFERRALS})", attempt.count));
        if let Bytes::Spooled { path, .. } = one.message.bytes() {
            super::leftovers::remove(&self.filer.world, path)?;
        }
        Ok(None)
    }

    /// The notice about a message that is in the inbox although no rule put it there.
    fn unfiltered_notice(&self, cause: Cause, one: &Arrived, why: &str) -> Notice {
        let subject = clean::short(one.message.first("Subject").unwrap_or_default(), 200);
        let text = unfiltered_text(&one.envelope.key, &subject, why);
        Notice { cause, account: self.filer.account.clone(), text }
    }
}

fn unfiltered_text(key: &Key, subject: &str, why: &str) -> String {
    let about = if subject.is_empty() { String::new() } else { format!(" ({subject})") };
    format!("The message {key}{about}: {why}.\n\nIt is in the inbox, unfiltered, and nothing of it was lost.")
}
