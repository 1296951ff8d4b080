//! Puts a message into a folder on the server: APPEND (RFC 3501 6.3.11).

use std::io::Read;

use imap_proto::{MailboxDatum, Response, StatusAttribute};
use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use tokio::io::AsyncWriteExt;

use super::names::{delimiter_in, mailbox, quoted, with_delimiter};
use super::session::{ImapSession, TaggedRefusal, refused};
use crate::config::Account;
use crate::error::{Error, Kind, Result};
use crate::message::{Flag, Flags, Message};
use crate::net::{deadline, within};

/// How much of a message is read at a time.
const READ_BUFFER_BYTES: usize = 32 * 1024;

/// The state of a folder before an APPEND: messages with this UID or a higher one, in this generation, were added later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendMark {
    /// UIDVALIDITY; 0 if the server does not say.
    pub generation: u32,
    /// UIDNEXT; 0 if the server does not say.
    pub next: u32,
}

/// A logged-in connection for APPEND.
#[derive(Debug)]
pub struct Appender {
    session: ImapSession,
    delimiter: Option<char>,
}

/// Why a message was not appended, as far as we know.
#[derive(Debug)]
pub enum NotAppended {
    /// The server refused the message or the folder.
    Refused(Error),
    /// The folder does not exist, or no longer exists.
    NoFolder(Error),
    /// The connection broke before the whole message was sent.
    Broken(Error),
    /// The connection broke after the whole message was sent, so it may be in the folder.
    Unknown(Error),
}

impl Appender {
    /// Connects, protects the connection and logs in.
    pub async fn connect(account: &Account) -> Result<Self> {
        let mut appender = Self { session: ImapSession::connect(account).await?, delimiter: None };
        appender.ask_delimiter().await?;
        Ok(appender)
    }

    /// Asks for the hierarchy delimiter: LIST with an empty name returns nothing else (RFC 3501 6.3.8).
    async fn ask_delimiter(&mut self) -> Result<()> {
        let mut delimiter = None;
        self.session
            .run("LIST \"\" \"\"", |reply| {
                delimiter = delimiter_in(reply).or(delimiter);
                Ok(())
            })
            .await?;
        self.delimiter = delimiter;
        Ok(())
    }

    fn on_server(&self, folder: &str) -> Result<String> {
        mailbox(&with_delimiter(folder, self.delimiter))
    }

    /// Returns the folder's state before an APPEND. A missing folder is created. The second part is the error if that failed.
    pub async fn prepare(&mut self, folder: &str) -> Result<(AppendMark, Option<Error>)> {
        if let Some(mark) = self.mark(folder).await? {
            return Ok((mark, None));
        }
        let create = format!("CREATE {}", self.on_server(folder)?);
        // The folder may exist although STATUS does not say so.
        let refused = match self.session.run(&create, |_| Ok(())).await {
            Err(error) if error.kind() != Kind::Refused => return Err(error),
            made => made.err(),
        };
        Ok((self.mark(folder).await?.unwrap_or(AppendMark { generation: 0, next: 0 }), refused))
    }

    /// `None` if there is no such folder, or the server does not say.
    async fn mark(&mut self, folder: &str) -> Result<Option<AppendMark>> {
        let command = format!("STATUS {} (UIDVALIDITY UIDNEXT)", self.on_server(folder)?);
        let (mut generation, mut next) = (None, None);
        let tag = self.session.send(&command).await?;
        let answer = self.session.finish(&tag, |reply| {
            if let Response::MailboxData(MailboxDatum::Status { status, .. }) = reply {
                for attribute in status {
                    match attribute {
                        StatusAttribute::UidValidity(n) => generation = Some(*n),
                        StatusAttribute::UidNext(n) => next = Some(*n),
                        _ => {}
                    }
                }
            }
            Ok(())
        });
        Ok(match answer.await? {
            Ok(_) => generation.zip(next).map(|(generation, next)| AppendMark { generation, next }),
            Err(_) => None,
        })
    }

    /// Whether the message was added to the folder since: one with the same Message-ID and the same size. A message without a
    /// Message-ID is recognised by its size alone, but not if the folder was renumbered or recreated: then all of the folder is
    /// searched, and old mail may have that size.
    pub async fn has_come(&mut self, folder: &str, since: AppendMark, message: &Message) -> Result<bool> {
        let now = self.mark(folder).await?;
        let from = match now {
            Some(now) if now.generation == since.generation && now.next <= since.next => return Ok(false),
            Some(now) if now.generation == since.generation => since.next,
            _ => 1,
        };
        let id = message.first("Message-ID").and_then(|id| quoted(id.trim()));
        if id.is_none() && from != since.next {
            return Ok(false);
        }
        let tag = self.session.send(&format!("EXAMINE {}", self.on_server(folder)?)).await?;
        if let Err(refusal) = self.session.finish(&tag, |_| Ok(())).await? {
            // A folder that does not exist holds nothing.
            return if now.is_none() { Ok(false) } else { Err(refused("EXAMINE", &refusal.line)) };
        }
        self.search(from, id, wire_size(message)?).await
    }

    async fn search(&mut self, from: u32, id: Option<String>, size: u64) -> Result<bool> {
        let mut criteria = format!("UID {from}:* LARGER {} SMALLER {}", size.saturating_sub(1), size + 1);
        if let Some(id) = id {
            criteria.push_str(&format!(" HEADER Message-ID {id}"));
        }
        let mut found = false;
        self.session
            .run(&format!("UID SEARCH {criteria}"), |reply| {
                if let Response::MailboxData(MailboxDatum::Search(uids)) = reply {
                    // `n:*` matches the last message even when its UID is lower (RFC 3501 6.4.8).
                    found |= uids.iter().any(|uid| *uid >= from);
                }
                Ok(())
            })
            .await?;
        Ok(found)
    }

    /// Appends the message.
    pub async fn append(
        &mut self,
        folder: &str,
        flags: &Flags,
        arrived: Timestamp,
        message: &Message,
    ) -> std::result::Result<String, NotAppended> {
        let folder = self.on_server(folder).map_err(NotAppended::Refused)?;
        let size = wire_size(message).map_err(NotAppended::Broken)?;
        let date = strtime::format("%d-%b-%Y %H:%M:%S +0000", &arrived.to_zoned(TimeZone::UTC))
            .map_err(|e| NotAppended::Refused(Error::permanent(Kind::Refused, "writing a date").because(e)))?;
        let command = format!("APPEND {folder} ({}) \"{date}\" {{{size}}}", flags_for(flags));
        self.try_append(&command, message, size).await?.map_err(|refusal| {
            let error = refused("APPEND", &refusal.line);
            if refusal.line.contains("TRYCREATE") { NotAppended::NoFolder(error) } else { NotAppended::Refused(error) }
        })
    }

    async fn try_append(
        &mut self,
        command: &str,
        message: &Message,
        size: u64,
    ) -> std::result::Result<std::result::Result<String, TaggedRefusal>, NotAppended> {
        let tag = self.session.send(command).await.map_err(NotAppended::Broken)?;
        if let Some(refusal) = self.session.wait_continuation(&tag).await.map_err(NotAppended::Broken)? {
            return Ok(Err(refusal));
        }
        self.literal(message, size).await.map_err(NotAppended::Broken)?;
        // From here on the server may have the message.
        self.session.write(b"\r\n").await.map_err(NotAppended::Unknown)?;
        self.session.finish(&tag, |_| Ok(())).await.map_err(NotAppended::Unknown)
    }

    async fn literal(&mut self, message: &Message, size: u64) -> Result<()> {
        let mut source = CrlfPieces::of(message)?;
        let mut sent = 0;
        while let Some(piece) = source.next()? {
            sent += piece.len() as u64;
            let stream = self.session.stream();
            within(deadline::REPLY, "sending a message", stream.write_all(piece)).await?;
        }
        match sent == size {
            true => Ok(()),
            false => Err(Error::transient(Kind::Disk, "a message changed while it was being sent")),
        }
    }

    /// Logs out.
    pub async fn logout(mut self) {
        self.session.logout().await;
    }
}

/// The system flags by their IMAP names, and the keywords. `\Deleted` is never set.
fn flags_for(flags: &Flags) -> String {
    let system = [
        (Flag::Seen, "\\Seen"),
        (Flag::Replied, "\\Answered"),
        (Flag::Flagged, "\\Flagged"),
        (Flag::Draft, "\\Draft"),
        (Flag::Passed, "$Forwarded"),
    ];
    let named = system.into_iter().filter(|(flag, _)| flags.has(*flag)).map(|(_, name)| name);
    named.chain(flags.keywords()).collect::<Vec<_>>().join(" ")
}

fn wire_size(message: &Message) -> Result<u64> {
    let mut source = CrlfPieces::of(message)?;
    let mut size = 0;
    while let Some(piece) = source.next()? {
        size += piece.len() as u64;
    }
    Ok(size)
}

/// Reads a message piece by piece, with each LF turned into CRLF.
struct CrlfPieces<'m> {
    reader: Box<dyn Read + Send + 'm>,
    piece: Vec<u8>,
    out: Vec<u8>,
    after_cr: bool,
}

impl<'m> CrlfPieces<'m> {
    fn of(message: &'m Message) -> Result<Self> {
        let reader = message.reader().map_err(|e| Error::disk("reading a message", e))?;
        Ok(Self {
            reader,
            piece: vec![0; READ_BUFFER_BYTES],
            out: Vec::with_capacity(READ_BUFFER_BYTES * 2),
            after_cr: false,
        })
    }

    fn next(&mut self) -> Result<Option<&[u8]>> {
        let read = loop {
            match self.reader.read(&mut self.piece) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                read => break read.map_err(|e| Error::disk("reading a message", e))?,
            }
        };
        self.out.clear();
        for byte in &self.piece[..read] {
            if *byte == b'\n' && !self.after_cr {
                self.out.push(b'\r');
            }
            // A literal must not contain NUL (RFC 3501 9, CHAR8).
            self.out.push(if *byte == 0 { b' ' } else { *byte });
            self.after_cr = *byte == b'\r';
        }
        Ok((read > 0).then_some(&self.out[..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Bytes;

    fn wire(text: &[u8]) -> Vec<u8> {
        let message = Message::new(Bytes::Memory(text.to_vec()));
        let mut source = CrlfPieces::of(&message).unwrap();
        let mut all = Vec::new();
        while let Some(piece) = source.next().unwrap() {
            all.extend_from_slice(piece);
        }
        all
    }

    #[test]
    fn each_line_ends_with_crlf_once() {
        assert_eq!(wire(b"A: b\n\nx\ny"), b"A: b\r\n\r\nx\r\ny");
        assert_eq!(wire(b"A: b\r\n\n"), b"A: b\r\n\r\n");
        assert_eq!(wire(b"a\0b\n"), b"a b\r\n");
        let long = b"x\n".repeat(READ_BUFFER_BYTES);
        assert_eq!(wire(&long), b"x\r\n".repeat(READ_BUFFER_BYTES));
    }

    #[test]
    fn flags_are_named_as_on_a_server() {
        let mut flags = Flags::default();
        for word in ["seen", "flagged", "deleted", "$work", "passed"] {
            flags.parse_word(word).unwrap();
        }
        assert_eq!(flags_for(&flags), "\\Seen \\Flagged $Forwarded $work");
    }
}
