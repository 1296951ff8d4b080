//! `keep`: files the message where the account's `into` says.

use super::super::asking::Break;
use super::super::compile::Compiler;
use super::super::keywords::Keywords;
use super::super::run::Run;
use super::{ActionWord, BoxedAction, Verb};
use crate::config::reader::{MapReader, Shape, TEXTS, Takes};
use crate::config::yaml::Node;
use crate::decision::Place;

pub(super) static KEYS: Shape =
    Shape { what: "a keep action", keys: &[("flags", "Flags and keywords for this filing.", TEXTS)] };

pub(super) const KEEP: ActionWord = ActionWord::bare(
    ("keep", "File where the account's `into` says. Ends filtering.", Takes::Section(&KEYS)),
    || Box::new(Keep { flags: Keywords::default() }),
    read,
);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedAction> {
    let map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let flags = map.take("flags");
    let flags = flags.map_or(Some(Keywords::default()), |node| Keywords::read(node, compiler))?;
    Some(Box::new(Keep { flags }))
}

#[derive(Debug)]
struct Keep {
    flags: Keywords,
}

impl Verb for Keep {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let flags = self.flags.of(&run.asking);
        run.file(Place::Keep, &flags, false)
    }

    fn ends(&self) -> bool {
        true
    }
}
