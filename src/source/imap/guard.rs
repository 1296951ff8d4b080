//! A stream that lets through only what the IMAP parser can bear.
//!
//! imap-proto recurses without a limit (a thousand parentheses overflow a 2 MiB stack), async-imap allocates what
//! a literal promises (500 MB for a 40-byte line) and parses an endless line again for every 4 KiB. So bytes
//! are looked at before they get there: lines, literals and nesting are bounded here. And imap-proto takes some
//! replies for nonsense when it sees only their beginning (`* ID ("name"`), so it gets lines whole, however the network
//! cut them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::source::WINDOW;

/// The longest line outside literals: a SEARCH reply of 50,000 ten-digit UIDs fits several times.
const MAX_LINE: usize = 2 * 1024 * 1024;
/// The most bytes in the literals of one reply: twice the window in which big messages are fetched.
const MAX_LITERALS: u64 = 2 * WINDOW;
/// The deepest nesting of parentheses.
const MAX_DEPTH: u32 = 64;
/// Untagged replies that are text to their end, as the parser tells them: by these letters, whatever follows.
const TEXTS: [&[u8]; 5] = [b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"];
/// So many bytes at the beginning of a reply tell its kind: `* PREAUTH`.
const BEGINNING: usize = 9;
const BUFFER: usize = 64 * 1024;

/// Reads through a checked 64 KiB buffer, writes through.
#[derive(Debug)]
pub(super) struct Guard<S> {
    inner: S,
    buffer: Box<[u8]>,
    start: usize,
    /// So far bytes may be given out.
    ready: usize,
    end: usize,
    checker: Checker,
}

impl<S> Guard<S> {
    pub(super) fn new(inner: S) -> Self {
        Self {
            inner,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            ready: 0,
            end: 0,
            checker: Checker::default(),
        }
    }

    /// The stream underneath.
    pub(super) fn stream(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The stream, and whether bytes were read ahead of it: not given out yet, or of a reply that is not complete.
    pub(super) fn into_parts(self) -> (S, bool) {
        (self.inner, self.start < self.end || self.checker.is_inside())
    }

    /// Moves what waits to the front of a buffer that has no room behind it.
    fn make_room(&mut self) {
        if self.start == self.end || self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.ready, self.end) = (0, self.ready - self.start, self.end - self.start);
        }
    }

    /// Whole lines and all of a literal may be given out; a line only when it is longer than the buffer.
    fn ready(&self) -> usize {
        let waiting = &self.buffer[self.start..self.end];
        if self.checker.literal > 0 || waiting.len() == self.buffer.len() {
            return self.end;
        }
        memchr::memrchr(b'\n', waiting).map_or(self.start, |at| self.start + at + 1)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.start == this.ready {
            this.make_room();
            let mut fresh = ReadBuf::new(&mut this.buffer[this.end..]);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut fresh))?;
            let read = fresh.filled().len();
            this.checker.check(&this.buffer[this.end..this.end + read])?;
            this.end += read;
            this.ready = if read == 0 { this.end } else { this.ready() };
            if read == 0 {
                break;
            }
        }
        let room = out.remaining().min(this.ready - this.start);
        let piece = &this.buffer[this.start..this.start + room];
        // Where the reader has no room for all of it, it gets the lines that fit.
        let length = memchr::memrchr(b'\n', piece).map_or(room, |at| at + 1);
        out.put_slice(&piece[..length]);
        this.start += length;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

/// Follows the framing of a server's bytes.
#[derive(Debug, Default)]
struct Checker {
    /// Bytes of a literal still to come.
    literal: u64,
    /// Bytes of all literals of the reply so far.
    literals: u64,
    beginning: [u8; BEGINNING],
    line: usize,
    depth: u32,
    quoted: bool,
    escaped: bool,
    announcement: Announcement,
}

/// How much of `{123}` CR LF has been seen at the end of a line.
#[derive(Clone, Copy, Debug, Default)]
enum Announcement {
    #[default]
    None,
    Digits(u64),
    Closed(u64),
    Cr(u64),
}

impl Checker {
    /// Whether a reply has begun and not ended.
    fn is_inside(&self) -> bool {
        self.line > 0
    }

    fn check(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.literal > 0 {
                let skip = usize::try_from(self.literal).unwrap_or(usize::MAX).min(bytes.len());
                self.literal -= skip as u64;
                bytes = &bytes[skip..];
                continue;
            }
            self.byte(bytes[0])?;
            bytes = &bytes[1..];
        }
        Ok(())
    }

    fn byte(&mut self, byte: u8) -> io::Result<()> {
        self.line += 1;
        if self.line > MAX_LINE {
            return Err(refused("a line longer than 2 MiB"));
        }
        if let Some(place) = self.beginning.get_mut(self.line - 1) {
            *place = byte;
        }
        self.announcement = self.announce(byte)?;
        match byte {
            b'\n' => {
                // A literal continues the line, and the nesting with it.
                if self.literal == 0 {
                    (self.line, self.depth, self.literals) = (0, 0, 0);
                }
                (self.quoted, self.escaped) = (false, false);
            }
            _ if self.escaped => self.escaped = false,
            b'\\' if self.quoted => self.escaped = true,
            b'"' => self.quoted = !self.quoted,
            b'(' if !self.quoted => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(refused("parentheses nested more than 64 deep"));
                }
            }
            b')' if !self.quoted => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        Ok(())
    }

    /// Whether the reply is text: tagged, a continuation, or one of [`TEXTS`].
    fn is_text(&self) -> bool {
        let beginning = &self.beginning[..self.line.min(BEGINNING)];
        let Some(word) = beginning.strip_prefix(b"* ") else { return true };
        TEXTS.iter().any(|text| word.get(..text.len()).is_some_and(|w| w.eq_ignore_ascii_case(text)))
    }

    fn announce(&mut self, byte: u8) -> io::Result<Announcement> {
        Ok(match (self.announcement, byte) {
            (_, b'{') if !self.quoted => Announcement::Digits(0),
            (Announcement::Digits(n), b'0'..=b'9') => {
                Announcement::Digits(n.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
            }
            (Announcement::Digits(n), b'+') => Announcement::Digits(n),
            (Announcement::Digits(n), b'}') => Announcement::Closed(n),
            (Announcement::Closed(n), b'\r') => Announcement::Cr(n),
            (Announcement::Cr(n), b'\n') => {
                self.literals = self.literals.saturating_add(n);
                if self.literals > MAX_LITERALS {
                    return Err(refused("a literal larger than was asked for"));
                }
                // To the parser this is text and the reply ends here; taken for a literal, what follows would go
                // unchecked.
                if self.is_text() {
                    return Err(refused("a text that ends like a literal"));
                }
                self.literal = n;
                Announcement::None
            }
            _ => Announcement::None,
        })
    }
}

fn refused(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the server sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8]) -> io::Result<()> {
        Checker::default().check(bytes)
    }

    #[test]
    fn ordinary_replies_pass_whatever_is_inside_literals_and_quotes() {
        check(b"* 1 FETCH (UID 1 BODY[] {12}\r\n((((((((((((\r\n FLAGS (\\Seen))\r\n").unwrap();
        let quoted = format!("* LIST () \"/\" \"{}\"\r\n", "(".repeat(100));
        check(quoted.as_bytes()).unwrap();
        let many = "* 1 FETCH (UID 1)\r\n".repeat(200_000);
        check(many.as_bytes()).unwrap();
    }

    #[test]
    fn bombs_are_refused_before_the_parser_sees_them() {
        let nest = format!("* 1 FETCH (BODYSTRUCTURE {}", "(".repeat(1_000));
        assert!(check(nest.as_bytes()).is_err());
        for size in ["2147483648", "4294967295", "18446744073709551615", "99999999999999999999", "500000000"] {
            assert!(check(format!("* 1 FETCH (BODY[] {{{size}}}\r\n").as_bytes()).is_err(), "{size}");
        }
        assert!(check(&vec![b'x'; MAX_LINE + 1]).is_err());
    }

    #[tokio::test]
    async fn lines_come_whole_however_they_were_cut() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let replies = b"* ID (\"name\" NIL)\r\n* 1 FETCH (BODY[] {3}\r\na\nb)\r\nm1 OK\r\n";
        let (server, mut client) = tokio::io::duplex(1);
        let mut guard = Guard::new(server);
        let send = async {
            client.write_all(replies).await.unwrap();
            drop(client);
        };
        let receive = async {
            let (mut all, mut piece) = (Vec::new(), [0; 4096]);
            loop {
                let read = guard.read(&mut piece).await.unwrap();
                if read == 0 {
                    return all;
                }
                let in_literal =
                    all.ends_with(b"{3}\r\n") || all.ends_with(b"{3}\r\na") || all.ends_with(b"{3}\r\na\n");
                all.extend_from_slice(&piece[..read]);
                assert!(all.ends_with(b"\n") || in_literal, "{:?}", String::from_utf8_lossy(&all));
            }
        };
        let ((), all) = tokio::join!(send, receive);
        assert_eq!(all, replies);
    }

    #[tokio::test]
    async fn a_line_longer_than_the_buffer_comes_through_in_pieces() {
        use tokio::io::AsyncReadExt;
        let line = [b"* SEARCH", " 1".repeat(200_000).as_bytes(), b"\r\nrest"].concat();
        let mut guard = Guard::new(tokio::io::join(&line[..], tokio::io::sink()));
        let mut all = Vec::new();
        guard.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, line, "and the rest at the end of the stream");
    }

    #[test]
    fn the_literals_of_one_reply_are_bounded_together() {
        let mut checker = Checker::default();
        checker.check(b"* 1 FETCH (BODY[] {9000000}\r\n").unwrap();
        checker.check(&vec![b'x'; 9_000_000]).unwrap();
        assert!(checker.check(b" BODY[] {9000000}\r\n").is_err());
        let mut checker = Checker::default();
        for _ in 0..2 {
            checker.check(b"* 1 FETCH (BODY[] {9000000}\r\n").unwrap();
            checker.check(&vec![b'x'; 9_000_000]).unwrap();
            checker.check(b")\r\n").unwrap();
        }
    }

    #[test]
    fn text_that_ends_like_a_literal_hides_nothing_behind_it() {
        for text in ["* OK {9}", "* no x{9}", "* BYEBYE {9}", "* PREAUTH {9}", "+ {9}", "m1 OK {9}", "* bad [X ({9}"] {
            assert!(check(format!("{text}\r\n").as_bytes()).is_err(), "{text}");
        }
        for data in ["* LIST () NIL {9}", "* 1 FETCH (BODY[] {9}", "* NAMESPACE {9}"] {
            check(format!("{data}\r\n").as_bytes()).unwrap();
        }
    }

    #[test]
    fn every_split_is_followed_alike() {
        let bytes = b"* 1 FETCH (BODY[] {3}\r\n(((\r\n)\r\n* OK {5}x (\r\n";
        for cut in 0..bytes.len() {
            let mut checker = Checker::default();
            checker.check(&bytes[..cut]).unwrap();
            checker.check(&bytes[cut..]).unwrap();
            assert_eq!((checker.literal, checker.depth, checker.line), (0, 0, 0), "{cut}");
        }
    }
}
