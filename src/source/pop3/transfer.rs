//! RETR: as many messages in flight as the server allows, each streamed through the unstuffer.

use super::Pop3Source;
use super::wire::{Reply, refused};
use crate::error::{Error, Kind, Result};
use crate::message::{Bytes, Key};
use crate::net::deadline;
use crate::source::{BATCH_BYTES, Fetched, Item, Listed, Outlet, Room, WINDOW, announced, batches, most_of};

/// The largest message taken into memory although the server announced less.
const MAX_UNANNOUNCED: u64 = 2 * WINDOW;

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
            // What arrived whole before a broken connection is delivered all the same.
            out.send(items, room).await;
            result?;
        }
        for message in big {
            if out.is_over() {
                return Ok(());
            }
            let item = self.fetch_to_spool(message).await?;
            out.send(vec![item], Room::default()).await;
        }
        Ok(())
    }

    async fn fetch_batch(&mut self, batch: &[Listed], items: &mut Vec<Item>, out: &Outlet) -> Result<()> {
        let window = self.session.window();
        let commands: Vec<String> = batch.iter().map(|m| self.retr(m)).collect();
        let mut sent = 0;
        let mut bytes = 0;
        for (i, listed) in batch.iter().enumerate() {
            // The window slides by halves: a write for each message would double the system calls.
            if sent == 0 || (sent - i) * 2 <= window && sent < commands.len() {
                let until = commands.len().min(i + window);
                self.session.send(&commands[sent..until]).await?;
                sent = until;
            }
            let key = Key::new(&self.origin, listed.id.clone());
            match self.receive(&key, listed).await {
                Ok(item) => {
                    bytes += size_of(&item);
                    items.push(item);
                }
                Err(e) => {
                    if e.kind() == Kind::Protocol {
                        doubt_last(items);
                    }
                    let cause = Error::transient(e.kind(), "the connection broke while it was fetched");
                    items.push(Item::Failed(key, cause));
                    return Err(e);
                }
            }
            // The server announced less than it sends; memory is bounded whatever it says.
            if bytes > 2 * BATCH_BYTES {
                out.send(std::mem::take(items), Room::default()).await;
                bytes = 0;
            }
        }
        Ok(())
    }

    async fn receive(&mut self, key: &Key, listed: &Listed) -> Result<Item> {
        if let Some(failed) = self.first_line(key).await? {
            return Ok(failed);
        }
        let most = MAX_UNANNOUNCED.max(listed.size());
        let mut bytes = Vec::with_capacity(usize::try_from(listed.size().min(WINDOW)).unwrap_or(0));
        let keep = |piece: &[u8]| {
            if (bytes.len() + piece.len()) as u64 > most {
                return Err(Error::permanent(Kind::Protocol, "a message far larger than the server announced"));
            }
            bytes.extend_from_slice(piece);
            Ok(())
        };
        self.session.lines.block(deadline::REPLY, keep).await?;
        if self.session.lines.goes_on() {
            return Ok(Item::Failed(key.clone(), not_its_end()));
        }
        let came = on_the_wire(&bytes);
        Ok(listed.item(key.clone(), Bytes::Memory(bytes), came))
    }

    async fn fetch_to_spool(&mut self, listed: &Listed) -> Result<Item> {
        let key = Key::new(&self.origin, listed.id.clone());
        let command = self.retr(listed);
        self.session.send(&[command]).await?;
        if let Some(failed) = self.first_line(&key).await? {
            return Ok(failed);
        }
        let mut writer = self.spool.begin(&key)?;
        let most = most_of(listed);
        let mut came = 0;
        let keep = |piece: &[u8]| {
            came += on_the_wire(piece);
            if came > most {
                return Err(Error::permanent(Kind::Protocol, "a message far larger than the server announced"));
            }
            writer.write_lf(piece)
        };
        self.session.lines.block(deadline::REPLY, keep).await?;
        if self.session.lines.goes_on() {
            return Ok(Item::Failed(key, not_its_end()));
        }
        Ok(listed.item(key, writer.finish()?, came))
    }

    /// The reply to RETR: `None` when the message follows.
    async fn first_line(&mut self, key: &Key) -> Result<Option<Item>> {
        match Reply::parse(self.session.lines.line(deadline::REPLY).await?)? {
            Reply::Ok(_) => Ok(None),
            Reply::Err(line) => Ok(Some(Item::Failed(key.clone(), refused("RETR", &line)))),
            Reply::Continue(_) => Err(Error::permanent(Kind::Protocol, "RETR: the server asks for more")),
        }
    }

    fn retr(&self, listed: &Listed) -> String {
        let number = self.messages.get(&listed.id).map_or(0, |m| m.number);
        format!("RETR {number}\r\n")
    }
}

/// Some servers do not stuff the dots of a message, and a line with a dot alone ends it too early (RFC 1939 3). What follows is
/// no reply.
fn not_its_end() -> Error {
    Error::transient(Kind::Protocol, "the server went on behind the end of the message")
}

/// What is no reply to a command may be the rest of the message before it.
fn doubt_last(items: &mut [Item]) {
    if let Some(last) = items.last_mut()
        && let Item::Fetched(fetched) = last
    {
        *last = Item::Failed(fetched.envelope.key.clone(), not_its_end());
    }
}

/// What so many bytes were on the wire, where each line ended with CRLF.
fn on_the_wire(bytes: &[u8]) -> u64 {
    (bytes.len() + memchr::memchr_iter(b'\n', bytes).count()) as u64
}

fn size_of(item: &Item) -> u64 {
    match item {
        Item::Fetched(Fetched { bytes: Bytes::Memory(bytes), .. })
        | Item::Doubtful { bytes: Bytes::Memory(bytes), .. } => bytes.len() as u64,
        _ => 0,
    }
}
