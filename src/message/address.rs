//! Addresses in header fields (RFC 5322 3.4), as far as people's mail lets one read them.

use mailparse::{MailAddr, addrparse};

/// The most addresses taken from one field.
const MAX_ADDRESSES: usize = 1_000;

/// One mailbox: `Ann Example <ann@example.org>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The display name, if there is one.
    pub name: Option<String>,
    /// `local@domain` as written.
    pub address: String,
}

impl Address {
    /// What stands before the last `@`.
    pub fn local_part(&self) -> &str {
        self.address.rsplit_once('@').map_or(&self.address, |(local, _)| local)
    }

    /// What stands behind the last `@`; empty without one.
    pub fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// The addresses in a decoded field value, groups opened. Where the syntax is broken, everything that looks
/// like `a@b` is taken.
pub fn parse(value: &str) -> Vec<Address> {
    let Ok(list) = addrparse(value) else { return anything_like_an_address(value) };
    let mut found = Vec::new();
    for entry in list.iter() {
        match entry {
            MailAddr::Single(one) => found.push(of(one)),
            MailAddr::Group(group) => found.extend(group.addrs.iter().map(of)),
        }
        if found.len() >= MAX_ADDRESSES {
            found.truncate(MAX_ADDRESSES);
            break;
        }
    }
    found
}

fn of(one: &mailparse::SingleInfo) -> Address {
    Address { name: one.display_name.clone(), address: one.addr.trim().to_owned() }
}

/// Spam and old mailing-list software write fields no grammar accepts; their addresses still matter to rules.
fn anything_like_an_address(value: &str) -> Vec<Address> {
    value
        .split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';' | '"' | '(' | ')'))
        .filter(|word| word.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty()))
        .take(MAX_ADDRESSES)
        .map(|word| Address { name: None, address: word.to_owned() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(value: &str) -> Vec<String> {
        parse(value).into_iter().map(|a| a.address).collect()
    }

    #[test]
    fn names_groups_and_comments() {
        assert_eq!(addresses("Ann <a@b.example>, c@d.example"), ["a@b.example", "c@d.example"]);
        assert_eq!(addresses("Friends: a@b.example, c@d.example;"), ["a@b.example", "c@d.example"]);
        assert_eq!(parse("Ann <a@b.example>")[0].name.as_deref(), Some("Ann"));
    }

    #[test]
    fn broken_lists_still_give_addresses() {
        assert_eq!(addresses("\"unbalanced <a@b.example>"), ["a@b.example"]);
        assert!(parse(&";".repeat(100_000)).is_empty());
        assert!(parse(&"(".repeat(100_000)).is_empty());
    }
}
