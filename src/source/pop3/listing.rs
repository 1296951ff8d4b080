//! What is in the mailbox: LIST, UIDL, and headers where the server gives no ids.

use std::collections::HashMap;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::wire::{LONG_UIDL, list_line, uidl_line};
use super::{Numbered, Pop3Source};
use crate::config::Identity;
use crate::error::{Error, Kind, Result};
use crate::message::{Flags, MAX_HEADER, head_hash};
use crate::net::deadline;
use crate::source::arrival::arrival;
use crate::source::whole::plausible;
use crate::source::{Details, Listed, Listing};

/// The most messages of one mailbox.
const MAX_MESSAGES: usize = 2_000_000;

impl Pop3Source {
    /// Lists the mailbox with stable ids.
    pub(in crate::source) async fn list(&mut self) -> Result<Listing> {
        let sizes = self.sizes().await?;
        let named = match self.identity {
            Identity::Uidl => self.uidls().await?,
            Identity::Content => self.content_ids(&sizes).await?,
        };
        let mut odd = None;
        if named.len() < sizes.len() {
            odd = Some(format!("the server counts {} messages and names {}", sizes.len(), named.len()));
        }
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
        Ok(Listing { origin: self.origin.clone(), ids, doubled, odd })
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
        self.session.multi_line(MAX_MESSAGES, |line| sizes.extend(list_line(line))).await?;
        Ok(sizes)
    }

    async fn uidls(&mut self) -> Result<Vec<(u32, Vec<u8>)>> {
        if !self.session.command("UIDL").await?.is_ok() {
            let advice = "the server has no UIDL, so mail cannot be told apart; \
                          `identity: content` in the account tells it apart by its headers";
            return Err(Error::permanent(Kind::Protocol, advice));
        }
        let mut named = Vec::new();
        let note = |line: &[u8]| named.extend(uidl_line(line).map(|(number, id)| (number, bounded(id))));
        self.session.multi_line(MAX_MESSAGES, note).await?;
        Ok(named)
    }

    /// Ids from a hash of each header block, for servers without UIDL.
    async fn content_ids(&mut self, sizes: &HashMap<u32, Option<u64>>) -> Result<Vec<(u32, Vec<u8>)>> {
        let mut numbers: Vec<u32> = sizes.keys().copied().collect();
        numbers.sort_unstable();
        let heads = self.heads(&numbers).await?;
        let id = |head: Vec<u8>| data_encoding::HEXLOWER.encode(&head_hash(&head)).into_bytes();
        Ok(numbers.into_iter().zip(heads).filter_map(|(number, head)| Some((number, id(head?)))).collect())
    }

    /// Sizes, and headers where a date or a hash is needed.
    pub(in crate::source) async fn describe(&mut self, ids: &[Vec<u8>], details: Details) -> Result<Vec<Listed>> {
        let found: Vec<(Vec<u8>, Numbered)> =
            ids.iter().filter_map(|id| Some((id.clone(), *self.messages.get(id)?))).collect();
        let mut heads = Vec::new();
        if details.date || details.head_hash {
            let numbers: Vec<u32> = found.iter().map(|(_, m)| m.number).collect();
            heads = self.heads(&numbers).await?;
        }
        let mut heads = heads.into_iter();
        let describe = |(id, message): (Vec<u8>, Numbered)| {
            let head = heads.next().flatten();
            Listed {
                id,
                announced: message.size,
                arrived: head.as_deref().and_then(|head| arrival(head, Timestamp::now())),
                flags: Flags::default(),
                head_hash: head.as_deref().map(head_hash),
            }
        };
        Ok(found.into_iter().map(describe).collect())
    }

    /// The header blocks of messages, by TOP. `None` where the server refuses.
    async fn heads(&mut self, numbers: &[u32]) -> Result<Vec<Option<Vec<u8>>>> {
        let mut heads = Vec::with_capacity(numbers.len());
        let window = self.session.window();
        for chunk in numbers.chunks(window) {
            let commands: Vec<String> = chunk.iter().map(|n| format!("TOP {n} 0\r\n")).collect();
            self.session.send(&commands).await?;
            for _ in chunk {
                let reply = super::wire::Reply::parse(self.session.lines.line(deadline::REPLY).await?)?;
                if !reply.is_ok() {
                    heads.push(None);
                    continue;
                }
                let mut head = Vec::new();
                let keep = |piece: &[u8]| {
                    let room = MAX_HEADER.saturating_sub(head.len());
                    head.extend_from_slice(&piece[..piece.len().min(room)]);
                    Ok(())
                };
                self.session.lines.block(deadline::REPLY, keep).await?;
                heads.push(Some(crate::message::head_of(&head).to_vec()));
            }
        }
        Ok(heads)
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
