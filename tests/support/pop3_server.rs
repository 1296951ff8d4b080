//! A POP3 server (RFC 1939, with CAPA, STLS, UTF8, PIPELINING, AUTH PLAIN and response codes) for the INBOX of a
//! [`Mailbox`], on a port of its own. It behaves, unless [`Faults`] say otherwise.
//!
//! ```ignore
//! let mailbox = Mailbox::new("me", "secret");
//! mailbox.add("INBOX", "Subject: hello\n\n.world\n");
//! let server = Pop3Server::start(&mailbox, Pop3Options::default());
//! … port: server.port() …
//! assert_eq!(mailbox.count("INBOX"), 0, "DELE and QUIT took it away");
//! ```

use super::base64;
use super::faults::{Faults, MessageFault, PLACEHOLDER};
use super::imap_search;
use super::mailbox::{Folder, Mailbox, Pop3Lock, Stored};
use super::wire::{Conn, Listener, Protocol, Security, cut};
use std::io;
use std::ops::Deref;
use std::time::Duration;

const MAX_LINE: usize = 8 * 1024;
/// A client that comes right back after its connection broke shall not find itself locked out.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

#[derive(Clone)]
pub struct Pop3Options {
    pub security: Security,
    /// The lines of CAPA. STLS is added by the server. A command that belongs to one that is missing is unknown.
    pub capabilities: Vec<String>,
    pub greeting: Option<String>,
    pub faults: Faults,
}

const CAPABILITIES: [&str; 8] =
    ["TOP", "UIDL", "USER", "SASL PLAIN", "PIPELINING", "UTF8", "RESP-CODES", "AUTH-RESP-CODE"];

impl Default for Pop3Options {
    /// In the clear, with every capability it knows, without faults.
    fn default() -> Self {
        let capabilities = CAPABILITIES.map(str::to_owned).to_vec();
        Pop3Options { security: Security::Plain, capabilities, greeting: None, faults: Faults::none() }
    }
}

impl Pop3Options {
    pub fn with_faults(faults: &Faults) -> Self {
        Pop3Options { faults: faults.clone(), ..Self::default() }
    }

    pub fn with_security(security: Security) -> Self {
        Pop3Options { security, ..Self::default() }
    }

    pub fn without(mut self, capability: &str) -> Self {
        self.capabilities.retain(|known| known != capability);
        self
    }

    fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|known| known.eq_ignore_ascii_case(capability))
    }
}

/// Ends when dropped. `port()`, `address()` and `connections()` come from [`Listener`].
pub struct Pop3Server(Listener);

impl Pop3Server {
    pub fn start(mailbox: &Mailbox, options: Pop3Options) -> Self {
        let (security, faults) = (options.security, options.faults.clone());
        Pop3Server(Listener::start(Pop3 { mailbox: mailbox.clone(), options }, security, &faults))
    }
}

impl Deref for Pop3Server {
    type Target = Listener;

    fn deref(&self) -> &Listener {
        &self.0
    }
}

#[derive(Clone)]
struct Pop3 {
    mailbox: Mailbox,
    options: Pop3Options,
}

impl Protocol for Pop3 {
    async fn serve(&self, conn: &mut Conn) -> io::Result<()> {
        let Pop3 { mailbox, options } = self.clone();
        // Dropped on return, and with it the mailbox's lock, before the connection is closed.
        Session { conn, mailbox, options, user: None, drop: None, over: false }.run().await
    }
}

struct Session<'c> {
    conn: &'c mut Conn,
    mailbox: Mailbox,
    options: Pop3Options,
    /// Given by USER, waiting for PASS.
    user: Option<String>,
    /// The mailbox as it was at login; before that `None`.
    drop: Option<Maildrop>,
    over: bool,
}

struct Maildrop {
    messages: Vec<Entry>,
    _lock: Pop3Lock,
}

struct Entry {
    message: Stored,
    deleted: bool,
}

/// The text behind `+OK`. `None` when the command has sent its own.
type Answer = Result<Option<String>, Refusal>;

enum Refusal {
    Err(String),
    /// The connection is gone, or a fault ends it.
    Gone(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Refusal::Gone(error)
    }
}

fn ok(text: impl Into<String>) -> Answer {
    Ok(Some(text.into()))
}

fn err<T>(text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Err(text.into()))
}

impl Session<'_> {
    async fn run(&mut self) -> io::Result<()> {
        if !self.greet().await? {
            return Ok(());
        }
        let mut answered = 0;
        while !self.over {
            let line = self.conn.read_line(MAX_LINE).await?;
            self.one_command(&String::from_utf8_lossy(&line)).await?;
            answered += 1;
            if self.conn.faults.disconnects_after(answered) {
                return Err(cut());
            }
        }
        Ok(())
    }

    /// Says whether the session goes on.
    async fn greet(&mut self) -> io::Result<bool> {
        let (bye, greeting) = (self.conn.faults.bye(), self.conn.faults.greeting());
        let goes_on = bye.is_none();
        let line = match bye {
            Some(text) => format!("-ERR {text}"),
            None => greeting.or(self.options.greeting.clone()).unwrap_or_else(|| "+OK ready".to_owned()),
        };
        self.conn.send_now(format!("{line}\r\n")).await?;
        Ok(goes_on)
    }

    async fn one_command(&mut self, line: &str) -> io::Result<()> {
        let order = self.conn.faults.begin(line);
        if let Some(time) = order.delay {
            tokio::time::sleep(time).await;
        }
        if order.cut_before {
            return Err(cut());
        }
        self.conn.swallow = order.cut_after || order.hang;
        self.answer(line).await?;
        self.conn.flush().await?;
        if order.hang {
            self.conn.hang().await?;
        }
        if order.cut_after || order.hang {
            return Err(cut());
        }
        Ok(())
    }

    async fn answer(&mut self, line: &str) -> io::Result<()> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match self.execute(&verb.to_ascii_uppercase(), rest).await {
            Ok(None) => Ok(()),
            Ok(Some(text)) => self.conn.send(format!("+OK {text}\r\n")).await,
            Err(Refusal::Err(text)) => self.conn.send(format!("-ERR {text}\r\n")).await,
            Err(Refusal::Gone(error)) => Err(error),
        }
    }

    async fn execute(&mut self, verb: &str, rest: &str) -> Answer {
        if let Some(text) = self.conn.faults.refusal(verb) {
            return err(text);
        }
        let capability = match verb {
            "TOP" | "UIDL" | "USER" | "UTF8" => verb,
            "AUTH" => "SASL PLAIN",
            _ => "",
        };
        if !capability.is_empty() && !self.options.has(capability) {
            return err("unknown command");
        }
        match verb {
            "CAPA" if self.conn.faults.has_habit("no-capa") => err("unknown command"),
            "CAPA" => self.capa().await,
            "QUIT" => self.quit(),
            _ if self.drop.is_some() => self.in_transaction(verb, rest).await,
            "STLS" => self.stls().await,
            "UTF8" => ok("UTF-8 it is"),
            "USER" | "PASS" | "AUTH" if self.wants_tls() => err("[SYS/PERM] not before TLS"),
            "USER" => {
                self.user = Some(rest.to_owned());
                ok("and the password?")
            }
            "PASS" => match self.user.take() {
                Some(user) => self.login(&user, rest).await,
                None => err("USER comes first"),
            },
            "AUTH" => self.auth(rest).await,
            _ => err("unknown command, or not before login"),
        }
    }

    async fn in_transaction(&mut self, verb: &str, rest: &str) -> Answer {
        match verb {
            "STAT" => self.stat(),
            "LIST" => {
                self.listing(rest, "messages", |session, message| Some(session.told_size(message).to_string())).await
            }
            "UIDL" => self.listing(rest, "unique ids", Session::told_uidl).await,
            "RETR" => self.retrieve(rest, None).await,
            "TOP" => match rest.split_once(' ').and_then(|(number, lines)| Some((number, lines.parse().ok()?))) {
                Some((number, lines)) => self.retrieve(number, Some(lines)).await,
                None => err("TOP takes two numbers"),
            },
            "DELE" => {
                self.entry(rest)?.deleted = true;
                ok("will be deleted")
            }
            "RSET" => {
                self.messages().iter_mut().for_each(|entry| entry.deleted = false);
                ok("as before")
            }
            "NOOP" => ok("done"),
            _ => err("unknown command, or not after login"),
        }
    }

    fn wants_tls(&self) -> bool {
        matches!(self.options.security, Security::StartTls(_)) && !self.conn.is_tls()
    }

    async fn capa(&mut self) -> Answer {
        let mut list: String = self.options.capabilities.iter().map(|line| format!("{line}\r\n")).collect();
        if self.wants_tls() {
            list += "STLS\r\n";
        }
        self.conn.send(format!("+OK\r\n{list}.\r\n")).await?;
        Ok(None)
    }

    async fn stls(&mut self) -> Answer {
        let Security::StartTls(certificate) = self.options.security else { return err("unknown command") };
        if self.conn.is_tls() {
            return err("TLS already");
        }
        let injected = self.conn.faults.starttls_injection().unwrap_or_default();
        self.conn.send(format!("+OK begin TLS\r\n{injected}")).await?;
        self.conn.flush().await?;
        self.user = None;
        if !self.conn.swallow {
            self.conn.start_tls(certificate).await?;
        }
        Ok(None)
    }

    async fn auth(&mut self, rest: &str) -> Answer {
        let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        if !mechanism.eq_ignore_ascii_case("PLAIN") {
            return err("unknown mechanism");
        }
        let blob = if initial.is_empty() {
            self.conn.send_now("+ \r\n").await?;
            String::from_utf8_lossy(&self.conn.read_line(MAX_LINE).await?).into_owned()
        } else {
            initial.to_owned()
        };
        match base64::plain_login(&blob) {
            Some((user, password)) => self.login(&user, &password).await,
            None => err("cancelled, or no base64"),
        }
    }

    async fn login(&mut self, user: &str, password: &str) -> Answer {
        if !self.mailbox.accepts(user, password) {
            return err("[AUTH] wrong user or password");
        }
        let Some(lock) = self.lock().await else { return err("[IN-USE] another session has the mailbox") };
        let inbox = self.mailbox.read_folder("INBOX", Folder::clone);
        let messages = inbox.map_or(Vec::new(), |inbox| inbox.messages);
        let messages = messages.into_iter().map(|message| Entry { message, deleted: false }).collect();
        self.drop = Some(Maildrop { messages, _lock: lock });
        ok("welcome")
    }

    async fn lock(&self) -> Option<Pop3Lock> {
        for _ in 0..LOCK_TRIES {
            if let Some(lock) = self.mailbox.lock_for_pop3() {
                return Some(lock);
            }
            tokio::time::sleep(LOCK_PAUSE).await;
        }
        None
    }

    /// Here, and only here, messages go.
    fn quit(&mut self) -> Answer {
        self.over = true;
        let gone: Vec<u32> =
            self.messages().iter().filter(|entry| entry.deleted).map(|entry| entry.message.uid).collect();
        if !gone.is_empty() {
            self.mailbox.change_folder("INBOX", |inbox| {
                inbox.messages.retain(|message| gone.binary_search(&message.uid).is_err());
            });
        }
        ok(format!("{} deleted", gone.len()))
    }

    fn stat(&mut self) -> Answer {
        let left = || self.drop.iter().flat_map(|drop| &drop.messages).filter(|entry| !entry.deleted);
        ok(format!("{} {}", left().count(), left().map(|entry| self.told_size(&entry.message)).sum::<usize>()))
    }

    /// LIST and UIDL: of one message, or of all that are not deleted. A message with nothing to tell is left out.
    async fn listing(&mut self, which: &str, what: &str, tell: impl Fn(&Self, &Stored) -> Option<String>) -> Answer {
        if !which.is_empty() {
            let message = self.entry(which)?.message.clone();
            return match tell(self, &message) {
                Some(value) => ok(format!("{which} {value}")),
                None => err("nothing known about it"),
            };
        }
        let between = match what {
            "unique ids" if self.conn.faults.has_habit("uidl-spaces") => "   ",
            "unique ids" if self.conn.faults.has_habit("uidl-tabs") => "\t",
            _ => " ",
        };
        let entries = self.drop.iter().flat_map(|drop| &drop.messages).enumerate();
        let lines: String = entries
            .filter(|(_, entry)| !entry.deleted)
            .filter(|(_, entry)| !self.conn.faults.has_message_fault(entry.message.uid, &MessageFault::Unlisted))
            .filter_map(|(index, entry)| Some(format!("{}{between}{}\r\n", index + 1, tell(self, &entry.message)?)))
            .collect();
        self.conn.send(format!("+OK {what}\r\n{lines}.\r\n")).await?;
        Ok(None)
    }

    /// RETR, or TOP with a number of body lines.
    async fn retrieve(&mut self, which: &str, lines: Option<usize>) -> Answer {
        let message = self.entry(which)?.message.clone();
        let faults = self.conn.faults.clone();
        if faults.has_message_fault(message.uid, &MessageFault::Refused) {
            return err("[SYS/TEMP] it cannot be read");
        }
        if faults.has_message_fault(message.uid, &MessageFault::NotGiven) {
            return err("no such message");
        }
        let is_nil = faults.has_message_fault(message.uid, &MessageFault::Nil);
        let is_placeholder = faults.has_message_fault(message.uid, &MessageFault::Placeholder);
        let whole = if is_placeholder { PLACEHOLDER } else { &message.bytes[..] };
        let bytes = if is_nil {
            &[][..]
        } else {
            lines.filter(|_| !faults.has_habit("top-of-all")).map_or(whole, |lines| top(whole, lines))
        };
        let more = faults.message_fault(message.uid, |fault| match fault {
            MessageFault::AnnouncedLonger(by) => Some(*by),
            _ => None,
        });
        let cut_at = faults.message_fault(message.uid, |fault| match fault {
            MessageFault::CutAt(byte) => Some(*byte),
            _ => None,
        });
        let text = if faults.has_habit("extra-ok-text") { " follow (-ERR is not this, nor is .)" } else { "" };
        self.conn.send(format!("+OK {} octets{text}\r\n", bytes.len() + more.unwrap_or(0))).await?;
        let wire = if faults.has_habit("unstuffed") { [bytes, b".\r\n"].concat() } else { dot_stuffed(bytes) };
        match cut_at {
            Some(byte) => self.conn.send_and_cut(&wire[..byte.min(wire.len())]).await?,
            None => self.conn.send(wire).await?,
        }
        Ok(None)
    }

    fn told_size(&self, message: &Stored) -> usize {
        let other = |fault: &MessageFault| if let MessageFault::Size(size) = fault { Some(*size) } else { None };
        self.conn.faults.message_fault(message.uid, other).unwrap_or(message.bytes.len())
    }

    fn told_uidl(&self, message: &Stored) -> Option<String> {
        let told = self.conn.faults.message_fault(message.uid, |fault| match fault {
            MessageFault::NoUidl => Some(None),
            MessageFault::Uidl(uidl) => Some(Some(uidl.clone())),
            _ => None,
        });
        told.unwrap_or_else(|| Some(message.uidl.clone()))
    }

    fn messages(&mut self) -> &mut [Entry] {
        self.drop.as_mut().map_or(&mut [], |drop| &mut drop.messages)
    }

    /// The message of this number, unless it is deleted.
    fn entry(&mut self, number: &str) -> Result<&mut Entry, Refusal> {
        let index = number.trim().parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let entry = index.and_then(|index| self.messages().get_mut(index)).filter(|entry| !entry.deleted);
        entry.ok_or_else(|| Refusal::Err("no such message".to_owned()))
    }
}

/// The header and so many lines of the body.
fn top(message: &[u8], lines: usize) -> &[u8] {
    let header = imap_search::header(message).len();
    let body: usize = message[header..].split_inclusive(|byte| *byte == b'\n').take(lines).map(<[u8]>::len).sum();
    &message[..header + body]
}

/// A dot more before each that begins a line, then the final dot. Lines end with CRLF and nothing else; a message
/// that does not end its last line has it ended here, as POP3 cannot say otherwise.
fn dot_stuffed(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(message.len() + message.len() / 32 + 5);
    for (index, byte) in message.iter().enumerate() {
        if *byte == b'.' && (index == 0 || message[..index].ends_with(b"\r\n")) {
            wire.push(b'.');
        }
        wire.push(*byte);
    }
    if !message.is_empty() && !message.ends_with(b"\r\n") {
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

#[cfg(test)]
mod tests {
    use super::{dot_stuffed, top};

    #[test]
    fn only_dots_at_the_start_of_a_crlf_line_are_doubled() {
        assert_eq!(dot_stuffed(b".a\r\n..\r\n.\r\nb.\r\n"), b"..a\r\n...\r\n..\r\nb.\r\n.\r\n");
        assert_eq!(dot_stuffed(b"a\n.\nb\r.\r\n"), b"a\n.\nb\r.\r\n.\r\n");
        assert_eq!(dot_stuffed(b"no end"), b"no end\r\n.\r\n");
        assert_eq!(dot_stuffed(b""), b".\r\n");
    }

    #[test]
    fn top_is_the_header_and_some_lines() {
        let message = b"A: b\r\n\r\none\r\ntwo\r\n";
        assert_eq!(top(message, 0), b"A: b\r\n\r\n");
        assert_eq!(top(message, 1), b"A: b\r\n\r\none\r\n");
        assert_eq!(top(message, 99), message);
    }
}
