//! Big messages, and those of unknown size, are fetched in windows, so that they are never in memory as a whole.

use imap_proto::{AttributeValue, Response};

use super::ImapSource;
use super::session::{refused, uid_in};
use crate::error::{Error, Kind, Result};
use crate::message::Key;
use crate::source::spool::SpoolWriter;
use crate::source::{FetchOutcome, Listed, WINDOW, most_of};

/// The smallest average window that is accepted from a server that returns less than was requested.
const SMALLEST_WINDOW_BYTES: u64 = 64 * 1024;
/// How many windows are allowed in any case.
const MIN_WINDOWS: u64 = 64;

/// The server's answer to the request for a window.
enum Window {
    /// This many bytes.
    Piece(u64),
    /// More than was requested, so it is the whole message: the server does not support windows.
    All(u64),
    /// No bytes: the window starts at the end of the message.
    Empty,
    /// No answer, or NIL.
    Nothing,
    /// A refusal.
    Refused(Error),
}

impl ImapSource {
    /// Fetches a message window by window into the spool. An empty window marks its end.
    pub(super) async fn fetch_in_windows(&mut self, listed: &Listed) -> Result<FetchOutcome> {
        let key = Key::new(&self.open, listed.id.clone());
        let mut writer = self.spool.begin(&key)?;
        let most = most_of(listed);
        let (mut came, mut windows) = (0_u64, 0);
        loop {
            match self.window(&key, came, &mut writer).await? {
                Window::Piece(length) => came += length,
                Window::All(length) => {
                    came += length;
                    break;
                }
                Window::Empty => break,
                // Some servers do not answer a request beyond the end.
                Window::Nothing | Window::Refused(_) if is_all(listed, came) => break,
                Window::Nothing if came == 0 => return self.not_given(key).await,
                Window::Nothing => return Ok(broken(key, "the server stopped in the middle of the message")),
                Window::Refused(error) => return Ok(FetchOutcome::Failed(key, error)),
            }
            windows += 1;
            if came > most || windows > MIN_WINDOWS + most / SMALLEST_WINDOW_BYTES {
                return Ok(broken(key, "the message does not end"));
            }
        }
        Ok(listed.item(key, writer.finish()?, came))
    }

    async fn window(&mut self, key: &Key, offset: u64, writer: &mut SpoolWriter) -> Result<Window> {
        let Some(wanted) = self.uid_of(&key.id) else { return Ok(Window::Nothing) };
        let command = format!("UID FETCH {wanted} (UID BODY.PEEK[]<{offset}.{WINDOW}>)");
        let tag = self.session.send(&command).await?;
        let mut window = Window::Nothing;
        let reply = self
            .session
            .finish(&tag, |reply| {
                if let Some((piece, at)) = piece_in(reply, wanted)
                    && matches!(window, Window::Nothing)
                    && at.is_none_or(|at| u64::from(at) == offset)
                {
                    writer.write_wire(piece)?;
                    window = window_of(piece.len() as u64, offset);
                }
                Ok(())
            })
            .await?;
        Ok(reply.map_or_else(|refusal| Window::Refused(refused("UID FETCH", &refusal.line)), |_| window))
    }
}

fn window_of(length: u64, offset: u64) -> Window {
    match length {
        0 => Window::Empty,
        _ if length > WINDOW && offset == 0 => Window::All(length),
        _ => Window::Piece(length),
    }
}

/// Whether at least the announced size has come.
fn is_all(listed: &Listed, came: u64) -> bool {
    came > 0 && listed.announced.is_some_and(|size| came >= size)
}

fn broken(key: Key, cause: &str) -> FetchOutcome {
    FetchOutcome::Failed(key, Error::transient(Kind::Protocol, cause))
}

/// The bytes of the message in a reply, and their offset, if the reply names it.
fn piece_in<'r>(reply: &'r Response<'_>, wanted: u32) -> Option<(&'r [u8], Option<u32>)> {
    let Response::Fetch(_, attributes) = reply else { return None };
    if uid_in(attributes) != Some(wanted) {
        return None;
    }
    attributes.iter().find_map(|a| match a {
        AttributeValue::BodySection { section: None, index, data: Some(data) } => Some((&**data, *index)),
        _ => None,
    })
}
