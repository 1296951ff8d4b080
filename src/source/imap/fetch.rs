//! Fetches messages: small ones in batches, two of them in flight; big ones in windows; difficult ones one by one.

use std::collections::{HashMap, VecDeque};

use imap_proto::{AttributeValue, RequestId, Response};

use super::ImapSource;
use super::session::{refused, uid_in};
use super::sets::{pieces, uid_set};
use crate::error::{Error, Kind, Result};
use crate::message::{Bytes, Key, to_lf};
use crate::safeguard::Safeguard;
use crate::source::{FetchOutcome, Listed, Outlet, Room, WINDOW, announced, batches, whole};

const FETCH: &str = "UID FETCH";
const BODY: &str = "(UID BODY.PEEK[])";
/// How many batches are requested before the first is read, so that the server never waits for us.
const BATCHES_IN_FLIGHT: usize = 2;
/// A batch takes at most this much memory, even if the server announced smaller sizes than it sends. The rest of the batch
/// is requested one by one.
const MOST_BATCH_BYTES: usize = 16 * 1024 * 1024;
/// After this many failures in a row the pass ends: a server that lists messages but sends none would hold the account for hours.
const MOST_FAILURES_IN_A_ROW: u32 = 200;

impl ImapSource {
    /// Fetches messages of the open folder.
    pub(in crate::source) async fn fetch(&mut self, wanted: &[Listed], out: &Outlet) -> Result<()> {
        let (small, big) = batches(wanted);
        let room = self.session.room_beside(&[FETCH, BODY]);
        let small: Vec<&[Listed]> =
            small.into_iter().flat_map(|batch| pieces(batch, room, |message| self.uid_of(&message.id))).collect();
        let mut by_itself = Vec::new();
        let mut to_ask = small.into_iter().peekable();
        let mut asked: VecDeque<(RequestId, &[Listed], Room)> = VecDeque::new();
        loop {
            while asked.len() < BATCHES_IN_FLIGHT && !out.is_over() {
                let Some(batch) = to_ask.peek() else { break };
                // Waiting for room is safe only when none of our own batches holds any.
                let room = match asked.is_empty() {
                    true => Some(out.room(announced(batch)).await),
                    false => out.room_now(announced(batch)),
                };
                let Some(room) = room else { break };
                let batch = *batch;
                to_ask.next();
                asked.push_back((self.send_fetch(batch).await?, batch, room));
            }
            let Some((tag, batch, room)) = asked.pop_front() else { break };
            let (items, missing) = self.collect(&tag, batch, out).await?;
            by_itself.extend(missing);
            out.send(items, room).await;
        }
        let small = by_itself.into_iter().map(|message| (message, false));
        self.fetch_alone(small.chain(big.into_iter().map(|message| (message, true))), out).await
    }

    /// Fetches one message after another. The flag says whether to fetch it in windows.
    async fn fetch_alone<'w>(
        &mut self,
        messages: impl Iterator<Item = (&'w Listed, bool)>,
        out: &Outlet,
    ) -> Result<()> {
        let mut failures = 0;
        for (message, in_windows) in messages {
            if out.is_over() {
                return Ok(());
            }
            let room = out.room(if in_windows { WINDOW } else { message.size() }).await;
            let item = match in_windows {
                true => self.fetch_in_windows(message).await,
                false => self.fetch_single(message).await,
            };
            match item {
                Ok(item) => {
                    failures = if matches!(item, FetchOutcome::Failed(..)) { failures + 1 } else { 0 };
                    out.send(vec![item], room).await;
                }
                Err(e) => {
                    let key = Key::new(&self.open, message.id.clone());
                    out.send(FetchOutcome::broken_at(key, &e).into_iter().collect(), room).await;
                    return Err(e);
                }
            }
            if failures == MOST_FAILURES_IN_A_ROW && Safeguard::BoundedNumbers.is_on() {
                let cause = "the server sent nothing for many messages in a row; the others wait for the next pass";
                return Err(Error::transient(Kind::Protocol, cause));
            }
        }
        Ok(())
    }

    async fn send_fetch(&mut self, batch: &[Listed]) -> Result<RequestId> {
        let set = uid_set(batch.iter().filter_map(|m| self.uid_of(&m.id)));
        self.session.send(&format!("{FETCH} {set} {BODY}")).await
    }

    /// Reads the reply to a batch. The second part of the result is what the server did not send; that is then requested one
    /// by one: a NO may be about a single broken message (Yahoo).
    async fn collect<'w>(
        &mut self,
        tag: &RequestId,
        batch: &'w [Listed],
        out: &Outlet,
    ) -> Result<(Vec<FetchOutcome>, Vec<&'w Listed>)> {
        let mut waiting: HashMap<u32, &Listed> = batch.iter().filter_map(|m| Some((self.uid_of(&m.id)?, m))).collect();
        let mut items = Vec::with_capacity(batch.len());
        let mut bytes = 0;
        let origin = self.open.clone();
        let reply = self
            .session
            .finish(tag, |reply| {
                if let Some((uid, Some(body))) = body_in(reply)
                    && bytes < MOST_BATCH_BYTES
                    && let Some(listed) = waiting.get(&uid).copied()
                    && whole::judge(listed.announced, body.len() as u64).is_ok()
                {
                    waiting.remove(&uid);
                    bytes += body.len();
                    items.push(listed.item(
                        Key::new(&origin, listed.id.clone()),
                        Bytes::Memory(to_lf(body)),
                        body.len() as u64,
                    ));
                }
                Ok(())
            })
            .await;
        let missing: Vec<&Listed> =
            batch.iter().filter(|m| self.uid_of(&m.id).is_some_and(|u| waiting.contains_key(&u))).collect();
        match reply {
            Ok(_) => Ok((items, missing)),
            Err(e) => {
                // The connection is gone. Complete messages are kept. The message at which it broke is recorded, because it
                // may be the cause.
                items
                    .extend(missing.first().and_then(|m| FetchOutcome::broken_at(Key::new(&origin, m.id.clone()), &e)));
                out.send(items, Room::default()).await;
                Err(e)
            }
        }
    }

    async fn fetch_single(&mut self, listed: &Listed) -> Result<FetchOutcome> {
        let key = Key::new(&self.open, listed.id.clone());
        let tag = self.send_fetch(std::slice::from_ref(listed)).await?;
        let wanted = self.uid_of(&key.id);
        let mut body = None;
        let reply = self
            .session
            .finish(&tag, |reply| {
                if let Some((uid, found)) = body_in(reply)
                    && Some(uid) == wanted
                {
                    body = found.map(|found| (to_lf(found), found.len() as u64)).or(body.take());
                }
                Ok(())
            })
            .await?;
        Ok(match (reply, body) {
            (Err(refusal), _) => FetchOutcome::Failed(key, refused("UID FETCH", &refusal.line)),
            (Ok(_), Some((body, came))) => listed.item(key, Bytes::Memory(body), came),
            (Ok(_), None) => self.not_given(key).await?,
        })
    }

    /// Called when the server sent nothing for a message: either it has vanished, or it is still listed, which is a failure.
    pub(super) async fn not_given(&mut self, key: Key) -> Result<FetchOutcome> {
        let uid: Vec<u32> = self.uid_of(&key.id).into_iter().collect();
        if self.still_listed(&uid).await?.is_empty() {
            return Ok(FetchOutcome::Vanished(key));
        }
        let cause = "the server lists the message but sends nothing for it";
        Ok(FetchOutcome::Failed(key, Error::transient(Kind::Protocol, cause)))
    }
}

/// The UID and the body in a FETCH reply. There is no body in replies about flags, and NIL where the server has
/// none (iCloud, and others, for messages that they list but cannot read).
pub(super) fn body_in<'r>(reply: &'r Response<'_>) -> Option<(u32, Option<&'r [u8]>)> {
    let Response::Fetch(_, attributes) = reply else { return None };
    let body = attributes.iter().find_map(|a| match a {
        AttributeValue::BodySection { section: None, data, .. } => Some(data.as_deref()),
        _ => None,
    });
    Some((uid_in(attributes)?, body.flatten()))
}
