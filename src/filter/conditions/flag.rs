//! `flag`: flags and keywords the message has on the server or got by a rule.

use super::super::asking::{Asking, Break};
use super::super::compile::Compiler;
use super::{Boxed, Condition, Word};
use crate::config::reader::{self, TEXTS};
use crate::config::yaml::Node;
use crate::message::Flags;

pub(super) const FLAG: Word = Word::new(
    ("flag", "The message has this flag or keyword, or one of these: `seen`, `flagged`, `$later`.", TEXTS),
    read,
);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Boxed> {
    let words = reader::texts(node, "a flag, or a list of flags", &mut compiler.problems)?;
    let mut wanted = Vec::new();
    for word in words {
        let mut one = Flags::default();
        if let Err(bad) = one.parse_word(&word) {
            compiler.problems.error(node.span, bad.to_string());
            return None;
        }
        wanted.push((word, one));
    }
    Some(Box::new(HasFlag { wanted }))
}

#[derive(Debug)]
struct HasFlag {
    wanted: Vec<(String, Flags)>,
}

impl Condition for HasFlag {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let found = self.wanted.iter().find(|(_, flags)| asking.flags.has_all(flags));
        let shown = asking.flags.to_string();
        asking.saw(found.is_some(), || match found {
            Some((word, _)) => format!("it is {word}"),
            None if shown.is_empty() => "it has no flags".to_owned(),
            None => format!("its flags are {shown}"),
        });
        Ok(found.is_some())
    }
}
