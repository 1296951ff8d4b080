//! POP3 (RFC 1939). The client is our own, because every crate for it corrupts mail, hangs or panics.
//!
//! A message is identified by its UIDL. RFC 1939 lets a server give one UIDL to two identical messages, and some servers give
//! one to different messages, so the key also has an ordinal among equal ones. A deletion counts only when QUIT
//! was answered with `+OK`.

mod heads;
mod in_step;
mod listing;
mod session;
mod stat;
mod transfer;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;

use super::{Settled, Spool};
use crate::config::{Account, Pop3Identity, Retention};
use crate::error::Result;
use crate::message::{Key, Origin};
use crate::state::Settlement;
use session::Pop3Session;
pub(super) use session::offers;
use wire::{Pop3Reply, refused_for};

/// A logged-in POP3 session.
#[derive(Debug)]
pub struct Pop3Source {
    session: Pop3Session,
    spool: Spool,
    origin: Arc<Origin>,
    identity: Pop3Identity,
    /// Whether the server has TOP; `None` while unknown.
    has_top: Option<bool>,
    /// The messages of this session by id.
    messages: HashMap<Vec<u8>, Numbered>,
    /// Messages that are marked for deletion, which happens with QUIT.
    marked: Vec<Key>,
}

/// A message with its number in this session.
#[derive(Clone, Copy, Debug)]
struct Numbered {
    number: u32,
    size: Option<u64>,
}

impl Pop3Source {
    /// Connects, protects the connection and logs in.
    pub async fn connect(account: &Account, space: &str, spool: Spool) -> Result<Self> {
        let origin = Origin { account: space.to_owned(), folder: "INBOX".to_owned(), generation: 0 };
        Ok(Self {
            session: Pop3Session::connect(account).await?,
            spool,
            origin: Arc::new(origin),
            identity: account.identity,
            has_top: None,
            messages: HashMap::new(),
            marked: Vec::new(),
        })
    }

    /// Sends DELE for messages that are durable on our side. Nothing is deleted before [`Self::quit`].
    pub(super) async fn mark_deleted(&mut self, messages: &[Settlement], retention: &Retention) -> Settled {
        if !matches!(retention, Retention::Delete | Retention::DeleteAfter(_)) {
            return Settled::default();
        }
        let numbered = messages.iter().filter_map(|s| Some((s.key().clone(), self.messages.get(&s.key().id)?.number)));
        let (keys, commands): (Vec<_>, Vec<_>) = numbered.map(|(key, n)| (key, format!("DELE {n}\r\n"))).unzip();
        let (mut accepted, mut refusals) = (Vec::new(), Vec::new());
        let record = |i: usize, reply: Pop3Reply| {
            match reply {
                // The message stays on the server, and the next pass tries again.
                Pop3Reply::Err(line) => refusals.push(line),
                reply => reply.accepted("DELE").map(|_| accepted.push(keys[i].clone()))?,
            }
            Ok(())
        };
        let ended = self.session.pipeline(&commands, record).await;
        self.marked.extend(accepted);
        let refused = refusals.first().map(|line| refused_for("DELE", refusals.len(), commands.len(), line));
        Settled { errors: refused.into_iter().collect(), ..Settled::default() }.ended(ended, &self.origin.folder)
    }

    /// Sends QUIT. Only its `+OK` means that the marked messages are deleted (RFC 1939 section 6).
    pub async fn quit(mut self) -> Result<Vec<Key>> {
        let waits = if self.marked.is_empty() { crate::net::deadline::GOODBYE } else { crate::net::deadline::REPLY };
        let reply = self.session.command_within("QUIT", waits).await;
        match reply.and_then(|reply| reply.accepted("QUIT")) {
            Ok(_) => Ok(self.marked),
            // Without deletions the reply to QUIT does not matter.
            Err(_) if self.marked.is_empty() => Ok(Vec::new()),
            Err(e) => Err(e.while_doing("deleting on the server (it may or may not have happened)")),
        }
    }
}
