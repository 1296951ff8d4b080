//! Interprets an address list: as the addresses in received mail, or as the recipients of mail to be sent.

use std::fmt;

use super::Address;
use super::reader::{Member, MemberKind, members};

/// A list of addresses, including its members that could not be read.
#[derive(Clone, Debug, Default)]
pub struct ParsedAddresses(Vec<Member>);

/// A recipient of mail to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// `local@domain`. A quoted local part keeps its quotes.
    Address(String),
    /// A name without a domain.
    Bare(String),
}

/// A part of a list that does not clearly name a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not an address.
    NoAddress(String),
    /// A word before a comma and a name. It may be a recipient or a part of that name.
    Doubtful(String),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress(text) => write!(f, "`{}` cannot be read as one address", crate::clean::short(text, 80)),
            Self::Doubtful(text) => write!(
                f,
                "`{}` may be a recipient or a part of the name behind it; write quotes around the name, or a domain",
                crate::clean::short(text, 80)
            ),
        }
    }
}

impl ParsedAddresses {
    /// Parses decoded text.
    pub fn read(value: &str) -> Self {
        Self(members(value, usize::MAX))
    }

    pub(super) fn at_most(value: &str, most: usize) -> Self {
        Self(members(value, most))
    }

    /// All addresses that can be read. Meant for received mail. A part without an address that is followed by a comma
    /// and a name belongs to that name: `Doe, Jane <jane@example.org>`.
    pub fn addresses(self) -> Vec<Address> {
        let mut found = Vec::new();
        let mut loose = Vec::new();
        for member in self.0 {
            match member.what {
                MemberKind::Bare(_) | MemberKind::Words(_) => {
                    loose.push(member.what);
                    if !member.ends_at_comma {
                        found.extend(loose.drain(..).filter_map(alone));
                    }
                    continue;
                }
                MemberKind::Mailbox(address, true) => {
                    let name = loose.drain(..).map(part).chain(address.name).collect::<Vec<_>>().join(", ");
                    found.push(Address { name: Some(name), address: address.address }.plain());
                }
                MemberKind::Mailbox(address, false) | MemberKind::Torn(Some(address)) => {
                    found.extend(loose.drain(..).filter_map(alone));
                    found.push(address.plain());
                }
                MemberKind::Torn(None) => found.extend(loose.drain(..).filter_map(alone)),
            }
        }
        found.extend(loose.into_iter().filter_map(alone));
        found
    }

    /// All recipients, or the parts that cannot be read: mail is sent only if every recipient is unambiguous. `is_user`
    /// says which bare names are recipients at any position.
    pub fn recipients(self, is_user: &dyn Fn(&str) -> bool) -> Result<Vec<Recipient>, Vec<Unreadable>> {
        let mut found = Vec::new();
        let mut bad = Vec::new();
        let mut loose: Vec<Member> = Vec::new();
        for member in self.0 {
            match member.what {
                MemberKind::Bare(word) if is_user(&word) => {
                    loose.drain(..).for_each(|piece| settle(piece, &mut found, &mut bad));
                    found.push(Recipient::Bare(word));
                }
                MemberKind::Bare(_) | MemberKind::Words(_) if member.ends_at_comma => loose.push(member),
                MemberKind::Mailbox(address, true) => {
                    let doubtful = loose.drain(..).filter(|piece| matches!(piece.what, MemberKind::Bare(_)));
                    bad.extend(doubtful.map(|piece| Unreadable::Doubtful(piece.text)));
                    found.push(recipient(address));
                }
                _ => {
                    loose.push(member);
                    loose.drain(..).for_each(|piece| settle(piece, &mut found, &mut bad));
                }
            }
        }
        loose.into_iter().for_each(|piece| settle(piece, &mut found, &mut bad));
        if bad.is_empty() { Ok(found) } else { Err(bad) }
    }
}

/// Adds a domain to each bare name in a raw field value. `complete` gives the address for a name. `None` if nothing has
/// to be completed, or if a part cannot be read. If the address is not the bare name with a domain, the name is kept
/// before it: `root <me@example.org>`.
pub fn complete_addresses(raw: &[u8], complete: &dyn Fn(&str) -> Option<String>) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(raw).ok()?;
    let list = ParsedAddresses::read(text);
    list.clone().recipients(&|name| complete(name).is_some_and(|address| !is_name_of(name, &address))).ok()?;
    let mut completed = String::with_capacity(text.len());
    let mut done = 0;
    for member in &list.0 {
        let Some(place) = &member.bare_at else { continue };
        let name = &text[place.clone()];
        let Some(address) = complete(name) else { continue };
        completed.push_str(&text[done..place.start]);
        match &member.what {
            MemberKind::Bare(_) if !is_name_of(name, &address) => completed.extend([name, " <", &address, ">"]),
            _ => completed.push_str(&address),
        }
        done = place.end;
    }
    completed.push_str(&text[done..]);
    (done > 0).then(|| completed.into_bytes())
}

fn is_name_of(name: &str, address: &str) -> bool {
    address.rsplit_once('@').is_some_and(|(local, _)| local == name)
}

/// Adds a member that is complete: the next member does not continue its name.
fn settle(member: Member, found: &mut Vec<Recipient>, bad: &mut Vec<Unreadable>) {
    match member.what {
        MemberKind::Mailbox(address, _) => found.push(recipient(address)),
        MemberKind::Bare(word) => found.push(Recipient::Bare(word)),
        MemberKind::Words(_) | MemberKind::Torn(_) => bad.push(Unreadable::NoAddress(member.text)),
    }
}

fn recipient(address: Address) -> Recipient {
    if address.address.contains('@') { Recipient::Address(address.address) } else { Recipient::Bare(address.address) }
}

/// The address in a member that stands alone.
fn alone(what: MemberKind) -> Option<Address> {
    match what {
        MemberKind::Bare(address) => Some(Address { name: None, address }),
        _ => None,
    }
}

/// The text of a member as a part of a name.
fn part(what: MemberKind) -> String {
    match what {
        MemberKind::Bare(words) | MemberKind::Words(words) => words,
        MemberKind::Mailbox(..) | MemberKind::Torn(_) => String::new(),
    }
}
