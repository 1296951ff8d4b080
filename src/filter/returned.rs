//! Recognises delivery reports about mail that we forwarded. The rule that forwarded the mail must not forward its
//! report: it would go to the address that could not be reached, and nobody would see it.

use crate::message::{Message, REDIRECTED_FROM};

/// How much of a report is examined, in bytes.
const MAX_REPORT_BYTES: usize = 256 * 1024;
/// The fields of a delivery report that name a recipient (RFC 3464 2.3.1 and 2.3.2; the last is Exchange's).
const RECIPIENTS: [&str; 3] = ["Final-Recipient", "Original-Recipient", "X-Actual-Recipient"];

/// Whether it is a report about a forward: the returned message has our field with an address of the user, or the
/// report is about one of these recipients.
pub(super) fn is_about_a_forward(message: &Message, is_own: &dyn Fn(&str) -> bool, to: &[String]) -> bool {
    if !message.is_bounce() && !message.is_report() {
        return false;
    }
    let body = message.raw_body(MAX_REPORT_BYTES);
    let is_to = |value: &str| {
        let address = value.rsplit(';').next().unwrap_or(value).trim().trim_matches(['<', '>']);
        to.iter().any(|to| to.eq_ignore_ascii_case(address))
    };
    let text = String::from_utf8_lossy(&body);
    text.lines().filter_map(|line| line.trim_start_matches(['>', ' ']).split_once(':')).any(|(name, value)| {
        name.eq_ignore_ascii_case(REDIRECTED_FROM) && is_own(value)
            || RECIPIENTS.iter().any(|field| name.eq_ignore_ascii_case(field)) && is_to(value)
    })
}
