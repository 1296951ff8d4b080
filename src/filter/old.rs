//! Row A32: nobody is told of old mail.

use std::time::Duration;

use super::asking::Break;
use super::guard::{Refusal, refusal};
use super::run::Run;

/// A notification is about what is new.
pub(super) const NEW_FOR: Duration = Duration::from_secs(86_400);

/// By the age of the message.
pub(super) fn by_age(run: &Run<'_>, max_age: Duration) -> Option<Refusal> {
    let now = run.asking.now().timestamp();
    let age = now.duration_since(run.asking.envelope.arrived);
    let is_old = age > jiff::SignedDuration::try_from(max_age).unwrap_or(jiff::SignedDuration::MAX);
    if is_old { refusal("A32", "the message is old") } else { None }
}

/// Whoever begins to use the program has answered his old mail, or does not want to any more.
pub(super) fn stood() -> Refusal {
    Refusal { row: "A32", why: "the message stood on the server before the account's first run".to_owned() }
}

/// What an answer or a notification must not be about: also what was there before a folder was looked at.
pub(super) fn by_first_look(run: &Run<'_>) -> Result<Option<Refusal>, Break> {
    if run.asking.stood()? {
        return Ok(Some(stood()));
    }
    let was_there = run.asking.first_look().is_some_and(|first| run.asking.envelope.arrived <= first);
    Ok(if was_there { refusal("A32", "the message was there before the folder was first looked at") } else { None })
}
