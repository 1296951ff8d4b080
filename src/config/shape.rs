//! The keys of every section of a config or rule file, with a line about each and what it takes. Reading, the reference
//! in the docs and the JSON Schema for editors all come from these tables.

/// One key: its name, one line of documentation, and what it takes.
pub type KeyDoc = (&'static str, &'static str, Takes);

/// The keys of a section.
#[derive(Debug)]
pub struct Shape {
    /// What the section is, with its article: "an account".
    pub what: &'static str,
    /// Each key, in the order of the reference.
    pub keys: &'static [KeyDoc],
}

impl Shape {
    /// The names of the keys.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.keys.iter().map(|(name, _, _)| *name)
    }
}

/// What may stand behind a key.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// Whatever is meant by the one who reads it.
    Anything,
    /// Any text.
    Text,
    /// A whole number, or a decimal one where the reader allows it.
    Number,
    /// `true` or `false`.
    Flag,
    /// `5m`, `14d`.
    Duration,
    /// `512K`, `10M`.
    Size,
    /// Nothing: the bare word.
    Nothing,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A mapping with the keys of this section.
    Section(&'static Shape),
    /// The same for a section of rule files, by its [`Shape::what`]: `config` does not know them.
    Rules(&'static str),
    /// A mapping from names of one's own to values of this kind.
    Named(&'static Takes),
    /// A list of these, or one alone.
    Some(&'static Takes),
    /// A list of these.
    List(&'static Takes),
    /// One of these kinds.
    Either(&'static [Takes]),
}

/// A text or a list of texts.
pub const TEXTS: Takes = Takes::Some(&Takes::Text);
