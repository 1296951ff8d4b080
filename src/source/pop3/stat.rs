//! Checks whether a mailbox is unchanged without listing it: with STAT (RFC 1939 section 5) and the ids of its first and last
//! message.

use super::Pop3Source;
use super::listing::bounded_id;
use super::wire::uidl_line;
use crate::config::Pop3Identity;
use crate::error::Result;
use crate::net::deadline;
use crate::source::Stat;

impl Pop3Source {
    /// The values that STAT and UIDL will return if the mailbox stays as it was listed. `None` if the server lists no sizes,
    /// something is marked for deletion, or the ids are derived from the content.
    pub fn stat(&self) -> Option<Stat> {
        if self.identity == Pop3Identity::Content || !self.marked.is_empty() {
            return None;
        }
        let last = self.messages.iter().max_by_key(|(_, message)| message.number);
        let first = self.messages.iter().min_by_key(|(_, message)| message.number);
        let id = |found: Option<(&Vec<u8>, _)>| found.map(|(id, _)| id.clone()).unwrap_or_default();
        let mut sizes = self.messages.values().map(|message| message.size);
        let octets = sizes.try_fold(0_u64, |sum, size| sum.checked_add(size?))?;
        let count = u32::try_from(self.messages.len()).ok()?;
        Some(Stat { count, octets, first_uidl: id(first), last_uidl: id(last) })
    }

    /// Whether the mailbox is as [`Self::stat`] found it in an earlier session. Call it before the listing. If it cannot be
    /// determined, the mailbox counts as changed.
    pub async fn is_unchanged(&mut self, before: &Stat) -> Result<bool> {
        let now = if before.count == 0 { self.counted().await? } else { self.stat_with(before.count).await? };
        Ok(now.as_ref() == Some(before))
    }

    /// The count, and the ids of the first message and of message `last`; pipelined if the server allows it.
    async fn stat_with(&mut self, last: u32) -> Result<Option<Stat>> {
        if self.identity == Pop3Identity::Content {
            return Ok(None);
        }
        let commands = ["STAT\r\n".to_owned(), "UIDL 1\r\n".to_owned(), format!("UIDL {last}\r\n")];
        let mut replies = Vec::new();
        for commands in commands.chunks(self.session.window().min(commands.len())) {
            self.session.send(commands).await?;
            for _ in commands {
                replies.push(self.session.lines.line(deadline::REPLY).await?.to_vec());
            }
        }
        let named = |at: usize, wanted: u32| {
            let line = replies.get(at).map(Vec::as_slice)?;
            let (number, id) = accepted(line).and_then(uidl_line)?;
            (number == wanted).then(|| bounded_id(id))
        };
        let counted = replies.first().and_then(|line| accepted(line)).and_then(counted_in);
        let (Some(stat), Some(first_uidl), Some(last_uidl)) = (counted, named(1, 1), named(2, last)) else {
            return Ok(None);
        };
        Ok(Some(Stat { first_uidl, last_uidl, ..stat }))
    }

    /// Only the count.
    async fn counted(&mut self) -> Result<Option<Stat>> {
        if self.identity == Pop3Identity::Content {
            return Ok(None);
        }
        self.session.send(&["STAT\r\n".to_owned()]).await?;
        Ok(accepted(self.session.lines.line(deadline::REPLY).await?).and_then(counted_in))
    }
}

/// The bytes after `+OK`. They are not decoded, because an id may have any bytes.
fn accepted(line: &[u8]) -> Option<&[u8]> {
    line.strip_prefix(b"+OK").map(<[u8]>::trim_ascii)
}

/// Parses `2 320`, as the standard writes it; anything after that is ignored (RFC 1939 section 5).
fn counted_in(text: &[u8]) -> Option<Stat> {
    let mut words = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
    let (count, octets) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some(Stat { count, octets, first_uidl: Vec::new(), last_uidl: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_are_none_are_not_known() {
        let stat = Stat { count: 2, octets: 320, first_uidl: Vec::new(), last_uidl: Vec::new() };
        assert_eq!(counted_in(b"2 320"), Some(stat.clone()));
        assert_eq!(counted_in(b"2  320 octets"), Some(stat));
        for odd in [&b""[..], b"2", b"2 messages (320 octets)", b"-1 0", b"4294967296 0", b"\xff 1"] {
            assert_eq!(counted_in(odd), None);
        }
    }
}
