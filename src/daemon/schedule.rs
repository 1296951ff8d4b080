//! When an account is looked at again: pure.

use std::time::Duration;

use crate::error::Kind;
use crate::pass::Report;

/// After refused credentials: trying the same password every few minutes gets accounts locked.
const AFTER_REFUSED_LOGIN: Duration = Duration::from_secs(3600);

/// The time from the end of a pass to the next one.
pub(super) fn until_next(poll: Duration, last: &Report) -> Duration {
    if last.errors.iter().any(|e| matches!(e.kind(), Kind::Auth | Kind::Login)) {
        poll.max(AFTER_REFUSED_LOGIN)
    } else {
        poll
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_refused_password_is_not_tried_every_minute() {
        let minute = Duration::from_secs(60);
        let mut report = Report::of("work");
        assert_eq!(until_next(minute, &report), minute);
        report.errors.push(Error::permanent(Kind::Auth, "no"));
        assert_eq!(until_next(minute, &report), AFTER_REFUSED_LOGIN);
    }
}
