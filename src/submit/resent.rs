//! Mail that is resent unchanged (RFC 5322 3.6.6).

use crate::message::{Field, Message};

/// Each of these fields occurs once in a resending. A second one starts an older resending.
const ONCE_PER_RESENDING: [&str; 4] = ["Resent-Date", "Resent-From", "Resent-Sender", "Resent-Message-ID"];

/// The fields of the newest resending, which is prepended to older ones; none if there is no resending. Fields after a
/// Received field in between are older.
pub(super) fn newest(message: &Message) -> Vec<&Field> {
    let mut newest: Vec<&Field> = Vec::new();
    for field in message.fields() {
        let is_again = ONCE_PER_RESENDING
            .iter()
            .any(|name| field.is_named(name) && newest.iter().any(|known| known.is_named(name)));
        if is_again || !newest.is_empty() && field.is_named("Received") {
            break;
        }
        if is_resent(field) {
            newest.push(field);
        }
    }
    newest
}

fn is_resent(field: &Field) -> bool {
    field.name().get(..7).is_some_and(|begin| begin.eq_ignore_ascii_case("Resent-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Bytes;

    fn names(head: &str) -> Vec<String> {
        let message = Message::new(Bytes::Memory(format!("{head}\n\nx\n").into_bytes()));
        newest(&message).into_iter().map(|field| field.value().to_owned()).collect()
    }

    #[test]
    fn the_newest_resending_is_the_first_one() {
        assert_eq!(names("From: a@b.example\nTo: c@d.example"), Vec::<String>::new());
        assert_eq!(names("Resent-From: 1\nFrom: a@b.example\nResent-To: 2"), ["1", "2"]);
        assert_eq!(names("Received: r\nResent-From: 1\nResent-To: 2\nReceived: r\nResent-From: 3"), ["1", "2"]);
        assert_eq!(names("Resent-From: 1\nResent-To: 2\nresent-to: 3\nResent-From: 4\nResent-To: 5"), ["1", "2", "3"]);
    }
}
