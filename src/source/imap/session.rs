//! The command loop: one command at a time or several in flight, each read to its tagged line.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use imap_proto::rfc4315::UidSetMember;
use imap_proto::{AttributeValue, Capability, MailboxDatum, Outcome, RequestId, Response, ResponseCode, Status};
use tokio::io::AsyncWriteExt;

use super::mend::mend;
use super::raw;
use super::replies::{Replies, parse};
use super::selected::Selected;
use crate::config::{Account, Server, Tls};
use crate::error::{Error, Kind, Result};
use crate::net::mistaken::{Spoken, another};
use crate::net::{self, Stream, deadline, within};
use crate::refusal::{Meaning, meaning};
use crate::secrets::Secrets;

/// The most replies before a server asks for the rest of a command.
const MAX_REPLIES_BEFORE_QUESTION: u32 = 100;
/// The most untagged replies to one command.
const MAX_REPLIES: u32 = 2_000_000;
/// So many replies of a session may be in words that nobody knows.
const MAX_UNREADABLE: u32 = 1_000;
/// So much of a LIST line that cannot be read is kept.
const LONGEST_NAME: usize = 1_000;

/// A connection with a command loop.
#[derive(Debug)]
pub(super) struct Session {
    replies: Replies<Stream>,
    pub(super) host: String,
    tag: u32,
    unreadable: u32,
    /// The LIST lines among them, of the folders that were listed last.
    unreadable_lists: Vec<String>,
    is_greeted: bool,
    /// UIDVALIDITY of the open folder, and whether the server named another one since.
    generation: (Option<u32>, bool),
    /// The UIDs that COPYUID named last (RFC 4315).
    copied: Option<Copied>,
    pub(super) capabilities: Vec<String>,
    /// What of the replies no person may see.
    pub(super) secrets: Arc<Secrets>,
}

/// UIDs that a server says it copied or moved.
pub(super) type Copied = Vec<RangeInclusive<u32>>;

/// The tagged answer to a command that was understood.
#[derive(Debug)]
pub(super) struct Refusal {
    /// `NO …` or `BAD …` as the server wrote it.
    pub(super) line: String,
}

impl Session {
    /// Greeting, TLS, login, ID: ready for SELECT.
    pub(super) async fn connect(account: &Account) -> Result<Self> {
        let server = &account.server;
        let stream = net::connect(server).await?;
        let mut session = Self::over(stream, &server.host);
        let greeting = session.greeting(server).await?;
        if server.tls == Tls::StartTls {
            if greeting == Status::PreAuth {
                // There is no STARTTLS after PREAUTH: a plaintext attacker could answer for the server (T2).
                return Err(Error::permanent(Kind::Tls, "the server greets with PREAUTH, so STARTTLS is impossible"));
            }
            session = session.start_tls(account).await?;
        }
        if greeting != Status::PreAuth {
            session.ask_capabilities_unless_known().await?;
            session.login(account).await?;
        }
        session.ask_capabilities_unless_known().await?;
        session.identify().await?;
        Ok(session)
    }

    fn over(stream: Stream, host: &str) -> Self {
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
            secrets: Arc::default(),
        }
    }

    /// Whether the server announced a capability; case does not count.
    pub(super) fn can(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|c| c.eq_ignore_ascii_case(capability))
    }

    /// Sends a command without waiting. Returns its tag.
    pub(super) async fn send(&mut self, command: &str) -> Result<RequestId> {
        self.tag += 1;
        let tag = RequestId(format!("m{}", self.tag));
        tracing::debug!(host = self.host, "C: {} {}", tag.0, hide_secrets(command));
        self.write(&raw::bytes(&format!("{} {command}\r\n", tag.0))).await?;
        Ok(tag)
    }

    /// What a literal is written to.
    pub(super) fn stream(&mut self) -> &mut Stream {
        self.replies.stream()
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let stream = self.replies.stream();
        within(deadline::REPLY, "sending a command", async {
            stream.write_all(bytes).await?;
            stream.flush().await
        })
        .await
    }

    /// Reads to the tagged line of `tag`, giving every untagged reply to `each`. NO and BAD are a [`Refusal`];
    /// BYE, a closed connection and silence are errors.
    pub(super) async fn finish(
        &mut self,
        tag: &RequestId,
        mut each: impl FnMut(&Response<'_>) -> Result<()>,
    ) -> Result<Result<String, Refusal>> {
        for _ in 0..MAX_REPLIES {
            if let Step::Done(result) = self.step(tag, &mut each).await? {
                return Ok(result);
            }
        }
        Err(Error::permanent(Kind::Protocol, "the server's reply does not end"))
    }

    /// Reads one reply and takes in what it says about the session.
    async fn step(&mut self, tag: &RequestId, mut each: impl FnMut(&Response<'_>) -> Result<()>) -> Result<Step> {
        let secrets = Arc::clone(&self.secrets);
        let look = |reply: &Response<'_>| {
            (
                step_of(reply, tag, &secrets, &mut each),
                generation_in(reply),
                copied_in(reply),
                listed_capabilities(reply),
            )
        };
        let (step, generation, copied, capabilities) = self.read(deadline::REPLY, look).await?;
        self.copied = copied.or(self.copied.take());
        let (selected, is_other) = &mut self.generation;
        *is_other |= generation.is_some() && selected.is_some() && generation != *selected;
        if let Some(capabilities) = capabilities {
            self.capabilities = capabilities;
        }
        step
    }

    /// Sends a command and waits for its OK.
    pub(super) async fn run(&mut self, command: &str, each: impl FnMut(&Response<'_>) -> Result<()>) -> Result<String> {
        let tag = self.send(command).await?;
        let verb = command.split(' ').take(2).collect::<Vec<_>>().join(" ");
        self.finish(&tag, each).await?.map_err(|refusal| refused(&verb, &refusal.line))
    }

    /// The lines about folders that could not be read since this was asked last.
    pub(super) fn take_unreadable_lists(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unreadable_lists)
    }

    /// Reads one reply and looks at it. What a server says unasked, in words that the parser does not know, is passed
    /// over: a client has to bear any reply at any time (RFC 3501 2.2.2).
    async fn read<T>(&mut self, limit: Duration, look: impl FnOnce(&Response<'_>) -> T) -> Result<T> {
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
                        let line = secrets.hushed(&reply[..reply.len().min(LONGEST_NAME)]);
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

    async fn greeting(&mut self, server: &Server) -> Result<Status> {
        self.replies.stream().expect_within(deadline::GREETING);
        let beginning = self.replies.beginning().await.map_err(|e| Error::network("waiting for the greeting", e))?;
        if let Some(error) = another(beginning, Spoken::Imap, server) {
            return Err(error);
        }
        let host = self.host.clone();
        let (status, capabilities) = self
            .read(deadline::GREETING, |reply| match reply {
                Response::Data { status: Status::Ok, outcome } => Ok((Status::Ok, capabilities_in(outcome))),
                Response::Data { status: Status::PreAuth, outcome } => Ok((Status::PreAuth, capabilities_in(outcome))),
                Response::Data { status, outcome } => Err(not_done(
                    "the server turned us away".to_owned(),
                    &line_of(status, outcome, &Secrets::default()),
                )),
                _ => Err(Error::permanent(Kind::Protocol, format!("{host} does not greet like an IMAP server"))),
            })
            .await??;
        (self.capabilities, self.is_greeted) = (capabilities.unwrap_or_default(), true);
        Ok(status)
    }

    /// STARTTLS (RFC 3501 6.2.1). Bytes after its OK, before the handshake, were put there by somebody else.
    async fn start_tls(mut self, account: &Account) -> Result<Self> {
        self.run("STARTTLS", |_| Ok(())).await.map_err(|e| {
            Error::permanent(Kind::Tls, "the server refuses STARTTLS, which `tls: starttls` requires").because(e)
        })?;
        // A reply, or what the parser cannot make one of; silence is what must be there.
        let spoke = tokio::time::timeout(Duration::from_millis(1), self.replies.next()).await.is_ok();
        let (stream, early) = self.replies.into_parts();
        if spoke || early {
            return Err(Error::permanent(Kind::Tls, "the server sent data before the TLS handshake"));
        }
        // What was said before TLS is forgotten with the old session (T4).
        let over = Self::over(net::start_tls(stream, &account.server).await?, &account.server.host);
        Ok(Self { is_greeted: true, ..over })
    }

    async fn ask_capabilities_unless_known(&mut self) -> Result<()> {
        if self.capabilities.is_empty() {
            self.run("CAPABILITY", |_| Ok(())).await?;
        }
        Ok(())
    }

    /// Waits for `+`, or for the refusal instead of it.
    pub(super) async fn wait_continuation(&mut self, tag: &RequestId) -> Result<Option<Refusal>> {
        Ok(match self.until_asked(tag).await? {
            Reached::Question(_) => None,
            Reached::Done(Err(refusal)) => Some(refusal),
            Reached::Done(Ok(_)) => {
                return Err(Error::permanent(Kind::Protocol, "the server never asks for the rest of the command"));
            }
        })
    }

    /// Reads to a `+` or to the tagged line of `tag`.
    pub(super) async fn until_asked(&mut self, tag: &RequestId) -> Result<Reached> {
        for _ in 0..MAX_REPLIES_BEFORE_QUESTION {
            match self.step(tag, |_| Ok(())).await? {
                Step::More => {}
                Step::Asked(question) => return Ok(Reached::Question(question)),
                Step::Done(result) => return Ok(Reached::Done(result)),
            }
        }
        Err(Error::permanent(Kind::Protocol, "the server never asks for the rest of the command"))
    }

    /// ID (RFC 2971). 163.com, 126.com and QQ refuse SELECT ("Unsafe Login") until a client said who it is.
    /// Servers without the capability are not asked: some break the session on it.
    async fn identify(&mut self) -> Result<()> {
        if self.can("ID") {
            let id = format!("ID (\"name\" \"mailsluice\" \"version\" \"{}\")", env!("CARGO_PKG_VERSION"));
            let tag = self.send(&id).await?;
            // A refusal changes nothing.
            self.finish(&tag, |_| Ok(())).await?.ok();
        }
        Ok(())
    }

    /// Selects a folder by its name for a command, read-only unless something is to be changed in it.
    pub(super) async fn select(&mut self, name: &str, folder: &str, to_write: bool) -> Result<Selected> {
        let verb = if to_write { "SELECT" } else { "EXAMINE" };
        let mut selected = Selected::default();
        self.generation = (None, false);
        let command = format!("{verb} {name}");
        let opened = self.run(&command, |reply| {
            match reply {
                Response::MailboxData(MailboxDatum::Exists(n)) => selected.exists = *n,
                reply => selected.note(code_in(reply)),
            }
            Ok(())
        });
        let opened = opened.await;
        let line = opened.map_err(|e| e.while_doing(format!("opening {}", crate::clean::line(folder.as_bytes()))))?;
        selected.is_read_only = line.contains(READ_ONLY);
        self.generation = (selected.uid_validity, false);
        Ok(selected)
    }

    /// An error when the server renumbered the open folder: its UIDs are those of other messages now.
    pub(super) fn check_generation(&self) -> Result<()> {
        let (_, is_other) = self.generation;
        let cause = "the server changed UIDVALIDITY in the middle of the session; nothing more is deleted";
        if is_other { Err(Error::transient(Kind::Protocol, cause)) } else { Ok(()) }
    }

    /// Forgets what COPYUID said before.
    pub(super) fn forget_copied(&mut self) {
        self.copied = None;
    }

    /// What COPYUID has said since, if it was said.
    pub(super) fn copied(&mut self) -> Option<Copied> {
        self.copied.take()
    }

    /// Says LOGOUT and gives the server a moment.
    pub(super) async fn logout(&mut self) {
        if let Ok(tag) = self.send("LOGOUT").await {
            let goodbye = async {
                let is_answer = |reply: &Response<'_>| matches!(reply, Response::Done { tag: of, .. } if *of == tag);
                while let Ok(false) = self.read(deadline::GOODBYE, is_answer).await {}
            };
            tokio::time::timeout(deadline::GOODBYE, goodbye).await.ok();
        }
    }
}

fn first_line(reply: &[u8]) -> &[u8] {
    &reply[..memchr::memchr(b'\n', reply).unwrap_or(reply.len())]
}

/// So much of a reply as a person may see: one line, and no mail, which stands in strings and literals.
fn beginning_of(reply: &[u8]) -> &[u8] {
    let is_fetch = reply.windows(7).take(24).any(|word| word.eq_ignore_ascii_case(b" FETCH "));
    let is_end = |byte: &u8| b"\r\n".contains(byte) || is_fetch && b"\"{".contains(byte);
    let end = reply.iter().take(100).position(is_end).unwrap_or(reply.len().min(100));
    &reply[..end]
}

/// What was enabled (RFC 5161), which nobody here asks for; imap-proto takes it for all that the server can do.
fn is_enabled(reply: &[u8]) -> bool {
    reply.get(..9).is_some_and(|word| word.eq_ignore_ascii_case(b"* ENABLED"))
}

/// An empty line behind a reply, as some small servers send it after a message.
fn is_blank(reply: &[u8]) -> bool {
    reply.trim_ascii().is_empty()
}

/// What a reply means to the command loop.
enum Step {
    More,
    /// `+`, and what stands behind it.
    Asked(String),
    Done(Result<String, Refusal>),
}

/// Where a command has got to that has more than one line.
pub(super) enum Reached {
    /// The server waits for more, and asks this.
    Question(String),
    /// It has answered.
    Done(Result<String, Refusal>),
}

fn step_of(
    reply: &Response<'_>,
    tag: &RequestId,
    secrets: &Secrets,
    each: &mut impl FnMut(&Response<'_>) -> Result<()>,
) -> Result<Step> {
    match reply {
        Response::Done { tag: of, status, outcome } if of == tag => {
            let line = line_of(status, outcome, secrets);
            let result = if *status == Status::Ok { Ok(line) } else { Err(Refusal { line }) };
            Ok(Step::Done(result))
        }
        Response::Done { status, outcome, .. } => {
            Err(Error::permanent(Kind::Protocol, "the server answered a command nobody sent")
                .said(line_of(status, outcome, secrets)))
        }
        Response::Data { status: Status::Bye, outcome } => Err(Error::transient(
            Kind::Network,
            "the server ended the session",
        )
        .said(line_of(&Status::Bye, outcome, secrets))),
        Response::Continue(outcome) => Ok(Step::Asked(outcome.information.as_deref().unwrap_or_default().to_owned())),
        untagged => each(untagged).map(|()| Step::More),
    }
}

fn generation_in(reply: &Response<'_>) -> Option<u32> {
    match code_in(reply) {
        Some(ResponseCode::UidValidity(n)) => Some(*n),
        _ => None,
    }
}

/// The code of an untagged OK, NO or BAD.
fn code_in<'r>(reply: &'r Response<'_>) -> Option<&'r ResponseCode<'r>> {
    match reply {
        Response::Data { outcome: Outcome { code, .. }, .. } => code.as_ref(),
        _ => None,
    }
}

/// COPYUID stands in the tagged reply to COPY, and mostly before that to MOVE (RFC 6851 4.3).
fn copied_in(reply: &Response<'_>) -> Option<Copied> {
    let (Response::Data { outcome, .. } | Response::Done { outcome, .. }) = reply else { return None };
    let Some(ResponseCode::CopyUid(_, from, _)) = &outcome.code else { return None };
    let range = |member: &UidSetMember| match member {
        UidSetMember::Uid(uid) => *uid..=*uid,
        // "4:2" means the same as "2:4" (RFC 3501 9).
        UidSetMember::UidRange(range) => *range.start().min(range.end())..=*range.start().max(range.end()),
    };
    Some(from.iter().map(range).collect())
}

/// What the server says it can do, in an untagged reply or in the tagged one of a login.
fn listed_capabilities(reply: &Response<'_>) -> Option<Vec<String>> {
    match reply {
        Response::Capabilities(list) => Some(names_of(list)),
        Response::Done { outcome, .. } => capabilities_in(outcome),
        _ => None,
    }
}

fn capabilities_in(outcome: &Outcome<'_>) -> Option<Vec<String>> {
    match &outcome.code {
        Some(ResponseCode::Capabilities(list)) => Some(names_of(list)),
        _ => None,
    }
}

/// NO or BAD to a command, as an error. Refusals that pass by themselves say so in their code or their words.
pub(super) fn refused(verb: &str, line: &str) -> Error {
    not_done(format!("{verb} was refused"), line)
}

fn not_done(doing: String, line: &str) -> Error {
    match meaning(line) {
        Meaning::Later => Error::transient(Kind::Refused, doing),
        _ => Error::permanent(Kind::Refused, doing),
    }
    .said(line)
}

fn names_of(list: &[Capability<'_>]) -> Vec<String> {
    let name = |capability: &Capability<'_>| match capability {
        Capability::Imap4rev1 => "IMAP4rev1".to_owned(),
        Capability::Auth(mechanism) => format!("AUTH={mechanism}"),
        Capability::Atom(atom) => atom.to_string(),
    };
    list.iter().map(name).collect()
}

/// The code of a folder that only may be read (RFC 3501 7.1).
const READ_ONLY: &str = "[READ-ONLY] ";

fn line_of(status: &Status, outcome: &Outcome<'_>, secrets: &Secrets) -> String {
    let code = match &outcome.code {
        Some(ResponseCode::Alert) => "[ALERT] ",
        Some(ResponseCode::TryCreate) => "[TRYCREATE] ",
        Some(ResponseCode::ReadOnly) => READ_ONLY,
        _ => "",
    };
    let text = secrets.hushed(outcome.information.as_deref().unwrap_or_default().as_bytes());
    format!("{} {code}{}", format!("{status:?}").to_ascii_uppercase(), String::from_utf8_lossy(&text))
}

/// A command for the log, without what only the server may read.
fn hide_secrets(command: &str) -> &str {
    let secret = ["LOGIN", "AUTHENTICATE"].into_iter().find(|verb| command.starts_with(verb));
    secret.map_or(command, |verb| verb)
}

/// The UID in a FETCH reply. Replies without one are about flags that another client changed.
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
