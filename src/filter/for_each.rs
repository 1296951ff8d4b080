//! `for_each`: applies a rule to each of several values, such as recipients or pieces of a text.

use super::asking::{Asking, Break};
use super::captures::Captured;
use super::compile::Compiler;
use crate::config::reader::{self, MapReader, Shape, Takes};
use crate::config::text::Text;
use crate::config::yaml::Node;
use crate::message::Address;

pub(super) static KEYS: Shape = Shape {
    what: "what a rule is for each of",
    keys: &[
        (
            "address",
            "The addresses of a field, such as `to` or `from`, or of any `recipient`. `${who}`, `${who.user}`, `${who.domain}` and `${who.localpart}` are what each is.",
            Takes::Text,
        ),
        ("text", "Instead: the pieces of a text with `${name}`, without white space around them.", Takes::Text),
        ("split", "Of a text: what stands between the pieces. Default: a comma.", Takes::Text),
        ("as", "The name of the value. Default: `who` of an address, `piece` of a text.", Takes::Text),
    ],
};

/// For how many values a rule is applied.
const MAX_ITERATIONS: usize = 100;

/// The values to which a rule is applied.
#[derive(Debug)]
pub(super) struct ForEach {
    values: EachValues,
    name: String,
}

#[derive(Debug)]
enum EachValues {
    Recipients,
    Addresses(String),
    Pieces { text: Text, split: String },
}

/// The names that are set for one value, with what they stand for.
pub(super) type BoundNames = Vec<(String, String)>;

impl ForEach {
    /// Reads the key. The names are known to the rest of the rule.
    pub(super) fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Self> {
        let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
        let address = map.read("address", |n, p| reader::text(n, "the name of a header field", p).map(str::to_owned));
        let split = map.read("split", |n, p| reader::text(n, "a text", p).map(str::to_owned));
        let name = map.read("as", |n, p| reader::text(n, "a name", p).map(str::to_owned));
        let (text, is_known, at) = (map.take("text"), map.is_known(), map.place());
        let values = match (address, text) {
            (Some(_), None) if split.is_some() => {
                compiler.problems.error(at, "`split` is for `text`").hint("leave it out");
                return None;
            }
            (Some(field), None) if field.eq_ignore_ascii_case("recipient") => EachValues::Recipients,
            (Some(field), None) if field.eq_ignore_ascii_case("recipients") => {
                compiler.problems.error(at, "no field is called `recipients`").hint("did you mean `recipient`?");
                return None;
            }
            (Some(field), None) => EachValues::Addresses(field),
            (None, Some(text)) => {
                compiler.doubt_key(text);
                let split = split.unwrap_or_else(|| ",".to_owned());
                EachValues::Pieces { text: compiler.text(text, "a text")?, split }
            }
            _ => {
                if is_known {
                    compiler.problems.error(at, "`for_each` needs one of `address` and `text`");
                }
                return None;
            }
        };
        if let Some(name) = name.as_deref().filter(|name| !is_name(name)) {
            let text = format!("`{}` is no name: letters, digits, `_` and `-`", crate::clean::short(name, 40));
            compiler.problems.error(node.span, text);
            return None;
        }
        let usual = if matches!(values, EachValues::Pieces { .. }) { "piece" } else { "who" };
        let this = Self { values, name: name.unwrap_or_else(|| usual.to_owned()) };
        let names = this.names();
        compiler.captured(names.into_iter().map(|name| Captured { name, always: true }).collect());
        Some(this)
    }

    fn names(&self) -> Vec<String> {
        let of_address = ["", ".user", ".domain", ".localpart"];
        let parts = if matches!(self.values, EachValues::Pieces { .. }) { &of_address[..1] } else { &of_address[..] };
        parts.iter().map(|part| format!("{}{part}", self.name)).collect()
    }

    /// The values of this message without duplicates, each with its names.
    pub(super) fn of(&self, asking: &Asking<'_>) -> Result<Vec<BoundNames>, Break> {
        match self.values_of(asking) {
            values if values.len() <= MAX_ITERATIONS => Ok(values),
            _ => Err(Break::Failed(format!("more than {MAX_ITERATIONS} values for one rule"))),
        }
    }

    fn values_of(&self, asking: &Asking<'_>) -> Vec<BoundNames> {
        let message = asking.message();
        let delimiters = &asking.settings.delimiters;
        let values: Vec<Vec<String>> = match &self.values {
            EachValues::Recipients => message.recipients().iter().map(|one| parts(one, delimiters)).collect(),
            EachValues::Addresses(field) => message.addresses(field).map(|one| parts(one, delimiters)).collect(),
            EachValues::Pieces { text, split } => {
                let text = asking.expand(text);
                let pieces = text.split(split.as_str()).map(str::trim).filter(|piece| !piece.is_empty());
                pieces.map(|piece| vec![piece.to_owned()]).collect()
            }
        };
        let mut once: Vec<BoundNames> = Vec::new();
        for value in values {
            let is_known = once.iter().any(|known| known[0].1.eq_ignore_ascii_case(&value[0]));
            if !is_known {
                once.push(self.names().into_iter().zip(value).collect());
            }
            if once.len() > MAX_ITERATIONS {
                break;
            }
        }
        once
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// The parts of an address in the order of the names.
fn parts(address: &Address, delimiters: &str) -> Vec<String> {
    let parts = [address.address.as_str(), address.user(delimiters), address.domain(), address.local_part()];
    parts.map(str::to_owned).into()
}
