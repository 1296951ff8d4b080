//! The number of transactions ("water level") of a state, stored beside the state: in its folder and in the mail root.
//!
//! Each transaction raises the number, and each commit writes it there, without a sync. The stored number may lag
//! behind. A state that lags behind the stored number is an older one, restored from a backup.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::marker::Marker;

/// The name of the file beside the database.
const WATER_FILE: &str = "water";

/// The places that hold the number of one state.
#[derive(Debug, Default)]
pub(super) struct Water {
    state: String,
    places: Vec<PathBuf>,
}

impl Water {
    pub(super) fn new(state: &str, places: Vec<PathBuf>) -> Self {
        Self { state: state.to_owned(), places }
    }

    /// Writes the number. If a place cannot be written, or is not there now, it merely lags behind.
    pub(super) fn record(&self, level: u64) {
        for path in &self.places {
            let written = match self.write(path, level, false) {
                Err(e) if e.kind() == io::ErrorKind::NotFound && self.may_make(path) => self.write(path, level, true),
                written => written,
            };
            if let Err(e) = written {
                tracing::debug!("writing the number of transactions to {}: {e}", path.display());
            }
        }
    }

    /// The highest number in any place.
    pub(super) fn highest(&self) -> u64 {
        self.places.iter().filter_map(|path| self.read(path)).max().unwrap_or(0)
    }

    /// A file in a mail root is made only beside the marker: a root without a marker may be the empty mount point of a
    /// disk.
    fn may_make(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| name == WATER_FILE) || path.with_file_name(Marker::FILE).exists()
    }

    /// Writes in place: the state's name, 20 digits and a line end, which one write replaces as a whole.
    fn write(&self, path: &Path, level: u64, may_make: bool) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let file =
            options.write(true).create(may_make).truncate(false).mode(0o600).custom_flags(NO_SYMLINK).open(path)?;
        file.write_all_at(format!("{} {level:020}\n", self.state).as_bytes(), 0)
    }

    /// The number, or `None` if another state wrote its own, or none did.
    fn read(&self, path: &Path) -> Option<u64> {
        read(path).filter(|(state, _)| *state == self.state).map(|(_, level)| level)
    }

    /// Whether another state used the state folder last.
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

/// Raises the number of the state that a new one follows. If the old state is restored, even with its whole folder, it
/// will count as older. It is identified by the file beside the new one, or by being the only one in the mail root.
pub(super) fn supersede(state: &Path, root: &Path) {
    let (in_root, beside) = (in_root(root), read(&beside(state)));
    let noted = in_root.iter().filter_map(|path| Some((path, read(path)?)));
    let before: Vec<_> = match &beside {
        Some((before, _)) => noted.filter(|(_, (name, _))| name == before).collect(),
        None => noted.collect(),
    };
    if let [(path, (name, level))] = &before[..] {
        Water::new(name, vec![path.to_path_buf()]).record(level + 1);
    }
}

/// The files of states in a mail root.
fn in_root(root: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    paths
        .filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(ROOT_FILE_PREFIX)))
        .collect()
}

/// When any state was last written, as far as the files beside it show.
pub(super) fn last_written(state: &Path, root: &Path) -> Timestamp {
    let places = in_root(root).into_iter().chain([beside(state)]);
    let written = places.filter_map(|path| std::fs::metadata(path).ok()?.modified().ok());
    written.filter_map(|time| Timestamp::try_from(time).ok()).max().unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The start of the file's name in a mail root.
const ROOT_FILE_PREFIX: &[u8] = b".mailsluice-water-";

/// The file beside the database.
pub(super) fn beside(state: &Path) -> PathBuf {
    state.join(WATER_FILE)
}

/// `O_NOFOLLOW`: a file under our name must be ours, not a link.
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
        water.record(12);
        water.record(7);
        assert_eq!(water.highest(), 7);
        assert_eq!(Water::new("s2", vec![at("water")]).highest(), 0, "that is another state's");
        std::fs::write(at("water"), "nonsense").unwrap();
        assert_eq!(water.highest(), 0);
    }
}
