//! `addflag` and `removeflag`: on every filing of the rule and of later ones.

use super::super::asking::Break;
use super::super::compile::Compiler;
use super::super::run::Run;
use super::{Boxed, Verb, Word};
use crate::config::reader::{self, TEXTS};
use crate::config::yaml::{Node, Value};
use crate::message::Flags;

pub(super) const ADDFLAG: Word = Word::new(
    ("addflag", "Set a flag or keyword, or a list: `seen`, `flagged`, `answered`, `draft`, `$later`.", TEXTS),
    |node, compiler| read(node, compiler).map(|flags| Box::new(AddFlag(flags)) as Boxed),
);

pub(super) const REMOVEFLAG: Word =
    Word::new(("removeflag", "Take a flag or keyword away, or a list of them.", TEXTS), |node, compiler| {
        read(node, compiler).map(|flags| Box::new(RemoveFlag(flags)) as Boxed)
    });

/// Flags and keywords, one or a list.
pub(super) fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Flags> {
    let nodes = match &node.value {
        Value::Seq(items) if !items.is_empty() => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut flags = Flags::default();
    for node in nodes {
        let word = reader::text(node, "a flag", &mut compiler.problems)?;
        if let Err(bad) = flags.parse_word(word) {
            compiler.problems.error(node.span, bad.to_string());
            return None;
        }
        warn_of_typing_error(word, node, compiler);
    }
    Some(flags)
}

/// `flaged` is a fine keyword, and surely not meant as one.
fn warn_of_typing_error(word: &str, node: &Node, compiler: &mut Compiler<'_, '_>) {
    let words: Vec<&str> = crate::message::Flag::words().collect();
    let lower = word.to_lowercase();
    if word.starts_with(['$', '\\']) || crate::message::Flag::from_word(word).is_some() {
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

#[derive(Debug)]
struct AddFlag(Flags);

impl Verb for AddFlag {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        run.did(&format!("addflag {}", self.0));
        run.change_flags(|flags| flags.extend(&self.0));
        Ok(())
    }

    fn changes(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct RemoveFlag(Flags);

impl Verb for RemoveFlag {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        run.did(&format!("removeflag {}", self.0));
        run.change_flags(|flags| flags.remove_all(&self.0));
        Ok(())
    }

    fn changes(&self) -> bool {
        true
    }
}
