//! DEFLATE on a connection (RFC 1951; RFC 4978 for IMAP). Incoming data is inflated. Outgoing data is not compressed, only
//! wrapped in stored blocks (RFC 1951 3.2.4): commands are short, it needs no memory, and the compressed length cannot leak
//! a secret.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much compressed data is read at a time. Inflating stops when the reader's buffer is full, however much is left.
const READ_BUFFER_BYTES: usize = 8 * 1024;
/// The longest stored block, in bytes; its LEN field has 16 bits.
const LONGEST_BLOCK: u16 = 16 * 1024;

/// The compression state of both directions of a connection.
pub(super) struct Deflate {
    state: Box<InflateState>,
    /// Bytes that were received and are not inflated yet.
    received: Box<[u8]>,
    start: usize,
    end: usize,
    /// Blocks that are not sent yet.
    unsent: VecDeque<u8>,
}

impl std::fmt::Debug for Deflate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deflate").finish_non_exhaustive()
    }
}

impl Deflate {
    /// Starts compression. `early`: compressed bytes that were already read from the connection.
    pub(super) fn new(early: &[u8]) -> Self {
        let mut received = vec![0; READ_BUFFER_BYTES.max(early.len())].into_boxed_slice();
        received[..early.len()].copy_from_slice(early);
        let state = InflateState::new_boxed(DataFormat::Raw);
        Self { state, received, start: 0, end: early.len(), unsent: VecDeque::new() }
    }

    /// Reads inflated data. At the end of the deflate stream it returns no bytes, as at the end of the connection.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut (impl AsyncRead + Unpin),
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            let received = &self.received[self.start..self.end];
            let done = inflate(&mut self.state, received, buf.initialize_unfilled(), MZFlush::None);
            self.start += done.bytes_consumed;
            if done.bytes_written > 0 {
                buf.advance(done.bytes_written);
                return Poll::Ready(Ok(()));
            }
            match done.status {
                Ok(MZStatus::StreamEnd) => return Poll::Ready(Ok(())),
                Ok(_) if done.bytes_consumed > 0 => continue,
                // The decoder needs more input.
                Ok(_) | Err(MZError::Buf) if self.start == self.end => {}
                _ => {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "the server's data is not DEFLATE",
                    )));
                }
            }
            let mut piece = ReadBuf::new(&mut self.received);
            ready!(Pin::new(&mut *wire).poll_read(cx, &mut piece))?;
            (self.start, self.end) = (0, piece.filled().len());
            if self.end == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Queues one block. It is sent with the next one, or on a flush.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut (impl AsyncWrite + Unpin),
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(cx, wire))?;
        let length = u16::try_from(bytes.len()).unwrap_or(LONGEST_BLOCK).min(LONGEST_BLOCK);
        if length > 0 {
            // The header of a stored block that is not the last one: type, LEN, and NLEN (the complement of LEN).
            self.unsent.push_back(0);
            self.unsent.extend(length.to_le_bytes());
            self.unsent.extend((!length).to_le_bytes());
            self.unsent.extend(&bytes[..usize::from(length)]);
        }
        Poll::Ready(Ok(usize::from(length)))
    }

    /// Sends the queued blocks.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let (next, _) = self.unsent.as_slices();
            let sent = ready!(Pin::new(&mut *wire).poll_write(cx, next))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.drain(..sent);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
    use miniz_oxide::deflate::stream::deflate;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Compresses as a server does: each part ends with a sync flush.
    fn compressed(parts: &[&[u8]]) -> Vec<u8> {
        let mut state = CompressorOxide::new(create_comp_flags_from_zip_params(6, -15, 0));
        let mut all = Vec::new();
        for part in parts {
            let (mut rest, mut room) = (*part, vec![0; 64 * 1024]);
            loop {
                let done = deflate(&mut state, rest, &mut room, MZFlush::Sync);
                rest = &rest[done.bytes_consumed..];
                all.extend_from_slice(&room[..done.bytes_written]);
                if done.bytes_written < room.len() && rest.is_empty() {
                    break;
                }
            }
        }
        all
    }

    async fn read(deflate: &mut Deflate, mut wire: &[u8], room: usize) -> io::Result<Vec<u8>> {
        let (mut all, mut room) = (Vec::new(), vec![0; room]);
        loop {
            let mut buf = ReadBuf::new(&mut room);
            poll_fn(|cx| deflate.poll_read(cx, &mut wire, &mut buf)).await?;
            match buf.filled() {
                [] => return Ok(all),
                some => all.extend_from_slice(some),
            }
        }
    }

    #[tokio::test]
    async fn what_comes_is_inflated_however_it_was_cut() {
        let text = b"* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 18)\r\n".repeat(5_000);
        let parts: [&[u8]; 4] = [b"* 2 EXISTS\r\n", &text, b"", b"m1 OK done\r\n"];
        let wire = compressed(&parts);
        assert!(wire.len() < text.len() / 20);
        for early in [0, 1, 7, wire.len()] {
            for room in [1, 100, 64 * 1024] {
                let mut deflate = Deflate::new(&wire[..early]);
                assert_eq!(read(&mut deflate, &wire[early..], room).await.unwrap(), parts.concat());
            }
        }
    }

    #[tokio::test]
    async fn what_goes_is_stored_and_can_be_inflated() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        let (mut wire, mut far) = tokio::io::duplex(1000);
        let mut deflate = Deflate::new(&[]);
        let send = async {
            for part in [&b"m1 NOOP\r\n"[..], &bytes, b""] {
                let mut rest = part;
                while !rest.is_empty() {
                    let taken = poll_fn(|cx| deflate.poll_write(cx, &mut wire, rest)).await.unwrap();
                    rest = &rest[taken..];
                }
                poll_fn(|cx| deflate.poll_send(cx, &mut wire)).await.unwrap();
            }
            wire.shutdown().await.unwrap();
        };
        let mut sent = Vec::new();
        let (_, received) = tokio::join!(send, far.read_to_end(&mut sent));
        received.unwrap();
        assert!(sent.len() < bytes.len() + 100);
        let inflated = read(&mut Deflate::new(&[]), &sent, 4096).await.unwrap();
        assert_eq!(inflated, [b"m1 NOOP\r\n", &bytes[..]].concat());
    }

    #[tokio::test]
    async fn what_is_not_deflate_is_an_error_and_a_bomb_fills_no_more_than_there_is_room_for() {
        let error = read(&mut Deflate::new(&[]), b"* BYE not compressed at all\r\n", 100).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let bomb = compressed(&[&vec![b'x'; 50_000_000]]);
        assert!(bomb.len() < 60_000);
        let (mut deflate, mut wire, mut room) = (Deflate::new(&[]), &bomb[..], [0; 1000]);
        let mut buf = ReadBuf::new(&mut room);
        poll_fn(|cx| deflate.poll_read(cx, &mut wire, &mut buf)).await.unwrap();
        assert_eq!((buf.filled().len(), deflate.received.len()), (1000, READ_BUFFER_BYTES));
    }
}
