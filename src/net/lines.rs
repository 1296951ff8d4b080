//! A bounded, byte-exact reader of CRLF lines and dot-terminated blocks, for POP3 and SMTP.
//!
//! A line ends with LF, with or without CR before it. A block ends only with CRLF "." CRLF (RFC 1939 section 3), so a single dot
//! between bare LFs is part of the message. The exception: if no line of this server ever ended with CRLF, its blocks may end with
//! LF "." LF too.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Stream, deadline, within};
use crate::error::{Error, Kind, Result};
use crate::secrets::Secrets;

/// The longest reply line that is accepted, in bytes. RFC 1939 allows 512, but UIDLs of 1,000 occur.
pub const MAX_LINE: usize = 8 * 1024;

const READ_BUFFER_BYTES: usize = 64 * 1024;

/// A connection read by lines and written by whole commands.
#[derive(Debug)]
pub struct LineStream {
    stream: Stream,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    ends: Ends,
    secrets: Arc<Secrets>,
}

/// How a block ended.
#[derive(Debug)]
#[must_use]
pub enum BlockEnd {
    /// With its final dot.
    Sure,
    /// With a dot that may belong to the content: what follows may be the rest of the message, so no reply can be read any more.
    Doubtful(Error),
}

/// Which line ends the server has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ends {
    #[default]
    NotSeen,
    /// All lines ended with LF alone. Small servers on Unix do this; mpop, getmail and fetchmail accept it.
    WithLf,
    /// At least one line ended with CRLF. From then on an LF without CR is message content.
    WithCrLf,
}

impl Ends {
    fn note(&mut self, line: &[u8]) {
        *self = match (*self, line.ends_with(b"\r")) {
            (Self::WithCrLf, _) | (_, true) => Self::WithCrLf,
            (_, false) => Self::WithLf,
        };
    }
}

impl LineStream {
    /// Wraps `stream` with a 64 KiB read buffer.
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            buffer: vec![0; READ_BUFFER_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            ends: Ends::default(),
            secrets: Arc::default(),
        }
    }

    /// Returns the connection for a TLS handshake. It is an error if the server has already sent more: those bytes
    /// came in plain text, and would be taken for replies inside TLS (`reliability.md` T3).
    pub fn into_clean_stream(self) -> Result<Stream> {
        if self.has_unread() {
            let early = &self.buffer[self.start..self.end];
            return Err(Error::permanent(Kind::Tls, "the server sent data before the TLS handshake").said(early));
        }
        Ok(self.stream)
    }

    /// The underlying connection.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Call before a login is sent: from now on errors and logs hide this secret.
    pub fn keep(&mut self, secret: &SecretString) {
        self.secrets = Arc::new(Secrets::of(secret));
    }

    /// The secrets to hide in texts that a person sees.
    pub fn secrets(&self) -> Arc<Secrets> {
        Arc::clone(&self.secrets)
    }

    /// Whether the server has sent data that was not read yet.
    pub fn has_unread(&self) -> bool {
        self.start < self.end
    }

    /// Whether the server sent something after a block that cannot be a reply: some servers do not dot-stuff, and then a line
    /// with a single dot ends the message too early (RFC 1939 section 3).
    fn has_more_than_a_reply(&self) -> bool {
        self.buffer[self.start..self.end].first().is_some_and(|byte| !matches!(byte, b'+' | b'-'))
    }

    /// Sends bytes in one write.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.send_within(bytes, deadline::REPLY, "sending a command").await
    }

    /// Sends bytes in one write, which the other side must take within `limit`.
    pub async fn send_within(&mut self, bytes: &[u8], limit: Duration, doing: &str) -> Result<()> {
        within(limit, doing, async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        })
        .await
    }

    /// The received data that was not read yet; waits for some if there is none.
    pub async fn beginning(&mut self, limit: Duration) -> Result<&[u8]> {
        if !self.has_unread() {
            self.stream.expect_within(limit);
            self.fill("waiting for the server's reply").await?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// The next line without its line end. A line over [`MAX_LINE`], or the end of the stream, is an error.
    pub async fn line(&mut self, limit: Duration) -> Result<&[u8]> {
        self.line_up_to(MAX_LINE, limit).await
    }

    /// The next line without its line end, of at most `most` bytes.
    pub async fn line_up_to(&mut self, most: usize, limit: Duration) -> Result<&[u8]> {
        let mut searched = 0;
        loop {
            let pending = &self.buffer[self.start..self.end];
            if let Some(at) = memchr::memchr(b'\n', &pending[searched..]) {
                let from = self.start;
                let length = searched + at;
                if length > most + 1 {
                    return Err(endless(&self.secrets.hushed(&pending[..length])));
                }
                self.start += length + 1;
                let line = &self.buffer[from..from + length];
                self.ends.note(line);
                return Ok(line.strip_suffix(b"\r").unwrap_or(line));
            }
            if pending.len() > most + 1 {
                return Err(endless(&self.secrets.hushed(pending)));
            }
            if searched == 0 {
                self.stream.expect_within(limit);
            }
            searched = pending.len();
            self.fill("waiting for the server's reply").await?;
        }
    }

    /// Reads a dot-terminated block and passes its content to `sink`, with CRLF turned into LF and dots
    /// unstuffed. A connection that ends before the final dot is an error, so a partial message is never taken for a whole one.
    pub async fn block(&mut self, limit: Duration, mut sink: impl FnMut(&[u8]) -> Result<()>) -> Result<BlockEnd> {
        self.stream.expect_within(limit);
        let mut decoder = DotDecoder { lf_alone: self.ends == Ends::WithLf, ..DotDecoder::default() };
        loop {
            let (used, done) = decoder.feed(&self.buffer[self.start..self.end], &mut sink)?;
            self.start += used;
            if done {
                return Ok(self.end_of(&decoder));
            }
            self.fill("in the middle of a message").await?;
        }
    }

    fn end_of(&self, decoder: &DotDecoder) -> BlockEnd {
        if decoder.has_both_ends {
            let text = "the server mixes CRLF and LF line ends, so it is not certain where the message ends";
            return BlockEnd::Doubtful(Error::transient(Kind::Protocol, text));
        }
        if self.has_more_than_a_reply() { BlockEnd::Doubtful(went_on()) } else { BlockEnd::Sure }
    }

    async fn fill(&mut self, doing: &str) -> Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let read = self.stream.read(&mut self.buffer[self.end..]).await.map_err(|e| Error::network(doing, e))?;
        if read == 0 {
            return Err(Error::network(
                format!("{doing}: the server closed the connection"),
                io::ErrorKind::UnexpectedEof.into(),
            ));
        }
        self.end += read;
        Ok(())
    }
}

/// The error for a server that sent more after the end of a message. What follows is not a reply.
pub fn went_on() -> Error {
    Error::transient(Kind::Protocol, "the server sent more after the end of the message")
}

fn endless(line: &[u8]) -> Error {
    Error::permanent(Kind::Protocol, "the server sent an endless line").said(line)
}

/// The position of the decoder within a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// After CRLF, or at the very beginning.
    #[default]
    LineStart,
    /// After a dot at the start of a line.
    Dot,
    /// After a dot and CR at the start of a line: LF ends the block.
    DotCr,
    /// Inside a line.
    Text,
    /// After a CR inside a line: with LF it becomes a line end, else it was content.
    Cr,
}

/// Unstuffs dots and turns CRLF into LF, however the bytes are cut into pieces.
#[derive(Debug, Default)]
struct DotDecoder {
    at: At,
    /// LF alone is a line end too.
    lf_alone: bool,
    /// `lf_alone` is set and this block also has a CRLF, so the final dot may belong to the message.
    has_both_ends: bool,
}

impl DotDecoder {
    /// Decodes `bytes`. Returns how many it used and whether the final dot was among them.
    fn feed(&mut self, bytes: &[u8], sink: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<(usize, bool)> {
        let mut i = 0;
        while i < bytes.len() {
            let byte = bytes[i];
            match (self.at, byte) {
                (At::Dot, b'\n') if self.lf_alone => return Ok((i + 1, true)),
                (At::LineStart | At::Text, b'\n') if self.lf_alone => {
                    sink(b"\n")?;
                    (self.at, i) = (At::LineStart, i + 1);
                }
                (At::LineStart, b'.') => (self.at, i) = (At::Dot, i + 1),
                (At::Dot, b'\r') => (self.at, i) = (At::DotCr, i + 1),
                (At::DotCr, b'\n') => {
                    self.has_both_ends |= self.lf_alone;
                    return Ok((i + 1, true));
                }
                (At::DotCr, _) => {
                    // ".", CR and something else: the dot was stuffing, the CR is content.
                    sink(b"\r")?;
                    self.at = At::Text;
                }
                (At::Cr, b'\n') => {
                    self.has_both_ends |= self.lf_alone;
                    sink(b"\n")?;
                    (self.at, i) = (At::LineStart, i + 1);
                }
                (At::Cr, _) => {
                    sink(b"\r")?;
                    self.at = At::Text;
                }
                (At::LineStart | At::Dot | At::Text, _) => {
                    let end = match self.lf_alone {
                        true => memchr::memchr2(b'\r', b'\n', &bytes[i..]),
                        false => memchr::memchr(b'\r', &bytes[i..]),
                    };
                    let length = end.unwrap_or(bytes.len() - i);
                    sink(&bytes[i..i + length])?;
                    i += length;
                    self.at = At::Text;
                    if bytes.get(i) == Some(&b'\r') {
                        (self.at, i) = (At::Cr, i + 1);
                    }
                }
            }
        }
        Ok((i, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(pieces: &[&[u8]]) -> Option<Vec<u8>> {
        let mut decoder = DotDecoder::default();
        let mut out = Vec::new();
        for piece in pieces {
            let (_, done) = decoder
                .feed(piece, &mut |b| {
                    out.extend_from_slice(b);
                    Ok(())
                })
                .unwrap();
            if done {
                return Some(out);
            }
        }
        None
    }

    fn stuff(lf: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        for line in lf.split_inclusive(|b| *b == b'\n') {
            if line.starts_with(b".") {
                wire.push(b'.');
            }
            wire.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b".\r\n");
        wire
    }

    #[test]
    fn every_split_of_a_block_gives_the_same_bytes() {
        let wire = b"From: a\r\n\r\n..dot\r\n...\r\n\r\nbare\nlf\r\n.\r\n";
        let whole = decode(&[wire]).unwrap();
        assert_eq!(whole, b"From: a\n\n.dot\n..\n\nbare\nlf\n");
        for i in 0..wire.len() {
            for j in i..wire.len() {
                assert_eq!(decode(&[&wire[..i], &wire[i..j], &wire[j..]]).unwrap(), whole, "{i} {j}");
            }
        }
    }

    #[test]
    fn a_dot_between_bare_line_feeds_is_mail_and_an_empty_message_ends() {
        assert_eq!(decode(&[b"a\n.\nb\r\n.\r\n"]).unwrap(), b"a\n.\nb\n");
        assert_eq!(decode(&[b".\r\n"]).unwrap(), b"");
        assert_eq!(decode(&[b"a\r\r\n.\rx\r\n.\r\n"]).unwrap(), b"a\r\n\rx\n");
    }

    proptest! {
        #[test]
        fn what_a_server_stuffs_comes_back(lines in proptest::collection::vec("[.a \\x00\u{e9}]{0,5}", 0..20), cut in 0usize..200) {
            let lf: Vec<u8> = lines.iter().flat_map(|l| [l.as_bytes(), b"\n"].concat()).collect();
            let wire = stuff(&lf);
            let cut = cut.min(wire.len());
            prop_assert_eq!(decode(&[&wire[..cut], &wire[cut..]]).unwrap(), lf);
        }
    }

    /// A message is the same however the network splits it, both for servers that end lines with CRLF and with LF.
    #[test]
    fn fuzz_blocks() {
        let known: [&[u8]; 5] = [
            b"From: a\r\n\r\n..dot\r\n...\r\n\r\nbare\nlf\r\n.\r\n",
            b"From: a\n\n..dot\n.\n",
            b".\r\n",
            b"a\r\r\n.\rx\r\n.\r\n+OK\r\n",
            b"line\r\n.\n+OK\nfrom: forged\n.\n",
        ];
        crate::fuzz::try_changes("pop3-blocks", &known, |bytes| {
            let decoded = |lf_alone, piece: usize| {
                let mut decoder = DotDecoder { lf_alone, ..DotDecoder::default() };
                let (mut out, mut used) = (Vec::new(), 0);
                for piece in bytes.chunks(piece.max(1)) {
                    let mut sink = |b: &[u8]| {
                        out.extend_from_slice(b);
                        Ok(())
                    };
                    let (taken, done) = decoder.feed(piece, &mut sink).unwrap();
                    used += taken;
                    if done {
                        return (out, used, true, decoder.has_both_ends);
                    }
                }
                (out, used, false, decoder.has_both_ends)
            };
            [true, false].map(|lf_alone| {
                let whole = decoded(lf_alone, bytes.len());
                assert_eq!(whole, decoded(lf_alone, 1));
                assert!(whole.0.len() <= bytes.len());
                (whole.2, whole.3, whole.0.len().min(40))
            })
        });
    }
}
