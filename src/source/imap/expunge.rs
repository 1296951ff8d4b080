//! Deleting without UIDPLUS (RFC 4315), for example on QQ, 163 and Proton. A plain EXPUNGE removes every message that is
//! marked as deleted, by any client, so it is only sent when all marked messages are ours.

use std::collections::BTreeSet;

use imap_proto::{MailboxDatum, Response};

use super::ImapSource;
use super::sets::{pieces, uid_set};
use super::settle::{ADD_DELETED, STORE, uids_of};
use crate::error::{Error, Kind, Result};
use crate::safeguard::Safeguard;
use crate::source::Settled;
use crate::state::Settlement;

/// How many UIDs of other clients' messages an error names.
const SHOWN_UIDS: usize = 5;

impl ImapSource {
    /// Deletes messages that were verified or fetched in this session. If nothing can be expunged, they stay marked: then the
    /// user's own client expunges them together with its own, and the next pass tries again.
    pub(super) async fn delete_without_uidplus(
        &mut self,
        messages: &[Settlement],
        settled: &mut Settled,
    ) -> Result<()> {
        let open = self.uids_matching("UNDELETED", messages).await?;
        for chunk in pieces(&open, self.session.room_beside(&[STORE, ADD_DELETED]), |uid| Some(*uid)) {
            self.store(&uid_set(chunk.iter().copied()), ADD_DELETED).await?;
        }
        let ours: BTreeSet<u32> = uids_of(messages).collect();
        let marked = self.deleted_uids().await?;
        let others: Vec<u32> = marked.difference(&ours).copied().collect();
        if !others.is_empty() && Safeguard::ExpungeOnlyOurs.is_on() {
            settled.errors.push(not_ours_alone(ours.len(), &others));
            return Ok(());
        }
        let unnamed: Vec<u32> = ours.difference(&marked).copied().collect();
        let unmarked = self.session.search_among(&unnamed, "").await?;
        if !unmarked.is_empty() && Safeguard::ExpungeOnlyOurs.is_on() {
            // The search may also miss messages that other clients marked.
            settled.errors.push(not_named(unmarked.len(), ours.len()));
            return Ok(());
        }
        if marked.is_empty() {
            return Ok(());
        }
        self.session.check_generation()?;
        self.session.run("EXPUNGE", |_| Ok(())).await?;
        let left: BTreeSet<u32> = self.uids_matching("", messages).await?.into_iter().collect();
        if !left.is_empty() {
            let text = format!("{} of {} deleted messages are still there after EXPUNGE", left.len(), ours.len());
            settled.errors.push(Error::transient(Kind::Refused, text));
        }
        let is_gone =
            |s: &&Settlement| s.key().as_uid().is_some_and(|uid| marked.contains(&uid) && !left.contains(&uid));
        settled.gone.extend(messages.iter().filter(is_gone).map(|s| s.key().clone()));
        Ok(())
    }

    /// All messages of the open folder that are marked as deleted.
    async fn deleted_uids(&mut self) -> Result<BTreeSet<u32>> {
        let mut marked = BTreeSet::new();
        self.session
            .run("UID SEARCH DELETED", |reply| {
                if let Response::MailboxData(MailboxDatum::Search(uids)) = reply {
                    marked.extend(uids.iter().copied());
                }
                Ok(())
            })
            .await?;
        Ok(marked)
    }
}

fn not_ours_alone(ours: usize, others: &[u32]) -> Error {
    let shown: Vec<String> = others.iter().take(SHOWN_UIDS).map(u32::to_string).collect();
    let more = if others.len() > SHOWN_UIDS { ", …" } else { "" };
    Error::permanent(
        Kind::Refused,
        format!(
            "{ours} messages are marked as deleted and stay on the server: it has no UIDPLUS, and {} messages that another client \
            marked would be expunged with them (UID {}{more}). Expunge (compact) this folder in your mail program, or unmark \
            uids_matching messages",
            others.len(),
            shown.join(", ")
        ),
    )
}

fn not_named(unmarked: usize, of: usize) -> Error {
    let text = format!(
        "nothing was expunged: the server has no UIDPLUS, and its search does not find {unmarked} of {of} messages that were \
         just marked as deleted"
    );
    Error::transient(Kind::Refused, text)
}
