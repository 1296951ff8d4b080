//! Lists the mailbox: LIST, UIDL, and headers if the server has no UIDL.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::session::endless_list;
use super::wire::{LONGEST_UIDL_BYTES, Pop3Reply, list_line, uidl_line};
use super::{Numbered, Pop3Source};
use crate::config::Pop3Identity;
use crate::error::{Error, Kind, Result};
use crate::message::{dress_hash, head_hash};
use crate::source::arrival::arrival;
use crate::source::named::{NamedMessages, by_content};
use crate::source::whole::plausible;
use crate::source::{Details, Listed, Listing, Reach};

/// The most messages that are listed.
const MAX_MESSAGES: usize = 1_000_000;
/// The most memory for their ids, in bytes: enough for 400,000 ids of 20 bytes.
const MAX_ID_BYTES: usize = 32 << 20;
/// About how much memory an id takes besides its bytes.
const ID_OVERHEAD_BYTES: usize = 60;

impl Pop3Source {
    /// Lists the mailbox, with ids that are stable over sessions.
    pub(in crate::source) async fn list(&mut self) -> Result<Listing> {
        let sizes = self.sizes().await?;
        let named = match (&sizes, self.identity) {
            (None, _) => Vec::new(),
            (_, Pop3Identity::Uidl) => self.uidls().await?,
            (Some(sizes), Pop3Identity::Content) => self.content_ids(sizes).await?,
        };
        let sizes = sizes.unwrap_or_default();
        let is_short = named.len() < sizes.len();
        let uncounted = named.iter().filter(|(number, _)| !sizes.contains_key(number)).count();
        let odd = match uncounted {
            _ if is_short => Some(format!("the server counts {} messages and names {}", sizes.len(), named.len())),
            0 => None,
            _ => Some(format!("the server names {uncounted} messages that it does not count")),
        };
        let NamedMessages { messages, doubled } = NamedMessages::new(named);
        let ids = messages.iter().map(|(id, _)| id.clone()).collect();
        let numbered = |(id, number)| {
            let size = sizes.get(&number).copied().flatten().and_then(plausible);
            (id, Numbered { number, size })
        };
        self.messages = messages.into_iter().map(numbered).collect();
        Ok(Listing { origin: self.origin.clone(), ids, doubled, odd, is_short, uid_next: None, reach: Reach::Complete })
    }

    pub(in crate::source) fn listed_size(&self, id: &[u8]) -> Option<u64> {
        self.messages.get(id)?.size
    }

    pub(in crate::source) fn rename(&mut self, id: &[u8], new_id: &[u8]) {
        if let Some(message) = self.messages.remove(id) {
            self.messages.insert(new_id.to_vec(), message);
        }
    }

    /// The sizes by message number; `None` if the server refuses to list an empty mailbox.
    async fn sizes(&mut self) -> Result<Option<HashMap<u32, Option<u64>>>> {
        let reply = self.session.command("LIST").await?;
        if !reply.is_ok() && self.is_empty().await? {
            return Ok(None);
        }
        reply.accepted("LIST")?;
        let mut sizes = HashMap::new();
        let record = |line: &[u8]| {
            if let Some((number, size)) = list_line(line) {
                // If a message is listed twice, the first line counts.
                sizes.entry(number).or_insert(size);
            }
            Ok(())
        };
        self.session.multi_line(MAX_MESSAGES, record).await?;
        Ok(Some(sizes))
    }

    /// Whether STAT says that the mailbox is empty. Some servers refuse to list an empty one.
    async fn is_empty(&mut self) -> Result<bool> {
        let count = self.session.command("STAT").await?;
        Ok(matches!(count, Pop3Reply::Ok(text) if text.split_ascii_whitespace().next() == Some("0")))
    }

    async fn uidls(&mut self) -> Result<Vec<(u32, Vec<u8>)>> {
        if !self.session.command("UIDL").await?.is_ok() {
            let advice = "the server has no UIDL, so messages cannot be identified; \
                          `identity: content` in the account identifies them by their headers";
            return Err(Error::permanent(Kind::Protocol, advice));
        }
        let mut named = Vec::new();
        let mut numbers = HashSet::new();
        let mut room = MAX_ID_BYTES;
        let record = |line: &[u8]| {
            if let Some((number, id)) = uidl_line(line)
                && numbers.insert(number)
            {
                let id = bounded_id(id);
                room = room.checked_sub(id.len() + ID_OVERHEAD_BYTES).ok_or_else(endless_list)?;
                named.push((number, id));
            }
            Ok(())
        };
        self.session.multi_line(MAX_MESSAGES, record).await?;
        Ok(named)
    }

    /// Ids from a hash of each header block, for servers without UIDL.
    async fn content_ids(&mut self, sizes: &HashMap<u32, Option<u64>>) -> Result<Vec<(u32, Vec<u8>)>> {
        let mut numbers: Vec<u32> = sizes.keys().copied().collect();
        numbers.sort_unstable();
        let id = |head: &[u8]| by_content(head_hash(head));
        let ids = self.heads(&numbers, true, id).await?;
        Ok(numbers.into_iter().zip(ids).filter_map(|(number, id)| Some((number, id?))).collect())
    }

    /// Sizes, and dates and hashes from the headers if they are requested.
    pub(in crate::source) async fn describe(&mut self, ids: &[Vec<u8>], details: Details) -> Result<Vec<Listed>> {
        let found = ids.iter().filter_map(|id| Some((id, *self.messages.get(id)?)));
        let (mut listed, numbers): (Vec<Listed>, Vec<u32>) = found
            .map(|(id, Numbered { number, size })| (Listed { announced: size, ..Listed::unknown(id.clone()) }, number))
            .unzip();
        if details.date || details.head {
            let now = Timestamp::now();
            let look = |head: &[u8]| (arrival(head, now), head_hash(head), dress_hash(head));
            let heads = self.heads(&numbers, details.head, look).await?;
            for (message, head) in listed.iter_mut().zip(heads) {
                if let Some((arrived, head_hash, dress)) = head {
                    (message.arrived, message.received) = (arrived, arrived);
                    (message.head_hash, message.dress) = (Some(head_hash), Some(dress));
                }
            }
        }
        Ok(listed)
    }
}

/// Limits the length of an id: a long UIDL is hashed, which keeps it just as unique.
pub(super) fn bounded_id(uidl: &[u8]) -> Vec<u8> {
    if uidl.len() <= LONGEST_UIDL_BYTES {
        return uidl.to_vec();
    }
    format!("sha256:{}", data_encoding::HEXLOWER.encode(&Sha256::digest(uidl))).into_bytes()
}
