//! How far the state is, noted beside the state: in its folder and in the mail root.
//!
//! A number that every transaction raises is written there after each commit, without a sync. It may lag behind; a state
//! that lags behind it is an older one, put back from a backup.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::marker::Marker;

/// Its name beside the database.
const BESIDE: &str = "water";

/// The places of the number of one state.
#[derive(Debug, Default)]
pub(super) struct Water {
    state: String,
    places: Vec<PathBuf>,
}

impl Water {
    pub(super) fn new(state: &str, places: Vec<PathBuf>) -> Self {
        Self { state: state.to_owned(), places }
    }

    /// Notes the number. That a place cannot be written, or is not there now, changes nothing: it lags behind.
    pub(super) fn note(&self, level: u64) {
        for path in &self.places {
            let written = match self.write(path, level, false) {
                Err(e) if e.kind() == io::ErrorKind::NotFound && self.may_make(path) => self.write(path, level, true),
                written => written,
            };
            if let Err(e) = written {
                tracing::debug!("noting how far the state is in {}: {e}", path.display());
            }
        }
    }

    /// The highest number that stands in any place.
    pub(super) fn highest(&self) -> u64 {
        self.places.iter().filter_map(|path| self.read(path)).max().unwrap_or(0)
    }

    /// In a mail root only beside its marker: what has none is perhaps the empty mount point of a disk.
    fn may_make(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| name == BESIDE) || path.with_file_name(Marker::FILE).exists()
    }

    /// In place: the state's name, 20 digits and a line end, which one write changes as a whole.
    fn write(&self, path: &Path, level: u64, may_make: bool) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let file =
            options.write(true).create(may_make).truncate(false).mode(0o600).custom_flags(NO_SYMLINK).open(path)?;
        file.write_all_at(format!("{} {level:020}\n", self.state).as_bytes(), 0)
    }

    /// The number; `None` where another state noted its own, or none.
    fn read(&self, path: &Path) -> Option<u64> {
        read(path).filter(|(state, _)| *state == self.state).map(|(_, level)| level)
    }

    /// Whether another state was at work in the state folder last.
    pub(super) fn is_anothers(&self, state: &Path) -> bool {
        read(&beside(state)).is_some_and(|(another, _)| another != self.state)
    }
}

/// The name of a state, and its number.
fn read(path: &Path) -> Option<(String, u64)> {
    let text = std::fs::read_to_string(path).ok()?;
    let (state, level) = text.trim_end().split_once(' ')?;
    Some((state.to_owned(), level.parse().ok()?))
}

/// Raises the number of the state that a new one follows: put back, even with its whole folder, it will be an older one. It
/// is known by what stands beside the new one, or by being alone in the mail root.
pub(super) fn supersede(state: &Path, root: &Path) {
    let (in_root, beside) = (in_root(root), read(&beside(state)));
    let noted = in_root.iter().filter_map(|path| Some((path, read(path)?)));
    let before: Vec<_> = match &beside {
        Some((before, _)) => noted.filter(|(_, (name, _))| name == before).collect(),
        None => noted.collect(),
    };
    if let [(path, (name, level))] = &before[..] {
        Water::new(name, vec![path.to_path_buf()]).note(level + 1);
    }
}

/// What states noted in a mail root.
fn in_root(root: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    paths.filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(IN_ROOT))).collect()
}

/// When any state was written last, as far as what stands beside it tells.
pub(super) fn last_written(state: &Path, root: &Path) -> Timestamp {
    let places = in_root(root).into_iter().chain([beside(state)]);
    let written = places.filter_map(|path| std::fs::metadata(path).ok()?.modified().ok());
    written.filter_map(|time| Timestamp::try_from(time).ok()).max().unwrap_or(Timestamp::UNIX_EPOCH)
}

/// How its name begins in a mail root.
const IN_ROOT: &[u8] = b".mailsluice-water-";

/// Where it stands beside the database.
pub(super) fn beside(state: &Path) -> PathBuf {
    state.join(BESIDE)
}

/// `O_NOFOLLOW`: what stands there under our name must be ours.
const NO_SYMLINK: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_place_counts_and_none_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let water = Water::new("s1", vec![at("water"), at("missing/b")]);
        assert_eq!(water.highest(), 0);
        water.note(12);
        water.note(7);
        assert_eq!(water.highest(), 7);
        assert_eq!(Water::new("s2", vec![at("water")]).highest(), 0, "that is another state's");
        std::fs::write(at("water"), "nonsense").unwrap();
        assert_eq!(water.highest(), 0);
    }
}
