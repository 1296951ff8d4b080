//! Row A32: nothing is sent about old mail.

use std::time::Duration;

use super::asking::Break;
use super::guard::{Refusal, refusal};
use super::run::Run;

/// Notifications are sent only for mail that is not older than this.
pub(super) const NEW_FOR: Duration = Duration::from_secs(86_400);

/// The refusal because of the age of the message.
pub(super) fn by_age(run: &Run<'_>, max_age: Duration) -> Option<Refusal> {
    let now = run.asking.now().timestamp();
    let age = now.duration_since(run.asking.envelope.arrived);
    let is_old = age > jiff::SignedDuration::try_from(max_age).unwrap_or(jiff::SignedDuration::MAX);
    if is_old { refusal("A32", "the message is old") } else { None }
}

/// The refusal of mail from before the first run. A new user has answered that mail already, or does not want to.
pub(super) fn stood() -> Refusal {
    Refusal { row: "A32", why: "the message stood on the server before the account's first run".to_owned() }
}

/// The refusal of mail from before the first run, or from before its folder was read for the first time.
pub(super) fn by_first_look(run: &Run<'_>) -> Result<Option<Refusal>, Break> {
    if run.asking.stood()? {
        return Ok(Some(stood()));
    }
    let was_there = run.asking.first_look().is_some_and(|first| run.asking.envelope.arrived <= first);
    Ok(if was_there { refusal("A32", "the message was there before the folder was first looked at") } else { None })
}
