//! Ids out of names that a server, or the content of messages, gives: several messages may have one name.

/// Messages by their names, in the order of the server.
#[derive(Debug, Default)]
pub(super) struct Named<N> {
    /// Each with an id of its own.
    pub(super) messages: Vec<(Vec<u8>, N)>,
    /// The ids of those whose name another one had before.
    pub(super) doubled: Vec<Vec<u8>>,
}

impl<N> Named<N> {
    pub(super) fn new(named: Vec<(N, Vec<u8>)>) -> Self {
        let ordinals = ordinals(&named);
        let mut doubled = Vec::new();
        let messages = named.into_iter().zip(ordinals).map(|((message, name), ordinal)| {
            let id = with_ordinal(name, ordinal);
            if ordinal > 0 {
                doubled.push(id.clone());
            }
            (id, message)
        });
        let messages = messages.collect();
        Self { messages, doubled }
    }
}

/// How many of the same name stand before each. A table of the names would hold them all once more.
fn ordinals<N>(named: &[(N, Vec<u8>)]) -> Vec<u32> {
    let name = |at: usize| &named[at].1;
    let mut by_name: Vec<usize> = (0..named.len()).collect();
    by_name.sort_unstable_by(|a, b| name(*a).cmp(name(*b)).then(a.cmp(b)));
    let mut ordinals = vec![0; named.len()];
    for pair in by_name.windows(2) {
        if name(pair[0]) == name(pair[1]) {
            ordinals[pair[1]] = ordinals[pair[0]] + 1;
        }
    }
    ordinals
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
