//! A server's replies, each whole, however the network cut it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use imap_proto::Response;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::guard::Checker;

const BUFFER: usize = 64 * 1024;
/// So much is read at a time while nothing is asked.
const LITTLE: usize = 2 * 1024;
/// More than this of a reply's memory is given back when the reply was read.
const KEPT: usize = 1024 * 1024;

/// Reads through a 64 KiB buffer, or a small one while nothing is asked.
#[derive(Debug)]
pub(super) struct Replies<S> {
    stream: S,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// How large the buffer is to be when it is filled next.
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
            size: BUFFER,
            checker: Checker::default(),
            reply: Vec::new(),
        }
    }

    /// The stream underneath, to write to.
    pub(super) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Much is to come.
    pub(super) fn read_much(&mut self) {
        self.size = BUFFER;
    }

    /// Little is to come, and perhaps not for a long time: memory is given back.
    pub(super) fn read_little(&mut self) {
        self.size = LITTLE;
        if self.start == self.end {
            self.fit();
        }
        if !self.checker.is_inside() {
            self.reply = Vec::new();
        }
    }

    /// So much memory is taken.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.buffer.len() + self.reply.capacity()
    }

    /// Makes the buffer, which is empty, as large as it is to be.
    fn fit(&mut self) {
        (self.start, self.end) = (0, 0);
        if self.buffer.len() != self.size {
            self.buffer = vec![0; self.size].into_boxed_slice();
        }
    }

    /// What was read and is of no reply yet. It is not read as a reply any more.
    pub(super) fn take_early(&mut self) -> Vec<u8> {
        let early = self.buffer[self.start..self.end].to_vec();
        (self.start, self.end) = (0, 0);
        early
    }

    /// The stream, and whether bytes were read ahead of it: not given out yet, or of a reply that is not complete.
    pub(super) fn into_parts(self) -> (S, bool) {
        (self.stream, self.start < self.end || self.checker.is_inside())
    }
}

impl<S: AsyncRead + Unpin> Replies<S> {
    /// Reads where everything was given out.
    async fn fill(&mut self) -> io::Result<()> {
        if self.start == self.end {
            self.fit();
            self.end = self.stream.read(&mut self.buffer).await?;
        }
        Ok(())
    }

    /// What has come and was not given out yet; waits for it where there is nothing. Empty at the end of the stream.
    pub(super) async fn beginning(&mut self) -> io::Result<&[u8]> {
        self.fill().await?;
        Ok(&self.buffer[self.start..self.end])
    }

    /// The next reply with its line end; `None` at the end of the stream. Cancel-safe.
    pub(super) async fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if !self.checker.is_inside() {
            self.reply.clear();
            self.reply.shrink_to(KEPT);
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

/// A reply as the parser understands it; `None` where it does not. A panic of the parser is about one reply.
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

    /// The lengths of the replies that come in pieces of so many bytes, up to what is refused.
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

    /// Where a reply ends does not depend on how the network cut it, and no reply breaks the parser.
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
