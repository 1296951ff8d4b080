//! Documents in Markdown, as blocks that the terminal and the manual pages are made of.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// How a piece of text is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    /// What the user types or sees: a command, a key, a file.
    Code,
    Strong,
    Emphasis,
}

/// StyledText in pieces, each with its style.
pub(super) type StyledText = Vec<(Style, String)>;

/// A part of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// Its level, from 1 on.
    Heading(u8, StyledText),
    Paragraph(StyledText),
    Code(String),
    /// An item of a list, and how deep it stands, from 0 on. The mark is a bullet or a number.
    Item(usize, String, StyledText),
    /// A header and rows.
    Table(Vec<StyledText>, Vec<Vec<StyledText>>),
}

/// Takes a document apart. What pages do not show, such as addresses of links, is left out.
pub(super) fn read(markdown: &str) -> Vec<Passage> {
    let mut reader = Reader::default();
    Parser::new_ext(markdown, Options::ENABLE_TABLES).for_each(|event| reader.take(event));
    reader.blocks
}

#[derive(Default)]
struct Reader {
    blocks: Vec<Passage>,
    text: StyledText,
    style: Vec<Style>,
    code: Option<String>,
    /// The next number of each list that is open; `None` for one with bullets.
    lists: Vec<Option<u64>>,
    /// The mark of the item whose text has not ended.
    mark: Option<String>,
    head: Vec<StyledText>,
    rows: Vec<Vec<StyledText>>,
    row: Vec<StyledText>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.code {
                Some(code) => code.push_str(&text),
                None => self.push(self.style.last().copied().unwrap_or(Style::Plain), &text),
            },
            Event::Code(text) => self.push(Style::Code, &text),
            Event::SoftBreak | Event::HardBreak => self.push(Style::Plain, " "),
            _ => {}
        }
    }

    fn push(&mut self, style: Style, text: &str) {
        match self.text.last_mut() {
            Some((last, known)) if *last == style => known.push_str(text),
            _ => self.text.push((style, text.to_owned())),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Strong => self.style.push(Style::Strong),
            Tag::Emphasis => self.style.push(Style::Emphasis),
            Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented) => self.code = Some(String::new()),
            Tag::List(first) => {
                // The text before a list within an item.
                self.end_item();
                self.lists.push(first);
            }
            Tag::Item => {
                self.mark = Some(match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}.", *number - 1)
                    }
                    _ => "-".to_owned(),
                });
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Strong | TagEnd::Emphasis => drop(self.style.pop()),
            TagEnd::Heading(level) => {
                let text = std::mem::take(&mut self.text);
                self.blocks.push(Passage::Heading(number_of(level), text));
            }
            TagEnd::Paragraph if self.mark.is_some() => self.end_item(),
            TagEnd::Paragraph => {
                let text = std::mem::take(&mut self.text);
                self.blocks.push(Passage::Paragraph(text));
            }
            TagEnd::CodeBlock => {
                self.end_item();
                self.blocks.extend(self.code.take().map(|code| Passage::Code(code.trim_end().to_owned())));
            }
            TagEnd::Item => self.end_item(),
            TagEnd::List(_) => drop(self.lists.pop()),
            TagEnd::TableCell => self.row.push(std::mem::take(&mut self.text)),
            TagEnd::TableHead => self.head = std::mem::take(&mut self.row),
            TagEnd::TableRow => self.rows.push(std::mem::take(&mut self.row)),
            TagEnd::Table => {
                let (head, rows) = (std::mem::take(&mut self.head), std::mem::take(&mut self.rows));
                self.blocks.push(Passage::Table(head, rows));
            }
            _ => {}
        }
    }

    fn end_item(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let depth = self.lists.len().saturating_sub(1);
        let mark = self.mark.take().unwrap_or_default();
        self.blocks.push(Passage::Item(depth, mark, std::mem::take(&mut self.text)));
    }
}

fn number_of(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        _ => 4,
    }
}

/// The text without its styles; code in backquotes, so that it stays apart.
pub(super) fn plain(text: &StyledText) -> String {
    let piece = |(style, text): &(Style, String)| match style {
        Style::Code => format!("`{text}`"),
        _ => text.clone(),
    };
    text.iter().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_taken_apart() {
        let text = "# One `x`\n\nWord [link](there.md)\nnext.\n\n- a\n  - b\n\n1. c\n\n```sh\nls\n```\n\n| k | v |\n|---|---|\n| `a` | b |\n";
        let text_of = |text: &str| vec![(Style::Plain, text.to_owned())];
        assert_eq!(
            read(text),
            [
                Passage::Heading(1, vec![(Style::Plain, "One ".into()), (Style::Code, "x".into())]),
                Passage::Paragraph(text_of("Word link next.")),
                Passage::Item(0, "-".into(), text_of("a")),
                Passage::Item(1, "-".into(), text_of("b")),
                Passage::Item(0, "1.".into(), text_of("c")),
                Passage::Code("ls".into()),
                Passage::Table(
                    vec![text_of("k"), text_of("v")],
                    vec![vec![vec![(Style::Code, "a".into())], text_of("b")]],
                ),
            ]
        );
    }
}
