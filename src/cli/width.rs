//! Text that fits the terminal.

use std::io::IsTerminal;

use unicode_width::UnicodeWidthStr;

/// A terminal is never taken for narrower than this.
const NARROWEST: usize = 40;

/// Whether standard output is a terminal.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// How many characters a line of standard output may have; no bound where it is no terminal.
pub(super) fn of_standard_output() -> usize {
    let output = std::io::stdout();
    if !output.is_terminal() {
        return usize::MAX;
    }
    let size = rustix::termios::tcgetwinsize(&output);
    size.map_or(usize::MAX, |size| if size.ws_col == 0 { usize::MAX } else { usize::from(size.ws_col).max(NARROWEST) })
}

/// A line that begins with a word, from a column on, and goes on below that column.
pub(super) fn wrapped(first: &str, column: usize, text: &str, columns: usize) -> String {
    let (mut all, mut line) = (String::new(), format!("{first:<column$}"));
    let mut used = line.width();
    let mut is_empty = true;
    for word in text.split(' ') {
        let length = word.width();
        if !is_empty && used + 1 + length > columns {
            all += &line;
            all.push('\n');
            (line, used, is_empty) = (" ".repeat(column), column, true);
        }
        if !is_empty {
            line.push(' ');
            used += 1;
        }
        line += word;
        (used, is_empty) = (used + length, false);
    }
    all + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_below_their_text() {
        let text = "failed twice since 10:00: no connection to a-host-with-a-long-name.example.com";
        assert_eq!(wrapped("work", 8, text, usize::MAX), format!("work    {text}\n"));
        let lines = wrapped("work", 8, text, 40);
        assert_eq!(
            lines,
            "work    failed twice since 10:00: no\n        connection to\n        a-host-with-a-long-name.example.com\n"
        );
        assert_eq!(wrapped("", 8, "short", 40), "        short\n");
    }
}
