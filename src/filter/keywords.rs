//! Flags and keywords in rules, which may contain values: `addflag: "lists-${list}"`.

use std::borrow::Cow;

use super::asking::Asking;
use super::compile::Compiler;
use crate::config::reader;
use crate::config::text::Text;
use crate::config::yaml::{Node, Value};
use crate::message::{Flag, Flags, MAX_KEYWORD};

/// Flags and keywords. Some may depend on the message.
#[derive(Clone, Debug, Default)]
pub(super) struct Keywords {
    fixed: Flags,
    valued: Vec<Text>,
}

impl Keywords {
    /// Reads one word or a list.
    pub(super) fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Self> {
        let nodes = match &node.value {
            Value::Seq(items) if !items.is_empty() => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut keywords = Self::default();
        for node in nodes {
            let word = compiler.compared(node, "a flag")?;
            let Some(word) = word.as_literal() else {
                keywords.valued.push(word);
                continue;
            };
            if let Err(bad) = keywords.fixed.parse_word(word) {
                compiler.problems.error(node.span, bad.to_string());
                return None;
            }
            warn_of_typing_error(word, node, compiler);
        }
        Some(keywords)
    }

    /// The flags and keywords for this message. A word whose value is missing is left out.
    pub(super) fn of(&self, asking: &Asking<'_>) -> Cow<'_, Flags> {
        if self.valued.is_empty() {
            return Cow::Borrowed(&self.fixed);
        }
        let mut flags = self.fixed.clone();
        for word in &self.valued {
            if let Ok(word) = asking.expand_known(word) {
                add(&mut flags, &word);
            }
        }
        Cow::Owned(flags)
    }
}

/// Adds the flag or keyword of a word with values. Characters that are not allowed in keywords become `_`. A message
/// cannot set `deleted`, because mail readers remove such mail.
fn add(flags: &mut Flags, word: &str) {
    let is_atom = |c: char| c.is_ascii_graphic() && !"(){%*\"\\]".contains(c);
    match Flag::from_word(word) {
        Some(Flag::Trashed) => {}
        Some(flag) => flags.add(flag),
        None => {
            let clean = |c: char| if is_atom(c) { c } else { '_' };
            let word: String = word.trim().chars().map(clean).take(MAX_KEYWORD).collect();
            flags.add_keyword(&word);
        }
    }
}

/// Warns of a keyword like `flaged`, which is valid but most likely a mistyped flag.
fn warn_of_typing_error(word: &str, node: &Node, compiler: &mut Compiler<'_, '_>) {
    let words: Vec<&str> = Flag::words().collect();
    let lower = word.to_lowercase();
    if word.starts_with(['$', '\\']) || Flag::from_word(word).is_some() {
        return;
    }
    let meant = match lower.as_str() {
        "read" => Some("seen"),
        "starred" | "star" | "important" => Some("flagged"),
        _ => reader::suggest(&lower, words.into_iter()),
    };
    if let Some(near) = meant {
        let problem =
            compiler.problems.warn(node.span, format!("`{}` becomes a keyword", crate::clean::short(word, 40)));
        problem.hint(format!("did you mean the flag `{near}`? A keyword of your own may begin with `$`"));
    }
}
