//! What is wrong in a file, shown with the line and the place.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use super::yaml::Span;
use crate::clean;

/// How many problems are worth showing at once.
pub const MAX_PROBLEMS: usize = 100;
/// How many characters of a long line are shown.
const SHOWN_LINE_CHARS: usize = 100;
/// How many of them stand before the place that matters.
const SHOWN_BEFORE: usize = 40;

/// A file: its name as shown to the user, and its text.
pub struct SourceFile {
    /// The path as the user gave it.
    pub name: PathBuf,
    /// The whole text.
    pub text: String,
}

impl SourceFile {
    /// A file with a name and a text.
    pub fn new(name: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// The line with this number from 1, without its end; empty when there is none.
    pub(super) fn line(&self, number: usize) -> String {
        let text = self.text.replace("\r\n", "\n");
        let mut lines = text.split(['\n', '\r']);
        number.checked_sub(1).and_then(|before| lines.nth(before)).unwrap_or_default().to_owned()
    }
}

/// The name only: the text may hold a password.
impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Whether the program can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but somebody should look.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing that is wrong in a file.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// The file.
    pub source: Arc<SourceFile>,
    /// The place in the file; `None` when it is about the file as a whole.
    pub span: Option<Span>,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it, in one line.
    pub hint: Option<String>,
    /// What is wrong was put there from elsewhere, as the value of a parameter.
    pub given: Option<GivenParameter>,
}

/// The value of a parameter, where the user wrote it.
#[derive(Clone, Debug)]
pub struct GivenParameter {
    /// The parameter.
    pub name: String,
    /// The file that uses the filter.
    pub source: Arc<SourceFile>,
    /// The value's place in it.
    pub span: Span,
}

/// `config.yaml:7:38: given as parameter `over``.
impl fmt::Display for GivenParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, span) = (clean::line(self.source.name.as_os_str().as_encoded_bytes()), self.span);
        write!(f, "{file}:{}:{}: given as parameter `{}`", span.line, span.column, clean::short(&self.name, 60))
    }
}

impl Problem {
    /// Says what to do about it.
    pub fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    /// The line from 1; 0 when it is about the whole file.
    pub fn line(&self) -> usize {
        self.span.map_or(0, |span| span.line)
    }

    /// For editors and scripts: `file`, `line`, `column` (from 1, or null), `severity`, `message`, `hint` and
    /// `given` (or null).
    pub fn to_json(&self) -> serde_json::Value {
        json!({
            "file": self.source.name.to_string_lossy(),
            "line": self.span.map(|span| span.line),
            "column": self.span.map(|span| span.column),
            "severity": self.severity.to_string(),
            "message": self.message,
            "hint": self.hint,
            "given": self.given.as_ref().map(GivenParameter::to_string),
        })
    }

    /// `config.yaml:3:1: error: there is no key `acounts`; did you mean `accounts`?`, for what is read line by line.
    pub fn in_a_line(&self) -> String {
        let whole = self.to_string();
        let hint = self.hint.as_ref().map(|hint| format!("; {}", clean::line(hint.as_bytes())));
        format!("{}{}", whole.lines().next().unwrap_or_default(), hint.unwrap_or_default())
    }

    fn snippet(&self, f: &mut fmt::Formatter<'_>, span: Span) -> fmt::Result {
        let shown = ShownLine::new(&self.source.line(span.line), span);
        let number = span.line.to_string();
        let gutter = " ".repeat(number.len());
        write!(f, "\n{gutter} |\n{}", format!("{number} | {}", shown.text).trim_end())?;
        write!(f, "\n{gutter} | {}{}", " ".repeat(shown.before), "^".repeat(shown.marked))?;
        match &self.hint {
            Some(hint) => write!(f, " {}", clean::line(hint.as_bytes())),
            None => Ok(()),
        }
    }
}

/// Plain text of several lines: the place, the message, the line in question with a mark, the hint.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&clean::line(self.source.name.as_os_str().as_encoded_bytes()))?;
        if let Some(span) = self.span {
            write!(f, ":{}:{}", span.line, span.column)?;
        }
        write!(f, ": {}: {}", self.severity, clean::line(self.message.as_bytes()))?;
        match (self.span, &self.hint) {
            (Some(span), _) => self.snippet(f, span)?,
            (None, Some(hint)) => write!(f, "\n  = {}", clean::line(hint.as_bytes()))?,
            (None, None) => {}
        }
        match &self.given {
            Some(given) => write!(f, "\n  = {given}"),
            None => Ok(()),
        }
    }
}

/// A line as it is shown: cleaned, without secrets, cut around the place that matters.
struct ShownLine {
    text: String,
    before: usize,
    marked: usize,
}

impl ShownLine {
    fn new(line: &str, span: Span) -> Self {
        let line = without_secret(line);
        let start = span.column.saturating_sub(1).min(line.len());
        let end = start.saturating_add(span.length).min(line.len());
        let (from, to) = window(line.len(), start);
        let show =
            |from: usize, to: usize| line.get(from..to).unwrap_or_default().iter().map(shown).collect::<String>();

        let cut = if from > 0 { "…" } else { "" };
        let before = format!("{cut}{}", show(from, start));
        let marked = show(start, end.min(to)).trim_end().chars().count().max(1);
        let more = if to < line.len() { "…" } else { "" };
        let text = format!("{before}{}{more}", show(start, to));
        Self { text: text.trim_end().to_owned(), before: before.chars().count(), marked }
    }
}

/// The part of a line of `length` characters that is shown when `start` matters.
fn window(length: usize, start: usize) -> (usize, usize) {
    if length <= SHOWN_LINE_CHARS {
        return (0, length);
    }
    let from = start.saturating_sub(SHOWN_BEFORE);
    (from, length.min(from + SHOWN_LINE_CHARS))
}

/// A character as it is shown. Tabs become one space: `clean::line` drops white space at the end, and one
/// character is all it gets here.
fn shown(c: &char) -> String {
    if c.is_ascii_whitespace() {
        return " ".to_owned();
    }
    clean::line(c.encode_utf8(&mut [0; 4]).as_bytes())
}

/// The characters of a line, with `*` for what stands after a key that looks like `password` or `token`.
///
/// Problems end up in logs and in questions to other people. This looks at the text and not at the tree, because
/// a file with a mistake in it may have no tree, and the mistake may be in the name of the key.
fn without_secret(line: &str) -> Vec<char> {
    let mut chars: Vec<char> = line.chars().collect();
    if let Some(from) = secret_start(&chars) {
        chars[from..].iter_mut().filter(|c| !c.is_whitespace()).for_each(|c| *c = '*');
    }
    chars
}

/// Where the value of a key that looks like `password` begins. `{command: …}` and its like are no secret, nor is the address at which
/// tokens are given.
///
/// Besides `password: …` this finds `password=…`, and `password …` at the beginning of a line, as fetchmail has it.
fn secret_start(line: &[char]) -> Option<usize> {
    let indent = line.iter().take_while(|c| c.is_whitespace()).count();
    let first_word = indent + line[indent..].iter().take_while(|c| is_word_char(**c)).count();
    let ends = (0..line.len()).filter(|&at| matches!(line[at], ':' | '=') || at == first_word);
    ends.filter(|&at| looks_secret(&word_before(line, at))).find_map(|at| {
        let value = at + line[at..].iter().position(|c| !c.is_whitespace() && !matches!(c, ':' | '=' | '"' | '\''))?;
        let is_address = || line[value..].iter().take(4).eq(&['h', 't', 't', 'p']) && word_before(line, at) == "token";
        (!says_where(&line[value..]) && !is_address()).then_some(value)
    })
}

/// Whether a value says where a secret is, in a form that is right: in one that is not, the secret itself may stand there.
fn says_where(value: &[char]) -> bool {
    let text: String = value.iter().collect();
    let Some((key, rest)) = text.strip_prefix('{').and_then(|text| text.split_once(':')) else {
        // A mapping that goes on in the next line.
        return text.trim_end() == "{";
    };
    let is_list = rest.trim_start().starts_with('[');
    match key.trim() {
        "command" => is_list,
        "env" | "file" | "credential" | "netrc" | "keyring" | "prompt" => !is_list,
        _ => false,
    }
}

fn word_before(line: &[char], end: usize) -> String {
    let reversed: String = line[..end]
        .iter()
        .rev()
        .skip_while(|c| matches!(c, ' ' | '"' | '\''))
        .take_while(|c| is_word_char(**c))
        .collect();
    reversed.chars().rev().collect::<String>().to_lowercase()
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

fn looks_secret(key: &str) -> bool {
    ["pass", "pwd", "token", "secret"].iter().any(|part| key.contains(part))
        || strsim::damerau_levenshtein(key, "password") <= 2
}

/// Collects the problems of one file, and takes over those of other files.
#[derive(Debug)]
pub struct Problems {
    source: Arc<SourceFile>,
    list: Vec<Problem>,
}

impl Problems {
    /// An empty collection for `source`.
    pub fn new(source: &Arc<SourceFile>) -> Self {
        Self { source: Arc::clone(source), list: Vec::new() }
    }

    /// The file in which problems are being found.
    pub fn source(&self) -> &Arc<SourceFile> {
        &self.source
    }

    /// Adds an error at a place; the result takes a hint.
    pub fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Problem {
        self.push(Severity::Error, Some(span), message.into())
    }

    /// Adds a warning at a place; the result takes a hint.
    pub fn warn(&mut self, span: Span, message: impl Into<String>) -> &mut Problem {
        self.push(Severity::Warning, Some(span), message.into())
    }

    /// Adds an error about the file as a whole; the result takes a hint.
    pub fn error_in_file(&mut self, message: impl Into<String>) -> &mut Problem {
        self.push(Severity::Error, None, message.into())
    }

    /// Takes over the problems of another file.
    pub fn merge(&mut self, other: Self) {
        self.list.extend(other.list);
    }

    /// Takes over one problem of another file.
    pub fn add(&mut self, problem: Problem) {
        self.list.push(problem);
    }

    /// The problems found so far, in the order they were found.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Problem> {
        self.list.iter_mut()
    }

    /// Whether anything here stops the program.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// The problems, by file and place; at most [`MOST`], and then one that says how many are left out.
    pub fn into_vec(mut self) -> Vec<Problem> {
        self.list.sort_by(|a, b| {
            let place = |p: &Problem| p.span.map_or((0, 0), |span| (span.line, span.column));
            a.source.name.cmp(&b.source.name).then_with(|| place(a).cmp(&place(b)))
        });
        self.cut();
        self.list
    }

    fn cut(&mut self) {
        let (total, severity) = (self.list.len(), if self.has_errors() { Severity::Error } else { Severity::Warning });
        if total > MAX_PROBLEMS {
            self.list.truncate(MAX_PROBLEMS);
            self.push(severity, None, format!("{} more problems are not shown", total - MAX_PROBLEMS));
        }
    }

    fn push(&mut self, severity: Severity, span: Option<Span>, message: String) -> &mut Problem {
        let at = self.list.len();
        self.list.push(Problem { severity, source: Arc::clone(&self.source), span, message, hint: None, given: None });
        &mut self.list[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str, span: Span, hint: Option<&str>) -> String {
        let mut problems = Problems::new(&Arc::new(SourceFile::new("config.yaml", text)));
        let problem = problems.error(span, "unknown key `fodlers` in an account");
        if let Some(hint) = hint {
            problem.hint(hint);
        }
        problem.to_string()
    }

    #[test]
    fn looks_like_rustc() {
        let text = "\n\n\n\n\n\n    fodlers: [INBOX]\n";
        let shown = render(text, Span { line: 7, column: 5, length: 7 }, Some("did you mean `folders`?"));
        let expected = "config.yaml:7:5: error: unknown key `fodlers` in an account
  |
7 |     fodlers: [INBOX]
  |     ^^^^^^^ did you mean `folders`?";
        assert_eq!(shown, expected);
    }

    #[test]
    fn terminals_are_safe_and_the_mark_stays_in_place() {
        let shown = render("a\t\u{1b}[2J\u{202e}: x", Span { line: 1, column: 8, length: 1 }, None);
        assert!(shown.ends_with("1 | a \\u{1b}[2J\\u{202e}: x\n  |                    ^"), "{shown}");
    }

    #[test]
    fn long_lines_are_cut_around_the_mark() {
        let text = format!("{}KEY{}", "a".repeat(500), "b".repeat(500));
        let shown = render(&text, Span { line: 1, column: 501, length: 3 }, None);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[2], format!("1 | …{}KEY{}…", "a".repeat(40), "b".repeat(57)));
        assert_eq!(lines[3], format!("  | {}^^^", " ".repeat(41)));
    }

    #[test]
    fn passwords_are_not_shown() {
        let span = Span { line: 1, column: 1, length: 3 };
        for text in [
            "password: hunter2",
            "x: {pasword: \"hunter2\", usr: me}",
            "\"passwd\" : hunter2",
            "imap_pass: hunter2",
            "  password hunter2",
            "pass=hunter2 # x",
            "password : 'hunter2'",
            "{client_id: x, client_secret: hunter2}",
            "{token: 'https://x.example/t', client_secret: hunter2}",
            "token: hunter2",
            "password: {text: hunter2}",
            "password: {command: hunter2}",
            "password: {file: [hunter2]}",
            "{client_id: x, client_secret: {fil: hunter2}}",
        ] {
            let shown = render(text, span, None);
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        assert!(render("password: {env: NAME}", span, None).contains("NAME"));
        assert!(render("{token: 'https://x.example/t', scope: y}", span, None).contains("x.example/t"));
    }

    #[test]
    fn places_outside_the_text_are_harmless() {
        for span in [Span { line: 99, column: 99, length: 99 }, Span { line: 0, column: 0, length: 0 }] {
            assert!(render("a: b\r\nc: d", span, None).contains('^'));
        }
    }

    #[test]
    fn problems_come_in_the_order_of_the_file() {
        let mut problems = Problems::new(&Arc::new(SourceFile::new("a", "x\ny\n")));
        problems.warn(Span { line: 2, column: 1, length: 1 }, "second");
        assert!(!problems.has_errors());
        problems.error(Span::START, "first").hint("do this");
        assert!(problems.has_errors());
        let list = problems.into_vec();
        assert_eq!(list[0].message, "first");
        let expected = json!({"file": "a", "line": 1, "column": 1, "severity": "error", "message": "first", "hint": "do this", "given": null});
        assert_eq!(list[0].to_json(), expected);
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut problems = Problems::new(&Arc::new(SourceFile::new("a", "x")));
        for _ in 0..150 {
            problems.warn(Span::START, "odd");
        }
        problems.error(Span { line: 9, column: 1, length: 1 }, "wrong");
        let list = problems.into_vec();
        assert_eq!((list.len(), list[MAX_PROBLEMS].severity), (MAX_PROBLEMS + 1, Severity::Error));
        assert_eq!(list[MAX_PROBLEMS].message, "51 more problems are not shown");
    }

    #[test]
    fn debug_output_holds_no_text() {
        assert!(!format!("{:?}", SourceFile::new("a", "hunter2")).contains("hunter2"));
    }
}
