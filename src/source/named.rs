//! Ids out of names that a server, or the content of messages, gives: several messages may have one name.

use std::collections::HashMap;

/// Messages by their names, in the order of the server.
#[derive(Debug, Default)]
pub(super) struct Named<N> {
    /// Each with an id of its own.
    pub(super) messages: Vec<(Vec<u8>, N)>,
    /// The ids of those whose name another one had before.
    pub(super) doubled: Vec<Vec<u8>>,
}

impl<N> Named<N> {
    pub(super) fn new(named: impl IntoIterator<Item = (N, Vec<u8>)>) -> Self {
        let mut ordinals: HashMap<Vec<u8>, u32> = HashMap::new();
        let (mut messages, mut doubled) = (Vec::new(), Vec::new());
        for (message, name) in named {
            let ordinal = ordinals.entry(name.clone()).or_default();
            let id = with_ordinal(name, *ordinal);
            if *ordinal > 0 {
                doubled.push(id.clone());
            }
            *ordinal += 1;
            messages.push((id, message));
        }
        Self { messages, doubled }
    }
}

/// The id of a message without a name of its own: a hash of its header block, or of what names the mail in it.
pub(super) fn by_content(hash: [u8; 16]) -> Vec<u8> {
    data_encoding::HEXLOWER.encode(&hash).into_bytes()
}

/// The first message of a name has the name as its id; its namesakes get a number behind a byte that no name holds.
fn with_ordinal(mut name: Vec<u8>, ordinal: u32) -> Vec<u8> {
    if ordinal > 0 {
        name.push(0);
        name.extend(ordinal.to_string().bytes());
    }
    name
}
