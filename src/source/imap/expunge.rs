//! Deleting where there is no UIDPLUS (RFC 4315), as on QQ, 163 and Proton. EXPUNGE takes away whatever is marked as deleted,
//! whoever marked it: so it is only sent when everything that is marked is ours.

use std::collections::BTreeSet;

use imap_proto::{MailboxDatum, Response};

use super::ImapSource;
use super::sets::{pieces, uid_set};
use super::settle::{MARK, STORE, uids_of};
use crate::error::{Error, Kind, Result};
use crate::safeguard::Safeguard;
use crate::source::Settled;
use crate::state::Settlement;

/// So many messages of others are named.
const SHOWN: usize = 5;

impl ImapSource {
    /// The messages were proven in this session, or fetched in it. They stay marked when nothing is expunged: then the user's
    /// own client takes them away with what it has marked, and the next pass looks again.
    pub(super) async fn delete_without_uidplus(
        &mut self,
        messages: &[Settlement],
        settled: &mut Settled,
    ) -> Result<()> {
        let open = self.those("UNDELETED", messages).await?;
        for chunk in pieces(&open, self.session.room_beside(&[STORE, MARK]), |uid| Some(*uid)) {
            self.store(&uid_set(chunk.iter().copied()), MARK).await?;
        }
        let ours: BTreeSet<u32> = uids_of(messages).collect();
        let marked = self.marked().await?;
        let others: Vec<u32> = marked.difference(&ours).copied().collect();
        if !others.is_empty() && Safeguard::ExpungeOnlyOurs.is_on() {
            settled.errors.push(not_ours_alone(ours.len(), &others));
            return Ok(());
        }
        let unnamed: Vec<u32> = ours.difference(&marked).copied().collect();
        let unmarked = self.session.search_among(&unnamed, "").await?;
        if !unmarked.is_empty() && Safeguard::ExpungeOnlyOurs.is_on() {
            // It may be silent about those of others as well.
            settled.errors.push(not_named(unmarked.len(), ours.len()));
            return Ok(());
        }
        if marked.is_empty() {
            return Ok(());
        }
        self.session.check_generation()?;
        self.session.run("EXPUNGE", |_| Ok(())).await?;
        let left: BTreeSet<u32> = self.those("", messages).await?.into_iter().collect();
        if !left.is_empty() {
            let text = format!("{} of {} deleted messages stand there still after EXPUNGE", left.len(), ours.len());
            settled.errors.push(Error::transient(Kind::Refused, text));
        }
        let is_gone =
            |s: &&Settlement| s.key().as_uid().is_some_and(|uid| marked.contains(&uid) && !left.contains(&uid));
        settled.gone.extend(messages.iter().filter(is_gone).map(|s| s.key().clone()));
        Ok(())
    }

    /// Every message of the open folder that is marked as deleted.
    async fn marked(&mut self) -> Result<BTreeSet<u32>> {
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
    let shown: Vec<String> = others.iter().take(SHOWN).map(u32::to_string).collect();
    let more = if others.len() > SHOWN { ", …" } else { "" };
    Error::permanent(
        Kind::Refused,
        format!(
            "{ours} messages are marked as deleted and stay on the server: it has no UIDPLUS, and {} that something else \
             marked would go with them (UID {}{more}). Expunge (compact) this folder in your mail program, or take the mark \
             from those",
            others.len(),
            shown.join(", ")
        ),
    )
}

fn not_named(unmarked: usize, of: usize) -> Error {
    let text = format!(
        "nothing is expunged: the server has no UIDPLUS, and its search does not find {unmarked} of {of} messages that were \
         just marked as deleted"
    );
    Error::transient(Kind::Refused, text)
}
