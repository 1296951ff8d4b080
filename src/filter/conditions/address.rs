//! `address`, its short forms `from` and `to`, and `envelope`: addresses and their parts.

use super::super::asking::{Asking, Break};
use super::super::comparison::{AddressPart, Allowed, COMPARED, Comparison};
use super::super::compile::Compiler;
use super::super::fields::Fields;
use super::super::short::ComparedKind;
use super::{BoxedCondition, Condition, ConditionWord, header};
use crate::config::reader::{self, Takes};
use crate::config::yaml::{Node, Value};
use crate::message::Address;

const ADDRESS_TAKES: Takes = Takes::Named(&COMPARED);
pub(super) const ADDRESS: ConditionWord = ConditionWord::new(
    (
        "address",
        "Addresses in from, to, cc or another field, or any `recipient`, each with a comparison: {from: {is: x.example, part: domain}}.",
        ADDRESS_TAKES,
    ),
    |node, compiler| header::by_field(node, compiler, in_fields),
);

pub(super) const FROM: ConditionWord =
    ConditionWord::new(("from", "Short for {address: {from: …}}.", COMPARED), |node, compiler| {
        read(Which::Named("from".to_owned()), node, compiler)
    });

pub(super) const TO: ConditionWord =
    ConditionWord::new(("to", "Short for {address: {recipient: …}}.", COMPARED), |node, compiler| {
        read(Which::Named("recipient".to_owned()), node, compiler)
    });

const ENVELOPE_TAKES: Takes = Takes::Named(&COMPARED);
pub(super) const ENVELOPE: ConditionWord = ConditionWord::new(
    (
        "envelope",
        "The envelope as the headers keep it: {from: …} is Return-Path (empty for bounces), {to: …} Delivered-To and its kin.",
        ENVELOPE_TAKES,
    ),
    |node, compiler| {
        if let Value::Map(entries) = &node.value {
            for (key, _) in entries.iter().filter(|(key, _)| !matches!(key.text.as_str(), "from" | "to")) {
                let message =
                    format!("an envelope has `from` and `to`, and no `{}`", crate::clean::short(&key.text, 40));
                compiler.problems.error(key.span, message);
            }
        } else {
            reader::mismatch(node, "{from: …} or {to: …}", &mut compiler.problems);
            return None;
        }
        header::by_field(node, compiler, |fields, node, compiler| {
            read(Which::Named(format!("envelope {}", fields.written())), node, compiler)
        })
    },
);

fn in_fields(fields: Fields, node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    let which = match fields {
        // `reply_to` is Reply-To, as in Lua and in templates.
        Fields::Named(name) => Which::Named(name.replace('_', "-")),
        several => Which::Several(several),
    };
    read(which, node, compiler)
}

fn read(which: Which, node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    let comparison =
        compiler.comparison(node, Allowed { about: ComparedKind::Addresses, part: true, many: true, raw: false })?;
    let is_text = comparison.part == AddressPart::Name;
    Some(Box::new(Addresses { which, comparison: comparison.of_text(is_text) }))
}

/// Whose addresses.
#[derive(Debug)]
enum Which {
    /// The addresses of one field, of any `recipient`, or of the envelope.
    Named(String),
    /// The addresses of all fields whose names match, or of the field that a value names.
    Several(Fields),
}

#[derive(Debug)]
struct Addresses {
    which: Which,
    comparison: Comparison,
}

impl Condition for Addresses {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let message = std::sync::Arc::clone(asking.message());
        let one = |address: &str| vec![Address { name: None, address: address.to_owned() }];
        let name = match &self.which {
            Which::Named(name) => name,
            Which::Several(fields) => {
                let fields = fields.of_message(asking)?;
                let found: Vec<&Address> = fields.of(&message).flat_map(|field| field.addresses()).collect();
                return self.accepts(fields.written(), found.into_iter(), asking);
            }
        };
        let found: Vec<Address> = match name.as_str() {
            "recipient" => return self.accepts(name, message.recipients().iter(), asking),
            "envelope from" if asking.around.is_empty() => message.envelope_sender().map(one).unwrap_or_default(),
            "envelope to" if asking.around.is_empty() => message.delivered_to().map(one).unwrap_or_default(),
            "envelope from" | "envelope to" => Vec::new(),
            field => return self.accepts(name, message.addresses(field), asking),
        };
        self.accepts(name, found.iter(), asking)
    }
}

impl Addresses {
    fn accepts<'a>(
        &self,
        name: &str,
        found: impl Iterator<Item = &'a Address>,
        asking: &mut Asking<'_>,
    ) -> Result<bool, Break> {
        let delimiters = &asking.settings.delimiters;
        let mut values = found.filter_map(|address| part_of(address, self.comparison.part, delimiters));
        if !self.comparison.is_plain() {
            return header::accepts(&self.comparison, name, &values.collect::<Vec<_>>(), asking);
        }
        // The common case needs no list of the values.
        let mut seen = Vec::new();
        for value in values.by_ref() {
            if self.comparison.comparator.accepts(value, asking)? {
                asking.saw(true, || header::seen(name, std::iter::once(value)));
                return Ok(true);
            }
            if asking.trace.is_some() {
                seen.push(value);
            }
        }
        asking.saw(false, || header::seen(name, seen.into_iter()));
        Ok(false)
    }
}

/// The part of an address; `None` if it has no such part.
fn part_of<'a>(address: &'a Address, part: AddressPart, delimiters: &str) -> Option<&'a str> {
    match part {
        AddressPart::All => Some(&address.address),
        AddressPart::Local => Some(address.local_part()),
        AddressPart::Domain => Some(address.domain()),
        AddressPart::Name => address.name.as_deref(),
        AddressPart::User => Some(address.user(delimiters)),
        AddressPart::Detail => address.detail(delimiters),
    }
}
