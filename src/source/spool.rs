//! Writes messages that are too big for memory to files while they arrive.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use crate::decision::Version;
use crate::error::{Error, Result};
use crate::message::{Bytes, DeliveryName, INCOMING, Key, MAX_HEADER, ToLf};
use crate::state::{Disk, DiskFile, Stamp, has_come, incoming};

/// The folder for big messages.
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
    /// `folder` must exist. `stamp` identifies the process that writes.
    pub fn new(disk: Arc<dyn Disk>, folder: PathBuf, stamp: Stamp) -> Self {
        Self { disk, folder, stamp }
    }

    /// The path of a message's bytes, in this version (as it came, or edited). No other process writes a file of this name,
    /// because it has our stamp: if another process has taken over, we remove only our own files.
    pub fn path(&self, name: &DeliveryName, version: Version) -> PathBuf {
        self.folder.join(format!("{}.v{version}{}", name.as_str(), self.stamp.as_str()))
    }

    /// Begins the file of a message whose key is known only after its last byte.
    pub fn begin_incoming(&self) -> Result<SpoolWriter> {
        let path = self.folder.join(format!("{INCOMING}{}", std::process::id()));
        self.begin_at(path.clone(), path)
    }

    /// Begins the file of a message. The remains of an interrupted fetch are replaced.
    pub fn begin(&self, key: &Key) -> Result<SpoolWriter> {
        let path = self.path(&DeliveryName::of(key), 0);
        self.begin_at(incoming(&path), path)
    }

    fn begin_at(&self, written: PathBuf, path: PathBuf) -> Result<SpoolWriter> {
        let create = || match self.disk.create(&written) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.remove(&written)?;
                self.disk.create(&written)
            }
            file => file,
        };
        let file = create().map_err(|e| Error::disk(format!("writing {}", written.display()), e))?;
        let disk = Arc::clone(&self.disk);
        Ok(SpoolWriter {
            disk,
            file,
            written,
            path,
            head: Vec::new(),
            length: 0,
            to_lf: ToLf::default(),
            piece: Vec::new(),
        })
    }
}

/// A big message that is being written to the spool. CRLF becomes LF.
pub struct SpoolWriter {
    disk: Arc<dyn Disk>,
    file: Box<dyn DiskFile>,
    /// The file's name until it is complete.
    written: PathBuf,
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

    /// Appends bytes that already have LF line ends.
    pub fn write_lf(&mut self, bytes: &[u8]) -> Result<()> {
        let room = MAX_HEADER.saturating_sub(self.head.len());
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.length += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|e| Error::disk(format!("writing {}", self.path.display()), e))
    }

    /// Makes the file durable. Its folder is synced together with the batch.
    pub fn finish(mut self) -> Result<Bytes> {
        let mut last = Vec::new();
        std::mem::take(&mut self.to_lf).end(&mut last);
        self.write_lf(&last)?;
        let Self { disk, file, written, path, head, length, .. } = self;
        let finish = || {
            file.finish(None)?;
            if written == path { Ok(()) } else { has_come(&*disk, &path) }
        };
        finish().map_err(|e| Error::disk(format!("writing {}", path.display()), e))?;
        Ok(Bytes::Spooled { head, path, length })
    }
}
