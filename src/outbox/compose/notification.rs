//! Composes a notification as mail (RFC 5436).

use super::{Desk, HeaderWriter, bare, body};
use crate::decision::{Importance, Notify};
use crate::message::{Bytes, Message};

/// The longest text of a notification, in bytes.
const LONGEST_TEXT_BYTES: usize = 4 * 1024;

/// A short message to the user.
pub fn notification(notify: &Notify, to: &str, desk: &Desk<'_>) -> Message {
    let mut head = HeaderWriter::default();
    // Tells the receiver that the message is automatic and whose it is (RFC 5436 2.7.1).
    head.add("Auto-Submitted", &format!("auto-notified; owner-email=\"{}\"", bare(desk.from)));
    head.add("From", desk.from);
    head.add("To", to);
    head.add("Subject", &notify.title);
    head.add("Date", &desk.date());
    head.add("Message-ID", &desk.message_id());
    match notify.importance {
        Importance::High => head.add("Importance", "high"),
        Importance::Low => head.add("Importance", "low"),
        Importance::Normal => {}
    }
    head.add("MIME-Version", "1.0");
    let text = &notify.text[..notify.text.floor_char_boundary(LONGEST_TEXT_BYTES)];
    Message::new(Bytes::Memory(format!("{}{}", head.0, body::text_part(text)).into_bytes()))
}
