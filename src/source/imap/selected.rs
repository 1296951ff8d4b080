//! The server's reply to SELECT or EXAMINE, and whether the folder's UIDs last beyond the session.

use imap_proto::ResponseCode;

use crate::source::Glance;

/// The data of a SELECT or EXAMINE.
#[derive(Debug, Default)]
pub(super) struct Selected {
    pub(super) exists: u32,
    pub(super) uid_validity: Option<u32>,
    /// UIDNEXT, if the server says it.
    pub(super) uid_next: Option<u32>,
    /// UIDNOTSTICKY (RFC 4315 3): the UIDs are only valid in this session.
    is_not_sticky: bool,
    pub(super) is_read_only: bool,
}

impl Selected {
    /// Records the code of an untagged reply.
    pub(super) fn record(&mut self, code: Option<&ResponseCode<'_>>) {
        match code {
            Some(ResponseCode::UidValidity(n)) => self.uid_validity = Some(*n),
            Some(ResponseCode::UidNext(n)) => self.uid_next = Some(*n),
            Some(ResponseCode::UidNotSticky) => self.is_not_sticky = true,
            _ => {}
        }
    }

    /// The same data as a STATUS reply.
    pub(super) fn glance(&self) -> Glance {
        let generation = self.uid_validity.filter(|n| *n != 0);
        let uid_next = self.uid_next.filter(|n| *n != 0);
        Glance { generation, uid_next, exists: Some(self.exists), modseq: None }
    }

    /// Whether the UIDs are also valid in later sessions. Courier invents UIDs for each read-only session, and then omits
    /// UIDNEXT, which is required (RFC 3501 6.3.2).
    pub(super) fn has_lasting_uids(&self) -> bool {
        self.uid_next.is_some() && !self.is_not_sticky
    }

    /// The UIDVALIDITY, if it can be relied on. It cannot if it is 0 (RFC 3501 2.3.1.1) or has more than 32 bits, if the UIDs
    /// end with the session, or if they may be Courier's invented ones: a folder that was opened read-only and has no UIDNEXT.
    pub(super) fn generation(&self) -> Option<u32> {
        let may_end = self.is_not_sticky || self.is_read_only && self.uid_next.is_none();
        self.uid_validity.filter(|n| *n != 0 && !may_end)
    }
}
