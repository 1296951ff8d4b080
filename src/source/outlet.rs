//! Where a source sends its batches: a short channel to the code that commits them, and a memory limit for all
//! accounts together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::FetchOutcome;

/// How many bytes of messages, by their announced sizes, may be in the program at once, for all accounts
/// together.
const MEMORY_BYTES: usize = 24 * 1024 * 1024;
/// One permit of the semaphore stands for this many bytes.
const PERMIT_BYTES: usize = 1024;

/// The memory limit, shared by all accounts.
#[derive(Clone, Debug)]
pub struct MemoryBudget(Arc<Semaphore>);

impl Default for MemoryBudget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MEMORY_BYTES / PERMIT_BYTES)))
    }
}

/// A part of the memory limit. It is released on drop.
#[derive(Debug, Default)]
pub struct Room {
    _permit: Option<OwnedSemaphorePermit>,
}

/// Some messages, bounded by [`super::BATCH_BYTES`] and [`super::BATCH_MESSAGES`].
#[derive(Debug)]
pub struct Batch {
    /// The messages.
    pub items: Vec<FetchOutcome>,
    /// Their part of the memory limit.
    pub room: Room,
}

/// The sending end of the channel.
#[derive(Debug)]
pub struct Outlet {
    batches: mpsc::Sender<Batch>,
    memory: MemoryBudget,
    stop: CancellationToken,
}

impl Outlet {
    /// A channel that holds one batch, so that one is fetched while another waits and a third is being committed.
    pub fn new(memory: &MemoryBudget, stop: &CancellationToken) -> (Self, mpsc::Receiver<Batch>) {
        let (batches, receive) = mpsc::channel(1);
        (Self { batches, memory: memory.clone(), stop: stop.clone() }, receive)
    }

    /// Whether nothing more is wanted, because the user stops the program or the disk failed.
    pub fn is_over(&self) -> bool {
        self.stop.is_cancelled() || self.batches.is_closed()
    }

    /// Waits for room. Only for a source that holds none: then all room is held by batches that are being committed.
    pub async fn room(&self, bytes: u64) -> Room {
        Room { _permit: Arc::clone(&self.memory.0).acquire_many_owned(permits(bytes)).await.ok() }
    }

    /// Room, if there is some at once.
    pub fn room_now(&self, bytes: u64) -> Option<Room> {
        let permit = Arc::clone(&self.memory.0).try_acquire_many_owned(permits(bytes)).ok()?;
        Some(Room { _permit: Some(permit) })
    }

    /// Sends a batch. It is dropped if nobody receives it any more ([`Self::is_over`]).
    pub async fn send(&self, items: Vec<FetchOutcome>, room: Room) {
        if !items.is_empty() {
            self.batches.send(Batch { items, room }).await.ok();
        }
    }
}

/// The number of permits for a batch. One that is larger than the limit takes all of them.
fn permits(bytes: u64) -> u32 {
    let permits =
        usize::try_from(bytes).unwrap_or(usize::MAX).div_ceil(PERMIT_BYTES).clamp(1, MEMORY_BYTES / PERMIT_BYTES);
    u32::try_from(permits).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_accounts_share_one_bound() {
        let memory = MemoryBudget::default();
        let stop = CancellationToken::new();
        let ((one, mut received), (other, _)) = (Outlet::new(&memory, &stop), Outlet::new(&memory, &stop));
        let all = one.room(u64::MAX).await;
        assert!(other.room_now(1).is_none());
        one.send(vec![], all).await;
        let some = other.room_now(1).unwrap();
        assert!(one.room_now(MEMORY_BYTES as u64).is_none());
        drop(some);
        assert!(one.room_now(MEMORY_BYTES as u64).is_some());
        assert!(received.try_recv().is_err(), "an empty batch is none");
    }
}
