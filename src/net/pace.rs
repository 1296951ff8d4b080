//! Detects a peer that answers too slowly: it has a deadline for silence and a minimum rate.
//!
//! A single deadline for a whole reply would end a big message on a slow connection again and again. A deadline for each
//! byte alone would let a server that sends a byte a minute hold a connection for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// The minimum rate of a reply that takes longer than [`GRACE`], in bytes a second
/// (`reliability.md` F42, E15).
const MIN_BYTES_A_SECOND: u64 = 64;
/// How long a reply may come at any rate.
const GRACE: Duration = Duration::from_secs(120);

/// Watches the bytes of one reply after another.
#[derive(Debug)]
pub(super) struct ReplyPace {
    limit: Duration,
    silence: Pin<Box<Sleep>>,
    /// When the first bytes of the reply came. Until then the server may take its time, and only `limit` applies.
    since: Option<Instant>,
    bytes: u64,
}

impl ReplyPace {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, silence: Box::pin(sleep(limit)), since: None, bytes: 0 }
    }

    /// A reply begins: no silence in it may be longer than `limit`.
    pub(super) fn expect_within(&mut self, limit: Duration) {
        (self.limit, self.since, self.bytes) = (limit, None, 0);
        self.silence.as_mut().reset(Instant::now() + limit);
    }

    /// Some bytes came.
    pub(super) fn arrived(&mut self, bytes: usize) -> io::Result<()> {
        let now = Instant::now();
        self.silence.as_mut().reset(now + self.limit);
        self.bytes += bytes as u64;
        let took = now - *self.since.get_or_insert(now);
        if took > GRACE && self.bytes < took.as_secs() * MIN_BYTES_A_SECOND {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("less than {MIN_BYTES_A_SECOND} bytes a second"),
            ));
        }
        Ok(())
    }

    /// Nothing came. Ready, with an error, when the silence has lasted too long.
    pub(super) fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let passed = self.silence.as_mut().poll(cx);
        passed.map(|()| io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", self.limit.as_secs())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slow_line_is_not_a_dead_one() {
        let mut pace = ReplyPace::new(Duration::from_secs(120));
        for _ in 0..1000 {
            tokio::time::advance(Duration::from_secs(10)).await;
            pace.arrived(1024).unwrap();
        }
        pace.expect_within(Duration::from_secs(120));
        let dripping: io::Result<()> = async {
            for _ in 0..1000 {
                tokio::time::advance(Duration::from_secs(10)).await;
                pace.arrived(1)?;
            }
            Ok(())
        }
        .await;
        assert!(dripping.is_err());
    }

    /// An SMTP server may deliver before it answers, for up to ten minutes.
    #[tokio::test(start_paused = true)]
    async fn a_short_reply_after_a_long_thought_is_fine() {
        let mut pace = ReplyPace::new(Duration::from_secs(600));
        tokio::time::advance(Duration::from_secs(590)).await;
        pace.arrived(8).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_at_the_limit() {
        let mut pace = ReplyPace::new(Duration::from_secs(5));
        let started = Instant::now();
        let error = std::future::poll_fn(|cx| pace.poll_silence(cx)).await;
        assert_eq!((error.kind(), started.elapsed().as_secs()), (io::ErrorKind::TimedOut, 5));
    }
}
