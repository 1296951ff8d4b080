//! Where a source puts its batches: a short channel to whoever commits them, and a bound on the memory of all
//! accounts together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::Item;

/// So many bytes of messages, as announced, are on their way through the program at once, whatever the number of
/// accounts.
const MEMORY: usize = 24 * 1024 * 1024;
/// The bound is counted in pieces of this size.
const PIECE: usize = 1024;

/// The bound, shared by all accounts.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Semaphore>);

impl Default for Memory {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MEMORY / PIECE)))
    }
}

/// Some bytes of the bound, given back when it is dropped.
#[derive(Debug, Default)]
pub struct Room {
    _permit: Option<OwnedSemaphorePermit>,
}

/// Some messages, bounded by [`super::BATCH_BYTES`] and [`super::BATCH_MESSAGES`].
#[derive(Debug)]
pub struct Batch {
    /// The messages.
    pub items: Vec<Item>,
    /// Their place in memory.
    pub room: Room,
}

/// A source's way out.
#[derive(Debug)]
pub struct Outlet {
    batches: mpsc::Sender<Batch>,
    memory: Memory,
    stop: CancellationToken,
}

impl Outlet {
    /// A channel that holds one batch, so that one is fetched while another waits and a third is being committed.
    pub fn new(memory: &Memory, stop: &CancellationToken) -> (Self, mpsc::Receiver<Batch>) {
        let (batches, receive) = mpsc::channel(1);
        (Self { batches, memory: memory.clone(), stop: stop.clone() }, receive)
    }

    /// Whether nothing more is wanted: the user stops the program, or the disk failed.
    pub fn is_over(&self) -> bool {
        self.stop.is_cancelled() || self.batches.is_closed()
    }

    /// Waits for room. Only for a source that holds none: then what holds it is being committed and comes free.
    pub async fn room(&self, bytes: u64) -> Room {
        Room { _permit: Arc::clone(&self.memory.0).acquire_many_owned(pieces(bytes)).await.ok() }
    }

    /// Room, if there is some now.
    pub fn room_now(&self, bytes: u64) -> Option<Room> {
        let permit = Arc::clone(&self.memory.0).try_acquire_many_owned(pieces(bytes)).ok()?;
        Some(Room { _permit: Some(permit) })
    }

    /// Sends a batch; nobody listens any more when [`Self::is_over`].
    pub async fn send(&self, items: Vec<Item>, room: Room) {
        if !items.is_empty() {
            self.batches.send(Batch { items, room }).await.ok();
        }
    }
}

/// A batch larger than the bound takes all of it.
fn pieces(bytes: u64) -> u32 {
    let pieces = usize::try_from(bytes).unwrap_or(usize::MAX).div_ceil(PIECE).clamp(1, MEMORY / PIECE);
    u32::try_from(pieces).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_accounts_share_one_bound() {
        let memory = Memory::default();
        let stop = CancellationToken::new();
        let ((one, mut received), (other, _)) = (Outlet::new(&memory, &stop), Outlet::new(&memory, &stop));
        let all = one.room(u64::MAX).await;
        assert!(other.room_now(1).is_none());
        one.send(vec![], all).await;
        let some = other.room_now(1).unwrap();
        assert!(one.room_now(MEMORY as u64).is_none());
        drop(some);
        assert!(one.room_now(MEMORY as u64).is_some());
        assert!(received.try_recv().is_err(), "an empty batch is none");
    }
}
