//! What lists are read from: plain lines, aliases of mutt, CSV, vCards.

use super::entries::Entries;
use super::reader::{self, MapReader};
use crate::content_lines::unfolded;

/// The words for [`Format`].
pub const FORMATS: &[&str] = &["lines", "csv", "vcard"];

/// What a file of entries looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// One entry a line.
    #[default]
    Lines,
    /// Comma-separated values (RFC 4180), or with semicolons.
    Csv {
        /// Where the entry is.
        entry: Column,
        /// Where its value is.
        value: Option<Column>,
    },
    /// RFC 6350: each EMAIL is an entry, and FN its value.
    Vcard,
}

/// A column of a CSV.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Column {
    /// From 1.
    Number(usize),
    /// As the first line names it.
    Named(String),
}

/// Why a file gives no entries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEntries {
    /// An expression in it is wrong.
    #[error(transparent)]
    Bad(#[from] super::entries::BadEntry),
    /// The first line has no such name.
    #[error("its first line names no column `{0}`")]
    NoColumn(String),
}

/// The format that a list's keys ask for, or that the file's name shows.
pub(super) fn format(map: &mut MapReader<'_, '_>, file: Option<&str>) -> Format {
    let word =
        map.read("format", |n, p| reader::choice(n, &[("lines", "lines"), ("csv", "csv"), ("vcard", "vcard")], p));
    let column = |map: &mut MapReader<'_, '_>, key| {
        let text = map.read(key, |n, p| reader::text(n, "the number or the name of a column", p))?;
        let number = text.parse().ok().filter(|number| *number > 0);
        Some(number.map_or_else(|| Column::Named(text.to_owned()), Column::Number))
    };
    let (entry, value) = (column(map, "column"), column(map, "value"));
    let ends = |end: &str| file.is_some_and(|file| file.to_lowercase().ends_with(end));
    let word = word.unwrap_or(if ends(".csv") {
        "csv"
    } else if ends(".vcf") {
        "vcard"
    } else {
        "lines"
    });
    if let (true, Some(at)) = (word != "csv", map.key_span("column").or_else(|| map.key_span("value"))) {
        map.problems().error(at, "columns are those of a CSV").hint("add `format: csv`");
    }
    match word {
        "csv" => Format::Csv { entry: entry.unwrap_or(Column::Number(1)), value },
        "vcard" => Format::Vcard,
        _ => Format::Lines,
    }
}

/// The entries of a text.
pub fn read(text: &str, format: &Format) -> Result<Entries, NoEntries> {
    let mut entries = Entries::default();
    match format {
        Format::Lines => {
            for (entry, value) in text.lines().filter_map(line) {
                entries.add(&entry, value)?;
            }
        }
        Format::Csv { entry, value } => {
            let rows = rows(text);
            let place = |column: &Column| match column {
                Column::Number(number) => Ok(number - 1),
                Column::Named(name) => {
                    let first = rows.first().into_iter().flatten();
                    let found = first.enumerate().find(|(_, cell)| cell.trim().eq_ignore_ascii_case(name));
                    found.map(|(at, _)| at).ok_or_else(|| NoEntries::NoColumn(name.clone()))
                }
            };
            let has_names = [Some(entry), value.as_ref()].into_iter().flatten().any(|c| matches!(c, Column::Named(_)));
            let (entry, value) = (place(entry)?, value.as_ref().map(place).transpose()?);
            for row in rows.iter().skip(usize::from(has_names)) {
                let cell = |at: usize| row.get(at).map(|cell| cell.trim()).filter(|cell| !cell.is_empty());
                if let Some(text) = cell(entry) {
                    entries.add(text, value.and_then(cell).map(str::to_owned))?;
                }
            }
        }
        Format::Vcard => {
            for (entry, value) in cards(text) {
                entries.add(&entry, value)?;
            }
        }
    }
    Ok(entries)
}

/// One line: an entry, perhaps with a value behind ` -> ` or a tab, perhaps with a comment; an address in `<…>`, whose name
/// is its value; or an alias of mutt, `alias nick Name <address>`, whose address may stand without brackets at the end.
fn line(line: &str) -> Option<(String, Option<String>)> {
    let line = line.split(" #").next().unwrap_or_default().trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (line, value) = match line.split_once(" -> ").or_else(|| line.split_once('\t')) {
        // Programs write more behind a second tab: the kind of the address.
        Some((line, value)) => {
            let value = value.split('\t').next().unwrap_or_default().trim();
            (line.trim(), Some(value.to_owned()).filter(|value| !value.is_empty()))
        }
        None => (line, None),
    };
    let bracketed = line.rsplit_once('<').and_then(|(name, rest)| Some((name.trim(), rest.split_once('>')?.0)));
    let (entry, name) = match (bracketed, line.strip_prefix("alias ")) {
        (Some((_, inside)), Some(_)) => (inside, None),
        (Some((name, inside)), None) => {
            (inside, Some(name.trim_matches('"').to_owned()).filter(|name| !name.is_empty()))
        }
        (None, Some(alias)) => (alias.split_whitespace().last()?, None),
        (None, None) => (line, None),
    };
    let entry = entry.trim();
    (!entry.is_empty()).then(|| (entry.to_owned(), value.or(name)))
}

/// The rows of a CSV; the delimiter is whichever of `,` and `;` the first line has more of.
fn rows(text: &str) -> Vec<Vec<String>> {
    let first = text.lines().next().unwrap_or_default();
    let delimiter = if first.matches(';').count() > first.matches(',').count() { ';' } else { ',' };
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut is_quoted = false;
    let mut chars = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if is_quoted && chars.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => is_quoted = !is_quoted,
            c if is_quoted => cell.push(c),
            c if c == delimiter => row.push(std::mem::take(&mut cell)),
            '\r' => {}
            '\n' => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            c => cell.push(c),
        }
    }
    row.push(cell);
    rows.push(row);
    rows
}

/// The addresses of vCards, each with the name of its card.
fn cards(text: &str) -> Vec<(String, Option<String>)> {
    let (mut all, mut emails, mut name) = (Vec::new(), Vec::new(), None);
    for line in unfolded(text) {
        let Some((property, value)) = line.split_once(':') else { continue };
        let property = property.split(';').next().unwrap_or_default();
        // `item1.EMAIL`: the group of the property.
        let property = property.rsplit('.').next().unwrap_or_default().to_uppercase();
        match property.as_str() {
            "EMAIL" => emails.push(value.trim().to_owned()),
            "FN" => name = Some(value.trim().replace("\\,", ",").replace("\\;", ";")).filter(|name| !name.is_empty()),
            "END" => {
                let name = name.take();
                all.extend(
                    emails.drain(..).filter(|email: &String| !email.is_empty()).map(|email| (email, name.clone())),
                );
            }
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, format: &Format) -> Vec<String> {
        let entries = read(text, format).unwrap();
        let shown = entries.iter().map(|one| match &one.value {
            Some(value) => format!("{} = {value}", one.text),
            None => one.text.clone(),
        });
        shown.collect()
    }

    #[test]
    fn address_books_of_many_kinds() {
        let lines = "# people\nAnn@Example.org\n@work.example  # all of them\n\nBob B. <bob@x.example>\nalias carl Carl <c@y.example>\nalias dora d@z.example\nx@y.example -> people/x\ny@y.example\tpeople/y\thome\n";
        assert_eq!(
            shown(lines, &Format::Lines),
            [
                "ann@example.org",
                "@work.example",
                "bob@x.example = Bob B.",
                "c@y.example",
                "d@z.example",
                "x@y.example = people/x",
                "y@y.example = people/y"
            ]
        );
    }

    #[test]
    fn csv_with_names_numbers_and_quotes() {
        let text = "Name;E-mail;Folder\r\n\"Example; Ann\";Ann@x.example;people/ann\r\nBob;;x\r\n\"a \"\"b\"\"\nc\";c@x.example;\r\n";
        let named = |name: &str| Column::Named(name.to_owned());
        let format = Format::Csv { entry: named("e-mail"), value: Some(named("Folder")) };
        assert_eq!(shown(text, &format), ["ann@x.example = people/ann", "c@x.example"]);
        let format = Format::Csv { entry: Column::Number(2), value: Some(Column::Number(1)) };
        assert_eq!(shown(text, &format)[1..], ["ann@x.example = Example; Ann", "c@x.example = a \"b\"\nc"]);
        let format = Format::Csv { entry: named("mail"), value: None };
        assert_eq!(read(text, &format).unwrap_err().to_string(), "its first line names no column `mail`");
    }

    #[test]
    fn vcards() {
        let text = "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Ann\\, Dr.\r\nEMAIL;TYPE=work:ann@x.exa\r\n mple\r\nitem1.EMAIL:ann@home.example\r\nEND:VCARD\r\nBEGIN:VCARD\r\nEMAIL:bob@x.example\r\nEND:VCARD\r\n";
        assert_eq!(
            shown(text, &Format::Vcard),
            ["ann@x.example = Ann, Dr.", "ann@home.example = Ann, Dr.", "bob@x.example"]
        );
    }
}
