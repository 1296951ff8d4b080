//! `move_to`: messages go to another folder of the server.
//!
//! With MOVE (RFC 6851) that is one step. Without it a message is copied, which is noted, and then deleted where it stood: an
//! interrupted move is finished and makes no second copy. Only what the server says it moved or copied counts.

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
        for chunk in pieces(&open, |s| s.key().as_uid()) {
            self.session.forget_copied();
            self.into_folder(verb, &uid_set(uids_of(chunk)), &target).await?;
            let (done, rest) = self.proven(chunk, moves).await?;
            match moves {
                true => settled.gone.extend(done.into_iter().map(|s| s.key().clone())),
                false => settled.copied.extend(done),
            }
            let left = self.those("", &rest).await?.len();
            if left > 0 {
                let folder = clean::short(folder, 100);
                let text =
                    format!("{left} of {} messages did not get into {folder}, though the server says OK", chunk.len());
                settled.errors.push(Error::transient(Kind::Refused, text));
            }
        }
        Ok(())
    }

    /// Those that COPYUID names, and the others. Where it is not said, COPY copies all or nothing (RFC 3501 6.4.7), and what
    /// MOVE did is seen by what is left.
    async fn proven(&mut self, asked: &[Settlement], moves: bool) -> Result<(Vec<Settlement>, Vec<Settlement>)> {
        let named = self.session.copied();
        let left = match (&named, moves) {
            (None, true) => self.those("", asked).await?,
            _ => Vec::new(),
        };
        let is_done = |s: &Settlement| {
            let Some(uid) = s.key().as_uid() else { return false };
            named.as_ref().is_none_or(|named| named.iter().any(|range| range.contains(&uid))) && !left.contains(&uid)
        };
        Ok(asked.iter().cloned().partition(is_done))
    }

    /// MOVE or COPY. A missing folder is made, also where the server does not ask for it by TRYCREATE.
    async fn into_folder(&mut self, verb: &str, set: &str, target: &str) -> Result<()> {
        self.session.check_generation()?;
        let command = format!("{verb} {set} {target}");
        let tag = self.session.send(&command).await?;
        let Err(refusal) = self.session.finish(&tag, |_| Ok(())).await? else { return Ok(()) };
        if !refusal.line.contains("TRYCREATE") && self.is_there(target).await? {
            return Err(refused(verb, &refusal.line));
        }
        self.session.run(&format!("CREATE {target}"), |_| Ok(())).await?;
        self.session.check_generation()?;
        self.session.run(&command, |_| Ok(())).await.map(drop)
    }

    async fn is_there(&mut self, target: &str) -> Result<bool> {
        let tag = self.session.send(&format!("STATUS {target} (UIDVALIDITY)")).await?;
        Ok(self.session.finish(&tag, |_| Ok(())).await?.is_ok())
    }
}
