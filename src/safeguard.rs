//! Safeguards that a test build can turn off, one at a time.
//!
//! A test that finds no fault proves little unless it would find one. So every check that prevents a mistake from
//! losing mail asks here whether it is on. In an ordinary build the answer is always yes.
//! With the feature `mutants`, `MAILSLUICE_OFF` names one check that is off, and the simulation in `tests/world` must
//! notice it.

/// One check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safeguard {
    /// Recovery takes only files and rows that no living process owns.
    RecoverOnlyTheDead,
    /// Staged files belong to the account name that staged them, not to the account of their message.
    StagedByOwner,
    /// A missing staged file is an error of the process that staged it.
    GoneIsNotPublished,
    /// A recorded message that is found nowhere is fetched again.
    AbsenceIsNoProof,
    /// The mail root must be the one that the state knows.
    RootIsMounted,
    /// An older, empty or rebuilt state sends nothing again.
    StateIsCurrent,
    /// Spool files without a row are filed, not removed.
    UnknownSpoolIsKept,
    /// A spool file is identified by its name, however its path is spelled.
    SpoolByName,
    /// A message that an earlier session fetched is checked again before it is deleted.
    LookBeforeDeleting,
    /// An id that was settled but is listed again is checked.
    SettledIsLookedAt,
    /// Messages are recognised even when all ids of a mailbox change.
    RecogniseRenumbered,
    /// Old ids are kept until all messages on the server were compared with them.
    ComparedInFull,
    /// After the state was lost, a message that `deliver` gets again does not count as new mail.
    GivenAgainIsNotNew,
    /// A message that is far smaller than announced is not filed as complete.
    Whole,
    /// A message that is listed but not sent counts as a failed attempt.
    NotGivenIsFailed,
    /// INBOX is one folder, in any spelling of case.
    OneInbox,
    /// An account keeps its mail when it is renamed.
    AccountByIdentity,
    /// If one target cannot be written, the message is kept in the inbox instead.
    TargetErrorIsKept,
    /// An implausible time triggers nothing irreversible.
    PlausibleTime,
    /// The age of a spool file counts from when it was written.
    SpoolAgeIsWritten,
    /// Numbers that servers send are limited.
    BoundedNumbers,
    /// The originals of edited mail are kept.
    KeepOriginals,
    /// An incomplete listing removes nothing.
    ShortListing,
    /// A write with an older generation is refused.
    Fence,
    /// `deliver` gives up a message that kills it.
    DeliverGivesUp,
    /// A file is synced before its name is recorded.
    SyncBeforeRecord,
    /// EXPUNGE is sent only when it removes none but our own messages.
    ExpungeOnlyOurs,
    /// The folder to which mail is moved on the server is not fetched.
    TargetIsNotFetched,
    /// A sender is answered once.
    AnswerOnce,
    /// Nothing is sent out for mail that was on the server before the account's first pass.
    OldIsNotTold,
}

impl Safeguard {
    /// Whether the check is on.
    #[cfg(not(feature = "mutants"))]
    #[inline]
    pub const fn is_on(self) -> bool {
        true
    }

    /// Whether the check is on. It is off if `MAILSLUICE_OFF` has its name, in the form of `Debug`.
    #[cfg(feature = "mutants")]
    pub fn is_on(self) -> bool {
        use std::sync::OnceLock;
        static OFF: OnceLock<Option<String>> = OnceLock::new();
        let off = OFF.get_or_init(|| std::env::var("MAILSLUICE_OFF").ok());
        off.as_deref() != Some(format!("{self:?}").as_str())
    }
}
