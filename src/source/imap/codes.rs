//! Values that replies carry beside their text: response codes (RFC 3501 7.1) and capabilities.

use imap_proto::rfc4315::UidSetMember;
use imap_proto::{Capability, Outcome, Response, ResponseCode};

use super::session::Copied;

pub(super) fn generation_in(reply: &Response<'_>) -> Option<u32> {
    match code_in(reply) {
        Some(ResponseCode::UidValidity(n)) => Some(*n),
        _ => None,
    }
}

/// The code of an untagged OK, NO or BAD.
pub(super) fn code_in<'r>(reply: &'r Response<'_>) -> Option<&'r ResponseCode<'r>> {
    match reply {
        Response::Data { outcome: Outcome { code, .. }, .. } => code.as_ref(),
        _ => None,
    }
}

/// The COPYUID code. It is in the tagged reply to COPY, but mostly before the tagged reply to MOVE (RFC 6851 4.3).
pub(super) fn copied_in(reply: &Response<'_>) -> Option<Copied> {
    let (Response::Data { outcome, .. } | Response::Done { outcome, .. }) = reply else { return None };
    let Some(ResponseCode::CopyUid(_, from, _)) = &outcome.code else { return None };
    let range = |member: &UidSetMember| match member {
        UidSetMember::Uid(uid) => *uid..=*uid,
        // "4:2" means the same as "2:4" (RFC 3501 9).
        UidSetMember::UidRange(range) => *range.start().min(range.end())..=*range.start().max(range.end()),
    };
    Some(from.iter().map(range).collect())
}

/// The capabilities in an untagged reply, or in the tagged reply to a login.
pub(super) fn listed_capabilities(reply: &Response<'_>) -> Option<Vec<String>> {
    match reply {
        Response::Capabilities(list) => Some(names_of(list)),
        Response::Done { outcome, .. } => capabilities_in(outcome),
        _ => None,
    }
}

pub(super) fn capabilities_in(outcome: &Outcome<'_>) -> Option<Vec<String>> {
    match &outcome.code {
        Some(ResponseCode::Capabilities(list)) => Some(names_of(list)),
        _ => None,
    }
}

pub(super) fn names_of(list: &[Capability<'_>]) -> Vec<String> {
    let name = |capability: &Capability<'_>| match capability {
        Capability::Imap4rev1 => "IMAP4rev1".to_owned(),
        Capability::Auth(mechanism) => format!("AUTH={mechanism}"),
        Capability::Atom(atom) => atom.to_string(),
    };
    list.iter().map(name).collect()
}
