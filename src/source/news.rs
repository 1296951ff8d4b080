//! How a session that is kept open learns of new mail.

use std::collections::BTreeSet;

/// What a waiting session has heard. It is only a hint; the folder's content decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Something happened in these folders, out of those that were asked about.
    News(BTreeSet<String>),
    /// The folder is unknown: notifications overflowed, or folders were created or removed.
    Anywhere,
}

/// How a server reports news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushMethod {
    /// About all folders of the user, with NOTIFY (RFC 5465). Shared folders are not included.
    Notify,
    /// About one folder, with IDLE (RFC 2177).
    Idle,
    /// Not at all.
    None,
}
