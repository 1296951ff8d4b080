//! The files of the config, and whether they change.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Editors write a file in several steps: so long nothing has to change before it is read,
const CALM: Duration = Duration::from_millis(300);
/// and after this it is read although it goes on.
const LONGEST_STORM: Duration = Duration::from_secs(5);
/// Files on servers change without a word, so they are looked at this often.
const LOOK: Duration = Duration::from_secs(60);

/// By what a change of a file is seen: which file it is, its size and its times.
pub(super) type Stamp = (u64, u64, u64, i64, i64, i64, i64);

/// The files, each with what it was when it was read.
pub(super) type Stamps = BTreeMap<PathBuf, Option<Stamp>>;

/// Those of the config.
pub(super) struct Files {
    stamps: Stamps,
    watcher: Option<RecommendedWatcher>,
    /// The folders that are watched.
    folders: BTreeSet<PathBuf>,
    hints: mpsc::Receiver<()>,
    /// Something may have changed, and they were not looked at since.
    is_hinted: bool,
    look_at: Instant,
}

impl Files {
    pub(super) async fn watch(files: BTreeSet<PathBuf>) -> Self {
        let (hint, hints) = mpsc::channel(1);
        let told = move |event: notify::Result<notify::Event>| {
            // One hint is enough, however many files changed; to be read is no change.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                hint.try_send(()).ok();
            }
        };
        let watcher = notify::recommended_watcher(told)
            .inspect_err(|e| tracing::warn!("changes of the config are noticed within a minute: {e}"))
            .ok();
        let mut new = Self {
            stamps: BTreeMap::new(),
            watcher,
            folders: BTreeSet::new(),
            hints,
            is_hinted: false,
            look_at: Instant::now() + LOOK,
        };
        new.watch_also(files, Stamps::new()).await;
        new
    }

    /// What they are before the config is read: what changes while it is read is read again.
    pub(super) async fn seen(&self) -> Stamps {
        off_the_workers({
            let files: Vec<PathBuf> = self.stamps.keys().cloned().collect();
            move || files.into_iter().map(|path| (path.clone(), stamp(&path))).collect()
        })
        .await
    }

    /// Watches these in place of those before. A file that was named once and is not any more does not matter.
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

    /// What they held then is known, although it cannot be used.
    pub(super) async fn have_been_read(&mut self, seen: Stamps) {
        let files = self.stamps.keys().cloned().collect();
        self.watch_also(files, seen).await;
    }

    /// Waits until one of them changed and nothing changes any more. A hint tells when to look, and the files decide. May be
    /// dropped at any time, and called again.
    pub(super) async fn changed(&mut self) {
        loop {
            if !self.is_hinted {
                tokio::select! { _ = self.hints.recv() => {}, () = tokio::time::sleep_until(self.look_at) => {} }
                (self.is_hinted, self.look_at) = (true, Instant::now() + LOOK);
            }
            let until = Instant::now() + LONGEST_STORM;
            while Instant::now() < until {
                match tokio::time::timeout(CALM, self.hints.recv()).await {
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

/// A file may be on a server that hangs.
async fn off_the_workers<T: Default + Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

/// A file that is not there may come.
fn stamp(path: &Path) -> Option<Stamp> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()))
}

/// The folder in which its name stands, and the one in which it is, where the name is a link: each of them may be replaced.
/// Where the folder is missing, the nearest one above it.
fn folders_of(path: &Path) -> Vec<PathBuf> {
    let nearest = |path: &Path| path.ancestors().skip(1).find(|folder| folder.is_dir()).map(Path::to_path_buf);
    let real = std::fs::canonicalize(path).ok();
    let mut folders: Vec<PathBuf> =
        [Some(path.to_path_buf()), real].iter().flatten().filter_map(|p| nearest(p)).collect();
    folders.dedup();
    folders
}
