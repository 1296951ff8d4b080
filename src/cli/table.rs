//! Tables that fit the terminal: one line a row under a header, columns that are as wide as their longest cell where there is room.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Between two columns.
const GAP: &str = "  ";
/// Stands for what was cut off.
const CUT: char = '…';

/// How a column behaves where a line has no room for all of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fit {
    /// It is never cut: numbers and times. Numbers are aligned to the right.
    Number,
    Whole,
    /// It is cut, down to this many cells of the terminal.
    Cut(usize),
}

/// The head of a column, and how it fits.
pub(super) type TableColumn = (&'static str, Fit);

/// Rows under a header.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    columns: [TableColumn; N],
    widths: [usize; N],
}

impl<const N: usize> Table<N> {
    /// A table for these rows, in lines of at most `room` cells. Rows that come later are cut to the same columns.
    pub(super) fn new(columns: [TableColumn; N], rows: &[[String; N]], room: usize) -> Self {
        let mut widths = columns.map(|(head, _)| head.width());
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        let mut table = Self { columns, widths };
        while table.total() > room && table.shrink() {}
        table
    }

    fn total(&self) -> usize {
        self.widths.iter().sum::<usize>() + GAP.len() * N.saturating_sub(1)
    }

    /// Takes a cell from the widest column that may be cut. `false`: there is none.
    fn shrink(&mut self) -> bool {
        let least = |at: usize| match self.columns[at].1 {
            Fit::Number | Fit::Whole => None,
            Fit::Cut(least) => Some(least),
        };
        let candidates = (0..N).filter(|at| least(*at).is_some_and(|least| self.widths[*at] > least));
        let Some(widest) = candidates.max_by_key(|at| self.widths[*at]) else { return false };
        self.widths[widest] -= 1;
        true
    }

    pub(super) fn header(&self) -> String {
        self.line(&self.columns.map(|(head, _)| head.to_owned()))
    }

    pub(super) fn line(&self, row: &[String; N]) -> String {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            let cell = cut(cell, self.widths[at]);
            let blanks = " ".repeat(self.widths[at].saturating_sub(cell.width()));
            let is_number = matches!(self.columns[at].1, Fit::Number);
            line += if at > 0 { GAP } else { "" };
            line += &if is_number { blanks + &cell } else { cell + &blanks };
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// The beginning of a text that has room in so many cells of a terminal.
fn cut(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or_default();
        if used > room {
            break;
        }
        kept.push(c);
    }
    kept.truncate(kept.trim_end().len());
    kept.push(CUT);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [TableColumn; 3] = [("NUMBER", Fit::Number), ("FROM", Fit::Cut(6)), ("SUBJECT", Fit::Cut(8))];

    fn rows() -> Vec<[String; 3]> {
        vec![
            ["7".into(), "ann@example.com".into(), "a subject that is rather long".into()],
            ["12345".into(), "客户@例え.jp".into(), "报价单".into()],
        ]
    }

    fn shown(room: usize) -> Vec<String> {
        let (rows, table) = (rows(), Table::new(COLUMNS, &rows(), room));
        std::iter::once(table.header()).chain(rows.iter().map(|row| table.line(row))).collect()
    }

    #[test]
    fn with_room_nothing_is_cut() {
        assert_eq!(
            shown(usize::MAX),
            [
                "NUMBER  FROM             SUBJECT",
                "     7  ann@example.com  a subject that is rather long",
                " 12345  客户@例え.jp     报价单",
            ]
        );
    }

    #[test]
    fn the_widest_column_is_cut_first_and_no_line_is_too_long() {
        assert_eq!(
            shown(40),
            [
                "NUMBER  FROM             SUBJECT",
                "     7  ann@example.com  a subject that…",
                " 12345  客户@例え.jp     报价单",
            ]
        );
        for room in 24..60 {
            assert!(shown(room).iter().all(|line| line.width() <= room), "{room}: {:?}", shown(room));
        }
    }

    #[test]
    fn a_column_is_not_cut_beyond_its_least_width() {
        assert_eq!(shown(1)[1], "     7  ann@e…  a subje…");
    }
}
