//! What happens on the server to messages that are durable on our side: they are marked or deleted. `moving` has `move_to`.

use super::ImapSource;
use super::sets::{pieces, uid_set};
use crate::config::Retention;
use crate::error::Result;
use crate::source::Settled;
use crate::state::Settlement;

impl ImapSource {
    /// Applies the retention in the open folder.
    pub(in crate::source) async fn settle(&mut self, messages: &[Settlement], retention: &Retention) -> Settled {
        let mut settled = Settled::default();
        let ended = match retention {
            Retention::Keep => Ok(()),
            Retention::MarkSeen => self.mark_seen(messages).await,
            Retention::Delete | Retention::DeleteAfter(_) => self.delete(messages, &mut settled).await,
            Retention::MoveTo(folder) => self.move_to(messages, folder, &mut settled).await,
        };
        settled.ended(ended, &self.open.folder)
    }

    async fn mark_seen(&mut self, messages: &[Settlement]) -> Result<()> {
        let unseen = self.uids_matching("UNSEEN", messages).await?;
        for chunk in pieces(&unseen, self.session.room_beside(&[STORE, ADD_SEEN]), |uid| Some(*uid)) {
            self.store(&uid_set(chunk.iter().copied()), ADD_SEEN).await?;
        }
        Ok(())
    }

    /// Marks messages as `\Deleted`, and removes exactly these with `UID EXPUNGE` (RFC 4315).
    async fn delete(&mut self, messages: &[Settlement], settled: &mut Settled) -> Result<()> {
        if !self.session.can("UIDPLUS") {
            return self.delete_without_uidplus(messages, settled).await;
        }
        for chunk in pieces(messages, self.session.room_beside(&[STORE, ADD_DELETED]), |s| s.key().as_uid()) {
            let set = uid_set(uids_of(chunk));
            self.store(&set, ADD_DELETED).await?;
            self.session.check_generation()?;
            self.session.run(&format!("UID EXPUNGE {set}"), |_| Ok(())).await?;
            settled.gone.extend(chunk.iter().map(|s| s.key().clone()));
        }
        Ok(())
    }

    pub(super) async fn store(&mut self, set: &str, what: &str) -> Result<()> {
        self.session.check_generation()?;
        self.session.run(&format!("{STORE} {set} {what}"), |_| Ok(())).await.map(drop)
    }

    /// The UIDs of those messages that match `criteria` on the server.
    pub(super) async fn uids_matching(&mut self, criteria: &str, messages: &[Settlement]) -> Result<Vec<u32>> {
        let uids: Vec<u32> = uids_of(messages).collect();
        self.session.search_among(&uids, criteria).await
    }
}

pub(super) const STORE: &str = "UID STORE";
/// The STORE argument that marks a message as read.
const ADD_SEEN: &str = "+FLAGS.SILENT (\\Seen)";
/// The STORE argument that marks a message as deleted.
pub(super) const ADD_DELETED: &str = "+FLAGS.SILENT (\\Deleted)";

pub(super) fn uids_of(messages: &[Settlement]) -> impl Iterator<Item = u32> {
    messages.iter().filter_map(|s| s.key().as_uid())
}
