//! Safeguards that a build for tests can take away, one at a time.
//!
//! A test that finds nothing proves little unless it finds something when there is something to find. So each check that
//! stands between a mistake and lost mail asks here whether it is on. In every ordinary build the answer is a constant;
//! with the feature `mutants` one of them is off, the one that `MAILSLUICE_OFF` names, and the world (`tests/world`) has
//! to notice.

/// One check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safeguard {
    /// Recovery takes only what no living process owns.
    RecoverOnlyTheDead,
    /// Staged files belong to the name space that staged them, not to the account of their message.
    StagedByOwner,
    /// A staged file that is gone is an error of the process that staged it.
    GoneIsNotPublished,
    /// A recorded message that stands nowhere is fetched again.
    AbsenceIsNoProof,
    /// A mail root is the one that the state knows.
    RootIsMounted,
    /// An older, empty or rebuilt state tells nobody again.
    StateIsCurrent,
    /// Spool files that no row names are filed, not removed.
    UnknownSpoolIsKept,
    /// A file in the spool is its name, however its path is spelled.
    SpoolByName,
    /// What an earlier session fetched is looked at once more before it is deleted.
    LookBeforeDeleting,
    /// An id that was settled and is listed again is looked at.
    SettledIsLookedAt,
    /// Messages are recognised when all ids of a mailbox change.
    RecogniseRenumbered,
    /// Old numbers are kept until all that a server has was compared with them.
    ComparedInFull,
    /// After a lost state, what is given to `deliver` again is not taken for mail that came since.
    GivenAgainIsNotNew,
    /// A message far smaller than announced is not filed as whole.
    Whole,
    /// A message that is listed and not given is a failed attempt.
    NotGivenIsFailed,
    /// INBOX is one folder in any case.
    OneInbox,
    /// An account keeps its mail when it is renamed.
    AccountByIdentity,
    /// One target that cannot be written is kept in the inbox instead.
    TargetErrorIsKept,
    /// What looks like a time far off makes nothing irreversible happen.
    PlausibleTime,
    /// A spool file's age is when it was written.
    SpoolAgeIsWritten,
    /// Numbers of servers are bounded.
    BoundedNumbers,
    /// The originals of edited mail are kept.
    KeepOriginals,
    /// A short listing removes nothing.
    ShortListing,
    /// A write with an older generation is refused.
    Fence,
    /// `deliver` gives up a message that kills it.
    DeliverGivesUp,
    /// A file is synced before its name is recorded.
    SyncBeforeRecord,
    /// EXPUNGE is sent only when nothing else goes with what is ours.
    ExpungeOnlyOurs,
    /// Mail that was moved on the server is not fetched from where it was moved to.
    TargetIsNotFetched,
    /// The sender is answered once.
    AnswerOnce,
    /// Nobody is told of what stood on the server before the account's first run.
    OldIsNotTold,
}

impl Safeguard {
    /// Whether the check is made.
    #[cfg(not(feature = "mutants"))]
    #[inline]
    pub const fn is_on(self) -> bool {
        true
    }

    /// Whether the check is made: not when `MAILSLUICE_OFF` has its name, as `Debug` writes it.
    #[cfg(feature = "mutants")]
    pub fn is_on(self) -> bool {
        use std::sync::OnceLock;
        static OFF: OnceLock<Option<String>> = OnceLock::new();
        let off = OFF.get_or_init(|| std::env::var("MAILSLUICE_OFF").ok());
        off.as_deref() != Some(format!("{self:?}").as_str())
    }
}
