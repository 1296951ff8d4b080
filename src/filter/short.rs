//! Short forms: the meaning of a comparison that is only a text or a list of texts.
//!
//! | about | a short form means |
//! |---|---|
//! | a subject, a text, the name of a file | it holds this |
//! | addresses: `a@b.example`, `Ann <a@b.example>` | the whole address is this |
//! | addresses: `@b.example`, `b.example` | the domain is this, or one below it |
//! | anything else | the whole value is this |

use super::comparison::Comparison;
use super::compile::Compiler;
use super::valued::ComparisonKind;
use crate::clean;
use crate::config::problem::Problem;
use crate::config::yaml::{Node, Span, Value};
use crate::message;

/// What is compared. It decides what a short form means, and which habits are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ComparedKind<'a> {
    Subject,
    /// The text of a message or of a part.
    Text,
    FileName,
    Addresses,
    /// A header field of this name.
    Field(&'a str),
    Account,
    ListId,
    MediaType,
    /// Something for which there are no special habits.
    #[default]
    Value,
}

impl ComparedKind<'_> {
    /// How a text with values is compared.
    fn of_value(self) -> ComparisonKind {
        match self {
            Self::Subject | Self::Text | Self::FileName => ComparisonKind::Contains,
            Self::Addresses => ComparisonKind::Address,
            _ => ComparisonKind::Is,
        }
    }
}

/// The meaning of one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// The whole value equals it.
    Is(String),
    /// The value contains it.
    Contains(String),
    /// It is the domain of an address, or a parent domain.
    Below(String),
}

impl Meant {
    /// The text.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Is(text) | Self::Contains(text) | Self::Below(text) => text,
        }
    }
}

/// A short form that accepts more than the whole value, and its position.
#[derive(Debug)]
pub(super) struct Wide {
    span: Span,
    meant: Meant,
}

impl Wide {
    /// Warns if the rule hides accepted messages from their reader.
    pub(super) fn warn(&self, compiler: &mut Compiler<'_, '_>) {
        let (message, hint) = match &self.meant {
            Meant::Is(_) => return,
            Meant::Contains(text) => {
                let text = clean::short(text, 40);
                let message = format!("whatever contains `{text}` is discarded, rejected or forwarded without a copy");
                (message, format!("write {{contains: {text}}} if that is meant, or {{is: {text}}} for the whole value"))
            }
            Meant::Below(domain) => {
                let domain = clean::short(domain, 40);
                let message = format!(
                    "mail from everybody at {domain} and below is discarded, rejected or forwarded without a copy"
                );
                let all = format!("{{matches: [\"*@{domain}\", \"*.{domain}\"]}}");
                (
                    message,
                    format!("write {all} if that is meant, or {{is: {domain}, part: domain}} for this domain alone"),
                )
            }
        };
        compiler.problems.warn(self.span, message).hint(hint);
    }
}

impl Compiler<'_, '_> {
    /// Reads a comparison in its short form.
    pub(super) fn short(&mut self, node: &Node, about: ComparedKind<'_>) -> Option<Comparison> {
        let texts = self.whole_texts(node, "a text to compare with, or a comparison")?;
        let (mut fixed, mut valued) = (Vec::new(), Vec::new());
        for (text, at) in texts.into_iter().zip(node.each()) {
            match text.as_literal() {
                Some(text) => {
                    let meant = self.meant(text.to_owned(), at.span, about);
                    if let Some(meant) = &meant {
                        self.doubt_short(meant, at, about);
                    }
                    fixed.push(meant);
                }
                None => {
                    self.is_wide(at, about);
                    valued.push(text);
                }
            }
        }
        let fixed = fixed.into_iter().collect::<Option<Vec<_>>>()?;
        let mut comparison = Comparison::default();
        self.add(&mut comparison.comparator, about.of_value(), (fixed, valued), node).then_some(comparison)
    }

    /// Records a short form that accepts more than the whole value. The meaning of a value is known only for a message.
    fn is_wide(&mut self, node: &Node, about: ComparedKind<'_>) {
        let written = node.as_text().unwrap_or_default().to_owned();
        let meant = match about.of_value() {
            ComparisonKind::Contains => Meant::Contains(written),
            ComparisonKind::Address => Meant::Below(written),
            _ => return,
        };
        self.wide.push(Wide { span: node.span, meant });
    }

    fn meant(&mut self, text: String, span: Span, about: ComparedKind<'_>) -> Option<Meant> {
        let meant = match about {
            _ if text.is_empty() => Meant::Is(text),
            ComparedKind::Subject | ComparedKind::Text | ComparedKind::FileName => Meant::Contains(text),
            ComparedKind::Addresses => self.address_meant(text, span)?,
            _ => Meant::Is(text),
        };
        if !matches!(meant, Meant::Is(_)) && !self.is_literal() {
            self.wide.push(Wide { span, meant: meant.clone() });
        }
        Some(meant)
    }

    /// The meaning of a text that is compared with addresses. A word without a dot may be a name, a mailbox or a list,
    /// so the user must write which. A text from a script was an address already.
    fn address_meant(&mut self, text: String, span: Span) -> Option<Meant> {
        if let Some(domain) = text.strip_prefix('@') {
            return Some(Meant::Below(domain.to_owned()));
        }
        if text.contains(['<', ',']) {
            return self.address_within(&text, span);
        }
        match text {
            text if text.contains('@') || self.is_literal() => Some(Meant::Is(text)),
            text if text.contains('.') && !text.contains(' ') => Some(Meant::Below(text)),
            text => {
                self.neither_address_nor_domain(&text, span);
                None
            }
        }
    }

    /// The meaning of `Ann <ann@b.example>`, which names one address.
    fn address_within(&mut self, text: &str, span: Span) -> Option<Meant> {
        let mut found = message::parse_addresses(text);
        if found.len() == 1 {
            return found.pop().map(|one| Meant::Is(one.address));
        }
        let problem = self.problems.error(span, format!("`{}` is not one address", clean::short(text, 60)));
        problem.hint("write a list, like [ann@b.example, bob@b.example]");
        None
    }

    fn neither_address_nor_domain(&mut self, text: &str, span: Span) {
        let shown = clean::short(text, 40);
        let is_list = text == "me" || self.shared.lists.contains_key(text);
        let problem: &mut Problem = self.problems.error(span, format!("`{shown}` is neither an address nor a domain"));
        problem.hint(match is_list {
            true => format!("write {{in_list: {shown}}} for the list"),
            false => format!(
                "write {{is: {shown}, part: localpart}} for what stands before the @, {{contains: {shown}, part: name}} for a \
                 person's name, or {{contains: {shown}}} for a piece of the address"
            ),
        });
    }
}

impl Node {
    /// The items of a list, or the node itself if it is not a list.
    pub(super) fn each(&self) -> &[Self] {
        match &self.value {
            Value::Seq(items) if !items.is_empty() => items.as_slice(),
            _ => std::slice::from_ref(self),
        }
    }
}
