//! The files of the config, watched for changes.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Editors write a file in several steps. It is read when nothing has changed for this time,
const QUIET_TIME: Duration = Duration::from_millis(300);
/// and after this time even if it still changes.
const LONGEST_WRITE: Duration = Duration::from_secs(5);
/// How often the files are checked. Files on a server change without a notification.
const FILES_POLL: Duration = Duration::from_secs(60);

/// What shows that a file has changed: its identity, size and times.
pub(super) type FileStamp = (u64, u64, u64, i64, i64, i64, i64);

/// The files, each with its stamp when it was read.
pub(super) type Stamps = BTreeMap<PathBuf, Option<FileStamp>>;

/// The files of the config.
pub(super) struct WatchedFiles {
    stamps: Stamps,
    watcher: Option<RecommendedWatcher>,
    /// The folders that are watched.
    folders: BTreeSet<PathBuf>,
    hints: mpsc::Receiver<()>,
    /// Whether something may have changed since the last check.
    is_hinted: bool,
    next_check: Instant,
}

impl WatchedFiles {
    pub(super) async fn watch(files: BTreeSet<PathBuf>) -> Self {
        let (hint, hints) = mpsc::channel(1);
        let on_event = move |event: notify::Result<notify::Event>| {
            // One hint is enough, however many files changed. An access is no change.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                hint.try_send(()).ok();
            }
        };
        let watcher = notify::recommended_watcher(on_event)
            .inspect_err(|e| tracing::warn!("changes of the config are noticed within a minute: {e}"))
            .ok();
        let mut new = Self {
            stamps: BTreeMap::new(),
            watcher,
            folders: BTreeSet::new(),
            hints,
            is_hinted: false,
            next_check: Instant::now() + FILES_POLL,
        };
        new.watch_also(files, Stamps::new()).await;
        new
    }

    /// The stamps before the config is read. A file that changes while it is read is read again.
    pub(super) async fn seen(&self) -> Stamps {
        off_the_workers({
            let files: Vec<PathBuf> = self.stamps.keys().cloned().collect();
            move || files.into_iter().map(|path| (path.clone(), stamp(&path))).collect()
        })
        .await
    }

    /// Watches these files instead of the previous ones. A file that the config no longer names does not matter.
    pub(super) async fn watch_also(&mut self, files: BTreeSet<PathBuf>, seen: Stamps) {
        let look = move || {
            let of = |path: PathBuf| {
                let stamp = seen.get(&path).copied().unwrap_or_else(|| stamp(&path));
                (path, stamp)
            };
            let folders = files.iter().flat_map(|path| folders_of(path)).collect();
            (files.into_iter().map(of).collect(), folders)
        };
        let (stamps, folders): (Stamps, BTreeSet<PathBuf>) = off_the_workers(look).await;
        self.stamps = stamps;
        let Some(watcher) = &mut self.watcher else { return };
        for folder in folders.difference(&self.folders) {
            if let Err(e) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::warn!("changes in {} are noticed within a minute: {e}", folder.display());
            }
        }
        for folder in self.folders.difference(&folders) {
            watcher.unwatch(folder).ok();
        }
        self.folders = folders;
    }

    /// Remembers that these versions were read, although they cannot be used.
    pub(super) async fn remember_read(&mut self, seen: Stamps) {
        let files = self.stamps.keys().cloned().collect();
        self.watch_also(files, seen).await;
    }

    /// Waits until a file has changed and nothing changes any more. A hint says when to check, and the stamps decide.
    /// The future may be dropped at any time, and called again.
    pub(super) async fn changed(&mut self) {
        loop {
            if !self.is_hinted {
                tokio::select! { _ = self.hints.recv() => {}, () = tokio::time::sleep_until(self.next_check) => {} }
                (self.is_hinted, self.next_check) = (true, Instant::now() + FILES_POLL);
            }
            let until = Instant::now() + LONGEST_WRITE;
            while Instant::now() < until {
                match tokio::time::timeout(QUIET_TIME, self.hints.recv()).await {
                    Ok(Some(())) => {}
                    Ok(None) | Err(_) => break,
                }
            }
            let is_changed = self.seen().await != self.stamps;
            self.is_hinted = false;
            if is_changed {
                return;
            }
        }
    }
}

/// Runs `look` on another thread: a file may be on a server that hangs.
async fn off_the_workers<T: Default + Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

/// The stamp of a file, or `None` if it does not exist (yet).
fn stamp(path: &Path) -> Option<FileStamp> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()))
}

/// The folder of the name and, for a link, the folder of the file: either may be replaced. If a folder is missing, the
/// nearest existing one above it.
fn folders_of(path: &Path) -> Vec<PathBuf> {
    let nearest = |path: &Path| path.ancestors().skip(1).find(|folder| folder.is_dir()).map(Path::to_path_buf);
    let real = std::fs::canonicalize(path).ok();
    let mut folders: Vec<PathBuf> =
        [Some(path.to_path_buf()), real].iter().flatten().filter_map(|p| nearest(p)).collect();
    folders.dedup();
    folders
}
