//! Every UID of a folder.

use std::collections::BTreeSet;

use imap_proto::{MailboxDatum, RequestId, Response};

use super::selected::Selected;
use super::session::{Session, refused, uid_in};
use crate::error::{Error, Kind, Result};
use crate::safeguard::Safeguard;
use crate::source::Stood;

/// So many may come while a folder is listed.
const MEANWHILE: u32 = 5_000;
const SEARCH: &str = "UID SEARCH ALL";
/// Each UID in a line of its own.
const FETCH: &str = "UID FETCH 1:* (UID)";
/// A folder of so many messages is listed by a SEARCH, whose reply is one line.
const IN_ONE_LINE: u32 = 100_000;
/// No more messages of a folder are listed, whatever it counts.
const MOST: u32 = 2_000_000;

/// The messages of a folder.
#[derive(Debug, Default)]
pub(super) struct Uids {
    /// Ascending, each once.
    pub(super) found: Vec<u32>,
    /// Whether the server counts more than it lists.
    pub(super) is_short: bool,
}

/// What is found while a server lists.
struct Found {
    /// The first UID that is asked for; never 0.
    from: u32,
    uids: BTreeSet<u32>,
    /// How many were expunged meanwhile.
    expunged: u32,
    /// So many were asked for.
    asked: u32,
}

impl Found {
    /// For an answer to a question about so many messages.
    fn new(from: u32, count: u32) -> Self {
        let asked = count.min(MOST).saturating_add(MEANWHILE);
        Self { from, uids: BTreeSet::new(), expunged: 0, asked }
    }

    fn note(&mut self, reply: &Response<'_>) -> Result<()> {
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

    /// What goes beyond the question is no answer to it, and would be kept without end. Where nothing is at or above the first UID
    /// of `n:*`, a server names the last one that there is (RFC 3501 6.4.8).
    fn extend(&mut self, uids: impl IntoIterator<Item = u32>) -> Result<()> {
        self.uids.extend(uids.into_iter().filter(|uid| *uid >= self.from));
        if self.uids.len() > self.asked as usize && Safeguard::BoundedNumbers.is_on() {
            return Err(Error::permanent(Kind::Protocol, "the server lists more messages than it was asked for"));
        }
        Ok(())
    }

    /// More than was counted is mail that arrived meanwhile.
    fn is_short(&self, exists: u32) -> bool {
        self.uids.len() + (self.expunged as usize) < exists as usize
    }
}

impl Session {
    /// The UIDs of the open folder, which counts so many messages. Sequence numbers are not used for it: some servers take them
    /// for UIDs in UID SEARCH, and after a UID command nobody knows which ones there are (RFC 3501 5.5).
    pub(super) async fn list_uids(&mut self, exists: u32) -> Result<Uids> {
        let mut found = Found::new(1, exists);
        if exists > 0 {
            let is_small = exists <= IN_ONE_LINE;
            let tag = self.send(if is_small { SEARCH } else { FETCH }).await?;
            self.finish_list(&tag, &mut found).await?;
            if found.is_short(exists) && is_small {
                self.list_otherwise(FETCH, &mut found).await?;
            }
        }
        let is_short = found.is_short(exists);
        Ok(Uids { found: found.uids.into_iter().collect(), is_short })
    }

    /// The UIDs of what came into the open folder since it stood so. `None`: something else changed as well, or may have. UIDs
    /// rise, and the next one is above all that were given (RFC 3501 2.3.1.1): where as many more messages are counted as are
    /// listed from there on, all older ones are those that stood there.
    pub(super) async fn came_since(&mut self, selected: &Selected, before: &Stood) -> Result<Option<Vec<u32>>> {
        let next = selected.uid_next.unwrap_or(0);
        let count = selected.exists.saturating_sub(before.exists);
        if selected.generation() != Some(before.generation) || next <= before.uid_next || count == 0 {
            return Ok(None);
        }
        let mut found = Found::new(before.uid_next, count);
        let tag = self.send(&format!("UID SEARCH UID {}:*", before.uid_next)).await?;
        match self.finish_list(&tag, &mut found).await {
            Err(error) if error.kind() == Kind::Refused => return Ok(None),
            result => result?,
        }
        // What came since the folder was opened is not counted yet.
        let counted = found.uids.range(..next).count();
        Ok((counted == count as usize).then(|| found.uids.into_iter().collect()))
    }

    /// The same in other words. Where the server refuses them, the listing stays short.
    async fn list_otherwise(&mut self, command: &str, found: &mut Found) -> Result<()> {
        let tag = self.send(command).await?;
        match self.finish_list(&tag, found).await {
            Err(error) if error.kind() == Kind::Refused => Ok(()),
            result => result,
        }
    }

    async fn finish_list(&mut self, tag: &RequestId, found: &mut Found) -> Result<()> {
        let answer = self.finish(tag, |reply| found.note(reply)).await?;
        answer.map(drop).map_err(|refusal| refused("UID SEARCH", &refusal.line))
    }
}
