//! The few operations on mail files, and the real disk behind them.
//!
//! A file that was synced and renamed is lost in a power cut unless its directory is synced too (measured on ext4, XFS
//! and btrfs, 6 of 6). So the sync of directories is a separate step with a proof, [`Synced`].

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant, UNIX_EPOCH};

use jiff::Timestamp;
use rustix::fs::{Access, AtFlags, CWD, FlockOperation, Mode, OFlags, RawDir, RenameFlags, fcntl_lock, renameat_with};
use rustix::io::Errno;

use crate::stop::is_stopping;

/// Everything the program does to mail files. Paths are absolute.
pub trait Disk: Send + Sync {
    /// Creates a file that must not exist yet, readable only by its owner.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Creates a small file that must not exist yet, readable only by its owner. The file appears with its whole
    /// content, if the file system can do that. Nothing of it is durable.
    fn create_whole(&self, path: &Path, content: &[u8]) -> io::Result<()>;
    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>>;
    /// Gives a file a second name on the same device.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Moves a file. It fails with `AlreadyExists` rather than overwrite.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Moves a file and overwrites the target.
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// How long ago the content of a file was changed, or `None` if there is no file.
    fn age(&self, path: &Path) -> io::Result<Option<Duration>>;
    /// Opens a file that other programs also write, creates it if there is none, and locks it with `fcntl`. It fails
    /// with `WouldBlock` if the file stays locked for [`LOCK_TIMEOUT`].
    fn open_shared(&self, path: &Path) -> io::Result<Box<dyn SharedFile>>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Creates a directory for its owner alone. Returns whether it is new.
    fn make_dir(&self, path: &Path) -> io::Result<bool>;
    /// The names in a directory; none if the directory does not exist.
    fn names(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Whether there is anything at that path.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Device and inode of what is at that path, to recognise a directory that is reached twice. Returns `None` if
    /// there is nothing, or no such numbers.
    fn number(&self, path: &Path) -> io::Result<Option<(u64, u64)>>;
    /// Whether everybody may write to it.
    fn is_writable_by_others(&self, path: &Path) -> io::Result<bool>;
    /// Sets the permissions as `chmod` does, but never through a link. The set-group-id and similar bits of a directory
    /// stay.
    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()>;
    /// Makes a symbolic link, which must not exist yet, to a directory.
    fn link_to(&self, dir: &Path, link: &Path) -> io::Result<()>;
    /// Whether there is a symbolic link, wherever it leads.
    fn is_link(&self, path: &Path) -> io::Result<bool>;
    /// Size in bytes and time of the last change in nanoseconds, or `None` if there is nothing.
    fn stamp(&self, path: &Path) -> io::Result<Option<(u64, i128)>>;
    /// Fails if no files can be made and renamed in a directory.
    fn writable(&self, dir: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// A new file being written.
pub trait DiskFile: Write + Send {
    /// Sets the permissions as `chmod` does.
    fn set_mode(&self, mode: u32) -> io::Result<()>;
    /// Sets the modification time, if one is given, makes the content durable and closes the file. A failed sync is
    /// never tried again on the same file: the kernel may have dropped the data (fsyncgate).
    fn finish(self: Box<Self>, modified: Option<Timestamp>) -> io::Result<()>;
}

/// A file that other programs also write, open and locked until it is dropped.
pub trait SharedFile: Send {
    /// The length of the file.
    fn length(&self) -> io::Result<u64>;
    /// Reads from an offset; 0 bytes mean the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Appends all of it.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Truncates the file.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    /// Makes the content durable.
    fn sync(&self) -> io::Result<()>;
}

/// How long to wait for a file that another program has locked.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(60);
/// How many bytes of a directory are read at a time.
const DIRECTORY_BYTES: usize = 32 * 1024;
/// How often to try again.
const LOCK_POLL: Duration = Duration::from_millis(50);

/// The proof that a set of directories was synced.
#[derive(Debug)]
pub struct Synced(());

/// Syncs each directory once, in order.
pub fn sync_dirs<'a>(disk: &dyn Disk, dirs: impl IntoIterator<Item = &'a Path>) -> io::Result<Synced> {
    let unique: BTreeSet<&Path> = dirs.into_iter().collect();
    unique.into_iter().try_for_each(|dir| disk.sync_dir(dir))?;
    Ok(Synced(()))
}

/// Syncs a directory and everything above it, so that the whole path to it survives a power cut.
pub fn sync_with_parents(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    disk.sync_dir(dir)?;
    for entry in dir.ancestors() {
        if !sync_parent(disk, entry)? {
            break;
        }
    }
    Ok(())
}

/// Syncs the parent of a directory. Returns false at the top, where nobody makes anything.
pub fn sync_parent(disk: &dyn Disk, entry: &Path) -> io::Result<bool> {
    let Some(parent) = entry.parent().filter(|parent| parent.parent().is_some()) else { return Ok(false) };
    match disk.sync_dir(parent) {
        // Above the user's own directories we made nothing, and some may not be readable.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(true),
        synced => synced.map(|()| true),
    }
}

/// Writes a file without a name, and then gives it one. NFS and some other file systems cannot do this (`O_TMPFILE`,
/// open(2)).
fn link_nameless(path: &Path, content: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let nameless =
        rustix::fs::open(dir, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::from_raw_mode(0o600))?;
    let mut file = File::from(nameless);
    file.write_all(content)?;
    let by_number = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, by_number, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

fn create_and_write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    // The file is ours, and half written.
    file.write_all(content).inspect_err(|_| _ = std::fs::remove_file(path))
}

/// The file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?))
    }

    fn create_whole(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        match link_nameless(path, content) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => create_and_write(path, content),
            other => other,
        }
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(path)?))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => rename_by_link(from, to),
            other => Ok(other?),
        }
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn age(&self, path: &Path) -> io::Result<Option<Duration>> {
        match std::fs::symlink_metadata(path) {
            // A time in the future counts as now.
            Ok(metadata) => Ok(Some(metadata.modified()?.elapsed().unwrap_or_default())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn open_shared(&self, path: &Path) -> io::Result<Box<dyn SharedFile>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        let until = Instant::now() + LOCK_TIMEOUT;
        loop {
            match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).map_err(io::Error::from) {
                Ok(()) => return Ok(Box::new(file)),
                // POSIX allows either error.
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::PermissionDenied) => {
                    if Instant::now() >= until || is_stopping() {
                        return Err(io::Error::new(io::ErrorKind::WouldBlock, "another program keeps it locked"));
                    }
                    std::thread::sleep(LOCK_POLL);
                }
                Err(e) => return Err(e),
            }
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn make_dir(&self, path: &Path) -> io::Result<bool> {
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = match rustix::fs::open(dir, directory, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
            folder => folder?,
        };
        // The walk of the standard library panics if the folder cannot be closed.
        let mut buffer = Vec::with_capacity(DIRECTORY_BYTES);
        let mut entries = RawDir::new(&folder, buffer.spare_capacity_mut());
        let mut names = Vec::new();
        while let Some(entry) = entries.next() {
            // A name that is not UTF-8 is not one of ours.
            let entry = entry?;
            let name = entry.file_name().to_str().ok().filter(|name| !matches!(*name, "." | ".."));
            names.extend(name.map(str::to_owned));
        }
        Ok(names)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn number(&self, path: &Path) -> io::Result<Option<(u64, u64)>> {
        match std::fs::metadata(path) {
            Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn is_writable_by_others(&self, path: &Path) -> io::Result<bool> {
        Ok(std::fs::metadata(path)?.mode() & 0o002 != 0)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        // If others may write here, a link to another file of ours may have taken its place.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        let handed_on = opened.metadata()?.mode() & 0o7000;
        opened.set_permissions(Permissions::from_mode(handed_on | mode))
    }

    fn link_to(&self, dir: &Path, link: &Path) -> io::Result<()> {
        std::os::unix::fs::symlink(dir, link)
    }

    fn is_link(&self, path: &Path) -> io::Result<bool> {
        match std::fs::symlink_metadata(path) {
            Ok(found) => Ok(found.is_symlink()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn stamp(&self, path: &Path) -> io::Result<Option<(u64, i128)>> {
        match std::fs::metadata(path) {
            Ok(found) => {
                let changed = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
                Ok(Some((found.len(), changed)))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn writable(&self, dir: &Path) -> io::Result<()> {
        Ok(rustix::fs::access(dir, Access::WRITE_OK | Access::EXEC_OK)?)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

/// For file systems without RENAME_NOREPLACE (NFS, some FUSE). A link never overwrites either.
fn rename_by_link(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::hard_link(from, to)?;
    std::fs::remove_file(from)
}

impl SharedFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.seek(io::SeekFrom::End(0))?;
        self.write_all(bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
}

impl DiskFile for File {
    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.set_permissions(Permissions::from_mode(mode))
    }

    fn finish(self: Box<Self>, modified: Option<Timestamp>) -> io::Result<()> {
        if let Some(modified) = modified {
            let seconds = u64::try_from(modified.as_second()).unwrap_or(0);
            self.set_modified(UNIX_EPOCH + Duration::from_secs(seconds))?;
        }
        self.sync_all()
    }
}
