//! Where the bytes of a message are, and how to read them.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the bytes of a message are. They always begin with the header block and have LF line ends.
#[derive(Clone, Debug)]
pub enum Bytes {
    /// The whole message.
    Memory(Vec<u8>),
    /// Too big for memory: the first bytes (the header block, up to [`super::MAX_HEADER`]), and the file with the whole
    /// message.
    Spooled {
        /// The beginning of the message.
        head: Vec<u8>,
        /// The file in the spool with the whole message.
        path: PathBuf,
        /// Its length.
        length: u64,
    },
    /// A spooled message with a new header block. Only the body comes from the file.
    Rehead {
        /// The new header block with the empty line that ends it.
        head: Vec<u8>,
        /// The file in the spool with the original message.
        path: PathBuf,
        /// The position in the file of what follows `head`.
        body_at: u64,
        /// The total length: `head` and the file from `body_at` on.
        length: u64,
    },
}

impl Bytes {
    /// The length of the whole message.
    pub fn length(&self) -> u64 {
        match self {
            Self::Memory(all) => all.len() as u64,
            Self::Spooled { length, .. } | Self::Rehead { length, .. } => *length,
        }
    }

    /// The bytes in memory: the whole message, or its beginning up to at least the end of the header block.
    pub fn beginning(&self) -> &[u8] {
        match self {
            Self::Memory(all) => all,
            Self::Spooled { head, .. } | Self::Rehead { head, .. } => head,
        }
    }

    /// Reads the whole message; `open` opens its file.
    pub fn reader(
        &self,
        open: impl Fn(&Path) -> io::Result<Box<dyn Read + Send>>,
    ) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(match self {
            Self::Memory(all) => Box::new(all.as_slice()),
            Self::Spooled { path, length, .. } => Box::new(open(path)?.take(*length)),
            Self::Rehead { head, path, body_at, length } => {
                let mut file = open(path)?;
                skip(&mut file, *body_at)?;
                Box::new(head.as_slice().chain(file).take(*length))
            }
        })
    }
}

/// Opens the file of a spooled message for reading. The message layer itself opens no files.
pub type Opener = Arc<dyn Fn(&Path) -> io::Result<Box<dyn Read + Send>> + Send + Sync>;

/// An optional [`Opener`] that implements `Debug`.
#[derive(Clone, Default)]
pub(super) struct MaybeOpener(pub(super) Option<Opener>);

impl fmt::Debug for MaybeOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "an opener" } else { "no opener" })
    }
}

impl MaybeOpener {
    /// How many bytes of the message can be read. Without an opener, these are the bytes in memory.
    pub(super) fn visible(&self, bytes: &Bytes) -> u64 {
        match (bytes, &self.0) {
            (Bytes::Memory(_), _) | (_, Some(_)) => bytes.length(),
            (_, None) => bytes.beginning().len() as u64,
        }
    }

    /// Reads as much of the message as [`Self::visible`] says.
    pub(super) fn reader<'a>(&self, bytes: &'a Bytes) -> io::Result<Box<dyn Read + Send + 'a>> {
        match &self.0 {
            Some(open) => bytes.reader(|path| open(path)),
            None => Ok(Box::new(bytes.beginning())),
        }
    }

    /// A walker over the readable bytes, at their beginning.
    pub(super) fn walker<'a>(&self, bytes: &'a Bytes) -> io::Result<Walker<'a>> {
        Ok(Walker { reader: BufReader::with_capacity(WALKER_BUFFER, self.reader(bytes)?), at: 0 })
    }

    /// A walker for ranges from `place` on. It starts at `place` if the message is in memory, and otherwise at the
    /// beginning of the file.
    pub(super) fn walker_near<'a>(&self, bytes: &'a Bytes, place: u64) -> io::Result<Walker<'a>> {
        let Bytes::Memory(all) = bytes else { return self.walker(bytes) };
        let at = all.len().min(usize::try_from(place).unwrap_or(usize::MAX));
        let reader: Box<dyn Read + Send + 'a> = Box::new(&all[at..]);
        Ok(Walker { reader: BufReader::with_capacity(WALKER_BUFFER, reader), at: at as u64 })
    }
}

const WALKER_BUFFER: usize = 64 * 1024;

/// Reads ranges of a message in ascending order, in one pass over its bytes.
pub(super) struct Walker<'a> {
    pub(super) reader: BufReader<Box<dyn Read + Send + 'a>>,
    at: u64,
}

impl fmt::Debug for Walker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a walker at {}", self.at)
    }
}

impl Walker<'_> {
    /// The position. Everything before it was read or skipped.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// A reader over one range, which must not begin before the end of an earlier one. Bytes before the current
    /// position are missing from it.
    pub(super) fn range(&mut self, range: &Range<u64>) -> io::Result<impl io::BufRead + '_> {
        skip(&mut self.reader, range.start.saturating_sub(self.at))?;
        self.at = self.at.max(range.start);
        let length = range.end.saturating_sub(self.at);
        Ok(CountedPlace { inner: (&mut self.reader).take(length), at: &mut self.at })
    }
}

/// Updates the walker's position while a range is read.
struct CountedPlace<'a, R> {
    inner: io::Take<R>,
    at: &'a mut u64,
}

impl<R: io::BufRead> Read for CountedPlace<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        *self.at += count as u64;
        Ok(count)
    }
}

impl<R: io::BufRead> io::BufRead for CountedPlace<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        *self.at += count as u64;
        self.inner.consume(count);
    }
}

/// Skips `count` bytes. Fails if the file is shorter.
fn skip(reader: &mut dyn Read, count: u64) -> io::Result<()> {
    let skipped = io::copy(&mut reader.take(count), &mut io::sink())?;
    if skipped < count { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use io::BufRead;

    fn opener() -> MaybeOpener {
        MaybeOpener(Some(Arc::new(|_: &Path| Ok(Box::new(&b"Old: 1\n\nbody"[..]) as Box<dyn Read + Send>))))
    }

    fn rehead() -> Bytes {
        Bytes::Rehead { head: b"N: 2\n\n".to_vec(), path: "x".into(), body_at: 8, length: 10 }
    }

    #[test]
    fn a_new_head_stands_before_the_old_body() {
        let mut all = String::new();
        opener().reader(&rehead()).unwrap().read_to_string(&mut all).unwrap();
        assert_eq!(all, "N: 2\n\nbody");
    }

    #[test]
    fn without_an_opener_only_the_head_is_seen() {
        let mut all = String::new();
        MaybeOpener::default().reader(&rehead()).unwrap().read_to_string(&mut all).unwrap();
        assert_eq!(all, "N: 2\n\n");
        assert_eq!(MaybeOpener::default().visible(&rehead()), 6);
    }

    #[test]
    fn a_walker_reads_ranges_in_order() {
        let bytes = rehead();
        let opener = opener();
        let mut walker = opener.walker(&bytes).unwrap();
        let mut one = Vec::new();
        walker.range(&(0..4)).unwrap().read_until(b':', &mut one).unwrap();
        assert_eq!(one, b"N:");
        let mut two = String::new();
        walker.range(&(7..9)).unwrap().read_to_string(&mut two).unwrap();
        assert_eq!(two, "od");
        assert!(walker.range(&(50..60)).is_err(), "the message is shorter");
    }
}
