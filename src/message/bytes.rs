//! Where the bytes of a message are, and reading them wherever that is.

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
    /// Too big for memory: the first bytes (the header block, up to [`super::MAX_HEADER`]), and the file that
    /// holds them all.
    Spooled {
        /// The beginning of the message.
        head: Vec<u8>,
        /// The file in the spool with the whole message.
        path: PathBuf,
        /// Its length.
        length: u64,
    },
    /// A spooled message with another header block. The file is not this message, only the end of it.
    Rehead {
        /// The new header block with the empty line that ends it.
        head: Vec<u8>,
        /// The file in the spool with the message as it came.
        path: PathBuf,
        /// What follows `head` begins here in the file.
        body_at: u64,
        /// The length of the whole: `head` and the file from `body_at` on.
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

    /// What is in memory: the whole, or the beginning up to at least the end of the header block.
    pub fn beginning(&self) -> &[u8] {
        match self {
            Self::Memory(all) => all,
            Self::Spooled { head, .. } | Self::Rehead { head, .. } => head,
        }
    }

    /// The whole message, its file opened by `open`.
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

/// Opens the file of a spooled message for reading. The message layer opens nothing by itself.
pub type Opener = Arc<dyn Fn(&Path) -> io::Result<Box<dyn Read + Send>> + Send + Sync>;

/// An [`Opener`] or none, that `Debug` can pass over.
#[derive(Clone, Default)]
pub(super) struct MaybeOpener(pub(super) Option<Opener>);

impl fmt::Debug for MaybeOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "an opener" } else { "no opener" })
    }
}

impl MaybeOpener {
    /// How much of the message can be seen: without an opener, what is in memory.
    pub(super) fn visible(&self, bytes: &Bytes) -> u64 {
        match (bytes, &self.0) {
            (Bytes::Memory(_), _) | (_, Some(_)) => bytes.length(),
            (_, None) => bytes.beginning().len() as u64,
        }
    }

    /// What can be seen of the message.
    pub(super) fn reader<'a>(&self, bytes: &'a Bytes) -> io::Result<Box<dyn Read + Send + 'a>> {
        match &self.0 {
            Some(open) => bytes.reader(|path| open(path)),
            None => Ok(Box::new(bytes.beginning())),
        }
    }

    /// A walker over what can be seen, which stands at the beginning.
    pub(super) fn walker<'a>(&self, bytes: &'a Bytes) -> io::Result<Walker<'a>> {
        Ok(Walker { reader: BufReader::with_capacity(WALKER_BUFFER, self.reader(bytes)?), at: 0 })
    }

    /// One that may go on at `place` without what stands before it: it stands there where the message is in memory, and at
    /// the beginning of a file.
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
    /// What stands before was passed over.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// A reader over one range, which must not begin before the end of an earlier one; what was passed over
    /// already is missing from it.
    pub(super) fn range(&mut self, range: &Range<u64>) -> io::Result<impl io::BufRead + '_> {
        skip(&mut self.reader, range.start.saturating_sub(self.at))?;
        self.at = self.at.max(range.start);
        let length = range.end.saturating_sub(self.at);
        Ok(CountedPlace { inner: (&mut self.reader).take(length), at: &mut self.at })
    }
}

/// Keeps the walker's place while a range is read.
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

/// Reads and drops so many bytes; a file that is shorter ends the message there.
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
