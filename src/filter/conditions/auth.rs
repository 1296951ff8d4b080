//! `auth`: SPF, DKIM and DMARC as a server of one's own saw them (RFC 8601). What other servers claim is not read: anybody
//! can write an Authentication-Results field.

use super::super::asking::{Asking, Break};
use super::super::compile::Compiler;
use super::{Boxed, Condition, Word, authres};
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

/// So many fields of that name are looked at.
const MAX_FIELDS: usize = 50;

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

/// The results of trusted servers: (method, result), lower-case. A server may write a field for each program that it asks
/// (opendkim and opendmarc do; RFC 8601 4 and 7.10): the fields from its topmost down to the next Received count, those
/// below came with the message. Of each method the topmost field counts.
pub(in super::super) fn results(message: &Message, is_trusted: &dyn Fn(&str) -> bool) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut is_within = false;
    let mut looked_at = 0;
    for field in message.fields() {
        if is_within && field.is_named("Received") || looked_at == MAX_FIELDS {
            break;
        }
        if !field.is_named("Authentication-Results") {
            continue;
        }
        looked_at += 1;
        // As it stands: what is encoded within it is the text of strangers.
        let Some((server, results)) = authres::read(&String::from_utf8_lossy(field.raw())) else { continue };
        if is_trusted(&server) {
            is_within = true;
            let known = found.len();
            for (method, result) in results {
                if found[..known].iter().all(|(above, _)| *above != method) {
                    found.push((method, result));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Bytes;

    fn found(head: &str) -> String {
        let message = Message::new(Bytes::Memory(format!("{head}\n\n").into_bytes()));
        let found = results(&message, &|server| server == "mx.example.org");
        found.iter().map(|(method, result)| format!("{method}={result}")).collect::<Vec<_>>().join(" ")
    }

    const RECEIVED: &str = "Received: from a by mx.example.org; Sat, 28 Nov 2026 10:00:00 +0000";

    #[test]
    fn all_fields_of_a_server_down_to_the_next_received_count() {
        let field = |results: &str| format!("Authentication-Results: mx.example.org; {results}");
        let two = format!("{}\n{}\n{RECEIVED}", field("dkim=fail"), field("dmarc=fail"));
        assert_eq!(found(&two), "dkim=fail dmarc=fail");
        let below = format!(
            "{RECEIVED}\n{}\nX: y\n{}\n{RECEIVED}\n{}",
            field("spf=fail"),
            field("dkim=none"),
            field("dmarc=pass")
        );
        assert_eq!(found(&below), "spf=fail dkim=none", "what stands below the next Received came with the message");
        let other = format!("Authentication-Results: elsewhere; dmarc=pass\n{}\n{RECEIVED}", field("dmarc=fail"));
        assert_eq!(found(&other), "dmarc=fail");
    }

    #[test]
    fn what_is_encoded_in_a_field_makes_no_result() {
        let head = "Authentication-Results: mx.example.org; spf=fail smtp.mailfrom==?utf-8?Q?=3B_dmarc=3Dpass?=";
        assert_eq!(found(head), "spf=fail");
    }

    #[test]
    fn of_one_method_the_topmost_field_counts() {
        let forged = "Authentication-Results: mx.example.org; dmarc=fail\n\
                      Authentication-Results: mx.example.org; dmarc=pass; spf=pass";
        assert_eq!(found(forged), "dmarc=fail spf=pass");
        let signatures = "Authentication-Results: mx.example.org; dkim=fail header.d=a; dkim=pass header.d=b";
        assert_eq!(found(signatures), "dkim=fail dkim=pass");
    }
}
