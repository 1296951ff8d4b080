//! The mail that is sent: forwards, answers, notifications. Every value from a message passes
//! [`crate::message::composed_field`], which cannot make two fields of one value.

mod answer;
mod body;
mod forward;
mod notification;

pub use answer::{reject, reply, vacation};
pub use forward::redirect;
pub use notification::notification;

use jiff::{Timestamp, Zoned};

use crate::message::{Address, Message, composed_field, parse_addresses};

/// What all mail that we write needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// The user's addresses.
    pub own: &'a [String],
    /// The characters between user and detail in an address.
    pub delimiters: &'a str,
    /// The address to write from when nothing else says so.
    pub from: &'a str,
    /// This host, for Message-IDs and trace fields.
    pub host: &'a str,
    /// Distinguishes what is told: the number of its row in the outbox. The same row gives the same Message-ID, so that
    /// a copy sent twice after a crash is recognised.
    pub id: i64,
    /// When it was decided: with the number it makes the Message-ID.
    pub at: Timestamp,
    /// Now.
    pub now: &'a Zoned,
}

/// A header block being written.
#[derive(Debug, Default)]
struct Head(String);

impl Head {
    fn add(&mut self, name: &str, value: &str) {
        self.0.push_str(&composed_field(name, value));
    }

    /// Ids without their brackets, one on a line and as they are: an encoded word is not an id. Nothing without any.
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
        // The domain of the address, not the name of this machine: that is nobody's business (RFC 3834 3.1.1).
        let from = bare(self.from).to_lowercase();
        let domain = from.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
        // Others of that domain number their rows too, and one message may reach many of them in the same second.
        let user = data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(&from)[..4]);
        format!("<mailsluice.{}.{}.{user}@{}>", self.id, self.at.as_second(), id_part(domain))
    }

    /// The own address that the message was sent to, else the one to write from. The name that goes with it is the
    /// user's, never the one the sender wrote. `more` are addresses that a rule calls own ones.
    fn addressed(&self, original: &Message, more: &[String]) -> String {
        let found = original.recipients().iter().find_map(|address| self.own_address(address, more));
        let other = found.filter(|own| !own.eq_ignore_ascii_case(&bare(self.from)));
        other.unwrap_or_else(|| self.from.to_owned())
    }

    /// The own address that this one is, without a detail: what stands behind the delimiter the sender chose, and many a
    /// relay sends from no such address.
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

/// A host name as it may stand in a Message-ID.
fn id_part(host: &str) -> String {
    let clean: String = host.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')).collect();
    if clean.is_empty() { "localhost".to_owned() } else { clean }
}
