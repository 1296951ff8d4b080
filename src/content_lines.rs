//! The line format of vCard and iCalendar.

/// The unfolded lines of a text: one that begins with white space continues the line before it (RFC 6350 3.2, RFC 5545 3.1).
pub(crate) fn unfolded(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some(last)) => last.push_str(rest),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}
