//! Every UID of a folder.

use std::collections::BTreeSet;

use imap_proto::{MailboxDatum, RequestId, Response};

use super::selected::Selected;
use super::session::{ImapSession, refused, uid_in};
use crate::error::{Error, Kind, Result};
use crate::safeguard::Safeguard;
use crate::source::Stood;

/// How many messages may arrive while a folder is being listed.
const MOST_ARRIVALS_MEANWHILE: u32 = 5_000;
const SEARCH_ALL: &str = "UID SEARCH ALL";
/// Returns one line for each UID.
const FETCH_UIDS: &str = "UID FETCH 1:* (UID)";
/// Up to this number of messages a folder is listed with SEARCH, whose reply is a single line.
const MOST_FOR_SEARCH: u32 = 100_000;
/// The most messages that are listed of a folder, whatever the server counts.
const MOST_MESSAGES: u32 = 2_000_000;

/// The messages of a folder.
#[derive(Debug, Default)]
pub(super) struct Uids {
    /// In ascending order, without duplicates.
    pub(super) found: Vec<u32>,
    /// Whether the server counts more messages than it lists.
    pub(super) is_short: bool,
}

/// The UIDs found so far during a listing.
struct ListedSoFar {
    /// The first UID of the request. Never 0.
    from: u32,
    uids: BTreeSet<u32>,
    /// How many messages were expunged meanwhile.
    expunged: u32,
    /// The most UIDs that the request can return.
    asked: u32,
}

impl ListedSoFar {
    /// For a request about `count` messages from the UID `from` on.
    fn new(from: u32, count: u32) -> Self {
        let asked = count.min(MOST_MESSAGES).saturating_add(MOST_ARRIVALS_MEANWHILE);
        Self { from, uids: BTreeSet::new(), expunged: 0, asked }
    }

    fn record(&mut self, reply: &Response<'_>) -> Result<()> {
        match reply {
            Response::MailboxData(MailboxDatum::Search(uids)) => self.extend(uids.iter().copied()),
            Response::Fetch(_, attributes) => self.extend(uid_in(attributes)),
            Response::Expunge(_) => {
                self.expunged = self.expunged.saturating_add(1);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// More UIDs than the request can return are an error; they would fill the memory. If no message has the first UID of
    /// `n:*` or a higher one, the server returns the last message (RFC 3501 6.4.8), which is ignored.
    fn extend(&mut self, uids: impl IntoIterator<Item = u32>) -> Result<()> {
        self.uids.extend(uids.into_iter().filter(|uid| *uid >= self.from));
        if self.uids.len() > self.asked as usize && Safeguard::BoundedNumbers.is_on() {
            return Err(Error::permanent(Kind::Protocol, "the server lists more messages than it was asked for"));
        }
        Ok(())
    }

    /// Whether fewer messages were found than the server counts. More is fine: mail arrived meanwhile.
    fn is_short(&self, exists: u32) -> bool {
        self.uids.len() + (self.expunged as usize) < exists as usize
    }
}

impl ImapSession {
    /// The UIDs of the open folder, which counts `exists` messages. Sequence numbers are not used: some servers treat them as
    /// UIDs in UID SEARCH, and after a UID command they may have changed (RFC 3501 5.5).
    pub(super) async fn list_uids(&mut self, exists: u32) -> Result<Uids> {
        let mut found = ListedSoFar::new(1, exists);
        if exists > 0 {
            let is_small = exists <= MOST_FOR_SEARCH;
            let tag = self.send(if is_small { SEARCH_ALL } else { FETCH_UIDS }).await?;
            self.finish_list(&tag, &mut found).await?;
            if found.is_short(exists) && is_small {
                self.list_again_with(FETCH_UIDS, &mut found).await?;
            }
        }
        let is_short = found.is_short(exists);
        Ok(Uids { found: found.uids.into_iter().collect(), is_short })
    }

    /// The UIDs of the messages that were added to the open folder since the state `before`. `None` if anything else changed,
    /// or may have. UIDs only rise, and UIDNEXT is above all of them (RFC 3501 2.3.1.1): if the number of messages rose by as
    /// many as are listed from the old UIDNEXT on, all older messages are still the same.
    pub(super) async fn came_since(&mut self, selected: &Selected, before: &Stood) -> Result<Option<Vec<u32>>> {
        let next = selected.uid_next.unwrap_or(0);
        let count = selected.exists.saturating_sub(before.exists);
        if selected.generation() != Some(before.generation) || next <= before.uid_next || count == 0 {
            return Ok(None);
        }
        let mut found = ListedSoFar::new(before.uid_next, count);
        let tag = self.send(&format!("UID SEARCH UID {}:*", before.uid_next)).await?;
        match self.finish_list(&tag, &mut found).await {
            Err(error) if error.kind() == Kind::Refused => return Ok(None),
            result => result?,
        }
        // What arrived after the folder was opened is not counted yet.
        let counted = found.uids.range(..next).count();
        Ok((counted == count as usize).then(|| found.uids.into_iter().collect()))
    }

    /// Lists with another command. If the server refuses it, the listing stays short.
    async fn list_again_with(&mut self, command: &str, found: &mut ListedSoFar) -> Result<()> {
        let tag = self.send(command).await?;
        match self.finish_list(&tag, found).await {
            Err(error) if error.kind() == Kind::Refused => Ok(()),
            result => result,
        }
    }

    async fn finish_list(&mut self, tag: &RequestId, found: &mut ListedSoFar) -> Result<()> {
        let answer = self.finish(tag, |reply| found.record(reply)).await?;
        answer.map(drop).map_err(|refusal| refused("UID SEARCH", &refusal.line))
    }
}
