//! `move_to`: moves messages to another folder of the server.
//!
//! With MOVE (RFC 6851) that is one step. Without it a message is copied, the copy is recorded, and then the original is deleted.
//! So an interrupted move can be completed without a second copy; the same holds for a MOVE that only copied. A message counts as
//! copied or gone only if the server says so (COPYUID), or no longer lists it.

use super::ImapSource;
use super::session::refused;
use super::sets::{pieces, uid_set};
use super::settle::uids_of;
use crate::clean;
use crate::error::{Error, Kind, Result};
use crate::source::Settled;
use crate::state::Settlement;

impl ImapSource {
    pub(super) async fn move_to(&mut self, messages: &[Settlement], folder: &str, settled: &mut Settled) -> Result<()> {
        let target = self.on_server(folder)?;
        let (copied, open): (Vec<_>, Vec<_>) = messages.iter().cloned().partition(Settlement::is_copied);
        settled.copied = copied;
        let (verb, moves) = if self.session.can("MOVE") { ("UID MOVE", true) } else { ("UID COPY", false) };
        for chunk in pieces(&open, self.session.room_beside(&[verb, &target]), |s| s.key().as_uid()) {
            self.session.forget_copied();
            self.put_into(verb, &uid_set(uids_of(chunk)), &target).await?;
            let named = self.session.copied();
            let is_named = |s: &Settlement| {
                let uid = s.key().as_uid();
                named.as_ref().map(|named| named.iter().any(|range| uid.is_some_and(|uid| range.contains(&uid))))
            };
            // COPY copies all messages or none (RFC 3501 6.4.7). COPYUID is more exact; the effect of MOVE shows in what is left.
            let (there, gone): (Vec<_>, Vec<_>) = match moves {
                true => self.still_there(chunk).await?,
                false => (chunk.to_vec(), Vec::new()),
            };
            let (copied, rest): (Vec<_>, Vec<_>) = there.into_iter().partition(|s| is_named(s).unwrap_or(!moves));
            settled.gone.extend(gone.into_iter().map(|s| s.key().clone()));
            settled.copied.extend(copied);
            let left = self.still_there(&rest).await?.0.len();
            if left > 0 {
                let folder = clean::short(folder, 100);
                let text = format!(
                    "{left} of {} messages were not moved to {folder}, although the server says OK",
                    chunk.len()
                );
                settled.errors.push(Error::transient(Kind::Refused, text));
            }
        }
        Ok(())
    }

    /// Divides messages into those that the server still lists and those that it does not.
    async fn still_there(&mut self, asked: &[Settlement]) -> Result<(Vec<Settlement>, Vec<Settlement>)> {
        let listed = self.uids_matching("", asked).await?;
        Ok(asked.iter().cloned().partition(|s| s.key().as_uid().is_some_and(|uid| listed.contains(&uid))))
    }

    /// Runs MOVE or COPY. A missing folder is created, even if the server does not send TRYCREATE.
    async fn put_into(&mut self, verb: &str, set: &str, target: &str) -> Result<()> {
        self.session.check_generation()?;
        let command = format!("{verb} {set} {target}");
        let tag = self.session.send(&command).await?;
        let Err(refusal) = self.session.finish(&tag, |_| Ok(())).await? else { return Ok(()) };
        if !refusal.line.contains("TRYCREATE") && self.folder_exists(target).await? {
            return Err(refused(verb, &refusal.line));
        }
        self.session.run(&format!("CREATE {target}"), |_| Ok(())).await?;
        self.session.check_generation()?;
        self.session.run(&command, |_| Ok(())).await.map(drop)
    }

    async fn folder_exists(&mut self, target: &str) -> Result<bool> {
        let tag = self.session.send(&format!("STATUS {target} (UIDVALIDITY)")).await?;
        Ok(self.session.finish(&tag, |_| Ok(())).await?.is_ok())
    }
}
