//! `auth`: SPF, DKIM and DMARC as a server of one's own saw them (RFC 8601). What other servers claim is not read: anybody
//! can write an Authentication-Results field.

use super::super::asking::{Asking, Break};
use super::super::compile::Compiler;
use super::{Boxed, Condition, Word};
use crate::config::reader::{self, MapReader, Shape, TEXTS, Takes};
use crate::config::yaml::Node;
use crate::message::Message;

pub(super) static KEYS: Shape = Shape {
    what: "an authentication condition",
    keys: &[
        (
            "spf",
            "The result: `pass`, `fail`, `softfail`, `neutral`, `none`, `temperror`, `permerror`; or a list.",
            TEXTS,
        ),
        ("dkim", "The result, as for spf.", TEXTS),
        ("dmarc", "The result, as for spf.", TEXTS),
        ("by", "The server's name instead of those under `trust` in the config.", Takes::Text),
    ],
};

pub(super) const AUTH: Word = Word::new(
    (
        "auth",
        "What a trusted server found: {dmarc: fail}. Only Authentication-Results of servers under `trust` count; without one, false.",
        Takes::Section(&KEYS),
    ),
    read,
);

#[derive(Debug)]
struct Auth {
    wanted: Vec<(&'static str, Vec<String>)>,
    by: Option<String>,
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Boxed> {
    let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let by = map.read("by", |n, p| reader::text(n, "a server's name", p).map(str::to_lowercase));
    let mut wanted = Vec::new();
    for method in ["spf", "dkim", "dmarc"] {
        if let Some(results) = map.read(method, |n, p| reader::texts(n, "a result, or a list of results", p)) {
            wanted.push((method, results.iter().map(|result| result.to_lowercase()).collect()));
        }
    }
    if map.is_map() && wanted.is_empty() {
        let at = map.place();
        map.problems().error(at, "an authentication condition needs `spf`, `dkim` or `dmarc`");
        return None;
    }
    if by.is_none() && compiler.shared.settings.trust.is_empty() {
        let problem = compiler.problems.error(node.span, "no server is trusted, so this can never hold");
        problem.hint("add `trust: [mx.example.com]` to the config with the name your server writes, or `by:` here");
        return None;
    }
    Some(Box::new(Auth { wanted, by }))
}

impl Condition for Auth {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let message = std::sync::Arc::clone(asking.message());
        let is_trusted = |server: &str| match &self.by {
            Some(by) => by == server,
            None => asking.settings.trust.iter().any(|trusted| trusted == server),
        };
        let found = results(&message, &is_trusted);
        let holds = !found.is_empty()
            && self
                .wanted
                .iter()
                .all(|(method, wanted)| found.iter().any(|(name, result)| name == method && wanted.contains(result)));
        asking.saw(holds, || match found.is_empty() {
            true => "no trusted server said anything".to_owned(),
            false => found.iter().map(|(method, result)| format!("{method}={result}")).collect::<Vec<_>>().join(" "),
        });
        Ok(holds)
    }
}

/// The results of trusted servers: (method, result), lower-case. Only the topmost field of a server counts: those below
/// it came with the message.
pub(in super::super) fn results(message: &Message, is_trusted: &dyn Fn(&str) -> bool) -> Vec<(String, String)> {
    for field in message.all("Authentication-Results").take(50) {
        let value = without_comments(field.value());
        let mut parts = value.split(';').map(str::trim);
        let server = parts.next().unwrap_or_default().split_whitespace().next().unwrap_or_default().to_lowercase();
        if is_trusted(&server) {
            let methods = parts.filter_map(|part| part.split_whitespace().next()?.split_once('='));
            return methods.map(|(method, result)| (method.to_lowercase(), result.to_lowercase())).collect();
        }
    }
    Vec::new()
}

/// Comments stand in parentheses, nested ones too (RFC 5322 3.2.2).
fn without_comments(value: &str) -> String {
    let mut depth = 0_u32;
    value
        .chars()
        .filter(|c| match c {
            '(' => {
                depth += 1;
                false
            }
            ')' if depth > 0 => {
                depth -= 1;
                false
            }
            _ => depth == 0,
        })
        .collect()
}
