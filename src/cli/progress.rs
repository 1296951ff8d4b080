//! Progress bars on a terminal: one for each account with something to fetch.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::pass::{Silent, Watch};

/// The bars of one command.
pub(super) struct Bars {
    all: Option<MultiProgress>,
}

impl Bars {
    /// Bars, or nothing where nobody watches.
    pub(super) fn new(shown: bool) -> Self {
        Self { all: shown.then(MultiProgress::new) }
    }

    /// The watcher of one account.
    pub(super) fn account(&self) -> Arc<dyn Watch> {
        match &self.all {
            Some(all) => Arc::new(Bar { all: all.clone(), bar: Mutex::default() }),
            None => Arc::new(Silent),
        }
    }
}

#[derive(Default)]
struct Count {
    bar: Option<ProgressBar>,
    safe: u64,
    expected: u64,
}

struct Bar {
    all: MultiProgress,
    bar: Mutex<Count>,
}

impl Watch for Bar {
    fn expect(&self, account: &str, messages: u64, bytes: u64) {
        let mut count = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        count.expected += messages;
        let bar = count.bar.get_or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new(0).with_style(style()).with_prefix(account.to_owned()));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        bar.inc_length(bytes);
    }

    fn safe(&self, messages: u64, bytes: u64) {
        let mut count = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        count.safe += messages;
        if let Some(bar) = &count.bar {
            bar.inc(bytes);
            bar.set_message(format!("{} of {} messages", count.safe, count.expected));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar.lock().unwrap_or_else(PoisonError::into_inner).bar {
            bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    let template = "{prefix:16!} [{bar:24}] {msg}, {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}
