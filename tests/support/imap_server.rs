//! A small, correct IMAP4rev1 server (RFC 3501, with ID, IDLE, UIDPLUS, MOVE, LITERAL+, SASL-IR) for a
//! [`Mailbox`], on a port of its own. It behaves, unless [`Faults`] say otherwise.
//!
//! ```ignore
//! let mailbox = Mailbox::new("me", "secret");
//! mailbox.add("INBOX", "Subject: hello\n\nworld\n");
//! let faults = Faults::of([Fault::CutAfter(4)]);
//! let server = ImapServer::start(&mailbox, ImapOptions { faults: faults.clone(), ..ImapOptions::default() });
//! … port: server.port() …
//! assert!(faults.commands().iter().all(|command| !command.contains("EXPUNGE")));
//! ```
//!
//! This file has the session: greeting, logging in, which command goes where. The folders are in
//! [`super::imap_folders`], FETCH and STORE in [`super::imap_fetch`].

use super::base64;
use super::faults::Faults;
use super::imap_syntax::{Bad, Words, read_command};
use super::mailbox::Mailbox;
use super::wire::{Conn, Listener, Protocol, Security, cut};
use std::io;
use std::ops::Deref;

#[derive(Clone)]
pub struct ImapOptions {
    pub security: Security,
    /// What CAPABILITY lists. A command that belongs to one that is missing is unknown. STARTTLS and LOGINDISABLED
    /// are added by the server.
    pub capabilities: Vec<String>,
    /// Between the levels of folder names; `None` is `NIL`, a server without levels.
    pub delimiter: Option<char>,
    pub greeting: Option<String>,
    pub faults: Faults,
}

const CAPABILITIES: &str = "IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN ID IDLE UIDPLUS MOVE";

impl Default for ImapOptions {
    /// In the clear, with every capability it knows, without faults.
    fn default() -> Self {
        ImapOptions {
            security: Security::Plain,
            capabilities: CAPABILITIES.split(' ').map(str::to_owned).collect(),
            delimiter: Some('/'),
            greeting: None,
            faults: Faults::none(),
        }
    }
}

impl ImapOptions {
    pub fn with_faults(faults: &Faults) -> Self {
        ImapOptions { faults: faults.clone(), ..Self::default() }
    }

    pub fn with_security(security: Security) -> Self {
        ImapOptions { security, ..Self::default() }
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
pub struct ImapServer(Listener);

impl ImapServer {
    pub fn start(mailbox: &Mailbox, options: ImapOptions) -> Self {
        let (security, faults) = (options.security, options.faults.clone());
        ImapServer(Listener::start(Imap { mailbox: mailbox.clone(), options }, security, &faults))
    }
}

impl Deref for ImapServer {
    type Target = Listener;

    fn deref(&self) -> &Listener {
        &self.0
    }
}

#[derive(Clone)]
struct Imap {
    mailbox: Mailbox,
    options: ImapOptions,
}

impl Protocol for Imap {
    async fn serve(&self, conn: &mut Conn) -> io::Result<()> {
        let Imap { mailbox, options } = self.clone();
        let mut session =
            Session { conn, mailbox, options, logged_in: false, is_known: false, selected: None, over: false };
        session.run().await
    }
}

pub struct Session<'c> {
    pub conn: &'c mut Conn,
    pub mailbox: Mailbox,
    pub options: ImapOptions,
    logged_in: bool,
    /// The client said who it is.
    is_known: bool,
    pub selected: Option<Selected>,
    /// LOGOUT was answered.
    over: bool,
}

pub struct Selected {
    pub folder: String,
    pub read_only: bool,
    /// The UIDs the client knows of, in the order of their sequence numbers.
    pub uids: Vec<u32>,
}

/// The text behind a tagged `OK`. `None` when the command has sent its own.
pub type Answer = Result<Option<String>, Refusal>;

pub enum Refusal {
    No(String),
    Bad(String),
    /// The connection is gone, or a fault ends it.
    Gone(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Refusal::Gone(error)
    }
}

impl From<Bad> for Refusal {
    fn from(bad: Bad) -> Self {
        Refusal::Bad(bad)
    }
}

pub fn ok(text: impl Into<String>) -> Answer {
    Ok(Some(text.into()))
}

pub fn no<T>(text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::No(text.into()))
}

pub fn bad<T>(text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Bad(text.into()))
}

impl Session<'_> {
    async fn run(&mut self) -> io::Result<()> {
        if !self.greet().await? {
            return Ok(());
        }
        let mut answered = 0;
        while !self.over {
            let command = read_command(self.conn).await?;
            self.one_command(&command).await?;
            answered += 1;
            if self.conn.faults.disconnects_after(answered) {
                return Err(cut());
            }
        }
        Ok(())
    }

    /// Says whether the session goes on.
    async fn greet(&mut self) -> io::Result<bool> {
        let faults = self.conn.faults.clone();
        self.logged_in = faults.is_preauth();
        let line = match (faults.bye(), faults.greeting()) {
            (Some(text), _) => format!("* BYE {text}\r\n"),
            (None, Some(line)) => format!("{line}\r\n"),
            (None, None) if self.options.greeting.is_some() => {
                format!("{}\r\n", self.options.greeting.as_deref().unwrap_or_default())
            }
            (None, None) if self.logged_in => "* PREAUTH welcome back\r\n".to_owned(),
            (None, None) => "* OK ready\r\n".to_owned(),
        };
        self.conn.send_now(line).await?;
        Ok(faults.bye().is_none())
    }

    async fn one_command(&mut self, command: &[u8]) -> io::Result<()> {
        let order = self.conn.faults.begin(&String::from_utf8_lossy(command));
        if let Some(time) = order.delay {
            tokio::time::sleep(time).await;
        }
        if order.cut_before {
            return Err(cut());
        }
        self.conn.swallow = order.cut_after || order.hang;
        self.answer(command).await?;
        self.conn.flush().await?;
        if order.hang {
            self.conn.hang().await?;
        }
        if order.cut_after || order.hang {
            return Err(cut());
        }
        Ok(())
    }

    async fn answer(&mut self, command: &[u8]) -> io::Result<()> {
        let mut words = Words::new(command);
        let (tag, verb) = match (words.atom(), words.keyword()) {
            (Ok(tag), Ok(verb)) => (tag, verb),
            _ => return self.conn.send("* BAD a command is a tag and a word\r\n").await,
        };
        let outcome = match self.verb_of(verb, &mut words) {
            Ok(verb) => self.execute(&tag, &verb, &mut words).await,
            Err(bad) => Err(Refusal::Bad(bad)),
        };
        self.say_unasked().await?;
        let line = match outcome {
            Ok(None) => return Ok(()),
            Ok(Some(_)) if self.conn.faults.has_habit("no-text") => format!("{tag} OK\r\n"),
            Ok(Some(text)) if self.conn.faults.has_habit("lowercase") => format!("{tag} ok {text}\r\n"),
            Ok(Some(text)) => format!("{tag} OK {text}\r\n"),
            Err(Refusal::No(text)) => format!("{tag} NO {text}\r\n"),
            Err(Refusal::Bad(text)) => format!("{tag} BAD {text}\r\n"),
            Err(Refusal::Gone(error)) => return Err(error),
        };
        self.conn.send(line).await
    }

    /// What some servers say before they answer.
    async fn say_unasked(&mut self) -> io::Result<()> {
        for (habit, line) in [
            ("unsolicited", "* 1 FETCH (FLAGS (\\Answered))\r\n* OK [UNKNOWN (x)] still here\r\n"),
            ("extra-flags", "* FLAGS (\\Seen $Junk)\r\n* OK [PERMANENTFLAGS (\\Seen \\*)] x\r\n"),
            ("empty-search", "* SEARCH\r\n"),
            ("alert", "* NO [ALERT] your mailbox is nearly full\r\n"),
        ] {
            if self.conn.faults.has_habit(habit) {
                self.conn.send(line).await?;
            }
        }
        Ok(())
    }

    /// `UID FETCH` is one verb of two words.
    fn verb_of(&self, verb: String, words: &mut Words<'_>) -> Result<String, Bad> {
        if verb == "UID" { Ok(format!("UID {}", words.keyword()?)) } else { Ok(verb) }
    }

    async fn execute(&mut self, tag: &str, verb: &str, words: &mut Words<'_>) -> Answer {
        if let Some(text) = self.conn.faults.refusal(verb) {
            return no(text);
        }
        self.check_allowed(verb)?;
        if matches!(verb, "SELECT" | "EXAMINE") && self.conn.faults.has_habit("id-required") && !self.is_known {
            return no("SELECT Unsafe Login. Please contact kefu@188.com for help");
        }
        let answer = match verb {
            "CAPABILITY" => self.capability().await,
            "NOOP" | "CHECK" => ok("done"),
            "ID" => self.id().await,
            "LOGOUT" => self.logout().await,
            "STARTTLS" => self.starttls(tag).await,
            "LOGIN" => self.login(words.string()?, words.string()?),
            "AUTHENTICATE" => self.authenticate(words).await,
            "IDLE" => self.idle().await,
            _ => self.on_folders(verb, words).await,
        };
        let by_number = ["FETCH", "STORE", "SEARCH"].contains(&verb);
        // After those the client's sequence numbers must still hold.
        if answer.as_ref().is_ok_and(Option::is_some) && !by_number {
            self.announce_changes().await?;
        }
        answer
    }

    async fn on_folders(&mut self, verb: &str, words: &mut Words<'_>) -> Answer {
        match verb {
            "LIST" | "LSUB" => self.list(verb, words).await,
            "STATUS" => self.status(words).await,
            "SELECT" => self.select(words, false).await,
            "EXAMINE" => self.select(words, true).await,
            "CREATE" => self.create(words),
            "APPEND" => self.append(words),
            "CLOSE" => self.close(true),
            "UNSELECT" => self.close(false),
            "EXPUNGE" => self.expunge(None),
            "UID EXPUNGE" => self.uid_expunge(words),
            "SEARCH" | "UID SEARCH" => self.search(words, verb.starts_with("UID")).await,
            "FETCH" | "UID FETCH" => self.fetch(words, verb.starts_with("UID")).await,
            "STORE" | "UID STORE" => self.store(words, verb.starts_with("UID")).await,
            "COPY" | "UID COPY" => self.copy(words, verb.starts_with("UID"), false).await,
            "MOVE" | "UID MOVE" => self.copy(words, verb.starts_with("UID"), true).await,
            unknown => bad(format!("unknown command {unknown}")),
        }
    }

    /// Is this the time for it, and is its capability among those listed?
    fn check_allowed(&self, verb: &str) -> Result<(), Refusal> {
        let capability = match verb {
            "ID" | "IDLE" => verb,
            "MOVE" | "UID MOVE" => "MOVE",
            "UID EXPUNGE" => "UIDPLUS",
            "AUTHENTICATE" => "AUTH=PLAIN",
            _ => "IMAP4rev1",
        };
        if !self.options.has(capability) && capability != "IMAP4rev1" {
            return bad(format!("unknown command {verb}"));
        }
        match verb {
            "CAPABILITY" | "NOOP" | "ID" | "LOGOUT" => Ok(()),
            "LOGIN" | "AUTHENTICATE" | "STARTTLS" if self.logged_in => bad("logged in already"),
            "LOGIN" | "AUTHENTICATE" if self.wants_tls() => no("[PRIVACYREQUIRED] not before TLS"),
            "LOGIN" | "AUTHENTICATE" | "STARTTLS" => Ok(()),
            _ if !self.logged_in => bad("log in first"),
            "LIST" | "LSUB" | "STATUS" | "SELECT" | "EXAMINE" | "CREATE" | "APPEND" | "IDLE" => Ok(()),
            _ if self.selected.is_none() => bad("no folder is selected"),
            _ => Ok(()),
        }
    }

    fn wants_tls(&self) -> bool {
        matches!(self.options.security, Security::StartTls(_)) && !self.conn.is_tls()
    }

    async fn capability(&mut self) -> Answer {
        let more = if self.wants_tls() { " STARTTLS LOGINDISABLED" } else { "" };
        let list = self.options.capabilities.join(" ");
        self.conn.send(format!("* CAPABILITY {list}{more}\r\n")).await?;
        ok("that is all")
    }

    async fn id(&mut self) -> Answer {
        self.is_known = true;
        if self.conn.faults.has_habit("bad-id") {
            return bad("what is ID?");
        }
        self.conn.send("* ID (\"name\" \"test server\")\r\n").await?;
        ok("pleased to meet you")
    }

    async fn logout(&mut self) -> Answer {
        self.conn.send("* BYE see you\r\n").await?;
        self.over = true;
        ok("done")
    }

    async fn starttls(&mut self, tag: &str) -> Answer {
        let Security::StartTls(certificate) = self.options.security else { return bad("unknown command STARTTLS") };
        if self.conn.is_tls() {
            return bad("TLS already");
        }
        let injected = self.conn.faults.starttls_injection().unwrap_or_default();
        self.conn.send(format!("{tag} OK begin TLS\r\n{injected}")).await?;
        self.conn.flush().await?;
        if !self.conn.swallow {
            self.conn.start_tls(certificate).await?;
        }
        Ok(None)
    }

    fn login(&mut self, user: String, password: String) -> Answer {
        if !self.mailbox.accepts(&user, &password) {
            return no("[AUTHENTICATIONFAILED] wrong user or password");
        }
        self.logged_in = true;
        ok("welcome")
    }

    async fn authenticate(&mut self, words: &mut Words<'_>) -> Answer {
        if words.keyword()? != "PLAIN" {
            return no("unknown mechanism");
        }
        words.skip_space();
        let blob = match words.at_end() {
            false if self.options.has("SASL-IR") => words.atom()?,
            false => return bad("an initial response without SASL-IR"),
            true => {
                let question = if self.conn.faults.has_habit("bare-plus") { "+\r\n" } else { "+ \r\n" };
                self.conn.send_now(question).await?;
                String::from_utf8_lossy(&self.conn.read_line(8192).await?).into_owned()
            }
        };
        match base64::plain_login(&blob) {
            Some((user, password)) => self.login(user, password),
            None => bad("cancelled, or no base64"),
        }
    }

    /// Tells every change at once, until the client says DONE.
    async fn idle(&mut self) -> Answer {
        let mut changes = self.mailbox.changes();
        self.conn.send_now("+ idling\r\n").await?;
        loop {
            // Also what changed before: the client expects no news only from what it was told.
            self.announce_changes().await?;
            self.conn.flush().await?;
            tokio::select! {
                readable = self.conn.wait_readable() => {
                    readable?;
                    let line = self.conn.read_line(1024).await?;
                    return if line.eq_ignore_ascii_case(b"DONE") { ok("done idling") } else { bad("expected DONE") };
                }
                changed = changes.changed() => changed.map_err(io::Error::other)?,
            }
        }
    }

    /// EXPUNGE and EXISTS for what others did to the selected folder since the client last heard of it.
    pub async fn announce_changes(&mut self) -> io::Result<()> {
        let Some(selected) = &mut self.selected else { return Ok(()) };
        let now = self.mailbox.read_folder(&selected.folder, |folder| folder.uids()).unwrap_or_default();
        if now == selected.uids {
            return Ok(());
        }
        let mut news = String::new();
        // From the end, so that the numbers of those before stay as they are.
        for index in (0..selected.uids.len()).rev() {
            if now.binary_search(&selected.uids[index]).is_err() {
                selected.uids.remove(index);
                news += &format!("* {} EXPUNGE\r\n", index + 1);
            }
        }
        if now.len() != selected.uids.len() {
            news += &format!("* {} EXISTS\r\n", now.len());
        }
        selected.uids = now;
        self.conn.send(news).await
    }
}
