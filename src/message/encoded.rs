//! Encoded messages within messages. RFC 2046 5.2.1 forbids them, but some programs write them and mail readers open
//! them. So the names of the files in such a message count as names of the part that holds it.

use super::mime::Structure;
use super::text::{self, TextPlaces};
use super::violations::note;
use super::{Bytes, Message, Violation, to_lf};

/// How many bytes of encoded messages are examined in one message.
const MAX_ENCODED: usize = 8 * 1024 * 1024;
/// Encoded messages are read down to this depth.
const MAX_NESTED: usize = 3;

/// Reads all encoded messages.
pub(super) fn look_into(message: &Message, all: &mut Structure) {
    let mut left = MAX_ENCODED;
    let mut places = TextPlaces::of(message);
    let Structure { parts, violations } = all;
    for part in parts.iter_mut().filter(|part| part.is_encoded_message()) {
        note(violations, Violation::EncodedMessage);
        if message.nested >= MAX_NESTED {
            return note(violations, Violation::TooDeep);
        }
        if left == 0 {
            return note(violations, Violation::TooManyParts);
        }
        let walker = match places.walker(part.body().start) {
            Ok(walker) => walker,
            Err(violation) => return note(violations, violation),
        };
        let decoded = text::decode(walker, part, part.body(), left);
        if decoded.is_cut {
            note(violations, Violation::TooManyParts);
        }
        left -= decoded.bytes.len();
        let mut inner = Message::new(Bytes::Memory(to_lf(&decoded.bytes))).assuming(&message.assumed);
        inner.nested = message.nested + 1;
        inner.parts().iter().flat_map(|inside| inside.file_names()).for_each(|name| part.names_mut().add_all_of(name));
        if part.names().is_cut() {
            note(violations, Violation::TooManyNames);
        }
        inner.violations().into_iter().for_each(|violation| note(violations, violation));
    }
}
