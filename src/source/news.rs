//! How a source that is kept hears of new mail.

use std::collections::BTreeSet;

/// What a waiting session hears. It is a hint: what stands in the folder decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Something happened in these folders, of those that were asked for.
    News(BTreeSet<String>),
    /// It cannot be told where: the server could not keep up, or folders came or went.
    Anywhere,
}

/// How a server tells of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// Of all folders that are the user's own, with NOTIFY (RFC 5465); not of those that others share.
    Notify,
    /// Of one folder, with IDLE (RFC 2177).
    Idle,
    /// Not at all.
    None,
}
