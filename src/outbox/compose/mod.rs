//! Composes the mail that is sent: forwards, answers, notifications. Every value that comes from a message goes through
//! [`crate::message::composed_field`], so that it cannot add a second field.

mod answer;
mod body;
mod forward;
mod notification;

pub use answer::{reject, reply, vacation};
pub use forward::redirect;
pub use notification::notification;

use jiff::{Timestamp, Zoned};

use crate::message::{Address, Message, composed_field, parse_addresses};

/// The context for composing mail.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// The user's addresses.
    pub own: &'a [String],
    /// The characters between user and detail in an address.
    pub delimiters: &'a str,
    /// The address to write from if nothing else is specified.
    pub from: &'a str,
    /// This host, for Message-IDs and trace fields.
    pub host: &'a str,
    /// The number of the outbox item. The same item always gets the same Message-ID, so that a copy that is sent twice
    /// after a crash can be recognised.
    pub id: i64,
    /// When the item was decided. It is part of the Message-ID too.
    pub at: Timestamp,
    /// The current time.
    pub now: &'a Zoned,
}

/// A header block under construction.
#[derive(Debug, Default)]
struct HeaderWriter(String);

impl HeaderWriter {
    fn add(&mut self, name: &str, value: &str) {
        self.0.push_str(&composed_field(name, value));
    }

    /// Adds a field of ids, which have no brackets. Each is on its own line, and none is encoded. Without ids no field is added.
    fn add_ids(&mut self, name: &str, ids: &[String]) {
        let lines: Vec<String> = ids.iter().map(|id| format!(" <{id}>\n")).collect();
        if !lines.is_empty() {
            self.0.push_str(&format!("{name}:{}", lines.concat()));
        }
    }
}

impl Desk<'_> {
    fn date(&self) -> String {
        jiff::fmt::rfc2822::to_string(self.now).unwrap_or_default()
    }

    fn message_id(&self) -> String {
        // The domain of the address, not the name of this machine, which is private (RFC 3834 3.1.1).
        let from = bare(self.from).to_lowercase();
        let domain = from.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
        // Other users of that domain number their items too, and one message may reach many of them in the same second.
        let user = data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(&from)[..4]);
        format!("<mailsluice.{}.{}.{user}@{}>", self.id, self.at.as_second(), id_part(domain))
    }

    /// The user's own address that the message was sent to, or else the one to write from. The display name is always the
    /// user's, never the one that the sender wrote. `more`: addresses that a rule adds to the user's own.
    fn addressed(&self, original: &Message, more: &[String]) -> String {
        let found = original.recipients().iter().find_map(|address| self.own_address(address, more));
        let other = found.filter(|own| !own.eq_ignore_ascii_case(&bare(self.from)));
        other.unwrap_or_else(|| self.from.to_owned())
    }

    /// The user's own address that this one stands for, without its detail: the sender may have chosen the detail, and many
    /// relays do not accept such an address as sender.
    fn own_address(&self, address: &Address, more: &[String]) -> Option<String> {
        let is_own = |text: &str| self.own.iter().chain(more).any(|own| own.eq_ignore_ascii_case(text));
        let plain = format!("{}@{}", address.user(self.delimiters), address.domain());
        [address.address.clone(), plain].into_iter().find(|text| is_own(text))
    }
}

/// The bare address of `Name <address>`.
fn bare(text: &str) -> String {
    parse_addresses(text).into_iter().next().map_or_else(|| text.to_owned(), |address| address.address)
}

/// A host name with only the characters that a Message-ID may have.
fn id_part(host: &str) -> String {
    let clean: String = host.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')).collect();
    if clean.is_empty() { "localhost".to_owned() } else { clean }
}
