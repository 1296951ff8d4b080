//! NOTIFY (RFC 5465): one session gets notifications about all folders while none is open.

use std::time::Duration;

use tokio::time::Instant;

use super::session::{ImapSession, refused};
use super::told::Selection;
use crate::error::Result;
use crate::refusal::{RefusalMeaning, meaning};

/// Sent before each SET: Dovecot 2.3 answers OK to every second SET of a session, but then sends no notifications.
const NOTIFY_NONE: &str = "NOTIFY NONE";
/// Dovecot accepts the first two events only together.
const NOTIFY_SET: &str = "NOTIFY SET (personal (MessageNew MessageExpunge MailboxName))";
/// A folder that cannot exist: a failed EXAMINE leaves no folder open (RFC 3501 6.3.1), and expunges nothing.
const EXAMINE_NOTHING: &str = "EXAMINE \"mailsluice/there is no such folder\"";
/// A server whose notifications overflow sooner than this cannot watch so many folders at all.
const OVERFLOW_TOO_SOON: Duration = Duration::from_secs(60);

/// Whether the server sends notifications about all folders.
#[derive(Debug, Default)]
pub(super) enum Notified {
    #[default]
    Not,
    /// It was asked to, and may have begun.
    Asked,
    Since(Instant),
    /// It does not support it.
    Refuses,
}

impl ImapSession {
    /// Whether the server is known to send notifications.
    pub(super) fn is_notified(&self) -> bool {
        matches!(self.notified, Notified::Since(_))
    }

    /// Asks for notifications about all folders. `false` if the server does not support it; then it is not asked again. A
    /// temporary refusal is an error.
    pub(super) async fn request_notify(&mut self) -> Result<bool> {
        for command in [NOTIFY_NONE, NOTIFY_SET] {
            self.stop_waiting().await?;
            // Notifications may come before the tagged OK.
            self.notified = Notified::Asked;
            let tag = self.send(command).await?;
            if let Err(refusal) = self.finish(&tag, |_| Ok(())).await? {
                if meaning(&refusal.line) == RefusalMeaning::Later {
                    return Err(refused("NOTIFY", &refusal.line));
                }
                self.notified = Notified::Refuses;
                return Ok(false);
            }
        }
        self.notified = Notified::Since(Instant::now());
        Ok(true)
    }

    /// Whether the status of a folder that is not open may be a notification.
    pub(super) fn expects_notifications(&self) -> bool {
        matches!(self.notified, Notified::Asked | Notified::Since(_))
    }

    /// Called when the server stops its notifications because it cannot keep up.
    pub(super) fn overflowed(&mut self) {
        self.told.overflowed = true;
        self.notified = match self.notified {
            Notified::Since(asked) if asked.elapsed() >= OVERFLOW_TOO_SOON => Notified::Not,
            _ => Notified::Refuses,
        };
    }

    /// Leaves the open folder, because a server with NOTIFY does not report on it. Unlike CLOSE this expunges nothing.
    pub(super) async fn leave_folder(&mut self) -> Result<()> {
        if let Selection::Nothing = self.selection {
            return Ok(());
        }
        self.may_use_uids = false;
        self.selection = Selection::Unknown;
        let command = if self.can("UNSELECT") { "UNSELECT" } else { EXAMINE_NOTHING };
        let tag = self.send(command).await?;
        // It is refused if no folder is open, which is fine.
        self.finish(&tag, |_| Ok(())).await?.ok();
        self.selection = Selection::Nothing;
        Ok(())
    }
}
