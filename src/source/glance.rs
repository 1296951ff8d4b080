//! What a server says of a folder that is not opened, or of a mailbox that is not listed.

/// What a server says of a folder without opening it (STATUS, RFC 3501 6.3.10). What it does not say, or says with a number that
/// is none, is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// UIDVALIDITY; never 0.
    pub generation: Option<u32>,
    /// The UID of the next message that arrives; never 0.
    pub uid_next: Option<u32>,
    /// How many messages there are.
    pub exists: Option<u32>,
    /// HIGHESTMODSEQ (RFC 7162); never 0, which says that the folder has none.
    pub modseq: Option<u64>,
}

/// What a POP3 server says of its mailbox without listing it (STAT and UIDL with a number, RFC 1939).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// How many messages there are.
    pub count: u32,
    /// How many octets they have together, as the server reckons.
    pub octets: u64,
    /// The UIDL of the first of them, like that of the last.
    pub first_uidl: Vec<u8>,
    /// The UIDL of the last of them; a hash of one that is too long, and empty where there is no message.
    pub last_uidl: Vec<u8>,
}
