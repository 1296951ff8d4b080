//! A document as text for a terminal.

use unicode_width::UnicodeWidthStr;

use super::document::{Passage, StyledText, plain};
use crate::cli::width::wrapped;

/// A table whose first column is wider than this part of the line has it on a line of its own.
const LARGEST_PART: usize = 3;

/// The page, in lines of at most `columns` cells; only examples may be longer.
pub(super) fn page(blocks: &[Passage], columns: usize) -> String {
    let mut page = String::new();
    let mut was_item = false;
    for block in blocks {
        let is_item = matches!(block, Passage::Item(..));
        if !(page.is_empty() || is_item && was_item) {
            page.push('\n');
        }
        was_item = is_item;
        match block {
            Passage::Heading(1, text) => page += &format!("{}\n", plain(text).to_uppercase()),
            Passage::Heading(_, text) => page += &format!("{}\n", plain(text)),
            Passage::Paragraph(text) => page += &wrapped("", 2, &plain(text), columns),
            Passage::Code(code) => {
                for line in code.lines() {
                    page += format!("    {line}").trim_end();
                    page.push('\n');
                }
            }
            Passage::Item(depth, mark, text) => {
                let indent = 2 + depth * 2;
                page += &wrapped(&format!("{:indent$}{mark}", ""), indent + mark.len() + 1, &plain(text), columns);
            }
            Passage::Table(head, rows) => page += &table(head, rows, columns),
        }
    }
    page
}

/// Each row as its first cell and, beside it or below, the others.
fn table(head: &[StyledText], rows: &[Vec<StyledText>], columns: usize) -> String {
    let longest = rows.iter().filter_map(|row| row.first()).map(|cell| plain(cell).width()).max().unwrap_or_default();
    let column = (longest + 4).min(columns.min(100) / LARGEST_PART);
    let mut text = String::new();
    for row in rows {
        let first = row.first().map(plain).unwrap_or_default();
        let rest = others(head, row);
        if first.width() + 4 > column {
            text += &wrapped("", 2, &first, columns);
            text += &wrapped("", column, &rest, columns);
        } else {
            text += &wrapped(&format!("  {first}"), column, &rest, columns);
        }
    }
    text
}

/// The cells behind the first one; where there are several, each with its head.
fn others(head: &[StyledText], row: &[StyledText]) -> String {
    let cells: Vec<(String, String)> = row
        .iter()
        .enumerate()
        .skip(1)
        .map(|(at, cell)| (head.get(at).map(plain).unwrap_or_default(), plain(cell)))
        .collect();
    match cells.as_slice() {
        [(_, only)] => only.clone(),
        several => {
            let filled = several.iter().filter(|(_, cell)| !cell.is_empty());
            filled.map(|(head, cell)| format!("{head}: {cell}")).collect::<Vec<_>>().join("; ")
        }
    }
}
