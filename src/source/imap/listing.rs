//! Every UID of a folder.

use std::collections::BTreeSet;

use imap_proto::{MailboxDatum, RequestId, Response};

use super::session::{Session, refused, uid_in};
use crate::error::{Error, Kind, Result};
use crate::safeguard::Safeguard;

/// So many messages are listed by one SEARCH, so that its reply is a short line.
const STEP: u32 = 5_000;
/// So many SEARCHes are sent before the first answer is read.
const IN_FLIGHT: usize = 16;
/// A folder of so many messages can be listed by one SEARCH, if it must be.
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
#[derive(Default)]
struct Found {
    uids: BTreeSet<u32>,
    /// How many were expunged meanwhile.
    expunged: u32,
    /// So many were asked for.
    asked: u32,
}

impl Found {
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

    /// What goes beyond the question is no answer to it, and would be kept without end.
    fn extend(&mut self, uids: impl IntoIterator<Item = u32>) -> Result<()> {
        self.uids.extend(uids.into_iter().filter(|uid| *uid != 0));
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
    /// The UIDs of the open folder, which counts so many messages.
    pub(super) async fn list_uids(&mut self, exists: u32) -> Result<Uids> {
        let mut found = Found::default();
        self.list_in_steps(exists, &mut found).await?;
        if found.is_short(exists) {
            self.list_at_once(exists, &mut found).await?;
        }
        let is_short = found.is_short(exists);
        Ok(Uids { found: found.uids.into_iter().collect(), is_short })
    }

    /// Sequence numbers only cut the listing into pieces; a message that slips between two of them because another client
    /// expunged one is listed next time.
    async fn list_in_steps(&mut self, exists: u32, found: &mut Found) -> Result<()> {
        let most = if Safeguard::BoundedNumbers.is_on() { exists.min(MOST) } else { exists };
        let mut first = 1;
        while first <= most {
            let before = found.uids.len();
            let mut asked = Vec::with_capacity(IN_FLIGHT);
            while asked.len() < IN_FLIGHT && first <= most {
                let last = first.saturating_add(STEP - 1).min(most);
                asked.push(self.send(&format!("UID SEARCH {first}:{last} ALL")).await?);
                found.asked += last - first + 1;
                first = last.saturating_add(1);
            }
            for tag in &asked {
                self.finish_list(tag, found).await?;
            }
            if found.uids.len() == before && Safeguard::BoundedNumbers.is_on() {
                // Nothing comes of what it counts.
                return Ok(());
            }
        }
        Ok(())
    }

    /// Some servers take sequence numbers in UID SEARCH for UIDs, and list too few. Everybody understands this.
    async fn list_at_once(&mut self, exists: u32, found: &mut Found) -> Result<()> {
        let command = if exists <= IN_ONE_LINE { "UID SEARCH ALL" } else { "UID FETCH 1:* (UID)" };
        // Mail may have come meanwhile.
        found.asked = exists.min(MOST).saturating_add(STEP);
        let tag = self.send(command).await?;
        match self.finish_list(&tag, found).await {
            // Then the listing stays short.
            Err(error) if error.kind() == Kind::Refused => Ok(()),
            result => result,
        }
    }

    async fn finish_list(&mut self, tag: &RequestId, found: &mut Found) -> Result<()> {
        let answer = self.finish(tag, |reply| found.note(reply)).await?;
        answer.map(drop).map_err(|refusal| refused("UID SEARCH", &refusal.line))
    }
}
