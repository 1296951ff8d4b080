//! The IMAP server's commands about folders, and those that add messages to them or take them away.

use super::date;
use super::imap_server::{Answer, Refusal, Selected, Session, bad, no, ok};
use super::imap_syntax::{Bad, NumberSet, Words, string};
use super::mailbox::{Folder, Incoming};
use std::collections::BTreeSet;

const FLAGS: &str = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";

impl Session<'_> {
    /// `LIST reference pattern`: `*` is anything, `%` anything within one level.
    pub async fn list(&mut self, verb: &str, words: &mut Words<'_>) -> Answer {
        let pattern = words.string()? + &words.string()?;
        words.expect_end()?;
        let delimiter = self.options.delimiter.map_or("NIL".to_owned(), |delimiter| string(&delimiter.to_string()));
        if pattern.is_empty() {
            self.conn.send(format!("* {verb} (\\Noselect) {delimiter} \"\"\r\n")).await?;
        }
        for (name, attributes) in self.names() {
            if matches(&pattern, &name, self.options.delimiter) {
                self.conn.send(format!("* {verb} ({attributes}) {delimiter} {}\r\n", string(&name))).await?;
            }
        }
        ok("that is all")
    }

    /// All folders, and the levels above them that are no folders themselves.
    fn names(&self) -> Vec<(String, String)> {
        let folders = self.mailbox.snapshot();
        let mut names: Vec<(String, String)> =
            folders.iter().map(|folder| (folder.name.clone(), folder.attributes.join(" "))).collect();
        let parents: BTreeSet<&str> = folders.iter().flat_map(|folder| self.levels_above(&folder.name)).collect();
        for parent in parents {
            if !parent.is_empty() && !folders.iter().any(|folder| folder.name == parent) {
                names.push((parent.to_owned(), "\\Noselect".to_owned()));
            }
        }
        names
    }

    fn levels_above<'n>(&self, name: &'n str) -> impl Iterator<Item = &'n str> + use<'n> {
        let delimiter = self.options.delimiter;
        name.char_indices().filter(move |(_, letter)| Some(*letter) == delimiter).map(|(index, _)| &name[..index])
    }

    fn told_uidnext(&self, uidnext: u32) -> u32 {
        if self.conn.faults.has_habit("uidnext-never-moves") { u32::MAX } else { uidnext }
    }

    pub async fn status(&mut self, words: &mut Words<'_>) -> Answer {
        let name = words.string()?;
        let items = words.list(Words::keyword)?;
        let Some(folder) = self.selectable(&name) else { return no("[NONEXISTENT] no such folder") };
        let unseen = folder.messages.iter().filter(|message| !message.flags.contains("\\Seen")).count();
        let mut values = Vec::new();
        for item in items {
            let value = match item.as_str() {
                "MESSAGES" => folder.messages.len(),
                "UIDNEXT" => self.told_uidnext(folder.uidnext) as usize,
                "UIDVALIDITY" => folder.uidvalidity as usize,
                "UNSEEN" => unseen,
                "RECENT" => 0,
                _ => return bad(format!("unknown item {item}")),
            };
            values.push(format!("{item} {value}"));
        }
        self.conn.send(format!("* STATUS {} ({})\r\n", string(&name), values.join(" "))).await?;
        ok("that is all")
    }

    fn selectable(&self, name: &str) -> Option<Folder> {
        let is_noselect =
            |folder: &Folder| folder.attributes.iter().any(|word| word.eq_ignore_ascii_case("\\Noselect"));
        self.mailbox.read_folder(name, Folder::clone).filter(|folder| !is_noselect(folder))
    }

    pub async fn select(&mut self, words: &mut Words<'_>, read_only: bool) -> Answer {
        let name = words.string()?;
        words.expect_end()?;
        self.selected = None;
        let Some(folder) = self.selectable(&name) else { return no("[NONEXISTENT] no such folder") };
        let permanent = if read_only { String::new() } else { format!("{FLAGS} \\*") };
        let mut lines = format!("* FLAGS ({FLAGS})\r\n* OK [PERMANENTFLAGS ({permanent})] kept\r\n");
        let exists = self.conn.faults.exists().unwrap_or(folder.messages.len() as u32);
        lines += &format!("* {exists} EXISTS\r\n* 0 RECENT\r\n");
        if !self.conn.faults.hides_uidvalidity() {
            lines += &format!("* OK [UIDVALIDITY {}] same as before?\r\n", folder.uidvalidity);
        }
        if !self.conn.faults.has_habit("no-uidnext") {
            lines += &format!("* OK [UIDNEXT {}] next\r\n", self.told_uidnext(folder.uidnext));
        }
        self.conn.send(lines).await?;
        self.selected = Some(Selected { uids: folder.uids(), folder: folder.name, read_only });
        ok(if read_only { "[READ-ONLY] selected" } else { "[READ-WRITE] selected" })
    }

    pub fn close(&mut self, expunges: bool) -> Answer {
        if expunges && self.selected.as_ref().is_some_and(|selected| !selected.read_only) {
            self.expunge(None)?;
        }
        self.selected = None;
        ok("closed")
    }

    pub fn create(&mut self, words: &mut Words<'_>) -> Answer {
        let name = words.string()?;
        if self.mailbox.read_folder(&name, |_| ()).is_some() {
            return no("[ALREADYEXISTS] it is there");
        }
        self.mailbox.add_folder(&name, &[]);
        ok("created")
    }

    /// `APPEND folder [(flags)] ["date"] literal`
    pub fn append(&mut self, words: &mut Words<'_>) -> Answer {
        let name = words.string()?;
        words.skip_space();
        let flags = if words.next_is(b'(') { words.list(Words::atom_after_space)? } else { Vec::new() };
        words.skip_space();
        let date = if words.next_is(b'"') { Some(internaldate(words)?) } else { None };
        words.skip_space();
        if !words.next_is(b'{') {
            return bad("the message must be a literal");
        }
        let mut message = Incoming::raw(words.bytes()?);
        words.expect_end()?;
        message.flags = flags.into_iter().collect();
        message.internaldate = date.unwrap_or(message.internaldate);
        let Some(folder) = self.selectable(&name) else { return no("[TRYCREATE] no such folder") };
        let uid = self.mailbox.add_message(&name, message);
        ok(format!("[APPENDUID {} {uid}] appended", folder.uidvalidity))
    }

    pub fn uid_expunge(&mut self, words: &mut Words<'_>) -> Answer {
        let set = NumberSet::parse(&words.keyword()?)?;
        self.expunge(Some(set))
    }

    /// The removals are told with all other changes, before the tagged reply.
    pub fn expunge(&mut self, only: Option<NumberSet>) -> Answer {
        let selected = self.writable()?;
        let highest = selected.uids.last().copied().unwrap_or(0);
        self.mailbox.change_folder(&selected.folder, |folder| {
            folder.messages.retain(|message| {
                let meant = only.as_ref().is_none_or(|set| set.contains(message.uid, highest));
                !(meant && message.flags.contains("\\Deleted"))
            });
        });
        ok("expunged")
    }

    /// COPY and MOVE: all of it or nothing.
    pub async fn copy(&mut self, words: &mut Words<'_>, by_uid: bool, moves: bool) -> Answer {
        let set = NumberSet::parse(&words.keyword()?)?;
        let target = words.string()?;
        words.expect_end()?;
        let from = if moves { self.writable()? } else { self.selected()? }.folder.clone();
        let uids: Vec<u32> = self.resolve(&set, by_uid)?.into_iter().map(|(_, uid)| uid).collect();
        let Some(folder) = self.selectable(&target) else { return no("[TRYCREATE] no such folder") };
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for uid in uids {
            let Some(stored) = self.mailbox.read_message(&from, uid, Clone::clone) else { continue };
            let copy =
                Incoming { flags: stored.flags, internaldate: stored.internaldate, bytes: stored.bytes.to_vec() };
            old.push(uid.to_string());
            new.push(self.mailbox.add_message(&target, copy).to_string());
            if moves {
                self.mailbox.remove(&from, uid);
            }
        }
        if old.is_empty() {
            return ok("nothing to do");
        }
        let code = format!("[COPYUID {} {} {}]", folder.uidvalidity, old.join(","), new.join(","));
        if !moves {
            return ok(format!("{code} copied"));
        }
        // For MOVE the UIDs must be known before the EXPUNGE replies come.
        self.conn.send(format!("* OK {code} moved\r\n")).await?;
        ok("moved")
    }

    pub fn selected(&self) -> Result<&Selected, Refusal> {
        self.selected.as_ref().ok_or_else(|| Refusal::Bad("no folder is selected".to_owned()))
    }

    pub fn writable(&self) -> Result<&Selected, Refusal> {
        let selected = self.selected()?;
        if selected.read_only { no("[READ-ONLY] only examined") } else { Ok(selected) }
    }

    /// The messages a set means, as (sequence number, UID), in order. UIDs that are not there are passed over,
    /// numbers that are not there are an error.
    pub fn resolve(&self, set: &NumberSet, by_uid: bool) -> Result<Vec<(u32, u32)>, Refusal> {
        let uids = &self.selected()?.uids;
        let numbered = uids.iter().enumerate().map(|(index, uid)| (index as u32 + 1, *uid));
        if by_uid {
            let highest = uids.last().copied().unwrap_or(0);
            return Ok(numbered.filter(|(_, uid)| set.contains(*uid, highest)).collect());
        }
        let highest = uids.len() as u32;
        let found: Vec<(u32, u32)> = numbered.filter(|(number, _)| set.contains(*number, highest)).collect();
        if found.is_empty() { bad("no such message") } else { Ok(found) }
    }
}

impl Words<'_> {
    fn atom_after_space(&mut self) -> Result<String, Bad> {
        self.skip_space();
        self.atom()
    }
}

fn internaldate(words: &mut Words<'_>) -> Result<i64, Bad> {
    let text = words.string()?;
    date::parse_internaldate(&text).ok_or_else(|| format!("{text:?} is not a date"))
}

/// INBOX is INBOX in any case; all other names are exact.
fn matches(pattern: &str, name: &str, delimiter: Option<char>) -> bool {
    if name == "INBOX" && pattern.eq_ignore_ascii_case(name) {
        return true;
    }
    let mut letters = pattern.chars();
    let Some(first) = letters.next() else { return name.is_empty() };
    let rest = letters.as_str();
    let ends = || name.char_indices().map(|(index, _)| index).chain([name.len()]);
    match first {
        '*' => ends().any(|end| matches(rest, &name[end..], delimiter)),
        '%' => {
            let level = delimiter.and_then(|delimiter| name.find(delimiter)).unwrap_or(name.len());
            ends().take_while(|end| *end <= level).any(|end| matches(rest, &name[end..], delimiter))
        }
        letter => name.strip_prefix(letter).is_some_and(|name| matches(rest, name, delimiter)),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_know_levels() {
        for (pattern, name, expected) in [
            ("*", "a/b", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("%/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("a/*", "a/b/c", true),
            ("a*c", "a/b/c", true),
            ("inbox", "INBOX", true),
            ("lists", "Lists", false),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name, Some('/')), expected, "{pattern} {name}");
        }
        assert!(matches("%", "a/b", None), "without levels % is *");
    }
}
