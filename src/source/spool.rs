//! Messages too big for memory go to a file as they arrive.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use crate::decision::Version;
use crate::error::{Error, Result};
use crate::message::{Bytes, DeliveryName, Key, MAX_HEADER, ToLf};
use crate::state::{Disk, DiskFile, Stamp};

/// The folder of big messages.
#[derive(Clone)]
pub struct Spool {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    stamp: Stamp,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Spool({})", self.folder.display())
    }
}

impl Spool {
    /// Files go below `folder`, which exists, with the stamp of who writes them.
    pub fn new(disk: Arc<dyn Disk>, folder: PathBuf, stamp: Stamp) -> Self {
        Self { disk, folder, stamp }
    }

    /// Where the bytes of a message would be, as it came or edited. Nobody else writes a file of that name: whoever was taken
    /// over, and notices it when it records, removes what it staged and nothing of the new owner's.
    pub fn path(&self, name: &DeliveryName, version: Version) -> PathBuf {
        self.folder.join(format!("{}.v{version}{}", name.as_str(), self.stamp.as_str()))
    }

    /// Begins the file of a message whose key is not known before its last byte.
    pub fn begin_incoming(&self) -> Result<SpoolWriter> {
        self.begin_at(self.folder.join(format!("incoming.{}", std::process::id())))
    }

    /// Begins the file of a message; what an interrupted fetch left is replaced.
    pub fn begin(&self, key: &Key) -> Result<SpoolWriter> {
        self.begin_at(self.path(&DeliveryName::of(key), 0))
    }

    fn begin_at(&self, path: PathBuf) -> Result<SpoolWriter> {
        let create = || match self.disk.create(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.remove(&path)?;
                self.disk.create(&path)
            }
            file => file,
        };
        let file = create().map_err(|e| Error::disk(format!("writing {}", path.display()), e))?;
        Ok(SpoolWriter { file, path, head: Vec::new(), length: 0, to_lf: ToLf::default(), piece: Vec::new() })
    }
}

/// A big message on its way to the spool; CRLF becomes LF.
pub struct SpoolWriter {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    head: Vec<u8>,
    length: u64,
    to_lf: ToLf,
    piece: Vec<u8>,
}

impl SpoolWriter {
    /// Appends bytes as they came from an IMAP server.
    pub fn write_wire(&mut self, bytes: &[u8]) -> Result<()> {
        let mut piece = std::mem::take(&mut self.piece);
        piece.clear();
        self.to_lf.feed(bytes, &mut piece);
        let result = self.write_lf(&piece);
        self.piece = piece;
        result
    }

    /// Appends bytes that have LF line ends already.
    pub fn write_lf(&mut self, bytes: &[u8]) -> Result<()> {
        let room = MAX_HEADER.saturating_sub(self.head.len());
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.length += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|e| Error::disk(format!("writing {}", self.path.display()), e))
    }

    /// Makes the file durable. Its directory is synced with the batch.
    pub fn finish(mut self) -> Result<Bytes> {
        let mut last = Vec::new();
        std::mem::take(&mut self.to_lf).end(&mut last);
        self.write_lf(&last)?;
        let Self { file, path, head, length, .. } = self;
        file.finish(None).map_err(|e| Error::disk(format!("writing {}", path.display()), e))?;
        Ok(Bytes::Spooled { head, path, length })
    }
}
