//! Edits the header block of a message (RFC 5293). Other fields and the body stay byte for byte, so that signatures
//! over them remain valid.

use super::headers::{self, FieldSpan};
use super::{Bytes, MAX_HEADER, Message, compose};

/// Fields that record the route of a message, or that a program wrote it. They are never deleted, because mail loops
/// are detected by them (RFC 5293 6).
const PROTECTED: [&str; 2] = ["Received", "Auto-Submitted"];

/// Whether a field of that name cannot be deleted or replaced.
pub fn is_protected(name: &str) -> bool {
    PROTECTED.iter().any(|protected| protected.eq_ignore_ascii_case(name))
}

/// One change of the header block. It has no effect if its name is not a valid field name ([`super::is_field_name`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Adds a field before all others, as RFC 5293 4 says, or after them.
    Add {
        /// Its name.
        name: String,
        /// Its value, as a text.
        value: String,
        /// Whether the field is added after all others.
        last: bool,
    },
    /// Deletes fields, if they are not protected.
    Delete {
        /// Their name.
        name: String,
        /// Delete only these fields of that name: their positions from 0, in ascending order.
        only: Option<Vec<usize>>,
    },
    /// Replaces all fields of that name by one, in the place of the first or after all fields. Protected fields stay
    /// unchanged.
    Set {
        /// Its name.
        name: String,
        /// Its value, as a text.
        value: String,
    },
}

impl Message {
    /// The message with these changes applied in order. The new header block is in memory; the body stays in memory or
    /// in the spool file.
    pub fn edited(&self, edits: &[Edit]) -> Self {
        let old = self.head();
        let rest = &self.bytes.beginning()[old.len()..];
        let mut new = old.to_vec();
        for edit in edits {
            new = apply(edit, &new, old.len() >= MAX_HEADER);
        }
        Self::with(self.rebuilt(old.len(), new, rest), self.opener.clone()).assuming(&self.assumed)
    }

    /// The message with new values for the fields for which `value` returns one. `value` gets the name and the raw
    /// value. The rest stays byte for byte.
    pub fn with_values(&self, value: impl Fn(&str, &[u8]) -> Option<Vec<u8>>) -> Self {
        let old = self.head();
        let mut new = Vec::with_capacity(old.len());
        let mut done = 0;
        for span in headers::spans(old, usize::MAX, &mut Vec::new()) {
            let name = std::str::from_utf8(&old[span.name.clone()]).unwrap_or_default();
            if let Some(value) = value(name, &old[span.raw.clone()]) {
                new.extend_from_slice(&old[done..span.raw.start]);
                new.extend(value);
                done = span.raw.end;
            }
        }
        new.extend_from_slice(&old[done..]);
        let rest = &self.bytes.beginning()[old.len()..];
        Self::with(self.rebuilt(old.len(), new, rest), self.opener.clone()).assuming(&self.assumed)
    }

    /// The bytes before the body: the header block and the empty line that ends it.
    pub fn before_body(&self) -> &[u8] {
        let beginning = self.bytes.beginning();
        &beginning[..beginning.len().min(self.body_at() as usize)]
    }

    /// The length of the body.
    pub fn body_length(&self) -> u64 {
        self.size().saturating_sub(self.body_at())
    }

    /// This body after `before`, the original header block with its empty line. The result never refers to the spool
    /// file of a fetched message, because that file is removed when the message is filed.
    pub fn behind(&self, before: &[u8]) -> Self {
        let at = self.body_at();
        let old = self.before_body().len();
        let rest = &self.bytes.beginning()[old..];
        let length = before.len() as u64 + self.body_length();
        let bytes = match &self.bytes {
            Bytes::Memory(_) => Bytes::Memory([before, rest].concat()),
            Bytes::Spooled { path, .. } => {
                Bytes::Rehead { head: before.to_vec(), path: path.clone(), body_at: at, length }
            }
            Bytes::Rehead { path, body_at, .. } => {
                Bytes::Rehead { head: [before, rest].concat(), path: path.clone(), body_at: *body_at, length }
            }
        };
        Self::with(bytes, self.opener.clone()).assuming(&self.assumed)
    }

    /// Whether the other message has the same body. Two bodies outside memory are equal only if both are the same part
    /// of the same file.
    pub fn has_body_of(&self, other: &Self) -> bool {
        match (&self.bytes, &other.bytes) {
            (Bytes::Memory(one), Bytes::Memory(two)) => {
                one[self.before_body().len()..] == two[other.before_body().len()..]
            }
            (Bytes::Memory(_), _) | (_, Bytes::Memory(_)) => false,
            _ => self.body_in_file() == other.body_in_file() && self.body_in_file().is_some(),
        }
    }

    /// The file, and the position in it where the body begins.
    fn body_in_file(&self) -> Option<(&std::path::Path, u64)> {
        match &self.bytes {
            Bytes::Spooled { path, .. } => Some((path, self.body_at())),
            Bytes::Rehead { head, path, body_at, .. } if head.len() as u64 == self.body_at() => Some((path, *body_at)),
            _ => None,
        }
    }

    /// `rest` is what is in memory after the old header block.
    fn rebuilt(&self, old: usize, mut new: Vec<u8>, rest: &[u8]) -> Bytes {
        match &self.bytes {
            Bytes::Memory(_) => {
                new.extend_from_slice(rest);
                Bytes::Memory(new)
            }
            Bytes::Spooled { path, length, .. } => {
                let has_end = rest.starts_with(b"\n");
                new.extend_from_slice(if has_end { b"\n" } else { b"" });
                let body_at = old as u64 + u64::from(has_end);
                let length = new.len() as u64 + length.saturating_sub(body_at);
                Bytes::Rehead { head: new, path: path.clone(), body_at, length }
            }
            Bytes::Rehead { head, path, body_at, length } => {
                new.extend_from_slice(rest);
                let length = length.saturating_sub(head.len() as u64) + new.len() as u64;
                Bytes::Rehead { head: new, path: path.clone(), body_at: *body_at, length }
            }
        }
    }
}

/// The header block with one change applied.
fn apply(edit: &Edit, head: &[u8], is_cut: bool) -> Vec<u8> {
    let mut spans = headers::spans(head, usize::MAX, &mut Vec::new());
    // If the header block was cut because of its length, its last field continues in what counts as the body. That
    // field is not changed, and new fields are added before it.
    let cut = if is_cut { spans.pop() } else { None };
    let end = cut.map_or(head.len(), |span| span.name.start);
    match edit {
        Edit::Add { name, .. } | Edit::Delete { name, .. } | Edit::Set { name, .. }
            if !compose::is_field_name(name) =>
        {
            head.to_vec()
        }
        Edit::Add { name, value, last } => {
            let at = if *last { end } else { beginning_of(head, &spans) };
            with_field(head, at, &compose::field(name, value))
        }
        Edit::Delete { name, .. } | Edit::Set { name, .. } if is_protected(name) => head.to_vec(),
        Edit::Delete { name, only } => {
            let mut number = 0..;
            without(head, &spans, |span| {
                is_named(head, span, name)
                    && number.next().is_some_and(|n| only.as_ref().is_none_or(|only| only.binary_search(&n).is_ok()))
            })
        }
        Edit::Set { name, value } => {
            let field = compose::field(name, value);
            match spans.iter().find(|span| is_named(head, span, name)).map(FieldSpan::whole) {
                Some(first) => {
                    let rest = without(head, &spans, |span| is_named(head, span, name));
                    // No deleted field precedes the first one, so its position is still right.
                    with_field(&rest, first.start, &field)
                }
                None => with_field(head, end, &field),
            }
        }
    }
}

fn is_named(head: &[u8], span: &FieldSpan, name: &str) -> bool {
    head[span.name.clone()].eq_ignore_ascii_case(name.as_bytes())
}

fn without(head: &[u8], spans: &[FieldSpan], mut is_deleted: impl FnMut(&FieldSpan) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(head.len());
    let mut at = 0;
    for span in spans.iter().filter(|span| is_deleted(span)).map(FieldSpan::whole) {
        out.extend_from_slice(&head[at..span.start]);
        at = span.end;
    }
    out.extend_from_slice(&head[at..]);
    out
}

/// Inserts the field at the start of a line, or after a last line without a line end.
fn with_field(head: &[u8], at: usize, field: &str) -> Vec<u8> {
    let (before, behind) = head.split_at(at.min(head.len()));
    let has_end = before.is_empty() || before.ends_with(b"\n");
    [before, if has_end { b"" } else { b"\n" }, field.as_bytes(), behind].concat()
}

/// The position after an mbox line (`From ann@example.org Mon …`), and after lines that would become a part of the new
/// field.
fn beginning_of(head: &[u8], spans: &[FieldSpan]) -> usize {
    let first = spans.first().map_or(head.len(), |span| span.name.start);
    let is_passed_over = |line: &&[u8]| line.starts_with(b"From ") || line.starts_with(b" ") || line.starts_with(b"\t");
    let lines = head[..first].split_inclusive(|b| *b == b'\n');
    lines.take_while(is_passed_over).map(<[u8]>::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;
    use std::path::Path;
    use std::sync::Arc;

    fn message(text: &str) -> Message {
        Message::new(Bytes::Memory(text.as_bytes().to_vec()))
    }

    fn all(message: &Message) -> String {
        let mut all = Vec::new();
        message.reader().unwrap().read_to_end(&mut all).unwrap();
        assert_eq!(all.len() as u64, message.size());
        String::from_utf8(all).unwrap()
    }

    fn edited(text: &str, edits: &[Edit]) -> String {
        all(&message(text).edited(edits))
    }

    fn add(name: &str, value: &str, last: bool) -> Edit {
        Edit::Add { name: name.into(), value: value.into(), last }
    }

    fn set(name: &str, value: &str) -> Edit {
        Edit::Set { name: name.into(), value: value.into() }
    }

    fn delete(name: &str, only: Option<&[usize]>) -> Edit {
        Edit::Delete { name: name.into(), only: only.map(Into::into) }
    }

    const TEXT: &str = "A: 1\n folded\nB : 2\na: =?utf-8?Q?=C3=A9?=\nreceived: x\n\nA: body\n";

    #[test]
    fn fields_are_added_first_or_last() {
        assert_eq!(edited(TEXT, &[add("X", "y", false)]), format!("X: y\n{TEXT}"));
        assert_eq!(edited("A: 1\n\nb", &[add("X", "y", true)]), "A: 1\nX: y\n\nb");
        assert_eq!(edited("A: 1", &[add("X", "y", true)]), "A: 1\nX: y\n");
        assert_eq!(edited("\nbody", &[add("X", "y", true)]), "X: y\n\nbody");
        assert_eq!(edited("", &[add("X", "y", false)]), "X: y\n");
    }

    #[test]
    fn what_stands_before_the_header_stays_there() {
        assert_eq!(edited("From a@b Mon\n x\nA: 1\n\n", &[add("X", "y", false)]), "From a@b Mon\n x\nX: y\nA: 1\n\n");
        assert_eq!(edited("From : a@b\n\n", &[add("X", "y", false)]), "X: y\nFrom : a@b\n\n");
    }

    #[test]
    fn fields_are_deleted_with_their_lines() {
        assert_eq!(edited(TEXT, &[delete("a", None)]), "B : 2\nreceived: x\n\nA: body\n");
        assert_eq!(edited(TEXT, &[delete("A", Some(&[1]))]), TEXT.replace("a: =?utf-8?Q?=C3=A9?=\n", ""));
        assert_eq!(edited(TEXT, &[delete("Received", None), delete("X", None)]), TEXT);
        assert_eq!(edited("A: 1\n\nb", &[delete("A", None)]), "\nb");
    }

    #[test]
    fn one_field_is_set_in_its_place() {
        assert_eq!(edited(TEXT, &[set("A", "new")]), "A: new\nB : 2\nreceived: x\n\nA: body\n");
        assert_eq!(edited(TEXT, &[set("b", "new")]), TEXT.replace("B : 2", "b: new"));
        assert_eq!(edited("A: 1\n\n", &[set("X", "y"), set("x", "z")]), "A: 1\nx: z\n\n");
        assert_eq!(edited("A: 1\nX: no end", &[set("X", "y")]), "A: 1\nX: y\n");
        assert_eq!(
            edited("Auto-Submitted: auto-replied\n\n", &[set("auto-submitted", "no")]),
            "Auto-Submitted: auto-replied\n\n"
        );
    }

    #[test]
    fn i9_names_that_are_none_change_nothing() {
        for name in ["X: y\r\nZ", "X Y", "", "X:", "é"] {
            assert_eq!(edited(TEXT, &[add(name, "v", false), set(name, "v"), delete(name, None)]), TEXT, "{name}");
        }
    }

    #[test]
    fn a_spooled_message_gets_a_new_head_before_its_file() {
        let open = |_: &Path| Ok(Box::new(TEXT.as_bytes()) as Box<dyn Read + Send>);
        let head = TEXT.as_bytes()[..TEXT.len() - 3].to_vec();
        let bytes = Bytes::Spooled { head, path: "x".into(), length: TEXT.len() as u64 };
        let once = Message::with_opener(bytes, Arc::new(open)).edited(&[add("X", "y", false)]);
        assert_eq!(all(&once), format!("X: y\n{TEXT}"));
        assert!(once.bytes().beginning().ends_with(b"\n\n"));
        assert_eq!(once.text(), "A: body\n");
        let twice = once.edited(&[add("Z", "é", true), delete("A", None)]);
        assert_eq!(all(&twice), "X: y\nB : 2\nreceived: x\nZ: =?utf-8?Q?=C3=A9?=\n\nA: body\n");
    }

    #[test]
    fn an_edited_message_becomes_the_original_again() {
        let edits = [add("X", "y", false), delete("A", None), set("B", "new")];
        for text in
            [TEXT, "A: 1\n\n", "A: 1", "A: 1\n", "\nbody", "", "A: 1\n\nno end", "\n\n\n", "no field\n\nA: 1\n\n"]
        {
            let original = message(text);
            let edited = original.edited(&edits);
            assert!(edited.has_body_of(&original), "{text:?}");
            let read_again = message(&all(&edited));
            assert_eq!(all(&read_again.behind(original.before_body())), text);
        }
        assert!(!message("A: 1\n\nbody").has_body_of(&message("A: 1\n\nother")));
    }

    #[test]
    fn so_does_a_spooled_one() {
        let open = |_: &Path| Ok(Box::new(TEXT.as_bytes()) as Box<dyn Read + Send>);
        let bytes = || Bytes::Spooled { head: TEXT.as_bytes().to_vec(), path: "x".into(), length: TEXT.len() as u64 };
        let original = Message::with_opener(bytes(), Arc::new(open));
        let edited = original.edited(&[add("X", "y", false), delete("A", None)]);
        assert!(edited.has_body_of(&original) && original.has_body_of(&edited));
        assert_eq!(all(&edited.behind(original.before_body())), TEXT);
        assert_eq!(all(&original.behind(original.before_body())), TEXT);
        let other = Message::new(Bytes::Spooled { head: TEXT.as_bytes().to_vec(), path: "y".into(), length: 9 });
        assert!(!edited.has_body_of(&other));
    }

    #[test]
    fn e4_a_head_that_does_not_end_is_edited_before_its_last_field() {
        let text = format!("A: 1\nB: {}", "x".repeat(MAX_HEADER));
        assert_eq!(edited(&text, &[add("X", "y", true)]), text.replace("B: ", "X: y\nB: "));
        assert_eq!(edited(&text, &[delete("B", None)]), text);
    }

    fn names(message: &Message) -> Vec<String> {
        message.fields().iter().map(|field| field.name().to_owned()).collect()
    }

    proptest! {
        #[test]
        fn i2_no_value_makes_another_field(value in "(\\PC|[\r\n\0\t :]|\r\n Bcc: x|=\\?utf-8\\?Q\\?=0D=0A\\?=){0,60}") {
            for edit in [add("X", &value, false), set("X", &value)] {
                let edited = message("X: old\nA: 1\n\nbody\n").edited(std::slice::from_ref(&edit));
                let expected: &[&str] = if matches!(edit, Edit::Add { .. }) { &["X", "X", "A"] } else { &["X", "A"] };
                prop_assert_eq!(names(&edited), expected);
                prop_assert_eq!(edited.raw_body(100), b"body\n");
                prop_assert!(!edited.first("X").unwrap_or_default().contains(['\r', '\n', '\0']));
                prop_assert!(edited.head().split(|b| *b == b'\n').all(|line| line.len() <= 998));
            }
        }

        #[test]
        fn an_ordinary_text_comes_back(text in "[a-zA-Z0-9éüß請求書€😀.,!?=_()\"-]{1,30}( [a-zA-Z0-9éüß請求書€😀.,!?=_()\"-]{1,90}){0,30}") {
            let edited = message("A: 1\n\n").edited(&[add("X", &text, true)]);
            prop_assert_eq!(edited.first("X"), Some(text.as_str()));
            prop_assert!(edited.head().split(|b| *b == b'\n').all(|line| line.len() <= 100));
        }
    }
}
