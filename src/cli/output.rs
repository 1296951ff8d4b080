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

/// The version of the JSON: it rises when a field goes away or changes its meaning, not when one is added.
const JSON_VERSION: u64 = 1;

/// How to speak.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    pub(super) json: bool,
    pub(super) quiet: bool,
    /// How often `-v` was given.
    pub(super) verbose: u8,
    pub(super) color: Color,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    /// Whether a stream that is a terminal, or is none, has colours (<https://no-color.org>).
    fn is_on(self, is_terminal: bool) -> bool {
        let is_refused = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => is_terminal && !is_refused() && !is_dumb(),
        }
    }

    /// The same for the parser of command lines, before it has read the option.
    pub(super) fn of_help(arguments: &[std::ffi::OsString]) -> clap::ColorChoice {
        let given = arguments.iter().zip(arguments.iter().skip(1));
        let value =
            given.filter(|(option, _)| *option == "--color").map(|(_, value)| value.to_string_lossy()).next_back();
        let joined = arguments.iter().filter_map(|option| option.to_str()?.strip_prefix("--color=")).next_back();
        match value.as_deref().or(joined) {
            Some("always") => clap::ColorChoice::Always,
            Some("never") => clap::ColorChoice::Never,
            _ => clap::ColorChoice::Auto,
        }
    }
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

    /// A line of data for programs. It says which version of `docs/json.md` describes it.
    pub(super) fn json(&self, value: serde_json::Value) {
        match value {
            serde_json::Value::Object(mut fields) => {
                fields.insert("version".to_owned(), JSON_VERSION.into());
                self.data(serde_json::Value::Object(fields));
            }
            other => self.data(other),
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
            self.json(json!({"error": error.to_string(), "transient": error.is_transient()}));
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
                self.json(problem.to_json());
                continue;
            }
            let is_terminal = if as_data { std::io::stdout().is_terminal() } else { std::io::stderr().is_terminal() };
            let text = problem.to_string();
            let text = if self.color.is_on(is_terminal) { colored(&text, problem.severity) } else { text };
            let text = format!("{}{text}", if i > 0 { "\n" } else { "" });
            match problem.severity {
                _ if as_data => self.data(text.trim_end()),
                // The drawing of the place is for a terminal.
                Severity::Error if journal::is_standard_error() => self.complain(problem.in_a_line()),
                Severity::Warning if journal::is_standard_error() => self.warn(problem.in_a_line()),
                _ => self.talk(text.trim_end()),
            }
        }
    }

    /// One account's pass, which ends the command. A person at a terminal is also told that nothing came.
    pub(super) fn passed(&self, passed: &Passed) {
        self.pass(passed, " (temporary)");

        if is_empty(passed) && passed.errors.is_empty() && !passed.paused && self.shows_progress() {
            self.talk(format_args!("{}: nothing new", passed.account));
        }
    }

    /// One account's pass in a program that runs on. Silence means: nothing new and nothing wrong.
    pub(super) fn passed_by_daemon(&self, passed: &Passed) {
        self.pass(passed, " (will be tried again)");
    }

    fn pass(&self, passed: &Passed, if_transient: &str) {
        if self.json {
            self.json(json!(passed));
            return;
        }
        if !is_empty(passed) && !self.quiet {
            self.data(pass_line(passed));
        }
        for remark in &passed.remarks {
            self.warn(format_args!("{}: {remark}", passed.account));
        }
        for ReportedError { error, transient } in &passed.errors {
            let again = if *transient { if_transient } else { "" };
            self.complain(format_args!("{}: {error}{again}", passed.account));
        }
    }
}

/// Whether a pass has nothing to tell about mail.
fn is_empty(passed: &Passed) -> bool {
    passed.new + passed.settled + passed.failed + passed.deferred + passed.left == 0
}

/// A problem with its kind and the mark below its place in colour. What users and files have in it was cleaned before.
fn colored(text: &str, severity: Severity) -> String {
    let (word, code) = match severity {
        Severity::Error => (": error: ", "31"),
        Severity::Warning => (": warning: ", "33"),
    };
    let text = text.replacen(word, &format!(": \x1b[1;{code}m{}\x1b[0m: ", word.trim_matches([':', ' '])), 1);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if let Some(mark) = lines.iter_mut().find(|line| line.trim_start().starts_with("| ") && line.contains('^')) {
        let (begin, end) = (mark.find('^').unwrap_or_default(), mark.rfind('^').map_or(mark.len(), |at| at + 1));
        *mark = format!("{}\x1b[{code}m{}\x1b[0m{}", &mark[..begin], &mark[begin..end], &mark[end..]);
    }
    lines.join("\n")
}

/// How many problems of each kind: `2 errors, 1 warning`.
pub(super) fn count(problems: &[Problem]) -> String {
    let count = |severity| problems.iter().filter(|p| p.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    match (errors, warnings) {
        (0, n) => of(n, "warning"),
        (n, 0) => of(n, "error"),
        (e, w) => format!("{}, {}", of(e, "error"), of(w, "warning")),
    }
}

/// A number with its noun: `1 rule`, `2 rules`.
pub(super) fn of(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// `work: 12 new (9 INBOX, 3 lists/rust), 1.2 MB in 0.8 s; 12 deleted on the server`.
fn pass_line(report: &Passed) -> String {
    let mut folders: Vec<(&String, &u64)> = report.folders.iter().collect();
    folders.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), (*name).clone()));
    const NAMED_FOLDERS: usize = 6;
    let mut where_to: Vec<String> =
        folders.iter().take(NAMED_FOLDERS).map(|(name, count)| format!("{count} {}", clean::short(name, 60))).collect();
    if folders.len() > NAMED_FOLDERS {
        where_to.push(format!("{} more folders", folders.len() - NAMED_FOLDERS));
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
