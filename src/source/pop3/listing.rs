//! What is in the mailbox: LIST, UIDL, and headers where the server gives no ids.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::wire::{LONG_UIDL, list_line, uidl_line};
use super::{Numbered, Pop3Source};
use crate::config::Identity;
use crate::error::{Error, Kind, Result};
use crate::message::{dress_hash, head_hash};
use crate::source::arrival::arrival;
use crate::source::whole::plausible;
use crate::source::{Details, Listed, Listing};

/// The most messages of one mailbox.
const MAX_MESSAGES: usize = 1_000_000;

impl Pop3Source {
    /// Lists the mailbox with stable ids.
    pub(in crate::source) async fn list(&mut self) -> Result<Listing> {
        let sizes = self.sizes().await?;
        let named = match self.identity {
            Identity::Uidl => self.uidls().await?,
            Identity::Content => self.content_ids(&sizes).await?,
        };
        let is_short = named.len() < sizes.len();
        let uncounted = named.iter().filter(|(number, _)| !sizes.contains_key(number)).count();
        let odd = match uncounted {
            _ if is_short => Some(format!("the server counts {} messages and names {}", sizes.len(), named.len())),
            0 => None,
            _ => Some(format!("the server names {uncounted} messages that it does not count")),
        };
        let mut doubled = Vec::new();
        let mut ordinals: HashMap<Vec<u8>, u32> = HashMap::new();
        let mut ids = Vec::with_capacity(named.len());
        self.messages.clear();
        for (number, name) in named {
            let ordinal = ordinals.entry(name.clone()).or_default();
            let id = with_ordinal(name, *ordinal);
            if *ordinal > 0 {
                doubled.push(id.clone());
            }
            *ordinal += 1;
            let size = sizes.get(&number).copied().flatten().and_then(plausible);
            self.messages.insert(id.clone(), Numbered { number, size });
            ids.push(id);
        }
        Ok(Listing { origin: self.origin.clone(), ids, doubled, odd, is_short })
    }

    pub(in crate::source) fn listed_size(&self, id: &[u8]) -> Option<u64> {
        self.messages.get(id)?.size
    }

    pub(in crate::source) fn rename(&mut self, id: &[u8], new_id: &[u8]) {
        if let Some(message) = self.messages.remove(id) {
            self.messages.insert(new_id.to_vec(), message);
        }
    }

    async fn sizes(&mut self) -> Result<HashMap<u32, Option<u64>>> {
        self.session.command("LIST").await?.accepted("LIST")?;
        let mut sizes = HashMap::new();
        let note = |line: &[u8]| {
            if let Some((number, size)) = list_line(line) {
                // The first line about a message counts.
                sizes.entry(number).or_insert(size);
            }
        };
        self.session.multi_line(MAX_MESSAGES, note).await?;
        Ok(sizes)
    }

    async fn uidls(&mut self) -> Result<Vec<(u32, Vec<u8>)>> {
        if !self.session.command("UIDL").await?.is_ok() {
            let advice = "the server has no UIDL, so mail cannot be told apart; \
                          `identity: content` in the account tells it apart by its headers";
            return Err(Error::permanent(Kind::Protocol, advice));
        }
        let mut named = Vec::new();
        let mut numbers = HashSet::new();
        let note = |line: &[u8]| {
            if let Some((number, id)) = uidl_line(line)
                && numbers.insert(number)
            {
                named.push((number, bounded(id)));
            }
        };
        self.session.multi_line(MAX_MESSAGES, note).await?;
        Ok(named)
    }

    /// Ids from a hash of each header block, for servers without UIDL.
    async fn content_ids(&mut self, sizes: &HashMap<u32, Option<u64>>) -> Result<Vec<(u32, Vec<u8>)>> {
        let mut numbers: Vec<u32> = sizes.keys().copied().collect();
        numbers.sort_unstable();
        let id = |head: &[u8]| data_encoding::HEXLOWER.encode(&head_hash(head)).into_bytes();
        let ids = self.heads(&numbers, true, id).await?;
        Ok(numbers.into_iter().zip(ids).filter_map(|(number, id)| Some((number, id?))).collect())
    }

    /// Sizes, and headers where a date or a hash is needed.
    pub(in crate::source) async fn describe(&mut self, ids: &[Vec<u8>], details: Details) -> Result<Vec<Listed>> {
        let found = ids.iter().filter_map(|id| Some((id, *self.messages.get(id)?)));
        let (mut listed, numbers): (Vec<Listed>, Vec<u32>) = found
            .map(|(id, Numbered { number, size })| (Listed { announced: size, ..Listed::unknown(id.clone()) }, number))
            .unzip();
        if details.date || details.head {
            let now = Timestamp::now();
            let look = |head: &[u8]| (arrival(head, now), head_hash(head), dress_hash(head));
            let heads = self.heads(&numbers, details.head, look).await?;
            for (one, head) in listed.iter_mut().zip(heads) {
                if let Some((arrived, head_hash, dress)) = head {
                    (one.arrived, one.head_hash, one.dress) = (arrived, Some(head_hash), Some(dress));
                }
            }
        }
        Ok(listed)
    }
}

/// UIDLs of any length fit: long ones are hashed, which keeps them apart as well as before.
fn bounded(uidl: &[u8]) -> Vec<u8> {
    if uidl.len() <= LONG_UIDL {
        return uidl.to_vec();
    }
    format!("sha256:{}", data_encoding::HEXLOWER.encode(&Sha256::digest(uidl))).into_bytes()
}

/// The first message of a UIDL has the UIDL as its id; its namesakes get a number behind a byte that no UIDL holds.
fn with_ordinal(mut uidl: Vec<u8>, ordinal: u32) -> Vec<u8> {
    if ordinal > 0 {
        uidl.push(0);
        uidl.extend(ordinal.to_string().bytes());
    }
    uidl
}
