//! Progress on a terminal: a line for each account with something to fetch.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::about_size;
use crate::clean;
use crate::pass::{Silent, Watch};

/// What is done sooner shows no progress.
const SHOWN_AFTER: Duration = Duration::from_millis(300);
/// How often a line is drawn again.
const REDRAWN: Duration = Duration::from_millis(200);
/// How many cells a bar has.
const CELLS: u64 = 20;

/// The lines of one command.
pub(super) struct Bars {
    all: Option<MultiProgress>,
}

impl Bars {
    /// Lines, or nothing where nobody watches.
    pub(super) fn new(shown: bool) -> Self {
        let all = shown.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::hidden()));
        if let Some(all) = all.clone() {
            std::thread::spawn(move || {
                std::thread::sleep(SHOWN_AFTER);
                all.set_draw_target(ProgressDrawTarget::stderr());
            });
        }
        Self { all }
    }

    /// The watcher of one account.
    pub(super) fn account(&self) -> Arc<dyn Watch> {
        match &self.all {
            Some(all) => Arc::new(Bar { all: all.clone(), fetching: Mutex::default() }),
            None => Arc::new(Silent),
        }
    }

    /// Says something while no progress is drawn, so that the two do not mix.
    pub(super) fn without(&self, say: impl FnOnce()) {
        match &self.all {
            Some(all) => all.suspend(say),
            None => say(),
        }
    }
}

/// What was fetched of what is to be fetched.
#[derive(Default)]
struct Fetching {
    bar: Option<ProgressBar>,
    account: String,
    messages: u64,
    messages_expected: u64,
    bytes: u64,
    bytes_expected: u64,
}

impl Fetching {
    /// `home [=====>    ] 12 of 30 messages, 1.2 MB of 3.0 MB, 4 s left`.
    fn line(&self) -> String {
        let filled = match self.bytes_expected {
            0 => 0,
            expected => (self.bytes.saturating_mul(CELLS) / expected).min(CELLS),
        };
        let cells: String = (0..CELLS).map(|cell| if cell < filled { '=' } else { ' ' }).collect();
        let left = match self.bar.as_ref().map(ProgressBar::eta).unwrap_or_default().as_secs() {
            0 => String::new(),
            seconds @ 1..120 => format!(", {seconds} s left"),
            seconds => format!(", {} min left", seconds / 60),
        };
        format!(
            "{} [{cells}] {} of {} messages, {} of {}{left}",
            clean::short(&self.account, 24),
            self.messages,
            self.messages_expected,
            about_size(self.bytes),
            about_size(self.bytes_expected),
        )
    }

    fn draw(&self) {
        if let Some(bar) = &self.bar {
            bar.set_message(self.line());
        }
    }
}

struct Bar {
    all: MultiProgress,
    fetching: Mutex<Fetching>,
}

impl Watch for Bar {
    fn expect(&self, account: &str, messages: u64, bytes: u64) {
        let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        account.clone_into(&mut fetching.account);
        fetching.messages_expected += messages;
        fetching.bytes_expected += bytes;
        let bar = fetching.bar.get_or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new(0).with_style(style()));
            bar.enable_steady_tick(REDRAWN);
            bar
        });
        bar.inc_length(bytes);
        fetching.draw();
    }

    fn safe(&self, messages: u64, bytes: u64) {
        let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        fetching.messages += messages;
        fetching.bytes += bytes;
        if let Some(bar) = &fetching.bar {
            bar.inc(bytes);
        }
        fetching.draw();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.fetching.lock().unwrap_or_else(PoisonError::into_inner).bar {
            bar.finish_and_clear();
        }
    }
}

/// The message alone, cut to the width that the terminal has when it is drawn.
fn style() -> ProgressStyle {
    ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_one_unit() {
        let fetching = Fetching {
            account: "home".into(),
            messages: 12,
            messages_expected: 30,
            bytes: 1_572_864,
            bytes_expected: 3_145_728,
            bar: None,
        };
        assert_eq!(fetching.line(), "home [==========          ] 12 of 30 messages, 1.5 MB of 3.0 MB");
    }
}
