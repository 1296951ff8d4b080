//! `exists`: whether a header field is there.

use super::super::asking::{Asking, Break};
use super::super::compile::Compiler;
use super::{Boxed, Condition, Word};
use crate::config::reader::{self, TEXTS};
use crate::config::yaml::Node;

pub(super) const EXISTS: Word =
    Word::new(("exists", "A header field is there; of a list, any one of them.", TEXTS), read);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Boxed> {
    let names = reader::texts(node, "the name of a header field, or a list of names", &mut compiler.problems)?;
    Some(Box::new(Exists { names }))
}

#[derive(Debug)]
struct Exists {
    names: Vec<String>,
}

impl Condition for Exists {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let found = self.names.iter().find(|name| asking.message().all(name).next().is_some());
        asking.saw(found.is_some(), || match found {
            Some(name) => format!("{name} is there"),
            None => "none of them is there".to_owned(),
        });
        Ok(found.is_some())
    }
}
