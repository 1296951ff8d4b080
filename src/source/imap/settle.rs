//! What happens on the server to messages that are safe here: they are marked, or deleted. Those that move are in `moving`.

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
        let unseen = self.those("UNSEEN", messages).await?;
        for chunk in pieces(&unseen, self.session.room_beside(&[STORE, SEEN]), |uid| Some(*uid)) {
            self.store(&uid_set(chunk.iter().copied()), SEEN).await?;
        }
        Ok(())
    }

    /// `\Deleted` and `UID EXPUNGE` (RFC 4315), which takes away nothing but what it names.
    async fn delete(&mut self, messages: &[Settlement], settled: &mut Settled) -> Result<()> {
        if !self.session.can("UIDPLUS") {
            return self.delete_without_uidplus(messages, settled).await;
        }
        for chunk in pieces(messages, self.session.room_beside(&[STORE, MARK]), |s| s.key().as_uid()) {
            let set = uid_set(uids_of(chunk));
            self.store(&set, MARK).await?;
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

    /// Of these messages, those that the server finds by `criteria`.
    pub(super) async fn those(&mut self, criteria: &str, messages: &[Settlement]) -> Result<Vec<u32>> {
        let uids: Vec<u32> = uids_of(messages).collect();
        self.session.search_among(&uids, criteria).await
    }
}

pub(super) const STORE: &str = "UID STORE";
/// What marks a message as read.
const SEEN: &str = "+FLAGS.SILENT (\\Seen)";
/// What marks a message as deleted.
pub(super) const MARK: &str = "+FLAGS.SILENT (\\Deleted)";

pub(super) fn uids_of(messages: &[Settlement]) -> impl Iterator<Item = u32> {
    messages.iter().filter_map(|s| s.key().as_uid())
}
