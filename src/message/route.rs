//! Sender, recipients and thread of a message, taken from the header, because fetched mail has no envelope.

use super::{Address, Field, Message};

/// The fields that name recipients (RFC 5322 3.6.3 and 3.6.6).
const RECIPIENTS: [&str; 6] = ["To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc"];

/// The fields in which a delivering server records the envelope recipient. The first one with an address counts.
const DELIVERED_TO: [&str; 5] = ["Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "X-Delivered-To"];

/// At most this many ids of a thread are returned (`reliability.md` E12).
pub const MAX_THREAD_IDS: usize = 100;

impl Message {
    /// The envelope sender in the first Return-Path (RFC 5321 4.4). Empty for a bounce, `None` without the field. If
    /// the field does not contain exactly one address, the whole value, which cannot equal an address.
    pub fn envelope_sender(&self) -> Option<&str> {
        let field = self.fields().iter().find(|field| field.is_named("Return-Path"))?;
        match (field.addresses(), field.value()) {
            (_, "" | "<>") => Some(""),
            // A value with an obsolete source route is not used as an envelope address.
            ([only], value) if !value.contains("<@") => Some(&only.address),
            (_, value) => Some(null_sender(value).unwrap_or(value)),
        }
    }

    /// All recipients named in the header. They are as trustworthy as the sender.
    pub fn recipients(&self) -> &[Address] {
        self.recipients.get_or_init(|| RECIPIENTS.iter().flat_map(|name| self.addresses(name)).cloned().collect())
    }

    /// The envelope recipient that the delivering server recorded: the first of Delivered-To, X-Original-To,
    /// Envelope-To, X-Envelope-To and X-Delivered-To that holds an address, in this order.
    pub fn delivered_to(&self) -> Option<&str> {
        let of = |name: &&str| self.fields().iter().filter(|f| f.is_named(name)).find_map(first_address);
        DELIVERED_TO.iter().find_map(of)
    }

    /// The Message-ID without its brackets (RFC 5322 3.6.4), or the whole value if it has no brackets.
    pub fn message_id(&self) -> Option<&str> {
        let value = self.first("Message-ID")?;
        Some(in_brackets(value).unwrap_or(value).trim()).filter(|id| !id.is_empty())
    }

    /// The ids of the messages that this one answers: those in In-Reply-To, then those in References, without brackets
    /// and without duplicates. If there are more than [`MAX_THREAD_IDS`], only the first and the last ones, because
    /// these are the beginning of the thread and the answered message.
    pub fn thread_ids(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = Vec::new();
        let mut tail: std::collections::VecDeque<&str> = std::collections::VecDeque::new();
        let mut seen = std::collections::HashSet::new();
        let values = ["In-Reply-To", "References"].iter().filter_map(|name| self.first(name));
        for id in values.flat_map(ids_in).filter(|id| seen.insert(*id)) {
            if ids.len() < MAX_THREAD_IDS / 2 {
                ids.push(id);
                continue;
            }
            if tail.len() == MAX_THREAD_IDS - MAX_THREAD_IDS / 2 {
                tail.pop_front();
            }
            tail.push_back(id);
        }
        ids.extend(tail);
        ids
    }
}

fn first_address(field: &Field) -> Option<&str> {
    field.addresses().iter().map(|address| address.address.as_str()).find(|address| !address.is_empty())
}

/// Recognises `<>`, also with blanks in it or a comment after it.
fn null_sender(value: &str) -> Option<&str> {
    let (inside, behind) = value.strip_prefix('<')?.split_once('>')?;
    let is_null = inside.trim().is_empty() && !behind.contains(['<', '@']);
    is_null.then_some("")
}

/// The text between the first `<` and the next `>`.
fn in_brackets(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once('<')?;
    rest.split_once('>').map(|(inside, _)| inside)
}

/// All texts in `<…>`. Old In-Reply-To fields also contain words.
fn ids_in(value: &str) -> impl Iterator<Item = &str> {
    let inside = |part: &'_ str| -> Option<usize> { part.find('>') };
    value
        .split('<')
        .skip(1)
        .filter_map(move |part| inside(part).map(|end| part[..end].trim()))
        .filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::Bytes;
    use super::*;

    fn message(text: &str) -> Message {
        Message::new(Bytes::Memory(text.as_bytes().to_vec()))
    }

    #[test]
    fn envelope_senders() {
        assert_eq!(message("Return-Path: <a@b>\nReturn-Path: <c@d>\n\n").envelope_sender(), Some("a@b"));
        assert_eq!(message("Return-Path: <>\n\n").envelope_sender(), Some(""));
        assert_eq!(message("Return-Path: a@b\n\n").envelope_sender(), Some("a@b"));
        assert_eq!(message("From: a@b\n\n").envelope_sender(), None);
    }

    #[test]
    fn recipients_and_where_it_was_delivered() {
        let text = "To: A <a@b>, c@d\nResent-To: e@f\nX-Original-To: me@x\nDelivered-To: \nEnvelope-To: <me@y>\n\n";
        let message = message(text);
        let all: Vec<_> = message.recipients().iter().map(|a| a.address.as_str()).collect();
        assert_eq!(all, ["a@b", "c@d", "e@f"]);
        assert_eq!(message.delivered_to(), Some("me@x"));
    }

    #[test]
    fn ids() {
        assert_eq!(message("Message-Id: (c) <1@a>\n\n").message_id(), Some("1@a"));
        assert_eq!(message("Message-ID: 1@a\n\n").message_id(), Some("1@a"));
        assert_eq!(message("Message-ID: <>\n\n").message_id(), None);
        let text = "In-Reply-To: your message <2@a> of today\nReferences: <1@a>\n <2@a> <broken <3@a>\n\n";
        assert_eq!(message(text).thread_ids(), ["2@a", "1@a", "3@a"]);
    }

    #[test]
    fn e12_a_hundred_thousand_ids_are_bounded() {
        let many: String = (0..5_000).map(|i| format!("<{i}@a>")).collect();
        let message = message(&format!("References: {many}\nReferences: {}\n\n", "<x@y>".repeat(100_000)));
        let ids = message.thread_ids();
        assert_eq!((ids.len(), ids[0], ids[99]), (MAX_THREAD_IDS, "0@a", "4999@a"));
    }
}
