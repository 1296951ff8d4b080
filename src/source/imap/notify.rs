//! NOTIFY (RFC 5465): one session is told of all folders, with none of them open.

use std::time::Duration;

use tokio::time::Instant;

use super::session::{Session, refused};
use super::told::Selection;
use crate::error::Result;
use crate::refusal::{Meaning, meaning};

/// Every second SET of a session leaves Dovecot 2.3 deaf, which says OK to it, unless this stands between them.
const NONE: &str = "NOTIFY NONE";
/// Dovecot wants both of the first two or none.
const SET: &str = "NOTIFY SET (personal (MessageNew MessageExpunge MailboxName))";
/// A name that no folder has: after an EXAMINE that fails none is open (RFC 3501 6.3.1), and nothing is expunged.
const NOWHERE: &str = "EXAMINE \"mailsluice/there is no such folder\"";
/// A server that cannot keep up so soon cannot watch so many folders at all.
const TOO_SOON: Duration = Duration::from_secs(60);

/// Whether a server tells of all folders.
#[derive(Debug, Default)]
pub(super) enum Notified {
    #[default]
    Not,
    /// It was asked to, and may do so already.
    Asked,
    Since(Instant),
    /// It does not do it.
    Refuses,
}

impl Session {
    /// Whether the server tells of all folders.
    pub(super) fn is_notified(&self) -> bool {
        matches!(self.notified, Notified::Since(_))
    }

    /// Asks to be told of all folders. `false`: the server does not do it, and is not asked again. A refusal that passes is an error.
    pub(super) async fn be_notified(&mut self) -> Result<bool> {
        for command in [NONE, SET] {
            self.stop_waiting().await?;
            // What it tells may come before its OK.
            self.notified = Notified::Asked;
            let tag = self.send(command).await?;
            if let Err(refusal) = self.finish(&tag, |_| Ok(())).await? {
                if meaning(&refusal.line) == Meaning::Later {
                    return Err(refused("NOTIFY", &refusal.line));
                }
                self.notified = Notified::Refuses;
                return Ok(false);
            }
        }
        self.notified = Notified::Since(Instant::now());
        Ok(true)
    }

    /// Whether what a server says of folders that are not open may be news.
    pub(super) fn is_told_of_all(&self) -> bool {
        matches!(self.notified, Notified::Asked | Notified::Since(_))
    }

    /// The server tells no more, because it could not keep up.
    pub(super) fn overflowed(&mut self) {
        self.told.overflowed = true;
        self.notified = match self.notified {
            Notified::Since(asked) if asked.elapsed() >= TOO_SOON => Notified::Not,
            _ => Notified::Refuses,
        };
    }

    /// Closes the open folder, of which a server that notifies does not tell. Nothing is expunged by it, as CLOSE would.
    pub(super) async fn leave_folder(&mut self) -> Result<()> {
        if let Selection::Nothing = self.selection {
            return Ok(());
        }
        self.may_use_uids = false;
        self.selection = Selection::Unknown;
        let command = if self.can("UNSELECT") { "UNSELECT" } else { NOWHERE };
        let tag = self.send(command).await?;
        // It is refused where nothing is open.
        self.finish(&tag, |_| Ok(())).await?.ok();
        self.selection = Selection::Nothing;
        Ok(())
    }
}
