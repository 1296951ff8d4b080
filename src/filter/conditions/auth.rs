//! `auth`: the SPF, DKIM and DMARC results of a trusted server (RFC 8601). Results of other servers are not read,
//! because anybody can write an Authentication-Results field. A trusted server must remove fields forged in its name
//! (RFC 8601 5).

use super::super::asking::{Asking, Break};
use super::super::compile::Compiler;
use super::authres::{self, AuthResult};
use super::{BoxedCondition, Condition, ConditionWord};
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

pub(super) const AUTH: ConditionWord = ConditionWord::new(
    (
        "auth",
        "What a trusted server found: {dmarc: fail}. Only Authentication-Results of servers under `trust` count; without one, false. Below the first Received, a pass counts in the topmost of them alone.",
        Takes::Section(&KEYS),
    ),
    read,
);

/// How many fields of that name are examined.
const MAX_FIELDS: usize = 50;

#[derive(Debug)]
struct AuthCondition {
    wanted: Vec<(&'static str, Vec<String>)>,
    by: Option<String>,
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
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
    Some(Box::new(AuthCondition { wanted, by }))
}

impl Condition for AuthCondition {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let message = std::sync::Arc::clone(asking.message());
        let is_trusted = |server: &str| match &self.by {
            Some(by) => by == server && asking.around.is_empty(),
            None => asking.trusts(server),
        };
        let Results { believed, doubted, is_unsound } = results(&message, &is_trusted);
        let holds = !believed.is_empty()
            && self.wanted.iter().all(|(method, wanted)| {
                believed.iter().any(|(name, result)| name == method && wanted.contains(result))
            });
        asking.saw(holds, || {
            let mut seen =
                if believed.is_empty() { "no trusted server said anything".to_owned() } else { list(&believed) };
            if is_unsound {
                seen.push_str("; a quote or comment in its field does not end, so that only failures in it count");
            }
            match doubted.is_empty() {
                true => seen,
                false => format!("{seen}; {} is not believed: a sender can write that field too", list(&doubted)),
            }
        });
        Ok(holds)
    }
}

fn list(results: &[(String, String)]) -> String {
    results.iter().map(|(method, result)| format!("{method}={result}")).collect::<Vec<_>>().join(" ")
}

/// What the fields of trusted servers say: (method, result), lower-case.
#[derive(Debug, Default)]
pub(in super::super) struct Results {
    pub(in super::super) believed: Vec<(String, String)>,
    /// Passes that the sender may have forged.
    doubted: Vec<(String, String)>,
    /// A field cannot be read, so only its failures count.
    is_unsound: bool,
}

/// The results of trusted servers. A server may write one field for each program that it uses (opendkim and opendmarc
/// do; RFC 8601 4 and 7.10). Some servers write the fields above their own Received. Milters of Postfix write them
/// below it, and fields that a directly connected sender wrote follow. Therefore:
///
/// - above the first Received, or without a Received, all fields count;
/// - below it, the topmost field counts, and other fields down to the next Received count unless they say pass: a sender
///   who forges a failure harms only himself;
/// - for each method, the topmost field counts;
/// - if a field has an unclosed comment or quote, only its failures count, at any position in it.
pub(in super::super) fn results(message: &Message, is_trusted: &dyn Fn(&str) -> bool) -> Results {
    let mut found = Results::default();
    let (mut is_below_received, mut is_further) = (false, false);
    let mut looked_at = 0;
    for field in message.fields() {
        if field.is_named("Received") {
            is_below_received = true;
        }
        if is_further && field.is_named("Received") || looked_at == MAX_FIELDS {
            break;
        }
        if !field.is_named("Authentication-Results") {
            continue;
        }
        looked_at += 1;
        // The raw value is used, because encoded words in it contain untrusted text.
        let results = match authres::read(&String::from_utf8_lossy(field.raw())) {
            Some(AuthResult::Sound { server, results }) if is_trusted(&server) => results,
            Some(AuthResult::Unsound { words, failures }) if words.iter().any(|word| is_trusted(word)) => {
                found.is_unsound = true;
                failures
            }
            _ => continue,
        };
        let known = found.believed.len();
        for (method, result) in results {
            if found.believed[..known].iter().any(|(above, _)| *above == method) {
                continue;
            }
            let is_doubtful = is_below_received && is_further && is_pass(&result);
            if is_doubtful { found.doubted.push((method, result)) } else { found.believed.push((method, result)) }
        }
        is_further = true;
    }
    found.doubt_contradictions();
    found
}

impl Results {
    /// A message has one DMARC result. If there are two, the pass may come from a comment that quotes the sender.
    fn doubt_contradictions(&mut self) {
        let is_dmarc = |(method, _): &(String, String)| method == "dmarc";
        if self.believed.iter().any(|it| is_dmarc(it) && !is_pass(&it.1)) {
            self.doubted.extend(self.believed.extract_if(.., |it| is_dmarc(it) && is_pass(&it.1)));
        }
    }
}

/// Whether a result is a pass: `pass`, or `bestguesspass`, which Microsoft writes for domains without a DMARC record.
fn is_pass(result: &str) -> bool {
    result.ends_with("pass")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Bytes;

    fn results_of(head: &str) -> Results {
        let message = Message::new(Bytes::Memory(format!("{head}\n\n").into_bytes()));
        results(&message, &|server| server == "mx.example.org")
    }

    fn found(head: &str) -> String {
        list(&results_of(head).believed)
    }

    fn field(results: &str) -> String {
        format!("Authentication-Results: mx.example.org; {results}")
    }

    const RECEIVED: &str = "Received: from a by mx.example.org; Sat, 28 Nov 2026 10:00:00 +0000";

    #[test]
    fn all_fields_of_a_server_down_to_the_next_received_count() {
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
        let two = format!("{}\n{}\n{RECEIVED}", field("dmarc=fail"), field("dmarc=pass; spf=pass"));
        assert_eq!(found(&two), "dmarc=fail spf=pass");
        assert_eq!(found(&field("dkim=fail header.d=a; dkim=pass header.d=b")), "dkim=fail dkim=pass");
    }

    #[test]
    fn a_pass_that_the_sender_may_have_written_is_not_believed() {
        let forged = |results: &str| results_of(&format!("{RECEIVED}\n{}\n{}", field("dkim=pass"), field(results)));
        for (results, believed, doubted) in [
            ("dmarc=pass; spf=pass", "dkim=pass", "dmarc=pass spf=pass"),
            ("dmarc=bestguesspass", "dkim=pass", "dmarc=bestguesspass"),
            ("dmarc=fail; dmarc=pass", "dkim=pass dmarc=fail", "dmarc=pass"),
            ("dkim=fail; spf=softfail", "dkim=pass spf=softfail", ""),
        ] {
            let found = forged(results);
            assert_eq!((list(&found.believed), list(&found.doubted)), (believed.into(), doubted.into()), "{results}");
        }
        let later = format!("{RECEIVED}\n{}\n{}\n{}", field("dkim=pass"), field("dmarc=pass"), field("dmarc=fail"));
        assert_eq!(found(&later), "dkim=pass dmarc=fail", "a pass that is not believed hides no failure");
        let above = format!("{}\n{}\n{RECEIVED}\n{}", field("dkim=pass"), field("spf=pass"), field("dmarc=pass"));
        assert_eq!(found(&above), "dkim=pass spf=pass", "the sender writes below the first Received");
    }

    /// Text from the sender leaves a comment or a quote open, or closes it too early.
    #[test]
    fn a_field_that_cannot_be_read_hides_no_failure_and_proves_no_pass() {
        for unsound in [
            "mx.example.org; spf=pass (a; dmarc=fail",
            "mx.example.org; spf=pass (a (b); dmarc=fail",
            "mx.example.org; spf=pass (a \\); dmarc=fail",
            "mx.example.org; dkim=pass reason=\"a; dmarc=fail",
            "mx.example.org; dkim=pass reason=\"a\\\"; DMARC = Fail",
            "mx.example.org; spf=pass (a)); dmarc=pass; dmarc/1=fail",
            "\"mx.example.org; dmarc=fail",
            "(mx.example.org; dmarc=fail",
            "(a comment mx.example.org; dmarc=fail; dmarc=pass",
        ] {
            let head = format!("Authentication-Results: {unsound}\n{}\n{RECEIVED}", field("dmarc=pass"));
            assert_eq!(found(&head), "dmarc=fail", "{unsound}");
        }
        let open = format!("{RECEIVED}\n{}\n{}", field("dkim=none (a"), field("dmarc=pass"));
        assert_eq!(found(&open), "", "the sender's field is no topmost one");
        assert_eq!(found("Authentication-Results: elsewhere; spf=pass (a; dmarc=fail"), "");
    }
}
