//! What a server reports about a folder that is not open, or about a mailbox without listing it.

/// What a server reports about a folder without opening it (STATUS, RFC 3501 6.3.10). A value that is missing or
/// invalid is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// UIDVALIDITY. Never 0.
    pub generation: Option<u32>,
    /// UIDNEXT, the UID of the next message that arrives. Never 0.
    pub uid_next: Option<u32>,
    /// The number of messages.
    pub exists: Option<u32>,
    /// HIGHESTMODSEQ (RFC 7162). Never 0, which means that the folder has none.
    pub modseq: Option<u64>,
}

/// What a POP3 server reports about its mailbox without listing it (STAT, and UIDL with a number, RFC 1939).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The number of messages.
    pub count: u32,
    /// Their size in octets, as the server computes it.
    pub octets: u64,
    /// The UIDL of the first message, in the same form as `last_uidl`.
    pub first_uidl: Vec<u8>,
    /// The UIDL of the last message. It is hashed if it is too long, and empty if there are no messages.
    pub last_uidl: Vec<u8>,
}
