//! Standard error where it is the journal of systemd: each line begins with its priority (`sd-daemon(3)`), so that
//! `journalctl -p err` finds errors, and has no time, for the journal has that.

use std::io::{self, Write};
use std::sync::LazyLock;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// The priorities of `syslog(3)`, as far as they are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    Error = 3,
    Warning = 4,
    Info = 6,
    Debug = 7,
}

/// Whether standard error is the journal: systemd says which file that is, and it may be another one by now.
pub(super) fn is_standard_error() -> bool {
    static IS: LazyLock<bool> = LazyLock::new(|| {
        let named = std::env::var("JOURNAL_STREAM").unwrap_or_default();
        rustix::fs::fstat(io::stderr()).is_ok_and(|file| named == format!("{}:{}", file.st_dev, file.st_ino))
    });
    *IS
}

/// Lines as the journal takes them.
pub(super) fn prefixed(priority: Priority, text: &str) -> String {
    text.lines().map(|line| format!("<{}>{line}\n", priority as u8)).collect()
}

/// The log of the program on its way there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Journal;

impl<'a> MakeWriter<'a> for Journal {
    type Writer = EventLine;

    fn make_writer(&'a self) -> EventLine {
        EventLine(Priority::Info)
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> EventLine {
        EventLine(match *event.level() {
            Level::ERROR => Priority::Error,
            Level::WARN => Priority::Warning,
            Level::INFO => Priority::Info,
            Level::DEBUG | Level::TRACE => Priority::Debug,
        })
    }
}

/// One event, which comes whole.
#[derive(Debug)]
pub(super) struct EventLine(Priority);

impl Write for EventLine {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(prefixed(self.0, &String::from_utf8_lossy(event)).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_priority() {
        assert_eq!(prefixed(Priority::Error, "one\n  two"), "<3>one\n<3>  two\n");
    }
}
