//! The arrival time of a message, for POP3, where the server does not give it.

use jiff::Timestamp;

use crate::message::{Bytes, Message, head_of};

/// The date of the topmost Received field, which the user's own server wrote, or else of the Date field. A time in the
/// future is replaced by now, because some senders' clocks are wrong.
pub(super) fn arrival(message: &[u8], now: Timestamp) -> Option<Timestamp> {
    arrival_of(&Message::new(Bytes::Memory(head_of(message).to_vec())), now)
}

/// The same for a parsed message.
pub(crate) fn arrival_of(message: &Message, now: Timestamp) -> Option<Timestamp> {
    let received = message.first("Received").and_then(|value| value.rsplit_once(';')).map(|(_, date)| date);
    let seconds = |date: &str| mailparse::dateparse(date.trim()).ok();
    let second = received.and_then(seconds).or_else(|| message.first("Date").and_then(seconds))?;
    Timestamp::from_second(second).ok().map(|arrived| arrived.min(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrival_prefers_the_last_hop() {
        let now = "2026-11-20T12:00:00Z".parse().unwrap();
        let head = b"Received: from a by b; Tue, 3 Nov 2026 10:00:00 +0100\nDate: Mon, 2 Nov 2026 10:00:00 +0000\n";
        assert_eq!(arrival(head, now), "2026-11-03T09:00:00Z".parse().ok());
        assert_eq!(arrival(b"Date: Mon, 2 Nov 2026 10:00:00 +0000\n", now), "2026-11-02T10:00:00Z".parse().ok());
        assert_eq!(arrival(b"Date: Mon, 2 Nov 2037 10:00:00 +0000\n\nx", now), Some(now));
        assert_eq!(arrival(b"Subject: x\n\nDate: Mon, 2 Nov 2026 10:00:00 +0000\n", now), None);
    }
}
