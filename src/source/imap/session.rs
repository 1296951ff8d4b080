//! The command loop: one or several commands in flight, each read to its tagged line.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use imap_proto::{AttributeValue, MailboxDatum, Outcome, RequestId, Response, ResponseCode, Status};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use super::codes::{code_in, copied_in, generation_in, listed_capabilities};
use super::idle::Idle;
use super::mend::mend;
use super::notify::Notified;
use super::raw;
use super::replies::{Replies, parse};
use super::selected::Selected;
use super::told::{OpenFolder, Selection, ToldFolders, UntaggedNews, said_in};
use crate::error::{Error, Kind, Result};
use crate::net::{Stream, deadline, within};
use crate::refusal::{RefusalMeaning, meaning};
use crate::secrets::Secrets;

/// The most replies before the server's continuation request.
const MAX_REPLIES_BEFORE_CONTINUATION: u32 = 100;
/// The most untagged replies to one command.
const MAX_REPLIES: u32 = 2_000_000;
/// How many replies may be unreadable: in a session, or between two refreshes while it waits.
const MAX_UNREADABLE: u32 = 1_000;
/// How much of an unreadable LIST line is kept, in bytes.
const LONGEST_LIST_LINE_BYTES: usize = 1_000;

/// A connection with its command loop.
#[derive(Debug)]
pub(super) struct ImapSession {
    pub(super) replies: Replies<Stream>,
    pub(super) host: String,
    tag: u32,
    unreadable: u32,
    /// The unreadable LIST lines since [`Self::take_unreadable_lists`].
    unreadable_lists: Vec<String>,
    pub(super) is_greeted: bool,
    /// UIDVALIDITY of the open folder, and whether the server has changed it since.
    generation: (Option<u32>, bool),
    /// The UIDs of the last COPYUID (RFC 4315).
    copied: Option<Copied>,
    pub(super) capabilities: Vec<String>,
    /// Bytes that are still to be sent: if a command was dropped halfway, its rest is sent before the next one.
    queued: VecDeque<u8>,
    /// The commands without a tagged reply yet, in the order in which they were sent.
    pub(super) in_flight: Vec<RequestId>,
    /// When something was last sent.
    pub(super) last_sent: Instant,
    pub(super) idle: Option<Idle>,
    /// The server offers IDLE but does not support it.
    pub(super) refuses_idle: bool,
    /// A wait was dropped, so replies may be outstanding.
    pub(super) is_interrupted: Arc<AtomicBool>,
    pub(super) selection: Selection,
    pub(super) notified: Notified,
    pub(super) told: ToldFolders,
    /// `false` while a folder is open only to wait in it: the UIDs of the pass belong to another folder.
    pub(super) may_use_uids: bool,
    /// The secrets to hide in texts that a person sees.
    pub(super) secrets: Arc<Secrets>,
}

/// The UIDs that the server says it copied or moved.
pub(super) type Copied = Vec<RangeInclusive<u32>>;

/// A tagged NO or BAD.
#[derive(Debug)]
pub(super) struct TaggedRefusal {
    /// `NO …` or `BAD …`, as the server wrote it.
    pub(super) line: String,
}

impl ImapSession {
    pub(super) fn over(stream: Stream, host: &str) -> Self {
        let replies = Replies::new(stream);
        Self {
            replies,
            host: host.to_owned(),
            tag: 0,
            unreadable: 0,
            unreadable_lists: Vec::new(),
            is_greeted: false,
            generation: (None, false),
            copied: None,
            capabilities: Vec::new(),
            queued: VecDeque::new(),
            in_flight: Vec::new(),
            last_sent: Instant::now(),
            idle: None,
            refuses_idle: false,
            is_interrupted: Arc::default(),
            selection: Selection::Nothing,
            notified: Notified::Not,
            told: ToldFolders::default(),
            may_use_uids: true,
            secrets: Arc::default(),
        }
    }

    /// Whether the server announced a capability. Case is ignored.
    pub(super) fn can(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|c| c.eq_ignore_ascii_case(capability))
    }

    /// Sends a command without waiting for the reply. Returns its tag. If the session is waiting for news, that ends first.
    pub(super) async fn send(&mut self, command: &str) -> Result<RequestId> {
        self.stop_waiting().await?;
        if !self.may_use_uids && needs_folder(command) {
            return Err(Error::permanent(Kind::Protocol, "no folder is open"));
        }
        let tag = self.queue(command);
        self.replies.use_large_buffer();
        self.write_queued().await?;
        Ok(tag)
    }

    /// Queues a command. It is sent with the next write.
    pub(super) fn queue(&mut self, command: &str) -> RequestId {
        self.tag += 1;
        let tag = RequestId(format!("m{}", self.tag));
        tracing::debug!(host = self.host, "C: {} {}", tag.0, hide_secrets(command));
        self.queued.extend(&*raw::to_bytes(&format!("{} {command}\r\n", tag.0)));
        self.in_flight.push(tag.clone());
        tag
    }

    /// The connection, to write a literal to.
    pub(super) fn stream(&mut self) -> &mut Stream {
        self.replies.stream()
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.queued.extend(bytes);
        self.write_queued().await
    }

    /// Sends the queued bytes. Cancel-safe: unsent bytes stay queued.
    pub(super) async fn write_queued(&mut self) -> Result<()> {
        self.last_sent = Instant::now();
        let stream = self.replies.stream();
        within(deadline::REPLY, "sending a command", async {
            stream.write_all_buf(&mut self.queued).await?;
            stream.flush().await
        })
        .await
    }

    /// Reads to the tagged line of `tag`, and passes every untagged reply to `each`. NO and BAD are a [`Refusal`];
    /// BYE, a closed connection and silence are errors.
    pub(super) async fn finish(
        &mut self,
        tag: &RequestId,
        mut each: impl FnMut(&Response<'_>) -> Result<()>,
    ) -> Result<Result<String, TaggedRefusal>> {
        for _ in 0..MAX_REPLIES {
            if let ReplyStep::Done(result) = self.step(tag, &mut each).await? {
                return Ok(result);
            }
        }
        Err(Error::permanent(Kind::Protocol, "the server's reply does not end"))
    }

    /// Reads one reply, and records what it says about the session.
    pub(super) async fn step(
        &mut self,
        tag: &RequestId,
        each: impl FnMut(&Response<'_>) -> Result<()>,
    ) -> Result<ReplyStep> {
        self.step_within(deadline::REPLY, tag, each).await
    }

    /// The same, for a reply that must come within `limit`. Cancel-safe.
    pub(super) async fn step_within(
        &mut self,
        limit: Duration,
        tag: &RequestId,
        mut each: impl FnMut(&Response<'_>) -> Result<()>,
    ) -> Result<ReplyStep> {
        let secrets = Arc::clone(&self.secrets);
        let examine = |reply: &Response<'_>| {
            let step = step_of(reply, tag, &secrets, &mut each);
            (step, generation_in(reply), copied_in(reply), listed_capabilities(reply), said_in(reply))
        };
        let (step, generation, copied, capabilities, said) = self.read(limit, examine).await?;
        if let Some(said) = said {
            self.record_unsolicited(said);
        }
        if let Ok(ReplyStep::Done(_)) = &step {
            self.in_flight.retain(|sent| sent != tag);
        }
        self.copied = copied.or(self.copied.take());
        let (selected, is_other) = &mut self.generation;
        *is_other |= generation.is_some() && selected.is_some() && generation != *selected;
        if let Some(capabilities) = capabilities {
            self.capabilities = capabilities;
        }
        step
    }

    /// Records unsolicited data about folders, which may come between the replies to any command.
    fn record_unsolicited(&mut self, said: UntaggedNews) {
        self.selection.record(&said);
        match said {
            UntaggedNews::Status(wire, glance) if self.expects_notifications() => self.told.status(wire, glance),
            UntaggedNews::Folder if self.expects_notifications() => self.told.folders_changed = true,
            UntaggedNews::Overflow if self.expects_notifications() => self.overflowed(),
            _ => {}
        }
    }

    /// Sends a command and waits for its tagged OK.
    pub(super) async fn run(&mut self, command: &str, each: impl FnMut(&Response<'_>) -> Result<()>) -> Result<String> {
        let tag = self.send(command).await?;
        let verb = command.split(' ').take(2).collect::<Vec<_>>().join(" ");
        self.finish(&tag, each).await?.map_err(|refusal| refused(&verb, &refusal.line))
    }

    /// Takes the LIST lines that could not be read since the last call.
    pub(super) fn take_unreadable_lists(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unreadable_lists)
    }

    /// Resets the limit of unreadable replies: a session may wait for months, with an unknown reply every few minutes.
    pub(super) fn forget_unreadable(&mut self) {
        self.unreadable = 0;
        self.unreadable_lists.clear();
    }

    /// Reads one reply and passes it to `look`. Unsolicited replies that the parser does not know are skipped: a client must
    /// accept any reply at any time (RFC 3501 2.2.2).
    pub(super) async fn read<T>(&mut self, limit: Duration, look: impl FnOnce(&Response<'_>) -> T) -> Result<T> {
        let doing = "waiting for the server's reply";
        let secrets = Arc::clone(&self.secrets);
        self.replies.stream().expect_within(limit);
        while self.unreadable < MAX_UNREADABLE {
            let Some(reply) = self.replies.next().await.map_err(|e| Error::network(doing, e))? else {
                let end = std::io::ErrorKind::UnexpectedEof.into();
                return Err(Error::network(format!("{doing}: the server closed the connection"), end));
            };
            if is_enabled(reply) {
                self.unreadable += 1;
                continue;
            }
            if tracing::enabled!(tracing::Level::DEBUG) {
                tracing::debug!(host = self.host, "S: {}", shown_in_dialogue(&secrets.hushed(first_line(reply))));
            }
            let mended = mend(reply);
            match parse(&mended) {
                Some(reply) => return Ok(look(&reply)),
                None if self.is_greeted && (reply.starts_with(b"* ") || is_blank(reply)) => {
                    tracing::warn!(
                        host = self.host,
                        "a reply that cannot be read: {}",
                        crate::clean::line(beginning_of(&secrets.hushed(first_line(reply))))
                    );
                    self.unreadable += 1;
                    if reply.get(2..7).is_some_and(|word| word.eq_ignore_ascii_case(b"LIST ")) {
                        let line = secrets.hushed(&reply[..reply.len().min(LONGEST_LIST_LINE_BYTES)]);
                        self.unreadable_lists.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                    }
                }
                None => {
                    let cause = "the server does not answer like an IMAP server";
                    return Err(
                        Error::permanent(Kind::Protocol, cause).said(beginning_of(&secrets.hushed(first_line(reply))))
                    );
                }
            }
        }
        Err(Error::permanent(Kind::Protocol, "too many of the server's replies cannot be read"))
    }

    /// Waits for the continuation request `+`, or for a refusal instead of it.
    pub(super) async fn wait_continuation(&mut self, tag: &RequestId) -> Result<Option<TaggedRefusal>> {
        Ok(match self.read_to_continuation(tag).await? {
            Reached::Question(_) => None,
            Reached::Done(Err(refusal)) => Some(refusal),
            Reached::Done(Ok(_)) => {
                return Err(Error::permanent(Kind::Protocol, "the server never asks for the rest of the command"));
            }
        })
    }

    /// Reads to a continuation request `+`, or to the tagged line of `tag`.
    pub(super) async fn read_to_continuation(&mut self, tag: &RequestId) -> Result<Reached> {
        for _ in 0..MAX_REPLIES_BEFORE_CONTINUATION {
            match self.step(tag, |_| Ok(())).await? {
                ReplyStep::More => {}
                ReplyStep::Asked(question) => return Ok(Reached::Question(question)),
                ReplyStep::Done(result) => return Ok(Reached::Done(result)),
            }
        }
        Err(Error::permanent(Kind::Protocol, "the server never asks for the rest of the command"))
    }

    /// Opens a folder, whose quoted name is `name`; read-only, unless something is to be changed in it.
    pub(super) async fn select(&mut self, name: &str, folder: &str, to_write: bool) -> Result<Selected> {
        let verb = if to_write { "SELECT" } else { "EXAMINE" };
        let mut selected = Selected::default();
        self.generation = (None, false);
        self.selection = Selection::Unknown;
        let command = format!("{verb} {name}");
        let opened = self.run(&command, |reply| {
            match reply {
                Response::MailboxData(MailboxDatum::Exists(n)) => selected.exists = *n,
                reply => selected.record(code_in(reply)),
            }
            Ok(())
        });
        let opened = opened.await;
        let line = opened.map_err(|e| e.while_doing(format!("opening {}", crate::clean::line(folder.as_bytes()))))?;
        selected.is_read_only = line.contains(READ_ONLY);
        self.generation = (selected.uid_validity, false);
        self.selection = Selection::Folder(OpenFolder {
            folder: folder.to_owned(),
            is_examined: !to_write,
            is_waited_in: false,
            exists: selected.exists,
            expunged: 0,
        });
        Ok(selected)
    }

    /// An error if the server has changed UIDVALIDITY of the open folder: its UIDs now belong to other messages.
    pub(super) fn check_generation(&self) -> Result<()> {
        let (_, is_other) = self.generation;
        let cause = "the server changed UIDVALIDITY in the middle of the session; nothing more is deleted";
        if is_other { Err(Error::transient(Kind::Protocol, cause)) } else { Ok(()) }
    }

    /// Forgets earlier COPYUID codes.
    pub(super) fn forget_copied(&mut self) {
        self.copied = None;
    }

    /// The COPYUID codes since then, if there were any.
    pub(super) fn copied(&mut self) -> Option<Copied> {
        self.copied.take()
    }

    /// Sends LOGOUT, and waits a moment for the answer.
    pub(super) async fn logout(&mut self) {
        let goodbye = async {
            let Ok(tag) = self.send("LOGOUT").await else { return };
            let is_answer = |reply: &Response<'_>| matches!(reply, Response::Done { tag: of, .. } if *of == tag);
            while let Ok(false) = self.read(deadline::GOODBYE, is_answer).await {}
        };
        tokio::time::timeout(deadline::GOODBYE, goodbye).await.ok();
    }
}

fn first_line(reply: &[u8]) -> &[u8] {
    &reply[..memchr::memchr(b'\n', reply).unwrap_or(reply.len())]
}

/// The beginning of a reply that may be shown: one line, and no message content, which is in strings and literals.
pub(super) fn beginning_of(reply: &[u8]) -> &[u8] {
    let is_fetch = reply.windows(7).take(24).any(|word| word.eq_ignore_ascii_case(b" FETCH "));
    let is_end = |byte: &u8| b"\r\n".contains(byte) || is_fetch && b"\"{".contains(byte);
    let end = reply.iter().take(100).position(is_end).unwrap_or(reply.len().min(100));
    &reply[..end]
}

/// A reply as `-vv` shows it. What a server asks during a login may be made of secrets.
fn shown_in_dialogue(line: &[u8]) -> String {
    match line.starts_with(b"+ ") {
        true => "+ (hidden)".to_owned(),
        false => crate::clean::line(beginning_of(line)),
    }
}

/// Whether this is ENABLED (RFC 5161), which we never ask for; imap-proto would take it for the server's capabilities.
fn is_enabled(reply: &[u8]) -> bool {
    reply.get(..9).is_some_and(|word| word.eq_ignore_ascii_case(b"* ENABLED"))
}

/// An empty line after a reply. Some small servers send one after a message.
fn is_blank(reply: &[u8]) -> bool {
    reply.trim_ascii().is_empty()
}

/// Whether a command is about messages of the open folder.
fn needs_folder(command: &str) -> bool {
    command.starts_with("UID ") || command == "EXPUNGE"
}

/// What a reply means to the command loop.
pub(super) enum ReplyStep {
    More,
    /// A continuation request, with its text.
    Asked(String),
    Done(Result<String, TaggedRefusal>),
}

/// How far a command with several lines has got.
pub(super) enum Reached {
    /// The server waits for more, and sent this challenge.
    Question(String),
    /// The tagged reply.
    Done(Result<String, TaggedRefusal>),
}

fn step_of(
    reply: &Response<'_>,
    tag: &RequestId,
    secrets: &Secrets,
    each: &mut impl FnMut(&Response<'_>) -> Result<()>,
) -> Result<ReplyStep> {
    match reply {
        Response::Done { tag: of, status, outcome } if of == tag => {
            let line = line_of(status, outcome, secrets);
            let result = if *status == Status::Ok { Ok(line) } else { Err(TaggedRefusal { line }) };
            Ok(ReplyStep::Done(result))
        }
        Response::Done { status, outcome, .. } => {
            Err(Error::permanent(Kind::Protocol, "the server answered a command that was not sent")
                .said(line_of(status, outcome, secrets)))
        }
        Response::Data { status: Status::Bye, outcome } => Err(Error::transient(
            Kind::Network,
            "the server ended the session",
        )
        .said(line_of(&Status::Bye, outcome, secrets))),
        Response::Continue(outcome) => {
            Ok(ReplyStep::Asked(outcome.information.as_deref().unwrap_or_default().to_owned()))
        }
        untagged => each(untagged).map(|()| ReplyStep::More),
    }
}

/// NO or BAD to a command, as an error. It is transient if the code or the words of the refusal say so.
pub(super) fn refused(verb: &str, line: &str) -> Error {
    not_done(format!("{verb} was refused"), line)
}

pub(super) fn not_done(doing: String, line: &str) -> Error {
    match meaning(line) {
        RefusalMeaning::Later => Error::transient(Kind::Refused, doing),
        _ => Error::permanent(Kind::Refused, doing),
    }
    .said(line)
}

/// The code of a folder that can only be read (RFC 3501 7.1).
const READ_ONLY: &str = "[READ-ONLY] ";

pub(super) fn line_of(status: &Status, outcome: &Outcome<'_>, secrets: &Secrets) -> String {
    let code = match &outcome.code {
        Some(ResponseCode::Alert) => "[ALERT] ",
        Some(ResponseCode::TryCreate) => "[TRYCREATE] ",
        Some(ResponseCode::ReadOnly) => READ_ONLY,
        _ => "",
    };
    let text = secrets.hushed(outcome.information.as_deref().unwrap_or_default().as_bytes());
    format!("{} {code}{}", format!("{status:?}").to_ascii_uppercase(), String::from_utf8_lossy(&text))
}

/// A command for the log, without the parts that only the server may see.
fn hide_secrets(command: &str) -> &str {
    let secret = ["LOGIN", "AUTHENTICATE"].into_iter().find(|verb| command.starts_with(verb));
    secret.map_or(command, |verb| verb)
}

/// The UID in a FETCH reply. Replies without one report flags that another client changed.
pub(super) fn uid_in(attributes: &[AttributeValue<'_>]) -> Option<u32> {
    attributes.iter().find_map(|a| if let AttributeValue::Uid(uid) = a { Some(*uid) } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interop_f9_what_is_shown_of_a_reply_holds_no_mail() {
        for (reply, shown) in [
            ("* 2 FETCH (UID  2 BODY[] {18}\r\nSubject: secret\r\n", "* 2 FETCH (UID  2 BODY[] "),
            ("* 2 fetch (UID 2 BODY[] \"secret\")\r\n", "* 2 fetch (UID 2 BODY[] "),
            ("* XSTATUS \"foo\" bar\r\n", "* XSTATUS \"foo\" bar"),
            ("HTTP/1.1 400 Bad Request\r\nX: y\r\n", "HTTP/1.1 400 Bad Request"),
        ] {
            assert_eq!(beginning_of(reply.as_bytes()), shown.as_bytes());
        }
        assert_eq!(beginning_of(&[b'x'; 1000]).len(), 100);
    }
}
