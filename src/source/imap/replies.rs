//! Assembles a server's replies, however the network splits them.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use imap_proto::Response;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::guard::Checker;

const READ_BUFFER_BYTES: usize = 64 * 1024;
/// The size of the buffer while no command is running.
const IDLE_BUFFER_BYTES: usize = 2 * 1024;
/// The capacity for a reply that is kept after it was read; more is freed.
const KEPT_REPLY_BYTES: usize = 1024 * 1024;

/// Reads through a 64 KiB buffer, or a small one while no command is running.
#[derive(Debug)]
pub(super) struct Replies<S> {
    stream: S,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// The size of the buffer when it is filled next.
    size: usize,
    checker: Checker,
    reply: Vec<u8>,
}

impl<S> Replies<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Box::default(),
            start: 0,
            end: 0,
            size: READ_BUFFER_BYTES,
            checker: Checker::default(),
            reply: Vec::new(),
        }
    }

    /// The stream underneath, to write to.
    pub(super) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Call before a command, whose reply may be long.
    pub(super) fn use_large_buffer(&mut self) {
        self.size = READ_BUFFER_BYTES;
    }

    /// Call before a long wait for short replies, to free memory.
    pub(super) fn use_small_buffer(&mut self) {
        self.size = IDLE_BUFFER_BYTES;
        if self.start == self.end {
            self.resize();
        }
        if !self.checker.is_inside() {
            self.reply = Vec::new();
        }
    }

    /// How much memory the buffers use.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.buffer.len() + self.reply.capacity()
    }

    /// Resizes the buffer, which must be empty.
    fn resize(&mut self) {
        (self.start, self.end) = (0, 0);
        if self.buffer.len() != self.size {
            self.buffer = vec![0; self.size].into_boxed_slice();
        }
    }

    /// Takes the bytes that were read but do not belong to a reply yet.
    pub(super) fn take_early(&mut self) -> Vec<u8> {
        let early = self.buffer[self.start..self.end].to_vec();
        (self.start, self.end) = (0, 0);
        early
    }

    /// The stream, and whether there are unread bytes: complete replies that nobody took, or the start of one.
    pub(super) fn into_parts(self) -> (S, bool) {
        (self.stream, self.start < self.end || self.checker.is_inside())
    }
}

impl<S: AsyncRead + Unpin> Replies<S> {
    /// Reads from the stream if the buffer is empty.
    async fn fill(&mut self) -> io::Result<()> {
        if self.start == self.end {
            self.resize();
            self.end = self.stream.read(&mut self.buffer).await?;
        }
        Ok(())
    }

    /// The unread bytes; waits for some if there are none. Empty at the end of the stream.
    pub(super) async fn beginning(&mut self) -> io::Result<&[u8]> {
        self.fill().await?;
        Ok(&self.buffer[self.start..self.end])
    }

    /// The next reply with its line end; `None` at the end of the stream. Cancel-safe.
    pub(super) async fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if !self.checker.is_inside() {
            self.reply.clear();
            self.reply.shrink_to(KEPT_REPLY_BYTES);
        }
        loop {
            self.fill().await?;
            let fresh = &self.buffer[self.start..self.end];
            if fresh.is_empty() {
                return if self.reply.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            let (taken, is_complete) = self.checker.check(fresh)?;
            self.reply.extend_from_slice(&fresh[..taken]);
            self.start += taken;
            if is_complete {
                return Ok(Some(&self.reply));
            }
        }
    }
}

/// Parses a reply; `None` if the parser does not understand it. A panic of the parser costs only that reply.
pub(super) fn parse(reply: &[u8]) -> Option<Response<'_>> {
    match catch_unwind(AssertUnwindSafe(|| Response::parse(reply))) {
        Ok(Ok(([], response))) => Some(response),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn replies_come_whole_however_they_were_cut() {
        use tokio::io::AsyncWriteExt;
        let parts: [&[u8]; 3] = [b"* ID (\"name\" NIL)\r\n", b"* 1 FETCH (BODY[] {3}\r\na\nb)\r\n", b"m1 OK\r\n"];
        let (server, mut client) = tokio::io::duplex(1);
        let mut replies = Replies::new(server);
        let send = async {
            client.write_all(&parts.concat()).await.unwrap();
            drop(client);
        };
        let receive = async {
            for part in parts {
                assert_eq!(replies.next().await.unwrap(), Some(part));
            }
            assert_eq!(replies.next().await.unwrap(), None);
        };
        tokio::join!(send, receive);
    }

    #[tokio::test]
    async fn a_reply_longer_than_the_buffer_comes_whole_and_half_a_reply_is_none() {
        let line = [b"* SEARCH", " 1".repeat(200_000).as_bytes(), b"\r\n"].concat();
        let wire = [&line[..], b"rest"].concat();
        let mut replies = Replies::new(&wire[..]);
        assert_eq!(replies.next().await.unwrap(), Some(&line[..]));
        assert_eq!(replies.next().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_panic_of_the_parser_is_about_one_reply() {
        assert!(parse(b"* 1 FETCH (UID 1 INTERNALDATE NIL)\r\n").is_none());
        assert!(parse(b"* XSTATUS foo bar\r\n").is_none());
        assert!(parse(b"* 1 FETCH (UID 1)\r\n").is_some());
    }

    /// The lengths of the replies when the bytes come in pieces of this size, and whether something was refused.
    fn lengths(bytes: &[u8], piece: usize) -> (Vec<usize>, bool) {
        let (mut checker, mut lengths, mut length) = (Checker::default(), Vec::new(), 0);
        for mut piece in bytes.chunks(piece.max(1)) {
            while !piece.is_empty() {
                let Ok((taken, is_complete)) = checker.check(piece) else { return (lengths, true) };
                (length, piece) = (length + taken, &piece[taken..]);
                if is_complete {
                    lengths.push(std::mem::take(&mut length));
                }
            }
        }
        (lengths, false)
    }

    /// The end of a reply does not depend on how the network split it, and no reply breaks the parser.
    #[test]
    fn fuzz_replies() {
        let known: [&[u8]; 8] = [
            b"* 1 FETCH (UID 1 FLAGS (\\Seen a) RFC822.SIZE 18 INTERNALDATE \" 1-Jan-2026 00:00:00 +0000\")\r\n",
            b"* 1 FETCH (UID 1 BODY[] {3}\r\na\nb BODY[HEADER] \"a\\\"b\")\r\nm1 OK done\r\n",
            b"* LIST (\\HasNoChildren) \"/\" \"a b\"\r\n* LIST () NIL {4}\r\nINBO\r\n* LSUB (x) \".\" a.b\r\n",
            b"* SEARCH 1 2 3 4294967295\r\n* 5 EXISTS\r\n* 3 EXPUNGE\r\n* XSTATUS foo\r\n",
            b"* OK [UIDVALIDITY 1] x\r\n* NO [ALERT] {5}\r\n+ go on\r\n* BYE x\r\n",
            b"* 2 FETCH (BODYSTRUCTURE (\"text\" \"plain\" (\"charset\" \"x\") NIL NIL \"7bit\" 3 1))\r\n",
            b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n* ID (\"name\" NIL)\r\n* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n",
            b"* 1 FETCH (UID 1 ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) BODY[]<0> NIL)\r\n",
        ];
        crate::fuzz::try_changes("imap-replies", &known, |bytes| {
            let whole = lengths(bytes, bytes.len());
            assert_eq!(whole, lengths(bytes, 1));
            let mut rest = bytes;
            let mut kinds = Vec::new();
            for length in &whole.0 {
                let (reply, behind) = rest.split_at(*length);
                rest = behind;
                let mended = super::super::mend::mend(reply);
                kinds.push(parse(&mended).map(|response| format!("{response:?}").chars().take(12).collect::<String>()));
            }
            kinds.dedup();
            (kinds, whole.1)
        });
    }
}
