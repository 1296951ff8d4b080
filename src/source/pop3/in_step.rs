//! Whether a reply is the reply to what was asked.
//!
//! A server that does not stuff dots (RFC 1939 section 3) goes on behind a line with a dot alone, and what its message says there
//! can read like replies. Whoever wrote the message does not know by what ids the server lists its messages.

use super::Pop3Source;
use super::listing::bounded;
use super::wire::{Reply, list_line, uidl_line};
use crate::config::Identity;
use crate::error::Result;
use crate::net::went_on;

impl Pop3Source {
    /// Asks what only the server can answer, and fails where another answer comes.
    pub(super) async fn prove_in_step(&mut self, id: &[u8]) -> Result<()> {
        let Some(message) = self.messages.get(id).copied() else { return Ok(()) };
        if self.identity == Identity::Uidl {
            let reply = self.session.command(&format!("UIDL {}", message.number)).await?;
            if is_id_of(&reply, message.number, id) {
                return Ok(());
            }
        }
        let reply = self.session.command(&format!("LIST {}", message.number)).await?;
        let is_told =
            matches!(&reply, Reply::Ok(text) if list_line(text.as_bytes()) == Some((message.number, message.size)));
        if is_told { Ok(()) } else { Err(went_on()) }
    }

    /// The same with a message by its number.
    pub(super) async fn prove_in_step_by(&mut self, number: u32) -> Result<()> {
        let id = self.messages.iter().find(|(_, message)| message.number == number).map(|(id, _)| id.clone());
        match id {
            Some(id) => self.prove_in_step(&id).await,
            None => Ok(()),
        }
    }
}

/// Whether a reply to UIDL names the message. An id of ours may have more behind a zero.
fn is_id_of(reply: &Reply, number: u32, id: &[u8]) -> bool {
    let Reply::Ok(text) = reply else { return false };
    let Some((told, uidl)) = uidl_line(text.as_bytes()) else { return false };
    let of_server = id.split(|byte| *byte == 0).next().unwrap_or_default();
    told == number && of_server == bounded(uidl)
}
