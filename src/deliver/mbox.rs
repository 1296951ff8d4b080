//! Appending to mbox files (RFC 4155, quoted as in mboxrd), which other programs read and write as well.
//!
//! The message waits in the spool until it is in the file. The `From ` line before each message ends with its name in
//! the spool, so that after a crash the message is found again, whole or torn:
//!
//! | in the spool | in the mbox | then |
//! |---|---|---|
//! | no | | it was appended |
//! | yes | whole, or changed by a mail reader | remove it from the spool |
//! | yes | the beginning of it, at the very end | cut that off, append |
//! | yes | not at all, or torn and followed by others' mail | append |
//!
//! What others wrote is never changed. The lock is the dot lock and then `fcntl`, as in Dovecot and most others.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::dotlock::Dotlock;
use crate::error::{Error, Result};
use crate::state::{Disk, MboxTarget, SharedFile};

/// How many bytes are read and written at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// Appends messages that were just recorded, and removes them from the spool. Each file is locked and synced once.
pub(super) fn publish<'a>(disk: &dyn Disk, targets: impl Iterator<Item = &'a MboxTarget>) -> Result<()> {
    let mut files: BTreeMap<&Path, Vec<&MboxTarget>> = BTreeMap::new();
    targets.for_each(|target| files.entry(&target.file).or_default().push(target));
    for (path, targets) in files {
        with_locked(disk, path, |file| targets.iter().try_for_each(|target| append(disk, file, target)))?;
        targets.iter().try_for_each(|target| remove_staged(disk, target))?;
    }
    Ok(())
}

/// Finishes a message whose appending may have been interrupted. Returns whether it is known to be in the mbox.
pub(super) fn finish(disk: &dyn Disk, target: &MboxTarget) -> Result<bool> {
    let staged = target.staged_path();
    if !disk.exists(&staged).map_err(|e| Error::disk(format!("looking for {}", staged.display()), e))? {
        return is_in_mbox(disk, target);
    }
    with_locked(disk, &target.file, |file| match find(disk, file, target)? {
        MboxMatch::Whole => Ok(()),
        MboxMatch::Torn(start) => {
            file.truncate(start)?;
            append(disk, file, target)
        }
        MboxMatch::Nothing => append(disk, file, target),
    })?;
    remove_staged(disk, target)?;
    Ok(true)
}

/// Whether the `From ` line of the message is in the mbox.
fn is_in_mbox(disk: &dyn Disk, target: &MboxTarget) -> Result<bool> {
    let path = &target.file;
    if !disk.exists(path).map_err(|e| Error::disk(format!("looking for {}", path.display()), e))? {
        return Ok(false);
    }
    let mut is_in_mbox = false;
    with_locked(disk, path, |file| {
        let length = file.length()?;
        is_in_mbox = find_line(file, target.line.as_bytes(), length)?.is_some();
        Ok(())
    })?;
    Ok(is_in_mbox)
}

/// Creates the file if there is none, and fails if it cannot be appended to.
pub(super) fn create(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    // Closing a file releases all locks of this process on it (POSIX), so no other thread may be appending.
    let _lock = Dotlock::take(disk, &lock_of(path))?;
    disk.open_shared(path).map(drop)
}

fn lock_of(path: &Path) -> PathBuf {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    lock.into()
}

/// The directories in which publishing changes names.
pub(super) fn touched_dirs<'a>(targets: impl Iterator<Item = &'a MboxTarget>) -> Vec<PathBuf> {
    targets.flat_map(|t| [Some(t.spool.as_path()), t.file.parent()]).flatten().map(Path::to_path_buf).collect()
}

fn with_locked(disk: &dyn Disk, path: &Path, work: impl FnOnce(&mut dyn SharedFile) -> io::Result<()>) -> Result<()> {
    let run = || {
        let lock = Dotlock::take(disk, &lock_of(path))?;
        let mut file = disk.open_shared(path)?;
        work(&mut *file)?;
        file.sync()?;
        drop((file, lock));
        // The file may be new.
        path.parent().map_or(Ok(()), |dir| disk.sync_dir(dir))
    };
    run().map_err(|e| Error::of_target(path, format!("appending to {}", path.display()), e))
}

fn remove_staged(disk: &dyn Disk, target: &MboxTarget) -> Result<()> {
    let path = target.staged_path();
    match disk.remove(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::disk(format!("removing {}", path.display()), e)),
        _ => Ok(()),
    }
}

fn append(disk: &dyn Disk, file: &mut dyn SharedFile, target: &MboxTarget) -> io::Result<()> {
    let start = file.length()?;
    let mut piece = gap(file, start)?.to_vec();
    let written = render(disk, target, &mut |bytes| {
        piece.extend_from_slice(bytes);
        if piece.len() >= BUFFER_BYTES {
            file.append(&piece)?;
            piece.clear();
        }
        Ok(())
    });
    // On a full disk, try to leave no half message.
    written.and_then(|()| file.append(&piece)).inspect_err(|_| _ = file.truncate(start))
}

/// What has to be between the end of the file and the next message: an empty line.
fn gap(file: &dyn SharedFile, length: u64) -> io::Result<&'static [u8]> {
    let mut end = [0; 2];
    let from = length.saturating_sub(2);
    let read = file.read_at(&mut end, from)?;
    Ok(match &end[..read] {
        b"" | b"\n\n" => b"",
        [.., b'\n'] => b"\n",
        _ => b"\n\n",
    })
}

type Sink<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

/// The message as it is in an mbox, with the `From ` line before it and the empty line after it.
fn render(disk: &dyn Disk, target: &MboxTarget, sink: &mut Sink<'_>) -> io::Result<()> {
    sink(target.line.as_bytes())?;
    sink(b"\n")?;
    let mut message = disk.open(&target.staged_path())?;
    let mut quoter = Quoter::default();
    let mut piece = vec![0; BUFFER_BYTES];
    let mut quoted = Vec::with_capacity(BUFFER_BYTES + BUFFER_BYTES / 8);
    loop {
        let read = match message.read(&mut piece) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            break;
        }
        quoted.clear();
        quoter.feed(&piece[..read], &mut quoted);
        sink(&quoted)?;
    }
    quoted.clear();
    quoter.end(&mut quoted);
    sink(&quoted)
}

/// Adds one `>` before each `From ` at the start of a line, even if there are some already.
struct Quoter {
    /// How many bytes of `From ` were seen, and held back, at the start of a line; `None` within a line.
    seen: Option<usize>,
}

const FROM_PREFIX: &[u8] = b"From ";

impl Default for Quoter {
    fn default() -> Self {
        Self { seen: Some(0) }
    }
}

impl Quoter {
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            match self.seen {
                None => {
                    let end = memchr::memchr(b'\n', rest);
                    let line = end.map_or(rest, |end| &rest[..=end]);
                    out.extend_from_slice(line);
                    rest = &rest[line.len()..];
                    self.seen = end.map(|_| 0);
                    continue;
                }
                Some(0) if byte == b'>' => out.push(byte),
                Some(seen) if byte == FROM_PREFIX[seen] => {
                    self.seen = Some(seen + 1);
                    if seen + 1 == FROM_PREFIX.len() {
                        out.push(b'>');
                        out.extend_from_slice(FROM_PREFIX);
                        self.seen = None;
                    }
                }
                Some(seen) => {
                    out.extend_from_slice(&FROM_PREFIX[..seen]);
                    // The byte is looked at again, as one within the line.
                    self.seen = None;
                    continue;
                }
            }
            rest = after;
        }
    }

    /// Ends the last line, and adds an empty one after the message.
    fn end(self, out: &mut Vec<u8>) {
        let held = self.seen.unwrap_or(0);
        out.extend_from_slice(&FROM_PREFIX[..held]);
        let is_at_beginning_of_line = self.seen == Some(0);
        out.extend_from_slice(if is_at_beginning_of_line { b"\n" } else { b"\n\n" });
    }
}

#[derive(Debug, PartialEq, Eq)]
enum MboxMatch {
    Whole,
    /// From this offset to the end of the file.
    Torn(u64),
    Nothing,
}

fn find(disk: &dyn Disk, file: &dyn SharedFile, target: &MboxTarget) -> io::Result<MboxMatch> {
    let length = file.length()?;
    let Some(start) = find_line(file, target.line.as_bytes(), length)? else {
        let torn = torn_line(file, target.line.as_bytes(), length)?;
        return Ok(torn.map_or(MboxMatch::Nothing, MboxMatch::Torn));
    };
    let mut at = start;
    let mut is_same = true;
    let mut theirs = Vec::new();
    render(disk, target, &mut |ours| {
        if is_same {
            theirs.resize(ours.len(), 0);
            let read = read_full(file, &mut theirs, at)?;
            let same = theirs[..read].iter().zip(ours).take_while(|(a, b)| a == b).count();
            at += same as u64;
            is_same = same == ours.len();
        }
        Ok(())
    })?;
    if is_same {
        return Ok(MboxMatch::Whole);
    }
    if at == length {
        return Ok(MboxMatch::Torn(start));
    }
    // A mail reader changes header fields, while a torn message is followed by the next one.
    let mut next = [0; 16];
    let read = read_full(file, &mut next, at)?;
    let is_torn = next[..read].trim_ascii_start().starts_with(FROM_PREFIX);
    Ok(if is_torn { MboxMatch::Nothing } else { MboxMatch::Whole })
}

/// Where a line starts.
fn find_line(file: &dyn SharedFile, line: &[u8], length: u64) -> io::Result<Option<u64>> {
    let finder = memchr::memmem::Finder::new(line);
    let mut piece = vec![0; BUFFER_BYTES + line.len()];
    let mut offset = 0;
    while offset < length {
        let read = read_full(file, &mut piece, offset)?;
        for found in finder.find_iter(&piece[..read]) {
            let start = offset + found as u64;
            if begins_line(file, start)? {
                return Ok(Some(start));
            }
        }
        // The next piece overlaps by the length of the line.
        offset += BUFFER_BYTES as u64;
    }
    Ok(None)
}

/// Where a torn `From ` line starts: at the very end, after the empty line that precedes each message.
fn torn_line(file: &dyn SharedFile, line: &[u8], length: u64) -> io::Result<Option<u64>> {
    let mut end = vec![0; line.len()];
    let from = length.saturating_sub(line.len() as u64);
    let read = read_full(file, &mut end, from)?;
    let end = &end[..read];
    let last = memchr::memrchr(b'\n', end).map_or(0, |newline| newline + 1);
    let start = from + last as u64;
    let is_ours = last < end.len() && line.starts_with(&end[last..]);
    let follows_empty_line = start == 0 || (begins_line(file, start)? && begins_line(file, start - 1)?);
    Ok((is_ours && follows_empty_line).then_some(start))
}

fn begins_line(file: &dyn SharedFile, at: u64) -> io::Result<bool> {
    let Some(before) = at.checked_sub(1) else { return Ok(true) };
    let mut byte = [0];
    Ok(read_full(file, &mut byte, before)? == 1 && byte == *b"\n")
}

fn read_full(file: &dyn SharedFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::state::{RealDisk, Stamp};

    fn target(folder: &Path, name: &str, message: &str) -> MboxTarget {
        fs::write(folder.join(name), message).unwrap();
        let line = format!("From a@x Mon Nov 23 12:00:00 2026 {name}");
        MboxTarget {
            file: folder.join("mbox"),
            spool: folder.into(),
            staged: name.into(),
            stamp: Stamp::default(),
            line,
            version: 0,
        }
    }

    fn mbox(folder: &Path) -> String {
        fs::read_to_string(folder.join("mbox")).unwrap()
    }

    fn quoted(pieces: &[&str]) -> String {
        let (mut quoter, mut out) = (Quoter::default(), Vec::new());
        pieces.iter().for_each(|piece| quoter.feed(piece.as_bytes(), &mut out));
        quoter.end(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_from_at_the_beginning_of_a_line_gets_one_more_mark() {
        let text = "From a\n>From b\n>>From c\n From d\nFrome\nFro\nFrom";
        let expected = ">From a\n>>From b\n>>>From c\n From d\nFrome\nFro\nFrom\n\n";
        assert_eq!(quoted(&[text]), expected);
        let bytes: Vec<String> = text.chars().map(String::from).collect();
        assert_eq!(quoted(&bytes.iter().map(String::as_str).collect::<Vec<_>>()), expected);
        assert_eq!(quoted(&["a\n"]), "a\n\n");
        assert_eq!(quoted(&[]), "\n");
    }

    #[test]
    fn messages_are_separated_whatever_stood_there() {
        for (before, gap) in [("", ""), ("From x\n\nbody\n\n", ""), ("From x\n\nbody\n", "\n"), ("From x", "\n\n")] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("mbox"), before).unwrap();
            let one = target(folder.path(), "1", "S: 1\n\nFrom one\n");
            let two = target(folder.path(), "2", "S: 2\n\ntwo");
            publish(&RealDisk, [&one, &two].into_iter()).unwrap();
            let expected = format!("{before}{gap}{}\nS: 1\n\n>From one\n\n{}\nS: 2\n\ntwo\n\n", one.line, two.line);
            assert_eq!(mbox(folder.path()), expected);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "neither lock nor spool file is left");
        }
    }

    /// However much of the message is there, at the end or followed by other mail: in the end it is there once.
    #[test]
    fn a_torn_message_is_finished_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let text = "S: 1\n\nhello\nFrom me\n\nworld\n";
        let staged = || target(folder, "1", text);
        let before = "From x Mon\n\nfirst\n\n";
        let whole = format!("{}\nS: 1\n\nhello\n>From me\n\nworld\n\n", staged().line);
        for cut in 0..=whole.len() {
            fs::write(folder.join("mbox"), format!("{before}{}", &whole[..cut])).unwrap();
            finish(&RealDisk, &staged()).unwrap();
            assert_eq!(mbox(folder), format!("{before}{whole}"), "{cut}");
            assert!(!folder.join("1").exists());

            let others = "From y Mon\n\nanother\n\n";
            let gap = if whole[..cut].ends_with("\n\n") || cut == 0 { "" } else { "\n\n" };
            let torn = format!("{before}{}{gap}{others}", &whole[..cut]);
            fs::write(folder.join("mbox"), &torn).unwrap();
            finish(&RealDisk, &staged()).unwrap();
            let is_whole = cut + 2 >= whole.len();
            assert_eq!(mbox(folder), if is_whole { torn } else { format!("{torn}{whole}") }, "{cut}");
        }
    }

    #[test]
    fn what_a_reader_changed_is_not_appended_again() {
        let folder = tempfile::tempdir().unwrap();
        let one = target(folder.path(), "1", "S: 1\n\nhello\n");
        let changed = format!("{}\nS: 1\nStatus: RO\n\nhello\n\n", one.line);
        fs::write(folder.path().join("mbox"), &changed).unwrap();
        finish(&RealDisk, &one).unwrap();
        assert_eq!(mbox(folder.path()), changed);
    }

    #[test]
    fn a_folder_of_that_name_is_an_error_that_may_pass() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("mbox")).unwrap();
        let one = target(folder.path(), "1", "S: 1\n\nhello\n");
        assert!(publish(&RealDisk, [&one].into_iter()).unwrap_err().is_transient());
        assert!(folder.path().join("1").exists());
    }
}
