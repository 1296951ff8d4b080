//! Delivery reports (RFC 3464): what happened to a message for each of its recipients.

use super::{Bytes, Message, parse_addresses};

/// At most this many bytes of a report are read.
const MAX_REPORT: usize = 256 * 1024;
/// How many recipients of a report are read.
const MAX_RECIPIENTS: usize = 100;
/// At most this many bytes of the returned header are read.
const MAX_RETURNED: usize = 64 * 1024;

/// What a report says about one recipient. Fields that the report does not have are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// `failed`, `delayed`, `delivered`, `relayed` or `expanded` (RFC 3464 2.3.3), lower-case.
    pub action: String,
    /// The status code (RFC 3463), for example `5.1.1`.
    pub status: String,
    /// The final recipient.
    pub recipient: String,
    /// The address that the sender used: the original recipient in the report, or else the first address in To of the
    /// returned message.
    pub original_to: String,
}

impl Message {
    /// What a delivery report says about its recipients; empty if the message is not a delivery report.
    pub fn reported(&self) -> Vec<Reported> {
        let types = ["message/delivery-status", "message/global-delivery-status"];
        let Some(index) = self.parts().iter().position(|part| types.contains(&part.content_type())) else {
            return Vec::new();
        };
        let text = String::from_utf8_lossy(&self.part_bytes(index, MAX_REPORT)).replace("\r\n", "\n");
        // The first block is about the message as a whole.
        let blocks = text.split("\n\n").map(str::trim_start).filter(|block| !block.is_empty());
        let about_one = |block: &&str| block.to_ascii_lowercase().contains("-recipient:");
        let sent_to = self.sent_to();
        blocks.filter(about_one).take(MAX_RECIPIENTS).map(|block| of_block(block, &sent_to)).collect()
    }

    /// The first address in To of the returned message or header.
    fn sent_to(&self) -> String {
        let is_returned = |kind: &str| {
            ["message/rfc822", "text/rfc822-headers", "message/global", "message/rfc822-headers"].contains(&kind)
        };
        let Some(index) = self.parts().iter().position(|part| is_returned(part.content_type())) else {
            return String::new();
        };
        let returned = Self::new(Bytes::Memory(self.part_bytes(index, MAX_RETURNED)));
        returned.addresses("To").next().map(|address| address.address.clone()).unwrap_or_default()
    }
}

fn of_block(block: &str, sent_to: &str) -> Reported {
    let fields = Message::new(Bytes::Memory(format!("{block}\n\n").into_bytes()));
    let word = |name: &str| fields.first(name).unwrap_or_default().trim().to_ascii_lowercase();
    // `rfc822; ann@example.org`
    let address = |name: &str| {
        let value = fields.first(name)?;
        let value = value.split_once(';').map_or(value, |(_, address)| address).trim();
        let read = parse_addresses(value).into_iter().next().map(|address| address.address);
        read.or_else(|| Some(value.to_owned())).filter(|address| !address.is_empty())
    };
    Reported {
        action: word("Action"),
        // `5.1.1 (bad destination)`
        status: word("Status").split_whitespace().next().unwrap_or_default().to_owned(),
        recipient: address("Final-Recipient").or_else(|| address("Original-Recipient")).unwrap_or_default(),
        original_to: address("Original-Recipient").unwrap_or_else(|| sent_to.to_owned()),
    }
}
