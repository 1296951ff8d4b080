//! Extracts the text of HTML for searching, without rendering it. One linear pass, even if elements are not closed.

use super::html_entities;

/// Elements whose content is not shown.
const HIDDEN: [&str; 4] = ["script", "style", "title", "template"];

/// Elements that begin or end a line.
const BLOCKS: [&str; 38] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "br",
    "caption",
    "center",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "html",
    "li",
    "main",
    "nav",
    "ol",
    "option",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "tr",
    "ul",
];

/// Elements that are separated from their neighbours within a line.
const CELLS: [&str; 2] = ["td", "th"];

/// The longest element name that is recognised.
const MAX_NAME: usize = 16;

/// The charset declaration is searched for in this many bytes (HTML 4.2.5.4 asks for 1024).
const MAX_DECLARATION: usize = 4096;

/// The separator to write before the next visible character.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Space,
    Line,
}

struct HtmlText {
    out: String,
    gap: Gap,
}

/// The visible text of HTML. Block tags become line breaks, runs of blanks become one space, entities become
/// characters.
///
/// As in a browser, an unclosed comment, script or tag hides everything after it.
pub(super) fn to_text(html: &str) -> String {
    let mut writer = HtmlText { out: String::with_capacity(html.len() / 2), gap: Gap::None };
    let mut rest = html;
    while let Some(at) = memchr::memchr2(b'<', b'&', rest.as_bytes()) {
        writer.text(&rest[..at]);
        let special = &rest[at..];
        let length = match special.as_bytes()[0] {
            b'&' => writer.entity(special),
            _ => writer.markup(special),
        };
        rest = &special[length..];
    }
    writer.text(rest);
    writer.out
}

/// The charset that a `meta` element near the beginning declares, in `charset=` or in `content=`.
pub(super) fn declared_charset(html: &[u8]) -> Option<&str> {
    let head = &html[..html.len().min(MAX_DECLARATION)];
    let mut rest = head;
    while let Some(at) = memchr::memchr(b'<', rest) {
        rest = &rest[at + 1..];
        if rest.get(..4).is_some_and(|name| name.eq_ignore_ascii_case(b"meta")) {
            let tag = &rest[..memchr::memchr(b'>', rest).unwrap_or(rest.len())];
            if let Some(label) = charset_in(tag) {
                return Some(label);
            }
        }
    }
    None
}

/// The label of `charset=label` in a tag, with or without quotes.
fn charset_in(tag: &[u8]) -> Option<&str> {
    let name = tag.windows(7).position(|word| word.eq_ignore_ascii_case(b"charset"))?;
    let value = tag[name + 7..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let value = value.strip_prefix(b"\"").or_else(|| value.strip_prefix(b"'")).unwrap_or(value);
    let is_end = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b';' | b'/' | b'>');
    let label = &value[..value.iter().position(is_end).unwrap_or(value.len())];
    std::str::from_utf8(label).ok().filter(|label| !label.is_empty())
}

impl HtmlText {
    fn text(&mut self, text: &str) {
        text.chars().for_each(|c| self.character(c));
    }

    fn character(&mut self, c: char) {
        if c.is_whitespace() {
            self.gap = self.gap.max(Gap::Space);
        } else if !is_invisible(c) {
            if self.gap != Gap::None && !self.out.is_empty() {
                self.out.push(if self.gap == Gap::Line { '\n' } else { ' ' });
            }
            self.gap = Gap::None;
            self.out.push(c);
        }
    }

    /// Writes the entity that begins with `&` and returns its length.
    fn entity(&mut self, text: &str) -> usize {
        match html_entities::decode(text) {
            Some((c, length)) => {
                self.character(c);
                length
            }
            None => {
                self.character('&');
                1
            }
        }
    }

    /// Handles the markup that begins with `<` and returns its length.
    fn markup(&mut self, text: &str) -> usize {
        if text.starts_with("<!--") {
            // The search starts at the second dash: `<!-->` is a whole comment (HTML 13.2.5.43), and newsletters use
            // it.
            return 2 + length_to(&text[2..], "-->");
        }
        if text.starts_with("<!") || text.starts_with("<?") {
            return length_to(text, ">");
        }
        let name = tag_name(text);
        if name.is_empty() {
            self.character('<');
            return 1;
        }
        let is_closing = text.starts_with("</");
        let tag = tag_length(text);
        let is = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
        if is(&BLOCKS) {
            self.gap = Gap::Line;
        } else if is(&CELLS) {
            self.gap = self.gap.max(Gap::Space);
        } else if !is_closing && is(&HIDDEN) {
            return tag + hidden_length(&text[tag..], name);
        }
        tag
    }
}

/// Whether the character is a soft hyphen or a zero-width blank. Spam uses them to hide words.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}')
}

/// The name of a tag; empty if the text does not begin with a tag, as in `a < b`.
fn tag_name(text: &str) -> &str {
    let name = &text[if text.starts_with("</") { 2 } else { 1 }..];
    let length = name.bytes().take(MAX_NAME).take_while(u8::is_ascii_alphanumeric).count();
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) { &name[..length] } else { "" }
}

/// The length of a tag up to the first `>` outside quotes.
fn tag_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = memchr::memchr3(b'>', b'"', b'\'', &bytes[at..]) {
        at += found + 1;
        let quote = bytes[at - 1];
        if quote == b'>' {
            return at;
        }
        // A quote starts an attribute value only after `=`. Other quotes are apostrophes or mistakes.
        if bytes[..at - 1].trim_ascii_end().last() == Some(&b'=') {
            match memchr::memchr(quote, &bytes[at..]) {
                Some(end) => at += end + 1,
                None => return text.len(),
            }
        }
    }
    text.len()
}

/// The length up to the tag that closes a hidden element.
fn hidden_length(text: &str, name: &str) -> usize {
    let bytes = text.as_bytes();
    memchr::memmem::find_iter(bytes, b"</")
        .find(|at| bytes.get(at + 2..at + 2 + name.len()).is_some_and(|tag| tag.eq_ignore_ascii_case(name.as_bytes())))
        .unwrap_or(text.len())
}

fn length_to(text: &str, end: &str) -> usize {
    memchr::memmem::find(text.as_bytes(), end.as_bytes()).map_or(text.len(), |at| at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_seen_remains() {
        let html = "<html><head><title>no</title><style>p {}</style></head><body><!-- no -->\n<p>Dear&nbsp;<b>M</b>s  \
                    Example,<br>un<i>subscribe</i> <a href='x>y'>here</a></p><script>if (a<b) {}</script><table><tr>\
                    <td>a</td><td>b</td></tr></table>";
        assert_eq!(to_text(html), "Dear Ms Example,\nunsubscribe here\na b");
    }

    #[test]
    fn entities_are_characters() {
        assert_eq!(
            to_text("&lt;&amp;&gt; &euro;5 &#252;&#xFC;&uuml; &copy 2026 &#146; &bogus; a&b &#0;"),
            "<&> €5 üüü © 2026 ’ &bogus; a&b \u{fffd}"
        );
    }

    #[test]
    fn the_charset_is_declared_in_a_meta_element() {
        for (html, label) in [
            ("<html><META http-equiv=x content='text/html; charset=gb2312'>", Some("gb2312")),
            ("<meta name=x><meta charset = \"UTF-8\"/>", Some("UTF-8")),
            ("<meta name=charset><p>charset=x", None),
            ("<meta charset=", None),
            ("<met", None),
        ] {
            assert_eq!(declared_charset(html.as_bytes()), label, "{html}");
        }
        let far = format!("{}<meta charset=x>", " ".repeat(5000));
        assert_eq!(declared_charset(far.as_bytes()), None);
    }

    #[test]
    fn what_is_no_tag_stays() {
        assert_eq!(to_text("a < b <3 <> <"), "a < b <3 <> <");
        assert_eq!(to_text("<p it's>text</p><!-->seen<!--x-->"), "text\nseen");
        assert_eq!(to_text("cut\u{ad}ting v\u{200b}iagra"), "cutting viagra");
    }

    #[test]
    fn what_does_not_end_hides_the_rest() {
        for html in ["a<!-- b", "a<script>b", "a<b href=\"c>d", "a<b", "a<?b"] {
            assert_eq!(to_text(html), "a", "{html}");
        }
    }

    #[test]
    fn e9_hostile_html_is_linear() {
        for piece in
            ["<", "<!--", "<a href=\"", "<a '", "<a href='\"", "&", "&#", "</", "<script>", "<p>", "&nbsp;", "<a ="]
        {
            let text = to_text(&piece.repeat(1_000_000));
            assert!(text.len() <= 2_000_000, "{piece}");
        }
        assert_eq!(to_text(&format!("x{}", "</scrip".repeat(1_000_000))), "x");
    }

    proptest! {
        #[test]
        fn nothing_panics(html in "(<|>|</|<!--|-->|script|style|&|#|x|;|é|'|\"|=| |p){0,60}") {
            to_text(&html);
        }
    }
}
