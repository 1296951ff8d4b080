//! A document as a manual page, in the language of man(7).

use super::document::{Passage, Style, StyledText, plain};

/// The page: its name, its section, what it is about in a few words, and its document.
pub(super) fn page(name: &str, section: u8, about: &str, blocks: &[Passage]) -> String {
    let title = name.to_uppercase();
    let mut page = format!(
        ".\\\" Written by the tests of mailsluice from the same texts as its help.\n.TH {title} {section} \"\" \"mailsluice {}\" \"\"\n.ad l\n.SH NAME\n{} \\- {}\n",
        env!("CARGO_PKG_VERSION"),
        escaped(name),
        escaped(about)
    );
    for block in blocks {
        match block {
            // The title of the document is that of the page.
            Passage::Heading(1, _) => page += ".SH DESCRIPTION\n",
            Passage::Heading(2, text) => page += &format!(".SH {}\n", quoted(&plain(text).to_uppercase())),
            Passage::Heading(_, text) => page += &format!(".SS {}\n", quoted(&plain(text))),
            Passage::Paragraph(text) => page += &format!(".PP\n{}\n", styled(text)),
            Passage::Code(code) => {
                let lines: String = code.lines().map(|line| format!("{}\n", begun(&escaped(line)))).collect();
                page += &format!(".PP\n.RS 4\n.nf\n{lines}.fi\n.RE\n");
            }
            Passage::Item(depth, mark, text) => {
                let mark = if mark == "-" { "\\(bu".to_owned() } else { escaped(mark) };
                let (inside, outside) = (".RS 4\n".repeat(*depth), ".RE\n".repeat(*depth));
                page += &format!("{inside}.IP \"{mark}\" 4\n{}\n{outside}", styled(text));
            }
            Passage::Table(head, rows) => rows.iter().for_each(|row| page += &entry(head, row)),
        }
    }
    page
}

/// A row of a table: its first cell as a term, and the others below.
fn entry(head: &[StyledText], row: &[StyledText]) -> String {
    let Some((first, others)) = row.split_first() else { return String::new() };
    let mut text = format!(".TP\n{}\n", styled(first));
    let mut lines = Vec::new();
    for (at, cell) in others.iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
        match (others.len(), head.get(at + 1)) {
            (2.., Some(head)) => {
                lines.push(format!("{}: {}", escaped(&plain(head)), styled(cell).trim_start_matches("\\&")))
            }
            _ => lines.push(styled(cell)),
        }
    }
    text += &lines.join("\n.br\n");
    if lines.is_empty() {
        text += "\\&";
    }
    text + "\n"
}

fn styled(text: &StyledText) -> String {
    let piece = |(style, text): &(Style, String)| match style {
        Style::Plain => escaped(text),
        Style::Code | Style::Strong => format!("\\fB{}\\fR", escaped(text)),
        Style::Emphasis => format!("\\fI{}\\fR", escaped(text)),
    };
    begun(&text.iter().map(piece).collect::<String>())
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text).replace('"', "\\(dq"))
}

/// Characters that mean something to roff, as themselves.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out += "\\e",
            '-' => out += "\\-",
            '\'' => out += "\\(aq",
            '`' => out += "\\(ga",
            '^' => out += "\\(ha",
            '~' => out += "\\(ti",
            c if c.is_ascii() => out.push(c),
            c => out += &format!("\\[u{:04X}]", u32::from(c)),
        }
    }
    out
}

/// A line that begins with a dot would be a request.
fn begun(text: &str) -> String {
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::document::read;
    use super::*;

    #[test]
    fn a_manual_page_has_requests_and_escapes() {
        let page =
            page("x-y", 5, "it", &read("# T\n\n`.a\\b` is é\n\n## Keys\n\n| k | v |\n|---|---|\n| `-c` | what |\n"));
        let body = page.split_once(".SH NAME\n").unwrap().1;
        assert_eq!(
            body,
            "x\\-y \\- it\n.SH DESCRIPTION\n.PP\n\\fB.a\\eb\\fR is \\[u00E9]\n.SH \"KEYS\"\n.TP\n\\fB\\-c\\fR\nwhat\n"
        );
    }
}
