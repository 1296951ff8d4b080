//! What a server says of a folder that is opened, and whether its UIDs are those of the next session.

use imap_proto::ResponseCode;

use crate::source::Glance;

/// What SELECT or EXAMINE said.
#[derive(Debug, Default)]
pub(super) struct Selected {
    pub(super) exists: u32,
    pub(super) uid_validity: Option<u32>,
    /// What UID comes next, where the server says it.
    pub(super) uid_next: Option<u32>,
    /// UIDNOTSTICKY (RFC 4315 3): the UIDs end with the session.
    is_not_sticky: bool,
    pub(super) is_read_only: bool,
}

impl Selected {
    /// Takes in the code of an untagged reply.
    pub(super) fn note(&mut self, code: Option<&ResponseCode<'_>>) {
        match code {
            Some(ResponseCode::UidValidity(n)) => self.uid_validity = Some(*n),
            Some(ResponseCode::UidNext(n)) => self.uid_next = Some(*n),
            Some(ResponseCode::UidNotSticky) => self.is_not_sticky = true,
            _ => {}
        }
    }

    /// The same as STATUS would say it.
    pub(super) fn glance(&self) -> Glance {
        let generation = self.uid_validity.filter(|n| *n != 0);
        let uid_next = self.uid_next.filter(|n| *n != 0);
        Glance { generation, uid_next, exists: Some(self.exists), modseq: None }
    }

    /// Whether its UIDs are those of the sessions to come. Courier makes them up for each session that only reads, and does not
    /// say UIDNEXT then, which is required (RFC 3501 6.3.2).
    pub(super) fn has_lasting_uids(&self) -> bool {
        self.uid_next.is_some() && !self.is_not_sticky
    }

    /// The UIDVALIDITY, where it is one: 0 is none (RFC 3501 2.3.1.1), of one with more than 32 bits nothing is told, and UIDs
    /// that end with the session have none. Those of Courier may also end with it where SELECT only may read.
    pub(super) fn generation(&self) -> Option<u32> {
        let may_end = self.is_not_sticky || self.is_read_only && self.uid_next.is_none();
        self.uid_validity.filter(|n| *n != 0 && !may_end)
    }
}
