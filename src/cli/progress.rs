//! Progress bars on a terminal: one for each account with something to fetch.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::output::about_size;
use crate::clean;
use crate::pass::{Silent, Watch};

/// The longest name of an account that is shown, in characters.
const LONGEST_NAME: usize = 24;

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

impl Count {
    /// `12 of 47 messages, 1.2 MB of 3.4 MB, 12 s left`, in the units of the line that is shown at the end.
    fn in_words(&self) -> String {
        let Some(bar) = &self.bar else { return String::new() };
        let (done, all) = (about_size(bar.position()), about_size(bar.length().unwrap_or_default()));
        let left = match bar.eta().as_secs() {
            0 => String::new(),
            seconds => format!(", {seconds} s left"),
        };
        format!("{} of {} messages, {done} of {all}{left}", self.safe, self.expected)
    }
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
            let bar = ProgressBar::new(0).with_style(style()).with_prefix(clean::short(account, LONGEST_NAME));
            let bar = self.all.add(bar.with_message("begins"));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        bar.inc_length(bytes);
        let text = count.in_words();
        if let Some(bar) = &count.bar {
            bar.set_message(text);
        }
    }

    fn safe(&self, messages: u64, bytes: u64) {
        let mut count = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        count.safe += messages;
        if let Some(bar) = &count.bar {
            bar.inc(bytes);
            bar.set_message(count.in_words());
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
    // What the terminal has no room for is cut off: a line that wraps could not be cleared.
    let template = "{prefix:12} [{bar:16}] {wide_msg}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}
