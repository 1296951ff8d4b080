//! What happens on the server to messages that are safe here.

use super::ImapSource;
use super::session::refused;
use super::sets::{pieces, uid_set};
use crate::config::Retention;
use crate::error::Result;
use crate::message::Key;
use crate::state::Settlement;

impl ImapSource {
    /// Applies the retention in the open folder. Returns the messages that are gone from it.
    pub(in crate::source) async fn settle(
        &mut self,
        messages: &[Settlement],
        retention: &Retention,
    ) -> Result<Vec<Key>> {
        match retention {
            Retention::Keep => Ok(Vec::new()),
            Retention::MarkSeen => self.mark_seen(messages).await.map(|()| Vec::new()),
            Retention::Delete | Retention::DeleteAfter(_) => self.delete(messages).await,
            Retention::MoveTo(folder) => self.move_to(messages, folder).await,
        }
    }

    async fn mark_seen(&mut self, messages: &[Settlement]) -> Result<()> {
        let unseen = self.those("UNSEEN", messages).await?;
        for chunk in pieces(&unseen, |uid| Some(*uid)) {
            self.store(&uid_set(chunk.iter().copied()), "+FLAGS.SILENT (\\Seen)").await?;
        }
        Ok(())
    }

    /// `\Deleted` and `UID EXPUNGE` (RFC 4315). Without UIDPLUS nothing is expunged: EXPUNGE would also remove
    /// what another client has marked. The mail then waits for the user's own client.
    async fn delete(&mut self, messages: &[Settlement]) -> Result<Vec<Key>> {
        if !self.session.can("UIDPLUS") {
            let open = self.those("UNDELETED", messages).await?;
            for chunk in pieces(&open, |uid| Some(*uid)) {
                self.store(&uid_set(chunk.iter().copied()), "+FLAGS.SILENT (\\Deleted)").await?;
            }
            return Ok(Vec::new());
        }
        let mut gone = Vec::new();
        for chunk in pieces(messages, |s| s.key().as_uid()) {
            let set = set_of(chunk);
            self.store(&set, "+FLAGS.SILENT (\\Deleted)").await?;
            self.session.check_generation()?;
            self.session.run(&format!("UID EXPUNGE {set}"), |_| Ok(())).await?;
            gone.extend(chunk.iter().map(|s| s.key().clone()));
        }
        Ok(gone)
    }

    /// MOVE (RFC 6851), or COPY and delete where there is no MOVE. A missing folder is created.
    async fn move_to(&mut self, messages: &[Settlement], folder: &str) -> Result<Vec<Key>> {
        let target = self.on_server(folder)?;
        let verb = if self.session.can("MOVE") { "UID MOVE" } else { "UID COPY" };
        let mut gone = Vec::new();
        for chunk in pieces(messages, |s| s.key().as_uid()) {
            // What is marked \\Deleted already was copied in an earlier pass, on a server that cannot expunge by UID.
            let open = self.those("UNDELETED", chunk).await?;
            if open.is_empty() {
                continue;
            }
            let command = format!("{verb} {} {target}", uid_set(open.iter().copied()));
            self.session.check_generation()?;
            let tag = self.session.send(&command).await?;
            if let Err(refusal) = self.session.finish(&tag, |_| Ok(())).await? {
                if !refusal.line.contains("TRYCREATE") {
                    return Err(refused(verb, &refusal.line));
                }
                self.session.run(&format!("CREATE {target}"), |_| Ok(())).await?;
                self.session.check_generation()?;
                self.session.run(&command, |_| Ok(())).await?;
            }
            match verb {
                "UID MOVE" => gone.extend(chunk.iter().map(|s| s.key().clone())),
                _ => gone.extend(self.delete(chunk).await?),
            }
        }
        Ok(gone)
    }

    async fn store(&mut self, set: &str, what: &str) -> Result<()> {
        self.session.check_generation()?;
        self.session.run(&format!("UID STORE {set} {what}"), |_| Ok(())).await.map(drop)
    }

    /// Of these messages, those that the server finds by `criteria`.
    async fn those(&mut self, criteria: &str, messages: &[Settlement]) -> Result<Vec<u32>> {
        let uids: Vec<u32> = messages.iter().filter_map(|s| s.key().as_uid()).collect();
        self.session.search_among(&uids, criteria).await
    }
}

fn set_of(messages: &[Settlement]) -> String {
    uid_set(messages.iter().filter_map(|s| s.key().as_uid()))
}
