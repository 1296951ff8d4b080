//! Checks that a reply belongs to the command that was sent.
//!
//! A server that does not dot-stuff (RFC 1939 section 3) sends more after a line with a single dot, and that part of the
//! message may look like replies. The sender of the message cannot know the ids under which the server lists its messages.

use super::Pop3Source;
use super::listing::bounded_id;
use super::wire::{Pop3Reply, list_line, uidl_line};
use crate::config::Pop3Identity;
use crate::error::Result;
use crate::net::went_on;

impl Pop3Source {
    /// Asks for the id or size of a message, which only the server knows, and fails if the answer is another one.
    pub(super) async fn check_in_step(&mut self, id: &[u8]) -> Result<()> {
        let Some(message) = self.messages.get(id).copied() else { return Ok(()) };
        if self.identity == Pop3Identity::Uidl {
            let reply = self.session.command(&format!("UIDL {}", message.number)).await?;
            if is_id_of(&reply, message.number, id) {
                return Ok(());
            }
        }
        let reply = self.session.command(&format!("LIST {}", message.number)).await?;
        let is_told =
            matches!(&reply, Pop3Reply::Ok(text) if list_line(text.as_bytes()) == Some((message.number, message.size)));
        if is_told { Ok(()) } else { Err(went_on()) }
    }

    /// The same for a message by its number.
    pub(super) async fn check_in_step_by(&mut self, number: u32) -> Result<()> {
        let id = self.messages.iter().find(|(_, message)| message.number == number).map(|(id, _)| id.clone());
        match id {
            Some(id) => self.check_in_step(&id).await,
            None => Ok(()),
        }
    }
}

/// Whether a reply to UIDL names the message. Our id may have an ordinal after a NUL.
fn is_id_of(reply: &Pop3Reply, number: u32, id: &[u8]) -> bool {
    let Pop3Reply::Ok(text) = reply else { return false };
    let Some((told, uidl)) = uidl_line(text.as_bytes()) else { return false };
    let of_server = id.split(|byte| *byte == 0).next().unwrap_or_default();
    told == number && of_server == bounded_id(uidl)
}
