//! Explain: shows the decision that the rules would make about a message now, step by step. Nothing is done.

use std::sync::Arc;

use jiff::Zoned;

use crate::decision::{Decision, Deferral};
use crate::filter::{Engine, Refusal, Trace};
use crate::message::{Envelope, Message};
use crate::pass::{FirstRunMessage, World, WorldFacts, first_run_of};

/// What the rules would decide about a message, and what led to it.
#[derive(Debug)]
pub struct Explanation {
    /// The decision.
    pub decision: Result<Decision, Deferral>,
    /// Every step.
    pub trace: Trace,
    /// The address that a `vacation` would answer, or why it would not. It answers only mail that is addressed to the
    /// user.
    pub vacation: Result<String, Refusal>,
    /// The same for a `reply`, which answers whatever its rule matched.
    pub reply: Result<String, Refusal>,
}

/// Asks the rules, at another time than now if one is given. Programs are started only with `run_programs`; otherwise
/// the trace says what would be run.
pub fn explain(
    world: &World,
    engine: &Engine,
    message: &Arc<Message>,
    envelope: &Envelope,
    run_programs: bool,
    at: Option<Zoned>,
) -> Explanation {
    let (key, arrived) = (&envelope.key, envelope.arrived);
    // The rules are explained even if the state cannot be read now.
    let first_run = first_run_of(&*world.store, &key.origin.account).unwrap_or_default();
    let came = first_run.map(|first_run| FirstRunMessage { key, arrived, first_run });
    let facts = WorldFacts { came, programs: run_programs, at, ..WorldFacts::new(world) };
    let (decision, trace) = engine.explain(message, envelope, &facts);
    let vacation = engine.would_answer(message, envelope, &facts, true);
    let reply = engine.would_answer(message, envelope, &facts, false);
    Explanation { decision, trace, vacation, reply }
}
