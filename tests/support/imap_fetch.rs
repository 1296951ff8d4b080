//! FETCH, STORE and SEARCH of the IMAP server, with all that can be wrong with one message.

use super::date;
use super::faults::{MessageFault, PLACEHOLDER};
use super::imap_search::{self, Place, Problem};
use super::imap_server::{Answer, Refusal, Session, bad, no, ok};
use super::imap_syntax::{Bad, NumberSet, Words};
use super::mailbox::Stored;
use std::collections::BTreeSet;
use std::io;

/// One thing a FETCH asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Uid,
    Flags,
    Size,
    Internaldate,
    Body(BodyItem),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct BodyItem {
    /// As the reply names it: `BODY[HEADER]<5>`, `RFC822.HEADER`.
    name: String,
    section: Section,
    /// First byte and greatest length.
    partial: Option<(usize, usize)>,
    /// Not PEEK.
    sets_seen: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Section {
    Whole,
    Header,
    Text,
    Fields { named: bool, names: Vec<String> },
}

impl Session<'_> {
    pub async fn fetch(&mut self, words: &mut Words<'_>, by_uid: bool) -> Answer {
        let set = words.keyword()?;
        if self.conn.faults.has_habit("ascending-only") && !is_ascending(&set) {
            return bad("the numbers have to ascend");
        }
        let set = NumberSet::parse(&set)?;
        let names = words.list(Words::fetch_item)?;
        words.expect_end()?;
        let mut items = parse_items(&names)?;
        if self.conn.faults.has_habit("uid-last") {
            items.retain(|item| *item != Item::Uid);
            items.push(Item::Uid);
        }
        if by_uid && !items.contains(&Item::Uid) {
            items.insert(0, Item::Uid);
        }
        let folder = self.selected()?.folder.clone();
        let mut refused = false;
        for (number, uid) in self.resolve(&set, by_uid)? {
            let Some(message) = self.mailbox.read_message(&folder, uid, Clone::clone) else { continue };
            let wants_body = items.iter().any(|item| matches!(item, Item::Body(_)));
            let has = |fault: &MessageFault| self.conn.faults.has_message_fault(uid, fault);
            let is_silent = has(&MessageFault::NotGiven)
                || items == [Item::Uid] && has(&MessageFault::Unlisted)
                || !wants_body && has(&MessageFault::NotDescribed);
            if wants_body && has(&MessageFault::Refused) {
                refused = true;
            } else if !is_silent {
                self.fetch_one(&folder, number, message, &items).await?;
            }
        }
        if refused { no("[SERVERBUG] a message cannot be read") } else { ok("fetched") }
    }

    async fn fetch_one(&mut self, folder: &str, number: u32, message: Stored, items: &[Item]) -> io::Result<()> {
        let message = self.set_seen(folder, message, items);
        let is_lower = self.conn.faults.has_habit("lowercase");
        self.conn.send(format!("* {number} {} (", if is_lower { "fetch" } else { "FETCH" })).await?;
        let mut space = "";
        for item in items {
            let value = match item {
                Item::Uid => format!("UID {}", self.told_uid(&message)),
                Item::Flags => format!("FLAGS ({})", flag_list(&message.flags)),
                Item::Size => format!("RFC822.SIZE {}", self.told_size(&message)),
                Item::Internaldate => match self.told_date(&message) {
                    Some(date) => format!("INTERNALDATE \"{date}\""),
                    None => continue,
                },
                Item::Body(body) => {
                    self.conn.send(space).await?;
                    self.send_body(&message, body).await?;
                    space = " ";
                    continue;
                }
            };
            let value = if is_lower { value.to_lowercase() } else { value };
            self.conn.send(format!("{space}{value}")).await?;
            space = " ";
        }
        self.conn.send(")\r\n").await
    }

    /// Reading a body without PEEK sets \Seen.
    fn set_seen(&mut self, folder: &str, message: Stored, items: &[Item]) -> Stored {
        let reads = items.iter().any(|item| matches!(item, Item::Body(body) if body.sets_seen));
        if !reads || self.selected.as_ref().is_none_or(|selected| selected.read_only) {
            return message;
        }
        let marked = self.mailbox.change_folder(folder, |folder| {
            let stored = folder.message_mut(message.uid)?;
            stored.flags.insert("\\Seen".to_owned());
            Some(stored.clone())
        });
        marked.flatten().unwrap_or(message)
    }

    async fn send_body(&mut self, message: &Stored, item: &BodyItem) -> io::Result<()> {
        let faults = self.conn.faults.clone();
        if faults.has_message_fault(message.uid, &MessageFault::Nil) {
            return self.conn.send(format!("{} NIL", item.name)).await;
        }
        let is_placeholder = faults.has_message_fault(message.uid, &MessageFault::Placeholder);
        let whole: &[u8] = if is_placeholder { PLACEHOLDER } else { &message.bytes };
        let most = faults.message_fault(message.uid, |fault| match fault {
            MessageFault::ShortWindows(most) => Some(*most),
            _ => None,
        });
        let bytes = item.cut_out(whole);
        let bytes = &bytes[..bytes.len().min(most.unwrap_or(usize::MAX))];
        let more = faults.message_fault(message.uid, |fault| match fault {
            MessageFault::AnnouncedLonger(by) => Some(*by),
            _ => None,
        });
        let cut_at = faults.message_fault(message.uid, |fault| match fault {
            MessageFault::CutAt(byte) => Some((*byte).min(bytes.len())),
            _ => None,
        });
        self.conn.send(format!("{} {{{}}}\r\n", item.name, bytes.len() + more.unwrap_or(0))).await?;
        match cut_at {
            Some(byte) => self.conn.send_and_cut(&bytes[..byte]).await,
            None => self.conn.send(bytes).await,
        }
    }

    fn told_uid(&self, message: &Stored) -> u32 {
        let other = |fault: &MessageFault| if let MessageFault::Uid(uid) = fault { Some(*uid) } else { None };
        self.conn.faults.message_fault(message.uid, other).unwrap_or(message.uid)
    }

    fn told_size(&self, message: &Stored) -> usize {
        let other = |fault: &MessageFault| if let MessageFault::Size(size) = fault { Some(*size) } else { None };
        self.conn.faults.message_fault(message.uid, other).unwrap_or(message.bytes.len())
    }

    fn told_date(&self, message: &Stored) -> Option<String> {
        let hidden = self.conn.faults.has_message_fault(message.uid, &MessageFault::NoInternaldate);
        (!hidden).then(|| date::to_internaldate(message.internaldate))
    }

    /// `STORE set [+|-]FLAGS[.SILENT] (flags)`
    pub async fn store(&mut self, words: &mut Words<'_>, by_uid: bool) -> Answer {
        let set = NumberSet::parse(&words.keyword()?)?;
        let how = words.keyword()?;
        let flags = store_flags(words)?;
        words.expect_end()?;
        let (how, silent) = how.strip_suffix(".SILENT").map_or((how.as_str(), false), |how| (how, true));
        if !["FLAGS", "+FLAGS", "-FLAGS"].contains(&how) {
            return bad(format!("unknown {how}"));
        }
        let folder = self.writable()?.folder.clone();
        for (number, uid) in self.resolve(&set, by_uid)? {
            let changed = self.mailbox.change_folder(&folder, |folder| {
                let message = folder.message_mut(uid)?;
                match how {
                    "+FLAGS" => message.flags.extend(flags.iter().cloned()),
                    "-FLAGS" => message.flags.retain(|flag| !flags.contains(flag)),
                    _ => message.flags = flags.clone(),
                }
                Some(flag_list(&message.flags))
            });
            if let (Some(Some(list)), false) = (changed, silent) {
                let uid = if by_uid { format!("UID {uid} ") } else { String::new() };
                self.conn.send(format!("* {number} FETCH ({uid}FLAGS ({list}))\r\n")).await?;
            }
        }
        ok("stored")
    }

    pub async fn search(&mut self, words: &mut Words<'_>, by_uid: bool) -> Answer {
        let key = imap_search::parse(words).map_err(|problem| match problem {
            Problem::Charset => Refusal::No("[BADCHARSET (US-ASCII UTF-8)] not that one".to_owned()),
            Problem::Bad(text) => Refusal::Bad(text),
        })?;
        let selected = self.selected()?;
        let (last_number, last_uid) = (selected.uids.len() as u32, selected.uids.last().copied().unwrap_or(0));
        let found = self.mailbox.read_folder(&selected.folder, |folder| {
            let known = |(index, uid): (usize, &u32)| Some((index as u32 + 1, folder.message(*uid)?));
            let matching = |(number, message): &(u32, &Stored)| {
                key.matches(message, &Place { number: *number, last_number, last_uid })
            };
            let is_listed = |(_, message): &(u32, &Stored)| {
                !self.conn.faults.has_message_fault(message.uid, &MessageFault::Unlisted)
            };
            let shown = |(number, message): (u32, &Stored)| if by_uid { message.uid } else { number };
            selected
                .uids
                .iter()
                .enumerate()
                .filter_map(known)
                .filter(matching)
                .filter(is_listed)
                .map(shown)
                .collect::<Vec<u32>>()
        });
        let list: String = found.unwrap_or_default().iter().map(|number| format!(" {number}")).collect();
        let blank = if self.conn.faults.has_habit("trailing-blank") { " " } else { "" };
        if !list.is_empty() || !self.conn.faults.has_habit("no-search-line") {
            self.conn.send(format!("* SEARCH{list}{blank}\r\n")).await?;
        }
        ok("that is all")
    }
}

fn is_ascending(set: &str) -> bool {
    let first = |range: &str| range.split(':').next().and_then(|number| number.parse::<u32>().ok());
    set.split(',').map(first).is_sorted()
}

fn flag_list(flags: &BTreeSet<String>) -> String {
    flags.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// In parentheses or not. The system flags in the one spelling they are stored in.
fn store_flags(words: &mut Words<'_>) -> Result<BTreeSet<String>, Bad> {
    words.skip_space();
    let bare = !words.next_is(b'(');
    let mut flags = words.list(|words| {
        words.skip_space();
        words.atom()
    })?;
    while bare && !words.at_end() {
        words.skip_space();
        flags.push(words.atom()?);
    }
    Ok(flags.into_iter().map(canonical_flag).collect())
}

fn canonical_flag(flag: String) -> String {
    let known = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"];
    known.iter().find(|known| known.eq_ignore_ascii_case(&flag)).map_or(flag, |known| known.to_string())
}

fn parse_items(names: &[String]) -> Result<Vec<Item>, Bad> {
    let mut items = Vec::new();
    for name in names {
        match name.as_str() {
            "ALL" | "FAST" => items.extend([Item::Flags, Item::Internaldate, Item::Size]),
            "UID" => items.push(Item::Uid),
            "FLAGS" => items.push(Item::Flags),
            "RFC822.SIZE" => items.push(Item::Size),
            "INTERNALDATE" => items.push(Item::Internaldate),
            name => items.push(Item::Body(BodyItem::parse(name)?)),
        }
    }
    Ok(items)
}

impl BodyItem {
    fn parse(item: &str) -> Result<Self, Bad> {
        let unknown = || format!("unknown item {item}");
        let old = |section, sets_seen| BodyItem { name: item.to_owned(), section, partial: None, sets_seen };
        match item {
            "RFC822" => return Ok(old(Section::Whole, true)),
            "RFC822.TEXT" => return Ok(old(Section::Text, true)),
            "RFC822.HEADER" => return Ok(old(Section::Header, false)),
            _ => {}
        }
        let (front, rest) = item.split_once('[').ok_or_else(unknown)?;
        let (section, partial) = rest.split_once(']').ok_or_else(unknown)?;
        let sets_seen = match front {
            "BODY" => true,
            "BODY.PEEK" => false,
            _ => return Err(unknown()),
        };
        let partial = if partial.is_empty() { None } else { Some(parse_partial(partial).ok_or_else(unknown)?) };
        let origin = partial.map_or(String::new(), |(first, _)| format!("<{first}>"));
        let name = format!("BODY[{section}]{origin}");
        Ok(BodyItem { name, section: Section::parse(section).ok_or_else(unknown)?, partial, sets_seen })
    }

    fn cut_out(&self, message: &[u8]) -> Vec<u8> {
        let bytes = self.section.cut_out(message);
        match self.partial {
            None => bytes,
            Some((first, length)) => bytes.into_iter().skip(first).take(length).collect(),
        }
    }
}

/// `<first.length>`
fn parse_partial(text: &str) -> Option<(usize, usize)> {
    let (first, length) = text.strip_prefix('<')?.strip_suffix('>')?.split_once('.')?;
    Some((first.parse().ok()?, length.parse().ok()?))
}

impl Section {
    fn parse(text: &str) -> Option<Self> {
        let (word, names) = text.split_once(' ').unwrap_or((text, ""));
        let names = || {
            let inside = names.strip_prefix('(')?.strip_suffix(')')?;
            Some(inside.split_whitespace().map(|name| name.trim_matches('"').to_owned()).collect())
        };
        Some(match word {
            "" => Section::Whole,
            "HEADER" => Section::Header,
            "TEXT" => Section::Text,
            "HEADER.FIELDS" => Section::Fields { named: true, names: names()? },
            "HEADER.FIELDS.NOT" => Section::Fields { named: false, names: names()? },
            _ => return None,
        })
    }

    fn cut_out(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Section::Whole => message.to_vec(),
            Section::Header => imap_search::header(message).to_vec(),
            Section::Text => imap_search::body(message).to_vec(),
            Section::Fields { named, names } => {
                let is_named = |field: &str| names.iter().any(|name| name.eq_ignore_ascii_case(field));
                let fields = imap_search::fields(message).into_iter();
                let wanted = fields.filter(|(name, _)| is_named(name) == *named).flat_map(|(_, field)| field);
                wanted.chain(*b"\r\n").collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BodyItem, parse_items};

    fn cut_out(item: &str) -> String {
        let message = b"To: a\r\nSubject: x\r\n y\r\nCC: b\r\n\r\nbody\r\n";
        String::from_utf8(BodyItem::parse(item).unwrap().cut_out(message)).unwrap()
    }

    #[test]
    fn sections_and_partials_are_cut_out() {
        assert_eq!(cut_out("BODY[TEXT]"), "body\r\n");
        assert_eq!(cut_out("BODY[]<4.6>"), "a\r\nSub");
        assert_eq!(cut_out("BODY[]<1000.5>"), "");
        assert_eq!(cut_out("BODY.PEEK[HEADER.FIELDS (SUBJECT CC)]"), "Subject: x\r\n y\r\nCC: b\r\n\r\n");
        assert_eq!(cut_out("BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT CC)]"), "To: a\r\n\r\n");
        assert!(cut_out("RFC822.HEADER").ends_with("CC: b\r\n\r\n"));
    }

    #[test]
    fn only_peek_leaves_the_message_unseen() {
        assert!(BodyItem::parse("BODY[]").unwrap().sets_seen);
        let peek = BodyItem::parse("BODY.PEEK[]<0.10>").unwrap();
        assert_eq!((peek.sets_seen, peek.name.as_str()), (false, "BODY[]<0>"));
        assert!(parse_items(&["ENVELOPE".to_owned()]).is_err());
    }
}
