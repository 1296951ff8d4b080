//! RETR: as many messages in flight as the server allows; each is dot-unstuffed while it is read.

use super::Pop3Source;
use super::wire::{Pop3Reply, refused};
use crate::error::{Error, Kind, Result};
use crate::message::{Bytes, Key};
use crate::net::{BlockEnd, deadline, went_on};
use crate::source::{BATCH_BYTES, FetchOutcome, Fetched, Listed, Outlet, Room, WINDOW, announced, batches, most_of};

/// The largest message that is accepted into memory if the server announced less.
const MAX_UNANNOUNCED_BYTES: u64 = 2 * WINDOW;

impl Pop3Source {
    /// Fetches messages and sends them in batches.
    pub(in crate::source) async fn fetch(&mut self, wanted: &[Listed], out: &Outlet) -> Result<()> {
        let (small, big) = batches(wanted);
        for batch in small {
            if out.is_over() {
                return Ok(());
            }
            let room = out.room(announced(batch)).await;
            let mut items = Vec::with_capacity(batch.len());
            let result = self.fetch_batch(batch, &mut items, out).await;
            // Messages that were complete before the connection broke are delivered anyway.
            out.send(items, room).await;
            result?;
        }
        for message in big {
            if out.is_over() {
                return Ok(());
            }
            let (item, result) = match self.fetch_to_spool(message).await {
                Ok(item) => (Some(item), Ok(())),
                Err(Broken { item, error, .. }) => (item.map(|item| *item), Err(error)),
            };
            out.send(item.into_iter().collect(), Room::default()).await;
            result?;
        }
        Ok(())
    }

    async fn fetch_batch(&mut self, batch: &[Listed], items: &mut Vec<FetchOutcome>, out: &Outlet) -> Result<()> {
        let window = self.session.window();
        let commands: Vec<String> = batch.iter().map(|m| self.retr(m)).collect();
        let mut sent = 0;
        let mut bytes = 0;
        let mut first_short = None;
        for (i, listed) in batch.iter().enumerate() {
            // The window slides by halves: one write for each message would double the system calls.
            if sent == 0 || (sent - i) * 2 <= window && sent < commands.len() {
                let until = commands.len().min(i + window);
                self.session.send(&commands[sent..until]).await?;
                sent = until;
            }
            match self.receive(listed).await {
                Ok(Received { item, is_short }) => {
                    bytes += size_of(&item);
                    items.push(item);
                    if is_short {
                        first_short.get_or_insert(items.len());
                    }
                }
                Err(Broken { item, error, is_no_reply }) => {
                    match first_short {
                        Some(count) => doubt_last_of(items, count),
                        None => {
                            if is_no_reply {
                                doubt_last_of(items, items.len());
                            }
                            items.extend(item.map(|item| *item));
                        }
                    }
                    return Err(error);
                }
            }
            // The server announced less than it sends. Memory is limited in any case.
            if bytes > 2 * BATCH_BYTES && first_short.is_none() {
                out.send(std::mem::take(items), Room::default()).await;
                bytes = 0;
            }
        }
        if let (Some(count), Some(last)) = (first_short, batch.last())
            && let Err(error) = self.check_in_step(&last.id).await
        {
            doubt_last_of(items, count);
            return Err(error);
        }
        Ok(())
    }

    /// Receives one of the messages that were requested.
    async fn receive(&mut self, listed: &Listed) -> Result<Received, Broken> {
        let key = Key::new(&self.origin, listed.id.clone());
        if let Some(item) = self.first_line(&key).await? {
            return Ok(Received { item, is_short: false });
        }
        let most = MAX_UNANNOUNCED_BYTES.max(listed.size());
        let mut bytes = Vec::with_capacity(usize::try_from(listed.size().min(WINDOW)).unwrap_or(0));
        let keep = |piece: &[u8]| {
            if (bytes.len() + piece.len()) as u64 > most {
                return Err(far_larger());
            }
            bytes.extend_from_slice(piece);
            Ok(())
        };
        let end = self.session.lines.block(deadline::REPLY, keep).await.map_err(|e| Broken::at(&key, e))?;
        let came = on_the_wire(&bytes);
        let item = judged(listed, key, Bytes::Memory(bytes), came, end)?;
        Ok(Received { item, is_short: is_short(listed, came) })
    }

    async fn fetch_to_spool(&mut self, listed: &Listed) -> Result<FetchOutcome, Broken> {
        let key = Key::new(&self.origin, listed.id.clone());
        let command = self.retr(listed);
        self.session.send(&[command]).await.map_err(|e| Broken::at(&key, e))?;
        if let Some(failed) = self.first_line(&key).await? {
            return Ok(failed);
        }
        let mut writer = self.spool.begin(&key).map_err(|e| Broken::at(&key, e))?;
        let most = most_of(listed);
        let mut came = 0;
        let keep = |piece: &[u8]| {
            came += on_the_wire(piece);
            if came > most {
                return Err(far_larger());
            }
            writer.write_lf(piece)
        };
        let mut end = self.session.lines.block(deadline::REPLY, keep).await.map_err(|e| Broken::at(&key, e))?;
        if matches!(end, BlockEnd::Sure)
            && is_short(listed, came)
            && let Err(error) = self.check_in_step(&listed.id).await
        {
            end = BlockEnd::Doubtful(error);
        }
        let bytes = writer.finish().map_err(|e| Broken::at(&key, e))?;
        judged(listed, key, bytes, came, end)
    }

    /// Reads the reply to RETR. `None` if the message follows.
    async fn first_line(&mut self, key: &Key) -> Result<Option<FetchOutcome>, Broken> {
        let secrets = self.session.lines.secrets();
        let line = self.session.lines.line(deadline::REPLY).await.map_err(|e| Broken::at(key, e))?;
        let no_reply = |error| Broken { is_no_reply: true, ..Broken::at(key, error) };
        match Pop3Reply::hushed(line, &secrets).map_err(no_reply)? {
            Pop3Reply::Ok(_) => Ok(None),
            Pop3Reply::Err(line) => Ok(Some(FetchOutcome::Failed(key.clone(), refused("RETR", &line)))),
            Pop3Reply::Continue(_) => {
                Err(Broken::at(key, Error::permanent(Kind::Protocol, "RETR: the server asks for more input")))
            }
        }
    }

    fn retr(&self, listed: &Listed) -> String {
        let number = self.messages.get(&listed.id).map_or(0, |m| m.number);
        format!("RETR {number}\r\n")
    }
}

/// Why the connection became useless, and what came of the message at that point.
struct Broken {
    item: Option<Box<FetchOutcome>>,
    error: Error,
    /// What came is not a reply: it may be the rest of the previous message.
    is_no_reply: bool,
}

impl Broken {
    fn at(key: &Key, error: Error) -> Self {
        Self { item: FetchOutcome::broken_at(key.clone(), &error).map(Box::new), error, is_no_reply: false }
    }
}

/// The message as it came, after `came` bytes on the wire. After a doubtful end nothing more can be read.
fn judged(listed: &Listed, key: Key, bytes: Bytes, came: u64, end: BlockEnd) -> Result<FetchOutcome, Broken> {
    match end {
        BlockEnd::Sure => Ok(listed.item(key, bytes, came)),
        BlockEnd::Doubtful(error) => {
            let item = Some(Box::new(listed.doubted(key, bytes, error)));
            Err(Broken { item, error: went_on(), is_no_reply: false })
        }
    }
}

fn far_larger() -> Error {
    Error::permanent(Kind::Protocol, "a message far larger than the server announced")
}

/// A message that came to its end.
struct Received {
    item: FetchOutcome,
    is_short: bool,
}

/// Whether less came than was announced, so that a line with a single dot may have ended the message too early.
fn is_short(listed: &Listed, came: u64) -> bool {
    listed.announced.is_none_or(|announced| came < announced)
}

/// Doubts the last of the first `count` messages, and drops what seemed to follow it, because that may be part of its text.
fn doubt_last_of(items: &mut Vec<FetchOutcome>, count: usize) {
    items.truncate(count);
    let doubted = items.pop().map(|last| match last {
        FetchOutcome::Fetched(Fetched { envelope, bytes, .. }) => {
            FetchOutcome::Doubtful { envelope, bytes, error: went_on() }
        }
        other => other,
    });
    items.extend(doubted);
}

/// The size of these bytes on the wire, where each line ends with CRLF.
fn on_the_wire(bytes: &[u8]) -> u64 {
    (bytes.len() + memchr::memchr_iter(b'\n', bytes).count()) as u64
}

fn size_of(item: &FetchOutcome) -> u64 {
    match item {
        FetchOutcome::Fetched(Fetched { bytes: Bytes::Memory(bytes), .. })
        | FetchOutcome::Doubtful { bytes: Bytes::Memory(bytes), .. } => bytes.len() as u64,
        _ => 0,
    }
}
