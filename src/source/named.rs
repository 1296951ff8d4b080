//! Makes unique ids from names that a server, or the content of messages, provides. Several messages may have the same name.

/// Messages with their ids, in the server's order.
#[derive(Debug, Default)]
pub(super) struct NamedMessages<N> {
    /// Each message with its unique id.
    pub(super) messages: Vec<(Vec<u8>, N)>,
    /// The ids of messages whose name an earlier message has too.
    pub(super) doubled: Vec<Vec<u8>>,
}

impl<N> NamedMessages<N> {
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

/// For each message, how many before it have the same name. It sorts, because a map would hold all names once more.
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

/// The name of a message from a hash: of its header block, or of the header fields that stay the same on all servers.
pub(super) fn by_content(hash: [u8; 16]) -> Vec<u8> {
    data_encoding::HEXLOWER.encode(&hash).into_bytes()
}

/// The first message with a name gets the name as its id. Later ones get a number after a NUL, which no name contains.
fn with_ordinal(mut name: Vec<u8>, ordinal: u32) -> Vec<u8> {
    if ordinal > 0 {
        name.push(0);
        name.extend(ordinal.to_string().bytes());
    }
    name
}
