//! What the program says: data on standard output, talk on standard error, plain sentences or JSON.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::journal::{self, Priority};
use crate::clean;
use crate::config::problem::{Problem, Severity};
use crate::error::Error;
use crate::pass::{Passed, ReportedError};

/// Whether some data could not be written.
static IS_CUT: AtomicBool = AtomicBool::new(false);

/// How to speak.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    pub(super) json: bool,
    pub(super) quiet: bool,
}

impl Output {
    /// A line of data. A reader that went away (`| head`) is no failure; a disk that is full is.
    pub(super) fn data(&self, line: impl Display) {
        if let Err(e) = writeln!(std::io::stdout(), "{line}")
            && e.kind() != std::io::ErrorKind::BrokenPipe
            && !IS_CUT.swap(true, Ordering::SeqCst)
        {
            self.complain(format_args!("mailsluice: writing to standard output: {e}"));
        }
    }

    /// Whether some data could not be written.
    pub(super) fn is_cut() -> bool {
        IS_CUT.load(Ordering::SeqCst)
    }

    /// A line of talk.
    pub(super) fn talk(&self, line: impl Display) {
        self.say(Priority::Info, line);
    }

    /// Something that somebody should look at.
    pub(super) fn warn(&self, line: impl Display) {
        self.say(Priority::Warning, line);
    }

    /// Something that failed.
    pub(super) fn complain(&self, line: impl Display) {
        self.say(Priority::Error, line);
    }

    fn say(&self, priority: Priority, line: impl Display) {
        let line = format!("{line}\n");
        let line = if journal::is_standard_error() { journal::prefixed(priority, &line) } else { line };
        std::io::stderr().write_all(line.as_bytes()).ok();
    }

    /// An error that ends the command.
    pub(super) fn error(&self, error: &Error) {
        if self.json {
            self.data(json!({"error": error.to_string(), "transient": error.is_transient()}));
        }
        self.complain(format_args!("mailsluice: {error}"));
    }

    /// Whether a person watches who wants to see progress.
    pub(super) fn shows_progress(&self) -> bool {
        !self.json && !self.quiet && std::io::stderr().is_terminal()
    }

    /// Problems of config and rules, with an empty line between them.
    pub(super) fn problems(&self, problems: &[Problem], as_data: bool) {
        for (i, problem) in problems.iter().enumerate() {
            if self.json && as_data {
                self.data(problem.to_json());
                continue;
            }
            let text = format!("{}{problem}", if i > 0 { "\n" } else { "" });
            match problem.severity {
                _ if as_data => self.data(text.trim_end()),
                // The drawing of the place is for a terminal.
                Severity::Error if journal::is_standard_error() => self.complain(problem.in_a_line()),
                Severity::Warning if journal::is_standard_error() => self.warn(problem.in_a_line()),
                _ => self.talk(text.trim_end()),
            }
        }
    }

    /// One account's pass. Silence means: nothing new and nothing wrong, so that cron sends no mail.
    pub(super) fn passed(&self, passed: &Passed) {
        if self.json {
            self.data(json!(passed));
            return;
        }
        let something = passed.new + passed.settled + passed.failed + passed.deferred + passed.left > 0;
        if something && !self.quiet {
            self.data(pass_line(passed));
        }
        for remark in &passed.remarks {
            self.warn(format_args!("{}: {remark}", passed.account));
        }
        for ReportedError { error, transient } in &passed.errors {
            let again = if *transient { " (will be tried again)" } else { "" };
            self.complain(format_args!("{}: {error}{again}", passed.account));
        }
    }
}

/// How many problems of each kind: `2 errors, 1 warning`.
pub(super) fn count(problems: &[Problem]) -> String {
    let of = |severity| problems.iter().filter(|p| p.severity == severity).count();
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    let word = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, n) => word(n, "warning"),
        (n, 0) => word(n, "error"),
        (e, w) => format!("{}, {}", word(e, "error"), word(w, "warning")),
    }
}

/// `work: 12 new (9 INBOX, 3 lists/rust), 1.2 MB in 0.8 s; 12 deleted on the server`.
fn pass_line(report: &Passed) -> String {
    let mut folders: Vec<(&String, &u64)> = report.folders.iter().collect();
    folders.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), (*name).clone()));
    const SHOWN: usize = 6;
    let mut where_to: Vec<String> =
        folders.iter().take(SHOWN).map(|(name, count)| format!("{count} {}", clean::short(name, 60))).collect();
    if folders.len() > SHOWN {
        where_to.push(format!("{} more folders", folders.len() - SHOWN));
    }
    if report.discarded > 0 {
        where_to.push(format!("{} discarded", report.discarded));
    }
    let mut line = format!("{}: {} new", report.account, report.new);
    if !where_to.is_empty() {
        line += &format!(" ({})", where_to.join(", "));
    }
    if report.new > 0 {
        line += &format!(", {} in {:.1} s", about_size(report.bytes), report.seconds);
    }
    let more = [
        (report.settled, "deleted or moved on the server"),
        (report.failed, "could not be fetched this time"),
        (report.deferred, "put off by a rule"),
        (report.left, "left for the next run"),
    ];
    for (count, what) in more.into_iter().filter(|(count, _)| *count > 0) {
        line += &format!("; {count} {what}");
    }
    line
}

/// `1.2 MB`: for people, rounded; K is 1024 as in the config.
pub(super) fn about_size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.0} KB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.2} GB", bytes as f64 / 1_073_741_824.0),
    }
}
